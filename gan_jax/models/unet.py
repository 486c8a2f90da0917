"""The U-Net from picture to picture. Isola et al. 2017, arXiv:1611.07004, appendix."""

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from gan_jax.nn.flat_colors import Palette, check_colors
from gan_jax.nn.layers import Conv, ConvTranspose, Dropout
from gan_jax.nn.norms import normalize
from gan_jax.nn.resample import pad_to


class Generator(nn.Module):
    """Picture -> picture of its size: halved by 4x4 convolutions to one pixel and doubled again,
    each level joined to its like.

    Attributes:
        width: channels at the first level; twice as many a level down, at most 8 times.
        levels: halvings (official: 8 for 256 pixels); sizes are padded to 2^levels.
        norm: "batch", or "instance": what it is at one picture a batch, in training and after.
        dropout: share of activations dropped in the three innermost doublings of full width, while
            training.
        palette: number of colors that the result is drawn in (Palette); 0, as in the paper: any.
        initializer: how weights start, a name in nn.init.INITIALIZERS.
        dtype: of the activations.
    Differs: dropout is off in sampling; the official code leaves it on.
    """

    shape: tuple[int, int, int]
    width: int = 64
    levels: int = 8
    norm: str = "batch"
    dropout: float = 0.5
    palette: int = 0
    initializer: str = "normal"
    dtype: str = "float32"

    @property
    def side_multiple(self) -> int:
        return 1 << self.levels

    @nn.compact
    def __call__(
        self, x: Float[Array, "B H W C"], *, train: bool = False
    ) -> Float[Array, "B H W C"]:
        """In [-1, 1], of any size -> in [-1, 1]. Noise: rng "dropout" in training."""
        height, width = x.shape[1:3]
        widths = [self.width << min(level, 3) for level in range(self.levels)]
        bias = self.norm != "batch"  # which would take it out; first and last layer have one anyway

        def norm(h):
            return normalize(h, self.norm, "config.g.norm", affine=True, train=train)

        def down(h, level):
            how = {"bias": bias, "kernel_size": 4, "stride": 2, "name": f"down{level}"}
            return Conv(widths[level], self.initializer, **how)(h)

        def up(h, level, features):
            name, shift = f"up{level}", bias or not level
            return ConvTranspose(features, self.initializer, bias=shift, name=name)(nn.relu(h))

        kept = [down(pad_to(x, self.side_multiple).astype(self.dtype), 0)]
        for level in range(1, self.levels):
            h = down(nn.leaky_relu(kept[-1], 0.2), level)
            kept.append(norm(h) if level < self.levels - 1 else h)
        h = kept.pop()
        for level in reversed(range(1, self.levels)):
            h = norm(up(h, level, widths[level - 1]))
            if 4 <= level < self.levels - 1:
                h = Dropout(self.dropout)(h, train=train)
            h = jnp.concatenate([kept.pop(), h], -1)
        colors = check_colors(self.palette, "palette")
        h = up(h, 0, self.shape[2] + colors)[:, :height, :width].astype(jnp.float32)
        drawing, logits = jnp.split(h, [self.shape[2]], -1)
        if not colors:
            return jnp.tanh(drawing)
        return Palette(name="palette")(jnp.tanh(drawing), logits, train=train)
