"""AnimeGANv2's networks: a small generator of inverted residual blocks and a critic of patches.

Chen et al. 2020, "AnimeGAN"; layer for layer the authors' second version.
"""

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from gan_jax.models.resnet import finished
from gan_jax.nn.layers import Conv
from gan_jax.nn.norms import LayerNorm
from gan_jax.nn.resample import double_at_corners, pad_to, reflect

TOP_LEFT = ((1, 0), (1, 0))  # zeros of a halving convolution: none at the bottom and right edge


class Generator(nn.Module):
    """Picture -> picture of its size: 7x7, two halvings, inverted residual blocks (Sandler et al.
    2018, arXiv:1801.04381), two linear doublings, 7x7, 1x1, tanh; layer norm, leaky ReLU.

    Attributes:
        width: channels at full size (official: 32).
        blocks: inverted residual ones.
        residual, guided, flat: as in models/resnet.py. With `residual` a run needs no first phase:
            its generator starts as the picture itself.
        initializer: how kernels start, a name in nn.init.INITIALIZERS.
        dtype: of the activations.
        sampling_settings: see models.Traits.
    """

    sampling_settings = ("guided", "flat")
    side_multiple = 4

    shape: tuple[int, int, int]
    width: int = 32
    blocks: int = 4
    residual: bool = False
    guided: int = 0
    flat: int = 0
    initializer: str = "he"
    dtype: str = "float32"

    @nn.compact
    def __call__(
        self, x: Float[Array, "B H W C"], *, train: bool = False
    ) -> Float[Array, "B H W C"]:
        """In [-1, 1], of any size -> in [-1, 1]."""
        w = self.width
        h = pad_to(x, self.side_multiple).astype(self.dtype)
        h = self._layer(h, w, "first", kernel_size=7)
        h = self._layer(h, 2 * w, "down0", stride=2)
        h = self._layer(h, 2 * w, "full0")
        h = self._layer(h, 4 * w, "down1", stride=2)
        h = self._layer(h, 4 * w, "full1")
        h = self._layer(h, 4 * w, "before")
        for n in range(self.blocks):
            h = self._inverted(h, 8 * w, f"block{n}")
        h = self._layer(h, 4 * w, "after")
        h = self._layer(double_at_corners(h), 4 * w, "up1")
        h = self._layer(h, 4 * w, "full2")
        h = self._layer(double_at_corners(h), 2 * w, "up0")
        h = self._layer(h, 2 * w, "full3")
        h = self._layer(h, w, "last", kernel_size=7)
        start = "zeros" if self.residual else self.initializer
        how = {"bias": False, "kernel_size": 1, "padding": 0, "name": "colors"}
        h = Conv(self.shape[2], start, **how)(h.astype(jnp.float32))
        picture = jnp.tanh(h[:, : x.shape[1], : x.shape[2]])
        return finished(self, picture, x, train=train)

    def _layer(self, x, features: int, name: str, kernel_size: int = 3, stride: int = 1):
        """A convolution of the picture padded by reflection, at stride 2 at its bottom and right
        edge only; norm; leaky ReLU."""
        n = (kernel_size - 1) // 2
        edge = ((0, 1), (0, 1)) if stride == 2 else ((n, n), (n, n))
        x = jnp.pad(x, ((0, 0), *edge, (0, 0)), "reflect") if n else x
        how = {"bias": False, "kernel_size": kernel_size, "padding": 0}
        x = Conv(features, self.initializer, stride=stride, name=name, **how)(x)
        return nn.leaky_relu(LayerNorm(name=f"{name}_norm")(x), 0.2)

    def _inverted(self, x, features: int, name: str):
        """Wider by two, each channel by itself, narrow again, without a last activation."""
        wide = 2 * x.shape[-1]
        h = reflect(self._layer(x, wide, f"{name}_wide", kernel_size=1), 1)
        h = Conv(wide, self.initializer, padding=0, groups=wide, name=f"{name}_each")(h)
        h = nn.leaky_relu(LayerNorm(name=f"{name}_each_norm")(h), 0.2)
        how = {"bias": False, "kernel_size": 1, "padding": 0, "name": f"{name}_narrow"}
        h = LayerNorm(name=f"{name}_narrow_norm")(Conv(features, self.initializer, **how)(h))
        return x + h if x.shape[-1] == features else h


class Discriminator(nn.Module):
    """Picture -> a logit for each patch: 3x3 convolutions, spectral norm, layer norm, leaky ReLU.

    Attributes:
        width: channels at full size (official: 32); twice as many a halving.
        levels: halvings.
        initializer: how kernels start, a name in nn.init.INITIALIZERS.
        dtype: of the activations.
    Differs: no gradient runs through spectral norm's vectors (Miyato et al. 2018); in the official
        code it does.
    """

    shape: tuple[int, int, int]
    width: int = 32
    levels: int = 2
    initializer: str = "normal"
    dtype: str = "float32"

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"], *, train: bool = False) -> Float[Array, "B h w"]:
        """Pictures in [-1, 1] -> logits."""

        def conv(h, features, name, stride=1):
            padding = TOP_LEFT if stride == 2 else 1
            how = {"spectral_norm": True, "bias": False, "stride": stride, "padding": padding}
            return Conv(features, self.initializer, name=name, **how)(h, train=train)

        def normed(h, name):
            return nn.leaky_relu(LayerNorm(name=f"{name}_norm")(h), 0.2)

        h = nn.leaky_relu(conv(x.astype(self.dtype), self.width, "first"), 0.2)
        for level in range(self.levels):
            width = 2 * self.width << level
            h = nn.leaky_relu(conv(h, width, f"down{level}", stride=2), 0.2)
            h = normed(conv(h, 2 * width, f"level{level}"), f"level{level}")
        h = normed(conv(h, h.shape[-1], "last"), "last")
        return conv(h.astype(jnp.float32), 1, "logits")[..., 0]
