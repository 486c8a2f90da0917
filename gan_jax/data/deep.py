"""Pictures of 16 bits a channel, which Pillow has as 8: PNG and TIFF files read and brought to
sRGB, by imagecodecs and tifffile, which whoever wants them installs."""

import importlib.util
import io

import numpy as np
from PIL import ExifTags, Image, ImageCms

from gan_jax.data import color
from gan_jax.data.images import in_channels
from gan_jax.data.quarantine import ImageRejected, Remark

INSTALL = "pip install imagecodecs tifffile"
BYTES = 4  # a pixel and channel at most, while a picture is read
RAW_PLANES = ("R", "G", "B", "A")  # Pillow's names of what it reads of files of planes
_STRIP = 1 << 18  # pixels that are converted at once


def installed() -> bool:
    """Whether the packages are."""
    return all(importlib.util.find_spec(name) for name in ("imagecodecs", "tifffile"))


def kept(picture: Image.Image, remark: Remark) -> bool:
    """Whether an opened file has 16 bits a channel that `read` gives; remarks where it has them and
    they can't be had."""
    if not _is_deep(picture):
        return False
    if picture.mode not in (*color.GRAY, "RGB", "RGBA"):
        remark("16 bits a channel, read as 8")
        return False
    if not installed():
        remark(f"16 bits a channel, read as 8 (after {INSTALL} they are kept)")
        return False
    return True


def misread(picture: Image.Image) -> bool:
    """Whether Pillow takes the bytes of an opened file for others: 16 bits as 8 in a TIFF whose
    channels lie one after the other, not compressed."""
    return _is_deep(picture) and picture.format == "TIFF" and picture.tile[0].args[0] in RAW_PLANES


def is_negative(picture: Image.Image) -> bool:
    """Whether 0 is white in an opened TIFF of 16 bits, which Pillow does not heed."""
    return _is_deep(picture) and picture.format == "TIFF" and picture.tag_v2.get(262) == 0


def _is_deep(picture: Image.Image) -> bool:
    """Whether a file's channels are whole numbers of 16 bits, 0 to 65535."""
    if picture.format == "PNG":
        return ";16" in picture.tile[0].args
    if picture.format != "TIFF":
        return False
    bits, kinds = picture.tag_v2.get(258, (1,)), picture.tag_v2.get(339, (1,))
    return set(bits) == {16} and set(kinds) == {1}


def read(
    picture: Image.Image, stream: io.BufferedIOBase, profile: bytes | None, mode: str
) -> np.ndarray:
    """The first frame of such a file upright, in sRGB, as uint16 [H, W, C]: C is 1 (gray), 3 (RGB)
    or 4 (RGBA, its colors not multiplied by alpha).

    Args:
        picture: opened.
        stream: its file.
        profile: the ICC profile of its colors; None: they are sRGB.
        mode: what the profile takes, "L" or "RGB".
    Raises:
        ImageRejected: truncated, or not what its header says.
        Exception: any other that imagecodecs or tifffile raise on damaged files.
    """
    stored = _of_png(picture, stream) if picture.format == "PNG" else _of_tiff(picture, stream)
    if sorted(stored.shape[:2]) != sorted((picture.height, picture.width)):
        raise ImageRejected("damaged")
    if profile is not None:
        _convert(stored, profile, mode)
    if stored.shape[2] == 2:
        stored = stored[..., [0, 0, 0, 1]]
    tags = picture.tag_v2 if picture.format == "TIFF" else picture.getexif()
    return np.ascontiguousarray(upright(stored, tags.get(ExifTags.Base.Orientation, 1)))


def upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Pixels [H, W, C] as stored, turned as EXIF's orientation says, 1 to 8; a view."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return pixels[::-1] if orientation in (3, 4, 7, 8) else pixels


def _of_png(picture: Image.Image, stream: io.BufferedIOBase) -> np.ndarray:
    import imagecodecs

    stream.seek(0)
    pixels = imagecodecs.png_decode(stream.read())
    return pixels.reshape(*pixels.shape[:2], -1)  # a color that is declared clear gave it alpha


def _of_tiff(picture: Image.Image, stream: io.BufferedIOBase) -> np.ndarray:
    import tifffile

    stream.seek(0)
    page = tifffile.TiffFile(stream).pages[0]
    if not all(page.databytecounts):  # such parts it would leave black
        raise ImageRejected("truncated")
    pixels = page.asarray().astype(np.uint16, copy=False)
    pixels = np.moveaxis(pixels, 0, -1) if page.axes == "SYX" else pixels
    pixels = pixels.reshape(*pixels.shape[:2], -1)
    if is_negative(picture):
        pixels = 65535 - pixels
    if picture.mode == "RGB":
        return pixels[..., :3].copy()  # a fourth channel is no alpha
    if picture.tag_v2.get(338) == (1,):  # multiplied by alpha
        share = np.maximum(pixels[..., 3:].astype(np.float32) / 65535, 1e-9)
        pixels[..., :3] = np.minimum(np.rint(pixels[..., :3] / share), 65535)
    return pixels


def _convert(pixels: np.ndarray, profile: bytes, mode: str) -> None:
    """Brings the colors of uint16 [H, W, C] to sRGB, in place and strip by strip."""
    import imagecodecs

    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    channels = 1 if pixels.shape[2] < 3 else 3
    rows = max(1, _STRIP // pixels.shape[1])
    for top in range(0, len(pixels), rows):
        colors = pixels[top : top + rows, :, :channels]
        made = imagecodecs.cms_transform(
            np.ascontiguousarray(colors[..., 0] if mode == "L" else in_channels(colors, 3)),
            profile,
            srgb,
            colorspace="gray" if mode == "L" else "rgb",
            outcolorspace="rgb",
            intent=imagecodecs.CMS.INTENT.RELATIVE_COLORIMETRIC,
            # tables in its place are off by up to a twentieth of the range
            flags=imagecodecs.CMS.FLAGS.BLACKPOINTCOMPENSATION | imagecodecs.CMS.FLAGS.NOOPTIMIZE,
        )
        pixels[top : top + rows, :, :channels] = in_channels(made, channels)
