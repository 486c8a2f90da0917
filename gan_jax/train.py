"""The loop: data -> round -> log -> sample -> evaluate -> save. The only place where a game meets
the update."""

import collections
import contextlib
import dataclasses
import json
import logging
import math
import pathlib
from collections.abc import Iterator, Mapping, Sequence

import jax
import numpy as np

from gan_jax import build, checkpoint, optim
from gan_jax.algorithms.base import Translator
from gan_jax.config import Config, differences
from gan_jax.data import pipeline
from gan_jax.data.images import grid, save_png
from gan_jax.distributed.parallel import any_process
from gan_jax.evaluation import evaluator, features
from gan_jax.inference import previews
from gan_jax.reporting.progress import Progress
from gan_jax.reporting.writer import Writer
from gan_jax.runtime import registry, workdir
from gan_jax.runtime.signals import Signals, Stopped
from gan_jax.state import TrainState

# rounds the host may run ahead of the devices: enough to hide dispatch, bounded in memory
AHEAD = 4


def run(
    config: Config,
    folder: str | pathlib.Path,
    *,
    restart: bool = False,
    signals: Signals | None = None,
) -> TrainState:
    """Trains to the end from the newest valid checkpoint in the workdir `folder`, if there is one.

    Args:
        restart: begins at step 0; what is in the workdir is moved aside.
        signals: as the program notes them; None: for this call only.
    Returns the state as saved. Raises:
        ValueError: the config, the data, the devices and the checkpoint don't fit together; one
        line says how. FloatingPointError: a metric became NaN or infinite; names it and the steps.
        Nothing saved is touched. Stopped: a signal ended it; in training the state is saved first.
    """
    if signals is None:
        with Signals() as signals:
            return run(config, folder, restart=restart, signals=signals)
    folder = pathlib.Path(folder)
    with _alone_in(folder):
        new = restart or not checkpoint.steps_in(folder / "checkpoints")
        experiment = build.experiment(config, new=new)
        config, parallel, game = experiment.config, experiment.parallel, experiment.game
        source = experiment.source
        signals.check()
        with contextlib.closing(_open_store(config, folder, restart)) as store:
            total, done = config.total_steps * config.batch, (store.newest or 0) * config.batch
            with Progress(total, done, quiet=jax.process_index() > 0) as progress:
                for note in experiment.notes:
                    progress.log(note)
                state, position = _begin(experiment, store, progress.log)
                signals.check()
                trainer = _Run(
                    config,
                    folder,
                    source,
                    experiment.samples,
                    game,
                    experiment.iteration,
                    parallel,
                    store,
                    progress,
                    signals,
                )
                if config.eval_every_kimg is None:
                    return trainer.play_on(state, position)
                with contextlib.closing(
                    evaluator.BestCheckpoint(
                        config, folder, source, game, store.newest or 0, progress.log
                    )
                ) as trainer.judge:
                    return trainer.play_on(state, position)


def _alone_in(folder: pathlib.Path) -> contextlib.AbstractContextManager[None]:
    """Of the run's processes the first holds the workdir."""
    return workdir.held(folder) if jax.process_index() == 0 else contextlib.nullcontext()


def _open_store(config: Config, folder: pathlib.Path, restart: bool) -> checkpoint.Store:
    """The run's checkpoints.

    Raises:
        ValueError: the run has begun before and no checkpoint of it can be used: to begin again
        would drop its log.
    """
    first, place = jax.process_index() == 0, folder / "checkpoints"
    if restart and first:
        moved = workdir.move_aside(folder)
        if moved:
            logging.warning("what was in %s is in %s now.", folder, moved)
    there = place.is_dir()
    store = checkpoint.Store(place, config.keep)
    if first and store.newest is None:
        lost = None
        reached = workdir.last_step(folder)
        if any(place.glob("damaged-*")):
            lost = f"no checkpoint in {place} is whole"
        elif (reached and not there) or reached > 2 * config.steps(
            config.save_every_kimg
        ):  # by then one was written
            lost = f"the run has come to step {reached}, but {place} has no checkpoint"
        if lost:
            store.close()
            if not there:
                place.rmdir()
            raise ValueError(
                f"{lost}. Put one back, give another --workdir, or begin at step 0 by --restart,"
                f" which moves what is there into {folder}/earlier-1."
            )
    return store


