"""MI-GAN: a small network of separable convolutions that fills holes, and its critic. Sargsyan et
al. 2023, "MI-GAN: A Simple Baseline for Image Inpainting on Mobile Devices" (ICCV). Layer for layer
the official networks.

Levels are StyleGAN2's: 4 is the smallest grid, of 4 to 7 pixels, 8 has twice its sides, and so on.
"""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from gan_jax.distributed import collectives
from gan_jax.models.stylegan2 import channels_of, minibatch_std
from gan_jax.nn import conv
from gan_jax.nn.equalized import FIR, Dense, leaky_relu
from gan_jax.nn.resample import pad_to

CLAMP = 256.0  # bound on activations
SPREAD = 1 / 3  # standard deviation of kernels at the start


class Generator(nn.Module):
    """A picture with holes -> whole ones of all levels. An encoder halves the size and a decoder
    doubles it again, each level of which is added to the encoder's. Every level of the decoder
    draws a picture too, added to the one below, enlarged.

    Attributes:
        shape: H, W, C of the pictures it is trained on; the shorter side, halved until it is 4 to
            7, gives the number of levels.
        channel_base, channel_max: level l has min(channel_base // l, channel_max) channels.
        dtype: of the activations; pictures are in float32.
        side_multiple: see models.Traits.
    Pictures of other sizes are padded and seen as they are, a layer's own noise is repeated over
    larger ones; the official program, and `gan-jax inpaint`, resize them to the size it was trained
    at (fixed_size).
    """

    shape: tuple[int, int, int]
    channel_base: int = 32768
    channel_max: int = 512
    dtype: str = "float32"

    @property
    def side_multiple(self) -> int:
        return max(self._levels()) // 4

    @property
    def fixed_size(self) -> bool:
        return True

    def _levels(self) -> dict[int, int]:
        return channels_of(self.shape, self.channel_base, self.channel_max, "config.g")

    @nn.compact
    def __call__(
        self, x: Float[Array, "B H W 4"], *, train: bool = False
    ) -> tuple[Float[Array, "B _ _ 3"], ...]:
        """x: the colors in [-1, 1], 0 in holes, and 1 in holes, 0 elsewhere, of any size -> the
        pictures, unbounded, about [-1, 1] once trained, the smallest first. The last has x's size,
        the others are those of x padded to multiples of side_multiple.

        Noise is fresh in training (rng "noise"), otherwise each layer's own.
        """
        levels, (height, width) = self._levels(), x.shape[1:3]
        x = centered(pad_to(x, self.side_multiple)).astype(self.dtype)
        x = Conv(levels[max(levels)], spread=1.0, name="from_rgb")(x)
        x, kept = leaky_relu(x, clamp=CLAMP), {}
        for level in reversed(levels):
            x = kept[level] = Separable(levels[level], name=f"encoder{level}_0")(x)
            below, how = (level // 2, "down") if level > 4 else (4, "none")
            x = Separable(levels[below], how, name=f"encoder{level}_1")(x)
        pictures = []
        for level, channels in levels.items():
            how, noise = ("up", True) if level > 4 else ("none", False)
            x = Separable(channels, how, noise, name=f"decoder{level}_0")(x, train=train)
            x = x + kept[level]
            x = Separable(channels, "none", noise, name=f"decoder{level}_1")(x, train=train)
            picture = Conv(3, name=f"to_rgb{level}")(x).astype(jnp.float32)
            if pictures:
                picture += conv.resample(pictures[-1], FIR, up=2, padding=(2, 1), gain=4)
            pictures.append(picture)
        return *pictures[:-1], pictures[-1][:, :height, :width]


class Conv(nn.Module):
    """A convolution that keeps the size, each of whose filters is scaled to length 1.

    Attributes:
        kernel_size: taps in each direction, an odd number.
        depthwise: each channel is seen by its own filter; then there are as many as before.
        spread: standard deviation of the kernel at the start. The length of a filter makes no
            difference but to how fast Adam turns it.
    Differs: in training the official kernel is the sum of nine tensors that start at N(0, 1),
        divided by 3. All nine have the same gradient, so that Adam moves them alike and the sum at
        three times its rate; after scaling, one tensor that starts at a third does the same, but
        for Adam's eps.
    """

    features: int
    kernel_size: int = 1
    depthwise: bool = False
    bias: bool = True
    spread: float = SPREAD

    @nn.compact
    def __call__(self, x: Float[Array, "B H W I"]) -> Float[Array, "B H W {self.features}"]:
        k, inputs = self.kernel_size, x.shape[-1]
        groups = inputs if self.depthwise else 1
        shape = k, k, inputs // groups, self.features
        w = self.param("kernel", nn.initializers.normal(self.spread), shape)
        w = w * lax.rsqrt(jnp.sum(jnp.square(w), (0, 1, 2), keepdims=True) + 1e-8)
        x = conv.conv(x, w.astype(x.dtype), padding=k // 2, groups=groups)
        if not self.bias:
            return x
        bias = self.param("bias", nn.initializers.zeros, self.features)
        return x + bias.astype(x.dtype).reshape(1, 1, 1, -1)


class Separable(nn.Module):
    """A 3x3 convolution of each channel and a 1x1 convolution, each followed by a leaky ReLU; what
    changes the size is an FIR filter beside the second.

    Attributes:
        resample: "none"; "up" doubles the size, "down" halves it.
        noise: whether noise is added before the last leaky ReLU.
        gain: multiplies the result of both.
    """

    features: int
    resample: str = "none"
    noise: bool = False
    gain: float = 1.0

    @nn.compact
    def __call__(
        self, x: Float[Array, "B H W I"], *, train: bool = False
    ) -> Float[Array, "B h w {self.features}"]:
        x = Conv(x.shape[-1], kernel_size=3, depthwise=True, name="depthwise")(x)
        x = leaky_relu(x, self.gain, CLAMP)
        if self.resample == "down":
            x = conv.resample(x, FIR, down=2, padding=(1, 1))
        x = Conv(self.features, bias=False, name="pointwise")(x)
        if self.resample == "up":
            x = conv.resample(x, FIR, up=2, padding=(2, 1), gain=4)
        if self.noise:
            x = Noise(name="noise")(x, train=train)
        return leaky_relu(x, self.gain, CLAMP)


class Noise(nn.Module):
    """One picture of noise added to all channels, at a learned strength that starts at 0: fresh in
    training (rng "noise"), otherwise the layer's own (collection "noise"), repeated where pictures
    are larger than when it was made."""

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"], *, train: bool) -> Float[Array, "B H W C"]:
        n, *size, _ = x.shape

        def own_noise():
            return jax.random.normal(self.make_rng("params"), size)

        own = self.variable("noise", "const", own_noise)
        strength = self.param("strength", nn.initializers.zeros, ())
        if train:
            rng = self.make_rng("noise")
            noise = collectives.draw(lambda n: jax.random.normal(rng, (n, *size, 1)), n)
        else:
            times = [-(-now // made) for now, made in zip(size, own.value.shape, strict=True)]
            noise = jnp.tile(own.value, times)[: size[0], : size[1]].reshape(1, *size, 1)
        return x + (strength * noise).astype(x.dtype)


class Discriminator(nn.Module):
    """Picture and its holes -> logit: StyleGAN2's residual critic of separable convolutions, which
    halve the size, the deviation of its batch as a channel, and two dense layers.

    Attributes:
        mbstd_group: pictures whose standard deviation is taken together (minibatch_std). 1: none.
        shape, channel_base, channel_max, dtype: as in Generator.
    """

    shape: tuple[int, int, int]
    channel_base: int = 32768
    channel_max: int = 512
    mbstd_group: int = 4
    dtype: str = "float32"

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"], *, train: bool = False) -> Float[Array, " B"]:
        """x: the colors in [-1, 1], and 1 in holes, 0 elsewhere -> logits."""
        levels = channels_of(self.shape, self.channel_base, self.channel_max, "config.d")
        *smaller, (_, widest) = levels.items()
        x = Conv(widest, name="from_rgb")(centered(x).astype(self.dtype))
        x = leaky_relu(x, clamp=CLAMP)
        for level, channels in reversed(smaller):
            x = Halving(channels, name=f"b{2 * level}")(x)
        features, x = x.shape[-1], minibatch_std(x.astype(jnp.float32), self.mbstd_group)
        x = Separable(features, name="last")(x)
        x = Dense(features, name="fc")(x.reshape(x.shape[0], -1))
        return Dense(1, name="out")(leaky_relu(x, clamp=CLAMP))[:, 0]


class Halving(nn.Module):
    """Two separable convolutions and, beside them, a 1x1 convolution; the size is halved."""

    features: int

    @nn.compact
    def __call__(self, x: Float[Array, "B H W I"]) -> Float[Array, "B H//2 W//2 {self.features}"]:
        half = math.sqrt(0.5)  # in the second convolution twice, as in the official program
        beside = conv.resample(x, FIR, down=2, padding=(1, 1))
        beside = half * Conv(self.features, bias=False, name="skip")(beside)
        x = Separable(x.shape[-1], name="conv0")(x)
        return beside + Separable(self.features, "down", gain=half, name="conv1")(x)


def centered(x: Float[Array, "B H W C"]) -> Float[Array, "B H W C"]:
    """Colors and holes as the official networks see them: first 0.5 where a pixel is known and -0.5
    where it is not, then the colors."""
    return jnp.concatenate([0.5 - x[..., 3:], x[..., :3]], -1)
