"""Saves and restores the whole run: orbax writes, a SHA-256 manifest per step proves what was
written.

A step folder holds `state` (all of TrainState, named by its path in the tree), `meta` (JSON:
config, data position) and `manifest.json`. A step without a manifest that holds is never restored
from: it is set aside, loudly.
"""

import hashlib
import itertools
import json
import logging
import math
import os
import pathlib
import re
import shutil
import sys
from collections.abc import Sequence

import jax
import numpy as np
import orbax.checkpoint as ocp
from etils import epath
from flax import traverse_util
from jax.experimental import multihost_utils

from gan_jax.distributed.parallel import any_process
from gan_jax.runtime import registry, weights
from gan_jax.state import PyTree

MANIFEST = "manifest.json"
ITEMS = ("state", "meta")
_DRAFT = ".orbax-checkpoint-tmp"  # what orbax adds to the name of a step it is still writing
_DISK_ERRORS = (
    OSError,
    ValueError,
    RuntimeError,
)  # how tensorstore and orbax report a disk's errors
MOST_NAMES = 20  # of classes, in a message
FILES = 100  # of a checkpoint: some twenty, and as many folders, beside those of the next
_SPARE = 1.2  # free space asked for, in sizes of the state


def named(tree: PyTree) -> dict[str, jax.Array]:
    """Leaves by their path, "g/params/g/Dense_0/kernel"."""
    return {
        "/".join(map(_part, path)): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
    }


def _part(entry) -> str:
    return str(next(getattr(entry, a) for a in ("key", "name", "idx") if hasattr(entry, a)))


