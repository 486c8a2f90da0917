"""What a run prints before it trains: all that will happen, on one screen."""

import pathlib
import textwrap
from collections.abc import Iterator, Sequence

import numpy as np
from clu import parameter_overview

from gan_jax.build import Experiment
from gan_jax.data.source import Source
from gan_jax.evaluation.protocol import Protocol
from gan_jax.runtime import registry
from gan_jax.state import Phase, Player, TrainState

LABEL_WIDTH, LINE_WIDTH, MOST_LINES = 14, 96, 4
HARD_SPACE = "\u00a0"  # textwrap breaks no line there
CHANNELS = {1: "gray", 3: "RGB", 4: "RGBA"}


def lines(experiment: Experiment, state: TrainState, folder: pathlib.Path, step: int) -> list[str]:
    """The summary, in aligned lines.

    state: on the devices.
    folder: the workdir.
    step: where the run begins, 0 or a checkpoint's; from the last one on there is no plan.
    """
    state = experiment.parallel.one(state)
    rows = [*_networks(experiment, state), *_data(experiment.source)]
    if step < experiment.config.total_steps:
        rows += [*_length(experiment, step), *_written(experiment, folder, step)]
    return [line for label, text in rows for line in _wrapped(label, text)]


def _networks(experiment: Experiment, state: TrainState) -> Iterator[tuple[str, str]]:
    config, game, parallel = experiment.config, experiment.game, experiment.parallel
    order = _order(game.phases, config.total_steps)
    yield "game", f"{config.algorithm}, networks of {config.model}; {order}"
    yield "generator", parameters(state.g)
    yield "critic", parameters(state.d)
    for name, net in game.frozen.items():
        count = parameter_overview.count_parameters(net.params)
        yield name, f"{net.name}, {count:,} weights, frozen and not saved in checkpoints"
    kind = parallel.devices[0].device_kind
    share = f"{config.batch // parallel.size:,} images each"
    yield "devices", f"{parallel.size} x {kind} by {config.parallel}, {share}, {config.dtype}"


def parameters(player: Player) -> str:
    """ "1,234,567 parameters (g 1,230,000, mapping 4,567)";
    the networks where there are several."""
    count = parameter_overview.count_parameters
    counts = {name: count(tree) for name, tree in player.params.items()}
    each = ", ".join(f"{name} {count:,}" for name, count in counts.items())
    return f"{sum(counts.values()):,} parameters" + (f" ({each})" if len(counts) > 1 else "")


def _order(phases: Sequence[Phase], end: int) -> str:
    """ "5 x d, g, d every 16 iterations": the optimizer steps of an iteration."""
    steps = [
        (f"{phase.repeat} x " if phase.repeat > 1 else "")
        + phase.who
        + (f" every {phase.every} iterations" if phase.every > 1 else "")
        + (f" from iteration {phase.since:,}" if phase.since else "")
        + (", which this run does not reach" if phase.since >= end else "")
        + (f" until iteration {phase.until:,}" if phase.until is not None else "")
        for phase in phases
    ]
    return f"optimizer steps of an iteration: {', '.join(steps)}"


def _data(source: Source) -> Iterator[tuple[str, str]]:
    height, width, channels = source.shape
    sides = " and ".join(f"{len(side):,}" for side in source.sides)
    count = f"{sides} ({source.partner})" if sides else f"{len(source):,}"
    yield "data", f"{count} images, {height} x {width} {CHANNELS.get(channels, channels)}"
    if source.classes:
        counts = np.bincount(source.targets, minlength=len(source.classes))
        each = ", ".join(
            f"{name}{HARD_SPACE}{n:,}" for name, n in zip(source.classes, counts, strict=True)
        )
        yield "classes", f"{len(source.classes):,}: {each}"


def _length(experiment: Experiment, step: int) -> Iterator[tuple[str, str]]:
    config = experiment.config
    epochs = config.total_steps * config.batch / len(experiment.source)
    yield (
        "length",
        f"{config.total_kimg:g} kimg (thousand images): {config.total_steps:,} steps of"
        f" {config.batch:,} images, {epochs:.3g} epochs"
        + (f"; from step {step:,}" if step else "")
        + "; the log has the time to the end (ETA) once it is measured",
    )


def _written(experiment: Experiment, folder: pathlib.Path, step: int) -> Iterator[tuple[str, str]]:
    config = experiment.config

    def when(kimg: float) -> str:
        steps = config.steps(kimg)
        following = min((step // steps + 1) * steps, config.total_steps)
        return f"every {kimg:g} kimg, next at step {following:,}"

    log = when(config.log_every_kimg)
    yield "log", f"{log}: {folder / 'metrics.jsonl'}, TensorBoard in {folder / 'tensorboard'}"
    yield "sample grids", f"{when(config.sample_every_kimg)}: {folder / 'samples'}"
    kept = f"the newest {config.keep} in {folder / 'checkpoints'}"
    yield "checkpoints", f"{when(config.save_every_kimg)}: {kept}"
    if config.eval_every_kimg is not None:
        metrics = registry.build(Protocol, config.eval, "config.eval").metrics
        place = f"{', '.join(metrics)} in {folder / 'evaluations.jsonl'}"
        yield "evaluations", f"{when(config.eval_every_kimg)}: {place}"


def _wrapped(label: str, text: str) -> list[str]:
    """The label and the text beside it, cut after MOST_LINES lines."""
    indent = " " * LABEL_WIDTH
    found = textwrap.wrap(
        text,
        LINE_WIDTH,
        initial_indent=f"{label:<{LABEL_WIDTH}}",
        subsequent_indent=indent,
        max_lines=MOST_LINES,
        placeholder=" ...",
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [line.replace(HARD_SPACE, " ") for line in found]
