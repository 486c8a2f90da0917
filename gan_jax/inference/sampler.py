"""A checkpoint, ready to use: the averaged weights of a generator and how to call them."""

import collections
import dataclasses
import functools
import math
import pathlib
from collections.abc import Callable, Iterable, Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from gan_jax import models
from gan_jax.algorithms.base import Game, Variables
from gan_jax.data.images import MOST_COLUMNS, grid, to_uint8
from gan_jax.inference import notebook, stylize
from gan_jax.runtime import registry

SIDES = 32  # at least, for `Sampler.multiple`
BATCH = 32  # pictures that `Sampler.sample` draws at a time


@dataclasses.dataclass(frozen=True, repr=False)
class Sampler:
    """A trained generator: `sample` of one that draws from noise, `stylize` of a translator. The
    other methods take and give JAX arrays.

    Attributes:
        game: the algorithm, with its networks.
        ema: the averaged weights {"params": ..., "mutable": ...}, on the first device.
        shape: H, W, C of a picture.
        classes: names of the labels 0, 1, ...; empty: unconditional, or a translator into one
            style.
        step: the checkpoint's folder.
        batch: pictures an iteration while it was trained.
        changed: settings other than it was trained with.
    """

    game: Game
    ema: Variables
    shape: tuple[int, ...]
    classes: tuple[str, ...]
    step: pathlib.Path
    batch: int
    changed: Mapping[str, object] = dataclasses.field(default_factory=dict)

    def __repr__(self) -> str:
        kind = "translates pictures" if self.game.translates else "draws from noise"
        classes = f"{len(self.classes)} classes" if self.classes else "no classes"
        facts = ", ".join([*self._facts()[:1], kind, classes])
        return f"<Sampler {notebook.name_of(self.step)}: {facts}>"

    def sample(
        self,
        n: int = 1,
        *,
        seed: int = 0,
        label: str | None = None,
        truncation: float | None = None,
    ) -> np.ndarray:
        """n new pictures, uint8 [n, H, W, C].

        Args:
            seed: 0 to 4294967295. Picture i is drawn by seed + i, as by `gan-jax sample --seeds
                SEED+i`: neighboring seeds share pictures; give seeds that are n apart.
            label: name of their class; None: the classes in turn, where there are any.
            truncation: less variety for likelier pictures. StyleGAN2 pulls styles towards their
                mean (1: as they are, 0: the mean); others draw z within it.
        Raises:
            ValueError: n below 1, no such class or seed, or a run that translates pictures.
        """
        check_kind(self.game, self.step, "sample")
        if n < 1:
            raise ValueError(f"n={n}: it must be at least 1.")
        seed = stylize.check_seed(seed, n)
        y = None
        if self.classes:
            y = np.arange(n, dtype=np.int32) % len(self.classes)
        if label is not None:
            y = np.full(n, self.label(label, "label"), np.int32)
        pictures = []
        for start in range(0, n, BATCH):
            rows = slice(start, min(start + BATCH, n))
            z = self.latents(range(seed + rows.start, seed + rows.stop), truncation)
            pictures.append(to_uint8(self(z, None if y is None else y[rows], truncation)))
        return np.concatenate(pictures)

    def stylize(
        self,
        picture: "stylize.Picture",
        *,
        style: str | None = None,
        reference: "stylize.Picture | None" = None,
        seed: int = 0,
        strength: float = 1.0,
    ) -> np.ndarray:
        """A picture of any size in a style, by this translator; see `stylize.stylize`."""
        check_kind(self.game, self.step, "stylize")
        return stylize.stylize(
            self, picture, style=style, reference=reference, seed=seed, strength=strength
        )

    def latents(self, seeds: Iterable[int], truncation: float | None = None) -> np.ndarray:
        """z [n, Z], each of its own seed."""
        draw = self.game.latent
        return np.concatenate([draw(jax.random.key(seed), 1, truncation) for seed in seeds])

    def __call__(
        self, z: jax.Array, y: jax.Array | None = None, truncation: float | None = None
    ) -> jax.Array:
        """z f32 [n, Z], y int32 [n] (None: unconditional) -> images f32 [n, H, W, C] in [-1, 1].

        Raises:
            ValueError: y has a number that is no class, is missing, or is given to a network
                without classes; a run that translates pictures.
        """
        check_kind(self.game, self.step, "sample")
        self._check_labels(y)
        return _sample(self.game, self.ema, z, y, truncation)

    def restyle(self, x: jax.Array, style: jax.Array) -> jax.Array:
        """Of a translator: x f32 [n, h, w, C] in [-1, 1], style [n, S] -> f32 [n, h, w, C]."""
        return _restyle(self.game, self.ema, x, style, None)

    def part_of(self, whole: jax.Array) -> Callable[[jax.Array, jax.Array], jax.Array]:
        """`restyle` for tiles of larger pictures, which fit together; whole: f32 [n, h, w, C],
        those pictures reduced."""
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
        return self.game.style_from_noise(self.ema, z, None if y is None else jnp.asarray(y))

    def style_from_picture(self, x: jax.Array, y: jax.Array) -> jax.Array:
        """Where `reads_styles`: pictures f32 [n, H, W, C] of the run's shape, of classes y int32
        [n] -> styles [n, S]. Raises ValueError as `__call__`."""
        self._check_labels(y)
        return self.game.style_from_picture(self.ema, jnp.asarray(x), jnp.asarray(y))

    @property
    def reads_styles(self) -> bool:
        """Whether there is `style_from_picture` (StarGAN v2)."""
        return self.game.reads_styles

    @property
    def multiple(self) -> int:
        """Of a translator: what the sides of pictures should be multiples of,
        so that few sizes are compiled."""
        return math.lcm(SIDES, models.traits(self.game.g).side_multiple)

    @property
    def fixed_size(self) -> bool:
        """Of a translator: whether pictures are to be resized to `shape`."""
        return models.traits(self.game.g).fixed_size

    least = 1  # what sides must be multiples of: the networks pad and cut by themselves

    @property
    def has_styles(self) -> bool:
        """Whether there are `styles` and `render`,
        for mixing and walking in style space (StyleGAN2)."""
        return self.game.mixes_styles

    def styles(
        self, z: jax.Array, y: jax.Array | None = None, truncation: float | None = None
    ) -> jax.Array:
        """z f32 [n, Z], y int32 [n] or None -> ws f32 [n, L, W], a style for each of the
        generator's L layers. Raises ValueError as `__call__`."""
        self._check_labels(y)
        return _styles(self.game, self.ema, z, y, truncation)

    def render(self, ws: jax.Array) -> jax.Array:
        """ws f32 [n, L, W] -> images f32 [n, H, W, C] in [-1, 1]."""
        return _render(self.game, self.ema, ws)

    def columns(self, name: str | None) -> list[int]:
        """Labels of a grid's columns: the class of that name, or the first MOST_COLUMNS of all; []
        without classes."""
        return list(range(len(self.classes)))[:MOST_COLUMNS] if name is None else [self.label(name)]

    def label(self, name: str, argument: str = "class") -> int:
        """A class's number.

        argument: what the name was given as, for the error.

        Raises:
            ValueError: no such class; names those there are.
        """
        if not self.classes:
            raise ValueError(f"{argument}={name!r}: {self.step} was trained without classes.")
        if not isinstance(name, str):
            known = registry.suggest("", self.classes)
            raise ValueError(f"{argument}={name!r}: give the name of one class. {known}")
        return registry.choose({c: i for i, c in enumerate(self.classes)}, name, argument)

    def _check_labels(self, y):
        check_labels(y, len(self.classes), self.step)

    def _repr_html_(self) -> str:
        """For notebooks: eight pictures, of a translator the run's newest grid."""
        if self.game.translates:
            picture = notebook.newest_grid(notebook.workdir_of(self.step))
        else:
            picture = grid(self.sample(notebook.PICTURES), notebook.PICTURES)
        return notebook.card(notebook.name_of(self.step), self._facts(), picture)

    def _facts(self) -> list[str]:
        size = "x".join(map(str, self.shape))
        return [f"{algorithm_of(self.game)}, {size}", *notebook.class_line(self.classes)]


