"""RRDBNet, the generator of ESRGAN and Real-ESRGAN. Wang et al. 2018, arXiv:1809.00219; Wang et al.
2021, arXiv:2107.10833. Layer for layer BasicSR's."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from gan_jax.nn.layers import Conv
from gan_jax.nn.resample import space_to_depth

SMALL = nn.initializers.variance_scaling(0.02, "fan_in", "normal")  # a tenth of Kaiming's
START = "torch"
SHARE = 0.2  # of a block's result that is added to its input
SCALES = (1, 2, 4)


class Generator(nn.Module):
    """A picture in [0, 1] -> the same, `scale` times as large, about [0, 1].

    Dense residual blocks at the picture's own size, then twice the size twice. For scales 2 and 1
    squares of 2x2 and 4x4 pixels become channels first.

    Attributes:
        scale: 1, 2 or 4.
        width: channels.
        blocks: of three dense blocks each; 23 as published, 6 for drawings.
        growth: channels that each layer of a dense block adds.
        dtype: of the activations.
    """

    scale: int = 4
    width: int = 64
    blocks: int = 23
    growth: int = 32
    dtype: str = "float32"

    @nn.compact
    def __call__(
        self, x: Float[Array, "B h w C"], *, train: bool = False
    ) -> Float[Array, "B {self.scale}*h {self.scale}*w C"]:
        """Raises ValueError: sides that are no multiples of 4 / scale, or another scale."""
        if self.scale not in SCALES:
            raise ValueError(f"config.g.scale={self.scale}: it must be 1, 2 or 4.")
        channels, patch = x.shape[-1], 4 // self.scale
        if x.shape[1] % patch or x.shape[2] % patch:
            raise ValueError(
                f"a picture of {x.shape[2]}x{x.shape[1]}: sides must be multiples of {patch}."
            )
        x = space_to_depth(x.astype(self.dtype), patch)
        first = Conv(self.width, START, name="first")(x)
        x = first
        for k in range(self.blocks):
            x = Block(self.width, self.growth, name=f"block{k}")(x)
        x = first + Conv(self.width, START, name="body")(x)
        for k in range(2):
            x = lrelu(Conv(self.width, START, resample="up", name=f"up{k}")(x))
        x = lrelu(Conv(self.width, START, name="large")(x))
        return Conv(channels, START, name="last")(x).astype(jnp.float32)


class Block(nn.Module):
    """Three dense blocks, whose result is added to the input by SHARE: RRDB."""

    width: int
    growth: int

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B H W C"]:
        made = x
        for k in range(3):
            made = DenseBlock(self.width, self.growth, name=f"dense{k}")(made)
        return x + SHARE * made


class DenseBlock(nn.Module):
    """Four convolutions, each of all before it, and a fifth, added to the input by SHARE."""

    width: int
    growth: int

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"]) -> Float[Array, "B H W C"]:
        maps = [x]
        for k in range(4):
            found = Conv(self.growth, SMALL, name=f"conv{k}")(jnp.concatenate(maps, -1))
            maps.append(lrelu(found))
        return x + SHARE * Conv(self.width, SMALL, name="conv4")(jnp.concatenate(maps, -1))


class Discriminator(nn.Module):
    """Real-ESRGAN's: a U-Net with spectral norm; a logit for each pixel.

    Attributes:
        width: channels at full size.
        dtype: of the activations.
    """

    width: int = 64
    dtype: str = "float32"

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"], *, train: bool = False) -> Float[Array, "B H W"]:
        """Sides must be multiples of 8."""
        if x.shape[1] % 8 or x.shape[2] % 8:
            raise ValueError(
                f"a picture of {x.shape[2]}x{x.shape[1]}: sides must be multiples of 8."
            )
        plain = dict(spectral_norm=True, bias=False)

        def conv(x, channels, name, **shape):
            return lrelu(Conv(channels, START, name=name, **plain, **shape)(x, train=train))

        maps = [lrelu(Conv(self.width, START, name="first")(x.astype(self.dtype)))]
        for k in range(1, 4):
            maps.append(conv(maps[-1], self.width << k, f"down{k}", kernel_size=4, stride=2))
        x = maps.pop()
        for k in reversed(range(3)):
            b, h, w, c = x.shape
            x = jax.image.resize(x, (b, 2 * h, 2 * w, c), "bilinear")
            x = conv(x, self.width << k, f"up{k}") + maps.pop()
        x = conv(conv(x, self.width, "large0"), self.width, "large1")
        return Conv(1, START, name="last")(x.astype(jnp.float32))[..., 0]


def lrelu(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Slope 0.2 below 0."""
    return nn.leaky_relu(x, 0.2)
