"""A checkpoint -> a sampler; a sampler -> files for inference: safetensors, a bare orbax tree,
StableHLO."""

import collections
import dataclasses
import functools
import json
import math
import pathlib
import struct
from collections.abc import Callable, Iterable, Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
import safetensors.numpy
from flax import traverse_util
from jax import export as jax_export

from gan_jax import checkpoint, models
from gan_jax.algorithms import make_game
from gan_jax.algorithms.base import FromNoise, Game, Translator, Variables
from gan_jax.config import Config, set_override
from gan_jax.data.images import MOST_COLUMNS
from gan_jax.nn import conv
from gan_jax.runtime import registry
from gan_jax.runtime.files import replace_bytes
from gan_jax.runtime.text import shown

PLATFORMS = ("cpu", "cuda", "tpu")
SIDES = 32  # at least, for `Sampler.multiple`
GAME = ("algorithm", "model", "g", "d", "networks", "game", "conditional", "dtype", "seed")
"""Settings of a config by which a checkpoint draws: its own, whatever the config has now."""


@dataclasses.dataclass(frozen=True)
class Sampler:
    """A trained generator: the averaged weights and how to call them."""

    game: Game
    ema: Variables  # {"params": ..., "mutable": ...}, on the first device
    shape: tuple[int, ...]  # of a picture: H, W, C
    classes: tuple[str, ...]  # names of the labels 0, 1, ...; empty: unconditional
    step: pathlib.Path  # the checkpoint's folder
    batch: int  # images a round while it was trained
    # settings other than it was trained with
    redrawn: Mapping[str, object] = dataclasses.field(default_factory=dict)

    def __call__(
        self, z: jax.Array, y: jax.Array | None = None, truncation: float | None = None
    ) -> jax.Array:
        """z f32 [n, Z], y int32 [n] (None: unconditional) -> images f32 [n, H, W, C] in [-1, 1].

        Raises:
            ValueError: y has a number that is no class, is missing, or is given to a network
            without classes.
        """
        self._check_labels(y)
        return _sample(self.game, self.ema, z, y, truncation)

    def restyle(self, x: jax.Array, style: jax.Array) -> jax.Array:
        """Of a translator: x f32 [n, h, w, C] in [-1, 1], style [n, S] -> f32 [n, h, w, C]."""
        return _restyle(self.game, self.ema, x, style, None)

    def part_of(self, whole: jax.Array) -> Callable[[jax.Array, jax.Array], jax.Array]:
        """`restyle` for parts of larger pictures, which fit together; whole: f32 [n, h, w, C],
        those made small."""
        moments = None

        def restyle(x, style):
            nonlocal moments
            moments = _moments(self.game, self.ema, whole, style) if moments is None else moments
            return _restyle(self.game, self.ema, x, style, moments)

        return restyle

    def styles_from_noise(self, seed: int, y: jax.Array | None, n: int) -> jax.Array:
        """Of a translator: n styles [n, S] of one draw of z, of classes y int32 [n] or None. Raises
        ValueError as `__call__`."""
        self._check_labels(y)
        z = jnp.repeat(self.game.latent(jax.random.key(seed), 1), n, 0)
        return self.game.style_from_noise(self.ema, z, y)

    def style_from_picture(self, x: jax.Array, y: jax.Array) -> jax.Array:
        """Of StarGAN v2's: pictures f32 [n, H, W, C] of the run's shape, of classes y int32 [n] ->
        styles [n, S].

        Raises ValueError as `__call__`.
        """
        self._check_labels(y)
        return self.game.style_from_picture(self.ema, x, y)

    @property
    def reads_styles(self) -> bool:
        """Whether there is `style_from_picture`."""
        return self.game.reads_styles

    @property
    def multiple(self) -> int:
        """Of a translator: what the sides of pictures should be multiples of, so that few sizes are
        compiled."""
        return math.lcm(SIDES, models.traits(self.game.g).side_multiple)

    least = 1  # what sides must be multiples of: the networks pad and cut by themselves

    @property
    def has_styles(self) -> bool:
        """Whether pictures can be mixed and walked through in style space (StyleGAN2): `styles` and
        `render`."""
        return self.game.mixes_styles

    def styles(
        self, z: jax.Array, y: jax.Array | None = None, truncation: float | None = None
    ) -> jax.Array:
        """z f32 [n, Z], y int32 [n] or None -> ws f32 [n, L, W], a style for each of the
        generator's L layers.

        Raises ValueError as `__call__`.
        """
        self._check_labels(y)
        return _styles(self.game, self.ema, z, y, truncation)

    def render(self, ws: jax.Array) -> jax.Array:
        """ws f32 [n, L, W] -> images f32 [n, H, W, C] in [-1, 1]."""
        return _render(self.game, self.ema, ws)

    def columns(self, name: str | None) -> list[int]:
        """Labels of a grid's columns: of the class of that name, or of all, the first
        log.MOST_COLUMNS; no class: none."""
        return list(range(len(self.classes)))[:MOST_COLUMNS] if name is None else [self.label(name)]

    def _check_labels(self, y):
        check_labels(y, len(self.classes), self.step)

    def label(self, name: str) -> int:
        """A class's number.

        Raises:
            ValueError: no such class; names those there are.
        """
        if not self.classes:
            raise ValueError(f"class {name!r}: {self.step} was trained without classes.")
        return registry.choose({c: i for i, c in enumerate(self.classes)}, name, "class")


