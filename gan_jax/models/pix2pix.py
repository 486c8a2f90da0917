"""pix2pix's networks: the U-Net and the patch critic of both pictures. Isola et al. 2017,
arXiv:1611.07004, appendix."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from gan_jax.models import translator
from gan_jax.nn.layers import Conv, ConvTranspose, Dropout


class Generator(nn.Module):
    """Picture -> picture: halved by 4x4 convolutions to one pixel and doubled again, each level
    joined to its like.

    Attributes:
        width: channels at the first level; twice as many a level down, at most 8 times.
        levels: halvings (official: 8 for 256 pixels); sizes are padded to 2^levels.
        norm: "batch", or "instance": what it is at one picture a batch, in training and after.
        dropout: share of activations dropped in the three innermost doublings of full width, while
            training.
        palette: colours that the result is drawn in (translator.Palette); 0, as in the paper: any.
        initializer: how weights start, a name in nn.init.INITIALIZERS.
    Differs: dropout is off when pictures are drawn; the official code leaves it on.
    """

    shape: tuple[int, int, int]
    width: int = 64
    levels: int = 8
    norm: str = "batch"
    dropout: float = 0.5
    palette: int = 0
    initializer: str = "normal"
    dtype: str = "float32"

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
        """x f32 [B, H, W, C] in [-1, 1] -> f32 [B, H, W, C] in [-1, 1]; any H and W. Noise: rng
        "dropout" in training."""
        size = x.shape[1:3]
        x = translator.pad_to(x, 1 << self.levels).astype(self.dtype)
        widths = [self.width << min(level, 3) for level in range(self.levels)]
        norm = lambda h: translator.normalise(
            h, self.norm, "config.g.norm", affine=True, train=train
        )
        kept, bias = (
            [],
            self.norm != "batch",
        )  # batch norm takes it out again; where none follows, as the official code
        for level, width in enumerate(widths):
            h = nn.leaky_relu(x, 0.2) if level else x
            x = Conv(
                width, self.initializer, bias=bias, kernel_size=4, stride=2, name=f"down{level}"
            )(h)
            x = norm(x) if 0 < level < self.levels - 1 else x
            kept.append(x)
        for level in reversed(range(self.levels)):
            width = (
                widths[level - 1]
                if level
                else self.shape[2] + translator.n_colors(self.palette, "palette")
            )
            x = ConvTranspose(width, self.initializer, bias=bias or not level, name=f"up{level}")(
                nn.relu(x)
            )
            if not level:
                x, logits = jnp.split(
                    x[:, : size[0], : size[1]].astype(jnp.float32), [self.shape[2]], -1
                )
                drawing = jnp.tanh(x)
                return (
                    translator.Palette(name="palette")(drawing, logits, train=train)
                    if self.palette
                    else drawing
                )
            x = norm(x)
            if 4 <= level < self.levels - 1:
                x = Dropout(self.dropout)(x, train=train)
            x = jnp.concatenate([kept[level - 1], x], -1)


class Discriminator(translator.PatchDiscriminator):
    """Of input and result joined by channel, with batch norm."""

    norm: str = "batch"
