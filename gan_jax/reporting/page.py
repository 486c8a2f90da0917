"""Run folders -> one HTML page on which they are judged side by side; it opens from disk and points
at nothing outside.

Reads what training and evaluation left: config.json, metrics.jsonl, evaluations.jsonl, samples/.
What is missing, damaged or not finite is said on the page and ends nothing. Needs no JAX; the same
folders give the same bytes.
"""

import json
import math
import pathlib
import re
import statistics
from collections.abc import Mapping, Sequence

from gan_jax.data.corruptions import CORRUPTIONS
from gan_jax.reporting import charts
from gan_jax.reporting.charts import Line, text
from gan_jax.reporting.runs import (
    MISSING,
    Run,
    as_count,
    as_list,
    as_mapping,
    as_number,
    as_points,
    as_text,
    differing,
    flattened,
    picture_in,
)
from gan_jax.runtime.files import replace_text

ABOUT = {  # words of a metric's name -> what it says
    "kid": "distance from the real pictures; about 0 where none can be told",
    "fid": "distance from the real pictures, by the mean and covariance of their features",
    "is": "how sure a classifier is of each picture, and of how many classes",
    "precision": "share of generated pictures that look real",
    "recall": "share of the real pictures' variety that is covered",
    "density": "how real pictures look, robust to outliers",
    "coverage": "variety covered, robust to outliers",
    "diversity": "mean distance between two pictures",
    "memorised": (
        "share of pictures that are nearly training pictures; more than the control's is copying"
    ),
    "cas": "accuracy on real pictures of a classifier that learned from generated ones",
    "gain": (
        "accuracy that generated pictures add to so many real ones; fair where the generator saw no"
        " more than those"
    ),
}
LOWER = {"fid", "kid", "mae", "rmse"}  # words of a metric's name: less of it is better
HIGHER = {
    "precision",
    "recall",
    "density",
    "coverage",
    "diversity",
    "accuracy",
    "cas",
    "gain",
    "is",
    "psnr",
    "ssim",
}
NEITHER = {"memorised", "held", "real"}  # a warning or a control, no contest
CONTROL = re.compile("_(held_out|real)(?=_|$)")  # in a name: the same measure of real pictures
ERRORS = ("_se", "_std")
HARMLESS = (
    "commit",
    "versions",
    "device",
    "batch",
    "seconds",
)  # of a protocol: numbers stay comparable though these differ
WORTH = ("algorithm", "model", "data.source", "data.resolution", "game.loss", "game.penalty", "opt_g.lr", "opt_d.lr",
         "batch", "seed")  # fmt: skip


def write(path: str | pathlib.Path, page: str) -> None:
    """The whole new page or the old file. Raises OSError where it can't be written."""
    # half a surrogate pair in someone's text is a "?"
    replace_text(pathlib.Path(path), page, errors="replace")


def page(runs: Sequence[Run]) -> str:
    """The HTML page: everything inline, readable without JavaScript, light or dark as the reader's
    system is."""
    title = " · ".join(run.label for run in runs)
    parts = (
        numbers,
        samples,
        evaluations,
        robustness,
        neighbours,
        groups,
        tables,
        losses,
        speed,
        settings,
        protocol,
    )
    sections = [(part.__name__, *part(runs)) for part in parts]
    sections = [section for section in sections if section[2]]
    links = "".join(f'<a href="#{name}">{heading}</a>' for name, heading, _ in sections)
    body = "".join(
        f'<section id="{name}"><h2>{heading}</h2>{inner}</section>'
        for name, heading, inner in sections
    )
    return charts.document(
        title,
        len(runs),
        f"<header><h1>{text(title)}</h1>{cards(runs)}</header><nav>{_switches(runs)}{links}</nav>"
        f"<main>{warning(runs)}{body}</main>",
    )


# The page's parts: each is (heading, HTML), the HTML empty where no run has anything for it.


