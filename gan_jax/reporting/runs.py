"""Run folders read back for a report:
what training and evaluation wrote, even if interrupted or damaged."""

import base64
import dataclasses
import json
import math
import pathlib
import re
import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from gan_jax.reporting.json_values import as_count, as_mapping, as_number, plural

MOST_GRIDS = 40  # of one run, evenly spaced over training
FILES = ("metrics.jsonl", "evaluations.jsonl", "samples")  # a run's folder has at least one
PNG_START, PNG_END = b"\x89PNG\r\n\x1a\n", b"IEND"


@dataclasses.dataclass
class Picture:
    """A complete PNG file, and its size in pixels."""

    png: bytes
    width: int
    height: int

    @classmethod
    def of(cls, png: bytes) -> "Picture | None":
        """None for what is no PNG, or one that was cut short."""
        if len(png) < 45 or not png.startswith(PNG_START) or png[-8:-4] != PNG_END:
            return None
        return cls(png, *struct.unpack(">II", png[16:24]))

    @property
    def uri(self) -> str:
        """The picture itself as an address: data:image/png;base64,..."""
        return f"data:image/png;base64,{base64.b64encode(self.png).decode()}"


class Clock(NamedTuple):
    """Wall-clock time of training, with pauses and saving but without evaluations."""

    images: float
    seconds: float  # without compiling
    compiling: float  # seconds


@dataclasses.dataclass
class Run:
    """The contents of one run's folder; lists are in the order of images seen."""

    label: str
    folder: pathlib.Path
    config: dict
    lines: list[dict]  # of metrics.jsonl
    # of evaluations.jsonl; "protocols": those of all lines that one was joined from
    evaluations: list[dict]
    samples: list[tuple[int, Picture]]
    notes: list[str]  # what is missing or damaged, in words

    @property
    def last(self) -> dict:
        """The last evaluation; {} where there is none."""
        return self.evaluations[-1] if self.evaluations else {}

    def of(self, key: str) -> dict:
        """A part of the last evaluation, "values" or "curves" ...; {} where there is none."""
        return as_mapping(self.last.get(key))

    def values(self, name: str) -> list[tuple[float, float]]:
        """(images, value) of each evaluation that has the value."""
        measured = ((e["images"], as_mapping(e.get("values"))) for e in self.evaluations)
        return [(images, as_number(values[name])) for images, values in measured if name in values]

    def seconds(self, images: float) -> float:
        """Wall-clock training time until so many images, with pauses and saving but without
        evaluations; NaN if it was not logged."""
        before, total = 0.0, 0.0
        for line in self.lines:
            if "img/s" in line and before < images:
                seen = min(line["images"], images) - before
                total += seen / max(as_number(line["img/s"]), 1e-9)
                before = line["images"]
        return total if images <= before else math.nan

    @property
    def clock(self) -> Clock:
        """Of all that is logged."""
        images = max([line["images"] for line in self.lines if "img/s" in line], default=0.0)
        compiling = sum(as_number(line.get("compile_s", 0.0)) for line in self.lines)
        return Clock(images, self.seconds(images) - compiling, compiling)

    @property
    def steady(self) -> Clock:
        """Of the log windows in which nothing was compiled."""
        images, seconds, before = 0.0, 0.0, 0.0
        for line in self.lines:
            if "compile_s" not in line and "img/s" in line:
                images += line["images"] - before
                seconds += (line["images"] - before) / max(as_number(line["img/s"]), 1e-9)
            before = line["images"]
        return Clock(images, seconds, 0.0)


def read(folders: Iterable[str | pathlib.Path]) -> list[Run]:
    """Reads runs, one a folder. Runs whose folders have the same name get as many parent folders in
    their label as tell them apart.

    Raises:
        ValueError: no such folder, or nothing of a run in it.
    """
    folders = [pathlib.Path(folder) for folder in folders]
    for folder in folders:
        if not folder.is_dir():
            problem = "that is a file, not a folder" if folder.exists() else "no such folder"
            raise ValueError(f"{folder}: {problem}.")
        if not has_results(folder):
            raise ValueError(
                f"{folder}: not a run's workdir: no metrics.jsonl, evaluations.jsonl or samples/."
            )
    labels = _labels(folders)
    return [_read_run(folder, label) for folder, label in zip(folders, labels, strict=True)]


def has_results(folder: pathlib.Path) -> bool:
    """Whether there is anything of a run in it that can be read back."""
    return any((folder / name).exists() for name in FILES)


def _read_run(folder: pathlib.Path, label: str) -> Run:
    notes = []
    config = _read_config(folder / "config.json", notes)
    batch = as_number(config.get("batch"))
    lines = _read_lines(folder / "metrics.jsonl", batch, notes, dict)
    evaluations = _read_lines(folder / "evaluations.jsonl", batch, notes, _values)
    if not evaluations:
        evaluations = _evaluations_in_log(lines)
        if evaluations:
            notes.append("its evaluations are those of metrics.jsonl: bare numbers, no protocol")
    return Run(label, folder, config, lines, evaluations, _read_samples(folder, notes), notes)


