"""Where a run begins: at its newest checkpoint, with another run's weights, or at step 0."""

import contextlib
import json
import logging
import math
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence

import jax

from gan_jax import build, checkpoint, optim, recipe
from gan_jax.build import Experiment
from gan_jax.checkpoint import shared
from gan_jax.config import Config, as_json, current, differences
from gan_jax.runtime import registry, workdir
from gan_jax.state import TrainState

# settings by which networks may get another shape
NETWORKS = (
    "config.algorithm", "config.model", "config.g.", "config.d.", "config.g:", "config.d:",
    "config.game", "config.conditional",
    "config.data.resolution", "config.data.channels", "config.data.labels",
)  # fmt: skip


def open_store(config: Config, folder: pathlib.Path, restart: bool) -> checkpoint.Store:
    """The checkpoints of the run in the workdir `folder`.

    restart: what is in the workdir is moved aside first.

    Raises:
        ValueError: the folder is a shared model; or the run has begun before and no checkpoint of
            it can be used: to begin again would drop its log.
    """
    if shared.is_shared(folder):
        raise ValueError(
            f"--workdir={folder}: a shared model, with which no training goes on. Begin a run from"
            f" it in another folder, by --config.init_from={folder}."
        )
    first, place = jax.process_index() == 0, folder / "checkpoints"
    if restart and first and (moved := workdir.move_aside(folder)):
        logging.warning("what was in %s is in %s now.", folder, moved)
    there = place.is_dir()
    store = checkpoint.Store(place, config.keep)
    if first and store.newest is None and (lost := _lost(config, folder, there)):
        store.close()
        if not there:
            place.rmdir()
        raise ValueError(
            f"{lost}. Put one back, give another --workdir, or begin at step 0 by --restart,"
            f" which moves what is there into {folder}/earlier-1."
        )
    return store


def _lost(config: Config, folder: pathlib.Path, there: bool) -> str | None:
    """What has become of the checkpoints of a run that has none; None: it never wrote one.

    there: whether the run had a folder for them.
    """
    place, reached = folder / "checkpoints", workdir.last_step(folder)
    if any(place.glob("damaged-*")):
        return f"no checkpoint in {place} is whole"
    written = 2 * config.steps(config.save_every_kimg)  # by then there was one
    if (reached and not there) or reached > written:
        return f"the run has come to step {reached}, but {place} has no checkpoint"
    return None


def as_begun(config: Config, folder: pathlib.Path, *, new: bool) -> Config:
    """The config with what the pictures decided when the run in the workdir `folder` began; of a
    new run from another's weights, with what gave these their shapes."""
    if new:
        if config.init_from is None or not set(recipe.SHAPES) & set(config.from_data):
            return config
        saved = checkpoint.read_meta(checkpoint.find(config.init_from))["config"]
        return recipe.as_decided(config, saved, recipe.SHAPES)
    for step in checkpoint.steps_in(folder / "checkpoints"):
        with contextlib.suppress(ValueError, OSError):  # a damaged one, as `Store` will say
            return recipe.as_decided(config, checkpoint.read_meta(step)["config"])
    return config


def begin(
    experiment: Experiment, store: checkpoint.Store, log: Callable[[str], None]
) -> tuple[TrainState, int]:
    """(state on the devices, the data's position) of the newest checkpoint, or new.

    Raises:
        ValueError: the checkpoint has other networks, classes or batches than the experiment.
    """
    if store.newest is not None:
        return _resumed(experiment, store, log)
    config, state = experiment.config, experiment.new_state()
    if config.init_from is not None:
        shape, classes = experiment.source.shape, experiment.source.classes
        by_class = build.rows_by_class(config, shape, len(classes)) if config.init_class else ()
        state, report = checkpoint.warm_start(
            state, config.init_from, classes, config.init_class, by_class
        )
        for line in report:
            log(line)
        state = experiment.game.begin(state, len(experiment.source.classes))
    return experiment.parallel.replicate(state), 0


