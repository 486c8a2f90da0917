"""Whole-pixel moves: every output row and column is a row and column of the input, or zero."""

import jax
import jax.numpy as jnp

from gan_jax.distributed import collectives


def pick(x: jax.Array, rows: jax.Array, columns: jax.Array) -> jax.Array:
    """y[b, i, j] = x[b, rows[b, i], columns[b, j]], 0 where an index is outside. x f32 [B, H, W,
    C].

    By dots with one-hot matrices: exact, and their transposes are dots too, where that of a gather
    is a slow scatter.
    """
    hot = lambda index, size: jax.nn.one_hot(index, size, dtype=x.dtype)
    x = jnp.einsum("bih,bhwc->biwc", hot(rows, x.shape[1]), x, precision="highest")
    return jnp.einsum("bjw,biwc->bijc", hot(columns, x.shape[2]), x, precision="highest")


def offsets(rng: jax.Array, rows: int, most: int) -> jax.Array:
    """int32 [rows, 1], uniform in [-most, most]: an axis' shift for every image."""
    return collectives.draw(lambda n: jax.random.randint(rng, (n, 1), -most, most + 1), rows)


def flip_shift(rng: jax.Array, x: jax.Array) -> jax.Array:
    """What consistency regularisation perturbs with: a mirror image half the time, a shift of up to
    1/8 of each side.

    x f32 [B, H, W, C] -> the same; the border is reflected, its own pixel not repeated. Zhang et
    al. 2019, arXiv:1910.12027 (flips, and shifts by a few pixels); 1/8, 4 pixels at 32, and the
    reflection are StudioGAN's.
    """
    k_flip, k_down, k_right = jax.random.split(rng, 3)
    n, height, width = x.shape[:3]
    place = lambda size: jnp.arange(size, dtype=jnp.int32).reshape(1, -1)
    inside = lambda i, size: size - 1 - jnp.abs(size - 1 - jnp.abs(i))
    down = inside(place(height) + offsets(k_down, n, height // 8), height)
    right = inside(place(width) + offsets(k_right, n, width // 8), width)
    flip = collectives.draw(lambda n: jax.random.bernoulli(k_flip, 0.5, (n, 1)), n)
    return pick(x, down, jnp.where(flip, width - 1 - right, right))
