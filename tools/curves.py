"""A metric of several runs against training time, as a picture: python tools/curves.py runs/a
runs/b --out curves.png."""

import pathlib

from gan_jax.runtime import cli
from gan_jax.runtime.text import shown


def main() -> None:
    parser = cli.Parser(__doc__)
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
    flags = parser.parse_args()
    if flags.out.suffix not in (".png", ".svg"):
        raise ValueError(f"{flags.out}: no known kind of picture. Known: .png, .svg.")

    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    from gan_jax.data import lettering
    from gan_jax.reporting import runs
    from gan_jax.runtime import registry

    found = runs.read(flags.workdirs)
    labels, said = lettering.labels([run.label for run in found])
    matplotlib.rcParams["font.family"] = lettering.families(labels)
    figure, axes = pyplot.subplots(figsize=(7, 4.2), dpi=150, layout="constrained")
    for run, label, marker in zip(found, labels, "osD^vP*X" * len(flags.workdirs), strict=False):
        points = [(run.seconds(images) / 60, value) for images, value in run.values(flags.metric)]
        if not points:
            known = {
                name
                for evaluation in run.evaluations
                for name in runs.as_mapping(evaluation.get("values"))
            }
            raise ValueError(
                f"--metric={flags.metric}: not measured in {run.folder}."
                f" {registry.suggest(flags.metric, known)}"
            )
        axes.plot(
            *zip(*points, strict=True), marker=marker, markersize=4, linewidth=1.2, label=label
        )
        print(
            f"{shown(run.label)}: {points[-1][1]:.4g} after {points[-1][0]:.1f} minutes of"
            f" training; best {best(points)}"
        )
    axes.set(xlabel="minutes of training (evaluations not counted)", ylabel=flags.metric)
    axes.set_yscale("linear" if flags.linear else "log")
    axes.grid(which="both", alpha=0.25)
    axes.legend()
    flags.out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(flags.out)
    for line in (flags.out, *said):
        print(line)


def best(points: list[tuple[float, float]]) -> str:
    low, high = (pick(points, key=lambda point: point[1]) for pick in (min, max))
    return (
        f"{low[1]:.4g} (lowest, minute {low[0]:.1f}), {high[1]:.4g} (highest, minute {high[0]:.1f})"
    )


if __name__ == "__main__":
    cli.tool(main)
