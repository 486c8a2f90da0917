"""Whole-pixel moves: every output row and column is a row and column of the input, or zero."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from gan_jax.distributed import collectives


def pick(
    x: Float[Array, "B H W C"], rows: Int[Array, "B h"], columns: Int[Array, "B w"]
) -> Float[Array, "B h w C"]:
    """y[b, i, j] = x[b, rows[b, i], columns[b, j]], 0 where an index is outside.

    By dots with one-hot matrices: exact, and their transposes are dots too, where that of a gather
    is a slow scatter.
    """
    rows = jax.nn.one_hot(rows, x.shape[1], dtype=x.dtype)
    columns = jax.nn.one_hot(columns, x.shape[2], dtype=x.dtype)
    x = jnp.einsum("bih,bhwc->biwc", rows, x, precision="highest")
    return jnp.einsum("bjw,biwc->bijc", columns, x, precision="highest")


def offsets(rng: jax.Array, rows: int, most: int) -> Int[Array, "rows 1"]:
    """Uniform in [-most, most]: an axis' shift for every image."""
    return collectives.draw(lambda n: jax.random.randint(rng, (n, 1), -most, most + 1), rows)


def flip_shift(rng: jax.Array, x: Float[Array, "B H W C"]) -> Float[Array, "B H W C"]:
    """What consistency regularization perturbs with: a horizontal flip with probability 0.5, a
    shift of up to 1/8 of each side.

    The border is reflected, its own pixel not repeated. Zhang et al. 2019, arXiv:1910.12027 (flips,
    and shifts by a few pixels); 1/8, 4 pixels at 32, and the reflection are StudioGAN's.
    """
    k_flip, k_down, k_right = jax.random.split(rng, 3)
    n, height, width = x.shape[:3]

    def shifted(key, size):
        i = jnp.arange(size, dtype=jnp.int32).reshape(1, -1) + offsets(key, n, size // 8)
        return size - 1 - jnp.abs(size - 1 - jnp.abs(i))  # reflected at both ends

    down, right = shifted(k_down, height), shifted(k_right, width)
    flip = collectives.draw(lambda n: jax.random.bernoulli(k_flip, 0.5, (n, 1)), n)
    return pick(x, down, jnp.where(flip, width - 1 - right, right))
