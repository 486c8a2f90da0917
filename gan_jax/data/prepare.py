"""Raw pictures -> a data set on disk: upright, cropped, scaled, without near-copies, split, with a
card and a list of rejects."""

import dataclasses
import functools
import hashlib
import json
import pathlib
import tarfile
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import numpy as np

from gan_jax.data import decode, faces, geometry
from gan_jax.data.images import as_picture, as_rgb
from gan_jax.data.quarantine import ImageRejected, Quarantine, Remark, Remarks
from gan_jax.data.sources import folder
from gan_jax.runtime import files, registry
from gan_jax.runtime.text import shown

SPLITS = ("train", "validation", "test")
CROPS = ("center", "stretch", "bounds", "face")
LOOK_SIDE = 8  # of the grid whose neighbours' order is a picture's look
SMALL_SIDE = 16  # pixels, at which pictures that look alike are compared
STEP = 5  # of 255: less is the noise of an even ground
SAME = 6.0  # of 255: mean difference of them, below which they are near-copies


class Picture(NamedTuple):
    """One picture of the set to be."""

    name: str  # where it goes below its split, without ending: "style/me"
    origin: str  # for the list of rejects
    read: Callable[[Remark], np.ndarray]  # -> uint8 [H, W, C]; raises ImageRejected
    group: str = ""  # pictures of one group share a split; empty: the name
    # pictures of equal word belong together: where one is set aside, all are; empty: none do
    partners: str = ""