def _begin(experiment: build.Experiment, store, log) -> tuple[TrainState, int]:
    """(state on the devices, the data's position): resumed, or new."""
    config, source, parallel = experiment.config, experiment.source, experiment.parallel
    new = experiment.new_state
    if store.newest is not None:
        meta = checkpoint.read_meta(store.folder / str(store.newest))
        other = checkpoint.other_classes(meta["classes"], source.classes)
        if other and not _unnamed(meta["classes"], source.classes):
            raise ValueError(
                "config.data: the labels mean other classes than in the checkpoints in"
                f" {store.folder}: {other}. Give data with the same class names, or another"
                " --workdir with config.init_from."
            )
        like = jax.tree.map(
            lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=parallel.replicated),
            jax.eval_shape(new),
        )
        state, meta = _restored(config, store, like)
        if meta["config"]["batch"] != config.batch:
            raise ValueError(
                f"config.batch={config.batch}: the checkpoints in {store.folder} were made with"
                f" {meta['config']['batch']}, by which they count images. Use that, or another"
                " --workdir with config.init_from."
            )
        log(f"resumed from step {store.newest} in {store.folder}")
        saved = registry.defaults(Config) | meta["config"]  # it may be older than a setting
        for line in differences(saved, _plain(config)):
            log(f"changed since that step: {line}")
        for line in _jumps(saved, _plain(config), store.newest * config.batch / 1000):
            log(line)
        if other:
            log(
                "the checkpoint's classes have no names; from now on they are"
                f" {checkpoint.listed(source.classes)}"
            )
        if meta["data"]["fingerprint"] != source.fingerprint:
            log("changed since that step: the data. The run goes on with what is there now.")
        return parallel.replicate(state), meta["data"]["position"]
    state = new()
    if config.init_from is not None:
        state, report = checkpoint.warm_start(state, config.init_from, source.classes)
        for line in report:
            log(line)
    count = lambda who: sum(x.size for x in jax.tree.leaves(getattr(state, who).params))
    log(
        f"{config.algorithm}/{config.model}: generator {count('g'):,}, critic {count('d'):,}"
        f" parameters; {parallel.size} x {parallel.devices[0].device_kind} by {config.parallel}"
    )
    return parallel.replicate(state), 0


def _unnamed(saved: Sequence[str], own: Sequence[str]) -> bool:
    """Whether a checkpoint's classes are numbers only, as those of converted networks are, and as
    many as here."""
    return list(saved) == [str(i) for i in range(len(own))]


def _jumps(old: Mapping, new: Mapping, kimg: float) -> Iterator[str]:
    """A line for each optimiser whose scheduled learning rate is another at this point than the old
    settings have it."""
    for player in ("opt_g", "opt_d"):
        for name in (None, *new[player].get("networks", {})):
            place = f"config.{player}" + (f".networks.{name}" if name else "")
            one, two = (
                {
                    k: v
                    for k, v in (x[player] | x[player].get("networks", {}).get(name, {})).items()
                    if k != "networks"
                }
                for x in (old, new)
            )
            before, now = (
                optim.rate(x, run["total_kimg"], kimg) for x, run in ((one, old), (two, new))
            )
            scheduled = any(x.get("schedule", "constant") != "constant" for x in (one, two))
            if scheduled and not math.isclose(before, now, rel_tol=1e-3):
                keep = old["total_kimg"] - one.get("decay_from_kimg", 0)
                hint = f" {place}.decay_kimg={keep:g} keeps the old schedule." if one == two else ""
                yield (
                    f"THE LEARNING RATE JUMPS: {place}.lr is {before:.3g} before and {now:.3g}"
                    f" after this step.{hint}"
                )


