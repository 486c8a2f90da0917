"""dlib's face recognition net, 128 features of a face, 150 x 150: near for one person, far for two.

Trained on photographs: distances of drawn faces mean nothing. It looks at a cut-out face (square,
eyes level), finds none, and calls two pictures one person's below a Euclidean distance of about
0.6. A residual net after He et al. 2015, arXiv:1512.03385; weights:
face_recognition_model-weights_manifest.json of the npm package @vladmandic/face-api 1.7.15.
Differs: dlib divides the pixels by 256; this, as face-api, by 255.
"""

import pathlib
from collections.abc import Mapping

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from flax import traverse_util
from jaxtyping import Array, Float

from gan_jax.pretrained.convert import Conv, check, finite, param_shapes
from gan_jax.pretrained.net import Features, Net, digest
from gan_jax.runtime import weights
from gan_jax.state import PyTree

SIDE, DIM = 150, 128
MEAN_RGB = (122.782, 117.001, 104.298)
STAGES = (
    (32, ("1", "2", "3")),
    (64, ("down", "1", "2", "3")),
    (128, ("down", "1", "2")),
    (256, ("down", "1", "2", "down_out")),
)
"""(channels, residual blocks) of each stage; those called "down" halve the size."""


class FaceNet(nn.Module):
    """RGB in about [-0.5, 0.6] -> features."""

    @nn.compact
    def __call__(self, x: Float[Array, "n H W 3"]) -> Float[Array, "n 128"]:
        x = nn.relu(Conv(32, (7, 7), 2, name="conv32_down")(x))
        x = nn.max_pool(x, (3, 3), (2, 2))
        for channels, blocks in STAGES:
            for block in blocks:
                x = Residual(channels, block.startswith("down"), name=f"conv{channels}_{block}")(x)
        fc = self.param("fc", nn.initializers.zeros, (x.shape[-1], DIM))
        return jnp.dot(jnp.mean(x, (1, 2)), fc)


class Residual(nn.Module):
    """Two 3x3 convolutions beside the input, which `down` averages over 2x2. Zeros fill the smaller
    map and channels."""

    features: int
    down: bool

    @nn.compact
    def __call__(self, x: Float[Array, "n H W I"]) -> Float[Array, "n h w O"]:
        stride, padding = (2, 0) if self.down else (1, 1)
        h = nn.relu(Conv(self.features, (3, 3), stride, padding, name="conv1")(x))
        h = Conv(self.features, (3, 3), 1, 1, name="conv2")(h)
        x = nn.avg_pool(x, (2, 2), (2, 2)) if self.down else x
        down, right = (n - m for n, m in zip(x.shape[1:3], h.shape[1:3], strict=True))
        h = jnp.pad(h, ((0, 0), (0, down), (0, right), (0, 0)))
        x = jnp.pad(x, ((0, 0), (0, 0), (0, 0), (0, h.shape[3] - x.shape[3])))
        return nn.relu(h + x)


def load(name: str, path: str | None, resize: str) -> Net:
    """path: the manifest, the file of its weights beside it."""
    if path is None:
        raise ValueError(
            "features 'face' needs its weights: give the path of"
            " face_recognition_model-weights_manifest.json in the npm package @vladmandic/face-api."
        )
    file, net = pathlib.Path(path), FaceNet()
    params = params_of(net, weights.read(file), file)
    mean = np.asarray(MEAN_RGB, np.float32).reshape(1, 1, 1, 3)

    def forward(params, x):
        return Features(net.apply(params, (x - mean) / 255), None)

    sha256 = digest(*weights.parts(file))
    return Net(name, f"_{name}", DIM, 0, SIDE, resize, sha256, params, forward)


def params_of(net: FaceNet, arrays: Mapping[str, np.ndarray], path: pathlib.Path) -> PyTree:
    """The net's parameters; each layer's scale, y = weights * x + biases, folded into its
    convolution, in float64."""
    shapes = {".".join(place): shape for place, shape in param_shapes(net).items()}
    layers = [name.removesuffix(".kernel") for name in shapes if name.endswith(".kernel")]
    wanted = {"fc": shapes["fc"]}
    for layer in layers:
        shape = shapes[f"{layer}.kernel"]
        wanted |= {f"{layer}.conv.filters": shape, f"{layer}.conv.bias": shape[-1:]}
        wanted |= {f"{layer}.scale.{part}": shape[-1:] for part in ("weights", "biases")}
    check(wanted, {name: x.shape for name, x in arrays.items()}, path)
    finite(arrays, path)
    params = {("fc",): arrays["fc"].astype(np.float32)}
    for layer in layers:
        kernel, bias, scale, shift = (
            arrays[f"{layer}.{part}"].astype(np.float64)
            for part in ("conv.filters", "conv.bias", "scale.weights", "scale.biases")
        )
        place = tuple(layer.split("."))
        params[(*place, "kernel")] = (kernel * scale).astype(np.float32)
        params[(*place, "bias")] = (bias * scale + shift).astype(np.float32)
    return {"params": traverse_util.unflatten_dict(params)}
