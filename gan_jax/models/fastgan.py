"""FastGAN's generator. Liu et al. 2021, arXiv:2101.04775, in the form of Projected GAN's code
(Sauer et al. 2021, arXiv:2111.01007), layer for layer. It has no critic beside it: it is for games
that bring their own (algorithms/projected.py).

Doubled from 4x4 by convolutions and gated linear units; small maps say how much each channel of
large ones counts (skip-layer excitation), so that gradients have a short way back.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from gan_jax.distributed import collectives
from gan_jax.nn import conv
from gan_jax.nn.layers import Conv, Dense, Embed, Weights, check_labels
from gan_jax.nn.norms import BatchNorm

WIDTHS = {4: 16, 8: 8, 16: 4, 32: 2, 64: 2, 128: 1, 256: 0.5, 512: 0.25, 1024: 0.125}
"""{side of a map: channels, in widths}"""
EXCITES = {64: 4, 128: 8, 256: 16, 512: 32}
"""{side of a map: side of the map that says how much its channels count}"""
EPS = 1e-5


class Generator(nn.Module):
    """Noise -> picture: z scaled to length sqrt(Z), 4x4, doubled by blocks, 3x3 to the picture.

    Attributes:
        width: channels at 128x128 (official: 128, with classes 64); see WIDTHS.
        lite: one convolution a block and no noise; otherwise two, each with noise.
        initializer: how weights start, a name in nn.init.INITIALIZERS.
        dtype: of the activations.
    All convolutions have spectral norm. With classes, scales and shifts of batch norm are dense
    layers of a label's vector [Z].
    Differs: 32x32 and 64x64 too, which end where they are. In sampling each layer's noise is one
    picture, the same for all; the official code draws it anew.
    """

    shape: tuple[int, int, int]
    n_classes: int = 0
    dtype: str = "float32"
    width: int = 128
    lite: bool = False
    initializer: str = "normal"

    @nn.compact
    def __call__(
        self, z: Float[Array, "B Z"], y: Int[Array, " B"] | None = None, *, train: bool = False
    ) -> Float[Array, "B H W C"]:
        """Noise, labels -> pictures meant to be in [-1, 1], but not held there. Noise of the
        layers: rng "noise" in training."""
        check_labels(y, self.n_classes)
        side = check_side(self.shape)
        if self.n_classes:
            start = nn.initializers.normal(1.0)
            y = Embed(z.shape[1], start, n_classes=self.n_classes, name="embed")(y)
        z = z * jax.lax.rsqrt(jnp.mean(jnp.square(z), 1, keepdims=True) + 1e-8)
        x = Start(2 * self.channels(4), self.initializer, True, bias=False, name="start")(
            z.astype(self.dtype), train=train
        )
        maps = {4: gated(Norm(name="norm")(x, None, train=train))}
        for size in sorted(WIDTHS)[1:]:
            if size > side:
                break
            block = Block(self.channels(size), self.lite, self.initializer, name=f"block{size}")
            x = block(maps[size // 2], y, train=train)
            if size in EXCITES:
                excite = Excitation(x.shape[-1], self.initializer, name=f"excite{size}")
                x = x * excite(maps[EXCITES[size]], train=train)
            maps[size] = x
        x = Conv(self.shape[2], self.initializer, True, name="to_image")(x, train=train)
        return x.astype(jnp.float32)

    def channels(self, side: int) -> int:
        return max(1, int(self.width * WIDTHS[side]))


class Start(Weights):
    """A vector -> a map of 4x4: a transposed convolution of one pixel."""

    @nn.compact
    def __call__(
        self, z: Float[Array, "B Z"], *, train: bool = False
    ) -> Float[Array, "B 4 4 {self.features}"]:
        w = self.kernel((4, 4, z.shape[1], self.features), z, train)
        return self.shift(jnp.einsum("bz,hwzo->bhwo", z, w))


class Block(nn.Module):
    """Doubled by nearest neighbors, then one or two 3x3 convolutions, each normalized and gated."""

    features: int
    lite: bool
    initializer: str

    @nn.compact
    def __call__(
        self, x: Float[Array, "B h w I"], y: Float[Array, "B Z"] | None, *, train: bool
    ) -> Float[Array, "B 2*h 2*w {self.features}"]:
        weights = 2 * self.features, self.initializer, True
        shared = None if y is None else Noise(name="noise")
        for n in range(1 if self.lite else 2):
            resample = "none" if n else "up"
            x = Conv(*weights, bias=False, resample=resample, name=f"conv{n}")(x, train=train)
            if not self.lite:  # with classes both convolutions share a strength
                x = (shared or Noise(name=f"noise{n}"))(x, n, train=train)
            x = gated(Norm(self.initializer, name=f"norm{n}")(x, y, train=train))
        return x


class Noise(nn.Module):
    """One picture of noise added to all channels, at a learned strength that starts at 0."""

    @nn.compact
    def __call__(
        self, x: Float[Array, "B H W C"], layer: int, *, train: bool
    ) -> Float[Array, "B H W C"]:
        strength = self.param("strength", nn.initializers.zeros, ())
        size = *x.shape[1:3], 1
        if train:
            rng = self.make_rng("noise")
            noise = collectives.draw(lambda n: jax.random.normal(rng, (n, *size)), x.shape[0])
        else:
            noise = own_noise(layer, size)[None]
        return x + (strength * noise).astype(x.dtype)


class Norm(nn.Module):
    """Batch norm; of a label's vector y: scaled by 1 + a dense layer of it, shifted by another."""

    initializer: str = "normal"

    @nn.compact
    def __call__(
        self, x: Float[Array, "B H W C"], y: Float[Array, "B Z"] | None, *, train: bool
    ) -> Float[Array, "B H W C"]:
        x = BatchNorm(eps=EPS, affine=y is None, name="batch")(x, train=train)
        if y is None:
            return x

        def read(name):
            dense = Dense(x.shape[-1], self.initializer, True, name=name)
            return dense(y, train=train)[:, None, None].astype(x.dtype)

        return x * (1 + read("gain")) + read("shift")


class Excitation(nn.Module):
    """How much each of `features` channels of a large map counts, in (0, 1), by a small map."""

    features: int
    initializer: str

    @nn.compact
    def __call__(
        self, small: Float[Array, "B h w I"], *, train: bool
    ) -> Float[Array, "B 1 1 {self.features}"]:
        while small.shape[1] > 4:
            small = conv.pool(small)
        weights = self.features, self.initializer, True, False
        h = Conv(*weights, kernel_size=4, padding=0, name="conv0")(small, train=train)
        h = Conv(*weights, kernel_size=1, padding=0, name="conv1")(nn.silu(h), train=train)
        return nn.sigmoid(h)


def gated(x: Float[Array, "B H W D"]) -> Float[Array, "B H W D//2"]:
    """A gated linear unit: the first half of the channels times the sigmoid of the second. Dauphin
    et al. 2017, arXiv:1612.08083."""
    x, gate = jnp.split(x, 2, -1)
    return x * nn.sigmoid(gate)


def own_noise(layer: int, shape: tuple[int, int, int]) -> Float[Array, "H W 1"]:
    """A layer's noise in sampling."""
    return jax.random.normal(jax.random.key(layer), shape)


def check_side(shape: tuple[int, int, int]) -> int:
    """The side of square pictures.

    Raises:
        ValueError: no such side, or not square.
    """
    height, width, _ = shape
    if height != width or height not in WIDTHS or height < 32:
        raise ValueError(
            f"images {height}x{width}: this generator draws squares of 32, 64, 128, 256, 512 or"
            " 1024 pixels. Set config.data.resolution."
        )
    return height
