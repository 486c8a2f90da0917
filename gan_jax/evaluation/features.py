"""Features of sets of pictures by a frozen net: over devices and processes, streamed, cached.

Every device runs one program on `batch` pictures, whatever the number of devices and processes, and
results are joined in the order of the pictures: so the numbers are the same to the last digit
however many share the work.
"""

import hashlib
import json
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import jax
import numpy as np
from jax.experimental import multihost_utils

from gan_jax.evaluation.images import Images, remembering
from gan_jax.evaluation.local_devices import LocalDevices
from gan_jax.evaluation.nets import Nets
from gan_jax.metrics.frechet import Moments
from gan_jax.metrics.inception_score import Score, ScoreSums
from gan_jax.pretrained import Net
from gan_jax.runtime.files import damage_in, made_once

CACHE_VERSION = 1  # of what is stored of reference sets; raise it when their making changes


class Extractor:
    """A feature net on all of this process's devices; several processes share a set of pictures."""

    def __init__(self, net: Net, batch: int = 32):
        """batch: pictures a device sees at a time; changes the speed and the memory, and features
        by rounding only."""
        self.net, self._devices = net, LocalDevices(batch)
        self.batch, self._apply = batch, self._devices.compile(net.apply)
        self._params = self._devices.replicate(net.params)

    def stream(
        self, images: Images, ids: np.ndarray
    ) -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
        """(features f32 [n, F], logits f32 [n, L] or None)
        in the order of `ids`, on every process."""
        rows, processes = self._devices.rows, jax.process_count()
        mine = slice(jax.process_index() * rows, (jax.process_index() + 1) * rows)
        waiting = None
        for start in range(0, len(ids), rows * processes):
            chunk = ids[start : start + rows * processes]
            found = self._apply(self._params, images.load(np.resize(chunk, rows * processes)[mine]))
            if waiting is not None:  # computed while the next pictures were loaded
                yield _allgather(*waiting)
            waiting = (found, len(chunk))
        if waiting is not None:
            yield _allgather(*waiting)


class Extractors:
    """An `Extractor` of each net that is asked for, made once."""

    def __init__(self, nets: Nets, batch: int = 32):
        """batch: as Extractor's."""
        self.nets, self.batch, self._made = nets, batch, {}

    def of(self, net: Net) -> Extractor:
        if net not in self._made:
            self._made[net] = Extractor(net, self.batch)
        return self._made[net]


class FeatureSet(NamedTuple):
    """Features of some pictures of a set, by one net."""

    ids: np.ndarray  # int64 [n], which pictures, in the order they were taken
    kept: np.ndarray  # f32 [m, F], features of the first m of them
    moments: Moments | None  # of all n features
    score: Score | None  # inception score of all n


class _Sums:
    """What becomes a FeatureSet, block by block."""

    def __init__(self, net: Net, ids: np.ndarray, keep: int, moments: bool, score: bool):
        self.ids, self.dim, self.room, self.kept = ids, net.dim, keep, []
        self.moments = Moments(net.dim) if moments and net.dim else None
        self.score = ScoreSums(len(ids), net.n_logits) if score and net.n_logits else None

    def took_from(self, stream: Iterator[tuple[np.ndarray, np.ndarray | None]]) -> bool:
        """Adds the next block; False: there is none."""
        block, logits = next(stream, (None, None))
        if block is None:
            return False
        if self.room:
            self.kept.append(block[: self.room].copy())  # a view would keep all of it in memory
            self.room -= len(self.kept[-1])
        if self.moments:
            self.moments.add(block)
        if self.score:
            self.score.add(logits)
        return True

    def finish(self) -> FeatureSet:
        kept = np.concatenate(self.kept) if self.kept else np.zeros((0, self.dim), np.float32)
        moments = self.moments and self.moments.finish()
        return FeatureSet(self.ids, kept, moments, self.score and self.score.score())


def extract(
    images: Images, ids: np.ndarray, extractor: Extractor, *, keep: int, **further: bool
) -> FeatureSet:
    """`extract_by_all`, by one net."""
    (found,) = extract_by_all(images, ids, (extractor,), keep=keep, **further)
    return found


