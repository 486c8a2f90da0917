"""InceptionV3 as the first FID used it: 2048 features, 1008 logits, 299 x 299.

TensorFlow's graph of 2015-12-05; Szegedy et al. 2015, arXiv:1512.00567. Its pooling differs from
torchvision's: averages leave the padding out of the count, and the last block takes maxima.
Weights: `pt_inception-2015-12-05-6726825d.pth`, published by pytorch-fid.
"""

import pathlib

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from gan_jax.nn.conv import Padding
from gan_jax.pretrained.convert import Conv, Dense, Source, params_of
from gan_jax.pretrained.net import Features, Net, digest
from gan_jax.runtime import weights

SIDE, DIM, CLASSES = 299, 2048, 1008
Maps = Float[Array, "n _ _ _"]
EPS = 1e-3


class InceptionV3(nn.Module):
    """RGB in about [-1, 1], 75 pixels a side and more -> Features."""

    @nn.compact
    def __call__(self, x: Float[Array, "n H W 3"]) -> Features:
        x = layer(x, "Conv2d_1a_3x3", 32, 3, 2)
        x = layer(x, "Conv2d_2a_3x3", 32, 3)
        x = max_pool(layer(x, "Conv2d_2b_3x3", 64, 3, padding=1), 2)
        x = layer(x, "Conv2d_3b_1x1", 80)
        x = max_pool(layer(x, "Conv2d_4a_3x3", 192, 3), 2)
        for name, channels in (("Mixed_5b", 32), ("Mixed_5c", 64), ("Mixed_5d", 64)):
            x = MixedA(channels, name=name)(x)
        x = MixedB(name="Mixed_6a")(x)
        for letter, channels in zip("bcde", (128, 160, 160, 192), strict=True):
            x = MixedC(channels, name=f"Mixed_6{letter}")(x)
        x = MixedD(name="Mixed_7a")(x)
        x = MixedE("average", name="Mixed_7b")(x)
        x = MixedE("max", name="Mixed_7c")(x)
        features = jnp.mean(x, (1, 2))
        return Features(features, Dense(CLASSES, name="fc")(features))


class MixedA(nn.Module):
    pooled: int

    @nn.compact
    def __call__(self, x: Maps) -> Maps:
        a = layer(x, "branch1x1", 64)
        b = layer(layer(x, "branch5x5_1", 48), "branch5x5_2", 64, 5, padding=2)
        c = layer(layer(x, "branch3x3dbl_1", 64), "branch3x3dbl_2", 96, 3, padding=1)
        c = layer(c, "branch3x3dbl_3", 96, 3, padding=1)
        return jnp.concatenate([a, b, c, layer(average_pool(x), "branch_pool", self.pooled)], -1)


class MixedB(nn.Module):
    @nn.compact
    def __call__(self, x: Maps) -> Maps:
        a = layer(x, "branch3x3", 384, 3, 2)
        b = layer(layer(x, "branch3x3dbl_1", 64), "branch3x3dbl_2", 96, 3, padding=1)
        return jnp.concatenate([a, layer(b, "branch3x3dbl_3", 96, 3, 2), max_pool(x, 2)], -1)


class MixedC(nn.Module):
    inner: int

    @nn.compact
    def __call__(self, x: Maps) -> Maps:
        row, column, c = ((1, 7), ((0, 0), (3, 3))), ((7, 1), ((3, 3), (0, 0))), self.inner

        def along(x, name, channels, way):
            return layer(x, name, channels, way[0], padding=way[1])

        a = layer(x, "branch1x1", 192)
        b = along(layer(x, "branch7x7_1", c), "branch7x7_2", c, row)
        b = along(b, "branch7x7_3", 192, column)
        d = layer(x, "branch7x7dbl_1", c)
        for n, (channels, way) in enumerate(((c, column), (c, row), (c, column), (192, row)), 2):
            d = along(d, f"branch7x7dbl_{n}", channels, way)
        return jnp.concatenate([a, b, d, layer(average_pool(x), "branch_pool", 192)], -1)


class MixedD(nn.Module):
    @nn.compact
    def __call__(self, x: Maps) -> Maps:
        a = layer(layer(x, "branch3x3_1", 192), "branch3x3_2", 320, 3, 2)
        b = layer(x, "branch7x7x3_1", 192)
        b = layer(b, "branch7x7x3_2", 192, (1, 7), padding=((0, 0), (3, 3)))
        b = layer(b, "branch7x7x3_3", 192, (7, 1), padding=((3, 3), (0, 0)))
        return jnp.concatenate([a, layer(b, "branch7x7x3_4", 192, 3, 2), max_pool(x, 2)], -1)


class MixedE(nn.Module):
    pool: str  # "average" or "max"

    @nn.compact
    def __call__(self, x: Maps) -> Maps:
        row, column = ((1, 3), ((0, 0), (1, 1))), ((3, 1), ((1, 1), (0, 0)))

        def split(x, name):
            ways = ("a", row), ("b", column)
            return [layer(x, name + end, 384, way[0], padding=way[1]) for end, way in ways]

        b = layer(x, "branch3x3_1", 384)
        c = layer(layer(x, "branch3x3dbl_1", 448), "branch3x3dbl_2", 384, 3, padding=1)
        pooled = average_pool(x) if self.pool == "average" else max_pool(x, 1, 1)
        branches = [
            layer(x, "branch1x1", 320),
            *split(b, "branch3x3_2"),
            *split(c, "branch3x3dbl_3"),
            layer(pooled, "branch_pool", 192),
        ]
        return jnp.concatenate(branches, -1)


def layer(
    x: Maps,
    name: str,
    features: int,
    kernel: int | tuple[int, int] = 1,
    stride: int = 1,
    padding: Padding = 0,
) -> Maps:
    """Convolution, batch norm (folded), ReLU; a submodule of the module it is called in."""
    kernel = (kernel, kernel) if isinstance(kernel, int) else kernel
    return nn.relu(Conv(features, kernel, stride, padding, name=name)(x))


def max_pool(x: Maps, stride: int, padding: int = 0) -> Maps:
    return nn.max_pool(x, (3, 3), (stride, stride), ((padding, padding), (padding, padding)))


def average_pool(x: Maps) -> Maps:
    """3x3 of stride 1; at the border the mean of what is inside."""
    return nn.avg_pool(x, (3, 3), (1, 1), "SAME", count_include_pad=False)


def sources(place: str) -> Source:
    """Names in the PyTorch file."""
    if place == "fc":
        return Source("fc", bias=True)
    name = place.replace("/", ".")
    return Source(f"{name}.conv", f"{name}.bn", EPS)


def load(name: str, path: str | None, resize: str) -> Net:
    """The logits are without the last layer's bias, as the Inception score's authors took them.

    path: the .pth.
    resize: "bicubic" gives the clean `fid`, "tf1_bilinear" the first one, called `fid_legacy`.
    """
    if path is None:
        raise ValueError(
            "features 'inception' needs its weights: give the path of"
            " pt_inception-2015-12-05-6726825d.pth, which pytorch-fid publishes."
        )
    file, net = pathlib.Path(path), InceptionV3()
    params = params_of(net, sources, weights.read(file), file)

    def forward(params, x):
        found = net.apply(params, (x - 128) / 128)
        return found._replace(logits=found.logits - params["params"]["fc"]["bias"].reshape(1, -1))

    suffix = "" if resize == "bicubic" else "_legacy"
    return Net(name, suffix, DIM, CLASSES, SIDE, resize, digest(file), params, forward)
