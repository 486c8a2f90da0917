"""What measures need, taken on all processes before the first of them is computed: features of
sets of pictures."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from gan_jax.data.cache import cache_root
from gan_jax.evaluation import features
from gan_jax.evaluation.features import Extractor, Extractors, FeatureSet
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
        net: which sees the pictures; where the measure's values name none, the first that
            training did not look through.
        features: name in SETS -> features by `net`; of the measure's `needs`, and of others.
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


class Wanted(NamedTuple):
    """Pictures whose features are to be taken.

    Attributes:
        keep: of how many of them features stay in memory.
        fresh: whether no other evaluation sees the same pictures, so that no cache has them.
        moments: whether the mean and covariance of the features are wanted.
        score: whether the inception score is.
    """

    images: Images
    ids: np.ndarray
    keep: int
    fresh: bool = False
    moments: bool = False
    score: bool = False


class Gathering:
    """Takes features of sets of pictures by one net. Every process calls the same methods in the
    same order, for each waits for the others; process 0 has the features."""

    def __init__(self, shared: "Shared", extractor: Extractor):
        self.protocol, self.sets, self.log = shared.protocol, shared.sets, shared.log
        self.translations, self.reference = shared.translations, shared.reference
        self.first, self.extractor = shared.first, extractor
        self.features: dict[str, FeatureSet] = {}

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


class Shared:
    """What the measures of an evaluation share: its sets, and a Gathering by each net."""

    def __init__(
        self,
        protocol: Protocol,
        sets: Sets,
        extractors: Extractors,
        log: Log,
        chosen: Sequence[tuple[Measure, Net]],
    ):
        """Takes the features of all sets in SETS that the chosen measures need, each set once for
        all nets."""
        self.protocol, self.sets, self.log = protocol, sets, log
        self.first = jax.process_index() == 0
        self.translations = materialize(sets.fake, np.arange(sets.fake.count))
        self.reference = order(protocol, sets.real)[: protocol.reference]
        self.moments = any(measure.needs.moments for measure, _ in chosen)
        self.logits = any(measure.needs.logits for measure, _ in chosen)
        self.by = {net: Gathering(self, extractors.of(net)) for _, net in chosen}
        taken: dict[tuple, list[FeatureSet]] = {}
        for name in SETS:
            nets = dict.fromkeys(net for m, net in chosen if name in m.needs.features)
            wanted = SETS[name](self) if nets else None
            if wanted is None:
                continue
            gatherings = [self.by[net] for net in nets]
            key = *nets, id(wanted.images), wanted.ids.tobytes(), wanted.keep
            if key not in taken:  # "train" may be "real"
                taken[key] = self._take(wanted, [gathering.extractor for gathering in gatherings])
            for gathering, found in zip(gatherings, taken[key], strict=True):
                gathering.features[name] = found

    def _take(self, wanted: Wanted, nets: Sequence[Extractor]) -> list[FeatureSet]:
        images, ids, keep, fresh, moments, score = wanted
        how = {"keep": keep, "moments": moments}
        if fresh:
            return features.extract_by_all(images, ids, nets, score=score, **how)
        return features.cached(cache_root(), images, ids, nets, log=self.log, **how)


def order(protocol: Protocol, images: Images) -> np.ndarray:
    """A set shuffled by the seed: folders come sorted, class after class, and any part must stand
    for the whole."""
    return np.random.default_rng(protocol.seed).permutation(images.count)


def _fake(now: Shared) -> Wanted:
    ids = order(now.protocol, now.sets.fake)
    return Wanted(now.sets.fake, ids, KEEP, True, now.moments, now.logits)


def _real(now: Shared) -> Wanted:
    return Wanted(now.sets.real, now.reference, KEEP, moments=now.moments)


def _train(now: Shared) -> Wanted:
    """All training images, or AUDIT of them."""
    ids = order(now.protocol, now.sets.real)[:AUDIT]
    if len(ids) == len(now.reference) <= KEEP:
        return _real(now)
    return Wanted(now.sets.real, ids, AUDIT)


def _held_out(now: Shared) -> Wanted | None:
    if now.sets.held_out is None:
        return None
    return Wanted(now.sets.held_out, order(now.protocol, now.sets.held_out)[:KEEP], KEEP)


def _in_order(images: Images, count: int) -> Wanted:
    return Wanted(images, np.arange(count), count, fresh=True)


def _translations(now: Shared) -> Wanted:
    return _in_order(now.translations, now.sets.fake.count)


def _contents(now: Shared) -> Wanted:
    contents = now.sets.contents
    return _in_order(contents, min(contents.count, now.sets.fake.count))


SETS = {  # name, as in Needs.features -> (Shared) -> which pictures it is
    "fake": _fake,  # generated pictures, shuffled by the seed
    "real": _real,  # at most config.eval.reference real pictures, shuffled by the seed
    "train": _train,  # all real pictures, or AUDIT of them, shuffled by the seed
    "held_out": _held_out,  # held-out real pictures, shuffled by the seed; absent without any
    "translations": _translations,  # a translator's pictures, picture i first made of content i
    "contents": _contents,  # the pictures that were translated, in their order
}
