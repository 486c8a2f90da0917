"""What every game is. No loss term lives here:
a reader sees a game's whole objective in its own file."""

import abc
import functools
import math
import numbers
import types
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from gan_jax import models, pretrained
from gan_jax.distributed import collectives
from gan_jax.nn import alpha
from gan_jax.runtime import registry
from gan_jax.state import Phase, PyTree, TrainState

Variables = dict[str, PyTree]  # {"params": {"g": ...}, "mutable": {"g": ...}}, by network name


class Game(abc.ABC):
    """A two-player game: `FromNoise` or a `Translator`. Each algorithm file has one, a frozen
    dataclass named `Algorithm`.

    `build.py` makes it as Algorithm(g=Generator, d=Discriminator, **config.game); where it has
    fields named as in the model's NETWORKS, it is given those too. All that the rest of the program
    knows of a game is declared here: what a kind of game can do is an attribute with a default, and
    nobody asks for its type.

    Attributes:
        translates: whether its generator turns pictures into pictures (`restyle`, `moments`,
            `style_from_noise`), or draws them from noise (`sample`).
        command: the one that uses its generator, gan-jax "sample", "stylize", "restore" or
            "inpaint".
        contents: of data with two sides (data/pairs.py), the side that `restyle` takes, "a" or "b";
            None: the generator takes no pictures.
        reads_styles: whether it has `style_from_picture`.
        labeled: whether it needs data with classes; of a translator: whether they are its styles.
        references: pictures of another class that go with each picture of a batch; see
            data/domains.py.
        partners: kinds of source that it can be played on, "unpaired", "paired", "degraded" and
            "masked" (data/sources/), which give each picture a "target"; empty: it needs no such
            pictures.
        least_targets: pictures that the set to go to must have.
        views: further pictures, shaped as "image", that the loader makes of a sample's: with
            "target_smooth" the target with its edges blurred, with "target_sharp" sharpened, with
            "superpixels" the picture with each region of like color filled with its mean.
        nets: the pretrained networks that its losses see pictures by, {"eyes": (a name in
            pretrained.NETS, its file or None)}; `frozen` has them read.
        sampling_settings: names of its settings that act on sampling only, not on training, so that
            they can be changed for a trained generator.
        parts: fields that are made of settings of config.game too, (("terms", CriticTerms),).
        calls: how it calls its networks, (("g", "x, style"), ...), arguments by name; networks of
            one's own are held to that. Empty: they are traced instead (build.py).
    """

    translates = False
    command = "sample"
    contents: str | None = None
    reads_styles = False
    labeled = False
    references = 0
    partners: tuple[str, ...] = ()
    least_targets = 1
    views: tuple[str, ...] = ()
    nets: Mapping[str, tuple[str, str | None]] = types.MappingProxyType({})
    sampling_settings: tuple[str, ...] = ()
    parts: tuple[tuple[str, type], ...] = ()
    calls: tuple[tuple[str, str], ...] = ()

    @property
    def adapts(self) -> bool:
        """Whether it goes on from another run's networks, and so needs `config.init_from`."""
        return False

    def begin(self, state: TrainState, n_classes: int) -> TrainState:
        """The state of a new run whose networks have just come from `config.init_from`, with what
        the game keeps of them. n_classes: of the data."""
        return state

    @classmethod
    def own_critic(cls, settings: Mapping[str, Any]) -> type[nn.Module] | None:
        """The class of its critic under these settings, config.game, where that is not the
        Discriminator of the model."""
        return None

    @classmethod
    def takes(cls) -> set[str]:
        """Names of all that it is made of: settings, networks, and what the program gives."""
        factories = cls, *dict(cls.parts).values()
        return {name for factory in factories for name in registry.settings_of(factory)}

    @classmethod
    def build(cls, settings: Mapping[str, Any], **given: Any) -> "Game":
        """The game of `settings`, config.game, those of its parts among them.

        given: the networks, and what else of `takes` is not the user's: `batch`, `augment`.
        Raises:
            ValueError: an unknown, missing or wrongly typed setting.
        """
        parts = dict(cls.parts)
        known = cls.takes() - parts.keys() - given.keys()
        for name in settings:
            if name not in known:
                suggestion = registry.suggest(name, known)
                raise ValueError(f"config.game.{name}: no such setting. {suggestion}")

        def build(factory, **more):
            takes = registry.settings_of(factory)
            more |= {name: value for name, value in given.items() if name in takes}
            own = {name: value for name, value in settings.items() if name in takes}
            return registry.build(factory, own, "config.game", **more)

        return build(cls, **{name: build(part) for name, part in parts.items()})

    @functools.cached_property
    def frozen(self) -> Mapping[str, pretrained.Net]:
        """The networks of `nets`, read from their files when first asked for; a loss applies one to
        its weights in state.frozen: `self.frozen["eyes"].stages(state.frozen["eyes"], x)`.

        Raises:
            ValueError: no such net, or not its file.
        """
        try:
            return {name: pretrained.load(*net) for name, net in self.nets.items()}
        except ValueError as error:
            raise ValueError(f"config.game: {error}") from error

    @property
    @abc.abstractmethod
    def phases(self) -> tuple[Phase, ...]:
        """The order of play; see state.Phase."""

    @abc.abstractmethod
    def init(
        self, rng: jax.Array, batch: Mapping[str, jax.Array]
    ) -> tuple[Variables, Variables, PyTree]:
        """(generator side's variables, critic side's variables, carry),
        from one batch of data for its shapes."""

    @abc.abstractmethod
    def latent(self, rng: jax.Array, n: int, truncation: float | None = None) -> jax.Array:
        """n latents z ~ N(0, I), f32 [n, Z]; Z is 0 where nothing is drawn.

        truncation: less variety for likelier pictures; callers give it here and to `sample`, and a
            game uses it in one of the two. Here: every element of z lies within it of 0 (Brock et
            al. 2018, arXiv:1809.11096, section 3.1).
        """

    @abc.abstractmethod
    def sample_to_measure(
        self,
        ema: Variables,
        keys: jax.Array,
        z: jax.Array,
        y: jax.Array | None,
        truncation: float | None = None,
        x: jax.Array | None = None,
    ) -> jax.Array:
        """The pictures that measures are taken of, f32 [n, H, W, C] in [-1, 1], by the averaged
        weights `ema`.

        Args:
            keys: [n], one a picture, for what a generator draws beside z.
            z: [n, Z] of `latent`.
            y: int32 [n], their classes, or None.
            truncation: as `latent`.
            x: f32 [n, H, W, C] in [-1, 1], the pictures to translate; None where there are none.
        """

    def init_generator(self, rng: jax.Array, batch: Mapping[str, jax.Array]) -> Variables:
        """The generator side of `init`, all that sampling needs. A game whose critic's shapes
        follow from a frozen network makes it without that network."""
        return self.init(rng, batch)[0]

    def prepare_for_sampling(self, ema: Variables, rng: jax.Array) -> Variables:
        """The averaged weights as sampling wants them;
        called once before pictures are made with them."""
        return ema

    @property
    def mixes_styles(self) -> bool:
        """Whether it has `styles` and `render`, a style for each layer of its generator."""
        return False

    def style_from_picture(self, ema: Variables, x: jax.Array, y: jax.Array) -> jax.Array:
        """x f32 [n, H, W, C] in [-1, 1], y int32 [n], their classes -> styles f32 [n, S]. Only
        where `reads_styles`."""
        raise NotImplementedError(f"{type(self).__module__} reads no style from a picture.")

    def example(self, shape: tuple[int, ...], n_classes: int, n: int = 2) -> dict:
        """A batch as this game takes it, of images of `shape` (H, W, C), for shapes only:
        numpy, n rows."""
        return self._with_partners(example_batch(shape, n_classes, n))

    def example_shapes(self, shape: tuple[int, ...], n_classes: int, n: int = 2) -> dict:
        """`example` as jax.ShapeDtypeStructs, which take no memory however large `shape` is."""
        batch = {"image": jax.ShapeDtypeStruct((n, *shape), np.uint8)}
        batch |= {"label": jax.ShapeDtypeStruct((n,), np.int32)} if n_classes else {}
        return jax.eval_shape(self._with_partners, batch)

    def _with_partners(self, batch):
        batch = dict(batch)
        for name in reference_names(self.references):
            batch |= {name: batch["image"][::-1], "target_label": batch["label"][::-1]}
        batch |= {"target": batch["image"][::-1]} if self.partners else {}
        return batch | {name: batch["image"][::-1] for name in self.views}


