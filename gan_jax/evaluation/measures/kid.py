"""Kernel inception distance."""

from gan_jax.evaluation.gather import Given
from gan_jax.evaluation.measures.base import Measure, Needs, Result, Value
from gan_jax.metrics import kid


def compute(given: Given) -> Result:
    found = kid.kid(given.features["real"].kept, given.features["fake"].kept)
    return Result({"kid{net}": found.value, "kid{net}_se": found.se})


MEASURES = (
    Measure(
        name="kid",
        about=(
            "how far the generated distribution is from the real one; unbiased, for any number of"
            " images"
        ),
        needs=Needs(features=("fake", "real")),
        values={
            "kid{net}": Value(
                -1,
                "distance from the real pictures; about 0 where none can be told",
                error="kid{net}_se",
            )
        },
        compute=compute,
        order=10,
    ),
)
