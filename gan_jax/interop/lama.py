"""Other people's LaMa -> ours: a state dict of the official network, or the program that it is
passed on as (big-lama.pt)."""

import pathlib
import re
from collections.abc import Mapping
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from gan_jax.interop.arrays import checked, some
from gan_jax.models import lama
from gan_jax.runtime import weights
from gan_jax.runtime.text import shown
from gan_jax.state import PyTree

FIRST = "model.1.ffc.convl2l.weight"
NORM = {"weight": "scale", "bias": "bias", "running_mean": "mean", "running_var": "var"}
PARTS = {  # of a Fourier convolution: theirs -> ours
    "ffc.convl2l": "local",
    "ffc.convl2g": "local_to_global",
    "ffc.convg2l": "global_to_local",
    "ffc.convg2g.conv1.0": "global.first",
    "ffc.convg2g.conv1.1": "global.first_norm",
    "ffc.convg2g.fu.conv_layer": "global.fourier",
    "ffc.convg2g.fu.bn": "global.fourier_norm",
    "ffc.convg2g.conv2": "global.last",
    "bn_l": "local_norm",
    "bn_g": "global_norm",
}


class Filler(NamedTuple):
    """Attributes:
    net: the network.
    variables: {"params": ..., "batch_stats": ...}, float32.
    """

    net: lama.Generator
    variables: PyTree


def read(path: str | pathlib.Path) -> Filler:
    """LaMa's generator, of a .pt, .pth, .safetensors or .npz.

    Raises:
        ValueError: no such file, or damaged; another network; one line that names it.
    """
    arrays = weights.read(path)
    try:
        return of(arrays)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def of(arrays: Mapping[str, np.ndarray]) -> Filler:
    """The same of its arrays by name. Raises ValueError: another network."""
    start = next((name for name in arrays if name.endswith(FIRST)), None)
    if start is None:
        raise ValueError(
            f"no LaMa: it has {shown(some(list(arrays)))}. Known are the official network's files,"
            " with Fourier convolutions, such as big-lama.pt."
        )
    prefix = start.removesuffix(FIRST)
    own = {k.removeprefix(prefix): x for k, x in arrays.items() if k.startswith(prefix)}
    net = _recognized(own)
    flat = {}
    for name, array in own.items():
        if not name.endswith("num_batches_tracked"):
            place, value = _converted(name, array, net)
            flat[place] = np.ascontiguousarray(value, np.float32)
    return Filler(net, checked(flat, net, jnp.zeros((1, 32, 32, 4)), "LaMa"))


def _recognized(arrays: Mapping[str, np.ndarray]) -> lama.Generator:
    """The network by its arrays' names and shapes."""
    blocks = {m[1] for name in arrays if (m := re.match(r"model\.(\d+)\.conv1\.", name))}
    downs = {m[1] for name in arrays if (m := re.match(r"model\.(\d+)\.ffc\.", name))}
    levels = len(downs) - 1
    last = arrays.get(f"model.{1 + levels}.ffc.convl2g.weight")
    width = arrays[FIRST].shape[0]
    if not blocks or levels < 1 or last is None:
        raise ValueError("a LaMa without Fourier convolutions; only those with are known.")
    share = last.shape[0] / (width << levels)
    return lama.Generator(width=width, levels=levels, blocks=len(blocks), share=share)


def _converted(name: str, array: np.ndarray, net: lama.Generator) -> tuple[str, np.ndarray]:
    """(our leaf's dotted name, the array as ours) of one of theirs. Raises ValueError: none of
    LaMa's."""
    match = re.fullmatch(r"model\.(\d+)\.(?:conv([12])\.)?(.*?)\.?(\w+)", name)
    if match is None:
        raise ValueError(f"it has {shown(name)}, which is none of LaMa's.")
    number, half, part, leaf = int(match[1]), match[2], match[3], match[4]
    after = 2 + net.levels + net.blocks  # where the parts are joined again
    if number == 1:
        place = {"ffc.convl2l": "first", "bn_l": "first_norm"}.get(part)
    elif number < 2 + net.levels:
        place = PARTS.get(part) and f"down{number - 2}.{PARTS[part]}"
    elif number < after:
        block = f"block{number - 2 - net.levels}_{int(half or 0) - 1}"
        place = PARTS.get(part) and f"{block}.{PARTS[part]}"
    else:
        step, kind = divmod(number - after - 1, 3)
        level = net.levels - 1 - step
        names = {0: f"up{level}", 1: f"up{level}_norm"}
        place = names.get(kind) if level >= 0 else "last"
    if place is None:
        raise ValueError(f"it has {shown(name)}, which is none of LaMa's.")
    if array.ndim == 4:
        # [O, I, k, k] -> [k, k, I, O]; transposed ones are [I, O, k, k], and ours [k, k, O, I]
        return f"params.{place}.kernel", array.transpose(2, 3, 1, 0)
    if place.endswith("norm"):
        kind = "params" if leaf in ("weight", "bias") else "batch_stats"
        return f"{kind}.{place}.{NORM.get(leaf, leaf)}", array
    return f"params.{place}.{leaf}", array
