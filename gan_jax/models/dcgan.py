"""Plain convolutional networks. Radford et al. 2016, arXiv:1511.06434.

At 32x32 they are StudioGAN's, layer for layer.
Sizes are small grids doubled: 32x32 starts at 4x4, 48x32 at 6x4, 28x28 at 7x7. With classes G's
batch norms are chosen by the label, and D adds the product of the label's embedding with its
features (Miyato & Koyama 2018, arXiv:1802.05637).
"""

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from gan_jax.nn import init
from gan_jax.nn.flat_colors import Colors, check_colors, in_colors
from gan_jax.nn.layers import Conv, ConvTranspose, Dense, Embed, check_labels
from gan_jax.nn.norms import BatchNorm, ConditionalBatchNorm
from gan_jax.nn.resample import depth_to_space, space_to_depth
from gan_jax.runtime import registry

UP = {
    "transposed": "4x4 transposed convolutions of stride 2",
    "folded": "pixels doubled and 3x3 convolutions, in one operation",
}
BLOCKS = {"double": "a 3x3 and a 4x4 convolution of stride 2 a level", "single": "the 4x4 alone"}


class Generator(nn.Module):
    """Noise -> picture: dense to the start grid, x2 with batch norm and ReLU at each level, 3x3 to
    the picture, tanh; or 3x3 to the shares of a palette.

    StudioGAN's at 32x32 are the defaults: 512-256-128-64.
    Attributes:
        dtype: of the activations.
        initializer: how weights start, a name in nn.init.INITIALIZERS.
        width: channels at the last level; twice as many a level down, at most `widest`.
        up: a name in UP; "transposed" are 4x4 convolutions of stride 2, "folded" doubles the
            pixels and convolves 3x3, in one operation.
        patch: the last convolution gives squares of patch x patch pixels, so that none works at
            full size, where convolutions have few channels, which is slow on a CPU. A power of two;
            the last level is then that many times smaller.
        palette: number of colors that a picture is drawn in, made of the noise and the label
            (Colors, in_colors); 0: any.
    """

    shape: tuple[int, int, int]
    n_classes: int = 0
    dtype: str = "float32"
    width: int = 64
    widest: int = 512
    up: str = "transposed"
    patch: int = 1
    palette: int = 0
    initializer: str = "orthogonal"

    @nn.compact
    def __call__(
        self, z: Float[Array, "B Z"], y: Int[Array, " B"] | None = None, *, train: bool = False
    ) -> Float[Array, "B H W C"]:
        """Noise, labels -> pictures in [-1, 1]."""
        check_labels(y, self.n_classes)
        registry.choose(UP, self.up, "config.g.up")
        levels, grid = start_grid(self.shape)
        colors = check_colors(self.palette, "palette")
        levels -= patch_levels(self.patch, levels, "config.g.patch")
        channels = [min(self.width << level, self.widest) for level in range(levels, -1, -1)]
        x = Dense(grid[0] * grid[1] * channels[0], self.initializer)(z.astype(self.dtype))
        x = x.reshape(-1, *grid, channels[0])
        for c in channels[1:]:
            if self.up == "transposed":
                x = ConvTranspose(c, self.initializer)(x)
            else:
                x = Conv(c, self.initializer, resample="up")(x)
            if self.n_classes:
                x = ConditionalBatchNorm(self.n_classes, self.initializer)(x, y, train=train)
            else:
                x = BatchNorm()(x, train=train)
            x = nn.relu(x)
        start = self.initializer if self.patch == 1 else init.subpixel(self.patch)
        x = Conv((colors or self.shape[2]) * self.patch**2, start)(x)
        x = depth_to_space(x, self.patch).astype(jnp.float32)
        if not colors:
            return jnp.tanh(x)
        made = Colors(colors, self.shape[2], self.n_classes, name="colors")(
            z.astype(jnp.float32), y
        )
        return in_colors(x, made if train else jnp.clip(made, -1, 1), soft=train)


