"""Config -> what a run is made of; and what can be told of a config before any data is opened."""

import dataclasses
import inspect
import traceback

import jax
import jax.numpy as jnp

from gan_jax import checkpoint, optim
from gan_jax.algorithms.base import FromNoise, Game, Translator
from gan_jax.config import Config, check_partner, make_game
from gan_jax.data import pipeline
from gan_jax.data.source import outline
from gan_jax.distributed.parallel import Parallel
from gan_jax.evaluation import evaluator
from gan_jax.evaluation.protocol import Protocol
from gan_jax.runtime import registry
from gan_jax.state import Player, TrainState
from gan_jax.step import Average, Iteration

FEW = 100  # images: with fewer a generator has little to learn but the images themselves


def check(config: Config, parallel: Parallel, *, new: bool) -> None:
    """Raises ValueError where settings are wrong or don't fit together, before any data is opened,
    drawn or downloaded.

    Game, optimisers and evaluation are built on the shape that the data will have, and the networks
    traced on it. Of a source of one's own only the settings' names and types are looked at: what
    shape it has shows on opening.

    new: whether the run starts at step 0, so from `config.init_from` where that is given.
    """
    about = outline(config.data, "config.data")
    protocol = registry.build(Protocol, config.eval, "config.eval")
    pipeline.check_batch(config.batch, pipeline.ENDLESS, parallel.size, jax.process_count())
    if new and config.init_from is not None:
        checkpoint.find(config.init_from)
    if about.shape is None:
        return
    game = make_game(config, about.shape, about.classes)
    check_partner(config, game, about)
    make_iteration(config, game, parallel)
    if "." in config.model:
        if isinstance(game, FromNoise):
            check_own_networks(config, game, about.shape, about.classes)
        else:
            check_own_calls(config, game)
    jax.eval_shape(lambda: new_state(config, game, about.shape, about.classes))
    if config.eval_every_kimg is not None:
        evaluator.best_on(
            protocol, evaluator.check(protocol, config.data, game, choosing=True), game
        )


def check_own_networks(
    config: Config, game: FromNoise, shape: tuple[int, int, int], n_classes: int
) -> None:
    """Raises ValueError where networks of one's own don't take what a game from noise gives them,
    or give what it takes.

    Generator: (z f32 [B, Z], y int32 [B] or None, *, train) -> f32 [B, H, W, C]. Discriminator: (x
    f32 [B, H, W, C], y, *, train) -> logits f32 [B, ...].
    """
    key, batch = jax.random.key(0), game.example(shape, n_classes)
    y, n = batch.get("label"), len(batch["image"])
    z, x = game.latent(key, n), batch["image"].astype(jnp.float32)
    for net, first, name, gives in ((game.g, z, "z", [n, *shape]), (game.d, x, "x", [n])):
        where = f"config.model={config.model!r}: {type(net).__name__}"
        try:
            inspect.signature(net.__call__).bind(first, y, train=True)
        except (AttributeError, TypeError) as error:
            raise ValueError(
                f"{where} must have __call__(self, {name}, y, *, train): {error}."
            ) from error
        try:
            found = jax.eval_shape(
                lambda net=net, first=first: net.init_with_output(key, first, y, train=True)[0]
            )
        except (
            Exception
        ) as error:  # the network is the user's code: whatever it raises is about that code
            text = str(error).splitlines()[0] if str(error) else ""
            frames = traceback.extract_tb(error.__traceback__)
            lines = [
                frame.lineno
                for frame in frames
                if frame.filename == inspect.getsourcefile(type(net))
            ]
            at = f", line {lines[-1]}" if lines else ""
            raise ValueError(f"{where}{at}: {type(error).__name__}: {text}") from error
        if not isinstance(found, jax.ShapeDtypeStruct) or list(found.shape[: len(gives)]) != gives:
            got = (
                list(found.shape)
                if isinstance(found, jax.ShapeDtypeStruct)
                else type(found).__name__
            )
            raise ValueError(
                f"{where} gives {got} for {n} images; it must give "
                + (
                    f"images f32 {gives}."
                    if name == "z"
                    else f"logits f32 [{n}, ...], some for each."
                )
            )


