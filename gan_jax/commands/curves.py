"""A value of several runs against training time, as a picture:
gan-jax curves runs/a runs/b --out curves.png."""

import argparse
import itertools
import pathlib
from collections.abc import Sequence

from gan_jax.runtime import cli, registry
from gan_jax.runtime.files import replacing
from gan_jax.runtime.text import shown

MARKERS = "osD^vP*X"  # of the runs


def main(argv: list[str] | None = None) -> None:
    flags = parse(argv)

    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    from gan_jax.data import lettering
    from gan_jax.reporting import runs

    found = runs.read(flags.workdirs)
    labels, notes = lettering.labels([run.label for run in found])
    matplotlib.rcParams["font.family"] = lettering.families(labels)
    figure, axes = pyplot.subplots(figsize=(7, 4.2), dpi=150, layout="constrained")
    for run, label, marker in zip(found, labels, itertools.cycle(MARKERS), strict=False):
        minutes, values = over_time(run, flags.metric)
        axes.plot(minutes, values, marker=marker, markersize=4, linewidth=1.2, label=label)
        print(f"{shown(run.label)}: {described(minutes, values)}")
    axes.set(xlabel="minutes of training (evaluations not counted)", ylabel=flags.metric)
    axes.set_yscale("linear" if flags.linear else "log")
    axes.grid(which="both", alpha=0.25)
    axes.legend()
    with replacing(flags.out) as draft:
        figure.savefig(draft)
    for line in (flags.out, *notes):
        print(line)


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = cli.Parser(__doc__, "curves")
    parser.add_argument(
        "workdirs", nargs="+", metavar="WORKDIR", type=pathlib.Path, help="a run's workdir"
    )
    parser.add_argument("--out", required=True, type=pathlib.Path, help="file: .png or .svg")
    parser.add_argument(
        "--metric", default="kid_efflite0", help="as in evaluations.jsonl (default %(default)s)"
    )
    parser.add_argument(
        "--linear", action="store_true", help="the metric on a linear scale, not a logarithmic one"
    )
    flags = parser.parse_args(argv)
    if flags.out.suffix not in (".png", ".svg"):
        raise ValueError(f"{flags.out}: no known kind of picture. Known: .png, .svg.")
    return flags


def over_time(run, metric: str) -> tuple[list[float], list[float]]:
    """(minutes of training, values) of a run's evaluations.
    Raises ValueError where there are none."""
    points = run.values(metric)
    if not points:
        known = {name for evaluation in run.evaluations for name in evaluation.get("values") or ()}
        raise ValueError(
            f"--metric={metric}: not measured in {run.folder}. {registry.suggest(metric, known)}"
        )
    return [run.seconds(images) / 60 for images, _ in points], [value for _, value in points]


def described(minutes: Sequence[float], values: Sequence[float]) -> str:
    """The last value, the lowest and the highest, with their times."""
    low, high = (pick(range(len(values)), key=values.__getitem__) for pick in (min, max))
    return (
        f"{values[-1]:.4g} after {minutes[-1]:.1f} minutes of training; best"
        f" {values[low]:.4g} (lowest, minute {minutes[low]:.1f}),"
        f" {values[high]:.4g} (highest, minute {minutes[high]:.1f})"
    )
