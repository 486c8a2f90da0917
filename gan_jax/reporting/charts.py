"""Curves as SVG in the colors of the page they stand in."""

import dataclasses
import html
import io
import math
import re
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import matplotlib
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

MOST_POINTS = 80  # of a curve; of more log lines, neighbors are drawn as their mean and range
# colors of runs on white and on black: those of Okabe and Ito, darkened and lightened
LIGHT = ("#0072b2", "#c85200", "#00855f", "#b0558b", "#2e8fc9", "#946600", "#666666")
DARK = ("#5ab4f0", "#ff8a4c", "#3fcba0", "#e59ac6", "#a5dcff", "#f2b84b", "#bbbbbb")
MARKERS, GLYPHS = "osD^vPX*", "●■◆▲▼✚✖★"  # a run's mark, in charts and in legends
# stand-ins, which the page's own colors replace: #000001 is the first run's, and so on
INK, GRID, FIRST_RUN = "#00ff00", "#00ff01", "#0000"
STYLE = {
    "font.family": "DejaVu Sans",  # comes with matplotlib: the layout is the same on any machine
    "svg.fonttype": "none",
    "svg.hashsalt": "gan_jax",
    "text.parse_math": False,
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.6,
    "lines.markersize": 4.5,
    "axes.formatter.useoffset": False,
    "axes.formatter.limits": (-3, 4),
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": GRID,
}


@dataclasses.dataclass
class Line:
    """One curve of a chart; low and high are the edges of its band."""

    run: int
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] = ()
    high: Sequence[float] = ()
    control: bool = False  # of a control: dashed, without marks


class Chart(NamedTuple):
    """A chart and what its legend needs."""

    title: str
    svg: str  # "" where there is no finite value
    runs: list[int]
    control: bool  # whether it has a control's curve


def thinned(run: int, points: Sequence[tuple[float, float]]) -> Line:
    """A curve of at most MOST_POINTS points: means of neighbors, and their range as the band."""
    size = max(1, math.ceil(len(points) / MOST_POINTS))
    x, y, low, high = [], [], [], []
    for start in range(0, len(points), size):
        part = points[start : start + size]
        values = [value for value in _drawable(y for _, y in part) if math.isfinite(value)]
        values = values or [math.nan]
        x.append(statistics.fmean(at for at, _ in part))
        y.append(statistics.fmean(values))
        low.append(min(values))
        high.append(max(values))
    return Line(run, x, y, low, high) if size > 1 else Line(run, x, y)


def chart(title: str, panels: Mapping[str, Sequence[Line]], xlabel: str, **style) -> Chart:
    """Panels, named by their y labels, above one another on one x axis. style: as _svg's."""
    lines = [line for panel in panels.values() for line in panel if any(map(math.isfinite, line.y))]
    svg = _svg(panels, xlabel, title, **style) if lines else ""
    runs = sorted({line.run for line in lines})
    return Chart(title, svg, runs, any(line.control for line in lines))


def _svg(
    panels: Mapping[str, Sequence[Line]],
    xlabel: str,
    title: str,
    marks: bool = True,
    log: bool = False,
    ticks: Sequence[str] = (),
) -> str:
    """marks: a mark at each point, not only at the last. log: a logarithmic y axis, where values
    span enough. ticks: names of x = 0, 1, ..."""
    height = 0.75 + (2.05 if len(panels) == 1 else 1.25 * len(panels))
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(4.3, height), layout="constrained")
        axes = figure.subplots(len(panels), sharex=True, squeeze=False)[:, 0]
        for ax, (name, lines) in zip(axes, panels.items(), strict=True):
            for line in lines:
                _draw(ax, line, marks)
            if log:
                _make_logarithmic(ax, [y for line in lines for y in line.y if math.isfinite(y)])
            ax.set_ylabel(_simple(name, 30) + (", log" if ax.get_yscale() == "log" else ""))
            ax.margins(x=0.03)
            if ticks:
                ax.set_xticks(range(len(ticks)), ticks)
        axes[-1].set_xlabel(_simple(xlabel, 60))
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", transparent=True)
    return _in_page_colors(buffer.getvalue(), title)


def _draw(ax, line: Line, marks: bool) -> None:
    y, color = _drawable(line.y), f"{FIRST_RUN}{1 + line.run % 255:02x}"
    last = max((n for n, value in enumerate(y) if math.isfinite(value)), default=0)
    style = {"marker": MARKERS[line.run % len(MARKERS)], "markevery": None if marks else [last]}
    if line.control:
        style = {"linestyle": (0, (4, 2.5)), "linewidth": 1.2}
    ax.plot(line.x, y, color=color, **style)
    if any(low != high for low, high in zip(line.low, line.high, strict=True)):
        low, high = _drawable(line.low), _drawable(line.high)
        ax.fill_between(line.x, low, high, color=color, alpha=0.18, linewidth=0)


def _make_logarithmic(ax, values: Sequence[float]) -> None:
    if values and min(values) > 0 and max(values) > 8 * min(values):
        ax.set_yscale("log")
        ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.yaxis.set_major_formatter("{x:g}")
        ax.yaxis.set_minor_formatter(NullFormatter())


def _in_page_colors(svg: str, title: str) -> str:
    """matplotlib's SVG as a part of a page: only the drawing, its stand-in colors replaced by the
    page's CSS variables."""
    svg = svg[svg.index("<svg") :]
    left_out = r"<!--.*?-->|<metadata>.*?</metadata>|<style.*?</style>| xmlns(:\w+)?=\"[^\"]*\""
    svg = re.sub(left_out, "", svg, flags=re.DOTALL)
    opening = f'<svg role="img" aria-label="{html.escape(title)}"'
    svg = re.sub(r'<svg width="[^"]*" height="[^"]*"', lambda _: opening, svg, count=1)
    svg = re.sub(
        rf"{FIRST_RUN}([0-9a-f]{{2}})\b", lambda found: f"var(--r{int(found[1], 16) - 1})", svg
    )
    svg = svg.replace(INK, "currentColor").replace(GRID, "var(--grid)")
    return re.sub(r"\n\s*", "\n", svg)


def _drawable(numbers: Iterable[float]) -> list[float]:
    """NaN for what no axis can show: sums and spans of larger numbers overflow."""
    return [y if abs(y) < 1e30 else math.nan for y in numbers]


def _simple(label: str, most: int) -> str:
    """A label in characters that every font has, and not too long for an axis."""
    label = re.sub("[^ -~À-ž]", "?", label)
    return label if len(label) <= most else label[: most - 1] + "~"
