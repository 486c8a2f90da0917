"""The two measures that papers quote: Frechet inception distance and inception score."""

from gan_jax.evaluation.gather import Given
from gan_jax.evaluation.measures.base import Measure, Needs, Result, Value
from gan_jax.metrics import frechet


def fid(given: Given) -> Result:
    real, fake = given.features["real"], given.features["fake"]
    return Result({"fid{net}": frechet.frechet_distance(real.moments, fake.moments)})


def inception_score(given: Given) -> Result:
    score = given.features["fake"].score
    return Result({"is{net}": score.mean, "is{net}_std": score.std})


MEASURES = (
    Measure(
        name="fid",
        about=(
            "the same, comparable with papers where the net is 'inception'; wants more images than"
            " features"
        ),
        needs=Needs(features=("fake", "real"), moments=True, generated=1, real=1),
        values={
            "fid{net}": Value(
                -1, "distance from the real pictures, by the mean and covariance of their features"
            )
        },
        compute=fid,
        order=20,
    ),
    Measure(
        name="is",
        about="how sure a classifier is of each picture, and how many classes it sees",
        needs=Needs(features=("fake",), logits=True, generated=10, real=1),
        values={
            "is{net}": Value(
                1,
                "how sure a classifier is of each picture, and of how many classes",
                error="is{net}_std",
            )
        },
        compute=inception_score,
        order=30,
    ),
)
