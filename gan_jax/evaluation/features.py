"""Sets of pictures -> what metrics need of them: features by a frozen net, over devices and
processes, streamed, cached.

Every device runs one program on `batch` pictures, whatever the number of devices and processes, and
results are joined in the order of the pictures: so the numbers are the same to the last digit
however many share the work.
"""

import dataclasses
import hashlib
import json
import pathlib
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from gan_jax.algorithms.base import Game, Translator, Variables, to_float
from gan_jax.data import corruptions
from gan_jax.data.source import Source
from gan_jax.metrics.frechet import Moments
from gan_jax.metrics.inception_score import Score, ScoreSums
from gan_jax.pretrained import Net
from gan_jax.runtime.files import damage_in, made_once

_LOCAL = "local_devices"
CACHE_VERSION = 1  # of what is stored of reference sets; raise it when their making changes


@dataclasses.dataclass(frozen=True, eq=False)
class Images:
    """A set of pictures by number; any process can make any of them, and each is the same every
    time.

    Attributes:
        load: int64 [n] -> uint8 [n, H, W, C].
        count: how many there are.
        labels: int32 [count], or None.
        classes: their names.
        colors: attribute, as "skin" -> f32 [count, 3], each picture's true sRGB colour of 255; {}
            where none is known.
    """

    load: Callable[[np.ndarray], np.ndarray]
    count: int
    labels: np.ndarray | None = None
    classes: tuple[str, ...] = ()
    colors: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)

    def corrupted(self, kind: str, strength: float) -> "Images":
        change = lambda ids: corruptions.corrupt(self.load(ids), kind, strength, ids)
        return dataclasses.replace(self, load=change)


def of_source(source: Source) -> Images:
    """A data source's pictures, in its order. It must not augment: `evaluate.plain` gives settings
    that do not."""
    load = lambda ids: source.load(ids, np.zeros(len(ids), np.uint64))["image"]
    return Images(load, len(source), source.targets, tuple(source.classes), source.colors)


def held(images: Images, ids: np.ndarray) -> Images:
    """The pictures `ids`, loaded once and kept."""
    pixels, labels = images.load(ids), None if images.labels is None else images.labels[ids]
    colors = {name: values[ids] for name, values in images.colors.items()}
    return dataclasses.replace(
        images, load=lambda i: pixels[i], count=len(ids), labels=labels, colors=colors
    )


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
    return Sides(first, second, second if source.partner == "paired" else None)


class BatchSampler:
    """A game's generator, compiled once, as a maker of pictures: number i is drawn by (seed, i)
    alone.

    A translator's is picture i of `contents`, from the start again after the last, in a style drawn
    from that z.
    """

    def __init__(self, game: Game, *, seed: int, truncation: float | None, batch: int):
        """batch: pictures a device draws at a time."""
        self._spread = _Spread(batch)
        self._prepare = lambda ema: game.prepare_for_sampling(ema, jax.random.key(seed))

        def draw(ema, ids, y, pixels):
            keys = jax.vmap(lambda i: jax.random.fold_in(jax.random.key(seed), i))(ids)
            z = jax.vmap(lambda key: game.latent(key, 1, truncation)[0])(keys)
            if isinstance(game, Translator):
                x = game.translate(ema, to_float(pixels), z, y)
            else:
                noises = jax.vmap(lambda key: jax.random.fold_in(key, 1))(keys)
                x = game.sample_to_measure(ema, noises, z, y, truncation)
            pixels = jnp.clip(jnp.rint((x + 1) * 127.5), 0, 255).astype(jnp.uint8)
            return pixels, jnp.isfinite(x).all((1, 2, 3))

        self._draw = self._spread.compile(draw)

    def images(
        self,
        ema: Variables,
        count: int,
        labels: np.ndarray | None,
        classes: tuple[str, ...] = (),
        contents: Images | None = None,
    ) -> Images:
        """`count` pictures by the weights `ema`; labels int32 [count], or None for an unconditional
        generator.

        contents: what a translator turns into others.

        Loading raises ValueError where a picture holds NaN or infinity: the generator has diverged.
        """
        ema = self._spread.whole(self._prepare(ema))

        def load(ids):
            y = None if labels is None else labels[ids]
            done = []
            for start in range(0, len(ids), self._spread.rows):
                part = slice(start, start + self._spread.rows)
                fill = lambda x, part=part: np.resize(x[part], self._spread.rows).astype(np.int32)
                pixels = None
                if contents is not None:
                    pixels = contents.load(fill(ids) % contents.count)
                pictures, finite = self._draw(
                    ema, fill(ids), None if y is None else fill(y), pixels
                )
                bad = ids[part][~np.asarray(finite)[: len(ids[part])]]
                if len(bad):
                    raise ValueError(
                        f"generated image {bad[0]} holds NaN or infinity: these weights have"
                        " diverged."
                    )
                done.append(np.asarray(pictures)[: len(ids[part])])
            return np.concatenate(done)

        return Images(load, count, labels, classes)