NETWORKS = ("config.algorithm", "config.model", "config.g.", "config.d.", "config.g:", "config.d:", "config.game",
            "config.conditional", "config.data.resolution", "config.data.channels", "config.data.labels")  # fmt: skip
"""Settings that networks may get another shape by."""


def _restored(config: Config, store: checkpoint.Store, like: TrainState) -> tuple[TrainState, dict]:
    """Raises ValueError where the checkpoint has other networks, naming the settings that have
    changed since."""
    try:
        return store.restore(store.newest, like)
    except ValueError as error:
        saved = checkpoint.read_meta(store.folder / str(store.newest))["config"]
        lines = [line for line in differences(saved, _plain(config)) if line.startswith(NETWORKS)]
        if not lines:
            raise
        more = f" and {len(lines) - 3} more" if len(lines) > 3 else ""
        raise ValueError(
            f"--workdir={store.folder.parent}: the run there was made with another config: "
            f"{'; '.join(f'{line:.120}' for line in lines[:3])}{more}. ({error})"
        ) from error


def _plain(config: Config) -> dict:
    """The config as JSON knows it: what is written and what is compared."""
    return json.loads(json.dumps(dataclasses.asdict(config)))


class _Run:
    """What stays the same from round to round, and the metrics not yet fetched."""

    judge: evaluator.BestCheckpoint | None = None  # None: no evaluation while training

    def __init__(
        self, config, folder, source, samples, game, play, parallel, store, progress, signals
    ):
        """samples: the source as the game takes it, with what goes with each picture."""
        self.config, self.source, self.game, self.play, self.parallel = (
            config,
            source,
            game,
            play,
            parallel,
        )
        self.samples = samples
        self.store, self.progress, self.folder, self.signals = store, progress, folder, signals
        # whether the last save was begun; Store.finish says whether it ended well
        self.saved = True
        self.window = []  # (step, metrics on the devices)
        self.compiled = set()  # phases that were played, and whether the grid was drawn
        contents = game.contents if isinstance(game, Translator) else "a"
        self.grid = previews.preview(
            game, config, parallel, source.classes, features.sides(source, contents)
        )
        self.writer = None

    def play_on(self, state: TrainState, position: int) -> TrainState:
        config, step = self.config, int(self.store.newest or 0)
        if step >= config.total_steps:
            self.progress.log(
                f"nothing to do: step {step} of {config.total_steps} is saved. Raise"
                " config.total_kimg to go on."
            )
            return self.parallel.one(state)
        if jax.process_index() == 0:
            self.writer = Writer(self.folder, step)
            self.writer.write_hparams(_plain(config))
        batches = pipeline.Batches(
            self.samples,
            config.batch,
            config.seed,
            position,
            jax.process_index(),
            jax.process_count(),
            config.workers,
        )
        with contextlib.closing(batches):
            self.signals.defer()
            self.progress.begin()
            if not step:
                self.sample(0, state)
            state, step, stopped = self.rounds(state, step, batches)
            if not self.store.finish() or not self.saved:
                raise OSError(
                    f"the last checkpoint, step {step}, is not saved: the reason stands above."
                )
        if self.writer:
            self.writer.close()
        if stopped and step < config.total_steps:
            who = self.signals.caught[0] if self.signals.caught else "another process"
            self.progress.log(
                f"stopped by {who} at step {step}; the same command goes on from there."
            )
            raise Stopped(self.signals.caught[0] if self.signals.caught else "SIGTERM", saved=True)
        return self.parallel.one(state)

    def rounds(self, state, step, batches) -> tuple[TrainState, int, bool]:
        """To the end or to a signal: (state, its step, whether a signal came). The last one is
        saved, if it can be."""
        config, stopped = self.config, False
        kimg = {
            name: getattr(config, f"{name}_every_kimg")
            for name in ("log", "sample", "eval", "save")
        }
        every = {name: config.steps(length) for name, length in kimg.items() if length is not None}
        while step < config.total_steps and not stopped:
            with self.compiling(config.batch, *self.play.due(step)):
                state = self.round(state, batches, step)
            step += 1
            due = {name for name in every if step % every[name] == 0 or step == config.total_steps}
            stopped = (
                any_process(bool(self.signals.caught)) if due or jax.process_count() == 1 else False
            )
            if due or stopped:
                self.report(step)
            if "sample" in due or stopped:
                self.sample(step, state)
            if "save" in due or stopped:
                self.saved = self.save(step, state, batches.position)
            if "eval" in due and not stopped:
                with self.progress.aside():
                    # two saves at once of several processes would wait for each other
                    self.saved &= self.store.finish()
                    self.judge(
                        step, self.parallel.one(state), self.meta(batches.position), self.writer
                    )
        return state, step, stopped

    @contextlib.contextmanager
    def compiling(self, images, *programs):
        """Says so where one of the programs is run for the first time; waits for its end then."""
        new = set(programs) - self.compiled
        self.compiled |= new
        with self.progress.compiling(images) if new else contextlib.nullcontext():
            yield
            if new and self.window:
                jax.block_until_ready(self.window[-1][1])

    def round(self, state, batches, step):
        pulled = [next(batches) for _ in range(self.play.batches)]
        rows = [
            self.parallel.put({k: v for k, v in batch.items() if k != "id"}) for batch in pulled
        ]
        with jax.transfer_guard("disallow"):
            state, metrics = self.play(state, rows, step)
        self.window.append((step + 1, metrics))
        if len(self.window) > AHEAD:
            jax.block_until_ready(self.window[-AHEAD][1])
        return state

    def report(self, step):
        """Fetches the window's metrics; stops the run at the first that is not finite; logs their
        means."""
        steps = [s for s, _ in self.window]
        fetched = jax.device_get([self.parallel.one(metrics) for _, metrics in self.window])
        self.window.clear()
        values = collections.defaultdict(list)
        for at, metrics in zip(steps, fetched, strict=True):
            for name, value in metrics.items():
                if not np.isfinite(value):
                    raise FloatingPointError(
                        f"{name} became {value} at step {at} (steps {steps[0]}-{steps[-1]}). Saved"
                        " checkpoints are untouched: lower config.opt_d.lr or config.opt_g.lr, set"
                        " clip_norm, and run again."
                    )
                values[name].append(float(value))
        means = {name: float(np.mean(x)) for name, x in values.items()}
        rate = self.progress.rate(step * self.config.batch)
        self.progress.show(means, rate)
        if self.writer:
            self.writer.write_scalars(
                step, means | {"images": step * self.config.batch, "img/s": rate}
            )

    def sample(self, step, state):
        """The averaged generator's grid: see inference/previews.py."""
        with self.compiling(0, "grid"):
            ema = self.game.prepare_for_sampling(
                self.parallel.one(state.ema), jax.random.key(self.config.seed)
            )
            images = grid(self.grid(ema), self.grid.cols)
        if not self.writer:
            return
        path = self.folder / "samples" / f"{step * self.config.batch:010d}.png"
        try:
            save_png(path, images)
        except OSError as error:
            self.progress.log(f"the sample grid can't be written: {error}. Training goes on.")
        self.writer.write_images(step, {"samples": images})
        self.writer.flush()

    def save(self, step, state, position) -> bool:
        return self.store.save(step, self.parallel.one(state), self.meta(position))

    def meta(self, position) -> dict:
        """What stands beside a saved state."""
        return {
            "config": _plain(self.config),
            "shape": list(self.source.shape),
            "classes": list(self.source.classes),
            "data": {"position": position, "fingerprint": self.source.fingerprint},
        }
