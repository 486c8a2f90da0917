"""The folders of saved steps on the disk:
which there are, and whether their files are as they were written."""

import json
import logging
import pathlib
import re

from gan_jax.checkpoint import shared
from gan_jax.runtime import files, registry
from gan_jax.runtime.files import MANIFEST

ITEMS = ("state", "meta")  # what is saved of a step, a folder each
_DRAFT = ".orbax-checkpoint-tmp"  # what orbax adds to the name of a step it is still writing


def steps_in(folder: pathlib.Path) -> list[pathlib.Path]:
    """The step folders, newest first; other names ("020", "old") are not ours."""
    return [path for path in named_as_steps(folder) if path.is_dir()]


def named_as_steps(folder: pathlib.Path) -> list[pathlib.Path]:
    """What has a step's name, newest first, whether it is a folder or not."""
    return sorted(filter(_is_step, folder.glob("*")), key=lambda path: int(path.name), reverse=True)


def _is_step(path: pathlib.Path) -> bool:
    return re.fullmatch("0|[1-9][0-9]*", path.name) is not None


def unfinished_in(folder: pathlib.Path) -> list[pathlib.Path]:
    """Steps that orbax has not finished. One pattern for all:
    Python keeps each that it has seen."""
    return list(folder.glob(f"[0-9]*{_DRAFT}*"))


def unfinished(folder: pathlib.Path, step: int) -> list[pathlib.Path]:
    """Where orbax writes a step until it is complete; nothing once it is."""
    return [path for path in unfinished_in(folder) if path.name.startswith(f"{step}{_DRAFT}")]


def step_of(path: pathlib.Path) -> int:
    """The step that a checkpoint is of, whatever its folder is called.
    Raises ValueError where it is not known."""
    if shared.is_shared(path):
        return int(shared.read_meta(path)["step"])
    step = str(json.loads((path / MANIFEST).read_text("utf-8")).get("step", path.name))
    if not _is_step(pathlib.Path(step)):
        raise ValueError(
            f"{path}: its {MANIFEST} does not say of which step it is. Name the folder by the step,"
            " as 2000."
        )
    return int(step)


def read_meta(path: pathlib.Path) -> dict:
    """What was saved beside a step's state. Raises ValueError where it is not readable."""
    if shared.is_shared(path):
        return shared.read_meta(path)
    try:
        return json.loads((path / "meta" / "metadata").read_text("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: its meta is no JSON ({error}).") from error


def find(path: str | pathlib.Path) -> pathlib.Path:
    """A run's workdir, its checkpoints folder or one step -> the newest step folder there whose
    manifest holds; a shared model's folder or its name (shared.py) -> that folder.

    Raises:
        ValueError: nothing there, or nothing that verifies; names what is wrong.
    """
    path = pathlib.Path(path)
    model = shared.find(path)
    if model is not None:
        return model
    if (path / "state").is_dir():
        folders = [path]
    else:
        folders = steps_in(path / "checkpoints" if (path / "checkpoints").is_dir() else path)
    damages = []
    for folder in folders:
        damages.append(verify(folder))
        if damages[-1] is None:
            return folder
        logging.warning(
            "checkpoint %s is damaged (%s); looking at an older one.", folder, damages[-1]
        )
    if damages:
        raise ValueError(f"{path}: no checkpoint there is whole: {folders[0].name}: {damages[0]}.")
    why = convert = ""
    if path.is_file():
        why = "It is a file. "
        convert = " Of other people's networks `gan-jax convert` makes a run."
    elif not path.exists():
        why = "There is no such folder. "
        if len(path.parts) == 1 and shared.names():
            convert = f" Or a model's name. {registry.suggest(str(path), shared.names())}"
    raise ValueError(
        f"{path}: no checkpoint. {why}Give a run's --workdir, its checkpoints folder or one step in"
        f" it.{convert}"
    )


def write_manifest(path: pathlib.Path, step: int) -> None:
    """The step, and the SHA-256 of every file of its items;
    orbax's own time stamps come later and are not read."""
    hashes = files.file_hashes(path, *ITEMS)
    files.replace_text(path / MANIFEST, json.dumps({"step": step} | hashes, indent=1))


def verify(path: pathlib.Path) -> str | None:
    """None if every file of the manifest is there unchanged, else what is wrong, naming the file.

    A folder that has a step's name must be of that step. (Manifests of old checkpoints don't say of
    which they are.)
    """
    try:
        return _damage_in(path)
    except OSError as error:
        return f"it can't be read: {error}"


def _damage_in(path: pathlib.Path) -> str | None:
    if not (path / MANIFEST).is_file():
        return f"no {MANIFEST}: not a finished checkpoint"
    try:
        hashes = json.loads((path / MANIFEST).read_text("utf-8"))
    except (ValueError, RecursionError):  # the first is also what bytes that are no UTF-8 raise
        return f"{MANIFEST} is unreadable"
    if not isinstance(hashes, dict) or not all(
        any(name.startswith(f"{item}/") for name in hashes) for item in ITEMS
    ):
        return f"{MANIFEST} does not name the files of {' and '.join(ITEMS)}"
    step = str(hashes.pop("step", path.name))
    if _is_step(path) and step != path.name:
        return f"it is the checkpoint of step {step} under another name"
    return files.first_change(path, hashes)


def set_aside(path: pathlib.Path, why: str) -> pathlib.Path:
    """Renames a step's folder to "<why>-<step>", so that it is kept and no longer counts; returns
    its new place."""
    place, n = path.with_name(f"{why}-{path.name}"), 1
    while place.exists() or place.is_symlink():
        place, n = path.with_name(f"{why}-{path.name}-{n}"), n + 1
    return path.rename(place)


def set_damaged_aside(path: pathlib.Path, damage: str) -> None:
    """As `set_aside`, and reports the damage."""
    place = set_aside(path, "damaged")
    logging.error("DAMAGED CHECKPOINT %s: %s. Set aside as %s.", path, damage, place.name)