def cards(runs: Sequence[Run]) -> str:
    """A card a run: how far it came, its settings worth a line, what is missing."""
    shown = []
    for i, run in enumerate(runs):
        seen = max(
            [line["images"] for line in run.lines + run.evaluations] + [n for n, _ in run.samples],
            default=0,
        )
        total = as_number(run.config.get("total_kimg")) * 1000
        share = (
            f' of {as_count(total)}<progress value="{seen:g}" max="{total:g}"></progress>'
            if total > 0
            else ""
        )
        leaves = flattened(run.config)
        worth = [(key, as_text(leaves[key])) for key in WORTH if leaves.get(key) is not None]
        chips = "".join(f"<span><small>{key}</small>{text(value)}</span>" for key, value in worth)
        notes = "".join(f"<li>{text(note)}</li>" for note in run.notes)
        shown.append(
            f'<article style="--c:var(--k{i})"><h3>{_key(runs, i)}</h3><p'
            f' class="big">{as_count(seen)} images{share}</p>'
            + (f'<div class="chips">{chips}</div>' if chips else "")
            + (f'<ul class="notes">{notes}</ul>' if notes else "")
            + "</article>"
        )
    return f'<div class="cards">{"".join(shown)}</div>'


def warning(runs: Sequence[Run]) -> str:
    """The strip that says why numbers of these runs, or of one run over time, must not be
    compared."""
    says = []
    for run in runs:
        changed = _grave(
            [as_mapping(protocol) for e in run.evaluations for protocol in e.get("protocols", [])]
        )
        if changed:
            ways = {
                key: " → ".join(dict.fromkeys(map(as_text, values)))
                for key, values in changed.items()
            }
            listed = ", ".join(f"<code>{text(key)}</code> {text(way)}" for key, way in ways.items())
            says.append(
                f"<b>{text(run.label)}</b> was not always measured alike, so not all its numbers"
                f" compare: {listed}."
            )
    apart = _incomparable(runs)
    if apart:
        rows = [[text(key), *(text(as_text(x)) for x in values)] for key, values in apart.items()]
        judged = [i for i, run in enumerate(runs) if run.evaluations]
        table = charts.table(["", *(_key(runs, i) for i in judged)], rows)
        says.append(
            "<b>The numbers of these runs are not comparable</b>. Measured differently:"
            f" {_keys(apart)}.{table}"
        )
    return "".join(f'<div class="warning" role="alert">⚠ {each}</div>' for each in says)


def numbers(runs: Sequence[Run]) -> tuple[str, str]:
    """Metric x run, of the last evaluation, with the best over time; the best of several runs
    stands out."""
    judged = [i for i, run in enumerate(runs) if run.evaluations]
    names = _names(runs)
    if not names:
        return "", ""
    contest = len(judged) > 1 and not _incomparable(runs)
    rows = [[_metric(name), *_cells([runs[i] for i in judged], name, contest)] for name in names]
    head = [
        f"{_key(runs, i)}<small>at {as_count(runs[i].last['images'])} images</small>"
        for i in judged
    ]
    says = "The last evaluation, ± its standard error or deviation, and the best over time."
    if contest:
        says += (
            " <b class=best>Shaded</b>: the best run; <b class=tie>outlined</b>: within two errors"
            " of it."
        )
    elif len(judged) > 1:
        says += " Nothing is shaded: the protocols differ, see above."
    absent = _absent(runs, [i for i in range(len(runs)) if i not in judged])
    table = charts.table(["metric", *head], rows)
    return "Numbers", f'<p>{says}{absent}</p><div style="--n:{len(judged)}">{table}</div>'


def _metric(name: str) -> str:
    """A metric's name, which way is better, and what it says."""
    arrow = {-1: " <i>↓ lower is better</i>", 1: " <i>↑ higher is better</i>", 0: ""}[
        _direction(name)
    ]
    about = next((ABOUT[word] for word in _words(name) if word in ABOUT), "")
    about = "control: the same of real pictures" if CONTROL.search(name) else about
    kind = ' class="control"' if CONTROL.search(name) else ""
    return f"<span{kind}>{text(name).replace('_', '_<wbr>')}{arrow}</span><small>{about}</small>"


def _cells(runs: Sequence[Run], name: str, contest: bool) -> list[str]:
    """A metric's value in each run, with the best over time."""
    sign = _direction(name)
    last = [(as_number(run.of("values").get(name)), _se(run.last, name)) for run in runs]
    tops = [_top(run.values(name), sign) for run in runs]
    marks = _marks(last, sign if contest else 0)
    marks_top = _marks([(value, 0.0) for _, value in tops], sign if contest else 0)
    cells = []
    for run, (value, se), mark, (images, top), mark_top in zip(
        runs, last, marks, tops, marks_top, strict=True
    ):
        cell = (
            _marked(_show(value, se), mark)
            if name in run.of("values")
            else '<span class="none">–</span>'
        )
        if note := run.of("notes").get(name):
            cell += f"<small>{text(as_text(note))}</small>"
        if sign and math.isfinite(top) and len(run.values(name)) > 1:
            cell += f"<small>best {_marked(_show(top), mark_top)} at {as_count(images)}</small>"
        cells.append(cell)
    return cells


