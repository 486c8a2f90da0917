"""AlexNet's convolutions. Krizhevsky 2014, arXiv:1404.5997."""

import flax.linen as nn
from jaxtyping import Array, Float

from gan_jax.pretrained.convert import Conv

# channels, kernel, stride, padding
LAYERS = (64, 11, 4, 2), (192, 5, 1, 2), (384, 3, 1, 1), (256, 3, 1, 1), (256, 3, 1, 1)
NUMBERS = 0, 3, 6, 8, 10  # torchvision's, of the convolutions
CHANNELS = tuple(channels for channels, *_ in LAYERS)
LEAST = 31  # pixels a side
TAPS = "relu1", "relu2", "relu3", "relu4", "relu5"
NAMES = tuple(f"{kind}{k}" for k in range(1, 6) for kind in ("conv", "relu"))


class AlexNet(nn.Module):
    """Normalized pictures -> its feature maps by name, to `last`: "conv3" before the ReLU, "relu3"
    after it."""

    @nn.compact
    def __call__(
        self, x: Float[Array, "n H W 3"], last: str = NAMES[-1]
    ) -> dict[str, Float[Array, "n _ _ _"]]:
        maps = {}
        for k, (number, layer) in enumerate(zip(NUMBERS, LAYERS, strict=True), 1):
            channels, kernel, stride, padding = layer
            x = nn.max_pool(x, (3, 3), (2, 2)) if k in (2, 3) else x
            conv = Conv(channels, (kernel, kernel), stride, padding, name=f"features_{number}")
            maps[f"conv{k}"] = x = conv(x)
            maps[f"relu{k}"] = x = nn.relu(x)
            if last in maps:
                break
        return maps
