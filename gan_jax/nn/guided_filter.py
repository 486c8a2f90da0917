"""The guided filter: smooths a picture but for the edges of another."""

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float


def guided_filter(
    x: Float[Array, "B H W C"], guide: Float[Array, "B H W _"], radius: int, eps: float = 1e-2
) -> Float[Array, "B H W C"]:
    """In each window the linear function of `guide` nearest to x.

    He, Sun & Tang 2013, "Guided image filtering", equations 5, 6 and 8.

    Args:
        x, guide: in [-1, 1]; the guide has one channel, or one for each of x.
        radius: of the windows, which have 2 radius + 1 pixels a side, fewer at the picture's edge.
        eps: variance of the guide below which a window is taken to be flat.
    Raises:
        ValueError: a radius below 1.
    """
    if radius < 1:
        raise ValueError(
            f"config.g.guided={radius}: it must be a radius of 1 pixel or more, or 0 for none."
        )
    n = 2 * radius + 1
    # the windows' shares inside the picture: avg_pool's own count takes XLA minutes to fold for
    # large pictures
    places = [(jnp.arange(side), side) for side in x.shape[1:3]]
    down, right = (
        (jnp.minimum(i + radius, side - 1) - jnp.maximum(i - radius, 0) + 1) / n
        for i, side in places
    )
    inside = down[None, :, None, None] * right[None, None, :, None]

    def mean(x):
        x = nn.avg_pool(x, (n, 1), padding="SAME")
        return nn.avg_pool(x, (1, n), padding="SAME") / inside

    mean_x, mean_guide = mean(x), mean(guide)
    variance = mean(guide * guide) - mean_guide * mean_guide
    slope = (mean(guide * x) - mean_guide * mean_x) / (variance + eps)
    return mean(slope) * guide + mean(mean_x - slope * mean_guide)
