"""A trained generator as a small folder to pass on, as `gan-jax share` writes it; those in
gan_jax/zoo come with the package and are known by their names.

The folder holds the averaged weights (`WEIGHTS`, float16 where that holds them), what rebuilds the
generator (`ABOUT`, with the weights' SHA-256) and a page for people (`CARD`). It is read wherever a
run's checkpoint is read, but for resuming: optimizers are not in it, and the critic only where it
was asked for, for a run on other pictures that starts from here.
"""

import json
import math
import pathlib
from collections.abc import Mapping

import numpy as np
import safetensors.numpy

from gan_jax.runtime import files
from gan_jax.runtime.weights import limits

ZOO = pathlib.Path(__file__).parent.parent / "zoo"
ABOUT, WEIGHTS, CARD = "model.json", "weights.safetensors", "README.md"


def names() -> list[str]:
    """The models that come with the package."""
    return sorted(file.parent.name for file in ZOO.glob(f"*/{ABOUT}"))


def find(path: pathlib.Path) -> pathlib.Path | None:
    """The folder of a shared model, by its path or by its name in the zoo; None where there is
    another thing at the path. A run's workdir of a model's name goes first."""
    if (path / ABOUT).is_file():
        return path
    if str(path) in names() and not (path / "checkpoints").is_dir():
        return ZOO / path
    return None


def is_shared(folder: pathlib.Path) -> bool:
    return (folder / ABOUT).is_file()


def read_meta(folder: pathlib.Path) -> dict:
    """What stands in ABOUT. Raises ValueError where it is not as `share` writes it: the folder may
    be of anyone."""
    try:
        meta = json.loads((folder / ABOUT).read_text("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{folder}: its {ABOUT} is no JSON ({error}).") from error
    kinds = {"config": dict, "shape": list, "classes": list, "step": int, "unused": dict}
    fits = isinstance(meta, dict) and all(type(meta.get(name)) is x for name, x in kinds.items())
    if not fits or meta["step"] < 0 or not all(map(_is_shape, meta["unused"].values())):
        raise ValueError(f"{folder}: its {ABOUT} is not as `gan-jax share` writes it.")
    return meta


def _is_shape(x: object) -> bool:
    return isinstance(x, list) and len(x) <= 8 and all(type(n) is int and n >= 0 for n in x)


def read(folder: pathlib.Path, prefixes: tuple[str, ...]) -> tuple[dict[str, np.ndarray], dict]:
    """As `leaves.read`: the average's leaves, which stand for the generator's own too.

    Raises:
        ValueError: the weights are not those that ABOUT was written for, can't be read, or are to
            be filled up with more than they can mean.
    """
    meta, file = read_meta(folder), folder / WEIGHTS
    if not file.is_file() or files.sha256(file) != meta.get("sha256"):
        why = "have changed since they were written" if file.is_file() else "are missing"
        raise ValueError(f"{folder}: its weights ({WEIGHTS}) {why}. Get the folder again.")
    unused = meta["unused"]
    with limits.in_one_line(file):
        stored = safetensors.numpy.load_file(file)
        # an empty side counts too: numpy refuses [0, 2**63]
        wanted = (4 * math.prod(max(n, 1) for n in shape) for shape in unused.values())
        limits.bounded(wanted, file.stat().st_size)
    wide = {
        name: x.astype(np.float32) if x.dtype == np.float16 else x for name, x in stored.items()
    }
    wide |= {name: np.zeros(shape, np.float32) for name, shape in unused.items()}
    own = {name.replace("ema/", "g/", 1): x for name, x in wide.items() if name not in unused}
    return {name: x for name, x in (wide | own).items() if name.startswith(prefixes)}, meta


def write(
    folder: pathlib.Path,
    leaves: Mapping[str, np.ndarray],
    unused: Mapping[str, np.ndarray],
    meta: Mapping,
) -> None:
    """Writes WEIGHTS and ABOUT.

    Args:
        leaves: the average's, "ema/params/g/Dense_0/kernel", and the critic's, if wanted;
            float32 becomes float16 but where a value is beyond its range.
        unused: leaves that no picture depends on: only their shapes are noted.
        meta: what goes into ABOUT beside the hash.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # its own save_file hides the file from others
    small = {name: _small(x) for name, x in leaves.items()}
    files.replace_bytes(folder / WEIGHTS, safetensors.numpy.save(small, {"format": "gan_jax"}))
    shapes = {name: list(x.shape) for name, x in unused.items()}
    about = {**meta, "unused": shapes, "sha256": files.sha256(folder / WEIGHTS)}
    files.replace_text(folder / ABOUT, json.dumps(about, indent=1) + "\n")


def _small(x: np.ndarray) -> np.ndarray:
    if x.dtype != np.float32 or np.abs(x).max(initial=0) > np.finfo(np.float16).max:
        return x
    return x.astype(np.float16)
