"""Whether translations look like the style they went to."""

import numpy as np

from gan_jax.evaluation.gather import KEEP, Given, order
from gan_jax.evaluation.images import Sets
from gan_jax.evaluation.measures.base import Measure, Needs, Result, Value
from gan_jax.evaluation.protocol import Protocol
from gan_jax.metrics import kid


def compute(given: Given) -> Result:
    sets, real = given.sets, given.features["real"]
    fake, contents = given.features["translations"], given.features["contents"]
    labels = None
    if sets.real.classes:
        labels = (
            sets.fake.labels,
            sets.contents.labels[contents.ids],
            sets.real.labels[real.ids[: len(real.kept)]],
        )
    found = by_style(fake.kept, contents.kept, real.kept, labels, sets.real.classes)
    named = dict(zip(("style_kid{net}", "style_kid_input{net}"), found, strict=True))
    values = {name: float(np.mean(list(styles.values()))) for name, styles in named.items()}
    return Result(values, groups=named if sets.real.classes else {})


def by_style(
    fake: np.ndarray,
    contents: np.ndarray,
    real: np.ndarray,
    labels: tuple | None,
    classes: tuple[str, ...],
) -> tuple[dict, dict]:
    """KID to the style gone to: (of the translations, of the same pictures untouched), by style.

    fake, contents, real: features f32 [n, F].
    labels: a class for each of the three, or None: then there is one style, "". With them, pictures
    that were of the style before are left out.
    """
    found, control, which = {}, {}, np.arange(len(fake)) % len(contents)
    for number, name in enumerate(classes or ("",)):
        into, target = np.ones(len(fake), bool), real
        if labels is not None:
            y_fake, y_contents, y_real = labels
            into = (y_fake == number) & (y_contents[which] != number)
            target = real[y_real == number]
        found[name] = kid.kid(target, fake[into]).value
        control[name] = kid.kid(target, contents[np.unique(which[into])]).value
    return found, control


def counts(protocol: Protocol, sets: Sets) -> str | None:
    """Each style needs 3 real pictures, and 3 that are translated into it from another."""
    classes = sets.real.classes
    if not classes:
        return None
    reference = order(protocol, sets.real)[: min(protocol.reference, KEEP)]
    found = np.bincount(sets.real.labels[reference], minlength=len(classes))
    if found.min() < 3:
        return (
            f"style needs at least 3 real pictures of each style, and"
            f" {classes[int(found.argmin())]!r} has {found.min()}: raise config.eval.reference."
        )
    before = sets.contents.labels[np.arange(sets.fake.count) % sets.contents.count]
    into = sets.fake.labels[before != sets.fake.labels]
    found = np.bincount(into, minlength=len(classes))
    if found.min() < 3:
        return (
            f"style needs at least 3 pictures that change to each style, and"
            f" {classes[int(found.argmin())]!r} has {found.min()}: raise config.eval.images."
        )
    return None


MEASURES = (
    Measure(
        name="style",
        about="kid to the style gone to, style by style, beside that of the untouched input",
        needs=Needs(features=("real", "translations", "contents"), translator=True, contents=3),
        values={
            "style_kid{net}": Value(-1, "distance from real pictures of the style gone to"),
            "style_kid_input{net}": Value(
                0, "the same of the untouched input", control_of="style_kid{net}"
            ),
        },
        compute=compute,
        counts=counts,
        order=120,
    ),
)
