"""What somebody likes, from a few pictures that they liked and disliked: a linear preference,
fitted in closed form, and what to show next."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from gan_jax.data import geometry

CELLS = 6  # a side, of what is looked at of a picture
RIDGE = 3.0  # weight of the preference's squared length
EXPLORED = 0.25  # share of what is shown next that is far from all rated before, not best


class Taste(NamedTuple):
    """A score of a picture's features x: (x - mean) / scale . weights.

    Attributes:
        mean, scale: of the features of all that could be shown, [F].
        weights: [F]; 0 before anything was rated.
    """

    mean: np.ndarray
    scale: np.ndarray
    weights: np.ndarray

    def scores(self, features: Float[np.ndarray, "N F"]) -> Float[np.ndarray, " N"]:
        return (features - self.mean) / self.scale @ self.weights


def features(
    pictures: np.ndarray, box: tuple[slice, slice] = (slice(None), slice(None))
) -> Float[np.ndarray, "N F"]:
    """uint8 [N, H, W, C] -> what a taste is of: the colors of CELLS x CELLS cells of a part of each
    picture, premultiplied where they have alpha, and their mean, as much as all cells together."""
    found = []
    for picture in pictures:
        part = picture[box].astype(np.float32)
        if part.shape[-1] == 4:
            part[..., :3] *= part[..., 3:] / 255
        cells = geometry.fit(
            np.rint(part).astype(np.uint8)[..., :3], (CELLS, CELLS), "stretch", "box"
        )
        values = cells.astype(np.float32) / 255
        found.append(np.concatenate([values.ravel() / CELLS, values.mean((0, 1))]))
    return np.stack(found)


def fit(
    pool: Float[np.ndarray, "N F"],
    rated: Float[np.ndarray, "M F"],
    liked: Sequence[bool],
) -> Taste:
    """Ridge regression of +1 for what was liked and -1 for what was not, both kinds of equal
    weight: w = X^T (X X^T + RIDGE I)^-1 y, with X standardized by the pool.

    Where only one kind was rated, the pool's mean stands for the other.
    """
    # one scale for all features: a cell that hardly varies must not count like one that does
    mean, scale = pool.mean(0), np.full(pool.shape[1], pool.std(0).mean() + 1e-6)
    if not len(rated):
        return Taste(mean, scale, np.zeros(pool.shape[1]))
    x, y = (rated - mean) / scale, np.where(np.asarray(liked, bool), 1.0, -1.0)
    if (y == y[0]).all():
        x, y = np.concatenate([x, np.zeros((1, x.shape[1]))]), np.append(y, -y[0])
    weight = np.where(y > 0, 0.5 / (y > 0).sum(), 0.5 / (y < 0).sum()) * len(y)
    gram = x @ x.T
    gram += RIDGE * np.trace(gram) / len(gram) * np.diag(1 / weight)
    return Taste(mean, scale, x.T @ np.linalg.solve(gram, y))


def choose(
    taste: Taste,
    pool: Float[np.ndarray, "N F"],
    n: int,
    shown: Sequence[int] = (),
    explored: float = EXPLORED,
) -> list[int]:
    """Rows of the pool to show next, n or as many as are left: the best by taste, and a share
    `explored` of those farthest from all that was shown; all of those before anything was rated."""
    left = np.setdiff1d(np.arange(len(pool)), np.asarray(shown, int))
    known = bool(taste.weights.any())
    best = left[np.argsort(-taste.scores(pool[left]), kind="stable")]
    picked = list(best[: n - round(explored * n)]) if known else []
    around = [pool[k] for k in (*shown, *picked)] or [pool.mean(0)]
    near = np.min([np.linalg.norm(pool - each, axis=1) for each in around], 0)
    while len(picked) < min(n, len(left)):
        free = np.setdiff1d(left, picked)
        picked.append(int(free[near[free].argmax()]))
        near = np.minimum(near, np.linalg.norm(pool - pool[picked[-1]], axis=1))
    return [int(k) for k in picked]
