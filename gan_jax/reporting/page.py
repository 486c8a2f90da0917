"""Run folders -> one HTML page that shows them side by side. The page opens from disk and loads
nothing from outside.

It shows what training and evaluation wrote: config.json, metrics.jsonl, evaluations.jsonl and
samples/. What is missing, damaged or not finite is stated on the page. Needs no JAX; the same
folders give the same bytes. How the page looks stands in templates/.
"""

import functools
import json
import math
import pathlib
from collections.abc import Iterator, Mapping, Sequence

import jinja2
import markupsafe

from gan_jax.reporting import charts, comparison, curves, equal_time
from gan_jax.reporting.comparison import Known, Values
from gan_jax.reporting.json_values import (
    MISSING,
    as_count,
    as_list,
    as_mapping,
    as_number,
    as_text,
    flattened,
)
from gan_jax.reporting.runs import Run, picture_in
from gan_jax.runtime.files import replace_text

# settings that stand on a run's card
CARD = ("algorithm", "model", "data.source", "data.resolution", "game.loss", "game.penalty",
        "opt_g.lr", "opt_d.lr", "batch", "seed")  # fmt: skip


def write(path: str | pathlib.Path, text: str) -> None:
    """Writes the whole new page, or leaves the old file. Raises OSError where it can't."""
    # half a surrogate pair in someone's text becomes "?"
    replace_text(pathlib.Path(path), text, errors="replace")


def page(
    runs: Sequence[Run],
    known: Known = comparison.unknown,
    timed: Sequence[equal_time.Row] = (),
) -> str:
    """The HTML page: everything inline, readable without JavaScript, light or dark as the reader's
    system is.

    known: what is known of a value whose record does not state it; see comparison.
    timed: a row a run, where all were trained for the same time.
    """
    values = Values(runs, known)
    template = _templates().get_template("page.html")
    return template.render(
        runs=runs,
        evaluated=[i for i, run in enumerate(runs) if run.evaluations],
        sampled=[i for i, run in enumerate(runs) if run.samples],
        configured=[i for i, run in enumerate(runs) if run.config],
        cards=[_card(run) for run in runs],
        changed=[(i, changes) for i, run in enumerate(runs) if (changes := _changed(run))],
        incomparable=comparison.incomparable(runs),
        timed=timed,
        numbers=_numbers(runs, values),
        evaluations=curves.evaluations(runs, values),
        measured_once=curves.measured_once(runs, values),
        robustness=list(curves.robustness(runs)),
        pictures=list(_pictures(runs)),
        groups=list(_groups(runs, values)),
        tables=list(_tables(runs)),
        losses=list(curves.losses(runs)),
        speed=curves.speed(runs),
        differing_settings=comparison.differing([run.config for run in runs if run.config]),
        protocol=_protocol(runs),
    )


