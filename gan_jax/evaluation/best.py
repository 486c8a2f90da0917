"""The best checkpoint of a run: by which value it is chosen,
on which pictures, and where it is kept."""

import dataclasses
import json
import pathlib
from collections.abc import Mapping
from typing import NamedTuple

import jax
import numpy as np

from gan_jax import checkpoint
from gan_jax.algorithms.base import Game
from gan_jax.config import Config
from gan_jax.data.source import Source
from gan_jax.data.view import View
from gan_jax.distributed.parallel import any_process
from gan_jax.evaluation import checks, measures, record
from gan_jax.evaluation.evaluator import Evaluator
from gan_jax.evaluation.gather import Log
from gan_jax.evaluation.images import Sets
from gan_jax.evaluation.nets import Nets
from gan_jax.evaluation.protocol import Protocol
from gan_jax.reporting.writer import Writer
from gan_jax.runtime import registry
from gan_jax.state import TrainState

TESTS = {  # settings that name test pictures -> how to have a best checkpoint all the same
    "config.eval.held_out": (
        "Name others to choose by: config.eval.validation, as in {'split': 'validation'}."
    ),
    "config.eval.data": "Give config.eval.data with --mode eval only.",
}
UNSTAMPED = ("commit", "versions", "device")  # of a protocol: a best is one under any of these


class Criterion(NamedTuple):
    """The value that chooses the best checkpoint.

    Attributes:
        name: the value's.
        better: 1: higher is better; -1: lower.
        on_held_out: whether its measure tests on held-out pictures, whatever the game.
    """

    name: str
    better: int
    on_held_out: bool

    def beats(self, new: float, old: float | None) -> bool:
        """Whether a value beats another; NaN and infinity never do."""
        if not np.isfinite(new):
            return False
        return old is None or not np.isfinite(old) or self.better * new > self.better * old


def criterion(protocol: Protocol, sets: Sets, nets: Nets) -> Criterion:
    """By config.eval.best, else by the first value of which less or more is better: in the order of
    config.eval.metrics, those last that are of classes or translations only. Never by a net that
    training looks through.

    Raises:
        ValueError: it is none of those measured, or one that tells nothing.
    """
    known, of_training = {}, {}
    for measure in sorted(measures.find(protocol.metrics), key=_rank):
        why = checks.lacking(measure, protocol, sets, nets, opened=False)
        for net in [net for net in why if why[net] is None] or why:
            for name, value in measure.declared(protocol, sets, net).items():
                if value.better:
                    seen = net.in_training and net.suffix in name and measure.by_net
                    on_held_out = measure.needs.held_out == "required"
                    found = of_training if seen else known
                    found[name] = Criterion(name, value.better, on_held_out)
    if protocol.best in of_training:
        raise ValueError(
            f"config.eval.best={protocol.best!r}: training looks through the network that it is"
            " measured by, which can't judge it. Choose by another:"
            f" {', '.join(known) or 'none; add a network to config.eval.features'}."
        )
    if protocol.best is not None:
        of = measures.measure_of(protocol.best)
        if protocol.best not in known and of not in (None, *protocol.metrics):
            raise ValueError(
                f"config.eval.best={protocol.best!r}: it is a value of the measure {of!r}, which"
                " config.eval.metrics lacks. Add it there."
            )
        return registry.choose(known, protocol.best, "config.eval.best")
    if not known:
        raise ValueError(
            "config.eval.metrics: none of them tells which checkpoint is best; add 'kid'."
        )
    return next(iter(known.values()))


def _rank(measure: measures.Measure) -> int:
    """A measure of any generator's pictures before one of classes or translations only."""
    return measure.order if measure.needs.labels or measure.needs.translator else 0


