"""A run's generator against its data -> a record of numbers, beside the protocol that gave them. On
a fixed seed."""

import dataclasses
import functools
import json
import pathlib
import platform
import subprocess
import time
from collections.abc import Mapping, Sequence

import jax
import numpy as np

import gan_jax
from gan_jax import checkpoint, pretrained
from gan_jax.algorithms import check_partner
from gan_jax.algorithms.base import Game, Translator
from gan_jax.config import Config, differences
from gan_jax.data import pairs
from gan_jax.data.source import Source, open_source, outline
from gan_jax.data.view import View
from gan_jax.distributed import agreement
from gan_jax.distributed.parallel import any_process
from gan_jax.evaluation import features
from gan_jax.evaluation.features import Extractor, Images
from gan_jax.evaluation.measure import AUDIT, Log, measure
from gan_jax.evaluation.protocol import (
    KEEP,
    METRICS,
    TRANSLATORS,
    USE_HELD_OUT,
    Protocol,
    Sets,
    lacking,
)
from gan_jax.inference import loading
from gan_jax.reporting.writer import Writer
from gan_jax.runtime import registry
from gan_jax.runtime.files import append_line
from gan_jax.runtime.text import shown
from gan_jax.state import TrainState

BETTER = {"kid": -1, "fid": -1, "is": 1, "precision": 1, "recall": 1, "density": 1, "coverage": 1, "diversity": 1,
          "cas": 1}  # fmt: skip

TESTS = {  # settings that name test pictures -> how to have a best checkpoint all the same
    "config.eval.held_out": (
        "Name others to choose by: config.eval.validation, as in {'split': 'validation'}."
    ),
    "config.eval.data": "Give config.eval.data with --mode eval only.",
}


def plain(data: Mapping) -> dict:
    """config.data as real pictures are measured: not flipped, not turned, cut from the middle."""
    kept = {
        key: plain(value) if key in pairs.SIDES and isinstance(value, Mapping) else value
        for key, value in data.items()
        if key not in ("flip", "rotate_degrees", "enlarge")
    }
    return kept | {"crop": "center"} if kept.get("crop") == "random" else kept


def merged(data: Mapping, other: Mapping) -> dict:
    """`data` with the settings of `other`, in the two sides of a translation too."""
    both = lambda key, value: (
        key in pairs.SIDES and isinstance(value, Mapping) and isinstance(data.get(key), Mapping)
    )
    inner = lambda key, value: merged(data[key], value) if both(key, value) else value
    return {**data, **{key: inner(key, value) for key, value in other.items()}}


def shares(labels: np.ndarray, n: int, seed: int) -> np.ndarray:
    """int32 [n]: each label as often, for its share, as among `labels`; in an order by the seed."""
    middle = (np.arange(n) + 0.5) * len(labels) / n
    return (
        np.random.default_rng([seed, 1])
        .permutation(np.sort(labels)[middle.astype(int)])
        .astype(np.int32)
    )


def check(
    protocol: Protocol, data: Mapping, game: Game, *, lenient: bool = False, choosing: bool = False
) -> pretrained.Net:
    """Raises ValueError for what an evaluation lacks, as far as it can be told before any picture
    is read.

    Returns the net that it will use. data: config.data. game: whose pictures are measured. lenient,
    choosing: as Evaluator's.
    """
    settings = plain(merged(data, protocol.data))
    real = outline(settings, "config.eval.data" if protocol.data else "config.data")
    apart, place = protocol.apart(choosing)
    held_out = None if apart is None else outline(plain(merged(settings, apart)), place)
    net = pretrained.load(protocol.features, protocol.weights, protocol.resize)
    if lenient or real.shape is None:
        return net
    images = lambda about, count: Images(
        lambda ids: np.zeros((len(ids), *real.shape), np.uint8),
        count,
        np.arange(count, dtype=np.int32) % about.classes if about.classes else None,
        tuple(map(str, range(about.classes))),
        {"skin": np.zeros((count, 3))} if data["source"] == "avatars" else {},
    )
    many = protocol.reference
    sets = Sets(
        images(real, protocol.images), images(real, many), held_out and images(held_out, many)
    )
    if isinstance(game, Translator):
        truth = (held_out or real).partner == "paired"
        sets = dataclasses.replace(
            sets,
            contents=images(real, many),
            truth=images(real, many) if truth else None,
            varied=jax.eval_shape(lambda: game.latent(jax.random.key(0), 1)).shape[1] > 0,
        )
    for metric in protocol.metrics:
        if (
            metric not in ("style", "diversity") or not real.classes
        ):  # these ask how many there are of each class
            reason = lacking(protocol, metric, sets, net)
            if reason:
                raise ValueError(f"config.eval: {reason}")
    return net


