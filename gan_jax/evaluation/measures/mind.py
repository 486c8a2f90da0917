"""Monge inception distance, beside that of real pictures from real ones."""

from gan_jax.evaluation.gather import Given
from gan_jax.evaluation.measures.base import Measure, Needs, Result, Value
from gan_jax.metrics import mind


def compute(given: Given) -> Result:
    real, fake = given.features["real"].kept, given.features["fake"].kept
    n, seed = min(len(real) // 2, len(fake)), given.protocol.seed
    half, rest = real[:n], real[n : 2 * n]  # as many for the control
    return Result(
        {
            "mind{net}": mind.mind(half, fake[:n], seed),
            "mind_real{net}": mind.mind(half, rest, seed),
        },
        notes={"mind{net}": f"of {n:,} pictures a side"},  # it depends on n
    )


MEASURES = (
    Measure(
        name="mind",
        about=(
            "how far the generated distribution is from the real one, by sorted projections; ranks"
            " as fid does, from fewer images"
        ),
        needs=Needs(features=("fake", "real"), generated=2, real=4),
        values={
            "mind{net}": Value(
                -1, "distance from half of the real pictures, or from as many as were generated"
            ),
            "mind_real{net}": Value(
                0, "the same of as many other real pictures", control_of="mind{net}"
            ),
        },
        compute=compute,
        order=15,
    ),
)
