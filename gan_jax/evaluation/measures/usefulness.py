"""What generated pictures are worth to a classifier, and whether they are of the class asked for.
Classifiers are trained here: see probes.py."""

import numpy as np

from gan_jax.evaluation.gather import Given
from gan_jax.evaluation.images import Images, Sets
from gan_jax.evaluation.measures.base import Measure, Needs, Result, Value
from gan_jax.evaluation.probes import Accuracy, Labeled
from gan_jax.evaluation.protocol import Protocol


def usefulness(given: Given) -> Result:
    sets, probe = given.sets, given.protocol.probe()
    fake, test = _all(sets.fake), _all(sets.held_out)
    n = min(len(given.reference), max(*probe.sizes, len(fake.labels)))
    real = _labeled(sets.real, given.reference[:n])
    classes = len(sets.real.classes)
    given.log(f"usefulness: classifiers of {classes} classes, {probe.seeds} seeds each")
    as_many = min(len(fake.labels), n)
    values = _accuracy("cas", probe.score([fake], test, classes))
    values |= _accuracy("cas_real", probe.score([real], test, classes, size=as_many))
    notes, rows = {"cas_real": fairness(sets.trained_on, as_many)}, []
    for size in probe.sizes:
        if size > n:
            given.log(f"usefulness with {size:,} real images is left out: there are {n:,}.")
            continue
        without = probe.score([real], test, classes, size=size)
        joined = probe.score([real, fake], test, classes, size=size)
        gains = [a - b for a, b in zip(joined.scores, without.scores, strict=True)]
        values |= _accuracy(f"gain_at_{size}", Accuracy.of(gains))
        notes[f"gain_at_{size}"] = fairness(sets.trained_on, size)
        rows.append([size, str(without), str(joined)])
    columns = [
        "real images",
        "accuracy, real only",
        f"accuracy, with {len(fake.labels):,} generated",
    ]
    table = {"columns": columns, "rows": rows}
    return Result(values, tables={"usefulness": table}, notes=notes)


def fairness(trained_on: int | None, size: int) -> str:
    """Whether the comparison with a classifier of `size` real pictures is fair, for the generator
    saw real ones too: `trained_on` of them; None: not known."""
    if trained_on is None:
        return (
            f"fair only if the generator too was trained on {size:,} real pictures, which is not"
            " known here"
        )
    if trained_on <= size:
        return (
            f"fair: the generator was trained on {trained_on:,} real pictures, its control on"
            f" {size:,}"
        )
    return (
        f"flatters: the generator was trained on {trained_on:,} labeled real pictures, its"
        f" control on {size:,}"
    )


def label_accuracy(given: Given) -> Result:
    sets, probe = given.sets, given.protocol.probe()
    sides = {"label_accuracy": _all(sets.fake), "label_accuracy_real": _all(sets.held_out)}
    if sets.contents is not None:
        before = sets.contents.load(np.arange(sets.fake.count) % sets.contents.count)
        sides["label_accuracy_input"] = Labeled(before, sets.fake.labels)
    real = _labeled(sets.real, given.reference)
    classes = len(sets.real.classes)
    given.log(f"label accuracy: classifiers of {classes} classes, {probe.seeds} seeds")
    fitted = [probe.fit([real], classes, seed) for seed in range(probe.seeds)]
    values = {}
    for name, side in sides.items():
        scores = [probe.accuracy(variables, side) for variables in fitted]
        values |= _accuracy(name, Accuracy.of(scores))
    return Result(values)


def _accuracy(name: str, found: Accuracy) -> dict[str, float]:
    """The value, and its deviation where there are several seeds."""
    return {name: found.mean} | ({f"{name}_std": found.std} if len(found.scores) > 1 else {})


def _labeled(images: Images, ids: np.ndarray) -> Labeled:
    return Labeled(images.load(ids), images.labels[ids])


def _all(images: Images) -> Labeled:
    return _labeled(images, np.arange(images.count))


def _sizes(protocol: Protocol, sets: Sets) -> list[int]:
    """The numbers of real pictures for which there are enough."""
    there = min(protocol.reference, sets.real.count)
    return [size for size in protocol.probe().sizes if size <= there]


MEASURES = (
    Measure(
        name="usefulness",
        about=(
            "accuracy of classifiers trained on generated pictures, and on real ones with"
            " generated added"
        ),
        needs=Needs(generated=2, real=2, held_out="required", labels=True),
        values={
            "cas": Value(
                1,
                "accuracy on real pictures of a classifier that learned from generated ones",
                error="cas_std",
            ),
            "cas_real": Value(
                0,
                "accuracy of a classifier that learned from as many real pictures",
                error="cas_real_std",
                control_of="cas",
            ),
            "gain_at_{each}": Value(
                1,
                "accuracy that generated pictures add to {each} real ones; fair where the"
                " generator saw no more than those",
                error="gain_at_{each}_std",
            ),
        },
        each=_sizes,
        compute=usefulness,
        order=90,
    ),
    Measure(
        name="label_accuracy",
        about=(
            "share of generated pictures that classifiers trained on real ones take for their class"
        ),
        needs=Needs(generated=2, real=2, held_out="required", labels=True),
        values={
            "label_accuracy": Value(
                1,
                "share of generated pictures that a classifier takes for their class",
                error="label_accuracy_std",
            ),
            "label_accuracy_real": Value(
                0,
                "the same of held-out real pictures",
                error="label_accuracy_real_std",
                control_of="label_accuracy",
            ),
            "label_accuracy_input": Value(
                0,
                "the same of the untouched input, against the class it was to become",
                error="label_accuracy_input_std",
                control_of="label_accuracy",
            ),
        },
        compute=label_accuracy,
        order=100,
    ),
)
