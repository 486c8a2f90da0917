"""A picture or a folder of pictures in styles: a file each, and a contact sheet of them all."""

import collections
import functools
import pathlib
import time
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np

from gan_jax.data import decode, faces, geometry, lettering
from gan_jax.data.images import save_png, save_sheet, shallow
from gan_jax.data.quarantine import ImageRejected, Quarantine, Remarks
from gan_jax.data.scan import passed_over, scan
from gan_jax.inference import animation
from gan_jax.inference.stylize import Look, Stylizer
from gan_jax.runtime.files import identity
from gan_jax.runtime.text import file_name, shown

SHEET_SIDE = 256  # pixels of a picture on the contact sheet, at most
MOST_SIDE = 16_383  # pixels of an animation's frames, as WebP takes them
SHEET_ROWS = 50  # of the contact sheet: the first so many pictures

Frames = Callable[[], Iterable[tuple[np.ndarray, float]]]
"""(uint8 [H, W, C], milliseconds shown) of an animation; of a still picture one, 0."""


class Sheet(NamedTuple):
    """How the contact sheet shows a picture and its results.

    Attributes:
        cells: a row of pictures of any size -> of one size.
        names: of the columns; None: those of the looks.
        of_one: whether one picture has a sheet too.
    """

    cells: Callable[[Sequence[np.ndarray]], list[np.ndarray]]
    names: tuple[str, ...] | None = None
    of_one: bool = False


class FaceStylizer:
    """A stylizer of the faces in pictures: each is cut out, upright, at the size that the network
    was trained at, styled, and put back.

    Attributes:
        found: faces in the last pictures.
        deep: whether pictures may be uint16.
        keeps: whether pixels that are not drawn anew must stay as they are.
    """

    deep, keeps = False, True

    def __init__(self, stylizer: Stylizer):
        self.stylizer, self.sampler = stylizer, stylizer.sampler
        self.found = 0

    def __call__(self, pictures: np.ndarray, look: Look) -> np.ndarray:
        """uint8 [n, H, W, 1, 3 or 4] -> the same shape."""
        size = max(self.sampler.shape[:2])
        done = [
            faces.restyled(picture, lambda x: self.stylizer(x, look), size) for picture in pictures
        ]
        self.found = sum(count for _, count in done)
        return np.stack([picture for picture, _ in done])


