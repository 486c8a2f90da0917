"""Pickled nested dictionaries of NumPy arrays, read without running them."""

import math
import pathlib
from collections.abc import Callable, Mapping

import numpy as np

from gan_jax.runtime.text import shown
from gan_jax.runtime.unpickle import Record, Refused, Unpickler, the
from gan_jax.runtime.weights.limits import Names, bounded
from gan_jax.runtime.weights.pytorch import in_memory

_CODES = {f"{kind}{size}" for kind in "iu" for size in (1, 2, 4, 8)} | {"f2", "f4", "f8", "b1"}


def read(path: pathlib.Path) -> dict[str, np.ndarray]:
    """The arrays; nested dictionaries give dotted names."""

    def storage(pid):
        raise Refused("it refers to something that is not in it.")

    with in_memory(path) as file:
        tree = Unpickler(KNOWN, "dictionaries of NumPy's arrays of numbers").load(file, storage)
    arrays = _flat(tree, Names()) if isinstance(tree, Mapping) else {}
    bounded((x.nbytes for x in arrays.values()), path.stat().st_size)
    return arrays


class _Dtype(Record):
    """numpy.dtype as its code and the state after it have it."""

    def __init__(self, code, *_):
        super().__init__("dtype")
        if the(str, code) not in _CODES:
            raise Refused(f"it holds arrays of {shown(code)[:80]!r}; only numbers are read.")
        self.dtype = np.dtype(code)

    def change(self, state) -> None:
        order = the(tuple, state)[1]
        if order not in ("<", "|"):
            raise Refused("its numbers are big-endian.")


class _Array(Record):
    """An array, once its state is there."""

    def __init__(self, *_):
        super().__init__("array")
        self.array: np.ndarray | None = None

    def change(self, state) -> None:
        _, shape, kind, by_columns, data = the(tuple, state)
        shape, dtype = the(tuple, shape), the(_Dtype, kind).dtype
        if len(shape) > 32 or any(type(n) is not int or n < 0 for n in shape):
            raise ValueError("an array's shape is no short tuple of counts")
        if math.prod(shape) * dtype.itemsize != len(the(bytes, data)):
            raise ValueError(f"an array is {len(data)} bytes long, which is not its shape {shape}")
        order = "F" if the(bool, by_columns) else "C"
        self.array = np.frombuffer(data, dtype).reshape(shape, order=order)


def _bytes(text, encoding):
    if encoding != "latin1":
        raise Refused(f"it encodes text as {shown(the(str, encoding))[:80]!r}.")
    return the(str, text).encode("latin1")


KNOWN: dict[tuple[str, str], Callable | None] = {
    ("numpy.core.multiarray", "_reconstruct"): _Array,
    ("numpy._core.multiarray", "_reconstruct"): _Array,
    ("numpy", "ndarray"): None,
    ("numpy", "dtype"): _Dtype,
    ("_codecs", "encode"): _bytes,
}
"""What such files name, and what a call of it gives; see unpickle.Unpickler."""


def _flat(tree: Mapping, names: Names, prefix: str = "") -> dict[str, np.ndarray]:
    found = {}
    for part, value in names.walk(tree):
        name = names(prefix, part)
        if isinstance(value, Mapping):
            found |= _flat(value, names, name)
        elif isinstance(value, _Array):
            if value.array is None:
                raise ValueError(f"{name} is an array without numbers")
            found[name] = value.array
    return found
