"""Other people's weight files -> names and numpy arrays. Nothing in a file is ever run, and no
framework is needed."""

import contextlib
import io
import json
import math
import mmap
import pathlib
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

import numpy as np
import safetensors
import safetensors.numpy

from gan_jax.runtime.text import shown
from gan_jax.runtime.unpickle import LONGEST, Named, Refused, Unpickler, key, the
from gan_jax.runtime.unpickle import MOST as MOST_WALKED

MULTIPLE, LEAST = (
    8,
    2**26,
)  # a file's arrays may take so many times its own size, or these bytes where that is more
MOST = 50_000  # names in a file
_MAGIC = 0x1950A86A20F9469CFC6C  # opens a .pth of PyTorch before 1.6
_STORAGES = {
    "FloatStorage": np.float32, "DoubleStorage": np.float64, "HalfStorage": np.float16, "LongStorage": np.int64,
    "IntStorage": np.int32, "ShortStorage": np.int16, "CharStorage": np.int8, "ByteStorage": np.uint8,
    "BoolStorage": np.bool_,
}  # fmt: skip
_DAMAGED = (
    EOFError, OSError, ValueError, LookupError, AttributeError, TypeError, struct.error, OverflowError, RuntimeError,
    zipfile.BadZipFile, zlib.error, safetensors.SafetensorError,
)  # fmt: skip
"""What the readers raise on bytes that are not what they claim to be."""
# how files begin that are no weights, as people have them beside theirs or get them in their place
_OTHERS = {
    b"\x89PNG": "a PNG picture",
    b"\xff\xd8\xff": "a JPEG picture",
    b"GIF8": "a GIF picture",
    b"RIFF": "a WebP picture, a sound or an AVI video",
    b"ftyp": "an MP4 video or a HEIC picture",
    b"version https://git-lfs": "a pointer of Git LFS, not the file itself: run git lfs pull",
    b"<": "a web page, not the file itself: download it again",
    b"%PDF": "a PDF document",
    b"\x1f\x8b": "packed by gzip: unpack it",
}


def read(path: str | pathlib.Path) -> dict[str, np.ndarray]:
    """All arrays of a file, by name; nested dictionaries give dotted names.

    Args:
        path: PyTorch's .pth, .pt or .pkl (a state dict, both layouts), .safetensors, .npz, Keras'
            .h5 (with h5py), or a TensorFlow.js manifest (*.json, its shards beside it).
    Raises:
        ValueError: no such file, another kind, truncated or damaged, without arrays, or a pickle
        that names anything but tensors; one
            line, naming the file and what was found.
    """
    path = pathlib.Path(path).expanduser()
    is_there(path)
    reader = _READERS.get(path.suffix.lower())
    if reader is None and (other := _other(path)):
        raise ValueError(f"{path}: this is no file of weights but {other}.")
    if reader is None:
        raise ValueError(f"{path}: no known kind of weights. Known: {', '.join(_READERS)}.")
    with in_one_line(path):
        arrays = reader(path)
        if not arrays:
            raise Refused("no tensors in it.")
        return arrays


def bounded(sizes: Iterable[int], size: int) -> None:
    """Raises Refused where arrays of these sizes, in bytes, are far more than a file of `size`
    bytes can mean."""
    wanted, most = sum(sizes), max(MULTIPLE * size, LEAST)
    if wanted > most:
        wanted, size = (f"{n / 2**20:,.1f} MiB" for n in (wanted, size))
        raise Refused(f"its {size} would unfold into {wanted} of arrays. Refused.")


def is_there(path: pathlib.Path) -> None:
    """Raises ValueError where `path` is no file."""
    if not path.is_file():
        what = (
            "that is a folder; give the file itself" if path.is_dir() else "no such file of weights"
        )
        raise ValueError(f"{path}: {what}.")


@contextlib.contextmanager
def in_one_line(path: pathlib.Path) -> Iterator[None]:
    """Whatever is wrong with the file at `path` becomes a ValueError of one line that names it."""
    try:
        yield
    except _DAMAGED as error:
        if other := _other(path):
            raise ValueError(f"{path}: this is no file of weights but {other}.") from error
        if isinstance(error, Refused):
            raise ValueError(f"{path}: {error}") from error
        reason = shown(str(error).splitlines()[0])[:200] if str(error) else type(error).__name__
        raise ValueError(
            f"{path}: truncated, damaged or no {path.suffix or 'such'} file ({reason})."
        ) from error


