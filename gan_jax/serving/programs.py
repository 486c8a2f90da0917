"""A network's compiled programs, one a function and shape: the last few that were used are kept, so
that memory stays flat whatever sizes are asked for."""

import collections
from collections.abc import Callable, Hashable, Mapping
from typing import NamedTuple

import jax
import numpy as np

from gan_jax.state import PyTree

Call = tuple[Hashable, ...]
"""A function's name and its settings, each of which is compiled by itself."""


class Network(NamedTuple):
    """Attributes:
    weights: first argument of all functions, on the device.
    functions: by name, (weights, *rows, *settings) -> rows; rows are trees of arrays with one
        leading axis, along which nothing is mixed.
    most_pixels: of all pictures in a batch.
    pixels: of a picture that a row without pictures becomes.
    """

    weights: PyTree
    functions: Mapping[str, Callable]
    most_pixels: int
    pixels: int = 1


class Programs:
    """Calls functions of a network on rows.

    Args:
        most: programs that are kept.
    Attributes:
        compiled: how many have been compiled so far.
    """

    def __init__(self, network: Network, most: int):
        self.network, self.most, self.compiled = network, most, 0
        self._kept: collections.OrderedDict = collections.OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def __call__(self, call: Call, rows: PyTree) -> PyTree:
        """The function of (weights, *rows, *settings), as numpy arrays."""
        key = call, signature(rows)
        if key not in self._kept:
            name, *settings = call
            # its own wrapper: what JAX keeps of a program goes with it
            function = jax.jit(lambda *args: self.network.functions[name](*args, *settings))
            program = function.lower(self.network.weights, *rows).compile()
            self.compiled += 1
            self._kept[key] = program
        self._kept.move_to_end(key)
        while len(self._kept) > self.most:
            self._kept.popitem(last=False)
        return jax.device_get(self._kept[key](self.network.weights, *rows))


def signature(rows: PyTree) -> tuple:
    """What a program is compiled for: the tree and its arrays' shapes and types."""
    leaves, tree = jax.tree.flatten(rows)
    return tree, tuple((x.shape, str(x.dtype)) for x in leaves)


def side(n: int) -> int:
    """The next of 1, 2, 3, 4, 6, 8, 12, 16, 24 ...: powers of two, and those and a half."""
    power = 1 << (n - 1).bit_length()
    return power * 3 // 4 if n <= power * 3 // 4 else power


def padded(x: np.ndarray, multiple: int) -> np.ndarray:
    """x [n, H, W, C] with sides of `side` multiples, by reflection at the right and bottom: so few
    different ones are compiled."""
    more = [side(-(-size // multiple)) * multiple - size for size in x.shape[1:3]]
    return np.pad(x, ((0, 0), (0, more[0]), (0, more[1]), (0, 0)), "symmetric") if any(more) else x
