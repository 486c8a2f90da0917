"""Figures of a generator that was adapted to few portraits of one drawing style: python
tools/measure_adaptation.py runs/nine runs/dylan --source-class toon-head --style dylan --out
runs/adaptation.json.

KID to the whole style, variety within what is nearest to one of the few, copies, and whether skin
and hair of a z are kept, each beside its control. One JSON object is written to --out.
"""

import json
import pathlib

import numpy as np

from gan_jax.runtime import cli
from gan_jax.runtime.files import replace_text


def main(argv: list[str] | None = None) -> None:
    parser = cli.Parser(__doc__)
    add = parser.add_argument
    add("source", help="the run that the other started from")
    add("adapted", help="the run on the few portraits")
    add("--source-class", required=True, help="the drawing style that it started as")
    add("--style", required=True, help="the drawing style of the few")
    add("--people", type=int, default=12, help="config.data.identities of the few (default 12)")
    add("--count", type=int, default=500, help="pictures (default %(default)s)")
    add("--out", required=True, type=pathlib.Path, help="JSON file to write")
    flags = parser.parse_args(argv)
    if not 2 <= flags.count <= 900:
        raise ValueError(
            f"--count={flags.count}: it must be 2 to 900, as many as there are people."
        )

    from gan_jax.data.source import open_source
    from gan_jax.evaluation import adaptation
    from gan_jax.inference import loading

    before, after = (
        loading.load_sampler(run, command="sample") for run in (flags.source, flags.adapted)
    )
    side, _, channels = after.shape
    settings = {"source": "avatars", "resolution": side, "channels": channels, "labels": None}
    few = open_source(settings | {"styles": (flags.style,), "identities": flags.people})
    own = few.load(np.arange(len(few)), np.zeros(len(few), np.uint32))["image"]
    values = adaptation.measure(before, flags.source_class, after, flags.style, own, flags.count)
    print(", ".join(f"{name} {value:.4g}" for name, value in values.items()))
    replace_text(flags.out, json.dumps(values, indent=1) + "\n")


if __name__ == "__main__":
    cli.tool(main)
