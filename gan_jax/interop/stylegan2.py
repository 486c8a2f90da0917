"""Networks of NVIDIA's stylegan2-ada-pytorch, by its names, -> ours.

It keeps weights as we do, N(0, 1) and scaled when used, so only axes move. Whatever a file says of
its layers must be what ours compute.
"""

import re
from collections.abc import Callable, Mapping

import numpy as np
from flax import traverse_util

from gan_jax.interop.arrays import LEVELS, Found, find, finite, leaves, some
from gan_jax.interop.pickles import Net
from gan_jax.models import stylegan2
from gan_jax.nn.equalized import FIR

FILTER = np.outer(FIR, FIR) / np.sum(FIR) ** 2
MOST_GROUPED = 1024  # pictures, of which the critic's last layer takes the deviation
WIDEST = 8192  # numbers in w, and in z with a label beside it, at most
AVERAGED = 10_000  # draws of z whose mean w stands in for an average that the file lacks
SAME = {  # what every layer of a file must be like: (its place, setting) -> value
    "generator": {
        (r"synthesis\.b\d+", "architecture"): "skip",
        (r"synthesis\.b\d+\.conv\d", "use_noise"): True,
        (r"synthesis\.b\d+\.conv\d|mapping\.fc\d+", "activation"): "lrelu",
        (r"mapping\.fc\d+", "bias_gain"): 0.01,
    },
    "critic": {
        (r"b\d+\.(fromrgb|conv|conv0|conv1|fc)|mapping\.fc\d+", "activation"): "lrelu",
        (r"mapping\.fc\d+", "bias_gain"): 0.01,
        (r"b4\.mbstd", "num_channels"): 1,
    },
}


def generator(net: Net) -> Found:
    """A Generator by the official names, of any resolution and number of classes.

    Where the file has no average of w, as rosinality's own checkpoints have none, the mean of
    AVERAGED is taken.
    Raises:
        ValueError: an array is missing, unexpected or of another shape, or a layer computes
            something else than ours: another filter, activation, architecture. One line, naming it.
    """
    arrays = _checked(net, "generator", ["mapping.fc0.weight", "synthesis.b4.torgb.weight"])
    side, widths = _widths(arrays, r"synthesis\.b(\d+)\.conv1\.bias", "generator")
    n_classes = _classes(arrays, "generator")
    w_dim, z_dim = find(arrays, "mapping.fc0.weight", "generator", 2).shape
    if max(w_dim, z_dim) > WIDEST:
        raise ValueError(
            f"the generator's mapping.fc0.weight is {w_dim:,} x {z_dim:,}; {WIDEST:,} at most are"
            " read."
        )
    z_dim -= w_dim if n_classes else 0
    layers = sum(re.fullmatch(r"mapping\.fc\d+\.weight", name) is not None for name in arrays)
    settings = {
        "w_dim": w_dim,
        "map_layers": layers,
        **widths,
        "conv_clamp": _clamp(net, "generator"),
    }
    shape = side, side, len(find(arrays, "synthesis.b4.torgb.weight", "generator", 4))
    if "mapping.w_avg" not in arrays and not n_classes:
        arrays["mapping.w_avg"] = _mean_w(arrays, layers, w_dim, z_dim)

    def name(path: str) -> str:
        path = path.replace("params.synthesis.const", "synthesis.b4.const")
        path = path.replace(".to_rgb.", ".torgb.")
        path = path.replace(".const", ".noise_const") if path.startswith("noise.") else path
        return path.removeprefix("params.").removeprefix("noise.").removeprefix("average.")

    like = leaves(stylegan2.Generator(shape, n_classes, **settings), n_classes, (z_dim,))
    return Found(settings, shape, n_classes, _filled(like, arrays, name, "generator"), z_dim)


def discriminator(net: Net) -> Found:
    """A Discriminator by the official names. Raises as `generator` does."""
    arrays = _checked(net, "critic", ["b4.conv.bias"])
    side, widths = _widths(arrays, r"b(\d+)\.conv0?\.bias", "critic")
    n_classes = _classes(arrays, "critic")
    settings = {
        **widths,
        "architecture": "resnet" if f"b{side}.skip.weight" in arrays else "orig",
        "mbstd_group": net.settings.get("b4.mbstd.group_size", 4),
        "conv_clamp": _clamp(net, "critic"),
    }
    if settings["mbstd_group"] is None:
        raise ValueError(
            "the critic's b4.mbstd.group_size is None, the whole batch; ours needs a number."
        )
    if not 1 <= settings["mbstd_group"] <= MOST_GROUPED:
        raise ValueError(
            f"the critic's b4.mbstd.group_size is {settings['mbstd_group']}; 1 to {MOST_GROUPED} is"
            " read."
        )
    colors = find(arrays, f"b{side}.fromrgb.weight", "critic", 4).shape[1]

    def name(path: str) -> str:
        path = path.removeprefix("params.").replace("from_rgb.", f"b{side}.fromrgb.")
        return f"b4.{path}" if path.split(".")[0] in ("conv", "fc", "out") else path

    shape = side, side, colors
    like = leaves(stylegan2.Discriminator(shape, n_classes, **settings), n_classes, shape)
    return Found(settings, shape, n_classes, _filled(like, arrays, name, "critic"))


