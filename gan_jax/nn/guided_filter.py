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


def guided_mix(
    x: Float[Array, "B H W C"],
    made: Float[Array, "B H W C"],
    strength: float | Float[Array, ""],
    radius: int = 6,
) -> Float[Array, "B H W C"]:
    """Between a picture x, at strength 0, and what was made of it, at 1; both in [-1, 1].

    The change from x, the less of it the more smoothed along x's own edges: colors come first,
    contours later, and half-way no second contour shows beside x's, as in a mixture of pixels.
    Differs: white-box cartoonization (Wang & Yu 2020), section 3.4, goes from the output smoothed
    so to the output, not from the picture.
    """
    change = made - x
    smooth = guided_filter(change, x.mean(-1, keepdims=True), radius)
    return x + strength * (strength * change + (1 - strength) * smooth)
