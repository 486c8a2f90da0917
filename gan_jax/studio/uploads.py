"""What comes from the page, held to its limits before anything of it is decoded."""

import itertools
import math
import pathlib
import shutil
from collections.abc import Sequence

from gan_jax.data import clips, decode, geometry, image_file
from gan_jax.data.images import save_png
from gan_jax.data.quarantine import ImageRejected
from gan_jax.runtime.text import file_name, shown

MOST_FILES = 100
MOST_PIXELS = 50_000_000  # of a picture
MOST_SECONDS = 600.0  # of a clip
MOST_FRAME = 1920 * 1200  # pixels of a clip's frame
SHOWN_SIDE = 1280  # pixels, of what the page shows of a picture
STEM = 60  # characters of a file's name that are kept


def taken(
    files: Sequence[str | None] | None,
    folder: pathlib.Path,
    *,
    moving: bool = False,
    most: int = MOST_FILES,
    left_out: list[str] | None = None,
) -> list[pathlib.Path]:
    """Copies of uploaded files in `folder`/in, each with its own name.

    Args:
        moving: whether clips are taken too.
        most: files.
        left_out: gets a line for each that is no picture or clip, or is too large.
    Raises:
        ValueError: none, too many, none that can be used; without `left_out`, one that can't: says
            which.
    """
    given = [pathlib.Path(file) for file in files or () if file]
    if not given:
        raise ValueError(f"Choose a picture{' or a clip' if moving else ''} first.")
    if len(given) > most:
        raise ValueError(f"{len(given)} files; at most {most} go at once.")
    given = _usable(given, moving, left_out)
    place = folder / "in"
    place.mkdir(parents=True, exist_ok=True)
    used: set[str] = set()
    copies = []
    for file in given:
        stem = name = file.stem[:STEM] or "picture"
        for number in itertools.count(2):
            if name.casefold() not in used:
                break
            name = f"{stem}-{number}"
        used.add(name.casefold())
        copies.append(place / file_name(name, file.suffix[:8].lower()))
        shutil.copyfile(file, copies[-1])
    return copies


def _usable(given, moving, left_out) -> list[pathlib.Path]:
    """Those of the files that can be used."""
    fit, reasons = [], []
    for file in given:
        try:
            check(file, moving)
            fit.append(file)
        except ValueError as error:
            reasons.append(str(error))
    if reasons and (left_out is None or not fit):
        raise ValueError(reasons[0])
    if reasons:
        left_out += [f"Left out: {reason}" for reason in reasons]
    return fit


def check(file: pathlib.Path, moving: bool) -> None:
    """Raises ValueError where a file is no picture, or, where `moving`, no clip, or too large."""
    name = shown(file.name)
    try:
        height, width, _ = image_file.header(file)
    except ImageRejected as reason:
        if not moving or file.suffix.lower() in image_file.SUFFIXES:
            raise ValueError(f"{name}: {reason}.") from reason
        return _check_clip(file, name)
    if width * height > MOST_PIXELS:
        raise ValueError(
            f"{name}: {width} x {height} pixels; at most {MOST_PIXELS // 1_000_000} million are"
            " taken here. The command takes more."
        )


def _check_clip(file: pathlib.Path, name: str) -> None:
    try:
        clip = clips.open_clip(file)
    except ValueError as error:
        # the file's whole path is no name to a page's reader
        raise ValueError(str(error).replace(str(file), name)) from error
    if not clip.count:
        return
    seconds = float(clip.count / clip.rate)
    if seconds > MOST_SECONDS:
        raise ValueError(
            f"{name}: {seconds / 60:.0f} minutes long; at most {MOST_SECONDS / 60:.0f} are taken"
            " here. Cut it, or use the command gan-jax stylize."
        )
    if math.prod(clip.size) > MOST_FRAME:
        raise ValueError(
            f"{name}: frames of {clip.size[1]} x {clip.size[0]} pixels; at most {MOST_FRAME:,} are"
            " taken here."
        )


def preview(file: pathlib.Path, folder: pathlib.Path) -> str:
    """A PNG of a picture as the decoder sees it: upright, in sRGB, of at most SHOWN_SIDE pixels a
    side; for browsers don't show all formats."""
    picture = decode.decode(file, channels=None)
    scale = min(1.0, SHOWN_SIDE / max(picture.shape[:2]))
    size = [max(1, round(n * scale)) for n in picture.shape[:2]]
    small = geometry.fit(picture, size, "stretch") if scale < 1 else picture
    place = folder / "shown" / f"{file.stem}.png"
    place.parent.mkdir(parents=True, exist_ok=True)
    save_png(place, small)
    return str(place)


def short_side(file: pathlib.Path) -> int:
    """Pixels of a picture's or a clip's shorter side, by its header."""
    try:
        return min(image_file.header(file)[:2])
    except ImageRejected:
        return min(clips.open_clip(file).size)


def size_of(file: pathlib.Path) -> tuple[int, int]:
    """(H, W) of a picture, upright."""
    return image_file.header(file)[:2]