class Store:
    """The checkpoints of one run, newest `keep` of them. Saves in the background; one at a time."""

    def __init__(self, folder: str | pathlib.Path, keep: int = 3):
        self.folder = pathlib.Path(folder).absolute()
        self.writer = jax.process_index() == 0
        self.keep = keep
        if self.writer:
            self.folder.mkdir(parents=True, exist_ok=True)
            for draft in _all_drafts(self.folder):  # of saves that a kill cut short
                if draft.is_dir() and not draft.is_symlink():
                    shutil.rmtree(draft)
                else:
                    _set_aside(draft, "not a folder, as an unfinished checkpoint is")
        self._pending = None
        self.newest = self._newest_valid()  # int or None: the step to resume from
        self._manager = ocp.CheckpointManager(
            self.folder,
            options=ocp.CheckpointManagerOptions(
                max_to_keep=keep,
                create=False,
                async_options=ocp.AsyncOptions(post_finalization_callback=self._seal),
            ),
            item_names=ITEMS,
        )

    def save(self, step: int, state: PyTree, meta: dict) -> bool:
        """Starts to save; False, said loudly, where it can't be: a full disk must not end the
        training.

        Raises:
            FloatingPointError: a leaf is not finite; names it. Nothing is written.
        """
        self.finish()
        if step in self._manager.all_steps():
            return True
        leaves = named(state)
        bad = first_non_finite(leaves)
        if bad:
            raise FloatingPointError(f"step {step} is not saved: {bad} is not finite.")
        self._pending = step
        lack = (
            self._lack_of_space(int(_SPARE * sum(x.nbytes for x in leaves.values())))
            if self.writer
            else None
        )
        if any_process(lack is not None):
            return self._failed(lack)
        items = {"state": ocp.args.StandardSave(_nest(leaves)), "meta": ocp.args.JsonSave(meta)}
        try:
            return self._manager.save(step, args=ocp.args.Composite(**items))
        except _DISK_ERRORS as error:
            return self._failed(error)

    def _lack_of_space(self, needed: int) -> str | None:
        """What stands against writing so many bytes; the folder is made again if somebody removed
        it."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            free, files = shutil.disk_usage(self.folder).free, _free_files(self.folder)
        except OSError as error:
            return str(error)
        if files < FILES:
            return f"{self.folder} has room for {files} more files (inodes), {FILES} are needed"
        if free >= needed:
            return None
        return f"{self.folder} has {free / 2**20:.1f} MiB free, {needed / 2**20:.1f} MiB are needed"

    def _failed(self, why) -> bool:
        """Says so, and clears what is there of the step: it only fills the disk."""
        if self.writer:
            logging.error(
                "CHECKPOINT NOT SAVED at step %s: %s. Earlier ones are untouched.",
                self._pending,
                why,
            )
        for draft in self._drafts():
            shutil.rmtree(draft, ignore_errors=True)
        return False

    def finish(self) -> bool:
        """Waits for the save under way. False, said loudly, if it failed."""
        try:
            self._manager.wait_until_finished()
        except _DISK_ERRORS as error:
            return self._failed(error)
        return True

    def restore(self, step: int, like: PyTree) -> tuple[PyTree, dict]:
        """(state, meta) of a step; `like` gives structure, shapes, dtypes and shardings.

        Raises:
            ValueError: names the first leaf that the checkpoint has otherwise, with both shapes.
        """
        wanted = named(like)
        path = self.folder / str(step)
        saved = _leaves(path)
        compare(wanted, {name: (x.shape, x.dtype) for name, x in saved.items()}, path)
        target = _nest({name: _abstract(x) for name, x in wanted.items()})
        items = {"state": ocp.args.StandardRestore(target), "meta": ocp.args.JsonRestore()}
        found = self._manager.restore(step, args=ocp.args.Composite(**items))
        flat = traverse_util.flatten_dict(found["state"], sep="/")
        return (
            jax.tree.unflatten(jax.tree.structure(like), [flat[name] for name in wanted]),
            found["meta"],
        )

    def close(self) -> bool:
        """Waits for the save under way and lets go. False if that save failed."""
        saved = self.finish()
        self._manager.close()
        return saved

    def _seal(self):
        """Called by orbax once a step is whole on disk, before it gets its final name: so the
        manifest is part of it."""
        if self.writer:
            (draft,) = self._drafts()
            write_manifest(draft, self._pending)
            for path in steps_in(self.folder)[
                self.keep - 1 :
            ]:  # too old to keep; orbax can't remove a link
                if path.is_symlink():
                    path.unlink()

    def _drafts(self) -> list[pathlib.Path]:
        """Where orbax writes the pending step until it is whole."""
        drafts = _all_drafts(self.folder) if self.writer else []
        return [path for path in drafts if path.name.startswith(f"{self._pending}{_DRAFT}")]

    def _newest_valid(self) -> int | None:
        step = -1
        if self.writer:
            for path in _named_as_steps(self.folder):
                damage = verify(path) if path.is_dir() else "not a folder"
                if damage is None:
                    step = int(path.name)
                    break
                _set_aside(path, damage)
        step = int(_broadcast(np.int32(step)))
        return None if step < 0 else step


def _all_drafts(folder: pathlib.Path) -> list[pathlib.Path]:
    """Steps that orbax has not finished. One pattern for all: Python keeps each that it has
    seen."""
    return list(folder.glob(f"[0-9]*{_DRAFT}*"))


def steps_in(folder: pathlib.Path) -> list[pathlib.Path]:
    """The step folders, newest first; other names ("020", "old") are not ours."""
    return [path for path in _named_as_steps(folder) if path.is_dir()]


def _named_as_steps(folder: pathlib.Path) -> list[pathlib.Path]:
    """What has a step's name, newest first, whether it is a folder or not."""
    return sorted(filter(_is_step, folder.glob("*")), key=lambda path: int(path.name), reverse=True)


def _is_step(path: pathlib.Path) -> bool:
    return re.fullmatch("0|[1-9][0-9]*", path.name) is not None


def read(path: str | pathlib.Path, prefixes: tuple[str, ...]) -> tuple[dict[str, np.ndarray], dict]:
    """Named leaves of a step whose names start with a prefix, as numpy, on any devices; and its
    meta.

    Args:
        path: a step folder (`find` gives it). prefixes: "ema/", "g/params/".
    """
    path = pathlib.Path(path).absolute()
    saved = _leaves(path)
    with weights.in_one_line(path):
        # read as wholes
        chunks = (math.prod(x.storage.chunk_shape or x.shape) for x in saved.values())
        sizes = (
            max(math.prod(x.shape), n) * x.dtype.itemsize
            for x, n in zip(saved.values(), chunks, strict=True)
        )
        weights.bounded(
            sizes, sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
        )
    item = {
        name: jax.ShapeDtypeStruct(x.shape, x.dtype)
        for name, x in saved.items()
        if name.startswith(prefixes)
    }
    how = {name: ocp.RestoreArgs(restore_type=np.ndarray) for name in item}
    args = ocp.args.PyTreeRestore(item=_nest(item), restore_args=_nest(how), partial_restore=True)
    with ocp.Checkpointer(ocp.PyTreeCheckpointHandler()) as checkpointer:
        tree = checkpointer.restore(path / "state", args=args)
    return traverse_util.flatten_dict(tree, sep="/"), read_meta(path)


