"""Other projects' snapshots are read, converted and gone on from, and nothing in them is run.

The files here are stand-ins: the same globals, states and tensors as in files that the projects'
own code wrote with torch 2.13.0, but no line of their source, in whose place stands a text that
would betray itself if it were run. Pickles of tiny networks by the projects' code, conditional and
not, were read and compared by hand: stylegan2-ada-pytorch d72cc7d (also architecture "orig"),
rosinality's stylegan2-pytorch bef283a, R3GAN 19a7ddf; pictures and logits agreed within 2e-6 of the
greatest.
"""

import collections
import io
import pickle
import struct
import zipfile

import jax
import numpy as np
import pytest
import safetensors.numpy
from flax import traverse_util

from gan_jax import algorithms, build, checkpoint, config, main
from gan_jax.data.images import save_png
from gan_jax.inference import loading
from gan_jax.interop import pickles, r3gan, rosinality, snapshots, stylegan2
from gan_jax.interop.pickles import Net
from gan_jax.models import r3gan as r3gan_model
from gan_jax.models.stylegan2 import Generator, Mapping
from tests.algorithms.stylegan2_parity_test import FIXTURES, official_shapes, weight

FILTER = np.outer([1, 3, 3, 1], [1, 3, 3, 1]).astype(np.float32) / 64


class Global:
    """A class or function of a module that isn't there: pickled by its name."""

    def __init__(self, module, name):
        self.module, self.name = module, name

    def __call__(self):
        raise AssertionError("only its name is used")


class Call:
    """Pickled as the call of a global, and the state the result is given."""

    def __init__(self, function, args, state=None):
        self.function, self.args, self.state = function, args, state


class Object:
    """Pickled as an object of a class: made without arguments, then given its state."""

    def __init__(self, kind, state):
        self.kind, self.state = kind, state


class Pickler(pickle._Pickler):
    """Python's own, in Python, which can be told how to write these."""

    def save(self, x, save_persistent_id=True):
        if isinstance(x, Global):
            self.write(pickle.GLOBAL + f"{x.module}\n{x.name}\n".encode())
        elif isinstance(x, Call):
            self.save_reduce(x.function, x.args, x.state, obj=x)
        elif isinstance(x, Object):
            self.save(x.kind)
            self.save(())
            self.write(pickle.NEWOBJ)
            if x.state is not None:
                self.save(x.state)
                self.write(pickle.BUILD)
        elif isinstance(x, np.ndarray):
            self.save(tensor(x))
        else:
            super().save(x, save_persistent_id)


def dumps(tree, protocol=4):
    file = io.BytesIO()
    Pickler(file, protocol).dump(tree)
    return file.getvalue()


