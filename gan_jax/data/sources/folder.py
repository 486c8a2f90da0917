"""A folder of images, found recursively; with labels its sub-folders are the classes."""

import collections
import dataclasses
import os
import pathlib

import numpy as np

from gan_jax.data import decode, pairs, pipeline
from gan_jax.data.sources import Pictures, View, fingerprint

MARK = ".nomedia"  # a file that keeps its folder's pictures out of sets, and out of phones' galleries


@dataclasses.dataclass
class Source:
    """The images under `path` whose names end in decode.SUFFIXES (in any case), in the order of their names.

    Hidden files and folders are passed over, and folders with a file called MARK, as those of sheets have. Every image is
    decoded once on opening and, where all fit in 1 GiB, kept; of more, only the headers are looked at then. What can't be
    used is in `quarantine`, and counted in `notes`.

    Args:
        path: the folder.
        resolution: pixels, a side or (H, W).
        channels: 1 (gray), 3 (RGB) or 4 (RGBA).
        labels: whether the first level of sub-folders names the classes.
        crop: "center", "random" (a window of the image resized to cover) or "stretch".
        enlarge: with "random": it covers so many times the resolution first.
        resize: "lanczos", "bicubic", "bilinear", "box" or "nearest".
        flip: mirrored left-right at random, with probability 0.5.
        rotate_degrees: the most to turn by, either way, uniformly; corners are filled by mirroring.
        background: RGB under transparent pixels.
        half: "left" or "right": use that half of each file, which is two pictures side by side.
    Attributes:
        names: of each sample, its path under the folder without ending, in NFC.
    Raises:
        ValueError: no such folder, nothing in it to use (with the reasons), or no sub-folders for labels.
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
        settings = {name: value for name, value in vars(self).items() if name not in ("path", "labels")}
        view, root = View(**settings), pathlib.Path(self.path).expanduser()
        files, passed = scan(root)
        names = [file.relative_to(root).as_posix() for file in files]
        if self.labels and not any("/" in name for name in names):
            raise ValueError(f"config.data.labels=True: {root} has no sub-folders with images, one for each class.")
        folders = [name.split("/")[0] if "/" in name else None for name in names]
        loose = {i: "no class folder" for i, folder in enumerate(folders) if folder is None} if self.labels else {}
        known = sorted({folder for folder in folders if folder}) if self.labels else []
        labels = np.array([known.index(f) if f else -1 for f in folders]) if self.labels else None
        self._pictures = Pictures(files, names, view, labels, loose)
        self.quarantine = self._pictures.quarantine
        if not len(self):
            reasons = "; ".join(self.quarantine.lines())
            raise ValueError(f"config.data.path={self.path!r}: none of its {len(files)} images can be used: {reasons}.")
        self.shape, self.classes = view.shape, tuple(known)
        self.targets = self._pictures.targets
        self.names = [pairs.name_of(names[i]) for i in self._pictures.kept]
        sizes = [(names[i], files[i].stat().st_size) for i in self._pictures.kept]
        self.fingerprint = fingerprint(settings, self.classes, sizes)
        self.notes = self._report(root, passed)

    def __len__(self) -> int:
        return len(self._pictures)

    def load(self, ids: np.ndarray, seeds: np.ndarray) -> pipeline.Batch:
        return self._pictures.load(ids, seeds)

    def _report(self, root: pathlib.Path, passed: collections.Counter) -> tuple[str, ...]:
        of = f" of {len(self.classes)} classes" if self.classes else ""
        where = "in memory" if self._pictures.in_memory else "read as needed"
        first = f"{len(self):,} images{of} from {root}, {where}"
        used = set(self._pictures.labels[self._pictures.kept]) if self.classes else set()
        bare = [f"class {name!r} has no image that can be used" for i, name in enumerate(self.classes) if i not in used]
        if self.classes:
            folders = {path.name for path in root.iterdir() if path.is_dir() and not path.name.startswith(".")}
            folders -= {path.parent.name for path in root.glob(f"*/{MARK}")}
            bare += [f"no images in the folder {name!r}: no class" for name in sorted(folders - set(self.classes))]
        return (first, *self.quarantine.lines(), *self._pictures.remarks.lines(), *bare, *passed_over(passed))


def passed_over(passed: collections.Counter) -> list[str]:
    """What `scan` left out in a line, or none: "passed over 3 files: 2 .txt, 1 in sheet (marked .nomedia)"."""
    total, most_first = passed.total(), sorted(passed.items(), key=lambda item: (-item[1], item[0]))
    listed = ", ".join(f"{n} {what}" for what, n in most_first)
    return [f"passed over {total} file{'s' if total > 1 else ''}: {listed}"] if total else []


def scan(root: pathlib.Path) -> tuple[list[pathlib.Path], collections.Counter]:
    """(image files below a folder in the order of their names, how many others there are of each ending).

    Raises:
        ValueError: no such folder, or no images in it.
    """
    if not root.exists():
        raise ValueError(f"config.data.path={str(root)!r}: no such folder.")
    if not root.is_dir():
        raise ValueError(f"config.data.path={str(root)!r}: not a folder. Give the folder that holds the images.")
    images, passed = [], collections.Counter()
    for folder, inner, files in os.walk(root):
        found = [pathlib.Path(folder, name) for name in files if not name.startswith(".")]
        inner[:] = [name for name in inner if not name.startswith(".")]
        if MARK in files and folder != str(root):
            inner.clear()
            passed[f"in {pathlib.Path(folder).relative_to(root).as_posix()} (marked {MARK})"] += len(found)
            continue
        images += [path for path in found if path.suffix.lower() in decode.SUFFIXES]
        passed.update(
            path.suffix.lower() or "without ending" for path in found if path.suffix.lower() not in decode.SUFFIXES
        )
    if not images:
        raise ValueError(f"config.data.path={str(root)!r}: no images in it. Known kinds: {' '.join(decode.SUFFIXES)}.")
    return sorted(images), passed
