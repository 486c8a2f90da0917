"""Frechet distance of two sets of features seen as Gaussians:
FID, where the features are the FID Inception's."""

import numpy as np
from jaxtyping import Array, Float, Int

# rows added at a time, however the stream is cut: so the cut does not show in the last digits
BLOCK = 256


class Moments:
    """Mean and covariance of a stream of features, float64, in memory of F * F whatever the
    stream's length.

    Blocks are joined by the pairwise formula of Chan, Golub & LeVeque 1983, so no large sums are
    subtracted.
    Attributes:
        n: rows seen.
        mean: [F].
    """

    def __init__(self, dim: int):
        self.n, self.mean = 0, np.zeros(dim)
        self._scatter = np.zeros((dim, dim))  # sum of (x - mean)(x - mean)^T
        self._waiting = np.zeros((0, dim))

    def add(self, x: Float[Array, "N F"]) -> None:
        """x: rows of the stream in order."""
        waiting = np.concatenate([self._waiting, np.asarray(x, np.float64)])
        whole = len(waiting) // BLOCK * BLOCK
        for start in range(0, whole, BLOCK):
            self._join(waiting[start : start + BLOCK])
        self._waiting = waiting[whole:]

    def finish(self) -> "Moments":
        """Adds what waits for a whole block; call at the stream's end."""
        if len(self._waiting):
            self._join(self._waiting)
            self._waiting = self._waiting[:0]
        return self

    @property
    def covariance(self) -> Float[Array, "F F"]:
        """Divided by n - 1."""
        return self._scatter / (self.n - 1)

    def arrays(self) -> dict[str, np.ndarray | np.int64]:
        """What `Moments.of_arrays` makes the same again from."""
        return {"n": np.int64(self.n), "mean": self.mean, "scatter": self._scatter}

    @classmethod
    def of_arrays(
        cls,
        n: int | np.integer | Int[np.ndarray, ""],
        mean: Float[Array, " F"],
        scatter: Float[Array, "F F"],
    ) -> "Moments":
        moments = cls(len(mean))
        moments.n, moments.mean, moments._scatter = int(n), mean, scatter
        return moments

    def _join(self, block):
        n, total = len(block), self.n + len(block)
        mean = block.mean(0)
        centered, shift = block - mean, mean - self.mean
        self._scatter += centered.T @ centered + np.outer(shift, shift) * (self.n * n / total)
        self.mean = self.mean + shift * (n / total)
        self.n = total


def moments(x: Float[Array, "N F"]) -> Moments:
    """Of all features at once."""
    result = Moments(x.shape[1])
    result.add(x)
    return result.finish()


def frechet_distance(real: Moments, fake: Moments) -> float:
    """|mean - mean'|^2 + tr(C + C' - 2 (C C')^(1/2)). Heusel et al. 2017, arXiv:1706.08500, eq. 6.

    The root's trace is that of (A^T C' A)^(1/2) with C = A A^T: symmetric, so no complex parts
    appear and none are dropped.
    Raises:
        ValueError: a side has no more images than features: its covariance is singular and the
            distance means little; or the sides differ in width, or a feature was not finite.
    """
    dim = len(real.mean)
    if len(fake.mean) != dim:
        raise ValueError(
            f"fid: features of {dim} and {len(fake.mean)} numbers: they come from different"
            " networks."
        )
    for name, side in (("real", real), ("generated", fake)):
        if side.n <= dim:
            raise ValueError(
                f"fid needs at least {dim + 1:,} {name} images (one more than the network has"
                f" features), got {side.n:,}. Use kid, which is unbiased for any number."
            )
        if not (np.isfinite(side.mean).all() and np.isfinite(side.covariance).all()):
            raise ValueError(
                f"fid: a {name} image has features that are not finite. Look at the pictures."
            )
    c_real, c_fake = real.covariance, fake.covariance
    values, vectors = np.linalg.eigh(c_real)
    root = vectors * np.sqrt(np.maximum(values, 0))
    cross = np.sqrt(np.maximum(np.linalg.eigvalsh(root.T @ c_fake @ root), 0)).sum()
    shift = real.mean - fake.mean
    return float(shift @ shift + np.trace(c_real) + np.trace(c_fake) - 2 * cross)
