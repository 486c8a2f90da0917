"""What measures need, taken on all processes before the first of them is computed: features of
sets of pictures."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from gan_jax.data.cache import cache_root
from gan_jax.evaluation import features
from gan_jax.evaluation.features import Extractor, FeatureSet
from gan_jax.evaluation.images import Images, Sets, materialize
from gan_jax.evaluation.measures.base import Measure
from gan_jax.evaluation.protocol import Protocol
from gan_jax.pretrained import Net

Log = Callable[[str], None]

KEEP = 10_000  # features of so many pictures of a set stay in memory
AUDIT = 50_000  # training images that memorisation looks among


@dataclasses.dataclass(frozen=True)
class Given:
    """What a measure computes its values from.

    Attributes:
        features: name in SETS -> features; of the measure's `needs`, and of others.
        translations: a translator's `fake`, drawn once.
        reference: int64 [n], the real pictures that are compared with.
        own: what the measure's own `gather` returned.
    """

    protocol: Protocol
    sets: Sets
    net: Net
    features: Mapping[str, FeatureSet]
    translations: Images
    reference: np.ndarray
    log: Log
    own: Any = None

    def equal_counts(self) -> tuple[np.ndarray, np.ndarray]:
        """(real, generated) features f32 [n, F] each, equally many."""
        real, fake = self.features["real"].kept, self.features["fake"].kept
        m = min(len(real), len(fake))
        return real[:m], fake[:m]


class Gathering:
    """Takes features of sets of pictures. Every process calls the same methods in the same order,
    for each waits for the others; process 0 has the features."""

    def __init__(
        self,
        protocol: Protocol,
        sets: Sets,
        extractor: Extractor,
        log: Log,
        chosen: Sequence[Measure],
    ):
        """Takes the features of all sets in SETS that the chosen measures need, each set once."""
        self.protocol, self.sets, self.extractor, self.log = protocol, sets, extractor, log
        self.first = jax.process_index() == 0
        self.translations = materialize(sets.fake, np.arange(sets.fake.count))
        self.reference = order(protocol, sets.real)[: protocol.reference]
        self.moments = any(measure.needs.moments for measure in chosen)
        self.logits = any(measure.needs.logits for measure in chosen)
        self.features: dict[str, FeatureSet] = {}
        for name in dict.fromkeys(name for m in chosen for name in m.needs.features):
            found = SETS[name](self)
            if found is not None:
                self.features[name] = found

    def given(self, own: Any = None) -> Given:
        """What a measure computes from; own: what its `gather` returned."""
        return Given(
            self.protocol,
            self.sets,
            self.extractor.net,
            self.features,
            self.translations,
            self.reference,
            self.log,
            own,
        )

    def embed(self, images: Images, ids: np.ndarray) -> np.ndarray:
        """Features f32 [n, F] of the pictures `ids`."""
        return features.extract(images, ids, self.extractor, keep=len(ids)).kept

    def reference_features(
        self, images: Images, ids: np.ndarray, keep: int, moments: bool = False
    ) -> FeatureSet:
        """Of pictures that other evaluations see too: from the cache, where they were measured
        before. Other processes than the first get none."""
        how = {"keep": keep, "moments": moments, "log": self.log}
        return features.cached(cache_root(), images, ids, self.extractor, **how)


def order(protocol: Protocol, images: Images) -> np.ndarray:
    """A set shuffled by the seed: folders come sorted, class after class, and any part must stand
    for the whole."""
    return np.random.default_rng(protocol.seed).permutation(images.count)


def _fake(now: Gathering) -> FeatureSet:
    ids = order(now.protocol, now.sets.fake)
    how = {"keep": KEEP, "moments": now.moments, "score": now.logits}
    return features.extract(now.sets.fake, ids, now.extractor, **how)


def _real(now: Gathering) -> FeatureSet:
    return now.reference_features(now.sets.real, now.reference, KEEP, now.moments)


def _train(now: Gathering) -> FeatureSet:
    """All training images, or AUDIT of them."""
    ids = order(now.protocol, now.sets.real)[:AUDIT]
    if len(ids) == len(now.reference) <= KEEP:
        return now.features.get("real") or _real(now)
    return now.reference_features(now.sets.real, ids, AUDIT)


def _held_out(now: Gathering) -> FeatureSet | None:
    if now.sets.held_out is None:
        return None
    ids = order(now.protocol, now.sets.held_out)[:KEEP]
    return now.reference_features(now.sets.held_out, ids, KEEP)


def _in_order(now: Gathering, images: Images, count: int) -> FeatureSet:
    return features.extract(images, np.arange(count), now.extractor, keep=count)


def _translations(now: Gathering) -> FeatureSet:
    return _in_order(now, now.translations, now.sets.fake.count)


def _contents(now: Gathering) -> FeatureSet:
    contents = now.sets.contents
    return _in_order(now, contents, min(contents.count, now.sets.fake.count))


SETS = {  # name, as in Needs.features -> how its features are taken
    "fake": _fake,  # generated pictures, shuffled by the seed
    "real": _real,  # at most config.eval.reference real pictures, shuffled by the seed
    "train": _train,  # all real pictures, or AUDIT of them, shuffled by the seed
    "held_out": _held_out,  # held-out real pictures, shuffled by the seed; absent without any
    "translations": _translations,  # a translator's pictures, picture i first made of content i
    "contents": _contents,  # the pictures that were translated, in their order
}
