"""How much a video would flicker: what a translation changes where its picture is shifted."""

from collections.abc import Callable

import numpy as np

from gan_jax.evaluation.gather import Given
from gan_jax.evaluation.images import Images, of_array
from gan_jax.evaluation.measures.base import Measure, Needs, Result, Value
from gan_jax.metrics import flicker

SOURCES = 100  # pictures that are shifted, at most
# pixels down and right: a hand-held camera's from frame to frame
SHIFTS = ((0, 1), (1, 0), (2, 3), (3, -2), (-4, 4))


def compute(given: Given) -> Result:
    sets = given.sets
    return Result({"shift_error": error(sets.translate, sets.contents, sets.fake.labels)})


def error(
    translate: Callable[[Images, np.ndarray | None], Images],
    contents: Images,
    labels: np.ndarray | None,
) -> float:
    """Warp error on shifted pictures: mean |T(shift x) - shift T(x)| in gray levels of 255; 0 does
    not flicker.

    Of the first SOURCES pictures; shifts are SHIFTS, the edges repeated; compared where neither
    shows an edge.
    """
    ids = np.arange(min(SOURCES, contents.count))
    labels = None if labels is None else labels[np.resize(np.arange(len(labels)), len(ids))]
    x = contents.load(ids)
    plain, errors = translate(of_array(x), labels).load(ids), []
    for down, right in SHIFTS:
        shifted = translate(of_array(flicker.shift(x, down, right)), labels).load(ids)
        errors.append(flicker.shift_error(plain, shifted, down, right))
    return float(np.mean(errors))


MEASURES = (
    Measure(
        name="shift_error",
        about=(
            "change of the translation where its picture is shifted: how much a video would flicker"
        ),
        needs=Needs(translator=True),
        values={
            "shift_error": Value(
                -1, "change of the translation where its picture is shifted, of 255"
            )
        },
        compute=compute,
        order=160,
    ),
)