def tensor(array):
    """As a tensor is in a plain pickle: its storage is a whole file of PyTorch's, in bytes."""
    head = [0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}]
    storage = b"((S'storage'\nctorch\nFloatStorage\nS'7'\nS'cpu'\nI%d\nNtQ." % array.size
    data = struct.pack("<q", array.size) + np.ascontiguousarray(array, np.float32).tobytes()
    blob = b"".join(pickle.dumps(x, 2) for x in head) + storage + pickle.dumps(["7"], 2) + data
    strides = tuple(s // 4 for s in np.zeros(array.shape, np.float32).strides)
    made = (
        Call(Global("torch.storage", "_load_from_bytes"), (blob,)),
        0,
        array.shape,
        strides,
        False,
    )
    return Call(Global("torch._utils", "_rebuild_tensor_v2"), (*made, collections.OrderedDict()))


def module(arrays, settings, make, place=""):
    """A module's pickle from dotted names; `make` gives the object of a place and its state."""
    own = lambda tree: {name: x for name, x in tree.items() if "." not in name}
    inner = lambda tree, child: {
        n.removeprefix(f"{child}."): x for n, x in tree.items() if n.startswith(f"{child}.")
    }
    children = dict.fromkeys(n.split(".")[0] for n in [*arrays, *settings] if "." in n)
    buffers = {
        n: x for n, x in own(arrays).items() if n in ("resample_filter", "noise_const", "w_avg")
    }
    parameter = lambda x: Call(
        Global("torch._utils", "_rebuild_parameter"), (x, False, collections.OrderedDict())
    )
    state = {
        "training": False,
        "_parameters": (
            {n: parameter(x) for n, x in own(arrays).items() if n not in buffers} | {"absent": None}
        ),
        "_buffers": buffers,
        "_non_persistent_buffers_set": set(),
        "_forward_hooks": collections.OrderedDict(),
        "_modules": {
            n: module(inner(arrays, n), inner(settings, n), make, f"{place}.{n}") for n in children
        },
        **own(settings),
    }
    return make(place, state)


def persistent(kind, source="raise AssertionError"):
    """How stylegan2-ada-pytorch pickles: every object by one function that gets the source text of
    its class."""

    def make(place, state):
        meta = {"type": "class", "version": 6, "module_src": source, "state": state}
        meta["class_name"] = "Module" if place else kind
        return Call(Global("torch_utils.persistence", "_reconstruct_persistent_obj"), (meta,))

    return make


def plain(kind):
    """How R3GAN pickles: every object by its class."""
    inner = Global("R3GAN.Networks", "ResidualBlock")
    return lambda place, state: Object(inner if place else Global("training.networks", kind), state)


SETTINGS = {  # what the official networks say of themselves, of what is looked at
    "G": {
        "_init_kwargs": Object(Global("dnnlib.util", "EasyDict"), None),
        "synthesis.b8.architecture": "skip",
        "synthesis.b8.conv0.use_noise": True,
        "synthesis.b8.conv0.activation": "lrelu",
        "synthesis.b8.conv0.conv_clamp": 256,
        "synthesis.b8.torgb.conv_clamp": 256,
        "synthesis.b8.conv0.weight_gain": Call(
            Global("numpy.core.multiarray", "scalar"),
            (
                Call(
                    Global("numpy", "dtype"),
                    ("f8", False, True),
                    (3, "<", None, None, None, -1, -1, 0),
                ),
                b"\0" * 8,
            ),
        ),
        "mapping.fc0.bias_gain": 0.01,
        "mapping.fc0.activation": "lrelu",
    },
    "D": {
        "b8.conv0.activation": "lrelu",
        "b8.conv0.conv_clamp": 256,
        "b8.skip.conv_clamp": None,
        "b8.skip.activation": "linear",
        "b4.mbstd.group_size": 4,
        "b4.mbstd.num_channels": 1,
    },
}


def official(who, side=32, classes=0, salt=""):
    """An official network's arrays by their names, the filters too."""
    arrays = {
        n: np.asarray(weight(f"{who}{salt}.{n}", shape))
        for n, shape in official_shapes(side, classes)[who].items()
    }
    place = "synthesis.b8.conv0" if who == "G" else "b8.conv1"
    return arrays | {f"{place}.resample_filter": FILTER}


def snapshot(classes=0, protocol=4, source="raise AssertionError", settings=SETTINGS, **replaced):
    """The bytes of a whole snapshot. replaced: G=arrays, or anything for another key."""
    nets = {
        "G": official("G", 32, classes),
        "D": official("D", 32, classes),
        "G_ema": official("G", 32, classes, "_ema"),
    }
    tree = {"training_set_kwargs": {"path": "x.zip"}, "augment_pipe": None}
    for name, arrays in nets.items():
        kind = "Discriminator" if name == "D" else "Generator"
        tree[name] = module(replaced.pop(name, arrays), settings[name[0]], persistent(kind, source))
    return dumps(tree | replaced, protocol)


def message(path, read=pickles.read):
    """The error, which must be one line that names the file."""
    with pytest.raises(ValueError) as error:
        read(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)
    return str(error.value)


# --- reading


@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_networks_with_their_source_are_read_and_it_is_not_run(protocol, tmp_path):
    """Protocol 3 is what the published files were written with: there a set is a global, too."""
    mark = tmp_path / "it_ran"
    (tmp_path / "net.pkl").write_bytes(snapshot(3, protocol, f"open({str(mark)!r}, 'w')"))
    nets = pickles.read(tmp_path / "net.pkl")
    assert not mark.exists()
    assert sorted(nets) == ["D", "G", "G_ema"]
    assert [nets[name].kind for name in ("G", "D", "G_ema")] == [
        "Generator",
        "Discriminator",
        "Generator",
    ]
    for name, arrays in (
        ("G", official("G", 32, 3)),
        ("G_ema", official("G", 32, 3, "_ema")),
        ("D", official("D", 32, 3)),
    ):
        assert nets[name].arrays.keys() == arrays.keys()
        for key, array in arrays.items():
            assert nets[name].arrays[key].dtype == np.float32
            np.testing.assert_array_equal(nets[name].arrays[key], array, err_msg=key)
    wanted = {name: x for name, x in SETTINGS["G"].items() if not isinstance(x, Call | Object)}
    assert {
        name: x for name, x in nets["G"].settings.items() if name.rpartition(".")[2] != "training"
    } == wanted


def test_networks_by_their_classes_are_read(tmp_path):
    arrays = {
        "Model.MainLayers.0.Basis": weight("a", (3, 4, 4)),
        "Model.AggregationLayer.Layer.weight": weight("b", (3, 2)),
    }
    settings = {"z_dim": 7, "Model.MainLayers.0.DataType": Global("torch", "bfloat16")}
    optimizer = {"state": {0: {"exp_avg": weight("c", (2,))}}, "param_groups": [{"lr": 1e-4}]}
    tree = {
        "G": module(arrays, settings, plain("Generator")),
        "cur_nimg": 5,
        "G_opt_state": optimizer,
    }
    (tmp_path / "net.pkl").write_bytes(dumps(tree))
    nets = pickles.read(tmp_path / "net.pkl")
    assert list(nets) == ["G"]
    assert nets["G"].kind == "Generator" and nets["G"].settings["z_dim"] == 7
    for name, array in arrays.items():
        np.testing.assert_array_equal(nets["G"].arrays[name], array)


def torch_file(path, tree, kind):
    """A .pt by torch.save, as a zip archive or as before 1.6, with each array a storage of its
    own."""
    arrays = []

    class Stored(Pickler):
        def save(self, x, save_persistent_id=True):
            if not isinstance(x, np.ndarray):
                return super().save(x, save_persistent_id)
            arrays.append(np.ascontiguousarray(x))
            pid = ("storage", Global("torch", "FloatStorage"), str(len(arrays) - 1), "cpu", x.size)
            self.save(
                Call(
                    Global("torch._utils", "_rebuild_tensor_v2"),
                    (Storage(pid), 0, x.shape, _strides(x), False, {}),
                )
            )

        def persistent_id(self, x):
            return x.pid if isinstance(x, Storage) else None

    file = io.BytesIO()
    Stored(file, 2).dump(tree)
    if kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("net/data.pkl", file.getvalue())
            for i, array in enumerate(arrays):
                archive.writestr(f"net/data/{i}", array.tobytes())
        return path
    head = [0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}]
    data = b"".join(struct.pack("<q", x.size) + x.tobytes() for x in arrays)
    keys = pickle.dumps([str(i) for i in range(len(arrays))], 2)
    path.write_bytes(b"".join(pickle.dumps(x, 2) for x in head) + file.getvalue() + keys + data)
    return path


class Storage:
    def __init__(self, pid):
        self.pid = pid


