"""How restless a translation is from frame to frame, without optical flow;
in gray levels of 255."""

import numpy as np
from jaxtyping import Array, Float, UInt8

STILL = 3  # gray levels: a pixel whose every channel changed less stands still


def shift(x: UInt8[Array, "N H W C"], down: int, right: int) -> UInt8[Array, "N H W C"]:
    """Pictures moved by whole pixels; edges are repeated."""
    down, right = (
        min(max(by, -side), side) for by, side in zip((down, right), x.shape[1:3], strict=True)
    )
    around = np.pad(x, ((0, 0), (abs(down),) * 2, (abs(right),) * 2, (0, 0)), "edge")
    top, left = abs(down) - down, abs(right) - right
    return around[:, top : top + x.shape[1], left : left + x.shape[2]]


def shift_error(
    plain: UInt8[Array, "N H W C"], shifted: UInt8[Array, "N H W C"], down: int, right: int
) -> Float[Array, " N"]:
    """Of T(x) and T(shift x): mean |T(shift x) - shift T(x)| an image,
    where T(x) was in the picture."""
    moved = shift(plain, down, right)
    height, width = plain.shape[1:3]
    inside = np.s_[:, max(down, 0) : height + min(down, 0), max(right, 0) : width + min(right, 0)]
    return np.abs(shifted[inside].astype(np.float64) - moved[inside]).mean((1, 2, 3))


class Changes:
    """Frame-to-frame change of a video and of what became of it, as frames come."""

    def __init__(self):
        self._last, self._sums, self._frames = None, np.zeros(2), 0
        self._still, self._pixels = 0.0, 0

    def add(self, before: UInt8[Array, "H W C"], after: UInt8[Array, "H W C2"]) -> None:
        """The next frame, of equal size; alpha does not count."""
        now = [x[..., :3].astype(np.int16) for x in (before, after)]
        if self._last is not None:
            moved = [np.abs(x - last) for x, last in zip(now, self._last, strict=True)]
            self._sums += [x.mean() for x in moved]
            self._frames += 1
            still = (moved[0] < STILL).all(-1)
            self._still += moved[1][still].sum() / moved[1].shape[-1]
            self._pixels += int(still.sum())
        self._last = now

    def values(self) -> dict[str, float]:
        """Mean |change| from one frame to the next: "input", "output", and "still", the output's
        where the input stands still (NaN where nothing does); {} before two frames."""
        if not self._frames:
            return {}
        before, after = self._sums / self._frames
        still = self._still / self._pixels if self._pixels else float("nan")
        return {"input": float(before), "output": float(after), "still": float(still)}
