"""ncnn's pairs of files: .param, a text that lists the layers, and .bin, their weights in that
order."""

import pathlib

import numpy as np

from gan_jax.runtime.unpickle import Refused
from gan_jax.runtime.weights import limits

MAGIC = "7767517"
HALF, SINGLE = 0x01306B47, 0  # a convolution's tag: float16, or float32
LARGEST = 2**20  # a count in the text, at most


def read_ncnn(path: pathlib.Path) -> dict[str, np.ndarray]:
    """The arrays of `path`, a .param, and the .bin beside it, in the order of the layers, float32:
    "Conv_0.weight" [O, I, k, k], "Conv_0.bias" [O], "PRelu_1.weight" [C].

    Raises:
        Refused: another kind of layer with weights, or files that do not fit each other.
    """
    data = binary_of(path).read_bytes()
    limits.bounded([2 * len(data)], len(data))
    found, place = {}, 0

    def take(kind: str, count: int) -> np.ndarray:
        nonlocal place
        array = np.frombuffer(data, kind, count, place)
        place += array.nbytes
        return array.astype(np.float32)

    for kind, name, settings in _layers(path.read_text("utf-8")):
        if kind == "Convolution":
            out, side, count = (_count(name, settings, key) for key in (0, 1, 6))
            if out * side * side == 0 or count % (out * side * side):
                raise Refused(f"{name}: {count} weights for {out} channels of {side}x{side}.")
            tag = int(np.frombuffer(data, "<u4", 1, place)[0])
            place += 4
            if tag not in (HALF, SINGLE):
                raise Refused(f"{name}: weights of a kind (0x{tag:08x}) that is not read.")
            weights = take("<f2" if tag == HALF else "<f4", count)
            place += -place % 4
            found[f"{name}.weight"] = weights.reshape(out, -1, side, side)
            if settings.get(5):
                found[f"{name}.bias"] = take("<f4", out)
        elif kind == "PReLU":
            found[f"{name}.weight"] = take("<f4", _count(name, settings, 0))
        elif kind not in WITHOUT:
            raise Refused(f"{name}: a layer of a kind ({kind}) that is not read.")
    if place != len(data):
        raise Refused(f"{binary_of(path).name} has {len(data):,} bytes, its layers {place:,}.")
    return found


WITHOUT = {
    "Input", "Split", "Concat", "Eltwise", "BinaryOp", "Interp", "PixelShuffle", "Reorg", "ReLU",
    "Crop",
}  # fmt: skip
"""Kinds of layers that have no weights."""


def binary_of(path: pathlib.Path) -> pathlib.Path:
    """The .bin of a .param."""
    return path.with_suffix(".bin")


def _layers(text: str):
    """(kind, name, {number: value} of whole numbers) of each layer."""
    lines = text.splitlines()
    if not lines or lines[0].strip() != MAGIC:
        raise Refused("no ncnn network (its first line is not 7767517).")
    if int(lines[1].split()[0]) != len(lines) - 2 or len(lines) > limits.MOST:
        raise Refused("its number of layers is not that of its lines.")
    for line in lines[2:]:
        kind, name, inputs, outputs, *rest = line.split()
        settings = (part.split("=", 1) for part in rest[int(inputs) + int(outputs) :])
        yield kind, name, {int(k): int(v) for k, v in settings if v.lstrip("-").isdigit()}


def _count(name: str, settings: dict[int, int], key: int) -> int:
    value = settings.get(key, 0)
    if not 0 < value <= LARGEST * 64:
        raise Refused(f"{name}: a size of {value}.")
    return value
