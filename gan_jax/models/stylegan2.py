"""StyleGAN2's networks. Karras et al. 2020, arXiv:1912.04958 and arXiv:2006.06676 (StyleGAN2-ADA).

Blocks are named by level: b4 works on the start grid, b8 on twice its sides, and so on; where
images are square and a power of two, a level is a side.
"""

import math

import flax.linen as nn
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from gan_jax.distributed import collectives
from gan_jax.nn import conv
from gan_jax.nn.equalized import FIR, Conv, Dense, Embed, normalize
from gan_jax.nn.layers import check_labels
from gan_jax.nn.modulated import ModulatedConv, ToRGB
from gan_jax.runtime import registry

NOISES = {"random": "fresh in every image", "const": "each layer's own picture", "none": "no noise"}
ARCHITECTURES = {"resnet": "residual blocks", "orig": "plain ones, the cifar preset's"}


class Generator(nn.Module):
    """Noise -> w (`mapping`) -> picture (`synthesis`), unbounded: about [-1, 1] once trained.

    Attributes:
        w_dim: width of w.
        map_layers: dense layers of the mapping network.
        channel_base, channel_max: level l has min(channel_base // l, channel_max) channels.
        conv_clamp: bound on every layer's activations; float16's 256 is not needed in float32 or
            bfloat16.
        dtype: of the synthesis network's activations.
        remat: blocks are recomputed in the backward pass: less memory.
    """

    shape: tuple[int, int, int]
    n_classes: int = 0
    w_dim: int = 512
    map_layers: int = 8
    channel_base: int = 32768
    channel_max: int = 512
    conv_clamp: float | None = None
    dtype: str = "float32"
    remat: bool = False

    def setup(self) -> None:
        levels = channels_of(self.shape, self.channel_base, self.channel_max, "config.g")
        self.to_ws = Mapping(
            self.w_dim, self.map_layers, self.n_classes, n_ws=2 * len(levels), name="mapping"
        )
        self.to_image = Synthesis(
            self.shape,
            tuple(levels.items()),
            self.conv_clamp,
            self.dtype,
            self.remat,
            name="synthesis",
        )

    def __call__(
        self, z: Float[Array, "B Z"], y: Int[Array, " B"] | None = None, *, train: bool = False
    ) -> Float[Array, "B H W C"]:
        """Layers' noise is random in training, otherwise their own."""
        return self.synthesis(self.mapping(z, y, train=train), train=train)

    def mapping(
        self, z: Float[Array, "B Z"], y: Int[Array, " B"] | None = None, *, train: bool = False
    ) -> Float[Array, "B L {self.w_dim}"]:
        """The same w for each of the L layers."""
        return self.to_ws(z, y, train=train)

    def synthesis(
        self, ws: Float[Array, "B L {self.w_dim}"], *, noise: str | None = None, train: bool = False
    ) -> Float[Array, "B H W C"]:
        """noise: a name in NOISES; None: random in training, otherwise const."""
        return self.to_image(ws, noise or ("random" if train else "const"))


class Mapping(nn.Module):
    """z and label, each brought to a mean square of one -> dense layers -> w.

    Attributes:
        lr_mult: how many times as fast as other layers these learn; 0.01 as published.
        n_ws: w is repeated for so many layers of a synthesis network, and its average is kept
            ("average", "w_avg"): a training pass moves it by 0.005. 0: neither, as in D.
    """

    w_dim: int
    layers: int
    n_classes: int = 0
    lr_mult: float = 0.01
    n_ws: int = 0

    @nn.compact
    def __call__(
        self,
        z: Float[Array, "B Z"] | None,
        y: Int[Array, " B"] | None = None,
        *,
        train: bool = False,
    ) -> Float[Array, "B {self.n_ws} {self.w_dim}"] | Float[Array, "B {self.w_dim}"]:
        """ws or, with n_ws=0, w."""
        check_labels(y, self.n_classes)
        parts = [] if z is None else [normalize(z)]
        if self.n_classes:
            parts.append(normalize(Embed(self.w_dim, self.n_classes, name="embed")(y)))
        w = jnp.concatenate(parts, 1)
        for i in range(self.layers):
            w = Dense(self.w_dim, lr_mult=self.lr_mult, activate=True, name=f"fc{i}")(w)
        if not self.n_ws:
            return w
        average = self.variable("average", "w_avg", jnp.zeros, self.w_dim)
        if train and not self.is_initializing():
            average.value = 0.995 * average.value + 0.005 * collectives.mean(
                lax.stop_gradient(w).mean(0)
            )
        return jnp.broadcast_to(w[:, None], (w.shape[0], self.n_ws, self.w_dim))


