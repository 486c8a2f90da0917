"""An ONNX graph in the making: nodes, constants, and sizes that are known only when it runs."""

import ast
import operator
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 18
IR_VERSION = 9  # of files; the oldest that has what OPSET needs, for older runtimes
HALVED = 256  # float32 constants of at least so many numbers are stored as float16 in a half file
TYPES = {
    np.dtype(np.float32): TensorProto.FLOAT,
    np.dtype(np.int32): TensorProto.INT32,
    np.dtype(np.int64): TensorProto.INT64,
    np.dtype(np.uint8): TensorProto.UINT8,
    np.dtype(np.bool_): TensorProto.BOOL,
}
SIZES = {ast.Add: "Add", ast.Mult: "Mul", ast.Sub: "Sub"}

Value = str | np.ndarray
"""A node's result by its name, or a constant."""


class Complex(NamedTuple):
    """Complex numbers, which ONNX lacks."""

    real: Value
    imag: Value


class Output(NamedTuple):
    """A result of the model. Sides in `shape` as Graph.input takes them."""

    value: Value
    dtype: Any
    shape: Sequence[int | str]


class Graph:
    """Nodes in the order they are added.

    Attributes:
        sizes: {"h": int64 [1]}: what the symbols in shapes stand for; `bind` adds to them.
    """

    def __init__(self):
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[tuple, str] = {}
        self.arrays: dict[str, np.ndarray] = {}
        self.inputs: list[onnx.ValueInfoProto] = []
        self.sizes: dict[str, Value] = {}
        self.found: dict[str, Value] = {}

    def input(self, name: str, dtype: Any, shape: Sequence[int | str]) -> str:
        """An input of the model; a side that is a text is known only when it runs."""
        kind = TYPES[np.dtype(dtype)]
        self.inputs.append(helper.make_tensor_value_info(name, kind, shape))
        return name

    def name(self, value: Value) -> str:
        """The name of a value, a constant's too: equal ones are stored once."""
        if isinstance(value, str):
            return value
        value = np.asarray(value, order="C")
        key = value.dtype.str, value.shape, value.tobytes()
        if key not in self.constants:
            self.constants[key] = f"c{len(self.constants)}"
            self.arrays[self.constants[key]] = value
        return self.constants[key]

    def op(self, kind: str, *values: Value, results: int = 1, **attributes: Any) -> Any:
        """A node's result, or its `results` ones."""
        names = [f"v{len(self.nodes)}" + (f"_{i}" if i else "") for i in range(results)]
        inputs = ["" if value is None else self.name(value) for value in values]
        self.nodes.append(helper.make_node(kind, inputs, names, **attributes))
        return names[0] if results == 1 else names

    def node_of(self, value: Value) -> onnx.NodeProto | None:
        """The node whose only result a value is."""
        if not isinstance(value, str) or not value.startswith("v") or "_" in value:
            return None
        return self.nodes[int(value[1:])]

    def cast(self, value: Value, dtype: Any) -> Value:
        if isinstance(value, np.ndarray):
            return value.astype(dtype)
        return self.op("Cast", value, to=TYPES[np.dtype(dtype)])

    def side(self, value: Value, axis: int) -> Value:
        """int64 [1]: a value's size along an axis."""
        return self.op("Shape", value, start=axis, end=axis + 1)

    def bind(self, value: Value, shape: Sequence[Any]) -> None:
        """What the symbols in a shape stand for is read off a value of that shape. Each of its
        sides is a whole number, a symbol, or a multiple of one, as 32*m."""
        for axis, expression in enumerate(shape):
            if isinstance(expression, int):
                continue
            tree = ast.parse(str(expression), mode="eval").body
            times, symbol = (
                (tree.left.value, tree.right) if isinstance(tree, ast.BinOp) else (1, tree)
            )
            if symbol.id not in self.sizes:
                side = self.side(value, axis)
                self.sizes[symbol.id] = side if times == 1 else self.op("Div", side, _int64(times))

    def size(self, expression: Any) -> Value:
        """int64 [1] of a side, a whole number or what jax.export.symbolic_shape makes of symbols
        that are bound."""
        if isinstance(expression, int | np.integer):
            return _int64(expression)
        text = str(expression)
        if text not in self.found:
            tree = ast.parse(text.replace("^", "**"), mode="eval").body
            self.found[text] = self._evaluated(tree)
        return self.found[text]

    def _evaluated(self, tree: ast.expr) -> Value:
        match tree:
            case ast.Constant(value=int(number)):
                return _int64(number)
            case ast.Name(id=name):
                return self.sizes[name]
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return self._combined("Mul", _int64(-1), self._evaluated(operand))
            case ast.BinOp(left=base, op=ast.Pow(), right=ast.Constant(value=int(power))):
                side = found = self._evaluated(base)
                for _ in range(power - 1):
                    found = self._combined("Mul", found, side)
                return found
            case ast.BinOp(left=left, op=kind, right=right) if type(kind) in SIZES:
                sides = self._evaluated(left), self._evaluated(right)
                return self._combined(SIZES[type(kind)], *sides)
            case ast.Call(func=ast.Name(id=kind), args=[left, right]):
                sides = self._evaluated(left), self._evaluated(right)
                return self._called(kind, *sides)
        raise ValueError(f"ONNX: a side of {ast.unparse(tree)} pixels can't be written.")

    def _called(self, kind: str, left: Value, right: Value) -> Value:
        if kind in ("max", "min"):
            return self._combined(kind.capitalize(), left, right)
        remainder = self._combined("Mod", left, right)  # of the divisor's sign, as Python's
        if kind == "mod":
            return remainder
        if kind == "floordiv":
            return self._combined("Div", self._combined("Sub", left, remainder), right)
        raise ValueError(f"ONNX: a side by {kind}() can't be written.")

    def _combined(self, kind: str, left: Value, right: Value) -> Value:
        if isinstance(left, np.ndarray) and isinstance(right, np.ndarray):
            return FOLDED[kind](left, right)
        return self.op(kind, left, right)

    def shape(self, sides: Sequence[Any]) -> Value:
        """int64 [n] of sides as `size` takes them."""
        found = [self.size(side) for side in sides]
        if all(isinstance(side, np.ndarray) for side in found):
            return np.concatenate([*found, np.zeros(0, np.int64)])
        return self.op("Concat", *found, axis=0)

    def model(
        self, outputs: Mapping[str, Output], metadata: Mapping[str, str], *, half: bool = False
    ) -> onnx.ModelProto:
        """The model, checked.

        Args:
            half: whether large constants are stored as float16; what is computed stays float32.
        """
        ends, results = [], []
        for name, (value, dtype, shape) in outputs.items():
            ends.append(helper.make_node("Identity", [self.name(value)], [name]))
            results.append(helper.make_tensor_value_info(name, TYPES[np.dtype(dtype)], shape))
        nodes, used = _needed([*self.nodes, *ends], outputs)
        weights, casts = [], []
        for name, array in self.arrays.items():
            if name not in used:
                continue
            if half and array.dtype == np.float32 and array.size >= HALVED:
                weights.append(numpy_helper.from_array(array.astype(np.float16), f"{name}_half"))
                casts.append(helper.make_node("Cast", [f"{name}_half"], [name], to=1))
            else:
                weights.append(numpy_helper.from_array(array, name))
        graph = helper.make_graph([*casts, *nodes], "gan_jax", self.inputs, results, weights)
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name="gan_jax",
        )
        helper.set_model_props(model, dict(metadata))
        onnx.checker.check_model(model)
        return model


def _needed(nodes: Sequence[onnx.NodeProto], outputs: Iterable[str]) -> tuple[list, set[str]]:
    """(the nodes that the outputs depend on, in their order; all names that these use)."""
    used, kept = set(outputs), []
    for node in reversed(nodes):
        if used.intersection(node.output):
            used.update(node.input)
            kept.append(node)
    return kept[::-1], used


FOLDED = {
    "Add": operator.add,
    "Sub": operator.sub,
    "Mul": operator.mul,
    "Div": operator.floordiv,
    "Mod": operator.mod,
    "Max": np.maximum,
    "Min": np.minimum,
}


def _int64(number: Any) -> np.ndarray:
    return np.array([int(number)], np.int64)


def is_symbol(side: Any) -> bool:
    """Whether a side is known only when the program runs."""
    return jax.export.is_symbolic_dim(side)
