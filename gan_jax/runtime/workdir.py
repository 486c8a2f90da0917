"""The folder of a run: one run at a time writes in it,
and what an earlier one left is moved, never removed."""

import contextlib
import json
import logging
import os
import pathlib
import sys
from collections.abc import Iterator

from gan_jax.runtime import cli

WRITTEN = tuple(name for name in cli.RUN_FILES if name != ".lock")  # what a run leaves


class InUse(ValueError):
    """Another run holds the folder, or another program the file."""


def of(text: str) -> pathlib.Path:
    """The folder that `--workdir` names. Raises ValueError where it is a remote address, which no
    folder stands for."""
    cli.check_local("--workdir", text)
    return pathlib.Path(text)


def is_run(folder: pathlib.Path) -> bool:
    """Whether a run has begun there."""
    return any((folder / name).exists() for name in (*cli.RUN_MARKS, "checkpoints"))


@contextlib.contextmanager
def lock(folder: pathlib.Path) -> Iterator[None]:
    """Holds the folder's lock file, so that no second run writes between the first one's lines.

    Raises:
        InUse: another run holds it; nothing is written.
        OSError: the folder or the file in it can't be made.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with locked(
        folder / ".lock",
        f"--workdir={folder}: another run is using it. Wait for it, or give another.",
    ):
        yield


@contextlib.contextmanager
def making(out: pathlib.Path) -> Iterator[None]:
    """Holds a lock file beside the file `out`, gone afterwards, so that no second program makes it
    at the same time.

    Raises:
        InUse: another program does.
    """
    lock_file = out.with_name(f".{out.name}.lock")
    with locked(
        lock_file, f"{out}: another program is making it. Wait for it, or give another --out."
    ):
        try:
            yield
        finally:
            with contextlib.suppress(PermissionError):  # Windows removes no open file
                lock_file.unlink(missing_ok=True)


@contextlib.contextmanager
def locked(path: pathlib.Path, taken: str) -> Iterator[None]:
    """Holds the lock file `path`.
    Raises InUse with the words `taken` where another process does."""
    with path.open("a", encoding="utf-8") as lock:
        try:
            _lock(lock)
            ours = path.exists() and os.path.samestat(os.fstat(lock.fileno()), path.stat())
        except (BlockingIOError, PermissionError) as error:
            raise InUse(taken) from error
        except OSError as error:  # some network file systems have no locks
            logging.warning(
                "%s can't be locked (%s): see to it that no second program writes there.",
                path,
                error,
            )
            ours = True
        if not ours:  # removed by the one that had it, since it was opened here
            raise InUse(taken)
        yield


def _lock(file) -> None:
    """Locks an open file until it is closed; raises at once where another has it."""
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def last_step(folder: pathlib.Path) -> int:
    """The last step that `metrics.jsonl` has a line of; 0 where there is none."""
    try:
        raw = (folder / "metrics.jsonl").read_text("utf-8", "replace").splitlines()
    except FileNotFoundError:
        return 0
    return max([0, *filter(None, map(step_of, raw))])


def step_of(line: str) -> int | None:
    """The step of a line of JSON; None where it is damaged."""
    try:
        return int(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None


def move_aside(folder: pathlib.Path) -> pathlib.Path | None:
    """Moves what an earlier run left into a new folder "earlier-1", "earlier-2", ... of it; None
    where it left nothing."""
    left = [
        folder / name
        for name in WRITTEN
        if (folder / name).exists() or (folder / name).is_symlink()
    ]
    if not left:
        return None
    n = 1
    while (place := folder / f"earlier-{n}").exists():
        n += 1
    place.mkdir()
    for path in left:
        path.rename(place / path.name)
    return place
