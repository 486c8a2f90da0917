"""What training and evaluation left in a run's folder, read back: for people to look at, however it
was cut short."""

import dataclasses
import json
import math
import pathlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence

from gan_jax.reporting.charts import Picture

MOST_GRIDS = 40  # a run, evenly spaced over training


MISSING = "not set"


@dataclasses.dataclass
class Run:
    """What one folder held; lists are in the order of images seen."""

    label: str
    folder: pathlib.Path
    config: dict
    lines: list[dict]  # of metrics.jsonl
    evaluations: list[
        dict
    ]  # of evaluations.jsonl; "protocols": those of all lines that one was joined from
    samples: list[tuple[int, Picture]]
    notes: list[str]  # what is missing or damaged, in words

    @property
    def last(self) -> dict:
        return self.evaluations[-1] if self.evaluations else {}

    def of(self, key: str) -> dict:
        """A part of the last evaluation, "values" or "curves" ...; {} where there is none."""
        return as_mapping(self.last.get(key))

    def values(self, name: str) -> list[tuple[float, float]]:
        """(images, value) of each evaluation that has it."""
        measured = ((e["images"], as_mapping(e.get("values"))) for e in self.evaluations)
        return [(images, as_number(values[name])) for images, values in measured if name in values]

    def seconds(self, images: float) -> float:
        """Wall-clock training time until so many images: pauses and saving counted, evaluations
        not; NaN if not logged."""
        before, total = 0.0, 0.0
        for line in self.lines:
            if "img/s" in line and before < images:
                total += (min(line["images"], images) - before) / max(
                    as_number(line["img/s"]), 1e-9
                )
                before = line["images"]
        return total if images <= before else math.nan


def read(folders: Iterable[str | pathlib.Path]) -> list[Run]:
    """Reads runs, one a folder; those of one name are told apart by as many parent folders as it
    takes.

    Raises:
        ValueError: no such folder, or nothing of a run in it.
    """
    folders = [pathlib.Path(folder) for folder in folders]
    for folder in folders:
        if not folder.is_dir():
            raise ValueError(
                f"{folder}:"
                f" {'that is a file, not a folder' if folder.exists() else 'no such folder'}."
            )
        if not any(
            (folder / name).exists() for name in ("metrics.jsonl", "evaluations.jsonl", "samples")
        ):
            raise ValueError(
                f"{folder}: not a run's workdir: no metrics.jsonl, evaluations.jsonl or samples/."
            )
    return [
        _read_run(folder, label) for folder, label in zip(folders, _labels(folders), strict=True)
    ]


def _read_run(folder: pathlib.Path, label: str) -> Run:
    notes, config = [], {}
    try:
        config = as_mapping(json.loads((folder / "config.json").read_text("utf-8", "replace")))
    except FileNotFoundError:
        notes.append("no config.json")
    except (ValueError, RecursionError):
        notes.append("config.json is damaged")
    batch = as_number(config.get("batch"))
    lines = _read_lines(folder / "metrics.jsonl", batch, notes, lambda line: line)
    evaluations = _read_lines(
        folder / "evaluations.jsonl", batch, notes, lambda line: as_mapping(line.get("values"))
    )
    if not evaluations:
        inline = [(e, {k[5:]: v for k, v in e.items() if k.startswith("eval/")}) for e in lines]
        evaluations = [
            {"images": line["images"], "values": values} for line, values in inline if values
        ]
        if evaluations:
            notes.append("its evaluations are those of metrics.jsonl: bare numbers, no protocol")
    return Run(label, folder, config, lines, evaluations, _read_samples(folder, notes), notes)


def _read_lines(
    path: pathlib.Path, batch: float, notes: list[str], numbers: Callable[[dict], Mapping]
) -> list[dict]:
    """JSON lines by images seen, those of one count made one. Adds to `notes` what is missing or
    damaged.

    A line without "images" has those of an earlier line of its step, or step x batch.
    """
    if not path.is_file():
        notes.append(f"no {path.name}")
        return []
    found, at, damaged, odd = {}, {}, [], []
    for number, raw in enumerate(path.read_text("utf-8", "replace").split("\n"), 1):
        if not raw.strip():
            continue
        try:
            line = as_mapping(json.loads(raw))
        except (ValueError, RecursionError):
            line = {}
        step = as_number(line.get("step"))
        images = as_number(line["images"]) if "images" in line else at.get(step, step * batch)
        if not 0 <= images < math.inf:
            damaged.append(str(number))
            continue
        if not math.isnan(step):  # which would equal itself as a key
            at[step] = images
        found[images] = _joined(found.get(images, {}), {**line, "images": images})
        values = {name: as_number(value) for name, value in numbers(line).items()}
        odd += [
            f"{k} = {v} at {as_count(images)} images"
            for k, v in values.items()
            if not math.isfinite(v)
        ]
    if damaged:
        more = ", …" if len(damaged) > 5 else ""
        notes.append(
            f"{path.name}: {plural(len(damaged), 'damaged line')} left out (line"
            f" {', '.join(damaged[:5])}{more})"
        )
    if odd:
        notes.append(f"{path.name}: {plural(len(odd), 'value')} not finite (first: {odd[0]})")
    return [found[images] for images in sorted(found)]


