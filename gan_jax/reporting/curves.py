"""The curves of a report: evaluations, robustness, losses and speed of several runs."""

import math
import statistics
from collections.abc import Iterator, Sequence

from gan_jax.data.corruptions import CORRUPTIONS
from gan_jax.reporting import charts
from gan_jax.reporting.charts import Chart, Line
from gan_jax.reporting.comparison import Values
from gan_jax.reporting.json_values import as_mapping, as_number, as_points
from gan_jax.reporting.runs import Run

PLAYERS = {"d": "critic", "g": "generator"}  # of the log's names, d/loss ...
KIMG = "thousands of images"


def _is_result(values: Values, name: str) -> bool:
    """Whether a value has a chart of its own: a control stands in the chart of what it controls."""
    return values[name].control_of not in values


def _once(runs: Sequence[Run], name: str) -> bool:
    return all(len(run.values(name)) < 2 for run in runs)


def measured_once(runs: Sequence[Run], values: Values) -> list[str]:
    """Names of the results that were measured too rarely for a curve."""
    return [name for name in values if _is_result(values, name) and _once(runs, name)]


def evaluations(runs: Sequence[Run], values: Values) -> list[Chart]:
    """A chart a value that was measured more than once, with all runs and its controls in it."""
    found = []
    for name, about in values.items():
        if not _is_result(values, name) or _once(runs, name):
            continue
        lines = []
        for each in (name, *values.controls_of(name)):
            lines += [_over_time(i, run, each, values, each != name) for i, run in enumerate(runs)]
        title = name + {-1: ", lower is better", 1: ", higher is better", 0: ""}[about.sign]
        found.append(charts.chart(title, {name: lines}, KIMG, log=about.sign < 0))
    return found


def _over_time(i: int, run: Run, name: str, values: Values, control: bool) -> Line:
    measured = [e for e in run.evaluations if name in as_mapping(e.get("values"))]
    errors = [values.error(evaluation, name) for evaluation in measured]
    points = run.values(name)
    low = [y - error for (_, y), error in zip(points, errors, strict=True)]
    high = [y + error for (_, y), error in zip(points, errors, strict=True)]
    x, y = [images / 1000 for images, _ in points], [y for _, y in points]
    return Line(i, x, y, low, high, control)


def robustness(runs: Sequence[Run]) -> Iterator[Chart]:
    """A chart a corruption: a value of generated pictures, and of held-out real ones, against the
    strength of the corruption."""
    names = dict.fromkeys(key.removeprefix("held_out/") for run in runs for key in run.of("curves"))
    for name in names:
        found = [  # (run, whether real pictures, {corruption: [[strength, value], ...]})
            (i, key != name, as_mapping(run.of("curves").get(key)))
            for key in (name, f"held_out/{name}")
            for i, run in enumerate(runs)
        ]
        for corruption in dict.fromkeys(kind for _, _, curves in found for kind in curves):
            curves = [(i, real, as_points(each.get(corruption))) for i, real, each in found]
            strengths = sorted({x for _, _, points in curves for x, _ in points})
            if not strengths:
                continue
            lines = [
                Line(i, [strengths.index(x) for x, _ in p], [y for _, y in p], control=real)
                for i, real, p in curves
            ]
            unit = CORRUPTIONS[corruption].unit if corruption in CORRUPTIONS else "strength"
            yield charts.chart(
                f"{name} under {corruption}",
                {name: lines},
                f"{corruption}: {unit}",
                ticks=[f"{x:g}" for x in strengths],
            )


def losses(runs: Sequence[Run]) -> Iterator[Chart]:
    """A chart a player, d/... and g/...: what was logged, one value above the other."""
    names = dict.fromkeys(
        name for run in runs for line in run.lines for name in line if "/" in name
    )
    names = [name for name in names if name != "img/s" and not name.startswith("eval/")]
    names.sort(key=lambda name: (name.partition("/")[0], not name.endswith("/loss"), name))
    for player in dict.fromkeys(name.partition("/")[0] for name in names):
        panels = {name: _logged(runs, name) for name in names if name.startswith(f"{player}/")}
        title = f"{PLAYERS.get(player, player)}, {player}/…"
        yield charts.chart(title, panels, KIMG, marks=False)


def _logged(runs: Sequence[Run], name: str) -> list[Line]:
    lines = []
    for i, run in enumerate(runs):
        logged = [line for line in run.lines if name in line]
        points = [(line["images"] / 1000, as_number(line[name])) for line in logged]
        lines.append(charts.thinned(i, points))
    return lines


def speed(runs: Sequence[Run]) -> dict:
    """Images a second: a chart, and (run, median) of those that logged it."""
    medians = []
    for i, run in enumerate(runs):
        rates = [as_number(line.get("img/s")) for line in run.lines]
        rates = [rate for rate in rates if math.isfinite(rate)]
        if rates:
            medians.append((i, statistics.median(rates)))
    if not medians:
        return {}
    panels = {"images a second": _logged(runs, "img/s")}
    return {"medians": medians, "chart": charts.chart("img/s", panels, KIMG, marks=False)}
