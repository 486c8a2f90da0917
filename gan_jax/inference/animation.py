"""Frames with their times -> an animated picture: GIF, PNG, WebP or AVIF."""

import pathlib
from collections.abc import Iterable, Sequence

import numpy as np
from jaxtyping import Bool
from PIL import Image
from scipy import spatial

from gan_jax.data.images import as_picture
from gan_jax.runtime import workdir
from gan_jax.runtime.files import replacing

ENDINGS = {"GIF": ".gif", "PNG": ".png", "WEBP": ".webp", "AVIF": ".avif"}
OPTIONS = {"GIF": {"disposal": 2}, "PNG": {}, "WEBP": {"quality": 90}, "AVIF": {"quality": 90}}
LOSSLESS = {"lossless": True, "exact": True}  # of WebP
COLORS = 256  # of a frame of a GIF, of which one stands for what is clear
CLEAR = COLORS - 1
OPAQUE = 128  # alpha of a pixel that a GIF draws, at least

Kept = Sequence[Bool[np.ndarray, "H W"]]
"""True where a frame's pixels must come out as they are, which others need not."""


def write(
    path: pathlib.Path,
    frames: Iterable[tuple[np.ndarray, float]],
    format: str,
    loop: int | None,
    kept: Kept | None = None,
) -> None:
    """Writes (uint8 [H, W, 4], milliseconds) as Pillow's `format`, a key of ENDINGS; what was there
    is replaced at the end.

    A GIF has 256 colors a frame, and pixels are opaque or clear.
    Args:
        loop: how often it is repeated, 0 for ever; None as AVIF, which has no such number.
        kept: for a `format` of `lasting`. None: all pixels may move.
    Raises:
        OSError: the folder can't be written, or the disk is full.
    """
    frames = list(frames)
    times, pictures = [round(time) for _, time in frames], [frame for frame, _ in frames]
    options = OPTIONS[format] | ({} if loop is None else {"loop": loop})
    if format == "GIF":
        pictures = _in_colors(pictures, kept)
    else:
        pictures = [as_picture(picture) for picture in pictures]
        if format == "WEBP" and kept is not None:
            options |= LOSSLESS
    options |= {"format": format, "append_images": pictures[1:], "duration": times}
    with workdir.making(path), replacing(path) as draft:
        pictures[0].save(draft, save_all=True, **options)


def lasting(frames: Sequence[np.ndarray], kept: Kept, format: str) -> str:
    """The format that keeps these pixels of uint8 [H, W, 3 or 4] exactly: `format`, or WEBP where
    it does not."""
    if format == "GIF":
        room = _room(frames)
        counts = (
            len(np.unique(_packed(frame[part & _drawn(frame)])))
            for frame, part in zip(frames, kept, strict=True)
        )
        return format if all(count <= room for count in counts) else "WEBP"
    return "WEBP" if format == "AVIF" else format


def _in_colors(frames: Sequence[np.ndarray], kept: Kept | None) -> list[Image.Image]:
    """Frames uint8 [H, W, 3 or 4] as pictures with a palette each."""
    room, found = _room(frames), []
    for i, frame in enumerate(frames):
        drawn = _drawn(frame)
        part = drawn & kept[i] if kept is not None else np.zeros_like(drawn)
        palette, numbers = _palette(frame[..., :3], part, drawn & ~part, room)
        numbers = np.where(drawn, numbers, CLEAR).astype(np.uint8)
        picture = Image.fromarray(numbers, "P")
        picture.putpalette(palette.tobytes())
        if room < COLORS:
            picture.info["transparency"] = CLEAR
        found.append(picture)
    return found


def _palette(colors: np.ndarray, kept: np.ndarray, free: np.ndarray, room: int):
    """(palette uint8 [256, 3], the number of each pixel's color in it, [H, W]): the kept pixels'
    colors, and of the free ones all where there is room, else fewer, the nearest for each."""
    own = np.unique(_packed(colors[kept]))
    every = np.unique(np.concatenate([own, _packed(colors[free])]))
    if len(every) <= room:
        own = every
    elif len(own) < room:
        strip = Image.fromarray(colors[free][None])
        less = strip.quantize(room - len(own), Image.Quantize.MEDIANCUT).convert("RGB")
        own = np.unique(np.concatenate([own, _packed(np.asarray(less)[0])]))
    palette, numbers = np.zeros((COLORS, 3), np.uint8), np.zeros(kept.shape, np.int64)
    palette[: len(own)], drawn = _unpacked(own), kept | free
    if len(own):
        _, nearest = spatial.KDTree(_unpacked(own)).query(_unpacked(every))
        numbers[drawn] = nearest[np.searchsorted(every, _packed(colors[drawn]))]
    return palette, numbers


def _room(frames: Sequence[np.ndarray]) -> int:
    """How many colors frames may have: one less where pixels are clear."""
    return COLORS if all(_drawn(frame).all() for frame in frames) else CLEAR


def _drawn(frame: np.ndarray) -> np.ndarray:
    """True where a frame uint8 [H, W, 3 or 4] is not clear."""
    return frame[..., 3] >= OPAQUE if frame.shape[-1] == 4 else np.ones(frame.shape[:2], bool)


def _packed(colors: np.ndarray) -> np.ndarray:
    """uint8 [n, 3 or 4] -> R, G and B in a number each, [n]."""
    return colors[:, :3].astype(np.int32) @ np.array([1 << 16, 1 << 8, 1], np.int32)


def _unpacked(numbers: np.ndarray) -> np.ndarray:
    return np.stack([numbers >> 16, numbers >> 8 & 255, numbers & 255], -1).astype(np.uint8)
