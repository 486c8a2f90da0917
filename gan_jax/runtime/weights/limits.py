"""What a file of weights may hold, and how it is refused: in one line that names the file."""

import contextlib
import pathlib
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping

import safetensors

from gan_jax.runtime import unpickle
from gan_jax.runtime.text import shown
from gan_jax.runtime.unpickle import LONGEST, Refused

MULTIPLE = 8  # a file's arrays may take so many times its own size,
LEAST = 2**26  # or these bytes where that is more
MOST = 50_000  # names in a file
_DAMAGED = (
    EOFError, OSError, ValueError, LookupError, AttributeError, TypeError, OverflowError,
    RuntimeError, struct.error, zipfile.BadZipFile, zlib.error, safetensors.SafetensorError,
)  # fmt: skip
"""What the readers raise on bytes that are not what they claim to be."""
# how files begin that are no weights, as people have them beside theirs or get them in their place
_OTHERS = {
    b"\x89PNG": "a PNG picture",
    b"\xff\xd8\xff": "a JPEG picture",
    b"GIF8": "a GIF picture",
    b"RIFF": "a WebP picture, a sound or an AVI video",
    b"ftyp": "an MP4 video or a HEIC picture",
    b"version https://git-lfs": "a pointer of Git LFS, not the file itself: run git lfs pull",
    b"<": "a web page, not the file itself: download it again",
    b"%PDF": "a PDF document",
    b"\x1f\x8b": "packed by gzip: unpack it",
}


def bounded(sizes: Iterable[int], size: int) -> None:
    """Raises Refused where arrays of these sizes, in bytes, are far more than a file of `size`
    bytes can mean."""
    wanted, most = sum(sizes), max(MULTIPLE * size, LEAST)
    if wanted > most:
        wanted, size = (f"{n / 2**20:,.1f} MiB" for n in (wanted, size))
        raise Refused(f"its {size} would unfold into {wanted} of arrays. Refused.")


def is_there(path: pathlib.Path) -> None:
    """Raises ValueError where `path` is no file."""
    if path.is_dir():
        raise ValueError(f"{path}: that is a folder; give the file itself.")
    if not path.is_file():
        raise ValueError(f"{path}: no such file of weights.")


@contextlib.contextmanager
def in_one_line(path: pathlib.Path) -> Iterator[None]:
    """Whatever is wrong with the file at `path` becomes a ValueError of one line that names it."""
    try:
        yield
    except _DAMAGED as error:
        if other := other_kind(path):
            raise ValueError(f"{path}: this is no file of weights but {other}.") from error
        if isinstance(error, Refused):
            raise ValueError(f"{path}: {error}") from error
        reason = shown(str(error).splitlines()[0])[:200] if str(error) else type(error).__name__
        raise ValueError(
            f"{path}: truncated, damaged or no {path.suffix or 'such'} file ({reason})."
        ) from error


def other_kind(path: pathlib.Path) -> str | None:
    """What the file is, in words, where its first bytes tell that it is something else."""
    try:
        with path.open("rb") as file:
            head = file.read(32)
    except OSError:
        return None
    for sign, words in _OTHERS.items():
        if head.startswith(sign, 4 if sign == b"ftyp" else 0):
            return words
    return None


def entries(archive: zipfile.ZipFile, path: pathlib.Path) -> dict[str, zipfile.ZipInfo]:
    """A zip archive's files, once their sizes are found to be no more than it can mean."""
    found, size = archive.infolist(), path.stat().st_size
    bounded((entry.file_size for entry in found), size)
    if sum(entry.compress_size for entry in found) > size or len(found) > MOST:
        raise Refused("its archive has more files than it has room for. Refused.")
    return {entry.filename: entry for entry in found}


class Names:
    """Makes the dotted names of what is in a file: at most MOST, of LONGEST characters each."""

    def __init__(self):
        self.left, self.unwalked = MOST, unpickle.MOST

    def walk(self, tree: Mapping) -> Iterator[tuple[str | int, object]]:
        """A dictionary's names and values. One may stand in many places: all walks of a file are
        counted together."""
        for item in tree.items():
            self.unwalked -= 1
            if self.unwalked < 0:
                raise Refused(
                    f"its dictionaries unfold into more than {unpickle.MOST:,} entries. Refused."
                )
            yield item

    def __call__(self, prefix: str, name: str | int) -> str:
        """The name of what `prefix` holds as `name`,
        "synthesis.b4" and "const", as it may be printed."""
        self.left -= 1
        whole = shown(f"{prefix}.{name}" if prefix else str(name))
        if self.left < 0 or len(whole) > LONGEST:
            raise Refused(
                f"it has more than {MOST:,} names, or one of over {LONGEST} characters. Refused."
            )
        return whole
