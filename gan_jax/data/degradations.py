"""How a good picture becomes a bad one, for training what makes it good again: made smaller by the
bicubic filter alone, or by Real-ESRGAN's second-order process.

Pictures are floats [H, W, 3] in [0, 1]. All that is random is drawn from the Generator that is
given. Wang et al. 2021, "Real-ESRGAN", arXiv:2107.10833; values and order of the authors' code.
"""

import dataclasses
import io
import math

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image
from scipy import ndimage, signal, special

from gan_jax.data.images import as_array, as_picture, rounded

SIZES = 7, 21  # pixels a side of a kernel of blur, odd
SHAPES = {  # kinds of kernel: (probability, power's range or None for 1, flat in the middle)
    "gaussian": (0.70, None, False),
    "generalized": (0.15, (0.5, 4.0), False),
    "plateau": (0.15, (1.0, 2.0), True),
}
ROUND = {"gaussian": 0.45 / 0.70, "generalized": 0.8, "plateau": 0.8}  # share with equal axes
SINC = 0.1  # probability of a kernel that rings, in place of those
FILTERS = "area", "bilinear", "bicubic"
QUALITY = 30, 95  # of JPEG files
LUMA = np.array([0.299, 0.587, 0.114])
SHARP_SIDE, SHARP_SIGMA = 51, 8.0  # of the blur that sharpening takes away
SHARP_FROM, SHARP_BY = 10 / 255, 0.5

Picture = Float[np.ndarray, "H W 3"]


@dataclasses.dataclass(frozen=True)
class Stage:
    """One of the two orders. Probabilities, and ranges that are drawn from evenly.

    Attributes:
        blur: probability. sigma: pixels, of both axes.
        larger, smaller: probabilities of the two; else the size is kept.
        up, down: by what. noise: standard deviation of Gaussian noise, of 255.
        poisson: what Poisson noise is multiplied by. gray: probability of equal noise in R, G, B.
    """

    blur: float
    sigma: tuple[float, float]
    larger: float
    smaller: float
    up: tuple[float, float]
    down: tuple[float, float]
    noise: tuple[float, float]
    poisson: tuple[float, float]
    gray: float = 0.4


FIRST = Stage(1.0, (0.2, 3.0), 0.2, 0.7, (1.0, 1.5), (0.15, 1.0), (1, 30), (0.05, 3.0))
SECOND = Stage(0.8, (0.2, 1.5), 0.3, 0.4, (1.0, 1.2), (0.3, 1.0), (1, 25), (0.05, 2.5))
LAST_SINC = 0.8  # probability


