"""PyTorch's files of tensors, in both layouts, read without PyTorch and without running them."""

import contextlib
import io
import math
import mmap
import pathlib
import struct
import zipfile
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import numpy as np

from gan_jax.runtime.text import shown
from gan_jax.runtime.unpickle import Named, Record, Refused, Unpickler, key, the
from gan_jax.runtime.weights.limits import Names, bounded, entries

_MAGIC = 0x1950A86A20F9469CFC6C  # opens a .pth of PyTorch before 1.6
_STORAGES = {
    "FloatStorage": np.float32,
    "DoubleStorage": np.float64,
    "HalfStorage": np.float16,
    "LongStorage": np.int64,
    "IntStorage": np.int32,
    "ShortStorage": np.int16,
    "CharStorage": np.int8,
    "ByteStorage": np.uint8,
    "BoolStorage": np.bool_,
}


def read(path: pathlib.Path) -> dict[str, np.ndarray]:
    """The tensors of a state dict; nested dictionaries give dotted names. Of a program
    (TorchScript) those of its modules, by their names; its code is not read."""
    tree = read_tree(path, Unpickler(_Known(KNOWN), TENSORS))
    tree = tree.state if isinstance(tree, Record) else tree
    arrays = flat(tree, Names()) if isinstance(tree, Mapping) else {}
    bounded((x.nbytes for x in arrays.values()), path.stat().st_size)
    return arrays


def flat(tree: Mapping, names: Names, prefix: str = "") -> dict[str, np.ndarray]:
    """Tensors of nested dictionaries by dotted name;
    what is no tensor (counts, settings) is left out."""
    found = {}
    for part, value in names.walk(tree):
        name = names(prefix, part)
        value = value.state if isinstance(value, Record) else value
        if isinstance(value, Mapping):
            found |= flat(value, names, name)
        elif isinstance(value, LazyTensor):
            found[name] = value.materialize()
    return found