def _joined(old: dict, new: dict) -> dict:
    """Two lines of one time: the later one's word holds, and its values, curves ... add to the
    earlier's."""
    parts = {
        k: {**as_mapping(old.get(k)), **v}
        for k, v in new.items()
        if isinstance(v, dict) and k != "protocol"
    }
    return old | new | parts | {"protocols": [*old.get("protocols", []), new.get("protocol")]}


def _read_samples(folder: pathlib.Path, notes: list[str]) -> list[tuple[int, Picture]]:
    files = {
        int(p.stem): p
        for p in (folder / "samples").glob("*.png")
        if re.fullmatch("[0-9]{1,15}", p.stem)
    }
    times = sorted(files)
    if not times:
        notes.append("no grids in samples/")
    if len(times) > MOST_GRIDS:
        notes.append(f"{MOST_GRIDS} of {len(times)} sample grids shown, evenly spaced")
        times = [times[round(i * (len(times) - 1) / (MOST_GRIDS - 1))] for i in range(MOST_GRIDS)]
    pictures = [(images, picture_in(folder, f"samples/{files[images].name}")) for images in times]
    damaged = [files[images].name for images, picture in pictures if picture is None]
    if damaged:
        notes.append(
            f"{plural(len(damaged), 'damaged sample grid')} left out (first: {damaged[0]})"
        )
    return [(images, picture) for images, picture in pictures if picture]


def picture_in(folder: pathlib.Path, name: str) -> Picture | None:
    """The PNG of that name, if it is whole and lies inside `folder`."""
    try:
        path = (folder / name).resolve()
        png = path.read_bytes() if path.is_relative_to(folder.resolve()) else b""
    except (OSError, ValueError):
        return None
    return Picture.of(png)


def _labels(folders: Sequence[pathlib.Path]) -> list[str]:
    """'b', or with as many parents as tell them apart: 'x/b', 'y/b'; a folder given twice is
    counted."""
    parts = [
        [p for p in folder.resolve().parts if p != folder.anchor] or ["/"] for folder in folders
    ]
    labels = []
    for i, mine in enumerate(parts):
        others = [other for j, other in enumerate(parts) if j != i and other != mine]
        depth = 1
        while depth < len(mine) and any(other[-depth:] == mine[-depth:] for other in others):
            depth += 1
        label, before = "/".join(mine[-depth:]).lstrip("/") or "/", parts[:i].count(mine)
        labels.append(f"{label} ({before + 1})" if before else label)
    return labels


def as_number(value: object) -> float:
    """A JSON value as a float, nan for what is no number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return math.nan
    try:
        return float(value)
    except OverflowError:
        return math.inf


def as_mapping(value: object) -> dict:
    return value if isinstance(value, dict) else {}


def as_list(value: object) -> list:
    return value if isinstance(value, list) else []


def as_points(value: object) -> list[tuple[float, float]]:
    pairs = [
        (as_number(p[0]), as_number(p[1]))
        for p in as_list(value)
        if isinstance(p, list) and len(p) == 2
    ]
    return sorted(((x, y) for x, y in pairs if math.isfinite(x)), key=lambda pair: pair[0])


def as_text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def flattened(tree: Mapping, prefix: str = "") -> dict[str, object]:
    """{"a": {"b": 1}} -> {"a.b": 1}."""
    leaves = {}
    for key, value in tree.items():
        leaves |= (
            flattened(value, f"{prefix}{key}.")
            if isinstance(value, dict) and value
            else {f"{prefix}{key}": value}
        )
    return leaves


def differing(trees: Sequence[Mapping]) -> dict[str, list]:
    """Dotted key -> its value in each tree, for what is not the same in all."""
    leaves = [flattened(tree) for tree in trees]
    rows = {
        key: [leaf.get(key, MISSING) for leaf in leaves]
        for key in sorted({k for leaf in leaves for k in leaf})
    }
    return {
        key: row
        for key, row in rows.items()
        if len({json.dumps(x, sort_keys=True) for x in row}) > 1
    }


def as_count(number: float) -> str:
    return f"{number:,.0f}"


def plural(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"
