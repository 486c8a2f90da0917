"""The device axis: how an optimizer step speaks of the global batch, under `jit` and under `pmap`
alike.

Under `jit` over a mesh an array is the global batch already, so every function here does nothing.
Under `pmap` a step sees one device's rows; these functions make its statistics and its noise those
of the global batch. So batch statistics are global in both, and the two give the same numbers at an
equal global batch.
"""

from collections.abc import Callable

import jax
from jax import lax
from jax.sharding import PartitionSpec, get_abstract_mesh

NAME = "devices"


def size() -> int:
    """Devices that share this step's batch by `pmap`; 1 where the array is already global."""
    try:
        return lax.axis_size(NAME)
    except NameError:  # JAX's word for "no such axis here": not inside pmap
        return 1


def mean(tree):
    """Mean of every leaf over the devices: of batch statistics, metrics and gradients."""
    return lax.pmean(tree, NAME) if size() > 1 else tree


def gather(x: jax.Array) -> jax.Array:
    """This device's rows -> the rows of all, in the batch's order."""
    return lax.all_gather(x, NAME, tiled=True) if size() > 1 else x


def draw(sample: Callable[[int], jax.Array], rows: int) -> jax.Array:
    """This device's rows of one global random draw: `sample(n)` returns n rows; every device draws
    all and keeps its own.

    Under `jit` over a mesh they are sharded like the data's rows: XLA would give every device all
    of them.
    """
    if size() == 1:
        devices, drawn = get_abstract_mesh().shape.get(NAME, 1), sample(rows)
        if devices == 1 or rows % devices:
            return drawn
        return lax.with_sharding_constraint(drawn, PartitionSpec(NAME))
    return lax.dynamic_slice_in_dim(sample(rows * size()), lax.axis_index(NAME) * rows, rows)
