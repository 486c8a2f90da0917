"""CUT's networks: the anti-aliased residual generator and patch critic, and heads for patches. Park
et al. 2020, arXiv:2007.15651; layer for layer the official ones.
"""

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

from gan_jax.models import translator
from gan_jax.nn.layers import Dense


class Generator(translator.ResNetGenerator):
    """As models/translator.py's, halving and doubling by FIR filters."""

    blur: bool = True
    initializer: str = "xavier_small"


class Discriminator(translator.PatchDiscriminator):
    """As models/translator.py's, halving by FIR filters."""

    blur: bool = True
    initializer: str = "xavier_small"


# the square of the official code's addend, inside the root: a patch all of zeros has a finite
# gradient
TINY = 1e-14


class Heads(nn.Module):
    """For each tapped layer two dense layers of its own, then length one: what patches are compared
    by.

    Attributes:
        features: numbers of a patch.
    """

    features: int = 256

    @nn.compact
    def __call__(self, patches: Sequence[jax.Array], *, train: bool = False) -> list[jax.Array]:
        """A layer each, f32 [B, P, c] -> [B, P, features], each of length 1."""
        found = []
        for number, x in enumerate(patches):
            b, p, c = x.shape
            h = nn.relu(
                Dense(self.features, "xavier_small", name=f"first{number}")(x.reshape(b * p, c))
            )
            h = Dense(self.features, "xavier_small", name=f"second{number}")(h)
            length = jnp.sqrt(jnp.sum(jnp.square(h), 1, keepdims=True) + TINY)
            found.append((h / length).reshape(b, p, self.features))
        return found


NETWORKS = {"heads": Heads}