@dataclasses.dataclass(frozen=True)
class Recipe:
    """What is done with each picture.

    Attributes:
        size: pixels, the square's side.
        crop: "center" (the middle square), "stretch" (all of it), "bounds" (what is drawn, amid its
            ground) or "face" (the largest face, its eyes level).
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


def pictures_in(root: pathlib.Path, log: Callable[[str], None]) -> Iterator[Picture]:
    """The images below a folder; sub-folders stay, as styles or classes, and what has one name in
    several shares a split.

    Two sub-folders with the same names throughout are pairs: where one of a pair is set aside, both
    are. say: is told what is passed over.
    Raises:
        ValueError: no such folder, no images in it, or folders of several splits: a new split would
        mix them.
    """
    try:
        files, passed = folder.scan(root)
    except ValueError as error:
        raise ValueError(str(error).replace("config.data.path=", "")) from error
    for line in folder.passed_over(passed):
        log(line)
    names = [registry.normal(file.relative_to(root).as_posix()) for file in files]
    folders = {part for name in names for part in name.split("/")[:-1]}
    parts = {
        part: part.removesuffix("A").removesuffix("B").lower() for part in sorted(folders)
    }  # trainA, trainB
    splits = [part for part, plain in parts.items() if plain in folder.SPLITS]
    if len({parts[part] for part in splits}) > 1:
        raise ValueError(
            f"{root}: it is split already, into {shown(', '.join(splits))}, and a new split would"
            f" mix them. Give one of them, as {root / splits[0]}; or put all pictures in one folder"
            " first."
        )
    below = {}
    for name in names:
        top, slash, rest = name.rpartition(".")[0].partition("/")
        below.setdefault(top if slash else "", set()).add(rest)
    pairs = len(below) == 2 and len(set(map(frozenset, below.values()))) == 1
    for file, name in zip(files, names, strict=True):
        read = functools.partial(_read, file, None)
        stem = name.rpartition(".")[0]
        rest = stem.partition("/")[2] or stem
        yield Picture(stem, name, read, rest, rest if pairs else "")


def emoji(packages: list[pathlib.Path], categories: tuple[str, ...] = ()) -> Iterator[Picture]:
    """The emoji that all of some emoji-datasource packages draw, named VENDOR/CODE; the skin tones
    of one are a group.

    Args:
        packages: what `npm pack emoji-datasource-google@16.0.0` writes (.tgz), each of another
            vendor.
        categories: of emoji.json, as "Smileys & Emotion"; none: all.
    Raises:
        ValueError: not such a package, or an unknown category.
    """
    archives = {}
    for path in packages:
        vendor, known, images = _package(path)
        if vendor in archives:
            raise ValueError(
                f"{path}: a second package of {vendor!r}. Give packages of different vendors."
            )
        archives[vendor] = images
        have = sorted({entry["category"] for entry in known})
        for category in categories:
            if category not in have:
                raise ValueError(
                    f"--category {category!r}: not in {path.name}. There: {', '.join(have)}."
                )
    drawn = []
    for entry in known:
        if categories and entry["category"] not in categories:
            continue
        drawn += [
            (form["image"], entry["unified"])
            for form in (entry, *entry.get("skin_variations", {}).values())
        ]
    for vendor, images in archives.items():
        for image, base in drawn:
            if all(image in other for other in archives.values()):
                code = image.removesuffix(".png")
                read = functools.partial(_read, images[image], 4)
                yield Picture(f"{vendor}/{code}", f"{vendor}/{image}", read, base, code)


def _read(file: pathlib.Path | bytes, channels: int | None, remark: Remark) -> np.ndarray:
    return decode.decode(file, channels=channels, remark=remark)


def _package(path: pathlib.Path) -> tuple[str, list[Mapping], dict[str, bytes]]:
    """(vendor, entries of emoji.json, file name -> PNG of 64 pixels)."""
    lacks = ValueError(
        f"{path}: no package emoji-datasource-VENDOR (npm pack emoji-datasource-google@16.0.0)."
    )
    known, found = None, {}
    try:
        with tarfile.open(path, "r:gz") as archive:
            for member in archive:
                parts = pathlib.PurePosixPath(member.name).parts
                if member.isfile() and parts[1:] == ("emoji.json",):
                    known = json.load(archive.extractfile(member))
                elif (
                    member.isfile()
                    and len(parts) == 5
                    and (parts[1], parts[3]) == ("img", "64")
                    and parts[2] != ".."
                ):
                    found.setdefault(parts[2], {})[parts[4]] = archive.extractfile(member).read()
    except (OSError, tarfile.TarError, EOFError, ValueError) as error:
        raise ValueError(f"{path}: can't be read as a package of npm: {error}.") from error
    if not known or len(found) != 1:
        raise lacks
    ((vendor, images),) = found.items()
    return vendor, known, images


def prepare(
    pictures: list[Picture],
    out: pathlib.Path,
    recipe: Recipe,
    about: str,
    log: Callable[[str], None],
    step: Callable[[int, int], None] = lambda done, of: None,
) -> dict:
    """Writes out/{train,validation,test}/NAME.png, out/card.json and out/rejects.tsv; returns the
    card.

    All of it appears at once, when it is whole. about: where the pictures are from, for the card;
    step: of progress.
    Raises:
        ValueError: `out` is there already, or no picture is left; names the most frequent reasons.
        OSError: the disk refuses; nothing is left behind.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ValueError(
            f"--out={out}: it is there already. Give a new folder, or remove that one."
        )
    with files.scratch_beside(out) as scratch:
        card = _written(pictures, scratch / "unsplit", scratch / "set", recipe, about, log, step)
        if out.exists():
            out.rmdir()
        files.place(scratch / "set", out)
    return card


def _written(pictures, unsplit, whole, recipe, about, log, step) -> dict:
    rejects, remarks, looks = (
        Quarantine(),
        Remarks(),
        _Looks(recipe.near, len(pictures)),
    )
    kept, names = [], {}
    for number, picture in enumerate(pictures):
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
        twin = looks.twin(style, pixels)
        if twin is not None:
            rejects.add(picture.origin, f"a near-copy of {twin}")
            continue
        looks.add(style, pixels, picture.origin)
        kept.append(picture)
        file = unsplit / f"{picture.name}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        with files.naming(file):
            as_picture(pixels).save(file)
    step(len(pictures), len(pictures))
    alone = {picture.partners for picture in pictures if picture.origin in rejects.files} - {""}
    for picture in kept:
        if picture.partners in alone:
            rejects.add(picture.origin, "its partner was set aside")
    kept = [picture for picture in kept if picture.partners not in alone]
    if not kept:
        raise ValueError(
            f"none of {len(pictures)} pictures is left: {'; '.join(rejects.lines()[:3])}."
        )
    splits, counts = (
        split({picture.group or picture.name for picture in kept}, recipe),
        dict.fromkeys(SPLITS, 0),
    )
    for picture in kept:
        where = splits[picture.group or picture.name]
        place = whole / where / f"{picture.name}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        (unsplit / f"{picture.name}.png").rename(place)
        counts[where] += 1
    (whole / "rejects.tsv").write_text(
        "".join(f"{name}\t{reason}\n" for name, reason in sorted(rejects.files.items())),
        "utf-8",
        "backslashreplace",  # names that are no Unicode
    )
    card = {
        "about": about,
        "licence": "that of the originals; write it here before you pass the set on",
        "pictures": counts,
        "rejected": len(rejects),
        "recipe": dataclasses.asdict(recipe),
        "made_by": "gan_jax tools/prepare.py",
    }
    (whole / "card.json").write_text(json.dumps(card, indent=1) + "\n", "utf-8")
    copies = sum("a near-copy of" in reason for reason in rejects.files.values())
    others = Quarantine()
    others.files = {
        name: reason for name, reason in rejects.files.items() if "a near-copy of" not in reason
    }
    for line in (
        *((f"set aside {copies} near-copies",) if copies else ()),
        *others.lines(),
        *remarks.lines(),
    ):
        log(line)
    return card


