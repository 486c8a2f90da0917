"""Convolutions in the forms that are fast on CPUs, a family closed under differentiation.

1x1 and few-channel kernels are dots, large 3x3 ones in Winograd's form, transposed convolutions by
output phase, groups merged, depthwise kernels and FIR filters shifted sums. A convolution, its
input gradient and its kernel gradient are each linear in both arguments, and each one's derivatives
are the other two; so second derivatives (gradient penalties) are fast too. No control flow: XLA's
CPU backend leaves convolution gradients slow inside `lax.cond` and `lax.scan`.
"""

import functools
import math

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from gan_jax.nn import conv_plain, winograd
from gan_jax.nn.conv_plain import Filter, Geometry

FEW = 4  # up to so many channels (RGB, RGBA), a kernel is a dot over its taps
MERGED = 32  # channels of the dense convolutions that narrow groups are merged into


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def convolve(
    geometry: Geometry, x: Float[Array, "B H W I"], w: Float[Array, "kh kw I O"]
) -> Float[Array, "B h w O"]:
    """A convolution; differentiable any number of times in both."""
    if _suits_winograd(geometry, x, w.shape[3]):
        return winograd.convolve(x, w, geometry.pad)
    return _correlate(x, w, geometry.stride, geometry.pad)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def input_grad(
    geometry: Geometry, g: Float[Array, "B h w O"], w: Float[Array, "kh kw I O"]
) -> Float[Array, "B H W I"]:
    """Transpose of `convolve` in x.

    A stride of s cuts the result into s * s phases, each a convolution of g with every s-th tap: no
    zeros multiplied.
    """
    if _suits_winograd(geometry, g, w.shape[2]):
        return winograd.input_grad(g, w, geometry.pad)
    return _by_phase(geometry, g, w.swapaxes(2, 3), _correlate)


def _by_phase(geometry, g, w, correlate):
    """Transpose of a convolution in x; correlate: (g, taps, stride, padding) -> that of a phase."""
    (sh, sw), (height, width) = geometry.stride, geometry.size
    (rows, high), (columns, wide) = _phases(geometry, 0), _phases(geometry, 1)

    def phase(row, column):
        taps = w[row[0] :: sh, column[0] :: sw]
        if 0 in taps.shape:
            return jnp.zeros((g.shape[0], high, wide, w.shape[3]), g.dtype)
        return correlate(g, jnp.flip(taps, (0, 1)), (1, 1), (row[1], column[1]))

    x = jnp.stack([jnp.stack([phase(row, column) for column in columns], 3) for row in rows], 2)
    return x.reshape(g.shape[0], high * sh, wide * sw, w.shape[3])[:, :height, :width]


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def kernel_grad(
    geometry: Geometry, x: Float[Array, "B H W I"], g: Float[Array, "B h w O"]
) -> Float[Array, "kh kw I O"]:
    """Transpose of `convolve` in w."""
    if _suits_winograd(geometry, x, g.shape[3], most=32):  # its sums over many tiles are slow
        return winograd.kernel_grad(x, g, geometry.pad)
    if geometry.stride == (1, 1) and g.shape[1] > x.shape[1]:
        # XLA takes 30 to 100 times as long where the result is larger and the padding its own
        x = jnp.pad(x, ((0, 0), *geometry.pad, (0, 0)))
        geometry = geometry._replace(size=x.shape[1:3], pad=((0, 0), (0, 0)))
    if geometry.stride != (1, 1) or (g.shape[3] > FEW and geometry.kernel != (1, 1)):
        return conv_plain.kernel_grad(geometry, x, g)
    (kh, kw), ((top, _), (left, _)) = geometry.kernel, geometry.pad
    moved = [_move(g, i - top, j - left, geometry.size) for i in range(kh) for j in range(kw)]
    w = jnp.tensordot(x, jnp.concatenate(moved, 3), ((0, 1, 2), (0, 1, 2)))  # [I, kh * kw * O]
    return w.reshape(-1, kh, kw, g.shape[3]).transpose(1, 2, 0, 3)


def _keep(f):
    return lambda static, a, b: (f(static, a, b), (a, b))


