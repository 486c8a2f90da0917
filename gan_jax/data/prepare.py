"""Raw pictures -> a data set on disk: upright, cropped, scaled, without near-copies, split, with a
card and a list of rejects."""

import dataclasses
import functools
import hashlib
import json
import pathlib
from collections.abc import Callable

import numpy as np

from gan_jax.data import faces, geometry
from gan_jax.data.images import as_rgb, png_bytes
from gan_jax.data.near_copies import STEP, NearCopies
from gan_jax.data.quarantine import ImageRejected, Quarantine, Remarks
from gan_jax.data.raw_pictures import Picture
from gan_jax.runtime import files

SPLITS = ("train", "validation", "test")
CROPS = ("center", "stretch", "whole", "bounds", "face")


@dataclasses.dataclass(frozen=True)
class Recipe:
    """What is done with each picture.

    Attributes:
        size: pixels, the square's side; of "whole" the shorter side at most.
        crop: "center" (the middle square), "stretch" (all of it), "whole" (all of it in its own
            shape, never blown up), "bounds" (what is drawn, amid its ground) or "face" (the largest
            face, its eyes level).
        smallest: shorter side, of "bounds" the drawing's longer one, below which a picture is
            rejected; None: `size`, so that none is blown up.
        near: bits of 64 in which two pictures' looks (difference hashes) may differ and still be
            one, where their pixels differ little too; None: all are kept.
        shares: of validation and test, of the groups.
        seed: of the split.
    """

    size: int
    crop: str = "center"
    smallest: int | None = None
    near: int | None = 3
    shares: tuple[float, float] = (0.1, 0.1)
    seed: int = 0

    def __post_init__(self):
        if not 1 <= self.size <= 8192:
            raise ValueError(f"--size={self.size}: it must be 1 to 8192 pixels.")
        if self.crop not in CROPS:
            raise ValueError(f"--crop={self.crop!r}: it must be {', '.join(CROPS)}.")
        if self.near is not None and not 0 <= self.near <= 32:
            raise ValueError(f"--near={self.near}: it must be 0 to 32 bits of 64.")
        named = dict(zip(("--validation", "--test"), self.shares, strict=True))
        for name, share in named.items():
            if not 0 <= share < 1:
                raise ValueError(f"{name}={share}: it must be a share of 0 or more, below 1.")
        if sum(self.shares) >= 1:
            raise ValueError(
                f"{' '.join(f'{name}={x}' for name, x in named.items())}: together they must be"
                " below 1."
            )


