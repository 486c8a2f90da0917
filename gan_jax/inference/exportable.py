"""What can be exported, by its name: runs, shared models, and official networks of restoration."""

import pathlib
from collections.abc import Iterable

import jax

from gan_jax.algorithms import super_resolution
from gan_jax.checkpoint import shared
from gan_jax.inference import inpaint, loading, restore
from gan_jax.inference.sampler import Sampler
from gan_jax.models import rrdb
from gan_jax.runtime import weights

WEIGHTS = (".pth", ".pt", ".safetensors", ".npz", ".param")
SIDE = 64  # pixels, of the pictures that exports of networks for any size are tried with


def load(name: str, trusted: Iterable[str] = ()) -> Sampler:
    """A run's newest checkpoint, a step's folder, a shared model; or, as `gan-jax restore --model`
    and `gan-jax inpaint --model` take them, one of restore.MODELS or an official network's file.

    Raises:
        ValueError: as these do.
    """
    path = pathlib.Path(name)
    if path.is_dir() or shared.find(path) is not None:
        return loading.load_sampler(path, trusted=trusted)
    is_weights = path.is_file() and path.suffix.lower() in WEIGHTS
    if is_weights and inpaint.fills(weights.read(path)):
        return inpaint.load(path)
    if is_weights or name in restore.MODELS:
        return of_enlarger(*restore.load(name))
    return loading.load_sampler(path, trusted=trusted)


def of_enlarger(enlarger: restore.Enlarger, file: pathlib.Path) -> Sampler:
    """A network that enlarges as the sampler of a run that trained it."""
    game = super_resolution.Algorithm(enlarger.net, rrdb.Discriminator())
    ema = {"params": {"g": enlarger.params}, "mutable": {"g": {}}}
    return Sampler(game, jax.device_put(ema), (SIDE, SIDE, 3), (), file, 1)