def fitted(image: np.ndarray, recipe: Recipe) -> np.ndarray:
    """uint8 [H, W, C] -> [size, size, C]. Raises ImageRejected where it, or its face, is too small
    or not there."""
    least = recipe.size if recipe.smallest is None else recipe.smallest
    if recipe.crop == "bounds":
        image = in_bounds(image)
    if min(image.shape[:2]) < least:
        raise ImageRejected(f"smaller than {least} pixels")
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

    Drawn is what is not transparent, or, in a picture without alpha, not of the colour of the upper
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
    order = sorted(
        groups,
        key=lambda group: hashlib.sha256(
            f"{recipe.seed}/{group}".encode("utf-8", "surrogateescape")
        ).digest(),
    )
    n_validation, n_test = (round(share * len(order)) for share in recipe.shares)
    parts = {"test": order[:n_test], "validation": order[n_test : n_test + n_validation]}
    found = dict.fromkeys(order, "train")
    return found | {group: name for name, members in parts.items() for group in members}


class _Looks:
    """The pictures taken so far, by style, for finding near-copies.

    Looks alone would take different drawings on an even ground for copies; so pixels decide among
    those that look alike.
    """

    def __init__(self, near: int | None, most: int):
        """most: pictures there can be."""
        self.near, self._origins = near, []
        self._looks, self._styles = np.zeros(most, np.uint64), np.zeros(most, np.int64)
        self._small = np.zeros((0 if near is None else most, SMALL_SIDE, SMALL_SIDE, 3), np.uint8)
        self._numbers: dict[str, int] = {}  # style -> its number

    def twin(self, style: str, pixels: np.ndarray) -> str | None:
        """The origin of one that is the same or nearly."""
        n = len(self._origins)
        if self.near is None or style not in self._numbers:
            return None
        alike = np.bitwise_count(self._looks[:n] ^ look(pixels)) <= self.near
        alike = np.flatnonzero(alike & (self._styles[:n] == self._numbers[style]))
        off = np.abs(self._small[alike].astype(np.float32) - made_small(pixels)).mean((1, 2, 3))
        return self._origins[alike[off.argmin()]] if len(alike) and off.min() <= SAME else None

    def add(self, style: str, pixels: np.ndarray, origin: str) -> None:
        n = len(self._origins)
        self._looks[n], self._styles[n] = (
            look(pixels),
            self._numbers.setdefault(style, len(self._numbers)),
        )
        if self.near is not None:
            self._small[n] = made_small(pixels)
        self._origins.append(origin)


def made_small(pixels: np.ndarray) -> np.ndarray:
    """uint8 [H, W, C] -> [SMALL_SIDE, SMALL_SIDE, 3], transparency on white."""
    return geometry.fit(as_rgb(pixels), (SMALL_SIDE, SMALL_SIDE), "stretch", "box")


def look(pixels: np.ndarray) -> np.uint64:
    """Difference hash, a bit for whether each of 8 x 9 gray cells is brighter than its right
    neighbour, by STEP or more."""
    gray = as_rgb(pixels) if pixels.shape[-1] == 4 else pixels
    small = (
        geometry.fit(gray, (LOOK_SIDE, LOOK_SIDE + 1), "stretch", "box").astype(np.float32).mean(-1)
    )
    return np.packbits(small[:, :-1] >= small[:, 1:] + STEP).view(np.uint64)[0]
