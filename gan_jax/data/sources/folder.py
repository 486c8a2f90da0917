"""A folder of images, found recursively; with labels its sub-folders are the classes."""

import collections
import dataclasses
import functools
import hashlib
import json
import os
import pathlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from gan_jax.data import image_file, pairs, source
from gan_jax.data.image_sets import Pictures
from gan_jax.data.images import MARK
from gan_jax.data.source import MANY, Batch, Outline, check_path, fingerprint
from gan_jax.data.view import View
from gan_jax.runtime import registry
from gan_jax.runtime.text import shown

STYLEGANS_LABELS = "dataset.json"
SPLITS = frozenset({"train", "training", "val", "valid", "validation", "dev", "test", "testing"})
CLASSES_LISTED = 20  # in one note, or in notes that say the same
MOST_CLASSES = 100_000


@dataclasses.dataclass
class Source(source.Source):
    """The images under `path` whose names end in image_file.SUFFIXES (in any case), in the order of
    their names.

    Hidden files and folders are passed over, and folders with a file called MARK, as those of
    sheets have. Every image is decoded once on opening and, where all fit in 1 GiB, kept; of more,
    only the headers are looked at then. What can't be used is in `quarantine`, and counted in
    `notes`.

    Args:
        path: the folder.
        resolution: pixels, a side or (H, W).
        channels: 1 (gray), 3 (RGB) or 4 (RGBA).
        labels: whether there are classes: by StyleGAN's dataset.json where that has labels, else
            the first level of sub-folders names them.
        crop: "center", "random" (a window of the image resized to cover) or "stretch".
        enlarge: with "random": it covers so many times the resolution first.
        resize: "lanczos", "bicubic", "bilinear", "box" or "nearest".
        flip: mirrored left-right at random, with probability 0.5.
        rotate_degrees: the most to turn by, either way, uniformly; corners are filled by mirroring.
        background: RGB under transparent pixels.
        half: "left" or "right": use that half of each file, which is two pictures side by side.
    Attributes:
        names: of each sample, its path under the folder without ending, in NFC.
        fingerprint: of the settings, and of each file in use its name, label, size, first and last
            kB. Checkpoints of versions that took names and sizes only have another: on the first
            resume from one the data count as changed.
    Raises:
        ValueError: no such folder, nothing in it to use (with the reasons), or no sub-folders for
        labels.
    """

    path: str
    resolution: int | tuple[int, int]
    channels: int = 3
    labels: bool = False
    crop: str = "center"
    enlarge: float = 1.0
    resize: str = "lanczos"
    flip: bool = False
    rotate_degrees: float = 0.0
    background: tuple[int, int, int] = (255, 255, 255)
    half: str | None = None

    def __post_init__(self):
        settings = {
            name: value for name, value in vars(self).items() if name not in ("path", "labels")
        }
        view, root = View.of(settings), pathlib.Path(self.path).expanduser()
        files, passed = scan(root)
        names = [file.relative_to(root).as_posix() for file in files]
        by_file = _stylegans(root / STYLEGANS_LABELS) if self.labels else None
        if by_file is not None:
            passed -= collections.Counter({".json": 1})
            labels = np.array([by_file.get(registry.normal(name), -1) for name in names])
            known, without = (
                tuple(str(i) for i in range(labels.max() + 1)),
                f"no label in {STYLEGANS_LABELS}",
            )
        else:
            (known, labels), without = (
                _by_folders(root, names) if self.labels else ((), None),
                "no class folder",
            )
        loose = {} if labels is None else {int(i): without for i in np.flatnonzero(labels < 0)}
        self._pictures = Pictures(files, names, view, labels, loose)
        self.quarantine = self._pictures.quarantine
        if not len(self):
            reasons = "; ".join(self.quarantine.lines())
            raise ValueError(
                f"config.data.path={self.path!r}: none of its {len(files)} images can be used:"
                f" {reasons}."
            )
        self.shape, self.classes = view.shape, known
        self.targets = self._pictures.targets
        self.names = [pairs.name_of(names[i]) for i in self._pictures.kept]
        used = [files[i] for i in self._pictures.kept]
        with ThreadPoolExecutor(os.cpu_count()) as threads:
            looks = list(
                zip((names[i] for i in self._pictures.kept), threads.map(_ends, used), strict=True)
            )
        self.fingerprint = fingerprint(
            settings, self.classes, labels if labels is None else self.targets.tolist(), looks
        )
        self.notes = self._report(root, passed, by_file is None)

    def __len__(self) -> int:
        return len(self._pictures)

    def load(self, ids: np.ndarray, seeds: np.ndarray) -> Batch:
        return self._pictures.load(ids, seeds)

    @classmethod
    def outline(cls, settings: Mapping) -> Outline:
        check_path(settings["path"])
        return Outline(View.of(settings).shape, MANY if settings["labels"] else 0)

    def _report(
        self, root: pathlib.Path, passed: collections.Counter, by_folders: bool
    ) -> tuple[str, ...]:
        of = f" of {len(self.classes)} classes" if self.classes else ""
        where = "in memory" if self._pictures.in_memory else "read as needed"
        first = f"{len(self):,} images{of} from {root}, {where}"
        bare = []
        if self.classes:
            counts = dict(
                zip(
                    self.classes,
                    np.bincount(self.targets, minlength=len(self.classes)),
                    strict=True,
                )
            )
            listed = [f"{name!r} {count}" for name, count in list(counts.items())[:CLASSES_LISTED]]
            first += f": {', '.join(listed)}{', ...' if len(counts) > len(listed) else ''}"
            bare = _some(
                [
                    f"class {name!r} has no image that can be used"
                    for name, count in counts.items()
                    if not count
                ]
            )
        if self.classes and by_folders:
            folders = {
                path.name
                for path in root.iterdir()
                if path.is_dir() and not path.name.startswith(".")
            }
            folders = set(
                map(
                    registry.normal, folders - {path.parent.name for path in root.glob(f"*/{MARK}")}
                )
            )
            bare += _some(
                [
                    f"no images in the folder {name!r}: no class"
                    for name in sorted(folders - set(self.classes))
                ]
            )
        splits = [] if self.classes else _splits(self.names)
        if splits:
            bare.append(
                f"all of the folders {', '.join(splits)} are used;"
                f" config.data.path={root / splits[0]} is one"
            )
        real = functools.cache(os.path.realpath)
        used = [self._pictures.files[i] for i in self._pictures.kept]
        files = {
            real(file) if file.is_symlink() else os.path.join(real(file.parent), file.name)
            for file in used
        }
        if len(files) < len(used):
            bare.append(
                f"only {len(files):,} files: images that are links to one file count once for each"
                " name"
            )
        return (
            first,
            *self.quarantine.lines(),
            *self._pictures.remarks.lines(),
            *bare,
            *passed_over(passed),
        )