def best_value(protocol: Protocol, net: pretrained.Net) -> str:
    """The value that chooses the best checkpoint.

    Raises:
        ValueError: it is none of those measured.
    """
    stems = [stem for metric in protocol.metrics for stem in metric.split("_") if stem in BETTER]
    names = [f"{stem}{net.suffix}" for stem in stems] + ["cas"] * ("usefulness" in protocol.metrics)
    if protocol.best is None:
        if not names:
            raise ValueError(
                "config.eval.metrics: none of them tells which checkpoint is best; add 'kid'."
            )
        return names[0]
    return registry.choose({name: name for name in names}, protocol.best, "config.eval.best")


def best_on(protocol: Protocol, net: pretrained.Net, game: Game) -> str | None:
    """The setting that names the pictures on which training measures `best_value`; None: they are
    those it trains on.

    Raises:
        ValueError: config.eval.best would choose on the pictures that are to test what is chosen.
    """
    best = best_value(protocol, net)
    names = {
        name
        for key, x in protocol.data.items()
        for name in (x if isinstance(x, Mapping) else (key,))
    }
    settings, place = protocol.apart(choosing=True)
    if names - {field.name for field in dataclasses.fields(View)}:
        place = "config.eval.data"
    elif settings is None or not (isinstance(game, Translator) or best == "cas"):
        return None
    if place in TESTS and protocol.best is not None:
        raise ValueError(
            f"config.eval.best={best!r}: it is measured on the pictures that are to test it."
            f" {TESTS[place]}"
        )
    return place


