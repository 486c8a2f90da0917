"""Every convolution of the project: NHWC activations, HWIO kernels, the same numbers on every backend.

On GPU and TPU these are plain `lax` convolutions. On CPU, XLA runs several of them far below the speed of a matrix
product, so they are rewritten: 1x1 and few-channel kernels as dots, transposed convolutions by output phase, groups
merged, FIR filters as shifted sums. A convolution, its input gradient and its kernel gradient are each linear in both
arguments, and each one's derivatives are the other two: the rewritten forms carry that rule, so first and second
derivatives (R1, gradient penalties, path lengths) stay on fast forms too. Models know nothing of this.

No control flow here: XLA's CPU backend leaves convolution gradients slow inside `lax.cond` and `lax.scan`.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

Padding = int | tuple[tuple[int, int], tuple[int, int]]

FEW = 4  # up to so many channels (RGB, RGBA), a kernel is a dot over its taps
MERGED = 32  # channels of the dense convolutions that narrow groups are merged into


class Geometry(NamedTuple):
    """All of a convolution's shape but batch and channels, seen from its forward direction."""

    size: tuple[int, int]  # H, W of the input
    kernel: tuple[int, int]
    stride: tuple[int, int]
    pad: tuple[tuple[int, int], tuple[int, int]]  # zeros ((top, bottom), (left, right))

    @property
    def out(self) -> tuple[int, int]:
        """h, w of the output."""
        return tuple(
            (n + sum(p) - k) // s + 1 for n, p, k, s in zip(self.size, self.pad, self.kernel, self.stride, strict=True)
        )


def on_cpu() -> bool:
    """Whether convolutions traced now take the CPU's forms. The one gate; either form is right on any backend."""
    return jax.default_backend() == "cpu"


def conv(x: jax.Array, w: jax.Array, stride: int = 1, padding: Padding = 0, groups: int = 1) -> jax.Array:
    """Convolution. x [B, H, W, I], w [kh, kw, I / groups, O] -> [B, h, w, O]; padding: zeros on each side."""
    geometry = _geometry(x.shape[1:3], w, stride, padding)
    if not on_cpu():
        return _plain(x, w, geometry, groups)
    if groups == 1:
        return convolve(geometry, x, w)
    return _grouped(geometry, x, w, groups)


def conv_transpose(
    x: jax.Array, w: jax.Array, stride: int = 1, padding: Padding = 0, size: tuple[int, int] | None = None
) -> jax.Array:
    """Transposed convolution: the input gradient of `conv` with this kernel. x [B, h, w, I] -> [B, H, W, O].

    Args:
        w: [kh, kw, I, O]; with I and O exchanged, the kernel of the convolution [B, H, W, O] -> [B, h, w, I].
        size: H, W; without it the smallest that fits, stride * (h - 1) + kh less the padding.
    """
    pads = _pads(padding)
    if size is None:
        size = tuple(stride * (n - 1) + k - sum(p) for n, k, p in zip(x.shape[1:3], w.shape[:2], pads, strict=True))
    w, geometry = w.swapaxes(2, 3), _geometry(size, w, stride, padding)
    if geometry.out != tuple(x.shape[1:3]):
        raise ValueError(f"size={size}: a convolution of it gives {geometry.out}, but x is {tuple(x.shape[1:3])}.")
    return input_grad(geometry, x, w) if on_cpu() else _plain_input_grad(geometry, x, w)


def upsample_conv(x: jax.Array, w: jax.Array) -> jax.Array:
    """Nearest-neighbour x2, then a 3x3 convolution. x [B, H, W, I], w [3, 3, I, O] -> [B, 2H, 2W, O].

    Folded: pairs of taps meet the same pixel, so it is one transposed convolution, 4x4 with stride 2: 16 products an
    input pixel for 36.
    """
    return conv_transpose(x, jnp.flip(_fold(w), (0, 1)), 2, 1)


def conv_pool(x: jax.Array, w: jax.Array) -> jax.Array:
    """A 3x3 convolution, then 2x2 average pooling. x [B, H, W, I], w [3, 3, I, O] -> [B, H // 2, W // 2, O].

    Folded into one 4x4 convolution of stride 2: 16 products an output pixel for 36.
    """
    return conv(x, _fold(w) / 4, 2, 1)


