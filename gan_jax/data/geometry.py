"""Pictures resized, cut and turned."""

import math

import numpy as np
from PIL import Image

from gan_jax.data import image_file
from gan_jax.data.images import as_array, as_picture, quantized
from gan_jax.data.quarantine import ImageRejected

FILTERS = {
    name: Image.Resampling[name.upper()]
    for name in ("lanczos", "bicubic", "bilinear", "box", "nearest")
}
CROPS = ("center", "random", "stretch")
HALVES = dict.fromkeys(("left", "right"))  # of a file with two pictures side by side
_STRIP = 1 << 18  # pixels that are converted at once


def fit(
    image: np.ndarray, shape: tuple[int, int], crop: str = "center", filter: str = "lanczos"
) -> np.ndarray:
    """Resizes uint8 or uint16 [h, w, C] to `shape` (H, W).

    Args:
        crop: "center" keeps the aspect ratio and cuts what is over equally on both sides; "stretch"
            cuts nothing; "random" resizes to cover and cuts nothing yet: the result is [>=H, >=W,
            C], for `cut`.
        filter: a name in FILTERS. With four channels colors are weighted by alpha, so no fringe
            appears.
    Raises:
        ImageRejected: "random" on a strip so long that its cover would pass image_file.MAX_PIXELS.
    """
    (h, w), (height, width) = image.shape[:2], shape
    scale = max(height / h, width / w)
    box = (0.0, 0.0, float(w), float(h))
    if crop == "center":
        x, y = (w - width / scale) / 2, (h - height / scale) / 2
        box = (max(x, 0.0), max(y, 0.0), min(w - x, w), min(h - y, h))
    elif crop == "random":
        height, width = max(height, round(h * scale)), max(width, round(w * scale))
        if height * width > image_file.MAX_PIXELS:
            raise ImageRejected("too long a strip to crop from")
    if (h, w) == (height, width):
        return image
    if image.dtype == np.uint16:
        return _fit_deep(image, (height, width), filter, box)
    resized = _premultiplied(image).resize((width, height), FILTERS[filter], box)
    resized = resized.convert("RGBA") if resized.mode == "RGBa" else resized
    return as_array(resized)


def fit_float(
    x: np.ndarray,
    shape: tuple[int, int],
    filter: str = "lanczos",
    box: tuple[float, float, float, float] | None = None,
) -> np.ndarray:
    """Resizes float32 [h, w, C], of a box (left, top, right, bottom) of it, to `shape` (H, W)."""
    made = np.empty((*shape, x.shape[2]), np.float32)
    for channel in range(x.shape[2]):
        plane = Image.fromarray(np.ascontiguousarray(x[..., channel]))
        made[..., channel] = plane.resize(shape[::-1], FILTERS[filter], box)
    return made


def _fit_deep(image: np.ndarray, shape: tuple[int, int], filter: str, box) -> np.ndarray:
    x = image.astype(np.float32) / 65535
    if x.shape[2] < 4:
        return quantized(fit_float(x, shape, filter, box), image.dtype)
    x[..., :3] *= x[..., 3:]
    x = fit_float(x, shape, filter, box)
    x[..., :3] /= np.maximum(x[..., 3:], 1e-6)
    return quantized(x, image.dtype)


def half(image: np.ndarray, side: str) -> np.ndarray:
    """The left or right half of uint8 [H, W, C]; of an odd width neither has the middle column.

    Raises:
        ImageRejected: one column only.
    """
    width = image.shape[1] // 2
    if not width:
        raise ImageRejected("one column can't be halved")
    return image[:, :width] if side == "left" else image[:, -width:]


def cut(image: np.ndarray, shape: tuple[int, int], at: tuple[float, float]) -> np.ndarray:
    """The window `shape` (H, W) of a larger image;
    `at` (y, x) in [0, 1) says where between the edges."""
    y, x = (
        math.floor(a * (size - part + 1))
        for a, size, part in zip(at, image.shape[:2], shape, strict=True)
    )
    return image[y : y + shape[0], x : x + shape[1]]


def rotate(image: np.ndarray, degrees: float) -> np.ndarray:
    """Turns uint8 [H, W, C] counter-clockwise about its center;
    what turns in is the image mirrored at its edges."""
    h, w = image.shape[:2]
    pad = math.ceil((math.hypot(h, w) - min(h, w)) / 2) + 1
    around = np.pad(image, ((pad, pad), (pad, pad), (0, 0)), "symmetric")
    turned = as_array(as_picture(around).rotate(degrees, Image.Resampling.BICUBIC))
    return turned[pad : pad + h, pad : pad + w]


def _premultiplied(image: np.ndarray) -> Image.Image:
    """uint8 [H, W, C] -> L, RGB, or of four channels RGBa; strip by strip, for Pillow keeps two
    whole copies of RGBA."""
    if image.shape[2] < 4:
        return as_picture(image)
    made = Image.new("RGBa", (image.shape[1], image.shape[0]))
    rows = max(1, _STRIP // image.shape[1])
    for top in range(0, image.shape[0], rows):
        made.paste(Image.fromarray(image[top : top + rows]).convert("RGBa"), (0, top))
    return made
