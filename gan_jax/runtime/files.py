"""Files written whole or not at all."""

import contextlib
import errno
import json
import os
import pathlib
from collections.abc import Iterator, Mapping


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
