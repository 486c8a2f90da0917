"""ADA's filter, noise and cutout. Karras et al. 2020, arXiv:2006.06676, appendix B."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

SYM2 = (-0.12940952255092145, 0.22414386804185735, 0.836516303737469, 0.48296291314469025)
BANDS = 4  # octaves from the lowest, which holds all that is left
POWER = np.float32([10, 1, 1, 1]) / 13  # of natural images, by band


def gains(factors: jax.Array) -> jax.Array:
    """A factor for every band f32 [B, 4], one after another, each with the expected power restored
    -> f32 [B, 4]."""
    total = jnp.ones_like(factors)
    for band in range(BANDS):
        gain = jnp.where((jnp.arange(BANDS) == band).reshape(1, -1), factors, 1)
        total = (
            total
            * gain
            / jnp.sqrt(jnp.sum(POWER.reshape(1, -1) * jnp.square(gain), 1, keepdims=True))
        )
    return total


def amplify(x: jax.Array, gain: jax.Array) -> jax.Array:
    """x f32 [B, H, W, C], reflected at the border, with its bands multiplied by gain f32 [B, 4].

    An image whose gains are equal to 1 within rounding stays as it is, to the bit.
    """
    # [B, H, H], [B, W, W]
    sides = (jnp.tensordot(gain, _bands(size), 1, precision="highest") for size in x.shape[1:3])
    rows, columns = sides
    y = jnp.einsum("bih,bhwc->biwc", rows, x, precision="highest")
    y = jnp.einsum("bjw,biwc->bijc", columns, y, precision="highest")
    changed = jnp.any(jnp.abs(gain - 1) > 1e-6, axis=1).reshape(-1, 1, 1, 1)
    return jnp.where(changed, y, x)


def add_noise(x: jax.Array, noise: jax.Array, sigma: jax.Array) -> jax.Array:
    """x, noise f32 [B, H, W, C]; sigma f32 [B, 1], the standard deviation."""
    return x + noise * sigma.reshape(-1, 1, 1, 1)


def cutout(x: jax.Array, center: jax.Array, size: float) -> jax.Array:
    """Zero in a box of `size` sides about `center` f32 [B, 2], x and y in sides from the corner
    (inf: nowhere)."""
    n, height, width = x.shape[:3]
    place = lambda length: (np.arange(length, dtype=np.float32).reshape(1, -1) + 0.5) / length
    near = lambda length, c: jnp.abs(place(length) - c.reshape(-1, 1)) < size / 2
    across, down = (
        near(width, center[:, 0]).reshape(n, 1, width, 1),
        near(height, center[:, 1]).reshape(n, height, 1, 1),
    )
    return jnp.where(across & down, 0, x)


@functools.lru_cache
def _bands(size):
    """Reflection at the border, then the filter of each band, along one axis. numpy f32 [4, size,
    size]."""
    bank = _filter_bank()
    reach = bank.shape[1] // 2
    padded = np.pad(np.eye(size), ((reach, reach), (0, 0)), "reflect")
    return np.stack(
        [sum(t * padded[i : i + size] for i, t in enumerate(taps)) for taps in bank]
    ).astype(np.float32)


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
