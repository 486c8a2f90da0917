"""What an ONNX file does to pictures before its network and after it, as the samplers do in NumPy.

Pictures are [b, h, w, channels], h and w of any size."""

import numpy as np

from gan_jax.interop.onnx_graph import Graph, Value

WHITE = 255  # under transparent pixels while they are translated, as Stylizer has it


def last(graph: Graph, x: Value, start: int, stop: Value | int) -> Value:
    """x[..., start:stop]."""
    stop = np.array([stop], np.int64) if isinstance(stop, int) else stop
    return graph.op("Slice", x, np.array([start], np.int64), stop, np.array([3], np.int64))


def apart(graph: Graph, image: Value) -> tuple[Value, Value]:
    """(colors, alpha) of uint8 [b, h, w, 3 or 4]; without alpha it is 255."""
    sides = graph.op("Concat", graph.op("Shape", image, end=3), np.array([1], np.int64), axis=0)
    opaque = graph.op("Expand", np.uint8(255), sides)
    both = graph.op("Concat", image, opaque, axis=-1)
    return last(graph, both, 0, 3), last(graph, both, 3, 4)


def with_channels_of(graph: Graph, result: Value, image: Value) -> Value:
    return last(graph, result, 0, graph.side(image, 3))


def over_white(graph: Graph, colors: Value, alpha: Value) -> Value:
    """As data.images.composite: int32 of 0 to 255."""
    colors, alpha = (graph.cast(x, np.int32) for x in (colors, alpha))
    behind = graph.op("Mul", graph.op("Sub", np.int32(255), alpha), np.int32(WHITE))
    total = graph.op("Add", graph.op("Mul", colors, alpha), behind)
    return graph.op("Div", graph.op("Add", total, np.int32(127)), np.int32(255))


def without_white(graph: Graph, made: Value, alpha: Value) -> Value:
    """Floats of 0 to 255 that lie on white -> what the picture's own pixels are, as Stylizer takes
    its background out again."""
    share = graph.op("Div", graph.cast(alpha, np.float32), np.float32(255))
    behind = graph.op("Mul", graph.op("Sub", np.float32(1), share), np.float32(WHITE))
    own = graph.op("Sub", made, behind)
    own = graph.op("Div", own, graph.op("Max", share, np.float32(1 / 255)))
    return graph.op("Where", graph.op("Greater", share, np.float32(0)), own, made)


def in_channels(graph: Graph, colors: Value, channels: int) -> Value:
    """int32 [b, h, w, 3] -> the network's channels, as data.images.in_channels."""
    if channels == 3:
        return colors
    luma = np.array([[0.299], [0.587], [0.114]], np.float32)
    gray = graph.op("MatMul", graph.cast(colors, np.float32), luma)
    return graph.cast(graph.op("Round", gray), np.int32)


def three(graph: Graph, made: Value, channels: int) -> Value:
    """Gray three times, rounded as Stylizer has it."""
    if channels == 3:
        return made
    made = graph.op("Round", made)
    return graph.op("Concat", made, made, made, axis=-1)


def padded(graph: Graph, x: Value, multiple: int) -> Value:
    """As tiling.pad_symmetric."""
    for axis in (1, 2):
        side, m = graph.side(x, axis), np.array([multiple], np.int64)
        more = graph.op("Mod", graph.op("Neg", side), m)
        first, one = np.zeros(1, np.int64), np.ones(1, np.int64)
        whole = graph.op("Squeeze", graph.op("Add", side, more), first)
        twice = graph.op("Mul", side, np.array([2], np.int64))
        place = graph.op("Mod", graph.op("Range", np.int64(0), whole, np.int64(1)), twice)
        back = graph.op("Sub", graph.op("Sub", twice, one), place)
        x = graph.op("Gather", x, graph.op("Min", place, back), axis=axis)
    return x


def cut(graph: Graph, x: Value, image: Value, scale: int = 1) -> Value:
    """x [b, *, *, C] to `scale` times the image's sides."""
    sides = graph.op("Shape", image, start=1, end=3)
    stops = graph.op("Mul", sides, np.array([scale, scale], np.int64))
    return graph.op("Slice", x, np.zeros(2, np.int64), stops, np.array([1, 2], np.int64))


def larger(graph: Graph, alpha: Value, scale: int) -> Value:
    """uint8 [b, h, w, 1], enlarged linearly."""
    x = graph.op("Transpose", graph.cast(alpha, np.float32), perm=[0, 3, 1, 2])
    times = np.array([1, 1, scale, scale], np.float32)
    x = graph.op("Resize", x, None, times, mode="linear")
    return pixels(graph, graph.op("Transpose", x, perm=[0, 2, 3, 1]))


def signed(graph: Graph, x: Value) -> Value:
    """0 to 255 -> [-1, 1]."""
    x = graph.op("Div", graph.cast(x, np.float32), np.float32(127.5))
    return graph.op("Sub", x, np.float32(1))


def of_signed(graph: Graph, x: Value) -> Value:
    """[-1, 1], what lies outside clipped, -> floats of 0 to 255."""
    x = graph.op("Clip", x, np.float32(-1), np.float32(1))
    return graph.op("Mul", graph.op("Add", x, np.float32(1)), np.float32(127.5))


def pixels(graph: Graph, x: Value) -> Value:
    """Floats -> uint8, as data.images.rounded."""
    x = graph.op("Clip", graph.op("Round", x), np.float32(0), np.float32(255))
    return graph.cast(x, np.uint8)