def check_own_calls(config: Config, game: Translator) -> None:
    """Raises ValueError where networks of one's own can't be called as a translator calls them."""
    for name, arguments in game.calls:
        net = getattr(game, name)
        try:
            inspect.signature(net.__call__).bind(*arguments.split(", "), train=True)
        except (AttributeError, TypeError) as error:
            where = f"config.model={config.model!r}: {type(net).__name__}"
            raise ValueError(
                f"{where} must have __call__(self, {arguments}, *, train): {error}."
            ) from error


def fitted(config: Config, images: int) -> tuple[Config, list[str]]:
    """(the config for data of so many images, what is to be said of it): `augment_below` decides on
    `augment`."""
    if config.augment_below is None or not config.augment:
        return config, []
    if images >= config.augment_below:
        return dataclasses.replace(config, augment={}), []
    return config, [
        f"{images:,} images are fewer than {config.augment_below:,} (config.augment_below): the"
        f" critic sees them augmented by {config.augment.get('name')}, so that it learns them by"
        " heart less soon. --config.augment={} turns that off."
    ]


def few(config: Config, game: Game, images: int) -> list[str]:
    """What to expect of a generator that starts from nothing where there are fewer than FEW
    images."""
    if images >= FEW or config.init_from is not None or not isinstance(game, FromNoise):
        return []
    return [
        f"{images} images are few: a generator that starts from nothing will repeat them or stay"
        " blurred. configs/few_shot.py starts from a run on many images like them and asks for"
        " less: docs/generators.md, few images."
    ]


def make_iteration(config: Config, game: Game, parallel: Parallel) -> Iteration:
    """The compiled order of play."""
    rows = config.batch // parallel.size
    if rows % config.accumulate:
        raise ValueError(
            f"config.accumulate={config.accumulate}: it can't cut the {rows} images a device sees"
            f" of config.batch={config.batch} into equal parts. Use a number that divides {rows}."
        )
    rise = None if config.ema_rise_kimg is None else config.ema_rise_kimg * 1000
    average = Average(config.ema_halflife_kimg * 1000, config.ema_rampup, rise)
    tx = make_optimisers(config, game)
    return Iteration(
        game.phases, tx, parallel, batch=config.batch, average=average, accumulate=config.accumulate
    )


def make_optimisers(config: Config, game: Game) -> dict:
    """{"g": an optimiser, "d": an optimiser}, each of all of the player's networks.

    `networks` in the settings is {name: what differs for that network}.
    """

    def make(who: str, settings: dict):
        place, settings = f"config.opt_{who}", dict(settings)
        own = settings.pop("networks", {})
        given = {"batch": config.batch, "total_kimg": config.total_kimg}

        def chain(name: str):
            phases = [
                phase
                for phase in game.phases
                if phase.who == who and name in (phase.only or (name,))
            ]
            at = f"{place}.networks.{name}" if name in own else place
            return registry.build(
                optim.make, settings | own.get(name, {}), at, phases=phases, place=at, **given
            )

        return optim.per_network(chain, tuple(own), f"{place}.networks")

    return {"g": make("g", config.opt_g), "d": make("d", config.opt_d)}


def new_state(config: Config, game: Game, shape: tuple[int, ...], n_classes: int) -> TrainState:
    """What a run starts from, before it is placed on the devices; depends on the config and its
    seed only."""
    tx, batch = make_optimisers(config, game), game.example(shape, n_classes)

    @jax.jit
    def new(rng):
        k_init, k_run = jax.random.split(rng)
        g, d, carry = game.init(k_init, batch)
        return TrainState(
            step=jnp.int32(0),
            rng=jax.random.key_data(k_run),
            g=Player(g["params"], g["mutable"], tx["g"].init(g["params"])),
            d=Player(d["params"], d["mutable"], tx["d"].init(d["params"])),
            ema=jax.tree.map(jnp.copy, g),
            carry=carry,
        )

    return new(jax.random.key(config.seed))
