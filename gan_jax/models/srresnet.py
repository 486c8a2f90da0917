"""SRResNet, and SRGAN's critic. Ledig et al. 2017, arXiv:1609.04802, as BasicSR has them: the
generator without batch norm, layer for layer MSRResNet, and the critic of VGG's form."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from gan_jax.models.rrdb import SMALL, START
from gan_jax.nn.layers import Conv, Dense
from gan_jax.nn.norms import BatchNorm
from gan_jax.nn.resample import depth_to_space


class Generator(nn.Module):
    """A picture in [0, 1] -> the same, four times as large, about [0, 1]: residual blocks at the
    picture's own size, pixel shuffle twice; the result is added to the picture enlarged bilinearly.

    Attributes:
        width: channels.
        blocks: residual ones.
        dtype: of the activations.
    """

    scale = 4

    width: int = 64
    blocks: int = 16
    dtype: str = "float32"

    @nn.compact
    def __call__(
        self, x: Float[Array, "B h w C"], *, train: bool = False
    ) -> Float[Array, "B 4*h 4*w C"]:
        b, h, w, c = x.shape
        made = lrelu(Conv(self.width, SMALL, name="first")(x.astype(self.dtype)))
        for k in range(self.blocks):
            inner = nn.relu(Conv(self.width, SMALL, name=f"block{k}_conv0")(made))
            made = made + Conv(self.width, SMALL, name=f"block{k}_conv1")(inner)
        for k in range(2):
            made = Conv(4 * self.width, SMALL, name=f"up{k}")(made)
            made = lrelu(depth_to_space(made, 2))
        made = lrelu(Conv(self.width, SMALL, name="large")(made))
        made = Conv(c, SMALL, name="last")(made).astype(jnp.float32)
        return made + jax.image.resize(x, (b, 4 * h, 4 * w, c), "bilinear")


class Discriminator(nn.Module):
    """Pairs of a 3x3 and a 4x4 convolution of stride 2 down to 4x4, then two dense layers -> a
    logit.

    Attributes:
        width: channels at full size; at most 8 times as many.
        dtype: of the activations.
    """

    width: int = 64
    dtype: str = "float32"

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"], *, train: bool = False) -> Float[Array, " B"]:
        """Sides must be 4 times a power of two."""
        side = x.shape[1]
        if x.shape[2] != side or side < 8 or side & (side - 1):
            raise ValueError(f"a picture of {x.shape[2]}x{side}: it must be 8x8, 16x16, 32x32 ...")
        x, level = x.astype(self.dtype), 0
        while x.shape[1] > 4:
            channels, norm = self.width << min(level, 3), level > 0
            shape = dict(bias=not norm, name=f"conv{level}")
            x = Conv(channels, START, **shape)(x)
            x = lrelu(self.norm(x, f"norm{level}", train) if norm else x, 0.2)
            x = Conv(channels, START, kernel_size=4, stride=2, bias=False, name=f"down{level}")(x)
            x = lrelu(self.norm(x, f"down_norm{level}", train), 0.2)
            level += 1
        x = x.astype(jnp.float32).transpose(0, 3, 1, 2).reshape(x.shape[0], -1)
        x = lrelu(Dense(100, START, name="dense")(x), 0.2)
        return Dense(1, START, name="last")(x)[:, 0]

    def norm(self, x: Float[Array, "B H W C"], name: str, train: bool) -> Float[Array, "B H W C"]:
        return BatchNorm(eps=1e-5, name=name)(x, train=train)


def lrelu(x: Float[Array, "*shape"], slope: float = 0.1) -> Float[Array, "*shape"]:
    return nn.leaky_relu(x, slope)
