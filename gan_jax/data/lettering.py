"""Names written on pictures: in a font that has their characters."""

import functools
import math
from collections.abc import Sequence

import numpy as np
from matplotlib import font_manager, ft2font
from PIL import Image, ImageDraw, ImageFont

from gan_jax.data.images import as_picture
from gan_jax.runtime.text import shown

NARROWEST = 6  # pixels of a column with a name above it
LONGEST = 120  # pixels of a name above a column


def sheet(rows: Sequence[Sequence[np.ndarray]], names: Sequence[str]) -> np.ndarray:
    """Rows of uint8 [h, w, C] pictures of any size -> one uint8 [H, W, 4], each in the middle of
    its cell, names above."""
    side = max(max(x.shape[:2]) for row in rows for x in row)
    head = 14 if any(names) else 0
    canvas = Image.new("RGBA", (side * len(names), head + side * len(rows)), "white")
    for r, row in enumerate(rows):
        for c, x in enumerate(row):
            cell = as_picture(x).convert("RGBA")
            left = c * side + (side - x.shape[1]) // 2
            top = head + r * side + (side - x.shape[0]) // 2
            canvas.alpha_composite(cell, (left, top))
    draw = ImageDraw.Draw(canvas)
    for c, name in enumerate(names):
        face = font(name, 11)
        while name and draw.textlength(name, face) > side:
            name = name[:-1]
        draw.text((c * side + (side - draw.textlength(name, face)) / 2, 0), name, "black", face)
    return np.asarray(canvas)


def with_names(grid: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """A grid of pictures, uint8 [H, W, C], below a white row with the names of its columns; without
    names, or with columns too narrow for any letter, the grid as it is.

    Where a name is wider than its column all are turned, to be read upwards.
    """
    width = grid.shape[1] // max(1, len(names))
    if not names or width < NARROWEST:
        return grid
    size = min(11, width)
    written = [_written(name, size) for name in labels(names)[0]]
    if max(name.width for name in written) > width:
        written = [name.rotate(90, expand=True) for name in written]
    header = Image.new("L", (grid.shape[1], max(name.height for name in written) + 1), "white")
    for column, name in enumerate(written):
        name = name.crop((0, 0, min(width, name.width), name.height))
        place = column * width + (width - name.width) // 2, header.height - 1 - name.height
        header.paste(name, place)
    above = np.repeat(np.asarray(header)[..., None], grid.shape[2], axis=2)
    if grid.shape[2] == 4:
        above[..., 3] = 255
    return np.concatenate([above, grid])


def _written(name: str, size: int) -> Image.Image:
    """A name in black on white, no longer than LONGEST pixels."""
    face = font(name, size)
    while face.getlength(name) > LONGEST:
        name = name[:-1]
    image = Image.new("L", (math.ceil(face.getlength(name)), size + 3), "white")
    ImageDraw.Draw(image).text((0, 0), name, "black", face)
    return image


def labels(names: Sequence[str]) -> tuple[list[str], list[str]]:
    """(what to write for each name, a line on those that no font here has, which their places stand
    for: "1 is 猫")."""
    found = [name if font_file(name) else str(place) for place, name in enumerate(names)]
    stand = [
        f"{label} is {shown(name)}"
        for label, name in zip(found, names, strict=True)
        if label != name
    ]
    return found, [f"no font here has these names: {', '.join(stand)}"] if stand else []


def font(text: str, size: int) -> ImageFont.FreeTypeFont:
    """A font of so many pixels that has all of a text's characters.

    Raises:
        ValueError: there is none on this machine.
    """
    file = font_file(text)
    if file is None:
        raise ValueError(f"no font here has all characters of {text!r}.")
    return ImageFont.truetype(file, size)


def families(texts: Sequence[str]) -> list[str]:
    """The names of the fonts that matplotlib needs for all texts ("font.family")."""
    files = dict.fromkeys(filter(None, map(font_file, ("0", *texts))))
    return [font_manager.get_font(file).family_name for file in files]


def font_file(text: str) -> str | None:
    """The font file, DejaVu Sans where it will do (it comes with matplotlib), else the plainest one
    on this machine."""
    wanted = frozenset(ord(character) for character in text if not character.isspace())
    return next((file for file in _files() if wanted <= _characters(file)), None)


@functools.cache
def _files() -> tuple[str, ...]:
    """All fonts of this machine, DejaVu Sans first, then the plainest."""
    fonts = font_manager.fontManager.ttflist
    known = [entry for entry in fonts if "Last Resort" not in entry.name]  # boxes for all
    plainest = sorted(known, key=_fanciness)
    return font_manager.findfont("DejaVu Sans"), *(entry.fname for entry in plainest)


def _fanciness(entry: font_manager.FontEntry) -> tuple:
    return entry.style != "normal", entry.weight not in (400, "normal", "regular"), entry.name


@functools.cache
def _characters(file: str) -> frozenset[int]:
    try:
        return frozenset(ft2font.FT2Font(file).get_charmap())
    except (OSError, RuntimeError):  # gone, or damaged
        return frozenset()
