"""Networks of the official R3GAN, by its names, -> ours. Only axes move."""

import re
from collections.abc import Mapping

import flax.linen as nn
import numpy as np
from flax import traverse_util

from gan_jax.interop.arrays import LEVELS, Found, find, finite, leaves
from gan_jax.models import r3gan

FILTER = np.outer(r3gan.FIR, r3gan.FIR) / np.sum(r3gan.FIR) ** 2
BLOCK = {
    "expand": "LinearLayer1.Layer.weight",
    "expand_bias": "NonLinearity1.Bias",
    "mix": "LinearLayer2.Layer.weight",
    "mix_bias": "NonLinearity2.Bias",
    "project": "LinearLayer3.Layer.weight",
}


def generator(arrays: Mapping[str, np.ndarray]) -> Found:
    """A Generator by the official names, of any sizes and number of classes.

    Raises:
        ValueError: an array is missing, unexpected or of another shape, or the resampling filter is
            another. One line, naming it.
    """
    arrays = _checked(arrays, "generator")
    settings, levels = _settings(arrays, first=1, who="generator"), _stages(arrays)
    start, embed = find(arrays, "MainLayers.0.Layers.0.LinearLayer.weight", "generator", 2), None
    if "EmbeddingLayer.weight" in arrays:
        embed = find(arrays, "EmbeddingLayer.weight", "generator", 2)
        settings["embedding"] = len(embed)
    n_classes, z_dim = _classes(embed), start.shape[1] - (0 if embed is None else len(embed))
    grid = find(arrays, "MainLayers.0.Layers.0.Basis", "generator", 3).shape[1:]
    channels = len(find(arrays, "AggregationLayer.Layer.weight", "generator", 4))
    shape = *(side << (levels - 1) for side in grid), channels
    names = {
        "picture.kernel": "AggregationLayer.Layer.weight",
        "embed": "EmbeddingLayer.weight",
        "basis": "MainLayers.0.Layers.0.Basis",
        "start": "MainLayers.0.Layers.0.LinearLayer.weight",
    }
    for level in range(levels):
        names[f"up{level}.kernel"] = f"MainLayers.{level}.Layers.0.LinearLayer.Layer.weight"
        for n in range(settings["blocks"]):
            names |= {
                f"block{level}_{n}.{o}": f"MainLayers.{level}.Layers.{n + 1}.{t}"
                for o, t in BLOCK.items()
            }
    net = r3gan.Generator(shape, n_classes, **settings)
    variables = _filled(net, n_classes, (z_dim,), arrays, names, "generator")
    return Found(settings, shape, n_classes, variables, z_dim)


def discriminator(arrays: Mapping[str, np.ndarray]) -> Found:
    """A Discriminator by the official names, which count stages from the picture on.

    Raises as `generator` does.
    """
    arrays = _checked(arrays, "critic")
    settings, levels = _settings(arrays, first=0, who="critic"), _stages(arrays)
    settings |= {name: settings[name][::-1] for name in ("widths", "cardinality")}
    end = f"MainLayers.{levels - 1}.Layers.{settings['blocks']}"
    embed = None
    if "EmbeddingLayer.weight" in arrays:
        embed = find(arrays, "EmbeddingLayer.weight", "critic", 2)
    grid = find(arrays, f"{end}.Basis.weight", "critic", 4).shape[2:]
    channels = find(arrays, "ExtractionLayer.Layer.weight", "critic", 4).shape[1]
    n_classes, shape = _classes(embed), (*(side << (levels - 1) for side in grid), channels)
    names = {
        "picture.kernel": "ExtractionLayer.Layer.weight",
        "embed": "EmbeddingLayer.weight",
        "basis": f"{end}.Basis.weight",
        "end": f"{end}.LinearLayer.weight",
    }
    for level in range(levels):
        stage = f"MainLayers.{levels - 1 - level}.Layers"
        names[f"down{level}.kernel"] = f"{stage}.{settings['blocks']}.LinearLayer.Layer.weight"
        for n in range(settings["blocks"]):
            names |= {f"block{level}_{n}.{o}": f"{stage}.{n}.{t}" for o, t in BLOCK.items()}
    net = r3gan.Discriminator(shape, n_classes, **settings)
    variables = _filled(net, n_classes, shape, arrays, names, "critic")
    return Found(settings, shape, n_classes, variables)


def _checked(arrays, who: str) -> dict[str, np.ndarray]:
    """Without the trainer's wrapper in their names, and without the filters, if these are ours."""
    arrays = {name.removeprefix("Model."): array for name, array in arrays.items()}
    for name in [name for name in arrays if name.endswith("Resampler.Kernel")]:
        kernel = arrays.pop(name)
        if kernel.shape != FILTER.shape or not np.allclose(kernel, FILTER, rtol=1e-5, atol=0):
            raise ValueError(f"the {who}'s {name} is not the filter {list(r3gan.FIR)}.")
    return arrays


def _stages(arrays) -> int:
    stages = {
        int(match[1]) for name in arrays if (match := re.match(r"MainLayers\.(\d{1,2})\.", name))
    }
    return 1 + max(stages, default=0)


def _settings(arrays, first: int, who: str) -> dict:
    """Sizes by stage; `first` is the place of a stage's first block."""
    widths, cardinality = [], []
    if _stages(arrays) > LEVELS:
        raise ValueError(f"the {who} has {_stages(arrays)} stages; {LEVELS} at most are read.")
    for stage in range(_stages(arrays)):
        block = f"MainLayers.{stage}.Layers.{first}"
        inner, width = find(arrays, f"{block}.{BLOCK['expand']}", who, 4).shape[:2]
        widths.append(width)
        cardinality.append(inner // find(arrays, f"{block}.{BLOCK['mix']}", who, 4).shape[1])
    pattern = rf"MainLayers\.0\.Layers\.\d+\.{re.escape(BLOCK['expand'])}"
    blocks = sum(re.fullmatch(pattern, name) is not None for name in arrays)
    expansion = len(arrays[f"MainLayers.0.Layers.{first}.{BLOCK['expand']}"]) // widths[0]
    return dict(
        widths=tuple(widths), cardinality=tuple(cardinality), blocks=blocks, expansion=expansion
    )


def _classes(embed: np.ndarray | None) -> int:
    return 0 if embed is None else embed.shape[1]


def _filled(
    net: nn.Module, n_classes: int, shape: tuple[int, ...], arrays, names: dict[str, str], who: str
) -> dict:
    """The net's variables, its leaves filled with the arrays of the official `names`."""
    like = leaves(net, n_classes, shape)
    like = {path.removeprefix("params."): leaf for path, leaf in like.items()}
    params = {}
    for path, leaf in like.items():
        array = find(arrays, names[path], who)
        order = {2: (1, 0), 3: (1, 2, 0), 4: (2, 3, 1, 0)}.get(array.ndim, range(array.ndim))
        moved = array.transpose(order)
        moved = moved[:, :, 0] if path == "basis" and array.ndim == 4 else moved
        if moved.shape != leaf.shape or array.dtype.kind != "f":
            raise ValueError(
                f"the {who}'s {names[path]} is {array.dtype}{list(array.shape)}; ours is"
                f" {list(leaf.shape)}."
            )
        params[path] = finite(moved, names[path], who)
    unknown = set(arrays) - {names[path] for path in like}
    if unknown:
        raise ValueError(f"the {who} has {min(unknown)}, which ours has not.")
    return {"params": traverse_util.unflatten_dict(params, sep=".")}