def check_labels(y: np.ndarray | jax.Array | None, classes: int, where: pathlib.Path) -> None:
    """Raises ValueError where labels y int [n] are missing, are too much, or have a number that is
    no class."""
    if (y is None) != (classes == 0):
        raise ValueError(
            f"{where}: trained on {classes or 'no'} classes, so labels must"
            f" {'' if classes else 'not '}be given."
        )
    wrong = [] if y is None else [int(i) for i in np.asarray(y).ravel() if not 0 <= i < classes]
    if wrong:
        raise ValueError(f"class {wrong[0]}: {where} knows 0 to {classes - 1}.")


@functools.partial(jax.jit, static_argnums=(0, 4))
def _sample(game, ema, z, y, truncation):
    return game.sample(ema, z, y, truncation)


@functools.partial(jax.jit, static_argnums=0)
def _restyle(game, ema, x, style, moments):
    return game.restyle(ema, x, style, moments)


@functools.partial(jax.jit, static_argnums=0)
def _moments(game, ema, x, style):
    return game.moments(ema, x, style)


@functools.partial(jax.jit, static_argnums=(0, 4))
def _styles(game, ema, z, y, truncation):
    return game.styles(ema, z, y, truncation)


@functools.partial(jax.jit, static_argnums=0)
def _render(game, ema, ws):
    return game.render(ema, ws)


def load(
    path: str | pathlib.Path,
    kind: type[Game] = Game,
    trusted: Iterable[str] = (),
    overrides: Sequence[str] = (),
) -> Sampler:
    """The newest valid checkpoint under a workdir (or one step's folder) as a sampler. Needs no
    data.

    Args:
        kind: of game that is wanted, FromNoise or Translator.
        trusted: dotted paths of modules that may be imported where the checkpoint names them.
        overrides: of a config, "g.flat=0": those of `sampling_settings` of the game or its
            generator are applied.
    Raises:
        ValueError: no checkpoint there, none that verifies, one that this version's networks don't
        fit, another kind; an
            override of the settings GAME that would make it another network than was trained; a
            game or a network from outside gan_jax that is not among the trusted.
    """
    step = checkpoint.find(path)
    saved, meta = checkpoint.read(step, ("ema/",))
    _check_meta(meta, step)
    config = registry.build(Config, meta["config"], f"{step}: config")
    registry.check_trusted(
        {"algorithm": config.algorithm, "model": config.model}, trusted, str(step)
    )
    shape, classes = tuple(meta["shape"]), tuple(map(registry.normal, meta["classes"]))
    game = make_game(config, shape, len(classes))
    if not isinstance(game, kind):
        does = (
            "turns pictures into pictures, and draws none from noise: use tools/stylize.py"
            if kind is FromNoise
            else (
                "draws new pictures from noise, and can't change one of yours. tools/sample.py"
                " draws with it; for tools/stylize.py train a translator: cut, cyclegan, pix2pix or"
                " starganv2"
            )
        )
        raise ValueError(f"{step}: this run's {config.algorithm} {does}.")
    config, game, redrawn = _redrawn(config, game, overrides, shape, len(classes), step)
    like, _, _ = jax.eval_shape(
        game.init, jax.random.key(0), game.example_shapes(shape, len(classes))
    )
    wanted = checkpoint.named({"ema": like})
    checkpoint.compare(wanted, {name: (x.shape, x.dtype) for name, x in saved.items()}, step)
    ema = jax.tree.unflatten(jax.tree.structure(like), [saved[name] for name in wanted])
    ema = jax.device_put(
        jax.device_get(game.prepare_for_sampling(ema, jax.random.key(config.seed)))
    )
    return Sampler(game, ema, shape, classes, step, config.batch, redrawn)


