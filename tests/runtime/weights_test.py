"""Other people's files: each kind comes back exactly, and a bad one is a line of text, not a
program that runs.

tests/fixtures/zip.pth and legacy.pth were written by torch 2.13.0; see the README there.
"""

import builtins
import io
import json
import pickle
import struct
import zipfile

import numpy as np
import pytest
import safetensors.numpy

from gan_jax.runtime import weights
from tests.paths import FIXTURES

BASE = np.arange(12, dtype=np.float32).reshape(3, 4) / 8
# in both fixtures; "turned" and "part" share the storage of "base", with other strides and further
# in
TREE = {
    "base": BASE,
    "turned": BASE.T,
    "part": BASE[1:, 1:3],
    "inner.half": np.array([0.5, -2.0], np.float16),
    "inner.count": np.array(7, np.int64),
    "inner.deep.flags": np.array([True, False, True]),
    "inner.deep.bytes": np.array([3, 250], np.uint8),
    "parameter": np.array([[1.5, -1.5]], np.float64),
}
ARRAYS = {"layer.weight": BASE, "layer.bias": np.array([-1, 2], np.int32)}


def assert_same(found, wanted):
    assert sorted(found) == sorted(wanted)
    for name, array in wanted.items():
        assert found[name].dtype == array.dtype, name
        assert found[name].shape == array.shape, name
        np.testing.assert_array_equal(found[name], array, err_msg=name)


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".PKL"])
@pytest.mark.parametrize("kind", ["zip", "legacy"])
def test_pytorch_files(kind, suffix, tmp_path):
    path = tmp_path / f"net{suffix}"
    path.write_bytes((FIXTURES / f"{kind}.pth").read_bytes())
    assert_same(weights.read(path), TREE)
    assert_same(weights.read(str(path)), TREE)


def test_npz_and_safetensors(tmp_path):
    np.savez(tmp_path / "net.npz", **ARRAYS)
    assert_same(weights.read(tmp_path / "net.npz"), ARRAYS)
    safetensors.numpy.save_file(ARRAYS, tmp_path / "net.safetensors")
    assert_same(weights.read(tmp_path / "net.safetensors"), ARRAYS)


def test_keras_h5(tmp_path):
    import h5py

    with h5py.File(tmp_path / "net.h5", "w") as file:
        for name, array in ARRAYS.items():
            file[name.replace(".", "/")] = array
        file["note"] = "text is no array"
    assert_same(weights.read(tmp_path / "net.h5"), ARRAYS)


def test_h5_without_h5py_says_what_to_install(tmp_path, monkeypatch):
    real = builtins.__import__

    def absent(name, *args, **kwargs):
        if name == "h5py":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", absent)
    (tmp_path / "net.h5").write_bytes(b"")
    assert "pip install h5py" in message(tmp_path / "net.h5")


def manifest(folder, quantized=(2, 5, 255)):
    """A TensorFlow.js manifest of two shards: plain float32, then uint8 and float16 that stand for
    float32."""
    (folder / "a.bin").write_bytes(BASE.tobytes()[:20])
    halves = np.array([0.5, -3], np.float16).tobytes()
    (folder / "b.bin").write_bytes(BASE.tobytes()[20:] + bytes(quantized) + halves)
    scaled = {"dtype": "uint8", "scale": 0.25, "min": -3.0}
    entries = [
        {"name": "conv/filters", "shape": [3, 4], "dtype": "float32"},
        {"name": "conv/bias", "shape": [3], "dtype": "float32", "quantization": scaled},
        {"name": "fc", "shape": [1, 2], "dtype": "float32", "quantization": {"dtype": "float16"}},
    ]
    (folder / "net.json").write_text(
        json.dumps([{"weights": entries, "paths": ["../elsewhere/a.bin", "b.bin"]}])
    )
    return folder / "net.json"


def test_tfjs_manifest_of_two_shards_with_quantized_weights(tmp_path):
    path = manifest(tmp_path)
    bias = np.array([2, 5, 255], np.float32) * np.float32(0.25) - 3
    found = {"conv.filters": BASE, "conv.bias": bias, "fc": np.array([[0.5, -3]], np.float32)}
    assert_same(weights.read(path), found)
    # never outside its folder
    assert weights.parts(path) == [path, tmp_path / "a.bin", tmp_path / "b.bin"]
    assert weights.parts(tmp_path / "net.npz") == [tmp_path / "net.npz"]


NESTED = {
    "net": {"conv": {"kernel": BASE.reshape(1, 3, 4, 1), "turned": BASE.T}, "note": "no array"},
    "count": np.array(7, np.int64),
    "flags": np.array([True, False]),
    "halves": np.array([0.5, -2], np.float16),
}


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_pickled_dictionaries_of_numpy_arrays(protocol, tmp_path):
    """As the installed NumPy writes them by each protocol that copies."""
    if protocol < 5:  # 5 keeps them apart
        (tmp_path / "net.ckpt").write_bytes(pickle.dumps(NESTED, protocol))
        found = weights.read(tmp_path / "net.ckpt")
        wanted = {f"net.conv.{name}": array for name, array in NESTED["net"]["conv"].items()}
        assert_same(found, wanted | {name: NESTED[name] for name in ("count", "flags", "halves")})
    else:
        (tmp_path / "net.ckpt").write_bytes(pickle.dumps(NESTED, protocol))
        assert "it asks for numpy._core.numeric._frombuffer" in message(tmp_path / "net.ckpt")