def _ends(file: os.PathLike) -> list:
    """A file's size and a digest of its first and last kB, for a fingerprint that costs little."""
    with open(file, "rb", buffering=0) as stream:
        size, first = os.fstat(stream.fileno()).st_size, stream.read(1024)
        stream.seek(max(0, size - 1024))
        return [size, hashlib.sha256(first + stream.read(1024)).hexdigest()]


def _some(lines: list[str]) -> list[str]:
    """The first CLASSES_LISTED of lines that say the same of classes, and how many more there
    are."""
    more = len(lines) - CLASSES_LISTED
    return lines[:CLASSES_LISTED] + ([f"{more:,} more like the last"] if more > 0 else [])


def _splits(names: list[str]) -> list[str]:
    """The first folders of names, where all are called as the parts of a split set are."""
    tops = sorted({name.partition("/")[0] for name in names if "/" in name})
    return (
        tops
        if all("/" in name for name in names) and all(top.lower() in SPLITS for top in tops)
        else []
    )


def _by_folders(root: pathlib.Path, names: list[str]) -> tuple[tuple[str, ...], np.ndarray]:
    """(class names, each image's class or -1).

    Raises:
        ValueError: no classes there, or folders that are splits with the classes in them.
    """
    if not any("/" in name for name in names):
        raise ValueError(
            f"config.data.labels=True: {root} has no sub-folders with images, one for each class."
        )
    splits = _splits([name for name in names if "/" in name])
    if splits and any(name.count("/") > 1 for name in names):
        raise ValueError(
            f"config.data.labels=True: the folders of {root}, {', '.join(splits)}, are splits; the"
            f" classes are in them. Use one: config.data.path={root / splits[0]}."
        )
    folders = [registry.normal(name.split("/")[0]) if "/" in name else None for name in names]
    known = {folder: i for i, folder in enumerate(sorted({folder for folder in folders if folder}))}
    return tuple(known), np.array([known.get(folder, -1) for folder in folders])


