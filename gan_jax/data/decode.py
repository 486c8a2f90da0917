"""The one strict image decoder, for training, tools and demos: a file becomes uint8 [H, W, C] or a
reason why not."""

import contextlib
import math
import os
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps

from gan_jax.data import color, deep, memory
from gan_jax.data.image_file import (
    ANIMATED,
    MAX_PIXELS,
    channels_of,
    check_scans,
    color_transform,
    opened,
    sideways,
)
from gan_jax.data.images import as_array, composite
from gan_jax.data.quarantine import ImageRejected, Remark, no_remark

ANIMATION_PIXELS = 128_000_000  # of all frames, which a writer may keep together
_DEEP = color.GRAY - {"1", "L", "LA"}
_STRIP = 1 << 18  # pixels that are converted at once

_LOADED = 4  # bytes a pixel at most, of Pillow's own copy
_CONVERTED = 8  # bytes a pixel at most, of that and the result, or of two copies
_LOADING = {"WEBP": 13, "AVIF": 16, "JPEG2000": 16}  # bytes a pixel, of the format's own decoder
_PROGRESSIVE = 8  # bytes a pixel: a progressive JPEG's coefficients
_REDUCED = 3.0  # times as large as what is asked for, at least, a JPEG is that is reduced on load


def decode(
    file: str | os.PathLike | bytes,
    *,
    channels: int | None = 3,
    background: tuple[int, int, int] = (255, 255, 255),
    max_pixels: int = MAX_PIXELS,
    keep_deep: bool = False,
    remark: Remark = no_remark,
) -> np.ndarray:
    """The first frame of an image file, upright, in sRGB, as uint8 [H, W, channels] in [0, 255].

    Args:
        file: a path, or the encoded bytes.
        channels: 1 (luma), 3 (RGB) or 4 (RGBA; opaque where the file has no transparency); None:
            those the file has.
        background: the RGB color under transparent pixels, for 1 or 3 channels.
        max_pixels: width x height beyond which nothing is decoded.
        keep_deep: for channels=None: PNG and TIFF files of 16 bits a channel come as uint16 in [0,
            65535], where that is installed (data/deep.py); else it is remarked.
        remark: gets what of the file is not obeyed: "a color profile ...", "several frames ...".
    Deep gray keeps its range: 16 bits are divided by 257, floats in [0, 1] multiplied by 255. Other
    colors than sRGB's are converted (data/color.py); CMYK without a profile by 255 - ink.
    Raises:
        ImageRejected: no image, a damaged one, one whose values have no agreed range, or one that
            takes more than $GAN_JAX_DECODE_MIB to decode. Never a partial picture.
    """
    with decoded(
        file,
        channels=channels,
        background=background,
        max_pixels=max_pixels,
        keep_deep=keep_deep,
        remark=remark,
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
    keep_deep: bool = False,
    remark: Remark = no_remark,
) -> Iterator[np.ndarray]:
    """As `decode`, for a block in which the picture is made small: till its end the memory counts
    as taken.

    Threads wait for their turn, so that all pictures in work take $GAN_JAX_DECODE_MIB (512)
    together.
    Args:
        cover: (H, W) that the picture will be resized to cover: a JPEG of more than three times
            that comes reduced by 2, 4 or 8, in less time and memory.
    """
    room = memory.room()
    with contextlib.ExitStack() as stack:
        with opened(file, max_pixels) as (picture, stream):
            to_srgb = color_transform(picture, stream, remark)
            if "progressive" in picture.info:
                check_scans(stream)
            channels = channels or channels_of(picture)
            pixels = picture.width * picture.height
            if keep_deep and deep.kept(picture, remark):
                stack.enter_context(room.taken(deep.BYTES * channels * pixels))
                profile = None if to_srgb is None else color.profile_of(picture, stream)
                image = deep.read(picture, stream, profile, to_srgb and to_srgb.input_mode)
            else:
                if cover is not None and picture.format in ("JPEG", "MPO"):
                    height, width = cover[::-1] if sideways(picture) else cover
                    picture.draft(None, (math.ceil(_REDUCED * width), math.ceil(_REDUCED * height)))
                stack.enter_context(room.taken(_memory(picture, pixels)))
                image = _loaded(picture, to_srgb, channels, background, remark)
        yield image


def _memory(picture: Image.Image, pixels: int) -> int:
    """Bytes that an opened picture takes while it is loaded and converted; pixels: those of its
    file, of which it may load fewer."""
    kind = _PROGRESSIVE if "progressive" in picture.info else _LOADING.get(picture.format, 0)
    loaded = picture.width * picture.height
    return max(_CONVERTED * loaded, _LOADED * loaded + kind * pixels)


def _loaded(picture: Image.Image, to_srgb, channels: int, background, remark: Remark) -> np.ndarray:
    """An opened picture as uint8 [H, W, channels]."""
    if deep.misread(picture):
        raise ImageRejected("16 bits a channel in planes: save it interleaved")
    negative = deep.is_negative(picture)
    picture.load()
    if channels < 4 and _is_seen_through(picture):
        remark("transparency, drawn on the background (channels=4 keeps it)")
    ImageOps.exif_transpose(picture, in_place=True)
    if negative:
        picture = Image.fromarray(65535 - np.asarray(picture))
    return _pixels(picture, to_srgb, channels, background)


def _is_seen_through(picture: Image.Image) -> bool:
    """Whether a loaded picture has pixels that are not opaque, or a color that stands for them."""
    if not picture.has_transparency_data:
        return False
    return "A" not in picture.getbands() or picture.getchannel("A").getextrema()[0] < 255


class Animation(NamedTuple):
    """The kind of file that frames shown in turn are in, how many, and the file's count of repeats
    (0: for ever), if any."""

    format: str
    frames: int
    loop: int | None


def animation(file: str | os.PathLike | bytes) -> Animation | None:
    """What the file moves in, from its header;
    None of one picture, or of pages as a TIFF has them."""
    with opened(file, MAX_PIXELS) as (picture, _):
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
    with opened(file, MAX_PIXELS) as (picture, stream):
        pixels = picture.width * picture.height
        if pixels * picture.n_frames > ANIMATION_PIXELS:
            raise ImageRejected(
                f"frames of more than {ANIMATION_PIXELS / 1e6:g} megapixels together; make it a"
                " video"
            )
        to_srgb = color_transform(picture, stream, no_remark)
        with memory.room().taken(
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
            with_alpha = "LA" if picture.mode in color.GRAY else "RGBA"
            full = picture.convert(with_alpha) if clear else picture
            picture = to_srgb.apply(full.convert(to_srgb.input_mode))
            if clear:
                picture.putalpha(full.getchannel("A"))
        picture = picture.convert(
            "RGBA" if clear or channels == 4 else "L" if channels == 1 else "RGB"
        )
    except ValueError as error:
        raise ImageRejected(f"color mode {picture.mode}") from error
    if clear and channels < 4:
        picture = Image.fromarray(composite(np.asarray(picture), background))
        picture = picture.convert("L") if channels == 1 else picture
    return as_array(picture)


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
