"""A folder of images, found recursively; with labels its sub-folders are the classes."""

import collections
import dataclasses
import functools
import hashlib
import os
import pathlib
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from gan_jax.data import pairs, source
from gan_jax.data.image_sets import Pictures
from gan_jax.data.labels import Labels, labels_of, splits_of
from gan_jax.data.scan import passed_over, scan
from gan_jax.data.source import MANY, Batch, Outline, check_path, fingerprint
from gan_jax.data.view import View

CLASSES_LISTED = 20  # in one note, or in notes that are alike


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
        widest: with "random": a window is up to so many times the resolution wide, as far as the
            image has pixels, evenly in the logarithm, and resized to it: details and wholes of a
            few large pictures.
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
    widest: float = 1.0
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
        found = labels_of(root, names) if self.labels else Labels()
        passed -= collections.Counter(found.read)
        self._pictures = Pictures(files, names, view, found.targets, found.without())
        self.quarantine = self._pictures.quarantine
        if not len(self):
            reasons = "; ".join(self.quarantine.lines())
            raise ValueError(
                f"config.data.path={self.path!r}: none of its {len(files)} images can be used:"
                f" {reasons}."
            )
        self.shape, self.classes = view.shape, found.classes
        self.targets = self._pictures.targets
        names = [names[i] for i in self._pictures.kept]
        self.names = list(map(pairs.name_of, names))
        used = [files[i] for i in self._pictures.kept]
        with ThreadPoolExecutor(os.cpu_count()) as threads:
            contents = list(zip(names, threads.map(_ends, used), strict=True))
        labels = None if self.targets is None else self.targets.tolist()
        if self.widest == 1:  # as it was before there was this setting
            settings.pop("widest")
        self.fingerprint = fingerprint(settings, self.classes, labels, contents)
        self.notes = (
            self._summary(root),
            *self.quarantine.lines(),
            *self._pictures.remarks.lines(),
            *_some(f"class {name!r} has no image that can be used" for name in self._empty()),
            *_some(
                f"no images in the folder {name!r}: no class"
                for name in found.folders_without_images(root)
            ),
            *self._splits(root),
            *_links(used),
            *passed_over(passed),
        )

    def __len__(self) -> int:
        return len(self._pictures)

    def load(self, ids: np.ndarray, seeds: np.ndarray) -> Batch:
        return self._pictures.load(ids, seeds)

    @classmethod
    def outline(cls, settings: Mapping) -> Outline:
        check_path(settings["path"])
        return Outline(View.of(settings).shape, MANY if settings["labels"] else 0)

    def _counts(self) -> dict[str, int]:
        """Class -> how many images it has."""
        if not self.classes:
            return {}
        counts = np.bincount(self.targets, minlength=len(self.classes)).tolist()
        return dict(zip(self.classes, counts, strict=True))

    def _empty(self) -> list[str]:
        return [name for name, count in self._counts().items() if not count]

    def _summary(self, root: pathlib.Path) -> str:
        of = f" of {len(self.classes)} classes" if self.classes else ""
        where = "in memory" if self._pictures.in_memory else "read as needed"
        listed = [f"{name!r} {count}" for name, count in self._counts().items()]
        more = ", ..." if len(listed) > CLASSES_LISTED else ""
        classes = f": {', '.join(listed[:CLASSES_LISTED])}{more}" if listed else ""
        return f"{len(self):,} images{of} from {root}, {where}{classes}"

    def _splits(self, root: pathlib.Path) -> list[str]:
        """A note where the images are of several splits of a set."""
        splits = [] if self.classes else splits_of(self.names)
        one = f"config.data.path={root / splits[0]} is one" if splits else ""
        return [f"all of the folders {', '.join(splits)} are used; {one}"] if splits else []


def _ends(file: os.PathLike) -> list:
    """A file's size and a digest of its first and last kB, for a fingerprint that costs little."""
    with open(file, "rb", buffering=0) as stream:
        size, first = os.fstat(stream.fileno()).st_size, stream.read(1024)
        stream.seek(max(0, size - 1024))
        return [size, hashlib.sha256(first + stream.read(1024)).hexdigest()]


def _links(used: list[pathlib.Path]) -> list[str]:
    """A note where several names stand for one file."""
    real = functools.cache(os.path.realpath)
    files = {
        real(file) if file.is_symlink() else os.path.join(real(file.parent), file.name)
        for file in used
    }
    if len(files) == len(used):
        return []
    return [
        f"only {len(files):,} files: images that are links to one file count once for each name"
    ]


def _some(lines: Iterable[str]) -> list[str]:
    """The first CLASSES_LISTED of lines that are alike, and how many more there are."""
    lines = list(lines)
    more = len(lines) - CLASSES_LISTED
    return lines[:CLASSES_LISTED] + ([f"{more:,} more like the last"] if more > 0 else [])
