"""What was learned of a person, as a small folder: person.json, person.safetensors, and sheets.

The weights are kept as their difference to the base's, in bfloat16, so that many persons can be
kept beside one base.
"""

import json
import pathlib
import shutil
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import safetensors.numpy
from flax import traverse_util

from gan_jax.personalize.base import Base
from gan_jax.runtime import files
from gan_jax.runtime.weights import limits
from gan_jax.state import PyTree

ABOUT, WEIGHTS = "person.json", "person.safetensors"
KINDS = {"base": dict, "made_from": list, "outputs": list, "sha256": str, "seed": int}


class Person(NamedTuple):
    """Attributes:
    base: the generator that the person was made on.
    params: the generator's weights, of this person.
    ws: f32 [n, L, W]: the anchors, the styles of the person's pictures.
    pictures: uint8 [n, h, w, c], small, as they were: for the audit of copies.
    about: what ABOUT holds.
    folder: where it is.
    """

    base: Base
    params: PyTree
    ws: np.ndarray
    pictures: np.ndarray
    about: dict
    folder: pathlib.Path

    @property
    def anchors(self) -> np.ndarray:
        """[n, W]: of the first layer, as of all where they were inverted to W."""
        return self.ws.mean(1)


def write(
    folder: pathlib.Path,
    base: Base,
    params: PyTree,
    ws: np.ndarray,
    pictures: np.ndarray,
    about: Mapping[str, Any],
) -> None:
    """Writes a person's folder; its files replace those of an earlier one.

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
    own = {
        "base": {"name": str(base.sampler.step), "sha256": base.sha256},
        "outputs": [],
        "sha256": files.sha256(folder / WEIGHTS),
    }
    files.replace_text(folder / ABOUT, json.dumps(dict(about) | own, indent=1) + "\n")


def is_person(folder: pathlib.Path) -> bool:
    return (folder / ABOUT).is_file()


def read_about(folder: pathlib.Path) -> dict:
    """What ABOUT holds. Raises ValueError where the folder is no person's, or damaged."""
    if not is_person(folder):
        raise ValueError(
            f"{folder}: no person there ({ABOUT} is missing). Make one: gan-jax personalize PHOTOS"
            f" --out {folder}"
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
            f" {str(about['base'].get('sha256'))[:12]}...), which is not {base.sampler.step}"
            f" ({base.sha256[:12]}...). Give that one, or make the person anew."
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


def add_output(folder: pathlib.Path, out: pathlib.Path) -> None:
    """Notes that `out` was made of the person, so that `forget` finds it."""
    about = read_about(folder)
    if str(out.resolve()) not in about["outputs"]:
        about["outputs"].append(str(out.resolve()))
        files.replace_text(folder / ABOUT, json.dumps(about, indent=1) + "\n")


def forget(folder: pathlib.Path) -> list[pathlib.Path]:
    """Removes a person's folder and all that was made of it and noted there; returns what.

    Of the person's own pictures nothing is touched.
    Raises:
        ValueError: no person there.
    """
    about, gone = read_about(folder), []
    for out in map(pathlib.Path, about["outputs"]):
        mark = out / "made_of.json"
        if not mark.is_file():
            continue  # removed or moved by hand, or something else stands there now
        if json.loads(mark.read_text("utf-8")).get("person") == about["sha256"]:
            shutil.rmtree(out)
            gone.append(out)
    shutil.rmtree(folder)
    return [*gone, folder]


def mark_output(out: pathlib.Path, person: Person) -> None:
    """Notes in `out` and in the person's folder that the first was made of the second."""
    files.replace_text(
        out / "made_of.json",
        json.dumps({"person": person.about["sha256"], "base": person.base.sha256}) + "\n",
    )
    add_output(person.folder, out)
