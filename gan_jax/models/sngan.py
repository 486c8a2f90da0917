"""Residual networks of SNGAN and WGAN-GP. Miyato et al. 2018, arXiv:1802.05957; layer for layer StudioGAN's.

With classes G's batch norms are chosen by the label, and D adds the product of the label's embedding with its features
(Miyato & Koyama 2018, arXiv:1802.05637).
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from gan_jax import lookup
from gan_jax.nn import conv
from gan_jax.nn.layers import Conv, Dense, Embed, check_labels
from gan_jax.nn.norms import BatchNorm, ConditionalBatchNorm

G_WIDTHS = {32: (4, 4, 4, 4), 64: (16, 8, 4, 2, 1), 128: (16, 16, 8, 4, 2, 1), 256: (16, 16, 8, 8, 4, 2, 1)}
D_WIDTHS = {32: (2, 2, 2, 2), 64: (1, 2, 4, 8, 16), 128: (1, 2, 4, 8, 16, 16), 256: (1, 2, 4, 8, 8, 16, 16)}
D_HALVED = {32: 2, 64: 4, 128: 5, 256: 6}  # how many of D's blocks halve the size


class Generator(nn.Module):
    """Noise -> picture: dense to the 4x4 grid, residual blocks that double it, batch norm, ReLU, 3x3, tanh.

    Attributes:
        width: the channels that G_WIDTHS multiplies; 64 as published.
    """

    shape: tuple[int, int, int]
    n_classes: int = 0
    width: int = 64
    initializer: str = "orthogonal"

    @nn.compact
    def __call__(self, z: jax.Array, y: jax.Array | None = None, *, train: bool = False) -> jax.Array:
        """z [B, Z], y int32 [B] or None -> f32 [B, H, W, C] in [-1, 1]."""
        check_labels(y, self.n_classes)
        side = level_of(self.shape)
        widths = [self.width * n for n in G_WIDTHS[side]]
        grid = self.shape[0] * 4 // side, self.shape[1] * 4 // side
        x = Dense(grid[0] * grid[1] * widths[0], self.initializer)(z).reshape(-1, *grid, widths[0])
        for channels in widths[1:]:
            x = GenBlock(channels, self.n_classes, self.initializer)(x, y, train=train)
        x = nn.relu(BatchNorm()(x, train=train))
        return jnp.tanh(Conv(self.shape[2], self.initializer)(x)).astype(jnp.float32)


class GenBlock(nn.Module):
    """BN, ReLU, nearest x2, 3x3, BN, ReLU, 3x3; beside it 1x1 and nearest x2 (in this order: the same numbers)."""

    features: int
    n_classes: int
    initializer: str

    @nn.compact
    def __call__(self, x: jax.Array, y: jax.Array | None, *, train: bool) -> jax.Array:
        """x [B, H, W, I] -> [B, 2H, 2W, features]."""

        def norm(h):
            if self.n_classes:
                return ConditionalBatchNorm(self.n_classes, self.initializer)(h, y, train=train)
            return BatchNorm()(h, train=train)

        h = Conv(self.features, self.initializer, resample="up")(nn.relu(norm(x)))
        h = Conv(self.features, self.initializer)(nn.relu(norm(h)))
        return h + conv.upsample(Conv(self.features, self.initializer, kernel_size=1, padding=0)(x))


class Discriminator(nn.Module):
    """Picture -> logit: residual blocks, ReLU, features summed over space, dense.

    Attributes:
        width: the channels that D_WIDTHS multiplies; 64 as published.
        spectral_norm: SNGAN's; WGAN-GP's critic has none.
        norm: "none", or "batch" before every convolution (what StudioGAN's WGAN-GP does; the paper advises against
            it, for the penalty is of one image's slope).
    """

    shape: tuple[int, int, int]
    n_classes: int = 0
    width: int = 64
    spectral_norm: bool = True
    norm: str = "none"
    initializer: str = "orthogonal"

    @nn.compact
    def __call__(self, x: jax.Array, y: jax.Array | None = None, *, train: bool = False) -> jax.Array:
        """x [B, H, W, C] in [-1, 1], y int32 [B] or None -> logits f32 [B]."""
        check_labels(y, self.n_classes)
        lookup.choose({"batch": 1, "none": 0}, self.norm, "config.d.norm")
        side = level_of(self.shape)
        h = x
        for n, factor in enumerate(D_WIDTHS[side]):
            block = DiscBlock(
                self.width * factor,
                n == 0,
                n < D_HALVED[side],
                self.norm == "batch",
                self.spectral_norm,
                self.initializer,
            )
            h = block(h, train=train)
        h = nn.relu(h).astype(jnp.float32).sum((1, 2))  # [B, features]
        logits = Dense(1, self.initializer, self.spectral_norm)(h, train=train)[:, 0]
        if self.n_classes:
            embed = Embed(h.shape[-1], self.initializer, self.spectral_norm, n_classes=self.n_classes)
            logits = logits + jnp.sum(embed(y, train=train) * h, 1)
        return logits


class DiscBlock(nn.Module):
    """ReLU, 3x3, ReLU, 3x3, average pool; beside it pool and 1x1 (in this order: the same numbers, a quarter the work).

    Attributes:
        first: no ReLU before the first convolution: its input is the picture.
        down: pool or not; without it, and where channels stay, the shortcut is the identity.
    """

    features: int
    first: bool
    down: bool
    batch_norm: bool
    spectral_norm: bool
    initializer: str

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        """x [B, H, W, I] -> [B, H / 2, W / 2, features], or [B, H, W, features] where not down."""
        norm = lambda h: BatchNorm()(h, train=train) if self.batch_norm else h
        layer = lambda h, **shape: Conv(self.features, self.initializer, self.spectral_norm, **shape)(h, train=train)
        h = layer(x if self.first else nn.relu(norm(x)))
        h = layer(nn.relu(norm(h)), resample="down" if self.down else "none")
        if not self.down and x.shape[-1] == self.features:
            return h + x
        x = conv.pool(x) if self.down else x
        return h + layer(norm(x), kernel_size=1, padding=0)


def level_of(shape: tuple[int, int, int]) -> int:
    """The shorter side of the image, which must be one of those published.

    Raises:
        ValueError: it is not, or the other side is no multiple of a grid cell.
    """
    side = min(shape[:2])
    cell = side // 4
    if side not in G_WIDTHS or shape[0] % cell or shape[1] % cell:
        raise ValueError(
            f"images {shape[0]}x{shape[1]}: sngan's shorter side is one of {', '.join(map(str, G_WIDTHS))}; "
            "the other a multiple of it / 4."
        )
    return side
