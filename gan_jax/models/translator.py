"""Networks from picture to picture: the residual generator, the patch critic, and sizes that don't
halve evenly."""

import functools
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp

from gan_jax.nn import conv
from gan_jax.nn.layers import Conv, ConvTranspose
from gan_jax.nn.norms import BatchNorm, InstanceNorm
from gan_jax.runtime import registry


def pad_to(x: jax.Array, multiple: int) -> jax.Array:
    """x [B, H, W, C] -> [B, H', W', C], the next multiples, by reflection at the right and bottom
    edge."""
    more = [-n % multiple for n in x.shape[1:3]]
    while any(more):  # a reflection adds at most n - 1; a side of one pixel is repeated
        now = [min(m, max(n - 1, 1)) for m, n in zip(more, x.shape[1:3], strict=True)]
        mode = (
            "reflect"
            if all(n > 1 or not m for m, n in zip(now, x.shape[1:3], strict=True))
            else "edge"
        )
        x = jnp.pad(x, ((0, 0), (0, now[0]), (0, now[1]), (0, 0)), mode)
        more = [m - n for m, n in zip(more, now, strict=True)]
    return x


def halvings(size: tuple[int, int]) -> int:
    """How often a picture of `size` (H, W) halves, once it is padded to do so, until its shorter
    side is 4 to 8.

    Raises:
        ValueError: a side below 8 pixels.
    """
    if min(size) < 8:
        raise ValueError(
            f"images {size[0]}x{size[1]}: both sides must have 8 pixels or more. Set"
            " config.data.resolution."
        )
    return (min(size) // 4).bit_length() - 1


class ResNetGenerator(nn.Module):
    """Picture -> picture of its size: 7x7, two halvings, residual blocks, two doublings, 7x7, tanh;
    instance norm, ReLU.

    Johnson et al. 2016, arXiv:1603.08155; layer for layer that of CycleGAN and, with `blur`, of
    CUT.

    Attributes:
        width: channels at full size. blocks: residual ones (official: 9, at 128 pixels 6).
        blur: halve and double by FIR filters (Zhang 2019, arXiv:1904.11486), not by strided and
            transposed convolutions.
        residual: what comes out is the picture plus twice the tanh, cut to [-1, 1], and the picture
            itself at first: for sets that differ little (not in the papers).
        guided: radius, in pixels, of the guided_filter that frees the result, with `residual` its
            change, of grain and has it follow the picture's edges: when pictures are drawn, not in
            training; 0, as in the papers: none.
        flat: colours that the result is drawn in (Flat): when pictures are drawn, not in training;
            0, as in the papers: any.
        initializer: of the kernels.
        sampling_settings: see models.Traits.
    """

    sampling_settings = ("guided", "flat")

    shape: tuple[int, int, int]
    width: int = 64
    blocks: int = 9
    blur: bool = False
    residual: bool = False
    guided: int = 0
    flat: int = 0
    initializer: str = "normal"
    dtype: str = "float32"

    @nn.compact
    def __call__(self, x: jax.Array, taps: tuple[int, ...] = (), *, train: bool = False):
        """x f32 [B, H, W, C] in [-1, 1] -> f32 [B, H, W, C] in [-1, 1]; any H and W.

        taps: layers in CUT's count: 0 the padded picture, 4 and 8 the halving convolutions, 12 and
            on the residual blocks. With any, the result is (picture, their activations [B, h, w, c]
            in that order); who drops the picture in a compiled program does not pay for it.
        Raises ValueError where there is no such layer.
        """
        picture, size, layers = x, x.shape[1:3], {}
        conv_ = functools.partial(Conv, initializer=self.initializer)
        norm = lambda x: InstanceNorm(affine=False)(x)  # one a layer: each has moments of its own
        x = layers[0] = reflect(pad_to(x, 4), 3).astype(self.dtype)
        x = nn.relu(norm(conv_(self.width, kernel_size=7, padding=0, name="first")(x)))
        for level in range(2):
            features, stride = 2 * self.width << level, 1 if self.blur else 2
            x = layers[4 + 4 * level] = conv_(features, stride=stride, name=f"down{level}")(x)
            x = nn.relu(norm(x))
            x = halve(x) if self.blur else x
        for n in range(self.blocks):
            h = nn.relu(norm(conv_(x.shape[-1], padding=0, name=f"block{n}_0")(reflect(x, 1))))
            x = layers[12 + n] = x + norm(
                conv_(x.shape[-1], padding=0, name=f"block{n}_1")(reflect(h, 1))
            )
        for level in reversed(range(2)):
            features = self.width << level
            if self.blur:
                x = conv_(features, name=f"up{level}")(double(x))
            else:
                x = ConvTranspose(
                    features, self.initializer, kernel_size=3, more=1, name=f"up{level}"
                )(x)
            x = nn.relu(norm(x))
        last = "zeros" if self.residual else self.initializer
        x = Conv(self.shape[2], last, kernel_size=7, padding=0, name="last")(reflect(x, 3))
        x = jnp.tanh(x[:, : size[0], : size[1]].astype(jnp.float32))
        if self.guided and not train:
            x = guided_filter(x, picture.mean(-1, keepdims=True), self.guided)
        picture = jnp.clip(picture + 2 * x, -1, 1) if self.residual else x
        if n_colors(self.flat, "flat") and not train:
            picture = Flat(self.flat, name="flat")(picture)
        if not taps:
            return picture
        absent = set(taps) - set(layers)
        if absent:
            raise ValueError(
                f"config.game.taps: no layer {min(absent)}; there are"
                f" {', '.join(map(str, layers))}."
            )
        return picture, [layers[number] for number in taps]


SHARPER = 3.0  # by what a palette's logits are multiplied when pictures are drawn
FINER = 4  # times, in each direction, where flat colours are chosen
LLOYD_STEPS = 4


class Palette(nn.Module):
    """A drawing in flat colours: each pixel a mixture of as many colours as it has been given
    logits.

    A colour is the mean of the drawing over the pixels, weighted by their shares of it, which are a
    softmax of the logits. After ColorCNN (Hou et al. 2020, arXiv:2003.07848), there of the input's
    colours. Grain has no place in it. When pictures are drawn, not in training, the shares are
    SHARPER (ColorCNN's are 0 or 1 then), made twice as fine and averaged: contours, where two
    logits are equal, run between the pixels, smooth as in a vector drawing. Parts of a picture can
    have the colours of the whole: they are in the collection "norms", as InstanceNorm's moments
    are.
    """

    @nn.compact
    def __call__(self, drawing: jax.Array, logits: jax.Array, *, train: bool = False) -> jax.Array:
        """drawing f32 [B, H, W, C], logits f32 [B, H, W, K] -> f32 [B, H, W, C] of at most K
        colours and their mixtures."""
        shares = nn.log_softmax(logits)
        chosen = lambda: jnp.einsum("bhwk,bhwc->bkc", nn.softmax(shares, (1, 2)), drawing)
        colors = cached_colors(self, chosen)
        shares = jnp.exp(shares) if train else conv.pool(nn.softmax(SHARPER * doubled(logits)))
        return jnp.einsum("bhwk,bkc->bhwc", shares, colors)


class Flat(nn.Module):
    """A picture redrawn in a few flat colours of its own, the k-means of its pixels (Lloyd 1982):
    no shading, no grain.

    The picture is made FINER times as fine, linear between pixels, each point there takes the
    nearest colour, and the points are averaged: contours stay where they were, as smooth. Parts of
    a picture can have the colours of the whole, as in Palette.
    """

    colors: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """x f32 [B, H, W, C] -> f32 [B, H, W, C] of `colors` colours and their mixtures."""
        b, h, w, c = x.shape
        means = cached_colors(
            self, lambda: jax.vmap(lambda x: k_means(x, self.colors))(x.reshape(b, h * w, c))
        )
        fine = jax.image.resize(x, (b, FINER * h, FINER * w, c), "linear")
        best, drawn = jnp.inf, jnp.zeros_like(fine)
        for mean in jnp.split(
            means[:, None], self.colors, 2
        ):  # one by one: a fine picture of distances each
            away = jnp.square(fine - mean).sum(-1, keepdims=True)
            best, drawn = jnp.minimum(best, away), jnp.where(away < best, mean, drawn)
        return drawn.reshape(b, h, FINER, w, FINER, c).mean((2, 4))


def k_means(x: jax.Array, k: int) -> jax.Array:
    """Points [N, C] -> means [k, C] of k groups: Lloyd's algorithm, from points far apart (Gonzalez
    1985). Without chance."""
    distances = lambda means: jnp.square(x[:, None] - means[None]).sum(-1)
    means = x[jnp.argmin(distances(x.mean(0, keepdims=True)))][None]
    for _ in range(k - 1):
        means = jnp.concatenate([means, x[jnp.argmax(distances(means).min(1))][None]])
    for _ in range(LLOYD_STEPS):
        own = jax.nn.one_hot(distances(means).argmin(1), k)
        n = own.sum(0)[:, None]
        means = jnp.where(n > 0, own.T @ x / jnp.maximum(n, 1), means)
    return means


def cached_colors(module: nn.Module, colors: Callable[[], jax.Array]) -> jax.Array:
    """A module's colours: those it is given in the collection "norms", else `colors()`, left there
    where that is mutable."""
    given = module.get_variable("norms", "colors")
    if given is not None:
        return given
    made = colors()
    if module.is_mutable_collection("norms") and not module.is_initializing():
        module.put_variable("norms", "colors", made)
    return made


def doubled(x: jax.Array) -> jax.Array:
    """x [B, H, W, C] twice as fine: linear between the pixels' centres, level beyond the last
    ones."""
    x = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), "edge")
    return conv.resample(x, (1, 3, 3, 1), up=2, padding=(0, -1), gain=4)