class Extractor:
    """A feature net on all of this process's devices; several processes share a set of pictures."""

    def __init__(self, net: Net, batch: int = 32):
        """batch: pictures a device sees at a time; changes the speed and the memory, and features
        by rounding only."""
        self.net, self._spread = net, _Spread(batch)
        self.batch, self._apply = batch, self._spread.compile(net.apply)
        self._params = self._spread.whole(net.params)

    def stream(
        self, images: Images, ids: np.ndarray
    ) -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
        """(features f32 [n, F], logits f32 [n, L] or None) in the order of `ids`, on every
        process."""
        rows, processes = self._spread.rows, jax.process_count()
        mine = slice(jax.process_index() * rows, (jax.process_index() + 1) * rows)
        waiting = None
        for start in range(0, len(ids), rows * processes):
            chunk = ids[start : start + rows * processes]
            found = self._apply(self._params, images.load(np.resize(chunk, rows * processes)[mine]))
            if waiting is not None:  # computed while the next pictures were loaded
                yield _gathered(*waiting)
            waiting = (found, len(chunk))
        if waiting is not None:
            yield _gathered(*waiting)


class Statistics(NamedTuple):
    """Of some pictures of a set, under one net."""

    ids: np.ndarray  # int64 [n], which pictures, in the order they were taken
    kept: np.ndarray  # f32 [m, F], features of the first m of them
    moments: Moments | None  # of all n features
    score: Score | None  # inception score of all n


def statistics(
    images: Images,
    ids: np.ndarray,
    extractor: Extractor,
    *,
    keep: int,
    moments: bool = False,
    score: bool = False,
) -> Statistics:
    """One pass over the pictures `ids`; of their features only the first `keep` stay in memory."""
    net, kept, room = extractor.net, [], keep
    gathered = Moments(net.dim) if moments else None
    sums = ScoreSums(len(ids), net.n_logits) if score else None
    for features, logits in extractor.stream(images, ids):
        if room:
            kept.append(features[:room].copy())  # a view would keep the whole block in memory
            room -= len(kept[-1])
        if gathered:
            gathered.add(features)
        if sums:
            sums.add(logits)
    kept = np.concatenate(kept) if kept else np.zeros((0, net.dim), np.float32)
    return Statistics(ids, kept, gathered and gathered.finish(), sums and sums.score())