class Discriminator(nn.Module):
    """Picture -> logit: x1/2 at each level down to the 4x4 grid, features summed over space, dense.

    StudioGAN's at 32x32 are the defaults: 64-128-256, then 512.
    Attributes:
        dtype: of the activations.
        initializer: how weights start, a name in nn.init.INITIALIZERS.
        width: channels at the first level; twice as many a level down, at most `widest`.
        block: a name in BLOCKS; "double" has a last 3x3 convolution too.
        norm: "batch" after every convolution, or "none".
        spectral_norm: of every layer.
        slope: of the leaky ReLU; 0 is ReLU.
        patch: squares of patch x patch pixels become channels first, so that no convolution works
            at full size. A power of two; the first level is then that many times smaller, and at
            least one is left.
        patches: after so many halvings one more convolution, 3x3, gives a logit for each place;
            they are left in the collection "patches", which projected.py reads. 0: none.
    """

    shape: tuple[int, int, int]
    n_classes: int = 0
    dtype: str = "float32"
    width: int = 64
    widest: int = 512
    patch: int = 1
    block: str = "double"
    norm: str = "batch"
    spectral_norm: bool = False
    slope: float = 0.0
    initializer: str = "orthogonal"
    patches: int = 0

    @nn.compact
    def __call__(
        self, x: Float[Array, "B H W C"], y: Int[Array, " B"] | None = None, *, train: bool = False
    ) -> Float[Array, " B"]:
        """Pictures in [-1, 1], labels -> logits."""
        check_labels(y, self.n_classes)
        registry.choose(BLOCKS, self.block, "config.d.block")
        registry.choose({"batch": 1, "none": 0}, self.norm, "config.d.norm")
        levels, _ = start_grid(self.shape)
        levels -= patch_levels(self.patch, levels - 1, "config.d.patch")  # one is left to halve
        if not 0 <= self.patches <= levels:
            raise ValueError(
                f"config.d.patches={self.patches}: pictures of this size are halved {levels} times."
            )

        def layer(h, channels, **shape):
            h = Conv(channels, self.initializer, self.spectral_norm, **shape)(h, train=train)
            h = BatchNorm()(h, train=train) if self.norm == "batch" else h
            return nn.leaky_relu(h, self.slope) if self.slope else nn.relu(h)

        h = space_to_depth(x.astype(self.dtype), self.patch)
        for level in range(levels):
            channels = min(self.width << level, self.widest)
            h = layer(h, channels) if self.block == "double" else h
            h = layer(h, channels, kernel_size=4, stride=2)
            if level + 1 == self.patches:
                places = Conv(1, self.initializer, self.spectral_norm, name="patches")
                logits = nn.leaky_relu(places(h, train=train)[..., 0], 0.2).astype(jnp.float32)
                if not self.is_initializing():
                    self.sow("patches", "logits", logits)
        h = layer(h, min(self.width << levels, self.widest)) if self.block == "double" else h
        h = h.astype(jnp.float32).sum((1, 2))  # [B, features]
        logits = Dense(1, self.initializer, self.spectral_norm)(h, train=train)[:, 0]
        if self.n_classes:
            weights = self.initializer, self.spectral_norm
            embed = Embed(h.shape[-1], *weights, n_classes=self.n_classes)
            logits = logits + jnp.sum(embed(y, train=train) * h, 1)
        return logits


def start_grid(shape: tuple[int, int, int]) -> tuple[int, tuple[int, int]]:
    """(levels, (h, w)): how often H and W halve until the shorter one is 4 to 7, and the grid then.

    Raises:
        ValueError: a side does not halve so often.
    """
    height, width, _ = shape
    levels = max(0, (min(height, width) // 4).bit_length() - 1)
    if not levels or height % (1 << levels) or width % (1 << levels):
        raise ValueError(
            f"images {height}x{width}: both sides must halve to whole numbers until the shorter one"
            " is 4 to 7, as 28, 32, 48, 64, 80, 96, 128 ... do. Set config.data.resolution."
        )
    return levels, (height >> levels, width >> levels)


def patch_levels(patch: int, levels: int, setting: str) -> int:
    """How many of `levels` doublings or halvings squares of patch x patch pixels save.

    Raises:
        ValueError: not a power of two, or larger than what `levels` doublings give; names the
            setting.
    """
    sides = [1 << n for n in range(levels + 1)]
    if patch not in sides:
        known = ", ".join(map(str, sides))
        raise ValueError(f"{setting}={patch}: for pictures of this size it must be {known}.")
    return sides.index(patch)
