"""Every convolution of the project: NHWC activations, HWIO kernels, one result on every backend.

On GPU and TPU these are plain `lax` convolutions. On CPU, XLA runs several of them far below the
speed of a matrix product, so they are rewritten: see conv_cpu.py. Those have no forward mode
(jax.jvp): `plain` is for that.
"""

import contextlib
import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from gan_jax.nn import conv_cpu, conv_plain
from gan_jax.nn.conv_plain import Filter, Geometry

Padding = int | tuple[tuple[int, int], tuple[int, int]]

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
        return conv_plain.convolve(geometry, x, w, groups)
    if groups == 1:
        return conv_cpu.convolve(geometry, x, w)
    if groups == x.shape[3] == w.shape[3]:
        return conv_cpu.depthwise(geometry, x, w)
    return conv_cpu.grouped(geometry, x, w, groups)


@_forward_mode_named()
def conv_transpose(
    x: Float[Array, "B h w I"],
    w: Float[Array, "kh kw I O"],
    stride: int = 1,
    padding: Padding = 0,
    size: conv_plain.Size | None = None,
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
    form = conv_cpu if on_cpu() else conv_plain
    return form.input_grad(geometry, x, w)


def upsample_conv(
    x: Float[Array, "B H W I"], w: Float[Array, "3 3 I O"]
) -> Float[Array, "B 2*H 2*W O"]:
    """Nearest-neighbor x2, then a 3x3 convolution.

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
        up: up - 1 zeros follow every pixel; keep the brightness by gain = up ** 2.
        down: every down-th is kept.
        padding: zeros before and after in both directions; below 0, so many are cut off.
    Karras et al. 2020, arXiv:1912.04958, appendix B.
    """
    total = math.fsum(taps)
    taps = tuple(t / total * math.sqrt(gain) for t in taps)
    for axis in (1, 2):
        n = x.shape[axis]
        out = (n * up + sum(padding) - len(taps)) // down + 1
        filtering = Filter(axis, n, out, taps, up, down, padding[0])
        x = (conv_cpu if on_cpu() else conv_plain).fir(filtering, x)
    return x


def pool(x: Float[Array, "B H W C"]) -> Float[Array, "B H//2 W//2 C"]:
    """2x2 average pooling; an odd last row or column is left out."""
    h, w = 2 * (x.shape[1] // 2), 2 * (x.shape[2] // 2)
    return (x[:, :h:2, :w:2] + x[:, 1:h:2, :w:2] + x[:, :h:2, 1:w:2] + x[:, 1:h:2, 1:w:2]) / 4


def upsample(x: Float[Array, "B H W C"]) -> Float[Array, "B 2*H 2*W C"]:
    """Nearest-neighbor x2."""
    b, h, w, c = x.shape
    return jnp.broadcast_to(x[:, :, None, :, None], (b, h, 2, w, 2, c)).reshape(b, 2 * h, 2 * w, c)


def _fold(w):
    """[3, 3, I, O] -> [4, 4, I, O]: the kernel met by the four pixels of a 2x2 cell, summed."""
    return sum(jnp.pad(w, ((i, 1 - i), (j, 1 - j), (0, 0), (0, 0))) for i in (0, 1) for j in (0, 1))


def _geometry(size, w, stride, padding):
    pads = ((padding, padding), (padding, padding)) if isinstance(padding, int) else padding
    return Geometry(tuple(size), tuple(w.shape[:2]), (stride, stride), pads)
