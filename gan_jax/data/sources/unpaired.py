"""Two sets of pictures that have nothing to do with each other:
each of the first with some of the second."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from gan_jax.data import pairs, pipeline, source
from gan_jax.data.source import Batch, Outline, fingerprint


@dataclasses.dataclass
class Source(source.Source):
    """The pictures of `a`, each with a picture of `b` drawn evenly by the sample's seed, in a
    batch's "target".

    Args:
        a: settings of a source as config.data has them, {"source": "folder", "path": "horses",
            "resolution": 128}.
        b: of another one, whose pictures have the same shape. Each is augmented by its own
            settings.
    Raises:
        ValueError: a side can't be opened, or their shapes differ; names the side.
    """

    a: dict
    b: dict

    partner = "unpaired"

    def __post_init__(self):
        self.a, self.b = pairs.open_sides(self.a, self.b)
        self.shape, self.notes = self.a.shape, pairs.notes(self.a, self.b)
        self.fingerprint = fingerprint(self.partner, self.a.fingerprint, self.b.fingerprint)

    def __len__(self) -> int:
        return len(self.a)

    @property
    def sides(self) -> tuple[source.Source, ...]:
        return self.a, self.b

    @classmethod
    def outline(cls, settings: Mapping) -> Outline:
        return pairs.outline(settings, cls.partner)

    def load(self, ids: np.ndarray, seeds: np.ndarray) -> Batch:
        drawn = pipeline.uniform(seeds + np.uint64(1), 2)  # which of b, and that one's own seed
        others = (drawn[:, 0] * len(self.b)).astype(np.int64)
        own = (drawn[:, 1] * 2.0**53).astype(np.uint64)
        return {
            "image": self.a.load(ids, seeds)["image"],
            "target": self.b.load(others, own)["image"],
        }
