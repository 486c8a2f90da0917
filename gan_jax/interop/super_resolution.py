"""Other people's networks that enlarge pictures -> ours: Real-ESRGAN's, BasicSR's and old ESRGAN's
PyTorch files, and ncnn's pairs of files of the former."""

import pathlib
import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util

from gan_jax.interop.marks import whose
from gan_jax.models import rrdb, srresnet, srvgg
from gan_jax.runtime import weights
from gan_jax.runtime.text import shown
from gan_jax.state import PyTree

WRAPPERS = "params_ema.", "params.", "state_dict.", "module."
FAMILIES = "Real-ESRGAN's RRDBNet and SRVGGNetCompact, and BasicSR's MSRResNet"

Layers = list[tuple[np.ndarray, np.ndarray]]  # (weight [O, I, k, k], bias [O]) of convolutions


class Enlarger(NamedTuple):
    """Attributes:
    net: a Generator whose trait `scale` is by what it enlarges.
    params: of it, float32.
    """

    net: nn.Module
    params: PyTree


def read(path: str | pathlib.Path) -> Enlarger:
    """A network that enlarges, of a .pth, .safetensors, .npz or .param (its .bin beside it).

    Raises:
        ValueError: no such file, or damaged; another network; one line that names it.
    """
    arrays = weights.read(path)
    try:
        return _checked(_recognized(arrays, ordered=pathlib.Path(path).suffix.lower() == ".param"))
    except KeyError as error:
        raise ValueError(f"{path}: it lacks {error}.{whose(arrays)}") from error
    except (IndexError, ZeroDivisionError) as error:
        raise ValueError(f"{path}: its layers are not those of {FAMILIES}.") from error
    except ValueError as error:
        raise ValueError(f"{path}: {error}{whose(arrays)}") from error


def _recognized(arrays: Mapping[str, np.ndarray], *, ordered: bool) -> Enlarger:
    """By the arrays' names; ordered: they say nothing, the order of the layers does."""
    for wrapper in WRAPPERS:  # of the averaged weights, where a file has both
        inside = {k.removeprefix(wrapper): x for k, x in arrays.items() if k.startswith(wrapper)}
        arrays = inside or arrays
    if ordered:
        return _in_order(arrays)
    if "upconv1.weight" in arrays:
        return _srresnet(arrays)
    if "body.1.weight" in arrays:
        return _compact(arrays, lambda k: f"body.{k}")
    if "model.0.weight" in arrays:
        arrays = {_of_old(name): x for name, x in arrays.items()}
    if "conv_first.weight" in arrays:
        return _rrdb(_named(arrays, _rrdb_names(arrays)))
    names = ", ".join(shown(name)[:40] for name in list(arrays)[:3])
    raise ValueError(f"no network that is known: it has {names} ... Known: {FAMILIES}.")


def _checked(found: Enlarger) -> Enlarger:
    """Raises ValueError where the parameters are not those of the network for pictures in RGB."""
    like = jax.eval_shape(found.net.init, jax.random.key(0), jnp.zeros((1, 8, 8, 3)))["params"]
    wanted, own = (
        {name: x.shape for name, x in traverse_util.flatten_dict(tree, sep="/").items()}
        for tree in (like, found.params)
    )
    for name in {**wanted, **own}:
        if wanted.get(name) != own.get(name):
            have, want = (str(list(x[name])) if name in x else "none" for x in (own, wanted))
            raise ValueError(f"{name} is {have}, and {want} in a network for pictures in RGB.")
    return found


def _in_order(arrays: Mapping[str, np.ndarray]) -> Enlarger:
    """Of ncnn's layers, whose names say nothing."""
    names = [name.removesuffix(".weight") for name in arrays if name.endswith(".weight")]
    if any(arrays[f"{name}.weight"].ndim == 1 for name in names):
        return _compact(arrays, lambda k: names[k])
    return _rrdb(_named(arrays, names))


def _named(arrays: Mapping[str, np.ndarray], names: Iterable[str]) -> Layers:
    return [(arrays[f"{name}.weight"], arrays[f"{name}.bias"]) for name in names]


def _rrdb_names(arrays: Mapping[str, np.ndarray]) -> list[str]:
    blocks = len({name.split(".")[1] for name in arrays if name.startswith("body.")})
    parts = [(i, j, k) for i in range(blocks) for j in (1, 2, 3) for k in range(1, 6)]
    body = [f"body.{i}.rdb{j}.conv{k}" for i, j, k in parts]
    return ["conv_first", *body, "conv_body", "conv_up1", "conv_up2", "conv_hr", "conv_last"]