convolve.defvjp(
    _keep(convolve), lambda n, xw, g: (input_grad(n, g, xw[1]), kernel_grad(n, xw[0], g))
)
input_grad.defvjp(
    _keep(input_grad), lambda n, gw, x: (convolve(n, x, gw[1]), kernel_grad(n, x, gw[0]))
)
kernel_grad.defvjp(
    _keep(kernel_grad), lambda n, xg, w: (input_grad(n, xg[1], w), convolve(n, xg[0], w))
)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def fir(filtering: Filter, x: Float[Array, "B H W C"]) -> Float[Array, "B h w C"]:
    """One direction of `resample`, by shifted sums, one for each phase of the output.

    Its transpose is a `fir` too.
    """
    axis, _, out, taps, up, down, lo = filtering
    phases = up // math.gcd(up, down)
    step, length = down * phases // up, -(-out // phases)

    def phase(q):
        starts = [
            ((q * down + i - lo) // up, t)
            for i, t in enumerate(taps)
            if (q * down + i - lo) % up == 0
        ]
        zero = jnp.zeros((*x.shape[:axis], length, *x.shape[axis + 1 :]), x.dtype)
        return sum((t * _stretch(x, axis, start, length, step) for start, t in starts), zero)

    y = jnp.stack([phase(q) for q in range(phases)], axis + 1).reshape(
        *x.shape[:axis], phases * length, *x.shape[axis + 1 :]
    )
    return lax.slice_in_dim(y, 0, out, axis=axis)


def _fir_transpose(filtering, _, g):
    axis, size, out, taps, up, down, lo = filtering
    return (fir(Filter(axis, out, size, taps[::-1], down, up, len(taps) - 1 - lo), g),)


fir.defvjp(lambda filtering, x: (fir(filtering, x), None), _fir_transpose)


def _suits_winograd(geometry, x, features, **limits):
    shape = (geometry.kernel, geometry.stride)
    return shape == ((3, 3), (1, 1)) and winograd.suits(x, features, geometry.out, **limits)


def _phases(geometry, axis):
    """Of an input gradient, in one direction: (first tap, padding) of each phase, and the length of
    all.

    Phase a holds elements a, a + s, ...: element a + s * t meets tap first + s * m at output t +
    offset - m.
    """
    s, k, (lo, _) = geometry.stride[axis], geometry.kernel[axis], geometry.pad[axis]
    length, outputs = -(-geometry.size[axis] // s), geometry.out[axis]
    starts = [divmod(a + lo, s) for a in range(s)]

    def pad(offset, first):
        return -(-(k - first) // s) - 1 - offset, length + offset - outputs

    return [(first, pad(offset, first)) for offset, first in starts], length


def _correlate(x, w, stride, pad):
    """The forward form: a dot for 1x1 kernels and for few outputs; otherwise lax's."""
    kh, kw, _, features = w.shape
    if stride != (1, 1) or (features > FEW and (kh, kw) != (1, 1)):
        return conv_plain.convolve(Geometry(x.shape[1:3], (kh, kw), stride, pad), x, w)
    ((top, bottom), (left, right)), (height, width) = pad, x.shape[1:3]
    out = height + top + bottom - kh + 1, width + left + right - kw + 1
    y = jnp.dot(x, w.transpose(2, 0, 1, 3).reshape(w.shape[2], -1))  # [B, H, W, kh * kw * O]
    y = y.reshape(*x.shape[:3], kh * kw, features)
    return sum(
        _move(y[:, :, :, i * kw + j], top - i, left - j, out) for i in range(kh) for j in range(kw)
    )


def _move(x, down, right, size):
    """x [B, H, W, C] moved down and right (up and left below 0), cut to `size`, zeros around."""
    (height, width), (h, w) = x.shape[1:3], size
    config = ((0, 0, 0), (down, h - height - down, 0), (right, w - width - right, 0), (0, 0, 0))
    return lax.pad(x, jnp.zeros((), x.dtype), config)


def _stretch(x, axis, start, length, step):
    """Elements start, start + step, ... of x along the axis; zeros beyond its ends."""
    size, end = x.shape[axis], start + (length - 1) * step + 1
    x = lax.pad(
        x,
        jnp.zeros((), x.dtype),
        [(-start, end - size, 0) if a == axis else (0, 0, 0) for a in range(x.ndim)],
    )
    return lax.slice_in_dim(x, 0, None, step, axis)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def depthwise(
    geometry: Geometry, x: Float[Array, "B H W C"], w: Float[Array, "kh kw 1 C"]
) -> Float[Array, "B h w C"]:
    """Each channel by itself, a shifted sum over the taps: 10 to 50 times as fast as XLA's. So is
    its input gradient: the transpose that JAX derives, a sum of padded pieces, is slower by far.

    Differentiable any number of times in both.
    """
    return sum(
        part * w[i, j].reshape(1, 1, 1, -1) for (i, j), part in _shifted(geometry, x).items()
    )


def _depthwise_grads(geometry, xw, g):
    x, w = xw

    def correlate(g, taps, stride, pad):
        return depthwise(Geometry(g.shape[1:3], taps.shape[:2], stride, pad), g, taps)

    taps = [jnp.sum(part * g, (0, 1, 2)) for part in _shifted(geometry, x).values()]
    return _by_phase(geometry, g, w, correlate), jnp.stack(taps).reshape(w.shape)


depthwise.defvjp(_keep(depthwise), _depthwise_grads)


def _shifted(geometry, x):
    """Tap (i, j) -> the pixels that it meets, [B, h, w, C]."""
    (kh, kw), (sh, sw), (height, width) = geometry.kernel, geometry.stride, geometry.out
    x = lax.pad(
        x, jnp.zeros((), x.dtype), [(0, 0, 0), *((lo, hi, 0) for lo, hi in geometry.pad), (0, 0, 0)]
    )
    starts = [(i, j) for i in range(kh) for j in range(kw)]

    def part(i, j):
        end = (x.shape[0], i + (height - 1) * sh + 1, j + (width - 1) * sw + 1, x.shape[3])
        return lax.slice(x, (0, i, j, 0), end, (1, sh, sw, 1))

    return {start: part(*start) for start in starts}


def grouped(
    geometry: Geometry,
    x: Float[Array, "B H W I"],
    w: Float[Array, "kh kw I//{groups} O"],
    groups: int,
) -> Float[Array, "B h w O"]:
    """Narrow groups, several merged into a dense convolution whose kernel is 0 between them."""
    kh, kw, width, features = w.shape
    most = max(1, MERGED // width)
    merged = max(m for m in range(1, min(most, groups) + 1) if groups % m == 0)
    w = w.reshape(kh, kw, width, groups // merged, merged, features // groups)
    dense = jnp.einsum("hwinmo,mk->nhwkimo", w, jnp.eye(merged, dtype=w.dtype), precision="highest")
    dense = dense.reshape(groups // merged, kh, kw, merged * width, -1)
    parts = jnp.split(x, groups // merged, 3)
    return jnp.concatenate(
        [convolve(geometry, part, kernel) for part, kernel in zip(parts, dense, strict=True)], 3
    )
