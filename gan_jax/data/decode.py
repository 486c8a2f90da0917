"""The one strict image decoder, for training, tools and demos: a file becomes uint8 [H, W, C] or a reason why not."""

import collections
import contextlib
import io
import math
import os
import pathlib
import struct
from collections.abc import Iterator

import numpy as np
from PIL import ExifTags, Image, ImageOps

MAX_PIXELS = 64_000_000  # a 64-megapixel photograph takes 192 MB decoded; beyond it lie bombs
FILTERS = {name: Image.Resampling[name.upper()] for name in ("lanczos", "bicubic", "bilinear", "box", "nearest")}
CROPS = ("center", "random", "stretch")

_DAMAGED = (
    OSError, SyntaxError, ValueError, EOFError, LookupError, TypeError, AttributeError, ArithmeticError,
    RuntimeError, struct.error, Image.DecompressionBombError,
)  # fmt: skip
"""What Pillow's readers raise on bytes that are not what they claim to be."""

_NO_IMAGE = {
    b"<!doctype html": "HTML, not an image",
    b"<html": "HTML, not an image",
    b"<?xml": "XML or SVG, not a raster image",
    b"<svg": "XML or SVG, not a raster image",
    b"version https://git-lfs": "a Git LFS pointer, not an image",
}


class ImageRejected(ValueError):
    """This file is no image to train on. Its text is the reason, the same words for the same fault."""


class Quarantine:
    """The files set aside, and why: `files` maps each name to its reason."""

    def __init__(self):
        self.files: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self.files)

    def add(self, file: str, reason: str | ImageRejected) -> None:
        self.files[file] = str(reason)

    def lines(self) -> tuple[str, ...]:
        """'set aside 3 of "truncated": a.png, b.png, c.png', a line a reason, the most frequent first."""
        by_reason = collections.defaultdict(list)
        for file, reason in self.files.items():
            by_reason[reason].append(file)
        ranked = sorted(by_reason.items(), key=lambda item: (-len(item[1]), item[0]))
        some = lambda files: ", ".join(files[:3]) + (", ..." if len(files) > 3 else "")
        return tuple(f"set aside {len(files)} as {reason!r}: {some(files)}" for reason, files in ranked)


def decode(
    file: str | os.PathLike | bytes,
    *,
    channels: int = 3,
    background: tuple[int, int, int] = (255, 255, 255),
    max_pixels: int = MAX_PIXELS,
) -> np.ndarray:
    """The first frame of an image file, upright, as uint8 [H, W, channels] in [0, 255].

    Args:
        file: a path, or the encoded bytes.
        channels: 1 (luma), 3 (RGB) or 4 (RGBA; opaque where the file has no transparency).
        background: the RGB colour under transparent pixels, for 1 or 3 channels.
        max_pixels: width x height beyond which nothing is decoded.
    Deep gray keeps its range: 16 bits are divided by 257, floats in [0, 1] multiplied by 255.
    Raises:
        ImageRejected: no image, a damaged one, or one whose values have no agreed range. Never a partial picture.
    """
    with _opened(file, max_pixels) as picture:
        picture.load()
        upright = ImageOps.exif_transpose(picture)
    return _pixels(upright, channels, background)


