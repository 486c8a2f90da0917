"""The one strict image decoder, for training, tools and demos: a file becomes uint8 [H, W, C] or a
reason why not."""

import collections
import contextlib
import functools
import io
import math
import os
import pathlib
import struct
import threading
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from PIL import ExifTags, Image, ImageCms, ImageOps

from gan_jax.data import color
from gan_jax.runtime.text import shown

FORMATS = (
    "PNG",
    "JPEG",
    "WEBP",
    "GIF",
    "TIFF",
    "BMP",
    "PPM",
    "AVIF",
    "JPEG2000",
)  # of Pillow's; none runs a program
SUFFIXES = (
    ".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".webp", ".gif", ".tif", ".tiff", ".bmp", ".ppm", ".pgm",
    ".pbm", ".pnm", ".pfm", ".avif", ".avifs", ".jp2", ".j2k", ".jpx", ".jpf", ".jpc", ".j2c",
)  # fmt: skip
AVIF_BRANDS = (b"avif", b"avis")
HEIF_BRANDS = (
    b"heic",
    b"heix",
    b"heim",
    b"heis",
    b"hevc",
    b"hevx",
)  # of pictures in HEVC, which are not read
ANIMATED = ("GIF", "PNG", "WEBP", "AVIF")
ANIMATION_PIXELS = 128_000_000  # of all frames, which a writer may keep together
MAX_PIXELS = 64_000_000  # a 64-megapixel photograph takes 192 MB decoded; beyond it lie bombs
FILTERS = {
    name: Image.Resampling[name.upper()]
    for name in ("lanczos", "bicubic", "bilinear", "box", "nearest")
}
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

_DEEP = color.GRAY - {"1", "L", "LA"}
_STRIP = 1 << 18  # pixels that are converted at once

# for all pictures that are being decoded, where $GAN_JAX_DECODE_MIB says nothing else
MEMORY_MIB = 512
_LOADED, _CONVERTED = (
    4,
    8,
)  # bytes a pixel at most: Pillow's own copy; it and the result, or two of its copies
_LOADING = {"WEBP": 13, "AVIF": 16, "JPEG2000": 16}  # bytes a pixel, of the format's own decoder
_PROGRESSIVE = 8  # bytes a pixel: a progressive JPEG's coefficients
_MOST_SCANS = 100  # of a progressive JPEG; writers make about ten
_REDUCED = 3.0  # times as large as what is asked for, at least, a JPEG is that is reduced on load


class ImageRejected(ValueError):
    """This file is no image to train on. Its text is the reason, the same words for the same
    fault."""


class Quarantine:
    """The files set aside, and why: `files` maps each name to its reason."""

    def __init__(self):
        self.files: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self.files)

    def add(self, file: str, reason: str | ImageRejected) -> None:
        self.files[file] = str(reason)

    def lines(self) -> tuple[str, ...]:
        """'set aside 3 as "truncated": a.png, b.png, c.png', a line a reason, the most frequent
        first."""
        return tuple(
            f"set aside {n} as {reason!r}: {some}"
            for reason, n, some in _ranked(self.files.items())
        )


class Remarks:
    """What there is to say of files that are used: (file, words) each."""

    def __init__(self):
        self.made: list[tuple[str, str]] = []

    def add(self, file: str, words: str) -> None:
        self.made.append((file, words))

    def lines(self) -> tuple[str, ...]:
        """'2 with several frames, of which the first is used: a.gif, b.gif', a line for equal
        words."""
        return tuple(f"{n} with {words}: {some}" for words, n, some in _ranked(sorted(self.made)))


def _ranked(said) -> Iterator[tuple[str, int, str]]:
    """(words, how many files, the first three) of (file, words), the most frequent first."""
    by_words = collections.defaultdict(list)
    for file, words in said:
        by_words[words].append(file)
    for words, files in sorted(by_words.items(), key=lambda item: (-len(item[1]), item[0])):
        yield (
            shown(words),
            len(files),
            ", ".join(map(shown, files[:3])) + (", ..." if len(files) > 3 else ""),
        )


Remark = Callable[[str], None]


