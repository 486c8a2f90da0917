"""A checkpoint -> a sampler; a sampler -> files for inference: safetensors, a bare orbax tree, StableHLO."""

import dataclasses
import functools
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
import safetensors.numpy
from flax import traverse_util
from jax import export as jax_export

from gan_jax import checkpoint, lookup
from gan_jax.algorithms.base import FromNoise, Game, Variables
from gan_jax.config import Config, make_game

PLATFORMS = ("cpu", "cuda", "tpu")


@dataclasses.dataclass(frozen=True)
class Sampler:
    """A trained generator: the averaged weights and how to call them."""

    game: Game
    ema: Variables  # {"params": ..., "mutable": ...}, numpy
    shape: tuple[int, ...]  # of a picture: H, W, C
    classes: tuple[str, ...]  # names of the labels 0, 1, ...; empty: unconditional
    step: pathlib.Path  # the checkpoint's folder
    batch: int  # images a round while it was trained

    def __call__(self, z: jax.Array, y: jax.Array | None = None, truncation: float | None = None) -> jax.Array:
        """z f32 [n, Z], y int32 [n] (None: unconditional) -> images f32 [n, H, W, C] in [-1, 1]."""
        return _sample(self.game, self.ema, z, y, truncation)

    @property
    def has_styles(self) -> bool:
        """Whether pictures can be mixed and walked through in style space (StyleGAN2): `styles` and `render`."""
        return hasattr(self.game, "styles")

    def styles(self, z: jax.Array, y: jax.Array | None = None, truncation: float | None = None) -> jax.Array:
        """z f32 [n, Z], y int32 [n] or None -> ws f32 [n, L, W], a style for each of the generator's L layers."""
        return _styles(self.game, self.ema, z, y, truncation)

    def render(self, ws: jax.Array) -> jax.Array:
        """ws f32 [n, L, W] -> images f32 [n, H, W, C] in [-1, 1]."""
        return _render(self.game, self.ema, ws)

    def label(self, name: str) -> int:
        """A class's number.

        Raises:
            ValueError: no such class; names those there are.
        """
        if not self.classes:
            raise ValueError(f"class {name!r}: {self.step} was trained without classes.")
        return lookup.choose({c: i for i, c in enumerate(self.classes)}, name, "class")


@functools.partial(jax.jit, static_argnums=(0, 4))
def _sample(game, ema, z, y, truncation):
    return game.sample(ema, z, y, truncation)


@functools.partial(jax.jit, static_argnums=(0, 4))
def _styles(game, ema, z, y, truncation):
    return game.styles(ema, z, y, truncation)


@functools.partial(jax.jit, static_argnums=0)
def _render(game, ema, ws):
    return game.render(ema, ws)


def load(path: str | pathlib.Path, kind: type[Game] = Game) -> Sampler:
    """The newest valid checkpoint under a workdir (or one step's folder) as a sampler. Needs no data.

    kind: of game that is wanted, FromNoise or Translator.
    Raises:
        ValueError: no checkpoint there, none that verifies, one that this version's networks don't fit, another kind.
    """
    step = checkpoint.find(path)
    saved, meta = checkpoint.read(step, ("ema/",))
    config = lookup.build(Config, meta["config"], f"{step}: config")
    shape, classes = tuple(meta["shape"]), tuple(meta["classes"])
    game = make_game(config, shape, len(classes))
    if not isinstance(game, kind):
        does = (
            "turns pictures into pictures: use tools/stylize.py"
            if kind is FromNoise
            else "draws from noise: use tools/sample.py"
        )
        raise ValueError(f"{step}: {config.algorithm} {does}.")
    like, _, _ = jax.eval_shape(game.init, jax.random.key(0), game.example(shape, len(classes)))
    wanted = checkpoint.named({"ema": like})
    checkpoint.compare(wanted, {name: (x.shape, x.dtype) for name, x in saved.items()}, step)
    ema = jax.tree.unflatten(jax.tree.structure(like), [saved[name] for name in wanted])
    ema = jax.device_get(game.settle(ema, jax.random.key(config.seed)))
    return Sampler(game, ema, shape, classes, step, config.batch)


def save_safetensors(sampler: Sampler, path: pathlib.Path) -> None:
    """The averaged weights, "params/g/Dense_0/kernel" -> array, with shape and classes as metadata."""
    note = {"shape": "x".join(map(str, sampler.shape)), "classes": ",".join(sampler.classes), "format": "gan_jax"}
    safetensors.numpy.save_file(_flat(sampler.ema), path, metadata=note)


def load_safetensors(path: pathlib.Path) -> dict[str, np.ndarray]:
    return safetensors.numpy.load_file(path)


def save_orbax(sampler: Sampler, path: pathlib.Path) -> None:
    """The averaged weights as a bare orbax tree, for any orbax reader: {"params": {"g": ...}, "mutable": ...}.

    Raises:
        ValueError: a folder stands there that is no such tree; it is left alone.
    """
    if path.exists() and not (path / "_METADATA").is_file():
        raise ValueError(f"{path} is there already and is no export of ours. Move it, or give another --out.")
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(path.absolute(), sampler.ema, force=True)


def load_orbax(path: pathlib.Path) -> dict[str, np.ndarray]:
    with ocp.StandardCheckpointer() as checkpointer:
        return _flat(checkpointer.restore(path.absolute()))


def save_stablehlo(sampler: Sampler, path: pathlib.Path) -> None:
    """The sampler with its weights inside, any batch size, for cpu, cuda and tpu; needs none of our code to run.

    It takes z f32 [b, Z] and, if conditional, y int32 [b], and returns f32 [b, H, W, C] in [-1, 1]:
    jax.export.deserialize(path.read_bytes()).call(z, y).
    """
    (b,) = jax_export.symbolic_shape("b")
    z = jax.eval_shape(lambda: sampler.game.latent(jax.random.key(0), 1))
    args = [jax.ShapeDtypeStruct((b, *z.shape[1:]), z.dtype)]
    if sampler.classes:
        args.append(jax.ShapeDtypeStruct((b,), jnp.int32))
    call = jax.jit(lambda z, y=None: sampler.game.sample(sampler.ema, z, y))
    path.write_bytes(jax_export.export(call, platforms=PLATFORMS)(*args).serialize())


def load_stablehlo(path: pathlib.Path):
    """(z, y) -> images, as saved."""
    return jax_export.deserialize(bytearray(path.read_bytes())).call


def round_trip(sampler: Sampler, folder: pathlib.Path) -> dict[str, float]:
    """Largest difference between what was exported to `folder` and the sampler: of weights, and of 4 pictures."""
    own = _flat(sampler.ema)
    largest = lambda other: max(float(np.abs(own[name] - other[name]).max()) for name in own)
    z = sampler.game.latent(jax.random.key(0), 4)
    args = (z, jnp.arange(4) % len(sampler.classes)) if sampler.classes else (z,)
    pictures = load_stablehlo(folder / "sampler.stablehlo")(*args)
    return {
        "params.safetensors": largest(load_safetensors(folder / "params.safetensors")),
        "params": largest(load_orbax(folder / "params")),
        "sampler.stablehlo": float(jnp.abs(pictures - sampler(*args)).max()),
    }


def _flat(tree) -> dict[str, np.ndarray]:
    return {name: np.asarray(x) for name, x in traverse_util.flatten_dict(tree, sep="/").items()}
