"""How unlike each other the translations of one picture are."""

import numpy as np

from gan_jax.evaluation.gather import Gathering, Given
from gan_jax.evaluation.images import Images, Sets
from gan_jax.evaluation.measures.base import Measure, Needs, Result, Value
from gan_jax.metrics import diversity

LATENTS = 10  # of one picture
SOURCES = 100  # pictures that are translated several times, at most


def gather(now: Gathering) -> np.ndarray:
    made = variants(now.sets)
    return now.embed(made, np.arange(made.count))


def variants(sets: Sets) -> Images:
    """Translations of the first SOURCES contents by LATENTS latents each, those of one picture in a
    row, into one style."""
    contents, labels = sets.contents, sets.fake.labels
    sources = min(SOURCES, contents.count, sets.fake.count)
    repeated = Images(lambda ids: contents.load(ids // LATENTS), sources * LATENTS)
    return sets.translate(
        repeated, None if labels is None else np.repeat(labels[:sources], LATENTS)
    )


def compute(given: Given) -> Result:
    return Result({"variety{net}": within(given.own, given.net.squared_distance)})


def within(features: np.ndarray, squared: bool) -> float:
    """Mean distance of features f32 [n * LATENTS, F] between two translations of one picture."""
    groups = np.split(features, len(features) // LATENTS)
    return float(np.mean([diversity.pairwise(group, squared) for group in groups]))


MEASURES = (
    Measure(
        name="variety",
        about=f"mean distance between translations of one picture by {LATENTS} latents",
        needs=Needs(translator=True, varied=True),
        values={"variety{net}": Value(1, "mean distance between translations of one picture")},
        gather=gather,
        compute=compute,
        order=150,
    ),
)
