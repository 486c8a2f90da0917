"""Config -> game: the algorithm that it names, with its networks, for images of one shape."""

import dataclasses
import inspect
import types
from collections.abc import Sequence

import flax.linen as nn
import numpy as np

from gan_jax import augment, models
from gan_jax.algorithms.base import Game
from gan_jax.config import Config
from gan_jax.data.source import Source
from gan_jax.runtime import registry

# settings of networks that are counts, or tuples of counts: at least 1
SIZES = (
    "width", "widest", "widths", "w_dim", "map_layers", "features", "embedding", "expansion",
    "cardinality", "channel_base", "channel_max", "mbstd_group",
)  # fmt: skip
LOOKED_AT = 16  # pictures of a set, before training on it
GAME_RENAMES = {  # what a game of one's own may define by a former name
    "settle": "prepare_for_sampling",
    "through": "apply_generator",
    "drawing": "sampling_settings",
    "labelled": "labeled",
}
NETWORK_RENAMES = {"drawing": "sampling_settings"}
SIDES = ("patch", "levels")  # fields by which a translator's generator told its side_multiple


def make_game(config: Config, shape: Sequence[int], n_classes: int) -> Game:
    """The game a config names, for images of `shape` (H, W, C) and `n_classes` classes (0:
    unconditional).

    Raises:
        ValueError: an unknown algorithm, model or setting, with the nearest known one; a
            conditional config on data without labels, or the reverse; code of one's own that
            defines a former name.
    """
    if config.conditional is not None and config.conditional != bool(n_classes):
        raise ValueError(
            "config.conditional=True, but the data has no labels. Set config.data.labels, or"
            " conditional=False."
            if config.conditional
            else "config.conditional=False, but the data has classes. Set config.data.labels=False."
        )
    algorithm, model = modules(config)
    critic = critic_class(config, algorithm, model)
    _check_names(algorithm.Algorithm, model.Generator, critic)
    if algorithm.Algorithm.labeled and not n_classes:
        raise ValueError(
            f"config.algorithm={config.algorithm!r}: the data has no classes, and this game goes"
            " from class to class. Set config.data.labels."
        )
    further = further_networks(config)
    for name in config.networks:
        registry.choose(further, name, "config.networks")
    networks = {
        "g": _network(config, model.Generator, config.g, "config.g", shape, n_classes),
        "d": _network(config, critic, config.d, "config.d", shape, n_classes),
    }
    for name, net in further.items():
        settings, place = config.networks.get(name, {}), f"config.networks.{name}"
        networks[name] = _network(config, net, settings, place, shape, n_classes)
    if config.augment and "augment" not in algorithm.Algorithm.takes():
        raise ValueError(
            f"config.augment: config.algorithm={config.algorithm!r} augments nothing. Leave it out."
        )
    given = {"batch": config.batch, "augment": _augment(config)}
    return algorithm.Algorithm.build(config.game, **networks, **given)


def _check_names(game: type[Game], *networks: type[nn.Module]) -> None:
    """Raises ValueError where a class defines by a former name only what would not be read."""
    renames = {game: GAME_RENAMES} | dict.fromkeys(networks, NETWORK_RENAMES)
    for kind, names in renames.items():
        for source in kind.__mro__:
            for old, new in names.items():
                if old in _defined(source) and new not in _defined(source):
                    raise ValueError(
                        f"{source.__module__}.{source.__qualname__}: {old} is called {new} now."
                        " Rename it."
                    )
    generator = networks[0]
    known = set().union(*map(_defined, generator.__mro__))
    sides = [name for name in SIDES if name in known]
    if game.translates and sides and "side_multiple" not in known:
        raise ValueError(
            f"{generator.__module__}.{generator.__qualname__} has {' and '.join(sides)}, but no"
            " side_multiple: define what sides it pads pictures to multiples of (models.Traits)."
        )


def _defined(kind: type) -> set[str]:
    """The names that a class itself defines."""
    return {*vars(kind), *inspect.get_annotations(kind)}


