"""Dense networks, as in the first GAN. Goodfellow et al. 2014, arXiv:1406.2661."""

import math

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from gan_jax.nn.layers import Dense, Embed, check_labels


class Generator(nn.Module):
    """Noise -> picture through ReLU layers, tanh at the end. With classes, the label's embedding is
    joined to z.

    Attributes:
        dtype: of the activations.
        initializer: how weights start, a name in nn.init.INITIALIZERS.
        widths: of the hidden layers.
        embedding: length of a label's vector.
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
        self, z: Float[Array, "B Z"], y: Int[Array, " B"] | None = None, *, train: bool = False
    ) -> Float[Array, "B H W C"]:
        """Noise, labels -> pictures in [-1, 1]."""
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
        dtype: of the activations.
        initializer: how weights start, a name in nn.init.INITIALIZERS.
        widths: of the hidden layers.
        embedding: length of a label's vector.
        spectral_norm: of every layer.
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
        self, x: Float[Array, "B H W C"], y: Int[Array, " B"] | None = None, *, train: bool = False
    ) -> Float[Array, " B"]:
        """Pictures in [-1, 1], labels -> logits."""
        check_labels(y, self.n_classes)
        weights = self.initializer, self.spectral_norm
        h = x.reshape(-1, math.prod(self.shape))
        h = join(h, y, self.n_classes, self.embedding, self.initializer).astype(self.dtype)
        for width in self.widths:
            h = nn.leaky_relu(Dense(width, *weights)(h, train=train), 0.2)
        return Dense(1, *weights)(h.astype(jnp.float32), train=train)[:, 0]


def join(
    x: Float[Array, "B N"],
    y: Int[Array, " B"] | None,
    n_classes: int,
    embedding: int,
    initializer: str,
) -> Float[Array, "B M"]:
    """x with the label's embedding behind it; x itself without classes. In a compact method."""
    if not n_classes:
        return x
    embed = Embed(embedding, initializer, n_classes=n_classes, name="embed")
    return jnp.concatenate([x, embed(y)], 1)
