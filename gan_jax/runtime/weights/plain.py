"""Files that hold arrays and nothing else: .safetensors and numpy's .npz."""

import math
import pathlib
import zipfile
from typing import BinaryIO

import numpy as np
import safetensors
import safetensors.numpy

from gan_jax.runtime.text import shown
from gan_jax.runtime.unpickle import Refused
from gan_jax.runtime.weights.limits import Names, entries


def read_safetensors(path: pathlib.Path) -> dict[str, np.ndarray]:
    with safetensors.safe_open(path, "numpy") as file:
        names = Names()
        return {names("", name): file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


def read_npz(path: pathlib.Path) -> dict[str, np.ndarray]:
    found, names = {}, Names()
    with zipfile.ZipFile(path) as archive:
        for entry in entries(archive, path).values():
            if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise Refused("its archive is compressed by another method than numpy's.")
            with archive.open(entry) as file:
                name = names("", entry.filename.removesuffix(".npy"))
                found[name] = _npy(file, name)
    return found


def _npy(file: BinaryIO, name: str) -> np.ndarray:
    """An array as numpy's .npy has it; a header that says more than follows it takes no memory."""
    version = np.lib.format.read_magic(file)
    readers = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    shape, by_columns, dtype = readers[version](file)
    if dtype.kind not in "biuf":
        raise Refused(f"its {name} holds {shown(str(dtype))[:80]}; only numbers are read.")
    data = file.read()
    if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize != len(data):
        raise ValueError(f"{name} is {len(data)} bytes long, which is not its shape {shape}")
    return np.frombuffer(data, dtype).reshape(shape, order="F" if by_columns else "C")
