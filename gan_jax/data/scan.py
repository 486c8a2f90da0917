"""The image files below a folder."""

import collections
import os
import pathlib
from collections.abc import Iterator

from gan_jax.data import image_file
from gan_jax.data.images import MARK
from gan_jax.runtime.files import identity
from gan_jax.runtime.text import shown


def scan(
    root: pathlib.Path, setting: str = "config.data.path"
) -> tuple[list[pathlib.Path], collections.Counter]:
    """(image files below a folder in the order of their names, how many others there are of each
    ending).

    Links are followed, to folders too. A folder with several names is looked into once: under its
    own where that is below `root`, else under the first link to it.
    setting: what the folder was given as, for errors.

    Raises:
        ValueError: no such folder, or no images in it.
    """
    if not root.exists():
        raise ValueError(f"{setting}={str(root)!r}: no such folder.")
    if not root.is_dir():
        raise ValueError(
            f"{setting}={str(root)!r}: not a folder. Give the folder that holds the images."
        )
    images, passed = [], collections.Counter()
    for file in _files(root, passed):
        if file.suffix.lower() in image_file.SUFFIXES:
            images.append(file)
        elif file.exists():
            passed[file.suffix.lower() or "without ending"] += 1
        else:
            passed["link to nothing"] += 1
    if not images:
        raise ValueError(
            f"{setting}={str(root)!r}: no images in it. Known kinds:"
            f" {' '.join(image_file.SUFFIXES)}."
        )
    return sorted(images), passed


def _files(root: pathlib.Path, passed: collections.Counter) -> Iterator[pathlib.Path]:
    """The files below a folder, each once, without hidden ones.
    Counts in `passed` what is not looked into."""
    seen, again = set(), []

    def unread(error: OSError) -> None:
        passed[f"folder that can't be read ({error.filename})"] += 1

    # and the links to folders, which wait until all real ones are seen
    starts = collections.deque([str(root)])
    while starts:
        for folder, inner, files in os.walk(starts.popleft(), onerror=unread):
            inner[:] = sorted(name for name in inner if not name.startswith("."))
            found = [pathlib.Path(folder, name) for name in files if not name.startswith(".")]
            below = pathlib.Path(folder).relative_to(root).as_posix()
            own = identity(folder)
            if own in seen:
                again.append(below)
                inner.clear()
                continue
            seen.add(own)
            if MARK in files and folder != str(root):
                inner.clear()
                passed[f"in {below} (marked {MARK})"] += len(found)
                continue
            starts += [path for name in inner if os.path.islink(path := os.path.join(folder, name))]
            yield from found
    if again:
        some = ", ".join(sorted(again)[:3]) + (", ..." if len(again) > 3 else "")
        passed[f"folder used already under another name ({some})"] = len(again)


def passed_over(passed: collections.Counter) -> list[str]:
    """What `scan` left out in a line, or none:
    "passed over 3 files: 2 .txt, 1 in sheet (marked .nomedia)"."""
    total, most_first = passed.total(), sorted(passed.items(), key=lambda item: (-item[1], item[0]))
    listed = ", ".join(f"{n} {shown(what)}" for what, n in most_first)
    return [f"passed over {total} file{'s' if total > 1 else ''}: {listed}"] if total else []
