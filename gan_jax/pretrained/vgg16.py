"""VGG16's convolutions. Simonyan & Zisserman 2015, arXiv:1409.1556."""

from collections.abc import Mapping

import flax.linen as nn
import numpy as np
from jaxtyping import Array, Float

from gan_jax.pretrained.convert import Conv

# torchvision's numbers of the convolutions by stage
NUMBERS = (0, 2), (5, 7), (10, 12, 14), (17, 19, 21), (24, 26, 28)
CHANNELS = 64, 128, 256, 512, 512  # of each stage
LEAST = 16  # pixels a side


class Vgg16(nn.Module):
    """Normalized pictures -> the last activations of five stages;
    each has half the size of the one before."""

    @nn.compact
    def __call__(self, x: Float[Array, "n H W 3"]) -> list[Float[Array, "n _ _ _"]]:
        stages = []
        for numbers, channels in zip(NUMBERS, CHANNELS, strict=True):
            x = nn.max_pool(x, (2, 2), (2, 2)) if stages else x
            for number in numbers:
                x = nn.relu(Conv(channels, (3, 3), 1, 1, name=f"features_{number}")(x))
            stages.append(x)
        return stages


def from_keras(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Keras' arrays, kernels [kh, kw, I, O], as torchvision names and transposes them."""
    found = {}
    for stage, numbers in enumerate(NUMBERS, 1):
        for k, number in enumerate(numbers):
            keras = f"block{stage}.layers.conv2d{f'_{k}' if k else ''}.vars"
            if f"{keras}.0" in arrays and f"{keras}.1" in arrays:
                found[f"features.{number}.weight"] = arrays[f"{keras}.0"].transpose(3, 2, 0, 1)
                found[f"features.{number}.bias"] = arrays[f"{keras}.1"]
    return found
