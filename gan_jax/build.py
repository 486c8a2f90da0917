"""Config -> Experiment: all that a run is made of, and every check whether it fits together."""

import dataclasses
import inspect
import traceback

import jax
import jax.numpy as jnp
from flax import linen as nn

from gan_jax import checkpoint, optim, recipe
from gan_jax.algorithms import check_partner, check_targets, make_game
from gan_jax.algorithms.base import Game, reference_names
from gan_jax.config import Config
from gan_jax.data import derived, domains, pipeline
from gan_jax.data.source import Source, open_source, outline
from gan_jax.distributed import agreement
from gan_jax.distributed.parallel import Parallel
from gan_jax.evaluation import best
from gan_jax.evaluation.protocol import Protocol
from gan_jax.reporting import trackers
from gan_jax.runtime import registry
from gan_jax.state import Player, PyTree, TrainState
from gan_jax.step import Average, Iteration

FEW = 100  # images: with fewer a generator has little to learn but the images themselves


@dataclasses.dataclass(frozen=True)
class Experiment:
    """What a run is made of, ready to train."""

    config: Config  # with all that its `from_data` names decided, by these images
    parallel: Parallel
    source: Source  # the training images
    samples: Source  # the same with the further pictures that the game takes beside each
    game: Game
    iteration: Iteration  # the game's optimizer steps, to be compiled when first called
    notes: tuple[str, ...]  # lines for the log: on the images, and what they make of the settings

    def new_state(self) -> TrainState:
        """What a run starts from at step 0, on the host's side of the devices."""
        return new_state(self.config, self.game, self.source.shape, len(self.source.classes))

    def with_frozen(self, state: TrainState) -> TrainState:
        """What a checkpoint holds, with the weights of the game's frozen networks."""
        return state.replace(frozen=frozen_weights(self.game))


def experiment(config: Config, *, new: bool = True) -> Experiment:
    """Builds all that a config names. What is wrong with its settings is found before any data is
    opened, drawn or downloaded.

    new: whether the run starts at step 0, and so from `config.init_from` where that is given.

    Raises:
        ValueError: the settings, the data and the devices don't fit together; in one line. Of
            several processes all raise it where they have different data, or frozen networks.
    """
    parallel = Parallel(config.parallel)
    check(config, parallel, new=new)

    source = open_source(config.data)
    agreement.agree({"the fingerprint of config.data": source.fingerprint})
    pipeline.check_batch(config.batch, len(source), parallel.size, jax.process_count())
    config, decided = recipe.decide(config, source)

    game = make_game(config, source.shape, len(source.classes))
    check_start(config, game, new=new)
    check_partner(config, game, source)
    check_targets(config, game, source)
    agree_on_frozen(game)
    names = reference_names(game.references)
    samples = domains.Domains(source, names) if names else source
    return Experiment(
        config=config,
        parallel=parallel,
        source=source,
        samples=derived.Derived(samples, game.views) if game.views else samples,
        game=game,
        iteration=make_iteration(config, game, parallel),
        notes=(*source.notes, *decided, *warn_of_few_images(config, game, len(source))),
    )


def check(config: Config, parallel: Parallel, *, new: bool) -> None:
    """Raises ValueError where settings are wrong or don't fit together; opens no data.

    Game, optimizers and evaluation are built on the shape that the data will have, and the networks
    traced on it. Of a source of the user's own only the settings' names and types are checked: its
    shape is known once it is open.

    new: as `experiment` has it.
    """
    trackers.check(config.trackers)
    recipe.check(config)
    about = outline(config.data, "config.data")
    protocol = registry.build(Protocol, config.eval, "config.eval")
    pipeline.check_batch(config.batch, pipeline.ENDLESS, parallel.size, jax.process_count())
    if new and config.init_from is not None:
        checkpoint.find(config.init_from)
    if about.shape is None:
        return
    game = make_game(config, about.shape, about.classes)
    check_start(config, game, new=new)
    agree_on_frozen(game)
    check_partner(config, game, about)
    make_iteration(config, game, parallel)
    if "." in config.model:
        if game.translates:
            check_own_calls(config, game)
        else:
            check_own_networks(config, game, about.shape, about.classes)
    elif not game.translates:
        _check_call(config, game.g, "z, y", None, None)  # of pictures from noise
    jax.eval_shape(lambda: new_state(config, game, about.shape, about.classes))
    if config.eval_every_kimg is not None:
        best.check(protocol, config.data, game)


def check_start(config: Config, game: Game, *, new: bool) -> None:
    """Raises ValueError where a new run has nothing to start from that its game needs."""
    if new and game.adapts and config.init_from is None:
        raise ValueError(
            "config.game.ewc and correspondence hold a generator near the one it starts from, and"
            " config.g.remodulation changes that one. Set config.init_from to that one's run."
        )


def check_own_networks(
    config: Config, game: Game, shape: tuple[int, int, int], n_classes: int
) -> None:
    """Raises ValueError where the user's own networks don't take what a game from noise gives them,
    or don't return what it needs.

    Generator: (z f32 [B, Z], y int32 [B] or None, *, train) -> f32 [B, H, W, C]. Discriminator: (x
    f32 [B, H, W, C], y, *, train) -> logits f32 [B, ...].
    """
    key, batch = jax.random.key(0), game.example(shape, n_classes)
    y, n = batch.get("label"), len(batch["image"])
    z, x = game.latent(key, n), batch["image"].astype(jnp.float32)
    images, logits = f"images f32 {[n, *shape]}", f"logits f32 [{n}, ...], some for each"
    own = [(game.g, z, "z", [n, *shape], images)]
    own += [] if game.own_critic(config.game) else [(game.d, x, "x", [n], logits)]
    for net, first, name, wanted, what in own:
        _check_call(config, net, f"{name}, y", first, y)
        found = _traced(config, net, key, first, y)
        array = isinstance(found, jax.ShapeDtypeStruct)
        if not array or list(found.shape[: len(wanted)]) != wanted:
            got = list(found.shape) if array else type(found).__name__
            raise ValueError(
                f"{_named(config, net)} gives {got} for {n} images; it must give {what}."
            )


