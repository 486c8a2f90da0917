"""Other people's snapshots of a whole run -> settings and numpy arrays, network by network.

StyleGAN2-ADA's and R3GAN's .pkl hold the networks as Python objects, the former with the source
text of their classes; other projects' .pt hold dictionaries of tensors. No object is made and no
text is run: for each class that such a file may name stands an inert record of what the file says
about it, and a file that names anything else is refused.
"""

import io
import pathlib
import zipfile
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from gan_jax.runtime import weights
from gan_jax.runtime.text import shown
from gan_jax.runtime.unpickle import LONGEST, Record, Refused, Unpickler, set_of
from gan_jax.runtime.weights import limits, pytorch
from gan_jax.runtime.weights.limits import Names
from gan_jax.runtime.weights.pytorch import LazyTensor

BARE = (".safetensors", ".npz")  # kinds of files that hold arrays only


class Net(NamedTuple):
    """One network as a file has it.

    Attributes:
        kind: its class, "Generator"; "" where the file has its tensors only.
        settings: plain attributes of its modules by dotted name, {"synthesis.b4.conv1.conv_clamp":
            256}.
        arrays: parameters and buffers by dotted name, {"synthesis.b4.conv1.weight": ...}.
    """

    kind: str
    settings: dict[str, object]
    arrays: dict[str, np.ndarray]


def read(path: str | pathlib.Path) -> dict[str, Net]:
    """The networks of a snapshot, {"G": ..., "D": ..., "G_ema": ...}; what is neither network nor
    tensor is left out.

    A tensor at the file's top level (`latent_avg`) is a Net of one array, named "". Where there are
    tensors only, as in a file of one network's state dict, a .safetensors or an .npz, they are one
    Net, itself named "".

    Raises:
        ValueError: no such file; truncated or damaged; it names a class or function that no such
            file needs; or there is no network in it. One line, naming the file and what was found.
    """
    path = pathlib.Path(path).expanduser()
    limits.is_there(path)
    if path.suffix.lower() in BARE:
        return {"": Net("", {}, weights.read(path))}
    with limits.in_one_line(path):
        tree, names = _tree(path), Names()
        tree = tree if isinstance(tree, Mapping) else {}
        if tree and all(isinstance(value, LazyTensor) for value in tree.values()):
            tree = {"": tree}
        nets = {names("", name): _net(value, names) for name, value in tree.items()}
        found = {name: net for name, net in nets.items() if net is not None and net.arrays}
        if not found:
            raise Refused("no networks in it.")
        arrays = [array for net in found.values() for array in net.arrays.values()]
        limits.bounded((array.nbytes for array in arrays), path.stat().st_size)
        return found


def _recorded(name: str):
    """What stands for a class: a record of what the file says of an object of it."""
    return lambda *_: Record(name)


def _persistent(meta):
    """Stands for torch_utils.persistence._reconstruct_persistent_obj, which would run the source
    text meta["module_src"]."""
    meta = meta if isinstance(meta, dict) else {}
    if meta.get("type") != "class" or not isinstance(meta.get("class_name"), str):
        raise Refused(
            "it makes something of source text that is no network. Refused; nothing was run."
        )
    record = Record(meta["class_name"][:LONGEST])
    record.state = meta["state"] if isinstance(meta.get("state"), dict) else {}
    return record


_RECORDED = {
    "argparse": ["Namespace"],
    "numpy": ["dtype"],
    "numpy.core.multiarray": ["scalar"],
    "numpy._core.multiarray": ["scalar"],
    "torch": ["float16", "bfloat16", "float32"],
    "torch.nn.modules.container": ["ModuleList", "Sequential"],
    "torch.nn.modules.conv": ["Conv2d"],
    "torch.nn.modules.linear": ["Linear"],
    "training.networks": ["Generator", "Discriminator"],
    "R3GAN.Networks": [
        "Generator", "Discriminator", "GeneratorStage", "DiscriminatorStage", "GenerativeBasis",
        "DiscriminativeBasis", "ResidualBlock", "Convolution", "UpsampleLayer", "DownsampleLayer",
    ],
    "R3GAN.FusedOperators": ["BiasedActivationCUDA", "BiasedActivationReference"],
    "R3GAN.Resamplers": [
        "InterpolativeUpsamplerCUDA", "InterpolativeDownsamplerCUDA",
        "InterpolativeUpsamplerReference", "InterpolativeDownsamplerReference",
    ],
}  # fmt: skip