# --- what is refused


def message(path):
    """The error, which must be one line that names the file."""
    with pytest.raises(ValueError) as error:
        weights.read(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)
    return str(error.value)


def zipped(path, payload, data=(), **entries):
    """A .pth of a pickle and storages, as PyTorch 1.6 and later write it."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("net/data.pkl", payload)
        for key, array in enumerate(data):
            archive.writestr(f"net/data/{key}", array.tobytes())
        for name, value in entries.items():
            archive.writestr(f"net/{name}", value)
    return path


def tensor(kind=b"FloatStorage", size=12, offset=0, shape=(3, 4), strides=(4, 1), key=b"0"):
    """A pickle, by its opcodes, of {"x": a tensor}."""
    numbers = lambda *n: b"(" + b"".join(b"I%d\n" % i for i in n) + b"t"
    storage = b"(S'storage'\nctorch\n%s\nS'%s'\nS'cpu'\nI%d\ntQ" % (kind, key, size)
    rest = b"I%d\n" % offset + numbers(*shape) + numbers(*strides) + b"I00\n"
    return b"(dS'x'\nctorch._utils\n_rebuild_tensor_v2\n(" + storage + rest + b"tRs."


def legacy(path, payload, data=b"", keys=("0",), little=True):
    """A .pth of PyTorch before 1.6: five pickles, then storages."""
    head = [0x1950A86A20F9469CFC6C, 1001, {"little_endian": little}]
    start = b"".join(pickle.dumps(x, 2) for x in head)
    path.write_bytes(start + payload + pickle.dumps(list(keys), 2) + data)
    return path


def both(tmp_path, payload):
    return zipped(tmp_path / "zip.pth", payload, [BASE]), legacy(
        tmp_path / "old.pth", payload, struct.pack("<q", 12) + BASE.tobytes()
    )


def test_hand_made_pickles_are_read(tmp_path):
    """So that the refusals below are for what each does, not for how it is written."""
    for path in both(tmp_path, tensor()):
        assert_same(weights.read(path), {"x": BASE})


CALLS = {
    "posix.system": b"cposix\nsystem\n(S'touch %s'\ntR.",
    "builtins.eval": b"cbuiltins\neval\n(S\"open('%s', 'w')\"\ntR.",
    "builtins.getattr": b"cbuiltins\ngetattr\n(S'%s'\nS'upper'\ntR.",
    "numpy.fromfile": b"cnumpy\nfromfile\n(S'%s'\ntR.",
    "torch.load": b"ctorch\nload\n(S'%s'\ntR.",
    "collections.OrderedDict.fromkeys": (
        b"\x80\x04\x8c\x0bcollections\x8c\x14OrderedDict.fromkeys\x93(S'%s'\ntR."
    ),
    "torch.BFloat16Storage": tensor(b"BFloat16Storage") + b"%s",
}


@pytest.mark.parametrize("name", CALLS)
def test_a_pickle_that_asks_for_anything_but_tensors_is_refused_and_not_run(name, tmp_path):
    mark = tmp_path / "it_ran"
    for path in both(tmp_path, CALLS[name] % str(mark).encode()):
        text = message(path)
        assert f"asks for {name};" in text
        assert "Refused; nothing was run." in text
    (tmp_path / "bare.pkl").write_bytes(CALLS[name] % str(mark).encode())
    assert name in message(tmp_path / "bare.pkl")
    assert not mark.exists()


def test_the_payload_would_have_run(tmp_path):
    """Python's own unpickler runs it: the test above can fail."""
    pickle.loads(CALLS["builtins.eval"] % str(tmp_path / "it_ran").encode())
    assert (tmp_path / "it_ran").exists()


@pytest.mark.parametrize(
    ("payload", "says"),
    [
        (tensor(shape=(3, 5)), "larger than its storage"),
        (tensor(shape=(10**6, 10**6), strides=(0, 0)), "larger than its storage"),
        (tensor(strides=(4, 2)), "truncated, damaged or no .pth file"),
        (tensor(offset=1), "truncated, damaged or no .pth file"),
        (tensor(offset=-1), "impossible strides"),
        (tensor(strides=(-4, 1)), "impossible strides"),
        (tensor(strides=(1,)), "impossible strides"),
        (tensor(size=13), "storage 0"),
        (b"(dS'x'\nctorch._utils\n_rebuild_tensor_v2\n(S'memory'\nI0\n(t(ttRs.", "no storage"),
        (b"(dS'x'\nS'0'\nQs.", "no tensor's storage"),
        (tensor()[:-2].replace(b"tQ", b"tQ(dS'size'\nI10000\nsb") + b"s.", "changes a storage"),
    ],
)
def test_impossible_tensors(payload, says, tmp_path):
    for path in both(tmp_path, payload):
        assert says in message(path)


