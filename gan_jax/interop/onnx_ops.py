"""Traced JAX functions -> nodes of an ONNX graph: the primitives that our networks use.

Our own and not `jax2onnx`, for that needs an older orbax-checkpoint than runs are saved by.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from gan_jax.interop import onnx_conv, onnx_fourier, onnx_moves
from gan_jax.interop.onnx_graph import Complex, Graph, Value, is_symbol
from gan_jax.nn import conv

FOLDED = 1 << 16  # numbers in what is computed from constants when a graph is made, at most


def call(graph: Graph, function: Callable, values: Sequence[Value], specs: Sequence) -> list[Value]:
    """The results of a JAX function, in the order of its flattened output, as values of the graph.

    Args:
        values: its arguments.
        specs: jax.ShapeDtypeStruct of each, whose sides may be symbols, or multiples of one.
    Raises:
        ValueError: the function uses a primitive that is none of those here.
    """
    with conv.plain():
        closed = jax.make_jaxpr(function)(*specs)
    for value, spec in zip(values, specs, strict=True):
        graph.bind(value, spec.shape)
    return inline(graph, closed.jaxpr, closed.consts, values)


def inline(graph: Graph, jaxpr: Any, consts: Sequence, values: Sequence[Value]) -> list[Value]:
    """The nodes of a jaxpr of these values."""
    env = {}

    def read(variable):
        if isinstance(variable, jax.extend.core.Literal):
            return _single(np.asarray(variable.val, variable.aval.dtype))
        return env[variable]

    env.update(zip(jaxpr.constvars, (_single(np.asarray(x)) for x in consts), strict=True))
    env.update(zip(jaxpr.invars, values, strict=True))
    for eqn in jaxpr.eqns:
        found = _results(graph, eqn, [read(variable) for variable in eqn.invars])
        env.update(zip(eqn.outvars, found, strict=True))
    return [read(variable) for variable in jaxpr.outvars]


def _results(graph: Graph, eqn: Any, values: list[Value]) -> list[Value]:
    name = eqn.primitive.name
    if all(any(onnx_moves.is_number(side, 0) for side in x.aval.shape) for x in eqn.outvars):
        return [None] * len(eqn.outvars)  # of no pixels, as a border of width 0
    if name in INSIDE:
        inner = eqn.params[INSIDE[name]]
        return inline(graph, inner.jaxpr, inner.consts, values)
    if name not in RULES:
        raise ValueError(
            f"ONNX: the network uses JAX's `{name}`, which is not written as ONNX here. Export it"
            " as stablehlo; or add a rule to gan_jax/interop/onnx_ops.py."
        )
    if _foldable(eqn, values):
        found = eqn.primitive.bind(*values, **eqn.params)
        found = found if eqn.primitive.multiple_results else [found]
        return [np.asarray(x) for x in found]
    found = RULES[name](graph, eqn, *values)
    return found if eqn.primitive.multiple_results else [found]


def _single(x: np.ndarray) -> np.ndarray:
    """bfloat16 as float32, in which all is computed."""
    return x.astype(np.float32) if x.dtype == jax.numpy.bfloat16 else x


def _foldable(eqn, values):
    """Whether it is computed now: of constants, and not much larger than they are."""
    sides = [side for x in eqn.outvars for side in x.aval.shape]
    if any(map(is_symbol, sides)) or not all(isinstance(x, np.ndarray) for x in values):
        return False
    if eqn.primitive.name in ("dim_as_value", "convert_element_type"):
        return False  # the one has no constant, the other is folded by Graph.cast
    largest = max([FOLDED, *(2 * x.size for x in values)])
    return all(x.aval.size <= largest and x.aval.dtype != np.complex64 for x in eqn.outvars)


def _node(kind: str) -> Callable:
    return lambda graph, eqn, *values: graph.op(kind, *values)


def _reduce(kind: str) -> Callable:
    def rule(graph, eqn, x):
        return graph.op(kind, x, np.array(eqn.params["axes"], np.int64), keepdims=0)

    return rule


def _select(graph, eqn, which, *cases):
    if len(cases) != 2 or eqn.invars[0].aval.dtype != np.bool_:
        raise ValueError("ONNX: JAX's `select_n` of more than two is not written here.")
    if (slope := _slope(graph, which, *cases)) is not None:
        return graph.op("PRelu", cases[1], slope)
    return graph.op("Where", which, cases[1], cases[0])


def _slope(graph: Graph, which: Value, below: Value, x: Value) -> np.ndarray | None:
    """The slope below 0, where the cases are those of a leaky ReLU."""
    asked, scaled = (graph.node_of(value) for value in (which, below))
    if asked is None or scaled is None or scaled.op_type != "Mul":
        return None
    if asked.op_type not in ("Greater", "GreaterOrEqual") or asked.input[0] != x:
        return None
    factors = [name for name in scaled.input if name != x]
    zero, slope = (graph.arrays.get(name) for name in (asked.input[1], factors[0]))
    if zero is None or zero.any() or len(factors) != 1 or slope is None:
        return None
    return slope.reshape(-1) if slope.size == max(slope.shape[-1:], default=1) else None


def _max(graph, eqn, x, y):
    least = isinstance(y, np.ndarray) and y.ndim == 0 and y == 0
    return graph.op("Relu", x) if least else graph.op("Max", x, y)


def _cast(graph, eqn, x, *sides):
    del sides
    old, new = eqn.invars[0].aval.dtype, eqn.params["new_dtype"]
    old, new = (np.dtype(np.float32) if t == jax.numpy.bfloat16 else t for t in (old, new))
    return x if old == new else graph.cast(x, new)


def _dot(graph, eqn, x, y):
    (contract_x, contract_y), (batch_x, batch_y) = eqn.params["dimension_numbers"]
    ranks = [variable.aval.ndim for variable in eqn.invars]
    if not batch_x and contract_x == (ranks[0] - 1,) and contract_y == (0,) and ranks[1] == 2:
        return graph.op("MatMul", x, y)
    letters = iter("abcdefghijklmnop")
    of_x, of_y = [""] * ranks[0], [""] * ranks[1]
    for i, j in (*zip(batch_x, batch_y, strict=True), *zip(contract_x, contract_y, strict=True)):
        of_x[i] = of_y[j] = next(letters)
    free = []
    for letters_of, used in ((of_x, {*batch_x, *contract_x}), (of_y, {*batch_y, *contract_y})):
        for i in range(len(letters_of)):
            if i not in used:
                letters_of[i] = next(letters)
                free.append(letters_of[i])
    result = "".join([*(of_x[i] for i in batch_x), *free])
    equation = f"{''.join(of_x)},{''.join(of_y)}->{result}"
    return graph.op("Einsum", x, y, equation=equation)


def _integer_power(graph, eqn, x):
    return graph.op("Pow", x, np.asarray(eqn.params["y"], eqn.invars[0].aval.dtype))


INSIDE = {
    "jit": "jaxpr",
    "custom_jvp_call": "call_jaxpr",
    "custom_vjp_call": "call_jaxpr",
    "remat2": "jaxpr",
}
"""A primitive that stands for a whole function -> the parameter that holds it."""

NODES = {
    "add": "Add",
    "sub": "Sub",
    "mul": "Mul",
    "div": "Div",
    "min": "Min",
    "neg": "Neg",
    "abs": "Abs",
    "exp": "Exp",
    "log": "Log",
    "sqrt": "Sqrt",
    "tanh": "Tanh",
    "logistic": "Sigmoid",
    "floor": "Floor",
    "ceil": "Ceil",
    "eq": "Equal",
    "lt": "Less",
    "le": "LessOrEqual",
    "gt": "Greater",
    "ge": "GreaterOrEqual",
    "and": "And",
    "or": "Or",
    "not": "Not",
    "stop_gradient": "Identity",
    "copy": "Identity",
}

RULES: dict[str, Callable] = {
    **{name: _node(kind) for name, kind in NODES.items()},
    "square": lambda graph, eqn, x: graph.op("Mul", x, x),
    "rsqrt": lambda graph, eqn, x: graph.op("Reciprocal", graph.op("Sqrt", x)),
    "max": _max,
    "expm1": lambda graph, eqn, x: graph.op("Sub", graph.op("Exp", x), np.float32(1)),
    "reduce_window_sum": onnx_conv.window_sum,
    "integer_pow": _integer_power,
    "pow": _node("Pow"),
    "round": _node("Round"),
    "broadcast_in_dim": onnx_moves.broadcast,
    "reshape": onnx_moves.reshape,
    "slice": onnx_moves.slice_of,
    "rev": onnx_moves.rev,
    "pad": onnx_moves.pad,
    "transpose": onnx_moves.transpose,
    "concatenate": onnx_moves.concatenate,
    "split": onnx_moves.split,
    "stack": onnx_moves.stack,
    "unstack": onnx_moves.unstack,
    "tile": onnx_moves.tile,
    "squeeze": lambda graph, eqn, x: onnx_moves.reshaped(graph, x, eqn.outvars[0].aval.shape),
    "expand_dims": lambda graph, eqn, x: onnx_moves.reshaped(graph, x, eqn.outvars[0].aval.shape),
    "reduce_sum": _reduce("ReduceSum"),
    "reduce_max": _reduce("ReduceMax"),
    "reduce_min": _reduce("ReduceMin"),
    "reduce_prod": _reduce("ReduceProd"),
    "select_n": _select,
    "convert_element_type": _cast,
    "iota": onnx_moves.iota,
    "dim_as_value": onnx_moves.dim,
    "dot_general": _dot,
    "gather": onnx_moves.gather,
    "conv_general_dilated": onnx_conv.convolution,
    "fft": onnx_fourier.transform,
    "real": lambda graph, eqn, x: x.real,
    "imag": lambda graph, eqn, x: x.imag,
    "complex": lambda graph, eqn, real, imag: Complex(real, imag),
}