def prepare(
    pictures: list[Picture],
    out: pathlib.Path,
    recipe: Recipe,
    about: str,
    log: Callable[[str], None],
    step: Callable[[int, int], None] | None = None,
) -> dict:
    """Writes out/{train,validation,test}/NAME.png, out/card.json and out/rejects.tsv, and
    out/licenses.tsv where they are known; returns the card.

    All of it appears at once, at the end.
    Args:
        about: where the pictures are from, for the card.
        log: gets lines on pictures left out, with reasons.
        step: gets how many pictures are done, of how many, before each and at the end.
    Raises:
        ValueError: `out` is there already, or no picture is left; names the most frequent reasons.
        OSError: the disk refuses; nothing is left behind.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ValueError(
            f"--out={out}: it is there already. Give a new folder, or remove that one."
        )
    rejects, remarks = Quarantine(), Remarks()
    with files.scratch_beside(out) as scratch:
        kept = _written(pictures, scratch / "unsplit", recipe, rejects, remarks, step)
        counts = _split_up(kept, scratch / "unsplit", scratch / "set", recipe)
        _write_rejects(scratch / "set" / "rejects.tsv", rejects)
        known = {picture.license for picture in kept} - {""}
        if known:
            _write_licenses(scratch / "set" / "licenses.tsv", kept)
        card = {
            "about": about,
            "license": sorted(known)
            or "that of the originals; write it here before you pass the set on",
            "pictures": counts,
            "rejected": len(rejects),
            "recipe": dataclasses.asdict(recipe),
            "made_by": "gan-jax prepare",
        }
        files.replace_text(scratch / "set" / "card.json", json.dumps(card, indent=1) + "\n")
        if out.exists():
            out.rmdir()
        files.place(scratch / "set", out)
    for line in (*_reasons(rejects), *remarks.lines()):
        log(line)
    return card


def _written(
    pictures: list[Picture],
    folder: pathlib.Path,
    recipe: Recipe,
    rejects: Quarantine,
    remarks: Remarks,
    step: Callable[[int, int], None] | None,
) -> list[Picture]:
    """Writes what can be used to folder/NAME.png, adds the others to `rejects`; returns which are
    left. Raises ValueError where none is."""
    known, taken, names = NearCopies(recipe.near, len(pictures)), [], {}
    for number, picture in enumerate(pictures):
        if step:
            step(number, len(pictures))
        try:
            pixels = fitted(picture.read(functools.partial(remarks.add, picture.origin)), recipe)
        except ImageRejected as reason:
            rejects.add(picture.origin, reason)
            continue
        if names.setdefault(picture.name, picture.origin) != picture.origin:
            rejects.add(picture.origin, f"named as {names[picture.name]}, but for the ending")
            continue
        style = picture.name.rpartition("/")[0]  # one picture in two styles is no copy
        twin = known.twin(style, pixels)
        if twin is not None:
            rejects.add(picture.origin, f"{_COPY} {twin}")
            continue
        known.add(style, pixels, picture.origin)
        taken.append(picture)
        file = folder / f"{picture.name}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        with files.naming(file):
            file.write_bytes(png_bytes(pixels))
    if step:
        step(len(pictures), len(pictures))
    kept = _with_partners(taken, pictures, rejects)
    if not kept:
        raise ValueError(
            f"none of {len(pictures)} pictures is left: {'; '.join(rejects.lines()[:3])}."
        )
    return kept


def _with_partners(
    taken: list[Picture], pictures: list[Picture], rejects: Quarantine
) -> list[Picture]:
    """Those taken whose partners were not rejected; adds the others to `rejects`."""
    alone = {picture.partners for picture in pictures if picture.origin in rejects.files} - {""}
    for picture in taken:
        if picture.partners in alone:
            rejects.add(picture.origin, "its partner was set aside")
    return [picture for picture in taken if picture.partners not in alone]


def _split_up(
    pictures: list[Picture], folder: pathlib.Path, out: pathlib.Path, recipe: Recipe
) -> dict[str, int]:
    """Moves folder/NAME.png to out/SPLIT/NAME.png; returns how many are in each split."""
    splits = split({picture.group or picture.name for picture in pictures}, recipe)
    counts = dict.fromkeys(SPLITS, 0)
    for picture in pictures:
        where = splits[picture.group or picture.name]
        place = out / where / f"{picture.name}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        (folder / f"{picture.name}.png").rename(place)
        counts[where] += 1
    return counts


def _write_rejects(file: pathlib.Path, rejects: Quarantine) -> None:
    lines = (f"{name}\t{reason}\n" for name, reason in sorted(rejects.files.items()))
    # names that are no Unicode are written with escapes
    files.replace_text(file, "".join(lines), "backslashreplace")


def _write_licenses(file: pathlib.Path, pictures: list[Picture]) -> None:
    lines = sorted(f"{picture.name}\t{picture.license}\n" for picture in pictures)
    files.replace_text(file, "".join(lines), "backslashreplace")


def _reasons(rejects: Quarantine) -> tuple[str, ...]:
    """As Quarantine.lines, but all near-copies in one: each names another picture."""
    others = Quarantine()
    others.files = {
        name: reason for name, reason in rejects.files.items() if not reason.startswith(_COPY)
    }
    copies = len(rejects) - len(others)
    word = "near-copy" if copies == 1 else "near-copies"
    return (*([f"set aside {copies} {word}"] if copies else []), *others.lines())


_COPY = "a near-copy of"  # how such a picture's reason begins


def fitted(image: np.ndarray, recipe: Recipe) -> np.ndarray:
    """uint8 [H, W, C] -> [size, size, C], of "whole" [h, w, C].
    Raises ImageRejected where it, or its face, is too small or not there."""
    least = recipe.size if recipe.smallest is None else recipe.smallest
    if recipe.crop == "bounds":
        image = in_bounds(image)
    shorter = min(image.shape[:2])
    if shorter < least:
        raise ImageRejected(f"smaller than {least} pixels")
    if recipe.crop == "whole":
        scale = min(1, recipe.size / shorter)
        size = tuple(max(1, round(scale * side)) for side in image.shape[:2])
        return geometry.fit(image, size, "stretch")
    if recipe.crop != "face":
        # in its bounds it is square already
        crop = "stretch" if recipe.crop == "stretch" else "center"
        return geometry.fit(image, (recipe.size, recipe.size), crop)
    found = faces.find(as_rgb(image))
    if not found:
        raise ImageRejected("no face found")
    if found[0].side < least:
        raise ImageRejected(f"its face is smaller than {least} pixels")
    return faces.cut_out(image, found[0], recipe.size)


def in_bounds(image: np.ndarray) -> np.ndarray:
    """The least square [side, side, C] around what is drawn on uint8 [H, W, C], in its middle.

    Drawn is what is not transparent, or, in a picture without alpha, not of the color of the upper
    left corner. Raises ImageRejected where nothing is.
    """
    ground = np.zeros(4, np.uint8) if image.shape[2] == 4 else image[0, 0]
    drawn = (
        image[..., 3] > STEP
        if image.shape[2] == 4
        else np.abs(image.astype(int) - ground).max(-1) > STEP
    )
    if not drawn.any():
        raise ImageRejected("nothing is drawn on it")
    (top, bottom), (left, right) = (np.flatnonzero(drawn.any(axis))[[0, -1]] for axis in (1, 0))
    cut = image[top : bottom + 1, left : right + 1]
    side = max(cut.shape[:2])
    square = np.broadcast_to(ground, (side, side, image.shape[2])).copy()
    y, x = ((side - n) // 2 for n in cut.shape[:2])
    square[y : y + cut.shape[0], x : x + cut.shape[1]] = cut
    return square


def split(groups: set[str], recipe: Recipe) -> dict[str, str]:
    """Group -> split, by the hash of its name: as many as the shares say, and mostly the same when
    more are added."""

    def digest(group):
        named = f"{recipe.seed}/{group}".encode("utf-8", "surrogateescape")
        return hashlib.sha256(named).digest()

    order = sorted(groups, key=digest)
    n_validation, n_test = (round(share * len(order)) for share in recipe.shares)
    parts = {"test": order[:n_test], "validation": order[n_test : n_test + n_validation]}
    found = dict.fromkeys(order, "train")
    return found | {group: name for name, members in parts.items() for group in members}