def _other(path: pathlib.Path) -> str | None:
    """What the file is, in words, where its first bytes tell that it is something else."""
    try:
        with path.open("rb") as file:
            head = file.read(32)
    except OSError:
        return None
    at = lambda sign: 4 if sign == b"ftyp" else 0
    return next((words for sign, words in _OTHERS.items() if head.startswith(sign, at(sign))), None)


def parts(path: str | pathlib.Path) -> list[pathlib.Path]:
    """The files that hold what `read` gave: the path itself and, of a TensorFlow.js manifest, its
    shards."""
    path = pathlib.Path(path).expanduser()
    groups = json.loads(path.read_text("utf-8")) if path.suffix.lower() == ".json" else []
    return [path, *(shard for group in groups for shard in _shards(path, group))]


class Names:
    """Makes the dotted names of what is in a file, which may have MOST of LONGEST characters."""

    def __init__(self):
        self.left, self.unwalked = MOST, MOST_WALKED

    def walk(self, tree: Mapping) -> Iterator[tuple[str | int, object]]:
        """A dictionary's names and values. One may stand in many places: all walks of a file are
        counted together."""
        for item in tree.items():
            self.unwalked -= 1
            if self.unwalked < 0:
                raise Refused(
                    f"its dictionaries unfold into more than {MOST_WALKED:,} entries. Refused."
                )
            yield item

    def __call__(self, prefix: str, name: str | int) -> str:
        """The name of what `prefix` holds as `name`, "synthesis.b4" and "const", as it may be
        printed."""
        self.left -= 1
        whole = shown(f"{prefix}.{name}" if prefix else str(name))
        if self.left < 0 or len(whole) > LONGEST:
            raise Refused(
                f"it has more than {MOST:,} names, or one of over {LONGEST} characters. Refused."
            )
        return whole


def flat(tree: Mapping, names: Names, prefix: str = "") -> dict[str, np.ndarray]:
    """Tensors of nested dictionaries by dotted name; what is no tensor (counts, settings) is left
    out."""
    found = {}
    for part, value in names.walk(tree):
        name = names(prefix, part)
        if isinstance(value, Mapping):
            found |= flat(value, names, name)
        elif isinstance(value, LazyTensor):
            found[name] = value.array()
    return found


class Storage:
    """A tensor's memory, filled when its bytes are read: legacy files hold them after the
    pickle."""

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
    """A tensor whose storage may come later."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def array(self) -> np.ndarray:
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


KNOWN: dict[tuple[str, str], Callable | None] = {
    ("collections", "OrderedDict"): lambda pairs=None: {
        key(name): value for name, value in the(list, pairs or [])
    },
    ("torch._utils", "_rebuild_tensor"): _rebuild_tensor,
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
    ("torch._utils", "_rebuild_parameter"): _rebuild_parameter,
    ("torch.nn.parameter", "Parameter"): _rebuild_parameter,
    ("torch", "Size"): lambda sizes: the(tuple, sizes),
} | {("torch", name): None for name in _STORAGES}
"""What files of tensors name, and what a call of it gives; see unpickle.Unpickler."""
TENSORS = "dictionaries of plain float, int and bool tensors"


def _persistent(storage: Callable[[str, type, int], Storage]) -> Callable[[object], Storage]:
    """What stands for a pickle's ("storage", type, key, place, size, ...): storage(key, dtype,
    size)."""

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


def _torch(path: pathlib.Path) -> dict[str, np.ndarray]:
    tree = torch_tree(path, Unpickler(KNOWN, TENSORS))
    arrays = flat(tree, Names()) if isinstance(tree, Mapping) else {}
    bounded((x.nbytes for x in arrays.values()), path.stat().st_size)
    return arrays


def torch_tree(path: pathlib.Path, unpickler: Unpickler):
    """What torch.save wrote, in either layout; its tensors are `LazyTensor`."""
    if zipfile.is_zipfile(path):
        return _torch_zip(path, unpickler)
    with in_memory(path) as file:
        return torch_legacy(file, unpickler)


@contextlib.contextmanager
def in_memory(path: pathlib.Path) -> Iterator[mmap.mmap]:
    """A file's bytes: reading on past their end takes no memory, however much is asked for."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        yield data


