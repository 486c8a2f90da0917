"""The checkpoints of one run: saved in the background, restored."""

import logging
import math
import os
import pathlib
import shutil
import sys

import jax
import numpy as np
import orbax.checkpoint as ocp
from flax import traverse_util
from jax.experimental import multihost_utils

from gan_jax.checkpoint import steps
from gan_jax.checkpoint.leaves import compare, leaves_of, named, nest
from gan_jax.distributed.parallel import any_process
from gan_jax.state import PyTree

# how tensorstore and orbax report a disk's errors
_DISK_ERRORS = (OSError, ValueError, RuntimeError)
FILES = 100  # of a checkpoint: some twenty, and as many folders, beside those of the next
_SPARE = 1.2  # free space required, in sizes of the state


class Store:
    """The checkpoints of one run, the newest `keep` of them. Saves in the background, one at a
    time.

    Attributes:
        newest: the step to resume from, or None.
    """

    def __init__(self, folder: str | pathlib.Path, keep: int = 3):
        self.folder = pathlib.Path(folder).absolute()
        self.writer = jax.process_index() == 0
        self.keep = keep
        if self.writer:
            self.folder.mkdir(parents=True, exist_ok=True)
            for draft in steps.unfinished_in(self.folder):  # of saves that a kill cut short
                if draft.is_dir() and not draft.is_symlink():
                    shutil.rmtree(draft)
                else:
                    steps.set_damaged_aside(draft, "not a folder, as an unfinished checkpoint is")
        self._pending = None
        self.newest = self._newest_valid()
        self._manager = ocp.CheckpointManager(
            self.folder,
            options=ocp.CheckpointManagerOptions(
                max_to_keep=keep,
                create=False,
                async_options=ocp.AsyncOptions(post_finalization_callback=self._write_manifest),
            ),
            item_names=steps.ITEMS,
        )

    def save(self, step: int, state: PyTree, meta: dict) -> bool:
        """Starts to save; False, and an error in the log, where it can't: a full disk must not end
        the training.

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
        needed = int(_SPARE * sum(x.nbytes for x in leaves.values()))
        lack = self._lack_of_space(needed) if self.writer else None
        if any_process(lack is not None):
            return self._failed(lack)
        items = {"state": ocp.args.StandardSave(nest(leaves)), "meta": ocp.args.JsonSave(meta)}
        try:
            return self._manager.save(step, args=ocp.args.Composite(**items))
        except _DISK_ERRORS as error:
            return self._failed(error)

    def _lack_of_space(self, needed: int) -> str | None:
        """What stands against writing so many bytes;
        the folder is made again if somebody removed it."""
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
        """Logs it, and removes what is there of the step, which only fills the disk."""
        words = "CHECKPOINT NOT SAVED at step %s: %s. Earlier ones are untouched."
        if self.writer:
            logging.error(words, self._pending, why)
        for draft in self._unfinished():
            shutil.rmtree(draft, ignore_errors=True)
        return False

    def finish(self) -> bool:
        """Waits for the save under way. False, and an error in the log, if it failed."""
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
        saved = leaves_of(path)
        compare(wanted, {name: (x.shape, x.dtype) for name, x in saved.items()}, path)
        target = nest({name: _abstract(x) for name, x in wanted.items()})
        items = {"state": ocp.args.StandardRestore(target), "meta": ocp.args.JsonRestore()}
        found = self._manager.restore(step, args=ocp.args.Composite(**items))
        flat = traverse_util.flatten_dict(found["state"], sep="/")
        leaves = [flat[name] for name in wanted]
        return jax.tree.unflatten(jax.tree.structure(like), leaves), found["meta"]

    def close(self) -> bool:
        """Waits for the save under way and lets go. False if that save failed."""
        saved = self.finish()
        self._manager.close()
        return saved

    def _write_manifest(self):
        """Called by orbax when all of a step is on the disk, before it gets its final name: so the
        manifest is part of it."""
        if self.writer:
            (draft,) = self._unfinished()
            steps.write_manifest(draft, self._pending)
            too_old = steps.steps_in(self.folder)[self.keep - 1 :]
            for path in too_old:
                if path.is_symlink():  # orbax can't remove a link
                    path.unlink()

    def _unfinished(self) -> list[pathlib.Path]:
        return steps.unfinished(self.folder, self._pending) if self.writer else []

    def _newest_valid(self) -> int | None:
        step = -1
        if self.writer:
            for path in steps.named_as_steps(self.folder):
                damage = steps.verify(path) if path.is_dir() else "not a folder"
                if damage is None:
                    step = int(path.name)
                    break
                steps.set_damaged_aside(path, damage)
        if jax.process_count() > 1:
            step = int(multihost_utils.broadcast_one_to_all(np.int32(step)))
        return None if step < 0 else step


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


def _abstract(x):
    return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding)


def _free_files(folder: pathlib.Path) -> float:
    """How many more files the file system takes; infinity where it has no such limit."""
    if sys.platform == "win32":
        return math.inf
    found = os.statvfs(folder)
    return found.f_favail if found.f_files else math.inf