def _resumed(experiment, store, log) -> tuple[TrainState, int]:
    config, source, parallel = experiment.config, experiment.source, experiment.parallel
    classes = checkpoint.read_meta(store.folder / str(store.newest))["classes"]
    other = checkpoint.other_classes(classes, source.classes)
    if other and not unnamed(classes, source.classes):
        raise ValueError(
            "config.data: the labels mean other classes than in the checkpoints in"
            f" {store.folder}: {other}. Give data with the same class names, or another"
            " --workdir with config.init_from."
        )
    _check_frozen(experiment, store)
    like = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=parallel.replicated),
        jax.eval_shape(experiment.new_state).saved(),
    )
    state, meta = _restored(config, store, like)
    if meta["config"]["batch"] != config.batch:
        raise ValueError(
            f"config.batch={config.batch}: the checkpoints in {store.folder} were made with"
            f" {meta['config']['batch']}, by which they count images. Use that, or another"
            " --workdir with config.init_from."
        )
    log(f"resumed from step {store.newest} in {store.folder}")
    for line in _changes(config, meta, store.newest, source.fingerprint):
        log(line)
    if other:
        names = checkpoint.listed(source.classes)
        log(f"the checkpoint's classes have no names; from now on they are {names}")
    return parallel.replicate(experiment.with_frozen(state)), meta["data"]["position"]


def _check_frozen(experiment: Experiment, store: checkpoint.Store) -> None:
    """Raises ValueError where the run has seen its pictures by another network than the game's."""
    saved = checkpoint.read_meta(store.folder / str(store.newest)).get("frozen", {})
    for name, own in build.frozen_hashes(experiment.game).items():
        if saved.get(name, own) != own:
            raise ValueError(
                f"config.game: the run in {store.folder.parent} sees pictures by the network"
                f" {saved[name]}, and this config by {own}. Give that one, or another --workdir"
                " with config.init_from."
            )


def _restored(config: Config, store: checkpoint.Store, like: TrainState) -> tuple[TrainState, dict]:
    """Raises ValueError where the checkpoint has other networks, naming the settings that have
    changed since."""
    try:
        return store.restore(store.newest, like)
    except ValueError as error:
        saved = checkpoint.read_meta(store.folder / str(store.newest))["config"]
        lines = [line for line in differences(saved, as_json(config)) if line.startswith(NETWORKS)]
        if not lines:
            raise
        more = f" and {len(lines) - 3} more" if len(lines) > 3 else ""
        raise ValueError(
            f"--workdir={store.folder.parent}: the run there was made with another config: "
            f"{'; '.join(f'{line:.120}' for line in lines[:3])}{more}. ({error})"
        ) from error


def _changes(config: Config, meta: Mapping, step: int, fingerprint: str) -> Iterator[str]:
    """Lines on what is not as it was when the checkpoint of `step` was saved."""
    newer = json.loads(json.dumps(registry.defaults(Config)))  # settings that it may lack
    old = newer | current(meta["config"])
    for line in differences(old, as_json(config)):
        yield f"changed since that step: {line}"
    yield from learning_rate_jumps(old, as_json(config), step * config.batch / 1000)
    if meta["data"]["fingerprint"] != fingerprint:
        yield "changed since that step: the data. The run goes on with what is there now."


def unnamed(saved: Sequence[str], own: Sequence[str]) -> bool:
    """Whether a checkpoint's classes are numbers only,
    as those of converted networks are, and as many as here."""
    return list(saved) == [str(i) for i in range(len(own))]


def learning_rate_jumps(old: Mapping, new: Mapping, kimg: float) -> Iterator[str]:
    """A line for each optimizer whose scheduled learning rate at `kimg` differs between two runs'
    settings."""
    for player in ("opt_g", "opt_d"):
        for name in (None, *new[player].get("networks", {})):
            place = f"config.{player}" + (f".networks.{name}" if name else "")
            one, two = (_optimizer_settings(run[player], name) for run in (old, new))
            before = optim.rate(one, old["total_kimg"], kimg)
            now = optim.rate(two, new["total_kimg"], kimg)
            scheduled = any(x.get("schedule", "constant") != "constant" for x in (one, two))
            if scheduled and not math.isclose(before, now, rel_tol=1e-3):
                keep = old["total_kimg"] - one.get("decay_from_kimg", 0)
                hint = f" {place}.decay_kimg={keep:g} keeps the old schedule." if one == two else ""
                yield (
                    f"THE LEARNING RATE JUMPS: {place}.lr is {before:.3g} before and {now:.3g}"
                    f" after this step.{hint}"
                )


def _optimizer_settings(player: Mapping, network: str | None) -> dict:
    """Of a player's optimizer, for one of its networks; None: for those without their own."""
    merged = player | player.get("networks", {}).get(network, {})
    return {key: value for key, value in merged.items() if key != "networks"}
