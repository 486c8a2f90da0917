"""A name on the command line -> a model ready to be served, and what is said of it."""

import hashlib
import pathlib
from collections.abc import Iterable, Mapping

import jax
import numpy as np

from gan_jax import checkpoint
from gan_jax.checkpoint import shared
from gan_jax.inference import loading, restore
from gan_jax.inference.restore import Enlarger
from gan_jax.inference.sampler import algorithm_of
from gan_jax.inference.share import KINDS
from gan_jax.serving.kinds import BY_COMMAND, Kind, Restores
from gan_jax.state import PyTree


def load(name: str, trusted: Iterable[str] = ()) -> Kind:
    """The model that `name` is: a run's workdir, one step's folder, a shared model, one of the zoo,
    or a name in restore.MODELS.

    Args:
        trusted: dotted paths of modules that may be imported where a run names them.
    Raises:
        ValueError: no such model.
    """
    path = pathlib.Path(name)
    if name in restore.MODELS and not path.exists():
        enlarger, file = restore.load(name)
        kind = Restores(enlarger, file)
        return described(kind, name, file, "Real-ESRGAN", restore.LICENSE, enlarger.params)
    sampler = loading.load_sampler(path, trusted=trusted)
    if sampler.game.command == "restore":
        params = jax.device_get(sampler.ema["params"]["g"])
        kind = Restores(Enlarger(sampler.game.g, params), sampler.step)
    else:
        kind = BY_COMMAND[sampler.game.command](sampler)
    found = checkpoint.find(path)
    algorithm = algorithm_of(sampler.game)
    kind = described(kind, path.name, found, algorithm, license_of(found), sampler.ema)
    kind.about |= {"size": list(sampler.shape), "checkpoint": sampler.step.name}
    return kind


def described(
    kind: Kind, name: str, place: pathlib.Path, algorithm: str, license: str, weights: PyTree
) -> Kind:
    """With its `about` and `place`."""
    kind.place = str(place)
    leaves = checkpoint.named(weights)
    kind.about = {
        "name": name,
        "does": KINDS[kind.command],
        "route": f"/v1/{kind.command}",
        "algorithm": algorithm,
        "classes": list(kind.classes),
        "weights": sum(x.size for x in leaves.values()),
        "sha256": digest(leaves),
        "license": license,
    }
    return kind


def digest(leaves: Mapping[str, np.ndarray]) -> str:
    """The SHA-256 of weights: of each, in the order of their names, the name, type and shape as
    "name float32 3x3\\n", and its bytes."""
    found = hashlib.sha256()
    for name, x in sorted(leaves.items()):
        x = np.ascontiguousarray(x)
        found.update(f"{name} {x.dtype} {'x'.join(map(str, x.shape))}\n".encode())
        found.update(x.tobytes())
    return found.hexdigest()


def license_of(folder: pathlib.Path) -> str:
    """The sentence of a shared model's page that begins with "License:"."""
    card = folder / shared.CARD
    words = " ".join(card.read_text("utf-8").split()) if card.is_file() else ""
    _, _, rest = words.partition("License: ")
    return rest.partition(". ")[0].rstrip(".") or "none stated: ask who trained it"