def _redrawn(config, game, overrides, shape, n_classes, step):
    """(config, game, what was changed) with the overrides that act only when pictures are drawn."""
    redrawn, free = (
        {},
        [f"g.{name}" for name in models.traits(game.g).sampling_settings]
        + [f"game.{name}" for name in game.sampling_settings],
    )
    for text in overrides:
        key = text.partition("=")[0]
        if key.split(".")[0] not in GAME:
            continue
        settings = json.loads(json.dumps(dataclasses.asdict(config)))
        set_override(settings, text)
        changed = registry.build(Config, settings, "config")
        other = make_game(changed, shape, n_classes)
        if (other, changed.seed) == (game, config.seed):
            continue
        if key not in free:
            raise ValueError(
                f"--config.{text}: {step} was trained otherwise, and draws as it was trained. Leave"
                f" it out; what can be changed of it: {', '.join(free) or 'nothing'}."
            )
        config, game = changed, other
        redrawn[key] = functools.reduce(dict.__getitem__, key.split("."), settings)
    return config, game, redrawn


def _check_meta(meta: object, step: pathlib.Path) -> None:
    """Raises ValueError, naming it, where something else stands there than a run writes."""
    sides = lambda x: (
        isinstance(x, list) and len(x) == 3 and all(type(n) is int and 1 <= n <= 2**16 for n in x)
    )
    words = lambda x: isinstance(x, list) and all(isinstance(word, str) for word in x)
    config = lambda x: isinstance(x, dict)
    for name, fits in {"config": config, "shape": sides, "classes": words}.items():
        if not isinstance(meta, dict) or name not in meta or not fits(meta[name]):
            raise ValueError(f"{step}: its meta has no {name} as a run of gan_jax writes it.")
    _check_names(meta["classes"], f"{step}: its meta")


def _check_names(classes: Sequence[str], where: str) -> None:
    """Raises ValueError where two classes have one name, or one has a name that no file can
    have."""
    for name, count in collections.Counter(map(registry.normal, classes)).items():
        if count > 1:
            raise ValueError(
                f"{where} has {count} classes of the name {name!r}. Each must have its own."
            )
        try:
            name.encode("utf-8", "surrogateescape")  # as the names of folders are read
        except UnicodeEncodeError as error:
            raise ValueError(
                f"{where} has a class named {name!r}, which is no Unicode text."
            ) from error


def save_safetensors(sampler: Sampler, path: pathlib.Path) -> None:
    """The averaged weights, "params/g/Dense_0/kernel" -> array, with shape and classes as
    metadata."""
    note = {
        "shape": "x".join(map(str, sampler.shape)),
        "classes": ",".join(map(shown, sampler.classes)),
        "format": "gan_jax",
    }
    # its own save_file hides the file from others
    replace_bytes(path, safetensors.numpy.save(_flat(sampler.ema), note))


def load_safetensors(path: pathlib.Path) -> dict[str, np.ndarray]:
    return safetensors.numpy.load_file(path)


def save_orbax(sampler: Sampler, path: pathlib.Path) -> None:
    """The averaged weights as a bare orbax tree, for any orbax reader: {"params": {"g": ...},
    "mutable": ...}.

    Raises:
        ValueError: a folder stands there that is no such tree; it is left alone.
    """
    if path.exists() and not (path / "_METADATA").is_file():
        raise ValueError(
            f"{path} is there already and is no export of ours. Move it, or give another --out."
        )
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(path.absolute(), sampler.ema, force=True)


def load_orbax(path: pathlib.Path) -> dict[str, np.ndarray]:
    with ocp.StandardCheckpointer() as checkpointer:
        return _flat(checkpointer.restore(path.absolute()))


