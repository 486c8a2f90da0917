"""Pictures larger than a network takes at once: padding, and overlapping tiles that are blended."""

import math
from collections.abc import Callable, Iterator

import numpy as np

Run = Callable[[np.ndarray], np.ndarray]  # f32 [n, h, w, C] -> the same, or `times` as large


def pad_symmetric(x: np.ndarray, multiple: int) -> np.ndarray:
    """x [n, H, W, C] -> the next multiples, by reflection at the right and bottom that repeats the
    last pixel, and as often as it must."""
    more = [-n % multiple for n in x.shape[1:3]]
    return np.pad(x, ((0, 0), (0, more[0]), (0, more[1]), (0, 0)), "symmetric") if any(more) else x


def in_tiles(
    run: Run,
    parts: Callable[[np.ndarray], Run],
    x: np.ndarray,
    tile: int,
    overlap: int,
    times: int = 1,
) -> np.ndarray:
    """run(x) where x f32 [n, H, W, C] has at most tile x tile pixels, else by tiles, blended where
    they overlap.

    Args:
        parts: x made small -> what to run on its tiles.
        tile: a tile's sides, or the picture's where that is less.
        overlap: pixels, at least, that neighbors share; of these the quarter next to a tile's
            edge, which knows least of what is beyond, is not used.
        times: by what `run` enlarges, in each direction.
    """
    height, width = x.shape[1:3]
    if height * width <= tile * tile:
        return run(x)
    # of one color, as a black frame: all that networks see of it is its edges
    if not np.ptp(x, axis=(1, 2)).any():
        made = run(x[:, :tile, :tile])
        middle = made[:, made.shape[1] // 2, made.shape[2] // 2, None, None]
        return np.broadcast_to(middle, (len(x), height * times, width * times, x.shape[3])).copy()
    part = parts(shrunk(x, tile * tile))
    total = np.zeros((len(x), height * times, width * times, x.shape[3]), np.float32)
    weights = np.zeros((height * times, width * times, 1), np.float32)
    sides = [min(tile, size) for size in (height, width)]
    for top in starts(height, sides[0], overlap):
        for left in starts(width, sides[1], overlap):
            down, across = (
                taper(start * times, side * times, size * times, overlap * times)
                for start, side, size in ((top, sides[0], height), (left, sides[1], width))
            )
            weight = (down[:, None] * across[None])[..., None]
            place = tuple(
                slice(start * times, (start + side) * times)
                for start, side in ((top, sides[0]), (left, sides[1]))
            )
            made = part(x[:, top : top + sides[0], left : left + sides[1]])
            total[:, *place] += made * weight
            weights[place] += weight
    total /= weights
    return total


def count(size: tuple[int, int], tile: int, overlap: int) -> int:
    """How many tiles `in_tiles` cuts a picture of (H, W) into."""
    if size[0] * size[1] <= tile * tile:
        return 1
    return math.prod(len(list(starts(n, min(tile, n), overlap))) for n in size)


def taper(start: int, side: int, size: int, overlap: int) -> np.ndarray:
    """Weights f32 [side], along one axis, of a tile that begins at `start` of `size`: less towards
    edges with neighbors."""
    share = (np.arange(side) + 0.5 - overlap / 4) / max(overlap / 2, 1e-6)
    rise = np.clip(share, 0, 1).astype(np.float32)
    first, last = start == 0, start + side == size
    return (1 if first else rise) * (1 if last else rise[::-1]) * np.ones(side, np.float32)


def shrunk(x: np.ndarray, pixels: int) -> np.ndarray:
    """x [n, H, W, C] -> [n, h, w, C] of about so many pixels at most,
    each the mean of a block of x's."""
    factor = math.ceil(math.sqrt(max(1, x.shape[1] * x.shape[2] / pixels)))
    n, h, w, c = x.shape
    down, across = min(factor, h), min(factor, w)
    x = x[:, : h // down * down, : w // across * across]
    return x.reshape(n, h // down, down, w // across, across, c).mean((2, 4))


def starts(size: int, side: int, overlap: int) -> Iterator[int]:
    """Where tiles of `side` begin that cover `size`, evenly,
    neighbors sharing at least `overlap`."""
    count = 1 if size <= side else math.ceil((size - overlap) / (side - overlap))
    return (round(i * (size - side) / max(1, count - 1)) for i in range(count))
