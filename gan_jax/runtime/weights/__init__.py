"""Other people's weight files -> names and numpy arrays.

Nothing in a file is ever run, and no framework is needed. A kind of file is a function here.
"""

import json
import pathlib

import numpy as np

from gan_jax.runtime.unpickle import Refused
from gan_jax.runtime.weights import keras, ncnn, numpy_pickle, plain, pytorch
from gan_jax.runtime.weights.limits import in_one_line, is_there, other_kind

_READERS = {
    ".pth": pytorch.read,
    ".pt": pytorch.read,
    ".pkl": pytorch.read,
    ".ckpt": numpy_pickle.read,
    ".safetensors": plain.read_safetensors,
    ".npz": plain.read_npz,
    ".h5": keras.read_h5,
    ".json": keras.read_tfjs,
    ".param": ncnn.read_ncnn,
}


def read(path: str | pathlib.Path) -> dict[str, np.ndarray]:
    """All arrays of a file, by name; nested dictionaries give dotted names.

    Args:
        path: PyTorch's .pth, .pt or .pkl (a state dict, both layouts), a .ckpt of pickled nested
            dictionaries of NumPy arrays, .safetensors, .npz, Keras' .h5 (with h5py), a
            TensorFlow.js manifest (*.json, its shards beside it), or ncnn's .param, its .bin beside
            it.
    Raises:
        ValueError: no such file, another kind, truncated or damaged, without arrays, or a pickle
            that names anything but arrays; one line, naming the file and what was found.
    """
    path = pathlib.Path(path).expanduser()
    is_there(path)
    reader = _READERS.get(path.suffix.lower())
    if reader is None and (other := other_kind(path)):
        raise ValueError(f"{path}: this is no file of weights but {other}.")
    if reader is None:
        raise ValueError(f"{path}: no known kind of weights. Known: {', '.join(_READERS)}.")
    with in_one_line(path):
        arrays = reader(path)
        if not arrays:
            raise Refused("no tensors in it.")
        return arrays


def parts(path: str | pathlib.Path) -> list[pathlib.Path]:
    """The files that hold what `read` gave:
    the path itself and, of a TensorFlow.js manifest, its shards, of ncnn's .param its .bin."""
    path = pathlib.Path(path).expanduser()
    if path.suffix.lower() == ".param":
        return [path, ncnn.binary_of(path)]
    groups = json.loads(path.read_text("utf-8")) if path.suffix.lower() == ".json" else []
    return [path, *(shard for group in groups for shard in keras.shards(path, group))]