def _checked(net: Net, who: str, needs: list[str]) -> dict[str, np.ndarray]:
    """Its arrays but the filters, if these and what the file says of the layers are ours."""
    for (place, setting), wanted in SAME[who].items():
        for name, value in net.settings.items():
            if re.fullmatch(f"({place})\\.{setting}", name) and value != wanted:
                raise ValueError(f"the {who}'s {name} is {value!r}; only {wanted!r} is read.")
    arrays = {}
    for name, array in net.arrays.items():
        if not name.endswith("resample_filter"):
            arrays[name] = array
        elif array.shape != FILTER.shape or not np.allclose(array, FILTER, rtol=1e-5, atol=0):
            raise ValueError(f"the {who}'s {name} is not the filter {list(FIR)}.")
    for name in needs:
        if name not in arrays:
            raise ValueError(f"the {who} lacks {name}: it is no StyleGAN2's.")
    return arrays


def _widths(arrays, pattern: str, who: str) -> tuple[int, dict[str, int]]:
    """(side of the pictures, {"channel_base", "channel_max"}), from a bias at each level."""
    matches = {name: re.fullmatch(pattern, name) for name in arrays}
    found = {name: int(match[1]) for name, match in matches.items() if match}
    levels = dict(sorted((level, len(find(arrays, name, who, 1))) for name, level in found.items()))
    base = max((level * width for level, width in levels.items()), default=0)
    most = max(levels.values(), default=0)
    if not 2 <= len(levels) <= LEVELS or levels != channels(base, most, len(levels)):
        raise ValueError(
            f"the {who}'s channels by level are {levels!s:.200}; ours are min(base // level, max)"
            " at 4, 8, 16 ..."
        )
    return max(levels), {"channel_base": base, "channel_max": most}


def channels(base: int, most: int, levels: int) -> dict[int, int]:
    """Side -> channels there."""
    return {4 << i: min(base // (4 << i), most) for i in range(levels)}


def _classes(arrays, who: str) -> int:
    if "mapping.embed.weight" not in arrays:
        return 0
    return find(arrays, "mapping.embed.weight", who, 2).shape[1]


def _clamp(net: Net, who: str) -> float | None:
    """The bound on activations that all its layers have."""
    skips = "skip.conv_clamp", "_kwargs.conv_clamp"  # those have none, or say what their layers do
    clamps = {
        value
        for name, value in net.settings.items()
        if name.endswith("conv_clamp") and not name.endswith(skips)
    }
    if len(clamps) > 1:
        raise ValueError(
            f"the {who}'s layers have several conv_clamp: {sorted(map(str, clamps))}; ours have"
            " one."
        )
    clamp = next(iter(clamps), None)
    return None if clamp is None else float(clamp)


def _mean_w(arrays, layers: int, w_dim: int, z_dim: int) -> np.ndarray:
    """Mean w f32 [W] of an unconditional mapping network."""

    def layer(i):
        weight = find(arrays, f"mapping.fc{i}.weight", "generator", 2)
        return {"kernel": weight.T, "bias": find(arrays, f"mapping.fc{i}.bias", "generator", 1)}

    params = {f"fc{i}": layer(i) for i in range(layers)}
    z = np.random.default_rng(0).standard_normal((AVERAGED, z_dim), np.float32)
    return np.asarray(stylegan2.Mapping(w_dim, layers).apply({"params": params}, z)).mean(0)


def _filled(like: Mapping, arrays: dict, name: Callable[[str], str], who: str) -> dict:
    """Our leaves filled with the arrays that `name` gives for each."""
    found, names = {}, {path: name(path).replace("kernel", "weight") for path in like}
    lacking = [n for n in names.values() if n not in arrays]
    if lacking:
        raise ValueError(f"the {who} lacks {some(lacking)}.")
    unknown = [n for n in arrays if n not in names.values()]
    if unknown:
        raise ValueError(f"the {who} has {some(unknown)}, which ours has not.")
    for path, leaf in like.items():
        array = arrays[names[path]]
        ours = _moved(array, path, leaf.shape) if array.dtype.kind == "f" else None
        if ours is None:
            raise ValueError(
                f"the {who}'s {names[path]} is {array.dtype}{list(array.shape)}; ours is"
                f" {list(leaf.shape)}."
            )
        found[path] = finite(ours, names[path], who)
    return traverse_util.unflatten_dict(found, sep=".")


def _moved(array: np.ndarray, path: str, shape: tuple[int, ...]) -> np.ndarray | None:
    """The array with its axes in our order, [O, I, k, k] -> [k, k, I, O];
    None if that has not the shape."""
    if path == "params.synthesis.const" and array.ndim == 3:
        array = array.transpose(1, 2, 0)
    elif path == "params.fc.kernel" and len(array) and array[0].size % 16 == 0:
        # of the last 4x4 grid, row by row
        array = array.reshape(len(array), -1, 4, 4).transpose(2, 3, 1, 0).reshape(-1, len(array))
    elif path.endswith("kernel"):
        array = array.transpose(2, 3, 1, 0) if array.ndim == 4 else array.T
    return array if array.shape == shape else None
