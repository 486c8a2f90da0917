"""Other people's MI-GAN -> ours: the state dict of the official network in its form for use
(lib/model_zoo/migan_inference.py), such as migan_256_places2.pt."""

import pathlib
import re
from collections.abc import Mapping
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from gan_jax.interop.arrays import checked, some
from gan_jax.models import migan
from gan_jax.runtime import weights
from gan_jax.runtime.text import shown
from gan_jax.state import PyTree

FIRST = "encoder.b4.conv1.conv1.weight"
FIXED = re.compile(r"(?:\.filter\.weight|\.filter_const)$")  # of resampling: no weights
LENGTHS = 1e-3  # by how much those of filters may differ from 1
PARTS = {  # of a block: theirs -> ours
    "conv1.weight": "params.{}.depthwise.kernel",
    "conv1.bias": "params.{}.depthwise.bias",
    "conv2.weight": "params.{}.pointwise.kernel",
    "noise_const": "noise.{}.noise.const",
    "noise_strength": "params.{}.noise.strength",
}


class Filler(NamedTuple):
    """Attributes:
    net: the network.
    variables: {"params": ..., "noise": ...}, float32.
    """

    net: migan.Generator
    variables: PyTree


def read(path: str | pathlib.Path) -> Filler:
    """MI-GAN's generator, of a .pt, .pth, .safetensors or .npz.

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
    net = _recognized(arrays)
    flat = {}
    for name, array in arrays.items():
        if not FIXED.search(name):
            flat[_place(name)] = _converted(name, array)
    return Filler(net, checked(flat, net, jnp.zeros((1, *net.shape[:2], 4)), "MI-GAN"))


def _recognized(arrays: Mapping[str, np.ndarray]) -> migan.Generator:
    """The network by its arrays' names and shapes."""
    found = (re.fullmatch(r"encoder\.b(\d{1,5})\.conv1\.conv1\.weight", name) for name in arrays)
    channels = {int(m[1]): arrays[m[0]].shape[0] for m in found if m}
    if FIRST not in arrays:
        raise ValueError(
            f"no MI-GAN: it has {shown(some(list(arrays)))}. Known are the official network's files"
            " for use, not for training, such as migan_256_places2.pt."
        )
    side = max(channels)
    base, most = side * channels[side], max(channels.values())
    return migan.Generator((side, side, 4), channel_base=base, channel_max=most)


def _place(name: str) -> str:
    """Our leaf's dotted name of one of theirs. Raises ValueError: none of MI-GAN's."""
    match = re.fullmatch(r"(encoder|synthesis)\.b(\d+)\.(fromrgb|torgb|conv[12])\.([\w.]+)", name)
    if match is not None:
        half, level, part, leaf = match.groups()
        if part in ("fromrgb", "torgb") and leaf in ("weight", "bias"):
            place = "from_rgb" if part == "fromrgb" else f"to_rgb{level}"
            return f"params.{place}.{'kernel' if leaf == 'weight' else 'bias'}"
        if leaf in PARTS:
            half = {"encoder": "encoder", "synthesis": "decoder"}[half]
            return PARTS[leaf].format(f"{half}{level}_{int(part[-1]) - 1}")
    raise ValueError(f"it has {shown(name)}, which is none of MI-GAN's for use.")


def _converted(name: str, array: np.ndarray) -> np.ndarray:
    """The array as ours, float32. Raises ValueError: filters that are not of length 1."""
    array = np.asarray(array, np.float32)
    if array.ndim != 4:
        return array
    lengths = np.sqrt(np.sum(np.square(array), (1, 2, 3)))
    if not (np.abs(lengths - 1) < LENGTHS).all():
        raise ValueError(
            f"{shown(name)} has filters of length {lengths.min():.3g} to {lengths.max():.3g}; those"
            " of MI-GAN have 1."
        )
    return np.ascontiguousarray(array.transpose(2, 3, 1, 0))