class Storage:
    """A tensor's memory, filled when its bytes are read:
    legacy files hold them after the pickle."""

    def __init__(self, dtype: type, size: int, array: np.ndarray | None = None):
        self.dtype, self.size, self.array = np.dtype(dtype), size, array

    def view(self, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> np.ndarray:
        """No copy: a thousand views of one storage take no more than it does."""
        numbers = (*shape, *strides, offset)
        if (
            self.array is None
            or len(shape) != len(strides)
            or not all(0 <= n < 2**48 for n in numbers)
        ):
            raise ValueError("a tensor without storage, or with impossible strides")
        if math.prod(n for n in shape if n) > len(self.array):
            raise ValueError("a tensor larger than its storage")
        if 0 in shape:
            return np.zeros(shape, self.dtype)
        size = self.dtype.itemsize  # numpy checks that all of it lies within the buffer
        return np.ndarray(shape, self.dtype, self.array, offset * size, [s * size for s in strides])


class LazyTensor(NamedTuple):
    """A tensor whose numbers may not have been read yet; `materialize` once they are."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def materialize(self) -> np.ndarray:
        return self.storage.view(self.offset, self.shape, self.strides)


def _rebuild_tensor(storage, offset, shape, strides, *_):
    if type(storage) is not Storage:
        raise Refused(
            "it makes a tensor of something that is no storage. Refused; nothing was run."
        )
    if type(shape) is not tuple or type(strides) is not tuple or len(shape) > 32:
        raise ValueError("a tensor's shape is no short tuple")
    if any(type(n) is not int for n in (offset, *shape, *strides)):
        raise ValueError("a tensor's shape has what is no number")
    return LazyTensor(storage, offset, shape, strides)


def _rebuild_parameter(tensor, *_):
    return tensor


def _rebuild_dictionary(pairs=None):
    return {key(name): value for name, value in the(list, pairs or [])}


KNOWN: dict[tuple[str, str], Callable | None] = {
    ("collections", "OrderedDict"): _rebuild_dictionary,
    ("torch._utils", "_rebuild_tensor"): _rebuild_tensor,
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
    ("torch._utils", "_rebuild_parameter"): _rebuild_parameter,
    ("torch.nn.parameter", "Parameter"): _rebuild_parameter,
    ("torch", "Size"): lambda sizes: the(tuple, sizes),
} | {("torch", name): None for name in _STORAGES}
"""What files of tensors name, and what a call of it gives; see unpickle.Unpickler."""
TENSORS = "dictionaries of plain float, int and bool tensors"
_PROGRAM = "__torch__"


class _Known(dict):
    """Those, and the modules of a program, whose classes' names begin with _PROGRAM: a call gives a
    Record of what the file says of one."""

    def __contains__(self, name):
        return super().__contains__(name) or name[0].partition(".")[0] == _PROGRAM

    def __missing__(self, name):
        return lambda *_: Record(".".join(name))


def _persistent(storage: Callable[[str, type, int], Storage]) -> Callable[[object], Storage]:
    """What stands for a pickle's ("storage", type, key, place, size, ...):
    storage(key, dtype, size)."""

    def found(pid):
        whole = type(pid) is tuple and len(pid) in (5, 6) and pid[0] == "storage"
        if not (whole and type(pid[1]) is Named and pid[1].name in _STORAGES):
            what = repr(shown(pid[:80])) if type(pid) is str else f"a {type(pid).__name__}"
            raise Refused(
                f"it refers to {what}, which is no tensor's storage. Refused; nothing was run."
            )
        _, kind, name, _, size, *view = pid
        if view and view[0] is not None:
            raise Refused("it holds views of storages, a layout of PyTorch before 0.4.")
        if type(name) is not str or type(size) is not int or not 0 <= size < 2**48:
            raise ValueError("a storage without a name or a size")
        return storage(name, _STORAGES[kind.name], size)

    return found


def read_tree(path: pathlib.Path, unpickler: Unpickler):
    """What torch.save wrote, in either layout; its tensors are `LazyTensor`."""
    if zipfile.is_zipfile(path):
        return _torch_zip(path, unpickler)
    with in_memory(path) as file:
        return read_legacy(file, unpickler)


@contextlib.contextmanager
def in_memory(path: pathlib.Path) -> Iterator[mmap.mmap]:
    """A file's bytes: reading on past their end takes no memory, however much is asked for."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        yield data


def _torch_zip(path, unpickler):
    with zipfile.ZipFile(path) as archive:
        files = entries(archive, path)
        pickled = [name for name in files if name == "data.pkl" or name.endswith("/data.pkl")]
        if not pickled:
            raise Refused("a zip archive, but not PyTorch's: no data.pkl in it.")
        root = pickled[0].removesuffix("data.pkl")
        code = f"{root}code/"  # of a program; it is not read
        stored = (file for name, file in files.items() if not name.startswith(code))
        if any(file.compress_type != zipfile.ZIP_STORED for file in stored):
            raise Refused("its archive is compressed, as PyTorch's never are.")
        if f"{root}byteorder" in files and archive.read(f"{root}byteorder") != b"little":
            raise Refused("its numbers are big-endian.")
        storages: dict[str, Storage] = {}

        def storage(name, dtype, size):
            if name not in storages:
                data = np.frombuffer(archive.read(f"{root}data/{name}"), dtype)
                if len(data) != size:
                    raise ValueError(f"storage {name} has {len(data)} numbers, {size} are declared")
                storages[name] = Storage(dtype, size, data)
            return storages[name]

        return unpickler.load(io.BytesIO(archive.read(pickled[0])), _persistent(storage))


def read_legacy(file: io.BufferedIOBase | mmap.mmap, unpickler: Unpickler):
    """What torch.save wrote before PyTorch 1.6, and writes inside plain pickles still.
    `file` is in memory."""
    storages: dict[str, Storage] = {}
    stored = _persistent(lambda name, *about: storages.setdefault(name, Storage(*about)))

    def load():
        return unpickler.load(file, stored)

    if load() != _MAGIC:
        raise ValueError("no PyTorch file")
    load()  # the protocol's version
    if not load()["little_endian"]:
        raise Refused("its numbers are big-endian.")
    tree, names = load(), load()
    for name in map(key, names):
        (size,) = struct.unpack("<q", file.read(8))
        if name not in storages:
            raise ValueError(f"storage {name} is of no tensor")
        wanted = storages[name]
        data = file.read(wanted.size * wanted.dtype.itemsize)
        if size != wanted.size or len(data) != wanted.size * wanted.dtype.itemsize:
            raise ValueError(f"storage {name} is cut short")
        wanted.array = np.frombuffer(data, wanted.dtype)
    return tree
