"""White-box cartoonization's networks: a small U-Net and a critic of patches.

Wang & Yu 2020, "Learning to Cartoonize Using White-box Cartoon Representations" (CVPR); layer for
layer the official ones.
"""

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from gan_jax.nn.guided_filter import guided_filter
from gan_jax.nn.layers import Conv
from gan_jax.nn.resample import double_at_corners, pad_to

BOTTOM_RIGHT = ((0, 1), (0, 1))  # zeros of a halving convolution: at the bottom and right edge only


class Generator(nn.Module):
    """Picture -> picture of its size: 7x7, two halvings, residual blocks, two linear doublings,
    each added to its like, 7x7; no norm, leaky ReLU; then the guided filter of radius 1, by the
    picture.

    Attributes:
        width: channels at full size (official: 32).
        blocks: residual ones.
        residual: the picture is added before the filter, and the last layer starts at 0: the
            generator starts as the picture itself and needs no first phase (not in the paper).
        initializer: how kernels start, a name in nn.init.INITIALIZERS.
        dtype: of the activations.
    Differs: the result is cut to [-1, 1] in sampling; the official program cuts it when it is
        saved. Its filter's eps is 5e-3 there, 1e-2 in training; here 1e-2 in both.
    """

    side_multiple = 4

    shape: tuple[int, int, int]
    width: int = 32
    blocks: int = 4
    residual: bool = False
    initializer: str = "xavier"
    dtype: str = "float32"

    @nn.compact
    def __call__(
        self, x: Float[Array, "B H W C"], *, train: bool = False
    ) -> Float[Array, "B H W C"]:
        """In [-1, 1], of any size -> about [-1, 1] in training, in [-1, 1] after."""
        w = self.width
        full = self._layer(pad_to(x, self.side_multiple).astype(self.dtype), w, "first", 7)
        half = self._layer(self._layer(full, w, "down0", stride=2), 2 * w, "half0")
        h = self._layer(self._layer(half, 2 * w, "down1", stride=2), 4 * w, "quarter")
        for n in range(self.blocks):
            change = self._layer(h, 4 * w, f"block{n}_0")
            h = h + Conv(4 * w, self.initializer, name=f"block{n}_1")(change)
        h = self._layer(h, 2 * w, "after")
        h = self._layer(double_at_corners(h) + half, 2 * w, "up1")
        h = self._layer(h, w, "half1")
        h = self._layer(double_at_corners(h) + full, w, "up0")
        start = "zeros" if self.residual else self.initializer
        how = {"kernel_size": 7, "padding": 3, "name": "last"}
        picture = Conv(self.shape[2], start, **how)(h.astype(jnp.float32))
        picture = picture[:, : x.shape[1], : x.shape[2]]
        picture = guided_filter(x + picture if self.residual else picture, x, 1)
        return picture if train else jnp.clip(picture, -1, 1)

    def _layer(self, x, features: int, name: str, kernel_size: int = 3, stride: int = 1):
        padding = BOTTOM_RIGHT if stride == 2 else (kernel_size - 1) // 2
        how = {"kernel_size": kernel_size, "stride": stride, "padding": padding, "name": name}
        return nn.leaky_relu(Conv(features, self.initializer, **how)(x), 0.2)


class Discriminator(nn.Module):
    """Picture -> a logit for each patch: 3x3 convolutions with spectral norm, leaky ReLU, 1x1.

    Attributes:
        width: channels at the first level (official: 32); twice as many a level down.
        levels: halvings.
        initializer: how kernels start, a name in nn.init.INITIALIZERS.
        dtype: of the activations.
    """

    shape: tuple[int, int, int]
    width: int = 32
    levels: int = 3
    initializer: str = "xavier"
    dtype: str = "float32"

    @nn.compact
    def __call__(self, x: Float[Array, "B H W C"], *, train: bool = False) -> Float[Array, "B h w"]:
        """Pictures in [-1, 1], of any number of channels, sides multiples of 2^levels -> logits."""

        def conv(h, features, name, **how):
            return Conv(features, self.initializer, True, name=name, **how)(h, train=train)

        h = x.astype(self.dtype)
        for level in range(self.levels):
            width = self.width << level
            h = nn.leaky_relu(conv(h, width, f"down{level}", stride=2, padding=BOTTOM_RIGHT), 0.2)
            h = nn.leaky_relu(conv(h, width, f"level{level}"), 0.2)
        return conv(h.astype(jnp.float32), 1, "logits", kernel_size=1, padding=0)[..., 0]