class FromNoise(Game):
    """A game whose generator draws pictures from noise."""

    @abc.abstractmethod
    def sample(
        self, ema: Variables, z: jax.Array, y: jax.Array | None, truncation: float | None = None
    ) -> jax.Array:
        """z [n, Z], y int32 [n] or None -> images f32 [n, H, W, C] in [-1, 1], by the averaged
        weights `ema`."""

    def sample_to_measure(self, ema, keys, z, y, truncation=None, x=None):
        return self.sample(ema, z, y, truncation)

    learns_styles = False  # whether a generator with styles is sampled by them

    @property
    def mixes_styles(self):
        how = models.traits(self.g)
        return self.learns_styles and how.mapping is not None and how.synthesis is not None

    @property
    def remodulates(self) -> bool:
        """Whether its generator has remodulations of one that stays as it is."""
        return bool(models.traits(self.g).remodulation)

    def styles(
        self, ema: Variables, z: jax.Array, y: jax.Array | None, truncation: float | None = None
    ) -> jax.Array:
        """z [n, Z], y int32 [n] or None -> ws f32 [n, L, W], a style for each of L layers. Only
        where `mixes_styles`.

        truncation: psi; w becomes w_avg + psi (w - w_avg). 0 gives the average picture, 1 changes
            nothing, below 0 are opposites. None: 1.
        Raises:
            ValueError: psi is no finite number.
        """
        if truncation is not None and not (
            isinstance(truncation, numbers.Real) and math.isfinite(truncation)
        ):
            raise ValueError(
                f"truncation={truncation!r}: psi must be a finite number, such as 0.7; None for"
                " none."
            )
        params, mutable = ema["params"]["g"], ema["mutable"]["g"]
        ws, _ = forward(self.g, params, mutable, z, y, train=False, method="mapping")
        averages = jax.tree.leaves(mutable["average"])  # of each of its mappings
        average = jnp.concatenate(averages).reshape(1, 1, -1)
        return ws if truncation is None else average + truncation * (ws - average)

    def render(self, ema: Variables, ws: jax.Array) -> jax.Array:
        """ws f32 [n, L, W] -> images f32 [n, H, W, C] in [-1, 1], with the constant noise of each
        layer. Only where `mixes_styles`."""
        params, mutable = ema["params"]["g"], ema["mutable"]["g"]
        return alpha.straight(
            forward(self.g, params, mutable, ws, train=False, method="synthesis")[0]
        )