def samples(runs: Sequence[Run]) -> tuple[str, str]:
    """A player a run: its grids over training, the first and the last also where no script runs."""
    shown = [_player(runs, i) for i, run in enumerate(runs) if run.samples]
    if not shown:
        return "", ""
    together = (
        '<label class="together" hidden><input type="checkbox" id="together" checked> all runs move'
        " together"
    )
    says = "The same inputs at every time, drawn with the averaged weights."
    says += _absent(runs, [i for i, run in enumerate(runs) if not run.samples])
    plain = (
        "<noscript><p>Without JavaScript: the first and the last grid of each run.</p></noscript>"
    )
    extra = f"{together}</label>" if len(shown) > 1 else ""
    return (
        "Samples over training",
        f'<p>{says}</p>{plain}{extra}<div class="players">{"".join(shown)}</div>',
    )


def _player(runs: Sequence[Run], i: int) -> str:
    run, frames = runs[i], []
    end = len(run.samples) - 1
    for n, (images, picture) in enumerate(run.samples):
        hidden = "" if n in (0, end) else " hidden"
        tag = picture.tag(f"samples of {run.label} after {as_count(images)} images")
        caption = f"<figcaption>{as_count(images)} images</figcaption>"
        frames.append(
            f'<figure class="frame" data-images="{images}"{hidden}>{tag}{caption}</figure>'
        )
    controls = (
        '<div class="controls" hidden><button data-go="-1" aria-label="previous">‹</button><button'
        ' class="play" aria-label="play">▶</button><button data-go="1"'
        f' aria-label="next">›</button><input type="range" min="0" max="{end}" value="{end}"'
        ' aria-label="images seen"></div>'
    )
    return (
        f'<div class="player" style="--c:var(--k{i})"><h3>{_key(runs, i)}</h3>{controls}'
        f'<div class="frames">{"".join(frames)}</div></div>'
    )


def evaluations(runs: Sequence[Run]) -> tuple[str, str]:
    """A chart a metric that was measured more than once, all runs in it; its control is dashed in
    the same chart."""
    names, shown, once = _names(runs), [], []
    control = {name: CONTROL.sub("", name) for name in names if CONTROL.search(name)}
    for name in names:
        if control.get(name) in names:
            continue
        if all(len(run.values(name)) < 2 for run in runs):
            once.append(name)
            continue
        lines = []
        for each in [name, *(c for c, base in control.items() if base == name)]:
            for i, run in enumerate(runs):
                points = run.values(each)
                errors = [
                    _se(e, each) for e in run.evaluations if each in as_mapping(e.get("values"))
                ]
                x, y = [n / 1000 for n, _ in points], [value for _, value in points]
                low, high = (
                    [a + sign * b for a, b in zip(y, errors, strict=True)] for sign in (-1, 1)
                )
                lines.append(Line(i, x, y, low, high, each != name))
        sign = {-1: ", lower is better", 1: ", higher is better", 0: ""}[_direction(name)]
        log = _direction(name) < 0
        shown.append(
            charts.chart(
                _labelled(runs), f"{name}{sign}", {name: lines}, "thousands of images", log=log
            )
        )
    says = (
        "Bands: ± one standard error or deviation. A run's mark is its shape as well as its colour."
    )
    says += f" Measured no more than once, so without a curve: {_keys(once)}." if once else ""
    return "Evaluations", f"<p>{says}</p>{_charts(shown)}" if shown else ""


