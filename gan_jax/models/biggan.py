"""BigGAN: residual networks with spectral norm and self-attention. Brock et al. 2018,
arXiv:1809.11096, appendix B.

z is cut into one chunk for the first layer and one for each block; a block's batch norms are set by
its chunk and an embedding of the label that all share. D is SAGAN's: it adds the product of another
embedding with its features.
"""

from collections.abc import Callable

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from gan_jax.models import sngan
from gan_jax.models.sngan import DiscBlock, GenBlock, attended_block
from gan_jax.nn.attention import SelfAttention
from gan_jax.nn.layers import Conv, Dense, Embed, check_labels
from gan_jax.nn.norms import BatchNorm
from gan_jax.runtime import registry

# multiples of `width`: G's grid and blocks, D's blocks, by the picture's shorter side
WIDTHS = {
    # BigGAN-PyTorch's
    "biggan": (sngan.G_WIDTHS | {64: (16, 16, 8, 4, 2)}, sngan.D_WIDTHS | {32: (4, 4, 4, 4)}),
    "studiogan": (sngan.G_WIDTHS, sngan.D_WIDTHS),
}


class Generator(nn.Module):
    """Noise -> picture: dense to the 4x4 grid, residual blocks that double it, batch norm, ReLU,
    3x3, tanh.

    Attributes:
        dtype: of the activations.
        initializer: how weights start, a name in nn.init.INITIALIZERS.
        width: the channels that WIDTHS multiplies; 96 as published.
        arch: a name in WIDTHS.
        attention: the shorter side, in pixels, after whose block self-attention stands; 0: none.
        embedding: length of a label's vector beside its chunk of z. Without classes a chunk sets
            its block alone.
        eps: of the batch norms; StudioGAN's is 1e-4.
        remat: recompute each block's activations in the backward pass, to save memory.
    """

    shape: tuple[int, int, int]
    n_classes: int = 0
    dtype: str = "float32"
    width: int = 96
    arch: str = "biggan"
    attention: int = 0
    embedding: int = 128
    eps: float = 1e-5
    initializer: str = "orthogonal"
    remat: bool = False

    @nn.compact
    def __call__(
        self, z: Float[Array, "B Z"], y: Int[Array, " B"] | None = None, *, train: bool = False
    ) -> Float[Array, "B H W C"]:
        """Noise, Z a multiple of the blocks + 1, labels -> pictures in [-1, 1]."""
        check_labels(y, self.n_classes)
        table, _ = registry.choose(WIDTHS, self.arch, "config.g.arch")
        side = sngan.level_of(self.shape, table, "biggan")
        widths = [self.width * n for n in table[side]]
        grid = self.shape[0] * 4 // side, self.shape[1] * 4 // side
        attended = attended_block(self.attention, sngan.g_sizes(widths), "config.g.attention")
        weights, run = (self.initializer, True), runner(self.remat, train)
        first, *chunks = chunks_of(z, len(widths))
        if self.n_classes:
            start = self.initializer
            embed = Embed(self.embedding, start, n_classes=self.n_classes, name="embed")
            label = embed(y)
            chunks = [jnp.concatenate([label, chunk], 1) for chunk in chunks]
        x = Dense(grid[0] * grid[1] * widths[0], *weights)(first.astype(self.dtype), train=train)
        x = x.reshape(-1, *grid, widths[0])
        for n, (channels, chunk) in enumerate(zip(widths[1:], chunks, strict=True)):
            x = run(GenBlock(channels, 0, *weights, self.eps), x, chunk.astype(self.dtype))
            if n == attended:
                x = run(SelfAttention(*weights), x)
        x = nn.relu(BatchNorm(eps=self.eps)(x, train=train))
        return jnp.tanh(Conv(self.shape[2], *weights)(x, train=train).astype(jnp.float32))


class Discriminator(nn.Module):
    """Picture -> logit: residual blocks, ReLU, features summed over space, dense, and the label's
    projection.

    Attributes:
        dtype, width, arch, attention, initializer, remat: as in the generator.
    """

    shape: tuple[int, int, int]
    n_classes: int = 0
    dtype: str = "float32"
    width: int = 96
    arch: str = "biggan"
    attention: int = 0
    initializer: str = "orthogonal"
    remat: bool = False

    @nn.compact
    def __call__(
        self, x: Float[Array, "B H W C"], y: Int[Array, " B"] | None = None, *, train: bool = False
    ) -> Float[Array, " B"]:
        """Pictures in [-1, 1], labels -> logits."""
        check_labels(y, self.n_classes)
        _, table = registry.choose(WIDTHS, self.arch, "config.d.arch")
        side = sngan.level_of(self.shape, table, "biggan")
        attended = attended_block(self.attention, sngan.d_sizes(side), "config.d.attention")
        run = runner(self.remat, train)
        h = x.astype(self.dtype)
        for n, factor in enumerate(table[side]):
            block = DiscBlock(
                self.width * factor,
                first=n == 0,
                down=n < sngan.D_HALVED[side],
                batch_norm=False,
                spectral_norm=True,
                initializer=self.initializer,
            )
            h = run(block, h)
            if n == attended:
                h = run(SelfAttention(self.initializer), h)
        return sngan.projection_head(h, y, self.n_classes, self.initializer, True, train=train)


def runner(remat: bool, train: bool) -> Callable:
    """(block, *args) -> block(*args, train=train), its activations kept or, with remat, computed
    again when needed."""

    def call(block, *args):
        return block(*args, train=train)

    return nn.remat(call) if remat else call


def chunks_of(z: Float[Array, "B Z"], parts: int) -> list[Float[Array, "B Z//{parts}"]]:
    """z cut into `parts` of equal width.

    Raises:
        ValueError: Z is no multiple of `parts`.
    """
    width = z.shape[1]
    if not width or width % parts:
        below = width // parts * parts
        near = " or ".join(str(n) for n in (below, below + parts) if n)
        raise ValueError(
            f"config.game.z_dim={width}: biggan cuts z into {parts} equal chunks at this"
            f" resolution, so it must be a multiple of {parts}. Use {near}."
        )
    return jnp.split(z, parts, 1)