class Synthesis(nn.Module):
    """ws, one for each layer -> picture: a learned start grid, blocks that double it, a picture
    summed over blocks."""

    shape: tuple[int, int, int]
    levels: tuple[tuple[int, int], ...]  # (level, channels), the smallest first
    clamp: float | None
    dtype: str
    remat: bool

    @nn.compact
    def __call__(self, ws: Float[Array, "B L w_dim"], noise: str) -> Float[Array, "B H W C"]:
        """noise: a name in NOISES."""
        registry.choose(NOISES, noise, "noise")
        scale = 2 ** (len(self.levels) - 1)
        start = self.shape[0] // scale, self.shape[1] // scale, self.levels[0][1]
        const = self.param("const", nn.initializers.normal(1.0), start).astype(self.dtype)
        x, image = jnp.broadcast_to(const[None], (ws.shape[0], *start)), None
        block = nn.remat(SynthesisBlock) if self.remat else SynthesisBlock
        first = 0
        for level, channels in self.levels:
            layers = 1 if image is None else 2
            build = block(channels, self.shape[2], noise, self.clamp, name=f"b{level}")
            x, image = build(x, image, ws[:, first : first + layers + 1])
            first += layers  # the w of a block's picture is that of the next block's first layer
        return image


class SynthesisBlock(nn.Module):
    """Two modulated layers, the first of which doubles the size, and what they add to the picture.

    The first block has no picture to add to yet, and one layer, which keeps the size. Each layer
    has a w, and the picture the last.
    """

    features: int
    channels: int
    noise: str
    clamp: float | None

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "B h w I"],
        image: Float[Array, "B h w C"] | None,
        ws: Float[Array, "B layers w_dim"],
    ) -> tuple[Float[Array, "B H W {self.features}"], Float[Array, "B H W C"]]:
        *ws, w_rgb = jnp.unstack(ws, axis=1)
        if image is not None:
            x = ModulatedConv(self.features, True, self.noise, self.clamp, name="conv0")(x, ws[0])
            image = conv.resample(image, FIR, up=2, padding=(2, 1), gain=4)
        x = ModulatedConv(self.features, False, self.noise, self.clamp, name="conv1")(x, ws[-1])
        rgb = ToRGB(self.channels, self.clamp, name="to_rgb")(x, w_rgb)
        return x, rgb if image is None else image + rgb


class Discriminator(nn.Module):
    """Picture -> logit: blocks that halve it, the deviation of its batch as a channel, one
    convolution, two dense layers.

    With classes the logit is the product with a vector that a mapping network of eight layers makes
    of the label.

    Attributes:
        architecture: a name in ARCHITECTURES.
        mbstd_group: images whose standard deviation is taken together (minibatch_std). 1: none.
        channel_base, channel_max, conv_clamp, dtype, remat: as in Generator.
    """

    shape: tuple[int, int, int]
    n_classes: int = 0
    channel_base: int = 32768
    channel_max: int = 512
    architecture: str = "resnet"
    mbstd_group: int = 4
    conv_clamp: float | None = None
    dtype: str = "float32"
    remat: bool = False

    @nn.compact
    def __call__(
        self, x: Float[Array, "B H W C"], y: Int[Array, " B"] | None = None, *, train: bool = False
    ) -> Float[Array, " B"]:
        """Pictures in [-1, 1], labels -> logits."""
        check_labels(y, self.n_classes)
        registry.choose(ARCHITECTURES, self.architecture, "config.d.architecture")
        levels = channels_of(self.shape, self.channel_base, self.channel_max, "config.d")
        *smaller, (_, widest) = levels.items()
        block = nn.remat(DiscBlock) if self.remat else DiscBlock
        residual, clamp = self.architecture == "resnet", self.conv_clamp
        x = Conv(widest, kernel_size=1, clamp=clamp, name="from_rgb")(x.astype(self.dtype))
        for level, channels in reversed(smaller):
            x = block(channels, residual, clamp, name=f"b{2 * level}")(x)
        x = x.astype(jnp.float32)
        features = x.shape[-1]
        x = minibatch_std(x, self.mbstd_group)
        x = Conv(features, clamp=clamp, name="conv")(x)
        x = Dense(features, activate=True, name="fc")(x.reshape(x.shape[0], -1))
        x = Dense(features if self.n_classes else 1, name="out")(x)
        if not self.n_classes:
            return x[:, 0]
        label = Mapping(features, 8, self.n_classes, name="mapping")(None, y)
        return jnp.sum(x * label, 1) / math.sqrt(features)


