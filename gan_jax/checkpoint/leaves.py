"""A state as leaves with names, and the leaves of a saved step."""

import math
import pathlib

import jax
import numpy as np
import orbax.checkpoint as ocp
from etils import epath
from flax import traverse_util

from gan_jax.checkpoint import shared
from gan_jax.checkpoint.steps import read_meta
from gan_jax.runtime.weights import limits
from gan_jax.state import PyTree


def named(tree: PyTree) -> dict[str, jax.Array]:
    """Leaves by their path, "g/params/g/Dense_0/kernel"."""
    found = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in found}


def read(path: str | pathlib.Path, prefixes: tuple[str, ...]) -> tuple[dict[str, np.ndarray], dict]:
    """(the leaves of a step whose names start with a prefix, as numpy, whatever devices they were
    on; its meta).

    Args:
        path: the folder of a step (`find` gives it).
        prefixes: "ema/", "g/params/".
    Raises:
        ValueError: its metadata ask for more memory than the files can mean.
    """
    path = pathlib.Path(path).absolute()
    if shared.is_shared(path):
        return shared.read(path, prefixes)
    saved = leaves_of(path)
    with limits.in_one_line(path):
        on_disk = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
        limits.bounded(map(_bytes_to_read, saved.values()), on_disk)
    item = {
        name: jax.ShapeDtypeStruct(x.shape, x.dtype)
        for name, x in saved.items()
        if name.startswith(prefixes)
    }
    how = {name: ocp.RestoreArgs(restore_type=np.ndarray) for name in item}
    args = ocp.args.PyTreeRestore(item=nest(item), restore_args=nest(how), partial_restore=True)
    with ocp.Checkpointer(ocp.PyTreeCheckpointHandler()) as checkpointer:
        tree = checkpointer.restore(path / "state", args=args)
    return traverse_util.flatten_dict(tree, sep="/"), read_meta(path)


def compare(wanted: dict, saved: dict, path: pathlib.Path) -> None:
    """Raises ValueError naming the first leaf in which a checkpoint (name -> (shape, dtype)) and a
    state differ."""
    for name in [*wanted, *(n for n in saved if n not in wanted)]:
        have = f"{saved[name][1]}{list(saved[name][0])}" if name in saved else "no such leaf"
        want = (
            f"{wanted[name].dtype}{list(wanted[name].shape)}" if name in wanted else "no such leaf"
        )
        if have != want:
            raise ValueError(
                f"the config does not fit the checkpoint {path}: {name} is {have} there and {want}"
                " here. Use the config that made it, or another --workdir; config.init_from takes"
                " over what does fit."
            )


def leaves_of(path: pathlib.Path) -> dict:
    """Name -> orbax's metadata (shape, dtype) of every leaf of a step."""
    handler = ocp.PyTreeCheckpointHandler()
    return traverse_util.flatten_dict(handler.metadata(epath.Path(path / "state")).tree, sep="/")


def nest(flat: dict) -> dict:
    """Leaves by their path -> a tree of dicts."""
    return traverse_util.unflatten_dict(flat, sep="/")


def _bytes_to_read(leaf) -> int:
    """Of a leaf, from its metadata: chunks are read whole, though they be larger than the leaf."""
    stored = math.prod(leaf.storage.chunk_shape or leaf.shape)
    return max(math.prod(leaf.shape), stored) * leaf.dtype.itemsize