def unsaid(words: str) -> None:
    """A Remark for callers whose files have been looked at before."""


def decode(
    file: str | os.PathLike | bytes,
    *,
    channels: int | None = 3,
    background: tuple[int, int, int] = (255, 255, 255),
    max_pixels: int = MAX_PIXELS,
    remark: Remark = unsaid,
) -> np.ndarray:
    """The first frame of an image file, upright, in sRGB, as uint8 [H, W, channels] in [0, 255].

    Args:
        file: a path, or the encoded bytes.
        channels: 1 (luma), 3 (RGB) or 4 (RGBA; opaque where the file has no transparency); None:
            those the file has.
        background: the RGB colour under transparent pixels, for 1 or 3 channels.
        max_pixels: width x height beyond which nothing is decoded.
        remark: is told what of the file is not obeyed: "a colour profile ...", "several frames
            ...".
    Deep gray keeps its range: 16 bits are divided by 257, floats in [0, 1] multiplied by 255. Other
    colours than sRGB's are converted (data/color.py); CMYK without a profile by 255 - ink.
    Raises:
        ImageRejected: no image, a damaged one, one whose values have no agreed range, or one that
        takes more than
            $GAN_JAX_DECODE_MIB to decode. Never a partial picture.
    """
    with decoded(
        file, channels=channels, background=background, max_pixels=max_pixels, remark=remark
    ) as image:
        return image


@contextlib.contextmanager
def decoded(
    file: str | os.PathLike | bytes,
    *,
    channels: int | None = 3,
    background: tuple[int, int, int] = (255, 255, 255),
    max_pixels: int = MAX_PIXELS,
    cover: tuple[int, int] | None = None,
    remark: Remark = unsaid,
) -> Iterator[np.ndarray]:
    """As `decode`, for a block in which the picture is made small: till its end the memory counts
    as taken.

    Threads wait for their turn, so that all pictures in work take $GAN_JAX_DECODE_MIB (512)
    together.
    Args:
        cover: (H, W) that the picture will be resized to cover: a JPEG of more than three times
            that comes reduced by 2, 4 or 8, in less time and memory.
    """
    room = _room(_processes)
    with contextlib.ExitStack() as held:
        with _opened(file, max_pixels) as (picture, stream):
            to_srgb = _looked_at(picture, stream, remark)
            if "progressive" in picture.info:
                _check_scans(stream)
            channels = channels or _channels(picture)
            pixels = picture.width * picture.height
            if cover is not None and picture.format in ("JPEG", "MPO"):
                height, width = cover[::-1] if _sideways(picture) else cover
                picture.draft(None, (math.ceil(_REDUCED * width), math.ceil(_REDUCED * height)))
            loading = pixels * (
                _PROGRESSIVE if "progressive" in picture.info else _LOADING.get(picture.format, 0)
            )
            pixels = picture.width * picture.height
            held.enter_context(room.taken(max(_CONVERTED * pixels, _LOADED * pixels + loading)))
            picture.load()
            ImageOps.exif_transpose(picture, in_place=True)
            image = _pixels(picture, to_srgb, channels, background)
        yield image


def check(
    file: str | os.PathLike | bytes, *, max_pixels: int = MAX_PIXELS, remark: Remark = unsaid
) -> tuple[int, int]:
    """(height, width) as stored, a TIFF's upright, from the header alone. Raises ImageRejected
    where that tells enough."""
    with _opened(file, max_pixels) as (picture, stream):
        _looked_at(picture, stream, remark)
        return picture.height, picture.width


def header(file: str | os.PathLike | bytes) -> tuple[int, int, int]:
    """(height, width, channels 1, 3 or 4) as `decode` would give them upright, from the header
    alone."""
    with _opened(file, MAX_PIXELS) as (picture, stream):
        upright = picture.format == "PNG" and not _png_has_exif(stream)
        turned = not upright and _sideways(picture)
        height, width = (
            (picture.width, picture.height) if turned else (picture.height, picture.width)
        )
        return height, width, _channels(picture)


