"""Measures by nearest neighbors in feature space:
precision and recall, density and coverage, memorisation."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Array, Bool, Float, Int

from gan_jax import metrics

SAME = 1e-10  # of the mean squared length of features: nearer, two pictures are one


def precision_recall(
    real: Float[Array, "N F"], fake: Float[Array, "M F"], k: int = 3
) -> tuple[float, float]:
    """(share of fakes within the reals' manifold, share of reals within the fakes').

    A set's manifold is the union of balls around its members that reach their k-th nearest
    neighbor. Kynkaanniemi et al. 2019, arXiv:1904.06991, eq. 1-3. Both depend on the counts:
    compare only equal ones.
    """
    real, fake = metrics.features("precision_recall", k + 1, real=real, generated=fake)
    in_real = _within(fake, real, _radii(real, k)).any
    in_fake = _within(real, fake, _radii(fake, k)).any
    return float(in_real.mean()), float(in_fake.mean())


def density_coverage(
    real: Float[Array, "N F"], fake: Float[Array, "M F"], k: int = 5
) -> tuple[float, float]:
    """(balls around reals that a fake lies in, over k; share of reals whose ball holds a fake).

    Naeem et al. 2020, arXiv:2002.09797, eq. 4 and 6; strictly within. Density may pass 1.
    """
    real, fake = metrics.features("density_coverage", k + 1, real=real, generated=fake)
    radii = _radii(real, k)
    inside = _within(fake, real, radii, strict=True)
    nearest = np.concatenate([block.min(1) for _, block in metrics.squared_distances(real, fake)])
    return float(inside.count.mean() / k), float((nearest < radii).mean())


class Neighbors(NamedTuple):
    """Of each sample: its nearest training image,
    and that one's own nearest other training image."""

    nearest: Int[Array, " N"]  # index of the training image
    distance: Float[Array, " N"]  # to it
    # index of the training image nearest to `nearest` that is no duplicate of it
    other: Int[Array, " N"]
    # the distance between those two; infinite where there are only duplicates
    spacing: Float[Array, " N"]

    @property
    def memorised(self) -> float:
        """Share of samples that lie closer to a training image than any other training image does.

        Not 0 for honest samples of the same distribution: hold it against the share of held-out
        real images.
        """
        return float((self.distance < self.spacing).mean())

    def closest(self, count: int) -> Int[Array, " n"]:
        """The samples that look most like copies:
        least distance for their neighbor's spacing, the worst first."""
        return np.argsort(self.distance / np.maximum(self.spacing, 1e-12), kind="stable")[:count]


def memorised_of_training(train: Float[Array, "M F"]) -> float:
    """Neighbors.memorised of training images, each against all others as if it were held out: the
    share of those that are the nearest image of their nearest image.

    What to hold generated pictures against where no real ones are held out. Duplicates of an image
    are left out as in `Neighbors`.
    """
    (train,) = metrics.features("memorisation", 2, training=train)
    nearest, same = [], _same(train)
    for rows, block in metrics.squared_distances(train, train):
        block[np.arange(len(block)), np.arange(len(train))[rows]] = np.inf
        block[block <= same] = np.inf
        nearest.append(np.where(np.isfinite(block.min(1)), block.argmin(1), -1))
    nearest = np.concatenate(nearest)
    return float(((nearest >= 0) & (nearest[nearest] == np.arange(len(train)))).mean())


def _same(train: Float[Array, "M F"]) -> float:
    """The squared distance of one picture to its duplicate, at most."""
    return SAME * np.einsum("nf,nf->n", train, train).mean()


def neighbors(train: Float[Array, "M F"], samples: Float[Array, "N F"]) -> Neighbors:
    """Each sample's place among the training images, by Euclidean distance of features."""
    train, samples = metrics.features("memorisation", 2, training=train, generated=samples)
    found = [
        (block.argmin(1), block.min(1)) for _, block in metrics.squared_distances(samples, train)
    ]
    nearest, distance = (np.concatenate(parts) for parts in zip(*found, strict=True))
    same = _same(train)
    wanted, back = np.unique(nearest, return_inverse=True)
    other, spacing = [], []
    for rows, block in metrics.squared_distances(train[wanted], train):
        block[np.arange(len(block)), wanted[rows]] = np.inf
        block[block <= same] = np.inf
        other.append(block.argmin(1))
        spacing.append(block.min(1))
    other, spacing = np.concatenate(other)[back], np.concatenate(spacing)[back]
    return Neighbors(nearest, np.sqrt(distance), other, np.sqrt(spacing))


class _Inside(NamedTuple):
    any: Bool[Array, " N"]
    count: Int[Array, " N"]


def _within(points, centers, squared_radii, strict=False) -> _Inside:
    """In which of the balls each point lies."""
    holds = np.less if strict else np.less_equal
    blocks = metrics.squared_distances(points, centers)
    counts = np.concatenate([holds(block, squared_radii).sum(1) for _, block in blocks])
    return _Inside(counts > 0, counts)


def _radii(x, k):
    """Squared distance of each row to its k-th nearest other row."""
    radii = []
    for rows, block in metrics.squared_distances(x, x):
        block[np.arange(len(block)), np.arange(len(x))[rows]] = np.inf
        radii.append(np.partition(block, k - 1, 1)[:, k - 1])
    return np.concatenate(radii)
