"""Convolutions as ONNX has them.

A transposed one, `lhs_dilation` in JAX, becomes ordinary ones, one for each place of a result's
pixel between the input's, whose results are put side by side: the same products, and WebGPU is slow
at some shapes of ONNX's ConvTranspose.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from gan_jax.interop.onnx_graph import Graph, Value


def convolution(graph: Graph, eqn: Any, x: Value, kernel: Value) -> Value:
    """JAX's conv_general_dilated; raises ValueError where it is of a form that we do not use."""
    p = eqn.params
    numbers, groups = p["dimension_numbers"], p["feature_group_count"]
    if p["batch_group_count"] != 1:
        raise ValueError("ONNX: a convolution with groups of images is not written here.")
    shape = [eqn.invars[0].aval.shape[i] for i in numbers.lhs_spec]
    x = graph.op("Transpose", x, perm=list(map(int, numbers.lhs_spec)))
    if isinstance(kernel, np.ndarray):
        kernel = kernel.transpose(numbers.rhs_spec)
    else:
        kernel = graph.op("Transpose", kernel, perm=list(map(int, numbers.rhs_spec)))
    pads = [(int(low), int(high)) for low, high in p["padding"]]
    if all(n == 1 for n in p["lhs_dilation"]):
        how = {"strides": list(map(int, p["window_strides"])), "group": int(groups)}
        made = _conv(graph, x, kernel, pads, dilations=list(map(int, p["rhs_dilation"])), **how)
    else:
        made = _transposed(graph, p, x, shape, kernel, pads)
    return graph.op("Transpose", made, perm=list(map(int, np.argsort(numbers.out_spec))))


def window_sum(graph: Graph, eqn: Any, x: Value) -> Value:
    """JAX's reduce_window_sum over rows and columns of [b, h, w, c]."""
    p = eqn.params
    (first, *window, last), (_, *strides, _) = p["window_dimensions"], p["window_strides"]
    lows, highs = zip(*p["padding"][1:3], strict=True)
    dilated = any(n != 1 for n in (*p["base_dilation"], *p["window_dilation"]))
    if len(window) != 2 or first != 1 or last != 1 or dilated:
        raise ValueError("ONNX: JAX's `reduce_window_sum` in this form is not written here.")
    how = {"kernel_shape": list(map(int, window)), "strides": list(map(int, strides))}
    how |= {"pads": list(map(int, (*lows, *highs))), "count_include_pad": 1}
    x = graph.op("Transpose", x, perm=[0, 3, 1, 2])
    mean = graph.op("Transpose", graph.op("AveragePool", x, **how), perm=[0, 2, 3, 1])
    return graph.op("Mul", mean, np.float32(window[0] * window[1]))


def _conv(graph: Graph, x: Value, kernel: Value, pads: Sequence, **how: Any) -> Value:
    """Conv; where a side is padded by less than 0 it is cut."""
    cut = [(i + 2, pad) for i, pad in enumerate(pads) if min(pad) < 0]
    if cut:
        starts = np.array([max(-low, 0) for _, (low, _) in cut], np.int64)
        stops = np.array([high if high < 0 else 2**62 for _, (_, high) in cut], np.int64)
        x = graph.op("Slice", x, starts, stops, np.array([axis for axis, _ in cut], np.int64))
    lows, highs = zip(*pads, strict=True)
    return graph.op("Conv", x, kernel, pads=[max(n, 0) for n in (*lows, *highs)], **how)


def _transposed(graph, p, x, shape, kernel, pads):
    """Of x [b, c, *sides] and kernel [o, c, *taps]; with lhs_dilation s, result pixel s j + phase
    is sum_i kernel[i] x[j + (phase + i - low) / s] over the i that divide."""
    if any(n != 1 for n in (*p["window_strides"], *p["rhs_dilation"])):
        raise ValueError("ONNX: a transposed convolution with strides is not written here.")
    if not isinstance(kernel, np.ndarray):
        raise ValueError("ONNX: a transposed convolution by a kernel that is computed.")
    times, taps = p["lhs_dilation"], kernel.shape[2:]
    # the result has times * side - short pixels along an axis
    short = [
        s - 1 - low - high + k - 1 for s, (low, high), k in zip(times, pads, taps, strict=True)
    ]
    made = []
    for phases in np.ndindex(*times):
        places = [
            _taps(phase, s, low, k)
            for phase, s, (low, _), k in zip(phases, times, pads, taps, strict=True)
        ]
        part = kernel[(slice(None), slice(None), *(slice(i, None, s) for _, i, s in places))]
        around = []
        for (offset, _, s), less, count in zip(places, short, part.shape[2:], strict=True):
            # as many pixels as the first phase has: the last ones are cut off below
            around.append((-offset, offset + count - 1 - less // s))
        made.append(_conv(graph, x, part, around, group=int(p["feature_group_count"])))
    joined = graph.op("Concat", *made, axis=1)
    wide = _depth_to_space(graph, joined, shape, kernel.shape[0], times, short)
    ends = [(i + 2, less % s) for i, (less, s) in enumerate(zip(short, times, strict=True))]
    cut = [(axis, less) for axis, less in ends if less]
    if not cut:
        return wide
    axes, lengths = (np.array(x, np.int64) for x in zip(*cut, strict=True))
    return graph.op("Slice", wide, np.zeros_like(axes), -lengths, axes)


def _taps(phase: int, s: int, low: int, taps: int) -> tuple[int, int, int]:
    """(which pixel of the input, from a result's own, the first tap is of; that tap; steps)."""
    first = (low - phase) % s
    if first >= taps:
        raise ValueError("ONNX: a transposed convolution with fewer taps than its stride.")
    return (phase + first - low) // s, first, s


def _depth_to_space(graph, x, shape, channels, times, short):
    """[b, times * times * channels, *sides] -> [b, channels, *sides * times]."""
    if len(set(times)) == 1 and len(times) == 2:
        return graph.op("DepthToSpace", x, blocksize=int(times[0]), mode="DCR")
    n = len(times)
    sides = [side - less // s for side, less, s in zip(shape[2:], short, times, strict=True)]
    x = graph.op("Reshape", x, graph.shape([shape[0], *times, channels, *sides]))
    order = [0, n + 1, *(axis for i in range(n) for axis in (n + 2 + i, i + 1))]
    x = graph.op("Transpose", x, perm=order)
    wide = [side * s for side, s in zip(sides, times, strict=True)]
    return graph.op("Reshape", x, graph.shape([shape[0], channels, *wide]))