def check(file: str | os.PathLike | bytes, *, max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
    """(height, width) as stored, from the header alone. Raises ImageRejected where that already tells enough."""
    with _opened(file, max_pixels) as picture:
        return picture.height, picture.width


def header(file: str | os.PathLike | bytes) -> tuple[int, int, int]:
    """(height, width, channels 1, 3 or 4) as `decode` would give them upright, from the header alone."""
    with _opened(file, MAX_PIXELS) as picture:
        sideways = picture.getexif().get(ExifTags.Base.Orientation, 1) >= 5
        height, width = (picture.width, picture.height) if sideways else (picture.height, picture.width)
        gray = picture.mode == "1" or picture.mode.startswith(("L", "I", "F"))
        return height, width, 4 if picture.has_transparency_data else 1 if gray else 3


def fit(image: np.ndarray, shape: tuple[int, int], crop: str = "center", filter: str = "lanczos") -> np.ndarray:
    """Resizes uint8 [h, w, C] to `shape` (H, W).

    Args:
        crop: "center" keeps the aspect ratio and cuts what is over equally on both sides; "stretch" cuts nothing;
            "random" resizes to cover and cuts nothing yet: the result is [>=H, >=W, C], for `cut`.
        filter: a name in FILTERS. With four channels colours are weighted by alpha, so no fringe appears.
    Raises:
        ImageRejected: "random" on a strip so long that its cover would pass MAX_PIXELS.
    """
    (h, w), (height, width) = image.shape[:2], shape
    scale = max(height / h, width / w)
    box = (0.0, 0.0, float(w), float(h))
    if crop == "center":
        x, y = (w - width / scale) / 2, (h - height / scale) / 2
        box = (max(x, 0.0), max(y, 0.0), min(w - x, w), min(h - y, h))
    elif crop == "random":
        height, width = max(height, round(h * scale)), max(width, round(w * scale))
        if height * width > MAX_PIXELS:
            raise ImageRejected("too long a strip to crop from")
    if (h, w) == (height, width):
        return image
    resized = _picture(image).resize((width, height), FILTERS[filter], box)
    return np.asarray(resized).reshape(height, width, image.shape[2])


HALVES = dict.fromkeys(("left", "right"))  # of a file with two pictures side by side


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
    """The window `shape` (H, W) of a larger image; `at` (y, x) in [0, 1) says where between the edges."""
    y, x = (math.floor(a * (size - part + 1)) for a, size, part in zip(at, image.shape[:2], shape, strict=True))
    return image[y : y + shape[0], x : x + shape[1]]


def rotate(image: np.ndarray, degrees: float) -> np.ndarray:
    """Turns uint8 [H, W, C] counter-clockwise about its centre; what turns in is the image mirrored at its edges."""
    h, w = image.shape[:2]
    pad = math.ceil((math.hypot(h, w) - min(h, w)) / 2) + 1
    around = np.pad(image, ((pad, pad), (pad, pad), (0, 0)), "symmetric")
    turned = np.asarray(_picture(around).rotate(degrees, Image.Resampling.BICUBIC)).reshape(around.shape)
    return turned[pad : pad + h, pad : pad + w]


def _picture(image: np.ndarray) -> Image.Image:
    return Image.fromarray(image[..., 0] if image.shape[2] == 1 else image)


@contextlib.contextmanager
def _opened(file, max_pixels: int) -> Iterator[Image.Image]:
    """The image, its size checked and its pixels not yet read; whatever goes wrong inside is an ImageRejected."""
    try:
        with _stream(file) as stream, Image.open(stream) as picture:
            if picture.width * picture.height > max_pixels:
                raise ImageRejected(f"more than {max_pixels / 1e6:g} megapixels")
            if picture.width * picture.height < 1:
                raise ImageRejected("no pixels")
            yield picture
    except ImageRejected:
        raise
    except Image.DecompressionBombError as error:
        raise ImageRejected(f"more than {max_pixels / 1e6:g} megapixels") from error
    except Image.UnidentifiedImageError as error:
        raise ImageRejected("no known image format") from error
    except MemoryError as error:
        raise ImageRejected("too large for the memory") from error
    except _DAMAGED as error:
        raise ImageRejected("truncated" if "truncated" in str(error).lower() else "damaged") from error


@contextlib.contextmanager
def _stream(file) -> Iterator[io.BufferedIOBase]:
    if not isinstance(file, bytes):
        path = pathlib.Path(file)
        if not path.exists():
            raise ImageRejected("no such file")
        if not path.is_file():
            raise ImageRejected("a directory" if path.is_dir() else "a special file")
    try:
        stream = io.BytesIO(file) if isinstance(file, bytes) else path.open("rb")
    except OSError as error:
        raise ImageRejected("can't be opened") from error
    with stream:
        head = stream.read(64).lstrip(b"\xef\xbb\xbf \t\r\n").lower()
        if stream.tell() == 0:
            raise ImageRejected("empty")
        for start, reason in _NO_IMAGE.items():
            if head.startswith(start):
                raise ImageRejected(reason)
        stream.seek(0)
        yield stream


def _pixels(picture: Image.Image, channels: int, background: tuple[int, int, int]) -> np.ndarray:
    """A loaded picture of any mode -> uint8 [H, W, channels]."""
    if picture.mode.startswith(("I", "F")):
        picture = _shallow(picture)
    clear = picture.has_transparency_data
    try:
        picture = picture.convert("RGBA" if clear or channels == 4 else "L" if channels == 1 else "RGB")
    except ValueError as error:
        raise ImageRejected(f"colour mode {picture.mode}") from error
    if clear and channels < 4:
        picture = Image.fromarray(composite(np.asarray(picture), background))
        picture = picture.convert("L") if channels == 1 else picture
    return np.array(picture).reshape(picture.height, picture.width, channels)


def composite(rgba: np.ndarray, background: tuple[int, int, int]) -> np.ndarray:
    """uint8 [H, W, 4] over a plain colour -> uint8 [H, W, 3], rounded to nearest."""
    color, alpha = rgba[..., :3].astype(np.uint32), rgba[..., 3:].astype(np.uint32)
    return ((color * alpha + np.asarray(background, np.uint32) * (255 - alpha) + 127) // 255).astype(np.uint8)


def _shallow(picture: Image.Image) -> Image.Image:
    """16-bit, 32-bit or float gray -> L, or LA where one gray is declared transparent. Pillow itself would clip."""
    deep = np.asarray(picture)
    if picture.mode == "F":
        if not (np.isfinite(deep).all() and deep.min() >= 0 and deep.max() <= 1):
            raise ImageRejected("float values outside [0, 1]")
        gray = np.round(deep * 255)
    else:
        if deep.min() < 0 or deep.max() > 65535:
            raise ImageRejected("integer values outside 16 bits")
        gray = (deep.astype(np.uint32) + 128) // 257
    gray = Image.fromarray(gray.astype(np.uint8))
    if "transparency" in picture.info:
        gray.putalpha(Image.fromarray(np.where(deep == picture.info["transparency"], 0, 255).astype(np.uint8)))
    return gray
