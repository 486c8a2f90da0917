"""What the networks from picture to picture share: sizes that don't halve evenly."""

import jax
import jax.numpy as jnp


def pad_to(x: jax.Array, multiple: int) -> jax.Array:
    """x [B, H, W, C] -> [B, H', W', C], the next multiples, by reflection at the right and bottom edge."""
    more = [-n % multiple for n in x.shape[1:3]]
    while any(more):  # a reflection adds at most n - 1; a side of one pixel is repeated
        now = [min(m, max(n - 1, 1)) for m, n in zip(more, x.shape[1:3], strict=True)]
        mode = "reflect" if all(n > 1 or not m for m, n in zip(now, x.shape[1:3], strict=True)) else "edge"
        x = jnp.pad(x, ((0, 0), (0, now[0]), (0, now[1]), (0, 0)), mode)
        more = [m - n for m, n in zip(more, now, strict=True)]
    return x


def halvings(size: tuple[int, int]) -> int:
    """How often a picture of `size` (H, W) halves, once it is padded to do so, until its shorter side is 4 to 8.

    Raises:
        ValueError: a side below 8 pixels.
    """
    if min(size) < 8:
        raise ValueError(
            f"images {size[0]}x{size[1]}: both sides must have 8 pixels or more. Set config.data.resolution."
        )
    return (min(size) // 4).bit_length() - 1
