"""Runs side by side on one HTML page: gan-jax report runs/a runs/b --out report.html.

The page opens from disk and needs no network.
"""

import pathlib
from collections.abc import Mapping

from gan_jax.runtime import cli


def main(argv: list[str] | None = None) -> None:
    parser = cli.Parser(__doc__, "report")
    parser.add_argument(
        "workdirs", nargs="+", metavar="WORKDIR", type=pathlib.Path, help="a run's workdir"
    )
    parser.add_argument("--out", required=True, type=pathlib.Path, help="the page, .html")
    flags = parser.parse_args(argv)

    from gan_jax.reporting import page, runs
    from gan_jax.reporting.json_values import plural

    text = page.page(runs.read(flags.workdirs), known)
    page.write(flags.out, text)
    print(f"{flags.out}: {len(text) / 2**20:.1f} MiB, {plural(len(flags.workdirs), 'run')}")


def known(name: str) -> Mapping:
    """What the measures declare of a value: for records of before it stood in each of them."""
    from gan_jax.evaluation import measures

    return measures.meaning(name)