def robustness(runs: Sequence[Run]) -> tuple[str, str]:
    """A chart a corruption: how the metric grows as generated, and as held-back real pictures are
    spoilt."""
    shown = []
    metrics = dict.fromkeys(
        name.removeprefix("held_out/") for run in runs for name in run.of("curves")
    )
    for metric in metrics:
        pairs = [(i, key != metric, as_mapping(run.of("curves").get(key)))
                 for key in (metric, f"held_out/{metric}") for i, run in enumerate(runs)]  # fmt: skip
        for corruption in dict.fromkeys(kind for _, _, curves in pairs for kind in curves):
            curves = [
                (i, control, as_points(curves.get(corruption))) for i, control, curves in pairs
            ]
            strengths = sorted({x for _, _, points in curves for x, _ in points})
            if not strengths:
                continue
            place = {x: n for n, x in enumerate(strengths)}
            lines = [
                Line(i, [place[x] for x, _ in p], [y for _, y in p], control=c)
                for i, c, p in curves
            ]
            unit = CORRUPTIONS[corruption].unit if corruption in CORRUPTIONS else "strength"
            ticks, title = [f"{x:g}" for x in strengths], f"{metric} under {corruption}"
            label = f"{corruption}: {unit}"
            shown.append(charts.chart(_labelled(runs), title, {metric: lines}, label, ticks=ticks))
    says = (
        "<p>The last evaluation. Solid: generated pictures, spoilt ever more; dashed: the control,"
        " real held-back pictures spoilt alike. The leftmost point is clean.</p>"
    )
    return "Robustness", says + _charts(shown) if shown else ""


def neighbours(runs: Sequence[Run]) -> tuple[str, str]:
    """Pictures of the last evaluations with their captions; only files inside the run's folder."""
    shown = []
    for i, run in enumerate(runs):
        for name, about in run.of("pictures").items():
            file, caption = (
                str(as_mapping(about).get("file")),
                str(as_mapping(about).get("caption", "")),
            )
            picture = picture_in(run.folder, file)
            missing = f"<p class=none>{text(file)} can't be shown.</p>"
            inner = picture.tag(f"{name} of {run.label}") if picture else missing
            caption = f"{_key(runs, i)} <b>{text(name)}</b>: {text(caption)}"
            shown.append(f"<figure>{inner}<figcaption>{caption}</figcaption></figure>")
    return "Pictures", f'<div class="wide">{"".join(shown)}</div>' if shown else ""


def groups(runs: Sequence[Run]) -> tuple[str, str]:
    """A table a metric: a row a group, its control of real pictures beside each run's; the larger
    the stronger shaded."""
    shown = []
    names = dict.fromkeys(name for run in runs for name in run.of("groups"))
    control = {name: CONTROL.sub("", name) for name in names if CONTROL.sub("", name) in names}
    for metric in (name for name in names if control.get(name, name) == name):
        columns, head = [], [""]
        for i, run in enumerate(runs):
            for name in (
                metric,
                *(c for c, base in control.items() if base == metric and c != metric),
            ):
                column = {
                    k: as_number(v) for k, v in as_mapping(run.of("groups").get(name)).items()
                }
                if column:
                    columns.append(column)
                    head.append(
                        _key(runs, i)
                        + f"<small>{'generated' if name == metric else 'real pictures'}</small>"
                    )
        finite = [v for column in columns for v in column.values() if math.isfinite(v)]
        low, high = min(finite, default=0), max(finite, default=0)
        rows = []
        for group in sorted({name for column in columns for name in column}):
            cells = [_heat(column.get(group), low, high) for column in columns]
            rows.append([text(group), *cells])
        if rows:
            shown.append(f"<figure><h3>{text(metric)}</h3>{charts.table(head, rows)}</figure>")
    says = "<p>The last evaluation, group by group. The larger, the stronger the shade.</p>"
    return "By group", f'{says}<div class="wide heats">{"".join(shown)}</div>' if shown else ""


def _heat(value: float | None, low: float, high: float) -> str:
    if value is None:
        return '<span class="none">–</span>'
    share = (
        (value / 2 - low / 2) / (high / 2 - low / 2) if math.isfinite(value) and high > low else 0
    )
    return f'<div class="heat" style="--v:{0.05 + 0.55 * share:.2f}">{_show(value)}</div>'


def tables(runs: Sequence[Run]) -> tuple[str, str]:
    """The tables that the last evaluations hold, as they are."""
    shown = []
    for i, run in enumerate(runs):
        for name, about in run.of("tables").items():
            head, rows = (
                as_list(as_mapping(about).get("columns")),
                as_list(as_mapping(about).get("rows")),
            )
            cells = [[text(as_text(x)) for x in as_list(row)] for row in rows]
            inner = charts.table([text(as_text(x)) for x in head], cells)
            shown.append(f"<figure><h3>{text(name)} {_key(runs, i)}</h3>{inner}</figure>")
    return "Tables", f'<div class="wide">{"".join(shown)}</div>' if shown else ""