class Translator(Game):
    """A game whose generator turns pictures into pictures: content stays, style changes.

    A style is f32 [n, S]; of a game with one style S is 0, as it is here.
    """

    translates = True
    command = "stylize"
    contents = "a"

    def latent(self, rng, n, truncation=None):
        return jnp.zeros((n, 0))

    @abc.abstractmethod
    def apply_generator(
        self, ema: Variables, more: Mapping, x: jax.Array, style: jax.Array
    ) -> tuple[jax.Array, PyTree]:
        """`forward` of the generator's averaged weights `ema`, with `more` collections, of x and
        style as `restyle` has them."""

    def restyle(
        self, ema: Variables, x: jax.Array, style: jax.Array, moments: PyTree | None = None
    ) -> jax.Array:
        """x f32 [n, H, W, C] in [-1, 1], style [n, S] -> images f32 [n, H, W, C], by the averaged
        weights `ema`.

        moments: of the pictures of which x are parts, so that the parts fit together.
        """
        return self.apply_generator(ema, {} if moments is None else {"norms": moments}, x, style)[0]

    def moments(self, ema: Variables, x: jax.Array, style: jax.Array) -> PyTree:
        """What the generator's instance norms and palette make of whole pictures x f32 [n, h, w,
        C], to give to `restyle`."""
        return self.apply_generator(ema, {"norms": {}}, x, style)[1].get("norms", {})

    def style_from_noise(self, ema: Variables, z: jax.Array, y: jax.Array | None) -> jax.Array:
        """z [n, Z] of `latent`, y int32 [n] or None, the class to go to -> styles [n, S]."""
        return z

    def translate(
        self, ema: Variables, x: jax.Array, z: jax.Array, y: jax.Array | None
    ) -> jax.Array:
        """x f32 [n, H, W, C] in a style of class y drawn from z: f32 [n, H, W, C] in [-1, 1]."""
        return self.restyle(ema, x, self.style_from_noise(ema, z, y))

    def sample_to_measure(self, ema, keys, z, y, truncation=None, x=None):
        return self.translate(ema, x, z, y)


def check_weights(game: Any, *names: str) -> None:
    """Raises ValueError where one of these fields, a weight in a loss,
    is not a number of 0 or more."""
    for name in names:
        if not 0 <= getattr(game, name) < math.inf:
            raise ValueError(f"config.game.{name}={getattr(game, name)}: it must be 0 or more.")


def check_rgb(x: jax.Array) -> None:
    """Raises ValueError where pictures [B, H, W, C] are not in three colors."""
    if x.shape[-1] != 3:
        raise ValueError(
            f"config.data: pictures of {x.shape[-1]} channels, and this game takes RGB: set"
            " config.data.a.channels=3 and config.data.b.channels=3."
        )


def check_counts(game: Any, *names: str) -> None:
    """Raises ValueError where one of these fields is below 1."""
    for name in names:
        if getattr(game, name) < 1:
            raise ValueError(f"config.game.{name}={getattr(game, name)}: it must be at least 1.")