def step_of(path: pathlib.Path) -> int:
    """The step that a checkpoint is of, whatever its folder is called. Raises ValueError where it
    is not known."""
    step = str(json.loads((path / MANIFEST).read_text("utf-8")).get("step", path.name))
    if not _is_step(pathlib.Path(step)):
        raise ValueError(
            f"{path}: its {MANIFEST} does not say of which step it is. Name the folder by the step,"
            " as 2000."
        )
    return int(step)


def read_meta(path: pathlib.Path) -> dict:
    """What was saved beside a step's state. Raises ValueError where it is not readable."""
    try:
        return json.loads((path / "meta" / "metadata").read_text("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: its meta is no JSON ({error}).") from error


def find(path: str | pathlib.Path) -> pathlib.Path:
    """A run's workdir, its checkpoints folder or one step -> the newest step folder there whose
    manifest holds.

    Raises:
        ValueError: nothing there, or nothing that verifies; says what was found wrong.
    """
    path = pathlib.Path(path)
    if (path / "state").is_dir():
        steps = [path]
    else:
        steps = steps_in(path / "checkpoints" if (path / "checkpoints").is_dir() else path)
    damages = [(step, verify(step)) for step in steps]
    for step, damage in damages:
        if damage is None:
            return step
        logging.warning("checkpoint %s is damaged (%s); looking at an older one.", step, damage)
    if damages:
        raise ValueError(
            f"{path}: no checkpoint there is whole: {damages[0][0].name}: {damages[0][1]}."
        )
    why = (
        "" if path.is_dir() else "It is a file. " if path.exists() else "There is no such folder. "
    )
    convert = (
        " Of other people's networks tools/convert_weights.py makes a run."
        if path.is_file()
        else ""
    )
    raise ValueError(
        f"{path}: no checkpoint. {why}Give a run's --workdir, its checkpoints folder or one step in"
        f" it.{convert}"
    )


def write_manifest(path: pathlib.Path, step: int) -> None:
    """The step, and the SHA-256 of every file of its items; orbax's own time stamps come later and
    are not read."""
    found = [f for item in ITEMS for f in sorted((path / item).rglob("*")) if f.is_file()]
    files = {f.relative_to(path).as_posix(): _sha256(f) for f in found}
    (path / MANIFEST).write_text(json.dumps({"step": step} | files, indent=1), "utf-8")


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
        files = json.loads((path / MANIFEST).read_text("utf-8"))
    except (ValueError, RecursionError):  # the first is also what bytes that are no UTF-8 raise
        return f"{MANIFEST} is unreadable"
    if not isinstance(files, dict) or not all(
        any(name.startswith(f"{item}/") for name in files) for item in ITEMS
    ):
        return f"{MANIFEST} does not name the files of {' and '.join(ITEMS)}"
    step = str(files.pop("step", path.name))
    if _is_step(path) and step != path.name:
        return f"it is the checkpoint of step {step} under another name"
    for name, digest in files.items():
        if not (path / name).is_file():
            return f"{name} is missing"
        if _sha256(path / name) != digest:
            return f"{name} has changed since it was written"
    return None


def compare(wanted: dict, saved: dict, path: pathlib.Path) -> None:
    """Raises ValueError naming the first leaf in which a checkpoint (name -> (shape, dtype)) and a
    state differ."""
    for name in [*wanted, *(n for n in saved if n not in wanted)]:
        have = f"{saved[name][1]}{list(saved[name][0])}" if name in saved else "no such leaf"
        want = (
            f"{wanted[name].dtype}{list(wanted[name].shape)}" if name in wanted else "no such leaf"
        )
        if have != want:
            raise ValueError(
                f"the config does not fit the checkpoint {path}: {name} is {have} there and {want}"
                " here. Use the config that made it, or another --workdir; config.init_from takes"
                " over what does fit."
            )


def other_classes(saved: Sequence[str], own: Sequence[str]) -> str | None:
    """What differs between a checkpoint's classes, by their labels 0, 1, ..., and the data's; None
    where nothing does."""
    saved, own = (list(map(registry.normal, classes)) for classes in (saved, own))
    if saved == own:
        return None
    pairs = enumerate(itertools.zip_longest(saved, own))
    label, one, two = next((i, a, b) for i, (a, b) in pairs if a != b)
    shown = lambda name: "no class" if name is None else repr(name)
    return (
        f"{listed(saved)} there, {listed(own)} here (label {label}: {shown(one)} there,"
        f" {shown(two)} here)"
    )


def listed(classes: Sequence[str]) -> str:
    """ "3 classes, 'a', 'b', 'c'"; of many the first."""
    names = ", ".join(map(repr, classes[:MOST_NAMES])) + (
        ", ..." if len(classes) > MOST_NAMES else ""
    )
    return f"{len(classes)} classes, {names}" if classes else "no classes"


def warm_start(
    state: PyTree, path: str | pathlib.Path, classes: Sequence[str] = ()
) -> tuple[PyTree, list[str]]:
    """Puts a checkpoint's leaves into a new state wherever name and shape agree: pretrained
    initialisation.

    Weights, batch statistics and the average are taken; optimisers and the count of steps start
    anew. The report says where the checkpoint's classes are not `classes`: its weights for a label
    are those of another class. Returns the state and the report: how many leaves matched, and each
    that did not, with the reason.
    Raises:
        ValueError: no checkpoint there, or not one leaf matches.
    """
    parts = ("g/params/", "g/mutable/", "d/params/", "d/mutable/", "ema/")
    step = find(path)
    saved, meta = read(step, parts)
    own = {name: x for name, x in named(state).items() if name.startswith(parts)}
    fits = {name for name, x in own.items() if name in saved and saved[name].shape == x.shape}
    if not fits:
        raise ValueError(
            f"config.init_from={str(path)!r}: not one leaf of {step} has the name and shape of"
            " ours."
        )
    report = [f"initialised from {step}: {len(fits)} of {len(own)} leaves match"]
    other = other_classes(meta.get("classes", ()), classes)
    if other and classes and meta.get("classes"):
        report.append(f"  the labels mean other classes: {other}")
    for name, x in own.items():
        if name not in fits:
            why = (
                f"is {list(saved[name].shape)} there, {list(x.shape)} here"
                if name in saved
                else "is not there"
            )
            report.append(f"  kept as initialised: {name} {why}")
    report += [f"  not used: {name} {list(saved[name].shape)}" for name in saved if name not in own]
    leaves = [
        saved[n].astype(x.dtype) if n in fits else x
        for n, x in zip(named(state), jax.tree.leaves(state), strict=True)
    ]
    return jax.tree.unflatten(jax.tree.structure(state), leaves), report


def first_non_finite(leaves: dict[str, jax.Array]) -> str | None:
    """Name of the first floating leaf that holds NaN or infinity."""
    floats = {
        name: x for name, x in leaves.items() if jax.numpy.issubdtype(x.dtype, jax.numpy.floating)
    }
    finite = jax.device_get(_all_finite(list(floats.values())))
    return next((name for name, ok in zip(floats, finite, strict=True) if not ok), None)


@jax.jit
def _all_finite(leaves):
    return [jax.numpy.isfinite(x).all() for x in leaves]


def _leaves(path: pathlib.Path) -> dict:
    """Name -> orbax's metadata (shape, dtype) of every leaf of a step."""
    handler = ocp.PyTreeCheckpointHandler()
    return traverse_util.flatten_dict(handler.metadata(epath.Path(path / "state")).tree, sep="/")


def _nest(flat: dict) -> dict:
    return traverse_util.unflatten_dict(flat, sep="/")


def _abstract(x):
    return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=getattr(x, "sharding", None))


def _free_files(folder: pathlib.Path) -> float:
    """How many more files the file system takes; infinity where it has no such limit."""
    if sys.platform == "win32":
        return math.inf
    found = os.statvfs(folder)
    return found.f_favail if found.f_files else math.inf


def _sha256(path: pathlib.Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def set_aside(path: pathlib.Path, why: str) -> pathlib.Path:
    """Renames a step's folder to "<why>-<step>", so that it is kept and no longer counts; returns
    its new place."""
    place, n = path.with_name(f"{why}-{path.name}"), 1
    while place.exists() or place.is_symlink():
        place, n = path.with_name(f"{why}-{path.name}-{n}"), n + 1
    return path.rename(place)


def _set_aside(path: pathlib.Path, damage: str) -> None:
    place = set_aside(path, "damaged")
    logging.error("DAMAGED CHECKPOINT %s: %s. Set aside as %s.", path, damage, place.name)


def _broadcast(value):
    return multihost_utils.broadcast_one_to_all(value) if jax.process_count() > 1 else value
