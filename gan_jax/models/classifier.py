"""A small image classifier: it measures what generated pictures are worth as training data."""

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from gan_jax.nn.layers import Conv, Dense
from gan_jax.nn.norms import BatchNorm

SMALLEST = 8  # the grid is not halved below a shorter side of 4: 8 halves once more


class Classifier(nn.Module):
    """4x4 convolutions of stride 2 with batch norm and ReLU down to a grid of 4 to 7, mean over
    space, dense.

    Attributes:
        width: channels at the first level; twice as many a level down, at most 8 times.
    """

    n_classes: int
    width: int = 32

    @nn.compact
    def __call__(
        self, x: Float[Array, "B H W C"], *, train: bool = False
    ) -> Float[Array, "B {self.n_classes}"]:
        """Pictures in [-1, 1] -> logits."""
        level = 0
        while level == 0 or min(x.shape[1:3]) >= SMALLEST:
            x = Conv(self.width << min(level, 3), "he", kernel_size=4, stride=2)(x)
            x = nn.relu(BatchNorm()(x, train=train))
            level += 1
        return Dense(self.n_classes, "he")(jnp.mean(x, (1, 2)))
