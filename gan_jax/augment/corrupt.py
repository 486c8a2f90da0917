"""ADA's filter, noise and cutout. Karras et al. 2020, arXiv:2006.06676, appendix B."""

import functools

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

Images = Float[Array, "B H W C"]

SYM2 = (-0.12940952255092145, 0.22414386804185735, 0.836516303737469, 0.48296291314469025)
BANDS = 4  # octaves from the lowest, which holds all that is left
POWER = np.float32([10, 1, 1, 1]) / 13  # of natural images, by band


def gains(factors: Float[Array, "B 4"]) -> Float[Array, "B 4"]:
    """A factor for every band, one after another, each with the expected power restored."""
    total = jnp.ones_like(factors)
    for band in range(BANDS):
        gain = jnp.where((jnp.arange(BANDS) == band).reshape(1, -1), factors, 1)
        power = jnp.sum(POWER.reshape(1, -1) * jnp.square(gain), 1, keepdims=True)
        total = total * gain / jnp.sqrt(power)
    return total


def amplify(x: Images, gain: Float[Array, "B 4"]) -> Images:
    """x, reflected at the border, with its bands multiplied by gain.

    An image whose gains are equal to 1 within rounding stays as it is, to the bit.
    """
    rows, columns = (  # [B, H, H], [B, W, W]
        jnp.tensordot(gain, _bands(size), 1, precision="highest") for size in x.shape[1:3]
    )
    y = jnp.einsum("bih,bhwc->biwc", rows, x, precision="highest")
    y = jnp.einsum("bjw,biwc->bijc", columns, y, precision="highest")
    changed = jnp.any(jnp.abs(gain - 1) > 1e-6, axis=1).reshape(-1, 1, 1, 1)
    return jnp.where(changed, y, x)


def add_noise(x: Images, noise: Images, sigma: Float[Array, "B 1"]) -> Images:
    """x with noise of standard deviation sigma."""
    return x + noise * sigma.reshape(-1, 1, 1, 1)


def cutout(x: Images, center: Float[Array, "B 2"], size: float) -> Images:
    """Zero in a box of `size` sides about `center`,
    x and y in sides from the corner (inf: nowhere)."""
    n, height, width = x.shape[:3]

    def near(length, c):
        place = (np.arange(length, dtype=np.float32).reshape(1, -1) + 0.5) / length
        return jnp.abs(place - c.reshape(-1, 1)) < size / 2

    across = near(width, center[:, 0]).reshape(n, 1, width, 1)
    down = near(height, center[:, 1]).reshape(n, height, 1, 1)
    return jnp.where(across & down, 0, x)


@functools.lru_cache
def _bands(size):
    """Reflection at the border, then the filter of each band, along one axis: numpy f32
    [4, size, size]."""
    bank = _filter_bank()
    reach = bank.shape[1] // 2
    padded = np.pad(np.eye(size), ((reach, reach), (0, 0)), "reflect")
    bands = [sum(t * padded[i : i + size] for i, t in enumerate(taps)) for taps in bank]
    return np.stack(bands).astype(np.float32)


def _filter_bank():
    """[4, 43]: taps of each band, symmetric; they add up to the identity.

    H(z) is the low-pass of the symlet of 2 vanishing moments, L = H(z) H(1/z) / 2 and its
    complement. From the lowest band up: every band so far is stretched to twice its length and
    passes L; the complement is the next band.
    """
    low = np.convolve(SYM2, SYM2[::-1]) / 2
    high = low * (-1.0) ** np.arange(-3, 4)
    bank = np.eye(BANDS, 1)
    for band in range(1, BANDS):
        stretched = np.zeros((BANDS, 2 * bank.shape[1] - 1))
        stretched[:, ::2] = bank
        bank = np.stack([np.convolve(taps, low) for taps in stretched])
        middle = bank.shape[1] // 2
        bank[band, middle - 3 : middle + 4] += high
    return bank
