"""Runs side by side on one HTML page: python tools/report.py runs/a runs/b --out report.html."""

import pathlib

from gan_jax.runtime import cli


def main() -> None:
    parser = cli.Parser(__doc__)
    parser.add_argument(
        "workdirs", nargs="+", metavar="WORKDIR", type=pathlib.Path, help="a run's workdir"
    )
    parser.add_argument(
        "--out",
        required=True,
        type=pathlib.Path,
        help="the page; opens from disk, needs no network",
    )
    flags = parser.parse_args()

    from gan_jax.reporting import page, runs

    text = page.page(runs.read(flags.workdirs))
    page.write(flags.out, text)
    print(
        f"{flags.out}: {len(text) / 2**20:.1f} MiB, {len(flags.workdirs)}"
        f" run{'s' * (len(flags.workdirs) > 1)}"
    )


if __name__ == "__main__":
    cli.tool(main)