def save_stablehlo(sampler: Sampler, path: pathlib.Path) -> None:
    """The sampler with its weights inside, any batch size, for cpu, cuda and tpu; needs none of our
    code to run.

    It takes z f32 [b, Z] and, if conditional, y int32 [b], and returns f32 [b, H, W, C] in [-1, 1]:
    load_stablehlo(path)(z, y), which checks y, or jax.export.deserialize(path.read_bytes()).call(z,
    y). The module itself can't refuse a y that is no
    class: what it then draws means nothing.
    """
    (b,) = jax_export.symbolic_shape("b")
    z = jax.eval_shape(lambda: sampler.game.latent(jax.random.key(0), 1))
    args = [jax.ShapeDtypeStruct((b, *z.shape[1:]), z.dtype)]
    if sampler.classes:
        args.append(jax.ShapeDtypeStruct((b,), jnp.int32))
    call = for_platforms(lambda z, y=None: sampler.game.sample(sampler.ema, z, y), args)
    replace_bytes(path, call.serialize())


def save_translator(sampler: Sampler, folder: pathlib.Path) -> None:
    """A translator with its weights inside, for any batch, size and of PLATFORMS; needs none of our
    code to run.

    restyle.stablehlo: (x f32 [b, h, w, C] in [-1, 1], style f32 [b, S]) -> f32 [b, h, w, C]; h and
    w multiples of `multiple` in about.json. restyle_part.stablehlo: the same of parts of larger
    pictures, (x, style, the pictures f32 [b, h', w', C], made small). style.stablehlo: (z f32 [b,
    Z] and, with classes, y int32 [b]) -> f32 [b, S]. style_from_picture.stablehlo, where there is
    one: (x f32 [b, H, W, C] of the run's shape, y) -> f32 [b, S].
    """
    game, ema, f32 = sampler.game, sampler.ema, jnp.float32
    sides = ", ".join(f"{sampler.multiple}*{letter}" for letter in "mnkl")
    b, h, w, tall, wide = jax_export.symbolic_shape(f"b, {sides}")
    width = jax.eval_shape(
        lambda: sampler.styles_from_noise(0, np.zeros(1, np.int32) if sampler.classes else None, 1)
    )
    z = jax.eval_shape(lambda: game.latent(jax.random.key(0), 1))
    row = lambda *shape, dtype=f32: jax.ShapeDtypeStruct((b, *shape), dtype)
    y = [row(dtype=jnp.int32)] if sampler.classes else []
    picture, style = row(h, w, sampler.shape[2]), row(*width.shape[1:])
    calls = {
        "restyle": (lambda x, style: game.restyle(ema, x, style), [picture, style]),
        "restyle_part": (
            lambda x, style, whole: game.restyle(ema, x, style, game.moments(ema, whole, style)),
            [picture, style, row(tall, wide, sampler.shape[2])],
        ),
        "style": (lambda z, y=None: game.style_from_noise(ema, z, y), [row(*z.shape[1:]), *y]),
    }
    if sampler.reads_styles:
        calls["style_from_picture"] = (
            lambda x, y: game.style_from_picture(ema, x, y),
            [row(*sampler.shape), *y],
        )
    else:
        (folder / "style_from_picture.stablehlo").unlink(missing_ok=True)  # of an earlier export
    for name, (call, args) in calls.items():
        replace_bytes(folder / f"{name}.stablehlo", for_platforms(call, args).serialize())


def for_platforms(
    call: Callable, args: Sequence, platforms: Sequence[str] = PLATFORMS
) -> jax_export.Exported:
    """`call` of `args`, shapes and types, for several platforms, each with its own form of every
    convolution."""

    def on_cpus(*args):
        with conv.for_cpu():
            return call(*args)

    def elsewhere(*args):
        with conv.plain():
            return call(*args)

    chosen = jax.jit(
        lambda *args: jax.lax.platform_dependent(*args, cpu=on_cpus, default=elsewhere)
    )
    return jax_export.export(chosen, platforms=platforms)(*args)


