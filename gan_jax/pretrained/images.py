"""How pictures come before a frozen net: RGB in [0, 255], resized by a named filter."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8


def to_rgb(
    images: UInt8[Array, "n H W C"] | Float[Array, "n H W C"],
) -> Float[Array, "n H W 3"]:
    """uint8 pictures, or float ones in [-1, 1] -> [0, 255]; gray three times, RGBA over white."""
    x = images.astype(jnp.float32)
    x = x if images.dtype == jnp.uint8 else (x + 1) * 127.5
    if x.shape[-1] == 1:
        return jnp.concatenate([x, x, x], -1)
    if x.shape[-1] == 4:
        alpha = x[..., 3:] / 255
        return x[..., :3] * alpha + 255 * (1 - alpha)
    return x


def bicubic(x: Float[Array, "n H W C"], side: int) -> Float[Array, "n {side} {side} C"]:
    """Pillow's bicubic on float channels, antialiased, clipped to [0, 255] and not rounded: the
    clean FID's.

    Parmar et al. 2022, arXiv:2104.11222; clean-fid clips since March 2022. Unclipped, drawings
    overshoot at their edges.
    """
    x = jax.image.resize(x, (x.shape[0], side, side, x.shape[3]), "cubic", antialias=True)
    return jnp.clip(x, 0, 255)


def tf1_bilinear(x: Float[Array, "n H W C"], side: int) -> Float[Array, "n {side} {side} C"]:
    """TensorFlow 1's resize_bilinear, corners not aligned, not antialiased: the first FID's."""
    rows, columns = (jnp.asarray(_tf1_weights(n, side)) for n in x.shape[1:3])
    return jnp.einsum("oh,nhwc,pw->nopc", rows, x, columns, precision="highest")


def _tf1_weights(n: int, side: int) -> np.ndarray:
    """[side, n]: output i takes from source i * n / side, without the half-pixel shift."""
    source = np.arange(side, dtype=np.float32) * np.float32(n / side)
    low = np.floor(source).astype(int)
    high, share = np.minimum(low + 1, n - 1), source - low
    matrix = np.zeros((side, n), np.float32)
    np.add.at(matrix, (np.arange(side), low), 1 - share)
    np.add.at(matrix, (np.arange(side), high), share)
    return matrix


RESIZES = {"bicubic": bicubic, "tf1_bilinear": tf1_bilinear}