@functools.cache
def _templates() -> jinja2.Environment:
    loader = jinja2.PackageLoader("gan_jax.reporting")
    environment = jinja2.Environment(
        loader=loader,
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for name in ("style.css", "page.js"):
        text = loader.get_source(environment, name)[0]
        environment.globals[name.replace(".", "_")] = markupsafe.Markup(text)
    environment.globals |= {"glyphs": charts.GLYPHS, "light": charts.LIGHT, "dark": charts.DARK}
    environment.globals |= {"MOST_POINTS": charts.MOST_POINTS, "isfinite": math.isfinite}
    environment.filters |= {"count": as_count, "text": as_text, "number": number, "json": _json}
    return environment


def number(value: float, error: float = 0.0) -> str:
    """A finite number with four digits, or with as many as its error gives a meaning to."""
    if error > 0:
        digits = min(max(1 - math.floor(math.log10(error)), 0), 12)
        return f"{value:,.{digits}f}"
    return f"{value:,.0f}" if 1e4 <= abs(value) < 1e15 else f"{value:.4g}"


def _json(tree: Mapping) -> str:
    return json.dumps(tree, indent=1, sort_keys=True, ensure_ascii=False)


# What the page's sections show. A section for which there is nothing is left out.


def _card(run: Run) -> dict:
    """How far a run has come, and its main settings."""
    times = [line["images"] for line in run.lines + run.evaluations]
    leaves = flattened(run.config)
    return {
        "images": max(times + [images for images, _ in run.samples], default=0),
        "total": as_number(run.config.get("total_kimg")) * 1000,
        "settings": {key: leaves[key] for key in CARD if leaves.get(key) is not None},
    }


def _changed(run: Run) -> list[tuple[str, str]]:
    """(key, 'old → new') of what changed in a run's protocol over time and changes what its numbers
    mean."""
    evaluations = run.evaluations
    protocols = [as_mapping(p) for e in evaluations for p in e.get("protocols", [])]
    changed = comparison.serious_differences(protocols).items()
    return [(key, " → ".join(dict.fromkeys(map(as_text, values)))) for key, values in changed]


def _numbers(runs: Sequence[Run], values: Values) -> dict:
    """Value x run, of the last evaluation, with the best over time; whether the best of several
    runs stands out."""
    runs = [run for run in runs if run.evaluations]
    contest = len(runs) > 1 and not comparison.incomparable(runs)
    rows = [
        (name, about, _cells(runs, name, values, about.sign if contest else 0))
        for name, about in values.items()
    ]
    return {"rows": rows, "contest": contest} if rows else {}


def _cells(runs: Sequence[Run], name: str, values: Values, contest: int) -> list[dict]:
    """A value in each run. contest: 0, or the sign by which the runs are compared, those left out
    that were trained through the network that measures them."""
    sign = values[name].sign
    last = [(as_number(run.of("values").get(name)), values.error(run.last, name)) for run in runs]
    best = [comparison.best_of(run.values(name), sign) for run in runs]
    biased = [as_mapping(run.of("about").get(name)).get("in_training") is True for run in runs]
    marks = comparison.marks(_without(last, biased), contest)
    marks_of_best = comparison.marks(_without([(x, 0.0) for _, x in best], biased), contest)
    cells = []
    for i, run in enumerate(runs):
        several = sign and len(run.values(name)) > 1 and math.isfinite(best[i][1])
        cells.append({
            "measured": name in run.of("values"),
            "value": last[i][0],
            "error": last[i][1],
            "mark": marks[i],
            "note": run.of("notes").get(name),
            "best": best[i] if several else None,
            "mark_of_best": marks_of_best[i],
        })  # fmt: skip
    return cells


def _without(values: Sequence[tuple[float, float]], biased: Sequence[bool]):
    """(value, error) of each run, NaN where it is biased."""
    return [(math.nan, 0.0) if no else each for each, no in zip(values, biased, strict=True)]


def _pictures(runs: Sequence[Run]) -> Iterator[tuple]:
    """(run, name, file, its Picture or None, caption) of the last evaluations' pictures."""
    for i, run in enumerate(runs):
        for name, about in run.of("pictures").items():
            about = as_mapping(about)
            file, caption = str(about.get("file")), str(about.get("caption", ""))
            yield i, name, file, picture_in(run.folder, file), caption


def _groups(runs: Sequence[Run], values: Values) -> Iterator[dict]:
    """A table a value: a row a group, a column a run, with the run's control beside it."""
    names = dict.fromkeys(name for run in runs for name in run.of("groups"))
    base = {name: values.about(name).control_of for name in names}
    for name in (name for name in names if base[name] not in names):
        columns = []  # (run, whether a control, {group: value})
        for i, run in enumerate(runs):
            for each in (name, *(other for other in names if base[other] == name)):
                column = as_mapping(run.of("groups").get(each))
                if column:
                    numbers = {group: as_number(value) for group, value in column.items()}
                    columns.append((i, each != name, numbers))
        groups = sorted({group for _, _, column in columns for group in column})
        finite = [v for _, _, column in columns for v in column.values() if math.isfinite(v)]
        low, high = min(finite, default=0), max(finite, default=0)
        rows = [
            (group, [(c.get(group), _shade(c.get(group), low, high)) for _, _, c in columns])
            for group in groups
        ]
        if rows:
            yield {"name": name, "columns": columns, "rows": rows}


def _shade(value: float | None, low: float, high: float) -> str:
    """The opacity of a cell: from 0.05 for the least value to 0.60 for the greatest."""
    known = value is not None and math.isfinite(value) and high > low
    share = (value / 2 - low / 2) / (high / 2 - low / 2) if known else 0  # halves can't overflow
    return f"{0.05 + 0.55 * share:.2f}"


def _tables(runs: Sequence[Run]) -> Iterator[tuple]:
    """(run, name, head, rows) of the tables in the last evaluations."""
    for i, run in enumerate(runs):
        for name, about in run.of("tables").items():
            about = as_mapping(about)
            yield i, name, as_list(about.get("columns")), map(as_list, as_list(about.get("rows")))


def _protocol(runs: Sequence[Run]) -> dict:
    """How the last evaluations measured: {"runs": those that say, "rows": (key, a value each run,
    "" or what kind of difference)}."""
    stating = [i for i, run in enumerate(runs) if run.of("protocol")]
    protocols = [
        flattened({**runs[i].of("protocol"), "seconds": runs[i].last.get("seconds")})
        for i in stating
    ]
    rows = []
    for key in dict.fromkeys(key for protocol in protocols for key in protocol):
        values = [as_text(protocol.get(key, MISSING)) for protocol in protocols]
        kind = "soft" if comparison.harmless(key) else "bad"
        rows.append((key, values, kind if len(set(values)) > 1 else ""))
    return {"runs": stating, "rows": rows} if rows else {}
