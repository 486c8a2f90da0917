"""Dense networks, as in the first GAN. Goodfellow et al. 2014, arXiv:1406.2661."""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp

from gan_jax.nn.layers import Dense, Embed, check_labels


class Generator(nn.Module):
    """Noise -> picture through ReLU layers, tanh at the end. With classes, the label's embedding is
    joined to z.

    Attributes:
        dtype: of the activations. initializer: how weights start, a name in nn.init.INITIALIZERS.
        widths: of the hidden layers. embedding: numbers a label becomes.
    Differs: tanh to [-1, 1] for the paper's sigmoid to [0, 1], the same curve; z is the game's
    (normal, not uniform).
    """

    shape: tuple[int, int, int]
    n_classes: int = 0
    dtype: str = "float32"
    widths: tuple = (256, 512, 1024)
    embedding: int = 32
    initializer: str = "xavier"

    @nn.compact
    def __call__(
        self, z: jax.Array, y: jax.Array | None = None, *, train: bool = False
    ) -> jax.Array:
        """z [B, Z], y int32 [B] or None -> f32 [B, H, W, C] in [-1, 1]."""
        check_labels(y, self.n_classes)
        x = join(z, y, self.n_classes, self.embedding, self.initializer).astype(self.dtype)
        for width in self.widths:
            x = nn.relu(Dense(width, self.initializer)(x))
        x = Dense(math.prod(self.shape), self.initializer)(x)
        return jnp.tanh(x.astype(jnp.float32)).reshape(-1, *self.shape)


class Discriminator(nn.Module):
    """Picture -> logit through leaky ReLU layers. With classes, the label's embedding is joined to
    the picture.

    Attributes:
        dtype: of the activations. initializer: how weights start, a name in nn.init.INITIALIZERS.
        widths: of the hidden layers. embedding: numbers a label becomes. spectral_norm: of every
            layer.
    Differs: leaky ReLU of slope 0.2 for the paper's maxout with dropout.
    """

    shape: tuple[int, int, int]
    n_classes: int = 0
    dtype: str = "float32"
    widths: tuple = (1024, 512, 256)
    embedding: int = 32
    initializer: str = "xavier"
    spectral_norm: bool = False

    @nn.compact
    def __call__(
        self, x: jax.Array, y: jax.Array | None = None, *, train: bool = False
    ) -> jax.Array:
        """x [B, H, W, C] in [-1, 1], y int32 [B] or None -> logits f32 [B]."""
        check_labels(y, self.n_classes)
        h = join(
            x.reshape(-1, math.prod(self.shape)),
            y,
            self.n_classes,
            self.embedding,
            self.initializer,
        )
        h = h.astype(self.dtype)
        for width in self.widths:
            h = nn.leaky_relu(
                Dense(width, self.initializer, self.spectral_norm)(h, train=train), 0.2
            )
        return Dense(1, self.initializer, self.spectral_norm)(h.astype(jnp.float32), train=train)[
            :, 0
        ]


def join(x, y, n_classes, embedding, init):
    """[B, N] with the label's embedding behind it: [B, N + embedding]; x itself without labels."""
    if not n_classes:
        return x
    return jnp.concatenate([x, Embed(embedding, init, n_classes=n_classes, name="embed")(y)], 1)
