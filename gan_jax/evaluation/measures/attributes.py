"""Whether a translation keeps the known colors of what it shows, as skin and hair."""

import numpy as np

from gan_jax.evaluation.gather import Given
from gan_jax.evaluation.images import Images, Sets
from gan_jax.evaluation.measures.base import Measure, Needs, Result, Value
from gan_jax.evaluation.measures.identity import others
from gan_jax.evaluation.probes import Labeled, Usefulness
from gan_jax.evaluation.protocol import Protocol


def compute(given: Given) -> Result:
    sets = given.sets
    given.log(f"attributes: classifiers of {', '.join(sets.real.colors)}")
    probe = given.protocol.probe()
    return Result(errors(probe, given.translations, sets.contents, sets.real, sets.held_out))


def errors(
    probe: Usefulness, fake: Images, contents: Images, real: Images, held_out: Images | None
) -> dict[str, float]:
    """How far each colored attribute (skin, hair) is from its picture's own: mean distance in
    sRGB, of 255 a channel.

    Read off pictures by classifiers trained on the real ones, as the mean of the known colors
    weighted by their probability. "_shuffled": held against another picture's color; "_floor": of
    held-out real pictures, how well the color is read at all.
    """
    values = {}
    train = real.load(np.arange(real.count))
    made = fake.load(np.arange(fake.count))
    partners = np.arange(fake.count) % contents.count
    for name, colors in real.colors.items():
        palette, labels = np.unique(colors, axis=0, return_inverse=True)
        variables = probe.fit([Labeled(train, labels.reshape(-1))], len(palette), seed=0)

        def read(images, palette=palette, variables=variables):
            return probe.probabilities(variables, images) @ palette

        found, own = read(made), contents.colors[name]
        values[f"{name}_error"] = _distance(found, own[partners])
        values[f"{name}_error_shuffled"] = _distance(found, own[others(contents.count)][partners])
        if held_out is not None:
            apart = held_out.load(np.arange(held_out.count))
            values[f"{name}_error_floor"] = _distance(read(apart), held_out.colors[name])
    return values


def _distance(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.linalg.norm(a - b, axis=1).mean())


def _names(protocol: Protocol, sets: Sets) -> list[str]:
    return list(sets.real.colors)


MEASURES = (
    Measure(
        name="attributes",
        about=(
            "how far skin and hair are from the input's own colors, beside a shuffled pairing's"
            " and real pictures'"
        ),
        needs=Needs(translator=True, colors=True),
        values={
            "{each}_error": Value(
                -1, "distance of the color of {each} from the input's own, in sRGB of 255"
            ),
            "{each}_error_shuffled": Value(
                0, "the same from another input's", control_of="{each}_error"
            ),
            "{each}_error_floor": Value(
                0, "the same of held-out real pictures from their own", control_of="{each}_error"
            ),
        },
        each=_names,
        compute=compute,
        order=130,
    ),
)
