"""Other people's weight files -> names and numpy arrays. Nothing in a file is ever run, and no framework is needed."""

import collections
import contextlib
import hashlib
import io
import json
import math
import pathlib
import pickle
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import numpy as np
import safetensors
import safetensors.numpy

_MAGIC = 0x1950A86A20F9469CFC6C  # opens a .pth of PyTorch before 1.6
_STORAGES = {
    "FloatStorage": np.float32, "DoubleStorage": np.float64, "HalfStorage": np.float16, "LongStorage": np.int64,
    "IntStorage": np.int32, "ShortStorage": np.int16, "CharStorage": np.int8, "ByteStorage": np.uint8,
    "BoolStorage": np.bool_,
}  # fmt: skip
_DAMAGED = (
    pickle.UnpicklingError, EOFError, OSError, ValueError, KeyError, IndexError, AttributeError, TypeError, struct.error,
    OverflowError, MemoryError, RuntimeError, zipfile.BadZipFile, zlib.error, safetensors.SafetensorError,
)  # fmt: skip
"""What the readers raise on bytes that are not what they claim to be."""


class Refused(ValueError):
    """The file holds what no file of weights needs to hold."""


def read(path: str | pathlib.Path) -> dict[str, np.ndarray]:
    """All arrays of a file, by name; nested dictionaries give dotted names.

    Args:
        path: PyTorch's .pth, .pt or .pkl (a state dict, both layouts), .safetensors, .npz, Keras' .h5 (with h5py), or a
            TensorFlow.js manifest (*.json, its shards beside it).
    Raises:
        ValueError: no such file, another kind, truncated or damaged, or a pickle that names anything but tensors; one
            line, naming the file and what was found.
    """
    path = pathlib.Path(path).expanduser()
    if not path.is_file():
        raise ValueError(f"{path}: no such file of weights.")
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise ValueError(f"{path}: no known kind of weights. Known: {', '.join(_READERS)}.")
    with in_one_line(path):
        return reader(path)


@contextlib.contextmanager
def in_one_line(path: pathlib.Path) -> Iterator[None]:
    """Whatever is wrong with the file at `path` becomes a ValueError of one line that names it."""
    try:
        yield
    except Refused as error:
        raise ValueError(f"{path}: {error}") from error
    except _DAMAGED as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(f"{path}: truncated, damaged or no {path.suffix} file ({reason}).") from error


def parts(path: str | pathlib.Path) -> list[pathlib.Path]:
    """The files that hold what `read` gave: the path itself and, of a TensorFlow.js manifest, its shards."""
    path = pathlib.Path(path).expanduser()
    groups = json.loads(path.read_text()) if path.suffix.lower() == ".json" else []
    return [path, *(shard for group in groups for shard in _shards(path, group))]


def sha256(path: str | pathlib.Path) -> str:
    with pathlib.Path(path).expanduser().open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def flat(tree: Mapping, prefix: str = "") -> dict[str, np.ndarray]:
    """Arrays of nested dictionaries by dotted name; what is no array (counts, settings) is left out."""
    found = {}
    for name, value in tree.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{prefix}{name}.")
        elif isinstance(value, np.ndarray):
            found[f"{prefix}{name}"] = value
    return found


