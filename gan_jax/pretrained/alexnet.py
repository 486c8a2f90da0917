"""AlexNet's convolutions. Krizhevsky 2014, arXiv:1404.5997."""

import flax.linen as nn
from jaxtyping import Array, Float

from gan_jax.pretrained.convert import Conv

# channels, kernel, stride, padding
LAYERS = (64, 11, 4, 2), (192, 5, 1, 2), (384, 3, 1, 1), (256, 3, 1, 1), (256, 3, 1, 1)
NUMBERS = 0, 3, 6, 8, 10  # torchvision's, of the convolutions
CHANNELS = tuple(channels for channels, *_ in LAYERS)
LEAST = 31  # pixels a side


class AlexNet(nn.Module):
    """Normalized pictures -> the activations of its five convolutions."""

    @nn.compact
    def __call__(self, x: Float[Array, "n H W 3"]) -> list[Float[Array, "n _ _ _"]]:
        stages = []
        for number, (channels, kernel, stride, padding) in zip(NUMBERS, LAYERS, strict=True):
            x = nn.max_pool(x, (3, 3), (2, 2)) if len(stages) in (1, 2) else x
            conv = Conv(channels, (kernel, kernel), stride, padding, name=f"features_{number}")
            x = nn.relu(conv(x))
            stages.append(x)
        return stages
