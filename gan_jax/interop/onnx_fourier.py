"""The Fourier transforms of pictures as products of matrices, exact for any size: ONNX's own DFT is
in no browser."""

from typing import Any

import jax
import numpy as np

from gan_jax.interop.onnx_graph import Complex, Graph, Value


def transform(graph: Graph, eqn: Any, x: Value | Complex) -> Value | Complex:
    """JAX's fft of the last two axes: real -> half the frequencies, or back. Raises ValueError for
    other forms."""
    kind, lengths = eqn.params["fft_type"], eqn.params["fft_lengths"]
    if len(lengths) != 2 or kind not in (jax.lax.FftType.RFFT, jax.lax.FftType.IRFFT):
        raise ValueError("ONNX: a Fourier transform of this form is not written here.")
    height, width = map(graph.size, lengths)
    half = graph.size(lengths[1] // 2 + 1)
    if kind == jax.lax.FftType.RFFT:
        cos, sin = _waves(graph, width, half, width)
        real, imag = graph.op("MatMul", x, cos), graph.op("Neg", graph.op("MatMul", x, sin))
        cos, sin = _waves(graph, height, height, height)
        return Complex(*_product(graph, cos, graph.op("Neg", sin), real, imag))
    cos, sin = _waves(graph, height, height, height)
    real, imag = _product(graph, cos, sin, x.real, x.imag)
    cos, sin = _waves(graph, half, width, width)
    # frequencies but the first, and the last of an even width, stand for two
    place = _range(graph, half)
    twice = graph.op("Mod", graph.op("Mul", place, np.array([2], np.int64)), width)
    one = graph.op("Equal", twice, np.zeros(1, np.int64))
    weight = graph.op("Where", one, np.ones(1, np.float32), np.full(1, 2, np.float32))
    weight = graph.op("Div", weight, graph.cast(graph.op("Mul", height, width), np.float32))
    weight = graph.op("Unsqueeze", weight, np.array([1], np.int64))
    cos, sin = graph.op("Mul", cos, weight), graph.op("Mul", sin, weight)
    return graph.op("Sub", graph.op("MatMul", real, cos), graph.op("MatMul", imag, sin))


def _product(graph, cos, sin, real, imag):
    """(cos + i sin) @ (real + i imag)."""
    return (
        graph.op("Sub", graph.op("MatMul", cos, real), graph.op("MatMul", sin, imag)),
        graph.op("Add", graph.op("MatMul", cos, imag), graph.op("MatMul", sin, real)),
    )


def _waves(graph, rows, columns, period):
    """cos and sin [rows, columns] of 2 pi i j / period; the product is taken modulo the period as
    whole numbers, so that the angle is exact."""
    i = graph.op("Unsqueeze", _range(graph, rows), np.array([1], np.int64))
    turns = graph.op("Mod", graph.op("Mul", i, _range(graph, columns)), period)
    share = graph.op("Div", graph.cast(turns, np.float32), graph.cast(period, np.float32))
    angle = graph.op("Mul", share, np.array([2 * np.pi], np.float32))
    return graph.op("Cos", angle), graph.op("Sin", angle)


def _range(graph, count):
    if isinstance(count, np.ndarray):
        return np.arange(int(count[0]))
    last = graph.op("Squeeze", count, np.zeros(1, np.int64))
    return graph.op("Range", np.int64(0), last, np.int64(1))
