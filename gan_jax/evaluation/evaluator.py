"""A generator against its data -> the record of an evaluation. On a fixed seed."""

import dataclasses
import pathlib
import time
from collections.abc import Mapping, Sequence

import numpy as np

from gan_jax import checkpoint
from gan_jax.algorithms.base import Game, Variables
from gan_jax.data.source import Source, open_source
from gan_jax.distributed import agreement
from gan_jax.evaluation import checks, measures, nets, record
from gan_jax.evaluation.checks import merged, plain, varied
from gan_jax.evaluation.features import Extractors
from gan_jax.evaluation.gather import Log
from gan_jax.evaluation.images import Images, Sets, Sides, sides
from gan_jax.evaluation.protocol import Protocol
from gan_jax.evaluation.sampler import BatchSampler


def shares(labels: np.ndarray, n: int, seed: int) -> np.ndarray:
    """int32 [n]: each label as often, for its share, as among `labels`; in an order by the seed."""
    middle = (np.arange(n) + 0.5) * len(labels) / n
    ordered = np.sort(labels)[middle.astype(int)]
    return np.random.default_rng([seed, 1]).permutation(ordered).astype(np.int32)


class Evaluator:
    """What is compared in a run: the real pictures, opened once, and the generator's, drawn anew
    each time.

    Attributes:
        protocol: with the metrics that there is enough for.
        nets: which see the pictures.
        sets: what is compared; nothing is drawn yet.
    """

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
        lenient: a metric that lacks something is left out, and the reason logged.
        choosing: a checkpoint is chosen by the numbers: `protocol.validation`, if given, stands in
            for `held_out`.
        Raises:
            ValueError: no such net, file or split; a metric that lacks something.
        """
        self.log = log
        self.nets = nets.load(protocol, game.frozen.values())
        agreement.agree({"networks of config.eval": self.nets.hashes()})
        if self.nets.added:
            log(self.nets.why_added())
        settings = plain(merged(data, protocol.data))
        own = source if settings == dict(data) else open_source(settings)
        shown = self._sides(own, source, game, "config.eval.data: the real pictures")
        real, held_out = shown.real, None
        self.apart, place = protocol.apart(choosing)
        if self.apart is not None and (
            game.translates or any(m.needs.held_out for m in measures.find(protocol.metrics))
        ):
            apart = open_source(plain(merged(settings, self.apart)))
            shown = self._sides(apart, source, game, f"{place}: these pictures")
            held_out = shown.real
        self.fingerprint = own.fingerprint
        self.split = settings.get("split", own.split)
        labels = shares(real.labels, protocol.images, protocol.seed) if source.classes else None
        self.extractors = Extractors(self.nets, protocol.batch)
        how = {"seed": protocol.seed, "truncation": protocol.truncation, "batch": protocol.batch}
        self.sampler = BatchSampler(game, **how)
        self.sets = Sets(
            Images(lambda ids: None, protocol.images, labels, tuple(source.classes)),
            real,
            held_out,
            trained_on=len(source) if trained else None,
        )
        if game.translates:
            of_translator = {"contents": shown.contents, "truth": shown.truth}
            self.sets = dataclasses.replace(self.sets, varied=varied(game), **of_translator)
        self.protocol = self._with_enough(protocol, lenient)

    def _sides(self, own: Source, training: Source, game: Game, what: str) -> Sides:
        """Raises ValueError where a source's pictures are not as those of training."""
        if own.shape != training.shape or own.classes != training.classes:
            raise ValueError(
                f"{what} are {list(own.shape)} in {len(own.classes)}"
                f" classes, the training's {list(training.shape)} in {len(training.classes)}. Both"
                f" must be alike.{other_classes(training.classes, own.classes)}"
            )
        return sides(own, game.contents or "a")

    def _with_enough(self, protocol: Protocol, lenient: bool) -> Protocol:
        reasons, partly = checks.reasons(protocol, self.sets, self.nets)
        if lenient and all(reasons.values()):
            raise ValueError(
                f"config.eval: nothing can be measured: {next(iter(reasons.values()))}"
            )
        for reason in filter(None, reasons.values()):
            if not lenient:
                raise ValueError(f"config.eval: {reason}")
            self.log(f"left out: {reason}")
        for reason in partly:
            self.log(f"left out {reason}")
        enough = tuple(metric for metric, reason in reasons.items() if not reason)
        return dataclasses.replace(protocol, metrics=enough)

    def __call__(
        self, ema: Variables, *, step: int, images: int, folder: pathlib.Path | None
    ) -> dict:
        """The record of a generator: `record.measure`'s, with "step", "images", "protocol",
        "seconds".

        Args:
            ema: the weights.
            step, images: where training stands.
            folder: the workdir; pictures go below it. None: none are drawn.
        """
        began = time.monotonic()
        self.log(
            f"evaluating {self.protocol.images:,} images by {', '.join(self.protocol.metrics)}"
        )
        weights, classes = self.sampler.prepare(ema), self.sets.fake.classes

        def draw(contents: Images | None, count: int, labels: np.ndarray | None) -> Images:
            return self.sampler.images(weights, count, labels, classes, contents)

        def translate(contents: Images, labels: np.ndarray | None) -> Images:
            return draw(contents, contents.count, labels)

        fake = draw(self.sets.contents, self.sets.fake.count, self.sets.fake.labels)
        sets = dataclasses.replace(self.sets, fake=fake, translate=translate)
        place = folder / "evaluation" / f"{images:010d}" if folder is not None else None
        found = record.measure(self.protocol, sets, self.extractors, place, self.log)
        for picture in found.get("pictures", {}).values():
            picture["file"] = pathlib.Path(picture["file"]).relative_to(folder).as_posix()
        seconds = round(time.monotonic() - began, 1)
        about = {"protocol": self.stamp(), "seconds": seconds}
        return {"step": step, "images": images, **found, **about}

    def stamp(self) -> dict:
        """All that a number depends on beside the weights."""
        made = record.stamp(self.protocol, self.nets, self.protocol.images, self.sets.real.count)
        return made | {
            "split": self.split,
            "data": self.fingerprint[:16],
            "held_out": self.apart if self.sets.held_out else None,
            "truncation": self.protocol.truncation,
            "weights": "averaged (EMA)",
        }


def other_classes(theirs: Sequence[str], own: Sequence[str]) -> str:
    """What differs between two lists of class names, as a sentence with a space before it;
    or nothing."""
    other = checkpoint.other_classes(theirs, own)
    return f" The labels mean other classes: {other}." if other else ""
