"""Residual networks of SNGAN, WGAN-GP and SAGAN; layer for layer StudioGAN's.

SNGAN: Miyato et al. 2018, arXiv:1802.05957. With classes G's batch norms are chosen by the label,
and D adds the product of the label's embedding with its features (Miyato & Koyama 2018,
arXiv:1802.05637). SAGAN is the same with spectral norm in G too, and self-attention in both: Zhang
et al. 2018, arXiv:1805.08318.
"""

from collections.abc import Mapping, Sequence

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from gan_jax.nn import conv
from gan_jax.nn.attention import SelfAttention
from gan_jax.nn.layers import Conv, Dense, Embed, check_labels
from gan_jax.nn.norms import BatchNorm, ConditionalBatchNorm
from gan_jax.runtime import registry

G_WIDTHS = {
    32: (4, 4, 4, 4),
    64: (16, 8, 4, 2, 1),
    128: (16, 16, 8, 4, 2, 1),
    256: (16, 16, 8, 8, 4, 2, 1),
}
D_WIDTHS = {
    32: (2, 2, 2, 2),
    64: (1, 2, 4, 8, 16),
    128: (1, 2, 4, 8, 16, 16),
    256: (1, 2, 4, 8, 8, 16, 16),
}
D_HALVED = {32: 2, 64: 4, 128: 5, 256: 6}  # how many of D's blocks halve the size


class Generator(nn.Module):
    """Noise -> picture: dense to the 4x4 grid, residual blocks that double it, batch norm, ReLU,
    3x3, tanh.

    Attributes:
        dtype: of the activations.
        initializer: how weights start, a name in nn.init.INITIALIZERS.
        width: the channels that G_WIDTHS multiplies; 64 as published.
        spectral_norm: SAGAN's, in all convolutions and the dense layer. Differs: StudioGAN has it
            in the labels' tables too, which SAGAN's own code has not.
        attention: the shorter side, in pixels, after whose block self-attention stands; 0: none.
    """

    shape: tuple[int, int, int]
    n_classes: int = 0
    dtype: str = "float32"
    width: int = 64
    spectral_norm: bool = False
    attention: int = 0
    initializer: str = "orthogonal"

    @nn.compact
    def __call__(
        self, z: Float[Array, "B Z"], y: Int[Array, " B"] | None = None, *, train: bool = False
    ) -> Float[Array, "B H W C"]:
        """Noise, labels -> pictures in [-1, 1]."""
        check_labels(y, self.n_classes)
        side = level_of(self.shape, G_WIDTHS, "sngan")
        widths = [self.width * n for n in G_WIDTHS[side]]
        grid = self.shape[0] * 4 // side, self.shape[1] * 4 // side
        attended = attended_block(self.attention, g_sizes(widths), "config.g.attention")
        weights = self.initializer, self.spectral_norm
        x = Dense(grid[0] * grid[1] * widths[0], *weights)(z.astype(self.dtype), train=train)
        x = x.reshape(-1, *grid, widths[0])
        for n, channels in enumerate(widths[1:]):
            x = GenBlock(channels, self.n_classes, *weights)(x, y, train=train)
            if n == attended:
                x = SelfAttention(*weights)(x, train=train)
        x = nn.relu(BatchNorm()(x, train=train))
        return jnp.tanh(Conv(self.shape[2], *weights)(x, train=train).astype(jnp.float32))


class GenBlock(nn.Module):
    """BN, ReLU, nearest x2, 3x3, BN, ReLU, 3x3; beside it 1x1 and nearest x2 (in this order: the
    same numbers).

    Attributes:
        n_classes: labels that choose the batch norms; 0: they are set by a vector, or by nothing.
        spectral_norm: of the convolutions, and of the batch norms' kernels where a vector sets
            them.
        eps: of the batch norms.
    """

    features: int
    n_classes: int
    initializer: str
    spectral_norm: bool = False
    eps: float = 1e-4

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "B H W I"],
        y: Int[Array, " B"] | Float[Array, "B K"] | None,
        *,
        train: bool,
    ) -> Float[Array, "B 2*H 2*W {self.features}"]:
        """y: labels or, with n_classes=0, a vector for each picture, or None."""

        def norm(h):
            if y is None:
                return BatchNorm(eps=self.eps)(h, train=train)
            divided = self.spectral_norm and not self.n_classes
            settings = self.n_classes, self.initializer, divided, self.eps
            return ConditionalBatchNorm(*settings)(h, y, train=train)

        def layer(h, **shape):
            weights = self.initializer, self.spectral_norm
            return Conv(self.features, *weights, **shape)(h, train=train)

        h = layer(nn.relu(norm(x)), resample="up")
        h = layer(nn.relu(norm(h)))
        return h + conv.upsample(layer(x, kernel_size=1, padding=0))


