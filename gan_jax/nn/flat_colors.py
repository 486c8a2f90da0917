"""Pictures in a few flat colors, as drawings have them: learned (`Palette`) or found (`Flat`)."""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from gan_jax.nn import conv
from gan_jax.nn.resample import double

SHARPER = 3.0  # by what a palette's logits are multiplied in sampling
FINER = 4  # times, in each direction, where flat colors are chosen
LLOYD_STEPS = 4


class Palette(nn.Module):
    """A picture in K flat colors: each pixel a mixture of them, whose shares are a softmax.

    A color is the mean of the drawing over the pixels, weighted by their shares of it. After
    ColorCNN (Hou et al. 2020, arXiv:2003.07848), there of the input's colors. So a generator can
    learn shapes without grain.

    In sampling, and in training only where `sharp` is set, the logits are multiplied by SHARPER
    (ColorCNN's shares are 0 or 1 then), and the shares made twice as fine and averaged: contours,
    where two logits are equal, run between the pixels, smooth as in a vector drawing. A tile can
    have the colors of the whole picture: see `cached_colors`.

    Attributes:
        sharp: whether training draws as sampling does.
        times: how many times as large sampling draws, in each direction (in_colors_enlarged).
    """

    sharp: bool = False
    times: int = 1

    @nn.compact
    def __call__(
        self,
        drawing: Float[Array, "B H W C"],
        logits: Float[Array, "B H W K"],
        *,
        train: bool = False,
    ) -> Float[Array, "B _ _ C"]:
        shares = nn.log_softmax(logits)

        def means():
            return jnp.einsum("bhwk,bhwc->bkc", nn.softmax(shares, (1, 2)), drawing)

        colors = cached_colors(self, means)
        if self.times > 1 and not train:
            return in_colors_enlarged(smoothed(logits), colors, self.times)
        return in_colors(logits, colors, soft=train and not self.sharp)


class Colors(nn.Module):
    """Noise, labels -> the K colors of a picture: two dense layers.

    They start far apart, so that shapes can be learned from the first step; a Palette's start
    alike, near the drawing's mean. They are not bounded while they learn: where tanh is flat they
    would stay at black and white.

    Attributes:
        colors: K.
        channels: numbers of a color.
        n_classes: number of labels; 0: none.
        width: of the hidden layer.
    """

    colors: int
    channels: int = 3
    n_classes: int = 0
    width: int = 64

    @nn.compact
    def __call__(
        self, z: Float[Array, "B Z"], y: Int[Array, " B"] | None
    ) -> Float[Array, "B {self.colors} {self.channels}"]:
        if self.n_classes:
            z = jnp.concatenate([z, jax.nn.one_hot(y, self.n_classes)], 1)
        h = nn.relu(nn.Dense(self.width)(z))

        def apart(key, shape, dtype=jnp.float32):
            return nn.initializers.uniform(2.0)(key, shape, dtype) - 1

        small = nn.initializers.variance_scaling(0.1, "fan_in", "normal")
        h = nn.Dense(self.colors * self.channels, kernel_init=small, bias_init=apart)(h)
        return h.reshape(-1, self.colors, self.channels)


def in_colors(
    logits: Float[Array, "B H W K"], colors: Float[Array, "B K C"], *, soft: bool
) -> Float[Array, "B H W C"]:
    """Each pixel a mixture of the colors, whose shares are a softmax of its logits.

    soft: shares as they are, as in training; else nearly 0 or 1, with smooth contours: see Palette.
    """
    shares = nn.softmax(logits) if soft else conv.pool(nn.softmax(SHARPER * double(logits)))
    return jnp.einsum("bhwk,bkc->bhwc", shares, colors)


def smoothed(x: Float[Array, "B H W K"]) -> Float[Array, "B H W K"]:
    """Each pixel's mean with its neighbors, weights (1, 2, 1) in each direction: of squares of
    pixels that need not agree, the highest frequency, a checkerboard, becomes 0."""
    return conv.resample(jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), "edge"), (1, 2, 1))