class Evaluator:
    """What is compared in a run: the real pictures, opened once, and the generator's, drawn anew
    each time."""

    def __init__(
        self,
        protocol: Protocol,
        data: Mapping,
        source: Source,
        game: Game,
        log: Log,
        *,
        trained: bool = True,
        lenient: bool = False,
        choosing: bool = False,
    ):
        """data: config.data; source: what it opened, used here too where it does not augment.

        trained: whether the generator was trained on `source`.
        game: whose pictures are measured. A translator's are made of the held-out ones where there
            are any.
        lenient: a metric that lacks something is left out, and the reason said.
        choosing: a checkpoint is chosen by the numbers: `protocol.validation`, if given, stands in
            for `held_out`.
        Raises:
            ValueError: no such net, file or split; a metric that lacks something.
        """
        self.log = log
        self.net = pretrained.load(protocol.features, protocol.weights, protocol.resize)
        settings = plain(merged(data, protocol.data))
        contents = game.contents if isinstance(game, Translator) else None
        own = source if settings == dict(data) else open_source(settings)
        sides = features.sides(own, contents or "a")
        self.real = sides.real
        if own.shape != source.shape or own.classes != source.classes:
            raise ValueError(
                f"config.eval.data: the real pictures are {list(own.shape)} in {len(own.classes)}"
                f" classes, the training's {list(source.shape)} in {len(source.classes)}. Both must"
                f" be alike.{_other_classes(source.classes, own.classes)}"
            )
        self.held_out, (self.apart, place) = None, protocol.apart(choosing)
        if self.apart is not None and (contents or USE_HELD_OUT & set(protocol.metrics)):
            apart = open_source(plain(merged(settings, self.apart)))
            sides = features.sides(apart, contents or "a")
            self.held_out = sides.real
            if apart.shape != source.shape or apart.classes != source.classes:
                raise ValueError(
                    f"{place}: these pictures are {list(apart.shape)} in {len(apart.classes)}"
                    f" classes, the training's {list(source.shape)} in {len(source.classes)}. Both"
                    f" must be alike.{_other_classes(source.classes, apart.classes)}"
                )
        self.fingerprint = own.fingerprint
        self.split = settings.get("split", own.split)
        self.classes = tuple(source.classes)
        self.labels = None
        if self.classes:
            self.labels = shares(self.real.labels, protocol.images, protocol.seed)
        self.extractor = Extractor(self.net, protocol.batch)
        how = {"seed": protocol.seed, "truncation": protocol.truncation, "batch": protocol.batch}
        self.drawing = features.BatchSampler(game, **how)
        self.given = {
            "real": self.real,
            "held_out": self.held_out,
            "trained_on": len(source) if trained else None,
        }
        if contents:
            self.given |= {"contents": sides.contents, "truth": sides.truth}
            self.given["varied"] = (
                jax.eval_shape(lambda: game.latent(jax.random.key(0), 1)).shape[1] > 0
            )
        known = Sets(
            Images(lambda ids: None, protocol.images, self.labels, self.classes), **self.given
        )
        reasons = {
            metric: lacking(protocol, metric, known, self.net) for metric in protocol.metrics
        }
        if lenient and all(reasons.values()):
            raise ValueError(
                f"config.eval: nothing can be measured: {next(iter(reasons.values()))}"
            )
        for reason in filter(None, reasons.values()):
            if not lenient:
                raise ValueError(f"config.eval: {reason}")
            log(f"left out: {reason}")
        self.protocol = dataclasses.replace(
            protocol, metrics=tuple(m for m, reason in reasons.items() if not reason)
        )

    @property
    def best(self) -> str:
        """As best_value, of the metrics there is enough for."""
        return best_value(self.protocol, self.net)

    def better(self, new: float, old: float | None) -> bool:
        """Whether a value of `best` beats another; NaN and infinity never do."""
        if not np.isfinite(new):
            return False
        sign = BETTER[self.best.removesuffix(self.net.suffix)]
        return old is None or not np.isfinite(old) or sign * new > sign * old

    def __call__(self, ema, *, step: int, images: int, folder: pathlib.Path | None) -> dict:
        """The record of a generator: values and the rest of `measure`, with "step", "images",
        "protocol", "seconds".

        Args:
            ema: the weights. step, images: where training stands.
            folder: the workdir; pictures go below it. None: none are drawn.
        """
        began = time.monotonic()
        self.log(
            f"evaluating {self.protocol.images:,} images by {', '.join(self.protocol.metrics)}"
        )
        draw = lambda contents, count, labels: self.drawing.images(
            ema, count, labels, self.classes, contents
        )
        fake = draw(self.given.get("contents"), self.protocol.images, self.labels)
        again = lambda contents, labels: draw(contents, contents.count, labels)
        sets = Sets(fake, **self.given, translate=again)
        place = folder / "evaluation" / f"{images:010d}" if folder is not None else None
        found = measure(self.protocol, sets, self.extractor, place, self.log)
        for picture in found.get("pictures", {}).values():
            picture["file"] = pathlib.Path(picture["file"]).relative_to(folder).as_posix()
        seconds = round(time.monotonic() - began, 1)
        return {
            "step": step,
            "images": images,
            **found,
            "protocol": self.stamp(),
            "seconds": seconds,
        }

    def stamp(self) -> dict:
        """All that a number depends on beside the weights."""
        return stamp(self.protocol, self.net, self.protocol.images, self.real.count) | {
            "split": self.split,
            "data": self.fingerprint[:16],
            "held_out": self.apart if self.held_out else None,
            "truncation": self.protocol.truncation,
            "weights": "averaged (EMA)",
        }


