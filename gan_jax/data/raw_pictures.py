"""Pictures that a data set can be made of: those of a folder, or of packages of emoji."""

import functools
import json
import pathlib
import tarfile
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import numpy as np

from gan_jax.data import decode
from gan_jax.data.labels import SPLITS
from gan_jax.data.quarantine import Remark
from gan_jax.data.scan import passed_over, scan
from gan_jax.runtime import registry
from gan_jax.runtime.text import shown


class Picture(NamedTuple):
    """One picture of the set to be."""

    name: str  # where it goes below its split, without ending: "style/me"
    origin: str  # for the list of rejects
    read: Callable[[Remark], np.ndarray]  # -> uint8 [H, W, C]; raises ImageRejected
    group: str = ""  # pictures of one group share a split; empty: the name
    # pictures of equal text belong together: where one is set aside, all are; empty: none do
    partners: str = ""
    license: str = ""  # where it is known; empty: it is not


def pictures_in(root: pathlib.Path, log: Callable[[str], None]) -> Iterator[Picture]:
    """The images below a folder; sub-folders stay, as styles or classes, and what has one name in
    several shares a split.

    Two sub-folders with the same names throughout are pairs: where one of a pair is set aside, both
    are.
    log: gets a line on files that are passed over.
    Raises:
        ValueError: no such folder, no images in it, or folders of several splits: a new split would
            mix them.
    """
    try:
        files, passed = scan(root)
    except ValueError as error:
        raise ValueError(str(error).replace("config.data.path=", "")) from error
    for line in passed_over(passed):
        log(line)
    names = [registry.normal(file.relative_to(root).as_posix()) for file in files]
    folders = {part for name in names for part in name.split("/")[:-1]}
    # trainA, trainB
    parts = {part: part.removesuffix("A").removesuffix("B").lower() for part in sorted(folders)}
    splits = [part for part, plain in parts.items() if plain in SPLITS]
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