class Exported:
    """A translator as `save_translator` left it in a folder: what Sampler offers of a translator,
    without its code."""

    def __init__(self, folder: pathlib.Path):
        """Raises ValueError where the folder lacks a file, or one is damaged."""
        try:
            about = json.loads((folder / "about.json").read_text("utf-8"))
            _check_about(about)
            self.shape, self.classes = (
                tuple(about["images"]["shape"][1:]),
                tuple(map(registry.normal, about["classes"])),
            )
            self.multiple = self.least = about["multiple"]
            self._z, self.step = about["z"], folder
            names = ("restyle", "restyle_part", "style")
            self.restyle, self._part, self._style = (
                load_stablehlo(folder / f"{name}.stablehlo") for name in names
            )
            path = folder / "style_from_picture.stablehlo"
            self.reads_styles = path.is_file()
            self.style_from_picture = load_stablehlo(path) if self.reads_styles else None
        except (
            OSError,
            LookupError,
            ValueError,
            TypeError,
            AttributeError,
            RecursionError,
            struct.error,
        ) as error:
            raise ValueError(
                f"{folder}: no translator that tools/export.py wrote ({error})."
            ) from error

    def part_of(self, whole: jax.Array) -> Callable[[jax.Array, jax.Array], jax.Array]:
        """As Sampler's; `whole` goes through the network with every part."""
        return lambda x, style: self._part(x, style, whole)

    def styles_from_noise(self, seed: int, y: jax.Array | None, n: int) -> jax.Array:
        """As Sampler's; z is standard normal."""
        z = np.repeat(np.asarray(jax.random.normal(jax.random.key(seed), (1, *self._z))), n, 0)
        return self._style(z, *(() if y is None else (y,)))


def _check_about(about: dict) -> None:
    """Raises ValueError, naming it, where something else stands in about.json than
    `tools/export.py` writes there."""
    sizes = lambda x: (
        isinstance(x, list)
        and 0 < len(x) <= 4
        and all(type(n) is int and 1 <= n <= 2**16 for n in x)
    )
    fits = {
        "images' shape": sizes(about["images"]["shape"][1:]),
        "z": sizes(about["z"]),
        "multiple": sizes([about["multiple"]]),
        "classes": (
            isinstance(about["classes"], list)
            and all(isinstance(name, str) for name in about["classes"])
        ),
    }
    for name, fit in fits.items():
        if not fit:
            raise ValueError(f"the {name} in about.json is not as it writes it")
    _check_names(about["classes"], "about.json")


def load_translator(path: str | pathlib.Path, trusted: Iterable[str] = ()) -> Sampler | Exported:
    """A translator's run, one of its checkpoints, or what was exported of it. Raises ValueError as
    `load`."""
    folder = pathlib.Path(path)
    return (
        Exported(folder) if (folder / "about.json").is_file() else load(folder, Translator, trusted)
    )


def load_stablehlo(path: pathlib.Path) -> Callable[..., jax.Array]:
    """What was saved, to be called as the functions that save say; labels are held against
    about.json beside the file.

    Raises:
        ValueError: on calling it, as Sampler's: a label that is no class.
    """
    exported = jax_export.deserialize(bytearray(path.read_bytes()))
    classes = len(json.loads((path.parent / "about.json").read_text("utf-8"))["classes"])
    takes_labels = exported.in_avals[-1].dtype == np.int32

    def call(*args):
        if takes_labels and len(args) == len(exported.in_avals):
            check_labels(args[-1], classes, path)
        return exported.call(*args)

    return call


def round_trip(sampler: Sampler, folder: pathlib.Path) -> dict[str, float]:
    """Largest difference between what was exported to `folder` and the sampler: of weights, and of
    4 pictures."""
    own = _flat(sampler.ema)
    largest = lambda other: max(float(np.abs(own[name] - other[name]).max()) for name in own)
    weights = {
        "params.safetensors": largest(load_safetensors(folder / "params.safetensors")),
        "params": largest(load_orbax(folder / "params")),
    }
    if isinstance(sampler.game, Translator):
        exported, n = Exported(folder), max(1, len(sampler.classes))
        y = np.arange(n, dtype=np.int32) if sampler.classes else None
        side = sampler.multiple
        x = (
            np.random.default_rng(0)
            .uniform(-1, 1, (n, side, 2 * side, sampler.shape[2]))
            .astype(np.float32)
        )
        pictures = [net.restyle(x, net.styles_from_noise(0, y, n)) for net in (sampler, exported)]
        return weights | {"restyle.stablehlo": float(jnp.abs(pictures[0] - pictures[1]).max())}
    z = sampler.game.latent(jax.random.key(0), 4)
    args = (z, jnp.arange(4) % len(sampler.classes)) if sampler.classes else (z,)
    pictures = load_stablehlo(folder / "sampler.stablehlo")(*args)
    return weights | {"sampler.stablehlo": float(jnp.abs(pictures - sampler(*args)).max())}


def _flat(tree) -> dict[str, np.ndarray]:
    return {name: np.asarray(x) for name, x in traverse_util.flatten_dict(tree, sep="/").items()}
