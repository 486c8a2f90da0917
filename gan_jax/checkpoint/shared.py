"""A trained generator as a small folder to pass on, as `gan-jax share` writes it; those in
gan_jax/zoo come with the package and are known by their names.

The folder holds the averaged weights (`WEIGHTS`, float16 where that holds them), what rebuilds the
generator (`ABOUT`, with the weights' SHA-256) and a page for people (`CARD`). It is read wherever a
run's checkpoint is read, but for resuming: optimizers are not in it, and the critic only where it
was asked for, for a run on other pictures that starts from here.

It may be a difference to another shared model, beside it or of the package: what both have is read
from that one (ABOUT's "over": its name, the SHA-256 of its weights, the leaves).
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
    fits = fits and _is_over(meta.get("over"))
    if not fits or meta["step"] < 0 or not all(map(_is_shape, meta["unused"].values())):
        raise ValueError(f"{folder}: its {ABOUT} is not as `gan-jax share` writes it.")
    return meta


def _is_shape(x: object) -> bool:
    return isinstance(x, list) and len(x) <= 8 and all(type(n) is int and n >= 0 for n in x)


def _is_over(x: object) -> bool:
    """Whether ABOUT's "over" is as `write` writes it, or is not there; its name is no path."""
    if x is None:
        return True
    kinds = {"name": str, "sha256": str, "leaves": list}
    fits = isinstance(x, dict) and all(type(x.get(name)) is kind for name, kind in kinds.items())
    fits = fits and all(type(name) is str for name in x["leaves"])
    return fits and x["name"] not in ("", "..") and pathlib.PurePath(x["name"]).name == x["name"]


def below(folder: pathlib.Path, name: str) -> pathlib.Path | None:
    """The shared model of that name that one in `folder` is a difference to: beside it, or of the
    package; None: there is none."""
    places = (folder.resolve().parent / name, ZOO / name)
    return next((place for place in places if is_shared(place)), None)


def read(folder: pathlib.Path, prefixes: tuple[str, ...]) -> tuple[dict[str, np.ndarray], dict]:
    """As `leaves.read`: the average's leaves, which stand for the generator's own too.

    Raises:
        ValueError: the weights are not those that ABOUT was written for, can't be read, or are to
            be filled up with more than they can mean.
    """
    meta, file = read_meta(folder), folder / WEIGHTS
    unused, over = meta["unused"], meta.get("over")
    stored = {} if over is None else _stored_below(folder, over)
    with limits.in_one_line(file):
        stored |= _stored(folder, meta)
        # an empty side counts too: numpy refuses [0, 2**63]
        wanted = (4 * math.prod(max(n, 1) for n in shape) for shape in unused.values())
        limits.bounded(wanted, file.stat().st_size)
    wide = {
        name: x.astype(np.float32) if x.dtype == np.float16 else x for name, x in stored.items()
    }
    wide |= {name: np.zeros(shape, np.float32) for name, shape in unused.items()}
    own = {name.replace("ema/", "g/", 1): x for name, x in wide.items() if name not in unused}
    return {name: x for name, x in (wide | own).items() if name.startswith(prefixes)}, meta


def _stored(folder: pathlib.Path, meta: Mapping) -> dict[str, np.ndarray]:
    """The leaves in WEIGHTS. Raises ValueError where they are not those of ABOUT."""
    file = folder / WEIGHTS
    if not file.is_file() or files.sha256(file) != meta.get("sha256"):
        why = "have changed since they were written" if file.is_file() else "are missing"
        raise ValueError(f"{folder}: its weights ({WEIGHTS}) {why}. Get the folder again.")
    return safetensors.numpy.load_file(file)


def _stored_below(folder: pathlib.Path, over: Mapping) -> dict[str, np.ndarray]:
    """The leaves that a difference has from the model below it. Raises ValueError where that is
    missing or another."""
    found = below(folder, over["name"])
    meta = None if found is None else read_meta(found)
    if meta is None or meta.get("sha256") != over["sha256"]:
        why = "is not there" if found is None else f"({found}) is another by now"
        raise ValueError(
            f"{folder}: a difference to the model {over['name']!r}, which {why}. Put the one of"
            f" SHA-256 {over['sha256'][:12]}... beside it, under that name."
        )
    stored = _stored(found, meta)
    missing = [name for name in over["leaves"] if name not in stored]
    if missing:
        raise ValueError(f"{folder}: {found} has no {missing[0]}. Get the folder again.")
    return {name: stored[name] for name in over["leaves"]}


def write(
    folder: pathlib.Path,
    leaves: Mapping[str, np.ndarray],
    unused: Mapping[str, np.ndarray],
    meta: Mapping,
    over: pathlib.Path | None = None,
) -> None:
    """Writes WEIGHTS and ABOUT.

    Args:
        leaves: the average's, "ema/params/g/Dense_0/kernel", and the critic's, if wanted;
            float32 becomes float16 but where a value is beyond its range.
        unused: leaves that no picture depends on: only their shapes are noted.
        meta: what goes into ABOUT beside the hash.
        over: the folder of another shared model, no difference itself: what that has too is left
            out.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # its own save_file hides the file from others
    small = {name: _small(x) for name, x in leaves.items()}
    if over is not None:
        other = read_meta(over)
        there = _stored(over, other)
        same = [name for name, x in small.items() if name in there and _equal(x, there[name])]
        small = {name: x for name, x in small.items() if name not in same}
        below_it = {"name": over.name, "sha256": other["sha256"], "leaves": sorted(same)}
        meta = {**meta, "over": below_it}
    files.replace_bytes(folder / WEIGHTS, safetensors.numpy.save(small, {"format": "gan_jax"}))
    shapes = {name: list(x.shape) for name, x in unused.items()}
    about = {**meta, "unused": shapes, "sha256": files.sha256(folder / WEIGHTS)}
    files.replace_text(folder / ABOUT, json.dumps(about, indent=1) + "\n")


def _equal(x: np.ndarray, y: np.ndarray) -> bool:
    return x.dtype == y.dtype and np.array_equal(x, y)


def _small(x: np.ndarray) -> np.ndarray:
    if x.dtype != np.float32 or np.abs(x).max(initial=0) > np.finfo(np.float16).max:
        return x
    return x.astype(np.float16)