def chosen_on(protocol: Protocol, chosen: Criterion, game: Game) -> str | None:
    """The setting that names the pictures on which training measures a value; None: they are
    those it trains on.

    Raises:
        ValueError: config.eval.best would choose on the pictures that are to test what is chosen.
    """
    names = {
        name
        for key, x in protocol.data.items()
        for name in (x if isinstance(x, Mapping) else (key,))
    }
    settings, place = protocol.apart(choosing=True)
    if names - {field.name for field in dataclasses.fields(View)}:
        place = "config.eval.data"
    elif settings is None or not (game.translates or chosen.on_held_out):
        return None
    if place in TESTS and protocol.best is not None:
        raise ValueError(
            f"config.eval.best={chosen.name!r}: it is measured on the pictures that are to test it."
            f" {TESTS[place]}"
        )
    return place


def check(protocol: Protocol, data: Mapping, game: Game) -> None:
    """Raises ValueError as BestCheckpoint would, as far as it can be told before any picture is
    read. data: config.data."""
    sets, nets = checks.check(protocol, data, game, choosing=True)
    if sets is not None:
        chosen_on(protocol, criterion(protocol, sets, nets), game)


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
        self.workdir, self.batch, self.log = workdir, config.batch, log
        self.evaluator = Evaluator(protocol, config.data, source, game, log, choosing=True)
        evaluator = self.evaluator
        self.criterion = criterion(evaluator.protocol, evaluator.sets, evaluator.nets)
        name, on = self.criterion.name, chosen_on(protocol, self.criterion, game)
        self.keeps = on not in TESTS
        self.chosen = f"by {name} on {on or 'training pictures'}"
        if not self.keeps:
            why = f"{name} is measured on the pictures of {on}, which are to test what is chosen"
            self.chosen = f"none: {why}"
            log(f"no best checkpoint is kept: {why}. {TESTS[on]}")
        self._set_later_ones_aside(start)
        self.store = checkpoint.Store(workdir / "best", keep=1)
        stamp = evaluator.stamp()
        self.protocol = {key: stamp[key] for key in stamp if key not in UNSTAMPED}
        self.value = self._saved_value()

    def _set_later_ones_aside(self, start: int) -> None:
        """What is of a future that this run has not had yet."""
        if jax.process_index() > 0:
            return
        for path in checkpoint.steps_in(self.workdir / "best"):
            if int(path.name) > start:
                place = checkpoint.set_aside(path, "later")
                self.log(
                    f"the best checkpoint was of step {path.name}, later than this run goes on"
                    f" from: kept as {place}."
                )

    def _saved_value(self) -> float | None:
        """Of the best checkpoint that is there;
        None: there is none, or none by this protocol and value."""
        if self.store.newest is None:
            return None
        meta = checkpoint.read_meta(self.store.folder / str(self.store.newest))
        best = dict(meta.get("best", {}))
        if best.pop("protocol", None) != json.loads(json.dumps(self.protocol)):
            by = "another protocol"
        elif self.criterion.name in best:
            return best[self.criterion.name]
        else:
            by = ", ".join(best)
        self.log(f"the best checkpoint, step {self.store.newest}, was chosen by {by}: chosen anew.")
        return None

    def __call__(self, step: int, state: TrainState, meta: dict, writer: Writer | None) -> None:
        """Logs the numbers; saves the state, as Store.save takes it, where it beats all before."""
        found = self.evaluator(state.ema, step=step, images=step * self.batch, folder=self.workdir)
        found["best"] = self.chosen
        name = self.criterion.name
        value = found["values"].get(name, float("nan"))  # on process 0 only
        if writer:
            writer.write_evaluation(step, found)
            for line in record.lines(found):
                self.log(f"  {line}")
            if name not in found["values"]:
                self.log(f"no best checkpoint: this evaluation gave no {name} to choose it by.")
        if self.keeps and any_process(self.criterion.beats(value, self.value)):
            best = {"best": {name: value, "protocol": self.protocol}}
            kept = self.store.save(step, state, meta | best)
            # else the reason was logged, and the next to beat the old one is tried
            if self.store.finish() and kept:
                self.value = value
                self.log(
                    f"best {name} so far: {value:.5g} at step {step}, kept in {self.store.folder}"
                )

    def close(self) -> None:
        self.store.close()
