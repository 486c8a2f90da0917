"""How unlike each other the generated pictures are."""

import numpy as np

from gan_jax.evaluation.gather import Given
from gan_jax.evaluation.images import Sets
from gan_jax.evaluation.measures.base import Measure, Needs, Result, Value
from gan_jax.evaluation.protocol import Protocol
from gan_jax.metrics import diversity

FEW_SHOT = 100  # real images, up to which each is the center of a cluster


def compute(given: Given) -> Result:
    fake, real, sets = given.features["fake"], given.features["real"], given.sets
    squared = given.net.squared_distance
    values = {
        "diversity{net}": diversity.pairwise(fake.kept, squared),
        "diversity_real{net}": diversity.pairwise(real.kept, squared),
    }
    if sets.real.count <= FEW_SHOT:
        clusters = diversity.within_clusters(fake.kept, real.kept, squared)
        values["diversity_clusters{net}"] = clusters
    groups = {}
    for name, images, found in (
        ("diversity", sets.fake, fake),
        ("diversity_real", sets.real, real),
    ):
        if not sets.fake.classes or images.labels is None:
            continue
        labels = images.labels[found.ids[: len(found.kept)]]
        if np.bincount(labels, minlength=len(images.classes)).min() > 1:
            groups[f"{name}{{net}}"] = diversity.within_classes(
                found.kept, labels, images.classes, squared
            )
        else:
            given.log(f"{name} by class is left out: a class has fewer than 2 of these pictures.")
    return Result(values, groups=groups)


def counts(protocol: Protocol, sets: Sets) -> str | None:
    if not sets.fake.classes:
        return None
    found = np.bincount(sets.fake.labels, minlength=len(sets.fake.classes))
    if found.min() >= 2:
        return None
    name = sets.fake.classes[int(found.argmin())]
    return (
        f"diversity needs at least 2 generated images of each class, and {name!r} has"
        f" {found.min()}."
    )


MEASURES = (
    Measure(
        name="diversity",
        about=(
            "mean distance between two pictures: over all, within each class, around each of a few"
            " training images"
        ),
        needs=Needs(features=("fake", "real"), generated=2, real=2),
        values={
            "diversity{net}": Value(1, "mean distance between two pictures"),
            "diversity_real{net}": Value(
                0, "the same of real pictures", control_of="diversity{net}"
            ),
            "diversity_clusters{net}": Value(
                1, "mean distance between two pictures around the same training image"
            ),
        },
        compute=compute,
        counts=counts,
        order=60,
    ),
)
