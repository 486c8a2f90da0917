"""Pictures as arrays: made, laid out in a grid, written."""

import math
import pathlib

import numpy as np
from PIL import Image

from gan_jax.runtime.files import replacing

MARK = ".nomedia"  # a file in a folder: it belongs to no set of pictures
MOST_COLUMNS = 32  # of a grid with a column a class: the first so many


def to_uint8(images: np.ndarray) -> np.ndarray:
    """float [..] in [-1, 1] -> uint8, rounded; what lies outside is clipped."""
    return np.clip(np.rint((np.asarray(images, np.float32) + 1) * 127.5), 0, 255).astype(np.uint8)


def grid(images: np.ndarray, cols: int) -> np.ndarray:
    """uint8 [N, H, W, C] -> one picture [rows*H, cols*W, C], row by row; missing cells are
    white."""
    n, h, w, c = images.shape
    rows = math.ceil(n / cols)
    cells = np.full((rows * cols, h, w, c), 255, np.uint8)
    cells[:n] = images
    return (
        cells.reshape(rows, cols, h, w, c).transpose(0, 2, 1, 3, 4).reshape(rows * h, cols * w, c)
    )


def save_png(path: str | pathlib.Path, image: np.ndarray) -> None:
    """Writes uint8 [H, W, C], C = 1 (gray), 3 (RGB) or 4 (RGBA), the whole file or nothing.

    Raises:
        OSError: the folder can't be written, or the disk is full.
    """
    with replacing(pathlib.Path(path)) as draft:
        as_picture(image).save(draft, format="PNG")


def as_picture(image: np.ndarray) -> Image.Image:
    """uint8 [H, W, C], C = 1 (gray), 3 (RGB) or 4 (RGBA), as Pillow has it."""
    return Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)


def save_sheet(folder: pathlib.Path, name: str, image: np.ndarray) -> pathlib.Path:
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
    save_png(place / name, image)
    return place / name