def check_shares(game: Any, *names: str) -> None:
    """Raises ValueError where one of these fields is not within 0 and 1."""
    for name in names:
        if not 0 <= getattr(game, name) <= 1:
            raise ValueError(
                f"config.game.{name}={getattr(game, name)}: it must be within 0 and 1."
            )


def reference_names(n: int) -> tuple[str, ...]:
    """Names in a batch of its n pictures of the class to go to: target, target2, ..."""
    return tuple("target" + (str(i + 1) if i else "") for i in range(n))


def variables(params: dict[str, PyTree], mutable: dict[str, PyTree] | None = None) -> Variables:
    """One side's variables; without `mutable` its networks have no state."""
    return {"params": params, "mutable": mutable or {name: {} for name in params}}


@functools.partial(jax.jit, static_argnums=0)
def init_network(net: nn.Module, rng: jax.Array, *args) -> tuple[PyTree, PyTree]:
    """(params, mutable) of one network; mutable is {} where it has no state."""
    variables = dict(net.init(rng, *args, train=True))
    return variables.pop("params"), variables


def forward(
    net: nn.Module,
    params: PyTree,
    mutable: PyTree,
    *args,
    train: bool = True,
    rngs: Mapping | None = None,
    method=None,
) -> tuple[Any, PyTree]:
    """(output, new mutable).
    The new one is kept by the player being trained and dropped for the other."""
    variables = {"params": params, **mutable}
    return net.apply(variables, *args, train=train, mutable=list(mutable), rngs=rngs, method=method)


def to_float(images: jax.Array) -> jax.Array:
    """uint8 [B, H, W, C] -> f32 in [-1, 1]."""
    return images.astype(jnp.float32) / 127.5 - 1


def real(batch: Mapping[str, jax.Array]) -> tuple[jax.Array, jax.Array | None]:
    """(a batch's pictures f32 [B, H, W, C] in [-1, 1], those with alpha premultiplied; their labels
    int32 [B] or None)."""
    return alpha.premultiplied(to_float(batch["image"])), batch.get("label")


def feature_maps(net: pretrained.Net, weights: PyTree, x: jax.Array, side: int) -> list[jax.Array]:
    """What a frozen network of these weights makes of pictures x f32 [B, H, W, C] in [-1, 1]: its
    four deepest maps, from large to small.

    side: pictures are resized first, bilinearly, so that their shorter side has so many pixels.
    """
    scale = side / min(x.shape[1:3])
    if scale != 1:
        height, width = (round(scale * n) for n in x.shape[1:3])
        x = jax.image.resize(x, (x.shape[0], height, width, x.shape[3]), "bilinear")
    return list(net.stages(weights, x, net.stages_of.taps[-4:]).values())


def normal(rng: jax.Array, rows: int, *shape: int) -> jax.Array:
    """Standard normal f32 [rows, *shape];
    on several devices each gets its rows of the one global draw."""
    return collectives.draw(lambda n: jax.random.normal(rng, (n, *shape)), rows)


def truncated_normal(rng: jax.Array, shape: tuple[int, ...], truncation: float | None) -> jax.Array:
    """Standard normal f32 [*shape], within [-truncation, truncation] where one is given.

    Raises:
        ValueError: truncation is no number above 0.
    """
    if truncation is None:
        return jax.random.normal(rng, shape)
    if not (isinstance(truncation, numbers.Real) and truncation > 0):
        raise ValueError(
            f"truncation={truncation!r}: it must be a number above 0 (numbers of z further from 0"
            " are redrawn)."
        )
    return jax.random.truncated_normal(rng, -truncation, truncation, shape)


def uniform(rng: jax.Array, rows: int, *shape: int) -> jax.Array:
    """Uniform [0, 1) f32 [rows, *shape];
    on several devices each gets its rows of the one global draw."""
    return collectives.draw(lambda n: jax.random.uniform(rng, (n, *shape)), rows)


def from_average(state: TrainState) -> TrainState:
    """The state with the generator's average in place of its weights, for what is to stay as it
    was sampled from."""
    params, mutable = (jax.tree.map(jnp.copy, state.ema[kind]) for kind in ("params", "mutable"))
    return state.replace(g=state.g.replace(params=params, mutable=mutable))


def example_batch(shape: tuple[int, ...], n_classes: int, n: int = 2) -> dict:
    """A batch of the data's shapes: {"image": uint8 [n, H, W, C]}
    and, with classes, {"label": int32 [n]}."""
    image = {"image": np.random.default_rng(0).integers(0, 256, (n, *shape), np.uint8)}
    return image | {"label": np.arange(n, dtype=np.int32) % n_classes} if n_classes else image