class BestCheckpoint:
    """Evaluates while training, and keeps the best checkpoint in `best`, beside the newest ones in
    `checkpoints`.

    None is kept where its measure is taken on pictures that are to test it: config.eval.held_out's,
    or others in config.eval.data. Each record says by what the best is chosen, under "best".
    """

    def __init__(
        self,
        config: Config,
        workdir: pathlib.Path,
        source: Source,
        game: Game,
        start: int,
        log: Log,
    ):
        """source: what config.data opened; start: the step the run goes on from.

        Raises ValueError as Evaluator, before anything is trained; and where config.eval.best is
        measured on test pictures.
        """
        protocol = registry.build(Protocol, config.eval, "config.eval")
        self.evaluator = Evaluator(protocol, config.data, source, game, log, choosing=True)
        self.name, self.batch, self.log = self.evaluator.best, config.batch, log
        on = best_on(protocol, self.evaluator.net, game)
        self.keeps = on not in TESTS
        self.chosen = f"by {self.name} on {on or 'training pictures'}"
        if not self.keeps:
            why = (
                f"{self.name} is measured on the pictures of {on}, which are to test what is chosen"
            )
            self.chosen = f"none: {why}"
            log(f"no best checkpoint is kept: {why}. {TESTS[on]}")
        self.workdir, folder = workdir, workdir / "best"
        if jax.process_index() == 0:
            for path in checkpoint.steps_in(folder):
                if int(path.name) > start:  # of a future that this run has not had yet
                    place = checkpoint.set_aside(path, "later")
                    log(
                        f"the best checkpoint was of step {path.name}, later than this run goes on"
                        f" from: kept as {place}."
                    )
        self.store = checkpoint.Store(folder, keep=1)
        stamp = self.evaluator.stamp()
        self.protocol = {
            key: stamp[key] for key in stamp if key not in ("commit", "versions", "device")
        }
        self.value = None  # the best so far
        if self.store.newest is not None:
            best = checkpoint.read_meta(folder / str(self.store.newest)).get("best", {})
            if best.get("protocol") == json.loads(json.dumps(self.protocol)):
                self.value = best.get(self.name)
            else:
                log(
                    f"the best checkpoint, step {self.store.newest}, was chosen by another"
                    " protocol: chosen anew."
                )

    def __call__(self, step: int, state: TrainState, meta: dict, writer: Writer | None) -> None:
        """Logs the numbers; saves the state, as Store.save takes it, where it beats all before."""
        found = self.evaluator(state.ema, step=step, images=step * self.batch, folder=self.workdir)
        found["best"] = self.chosen
        value = found["values"].get(self.name, float("nan"))  # on process 0 only
        if writer:
            writer.write_evaluation(step, found)
            for line in lines(found):
                self.log(f"  {line}")
        if self.keeps and any_process(self.evaluator.better(value, self.value)):
            kept = self.store.save(
                step, state, meta | {"best": {self.name: value, "protocol": self.protocol}}
            )
            if (
                self.store.finish() and kept
            ):  # else the reason was said, and the next to beat the old one is tried
                self.value = value
                self.log(
                    f"best {self.name} so far: {value:.5g} at step {step}, kept in"
                    f" {self.store.folder}"
                )

    def close(self) -> None:
        self.store.close()


def run(
    config: Config,
    workdir: pathlib.Path,
    path: str | None,
    metrics: Sequence[str] | None,
    overrides: Sequence[str] = (),
) -> dict:
    """Measures a checkpoint, prints the numbers and adds the record to the workdir's
    `evaluations.jsonl`.

    Args:
        config: its `data` and `eval`; the networks are the checkpoint's own, and where the config
            has others, that is said.
        path: of a checkpoint; None: the newest valid one in the workdir.
        metrics: names in METRICS; None: all for which there is enough; what is left out is said.
        overrides: of those in `config` the ones that were given on the command line, as loading.load_sampler
            takes them.
    """
    log = lambda text: print(shown(text), flush=True) if jax.process_index() == 0 else None
    registry.build(
        Protocol,
        dict(config.eval) | ({"metrics": tuple(metrics)} if metrics else {}),
        "config.eval",
    )
    sampler = loading.load_sampler(
        path or workdir, trusted=(config.algorithm, config.model), overrides=overrides
    )
    step = checkpoint.step_of(sampler.step)
    meta, now = (
        checkpoint.read_meta(sampler.step),
        json.loads(json.dumps(dataclasses.asdict(config))),
    )
    saved = registry.defaults(Config) | meta["config"]  # it may be older than a setting
    for line in differences(
        *({name: settings[name] for name in loading.GAME} for settings in (saved, now))
    ):
        if line.partition(":")[0].removeprefix("config.") not in sampler.changed:
            log(f"the checkpoint draws as it was trained, not as the config has it now: {line}")
    fitting = METRICS if isinstance(sampler.game, Translator) else METRICS.keys() - TRANSLATORS
    settings = dict(config.eval) | {
        "metrics": tuple(metrics or (name for name in METRICS if name in fitting))
    }
    protocol = registry.build(Protocol, settings, "config.eval")
    check(protocol, config.data, sampler.game, lenient=not metrics)
    workdir.mkdir(parents=True, exist_ok=True)
    source = open_source(config.data)
    agreement.agree({"the fingerprint of config.data": source.fingerprint})
    for note in source.notes:
        log(note)
    if source.shape != sampler.shape or tuple(source.classes) != sampler.classes:
        raise ValueError(
            f"config.data: pictures are {list(source.shape)} in {len(source.classes)} classes, but"
            f" {sampler.step} draws {list(sampler.shape)} in {len(sampler.classes)}. Give the"
            f" config the run was made with.{_other_classes(sampler.classes, source.classes)}"
        )
    check_partner(config, sampler.game, source)
    trained = meta["data"]["fingerprint"] == source.fingerprint
    evaluator = Evaluator(
        protocol, config.data, source, sampler.game, log, trained=trained, lenient=not metrics
    )
    log(f"the generator of {sampler.step}")
    record = evaluator(sampler.ema, step=step, images=step * sampler.batch, folder=workdir)
    if sampler.changed:
        record["protocol"]["redrawn"] = dict(sampler.changed)
    if jax.process_index() == 0:
        for line in lines(record):
            log(line)
        append_line(workdir / "evaluations.jsonl", record)
        log(f"by the protocol that stands beside them in {workdir / 'evaluations.jsonl'}")
    return record