class Animation(NamedTuple):
    """The kind of file that frames shown in turn are in, how many, and the file's count of repeats
    (0: for ever), if any."""

    format: str
    frames: int
    loop: int | None


def animation(file: str | os.PathLike | bytes) -> Animation | None:
    """What the file moves in, from its header; None of one picture, or of pages as a TIFF has
    them."""
    with _opened(file, MAX_PIXELS) as (picture, _):
        if picture.format not in ANIMATED or not picture.is_animated:
            return None
        frames = picture.n_frames - bool(picture.info.get("default_image"))
        return Animation(picture.format, frames, picture.info.get("loop"))


def frames(file: str | os.PathLike | bytes) -> Iterator[tuple[np.ndarray, float]]:
    """Every frame of an animation as (uint8 [H, W, 4] upright and in sRGB, ms for which it is
    shown).

    Raises:
        ImageRejected: as `decode`, or frames of more than ANIMATION_PIXELS together.
    """
    with _opened(file, MAX_PIXELS) as (picture, stream):
        pixels = picture.width * picture.height
        if pixels * picture.n_frames > ANIMATION_PIXELS:
            raise ImageRejected(
                f"frames of more than {ANIMATION_PIXELS / 1e6:g} megapixels together; make it a"
                " video"
            )
        to_srgb = _looked_at(picture, stream, unsaid)
        with _room(_processes).taken(
            max(_CONVERTED * pixels, (_LOADED + _LOADING.get(picture.format, 0)) * pixels)
        ):
            for n in range(bool(picture.info.get("default_image")), picture.n_frames):
                picture.seek(n)
                picture.load()
                shown = ImageOps.exif_transpose(picture)
                yield (
                    _pixels(shown, to_srgb, 4, (255, 255, 255)),
                    float(picture.info.get("duration", 0)),
                )


def _sideways(picture: Image.Image) -> bool:
    """Whether width and height change places when the picture is turned upright: of a TIFF Pillow
    gives them so at once."""
    return picture.format != "TIFF" and picture.getexif().get(ExifTags.Base.Orientation, 1) >= 5


def _png_has_exif(stream: io.BufferedIOBase) -> bool:
    """Whether EXIF or XMP is in a PNG: where it is not before the pixels, Pillow would decode them
    to look behind."""
    start, place, found = stream.tell(), 8, False
    stream.seek(place)
    while not found and len(head := stream.read(8)) == 8:
        size, kind = struct.unpack(">I4s", head)
        text = stream.read(21) if kind in (b"tEXt", b"zTXt", b"iTXt") else b""
        found = kind == b"eXIf" or text.startswith((b"Raw profile type exif", b"XML:com.adobe.xmp"))
        place += 12 + size
        stream.seek(place)
    stream.seek(start)
    return found


def _channels(picture: Image.Image) -> int:
    return 4 if picture.has_transparency_data else 1 if picture.mode in color.GRAY else 3


def _looked_at(picture: Image.Image, stream, remark: Remark) -> ImageCms.ImageCmsTransform | None:
    """What brings the picture's colours to sRGB. Remarks what of the file is not obeyed."""
    if picture.format in (*ANIMATED, "TIFF") and picture.is_animated:
        remark("several frames, of which the first is used")
    if picture.format == "TIFF" and picture.mode == "I":
        remark(
            "signed or 32-bit integers, taken as 0 to 65535: save them as 8 or 16 bits if that is"
            " not their range"
        )
    try:
        return color.to_srgb(picture, stream)
    except color.HighDynamicRange as error:
        raise ImageRejected("high dynamic range (PQ or HLG): make it SDR first") from error
    except color.Unusable:
        remark("a colour profile that can't be used, taken as sRGB")


def _check_scans(stream: io.BufferedIOBase) -> None:
    """Raises ImageRejected for a progressive JPEG with so many scans that it would take minutes to
    decode."""
    place = stream.tell()
    stream.seek(0)
    scans = stream.read().count(b"\xff\xda")
    stream.seek(place)
    if scans > _MOST_SCANS:
        raise ImageRejected(f"more than {_MOST_SCANS} scans")