def losses(runs: Sequence[Run]) -> tuple[str, str]:
    """A chart a player, d/... and g/...: what was logged, one metric above the other."""
    names = dict.fromkeys(
        name for run in runs for line in run.lines for name in line if "/" in name
    )
    names = [name for name in names if name != "img/s" and not name.startswith("eval/")]
    names.sort(key=lambda name: (name.partition("/")[0], not name.endswith("/loss"), name))
    shown = []
    for group in dict.fromkeys(name.partition("/")[0] for name in names):
        panels = {name: _logged(runs, name) for name in names if name.startswith(f"{group}/")}
        title = {"d": "critic", "g": "generator"}.get(group, group)
        title = f"{title}, {group}/…"
        shown.append(
            charts.chart(_labelled(runs), title, panels, "thousands of images", marks=False)
        )
    says = (
        f"<p>The log's own numbers. Of more than {charts.MOST_POINTS} a run, a point is the mean of"
        " neighbours and the band their range.</p>"
    )
    return "Losses", says + _charts(shown) if shown else ""


def speed(runs: Sequence[Run]) -> tuple[str, str]:
    medians = []
    for i, run in enumerate(runs):
        rates = [
            rate
            for rate in (as_number(line.get("img/s")) for line in run.lines)
            if math.isfinite(rate)
        ]
        if rates:
            medians.append(f"{_key(runs, i)} {statistics.median(rates):,.1f}")
    if not medians:
        return "", ""
    panel = {"images a second": _logged(runs, "img/s")}
    chart = charts.chart(_labelled(runs), "img/s", panel, "thousands of images", marks=False)
    says = f"<p>Images a second of wall-clock time. Median: {', '.join(medians)}.</p>"
    return "Throughput", says + _charts([chart])


def settings(runs: Sequence[Run]) -> tuple[str, str]:
    """What differs between the configs, then each whole."""
    has = [i for i, run in enumerate(runs) if run.config]
    shown = ""
    if len(has) > 1:
        apart = differing([runs[i].config for i in has]).items()
        rows = [
            [text(key), *(f"<code>{text(as_text(x))}</code>" for x in values)]
            for key, values in apart
        ]
        head = ["differs", *(_key(runs, i) for i in has)]
        shown = charts.table(head, rows) if rows else "<p>The configs are the same.</p>"
    for i in has:
        whole = text(json.dumps(runs[i].config, indent=1, sort_keys=True, ensure_ascii=False))
        shown += (
            f"<details><summary>{_key(runs, i)} the whole"
            f" config</summary><pre>{whole}</pre></details>"
        )
    return "Settings", shown


def protocol(runs: Sequence[Run]) -> tuple[str, str]:
    """How the last evaluations measured, in full, folded."""
    has = [i for i, run in enumerate(runs) if run.of("protocol")]
    stamps = [
        flattened({**runs[i].of("protocol"), "seconds": runs[i].last.get("seconds")}) for i in has
    ]
    rows = []
    for key in dict.fromkeys(key for stamp in stamps for key in stamp):
        values = [as_text(stamp.get(key, MISSING)) for stamp in stamps]
        cells = [f"<code>{text(value)}</code>" for value in values]
        if len(set(values)) > 1:
            cells = [
                _marked(cell, "soft" if key.split(".")[0] in HARMLESS else "bad") for cell in cells
            ]
        rows.append([text(key), *cells])
    if not rows:
        return "", ""
    table = charts.table(["", *(_key(runs, i) for i in has)], rows)
    says = (
        "<p>All that the numbers depend on beside the weights; one number compares with another"
        " under the same.</p>"
    )
    return (
        "Protocol",
        f"{says}<details><summary>of the last evaluations, in full</summary>{table}</details>",
    )


# Reading.


# Values: whatever a line holds, these give something to show.


def _incomparable(runs: Sequence[Run]) -> dict[str, list]:
    """What differs between the protocols of the runs' last evaluations and changes what the numbers
    mean."""
    return _grave([run.of("protocol") for run in runs if run.evaluations])


