"""Sizes of feature maps: padded by reflection, halved, doubled, pixels moved into channels."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from gan_jax.nn import conv


def reflect(x: Float[Array, "B H W C"], n: int) -> Float[Array, "B H+{2*n} W+{2*n} C"]:
    """n pixels more on every side, by reflection."""
    return jnp.pad(x, ((0, 0), (n, n), (n, n), (0, 0)), "reflect")


def pad_to(x: Float[Array, "B H W C"], multiple: int) -> Float[Array, "B h w C"]:
    """Padded at the right and bottom edge to the next multiples, by reflection."""
    more = [-n % multiple for n in x.shape[1:3]]
    while any(more):  # a reflection adds at most n - 1; a side of one pixel is repeated
        now = [min(m, max(n - 1, 1)) for m, n in zip(more, x.shape[1:3], strict=True)]
        inside = all(n > 1 or not m for m, n in zip(now, x.shape[1:3], strict=True))
        x = jnp.pad(x, ((0, 0), (0, now[0]), (0, now[1]), (0, 0)), "reflect" if inside else "edge")
        more = [m - n for m, n in zip(more, now, strict=True)]
    return x


def halve(x: Float[Array, "B H W C"]) -> Float[Array, "B (H+1)//2 (W+1)//2 C"]:
    """Filtered by (1, 2, 1) at reflected edges, every second pixel kept."""
    return conv.resample(reflect(x, 1), (1, 2, 1), down=2)


def double(x: Float[Array, "B H W C"]) -> Float[Array, "B 2*H 2*W C"]:
    """Linear between the pixels' centers, constant beyond the last ones."""
    x = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), "edge")
    return conv.resample(x, (1, 3, 3, 1), up=2, padding=(0, -1), gain=4)


def double_at_corners(x: Float[Array, "B H W C"]) -> Float[Array, "B 2*H 2*W C"]:
    """Linear between the pixels, pixel (i, j) at (2 i, 2 j), constant beyond the last ones: as
    TensorFlow 1 resizes. `double` has no such shift by half a pixel."""
    x = jnp.pad(x, ((0, 0), (0, 1), (0, 1), (0, 0)), "edge")
    return conv.resample(x, (1, 2, 1), up=2, padding=(1, -1), gain=4)


def space_to_depth(x: Float[Array, "B H W C"], n: int) -> Float[Array, "B H//{n} W//{n} {n*n}*C"]:
    """Each square of n x n pixels as the channels of one; n divides H and W."""
    b, h, w, c = x.shape
    x = x.reshape(b, h // n, n, w // n, n, c).transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(b, h // n, w // n, n * n * c)


def depth_to_space(x: Float[Array, "B h w D"], n: int) -> Float[Array, "B {n}*h {n}*w D//{n*n}"]:
    """The inverse of space_to_depth."""
    b, h, w, c = x.shape
    x = x.reshape(b, h, w, n, n, c // n**2).transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(b, h * n, w * n, c // n**2)
