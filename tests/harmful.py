"""Files of weights that mean harm, made by code: python -m tests.harmful FOLDER writes and reads
them, a line each.

All are small; read without bounds they fill the memory, take for ever, end the process, open other
files or print what steers a terminal. Each read may take 5 s of one core and 1 GiB beyond what the
program has at its start, or the process ends.
"""

import io
import json
import pathlib
import pickle
import resource
import signal
import struct
import sys
import zipfile
import zlib

import numpy as np

from gan_jax.interop import pickles
from gan_jax.runtime import weights

SECONDS, MEMORY = 5, 2**30
_FLOATS = b"ctorch\nFloatStorage\n"
_ESCAPES = "a\x1b[2J\nerror: b\u202e"


def text(word: str) -> bytes:
    return b"X" + struct.pack("<I", len(word.encode())) + word.encode()


def number(n: int) -> bytes:
    return b"J" + struct.pack("<i", n)


def put(n: int) -> bytes:
    return b"r" + struct.pack("<I", n)


def get(n: int) -> bytes:
    return b"j" + struct.pack("<I", n)


def storage(size: int, key: bytes = text("0")) -> bytes:
    return b"(" + text("storage") + _FLOATS + key + text("cpu") + number(size) + b"tQ"


def view(memory: bytes, *shape: int) -> bytes:
    """A tensor of one storage, its pickled shape as given and strides that fit."""
    strides = [1] * len(shape)
    numbers = lambda sizes: b"(" + b"".join(map(number, sizes)) + b"t"
    return (
        b"ctorch._utils\n_rebuild_tensor_v2\n("
        + memory
        + number(0)
        + numbers(shape)
        + numbers(strides)
        + b"\x89)tR"
    )


def doubled(start: bytes, first: int = 0, times: int = 60) -> bytes:
    """A tuple of twice the one before, and so on: 2 ** times of `start`, which is at the memo's
    place `first`."""
    steps = (get(n) + get(n) + b"\x86" + put(n + 1) + b"0" for n in range(first, first + times))
    return start + put(first) + b"0" + b"".join(steps) + get(first + times)