def pool(x: jax.Array) -> jax.Array:
    """2x2 average pooling, [B, H, W, C] -> [B, H // 2, W // 2, C]."""
    h, w = x.shape[1] // 2, x.shape[2] // 2
    x = x[:, : 2 * h, : 2 * w].reshape(x.shape[0], h, 2, w, 2, x.shape[3])
    return x.mean((2, 4))


def upsample(x: jax.Array) -> jax.Array:
    """Nearest-neighbour x2, [B, H, W, C] -> [B, 2H, 2W, C]."""
    b, h, w, c = x.shape
    return jnp.broadcast_to(x[:, :, None, :, None], (b, h, 2, w, 2, c)).reshape(b, 2 * h, 2 * w, c)


def _fold(w):
    """[3, 3, I, O] -> [4, 4, I, O]: the kernel met by the four pixels of a 2x2 cell, summed."""
    return sum(jnp.pad(w, ((i, 1 - i), (j, 1 - j), (0, 0), (0, 0))) for i in (0, 1) for j in (0, 1))


def _pads(padding):
    return ((padding, padding), (padding, padding)) if isinstance(padding, int) else padding


def _geometry(size, w, stride, padding):
    return Geometry(tuple(size), tuple(w.shape[:2]), (stride, stride), _pads(padding))


# --- plain lax: the meaning of everything below, and the form for every shape and backend not handled there


def _plain(x, w, geometry, groups=1):
    return lax.conv_general_dilated(
        x,
        w,
        geometry.stride,
        geometry.pad,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=groups,
    )


def _plain_input_grad(geometry, g, w):
    x = jax.ShapeDtypeStruct((g.shape[0], *geometry.size, w.shape[2]), g.dtype)
    return jax.linear_transpose(lambda x: _plain(x, w, geometry), x)(g)[0]


def _plain_kernel_grad(geometry, x, g):
    w = jax.ShapeDtypeStruct((*geometry.kernel, x.shape[3], g.shape[3]), x.dtype)
    return jax.linear_transpose(lambda w: _plain(x, w, geometry), w)(g)[0]


# --- the CPU's family, closed under differentiation


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def convolve(geometry: Geometry, x: jax.Array, w: jax.Array) -> jax.Array:
    """x [B, H, W, I], w [kh, kw, I, O] -> [B, h, w, O]."""
    if _pointwise(geometry):
        return _dot(x, w[0, 0], 3, 0)
    return _plain(x, w, geometry)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def input_grad(geometry: Geometry, g: jax.Array, w: jax.Array) -> jax.Array:
    """Transpose of `convolve` in x: g [B, h, w, O], w [kh, kw, I, O] -> [B, H, W, I]."""
    if _pointwise(geometry):
        return _dot(g, w[0, 0], 3, 1)
    return _plain_input_grad(geometry, g, w)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def kernel_grad(geometry: Geometry, x: jax.Array, g: jax.Array) -> jax.Array:
    """Transpose of `convolve` in w: x [B, H, W, I], g [B, h, w, O] -> [kh, kw, I, O]."""
    if _pointwise(geometry):
        return _dot(x, g, (0, 1, 2), (0, 1, 2))[None, None]
    return _plain_kernel_grad(geometry, x, g)


def _keep(f):
    return lambda geometry, a, b: (f(geometry, a, b), (a, b))


convolve.defvjp(_keep(convolve), lambda n, xw, g: (input_grad(n, g, xw[1]), kernel_grad(n, xw[0], g)))
input_grad.defvjp(_keep(input_grad), lambda n, gw, x: (convolve(n, x, gw[1]), kernel_grad(n, x, gw[0])))
kernel_grad.defvjp(_keep(kernel_grad), lambda n, xg, w: (input_grad(n, xg[1], w), convolve(n, xg[0], w)))


def _pointwise(geometry):
    return geometry.kernel == geometry.stride == (1, 1) and geometry.pad == ((0, 0), (0, 0))


def _dot(a, b, axes_a, axes_b):
    axes = lambda n: (n,) if isinstance(n, int) else n
    return lax.dot_general(a, b, ((axes(axes_a), axes(axes_b)), ((), ())))


def _grouped(geometry, x, w, groups):
    return _plain(x, w, geometry, groups)