def cached(
    root: pathlib.Path,
    images: Images,
    ids: np.ndarray,
    extractor: Extractor,
    *,
    keep: int,
    moments: bool,
    log: Callable[[str], None],
) -> Statistics:
    """`statistics` of a reference set, from the cache under `root` where these pixels were measured
    before.

    The key is a SHA-256 of the pictures' pixels, of the net's weights and of what decides rounding:
    device and batch. A damaged entry is said and made again; a cache that can't be written is said,
    and the numbers are computed all the same.
    """
    first = jax.process_index() == 0
    entry = root / "statistics" / _key(images, ids, extractor, keep, moments) if first else None
    stored = _stored(entry) if first else None
    if broadcast_from_first_process(stored is not None):
        return (
            stored._replace(ids=ids)
            if first
            else Statistics(ids, np.zeros((0, 0), np.float32), None, None)
        )
    log(f"measuring {len(ids):,} reference images by {extractor.net.name}, once")
    found = statistics(images, ids, extractor, keep=keep, moments=moments)
    if first:
        try:
            made_once(entry, lambda aside: _store(aside / "entry", found))
        except OSError as error:
            log(f"the reference statistics can't be kept in {root}: {error}. Going on without.")
    return found


def broadcast_from_first_process(flag: bool) -> bool:
    """Process 0's word, on every process."""
    return (
        bool(multihost_utils.broadcast_one_to_all(np.bool_(flag)))
        if jax.process_count() > 1
        else flag
    )


class _Spread:
    """One program on each of this process's devices, each with `batch` rows."""

    def __init__(self, batch: int):
        mesh = Mesh(np.array(jax.local_devices()), (_LOCAL,))
        self.rows = batch * mesh.size
        self._mesh, self._whole = mesh, NamedSharding(mesh, PartitionSpec())

    def compile(self, fn: Callable) -> Callable:
        """fn(whole, *rows) -> rows, each rows [batch, ...] on a device."""
        rows = PartitionSpec(_LOCAL)

        def spread(whole, *args):
            inner = jax.shard_map(
                fn,
                mesh=self._mesh,
                in_specs=(PartitionSpec(), *[rows] * len(args)),
                out_specs=rows,
                check_vma=False,
            )
            return inner(whole, *args)

        return jax.jit(spread)

    def whole(self, tree):
        """A copy of each array on each device; also of arrays that are replicated over other
        processes' devices."""
        local = lambda x: x.addressable_data(0) if isinstance(x, jax.Array) else x
        return jax.tree.map(lambda x: jax.device_put(np.asarray(local(x)), self._whole), tree)


def _gathered(found, n):
    """This process's features -> all processes', the first n, as numpy."""
    if jax.process_count() > 1:
        found = jax.tree.map(
            lambda x: multihost_utils.process_allgather(np.asarray(x), tiled=True), found
        )
    features, logits = jax.tree.map(lambda x: np.asarray(x)[:n], tuple(found))
    return features, logits


def _key(images, ids, extractor, keep, moments):
    net, pixels = extractor.net, hashlib.sha256()
    for start in range(0, len(ids), 256):
        part = images.load(ids[start : start + 256])
        pixels.update(repr(part.shape[1:]).encode() + np.ascontiguousarray(part).tobytes())
    about = [CACHE_VERSION, pixels.hexdigest(), net.name, net.sha256, net.resize, keep, moments]
    about += [extractor.batch, jax.local_devices()[0].device_kind]
    return hashlib.sha256(json.dumps(about).encode()).hexdigest()[:32]


def _store(folder: pathlib.Path, found: Statistics) -> pathlib.Path:
    folder.mkdir()
    np.save(folder / "kept.npy", found.kept)
    if found.moments:
        np.savez(folder / "moments.npz", **found.moments.arrays())
    return folder


def _stored(folder: pathlib.Path) -> Statistics | None:
    """The entry, if it is there and as it was written."""
    if damage_in(folder) is not None:  # `made_once` will say so where something was there
        return None
    path = folder / "moments.npz"
    arrays: Mapping = np.load(path, allow_pickle=False) if path.is_file() else {}
    moments = (
        Moments.of_arrays(**{name: arrays[name] for name in ("n", "mean", "scatter")})
        if arrays
        else None
    )
    return Statistics(
        np.zeros(0, np.int64), np.load(folder / "kept.npy", allow_pickle=False), moments, None
    )
