"""Other people's LaMa: a state dict, the program that it is passed on as, and what is refused."""

import io
import pickle
import zipfile

import numpy as np
import pytest
import safetensors.numpy
from flax import traverse_util

from gan_jax.interop import lama
from gan_jax.runtime import weights
from tests.paths import FIXTURES

OFFICIAL = np.load(FIXTURES / "lama.npz")
ARRAYS = {k[2:]: OFFICIAL[k] for k in OFFICIAL.files if k.startswith("g/")}


class Program:
    """Writes what torch.jit.save does of modules: objects of classes __torch__..., with the
    attributes that they have, tensors by their storage."""

    def __init__(self, arrays):
        self.arrays, self.storages = arrays, {}

    def tree(self):
        root = {}
        for name, array in self.arrays.items():
            *parts, leaf = f"model.{name}".split(".")
            node = root
            for part in parts:
                node = node.setdefault(part, {})
            node[leaf] = array
        return root

    def write(self, path):
        file = io.BytesIO()
        file.write(b"\x80\x02")
        self._module(file, self.tree())
        file.write(b".")
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("net/data.pkl", file.getvalue())
            for key, data in self.storages.items():
                archive.writestr(f"net/data/{key}", data)
            archive.writestr("net/code/__torch__.py", "x" * 5000, zipfile.ZIP_DEFLATED)
            archive.writestr("net/constants.pkl", pickle.dumps(()))

    def _module(self, file, tree):
        file.write(b"c__torch__.some.___torch_mangle_7\nModule\n)\x81}(")
        file.write(_text("training") + b"\x89")
        for name, value in tree.items():
            file.write(_text(name))
            if isinstance(value, dict):
                self._module(file, value)
            else:
                self._tensor(file, value)
        file.write(b"ub")

    def _tensor(self, file, array):
        key = str(len(self.storages))
        array = np.ascontiguousarray(array, np.float32)
        self.storages[key] = array.tobytes()
        strides = tuple(s // 4 for s in array.strides)
        file.write(b"ctorch._utils\n_rebuild_tensor_v2\n(")
        file.write(b"(" + _text("storage") + b"ctorch\nFloatStorage\n" + _text(key))
        file.write(_text("cpu") + _number(array.size) + b"tQ" + _number(0))
        for numbers in (array.shape, strides):
            file.write(b"(" + b"".join(map(_number, numbers)) + b"t")
        file.write(b"\x89ccollections\nOrderedDict\n)RtR")


def _text(text):
    return b"X" + len(text.encode()).to_bytes(4, "little") + text.encode()


def _number(n):
    return b"J" + int(n).to_bytes(4, "little")


def assert_official(found):
    wanted = lama.of(ARRAYS)
    assert found.net == wanted.net
    ours, theirs = (traverse_util.flatten_dict(x.variables) for x in (found, wanted))
    assert ours.keys() == theirs.keys()
    for name, x in ours.items():
        np.testing.assert_array_equal(x, theirs[name])


def test_a_program_is_read_by_its_modules_and_none_of_its_code(tmp_path):
    Program(ARRAYS).write(tmp_path / "big-lama.pt")
    found = weights.read(tmp_path / "big-lama.pt")
    assert found.keys() == {f"model.{name}" for name in ARRAYS}
    assert_official(lama.read(tmp_path / "big-lama.pt"))


def test_a_state_dict_is_read(tmp_path):
    counts = {"generator.model.1.bn_l.num_batches_tracked": np.array(3, np.int64)}
    safetensors.numpy.save_file(ARRAYS | counts, tmp_path / "lama.safetensors")
    assert_official(lama.read(tmp_path / "lama.safetensors"))


def without(*names):
    return {k: v for k, v in ARRAYS.items() if not any(name in k for name in names)}


CUT = {"generator.model.1.ffc.convl2l.weight": np.zeros((4, 4, 7, 6), np.float32)}


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"conv.weight": np.zeros(3)}, "no LaMa: it has conv.weight"),
        (without("convl2g", "convg2"), "a LaMa without Fourier convolutions"),
        (without("conv1.bn_g.running_mean"), "batch_stats.block0_0.global_norm.mean is none"),
        (ARRAYS | CUT, r"params.first.kernel is [7, 6, 4, 4], and [7, 7, 4, 4]"),
        (
            ARRAYS | {"generator.model.5.extra": np.zeros(2)},
            "it has model.5.extra, which is none of LaMa's",
        ),
    ],
)
def test_other_networks_are_named(arrays, says, tmp_path):
    np.savez(tmp_path / "net.npz", **arrays)
    with pytest.raises(ValueError) as error:
        lama.read(tmp_path / "net.npz")
    assert says in str(error.value) and str(tmp_path) in str(error.value)


def test_a_program_that_holds_itself_is_refused(tmp_path):
    tree = b"\x80\x02c__torch__\nM\n)\x81q\x00}(" + _text("self") + b"h\x00ub."
    with zipfile.ZipFile(tmp_path / "loop.pt", "w") as archive:
        archive.writestr("net/data.pkl", tree)
    with pytest.raises(ValueError, match=r"loop.pt: .*(names|truncated)"):
        weights.read(tmp_path / "loop.pt")
