"""A path -> a sampler: of a run, of one of its checkpoints, or of what was exported."""

import dataclasses
import functools
import json
import pathlib
from collections.abc import Iterable, Mapping, Sequence

import jax

from gan_jax import checkpoint, models
from gan_jax.algorithms import make_game
from gan_jax.checkpoint import shared
from gan_jax.config import Config, current, set_override
from gan_jax.inference.exported import Exported
from gan_jax.inference.sampler import Sampler, check_class_names, check_kind, is_size
from gan_jax.runtime import registry

GAME = ("algorithm", "model", "g", "d", "networks", "game", "conditional", "dtype", "seed")
"""Settings by which a checkpoint draws: its own, whatever the config file has now."""


def load(
    path: str | pathlib.Path, *, command: str | None = None, trusted: Iterable[str] = ()
) -> Sampler | Exported:
    """As `load_sampler`, or of a folder that `gan-jax export` wrote of a translator, `Exported`."""
    folder = pathlib.Path(path)
    if (folder / "about.json").is_file():
        return Exported(folder)
    return load_sampler(path, command=command, trusted=trusted)


def load_sampler(
    path: str | pathlib.Path,
    *,
    command: str | None = None,
    trusted: Iterable[str] = (),
    overrides: Sequence[str] = (),
) -> Sampler:
    """The newest valid checkpoint under a workdir (or one step's folder) as a sampler. Needs no
    data.

    Args:
        command: the one that is to use it, of Game.command; None: any.
        trusted: dotted paths of modules that may be imported where the checkpoint names them.
        overrides: of a config, "g.flat=0": those of `sampling_settings` of the game or its
            generator are applied.
    Raises:
        ValueError: no checkpoint there, none that verifies, one that this version's networks don't
            fit, another kind; an override of the settings GAME that would make it another network
            than was trained; a game or a network from outside gan_jax that is not among the
            trusted.
    """
    step = checkpoint.find(path)
    saved, meta = checkpoint.read(step, ("ema/",))
    _check_meta(meta, step)
    config = registry.build(Config, current(meta["config"]), f"{step}: config")
    registry.check_trusted(
        {"algorithm": config.algorithm, "model": config.model}, trusted, str(step)
    )
    shape, classes = tuple(meta["shape"]), tuple(map(registry.normal, meta["classes"]))
    game = make_game(config, shape, len(classes))
    if command is not None:
        check_kind(game, step, command)
    config, game, changed = _with_overrides(config, game, overrides, shape, len(classes), step)
    example = game.example_shapes(shape, len(classes))
    like = jax.eval_shape(game.init_generator, jax.random.key(0), example)
    wanted = checkpoint.named({"ema": like})
    checkpoint.compare(wanted, {name: (x.shape, x.dtype) for name, x in saved.items()}, step)
    ema = jax.tree.unflatten(jax.tree.structure(like), [saved[name] for name in wanted])
    prepared = game.prepare_for_sampling(ema, jax.random.key(config.seed))
    ema = jax.device_put(jax.device_get(prepared))
    if game.translates and not game.labeled:
        classes = ()  # the data's, of which its one style knows nothing
    return Sampler(game, ema, shape, classes, step, config.batch, changed)


def remodulated(sampler: Sampler, alphas: Sequence[float]) -> Sampler:
    """The same with other strengths of its generator's remodulations, each a finite number. Raises
    ValueError where it has not so many."""
    there = len(models.traits(sampler.game.g).remodulation)
    if len(alphas) != there:
        raise ValueError(
            f"--remodulation={' '.join(f'{x:g}' for x in alphas)}: this model has {there}"
            f" set{'' if there == 1 else 's'} (config.g.remodulation); give a number for each."
        )
    g = sampler.game.g.clone(remodulation=tuple(alphas))
    return dataclasses.replace(sampler, game=dataclasses.replace(sampler.game, g=g))


def models_for(command: str) -> list[str]:
    """Names of the zoo's models that a command uses."""
    found = []
    for name in shared.names():
        algorithm = shared.read_meta(shared.ZOO / name)["config"]["algorithm"]
        module = registry.by_name("algorithms", algorithm, "config.algorithm", "Algorithm")
        if module.Algorithm.command == command:
            found.append(name)
    return found


def run_config(path: str | pathlib.Path, trusted: Iterable[str] = ()) -> Config:
    """The settings by which a run's newest valid checkpoint was trained. Raises ValueError as
    `load_sampler`, and where its data's source or one of its measures is code from outside gan_jax
    and not trusted."""
    step = checkpoint.find(path)
    meta = checkpoint.read_meta(step)
    _check_meta(meta, step)
    config = registry.build(Config, current(meta["config"]), f"{step}: config")
    names = {"algorithm": config.algorithm, "model": config.model}
    names |= _sources(config.data, "data") | _sources(config.eval, "eval")
    names |= {f"measure {name}": name for name in config.eval.get("metrics", ())}
    registry.check_trusted(names, trusted, str(step))
    return config


def _sources(settings: Mapping, place: str) -> dict[str, str]:
    """{"data.a.source": its name} of settings of data, and of those inside them."""
    found = {}
    for key, value in settings.items():
        if isinstance(value, Mapping):
            found |= _sources(value, f"{place}.{key}")
        elif key == "source":
            found[f"{place}.source"] = str(value)
    return found


def _with_overrides(config, game, overrides, shape, n_classes, step):
    """(config, game, what was changed) with the overrides that act on sampling only."""
    changed = {}
    free = [f"g.{name}" for name in models.traits(game.g).sampling_settings]
    free += [f"game.{name}" for name in game.sampling_settings]
    for text in overrides:
        key = text.partition("=")[0]
        if key.split(".")[0] not in GAME:
            continue
        settings = json.loads(json.dumps(dataclasses.asdict(config)))
        set_override(settings, text)
        new = registry.build(Config, settings, "config")
        other = make_game(new, shape, n_classes)
        if (other, new.seed) == (game, config.seed):
            continue
        if key not in free:
            raise ValueError(
                f"--config.{text}: {step} was trained otherwise, and draws as it was trained. Leave"
                f" it out; what can be changed of it: {', '.join(free) or 'nothing'}."
            )
        config, game = new, other
        changed[key] = functools.reduce(dict.__getitem__, key.split("."), settings)
    return config, game, changed


def _check_meta(meta: object, step: pathlib.Path) -> None:
    """Raises ValueError, naming it, where something else stands there than a run writes."""
    fits = {"config": _is_config, "shape": _is_shape, "classes": _is_names}
    for name, fit in fits.items():
        if not isinstance(meta, dict) or name not in meta or not fit(meta[name]):
            raise ValueError(f"{step}: its meta has no {name} as a run of gan_jax writes it.")
    check_class_names(meta["classes"], f"{step}: its meta")


def _is_config(x: object) -> bool:
    return isinstance(x, dict)


def _is_shape(x: object) -> bool:
    return isinstance(x, list) and len(x) == 3 and all(is_size(n) for n in x)


def _is_names(x: object) -> bool:
    return isinstance(x, list) and all(isinstance(name, str) for name in x)