def _strides(x):
    return tuple(s // 4 for s in np.zeros(x.shape, np.float32).strides)


@pytest.mark.parametrize("kind", ["zip", "legacy"])
def test_dictionaries_of_tensors_with_settings_beside_them(kind, tmp_path):
    """rosinality's: what the run was given, and both optimizers, are in the file and left out."""
    g, average = {"input.input": weight("a", (1, 2, 4, 4))}, weight("b", (5,))
    args = Object(Global("argparse", "Namespace"), {"size": 8, "path": "x"})
    optimizer = {"state": {0: {"step": 3, "exp_avg": average}}, "param_groups": []}
    tree = {
        "g_ema": collections.OrderedDict(g),
        "latent_avg": average,
        "args": args,
        "g_optim": optimizer,
        "ada_aug_p": 0.0,
    }
    nets = pickles.read(torch_file(tmp_path / "net.pt", tree, kind))
    assert list(nets) == ["g_ema", "latent_avg"]
    np.testing.assert_array_equal(nets["g_ema"].arrays["input.input"], g["input.input"])
    np.testing.assert_array_equal(nets["latent_avg"].arrays[""], average)


# --- what is refused

EVIL = {
    "posix.system": Call(Global("posix", "system"), ("touch %s",)),
    "builtins.eval": Call(Global("builtins", "eval"), ("open('%s', 'w')",)),
    "builtins.getattr": Call(Global("builtins", "getattr"), ("%s", "upper")),
    "torch_utils.persistence._src_to_module": Call(
        Global("torch_utils.persistence", "_src_to_module"), ("open('%s', 'w')",)
    ),
    "training.networks.SynthesisLayer": Object(Global("training.networks", "SynthesisLayer"), {}),
    "torch.nn.modules.activation.LeakyReLU": Object(
        Global("torch.nn.modules.activation", "LeakyReLU"), {}
    ),
    "functools.partial": Call(Global("functools", "partial"), (1,)),
}


@pytest.mark.parametrize("name", EVIL)
def test_any_other_global_is_refused_by_its_name(name, tmp_path):
    mark = tmp_path / "it_ran"
    call = EVIL[name]
    if isinstance(call, Call):
        call = Call(
            call.function,
            tuple(x.replace("%s", str(mark)) if isinstance(x, str) else x for x in call.args),
        )
    (tmp_path / "a.pkl").write_bytes(snapshot(augment_pipe=call))
    (tmp_path / "b.pkl").write_bytes(snapshot(settings=SETTINGS | {"G": {"synthesis.extra": call}}))
    torch_file(tmp_path / "c.pt", {"g": {"x": FILTER}, "args": call}, "zip")
    inside = io.BytesIO()
    Pickler(inside, 2).dump(call)  # where a tensor's bytes are
    hidden = Call(Global("torch.storage", "_load_from_bytes"), (inside.getvalue(),))
    (tmp_path / "d.pkl").write_bytes(snapshot(augment_pipe=hidden))
    for file in "a.pkl", "b.pkl", "c.pt", "d.pkl":
        text = message(tmp_path / file)
        assert f"asks for {name};" in text and "Refused; nothing was run." in text
    assert not mark.exists()


def test_the_calls_would_have_run(tmp_path):
    """Python's own unpickler runs them: the test above can fail."""
    mark = str(tmp_path / "it_ran")
    pickle.loads(
        dumps(Call(EVIL["builtins.eval"].function, (EVIL["builtins.eval"].args[0] % mark,)))
    )
    assert (tmp_path / "it_ran").exists()


BASE = "torch_utils.persistence", "_reconstruct_persistent_obj"
ODD = {
    "makes something of source text that is no network": Call(
        Global(*BASE), ({"type": "function", "class_name": "x"},)
    ),
    "its x is no tensor": plain("Generator")("", {"_parameters": {"x": [1]}}),
    "its x is no module": plain("Generator")("", {"_modules": {"x": {}}}),
    "_buffers that are no dictionary": plain("Generator")("", {"_buffers": 3}),
    "something that is no storage": Call(
        Global("torch._utils", "_rebuild_tensor_v2"), ("memory", 0, (1,), (1,))
    ),
    "changes a storage": Call(
        tensor(FILTER).args[0].function, tensor(FILTER).args[0].args, {"size": 9}
    ),
    "truncated, damaged or no .pkl file": Call(Global("torch.storage", "_load_from_bytes"), (b"",)),
}


@pytest.mark.parametrize("says", ODD)
def test_what_no_network_is(says, tmp_path):
    (tmp_path / "a.pkl").write_bytes(dumps({"G": ODD[says]}))
    assert says in message(tmp_path / "a.pkl")


def test_a_module_in_two_places_ends(tmp_path):
    """So a small file can't unfold into a huge network."""
    start = (
        b"\x80\x02}(X\x01\x00\x00\x00G"
        + pickle.GLOBAL
        + b"R3GAN.Networks\nGenerator\n)"
        + pickle.NEWOBJ
    )
    loop = start + b"p1\n}(X\x08\x00\x00\x00_modules}(X\x01\x00\x00\x00ag1\nuub" + b"u."
    (tmp_path / "a.pkl").write_bytes(loop)
    assert "its module 'a' stands in two places" in message(tmp_path / "a.pkl")


def test_a_file_without_networks(tmp_path):
    (tmp_path / "a.pkl").write_bytes(dumps({"cur_nimg": 3, "G": plain("Generator")("", {})}))
    (tmp_path / "b.pkl").write_bytes(dumps([1, 2]))
    for file in "a.pkl", "b.pkl":
        assert "no networks in it" in message(tmp_path / file)
    assert "no such file of weights" in message(tmp_path / "absent.pkl")


def test_truncated_files_and_flipped_bytes(tmp_path):
    """A short file is always an error. One with a wrong byte is read or is an error, and never
    anything else."""
    arrays = {"Model.Basis": weight("a", (3, 4, 4)), "Model.Bias": weight("b", (3,))}
    content, path = dumps({"G": module(arrays, {}, persistent("Generator"))}), tmp_path / "net.pkl"
    for end in [0, 1, 7, *(len(content) * i // 16 for i in range(1, 16)), len(content) - 1]:
        path.write_bytes(content[:end])
        assert "truncated, damaged" in message(path), end
    rng = np.random.default_rng(0)
    for place in rng.choice(len(content), 300, replace=False):
        path.write_bytes(
            content[:place]
            + bytes([content[place] ^ int(rng.integers(1, 256))])
            + content[place + 1 :]
        )
        try:
            pickles.read(path)
        except ValueError as error:
            assert str(path) in str(error) and "\n" not in str(error)


# --- conversion


def changed(arrays, name, array):
    """The same arrays with one replaced, or without it (None)."""
    return {n: x for n, x in arrays.items() if n != name} | ({} if array is None else {name: array})


ARRAYS = {  # whose, name, what stands there instead, what the error says
    "missing": (
        "G",
        "synthesis.b8.conv0.weight",
        None,
        "the generator lacks synthesis.b8.conv0.weight.",
    ),
    "average": ("G cond", "mapping.w_avg", None, "the generator lacks mapping.w_avg."),
    "unexpected": (
        "G",
        "synthesis.b8.skip.weight",
        FILTER,
        "the generator has synthesis.b8.skip.weight, which",
    ),
    "shape": (
        "G",
        "synthesis.b8.torgb.bias",
        np.zeros(4, np.float32),
        "torgb.bias is float32[4]; ours is [3].",
    ),
    "whole": (
        "G",
        "synthesis.b4.const",
        np.zeros((8, 4, 4), np.int32),
        "synthesis.b4.const is int32[8, 4, 4]",
    ),
    "filter": (
        "G",
        "synthesis.b8.conv0.resample_filter",
        FILTER[1:],
        "resample_filter is not the filter [1, 3, 3, 1].",
    ),
    "taps": (
        "D",
        "b8.conv1.resample_filter",
        FILTER * 1.01,
        "conv1.resample_filter is not the filter [1, 3, 3, 1].",
    ),
    "widths": (
        "G",
        "synthesis.b8.conv1.bias",
        np.zeros(7, np.float32),
        "channels by level are {4: 8, 8: 7, 16: 8, 32: 4}",
    ),
    "levels": ("D", "b16.conv0.bias", None, "channels by level are {4: 8, 8: 8, 32: 4}"),
    "other": ("G", "mapping.fc0.weight", None, "lacks mapping.fc0.weight: it is no StyleGAN2's."),
    "color": ("D", "b32.fromrgb.weight", None, "the critic lacks b32.fromrgb.weight."),
    "deeper": (
        "D cond",
        "mapping.fc8.weight",
        FILTER,
        "the critic has mapping.fc8.weight, which ours has not.",
    ),
    "dense": (
        "D",
        "b4.fc.weight",
        np.zeros((8, 64), np.float32),
        "b4.fc.weight is float32[8, 64]; ours is [128, 8].",
    ),
}


@pytest.mark.parametrize("case", ARRAYS)
def test_arrays_that_do_not_fit_are_named(case):
    who, name, array, says = ARRAYS[case]
    arrays = official(who[0], 32, 3 if "cond" in who else 0)
    with pytest.raises(ValueError) as error:
        convert = stylegan2.generator if who[0] == "G" else stylegan2.discriminator
        convert(Net("", {}, changed(arrays, name, array)))
    assert says in str(error.value) and "\n" not in str(error.value)


LAYERS = {
    ("G", "synthesis.b16.architecture"): (
        "resnet",
        "architecture is 'resnet'; only 'skip' is read.",
    ),
    ("G", "synthesis.b16.conv0.use_noise"): (False, "conv0.use_noise is False; only True is read."),
    ("G", "synthesis.b4.conv1.activation"): (
        "relu",
        "conv1.activation is 'relu'; only 'lrelu' is read.",
    ),
    ("G", "mapping.fc1.bias_gain"): (1, "mapping.fc1.bias_gain is 1; only 0.01 is read."),
    ("G", "synthesis.b4.torgb.conv_clamp"): (
        None,
        "several conv_clamp: ['256', 'None']; ours have one.",
    ),
    ("D", "b32.fromrgb.activation"): (
        "swish",
        "b32.fromrgb.activation is 'swish'; only 'lrelu' is read.",
    ),
    ("D", "b4.mbstd.num_channels"): (2, "b4.mbstd.num_channels is 2; only 1 is read."),
    ("D", "b4.mbstd.group_size"): (None, "b4.mbstd.group_size is None, the whole batch"),
}


@pytest.mark.parametrize("who, name", LAYERS)
def test_layers_that_compute_something_else_are_named(who, name):
    value, says = LAYERS[who, name]
    convert = stylegan2.generator if who == "G" else stylegan2.discriminator
    convert(Net("", SETTINGS[who], official(who)))
    with pytest.raises(ValueError) as error:
        convert(Net("", SETTINGS[who] | {name: value}, official(who)))
    assert says in str(error.value)


def test_settings_are_those_of_the_file():
    g, d = (f(Net("", SETTINGS[who], official(who, 64, 3))) for who, f in CONVERT.items())
    assert g.settings == {
        "w_dim": 12,
        "map_layers": 2,
        "channel_base": 128,
        "channel_max": 8,
        "conv_clamp": 256.0,
    }
    assert (g.shape, g.n_classes, g.z_dim) == ((64, 64, 3), 3, 10)
    wanted = {
        "channel_base": 128,
        "channel_max": 8,
        "architecture": "resnet",
        "mbstd_group": 4,
        "conv_clamp": 256.0,
    }
    assert (d.settings, d.shape, d.n_classes) == (wanted, (64, 64, 3), 3)


CONVERT = {"G": stylegan2.generator, "D": stylegan2.discriminator}


def test_a_critic_without_skips_is_the_plain_one():
    arrays = {name: x for name, x in official("D").items() if ".skip." not in name}
    plain_one = stylegan2.discriminator(Net("", {}, arrays))
    assert plain_one.settings["architecture"] == "orig"
    assert not any("skip" in block for block in plain_one.variables["params"].values())


def theirs(who, side=32, arrays=None):
    """rosinality's arrays, by its names and in its shapes, made from the official ones."""
    rename, arrays = their_critic if who == "D" else their_generator, arrays or official(who, side)
    return dict(rename(name, x, side) for name, x in arrays.items() if name != "mapping.w_avg")


def their_critic(name, x, side):
    place, _, rest = name.partition(".")
    whole = {
        "b4.conv": "final_conv.0",
        "b4.fc": "final_linear.0",
        "b4.out": "final_linear.1",
        f"b{side}.fromrgb": "convs.0.0",
    }
    layer, kind = name.rsplit(".", 1)
    if layer in whole:
        # there the bias is the activation's
        one_on = {"final_conv.0": "final_conv.1", "convs.0.0": "convs.0.1"}
        return (
            f"{one_on.get(whole[layer], whole[layer]) if kind == 'bias' else whole[layer]}.{kind}",
            x,
        )
    inner = {
        "conv0.weight": "conv1.0.weight",
        "conv0.bias": "conv1.1.bias",
        "conv1.weight": "conv2.1.weight",
        "conv1.bias": "conv2.2.bias",
        "conv1.resample_filter": "conv2.0.kernel",
        "skip.weight": "skip.1.weight",
    }
    return f"convs.{(side // int(place[1:])).bit_length()}.{inner[rest]}", x


def their_generator(name, x, side):
    kind, place, rest = name.split(".", 2)
    if kind == "mapping":
        return f"style.{int(place[2:]) + 1}.{rest}", x
    if rest == "const":
        return "input.input", x[None]
    (layer, rest), level = rest.split(".", 1), int(place[1:]).bit_length() - 4  # 0: of side 8
    n = 2 * level + int(layer == "conv1")
    if rest == "noise_const":
        return f"noises.noise_{max(n + 1, 0)}", x[None, None]
    if rest == "bias" and layer == "torgb":
        rest, x = "bias", x.reshape(1, -1, 1, 1)
    else:
        rest, change = {
            "weight": ("conv.weight", lambda x: x[None]),
            "bias": ("activate.bias", lambda x: x),
            "affine.weight": ("conv.modulation.weight", lambda x: x),
            "affine.bias": ("conv.modulation.bias", lambda x: x),
            "noise_strength": ("noise.weight", lambda x: x[None]),
            "resample_filter": ("conv.blur.kernel", lambda x: 4 * x),
        }[rest]
        x = change(x)
    first = {"torgb": "to_rgb1", "conv1": "conv1"}
    later = {"torgb": f"to_rgbs.{level}"}
    return f"{first[layer] if level < 0 else later.get(layer, f'convs.{n}')}.{rest}", x


@pytest.mark.parametrize("side", [32, 64])
def test_rosinality_is_read_by_the_official_names(side):
    average = official("G", side)["mapping.w_avg"]
    nets = {
        name: Net("", {}, theirs(who, side))
        for name, who in (("g", "G"), ("d", "D"), ("g_ema", "G"))
    }
    named = rosinality.official(nets | {"latent_avg": Net("", {}, {"": average[None]})})
    assert sorted(named) == ["D", "G", "G_ema"]
    for name, net in named.items():
        wanted = official(name[0], side)
        assert net.arrays.keys() == wanted.keys()
        for key, array in wanted.items():
            assert net.arrays[key].shape == array.shape, key
            np.testing.assert_array_equal(net.arrays[key], array, err_msg=key)
    strange = rosinality.official({"g": Net("", {}, theirs("G") | {"convs.0.conv.extra": FILTER})})
    with pytest.raises(
        ValueError, match="the generator has convs.0.conv.extra, which ours has not"
    ):
        stylegan2.generator(strange["G"])


def gray(who):
    """An official network for pictures of one channel."""
    one = {
        "fromrgb.weight": lambda x: x[:, :1],
        "torgb.weight": lambda x: x[:1],
        "torgb.bias": lambda x: x[:1],
    }
    cut = lambda name, x: next((f(x) for end, f in one.items() if name.endswith(end)), x)
    return {name: cut(name, x) for name, x in official(who).items()}


def test_gray_pictures():
    nets = {who.lower(): Net("", {}, theirs(who, 32, gray(who))) for who in "GD"}
    nets = rosinality.official(
        nets | {"latent_avg": Net("", {}, {"": official("G")["mapping.w_avg"]})}
    )
    for who, convert in CONVERT.items():
        wanted = convert(Net("", {}, gray(who)))
        assert wanted.shape == (32, 32, 1)
        found = convert(nets[who])
        jax.tree.map(np.testing.assert_array_equal, found.variables, wanted.variables)


THEIR_SHAPES = {  # with one channel, or one of them, everywhere
    "input.input": ((1, 1, 4, 4), (1, 4, 4)),
    "style.1.weight": ((1, 1), (1, 1)),
    "style.1.bias": ((1,), (1,)),
    "conv1.conv.weight": ((1, 1, 1, 3, 3), (1, 1, 3, 3)),
    "conv1.conv.modulation.weight": ((1, 1), (1, 1)),
    "conv1.conv.modulation.bias": ((1,), (1,)),
    "conv1.activate.bias": ((1,), (1,)),
    "conv1.noise.weight": ((1,), ()),
    "noises.noise_0": ((1, 1, 4, 4), (4, 4)),
    "to_rgb1.conv.weight": ((1, 1, 1, 1, 1), (1, 1, 1, 1)),
    "to_rgb1.bias": ((1, 1, 1, 1), (1,)),
    "to_rgbs.0.bias": ((1, 7, 1, 1), (7,)),
}


@pytest.mark.parametrize("name", THEIR_SHAPES)
def test_only_axes_that_rosinality_has_more_are_left_out(name):
    shape, wanted = THEIR_SHAPES[name]
    (array,) = rosinality.official({"g": Net("", {}, {name: np.ones(shape)})})["G"].arrays.values()
    assert array.shape == wanted


def test_an_average_that_the_file_lacks_is_measured():
    """By 10 000 draws: within five standard errors of another 100 000."""
    g = stylegan2.generator(Net("", {}, changed(official("G"), "mapping.w_avg", None)))
    z = np.random.default_rng(1).standard_normal((100_000, 10), np.float32)
    ws = np.asarray(Mapping(12, 2).apply({"params": g.variables["params"]["mapping"]}, z))
    off = np.abs(g.variables["average"]["mapping"]["w_avg"] - ws.mean(0)) / (ws.std(0) / 100)
    assert 0 < off.max() < 5


NUMBERS = {  # a setting in the file's G or D -> (what stands there, what the error says)
    ("G", "z_dim"): (
        float("nan"),
        "G's z_dim is nan; a whole number up to 1,048,576 belongs there.",
    ),
    ("G", "img_resolution"): (
        10**9,
        "G's img_resolution is 1000000000; a whole number up to 1,048,576",
    ),
    ("G", "synthesis.b8.conv0.in_channels"): (
        "8\x1b",
        "G's synthesis.b8.conv0.in_channels is '8\\x1b'; a whole number",
    ),
    ("G", "synthesis.b8.conv0.act_gain"): (
        float("inf"),
        "G's synthesis.b8.conv0.act_gain is inf; a finite number",
    ),
    ("G", "synthesis.b8.conv0.conv_clamp"): (
        float("nan"),
        "conv_clamp is nan; None or a number above 0",
    ),
    ("D", "b8.conv0.conv_clamp"): (
        "256",
        "D's b8.conv0.conv_clamp is '256'; None or a number above 0",
    ),
    ("D", "b4.mbstd.group_size"): (-4, "D's b4.mbstd.group_size is -4; a whole number"),
    ("D", "img_channels"): (True, "D's img_channels is True; a whole number"),
    ("D", "b8.num_layers"): ([3], "D's b8.num_layers is [3]; a whole number"),
}


@pytest.mark.parametrize("who, name", NUMBERS)
def test_what_is_no_number_is_named(who, name, tmp_path):
    value, says = NUMBERS[who, name]
    settings = SETTINGS | {who: SETTINGS[who] | {name: value}}
    (tmp_path / "net.pkl").write_bytes(snapshot(settings=settings))
    assert says in message(tmp_path / "net.pkl", snapshots.read)


def test_what_a_network_was_made_with_is_looked_at_too(tmp_path):
    made = {"c_dim": 0, "synthesis_kwargs": {"channel_max": 10**9, "channel_base": 32768}}
    settings = SETTINGS | {
        "G": SETTINGS["G"] | {"_init_kwargs": Object(Global("dnnlib.util", "EasyDict"), None)}
    }
    (tmp_path / "net.pkl").write_bytes(
        snapshot(settings=settings | {"G": settings["G"] | {"_init_kwargs": made}})
    )
    says = "G's _init_kwargs.synthesis_kwargs.channel_max is 1000000000; a whole number up to"
    assert says in message(tmp_path / "net.pkl", snapshots.read)


def test_sizes_that_the_arrays_contradict_are_named(tmp_path):
    for place, size, says in (
        ("z_dim", 512, "its arrays are of 10"),
        ("synthesis.w_dim", 11, "its arrays are of 12"),
    ):
        settings = SETTINGS | {"G": SETTINGS["G"] | {place: size}}
        (tmp_path / "net.pkl").write_bytes(snapshot(settings=settings))
        assert f"G's {place} is {size}, but {says}." in message(
            tmp_path / "net.pkl", snapshots.read
        )


def test_arrays_that_are_not_finite_are_named():
    arrays = official("G")
    arrays["synthesis.b8.conv0.affine.bias"] = np.full_like(
        arrays["synthesis.b8.conv0.affine.bias"], np.nan
    )
    with pytest.raises(
        ValueError,
        match=r"the generator's synthesis\.b8\.conv0\.affine\.bias holds NaN or infinity",
    ):
        stylegan2.generator(Net("", {}, arrays))
    for shape, sizes in (((9000, 1), "9,000 x 1"), ((1, 9000), "1 x 9,000")):
        large = changed(official("G"), "mapping.fc0.weight", np.zeros(shape, np.float32))
        with pytest.raises(ValueError, match=f"fc0.weight is {sizes}; 8,192 at most"):
            stylegan2.generator(Net("", {}, large))
    with pytest.raises(ValueError, match="group_size is 100000; 1 to 1024 is read"):
        stylegan2.discriminator(Net("", {"b4.mbstd.group_size": 100_000}, official("D")))


@pytest.mark.parametrize("shape", [(), (1,), (0, 8), (2, 3, 4, 5, 6)])
def test_an_array_of_any_shape_anywhere_is_an_error_of_one_line(shape):
    for who, names in (
        (
            "G",
            [
                "mapping.fc0.weight",
                "mapping.embed.weight",
                "synthesis.b4.torgb.weight",
                "synthesis.b8.conv1.bias",
            ],
        ),
        ("D", ["b32.fromrgb.weight", "b4.conv.bias", "mapping.embed.weight", "b16.conv0.bias"]),
    ):
        for name in names:
            with pytest.raises(ValueError) as error:
                CONVERT[who](
                    Net("", {}, changed(official(who, 32, 3), name, np.zeros(shape, np.float32)))
                )
            assert str(error.value).isprintable()


# --- state dicts alone


def alone(kind, folder):
    """A generator's state dict in a file of its own."""
    arrays = theirs("G") if kind == "rosinality" else official("G")
    if kind in ("safetensors", "npz"):
        path = folder / f"net.{kind}"
        save = (
            safetensors.numpy.save_file
            if kind == "safetensors"
            else lambda x, path: np.savez(path, **x)
        )
        save({name: np.array(x, order="C") for name, x in arrays.items()}, path)
        return path
    tree = {f"module.{name}": x for name, x in arrays.items()} if kind == "in a wrapper" else arrays
    return torch_file(
        folder / "net.pt", {"state_dict": tree} if kind == "by another name" else tree, "zip"
    )


@pytest.mark.parametrize(
    "kind", ["official", "rosinality", "in a wrapper", "by another name", "safetensors", "npz"]
)
def test_a_generators_state_dict_alone_is_read(kind, tmp_path):
    found = snapshots.read(alone(kind, tmp_path))
    assert (found.shape, found.n_classes, found.d) == ((32, 32, 3), 0, None)
    assert found.source == (
        "stylegan2-pytorch" if kind == "rosinality" else "stylegan2-ada-pytorch"
    )
    wanted = stylegan2.generator(Net("", {}, official("G"))).variables
    for params in (found.g, found.ema):
        jax.tree.map(np.testing.assert_array_equal, params["params"], wanted["params"])


def test_a_state_dict_of_something_else_is_told_by_its_first_names(tmp_path):
    path = torch_file(tmp_path / "net.pt", {f"layer{i}.weight": FILTER for i in range(300)}, "zip")
    says = (
        "it has the arrays layer0.weight, layer1.weight, layer2.weight and 297 more; none of them"
        " is a generator of"
    )
    assert says in message(path, snapshots.read)
    both = {"a": official("G"), "b": official("G")}
    path = torch_file(tmp_path / "two.pt", both, "zip")
    assert "it has several generators: a, b." in message(path, snapshots.read)
    safetensors.numpy.save_file({"params/g/fc/kernel": FILTER}, tmp_path / "params.safetensors")
    assert "It is an export of gan_jax" in message(tmp_path / "params.safetensors", snapshots.read)


# --- a run of it


@pytest.fixture
def converted(tool, tmp_path):
    """(a snapshot's bytes or their arguments, flags) -> (the tool's result, the workdir)."""

    def run(content=None, *flags, file="net.pkl", **arguments):
        if content is not None or arguments:
            (tmp_path / file).write_bytes(content or snapshot(**arguments))
        return (
            tool("convert_weights", tmp_path / file, "--out", tmp_path / "run", *flags),
            tmp_path / "run",
        )

    return run


def test_a_converted_run_is_sampled_from(converted):
    done, workdir = converted(None, "--classes", "cat, dog,hen", classes=3)
    assert done.returncode == 0, done.stderr
    state = ("w_avg", "noise_const", "resample_filter")
    count = sum(x.size for name, x in official("G", 32, 3).items() if not name.endswith(state))
    assert (
        f"net.pkl: stylegan2-ada-pytorch, 32x32x3, 3 classes; generator {count:,}, critic"
        in done.stdout
    )
    sampler = loading.load_sampler(workdir)
    assert sampler.classes == ("cat", "dog", "hen") and sampler.step.name == "0"
    g = stylegan2.generator(Net("", SETTINGS["G"], official("G", 32, 3, "_ema")))
    z, y = np.asarray(sampler.game.latent(jax.random.key(0), 3)), np.arange(3, dtype=np.int32)
    assert z.shape == (3, 10)
    pictures = jax.jit(Generator(g.shape, 3, **g.settings).apply)(g.variables, z, y)
    np.testing.assert_allclose(
        sampler(z, y), pictures, rtol=0, atol=1e-5 * float(np.abs(pictures).max())
    )


def test_a_converted_run_is_gone_on_from(converted, tmp_path):
    """By the config beside it: every leaf is there and finite, with each network's own weights."""
    done, workdir = converted(classes=0)
    assert done.returncode == 0, done.stderr
    assert (
        f"--config {workdir}/config.py --config.data.path=PHOTOS --workdir {workdir}" in done.stdout
    )
    settings = config.load(f"{workdir}/config.py", ["data.path=photos"])
    assert settings.data == {
        "source": "folder",
        "path": "photos",
        "resolution": 32,
        "channels": 3,
        "labels": False,
    }
    assert settings.ema_rampup is None and settings.conditional is False
    game = algorithms.make_game(settings, (32, 32, 3), 0)
    like = jax.eval_shape(lambda: build.new_state(settings, game, (32, 32, 3), 0))
    store = checkpoint.Store(workdir / "checkpoints")
    state, meta = store.restore(store.newest, like)
    assert store.close() and store.newest == 0
    assert config.differences(meta["config"], config.as_json(settings)) == [
        "config.data.path: None -> 'photos'"
    ]
    own = lambda player: {"params": player.params, "mutable": player.mutable}
    for net, (who, arrays) in zip(
        (own(state.g), own(state.d), state.ema),
        (("g", official("G")), ("d", official("D")), ("g", official("G", salt="_ema"))),
        strict=True,
    ):
        wanted = CONVERT[who.upper()](Net("", {}, arrays)).variables
        have = {"params": net["params"][who], **net["mutable"][who]}
        assert jax.tree.structure(have) == jax.tree.structure(wanted)
        jax.tree.map(np.testing.assert_array_equal, have, wanted)


@pytest.mark.slow
def test_a_converted_run_trains(converted, tmp_path, capsys):
    _, workdir = converted(classes=0)
    photos = tmp_path / "photos"
    for i in range(40):
        save_png(
            photos / f"{i}.png", np.random.default_rng(i).integers(0, 256, (32, 32, 3), np.uint8)
        )
    flags = [
        "--config",
        f"{workdir}/config.py",
        f"--config.data.path={photos}",
        "--config.total_kimg=0.064",
    ]
    assert main.main([*flags, "--workdir", str(workdir)]) == 0
    assert "resumed from step 0" in capsys.readouterr().out
    assert loading.load_sampler(workdir).step.name == "2"


@pytest.mark.parametrize("kind", ["plain", "classes"])
def test_r3gan_too(kind, converted):
    """Its settings are those at the end of the official schedules."""
    with np.load(FIXTURES / f"r3gan_{kind}.npz") as file:
        shapes = {
            name.removeprefix("grad."): file[name].shape
            for name in file.files
            if name.startswith("grad.")
        }
    arrays = {
        who: {f"Model.{n[2:]}": weight(n, s) for n, s in shapes.items() if n[0] == who}
        for who in "GD"
    }
    average = {name: weight(f"{name}_ema", x.shape) for name, x in arrays["G"].items()}
    nets = {
        "G": (arrays["G"], "Generator"),
        "D": (arrays["D"], "Discriminator"),
        "G_ema": (average, "Generator"),
    }
    done, workdir = converted(
        dumps({name: module(x, {}, plain(what)) for name, (x, what) in nets.items()})
    )
    assert done.returncode == 0, done.stderr
    assert "net.pkl: R3GAN, 16x16x3, " in done.stdout
    sampler, g, d = (
        loading.load_sampler(workdir),
        r3gan.generator(average),
        r3gan.discriminator(arrays["D"]),
    )
    y = np.arange(2, dtype=np.int32) if kind == "classes" else None
    z = np.asarray(sampler.game.latent(jax.random.key(0), 2))
    pictures = jax.jit(r3gan_model.Generator(g.shape, g.n_classes, **g.settings).apply)(
        g.variables, z, y
    )
    np.testing.assert_allclose(
        sampler(z, y), pictures, rtol=0, atol=1e-5 * float(np.abs(pictures).max())
    )
    saved, meta = checkpoint.read(sampler.step, ("g/params/", "d/params/"))
    for prefix, wanted in (("d", d), ("g", r3gan.generator(arrays["G"]))):
        for path, x in traverse_util.flatten_dict(wanted.variables["params"], sep="/").items():
            np.testing.assert_array_equal(
                saved[f"{prefix}/params/{prefix}/{path}"], x, err_msg=path
            )
    assert meta["config"]["opt_d"] == {"name": "adam", "lr": 5e-5, "b1": 0.0, "b2": 0.99}
    assert meta["config"]["game"] == {"gamma": 0.2, "z_dim": 6}
    assert meta["config"]["ema_rise_kimg"] is None and "rise_kimg" not in meta["config"]["augment"]


def test_a_file_with_the_average_only_has_both_and_a_new_critic(converted, tmp_path):
    torch_file(
        tmp_path / "net.pt",
        {"g_ema": theirs("G"), "latent_avg": official("G")["mapping.w_avg"]},
        "zip",
    )
    done, workdir = converted(file="net.pt")
    assert done.returncode == 0, done.stderr
    assert "stylegan2-pytorch" in done.stdout and "(not in it: starts anew)" in done.stdout
    saved, meta = checkpoint.read(workdir / "checkpoints" / "0", ("g/", "ema/", "d/params/"))
    assert meta["config"]["d"] == {
        "channel_base": 128,
        "channel_max": 8,
        "mbstd_group": 4,
        "architecture": "resnet",
        "conv_clamp": None,
    }
    for name in ("params/g/mapping/fc0/kernel", "mutable/g/average/mapping/w_avg"):
        np.testing.assert_array_equal(saved[f"g/{name}"], saved[f"ema/{name}"])
    np.testing.assert_array_equal(
        saved["ema/params/g/mapping/fc1/bias"], official("G")["mapping.fc1.bias"]
    )
    assert saved["d/params/d/conv/kernel"].std() > 0.5


def test_what_the_tool_can_not_do_is_said_in_one_line(converted, tmp_path):
    def says(text, *arguments, **named):
        done, workdir = converted(*arguments, **named)
        assert done.returncode == 1 and done.stdout == ""
        assert (
            text in done.stderr
            and done.stderr.startswith("error: ")
            and done.stderr.count("\n") == 1
        )
        assert not (workdir / "checkpoints" / "0").exists()

    says("absent.pkl: no such file of weights.", file="absent.pkl")
    says("--classes=a,b: the file's networks know 3 classes", None, "--classes", "a,b", classes=3)
    says(
        "--classes=a,b,a: the file's networks know 3 classes", None, "--classes", "a,b,a", classes=3
    )
    says(
        "the generator lacks mapping.fc0.bias.", G=changed(official("G"), "mapping.fc0.bias", None)
    )
    says(
        "net.pkl: D is for (64, 64, 3) and 0 classes, G for (32, 32, 3) and 0.", D=official("D", 64)
    )
    says("net.pkl: G and G_ema are not alike.", G=official("G", 64))
    says(
        "it has the networks D; none of them is a generator",
        dumps({"D": module(official("D"), {}, persistent("Discriminator"))}),
    )
    says("net.pkl: it asks for posix.system;", augment_pipe=EVIL["posix.system"])
    broken = official("G") | {"synthesis.b4.const": np.full((8, 4, 4), np.inf, np.float32)}
    says("the generator's synthesis.b4.const holds NaN or infinity.", G=broken)
    assert not (tmp_path / "run").exists()
    says(
        "net.png: this is no file of weights but a PNG picture.",
        b"\x89PNG\r\n\x1a\n",
        file="net.png",
    )
    says("that is a folder; give the file itself.", file="..")
    (tmp_path / "run").write_text("")
    says("that is a file. Give a folder for the new run.", classes=0)
    (tmp_path / "run").unlink()
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    says("a run is there already. Give another folder.", classes=0)
