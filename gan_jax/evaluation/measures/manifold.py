"""Quality and variety apart, by nearest neighbors: precision and recall, density and coverage."""

from gan_jax.evaluation.gather import Given
from gan_jax.evaluation.measures.base import Measure, Needs, Result, Value
from gan_jax.metrics import manifold


def precision_recall(given: Given) -> Result:
    precision, recall = manifold.precision_recall(*given.equal_counts())
    return Result({"precision{net}": precision, "recall{net}": recall})


def density_coverage(given: Given) -> Result:
    density, coverage = manifold.density_coverage(*given.equal_counts())
    return Result({"density{net}": density, "coverage{net}": coverage})


MEASURES = (
    Measure(
        name="precision_recall",
        about="share of pictures that look real; share of reality that is covered",
        needs=Needs(features=("fake", "real"), generated=4, real=4),
        values={
            "precision{net}": Value(1, "share of generated pictures that look real"),
            "recall{net}": Value(1, "share of the real pictures' variety that is covered"),
        },
        compute=precision_recall,
        order=40,
    ),
    Measure(
        name="density_coverage",
        about="the same, robust to outliers",
        needs=Needs(features=("fake", "real"), generated=6, real=6),
        values={
            "density{net}": Value(1, "how real pictures look, robust to outliers"),
            "coverage{net}": Value(1, "variety covered, robust to outliers"),
        },
        compute=density_coverage,
        order=50,
    ),
)
