"""The loop: data, iteration, log, sample grid, checkpoint, evaluation."""

import contextlib
import pathlib

import jax

from gan_jax import build, checkpoint
from gan_jax.build import Experiment
from gan_jax.config import Config, as_json
from gan_jax.data import lettering, pipeline
from gan_jax.data.images import grid, save_png
from gan_jax.distributed.parallel import any_process
from gan_jax.evaluation import images
from gan_jax.evaluation.best import BestCheckpoint
from gan_jax.inference import previews
from gan_jax.reporting.profiler import Profiler
from gan_jax.reporting.progress import Progress
from gan_jax.reporting.window import Window
from gan_jax.reporting.writer import Writer
from gan_jax.runtime import workdir
from gan_jax.runtime.signals import Signals, Stopped
from gan_jax.start import resume, summary
from gan_jax.state import TrainState


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
            line says how.
        FloatingPointError: a metric became NaN or infinite; names it and the steps. Nothing saved
            is touched.
        Stopped: a signal ended it; in training the state is saved first.
    """
    if signals is None:
        with Signals() as signals:
            return run(config, folder, restart=restart, signals=signals)
    folder = pathlib.Path(folder)
    with contextlib.ExitStack() as stack:
        if jax.process_index() == 0:  # the first of the run's processes holds the workdir
            stack.enter_context(workdir.lock(folder))
        new = restart or not checkpoint.steps_in(folder / "checkpoints")
        config = resume.as_begun(config, folder, new=new)
        experiment = build.experiment(config, new=new)
        signals.check()
        config = experiment.config
        store = resume.open_store(config, folder, restart)
        stack.enter_context(contextlib.closing(store))
        total, done = config.total_steps * config.batch, (store.newest or 0) * config.batch
        progress = stack.enter_context(Progress(total, done, quiet=jax.process_index() > 0))
        for note in experiment.notes:
            progress.log(note)
        state, position = resume.begin(experiment, store, progress.log)
        signals.check()
        for line in summary.lines(experiment, state, folder, store.newest or 0):
            progress.log(line)
        trainer = Trainer(experiment, folder, store, progress, signals)
        if config.eval_every_kimg is not None:
            trainer.best = BestCheckpoint(
                config, folder, experiment.source, experiment.game, store.newest or 0, progress.log
            )
            stack.enter_context(contextlib.closing(trainer.best))
        return trainer.train(state, position)


class Trainer:
    """What stays the same from iteration to iteration."""

    best: BestCheckpoint | None = None  # None: no evaluation while training

    def __init__(
        self,
        experiment: Experiment,
        folder: pathlib.Path,
        store: checkpoint.Store,
        progress: Progress,
        signals: Signals,
    ):
        self.experiment, self.folder, self.store = experiment, folder, store
        self.progress, self.signals = progress, signals
        self.config, self.parallel = experiment.config, experiment.parallel
        config, game, source = experiment.config, experiment.game, experiment.source
        sides = images.sides(source, game.contents or "a")
        self.preview = previews.preview(game, config, self.parallel, source.classes, sides)
        self.saved = True  # whether the last save was begun; Store.finish says how it ended
        self.window = Window(self.parallel.one)
        self.profiler = Profiler(folder / "profile", config.profile_steps, progress.log)
        self.compiled = set()  # places of the phases that have run, and "grid"
        self.writer = None

    def train(self, state: TrainState, position: int) -> TrainState:
        """From the state, which is on the devices, and the data's position to the end."""
        config, step = self.config, int(self.store.newest or 0)
        if step >= config.total_steps:
            self.progress.log(
                f"nothing to do: step {step} of {config.total_steps} is saved. Raise"
                " config.total_kimg to go on."
            )
            return self.saved_part(state)
        if jax.process_index() == 0:
            self.writer = Writer(self.folder, step, config.trackers)
            self.writer.write_hparams(as_json(config))
        batches = pipeline.Batches(
            self.experiment.samples,
            config.batch,
            config.seed,
            position,
            jax.process_index(),
            jax.process_count(),
            config.workers,
        )
        with self.writer or contextlib.nullcontext(), contextlib.closing(batches):
            self.signals.defer()
            self.progress.begin()
            if not step:
                self.draw(0, state)
            state, step, stopped = self.loop(state, step, batches)
            self.profiler.close()
            if not self.store.finish() or not self.saved:
                raise OSError(
                    f"the last checkpoint, step {step}, is not saved: the reason stands above."
                )
        if stopped and step < config.total_steps:
            self.stop(step)
        return self.saved_part(state)

    def saved_part(self, state: TrainState) -> TrainState:
        """What is saved of the state on the devices."""
        return self.parallel.one(state.saved())

    def stop(self, step: int) -> None:
        """Raises Stopped, once the state is saved."""
        caught = self.signals.caught
        who = caught[0] if caught else "another process"
        self.progress.log(f"stopped by {who} at step {step}; the same command goes on from there.")
        raise Stopped(caught[0] if caught else "SIGTERM", saved=True)

    def loop(self, state, step: int, batches: pipeline.Batches) -> tuple[TrainState, int, bool]:
        """To the end or to a signal: (state, its step, whether a signal came). The last one is
        saved, if it can be."""
        config, stopped = self.config, False
        kimg = {
            "log": config.log_every_kimg,
            "sample": config.sample_every_kimg,
            "save": config.save_every_kimg,
            "eval": config.eval_every_kimg,
        }
        every = {name: config.steps(length) for name, length in kimg.items() if length is not None}
        while step < config.total_steps and not stopped:
            state = self.iterate(state, batches, step)
            step += 1
            due = {name for name in every if step % every[name] == 0 or step == config.total_steps}
            if due or jax.process_count() == 1:
                stopped = any_process(bool(self.signals.caught))
            if due or stopped:
                self.log(step)
            if "sample" in due or stopped:
                self.draw(step, state)
            if "save" in due or stopped:
                self.saved = self.save(step, state, batches.position)
            if "eval" in due and not stopped:
                self.evaluate(step, state, batches.position)
        return state, step, stopped

    def iterate(self, state: TrainState, batches: pipeline.Batches, step: int) -> TrainState:
        """One iteration; the host runs at most AHEAD of them ahead of the devices."""
        iteration = self.experiment.iteration
        with self.compiling(self.config.batch, *iteration.due(step)):
            pulled = [next(batches) for _ in range(iteration.batches)]
            placed = [
                self.parallel.put({k: v for k, v in batch.items() if k != "id"}) for batch in pulled
            ]
            with jax.transfer_guard("disallow"):
                state, metrics = iteration(state, placed, step)
            self.window.add(step + 1, metrics)
        playing = {n for n, (phase, _) in enumerate(iteration.steps) if phase.plays(step)}
        everything = playing <= self.compiled
        self.profiler.after_iteration(everything, self.window.wait)
        return state

    @contextlib.contextmanager
    def compiling(self, images: int, *programs):
        """Logs that one of the programs is run for the first time, and waits for its end."""
        new = set(programs) - self.compiled
        self.compiled |= new
        with self.progress.compiling(images) if new else contextlib.nullcontext():
            yield
            if new:
                self.window.wait()

    def log(self, step: int) -> None:
        """Logs the means of the metrics since the last line.
        Raises FloatingPointError where one is not finite."""
        means, images = self.window.means(), step * self.config.batch
        rate = self.progress.rate(images)
        self.progress.show(means, rate)
        if self.writer:
            compiled = {"compile_s": self.progress.compiled} if self.progress.compiled else {}
            self.writer.write_scalars(step, means | {"images": images, "img/s": rate} | compiled)

    def draw(self, step: int, state: TrainState) -> None:
        """The averaged generator's sample grid."""
        with self.compiling(0, "grid"):
            ema = self.experiment.game.prepare_for_sampling(
                self.parallel.one(state.ema), jax.random.key(self.config.seed)
            )
            image = grid(self.preview(ema), self.preview.cols)
            image = lettering.with_names(image, self.preview.names)
        if not self.writer:
            return
        path = self.folder / "samples" / f"{step * self.config.batch:010d}.png"
        try:
            save_png(path, image)
        except OSError as error:
            self.progress.log(f"the sample grid can't be written: {error}. Training goes on.")
        self.writer.write_images(step, {"samples": image})
        self.writer.flush()

    def save(self, step: int, state: TrainState, position: int) -> bool:
        """Begins to save a checkpoint; False: it can't be, and the reason is logged."""
        return self.store.save(step, self.saved_part(state), self.meta(position))

    def evaluate(self, step: int, state: TrainState, position: int) -> None:
        """Measures the averaged generator, and keeps the state where it is the best so far."""
        with self.progress.aside():
            # two saves at once of several processes would wait for each other
            self.saved &= self.store.finish()
            self.best(step, self.saved_part(state), self.meta(position), self.writer)

    def meta(self, position: int) -> dict:
        """What is saved beside a state."""
        source = self.experiment.source
        return {
            "config": as_json(self.config),
            "shape": list(source.shape),
            "classes": list(source.classes),
            "data": {"position": position, "fingerprint": source.fingerprint},
            "frozen": build.frozen_hashes(self.experiment.game),
        }