class _Room:
    """Bytes that several threads share: `share` of them at a time, and no picture takes more than
    `most`.

    A picture that takes more than the share is decoded alone, beyond the share: several processes
    may then take more than `most` together.
    """

    def __init__(self, most: int, share: int):
        self.most, self.share, self.free = most, share, share
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def taken(self, size: int) -> Iterator[None]:
        """Waits until there are so many. Raises ImageRejected where there never are."""
        if size > self.most:
            raise ImageRejected(
                f"more than {self.most >> 20} MiB of memory to decode ($GAN_JAX_DECODE_MIB)"
            )
        size = min(size, self.share)
        with self._changed:
            self._changed.wait_for(lambda: self.free >= size)
            self.free -= size
        try:
            yield
        finally:
            with self._changed:
                self.free += size
                self._changed.notify_all()


@functools.cache
def _room(processes: int = 1) -> _Room:
    text = os.environ.get("GAN_JAX_DECODE_MIB") or str(MEMORY_MIB)
    if not text.isdecimal() or not 1 <= int(text) <= 2**20:
        raise ValueError(f"GAN_JAX_DECODE_MIB={text}: it must be 1 to {2**20} MiB.")
    return _Room(int(text) << 20, (int(text) << 20) // processes)


_processes = 1


def share_memory(processes: int) -> None:
    """Called in each of so many worker processes: a share of the memory is its own."""
    global _processes
    _processes = processes


def fit(
    image: np.ndarray, shape: tuple[int, int], crop: str = "center", filter: str = "lanczos"
) -> np.ndarray:
    """Resizes uint8 [h, w, C] to `shape` (H, W).

    Args:
        crop: "center" keeps the aspect ratio and cuts what is over equally on both sides; "stretch"
            cuts nothing; "random" resizes to cover and cuts nothing yet: the result is [>=H, >=W,
            C], for `cut`.
        filter: a name in FILTERS. With four channels colours are weighted by alpha, so no fringe
            appears.
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
    resized = _premultiplied(image).resize((width, height), FILTERS[filter], box)
    resized = resized.convert("RGBA") if resized.mode == "RGBa" else resized
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
    """The window `shape` (H, W) of a larger image; `at` (y, x) in [0, 1) says where between the
    edges."""
    y, x = (
        math.floor(a * (size - part + 1))
        for a, size, part in zip(at, image.shape[:2], shape, strict=True)
    )
    return image[y : y + shape[0], x : x + shape[1]]


def rotate(image: np.ndarray, degrees: float) -> np.ndarray:
    """Turns uint8 [H, W, C] counter-clockwise about its centre; what turns in is the image mirrored
    at its edges."""
    h, w = image.shape[:2]
    pad = math.ceil((math.hypot(h, w) - min(h, w)) / 2) + 1
    around = np.pad(image, ((pad, pad), (pad, pad), (0, 0)), "symmetric")
    turned = np.asarray(_picture(around).rotate(degrees, Image.Resampling.BICUBIC)).reshape(
        around.shape
    )
    return turned[pad : pad + h, pad : pad + w]


def _premultiplied(image: np.ndarray) -> Image.Image:
    """uint8 [H, W, C] -> L, RGB, or of four channels RGBa; strip by strip, for Pillow keeps two
    whole copies of RGBA."""
    if image.shape[2] < 4:
        return _picture(image)
    made = Image.new("RGBa", (image.shape[1], image.shape[0]))
    rows = max(1, _STRIP // image.shape[1])
    for top in range(0, image.shape[0], rows):
        made.paste(Image.fromarray(image[top : top + rows]).convert("RGBa"), (0, top))
    return made


def _picture(image: np.ndarray) -> Image.Image:
    return Image.fromarray(image[..., 0] if image.shape[2] == 1 else image)


@contextlib.contextmanager
def _opened(file, max_pixels: int) -> Iterator[tuple[Image.Image, io.BufferedIOBase]]:
    """(the image, its size checked and its pixels not yet read, its file); what goes wrong inside
    is an ImageRejected."""
    try:
        with (
            _stream(file) as stream,
            contextlib.closing(Image.open(stream, formats=FORMATS)) as picture,
        ):
            if max(picture.width * picture.height, _tile(picture)) > max_pixels:
                raise ImageRejected(f"more than {max_pixels / 1e6:g} megapixels")
            if picture.width * picture.height < 1:
                raise ImageRejected("no pixels")
            yield picture, stream
    except ImageRejected:
        raise
    except Image.DecompressionBombError as error:
        raise ImageRejected(f"more than {max_pixels / 1e6:g} megapixels") from error
    except Image.UnidentifiedImageError as error:
        raise ImageRejected("no known image format") from error
    except MemoryError as error:
        raise ImageRejected("too large for the memory") from error
    except _DAMAGED as error:
        raise ImageRejected(
            "truncated" if "truncated" in str(error).lower() else "damaged"
        ) from error


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
        if _is_heif(head):
            raise ImageRejected("a HEIF picture, which is not read; make it a JPEG or PNG first")
        stream.seek(0)
        yield stream


def _is_heif(head: bytes) -> bool:
    """Whether a file that begins so (its first 64 bytes) is a HEIC or the like: by its brands, of
    which any may come first."""
    size = min(int.from_bytes(head[:4], "big"), len(head))
    brands = {head[i : i + 4] for i in range(8, size, 4)} if head[4:8] == b"ftyp" else set()
    return not brands.isdisjoint(HEIF_BRANDS) and brands.isdisjoint(AVIF_BRANDS)


def _tile(picture: Image.Image) -> int:
    """Pixels of a TIFF's tile, which may be larger than the picture."""
    return (
        picture.tag_v2.get(322, 0) * picture.tag_v2.get(323, 0) if picture.format == "TIFF" else 0
    )


def _pixels(
    picture: Image.Image, to_srgb, channels: int, background: tuple[int, int, int]
) -> np.ndarray:
    """A loaded picture of any mode -> uint8 [H, W, channels], in strips: beside Pillow's copy there
    is only the result."""
    image = np.empty((picture.height, picture.width, channels), np.uint8)
    rows = max(1, _STRIP // picture.width)
    for top in range(0, picture.height, rows):
        below = min(top + rows, picture.height)
        strip = picture if rows >= picture.height else picture.crop((0, top, picture.width, below))
        image[top:below] = _strip(strip, to_srgb, channels, background)
    return image


def _strip(
    picture: Image.Image, to_srgb, channels: int, background: tuple[int, int, int]
) -> np.ndarray:
    if picture.mode in _DEEP:
        picture = _shallow(picture)
    clear = picture.has_transparency_data
    try:
        if to_srgb is not None:
            full = (
                picture.convert("LA" if picture.mode in color.GRAY else "RGBA")
                if clear
                else picture
            )
            picture = to_srgb.apply(full.convert(to_srgb.input_mode))
            if clear:
                picture.putalpha(full.getchannel("A"))
        picture = picture.convert(
            "RGBA" if clear or channels == 4 else "L" if channels == 1 else "RGB"
        )
    except ValueError as error:
        raise ImageRejected(f"colour mode {picture.mode}") from error
    if clear and channels < 4:
        picture = Image.fromarray(composite(np.asarray(picture), background))
        picture = picture.convert("L") if channels == 1 else picture
    return np.asarray(picture).reshape(picture.height, picture.width, channels)


def composite(rgba: np.ndarray, background: tuple[int, int, int]) -> np.ndarray:
    """uint8 [H, W, 4] over a plain colour -> uint8 [H, W, 3], rounded to nearest."""
    colors, alpha = (
        rgba[..., :3].astype(np.uint16),
        rgba[..., 3:].astype(np.uint16),
    )  # the sum is 65,152 at most
    return (
        (colors * alpha + np.asarray(background, np.uint16) * (255 - alpha) + 127) // 255
    ).astype(np.uint8)


def _shallow(picture: Image.Image) -> Image.Image:
    """16-bit, 32-bit or float gray -> L, or LA where one gray is declared transparent. Pillow
    itself would clip."""
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
        gray.putalpha(
            Image.fromarray(np.where(deep == picture.info["transparency"], 0, 255).astype(np.uint8))
        )
    return gray