def _torch_zip(path, unpickler):
    with zipfile.ZipFile(path) as archive:
        entries = _entries(archive, path)
        pickled = next(
            (name for name in entries if name == "data.pkl" or name.endswith("/data.pkl")), None
        )
        if pickled is None:
            raise Refused("a zip archive, but not PyTorch's: no data.pkl in it.")
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries.values()):
            raise Refused("its archive is compressed, as PyTorch's never are.")
        root = pickled.removesuffix("data.pkl")
        if f"{root}byteorder" in entries and archive.read(f"{root}byteorder") != b"little":
            raise Refused("its numbers are big-endian.")
        storages: dict[str, Storage] = {}

        def storage(name, dtype, size):
            if name not in storages:
                data = np.frombuffer(archive.read(f"{root}data/{name}"), dtype)
                if len(data) != size:
                    raise ValueError(f"storage {name} has {len(data)} numbers, {size} are declared")
                storages[name] = Storage(dtype, size, data)
            return storages[name]

        return unpickler.load(io.BytesIO(archive.read(pickled)), _persistent(storage))


def _entries(archive: zipfile.ZipFile, path: pathlib.Path) -> dict[str, zipfile.ZipInfo]:
    """A zip archive's files, once their sizes are found to be no more than it can mean."""
    size = path.stat().st_size
    bounded((entry.file_size for entry in archive.infolist()), size)
    if (
        sum(entry.compress_size for entry in archive.infolist()) > size
        or len(archive.infolist()) > MOST
    ):
        raise Refused("its archive has more files than it has room for. Refused.")
    return {entry.filename: entry for entry in archive.infolist()}


def torch_legacy(file: io.BufferedIOBase | mmap.mmap, unpickler: Unpickler):
    """What torch.save wrote before PyTorch 1.6, and writes inside plain pickles still. `file` is in
    memory."""
    storages: dict[str, Storage] = {}
    stored = _persistent(lambda name, *about: storages.setdefault(name, Storage(*about)))
    load = lambda: unpickler.load(file, stored)
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


def _safetensors(path):
    with safetensors.safe_open(path, "numpy") as file:
        names, whole = Names(), file.keys()
        return {names("", name): file.get_tensor(name) for name in whole}


def _npz(path):
    found, names = {}, Names()
    with zipfile.ZipFile(path) as archive:
        for entry in _entries(archive, path).values():
            if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise Refused("its archive is compressed by another method than numpy's.")
            with archive.open(entry) as file:
                name = names("", entry.filename.removesuffix(".npy"))
                found[name] = _npy(file, name)
    return found


def _npy(file, name):
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


def _h5(path):
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
        # read as wholes
        inner = (math.prod(item.chunks or ()) * item.dtype.itemsize for item in wanted.values())
        sizes = [
            max(item.nbytes, chunk) for item, chunk in zip(wanted.values(), inner, strict=True)
        ]
        bounded(sizes, path.stat().st_size)
        return {name: np.asarray(item[()]) for name, item in wanted.items()}


def _shards(path, group):
    return [path.parent / pathlib.PurePath(part).name for part in group["paths"]]


def _tfjs(path):
    """Weights are float32, or integers scaled: scale * q + min."""
    groups = json.loads(path.read_text("utf-8"))
    shards = [shard for group in groups for shard in _shards(path, group)]
    if len(set(shards)) < len(shards) or not all(shard.is_file() for shard in shards):
        raise ValueError(
            next(
                (f"no file {shown(shard.name)}" for shard in shards if not shard.is_file()),
                "a shard twice",
            )
        )
    found, names = {}, Names()
    for group in groups:
        data = b"".join(part.read_bytes() for part in _shards(path, group))
        place = 0
        for weight in group["weights"]:
            quantised, name = (
                weight.get("quantization"),
                names("", weight["name"].replace("/", ".")),
            )
            dtype = np.dtype(quantised["dtype"] if quantised else weight["dtype"]).newbyteorder("<")
            if dtype.kind not in "biuf" or not all(
                type(n) is int and 0 <= n < 2**32 for n in weight["shape"]
            ):
                raise ValueError(f"{name} has no shape of numbers")
            count = math.prod(weight["shape"])
            if place + count * dtype.itemsize > len(data):
                raise ValueError(f"{name} reaches past the shards")
            array = np.frombuffer(data, dtype, count, place).reshape(weight["shape"])
            place += count * dtype.itemsize
            if quantised:
                scale, least = (
                    np.float32(quantised.get(part, default))
                    for part, default in (("scale", 1), ("min", 0))
                )
                array = array.astype(np.float32) * scale + least
            found[name] = array.astype(array.dtype.newbyteorder("="))
    return found


_READERS = {
    ".pth": _torch,
    ".pt": _torch,
    ".pkl": _torch,
    ".safetensors": _safetensors,
    ".npz": _npz,
    ".h5": _h5,
    ".json": _tfjs,
}
