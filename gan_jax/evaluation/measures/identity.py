"""Whether a translation shows what its picture showed: by a net of faces, the same person."""

import numpy as np

from gan_jax.evaluation.gather import Given
from gan_jax.evaluation.measures.base import Measure, Needs, Result, Value


def compute(given: Given) -> Result:
    fake, contents = given.features["translations"].kept, given.features["contents"].kept
    own, shuffled = distances(fake, contents)
    return Result({"identity{net}": own, "identity_shuffled{net}": shuffled})


def distances(fake: np.ndarray, contents: np.ndarray) -> tuple[float, float]:
    """Mean cosine distance of features f32 [n, F]: (between a picture and what became of it,
    between another picture and it)."""
    a, b = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (contents, fake))
    partners = np.arange(len(b)) % len(a)
    own, shuffled = (
        float(1 - (a[which] * b).sum(1).mean()) for which in (partners, others(len(a))[partners])
    )
    return own, shuffled


def others(n: int) -> np.ndarray:
    """int [n]: for each of n pictures the number of another, by chance."""
    shuffled = np.random.default_rng(0).permutation(n)
    found = np.empty(n, int)
    found[shuffled] = np.roll(shuffled, 1)
    return found


MEASURES = (
    Measure(
        name="identity",
        about=(
            "distance of features between a picture and its translation, beside a shuffled"
            " pairing's"
        ),
        needs=Needs(features=("translations", "contents"), translator=True, contents=3),
        values={
            "identity{net}": Value(-1, "distance between a picture and its translation"),
            "identity_shuffled{net}": Value(
                0,
                "distance between another picture and the translation",
                control_of="identity{net}",
            ),
        },
        compute=compute,
        order=140,
    ),
)