def test_other_zips_and_big_endian_files(tmp_path):
    np.savez(tmp_path / "x.npz", BASE)
    (tmp_path / "x.npz").rename(tmp_path / "x.pth")
    assert "no data.pkl in it" in message(tmp_path / "x.pth")
    assert "big-endian" in message(zipped(tmp_path / "a.pth", tensor(), [BASE], byteorder="big"))
    assert "big-endian" in message(legacy(tmp_path / "b.pth", tensor(), little=False))
    with zipfile.ZipFile(tmp_path / "c.pth", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("net/data.pkl", tensor())
    assert "compressed" in message(tmp_path / "c.pth")
    unknown = legacy(
        tmp_path / "d.pth", tensor(), struct.pack("<q", 12) + BASE.tobytes(), keys=("9",)
    )
    assert "storage 9 is of no tensor" in message(unknown)
    assert "without storage" in message(legacy(tmp_path / "e.pth", tensor(), keys=()))


@pytest.mark.parametrize("payload", [b"(dS'epoch'\nI3\ns.", b"I3\n."])
def test_a_file_without_tensors(payload, tmp_path):
    assert "no tensors in it" in message(zipped(tmp_path / "a.pth", payload))
    assert "no tensors in it" in message(legacy(tmp_path / "b.pth", payload, keys=()))


def test_arrays_only_files_without_arrays(tmp_path):
    import h5py

    with h5py.File(tmp_path / "net.h5", "w") as file:
        file["words"] = "no number"
    np.savez(tmp_path / "net.npz")
    for name in ("net.h5", "net.npz"):
        assert "no tensors in it" in message(tmp_path / name)


def test_names(tmp_path):
    assert "no such file of weights" in message(tmp_path / "absent.pth")
    assert "that is a folder; give the file itself" in message(tmp_path)
    (tmp_path / "net.onnx").write_bytes(b"x")
    assert "Known: .pth, .pt, .pkl, .ckpt, .safetensors, .npz, .h5, .json, .param." in message(
        tmp_path / "net.onnx"
    )


OTHERS = {
    b"\x89PNG\r\n\x1a\n": "a PNG picture",
    b"\xff\xd8\xff\xe0": "a JPEG picture",
    b"<!DOCTYPE html>": "a web page, not the file itself: download it again",
    b"version https://git-lfs.github.com/spec/v1\noid": (
        "a pointer of Git LFS, not the file itself: run git lfs pull"
    ),
    b"\x1f\x8b\x08": "packed by gzip: unpack it",
    b"\0\0\0\x18ftypmp42": "an MP4 video or a HEIC picture",
}


@pytest.mark.parametrize("suffix", [".pth", ".safetensors", ".npz", ".h5", ".json"])
@pytest.mark.parametrize("head", OTHERS)
def test_what_else_a_file_is_is_said(head, suffix, tmp_path):
    path = tmp_path / f"net{suffix}"
    path.write_bytes(head + bytes(100))
    assert message(path) == f"{path}: this is no file of weights but {OTHERS[head]}."


def test_an_npz_of_objects_is_not_unpickled(tmp_path):
    np.savez(tmp_path / "x.npz", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    assert "its arr_0 holds object; only numbers are read." in message(tmp_path / "x.npz")


def test_a_shard_missing_or_short(tmp_path):
    path = manifest(tmp_path, quantized=(2,))
    assert "fc reaches past the shards" in message(path)
    (tmp_path / "a.bin").unlink()
    assert "a.bin" in message(path)


def whole(kind, folder):
    """(suffix, bytes) of a good file."""
    if kind in ("zip", "legacy"):
        return ".pth", (FIXTURES / f"{kind}.pth").read_bytes()
    if kind == "npz":
        packed = io.BytesIO()
        np.savez_compressed(packed, **ARRAYS)
        return ".npz", packed.getvalue()
    if kind == "safetensors":
        return ".safetensors", safetensors.numpy.save(ARRAYS)
    if kind == "h5":
        import h5py

        with h5py.File(folder / "whole.h5", "w") as file:
            file["layer/weight"] = BASE
        return ".h5", (folder / "whole.h5").read_bytes()
    return ".json", manifest(folder).read_bytes()


@pytest.mark.parametrize("kind", ["zip", "legacy", "npz", "safetensors", "h5", "tfjs"])
def test_truncated_files_and_flipped_bytes(kind, tmp_path):
    """A short file is always an error. One with a wrong byte is read or is an error, and never
    anything else."""
    suffix, content = whole(kind, tmp_path)
    path = tmp_path / f"net{suffix}"
    for end in [0, 1, 7, *(len(content) * i // 16 for i in range(1, 16)), len(content) - 1]:
        path.write_bytes(content[:end])
        assert "damaged" in message(path) or "no tensors" in message(path), end
    rng = np.random.default_rng(0)
    for place in rng.choice(len(content), min(len(content), 300), replace=False):
        path.write_bytes(
            content[:place]
            + bytes([content[place] ^ int(rng.integers(1, 256))])
            + content[place + 1 :]
        )
        try:
            weights.read(path)
        except ValueError as error:
            assert str(path) in str(error) and "\n" not in str(error)