def _stylegans(file: pathlib.Path) -> dict[str, int] | None:
    """Name -> class of the dataset.json that StyleGAN's dataset_tool.py writes; None: there is
    none.

    Raises:
        ValueError: it can't be read, has no labels, or none that are classes.
    """
    try:
        known = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"config.data.labels=True: {file} can't be read: {error}.") from error
    if not isinstance(known, dict) or "labels" not in known:
        return None  # another program's
    if not isinstance(known["labels"], list):
        raise ValueError(
            f"config.data.labels=True: {file} has no labels. Set labels=False, or take it out."
        )
    classes = {}
    for entry in known["labels"]:
        name, label = entry if isinstance(entry, list) and len(entry) == 2 else (entry, None)
        if isinstance(label, list) and [x for x in label if x != 0] == [1]:
            label = label.index(1)
        if not isinstance(label, int) or not 0 <= label < MOST_CLASSES:
            raise ValueError(
                f"config.data.labels=True: {file}: the label of {str(name)[:80]!r} is no class,"
                f" {str(label)[:40]}. It must be a number, 0 to {MOST_CLASSES - 1}, or a vector"
                " with a single 1."
            )
        classes[registry.normal(str(name))] = label
    return classes


def passed_over(passed: collections.Counter) -> list[str]:
    """What `scan` left out in a line, or none: "passed over 3 files: 2 .txt, 1 in sheet (marked
    .nomedia)"."""
    total, most_first = passed.total(), sorted(passed.items(), key=lambda item: (-item[1], item[0]))
    listed = ", ".join(f"{n} {shown(what)}" for what, n in most_first)
    return [f"passed over {total} file{'s' if total > 1 else ''}: {listed}"] if total else []


def scan(root: pathlib.Path) -> tuple[list[pathlib.Path], collections.Counter]:
    """(image files below a folder in the order of their names, how many others there are of each
    ending).

    Links are followed, to folders too. A folder with several names is looked into once: under its
    own where that is below `root`, else under the first link to it.
    Raises:
        ValueError: no such folder, or no images in it.
    """
    if not root.exists():
        raise ValueError(f"config.data.path={str(root)!r}: no such folder.")
    if not root.is_dir():
        raise ValueError(
            f"config.data.path={str(root)!r}: not a folder. Give the folder that holds the images."
        )
    images, passed, seen, again = [], collections.Counter(), set(), []
    unread = lambda error: passed.update([f"folder that can't be read ({error.filename})"])
    # and the links to folders, which wait until all real ones are seen
    starts = collections.deque([str(root)])
    while starts:
        for folder, inner, files in os.walk(starts.popleft(), onerror=unread):
            inner[:] = sorted(name for name in inner if not name.startswith("."))
            found = [pathlib.Path(folder, name) for name in files if not name.startswith(".")]
            below = pathlib.Path(folder).relative_to(root).as_posix()
            identity = _identity(folder)
            if identity in seen:
                again.append(below)
                inner.clear()
                continue
            seen.add(identity)
            if MARK in files and folder != str(root):
                inner.clear()
                passed[f"in {below} (marked {MARK})"] += len(found)
                continue
            starts += [path for name in inner if os.path.islink(path := os.path.join(folder, name))]
            images += [path for path in found if path.suffix.lower() in image_file.SUFFIXES]
            others = [path for path in found if path.suffix.lower() not in image_file.SUFFIXES]
            passed.update(
                "link to nothing" if not path.exists() else path.suffix.lower() or "without ending"
                for path in others
            )
    if again:
        some = ", ".join(sorted(again)[:3]) + (", ..." if len(again) > 3 else "")
        passed[f"folder used already under another name ({some})"] = len(again)
    if not images:
        raise ValueError(
            f"config.data.path={str(root)!r}: no images in it. Known kinds:"
            f" {' '.join(image_file.SUFFIXES)}."
        )
    return sorted(images), passed


def _identity(folder: str | os.PathLike) -> tuple[int, int]:
    """What two paths of one folder share."""
    return (stat := os.stat(folder)).st_dev, stat.st_ino