def extract_by_all(
    images: Images,
    ids: np.ndarray,
    extractors: Sequence[Extractor],
    *,
    keep: int,
    moments: bool = False,
    score: bool = False,
) -> list[FeatureSet]:
    """One pass over the pictures `ids`, by several nets; of their features only the first `keep`
    stay in memory.

    moments, score: of the nets that have a fixed number of features, and that classify.
    """
    sums = [_Sums(extractor.net, ids, keep, moments, score) for extractor in extractors]
    shared = images if len(extractors) == 1 else remembering(images)
    more = [(each, e.stream(shared, ids)) for each, e in zip(sums, extractors, strict=True)]
    while more:  # in step, so that pictures are loaded once
        more = [(each, stream) for each, stream in more if each.took_from(stream)]
    return [each.finish() for each in sums]


def cached(
    root: pathlib.Path,
    images: Images,
    ids: np.ndarray,
    extractors: Sequence[Extractor],
    *,
    keep: int,
    moments: bool,
    log: Callable[[str], None],
) -> list[FeatureSet]:
    """`extract_by_all` of a reference set, net by net from the cache under `root` where these
    pixels were measured before. Of several processes only the first has them.

    The key is a SHA-256 of the pictures' pixels, of the net's weights and of what decides rounding:
    device and batch. A damaged entry is logged and made again; where the cache can't be
    written, that is logged, and the numbers are computed all the same.
    """
    first = jax.process_index() == 0
    pixels = _pixels(images, ids) if first else ""
    entries = [root / "statistics" / _key(pixels, e, keep, moments) for e in extractors]
    stored = [_stored(entry) if first else None for entry in entries]
    absent = [not broadcast_from_first_process(entry is not None) for entry in stored]
    missing = [extractor for extractor, gone in zip(extractors, absent, strict=True) if gone]
    if missing:
        names = " and ".join(extractor.net.name for extractor in missing)
        log(f"measuring {len(ids):,} reference images by {names}, once")
        found = iter(extract_by_all(images, ids, missing, keep=keep, moments=moments))
    results = []
    for entry, old, gone in zip(entries, stored, absent, strict=True):
        new = next(found) if gone else None
        if new is not None and first:
            try:
                made_once(entry, lambda aside, new=new: _store(aside / "entry", new))
            except OSError as error:
                log(f"the reference features can't be kept in {root}: {error}. Going on without.")
        elsewhere = FeatureSet(ids, np.zeros((0, 0), np.float32), None, None)
        results.append(new or (old._replace(ids=ids) if first else elsewhere))
    return results


def broadcast_from_first_process(flag: bool) -> bool:
    """Process 0's word, on every process."""
    return (
        bool(multihost_utils.broadcast_one_to_all(np.bool_(flag)))
        if jax.process_count() > 1
        else flag
    )


def _allgather(found, n):
    """This process's features -> all processes', the first n, as numpy."""
    if jax.process_count() > 1:
        found = jax.tree.map(
            lambda x: multihost_utils.process_allgather(np.asarray(x), tiled=True), found
        )
    features, logits = jax.tree.map(lambda x: np.asarray(x)[:n], tuple(found))
    return features, logits


def _pixels(images, ids):
    found = hashlib.sha256()
    for start in range(0, len(ids), 256):
        part = images.load(ids[start : start + 256])
        found.update(repr(part.shape[1:]).encode() + np.ascontiguousarray(part).tobytes())
    return found.hexdigest()


def _key(pixels, extractor, keep, moments):
    net = extractor.net
    about = [CACHE_VERSION, pixels, net.name, net.sha256, net.resize, keep, moments]
    about += [extractor.batch, jax.local_devices()[0].device_kind]
    return hashlib.sha256(json.dumps(about).encode()).hexdigest()[:32]


def _store(folder: pathlib.Path, found: FeatureSet) -> pathlib.Path:
    folder.mkdir()
    np.save(folder / "kept.npy", found.kept)
    if found.moments:
        np.savez(folder / "moments.npz", **found.moments.arrays())
    return folder


def _stored(folder: pathlib.Path) -> FeatureSet | None:
    """The entry, if it is there and as it was written."""
    if damage_in(folder) is not None:  # `made_once` will say so where something was there
        return None
    path = folder / "moments.npz"
    arrays: Mapping = np.load(path, allow_pickle=False) if path.is_file() else {}
    moments = None
    if arrays:
        moments = Moments.of_arrays(**{name: arrays[name] for name in ("n", "mean", "scatter")})
    return FeatureSet(
        np.zeros(0, np.int64), np.load(folder / "kept.npy", allow_pickle=False), moments, None
    )
