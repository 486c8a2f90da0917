"""What the sources share: how encoded images become training images, and how made data is kept
whole on disk."""

import dataclasses
import functools
import hashlib
import json
import logging
import os
import pathlib
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from gan_jax.data import decode, pipeline
from gan_jax.runtime import registry

# decoded images up to this size stay in memory; more are read again at every use
KEEP_BYTES = 1 << 30

_MANIFEST = "manifest.json"

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class View:
    """How an encoded image becomes a training image: the settings that the sources of pictures have
    in common."""

    resolution: int | tuple[int, int]  # a square's side, or (H, W)
    channels: int = 3
    crop: str = "center"
    enlarge: float = 1.0
    resize: str = "lanczos"
    flip: bool = False
    rotate_degrees: float = 0.0
    background: tuple[int, int, int] = (255, 255, 255)
    half: str | None = None

    def __post_init__(self):
        if len(self.size) != 2 or not all(isinstance(n, int) and 1 <= n <= 8192 for n in self.size):
            raise ValueError(
                f"config.data.resolution={self.resolution!r}: it must be a side or (H, W), 1 to"
                " 8192 pixels."
            )
        if self.channels not in (1, 3, 4):
            raise ValueError(
                f"config.data.channels={self.channels}: it must be 1 (gray), 3 (RGB) or 4 (RGBA)."
            )
        registry.choose(dict.fromkeys(decode.CROPS), self.crop, "config.data.crop")
        registry.choose(decode.FILTERS, self.resize, "config.data.resize")
        if not 1 <= self.enlarge <= 8:
            raise ValueError(f"config.data.enlarge={self.enlarge}: it must be 1 to 8.")
        if self.enlarge > 1 and self.crop != "random":
            raise ValueError(
                f"config.data.enlarge={self.enlarge}: it goes with crop='random' only, here"
                f" {self.crop!r}."
            )
        if self.half is not None:
            registry.choose(decode.HALVES, self.half, "config.data.half")
        if not 0 <= self.rotate_degrees <= 180:
            raise ValueError(
                f"config.data.rotate_degrees={self.rotate_degrees}: it must be 0 to 180, the most"
                " to turn by."
            )
        if len(self.background) != 3 or not all(
            isinstance(n, int) and 0 <= n <= 255 for n in self.background
        ):
            raise ValueError(
                f"config.data.background={self.background!r}: it must be (red, green, blue), each 0"
                " to 255."
            )

    @property
    def size(self) -> tuple[int, int]:
        return (
            (self.resolution,) * 2 if isinstance(self.resolution, int) else tuple(self.resolution)
        )

    @property
    def shape(self) -> tuple[int, int, int]:
        return *self.size, self.channels

    def read(self, file: os.PathLike | bytes, remark: decode.Remark = decode.unsaid) -> np.ndarray:
        """Decoded and resized, uint8 [H, W, C]; for random crops uint8 [>=H, >=W, C]. Raises
        ImageRejected."""
        height, width = (round(n * self.enlarge) for n in self.size)
        cover = (
            None
            if self.resize == "nearest"
            else (height, width if self.half is None else 2 * width)
        )
        with decode.decoded(
            file, channels=self.channels, background=self.background, cover=cover, remark=remark
        ) as image:
            shown = image if self.half is None else decode.half(image, self.half)
            return decode.fit(shown, (height, width), self.crop, self.resize)