def guided_filter(x: jax.Array, guide: jax.Array, radius: int, eps: float = 1e-2) -> jax.Array:
    """x [B, H, W, C], smooth but for the edges of guide [B, H, W, 1]: in each window the linear
    function of it nearest to x.

    He, Sun & Tang 2013, "Guided image filtering", equations 5, 6 and 8; windows of 2 radius + 1
    pixels, at the picture's edge what of them is in it. eps: variance of the guide, of its range of
    2, below which a window is taken to be flat. Raises ValueError for a radius below 1.
    """
    if radius < 1:
        raise ValueError(
            f"config.g.guided={radius}: it must be a radius of 1 pixel or more, or 0 for none."
        )
    n = 2 * radius + 1
    # the windows' shares inside the picture; avg_pool's own count costs XLA minutes to fold for
    # large pictures
    places = [(jnp.arange(side), side) for side in x.shape[1:3]]
    down, right = (
        (jnp.minimum(i + radius, side - 1) - jnp.maximum(i - radius, 0) + 1) / n
        for i, side in places
    )
    inside = down[None, :, None, None] * right[None, None, :, None]
    along = lambda x, window: nn.avg_pool(x, window, padding="SAME")
    mean = lambda x: along(along(x, (n, 1)), (1, n)) / inside
    mean_x, mean_guide = mean(x), mean(guide)
    slope = (mean(guide * x) - mean_guide * mean_x) / (
        mean(guide * guide) - mean_guide * mean_guide + eps
    )
    return mean(slope) * guide + mean(mean_x - slope * mean_guide)


