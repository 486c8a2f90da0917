"""Image files before anything of them is decoded: formats, sizes, what they hold, and limits."""

import contextlib
import io
import os
import pathlib
import struct
from collections.abc import Iterator

from PIL import ExifTags, Image, ImageCms

from gan_jax.data import color
from gan_jax.data.quarantine import (
    ImageRejected,
    Remark,
    TooLarge,
    UnknownFormat,
    no_remark,
)

# of Pillow's; none runs a program
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP", "PPM", "AVIF", "JPEG2000")
SUFFIXES = (
    ".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".webp", ".gif", ".tif", ".tiff",
    ".bmp", ".ppm", ".pgm", ".pbm", ".pnm", ".pfm", ".avif", ".avifs", ".jp2", ".j2k", ".jpx",
    ".jpf", ".jpc", ".j2c",
)  # fmt: skip
AVIF_BRANDS = (b"avif", b"avis")
# of pictures in HEVC, which are not read
HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx")
ANIMATED = ("GIF", "PNG", "WEBP", "AVIF")
MAX_PIXELS = 64_000_000  # a 64-megapixel photograph takes 192 MB decoded; beyond it lie bombs
_MOST_SCANS = 100  # of a progressive JPEG; writers make about ten

_DAMAGED = (
    OSError, SyntaxError, ValueError, EOFError, LookupError, TypeError, AttributeError,
    ArithmeticError, RuntimeError, struct.error, Image.DecompressionBombError,
)  # fmt: skip
"""What Pillow's readers raise on bytes that are not what they claim to be."""

_NO_IMAGE = {
    b"<!doctype html": "HTML, not an image",
    b"<html": "HTML, not an image",
    b"<?xml": "XML or SVG, not a raster image",
    b"<svg": "XML or SVG, not a raster image",
    b"version https://git-lfs": "a Git LFS pointer, not an image",
}


def check(
    file: str | os.PathLike | bytes, *, max_pixels: int = MAX_PIXELS, remark: Remark = no_remark
) -> tuple[int, int]:
    """(height, width) as stored, a TIFF's upright, from the header alone. Raises ImageRejected
    where that tells enough."""
    with opened(file, max_pixels) as (picture, stream):
        color_transform(picture, stream, remark)
        return picture.height, picture.width


def header(file: str | os.PathLike | bytes) -> tuple[int, int, int]:
    """(height, width, channels 1, 3 or 4) as `decode` would give them upright,
    from the header alone."""
    with opened(file, MAX_PIXELS) as (picture, stream):
        upright = picture.format == "PNG" and not _png_has_exif(stream)
        turned = not upright and sideways(picture)
        sides = picture.height, picture.width
        return *(sides[::-1] if turned else sides), channels_of(picture)


@contextlib.contextmanager
def opened(file, max_pixels: int) -> Iterator[tuple[Image.Image, io.BufferedIOBase]]:
    """(the image, its size checked and its pixels not yet read, its file); what goes wrong inside
    is an ImageRejected."""
    try:
        with (
            _stream(file) as stream,
            contextlib.closing(Image.open(stream, formats=FORMATS)) as picture,
        ):
            if max(picture.width * picture.height, _tile(picture)) > max_pixels:
                raise TooLarge(f"more than {max_pixels / 1e6:g} megapixels")
            if picture.width * picture.height < 1:
                raise ImageRejected("no pixels")
            yield picture, stream
    except ImageRejected:
        raise
    except Image.DecompressionBombError as error:
        raise TooLarge(f"more than {max_pixels / 1e6:g} megapixels") from error
    except Image.UnidentifiedImageError as error:
        raise UnknownFormat("no known image format") from error
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
                raise UnknownFormat(reason)
        if _is_heif(head):
            raise UnknownFormat("a HEIF picture, which is not read; make it a JPEG or PNG first")
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


def sideways(picture: Image.Image) -> bool:
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


def channels_of(picture: Image.Image) -> int:
    return 4 if picture.has_transparency_data else 1 if picture.mode in color.GRAY else 3


def color_transform(
    picture: Image.Image, stream, remark: Remark
) -> ImageCms.ImageCmsTransform | None:
    """What brings the picture's colors to sRGB. Remarks what of the file is not obeyed."""
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
        remark("a color profile that can't be used, taken as sRGB")


def check_scans(stream: io.BufferedIOBase) -> None:
    """Raises ImageRejected for a progressive JPEG with so many scans that it would take minutes to
    decode."""
    place = stream.tell()
    stream.seek(0)
    scans = stream.read().count(b"\xff\xda")
    stream.seek(place)
    if scans > _MOST_SCANS:
        raise ImageRejected(f"more than {_MOST_SCANS} scans")