READS = (
    "networks of StyleGAN2-ADA and R3GAN, and dictionaries of plain float, int and bool tensors,"
)


def _unpickler() -> Unpickler:
    """For one file."""
    storages = {}

    def load_from_bytes(data):
        """A tensor's storage, which PyTorch writes into a plain pickle as a file of its own."""
        if id(data) not in storages:
            inside = Unpickler(pytorch.KNOWN, pytorch.TENSORS)
            inside.left = unpickler.left
            storages[id(data)] = data, pytorch.read_legacy(io.BytesIO(data), inside)
            unpickler.left = inside.left
        if not isinstance(storages[id(data)][1], pytorch.Storage):
            raise Refused(
                "it makes a tensor of something that is no storage. Refused; nothing was run."
            )
        return storages[id(data)][1]

    known = pytorch.KNOWN | {
        ("builtins", "set"): set_of,
        ("dnnlib.util", "EasyDict"): lambda: {},
        ("torch.storage", "_load_from_bytes"): load_from_bytes,
        ("torch_utils.persistence", "_reconstruct_persistent_obj"): _persistent,
    }
    known |= {
        (module, name): _recorded(name) for module, names in _RECORDED.items() for name in names
    }
    unpickler = Unpickler(known, READS)
    return unpickler


def _tree(path):
    if zipfile.is_zipfile(path):
        return pytorch.read_tree(path, _unpickler())

    def storage(pid):
        raise Refused("it refers to a tensor's storage that is not in it.")

    with pytorch.in_memory(path) as file:
        tree = _unpickler().load(file, storage)
    opens_with_number = isinstance(tree, int)  # as PyTorch's own files do
    return pytorch.read_tree(path, _unpickler()) if opens_with_number else tree


def _net(value, names: Names) -> Net | None:
    """A module, a state dict or a single tensor; None for anything else."""
    if isinstance(value, LazyTensor):
        return Net("", {}, {"": value.materialize()})
    if isinstance(value, Record):
        net = Net(value.kind, {}, {})
        _collect(value, "", net, set(), names)
        return net
    if isinstance(value, Mapping) and all(
        isinstance(item, LazyTensor) for _, item in names.walk(value)
    ):
        return Net("", {}, pytorch.flat(value, names))
    return None


def _collect(module: Record, prefix: str, net: Net, seen: set[int], names: Names) -> None:
    """Fills `net` with a module's tensors and settings, then with those of its modules."""
    if id(module) in seen:
        raise Refused(f"its module {prefix!r} stands in two places.")
    seen.add(id(module))
    _note(module.state, prefix, net, names)
    for kind in ("_parameters", "_buffers"):
        for name, value in _items(module, kind, names):
            place = names(prefix, name)
            if isinstance(value, LazyTensor):
                net.arrays[place] = value.materialize()
            elif value is not None:
                raise Refused(f"its {place} is no tensor.")
    for name, value in _items(module, "_modules", names):
        place = names(prefix, name)
        if isinstance(value, Record):
            _collect(value, place, net, seen, names)
        elif value is not None:
            raise Refused(f"its {place} is no module.")


def _note(state: Mapping, prefix: str, net: Net, names: Names) -> None:
    """Its settings, and what it was made with: "_init_kwargs.synthesis_kwargs.channel_max"."""
    for name, value in names.walk(state):
        if _plain(value):
            net.settings[names(prefix, name)] = value
        elif isinstance(value, Mapping) and str(name).endswith("_kwargs"):
            _note(value, names(prefix, name), net, names)


def _items(module, kind, names):
    found = module.state.get(kind, {})
    if not isinstance(found, Mapping):
        raise Refused(f"its {shown(module.kind)} has {kind} that are no dictionary.")
    return names.walk(found)


def _plain(value) -> bool:
    if isinstance(value, list | tuple):
        return len(value) <= 16 and all(isinstance(item, int | float | str) for item in value)
    return value is None or isinstance(value, int | float | str)
