"""Frames with their times -> an animated picture: GIF, PNG, WebP or AVIF."""

import pathlib
from collections.abc import Iterable

import numpy as np

from gan_jax.data.images import as_picture
from gan_jax.runtime import workdir
from gan_jax.runtime.files import replacing

ENDINGS = {"GIF": ".gif", "PNG": ".png", "WEBP": ".webp", "AVIF": ".avif"}
OPTIONS = {"GIF": {"disposal": 2}, "PNG": {}, "WEBP": {"quality": 90}, "AVIF": {"quality": 90}}


def write(
    path: pathlib.Path, frames: Iterable[tuple[np.ndarray, float]], format: str, loop: int | None
) -> None:
    """Writes (uint8 [H, W, 4], milliseconds) as Pillow's `format`, a key of ENDINGS; what was there
    is replaced at the end.

    A GIF has 256 colors a frame, and pixels are opaque or clear.
    Args:
        loop: how often it is repeated, 0 for ever; None as AVIF, which has no such number.
    Raises:
        OSError: the folder can't be written, or the disk is full.
    """
    times, pictures = [], []
    for frame, time in frames:
        if format == "GIF":
            frame = np.where(np.arange(4) < 3, frame, 255 * (frame[..., 3:] > 127)).astype(np.uint8)
        pictures.append(as_picture(frame))
        times.append(round(time))
    options = OPTIONS[format] | ({} if loop is None else {"loop": loop})
    options |= {"format": format, "append_images": pictures[1:], "duration": times}
    with workdir.making(path), replacing(path) as draft:
        pictures[0].save(draft, save_all=True, **options)