def bicubic(
    picture: UInt8[np.ndarray, "H W 3"], times: int, rng: np.random.Generator | None = None
) -> UInt8[np.ndarray, "_ _ 3"]:
    """`times` as small, as MATLAB's imresize: Keys' kernel with a = -0.5, widened by `times`, edges
    mirrored. What papers mean by bicubic degradation. Sides must be multiples of `times`."""
    made = picture.astype(np.float64)
    for axis in (0, 1):
        n = picture.shape[axis]
        weights = _weights(n, n // times, lambda x: keys(x / times, -0.5), 2 * times, mirror=True)
        made = np.moveaxis(np.tensordot(weights, made, (1, axis)), 0, axis)
    return rounded(made)


def second_order(
    picture: UInt8[np.ndarray, "H W 3"], times: int, rng: np.random.Generator
) -> UInt8[np.ndarray, "_ _ 3"]:
    """`times` as small, by Real-ESRGAN's process: sharpened; twice blurred, resized, noisy and
    compressed; in the end a filter that rings.

    Differs: every choice is made for each picture, where the authors make some for a whole batch
    and mix batches by a pool; JPEG is that of files, where theirs is a simulation; borders are
    reflected here, where theirs are of a larger crop.
    """
    size = tuple(n // times for n in picture.shape[:2])
    x = sharpened(picture) / 255
    x = _stage(x, FIRST, rng, picture.shape[:2])
    x = jpeg(x, rng.uniform(*QUALITY))
    x = _stage(x, SECOND, rng, size)
    ringing = rng.random() < LAST_SINC
    kernel = sinc(_side(rng), rng.uniform(math.pi / 3, math.pi)) if ringing else None
    first, kind, quality = rng.random() < 0.5, rng.choice(FILTERS), rng.uniform(*QUALITY)
    x = x if first else jpeg(x, quality)
    x = interpolate(x, size, kind)
    x = blurred(x, kernel) if ringing else x
    x = jpeg(x, quality) if first else x
    return rounded(x * 255)


def _stage(x: Picture, stage: Stage, rng: np.random.Generator, size: tuple[int, int]) -> Picture:
    """Blur, another size, noise; `stage.up` and `stage.down` are relative to `size`, (H, W)."""
    if rng.random() < stage.blur:
        x = blurred(x, kernel(rng, stage.sigma))
    draw = rng.random()
    by = 1.0
    if draw < stage.larger:
        by = rng.uniform(*stage.up)
    elif draw < stage.larger + stage.smaller:
        by = rng.uniform(*stage.down)
    x = interpolate(x, tuple(max(1, int(n * by)) for n in size), rng.choice(FILTERS))
    gray = rng.random() < stage.gray
    if rng.random() < 0.5:
        return np.clip(x + gaussian_noise(x, rng.uniform(*stage.noise) / 255, gray, rng), 0, 1)
    return np.clip(x + rng.uniform(*stage.poisson) * poisson_noise(x, gray, rng), 0, 1)


def kernel(rng: np.random.Generator, sigma: tuple[float, float]) -> Float[np.ndarray, "k k"]:
    """One of the kernels of blur: a sinc, or round or oblong with a bell, a sharper or flatter bell
    (`generalized`), or a plateau."""
    side = _side(rng)
    if rng.random() < SINC:
        least = math.pi / 3 if side < 13 else math.pi / 5
        return sinc(side, rng.uniform(least, math.pi))
    kinds = list(SHAPES)
    kind = rng.choice(kinds, p=[SHAPES[name][0] for name in kinds])
    _, powers, plateau = SHAPES[kind]
    first = rng.uniform(*sigma)
    if rng.random() < ROUND[kind]:
        second, angle = first, 0.0
    else:
        second, angle = rng.uniform(*sigma), rng.uniform(-math.pi, math.pi)
    power = 1.0
    if powers is not None:  # half of them up to 1, half above
        power = rng.uniform(powers[0], 1.0) if rng.random() < 0.5 else rng.uniform(1.0, powers[1])
    return bell(side, first, second, angle, power, plateau=plateau)


def _side(rng: np.random.Generator) -> int:
    return int(rng.integers(SIZES[0] // 2, SIZES[1] // 2 + 1)) * 2 + 1


def bell(
    side: int, sigma_x: float, sigma_y: float, angle: float, power: float = 1.0, *, plateau=False
) -> Float[np.ndarray, "k k"]:
    """exp(-q^power / 2), or 1 / (1 + q^power) with `plateau`, of sum 1; q = p' S^-1 p of a place p
    from the middle, S of standard deviations sigma_x and sigma_y turned by `angle` (radians)."""
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    inverse = np.linalg.inv(turn @ np.diag([sigma_x**2, sigma_y**2]) @ turn.T)
    axis = np.arange(side) - side // 2
    places = np.stack(np.meshgrid(axis, axis), -1).astype(np.float64)
    q = np.einsum("...i,ij,...j->...", places, inverse, places) ** power
    found = 1 / (1 + q) if plateau else np.exp(-q / 2)
    return found / found.sum()


def sinc(side: int, cutoff: float) -> Float[np.ndarray, "k k"]:
    """What a circular low-pass filter of `cutoff` (radians a pixel, up to pi) is in pixels, of sum
    1: it rings around edges."""
    axis = np.arange(side) - side // 2
    radius = np.hypot(*np.meshgrid(axis, axis))
    with np.errstate(invalid="ignore"):
        found = cutoff * special.j1(cutoff * radius) / (2 * math.pi * radius)
    found[side // 2, side // 2] = cutoff**2 / (4 * math.pi)
    return found / found.sum()


def blurred(x: Picture, kernel: Float[np.ndarray, "k k"]) -> Picture:
    """Filtered, the picture reflected at its borders, without its border pixels twice."""
    room = kernel.shape[0] // 2
    padded = np.pad(x, ((room, room), (room, room), (0, 0)), "reflect")
    # a correlation; SciPy's FFT is a convolution
    return signal.fftconvolve(padded, kernel[::-1, ::-1, None], "valid", axes=(0, 1))


def interpolate(x: Picture, size: tuple[int, int], kind: str) -> Float[np.ndarray, "_ _ 3"]:
    """Resized to (H, W) as PyTorch's `interpolate` with corners not aligned and no antialiasing;
    kind: "area" (means), "bilinear" or "bicubic" (a = -0.75)."""
    for axis, target in enumerate(size):
        n = x.shape[axis]
        if kind == "area":
            weights = _means(n, target)
        elif kind == "bilinear":
            weights = _weights(n, target, lambda d: np.maximum(1 - abs(d), 0), 1, mirror=False)
        else:
            weights = _weights(n, target, lambda d: keys(d, -0.75), 2, mirror=False)
        x = np.moveaxis(np.tensordot(weights, x, (1, axis)), 0, axis)
    return x


def keys(x: Float[np.ndarray, "*n"], a: float) -> Float[np.ndarray, "*n"]:
    """Keys' cubic kernel at distances x in pixels; 0 from 2 on."""
    x = np.abs(x)
    near = (a + 2) * x**3 - (a + 3) * x**2 + 1
    far = a * x**3 - 5 * a * x**2 + 8 * a * x - 4 * a
    return np.where(x <= 1, near, np.where(x < 2, far, 0))


def _weights(n: int, target: int, kernel, reach: int, *, mirror: bool) -> np.ndarray:
    """[target, n]: what each of n pixels gives to each new one, whose middle lies among them;
    reach: pixels to each side. mirror: beyond the border lies the mirrored picture; else its last
    pixel, for ever."""
    middle = (np.arange(target)[:, None] + 0.5) * n / target - 0.5
    places = np.floor(middle).astype(int) + np.arange(-reach, reach + 1)
    found = kernel(middle - places)
    found = found / found.sum(1, keepdims=True)
    if mirror:
        places = places % (2 * n)
        places = np.where(places < n, places, 2 * n - 1 - places)
    places = np.clip(places, 0, n - 1)
    weights = np.zeros((target, n))
    np.add.at(weights, (np.arange(target)[:, None], places), found)
    return weights


def _means(n: int, target: int) -> np.ndarray:
    """[target, n]: new pixel i is the mean of those that touch [i n / target, (i + 1) n /
    target)."""
    i = np.arange(target)[:, None]
    place = np.arange(n)
    touched = (place >= i * n // target) & (place < -((-(i + 1) * n) // target))
    return touched / touched.sum(1, keepdims=True)


def gaussian_noise(x: Picture, sigma: float, gray: bool, rng: np.random.Generator) -> np.ndarray:
    """[H, W, 3 or 1], of standard deviation sigma; gray: one channel."""
    return rng.normal(0, sigma, (*x.shape[:2], 1 if gray else 3))


def poisson_noise(x: Picture, gray: bool, rng: np.random.Generator) -> np.ndarray:
    """[H, W, 3 or 1]: Poisson(x v) / v - x, v the power of two at or above the number of 8-bit
    values that the picture has; gray: of its luma."""
    x = x @ LUMA[:, None] if gray else x
    x = rounded(x * 255) / 255
    levels = 2.0 ** math.ceil(math.log2(len(np.unique(x))))
    return rng.poisson(np.maximum(x, 0) * levels) / levels - x


def jpeg(x: Picture, quality: float) -> Picture:
    """Through a JPEG file of a quality of 1 to 95, rounded."""
    file = io.BytesIO()
    as_picture(rounded(x * 255)).save(file, "JPEG", quality=round(quality))
    return as_array(Image.open(file)) / 255


def sharpened(picture: UInt8[np.ndarray, "H W 3"]) -> UInt8[np.ndarray, "H W 3"]:
    """By an unsharp mask where it is not smooth: what Real-ESRGAN learns to reach."""
    x = picture.astype(np.float64) / 255
    away = x - _soft(x)
    mask = _soft((np.abs(away) > SHARP_FROM).astype(np.float64))
    sharp = np.clip(x + SHARP_BY * away, 0, 1)
    return rounded((mask * sharp + (1 - mask) * x) * 255)


def _soft(x: np.ndarray) -> np.ndarray:
    axis = np.arange(SHARP_SIDE) - SHARP_SIDE // 2
    weights = np.exp(-np.square(axis) / (2 * SHARP_SIGMA**2))
    for side in (0, 1):
        x = ndimage.correlate1d(x, weights / weights.sum(), side, mode="mirror")
    return x


KINDS = {"bicubic": bicubic, "second_order": second_order}
"""Name -> (picture, times, Generator) -> the picture `times` as small, uint8."""
