"""The one way files are written, whole or not at all; and folders whose files are checked against
their SHA-256."""

import contextlib
import errno
import hashlib
import importlib.metadata
import json
import logging
import os
import pathlib
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor

MANIFEST = "manifest.json"  # of a folder: the SHA-256 of its files
_SCRATCH = ".making-"  # how the names of unfinished folders begin
_ABANDONED = 24 * 3600  # seconds after which an unfinished folder is one of a killed program

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
    """Adds the file to the error of a full disk,
    met in the middle of a write, which knows no name."""
    try:
        yield
    except OSError as error:
        if error.errno and error.filename is None:
            error.filename = str(path)
        raise


@contextlib.contextmanager
def replacing(path: pathlib.Path) -> Iterator[pathlib.Path]:
    """A new file to write beside `path`, with its suffix. At the end of the block it is brought to
    the disk and takes the place of `path`; where an error ends the block, `path` is left alone.

    Makes the folder. Raises OSError, naming `path`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # its own, should another program write the same
    draft = path.with_name(f".{path.name}.{os.getpid()}{path.suffix}")
    try:
        with naming(path):
            yield draft
            _to_disk(draft)
            draft.replace(path)
            _to_disk(path.parent)
    finally:
        draft.unlink(missing_ok=True)


def replace_bytes(path: pathlib.Path, data: bytes) -> None:
    """The whole new content, or the old. Raises OSError, naming the file."""
    with replacing(path) as draft:
        draft.write_bytes(data)


def replace_text(path: pathlib.Path, text: str, errors: str = "strict") -> None:
    """The whole new text in UTF-8, or the old. Raises OSError, naming the file.

    errors: what becomes of characters that have no UTF-8, as in str.encode.
    """
    replace_bytes(path, text.encode("utf-8", errors))


@contextlib.contextmanager
def scratch_beside(path: pathlib.Path) -> Iterator[pathlib.Path]:
    """A new folder beside `path`, gone at the end of the block; and gone are those that killed
    programs left there. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in path.parent.glob(f"{_SCRATCH}*"):
        if time.time() - left.stat().st_mtime > _ABANDONED:
            shutil.rmtree(left, ignore_errors=True)
    scratch = pathlib.Path(tempfile.mkdtemp(prefix=_SCRATCH, dir=path.parent))
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def place(made: pathlib.Path, folder: pathlib.Path) -> None:
    """Brings a finished folder to the disk and moves it to `folder`, where nothing may stand but an
    empty folder. Raises OSError."""
    with ThreadPoolExecutor(32) as threads:  # file systems write many at once as fast as one
        list(threads.map(_to_disk, made.rglob("*")))
    made.rename(folder)
    _to_disk(folder.parent)


def _to_disk(path: pathlib.Path) -> None:
    """Returns once a file's content, or a folder's list of names, would survive a power cut."""
    if path.is_dir() and sys.platform == "win32":  # has no such call for folders
        return
    handle = os.open(path, os.O_RDWR if sys.platform == "win32" else os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # file systems without it
            raise
    finally:
        os.close(handle)


def identity(path: str | os.PathLike) -> tuple[int, int]:
    """What two paths of one file, or of one folder, share."""
    stat = os.stat(path)
    return stat.st_dev, stat.st_ino


def in_package(package: str, name: str) -> pathlib.Path | None:
    """The file of an installed package, which is not imported, whose name ends in `name`; None
    where there is none, or no such package."""
    try:
        inside = importlib.metadata.files(package) or []
    except importlib.metadata.PackageNotFoundError:
        return None
    return next((pathlib.Path(x.locate()) for x in inside if x.name.endswith(name)), None)


def sha256(path: pathlib.Path) -> str:
    """Of a file's content, in hexadecimal digits. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def file_hashes(folder: pathlib.Path, *parts: str) -> dict[str, str]:
    """The SHA-256 of every file below a folder by its path there, but for its manifest.

    parts: only what is below these folders of it.
    """
    found = (path for part in parts or ("",) for path in sorted((folder / part).rglob("*")))
    names = (path.relative_to(folder).as_posix() for path in found if path.is_file())
    return {name: sha256(folder / name) for name in names if name != MANIFEST}


def first_change(folder: pathlib.Path, hashes: Mapping[str, str]) -> str | None:
    """The first of the files with these hashes that is not there or not the same, and why; None:
    there is none. Raises OSError where one can't be read."""
    for name, digest in hashes.items():
        if not (folder / name).is_file():
            return f"{name} is missing"
        if sha256(folder / name) != digest:
            return f"{name} has changed since it was written"
    return None


def made_once(
    folder: pathlib.Path, make: Callable[[pathlib.Path], pathlib.Path]
) -> tuple[str, ...]:
    """Makes `folder` unless it is there and as it was made; returns notes on damage that was
    repaired.

    Args:
        make: (an empty folder beside it) -> the folder under that one that holds what is wanted.
    What is made moves into place whole, with its manifest: nothing that a killed program, or one of
    two that run at once, has left half made is ever used. Raises OSError where the disk refuses.
    """
    damage = damage_in(folder)
    if damage is None:
        return ()
    notes = (f"{folder} was damaged ({damage}): made again",) if folder.exists() else ()
    for note in notes:
        log.warning(note)
    with scratch_beside(folder) as scratch:
        made = make(scratch)
        (made / MANIFEST).write_text(json.dumps(file_hashes(made), indent=1), "utf-8")
        if folder.exists() and damage_in(folder) is not None:
            folder.rename(scratch / "damaged")
        try:
            place(made, folder)
        except OSError:
            if damage_in(folder) is not None:  # else another process was first
                raise
    return notes


def damage_in(folder: pathlib.Path) -> str | None:
    """What is wrong with a folder that `made_once` made, or None."""
    try:
        wanted = dict(json.loads((folder / MANIFEST).read_bytes()))
        strange = [name for name in file_hashes(folder) if name not in wanted]
        change = first_change(folder, wanted)
    except (OSError, ValueError, TypeError) as error:
        return f"its manifest can't be read: {error}"
    return f"{strange[0]} is no part of it" if strange and not change else change
