"""Inception score: how sure a classifier is of each picture,
and how many classes it sees among all."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Array, Float


class Score(NamedTuple):
    mean: float
    std: float  # over the splits


class ScoreSums:
    """The score of a stream of logits, in memory of splits * L."""

    def __init__(self, n: int, n_classes: int, splits: int = 10):
        """n: rows to come; split k takes those from k * n / splits on.

        Raises:
            ValueError: fewer rows than splits.
        """
        if n < splits:
            raise ValueError(f"is needs at least {splits} generated images, one a split, got {n}.")
        self._n, self._seen = n, 0
        self._counts = np.zeros(splits)
        self._p, self._plogp = np.zeros((splits, n_classes)), np.zeros(splits)

    def add(self, logits: Float[Array, "N L"]) -> None:
        """logits: rows of the stream in order."""
        x = np.asarray(logits, np.float64)
        x = x - x.max(1, keepdims=True)
        logp = x - np.log(np.exp(x).sum(1, keepdims=True))
        p = np.exp(logp)
        split = (self._seen + np.arange(len(x))) * len(self._counts) // self._n
        np.add.at(self._p, split, p)
        np.add.at(self._plogp, split, (p * logp).sum(1))
        np.add.at(self._counts, split, 1)
        self._seen += len(x)

    def score(self) -> Score:
        """exp of the mean divergence between p(y | x) and p(y), mean and deviation over the splits.

        Salimans et al. 2016, arXiv:1606.03498, section 4.
        """
        p = self._p / self._counts[:, None]
        entropy = np.where(p > 0, p * np.log(np.where(p > 0, p, 1)), 0).sum(1)
        scores = np.exp(self._plogp / self._counts - entropy)
        return Score(float(scores.mean()), float(scores.std()))


def inception_score(logits: Float[Array, "N L"], splits: int = 10) -> Score:
    """Of all logits at once."""
    sums = ScoreSums(len(logits), logits.shape[1], splits)
    sums.add(logits)
    return sums.score()
