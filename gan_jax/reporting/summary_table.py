"""Values of several runs a setting -> a table:
final and best value, mean ± standard deviation over the runs."""

import csv
import io
import math
import statistics
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from gan_jax.reporting.comparison import Known, Values, best_of, unknown
from gan_jax.reporting.runs import Run


class MeanStd(NamedTuple):
    """Over n runs. std: the sample's standard deviation; NaN of fewer than two."""

    mean: float
    std: float
    n: int

    @classmethod
    def of(cls, values: Sequence[float]) -> "MeanStd":
        mean = statistics.fmean(values) if values else math.nan
        spread = len(values) > 1 and all(map(math.isfinite, values))
        return cls(mean, statistics.stdev(values) if spread else math.nan, len(values))

    def __str__(self) -> str:
        if not self.n:
            return ""
        return f"{self.mean:.4g}" + (f" ± {self.std:.2g}" if math.isfinite(self.std) else "")


class Table(NamedTuple):
    """head: a value's name for the last evaluation, "NAME (best)" for the best one, where it is
    known which way is better; rows: {setting: a cell for each of the head}."""

    head: list[str]
    rows: dict[str, list[MeanStd]]


def table(settings: Mapping[str, Sequence[Run]], known: Known = unknown) -> Table:
    """settings: {its name: its runs, one a seed}. A cell is of those runs that have the value."""
    values = Values([run for runs in settings.values() for run in runs], known)
    head, rows = [], {setting: [] for setting in settings}
    for name, about in values.items():
        head.append(name)
        for setting, runs in settings.items():
            last = [points[-1][1] for run in runs if (points := run.values(name))]
            rows[setting].append(MeanStd.of(last))
        if about.sign:
            head.append(f"{name} (best)")
            for setting, runs in settings.items():
                best = [
                    best_of(points, about.sign)[1] for run in runs if (points := run.values(name))
                ]
                rows[setting].append(MeanStd.of(best))
    return Table(head, rows)


def as_markdown(found: Table) -> str:
    """The table as Markdown."""
    rows = [["setting", *found.head], ["---"] * (1 + len(found.head))]
    rows += [[setting, *map(str, cells)] for setting, cells in found.rows.items()]
    return "".join(f"| {' | '.join(cell.replace('|', '/') for cell in row)} |\n" for row in rows)


def as_csv(found: Table) -> str:
    """The table as CSV, with columns for mean, standard deviation and number of runs."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    kinds = MeanStd._fields
    writer.writerow(["setting", *(f"{name} {kind}" for name in found.head for kind in kinds)])
    for setting, cells in found.rows.items():
        writer.writerow([setting, *(number for cell in cells for number in cell)])
    return text.getvalue()
