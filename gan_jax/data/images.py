"""Pictures as arrays: uint8 and float, over a background, in a grid,
as Pillow has them, written as PNG."""

import io
import math
import pathlib

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from gan_jax.runtime.files import replace_bytes

MARK = ".nomedia"  # a file in a folder: it belongs to no set of pictures
MOST_COLUMNS = 32  # of a grid with a column a class: the first so many


def rounded(colors: np.ndarray) -> np.ndarray:
    """float [..] in [0, 255] -> uint8, to the nearest; what lies outside is clipped."""
    return np.clip(np.rint(colors), 0, 255).astype(np.uint8)


def quantized(x: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """float [..] in [0, 1] -> uint8 or uint16, to the nearest; what lies outside is clipped."""
    most = np.iinfo(dtype).max
    scaled = np.rint(x * np.float32(most))
    return np.clip(scaled, 0, most, out=scaled).astype(dtype)


def shallow(image: np.ndarray) -> np.ndarray:
    """uint16 [..] -> uint8 of 257 times less, to the nearest; uint8 as it is."""
    return (
        image
        if image.dtype == np.uint8
        else ((image.astype(np.uint32) + 128) // 257).astype(np.uint8)
    )


def to_uint8(images: np.ndarray) -> np.ndarray:
    """float [..] in [-1, 1] -> uint8, rounded; what lies outside is clipped."""
    return rounded((np.asarray(images, np.float32) + 1) * 127.5)


def to_float(images: np.ndarray) -> np.ndarray:
    """uint8 or uint16 [..] -> float32 in [-1, 1]."""
    return images.astype(np.float32) / np.float32(np.iinfo(images.dtype).max / 2) - 1


def composite(rgba: np.ndarray, background: tuple[int, int, int]) -> np.ndarray:
    """uint8 [.., 4] over a plain RGB color -> uint8 [.., 3], rounded to nearest."""
    colors = rgba[..., :3].astype(np.uint16)
    alpha = rgba[..., 3:].astype(np.uint16)  # the sum below is 65,152 at most
    behind = np.asarray(background, np.uint16) * (255 - alpha)
    return ((colors * alpha + behind + 127) // 255).astype(np.uint8)


def as_rgb(image: np.ndarray) -> np.ndarray:
    """uint8 [H, W, 1, 3 or 4] -> [H, W, 3]; transparency becomes white."""
    if image.shape[-1] == 4:
        return composite(image, (255, 255, 255))
    return in_channels(image, 3)


def in_channels(colors: np.ndarray, channels: int) -> np.ndarray:
    """uint8 or uint16 [.., 1 or 3] -> [.., channels]: gray three times, or the luma of RGB (ITU-R
    BT.601)."""
    if colors.shape[-1] == channels:
        return colors
    if channels == 3:
        return np.repeat(colors, 3, -1)
    luma = np.rint(colors @ np.array([0.299, 0.587, 0.114], np.float32))
    return luma.astype(colors.dtype)[..., None]


def as_picture(image: np.ndarray) -> Image.Image:
    """uint8 [H, W, C], C = 1 (gray), 3 (RGB) or 4 (RGBA), as Pillow has it."""
    return Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)


def as_array(picture: Image.Image) -> np.ndarray:
    """A picture of Pillow's modes L, RGB or RGBA -> uint8 [H, W, C]."""
    return np.asarray(picture).reshape(picture.height, picture.width, -1)


def grid(images: np.ndarray, cols: int) -> np.ndarray:
    """uint8 [N, H, W, C] -> one picture [rows*H, cols*W, C], row by row;
    missing cells are white."""
    n, h, w, c = images.shape
    rows = math.ceil(n / cols)
    cells = np.full((rows * cols, h, w, c), 255, np.uint8)
    cells[:n] = images
    return (
        cells.reshape(rows, cols, h, w, c).transpose(0, 2, 1, 3, 4).reshape(rows * h, cols * w, c)
    )


def png_bytes(image: np.ndarray, xmp: bytes = b"") -> bytes:
    """uint8 [H, W, C], C = 1 (gray), 3 (RGB) or 4 (RGBA), as a PNG file has it; or uint16, for
    which data/deep.py says what must be installed.

    xmp: a packet of metadata, of uint8 only; empty: none.
    """
    if image.dtype == np.uint16:
        import imagecodecs

        assert not xmp
        return imagecodecs.png_encode(np.ascontiguousarray(image))
    file, info = io.BytesIO(), PngInfo()
    if xmp:
        info.add_itxt("XML:com.adobe.xmp", xmp.decode())
    as_picture(image).save(file, format="PNG", pnginfo=info)
    return file.getvalue()


def save_png(path: str | pathlib.Path, image: np.ndarray, xmp: bytes = b"") -> None:
    """Writes uint8 or uint16 [H, W, C] as `png_bytes` has it, the whole file or nothing.

    Raises:
        OSError: the folder can't be written, or the disk is full.
    """
    replace_bytes(pathlib.Path(path), png_bytes(image, xmp))


def save_sheet(
    folder: pathlib.Path, name: str, image: np.ndarray, xmp: bytes = b""
) -> pathlib.Path:
    """Writes a grid of the pictures in `folder` to folder/sheet/<name>, marked so that no set of
    pictures takes it in.

    A folder `sheet` that is not so marked holds pictures of the set itself: then sheet_ is used.
    Returns the file's path. Raises OSError as `save_png`.
    """
    place = folder / "sheet"
    while place.exists() and not (place / MARK).exists():
        place = place.with_name(f"{place.name}_")
    place.mkdir(parents=True, exist_ok=True)
    (place / MARK).touch()
    save_png(place / name, image, xmp)
    return place / name