def in_colors_enlarged(
    logits: Float[Array, "B H W K"], colors: Float[Array, "B K C"], times: int
) -> Float[Array, "B {times}*H {times}*W C"]:
    """The same picture `times` as large in each direction, contours as sharp as there are pixels.

    Logits are smooth where shares are not: they are enlarged (cubic), and each of four
    points of a pixel takes the color with the largest; their mean is the pixel. A color is what the
    small picture has where that color's share is the largest, so that areas which are drawn as a
    mixture of two stay it.
    """
    colors = _as_mixed(logits, colors)
    b, h, w, k = logits.shape
    height, width, fine = h * times, w * times, 2
    logits = jax.image.resize(logits, (b, height * fine, width * fine, k), "cubic")
    drawn = jnp.einsum("bhwk,bkc->bhwc", jax.nn.one_hot(logits.argmax(-1), k), colors)
    return drawn.reshape(b, height, fine, width, fine, -1).mean((2, 4))


def _as_mixed(
    logits: Float[Array, "B H W K"], colors: Float[Array, "B K C"]
) -> Float[Array, "B K C"]:
    """Each color as in_colors' picture has it, the mean over the pixels where its share is the
    largest, weighted by that share; as it is where there are none."""
    shares = nn.softmax(SHARPER * logits)
    drawn = jnp.einsum("bhwk,bkc->bhwc", shares, colors)
    own = shares * jax.nn.one_hot(logits.argmax(-1), logits.shape[-1])
    weight = own.sum((1, 2))[..., None]
    means = jnp.einsum("bhwk,bhwc->bkc", own, drawn) / jnp.maximum(weight, 1e-6)
    return jnp.where(weight > 1e-3, means, colors)


class Flat(nn.Module):
    """A picture redrawn in a few of its own colors, the k-means of its pixels: without shading.

    The picture is made FINER times as fine, linear between pixels, each point there takes the
    nearest color, and the points are averaged: contours stay where they were, as smooth. A tile can
    have the colors of the whole picture: see `cached_colors`.

    Attributes:
        colors: how many; the result has these and their mixtures at contours.
    """

    colors: int

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B H W C"]:
        b, h, w, c = x.shape

        def means():
            return jax.vmap(lambda x: k_means(x, self.colors))(x.reshape(b, h * w, c))

        colors = cached_colors(self, means)
        fine = jax.image.resize(x, (b, FINER * h, FINER * w, c), "linear")
        best, drawn = jnp.inf, jnp.zeros_like(fine)
        for color in jnp.split(colors[:, None], self.colors, 2):  # one by one, to save memory
            distance = jnp.square(fine - color).sum(-1, keepdims=True)
            best, drawn = jnp.minimum(best, distance), jnp.where(distance < best, color, drawn)
        return drawn.reshape(b, h, FINER, w, FINER, c).mean((2, 4))


def k_means(x: Float[Array, "N C"], k: int) -> Float[Array, "{k} C"]:
    """The means of k groups of points, without chance.

    Lloyd's algorithm (1982), from points far apart (Gonzalez 1985).
    """

    def distances(means):
        return jnp.square(x[:, None] - means[None]).sum(-1)

    means = x[jnp.argmin(distances(x.mean(0, keepdims=True)))][None]
    for _ in range(k - 1):
        means = jnp.concatenate([means, x[jnp.argmax(distances(means).min(1))][None]])
    for _ in range(LLOYD_STEPS):
        own = jax.nn.one_hot(distances(means).argmin(1), k)
        n = own.sum(0)[:, None]
        means = jnp.where(n > 0, own.T @ x / jnp.maximum(n, 1), means)
    return means


def cached_colors(
    module: nn.Module, colors: Callable[[], Float[Array, "B K C"]]
) -> Float[Array, "B K C"]:
    """`colors()`, or what a pass over the whole picture has left in the collection "norms".

    That pass has the collection mutable and empty; a pass over a tile is given it.
    """
    given = module.get_variable("norms", "colors")
    if given is not None:
        return given
    made = colors()
    if module.is_mutable_collection("norms") and not module.is_initializing():
        module.put_variable("norms", "colors", made)
    return made


def check_colors(n: int, setting: str) -> int:
    """n, a generator's number of colors.

    Raises:
        ValueError: it is not 0 (any colors), nor 2 or more; names the setting.
    """
    if n < 0 or n == 1:
        raise ValueError(f"config.g.{setting}={n}: it must be 2 or more colors, or 0 for any.")
    return n