def _other_classes(theirs: Sequence[str], own: Sequence[str]) -> str:
    other = checkpoint.other_classes(theirs, own)
    return f" The labels mean other classes: {other}." if other else ""


def stamp(protocol: Protocol, net: pretrained.Net, images: int, real: int) -> dict:
    """The protocol as it stands beside every number. images, real: how many there are of each
    side."""
    return {
        "images": images,
        "reference": min(protocol.reference, real),
        "audit": min(AUDIT, real),
        "features": {"name": net.name, "sha256": net.sha256, "dim": net.dim},
        "resize": f"{net.resize} to {net.side}" if net.side else "none",
        "range": "uint8 [0, 255]",
        "flips": False,
        "seed": protocol.seed,
        "kept": KEEP,
        "batch": protocol.batch,
        "robustness_images": protocol.robustness_images,
        "usefulness": dict(protocol.usefulness),
        "commit": commit(),
        "versions": {"gan_jax": gan_jax.__version__, "jax": jax.__version__, "numpy": np.__version__,
                     "python": platform.python_version()},
        "device": jax.devices()[0].device_kind,
    }  # fmt: skip


@functools.cache
def commit() -> str | None:
    """The checkout's commit, "-dirty" where files differ from it; None for an installed package."""
    root = pathlib.Path(gan_jax.__file__).parent.parent
    if not (root / ".git").exists():
        return None
    try:
        call = [
            "git",
            "-C",
            str(root),
            "describe",
            "--always",
            "--dirty",
            "--exclude=*",
            "--abbrev=12",
        ]
        found = subprocess.run(call, capture_output=True, text=True, timeout=30, encoding="utf-8")
    except (OSError, subprocess.TimeoutExpired):  # no git here
        return None
    return found.stdout.strip() or None


def lines(record: Mapping) -> Sequence[str]:
    """The record's values for people: "kid_efflite0  0.01234 ± 0.00056"."""
    values = record["values"]
    rows = []
    for name, value in values.items():
        if name.endswith(("_se", "_std")) and name.rsplit("_", 1)[0] in values:
            continue
        error = values.get(f"{name}_se", values.get(f"{name}_std"))
        note = record.get("notes", {}).get(name)
        line = f"{name:28} {value:.5g}" + ("" if error is None else f" ± {error:.2g}")
        rows.append(line + (f"  ({note})" if note else ""))
    for name, curves in record.get("curves", {}).items():
        for kind, points in curves.items():
            rows.append(
                f"{name} under {kind}: "
                + ", ".join(f"{strength:g}: {value:.4g}" for strength, value in points)
            )
    for name, table in record.get("tables", {}).items():
        rows += [f"{name}: " + " | ".join(table["columns"])]
        rows += ["  " + " | ".join(map(str, row)) for row in table["rows"]]
    return list(map(shown, rows))
