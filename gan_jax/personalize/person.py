"""What was learned of a person, as a small folder: person.json, person.safetensors, and sheets.

The weights are kept as their difference to the base's, in bfloat16, so that many persons can be
kept beside one base.
"""

import json
import pathlib
import shutil
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import safetensors.numpy
from flax import traverse_util

from gan_jax.data import images
from gan_jax.personalize.base import Base
from gan_jax.runtime import files
from gan_jax.runtime.weights import limits
from gan_jax.state import PyTree

ABOUT, WEIGHTS = "person.json", "person.safetensors"
MARK = "made_of.json"  # in the folder of a pack: of which person it is
SHEETS = ("pictures.png", "samples.png")
KINDS = {"id": str, "base": dict, "made_from": list, "outputs": list, "sha256": str, "seed": int}


class Person(NamedTuple):
    """Attributes:
    base: the generator that the person was made on.
    params: the generator's weights, of this person.
    ws: f32 [n, L, W]: the anchors, the styles of the person's pictures.
    pictures: uint8 [n, h, w, c], small, as they were: samples must be as like them as they are
        like each other.
    about: what ABOUT holds.
    folder: where it is.
    """

    base: Base
    params: PyTree
    ws: np.ndarray
    pictures: np.ndarray
    about: dict
    folder: pathlib.Path


def write(
    folder: pathlib.Path,
    base: Base,
    params: PyTree,
    ws: np.ndarray,
    pictures: np.ndarray,
    about: Mapping[str, Any],
) -> None:
    """Writes a person's folder; its files replace those of an earlier one, which keeps its name and
    the list of what was made of it.

    about: what else is to be said; "made_from": [{"file", "sha256"}] is.
    """
    folder.mkdir(parents=True, exist_ok=True)
    leaves = {"ws": np.asarray(ws, np.float32), "pictures": np.asarray(pictures, np.uint8)}
    before, after = (traverse_util.flatten_dict(x, sep="/") for x in (base.params, params))
    for name, x in after.items():
        change = np.asarray(x, np.float32) - np.asarray(before[name], np.float32)
        if change.any():
            leaves[f"change/{name}"] = np.asarray(change, jnp.bfloat16)
    files.replace_bytes(folder / WEIGHTS, safetensors.numpy.save(leaves))
    earlier = read_about(folder) if is_person(folder) else {"id": uuid.uuid4().hex, "outputs": []}
    own = {
        "id": earlier["id"],
        "base": {"name": base.name, "sha256": base.sha256},
        "outputs": earlier["outputs"],
        "sha256": files.sha256(folder / WEIGHTS),
    }
    files.replace_text(folder / ABOUT, json.dumps(dict(about) | own, indent=1) + "\n")


def check_place(folder: pathlib.Path) -> None:
    """Raises ValueError where a person's folder would hold other files."""
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"--out={folder}: it is no folder.")
    if folder.exists() and any(folder.iterdir()) and not is_person(folder):
        raise ValueError(f"--out={folder}: it holds other files. Give a new folder.")


def is_person(folder: pathlib.Path) -> bool:
    return (folder / ABOUT).is_file()


