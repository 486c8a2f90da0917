"""Holes for networks that fill them: the random masks of LaMa, DeepFill v2 and Co-Mod-GAN.

A mask is bool [H, W], True where the picture is missing. Sizes are the papers', in pixels of a
picture of 256 x 256; in others they go by the shorter side. All is drawn from the Generator that
is given.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool
from PIL import Image, ImageDraw

SIDE = 256
TRIES = 100  # until a mask's share of missing pixels is allowed
MOST = 0.5  # of LaMa's test masks
BRUSHES = {  # (least, most, widths, vertices)
    "deepfill": (1, 3, (12, 40), (4, 12)),
    "comodgan": (0, 19, (12, 48), (4, 18)),
}

Mask = Bool[np.ndarray, "H W"]
Size = tuple[int, int]


class Strokes(NamedTuple):
    """Lines that bend: how many, at most how long a part beside 10, and wide beside 5."""

    count: tuple[int, int]
    length: int
    width: int


class Boxes(NamedTuple):
    """How many, and their sides."""

    count: tuple[int, int]
    side: tuple[int, int]


LAMA = {  # strokes, boxes, probability of boxes
    "lama": (Strokes((1, 6), 200, 100), Boxes((1, 4), (30, 150)), 0.5),
    "thin": (Strokes((4, 50), 40, 10), None, 0.0),
    "medium": (Strokes((4, 5), 100, 50), Boxes((1, 5), (10, 50)), 0.3),
    "thick": (Strokes((1, 5), 200, 100), Boxes((1, 3), (30, 150)), 0.3),
}
"""LaMa's: "lama" for training, the others for tests, where no more than MOST is missing. Suvorov et
al. 2022, arXiv:2109.07161, and its configs."""


def lama(kind: str, size: Size, rng: np.random.Generator) -> Mask:
    """Strokes or boxes, one kind in a mask. Differs: lines have round ends."""
    lines, boxes, share = LAMA[kind]
    scale, mask = min(size) / SIDE, np.zeros(size, bool)
    if boxes is not None and rng.random() < share:
        least, most = (round(n * scale) for n in boxes.side)
        margin = round(10 * scale)
        most = min(most, *(n - 2 * margin for n in size))
        for _ in range(rng.integers(boxes.count[0], boxes.count[1] + 1)):
            sides = rng.integers(min(least, most), most + 1, 2)
            pairs = zip(size, sides, strict=True)
            y, x = (rng.integers(margin, n - margin - side + 1) for n, side in pairs)
            mask[y : y + sides[0], x : x + sides[1]] = True
        return mask
    for number in range(rng.integers(lines.count[0], lines.count[1] + 1)):
        at = [rng.integers(size[1]), rng.integers(size[0])]
        for _ in range(rng.integers(1, 6)):
            angle = 0.01 + rng.integers(4)
            angle = angle if number % 2 else 2 * math.pi - angle
            length = scale * (10 + rng.integers(lines.length))
            to = [at[0] + length * math.sin(angle), at[1] + length * math.cos(angle)]
            to = [min(max(n, 0), most) for n, most in zip(to, size[::-1], strict=True)]
            mask |= stroke(size, [at, to], scale * (5 + rng.integers(lines.width)))
            at = to
    return mask


def deepfill(size: Size, rng: np.random.Generator) -> Mask:
    """A box of half the side, shrunk by up to 32 pixels at each edge, and up to three brushes. Yu
    et al. 2019, arXiv:1806.03589, and its program."""
    mask, scale = np.zeros(size, bool), min(size) / SIDE
    height, width = (n // 2 for n in size)
    y, x = (rng.integers(n - side + 1) for n, side in zip(size, (height, width), strict=True))
    trim = (scale * rng.integers(0, 17, 2)).astype(int)
    mask[y + trim[0] : y + height - trim[0], x + trim[1] : x + width - trim[1]] = True
    return mask | brushes("deepfill", size, rng)


def comodgan(size: Size, rng: np.random.Generator) -> Mask:
    """Up to nine boxes of at most half the side and four of at most the whole, and up to 19
    brushes. Zhao et al. 2021, arXiv:2103.10428; also MI-GAN's."""
    mask = np.zeros(size, bool)
    for most, part in ((10, 2), (5, 1)):
        for _ in range(rng.integers(most)):
            sides = [int(rng.integers(1, max(2, n // part))) for n in size]
            pairs = zip(size, sides, strict=True)
            y, x = (rng.integers(-side // 2, n - side + side // 2 + 1) for n, side in pairs)
            height, width = sides
            mask[max(y, 0) : max(y + height, 0), max(x, 0) : max(x + width, 0)] = True
    return mask | brushes("comodgan", size, rng)


def brushes(kind: str, size: Size, rng: np.random.Generator) -> Mask:
    """DeepFill's: lines that turn back and forth, as wide as a brush."""
    least, most, widths, vertices = BRUSHES[kind]
    mask, scale, diagonal = np.zeros(size, bool), min(size) / SIDE, math.hypot(*size)
    for _ in range(rng.integers(least, most + 1)):
        low, high = (2 * math.pi / 5 + sign * rng.uniform(0, 2 * math.pi / 15) for sign in (-1, 1))
        places = [(rng.integers(size[1]), rng.integers(size[0]))]
        for number in range(rng.integers(*vertices)):
            angle = rng.uniform(low, high)
            angle = angle if number % 2 else 2 * math.pi - angle
            radius = np.clip(rng.normal(diagonal / 8, diagonal / 16), 0, diagonal / 4)
            x, y = places[-1]
            x, y = x + radius * math.cos(angle), y + radius * math.sin(angle)
            places.append((min(max(x, 0), size[1]), min(max(y, 0), size[0])))
        mask |= stroke(size, places, scale * rng.uniform(*widths))
    return mask


def stroke(size: Size, places: Sequence, width: float) -> Mask:
    """A line through places (x, y), `width` pixels wide, its ends and corners round."""
    picture = Image.new("1", size[::-1])
    draw, radius = ImageDraw.Draw(picture), max(width, 2) / 2
    draw.line([tuple(map(float, place)) for place in places], 1, max(1, round(width)))
    for x, y in places:
        left, top = x - radius, y - radius
        draw.ellipse((left, top, left + 2 * radius - 1, top + 2 * radius - 1), 1)
    return np.array(picture)


def draw(kind: str, size: Size, rng: np.random.Generator, share: tuple[float, float]) -> Mask:
    """A mask of KINDS, of which a share of the pixels within `share` is missing: others are drawn
    anew. Raises ValueError where TRIES masks were none such."""
    for _ in range(TRIES):
        mask = KINDS[kind](size, rng)
        if share[0] < mask.mean() <= share[1]:
            return mask
    raise ValueError(
        f"config.data.missing={share}: {TRIES} masks of {kind!r} had another share of missing"
        " pixels. Give a wider range."
    )


KINDS = {
    **{kind: lambda size, rng, kind=kind: lama(kind, size, rng) for kind in LAMA},
    "deepfill": deepfill,
    "comodgan": comodgan,
}
"""Name -> ((H, W), Generator) -> mask."""