def zipped(payload: bytes, *arrays: np.ndarray) -> bytes:
    """As PyTorch 1.6 and later write."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("net/data.pkl", b"\x80\x02" + payload + b".")
        for n, array in enumerate(arrays):
            archive.writestr(f"net/data/{n}", array.tobytes())
    return file.getvalue()


def legacy(payload: bytes, size: int = 0, data: bytes = b"") -> bytes:
    """As PyTorch wrote before 1.6."""
    head = [0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}]
    start = b"".join(pickle.dumps(x, 2) for x in head) + b"\x80\x02" + payload + b"."
    return start + pickle.dumps(["0"], 2) + struct.pack("<q", size) + data


def torch_files() -> dict[str, bytes]:
    """Read as state dicts."""
    one, floats = view(storage(4), 4), np.ones(4, np.float32)
    nested = lambda deep: text("x").join([b"}"] * deep) + b"s" * (deep - 1)
    twice = b"".join(
        b"}(" + text("a") + get(n) + text("b") + get(n) + b"u" + put(n + 1) + b"0"
        for n in range(60)
    )
    colliding = (
        b"}("
        + b"".join(pickle.dumps(n * (2**61 - 1), 2)[2:-1] + b"N" for n in range(40_000))
        + b"u"
    )
    pairs = b"](" + (text("a") + b"N\x86") * 20_000 + b"e" + put(0) + b"0"
    many = np.ones(2**18, np.float32)
    views = (
        b"}"
        + put(0)
        + b"("
        + b"".join(text(f"x{n}") + view(get(1), 2**18) for n in range(4000))
        + b"u"
    )
    return {
        "memo": b"\x80\x02Nr\x00\x00\x00\x20.",
        "memo in a zip": zipped(b"N" + put(2**29)),
        "frame": b"\x80\x04\x95" + struct.pack("<Q", 2**62) + b"N.",
        "bytes": b"\x80\x04\x8e" + struct.pack("<Q", 2**40) + b"abc.",
        "bytearray": b"\x80\x05\x96" + struct.pack("<Q", 2**33) + b"abc.",
        "text": b"\x80\x04\x8d" + struct.pack("<Q", 2**40) + b"abc.",
        "number": b"\x80\x02\x8b" + struct.pack("<i", 2**31 - 1) + b"abc.",
        "opcodes": zipped(b"N0" * 2_000_000 + b"N"),
        "dictionaries": zipped(b"}\x940" * 150_000 + b"N"),
        "deep lists": zipped(b"]" * 100_000 + b"a" * 99_999),
        "deep dictionaries": zipped(nested(30_000)),
        "a dictionary in itself": zipped(b"}" + put(0) + text("a") + get(0) + b"s"),
        "dictionaries by two": zipped(b"}" + put(0) + b"0" + twice + get(60)),
        "a storage's name by two": zipped(doubled(b")") + b"Q"),
        "a storage's key by two": zipped(
            b"}" + text("x") + view(storage(4, doubled(b")")), 4) + b"s", floats
        ),
        "a key by two": zipped(b"}" + doubled(b")") + b"Ns"),
        "a deep key": zipped(b"}" + b")" + b"\x85" * 200_000 + b"Ns"),
        "keys of one hash": zipped(colliding),
        "a list in one call after another": zipped(
            pairs + b"(" + (b"ccollections\nOrderedDict\n" + get(0) + b"\x85R") * 5000 + b"l"
        ),
        "a size of bytes in one call after another": zipped(
            _many(b"ctorch\nSize\n", text("a" * 200_000).replace(b"X", b"B", 1), 3000)
        ),
        "a size of a dictionary in one call after another": zipped(
            _many(b"ctorch\nSize\n", _numbered(50_000), 5000)
        ),
        "a storage told at length": zipped(
            storage(4)[:-2]
            + b"N" * 20_000
            + b"t"
            + put(1)
            + b"0"
            + (get(1) + b"Q0") * 20_000
            + b"N",
            floats,
        ),
        "views of one storage": zipped(storage(2**18) + put(1) + b"0" + views, many),
        "a storage that is not there": legacy(b"}" + text("x") + one + b"s", 2**44),
        "a storage as large as memory": legacy(
            b"}" + text("x") + view(storage(2**31 - 1), 4) + b"s", 2**31 - 1
        ),
        "a shape without end": zipped(
            b"}" + text("x") + view(storage(4), *[2**20] * 16) + b"s", floats
        ),
        "a text as a shape": zipped(
            b"}" + text("x") + one.replace(b"(" + number(4) + b"t", text("4")) + b"s", floats
        ),
        "nothing times much": zipped(b"}" + text("x") + view(storage(4), 0, 2**30) + b"s", floats),
        "a name without end": zipped(b"}" + text("x" * 10**6) + one + b"s", floats),
        "a long name": zipped(b"}" + text("x" * 301) + one + b"s", floats),
        "a name that steers": zipped(b"}" + text(_ESCAPES) + one + b"s", floats),
        "a global that steers": zipped(
            b"\x8c" + bytes([len(_ESCAPES.encode())]) + _ESCAPES.encode() + text("x") + b"\x93"
        ),
        "a change of the reader's function": zipped(
            b"ctorch._utils\n_rebuild_tensor_v2\n}" + text("x") + b"Nsb"
        ),
        "a change of a storage's type": zipped(_FLOATS + b"}" + text("dtype") + text("O") + b"sb"),
        "a call of a storage's type": zipped(_FLOATS + b")R"),
        "overlapping": _overlapping(
            zipped(b"}" + text("x") + one + b"s", np.zeros(2**20, np.float32)), 2000
        ),
    }


def _many(function: bytes, argument: bytes, times: int) -> bytes:
    """A list of what that many calls of one argument give."""
    calls = (get(0) + get(1) + b"\x85R") * times
    return function + put(0) + b"0" + argument + put(1) + b"0" + b"(" + calls + b"l"


def _numbered(entries: int, value: bytes = b"N") -> bytes:
    return b"}(" + b"".join(number(n) + value for n in range(entries)) + b"u"


def _overlapping(archive: bytes, times: int) -> bytes:
    """A zip archive that lists its last file many times more: a thousand files, one body."""
    end = archive.rindex(b"PK\x05\x06")
    (start,) = struct.unpack("<I", archive[end + 16 : end + 20])
    last = archive[archive.rindex(b"PK\x01\x02") : end]
    listed = archive[start:end] + last * times
    count = 2 + times
    return (
        archive[:start]
        + listed
        + struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, count, count, len(listed), start, 0)
    )


def snapshots() -> dict[str, bytes]:
    """Read as whole games."""
    record = b"cR3GAN.Networks\nGenerator\n)\x81"
    blob = legacy(storage(2**18), 2**18, bytes(2**20))
    stored = b"ctorch.storage\n_load_from_bytes\n" + get(0) + b"\x85R"
    bytes_once = b"B" + struct.pack("<I", len(blob)) + blob + put(0) + b"0"
    state = (
        b"}"
        + text("_parameters")
        + b"}("
        + b"".join(text(f"w{n}") + b"N" for n in range(3000))
        + b"us"
    )
    shared = record + state + put(0) + b"b0"
    layers = b"".join(text(f"m{n}") + record + get(0) + b"b" for n in range(3000))
    numbers = b"](" + number(1) * 20_000 + b"e" + put(0) + b"0"
    settings = record + b"}(" + b"".join(text(f"s{n}") + get(0) for n in range(20_000)) + b"ub"
    views = b"".join(text(f"x{n}") + view(stored, 2**18) for n in range(3000))
    deep = (record + b"}" + text("_modules") + b"}" + text("a")) * 5000 + b"N" + b"ssb" * 5000
    return {
        name: b"\x80\x02" + payload + b"."
        for name, payload in {
            "one storage's bytes in many tensors": bytes_once
            + b"}"
            + text("G")
            + b"}("
            + views
            + b"us",
            "one state in many modules": shared
            + b"}"
            + text("G")
            + record
            + b"}"
            + text("_modules")
            + b"}("
            + layers
            + b"usbs",
            "one list in many settings": numbers + b"}" + text("G") + settings + b"s",
            "one dictionary in many modules": b"]]a"
            + put(0)
            + b"0"
            + _numbered(8000, get(0))
            + put(1)
            + b"0}"
            + text("G")
            + record
            + b"}"
            + text("_modules")
            + _numbered(8000, record + get(1) + b"b")
            + b"sbs",
            "one dictionary by many names": view(stored, 1).replace(get(0), bytes_once + get(0))
            + put(1)
            + b"0"
            + _numbered(20_000, get(1))
            + text("last")
            + b"Ns"
            + put(2)
            + b"0"
            + _numbered(20_000, get(2)),
            "a set of a dictionary": _many(b"cbuiltins\nset\n", _numbered(1500), 20_000),
            "a call of much": record[:-2]
            + put(0)
            + b"0("
            + number(1) * 30_000
            + b"t"
            + put(1)
            + b"0("
            + (get(0) + get(1) + b"R") * 30_000
            + b"l",
            "a long name of a class": _many(
                b"ctorch_utils.persistence\n_reconstruct_persistent_obj\n",
                b"}(" + text("type") + text("class") + text("class_name") + text("x" * 300) + b"u",
                130_000,
            ),
            "modules without end": b"}" + text("G") + deep + b"s",
            "a change of a class": b"cR3GAN.Networks\nGenerator\n}" + text("state") + b"Nsb",
            "source text of no network": b"ctorch_utils.persistence\n_reconstruct_persistent_obj\n"
            + doubled(b"}")
            + b"\x85R",
        }.items()
    }


def arrays() -> dict[str, bytes]:
    """.npz and .safetensors."""
    zeros = lambda method: _npz({"x.npy": _npy((24 * 2**20,)) + bytes(96 * 2**20)}, method)
    return {
        "zeros.npz": zeros(zipfile.ZIP_DEFLATED),
        "bzip2.npz": _npz({"x.npy": _npy((4,)) + bytes(16)}, zipfile.ZIP_BZIP2),
        "header.npz": _npz({"x.npy": _npy((2**40,)) + bytes(16)}),
        "less.npz": _npz({"x.npy": _npy((-4, -1)) + bytes(16)}),
        "deep.npz": _npz(
            {"x.npy": b"\x93NUMPY\x01\x00" + struct.pack("<H", 60_000) + b"(" * 60_000}
        ),
        "objects.npz": _npz({"x.npy": _npy((1,), "|O") + pickle.dumps([1])}),
        "steers.npz": _npz({f"{_ESCAPES}.npy": _npy((3,)) + bytes(16)}),
        "files.npz": _npz({f"{n}.npy": b"" for n in range(1000)}),
        "header.safetensors": struct.pack("<Q", 2**60) + b"{}",
        "deep.safetensors": _safetensors("[" * 10**5),
        "past.safetensors": _safetensors(
            json.dumps({"x": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}})
        ),
        "same.safetensors": _safetensors(
            json.dumps({n: {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]} for n in "ab"})
        ),
        "steers.safetensors": _safetensors(
            json.dumps({_ESCAPES: {"dtype": "F32", "shape": [3], "data_offsets": [0, 8]}})
        ),
    }


def _npy(shape, kind="<f4") -> bytes:
    header = repr({"descr": kind, "fortran_order": False, "shape": shape}).encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header


def _npz(files: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method, compresslevel=1) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return file.getvalue()


def _safetensors(header: str) -> bytes:
    return struct.pack("<Q", len(header.encode())) + header.encode() + bytes(8)


def manifests() -> dict[str, str]:
    """TensorFlow.js; a.bin of 2 ** 20 bytes stands beside them."""
    entry = {"name": "x", "shape": [4], "dtype": "float32"}
    one = lambda paths=("a.bin",), **weight: json.dumps(
        [{"weights": [entry | weight], "paths": list(paths)}]
    )
    return {
        "one shard many times": one(["a.bin"] * 5000),
        "deep": "[" * 10**6,
        "less": one(shape=[-1]),
        "more": one(shape=[2**40]),
        "nothing times much": one(shape=[0, 2**62]),
        "objects": one(dtype="O"),
        "no number": one(quantization={"dtype": "uint8", "scale": "x"}),
        "no shard": one([f"{_ESCAPES}.bin"]),
        "digits": one().replace("4", "4" * 10**5),
        "steers": one(name=_ESCAPES, shape=[2**20]),
    }


def hdf5(folder: pathlib.Path) -> None:
    import h5py

    (folder / "secret.bin").write_bytes(b"the user's own file" * 4)
    with h5py.File(folder / "other.h5", "w") as file:
        file["x"] = np.ones(4)
    make = lambda name: h5py.File(folder / f"{name}.h5", "w")
    with make("external") as file:
        file.create_dataset("x", (16,), "u1", external=[(str(folder / "secret.bin"), 0, 16)])
    with make("virtual") as file:
        layout = h5py.VirtualLayout((4,), "f8")
        layout[:] = h5py.VirtualSource(str(folder / "other.h5"), "x", (4,))
        file.create_virtual_dataset("x", layout)
    with make("unwritten") as file:
        file.create_dataset("x", (2**40,), "f4")
    with make("zeros") as file:
        data = file.create_dataset("x", (3 * 2**24,), "f4", chunks=(2**24,), compression="gzip")
        zeros = zlib.compress(bytes(2**26), 1)
        for chunk in range(3):
            data.id.write_direct_chunk((chunk * 2**24,), zeros)
    with make("one large chunk") as file:
        file.create_dataset("x", (4,), "f4", maxshape=(None,), chunks=(2**27,), compression="gzip")
    with make("steers") as file:
        file.create_dataset(_ESCAPES, (16,), "u1", external=[(str(folder / "secret.bin"), 0, 16)])


def write(folder: pathlib.Path) -> list[pathlib.Path]:
    """All of them."""
    (folder / "a.bin").write_bytes(bytes(2**20))
    contents = {f"{name}.pth": content for name, content in torch_files().items()}
    small = {name: content for name, content in torch_files().items() if len(content) < 2**16}
    contents |= {
        f"{name}.pkl": content for name, content in (small | snapshots()).items()
    } | arrays()
    contents |= {f"{name}.json": content.encode() for name, content in manifests().items()}
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    hdf5(folder)
    return [
        path
        for path in sorted(folder.iterdir())
        if path.name not in ("a.bin", "secret.bin", "other.h5")
    ]


def main() -> None:
    files = write(pathlib.Path(sys.argv[1]))
    own = int(pathlib.Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (own + MEMORY, own + MEMORY))
    for path in files:
        print(json.dumps(path.name), end=" ", flush=True)
        signal.setitimer(signal.ITIMER_PROF, SECONDS)  # of computing; then the process is ended
        try:
            found = (pickles if path.suffix == ".pkl" else weights).read(path)
        except ValueError as error:
            print(json.dumps({"error": str(error)}), flush=True)
        else:
            print(json.dumps({"read": list(found)}), flush=True)
    print(json.dumps(weights.pytorch._rebuild_tensor.__dict__))


if __name__ == "__main__":
    main()
