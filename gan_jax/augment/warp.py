"""ADA's geometry: all moves of an image composed to one affine matrix, and one resampling by it.

Karras et al. 2020, arXiv:2006.06676, appendix B. Matrices act on (x, y, 1), in pixels from the
image's center, and map a place of the output to the place of the input it shows. Nothing is
differentiated in the matrix; in the image all is linear, so that second derivatives (gradient
penalties) are the same dots and gathers again.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

# The symlet of 6 vanishing moments, low-pass: orthogonal, so x2 up and back is the identity, and
# nearly symmetric
SYM6 = (
    0.015404109327027373, 0.0034907120842174702, -0.11799011114819057, -0.048311742585633,
    0.4910559419267466, 0.787641141030194, 0.3379294217276218, -0.07263752278646252,
    -0.021060292512300564, 0.04472490177066578, 0.0017677118642428036, -0.007800708325034148,
)  # fmt: skip
BORDER = 3  # output pixels around the image that the last filter reads


def geometry(
    values: dict[str, Float[Array, "B _"]], size: tuple[int, int]
) -> Float[Array, "B 3 3"]:
    """The transforms present in `values` as one matrix, in the published order; size: H, W.

    values: [B, 1] or [B, 2] by name: xflip (0, 1), rotate90 (quarter turns), xint, xfrac (shift
        right and down, in sides), scale, aniso (factors; aniso's inverse along y), rotate (radians,
        before and after aniso).
    """
    height, width = size
    moves = (
        ("xflip", lambda v: _scale(1 - 2 * v[:, 0], 1)),
        ("rotate90", lambda v: _rotate(jnp.pi / 2 * v[:, 0])),
        ("xint", lambda v: _shift(-jnp.round(v[:, 0] * width), -jnp.round(v[:, 1] * height))),
        ("scale", lambda v: _scale(1 / v[:, 0], 1 / v[:, 0])),
        ("rotate", lambda v: _rotate(v[:, 0])),
        ("aniso", lambda v: _scale(1 / v[:, 0], v[:, 0])),
        ("rotate", lambda v: _rotate(v[:, 1])),
        ("xfrac", lambda v: _shift(-v[:, 0] * width, -v[:, 1] * height)),
    )
    matrices = [matrix(values[name]) for name, matrix in moves if name in values]
    return functools.reduce(functools.partial(jnp.matmul, precision="highest"), matrices)


def warp(x: Float[Array, "B H W C"], matrix: Float[Array, "B 3 3"]) -> Float[Array, "B H W C"]:
    """x moved by `matrix`: reflected, filtered to twice the size, sampled, filtered back.

    An image whose matrix is the identity stays as it is, to the bit. Memory: 36 times the pixels of
    x.
    Differs: the reflected margin is always a side less one pixel, its published maximum, where the
    publication cuts it to what the batch needs: the same numbers but for the rim of images made
    smaller, where the cut margin ends within the filters' reach. Beyond the margin lie zeros in
    both.
    """
    height, width = x.shape[1:3]
    large = _both(_enlarge(height), _enlarge(width), x)  # [B, 6H - 4, 6W - 4, C]

    def places(size):  # every half pixel, from the image's center
        return np.arange(-BORDER, size + BORDER, 0.5, np.float32) - (size - 1) / 2

    right, down = places(width).reshape(1, 1, -1), places(height).reshape(1, -1, 1)

    def along(i, size):
        by_right, by_down, shift = (matrix[:, i, j].reshape(-1, 1, 1) for j in range(3))
        return 2 * (by_right * right + by_down * down + shift) + (3 * size - 3)

    moved = _bilinear(large, along(1, height), along(0, width))  # [B, 2H + 12, 2W + 12, C]
    changed = jnp.any(matrix != jnp.eye(3).reshape(1, 3, 3), axis=(1, 2)).reshape(-1, 1, 1, 1)
    return jnp.where(changed, _both(_reduce(height), _reduce(width), moved), x)


def _both(rows, columns, x):
    """A linear map of each axis: rows [h, H], columns [w, W], x [B, H, W, C] -> [B, h, w, C].

    Filters as dots: on a CPU a sixth of the time that shifted sums take, gradients less than a
    tenth.
    """
    x = jnp.einsum("ih,bhwc->biwc", rows, x, precision="highest")
    return jnp.einsum("jw,biwc->bijc", columns, x, precision="highest")


@functools.lru_cache
def _enlarge(size):
    """Reflection at both ends by size - 1, then x2: zeros put in, filtered.
    numpy f32 [6 size - 4, size]."""
    padded = np.pad(np.eye(size), ((size - 1, size - 1), (0, 0)), "reflect")
    spread = np.zeros((2 * len(padded) + 11, size))
    spread[6:-5:2] = padded
    taps = 2 * np.array(SYM6) / sum(SYM6)
    return sum(t * spread[11 - i : len(spread) - i] for i, t in enumerate(taps)).astype(np.float32)


@functools.lru_cache
def _reduce(size):
    """Filtered by the mirrored taps, every second kept, the border dropped. numpy f32 [size, 2
    (size + 2 BORDER)]."""
    matrix = np.zeros((size, 2 * (size + 2 * BORDER)))
    for row in range(size):
        matrix[row, 2 * row + 1 : 2 * row + 13] = np.array(SYM6) / sum(SYM6)
    return matrix.astype(np.float32)


def _bilinear(x, row, column):
    """x [B, H, W, C] between its pixels, zeros around:
    row, column f32 [B, h, w] -> [B, h, w, C]."""
    n, height, width, channels = x.shape
    pixels = x.reshape(n, height * width, channels)
    top, left = jnp.floor(row), jnp.floor(column)

    def corner(i, j):
        down = jnp.maximum(1 - jnp.abs(row - (top + i)), 0)
        weight = down * jnp.maximum(1 - jnp.abs(column - (left + j)), 0)
        inside = (top + i >= 0) & (top + i < height) & (left + j >= 0) & (left + j < width)
        index = jnp.clip(top + i, 0, height - 1).astype(jnp.int32) * width
        index = index + jnp.clip(left + j, 0, width - 1).astype(jnp.int32)

        def taken(image, place):
            return image.at[place].get(mode="promise_in_bounds")

        found = jax.vmap(taken)(pixels, index)
        return found * jnp.where(inside, weight, 0)[..., None]

    return corner(0, 0) + corner(0, 1) + corner(1, 0) + corner(1, 1)


def _matrix(*rows):
    """Rows of f32 [B] and numbers -> [B, r, c]."""
    entries = jnp.broadcast_arrays(*(jnp.asarray(e, jnp.float32) for row in rows for e in row))
    return jnp.stack(entries, -1).reshape(-1, len(rows), len(rows[0]))


def _scale(x, y):
    return _matrix((x, 0, 0), (0, y, 0), (0, 0, 1))


def _shift(x, y):
    return _matrix((1, 0, x), (0, 1, y), (0, 0, 1))


def _rotate(angle):
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    return _matrix((cos, -sin, 0), (sin, cos, 0), (0, 0, 1))