class Discriminator(nn.Module):
    """Picture -> logit: residual blocks, ReLU, features summed over space, dense.

    Attributes:
        dtype: of the activations.
        initializer: how weights start, a name in nn.init.INITIALIZERS.
        width: the channels that D_WIDTHS multiplies; 64 as published.
        spectral_norm: SNGAN's; WGAN-GP's critic has none.
        norm: "none", or "batch" before every convolution (what StudioGAN's WGAN-GP does; the paper
            advises against it, for the penalty is of one image's slope).
        attention: the shorter side, in pixels, after whose block self-attention stands; 0: none.
    """

    shape: tuple[int, int, int]
    n_classes: int = 0
    dtype: str = "float32"
    width: int = 64
    spectral_norm: bool = True
    norm: str = "none"
    attention: int = 0
    initializer: str = "orthogonal"

    @nn.compact
    def __call__(
        self, x: Float[Array, "B H W C"], y: Int[Array, " B"] | None = None, *, train: bool = False
    ) -> Float[Array, " B"]:
        """Pictures in [-1, 1], labels -> logits."""
        check_labels(y, self.n_classes)
        registry.choose({"batch": 1, "none": 0}, self.norm, "config.d.norm")
        side = level_of(self.shape, D_WIDTHS, "sngan")
        attended = attended_block(self.attention, d_sizes(side), "config.d.attention")
        weights = self.initializer, self.spectral_norm
        h = x.astype(self.dtype)
        for n, factor in enumerate(D_WIDTHS[side]):
            first, down = n == 0, n < D_HALVED[side]
            h = DiscBlock(self.width * factor, first, down, self.norm == "batch", *weights[::-1])(
                h, train=train
            )
            if n == attended:
                h = SelfAttention(*weights)(h, train=train)
        return projection_head(h, y, self.n_classes, *weights, train=train)


class DiscBlock(nn.Module):
    """ReLU, 3x3, ReLU, 3x3, average pool; beside it pool and 1x1 (in this order: the same numbers,
    a quarter the work).

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
    def __call__(
        self, x: Float[Array, "B H W I"], *, train: bool
    ) -> Float[Array, "B h w {self.features}"]:
        def norm(h):
            return BatchNorm()(h, train=train) if self.batch_norm else h

        def layer(h, **shape):
            weights = self.initializer, self.spectral_norm
            return Conv(self.features, *weights, **shape)(h, train=train)

        h = layer(x if self.first else nn.relu(norm(x)))
        h = layer(nn.relu(norm(h)), resample="down" if self.down else "none")
        if not self.down and x.shape[-1] == self.features:
            return h + x
        x = conv.pool(x) if self.down else x
        return h + layer(norm(x), kernel_size=1, padding=0)


def projection_head(
    h: Float[Array, "B h w I"],
    y: Int[Array, " B"] | None,
    n_classes: int,
    initializer: str,
    spectral_norm: bool,
    *,
    train: bool,
) -> Float[Array, " B"]:
    """D's end: ReLU, sum over space, dense, and the label's projection (Miyato & Koyama 2018).

    To be called in a module's compact method.
    """
    h = nn.relu(h).astype(jnp.float32).sum((1, 2))  # [B, I]
    logits = Dense(1, initializer, spectral_norm)(h, train=train)[:, 0]
    if n_classes:
        embed = Embed(h.shape[-1], initializer, spectral_norm, n_classes=n_classes)
        logits = logits + jnp.sum(embed(y, train=train) * h, 1)
    return logits


def level_of(shape: tuple[int, int, int], sides: Mapping[int, object], model: str) -> int:
    """The shorter side of the image, which must be one of `sides`.

    Raises:
        ValueError: it is not, or the other side is no multiple of a grid cell.
    """
    side = min(shape[:2])
    cell = side // 4
    if side not in sides or shape[0] % cell or shape[1] % cell:
        raise ValueError(
            f"images {shape[0]}x{shape[1]}: {model}'s shorter side is one of"
            f" {', '.join(map(str, sides))}; the other a multiple of it / 4. Set"
            " config.data.resolution."
        )
    return side


def g_sizes(widths: Sequence[int]) -> list[int]:
    """The shorter side after each of G's blocks."""
    return [8 << n for n in range(len(widths) - 1)]


def d_sizes(side: int) -> list[int]:
    """The shorter side after each of D's blocks."""
    return [side >> min(n + 1, D_HALVED[side]) for n in range(len(D_WIDTHS[side]))]


def attended_block(attention: int, sizes: Sequence[int], key: str) -> int | None:
    """The first block after which the shorter side is `attention`; None where that is 0.

    Raises:
        ValueError: no block gives this size.
    """
    if not attention:
        return None
    if attention not in sizes:
        known = ", ".join(map(str, sorted(set(sizes))))
        raise ValueError(
            f"{key}={attention}: no block's output is so large. Use one of {known}, or 0 for no"
            " attention."
        )
    return sizes.index(attention)
