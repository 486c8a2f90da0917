"""Every convolution of the project: NHWC activations, HWIO kernels, one result on every backend.

On GPU and TPU these are plain `lax` convolutions. On CPU, XLA runs several of them far below the
speed of a matrix product, so they are rewritten: 1x1 and few-channel kernels as dots, large 3x3
ones in Winograd's form, transposed convolutions by output phase, groups merged, depthwise kernels
and FIR filters as shifted sums. A convolution, its input gradient and its kernel gradient are each
linear in both arguments, and each one's derivatives are the other two; so second derivatives
(gradient penalties) are fast too. They have no forward mode (jax.jvp): `plain` is for that. No
control flow: XLA's CPU backend leaves convolution gradients slow inside `lax.cond` and `lax.scan`.
"""

import contextlib
import functools
import math
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from gan_jax.nn import winograd

Padding = int | tuple[tuple[int, int], tuple[int, int]]

FEW = 4  # up to so many channels (RGB, RGBA), a kernel is a dot over its taps
LAYOUT = ("NHWC", "HWIO", "NHWC")
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


# "plain", "cpu" or None: by the backend; JAX's caches of traced programs go by it
_forms = jax.make_user_context(None)


def plain() -> contextlib.AbstractContextManager:
    """A context in which convolutions are traced in plain `lax`, which has forward mode (jvp)."""
    return _forms("plain")


def for_cpu() -> contextlib.AbstractContextManager:
    """A context in which convolutions are traced in the CPU's forms, whatever the backend."""
    return _forms("cpu")


def on_cpu() -> bool:
    """Whether convolutions traced now take the CPU's forms; either form is right anywhere."""
    return (_forms.value or jax.default_backend()) == "cpu"


@contextlib.contextmanager
def _forward_mode_named():
    """JAX's refusal of forward mode, with the way out."""
    try:
        yield
    except TypeError as error:
        if "forward-mode" not in str(error):
            raise
        raise TypeError(
            "the CPU's convolutions have no forward-mode derivatives (jax.jvp, jax.jacfwd,"
            " jax.hessian): take them inside `with gan_jax.nn.conv.plain():`."
        ) from error


@_forward_mode_named()
def conv(
    x: Float[Array, "B H W I"],
    w: Float[Array, "kh kw I//{groups} O"],
    stride: int = 1,
    padding: Padding = 0,
    groups: int = 1,
) -> Float[Array, "B h w O"]:
    """Convolution; padding: zeros on each side."""
    geometry = _geometry(x.shape[1:3], w, stride, padding)
    if not on_cpu():
        return _plain(x, w, geometry, groups)
    if groups == 1:
        return convolve(geometry, x, w)
    if groups == x.shape[3] == w.shape[3]:
        return _depthwise(geometry, x, w)
    return _grouped(geometry, x, w, groups)


@_forward_mode_named()
def conv_transpose(
    x: Float[Array, "B h w I"],
    w: Float[Array, "kh kw I O"],
    stride: int = 1,
    padding: Padding = 0,
    size: tuple[int, int] | None = None,
) -> Float[Array, "B H W O"]:
    """Transposed convolution: the input gradient of `conv` with this kernel.

    Args:
        w: with I and O exchanged, the kernel of the convolution [B, H, W, O] -> [B, h, w, I].
        size: H, W; without it the smallest that fits, stride * (h - 1) + kh less the padding.
    Raises:
        ValueError: a convolution of that size does not give x's.
    """
    if size is None:
        pads = (2 * padding, 2 * padding) if isinstance(padding, int) else map(sum, padding)
        size = (
            stride * (n - 1) + k - p
            for n, k, p in zip(x.shape[1:3], w.shape[:2], pads, strict=True)
        )
    w, geometry = w.swapaxes(2, 3), _geometry(size, w, stride, padding)
    if geometry.out != tuple(x.shape[1:3]):
        raise ValueError(
            f"size={geometry.size}: a convolution of it gives {geometry.out}, but x is"
            f" {tuple(x.shape[1:3])}."
        )
    return input_grad(geometry, x, w) if on_cpu() else _plain_input_grad(geometry, x, w)


def upsample_conv(
    x: Float[Array, "B H W I"], w: Float[Array, "3 3 I O"]
) -> Float[Array, "B 2*H 2*W O"]:
    """Nearest-neighbour x2, then a 3x3 convolution.

    Folded: taps that meet the same pixel are summed; a 4x4 transposed convolution, 16 products an
    input pixel for 36.
    """
    return conv_transpose(x, jnp.flip(_fold(w), (0, 1)), 2, 1)


def conv_pool(
    x: Float[Array, "B H W I"], w: Float[Array, "3 3 I O"]
) -> Float[Array, "B H//2 W//2 O"]:
    """A 3x3 convolution, then 2x2 average pooling.

    Folded into one 4x4 convolution of stride 2: 16 products an output pixel for 36.
    """
    return conv(x, _fold(w) / 4, 2, 1)