class PictureJob:
    """All pictures of `sources`, files and folders, in all looks, to the folder `out`.

    Args:
        side: pixels that the shorter side is made first; None: as it is.
        log: takes lines of text.
        sheet: how results are shown.
    Attributes:
        made: the files of the results.
        failed: of each of the sources of which nothing could be made, why, with its path.
    """

    def __init__(
        self,
        stylizer: Stylizer | FaceStylizer,
        looks: list[Look],
        sources: Sequence[pathlib.Path],
        out: pathlib.Path,
        side: int | None = None,
        log: Callable[[str], None] = print,
        sheet: Sheet | None = None,
    ):
        """Raises ValueError where two pictures have one name."""
        self.stylizer, self.looks, self.out = stylizer, looks, out
        self.side, self.log, self.sheet = side, log, sheet or Sheet(_small)
        self.failed: dict[pathlib.Path, str] = {}
        self.files: dict[pathlib.Path, pathlib.Path] = {}  # -> its name below its folder
        self._folders: dict[pathlib.Path, list[pathlib.Path]] = {}
        for source in sources:
            try:
                files = _files(source, out, log)
            except ValueError as error:  # a folder without pictures
                self.failed[source] = str(error)
                continue
            self.files |= {file: _name(file, source) for file in files}
            if source.is_dir():
                self._folders[source] = files
        twice = [name for name, n in collections.Counter(self.files.values()).items() if n > 1]
        if twice:
            raise ValueError(f"two of the pictures are {twice[0]}: give each its own name.")
        self._originals = {identity(file) for file in self.files}
        self._stems = collections.Counter(name.with_suffix("") for name in self.files.values())
        self._quarantine, self._remarks = Quarantine(), Remarks()
        names = collections.Counter(
            self._name(file, look, "") for file in self.files for look in looks
        )
        for name, n in names.items():
            if n > 1:
                raise ValueError(f"two of the results would be {name}: give each its own name.")
        self._rows: list[list[np.ndarray]] = []  # of the contact sheet
        self.made: set[pathlib.Path] = set()

    def run(self) -> bool:
        """Whether any file was made; False: no face was found in any picture, or all have failed.

        Raises:
            ValueError: a result would take the place of an original.
        """
        self.out.mkdir(parents=True, exist_ok=True)
        began = time.monotonic()
        try:
            for number, file in enumerate(self.files, 1):
                try:
                    self._stylize(file)
                except ImageRejected as reason:
                    if any(file in files for files in self._folders.values()):
                        self._quarantine.add(self.files[file].as_posix(), reason)
                    else:
                        self.failed[file] = f"{file}: {reason}."
                if len(self.files) > 1:
                    rate = number / (time.monotonic() - began)
                    line = f"{number}/{len(self.files)} pictures, {rate:.1f} pictures/s"
                    print(f"\r{line}", end="", flush=True)
        finally:
            if len(self.files) > 1:
                print()  # behind the line of progress
        return self._report()

    def _stylize(self, file: pathlib.Path) -> None:
        moving = decode.animation(file)
        frames = self._frames(file, moving)
        row = [resized(next(iter(frames()))[0], self.side)]
        for look in self.looks:
            out = self._place(file, look, animation.ENDINGS[moving.format] if moving else ".png")
            styled, found = self._styled(frames, look, moving.frames if moving else 1)
            if found == 0:
                self.log(f"{shown(str(file))}: no face found, nothing is made of it")
                return
            row.append(styled[0][0])
            if moving:
                out = self._write(file, look, moving, styled)
            else:
                save_png(out, row[-1])
            self.made.add(out)
        if len(self._rows) < SHEET_ROWS:
            self._rows.append(self.sheet.cells([shallow(picture) for picture in row]))

    def _write(self, file, look: Look, moving: decode.Animation, styled: list) -> pathlib.Path:
        """The animation's file; in another format where its own would move what a stylizer keeps
        as it is."""
        format, kept = moving.format, None
        if self.stylizer.keeps:
            before = (picture for picture, _ in decode.frames(file))
            kept = [same_pixels(x, made) for x, (made, _) in zip(before, styled, strict=True)]
            format = animation.lasting([made for made, _ in styled], kept, format)
        if format != moving.format:
            self._remarks.add(
                file.name, f"pixels that no {moving.format} keeps, written as {format}"
            )
        out = self._place(file, look, animation.ENDINGS[format])
        out.parent.mkdir(parents=True, exist_ok=True)
        animation.write(out, styled, format, moving.loop, kept)
        return out

    def _frames(self, file: pathlib.Path, moving: decode.Animation | None) -> Frames:
        if moving:
            return functools.partial(decode.frames, file)
        remark = functools.partial(self._remarks.add, file.name)
        still = decode.decode(file, channels=None, keep_deep=True, remark=remark)
        if still.dtype == np.uint16 and not self.stylizer.deep:
            remark("16 bits a channel, made 8")
            still = shallow(still)
        return lambda: [(still, 0)]

    def _styled(self, frames: Frames, look: Look, number: int) -> tuple[list, int | None]:
        """([(picture, milliseconds)], how many faces they have; None: nobody looked). Raises
        ImageRejected where the frames, so many, become too large together."""
        styled, counts = [], []
        for picture, milliseconds in frames():
            made = self.stylizer(resized(picture, self.side)[None], look)[0]
            large = number > 1 and max(made.shape[:2]) > MOST_SIDE
            if large or (number > 1 and number * made[..., 0].size > decode.ANIMATION_PIXELS):
                raise ImageRejected(
                    f"{number} frames of {made.shape[1]}x{made.shape[0]} are too large for an"
                    " animation; give a smaller size"
                )
            styled.append((made, milliseconds))
            counts.append(self.stylizer.found)
        return styled, None if None in counts else sum(counts)

    def _place(self, file: pathlib.Path, look: Look, ending: str) -> pathlib.Path:
        """Where a file's result goes. Raises ValueError where an original is."""
        out = self.out / self._name(file, look, ending)
        keep_original(out, self._originals)
        return out

    def _name(self, file: pathlib.Path, look: Look, ending: str) -> pathlib.Path:
        """Of a file's result, below the folder of results."""
        name = self.files[file].with_suffix("")
        if self._stems[name] > 1:  # x.png beside x.jpg
            name = name.with_name(f"{name.name}_{file.suffix[1:]}")
        classes = self.stylizer.sampler.classes
        return name.with_name(result_name(name.name, look, ending, classes))

    def _report(self) -> bool:
        for line in (*self._quarantine.lines(), *self._remarks.lines()):
            self.log(line)
        for folder, files in self._folders.items():
            if all(self.files[file].as_posix() in self._quarantine.files for file in files):
                self.failed[folder] = f"{folder}: nothing could be made of its {len(files)} images."
        readable = len(self.files) - len(self._quarantine) - len(self.failed.keys() & self.files)
        faceless = readable - len(self.made) // len(self.looks)
        if faceless and self.stylizer.found is not None:
            self.log(f"no face in {faceless} of {readable} pictures")
        if not self.made:
            return False
        if len(self._rows) > 1 or len(self.looks) > 1 or self.sheet.of_one:
            self._save_sheet()
        count = len(self.made)
        self.log(
            f"{count} picture{'s' if count > 1 else ''} in {self.out}, by"
            f" {self.stylizer.sampler.step}"
        )
        return True

    def _save_sheet(self) -> None:
        names = self.sheet.names or ["", *(look.name for look in self.looks)]
        labels, notes = lettering.labels(names)
        place = save_sheet(self.out, "sheet.png", lettering.sheet(self._rows, labels))
        for line in notes:
            self.log(f"{place}: {line}")
        if len(self.made) > len(self._rows) * len(self.looks):
            self.log(f"{place} has the first {len(self._rows)} pictures")


