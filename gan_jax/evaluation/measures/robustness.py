"""What becomes of a distance where pictures are spoilt:
the generated ones, or a translator's inputs."""

import dataclasses
from collections.abc import Callable

import numpy as np

from gan_jax.data import corruptions
from gan_jax.evaluation.gather import Gathering, Given, order
from gan_jax.evaluation.images import Images, materialize
from gan_jax.evaluation.measures.base import Measure, Needs, Result, Value
from gan_jax.metrics import kid, pixels


def gather(now: Gathering) -> dict[str, dict]:
    """The curves: features of so many sets would not fit in memory,
    so each becomes a number at once."""
    if now.sets.contents is not None:
        return _of_translator(now)
    curves, sets = {}, {"": now.sets.fake}
    if now.sets.held_out is not None:
        sets["held_out/"] = now.sets.held_out
    for prefix, images in sets.items():
        ids = order(now.protocol, images)[: now.protocol.robustness_images]

        def distance(images, ids=ids):
            found = now.embed(images, ids)
            return {"kid{net}": _kid(now, found)}

        now.log(
            f"robustness of {'held-out real' if prefix else 'generated'} pictures, {len(ids)} a"
            " strength"
        )
        found = over_corruptions(images, distance)
        curves |= {f"{prefix}{name}": curve for name, curve in found.items()}
    return curves


def _of_translator(now: Gathering) -> dict[str, dict]:
    """What becomes of corrupted inputs: their translations' kid, and their likeness to the clean
    ones' translations."""
    count = min(now.protocol.robustness_images, now.sets.fake.count)
    labels = None if now.sets.fake.labels is None else now.sets.fake.labels[:count]
    ids = np.arange(count)
    clean = now.sets.fake.load(ids)

    def distance(contents):
        made = materialize(now.sets.translate(contents, labels), ids)
        values = {"kid{net}": _kid(now, now.embed(made, ids))}
        if now.first and min(clean.shape[1:3]) >= pixels.SSIM_SIDE:
            values["ssim_to_clean"] = float(pixels.ssim(made.load(ids), clean).mean())
        return values

    now.log(f"robustness of translations of {count} pictures a strength")
    wanted = dataclasses.replace(now.sets.contents, count=min(count, now.sets.contents.count))
    return over_corruptions(wanted, distance)


def _kid(now: Gathering, found: np.ndarray) -> float:
    return kid.kid(now.features["real"].kept, found).value if now.first else float("nan")


def over_corruptions(
    images: Images, distance: Callable[[Images], dict[str, float]]
) -> dict[str, dict]:
    """Curves over corruption strength: name -> corruption -> [[strength, value], ...], the clean
    set first.

    Args:
        images: what is corrupted: generated pictures, or a translator's inputs.
        distance: a set -> numbers of it. For a translator: what it makes of the set, held against
            what it makes of the clean one.
    """
    curves: dict[str, dict] = {}
    clean = distance(images)
    for kind, corruption in corruptions.CORRUPTIONS.items():
        points = [(corruption.clean, clean)]
        points += [
            (strength, distance(images.corrupted(kind, strength)))
            for strength in corruption.strengths
        ]
        for name in clean:
            curves.setdefault(name, {})[kind] = [
                [strength, values[name]] for strength, values in points
            ]
    return curves


def compute(given: Given) -> Result:
    return Result(curves=given.own)


MEASURES = (
    Measure(
        name="robustness",
        about=(
            "kid under noise, blur, JPEG, downscaling and darkening, of generated and of held-out"
            " real pictures"
        ),
        needs=Needs(features=("real",), held_out="control"),
        values={},
        curves={
            "kid{net}": Value(-1, "distance from the real pictures"),
            "held_out/kid{net}": Value(
                0, "the same of held-out real pictures, spoilt alike", control_of="kid{net}"
            ),
            "ssim_to_clean": Value(1, "likeness to the translation of the clean picture"),
        },
        gather=gather,
        compute=compute,
        order=80,
    ),
)