def check_own_calls(config: Config, game: Game) -> None:
    """Raises ValueError where networks of one's own can't be called as a translator calls them."""
    for name, arguments in game.calls:
        _check_call(config, getattr(game, name), arguments, *arguments.split(", "))


def _named(config: Config, net: nn.Module) -> str:
    return f"config.model={config.model!r}: {type(net).__name__}"


def _check_call(config: Config, net: nn.Module, arguments: str, *values) -> None:
    try:
        inspect.signature(net.__call__).bind(*values, train=True)
    except (AttributeError, TypeError) as error:
        raise ValueError(
            f"{_named(config, net)} must have __call__(self, {arguments}, *, train): {error}."
        ) from error


def _traced(config: Config, net: nn.Module, key: jax.Array, *args):
    """The shapes that a network returns. Raises ValueError for whatever it raises, with its line:
    it is the user's code."""
    try:
        return jax.eval_shape(lambda: net.init_with_output(key, *args, train=True)[0])
    except Exception as error:
        text = str(error).splitlines()[0] if str(error) else ""
        file, frames = inspect.getsourcefile(type(net)), traceback.extract_tb(error.__traceback__)
        lines = [frame.lineno for frame in frames if frame.filename == file]
        at = f", line {lines[-1]}" if lines else ""
        raise ValueError(f"{_named(config, net)}{at}: {type(error).__name__}: {text}") from error


def warn_of_few_images(config: Config, game: Game, images: int) -> list[str]:
    """Lines for the log:
    what to expect of a generator that starts from nothing on fewer than FEW images."""
    if images >= FEW or config.init_from is not None or game.translates:
        return []
    return [
        f"{images} images are few: a generator that starts from nothing may repeat them. Better"
        " start from a run on many images like them (--config.init_from); for drawings of heads one"
        " comes with gan_jax, and configs/portraits_few.py goes on from it."
    ]


def make_iteration(config: Config, game: Game, parallel: Parallel) -> Iteration:
    """The optimizer steps of one iteration, to be compiled when first called."""
    rows = config.batch // parallel.size
    if rows % config.accumulate:
        raise ValueError(
            f"config.accumulate={config.accumulate}: it can't cut the {rows} images a device sees"
            f" of config.batch={config.batch} into equal parts. Use a number that divides {rows}."
        )
    rise = None if config.ema_rise_kimg is None else config.ema_rise_kimg * 1000
    average = Average(config.ema_halflife_kimg * 1000, config.ema_rampup, rise)
    tx = make_optimizers(config, game)
    return Iteration(
        game.phases, tx, parallel, batch=config.batch, average=average, accumulate=config.accumulate
    )


def make_optimizers(config: Config, game: Game) -> dict:
    """{"g": an optimizer, "d": an optimizer}, each of all of the player's networks.

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
    """What a run starts from, before it is placed on the devices;
    depends on the config and its seed only."""
    tx, batch = make_optimizers(config, game), game.example(shape, n_classes)

    @jax.jit
    def new(rng):
        k_init, k_run = jax.random.split(rng)
        g, d, carry = game.init(k_init, jax.tree.map(jnp.asarray, batch))
        return TrainState(
            step=jnp.int32(0),
            rng=jax.random.key_data(k_run),
            g=Player(g["params"], g["mutable"], tx["g"].init(g["params"])),
            d=Player(d["params"], d["mutable"], tx["d"].init(d["params"])),
            ema=jax.tree.map(jnp.copy, g),
            carry=carry,
        )

    return new(jax.random.key(config.seed)).replace(frozen=frozen_weights(game))


def rows_by_class(config: Config, shape: tuple[int, ...], n_classes: int) -> set[str]:
    """Names of the leaves that have a row for each of `n_classes`: those that grow with them."""
    found = []
    for n in (n_classes, n_classes + 1):
        game = make_game(config, shape, n)
        state = jax.eval_shape(lambda game=game, n=n: new_state(config, game, shape, n).saved())
        found.append({name: x.shape for name, x in checkpoint.named(state).items()})
    one, more = found
    return {k for k, x in one.items() if x and (x[0] + 1, *x[1:]) == more.get(k)}


def frozen_weights(game: Game) -> dict[str, PyTree]:
    """The weights of the game's frozen networks, on the host, as TrainState.frozen has them."""
    return {name: net.params for name, net in game.frozen.items()}


def agree_on_frozen(game: Game) -> None:
    """Raises ValueError in every process where the game's frozen networks can't be read in one of
    them, or are not the same in all."""
    if not game.nets:
        return
    missing = None
    try:
        found = frozen_hashes(game)
    except ValueError as error:
        missing, found = error, {name: str(error) for name in game.nets}
    agreement.agree({"config.game's networks": found})
    if missing is not None:
        raise missing


def frozen_hashes(game: Game) -> dict[str, str]:
    """{"eyes": "efflite0 (SHA-256 ...)"}: which frozen networks the game sees pictures by."""
    return {name: f"{net.name} (SHA-256 {net.sha256})" for name, net in game.frozen.items()}
