"""3x3 convolutions of stride 1 on CPUs: 16 products for 2x2 outputs, where the definition has 36.

Winograd's F(2x2, 3x3), Lavin & Gray 2016, arXiv:1509.09308. In one direction, of inputs x0..x3 and
taps k0..k2,

    y0 = m0 + m1 + m2
    y1 = m1 - m2 - m3, where
    m0 = (x0 - x2) k0
    m1 = (x1 + x2) (k0 + k1 + k2) / 2
    m2 = (x2 - x1) (k0 - k1 + k2) / 2
    m3 = (x1 - x3) k2;

in both directions there are 4x4 such m, each a matrix product over the channels. It rounds about as
the definition does.
"""

import math
from typing import Any

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

LARGE = 2**24  # products of tiles, channels in and channels out: so many or more
AT_ONCE = 5 * 2**20  # numbers, transformed: so many or fewer, which the caches hold

Pad = tuple[tuple[int, int], tuple[int, int]]
"""Zeros ((top, bottom), (left, right)); below 0, so many rows or columns are cut off."""


def suits(
    x: Float[Array, "B H W C"], features: int, out: tuple[Any, Any], most: float = math.inf
) -> bool:
    """Whether it is the faster form from x to [B, *out, features], with up to `most` tiles of 2x2
    a channel.

    It is for LARGE products (one picture of 32x32, 256 channels to 256), AT_ONCE: smaller ones gain
    by themselves, not within a step, and take long to compile; larger ones lose (measured on two
    cores). In half precision the sums would lose digits; of a size that is not known yet
    (jax.export) nothing can be said.
    """
    if not all(isinstance(n, int) for n in (*x.shape, *out)):
        return False
    tiles = x.shape[0] * math.prod(-(-n // 2) for n in out)
    few, many = sorted((x.shape[3], features))
    fits = few >= 64 and tiles * few * many >= LARGE and 16 * tiles * many <= AT_ONCE
    return fits and tiles <= most * few and x.dtype.itemsize >= 4


def convolve(
    x: Float[Array, "B H W I"], w: Float[Array, "3 3 I O"], pad: Pad
) -> Float[Array, "B h w O"]:
    """A convolution of stride 1."""
    return _convolve(x, _both(_of_taps, w), pad, 0)


def input_grad(
    g: Float[Array, "B h w O"], w: Float[Array, "3 3 I O"], pad: Pad
) -> Float[Array, "B H W I"]:
    """Transpose of `convolve` in x; pad: that of `convolve`."""
    kernels = _both(_of_mirrored_taps, w)
    return _convolve(g, kernels, tuple((2 - lo, 2 - hi) for lo, hi in pad), 1)


def kernel_grad(
    x: Float[Array, "B H W I"], g: Float[Array, "B h w O"], pad: Pad
) -> Float[Array, "3 3 I O"]:
    """Transpose of `convolve` in w."""
    inputs, slopes = _both(_of_inputs, _tiles(x, 4, pad)), _both(_of_slopes, _tiles(g, 2))
    products = _products(inputs, slopes, 0, 0)
    return jnp.stack([jnp.stack(row) for row in _both(_to_taps, products)])


def _convolve(x, kernels, pad, contract):
    """kernels: 4x4 matrices; contract: which dimension of theirs is x's channels."""
    height, width = (n + sum(p) - 2 for n, p in zip(x.shape[1:3], pad, strict=True))
    inputs = _both(_of_inputs, _tiles(x, 4, pad))
    outputs = _both(_to_outputs, _products(inputs, kernels, 1, contract))
    rows, columns = inputs[0][0].shape[1:3]
    outputs = [[y.reshape(x.shape[0], rows, columns, -1) for y in row] for row in outputs]
    y = jnp.stack([jnp.stack(row, 3) for row in outputs], 2)
    return y.reshape(x.shape[0], 2 * rows, 2 * columns, -1)[:, :height, :width]


def _both(f, grid):
    """f, from a sequence of arrays to a tuple of them, along a grid's rows, then its columns."""
    columns = zip(*(f(row) for row in grid), strict=True)
    return list(zip(*(f(column) for column in columns), strict=True))


def _of_inputs(x):
    return x[0] - x[2], x[1] + x[2], x[2] - x[1], x[1] - x[3]


def _of_taps(k):
    return k[0], (k[0] + k[1] + k[2]) / 2, (k[0] - k[1] + k[2]) / 2, k[2]


def _of_mirrored_taps(k):
    return _of_taps((k[2], k[1], k[0]))


def _to_outputs(m):
    return m[0] + m[1] + m[2], m[1] - m[2] - m[3]


def _of_slopes(g):  # transpose of _to_outputs
    return g[0], g[0] + g[1], g[0] - g[1], -g[1]


def _to_taps(m):  # transpose of _of_taps
    ends = (m[1] + m[2]) / 2
    return m[0] + ends, (m[1] - m[2]) / 2, ends + m[3]


def _tiles(x, size, pad=((0, 0), (0, 0))):
    """Windows of size x size pixels, two apart: a grid of [B, rows, columns, C].

    The last one is filled up with zeros.
    """
    more = [(lo, hi + (n + lo + hi) % 2, 0) for n, (lo, hi) in zip(x.shape[1:3], pad, strict=True)]
    x = lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), *more, (0, 0, 0)])
    b, h, w, c = x.shape

    def part(i, j):
        end = b, h - size + 1 + i, w - size + 1 + j, c
        return lax.slice(x, (0, i, j, 0), end, (1, 2, 2, 1))

    return [[part(i, j) for j in range(size)] for i in range(size)]


def _products(left, right, i, j):
    """4x4 matrix products over axes i and j; [B, rows, columns, C] is a matrix [pixels, C]."""

    def dot(a, b):
        a, b = (x.reshape(-1, x.shape[-1]) for x in (a, b))
        return lax.dot_general(a, b, (((i,), (j,)), ((), ())))

    return [
        [dot(a, b) for a, b in zip(*rows, strict=True)] for rows in zip(left, right, strict=True)
    ]