@_forward_mode_named()
def resample(
    x: Float[Array, "B H W C"],
    taps: Sequence[float],
    up: int = 1,
    down: int = 1,
    padding: tuple[int, int] = (0, 0),
    gain: float = 1,
) -> Float[Array, "B h w C"]:
    """A separable FIR filter between samplings: zeros put in, padded, filtered, thinned.

    h = (H * up + sum(padding) - len(taps)) // down + 1, and w alike.
    Args:
        taps: of one direction, not mirrored, divided by their sum here.
        up: up - 1 zeros follow every pixel; keep the brightness by gain = up ** 2. down: every
            down-th is kept.
        padding: zeros before and after in both directions; below 0, so many are cut off.
    Karras et al. 2020, arXiv:1912.04958, appendix B.
    """
    total = math.fsum(taps)
    taps = tuple(t / total * math.sqrt(gain) for t in taps)
    for axis in (1, 2):
        n = x.shape[axis]
        out = (n * up + sum(padding) - len(taps)) // down + 1
        filtering = Filter(axis, n, out, taps, up, down, padding[0])
        x = fir(filtering, x) if on_cpu() else _plain_fir(filtering, x)
    return x


def pool(x: Float[Array, "B H W C"]) -> Float[Array, "B H//2 W//2 C"]:
    """2x2 average pooling; an odd last row or column is left out."""
    h, w = 2 * (x.shape[1] // 2), 2 * (x.shape[2] // 2)
    return (x[:, :h:2, :w:2] + x[:, 1:h:2, :w:2] + x[:, :h:2, 1:w:2] + x[:, 1:h:2, 1:w:2]) / 4


def upsample(x: Float[Array, "B H W C"]) -> Float[Array, "B 2*H 2*W C"]:
    """Nearest-neighbour x2."""
    b, h, w, c = x.shape
    return jnp.broadcast_to(x[:, :, None, :, None], (b, h, 2, w, 2, c)).reshape(b, 2 * h, 2 * w, c)


def _fold(w):
    """[3, 3, I, O] -> [4, 4, I, O]: the kernel met by the four pixels of a 2x2 cell, summed."""
    return sum(jnp.pad(w, ((i, 1 - i), (j, 1 - j), (0, 0), (0, 0))) for i in (0, 1) for j in (0, 1))


def _geometry(size, w, stride, padding):
    pads = ((padding, padding), (padding, padding)) if isinstance(padding, int) else padding
    return Geometry(tuple(size), tuple(w.shape[:2]), (stride, stride), pads)


# --- plain lax: what everything below computes, and the form wherever that is not used


def _plain(x, w, geometry, groups=1):
    stride, pad = geometry.stride, geometry.pad
    return lax.conv_general_dilated(
        x, w, stride, pad, dimension_numbers=LAYOUT, feature_group_count=groups
    )


def _plain_input_grad(geometry, g, w):
    x = jax.ShapeDtypeStruct((g.shape[0], *geometry.size, w.shape[2]), g.dtype)
    return jax.linear_transpose(lambda x: _plain(x, w, geometry), x)(g)[0]


def _plain_kernel_grad(geometry, x, g):
    w = jax.ShapeDtypeStruct((*geometry.kernel, x.shape[3], g.shape[3]), x.dtype)
    return jax.linear_transpose(lambda w: _plain(x, w, geometry), w)(g)[0]


def _plain_fir(filtering, x):
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


# --- the CPU's family, closed under differentiation


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
    w = w.swapaxes(2, 3)
    (sh, sw), (height, width) = geometry.stride, geometry.size
    (rows, high), (columns, wide) = _phases(geometry, 0), _phases(geometry, 1)

    def phase(row, column):
        taps = w[row[0] :: sh, column[0] :: sw]
        if 0 in taps.shape:
            return jnp.zeros((g.shape[0], high, wide, w.shape[3]), g.dtype)
        return _correlate(g, jnp.flip(taps, (0, 1)), (1, 1), (row[1], column[1]))

    x = jnp.stack([jnp.stack([phase(row, column) for column in columns], 3) for row in rows], 2)
    return x.reshape(g.shape[0], high * sh, wide * sw, w.shape[3])[:, :height, :width]


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def kernel_grad(
    geometry: Geometry, x: Float[Array, "B H W I"], g: Float[Array, "B h w O"]
) -> Float[Array, "kh kw I O"]:
    """Transpose of `convolve` in w."""
    if _suits_winograd(geometry, x, g.shape[3], most=32):  # its sums over many tiles are slow
        return winograd.kernel_grad(x, g, geometry.pad)
    if geometry.stride != (1, 1) or (g.shape[3] > FEW and geometry.kernel != (1, 1)):
        return _plain_kernel_grad(geometry, x, g)
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
        return _plain(x, w, Geometry(x.shape[1:3], (kh, kw), stride, pad))
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


def _depthwise(geometry, x, w):
    """Each channel by itself, a shifted sum over the taps: 10 to 50 times as fast as XLA's."""
    (sh, sw), (height, width) = geometry.stride, geometry.out
    x = jnp.pad(x, ((0, 0), *geometry.pad, (0, 0)))
    total = 0
    for i in range(geometry.kernel[0]):
        for j in range(geometry.kernel[1]):
            end = (x.shape[0], i + (height - 1) * sh + 1, j + (width - 1) * sw + 1, x.shape[3])
            total = total + lax.slice(x, (0, i, j, 0), end, (1, sh, sw, 1)) * w[i, j].reshape(
                1, 1, 1, -1
            )
    return total


def _grouped(geometry, x, w, groups):
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