def read_about(folder: pathlib.Path) -> dict:
    """What ABOUT holds. Raises ValueError where the folder is no person's, or damaged."""
    if not is_person(folder):
        raise ValueError(
            f"{folder}: no person there ({ABOUT} is missing); gan-jax personalize makes one."
        )
    try:
        about = json.loads((folder / ABOUT).read_text("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{folder / ABOUT} is no JSON ({error}).") from error
    fits = isinstance(about, dict) and all(type(about.get(k)) is x for k, x in KINDS.items())
    if not fits or not all(isinstance(x, str) for x in about["outputs"]):
        raise ValueError(f"{folder / ABOUT} is not as `gan-jax personalize` writes it.")
    return about


def read(folder: pathlib.Path, base: Base) -> Person:
    """Of a folder that `write` wrote, on the same base.

    Raises:
        ValueError: no person there, a damaged file, another base.
    """
    about = read_about(folder)
    if about["base"].get("sha256") != base.sha256:
        raise ValueError(
            f"{folder}: made on the base {about['base'].get('name')} (SHA-256"
            f" {str(about['base'].get('sha256'))[:12]}...), which is not {base.name}"
            f" ({base.sha256[:12]}...). Give that one by --base, or make the person anew."
        )
    file = folder / WEIGHTS
    if not file.is_file() or files.sha256(file) != about["sha256"]:
        why = "has changed since it was written" if file.is_file() else "is missing"
        raise ValueError(f"{file} {why}. Make the person anew.")
    with limits.in_one_line(file):
        leaves = safetensors.numpy.load_file(file)
    params = traverse_util.flatten_dict(base.params, sep="/")
    for name in leaves:
        own = name.removeprefix("change/")
        if own == name:
            continue
        if own not in params or params[own].shape != leaves[name].shape:
            raise ValueError(f"{file}: {own} is no weight of the base, or has another shape.")
        params[own] = params[own] + leaves[name].astype(np.float32)
    params = jax.device_put(traverse_util.unflatten_dict(params, sep="/"))
    return Person(base, params, leaves["ws"], leaves["pictures"], about, folder)


def check_output(out: pathlib.Path, folder: pathlib.Path) -> None:
    """Raises ValueError where a folder to be made of a person is that person's, or holds other
    files than what was made of the person before."""
    own, place = folder.resolve(), out.resolve()
    if own == place or own in place.parents or place in own.parents:
        raise ValueError(f"--out={out}: it is in the person's folder, or the other way round.")
    if out.exists() and not out.is_dir():
        raise ValueError(f"--out={out}: it is no folder.")
    if out.exists() and any(out.iterdir()) and _mark_of(out)[0] != read_about(folder)["id"]:
        raise ValueError(f"--out={out}: it holds other files. Give a new folder.")


def mark_output(out: pathlib.Path, person: Person, made: Sequence[pathlib.Path]) -> None:
    """Notes in `out` and in the person's folder which files there were made of the person."""
    out.mkdir(parents=True, exist_ok=True)
    names = {*_mark_of(out)[1], *(file.relative_to(out).as_posix() for file in made)}
    mark = {"person": person.about["id"], "base": person.base.sha256, "files": sorted(names)}
    files.replace_text(out / MARK, json.dumps(mark) + "\n")
    about = read_about(person.folder)
    if str(out.resolve()) not in about["outputs"]:
        about["outputs"].append(str(out.resolve()))
        files.replace_text(person.folder / ABOUT, json.dumps(about, indent=1) + "\n")


def _mark_of(out: pathlib.Path) -> tuple[str | None, list[str]]:
    """(the person that a folder was made of, None where nobody says; names of files, below it)."""
    try:
        mark = json.loads((out / MARK).read_text("utf-8"))
        names = [pathlib.PurePosixPath(name) for name in mark["files"]]
        inside = [str(x) for x in names if not x.is_absolute() and ".." not in x.parts]
        return str(mark["person"]), inside
    except (OSError, ValueError, KeyError, TypeError):
        return None, []


def forget(folder: pathlib.Path) -> list[str]:
    """Removes a person's files and those of all packs that were made of it and noted; returns a
    line each on what was done. Other files in these folders stay, and so do the person's own
    pictures.

    Raises:
        ValueError: no person there.
    """
    about, lines = read_about(folder), []
    for out in map(pathlib.Path, about["outputs"]):
        whose, names = _mark_of(out)
        if whose == about["id"]:
            lines.append(_removed(out, [out / name for name in (*names, MARK)]))
        else:
            lines.append(f"not found, it may have been moved: {out}")
    sheets = [place / name for place in folder.glob("sheet*") for name in SHEETS]
    lines.append(_removed(folder, [folder / WEIGHTS, *sheets, folder / ABOUT]))
    return lines


def _removed(folder: pathlib.Path, own: list[pathlib.Path]) -> str:
    """Removes these files, and the folder once nothing else is in it."""
    for file in own:
        file.unlink(missing_ok=True)
    for sheet in folder.glob("sheet*"):
        if sheet.is_dir() and {file.name for file in sheet.iterdir()} <= {images.MARK}:
            shutil.rmtree(sheet)
    if any(folder.iterdir()):
        return f"removed what was made of the person in {folder}; other files are there and stay"
    if folder.is_symlink():
        folder.unlink()
    else:
        folder.rmdir()
    return f"removed {folder}"