class Storage:
    """A tensor's memory, filled when its bytes are read: legacy files hold them after the pickle."""

    def __init__(self, dtype: type, size: int, array: np.ndarray | None = None):
        self.dtype, self.size, self.array = np.dtype(dtype), size, array

    def __setstate__(self, state):
        raise Refused("it changes a storage after the fact. Refused; nothing was run.")

    def view(self, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> np.ndarray:
        if self.array is None or len(shape) != len(strides) or min((*shape, *strides, offset), default=0) < 0:
            raise ValueError("a tensor without storage, or with impossible strides")
        if math.prod(shape) > len(self.array):
            raise ValueError("a tensor larger than its storage")
        if 0 in shape:
            return np.zeros(shape, self.dtype)
        size = self.dtype.itemsize  # numpy checks that all of it lies within the buffer
        return np.ndarray(shape, self.dtype, self.array, offset * size, [s * size for s in strides]).copy()


class Late(NamedTuple):
    """A tensor whose storage may come later."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def array(self) -> np.ndarray:
        return self.storage.view(self.offset, self.shape, self.strides)


class _StorageType(NamedTuple):
    dtype: type


def _rebuild_tensor(storage, offset, shape, strides, *_):
    if not isinstance(storage, Storage):
        raise Refused("it makes a tensor of something that is no storage. Refused; nothing was run.")
    return Late(storage, int(offset), tuple(map(int, shape)), tuple(map(int, strides)))


def _rebuild_parameter(tensor, *_):
    return tensor


ALLOWED: dict[tuple[str, str], object] = {
    ("collections", "OrderedDict"): collections.OrderedDict,
    ("torch._utils", "_rebuild_tensor"): _rebuild_tensor,
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
    ("torch._utils", "_rebuild_parameter"): _rebuild_parameter,
    ("torch.nn.parameter", "Parameter"): _rebuild_parameter,
    ("torch", "Size"): tuple,
} | {("torch", name): _StorageType(dtype) for name, dtype in _STORAGES.items()}


class Unpickler(pickle.Unpickler):
    """Builds dictionaries of tensors; any other global in the file is refused by its name, and not imported.

    A subclass may know more globals: `allowed` gives what stands in for each, `reads` says in words what is read.
    """

    allowed = ALLOWED
    reads = "dictionaries of plain float, int and bool tensors"

    def __init__(self, file: io.BufferedIOBase, storage: Callable[[tuple], Storage]):
        super().__init__(file, encoding="latin1")
        self._storage = storage

    def find_class(self, module: str, name: str):
        if (module, name) not in self.allowed:
            raise Refused(f"it asks for {module}.{name}; only {self.reads} are read. Refused; nothing was run.")
        return self.allowed[module, name]

    def persistent_load(self, pid):
        if not (isinstance(pid, tuple) and len(pid) >= 5 and pid[0] == "storage" and isinstance(pid[1], _StorageType)):
            raise Refused(f"it refers to {str(pid)[:80]!r}, which is no tensor's storage. Refused; nothing was run.")
        return self._storage(pid)


def _torch(path: pathlib.Path) -> dict[str, np.ndarray]:
    tree = torch_tree(path)
    arrays = flat(_resolved(tree) if isinstance(tree, Mapping) else {})
    if not arrays:
        raise Refused("no tensors in it.")
    return arrays


def torch_tree(path: pathlib.Path, unpickler: type[Unpickler] = Unpickler):
    """What torch.save wrote, in either layout; its tensors are `Late`."""
    if zipfile.is_zipfile(path):
        return _torch_zip(path, unpickler)
    with path.open("rb") as file:
        return torch_legacy(file, unpickler)


def _torch_zip(path, unpickler):
    with zipfile.ZipFile(path) as archive:
        entries = {entry.filename: entry for entry in archive.infolist()}
        pickled = next((name for name in entries if name == "data.pkl" or name.endswith("/data.pkl")), None)
        if pickled is None:
            raise Refused("a zip archive, but not PyTorch's: no data.pkl in it.")
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries.values()):
            raise Refused("its archive is compressed, as PyTorch's never are.")
        root = pickled.removesuffix("data.pkl")
        if f"{root}byteorder" in entries and archive.read(f"{root}byteorder") != b"little":
            raise Refused("its numbers are big-endian.")
        storages: dict[str, Storage] = {}

        def storage(pid):
            _, kind, key, _, size, *_ = pid
            if key not in storages:
                data = np.frombuffer(archive.read(f"{root}data/{key}"), kind.dtype)
                if len(data) != size:
                    raise ValueError(f"storage {key} has {len(data)} numbers, {size} are declared")
                storages[key] = Storage(kind.dtype, size, data)
            return storages[key]

        return unpickler(io.BytesIO(archive.read(pickled)), storage).load()


def torch_legacy(file: io.BufferedIOBase, unpickler: type[Unpickler] = Unpickler):
    """What torch.save wrote before PyTorch 1.6, and writes inside plain pickles still."""
    storages: dict[str, Storage] = {}

    def storage(pid):
        _, kind, key, _, size, *view = pid
        if view and view[0] is not None:
            raise Refused("it holds views of storages, a layout of PyTorch before 0.4.")
        return storages.setdefault(key, Storage(kind.dtype, size))

    plain = lambda: unpickler(file, storage).load()
    if plain() != _MAGIC:
        raise ValueError("no PyTorch file")
    plain()  # the protocol's version
    if not plain()["little_endian"]:
        raise Refused("its numbers are big-endian.")
    tree, keys = plain(), plain()
    for key in keys:
        (size,) = struct.unpack("<q", file.read(8))
        if key not in storages:
            raise ValueError(f"storage {key} is of no tensor")
        wanted = storages[key]
        data = file.read(wanted.size * wanted.dtype.itemsize)
        if size != wanted.size or len(data) != wanted.size * wanted.dtype.itemsize:
            raise ValueError(f"storage {key} is cut short")
        wanted.array = np.frombuffer(data, wanted.dtype)
    return tree


def _resolved(tree):
    if isinstance(tree, Mapping):
        return {str(name): _resolved(value) for name, value in tree.items()}
    return tree.array() if isinstance(tree, Late) else tree


def _npz(path):
    with np.load(path, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


def _h5(path):
    try:
        import h5py
    except ImportError as error:
        raise Refused("reading it needs h5py: pip install h5py.") from error
    found = {}

    def visit(name, item):
        if isinstance(item, h5py.Dataset) and item.dtype.kind in "biuf":
            found[name.replace("/", ".")] = np.asarray(item[()])

    with h5py.File(path, "r") as file:
        file.visititems(visit)
    return found


def _shards(path, group):
    return [path.parent / pathlib.PurePath(part).name for part in group["paths"]]


def _tfjs(path):
    """Weights are float32, or integers scaled: scale * q + min."""
    groups = json.loads(path.read_text())
    found = {}
    for group in groups:
        data = b"".join(part.read_bytes() for part in _shards(path, group))
        place = 0
        for weight in group["weights"]:
            quantised = weight.get("quantization")
            dtype = np.dtype(quantised["dtype"] if quantised else weight["dtype"]).newbyteorder("<")
            count = math.prod(weight["shape"])
            if place + count * dtype.itemsize > len(data):
                raise ValueError(f"{weight['name']} reaches past the shards")
            array = np.frombuffer(data, dtype, count, place).reshape(weight["shape"])
            place += count * dtype.itemsize
            if quantised:
                scale, least = (np.float32(quantised.get(key, default)) for key, default in (("scale", 1), ("min", 0)))
                array = array.astype(np.float32) * scale + least
            found[weight["name"].replace("/", ".")] = array.astype(array.dtype.newbyteorder("="))
    return found


_READERS = {
    ".pth": _torch,
    ".pt": _torch,
    ".pkl": _torch,
    ".safetensors": lambda path: safetensors.numpy.load_file(path),
    ".npz": _npz,
    ".h5": _h5,
    ".json": _tfjs,
}