class Pictures:
    """Encoded images that are decoded, resized and augmented by a View, and the unreadable ones set
    aside.

    All are decoded once on opening and kept where they fit in KEEP_BYTES. Of larger sets only the
    headers are read then, and an image that proves damaged later is reported once and replaced by
    the next readable one, of its class where there is one.

    Args:
        files: paths, or encoded bytes by index.
        names: of the files, for reports.
        labels: int [n], each file's class, or None.
        rejected: index -> reason, of files known to be of no use.
    Attributes:
        kept: int64 [len(self)], the index in `files` of each sample.
        targets: int32 [len(self)], each sample's class, or None.
        quarantine: what was set aside. remarks: on files that are used.
    """

    def __init__(
        self,
        files: Sequence[os.PathLike | bytes],
        names: Sequence[str],
        view: View,
        labels: np.ndarray | None = None,
        rejected: Mapping[int, str] | None = None,
    ):
        self.files, self.names, self.view, self.labels = files, names, view, labels
        self.quarantine, self.remarks = decode.Quarantine(), decode.Remarks()
        self.in_memory = len(files) * int(np.prod(view.shape)) <= KEEP_BYTES
        first_looks = dict(rejected or {})
        todo = [i for i in range(len(files)) if i not in first_looks]
        with ThreadPoolExecutor(os.cpu_count()) as threads:
            first_looks |= zip(todo, threads.map(self._first_look, todo), strict=True)
        for i, found in sorted(first_looks.items()):
            if isinstance(found, str | decode.ImageRejected):
                self.quarantine.add(names[i], found)
        self.kept = np.array(
            [i for i in range(len(files)) if names[i] not in self.quarantine.files], np.int64
        )
        self.targets = None if labels is None else labels[self.kept].astype(np.int32)
        self._memory = [first_looks[i] for i in self.kept] if self.in_memory else None
        if self.in_memory and view.crop != "random" and len(self):
            self._memory = np.stack(self._memory)

    def __len__(self) -> int:
        return len(self.kept)

    def load(self, ids: np.ndarray, seeds: np.ndarray) -> pipeline.Batch:
        """The samples `ids` (int64 [n]), as pipeline.Source.load: "id", "image", and "label" where
        there are labels."""
        draws = pipeline.uniform(seeds, 4)  # flip, angle, crop's y and x
        if isinstance(self._memory, np.ndarray):
            shown, image = ids, self._memory[ids]
        else:
            found = [self._find(int(i)) for i in ids]
            shown = np.array([i for i, _ in found])
            cut = lambda image, at: (
                decode.cut(image, self.view.size, at) if self.view.crop == "random" else image
            )
            image = np.stack(
                [cut(image, at) for (_, image), at in zip(found, draws[:, 2:], strict=True)]
            )
        if self.view.flip:
            image = np.where((draws[:, 0] < 0.5)[:, None, None, None], image[:, :, ::-1], image)
        if self.view.rotate_degrees:
            degrees = (2 * draws[:, 1] - 1) * self.view.rotate_degrees
            image = np.stack([decode.rotate(x, a) for x, a in zip(image, degrees, strict=True)])
        batch = {"id": shown, "image": image}
        return batch if self.targets is None else batch | {"label": self.targets[shown]}

    def _first_look(self, i: int) -> np.ndarray | decode.ImageRejected | None:
        remark = functools.partial(self.remarks.add, self.names[i])
        try:
            if self.in_memory:
                return self.view.read(self.files[i], remark)
            decode.check(self.files[i], remark=remark)
        except decode.ImageRejected as reason:
            return reason

    def _find(self, i: int) -> tuple[int, np.ndarray]:
        """(sample, image): sample i, or where it can't be read any more the next that can, of its
        class where there is one."""
        if self._memory is not None:
            return i, self._memory[i]
        for candidate in self._instead_of(i):
            name = self.names[self.kept[candidate]]
            if name in self.quarantine.files:
                continue
            try:
                return candidate, self.view.read(self.files[self.kept[candidate]])
            except decode.ImageRejected as reason:
                self.quarantine.add(name, reason)
                log.warning("%s can't be read any more (%s): others take its place. %d set aside so far.",
                            name, reason, len(self.quarantine))  # fmt: skip
        raise ValueError(f"config.data: none of the {len(self)} images can be read any more.")

    def _instead_of(self, i: int) -> Iterator[int]:
        """Sample i, then those after it, round to it: first of its class, then all others."""
        yield i
        order = np.roll(np.arange(len(self)), -i)[1:]
        if self.targets is not None:
            order = order[np.argsort(self.targets[order] != self.targets[i], kind="stable")]
        yield from order.tolist()


def cache_root(data_dir: str | None = None) -> pathlib.Path:
    """Where made data is kept: `data_dir`, else $GAN_JAX_DATA, else ~/.cache/gan_jax."""
    return pathlib.Path(
        data_dir or os.environ.get("GAN_JAX_DATA") or "~/.cache/gan_jax"
    ).expanduser()


def fingerprint(*parts) -> str:
    """SHA-256 of plain values, the same on every machine."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def ends(file: os.PathLike) -> list:
    """A file's size and a digest of its first and last kB, for a fingerprint that costs little."""
    with open(file, "rb", buffering=0) as stream:
        size, first = os.fstat(stream.fileno()).st_size, stream.read(1024)
        stream.seek(max(0, size - 1024))
        return [size, hashlib.sha256(first + stream.read(1024)).hexdigest()]


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
