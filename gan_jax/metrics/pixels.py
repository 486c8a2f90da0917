"""Fidelity of one picture to another, pixel by pixel: MAE, PSNR, SSIM, MS-SSIM. Of each pair.

Over all channels as they are; `luma` first gives the values "on Y" that restoration papers quote.
Say which.
"""

import numpy as np
from jaxtyping import Array, Float, Num, UInt8
from scipy import ndimage

Pictures = Num[Array, "N H W C"]  # of 0 to 255: uint8, or float as `luma` gives
PEAK = 255.0
SIGMA = 1.5  # of SSIM's Gaussian window
RADIUS = 5  # it is 11 wide
SSIM_SIDE = 2 * RADIUS + 1  # pixels a side, at least
WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # of MS-SSIM's scales, finest first


def mae(a: Pictures, b: Pictures) -> Float[Array, " N"]:
    """Mean absolute error, in gray levels of 255."""
    a, b = _pair("mae", 1, a, b)
    return np.abs(a - b).mean((1, 2, 3))


def psnr(a: Pictures, b: Pictures) -> Float[Array, " N"]:
    """Peak signal-to-noise ratio, 10 log10(255^2 / MSE), in dB; infinite for equal pictures."""
    a, b = _pair("psnr", 1, a, b)
    with np.errstate(divide="ignore"):
        return 10 * np.log10(PEAK**2 / np.square(a - b).mean((1, 2, 3)))


def ssim(a: Pictures, b: Pictures) -> Float[Array, " N"]:
    """Structural similarity in [-1, 1], 1 for equal pictures: 11x11 Gaussian window, sigma 1.5, K
    0.01 and 0.03.

    Wang et al. 2004, section III-B; the mean over channels and over windows that lie wholly inside,
    as the authors' code and scikit-image's with gaussian_weights=True and
    use_sample_covariance=False.
    """
    a, b = _pair("ssim", SSIM_SIDE, a, b)
    similarity, _ = _ssim(a, b)
    return similarity


def ms_ssim(a: Pictures, b: Pictures) -> Float[Array, " N"]:
    """SSIM at five scales, each half the last. Wang, Simoncelli & Bovik 2003, eq. 7.

    A negative contrast term, which has no real power, counts as 0.
    """
    a, b = _pair("ms_ssim", SSIM_SIDE << (len(WEIGHTS) - 1), a, b)
    product = np.ones(len(a))
    for scale, weight in enumerate(WEIGHTS):
        similarity, contrast = _ssim(a, b)
        last = scale == len(WEIGHTS) - 1
        product *= np.maximum(similarity if last else contrast, 0) ** weight
        a, b = _half(a), _half(b)
    return product


def luma(images: UInt8[Array, "N H W C"]) -> Float[Array, "N H W 1"]:
    """Y of ITU-R BT.601 in [16, 235] of RGB pictures, as restoration papers measure on.

    Raises ValueError for pictures of other than 3 channels.
    """
    if images.shape[-1] != 3:
        raise ValueError(f"luma needs RGB images, got {images.shape[-1]} channels.")
    weights = np.array([65.481, 128.553, 24.966]) / 255
    return (images.astype(np.float64) @ weights + 16)[..., None]


def _ssim(a, b):
    """(SSIM, its contrast-structure factor alone), f64 [n] each."""
    c1, c2 = (0.01 * PEAK) ** 2, (0.03 * PEAK) ** 2
    mean_a, mean_b = _window(a), _window(b)
    var_a, var_b = _window(a * a) - mean_a**2, _window(b * b) - mean_b**2
    contrast = (2 * (_window(a * b) - mean_a * mean_b) + c2) / (var_a + var_b + c2)
    similarity = contrast * (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
    return similarity.mean((1, 2, 3)), contrast.mean((1, 2, 3))


def _window(x):
    """Gaussian means over the windows that lie wholly inside:
    [n, H, W, C] -> [n, H - 10, W - 10, C]."""
    taps = np.exp(-0.5 * (np.arange(-RADIUS, RADIUS + 1) / SIGMA) ** 2)
    for axis in (1, 2):
        x = ndimage.correlate1d(x, taps / taps.sum(), axis)
    return x[:, RADIUS:-RADIUS, RADIUS:-RADIUS]


def _half(x):
    h, w = x.shape[1] // 2 * 2, x.shape[2] // 2 * 2
    return (x[:, :h:2, :w:2] + x[:, 1:h:2, :w:2] + x[:, :h:2, 1:w:2] + x[:, 1:h:2, 1:w:2]) / 4


def _pair(measure, at_least, a, b):
    a, b = np.asarray(a), np.asarray(b)
    if a.shape != b.shape or a.ndim != 4:
        raise ValueError(
            f"{measure}: pictures of {list(a.shape)} and {list(b.shape)}: both must be [n, H, W, C]"
            " alike."
        )
    if min(a.shape[1:3]) < at_least:
        raise ValueError(
            f"{measure} needs pictures of at least {at_least} pixels a side, got"
            f" {a.shape[1]}x{a.shape[2]}."
        )
    if not len(a):
        raise ValueError(f"{measure} needs at least 1 pair of pictures, got none.")
    a, b = a.astype(np.float64), b.astype(np.float64)
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise ValueError(f"{measure}: a picture holds NaN or infinity.")
    return a, b
