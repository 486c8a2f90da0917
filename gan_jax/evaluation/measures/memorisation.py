"""Whether generated pictures are copies of training images."""

import numpy as np

from gan_jax.data.images import grid
from gan_jax.evaluation.gather import Given
from gan_jax.evaluation.measures.base import Measure, Needs, Picture, Result, Value
from gan_jax.metrics import manifold

SHOWN = 16  # pictures in the sheet


def compute(given: Given) -> Result:
    train, fake = given.features["train"], given.features["fake"].kept
    found = manifold.neighbors(train.kept, fake)
    if "held_out" in given.features:
        real = given.features["held_out"].kept
        name, control = "held_out", manifold.neighbors(train.kept, real).memorised
        independent = len(real)
    else:
        real = train.kept
        name, control = "training", manifold.memorised_of_training(real)
        independent = len(real) // 2  # each other's nearest: they come in twos
    values = {"memorised{net}": found.memorised, f"memorised_{name}{{net}}": control}
    words = verdict(found.memorised, len(fake), control, independent)
    pictures = {"neighbors": lambda: _sheet(given, found)}
    return Result(values, pictures=pictures, notes={"memorised{net}": words})


def verdict(share: float, generated: int, control: float, real: int) -> str:
    """In words: whether the share of so many generated pictures is more than the control's, of so
    many independent real ones, by more than two standard errors of their difference.

    That of two shares of one probability, estimated from both with a success and a failure added:
    a control of 0 among a few pictures has an error, too.
    """
    p = (share * generated + control * real + 1) / (generated + real + 2)
    error = np.sqrt(p * (1 - p) * (1 / generated + 1 / real))
    if share <= control + 2 * error:
        return f"no copying seen: of real pictures {control:.2g} lie as near to another"
    return (
        f"it copies: of real pictures only {control:.2g} lie as near to another. Take an earlier"
        " checkpoint, or more pictures"
    )


def _sheet(given: Given, found: manifold.Neighbors) -> Picture:
    """The generated pictures that look most like copies, each beside what it copies."""
    fake, train, worst = given.features["fake"], given.features["train"], found.closest(SHOWN)
    columns = [
        given.sets.fake.load(fake.ids[worst]),
        given.sets.real.load(train.ids[found.nearest[worst]]),
        given.sets.real.load(train.ids[found.other[worst]]),
    ]
    framed = [_framed(column, 1, 1) for column in columns]
    return Picture(
        grid(_framed(np.concatenate(framed, 2), 0, 4), 4),
        f"The {len(worst)} generated pictures closest to copies, the closest first, in threes:"
        " generated, the nearest training image, that one's own nearest training image.",
    )


def _framed(pictures: np.ndarray, rows: int, columns: int) -> np.ndarray:
    around = ((0, 0), (rows, rows), (columns, columns), (0, 0))
    return np.pad(pictures, around, constant_values=255)


MEASURES = (
    Measure(
        name="memorisation",
        about="share of pictures that are nearly training images, and those that are most",
        needs=Needs(
            features=("fake", "train", "held_out"), generated=2, real=2, held_out="control"
        ),
        values={
            "memorised{net}": Value(
                0,
                "share of pictures that are nearly training pictures; more than the control's is"
                " copying",
            ),
            "memorised_training{net}": Value(
                0,
                "the same of training pictures, each against the others, where none are held out",
                control_of="memorised{net}",
            ),
            "memorised_held_out{net}": Value(
                0, "the same of held-out real pictures", control_of="memorised{net}"
            ),
        },
        compute=compute,
        order=70,
    ),
)