def algorithm_of(game: Game) -> str:
    """The name of the game's file."""
    return type(game).__module__.rpartition(".")[2]


def games_for(command: str) -> list[str]:
    """The algorithms whose generators a command uses."""
    found = registry.modules("algorithms", "Algorithm")
    return [each.__name__.rpartition(".")[2] for each in found if each.Algorithm.command == command]


def check_kind(game: Game, step: pathlib.Path, command: str) -> None:
    """Raises ValueError where a run's generator is not for this command, a Game.command."""
    if game.command == command:
        return
    does = {
        "sample": (
            "draws new pictures from noise, and can't change one of yours. `gan-jax sample` draws"
            f" with it; for `gan-jax {command}` train another: {', '.join(games_for(command))}"
        ),
        "stylize": (
            "turns pictures into pictures"
            f"{', and draws none from noise' if command == 'sample' else ' of another style'}: use"
            " `gan-jax stylize`"
        ),
        "restore": "makes pictures larger: use `gan-jax restore --model`",
        "inpaint": "fills holes in pictures: use `gan-jax inpaint --model`",
    }
    raise ValueError(f"{step}: this run's {algorithm_of(game)} {does[game.command]}.")


def check_labels(y: np.ndarray | jax.Array | None, classes: int, where: pathlib.Path) -> None:
    """Raises ValueError where labels y int [n] are missing, are too much,
    or have a number that is no class."""
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


def is_size(x: object) -> bool:
    """Whether it is an int of 1 to 2**16, as the sides and channels of pictures are."""
    return type(x) is int and 1 <= x <= 2**16


def check_class_names(classes: Sequence[str], where: str) -> None:
    """Raises ValueError where two classes have one name,
    or one has a name that no file can have."""
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
