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
TAPS = "relu1_2", "relu2_2", "relu3_3", "relu4_3", "relu5_3"  # the last of each stage
NAMES = tuple(
    f"{kind}{stage}_{k}"
    for stage, numbers in enumerate(NUMBERS, 1)
    for k in range(1, len(numbers) + 1)
    for kind in ("conv", "relu")
)


class Vgg16(nn.Module):
    """Normalized pictures -> its feature maps by name, to `last`: "conv4_3" before the ReLU,
    "relu4_3" after it. Each stage halves the size of the one before."""

    @nn.compact
    def __call__(
        self, x: Float[Array, "n H W 3"], last: str = NAMES[-1]
    ) -> dict[str, Float[Array, "n _ _ _"]]:
        maps = {}
        for stage, (numbers, channels) in enumerate(zip(NUMBERS, CHANNELS, strict=True), 1):
            x = nn.max_pool(x, (2, 2), (2, 2)) if maps else x
            for k, number in enumerate(numbers, 1):
                conv = Conv(channels, (3, 3), 1, 1, name=f"features_{number}")
                maps[f"conv{stage}_{k}"] = x = conv(x)
                maps[f"relu{stage}_{k}"] = x = nn.relu(x)
                if last in maps:
                    return maps
        return maps


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