class DiscBlock(nn.Module):
    """3x3, FIR and 3x3 of stride 2; beside it, where residual, FIR by 2 and 1x1."""

    features: int
    residual: bool
    clamp: float | None

    @nn.compact
    def __call__(self, x: Float[Array, "B H W I"]) -> Float[Array, "B H//2 W//2 {self.features}"]:
        half = math.sqrt(0.5) if self.residual else 1.0  # the sum of two keeps the variance
        y = Conv(x.shape[-1], clamp=self.clamp, name="conv0")(x)
        y = Conv(self.features, down=True, gain=half, clamp=self.clamp, name="conv1")(y)
        if not self.residual:
            return y
        shortcut = dict(kernel_size=1, down=True, activate=False, gain=half, name="skip")
        return y + Conv(self.features, **shortcut)(x)


def minibatch_std(x: Float[Array, "B H W C"], group: int) -> Float[Array, "B H W C+1"]:
    """x and, as a channel, the standard deviation over a group of images, averaged.

    Karras et al. 2018, arXiv:1710.10196, section 3.
    Args:
        group: images a group, all of them where there are fewer.
    Raises:
        ValueError: the batch does not split into such groups.
    Differs: a group is rows that follow each other, so that it stays on one device; the official
    one is every (B / group)-th row. The rows of a batch come in random order.
    """
    n, h, w, c = x.shape
    size = min(group, n * collectives.size())
    if size < 1 or n % size:
        allowed = ", ".join(str(k) for k in range(1, n + 1) if n % k == 0)
        raise ValueError(
            f"config.d.mbstd_group={group}: {n} images (of one device, of one part of a batch)"
            f" don't split into such groups. Use one of {allowed}, or another config.batch."
        )
    groups = x.reshape(n // size, size, h, w, c)
    std = jnp.sqrt(jnp.var(groups, axis=1) + 1e-8).mean((1, 2, 3))  # [B / size]
    channel = jnp.broadcast_to(std[:, None, None, None, None], (n // size, size, h, w, 1))
    return jnp.concatenate([x, channel.reshape(n, h, w, 1)], 3)


def channels_of(shape: tuple[int, int, int], base: int, most: int, key: str) -> dict[int, int]:
    """{level: channels}, the smallest level first; the start grid is the image, halved until its
    shorter side is 4 to 7.

    Raises:
        ValueError: the sides don't halve so far, or a level would have no channels.
    """
    doublings, (height, width) = 0, shape[:2]
    while min(height, width) > 7 and height % 2 == width % 2 == 0:
        doublings, height, width = doublings + 1, height // 2, width // 2
    if not doublings or not 4 <= min(height, width) <= 7:
        raise ValueError(
            f"images {shape[0]}x{shape[1]}: stylegan2 halves both sides to whole numbers until the"
            " shorter is 4 to 7; 32x32, 64x96 and 80x80 will do."
        )
    levels = {4 << i: min(base // (4 << i), most) for i in range(doublings + 1)}
    if min(levels.values()) < 1:
        raise ValueError(
            f"{key}.channel_base={base}: {shape[0]}x{shape[1]} needs at least {4 << doublings}."
        )
    return levels
