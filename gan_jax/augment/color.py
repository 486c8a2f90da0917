"""ADA's colors: all changes of an image composed to one matrix, applied to every pixel.

Karras et al. 2020, arXiv:2006.06676, appendix B. Matrices act on (r, g, b, 1). In gray images hue
and saturation mean nothing and are left out.
"""

import functools
from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

Images = Float[Array, "B H W C"]

IDENTITY = np.eye(4, dtype=np.float32).reshape(1, 4, 4)
RGB = IDENTITY * np.float32([1, 1, 1, 0]).reshape(1, 1, 4)
WHITE = np.zeros((1, 4, 4), np.float32)
WHITE[0, :3, 3] = 1  # added to each
GRAY = np.zeros((1, 4, 4), np.float32)
GRAY[0, :3, :3] = 1 / 3  # projects on the axis of grays, the luma
TURN = np.zeros((1, 4, 4), np.float32)
# cross product with that axis
TURN[0, :3, :3] = np.float32([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / np.sqrt(3)
MOVES = (
    ("brightness", lambda v: v * WHITE),
    ("contrast", lambda v: (v - 1) * RGB),
    ("lumaflip", lambda v: -2 * v * GRAY),
    ("hue", lambda v: jnp.sin(v) * TURN - (1 - jnp.cos(v)) * (RGB - GRAY)),
    ("saturation", lambda v: (v - 1) * (RGB - GRAY)),
)


def on_colors(change: Callable[[Images], Images], x: Images) -> Images:
    """change(x) where x is gray or RGB; of RGBA the colors change and alpha stays.

    Raises:
        ValueError: C is not 1, 3 or 4.
    """
    if x.shape[3] not in (1, 3, 4):
        raise ValueError(
            f"config.augment: images of {x.shape[3]} channels; colors need gray, RGB or RGBA: 1, 3"
            " or 4."
        )
    return change(x) if x.shape[3] < 4 else jnp.concatenate([change(x[..., :3]), x[..., 3:]], 3)


def colors(values: dict[str, Float[Array, "B _"]], gray: bool = False) -> Float[Array, "B 4 4"]:
    """The transforms present in `values` as one matrix, in the published order; gray: without hue
    and saturation.

    values: [B, 1] by name: brightness (added), contrast, saturation (factors), lumaflip (0, 1),
        hue (radians).
    """
    moves = [
        (name, move)
        for name, move in MOVES
        if name in values and not (gray and name in ("hue", "saturation"))
    ]
    matrices = [IDENTITY + move(values[name].reshape(-1, 1, 1)) for name, move in moves]
    return functools.reduce(
        lambda done, m: jnp.matmul(m, done, precision="highest"), matrices, jnp.asarray(IDENTITY)
    )


def recolor(x: Images, matrix: Float[Array, "B 4 4"]) -> Images:
    """Each pixel of x through the image's matrix; gray takes the mean of the three rows.

    An image whose matrix is the identity stays as it is, to the bit.
    """
    if x.shape[3] == 1:
        row = matrix[:, :3].mean(1).reshape(-1, 1, 1, 4)
        return x * row[..., :3].sum(3, keepdims=True) + row[..., 3:]
    linear, added = matrix[:, :3, :3], matrix[:, :3, 3].reshape(-1, 1, 1, 3)
    return jnp.einsum("bij,bhwj->bhwi", linear, x, precision="highest") + added