def _read_config(path: pathlib.Path, notes: list[str]) -> dict:
    try:
        return as_mapping(json.loads(path.read_text("utf-8", "replace")))
    except FileNotFoundError:
        notes.append(f"no {path.name}")
    except (ValueError, RecursionError):
        notes.append(f"{path.name} is damaged")
    return {}


def _values(evaluation: Mapping) -> dict:
    return as_mapping(evaluation.get("values"))


def _evaluations_in_log(lines: Sequence[Mapping]) -> list[dict]:
    """The evaluations of a run that has no evaluations.jsonl: the eval/... of its log."""
    found = []
    for line in lines:
        values = {key[5:]: value for key, value in line.items() if key.startswith("eval/")}
        if values:
            found.append({"images": line["images"], "values": values})
    return found


def _read_lines(
    path: pathlib.Path, batch: float, notes: list[str], numbers: Callable[[Mapping], Mapping]
) -> list[dict]:
    """JSON lines in the order of images seen; those of one count of images are joined to one.

    A line without "images" has those of an earlier line of its step, or step x batch. Adds to
    `notes` what is missing or damaged; `numbers` takes from a line what must be finite numbers.
    """
    if not path.is_file():
        notes.append(f"no {path.name}")
        return []
    found, images_at, damaged, not_finite = {}, {}, [], []
    for number, raw in enumerate(path.read_text("utf-8", "replace").split("\n"), 1):
        if not raw.strip():
            continue
        try:
            line = as_mapping(json.loads(raw))
        except (ValueError, RecursionError):
            line = {}
        step = as_number(line.get("step"))
        otherwise = images_at.get(step, step * batch)
        images = as_number(line["images"]) if "images" in line else otherwise
        if not 0 <= images < math.inf:
            damaged.append(str(number))
            continue
        if not math.isnan(step):  # which would equal itself as a key
            images_at[step] = images
        found[images] = _joined(found.get(images, {}), {**line, "images": images})
        for name, value in numbers(line).items():
            if not math.isfinite(as_number(value)):
                shown = f"{name} = {as_number(value)} at {as_count(images)} images"
                not_finite.append(shown)
    if damaged:
        listed = ", ".join(damaged[:5]) + (", …" if len(damaged) > 5 else "")
        count = plural(len(damaged), "damaged line")
        notes.append(f"{path.name}: {count} left out (line {listed})")
    if not_finite:
        count = plural(len(not_finite), "value")
        notes.append(f"{path.name}: {count} not finite (first: {not_finite[0]})")
    return [found[images] for images in sorted(found)]


def _joined(old: dict, new: dict) -> dict:
    """Two lines of one time: what the later one states holds; its values, curves ... are added to
    the earlier one's."""
    parts = {
        key: {**as_mapping(old.get(key)), **value}
        for key, value in new.items()
        if isinstance(value, dict) and key != "protocol"
    }
    return old | new | parts | {"protocols": [*old.get("protocols", []), new.get("protocol")]}


def _read_samples(folder: pathlib.Path, notes: list[str]) -> list[tuple[int, Picture]]:
    """(images, grid) of samples/<images>.png, at most MOST_GRIDS."""
    pngs = (folder / "samples").glob("*.png")
    files = {int(path.stem): path for path in pngs if re.fullmatch("[0-9]{1,15}", path.stem)}
    times = sorted(files)
    if not times:
        notes.append("no grids in samples/")
    if len(times) > MOST_GRIDS:
        notes.append(f"{MOST_GRIDS} of {len(times)} sample grids shown, evenly spaced")
        times = [times[round(i * (len(times) - 1) / (MOST_GRIDS - 1))] for i in range(MOST_GRIDS)]
    pictures = [(images, picture_in(folder, f"samples/{files[images].name}")) for images in times]
    damaged = [files[images].name for images, picture in pictures if picture is None]
    if damaged:
        count = plural(len(damaged), "damaged sample grid")
        notes.append(f"{count} left out (first: {damaged[0]})")
    return [(images, picture) for images, picture in pictures if picture]


def picture_in(folder: pathlib.Path, name: str) -> Picture | None:
    """The PNG of that name; None if it is damaged or does not lie inside `folder`."""
    try:
        path = (folder / name).resolve()
        png = path.read_bytes() if path.is_relative_to(folder.resolve()) else b""
    except (OSError, ValueError):
        return None
    return Picture.of(png)


def _labels(folders: Sequence[pathlib.Path]) -> list[str]:
    """'b', or with as many parents as tell them apart: 'x/b', 'y/b'; a folder that is given twice
    is counted, 'b (2)'."""
    parts = []
    for folder in folders:
        whole = folder.resolve()
        parts.append([part for part in whole.parts if part != whole.anchor] or ["/"])
    labels = []
    for i, own in enumerate(parts):
        others = [other for other in parts if other != own]
        depth = 1
        while depth < len(own) and any(other[-depth:] == own[-depth:] for other in others):
            depth += 1
        label, before = "/".join(own[-depth:]), parts[:i].count(own)
        labels.append(f"{label} ({before + 1})" if before else label)
    return labels