def _grave(protocols: Sequence[Mapping]) -> dict[str, list]:
    return {
        key: row for key, row in differing(protocols).items() if key.split(".")[0] not in HARMLESS
    }


def _names(runs: Sequence[Run]) -> list[str]:
    """Metrics in the order they first appear, controls behind theirs; a standard error belongs to
    its metric."""
    found = dict.fromkeys(
        name for run in runs for e in run.evaluations for name in as_mapping(e.get("values"))
    )
    names = [
        name for name in found if not (name.endswith(ERRORS) and name.rpartition("_")[0] in found)
    ]
    base = {
        name: CONTROL.sub("", name) if CONTROL.sub("", name) in names else name for name in names
    }
    return sorted(names, key=lambda name: (names.index(base[name]), base[name] != name))


def _words(name: str) -> list[str]:
    return re.split("[^a-z]+", name.lower())


def _direction(name: str) -> int:
    """-1: lower is better, 1: higher, 0: neither."""
    words = set(_words(name))
    return 0 if words & NEITHER else -1 if words & LOWER else 1 if words & HIGHER else 0


def _se(evaluation: dict, name: str) -> float:
    """The standard error beside a value, or the deviation over repetitions where that is what was
    kept; else 0."""
    values = as_mapping(evaluation.get("values"))
    errors = (as_number(values.get(name + ending)) for ending in ERRORS)
    return next((error for error in errors if 0 <= error < math.inf), 0.0)


def _top(points: Sequence[tuple[float, float]], sign: int) -> tuple[float, float]:
    finite = [(n, value) for n, value in points if math.isfinite(value)]
    return max(finite, key=lambda p: sign * p[1], default=(0.0, math.nan))


def _marks(values: Sequence[tuple[float, float]], sign: int) -> list[str]:
    """ "best" for the best of (value, standard error), "tie" for those within two standard errors
    of it, else "".

    No marks where all are 0: runs without any recall have not won.
    """
    finite = [sign * value for value, _ in values if sign and math.isfinite(value)]
    if len(finite) < 2 or not any(finite):
        return [""] * len(values)
    best = max(finite)
    error = next(se for value, se in values if sign * value == best)
    near = lambda value, se: best - sign * value <= 2 * math.hypot(error, se)
    return [
        "best" if sign * v == best else "tie" if math.isfinite(v) and se and near(v, se) else ""
        for v, se in values
    ]


def _logged(runs: Sequence[Run], name: str) -> list[Line]:
    points = lambda run: [
        (line["images"] / 1000, as_number(line[name])) for line in run.lines if name in line
    ]
    return [charts.thinned(i, points(run)) for i, run in enumerate(runs)]


# Writing HTML.


def _show(value: float, se: float = 0.0) -> str:
    """Four digits, or as many as the error has meaning for."""
    if not math.isfinite(value):
        return f'<span class="bad">{value}</span>'
    if se > 0:
        digits = min(max(1 - math.floor(math.log10(se)), 0), 12)
        return f"{value:,.{digits}f} <span class=se>± {se:,.{digits}f}</span>"
    return f"{value:,.0f}" if 1e4 <= abs(value) < 1e15 else f"{value:.4g}"


def _keys(rows: Mapping[str, list]) -> str:
    return ", ".join(f"<code>{text(key)}</code>" for key in rows)


def _marked(inner: str, mark: str) -> str:
    return f'<b class="{mark}">{inner}</b>' if mark else inner


def _labelled(runs: Sequence[Run]) -> list[str]:
    return [run.label for run in runs]


def _key(runs: Sequence[Run], i: int) -> str:
    return charts.key(_labelled(runs), i)


def _absent(runs: Sequence[Run], missing: Sequence[int]) -> str:
    return f" Without any: {', '.join(_key(runs, i) for i in missing)}." if missing else ""


def _switches(runs: Sequence[Run]) -> str:
    """The legend; with the script running, a click takes a run out of the charts."""
    keys = [
        f'<button class="switch" data-run="{i}" aria-pressed="true">{_key(runs, i)}</button>'
        for i in range(len(runs))
    ]
    return f'<div class="legend">{"".join(keys)}</div>'


def _charts(figures: Sequence[str]) -> str:
    return f'<div class="charts">{"".join(figures)}</div>'
