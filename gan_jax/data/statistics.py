"""What training pictures are like: how flat their colors are, and how far a pair's sides differ."""

import dataclasses

import numpy as np
from scipy import ndimage

from gan_jax.data.source import TRUE_PARTNERS, Source

PIXELS, FEWEST, MOST = 1 << 20, 16, 256  # looked at: about so many, of so many pictures
WINDOW = 3 / 64  # of the shorter side; at least 3 pixels
SPECK = 0.002  # of a picture: smaller areas of a color don't count as one of its colors


@dataclasses.dataclass(frozen=True)
class Look:
    """What one set of pictures is like.

    Attributes:
        flat: share of the pixels, those of a picture's commonest color aside, that lie in areas of
            one color; three of four pictures have at least that.
        colors: that have such areas in a picture; three of four pictures have at most so many.
        alpha: share of the pixels that are not opaque; None: the pictures have no alpha channel.
    """

    flat: float
    colors: int
    alpha: float | None


@dataclasses.dataclass(frozen=True)
class Statistics:
    """What a run's training pictures are like, from some of them, evenly chosen: the same on every
    process and every machine.

    Attributes:
        count: how many there are in all; of two sets the smaller count.
        shape: (H, W, C).
        pictures: what is to be drawn; of a translator its targets.
        difference: of pairs, the mean absolute difference of a picture from its target, of 255;
            None: they are no pairs.
        spread: of pairs, the mean absolute difference of a target from the mean target.
    """

    count: int
    shape: tuple[int, int, int]
    pictures: Look
    difference: float | None = None
    spread: float | None = None


def measure(source: Source) -> Statistics:
    """Loads some of the pictures.

    Raises:
        ValueError: all of them are of one and the same color.
    """
    *sides, last = source.sides or (source,)
    pictures = _some(last)
    if (pictures == pictures[0, 0, 0]).all():
        place = "config.data.b" if sides else "config.data"
        color = ", ".join(map(str, pictures[0, 0, 0]))
        raise ValueError(
            f"{place}: all of the {len(pictures):,} pictures looked at are of one color, ({color}):"
            f" there is nothing to learn. Give others ({place}.path)."
        )
    found = {}
    if source.partner in TRUE_PARTNERS:
        floats = pictures.astype(np.float32)
        found["difference"] = float(np.abs(floats - _some(sides[0])).mean())
        found["spread"] = float(np.abs(floats - floats.mean(0)).mean())
    count = min(map(len, (*sides, last)))
    return Statistics(count, tuple(source.shape), look(pictures), **found)


def look(x: np.ndarray) -> Look:
    """What the pictures uint8 [N, H, W, C] are like."""
    areas, code = one_color_areas(x), _code(x)
    shares, counts = [], []
    for area, colors in zip(areas, code, strict=True):
        found, sizes = np.unique(colors, return_counts=True)
        others = colors != found[sizes.argmax()]
        shares.append((area & others).sum() / max(1, others.sum()))
        sizes = np.unique(colors[area], return_counts=True)[1]
        counts.append((sizes >= SPECK * area.size).sum())
    alpha = float((x[..., 3] < 255).mean()) if x.shape[-1] == 4 else None
    return Look(float(np.quantile(shares, 0.25)), int(np.quantile(counts, 0.75)), alpha)


def one_color_areas(x: np.ndarray) -> np.ndarray:
    """bool [N, H, W] of uint8 [N, H, W, C]: the pixels of windows that are of one color exactly. A
    gradient has none, however soft, that is not clipped."""
    side = max(3, round(WINDOW * min(x.shape[1:3])) | 1)
    code, window = _code(x), (1, side, side)
    same = ndimage.maximum_filter(code, window) == ndimage.minimum_filter(code, window)
    return ndimage.maximum_filter(same, window)


def _code(x: np.ndarray) -> np.ndarray:
    """One number for each color: int64 [N, H, W] of uint8 [N, H, W, C]."""
    return x.astype(np.int64) @ 256 ** np.arange(x.shape[-1])


def _some(source: Source) -> np.ndarray:
    """uint8 [n, H, W, C]: pictures evenly chosen by number."""
    height, width, _ = source.shape
    n = min(len(source), max(FEWEST, min(MOST, PIXELS // (height * width))))
    ids = np.linspace(0, len(source) - 1, n).round().astype(np.int64)
    return source.load(ids, np.zeros(n, np.uint64))["image"]
