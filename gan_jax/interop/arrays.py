"""What the converters share: arrays that must be there, and the shapes that ours have."""

import functools
from collections.abc import Mapping
from typing import NamedTuple

import flax.linen as nn
import jax
import numpy as np
from flax import traverse_util

from gan_jax.runtime.text import shown

LEVELS = 12  # of a network at most: sides of 4 to 8192


class Found(NamedTuple):
    """One network, converted."""

    settings: dict[str, object]  # of our module, beside shape and n_classes
    shape: tuple[int, int, int]
    n_classes: int
    variables: dict  # {"params": ..., and collections of state}, float32 numpy
    z_dim: int | None = None  # G's


@functools.lru_cache(maxsize=32)
def leaves(
    net: nn.Module, n_classes: int, shape: tuple[int, ...]
) -> Mapping[str, jax.ShapeDtypeStruct]:
    """Our leaves by dotted path, "params.mapping.fc0.kernel"; shape: of an input."""
    x = jax.ShapeDtypeStruct((1, *shape), np.float32)
    y = jax.ShapeDtypeStruct((1,), np.int32) if n_classes else None
    shapes = jax.eval_shape(net.init, jax.random.key(0), x, y)
    return traverse_util.flatten_dict(dict(shapes), sep=".")


def find(
    arrays: Mapping[str, np.ndarray], name: str, who: str, ndim: int | None = None
) -> np.ndarray:
    """An array that must be there; with `ndim`, of so many axes, none of length 0."""
    if name not in arrays:
        raise ValueError(f"the {who} lacks {name}.")
    if ndim is not None and (arrays[name].ndim != ndim or 0 in arrays[name].shape):
        raise ValueError(f"the {who}'s {name} is {list(arrays[name].shape)}; ours has {ndim} axes.")
    return arrays[name]


def finite(array: np.ndarray, name: str, who: str) -> np.ndarray:
    """As float32."""
    array = np.asarray(array, np.float32, order="C")
    if not np.isfinite(array).all():
        raise ValueError(f"the {who}'s {name} holds NaN or infinity.")
    return array


def checked(flat: Mapping[str, np.ndarray], net: nn.Module, x: jax.Array, who: str) -> dict:
    """Converted leaves by dotted path, nested, once they are those of `net` on inputs like x.

    Raises:
        ValueError: one too many, one that lacks, another shape; names it, and the network, `who`.
    """
    like = traverse_util.flatten_dict(dict(jax.eval_shape(net.init, jax.random.key(0), x)), sep=".")
    for name in {**like, **flat}:
        have, want = (str(list(y[name].shape)) if name in y else "none" for y in (flat, like))
        if have != want:
            raise ValueError(f"{shown(name)} is {have}, and {want} in {who}.")
    return traverse_util.unflatten_dict(flat, sep=".")


def some(names: list[str]) -> str:
    """The first few."""
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
