"""Convolutions in plain lax: what the forms for CPUs compute,
and the form wherever those are not used."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

LAYOUT = ("NHWC", "HWIO", "NHWC")
Size = tuple[Any, Any]
"""H, W: ints, or symbols where a program of any size is exported (jax.export.symbolic_shape)."""


class Geometry(NamedTuple):
    """All of a convolution's shape but batch and channels, seen from its forward direction."""

    size: Size  # H, W of the input
    kernel: tuple[int, int]
    stride: tuple[int, int]
    pad: tuple[tuple[int, int], tuple[int, int]]  # zeros ((top, bottom), (left, right))

    @property
    def out(self) -> Size:
        """h, w of the output."""
        return tuple(
            (n + sum(p) - k) // s + 1
            for n, p, k, s in zip(self.size, self.pad, self.kernel, self.stride, strict=True)
        )


class Filter(NamedTuple):
    """One direction of a resampling: output o is sum_i taps[i] * wide[o * down + i - lo]."""

    axis: int
    size: int  # of the input; wide is it with up - 1 zeros after every sample, and zeros all around
    out: int
    taps: tuple[float, ...]
    up: int
    down: int
    lo: int


def convolve(
    geometry: Geometry,
    x: Float[Array, "B H W I"],
    w: Float[Array, "kh kw I//{groups} O"],
    groups: int = 1,
) -> Float[Array, "B h w O"]:
    """A convolution."""
    stride, pad = geometry.stride, geometry.pad
    return lax.conv_general_dilated(
        x, w, stride, pad, dimension_numbers=LAYOUT, feature_group_count=groups
    )


def input_grad(
    geometry: Geometry, g: Float[Array, "B h w O"], w: Float[Array, "kh kw I O"]
) -> Float[Array, "B H W I"]:
    """Transpose of `convolve` in x."""
    x = jax.ShapeDtypeStruct((g.shape[0], *geometry.size, w.shape[2]), g.dtype)
    return jax.linear_transpose(lambda x: convolve(geometry, x, w), x)(g)[0]


def kernel_grad(
    geometry: Geometry, x: Float[Array, "B H W I"], g: Float[Array, "B h w O"]
) -> Float[Array, "kh kw I O"]:
    """Transpose of `convolve` in w."""
    w = jax.ShapeDtypeStruct((*geometry.kernel, x.shape[3], g.shape[3]), x.dtype)
    return jax.linear_transpose(lambda w: convolve(geometry, x, w), w)(g)[0]


def fir(filtering: Filter, x: Float[Array, "B H W C"]) -> Float[Array, "B h w C"]:
    """One direction of a resampling."""
    axis, size, out, taps, up, down, lo = filtering
    channels, hi = x.shape[3], (out - 1) * down + len(taps) - lo - ((size - 1) * up + 1)

    def along(value, rest):
        return (value, rest) if axis == 1 else (rest, value)

    w = jnp.broadcast_to(jnp.asarray(taps, x.dtype)[:, None], (len(taps), channels))
    return lax.conv_general_dilated(
        x,
        w.reshape(*along(len(taps), 1), 1, channels),
        window_strides=along(down, 1),
        padding=along((lo, hi), (0, 0)),
        lhs_dilation=along(up, 1),
        dimension_numbers=LAYOUT,
        feature_group_count=channels,
    )
