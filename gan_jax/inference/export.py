"""A sampler -> files for inference: safetensors, a bare orbax tree, StableHLO."""

import json
import pathlib
from collections.abc import Callable, Collection, Sequence

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
import safetensors.numpy
from flax import traverse_util
from jax import export as jax_export

from gan_jax import models
from gan_jax.inference.exported import NOISE, RESTORERS, Exported, load_stablehlo
from gan_jax.inference.sampler import Sampler
from gan_jax.nn import conv
from gan_jax.runtime.files import replace_bytes, replace_text
from gan_jax.runtime.text import shown

FORMATS = ("stablehlo", "safetensors")  # that are written here, and where none is named
PLATFORMS = ("cpu", "cuda", "tpu")


def export(
    sampler: Sampler, folder: pathlib.Path, formats: Collection[str] = FORMATS
) -> dict[str, float]:
    """Writes a sampler to `folder` and reads the files back: "safetensors" is params.safetensors
    and params/ (orbax), "stablehlo" programs and about.json.

    Returns {file: largest difference to the sampler's own weights or pictures}. Raises ValueError
    where `folder` holds a `params` that is no export.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if "safetensors" in formats:
        save_safetensors(sampler, folder / "params.safetensors")
        save_orbax(sampler, folder / "params")
    if "stablehlo" in formats:
        save_programs(sampler, folder)
    return round_trip(sampler, folder, formats)


def save_programs(sampler: Sampler, folder: pathlib.Path) -> None:
    """The programs that a sampler of its kind has, and about.json."""
    about = {
        "checkpoint": str(sampler.step),
        "images": {"shape": ["b", *sampler.shape], "range": [-1, 1]},
        "z": list(_latent(sampler).shape[1:]),
        "classes": sampler.classes,
        "platforms": PLATFORMS,
    }
    if sampler.game.command in RESTORERS:
        about["input"] = save_restorer(sampler, folder)
    elif sampler.game.translates:
        save_translator(sampler, folder)
        about["multiple"] = sampler.multiple
    else:
        save_stablehlo(sampler, folder / NOISE)
    replace_text(folder / "about.json", json.dumps(about, indent=1) + "\n")


def _latent(sampler) -> jax.ShapeDtypeStruct:
    """One z, [1, Z], for its shape and type."""
    return jax.eval_shape(lambda: sampler.game.latent(jax.random.key(0), 1))


def save_safetensors(sampler: Sampler, path: pathlib.Path) -> None:
    """The averaged weights, "params/g/Dense_0/kernel" -> array,
    with shape and classes as metadata."""
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
    y). The program itself can't refuse a y that is no class: what it then draws means nothing.
    """
    (b,) = jax_export.symbolic_shape("b")
    z = _latent(sampler)
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
    pictures, (x, style, the pictures f32 [b, h', w', C], reduced). style.stablehlo: (z f32 [b,
    Z] and, with classes, y int32 [b]) -> f32 [b, S]. style_from_picture.stablehlo, where there is
    one: (x f32 [b, H, W, C] of the run's shape, y) -> f32 [b, S].
    """
    game, ema, channels = sampler.game, sampler.ema, sampler.shape[2]
    sides = ", ".join(f"{sampler.multiple}*{letter}" for letter in "mnkl")
    b, h, w, tall, wide = jax_export.symbolic_shape(f"b, {sides}")

    def floats(*shape):
        return jax.ShapeDtypeStruct((b, *shape), jnp.float32)

    y = [jax.ShapeDtypeStruct((b,), jnp.int32)] if sampler.classes else []
    label = np.zeros(1, np.int32) if sampler.classes else None
    style = floats(*jax.eval_shape(lambda: sampler.styles_from_noise(0, label, 1)).shape[1:])
    picture = floats(h, w, channels)
    calls = {
        "restyle": (lambda x, style: game.restyle(ema, x, style), [picture, style]),
        "restyle_part": (
            lambda x, style, whole: game.restyle(ema, x, style, game.moments(ema, whole, style)),
            [picture, style, floats(tall, wide, channels)],
        ),
        "style": (
            lambda z, y=None: game.style_from_noise(ema, z, y),
            [floats(*_latent(sampler).shape[1:]), *y],
        ),
    }
    if sampler.reads_styles:
        calls["style_from_picture"] = (
            lambda x, y: game.style_from_picture(ema, x, y),
            [floats(*sampler.shape), *y],
        )
    else:
        (folder / "style_from_picture.stablehlo").unlink(missing_ok=True)  # of an earlier export
    for name, (call, args) in calls.items():
        replace_bytes(folder / f"{name}.stablehlo", for_platforms(call, args).serialize())


def save_restorer(sampler: Sampler, folder: pathlib.Path) -> str:
    """A network that restores with its weights inside, for any batch and of PLATFORMS, as
    RESTORERS names its file; returns what it takes and gives, in words.

    restore.stablehlo: x f32 [b, h, w, 3] in [0, 1], of any size that its network takes, ->
    pictures as many times as large. inpaint.stablehlo: x f32 [b, H, W, 4] in [-1, 1] of the run's
    size, -1 in the last channel where it is to be filled, else 1 -> the same, filled.
    """
    height, width, channels = sampler.shape
    b, h, w = jax_export.symbolic_shape("b, 4*h, 4*w")
    scale = models.traits(sampler.game.g).scale
    large = sampler.game.command == "restore"
    shape = (b, h, w, channels) if large else (b, height, width, channels)
    call = for_platforms(_restores(sampler), [jax.ShapeDtypeStruct(shape, jnp.float32)])
    replace_bytes(folder / RESTORERS[sampler.game.command], call.serialize())
    if large:
        return f"[b, h, w, {channels}] in [0, 1] -> {scale} times as large; h, w multiples of 4"
    return f"[b, {height}, {width}, {channels}] in [-1, 1], alpha -1 where it is to be filled"


def _restores(sampler: Sampler) -> Callable[[jax.Array], jax.Array]:
    """What `save_restorer` writes."""
    game, ema, scale = sampler.game, sampler.ema, models.traits(sampler.game.g).scale

    def restore(x):
        x = jnp.repeat(jnp.repeat(x, scale, 1), scale, 2)  # as the game's pictures stand
        return (game.restyle(ema, 2 * x - 1, jnp.zeros((x.shape[0], 0))) + 1) / 2

    def inpaint(x):
        return game.restyle(ema, x, jnp.zeros((x.shape[0], 0)))

    return restore if game.command == "restore" else inpaint


def for_platforms(
    call: Callable, args: Sequence, platforms: Sequence[str] = PLATFORMS
) -> jax_export.Exported:
    """`call` of `args`, shapes and types, for several platforms,
    each with its own form of every convolution."""

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


def round_trip(
    sampler: Sampler, folder: pathlib.Path, formats: Collection[str] = FORMATS
) -> dict[str, float]:
    """{file: largest difference to the sampler} of what was exported to `folder`: of the weights,
    and of a few pictures."""
    found = _weights_compared(sampler, folder) if "safetensors" in formats else {}
    return found | (_pictures_compared(sampler, folder) if "stablehlo" in formats else {})


def _weights_compared(sampler, folder):
    own = _flat(sampler.ema)

    def largest(other):
        return max(float(np.abs(own[name] - other[name]).max()) for name in own)

    return {
        "params.safetensors": largest(load_safetensors(folder / "params.safetensors")),
        "params": largest(load_orbax(folder / "params")),
    }


def _pictures_compared(sampler, folder):
    classes = len(sampler.classes)
    if sampler.game.command in RESTORERS:
        name = RESTORERS[sampler.game.command]
        x = np.random.default_rng(0).random((2, *sampler.shape)).astype(np.float32)
        a, b = (call(x) for call in (jax.jit(_restores(sampler)), load_stablehlo(folder / name)))
        return {name: float(jnp.abs(a - b).max())}
    if sampler.game.translates:
        exported, n, side = Exported(folder), max(1, classes), sampler.multiple
        y = np.arange(n, dtype=np.int32) if classes else None
        shape = (n, side, 2 * side, sampler.shape[2])
        x = np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)
        a, b = (net.restyle(x, net.styles_from_noise(0, y, n)) for net in (sampler, exported))
        return {"restyle.stablehlo": float(jnp.abs(a - b).max())}
    z = sampler.game.latent(jax.random.key(0), 4)
    args = (z, jnp.arange(4) % classes) if classes else (z,)
    a, b = sampler(*args), load_stablehlo(folder / NOISE)(*args)
    return {NOISE: float(jnp.abs(a - b).max())}


def _flat(tree) -> dict[str, np.ndarray]:
    return {name: np.asarray(x) for name, x in traverse_util.flatten_dict(tree, sep="/").items()}