def n_colors(n: int, setting: str) -> int:
    """n, a generator's colours in all. Raises ValueError where it is not 0 or 2 and more."""
    if n < 0 or n == 1:
        raise ValueError(f"config.g.{setting}={n}: it must be 2 or more colours, or 0 for any.")
    return n


class PatchDiscriminator(nn.Module):
    """Picture -> a logit for each overlapping patch of 70 pixels: 4x4 convolutions, leaky ReLU.
    Isola et al. 2017, arXiv:1611.07004, section 3.2.

    Attributes:
        width: channels at the first level; twice as many a level down, at most 8 times.
        levels: halvings (official: 3).
        norm: "batch" (pix2pix), "instance" (CycleGAN, CUT) or "none", not after the first and the
            last layer.
        blur: halve by FIR filters, not by strides (CUT). initializer: how weights start, a name in
            nn.init.INITIALIZERS.
    """

    shape: tuple[int, int, int]
    width: int = 64
    levels: int = 3
    norm: str = "instance"
    blur: bool = False
    initializer: str = "normal"
    dtype: str = "float32"

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
        """x f32 [B, H, W, C] in [-1, 1], C any -> logits f32 [B, h, w]."""
        x = x.astype(self.dtype)
        for level in range(self.levels + 1):
            down = level < self.levels
            stride = 2 if down and not self.blur else 1
            features = min(self.width << level, 8 * self.width)
            bias = not level or self.norm != "batch"
            x = Conv(
                features,
                self.initializer,
                bias=bias,
                kernel_size=4,
                stride=stride,
                name=f"level{level}",
            )(x)
            if level and self.norm != "none":
                x = normalise(x, self.norm, "config.d.norm", affine=False, train=train)
            x = nn.leaky_relu(x, 0.2)
            x = halve(x) if down and self.blur else x
        return Conv(1, self.initializer, kernel_size=4, name="last")(x.astype(jnp.float32))[..., 0]


def normalise(x: jax.Array, name: str, place: str, *, affine: bool, train: bool) -> jax.Array:
    """x [B, H, W, C] by "batch" norm, or by "instance" norm with weights (`affine`) or without. In
    a compact method.

    place: of the name in the config, for errors.
    """
    registry.choose({"batch": 1, "instance": 1}, name, place)
    return BatchNorm(eps=1e-5)(x, train=train) if name == "batch" else InstanceNorm(affine)(x)


def reflect(x: jax.Array, n: int) -> jax.Array:
    """n pixels more on every side, by reflection. [B, H, W, C] -> [B, H + 2n, W + 2n, C]."""
    return jnp.pad(x, ((0, 0), (n, n), (n, n), (0, 0)), "reflect")


def halve(x: jax.Array) -> jax.Array:
    """Filtered by (1, 2, 1) at reflected edges, every second pixel kept. [B, H, W, C] -> [B, ceil(H
    / 2), ceil(W / 2), C]."""
    return conv.resample(reflect(x, 1), (1, 2, 1), down=2)


def double(x: jax.Array) -> jax.Array:
    """Linear interpolation at repeated edges, by (1, 3, 3, 1). [B, H, W, C] -> [B, 2H, 2W, C]."""
    x = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), "edge")
    x = conv.resample(x, (1, 3, 3, 1), up=2, padding=(2, 1), gain=4)
    return x[:, 2:-2, 2:-2]
