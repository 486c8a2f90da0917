"""Files written whole or not at all."""

import contextlib
import errno
import hashlib
import json
import logging
import os
import pathlib
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping

_MANIFEST = "manifest.json"

log = logging.getLogger(__name__)


def append_line(path: pathlib.Path, line: Mapping) -> None:
    """Adds a line of JSON to a file, the whole line or nothing. Raises OSError, naming the file."""
    with path.open("ab", buffering=0) as file, naming(path):
        end, raw = file.seek(0, os.SEEK_END), f"{json.dumps(line)}\n".encode()
        try:
            if file.write(raw) < len(raw):  # the disk has just become full
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError:
            file.truncate(end)
            raise


@contextlib.contextmanager
def naming(path: pathlib.Path) -> Iterator[None]:
    """Adds the file to the error of a full disk, met in the middle of a write, which knows no
    name."""
    try:
        yield
    except OSError as error:
        if error.errno and error.filename is None:
            error.filename = str(path)
        raise


def replace_text(path: pathlib.Path, text: str) -> None:
    """The whole new text, or the old. Raises OSError, naming the file."""
    draft = path.with_name(f".{path.name}")
    try:
        with naming(path):
            draft.write_text(text, "utf-8")
            draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def made_once(
    folder: pathlib.Path, make: Callable[[pathlib.Path], pathlib.Path]
) -> tuple[str, ...]:
    """Sees that `folder` is there and as it was made; returns notes on damage that was repaired.

    Args:
        make: (an empty folder beside it) -> the folder under that one that holds what is wanted.
    What is made moves into place whole, with its manifest: of a killed run, or of two processes at
    once, nothing half is ever used. Raises OSError where the disk refuses.
    """
    damage = damage_in(folder)
    if damage is None:
        return ()
    notes = (f"{folder} was damaged ({damage}): made again",) if folder.exists() else ()
    for note in notes:
        log.warning(note)
    folder.parent.mkdir(parents=True, exist_ok=True)
    for stale in folder.parent.glob(".making-*"):
        if time.time() - stale.stat().st_mtime > 24 * 3600:
            shutil.rmtree(stale, ignore_errors=True)
    aside = pathlib.Path(tempfile.mkdtemp(prefix=".making-", dir=folder.parent))
    try:
        made = make(aside)
        (made / _MANIFEST).write_text(json.dumps(file_hashes(made), indent=1), "utf-8")
        if folder.exists() and damage_in(folder) is not None:
            folder.rename(aside / "damaged")
        try:
            made.rename(folder)
        except OSError:
            if damage_in(folder) is not None:  # else another process was first
                raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return notes


def file_hashes(folder: pathlib.Path) -> dict[str, str]:
    """SHA-256 of each file directly in a folder, the manifest apart."""
    files = sorted(path for path in folder.iterdir() if path.name != _MANIFEST)
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def damage_in(folder: pathlib.Path) -> str | None:
    """What is wrong with made data, or None."""
    try:
        wanted, found = dict(json.loads((folder / _MANIFEST).read_bytes())), file_hashes(folder)
    except (OSError, ValueError, TypeError) as error:
        return f"its manifest can't be read: {error}"
    bad = [name for name in {**wanted, **found} if found.get(name) != wanted.get(name)]
    return f"{bad[0]} is not as it was written" if bad else None