def modules(config: Config) -> tuple[types.ModuleType, types.ModuleType]:
    """(the algorithm's module, the model's). Raises ValueError where there is none of that name."""
    algorithm = registry.by_name("algorithms", config.algorithm, "config.algorithm", "Algorithm")
    own = algorithm.Algorithm.own_critic(config.game)
    needs = ("Generator",) if own else ("Generator", "Discriminator")
    return algorithm, registry.by_name("models", config.model, "config.model", *needs)


def critic_class(
    config: Config, algorithm: types.ModuleType, model: types.ModuleType
) -> type[nn.Module]:
    """The class of `config.d`: the game's own critic, or the model's."""
    return algorithm.Algorithm.own_critic(config.game) or model.Discriminator


def further_networks(config: Config) -> dict[str, type[nn.Module]]:
    """The networks beside g and d:
    those of the model's NETWORKS that the algorithm has a field for."""
    algorithm, model = modules(config)
    takes = algorithm.Algorithm.takes()
    return {name: net for name, net in models.further_networks(model).items() if name in takes}


def field_names(kind: type) -> set[str]:
    """The names of a dataclass's fields."""
    return {field.name for field in dataclasses.fields(kind)}


def check_targets(config: Config, game: Game, source: Source) -> None:
    """Raises ValueError where the set of pictures that a game goes to is too small for it, or holds
    nothing to learn."""
    if not game.partners:
        return
    targets = source.sides[1]
    if len(targets) < game.least_targets:
        raise ValueError(
            f"config.data.b: {len(targets)} style picture, and config.algorithm="
            f"{config.algorithm!r} learns a style from a set. For one picture there are"
            " configs/cartoon_painting.py (perceptual style) and configs/single_cut.py (CUT)."
        )
    some = np.arange(min(len(targets), LOOKED_AT))
    pictures = targets.load(some, some.astype(np.uint64))["image"]
    if (pictures == pictures[:, :1, :1]).all():
        raise ValueError(
            f"config.data.b: pictures of one color each (the first {len(some)} looked at): there is"
            " no style to learn in them."
        )


def check_partner(config: Config, game: Game, source) -> None:
    """Raises ValueError where a game that goes from one set of pictures to another is given data
    without, or the reverse."""
    if source.partner in (game.partners or (None,)):
        scale = models.traits(game.g).scale if game.partners else 1
        if source.reduced != scale:
            raise ValueError(
                f"config.data.times={source.reduced}: the network makes pictures {scale} times as"
                " large (config.g.scale). Both must be equal."
            )
        return
    wants = (
        f"{' or '.join(map(repr, game.partners))} as its source"
        if game.partners
        else "one set of pictures"
    )
    raise ValueError(
        f"config.data.source={config.data['source']!r}: config.algorithm={config.algorithm!r} takes"
        f" {wants}."
    )


def _network(
    config: Config,
    net: type[nn.Module],
    settings: dict,
    place: str,
    shape: Sequence[int],
    n_classes: int,
) -> nn.Module:
    """One network of the model;
    `shape`, `n_classes` and `dtype` go to those that have the field."""
    fields = field_names(net)
    given = {"shape": tuple(shape), "n_classes": n_classes, "dtype": config.dtype}
    if "dtype" not in fields and config.dtype != "float32":
        raise ValueError(
            f"config.dtype={config.dtype!r}: {net.__module__}.{net.__name__} has no dtype; use"
            " 'float32'."
        )
    given = {name: value for name, value in given.items() if name in fields}
    built = registry.build(net, settings, place, **given)
    for name in SIZES:
        if name in fields:
            _check_size(getattr(built, name), f"{place}.{name}")
    return built


def _check_size(size, place: str) -> None:
    """Raises ValueError where a network of no channels, or the like, is requested."""
    sizes = size if isinstance(size, tuple) else (size,)
    if not all(isinstance(n, int) and n >= 1 for n in sizes):
        raise ValueError(f"{place}={size!r}: it must be at least 1.")


def _augment(config: Config) -> augment.Augment:
    if not config.augment:
        return augment.NONE
    settings = dict(config.augment)
    if "name" not in settings:
        raise ValueError(f"config.augment lacks name. {registry.suggest('', augment.AUGMENTS)}")
    factory = registry.choose(augment.AUGMENTS, settings.pop("name"), "config.augment.name")
    given = {"batch": config.batch} if "batch" in field_names(factory) else {}
    return registry.build(factory, settings, "config.augment", **given)
