"""SRVGGNetCompact, Real-ESRGAN's small generator, for clips and for CPUs. Wang et al. 2021,
arXiv:2107.10833, and its repository; layer for layer the official one."""

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from gan_jax.models import rrdb
from gan_jax.nn.layers import Conv
from gan_jax.nn.resample import depth_to_space

Discriminator = rrdb.Discriminator
SLOPE = nn.initializers.constant(0.25)


class Generator(nn.Module):
    """A picture in [0, 1] -> the same, `scale` times as large, about [0, 1]: convolutions at the
    picture's own size, whose result is added to the picture with its pixels repeated.

    Attributes:
        scale: any.
        width: channels.
        layers: convolutions between the first and the last; 16 or 32 as published.
        initializer: how kernels start, a name in nn.init.INITIALIZERS; as published "torch", which
            learns slowly: a signal all but vanishes on its way. With another the last one starts at
            0, and the network as the picture with its pixels repeated.
        dtype: of the activations.
    """

    scale: int = 4
    width: int = 64
    layers: int = 16
    initializer: str = "torch"
    dtype: str = "float32"

    @nn.compact
    def __call__(
        self, x: Float[Array, "B h w C"], *, train: bool = False
    ) -> Float[Array, "B {self.scale}*h {self.scale}*w C"]:
        made = x.astype(self.dtype)
        for k in range(self.layers + 1):
            made = Conv(self.width, self.initializer, name=f"conv{k}")(made)
            slope = self.param(f"slope{k}", SLOPE, self.width).astype(made.dtype)
            made = jnp.where(made > 0, made, made * slope.reshape(1, 1, 1, -1))
        start = "torch" if self.initializer == "torch" else "zeros"
        made = Conv(x.shape[-1] * self.scale**2, start, name="last")(made)
        repeated = jnp.repeat(jnp.repeat(x, self.scale, 1), self.scale, 2)
        return depth_to_space(made, self.scale).astype(jnp.float32) + repeated
