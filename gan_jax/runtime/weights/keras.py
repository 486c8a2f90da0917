"""Keras' .h5, and TensorFlow.js' manifests with their shards."""

import json
import math
import pathlib
from collections.abc import Mapping

import numpy as np

from gan_jax.runtime.text import shown
from gan_jax.runtime.unpickle import Refused
from gan_jax.runtime.weights.limits import Names, bounded


def read_h5(path: pathlib.Path) -> dict[str, np.ndarray]:
    try:
        import h5py
    except ImportError as error:
        raise Refused("reading it needs h5py: pip install h5py.") from error
    names, wanted = Names(), {}

    def visit(place, item):  # what links lead to, in this file or another, is not visited
        name = names("", place.replace("/", "."))
        if isinstance(item, h5py.Dataset) and item.dtype.kind in "biuf":
            if item.external or item.is_virtual:
                raise Refused(f"its {name} is kept in other files, which are not read. Refused.")
            wanted[name] = item

    with h5py.File(path, "r") as file:
        file.visititems(visit)
        # a chunk is read as a whole, and may be larger than the array
        chunks = (math.prod(item.chunks or ()) * item.dtype.itemsize for item in wanted.values())
        arrays = (item.nbytes for item in wanted.values())
        bounded(map(max, arrays, chunks), path.stat().st_size)
        return {name: np.asarray(item[()]) for name, item in wanted.items()}


def read_tfjs(path: pathlib.Path) -> dict[str, np.ndarray]:
    """Weights are float32, or integers scaled: scale * q + min."""
    groups = json.loads(path.read_text("utf-8"))
    every = [shard for group in groups for shard in shards(path, group)]
    for shard in every:
        if not shard.is_file():
            raise ValueError(f"no file {shown(shard.name)}")
    if len(set(every)) < len(every):
        raise ValueError("a shard twice")
    found, names = {}, Names()
    for group in groups:
        data, place = b"".join(part.read_bytes() for part in shards(path, group)), 0
        for weight in group["weights"]:
            name = names("", weight["name"].replace("/", "."))
            found[name], place = _weight(weight, name, data, place)
    return found


def shards(path: pathlib.Path, group: Mapping) -> list[pathlib.Path]:
    """The files of one group of a manifest, all beside it."""
    return [path.parent / pathlib.PurePath(part).name for part in group["paths"]]


def _weight(weight: Mapping, name: str, data: bytes, place: int) -> tuple[np.ndarray, int]:
    """The array that starts at `place` of the shards' bytes, and where it ends."""
    quantized, shape = weight.get("quantization"), weight["shape"]
    dtype = np.dtype(quantized["dtype"] if quantized else weight["dtype"]).newbyteorder("<")
    if dtype.kind not in "biuf" or not all(type(n) is int and 0 <= n < 2**32 for n in shape):
        raise ValueError(f"{name} has no shape of numbers")
    count = math.prod(shape)
    end = place + count * dtype.itemsize
    if end > len(data):
        raise ValueError(f"{name} reaches past the shards")
    array = np.frombuffer(data, dtype, count, place).reshape(shape)
    if quantized:
        scale, least = (
            np.float32(quantized.get(part, default)) for part, default in (("scale", 1), ("min", 0))
        )
        array = array.astype(np.float32) * scale + least
    return array.astype(array.dtype.newbyteorder("=")), end
