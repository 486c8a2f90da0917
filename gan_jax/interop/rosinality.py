"""Checkpoints of rosinality's stylegan2-pytorch -> NVIDIA's names,
by which interop.stylegan2 reads them."""

import re

import numpy as np

from gan_jax.interop.pickles import Net

GENERATOR = {  # of a layer
    "conv.weight": "weight",
    "conv.modulation.weight": "affine.weight",
    "conv.modulation.bias": "affine.bias",
    "noise.weight": "noise_strength",
    "activate.bias": "bias",
    "bias": "bias",
    "conv.blur.kernel": "resample_filter",
    "upsample.kernel": "resample_filter",
}
CRITIC = {  # of a block
    "conv1.0.weight": "conv0.weight",
    "conv1.1.bias": "conv0.bias",
    "conv2.0.kernel": "conv1.resample_filter",
    "conv2.1.weight": "conv1.weight",
    "conv2.2.bias": "conv1.bias",
    "skip.0.kernel": "skip.resample_filter",
    "skip.1.weight": "skip.weight",
}
END = {  # of the critic
    "final_conv.0.weight": "b4.conv.weight",
    "final_conv.1.bias": "b4.conv.bias",
    "final_linear.0.weight": "b4.fc.weight",
    "final_linear.0.bias": "b4.fc.bias",
    "final_linear.1.weight": "b4.out.weight",
    "final_linear.1.bias": "b4.out.bias",
}


def official(nets: dict[str, Net]) -> dict[str, Net]:
    """Any of {"g", "d", "g_ema", "latent_avg"}, from `pickles.read` -> {"G", "D", "G_ema"}.

    Names that are not known stay as they are, for the reader to complain of.
    """
    found, average = {}, {}
    if "latent_avg" in nets:
        average = {"mapping.w_avg": nets["latent_avg"].arrays[""].reshape(-1)}
    for theirs, ours in (("g", "G"), ("g_ema", "G_ema")):
        if theirs in nets:
            renamed = {_generator(name): array for name, array in nets[theirs].arrays.items()}
            arrays = {name: _reshaped(name, array) for name, array in renamed.items()}
            found[ours] = Net("", {}, arrays | average)
    if "d" in nets:
        arrays = nets["d"].arrays
        first = re.compile(r"convs\.\d{1,2}\.conv1\.0\.weight")
        side = 4 << sum(first.fullmatch(name) is not None for name in arrays)
        found["D"] = Net("", {}, {_critic(name, side): array for name, array in arrays.items()})
    return found


def _generator(name: str) -> str:
    if name == "input.input":
        return "synthesis.b4.const"
    if match := re.fullmatch(r"style\.(\d{1,2})\.(weight|bias)", name):
        return f"mapping.fc{int(match[1]) - 1}.{match[2]}"
    if match := re.fullmatch(r"noises\.noise_(\d{1,2})", name):
        n = int(match[1]) + 1
        return f"synthesis.b{4 << (n // 2)}.conv{n % 2}.noise_const"
    match = re.fullmatch(r"(convs|to_rgbs|conv1|to_rgb1)\.(?:(\d{1,2})\.)?(.+)", name)
    if not match or match[3] not in GENERATOR:
        return name
    n = int(match[2] or 0)
    places = {"conv1": "b4.conv1", "convs": f"b{8 << (n // 2)}.conv{n % 2}", "to_rgb1": "b4.torgb"}
    return f"synthesis.{places.get(match[1], f'b{8 << n}.torgb')}.{GENERATOR[match[3]]}"


def _reshaped(name: str, array: np.ndarray) -> np.ndarray:
    """The array of an official name without the axes of length 1 that only theirs has.

    Theirs: const [1, C, 4, 4], noise [1, 1, H, W] and its strength [1], a convolution's weight [1,
    O, I, k, k], a picture's bias [1, C, 1, 1]. Filters that enlarge are four times the official.
    """
    last, shape = name.rpartition(".")[2], array.shape
    if last == "resample_filter":
        return array / 4
    if last == "bias" and len(shape) == 4 and shape[0] == shape[2] == shape[3] == 1:
        return array.reshape(shape[1])
    n = {"const": 1, "noise_const": 2, "noise_strength": 1}.get(last, 1 if len(shape) == 5 else 0)
    return array.reshape(shape[n:]) if shape[:n] == (1,) * n else array


def _critic(name: str, side: int) -> str:
    if match := re.fullmatch(r"convs\.0\.\d\.(weight|bias)", name):
        return f"b{side}.fromrgb.{match[1]}"
    match = re.fullmatch(r"convs\.(\d{1,2})\.(.+)", name)
    if match and match[2] in CRITIC:
        return f"b{2 * side >> int(match[1])}.{CRITIC[match[2]]}"
    return END.get(name, name)
