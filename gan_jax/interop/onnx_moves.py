"""JAX's operations that move numbers and compute none, as nodes of an ONNX graph."""

from collections.abc import Sequence

import numpy as np

from gan_jax.interop.onnx_graph import Graph, Value, is_symbol


def broadcast(graph, eqn, x, *sides):
    del sides  # symbols that are given beside it
    shape, places = eqn.params["shape"], eqn.params["broadcast_dimensions"]
    given = eqn.invars[0].aval.shape
    between = [1] * len(shape)
    for side, place in zip(given, places, strict=True):
        between[place] = side
    if len(given) != len(shape):
        x = reshaped(graph, x, between)
    if tuple(between) == tuple(shape):
        return x
    return graph.op("Expand", x, graph.shape(shape))


def reshaped(graph: Graph, x: Value, shape: Sequence) -> Value:
    if isinstance(x, np.ndarray) and not any(map(is_symbol, shape)):
        return x.reshape([int(side) for side in shape])
    return graph.op("Reshape", x, graph.shape(shape))


def reshape(graph, eqn, x, *sides):
    del sides
    return reshaped(graph, x, eqn.params["new_sizes"])


def slice_of(graph, eqn, x):
    p, shape = eqn.params, eqn.invars[0].aval.shape
    strides = p["strides"] or (1,) * len(shape)
    ends = zip(p["start_indices"], p["limit_indices"], strides, shape, strict=True)
    whole = [is_number(first, 0) and last is side and n == 1 for first, last, n, side in ends]
    axes = [axis for axis, all_of_it in enumerate(whole) if not all_of_it]
    starts, stops = (
        graph.shape([p[name][i] for i in axes]) for name in ("start_indices", "limit_indices")
    )
    steps = np.array([strides[i] for i in axes], np.int64)
    return graph.op("Slice", x, starts, stops, np.array(axes, np.int64), steps)


def is_number(side, number):
    return not is_symbol(side) and side == number


def rev(graph, eqn, x):
    axes = np.array(eqn.params["dimensions"], np.int64)
    last, first = np.full(len(axes), -1, np.int64), np.full(len(axes), -(2**62), np.int64)
    return graph.op("Slice", x, last, first, axes, last)


def pad(graph, eqn, x, fill):
    lows, highs, between = zip(*eqn.params["padding_config"], strict=True)
    if any(between) or any(not is_symbol(n) and n < 0 for n in (*lows, *highs)):
        raise ValueError("ONNX: JAX's `pad` with zeros between, or that cuts, is not written here.")
    return graph.op("Pad", x, graph.shape([*lows, *highs]), fill)


def transpose(graph, eqn, x):
    return graph.op("Transpose", x, perm=[int(axis) for axis in eqn.params["permutation"]])


def iota(graph, eqn, *sides):
    shape, axis = eqn.params["shape"], eqn.params["dimension"]
    length = graph.size(shape[axis])
    if isinstance(length, np.ndarray):
        count = np.arange(int(length[0]))
    else:
        last = graph.op("Squeeze", length, np.zeros(1, np.int64))
        count = graph.op("Range", np.int64(0), last, np.int64(1))
    count = graph.cast(count, eqn.params["dtype"])
    between = [1] * len(shape)
    between[axis] = shape[axis]
    if len(shape) > 1:
        count = graph.op("Expand", reshaped(graph, count, between), graph.shape(shape))
    return count


def dim(graph, eqn, *sides):
    size = graph.size(eqn.params["dim"])
    return graph.cast(graph.op("Squeeze", size, np.zeros(1, np.int64)), np.int32)


def split(graph, eqn, x):
    sizes = np.array(eqn.params["sizes"], np.int64)
    found = graph.op("Split", x, sizes, results=len(sizes), axis=int(eqn.params["axis"]))
    return found if len(sizes) > 1 else [found]


def stack(graph, eqn, *values):
    axis = np.array([eqn.params["axis"]], np.int64)
    rows = [graph.op("Unsqueeze", x, axis) for x in values]
    return graph.op("Concat", *rows, axis=int(axis[0]))


def unstack(graph, eqn, x):
    axis, count = int(eqn.params["axis"]), len(eqn.outvars)
    rows = [np.int64(i) for i in range(count)]
    return [graph.op("Gather", x, row, axis=axis) for row in rows]


def tile(graph, eqn, x, *sides):
    return graph.op("Tile", x, graph.shape(eqn.params["reps"]))


def gather(graph, eqn, x, indices, *sides):
    """Slices that begin at one place, or pixels by their row and column."""
    p, shape = eqn.params, eqn.invars[0].aval.shape
    how, at = p["dimension_numbers"], eqn.invars[1].aval.shape
    axes, sizes = how.start_index_map, p["slice_sizes"]
    indices = graph.cast(indices, np.int64)
    if len(at) == 1 and how.operand_batching_dims == ():
        lengths = graph.shape([sizes[axis] for axis in axes])
        both = isinstance(indices, np.ndarray) and isinstance(lengths, np.ndarray)
        stops = indices + lengths if both else graph.op("Add", indices, lengths)
        x = graph.op("Slice", x, indices, stops, np.array(axes, np.int64))
        gone = how.collapsed_slice_dims
        return graph.op("Squeeze", x, np.array(gone, np.int64)) if gone else x
    if axes == how.collapsed_slice_dims and all(sizes[axis] == 1 for axis in axes):
        rest = [i for i in range(len(shape)) if i not in axes]
        if len(axes) == 1 and how.offset_dims == tuple(
            i if i < axes[0] else i + len(at) - 2 for i in rest
        ):
            last = np.array([-1], np.int64)
            return graph.op("Gather", x, graph.op("Squeeze", indices, last), axis=axes[0])
        if axes == (1, 2) and len(shape) == 4 and len(at) == 3 and how.offset_dims == (0, 3):
            width = graph.size(shape[2])
            row, column = graph.op("Split", indices, results=2, axis=2, num_outputs=2)
            place = graph.op("Add", graph.op("Mul", row, width), column)
            place = graph.op("Reshape", place, np.array([-1], np.int64))
            x = graph.op("Reshape", x, graph.shape([shape[0], shape[1] * shape[2], shape[3]]))
            x = graph.op("Gather", x, place, axis=1)
            return graph.op("Reshape", x, graph.shape([shape[0], *at[:2], shape[3]]))
    raise ValueError("ONNX: JAX's `gather` in this form is not written here.")


def concatenate(graph, eqn, *values):
    some = [x for x in values if x is not None]
    return graph.op("Concat", *some, axis=int(eqn.params["dimension"]))