def _of_old(name: str) -> str:
    """BasicSR's name of a layer of the first ESRGAN's files."""
    if match := re.fullmatch(r"model\.1\.sub\.(\d+)\.RDB(\d)\.conv(\d)\.0\.(\w+)", name):
        return f"body.{match[1]}.rdb{match[2]}.conv{match[3]}.{match[4]}"
    if match := re.fullmatch(r"model\.1\.sub\.\d+\.(weight|bias)", name):
        return f"conv_body.{match[1]}"
    places = {"0": "first", "3": "up1", "6": "up2", "8": "hr", "10": "last"}
    match = re.fullmatch(r"model\.(\d+)\.(\w+)", name)
    return f"conv_{places[match[1]]}.{match[2]}" if match and match[1] in places else name


def _rrdb(layers: Layers) -> Enlarger:
    blocks, rest = divmod(len(layers) - 6, 15)
    first, inside = layers[0][0], layers[1][0]
    channels = layers[-1][0].shape[0]
    patch = {1: 1, 4: 2, 16: 4}.get(first.shape[1] // channels)
    if rest or blocks < 1 or patch is None:
        raise ValueError(f"{len(layers)} convolutions: no RRDBNet has as many.")
    names = [("first",)]
    for i in range(blocks):
        names += [(f"block{i}", f"dense{j}", f"conv{k}") for j in range(3) for k in range(5)]
    names += [("body",), ("up0",), ("up1",), ("large",), ("last",)]
    # their channels of a square are (color, row, column), ours (row, column, color)
    layers[0] = _ordered(first, patch, 1), layers[0][1]
    settings = {"width": first.shape[0], "blocks": blocks, "growth": inside.shape[0]}
    return Enlarger(rrdb.Generator(**settings, scale=4 // patch), _nested(names, layers))


def _compact(arrays: Mapping[str, np.ndarray], name_of) -> Enlarger:
    count = sum(x.ndim == 4 for x in arrays.values())
    layers = _named(arrays, [name_of(2 * k) for k in range(count)])
    slopes = [arrays[f"{name_of(2 * k + 1)}.weight"] for k in range(count - 1)]
    channels = layers[0][0].shape[1]
    scale = round((layers[-1][0].shape[0] / channels) ** 0.5)
    width = layers[0][0].shape[0]
    if count < 3 or scale**2 * channels != layers[-1][0].shape[0]:
        raise ValueError(f"{count} convolutions, the last of {layers[-1][0].shape[0]} channels.")
    layers[-1] = tuple(_ordered(x, scale, 0) for x in layers[-1])
    names = [*((f"conv{k}",) for k in range(count - 1)), ("last",)]
    params = _nested(names, layers) | {
        f"slope{k}": np.asarray(x, np.float32) for k, x in enumerate(slopes)
    }
    settings = {"width": width, "layers": count - 2, "scale": scale}
    return Enlarger(srvgg.Generator(**settings), params)


def _srresnet(arrays: Mapping[str, np.ndarray]) -> Enlarger:
    blocks = len({name.split(".")[1] for name in arrays if name.startswith("body.")})
    theirs, ours = ["conv_first"], [("first",)]
    for i in range(blocks):
        theirs += [f"body.{i}.conv{k}" for k in (1, 2)]
        ours += [(f"block{i}_conv{k}",) for k in (0, 1)]
    theirs += ["upconv1", "upconv2", "conv_hr", "conv_last"]
    ours += [("up0",), ("up1",), ("large",), ("last",)]
    layers = _named(arrays, theirs)
    for k in (-4, -3):
        layers[k] = tuple(_ordered(x, 2, 0) for x in layers[k])
    settings = {"width": layers[0][0].shape[0], "blocks": blocks}
    return Enlarger(srresnet.Generator(**settings), _nested(ours, layers))


def _ordered(x: np.ndarray, n: int, axis: int) -> np.ndarray:
    """Channels (color, row, column) of squares of n x n along an axis -> (row, column, color)."""
    x = np.moveaxis(x, axis, 0)
    x = np.moveaxis(x.reshape(-1, n * n, *x.shape[1:]), 0, 1).reshape(x.shape)
    return np.moveaxis(x, 0, axis)


def _nested(names: list[tuple[str, ...]], layers: Layers) -> PyTree:
    """Parameters by our names; kernels [k, k, I, O]. Raises ValueError: shapes that are none of a
    convolution's."""
    tree: PyTree = {}
    for place, (kernel, bias) in zip(names, layers, strict=True):
        if kernel.ndim != 4 or kernel.shape[2:] != (3, 3) or bias.shape != kernel.shape[:1]:
            raise ValueError(f"{'.'.join(place)}: a layer of shape {list(kernel.shape)}.")
        node = tree
        for part in place:
            node = node.setdefault(part, {})
        node["kernel"] = np.ascontiguousarray(kernel.transpose(2, 3, 1, 0), np.float32)
        node["bias"] = np.asarray(bias, np.float32)
    return tree