def _name(file: pathlib.Path, source: pathlib.Path) -> pathlib.Path:
    return file.relative_to(source) if source.is_dir() else pathlib.Path(file.name)


def _files(source: pathlib.Path, out: pathlib.Path, log) -> list[pathlib.Path]:
    """The pictures of a folder, or the one; without those that an earlier run made in `out`."""
    if not source.is_dir():
        return [source]
    files, passed = scan(source)
    for line in passed_over(passed):
        log(line)
    if out.is_dir() and out.samefile(source):
        return files
    made = out.resolve()
    return [file for file in files if not file.resolve().is_relative_to(made)] or files


def result_name(stem: str, look: Look, ending: str, classes: tuple[str, ...]) -> str:
    """A result's file name; names of other classes' results stay apart from it."""
    if not look.name:
        return file_name(stem, ending)
    return file_name(f"{stem}_{look.name}", ending, [f"{stem}_{name}" for name in classes])


def keep_original(out: pathlib.Path, originals: set[tuple[int, int]]) -> None:
    """Raises ValueError where a result would take the place of a picture or clip that went in."""
    if out.exists() and identity(out) in originals:
        raise ValueError(
            f"--out={out.parent}: {out.name} there is one of those that go in, and would be lost."
            " Give another folder."
        )


def resized(picture: np.ndarray, side: int | None) -> np.ndarray:
    """uint8 [H, W, C] with a shorter side of `side`; None: as it is."""
    if side is None:
        return picture
    return geometry.fit(picture, resized_shape(picture.shape[:2], side), "stretch")


def resized_shape(size: tuple[int, int], side: int | None) -> tuple[int, int]:
    """(H, W) with a shorter side of `side`; None: as it is."""
    scale = 1 if side is None else side / min(size)
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def same_pixels(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """True where two pictures uint8 [H, W, 3 or 4] of one size look the same, bool [H, W]."""
    alphas = [x[..., 3] if x.shape[-1] == 4 else 255 for x in (before, after)]
    return (before[..., :3] == after[..., :3]).all(-1) & (alphas[0] == alphas[1])


def _small(pictures: Sequence[np.ndarray]) -> list[np.ndarray]:
    """For the sheet: a longer side of SHEET_SIDE at most."""
    sizes = [picture.shape[:2] for picture in pictures]
    scales = [min(1, SHEET_SIDE / max(size)) for size in sizes]
    return [
        geometry.fit(picture, [max(1, round(n * scale)) for n in size], "stretch")
        for picture, size, scale in zip(pictures, sizes, scales, strict=True)
    ]
