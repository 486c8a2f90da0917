"""CUT's networks: the anti-aliased residual generator and patch critic, and heads for patches.

Park et al. 2020, arXiv:2007.15651; layer for layer the official ones.
"""

from collections.abc import Sequence

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from gan_jax.models import patchgan, resnet
from gan_jax.nn.layers import Dense

# the square of the official code's addend, inside the root: a patch all of zeros has a finite
# gradient
TINY = 1e-14


class Generator(resnet.Generator):
    """As models/resnet.py's, halving and doubling by FIR filters."""

    blur: bool = True
    initializer: str = "xavier_small"


class Discriminator(patchgan.Discriminator):
    """As models/patchgan.py's, halving by FIR filters."""

    blur: bool = True
    initializer: str = "xavier_small"


class Heads(nn.Module):
    """Two dense layers for each tapped layer, then length 1: what patches are compared by.

    Attributes:
        features: length of a patch's vector.
    """

    features: int = 256

    @nn.compact
    def __call__(
        self, patches: Sequence[Float[Array, "B _ _"]], *, train: bool = False
    ) -> list[Float[Array, "B _ {self.features}"]]:
        """[B, patches, channels] of each tapped layer -> [B, patches, features], of length 1."""
        found = []
        for number, x in enumerate(patches):
            b, p, c = x.shape
            first = Dense(self.features, "xavier_small", name=f"first{number}")
            second = Dense(self.features, "xavier_small", name=f"second{number}")
            h = second(nn.relu(first(x.reshape(b * p, c))))
            length = jnp.sqrt(jnp.sum(jnp.square(h), 1, keepdims=True) + TINY)
            found.append((h / length).reshape(b, p, self.features))
        return found


NETWORKS = {"heads": Heads}
