"""Finds pictures that are the same, or nearly."""

import numpy as np

from gan_jax.data import geometry
from gan_jax.data.images import as_rgb

LOOK_SIDE = 8  # of the grid whose neighbors' order is a picture's look
SMALL_SIDE = 16  # pixels, at which pictures that look alike are compared
STEP = 5  # of 255: less is the noise of an even ground
SAME = 6.0  # of 255: mean difference of them, below which they are near-copies


class NearCopies:
    """The pictures taken so far, by style, for finding near-copies.

    Looks alone would take different drawings on an even ground for copies; so pixels decide among
    those that look alike.
    """

    def __init__(self, near: int | None, most: int):
        """most: pictures there can be."""
        self.near, self._origins = near, []
        self._looks, self._styles = np.zeros(most, np.uint64), np.zeros(most, np.int64)
        self._small = np.zeros((0 if near is None else most, SMALL_SIDE, SMALL_SIDE, 3), np.uint8)
        self._numbers: dict[str, int] = {}  # style -> its number

    def twin(self, style: str, pixels: np.ndarray) -> str | None:
        """The origin of one that is the same or nearly."""
        n = len(self._origins)
        if self.near is None or style not in self._numbers:
            return None
        alike = np.bitwise_count(self._looks[:n] ^ look(pixels)) <= self.near
        alike = np.flatnonzero(alike & (self._styles[:n] == self._numbers[style]))
        off = np.abs(self._small[alike].astype(np.float32) - made_small(pixels)).mean((1, 2, 3))
        return self._origins[alike[off.argmin()]] if len(alike) and off.min() <= SAME else None

    def add(self, style: str, pixels: np.ndarray, origin: str) -> None:
        n = len(self._origins)
        self._looks[n], self._styles[n] = (
            look(pixels),
            self._numbers.setdefault(style, len(self._numbers)),
        )
        if self.near is not None:
            self._small[n] = made_small(pixels)
        self._origins.append(origin)


def made_small(pixels: np.ndarray) -> np.ndarray:
    """uint8 [H, W, C] -> [SMALL_SIDE, SMALL_SIDE, 3], transparency on white."""
    return geometry.fit(as_rgb(pixels), (SMALL_SIDE, SMALL_SIDE), "stretch", "box")


def look(pixels: np.ndarray) -> np.uint64:
    """Difference hash, a bit for whether each of 8 x 9 gray cells is brighter than its right
    neighbor, by STEP or more."""
    gray = as_rgb(pixels) if pixels.shape[-1] == 4 else pixels
    small = geometry.fit(gray, (LOOK_SIDE, LOOK_SIDE + 1), "stretch", "box")
    small = small.astype(np.float32).mean(-1)
    return np.packbits(small[:, :-1] >= small[:, 1:] + STEP).view(np.uint64)[0]
