"""Sets of pictures as evaluation knows them: by number, drawn or read only when they are needed."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from gan_jax.data import corruptions
from gan_jax.data.source import TRUE_PARTNERS, Source


@dataclasses.dataclass(frozen=True, eq=False)
class Images:
    """A set of pictures by number; any process can make any of them, and each is the same every
    time.

    Attributes:
        load: int64 [n] -> uint8 [n, H, W, C].
        count: how many there are.
        labels: int32 [count], or None.
        classes: their names.
        colors: attribute, as "skin" -> f32 [count, 3], each picture's true sRGB color of 255; {}
            where none is known.
    """

    load: Callable[[np.ndarray], np.ndarray]
    count: int
    labels: np.ndarray | None = None
    classes: tuple[str, ...] = ()
    colors: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)

    def corrupted(self, kind: str, strength: float) -> "Images":
        """The same set, each picture spoilt; kind: a name in data.corruptions.CORRUPTIONS."""

        def load(ids):
            return corruptions.corrupt(self.load(ids), kind, strength, ids)

        return dataclasses.replace(self, load=load)


def of_array(pixels: np.ndarray) -> Images:
    """A set of the pictures uint8 [n, H, W, C]."""
    return Images(lambda ids: pixels[ids], len(pixels))


def of_source(source: Source) -> Images:
    """A data source's pictures, in its order. It must not augment:
    `checks.plain` gives settings that do not."""

    def load(ids):
        return source.load(ids, np.zeros(len(ids), np.uint64))["image"]

    return Images(load, len(source), source.targets, tuple(source.classes), source.colors)


def materialize(images: Images, ids: np.ndarray) -> Images:
    """The pictures `ids`, loaded once, when the first of them is needed, and kept."""
    labels = None if images.labels is None else images.labels[ids]
    colors = {name: values[ids] for name, values in images.colors.items()}
    kept = []

    def load(which):
        if not kept:
            kept.append(images.load(ids))
        return kept[0][which]

    return dataclasses.replace(images, load=load, count=len(ids), labels=labels, colors=colors)


def remembering(images: Images, loads: int = 2) -> Images:
    """The same set; its last `loads` loads are kept, for readers that follow each other closely."""
    kept = {}

    def load(ids):
        key = ids.tobytes()
        if key not in kept:
            kept[key] = images.load(ids)
            while len(kept) > loads:
                del kept[next(iter(kept))]
        return kept[key]

    return dataclasses.replace(images, load=load)


class Sides(NamedTuple):
    """A source as a translator uses it."""

    contents: Images  # what is translated
    real: Images  # what translations should look like
    truth: Images | None  # each content's true translation, where known


def sides(source: Source, contents: str = "a") -> Sides:
    """contents: the side that is translated, "a" or "b", of a source that has two; of others they
    are the same pictures."""
    if source.partner is None:
        images = of_source(source)
        return Sides(images, images, None)
    a, b = map(of_source, source.sides)
    first, second = (a, b) if contents == "a" else (b, a)
    return Sides(first, second, second if source.partner in TRUE_PARTNERS else None)


@dataclasses.dataclass(frozen=True)
class Sets:
    """What is compared.

    Attributes:
        fake: the generated pictures.
        real: the training set, all of it; for a translator: what its pictures should look like.
        held_out: real pictures that training never saw.
        contents: what a translator made `fake` of, in that order, after the last the first again.
        truth: the contents' true translations.
        translate: (contents, classes to go to, int32 [n] or None) -> their translations.
        varied: whether the translator draws its styles.
        trained_on: how many real pictures the generator was trained on, where that is known.
    """

    fake: Images
    real: Images
    held_out: Images | None = None
    contents: Images | None = None
    truth: Images | None = None
    translate: Callable[[Images, np.ndarray | None], Images] | None = None
    varied: bool = True
    trained_on: int | None = None
