"""The patch critic. Isola et al. 2017, arXiv:1611.07004, section 3.2."""

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from gan_jax.nn.layers import Conv
from gan_jax.nn.norms import normalize
from gan_jax.nn.resample import halve


class Discriminator(nn.Module):
    """Picture -> a logit for each overlapping patch of 70 pixels: 4x4 convolutions, leaky ReLU.

    Attributes:
        width: channels at the first level; twice as many a level down, at most 8 times.
        levels: halvings (official: 3).
        norm: "batch" (pix2pix), "instance" (CycleGAN, CUT) or "none", not after the first and the
            last layer.
        blur: halve by FIR filters, not by strides (CUT).
        initializer: how weights start, a name in nn.init.INITIALIZERS.
        dtype: of the activations.
    """

    shape: tuple[int, int, int]
    width: int = 64
    levels: int = 3
    norm: str = "instance"
    blur: bool = False
    initializer: str = "normal"
    dtype: str = "float32"

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"], *, train: bool = False) -> Float[Array, "B h w"]:
        """Pictures in [-1, 1], of any number of channels -> logits."""
        x = x.astype(self.dtype)
        for level in range(self.levels + 1):
            down = level < self.levels
            x = Conv(
                min(self.width << level, 8 * self.width),
                self.initializer,
                bias=not level or self.norm != "batch",
                kernel_size=4,
                stride=2 if down and not self.blur else 1,
                name=f"level{level}",
            )(x)
            if level and self.norm != "none":
                x = normalize(x, self.norm, "config.d.norm", affine=False, train=train)
            x = nn.leaky_relu(x, 0.2)
            x = halve(x) if down and self.blur else x
        return Conv(1, self.initializer, kernel_size=4, name="last")(x.astype(jnp.float32))[..., 0]
