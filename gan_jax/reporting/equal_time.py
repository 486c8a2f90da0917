"""Runs that were trained for the same time, as a table: how long each took, how many images it saw,
and what it was measured at in the end."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from gan_jax.reporting.comparison import Known, Values, unknown
from gan_jax.reporting.json_values import as_mapping, as_number
from gan_jax.reporting.runs import Run

MARK = "*"
NOTE = "training looked through the network of this value: no independent judge."


class Row(NamedTuple):
    """An entrant. NaN: not known."""

    name: str
    minutes: float  # of training, without compiling and evaluations
    compiling: float  # seconds
    images: float
    rate: float  # images a second
    failed: str | None  # why there is no result
    run: Run | None  # None: there is nothing of it


def rows(runs: Mapping[str, Run], failed: Mapping[str, str], names: Sequence[str]) -> list[Row]:
    """A row for each of the names, in their order. failed: why some came to no end."""
    found = []
    for name in names:
        run, unknown = runs.get(name), (math.nan,) * 4
        if run is not None:
            images, seconds, compiling = run.clock
            rate = images / seconds if seconds > 0 else math.nan
            unknown = (seconds / 60, compiling, images, rate)
        found.append(Row(name, *unknown, failed.get(name), run))
    return found


def table(rows: Sequence[Row], known: Known = unknown) -> str:
    """As Markdown, each value with its error; those by a network that the run was trained through
    are marked."""
    values = Values([row.run for row in rows if row.run], known)
    shown = [name for name, about in values.items() if not about.control_of]
    head = ["run", "minutes", "compiling, s", "images", "images/s", *shown]
    lines = [head, ["---"] * len(head)]
    for row in rows:
        cells = [f"{row.minutes:.3g}", f"{row.compiling:.3g}", f"{row.images:,.0f}"]
        cells += [f"{row.rate:.3g}", *(_value(row, name, values) for name in shown)]
        if row.failed:
            cells[-len(shown) or len(cells) :] = [f"failed: {row.failed}"]
        lines.append([row.name, *("" if cell == "nan" else cell for cell in cells)])
    cells = "".join(f"| {' | '.join(c.replace('|', '/') for c in line)} |\n" for line in lines)
    marked = any(_in_training(row, name) for row in rows for name in shown)
    return cells + (f"\n{MARK} {NOTE}\n" if marked else "")


def _in_training(row: Row, name: str) -> bool:
    of = row.run.of("about") if row.run else {}
    return as_mapping(of.get(name)).get("in_training") is True


def _value(row: Row, name: str, values: Values) -> str:
    found = as_number(row.run.of("values").get(name)) if row.run else math.nan
    error = values.error(row.run.last, name) if row.run else 0.0
    if math.isnan(found):
        return "nan"
    mark = f" {MARK}" if _in_training(row, name) else ""
    return f"{found:.4g}" + (f" ± {error:.2g}" if error else "") + mark


def results(rows: Sequence[Row]) -> dict:
    """The same as JSON has it, with all values."""
    return {
        row.name: {
            "minutes": _finite(row.minutes),
            "compile_seconds": _finite(row.compiling),
            "images": _finite(row.images),
            "images_per_second": _finite(row.rate),
            "failed": row.failed,
            "values": row.run.of("values") if row.run else {},
            "in_training": [
                name
                for name in (row.run.of("values") if row.run else {})
                if _in_training(row, name)
            ],
        }
        for row in rows
    }


def _finite(number: float) -> float | None:
    """As JSON can have it."""
    return number if math.isfinite(number) else None
