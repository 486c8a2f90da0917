"""A run that fills holes beside methods without a network: python tools/measure_inpainting.py
runs/lama --out runs/inpainting.json.

Held-back portraits get holes of the same places every time, and the measures of each method are
printed by the share that is missing. One JSON object is written to --out.
"""

import json
import pathlib

from gan_jax.runtime import cli
from gan_jax.runtime.files import replace_text


def main(argv: list[str] | None = None) -> None:
    parser = cli.Parser(__doc__)
    add = parser.add_argument
    add("run", type=pathlib.Path, help="a run, a model, or a file of LaMa's official network")
    add("--out", required=True, type=pathlib.Path, help="JSON file to write")
    add("--data", type=pathlib.Path, help="folder of pictures instead of the portraits")
    add("--side", type=int, default=64, help="pixels they are brought to (default %(default)s)")
    add("--masks", default="thick", help="thin, medium or thick (default %(default)s)")
    add("--count", type=int, default=100, help="pictures a share (default %(default)s)")
    flags = parser.parse_args(argv)

    from gan_jax.evaluation import inpainting
    from gan_jax.inference import inpaint

    data = {"source": "avatars", "labels": None, "split": "test", "resolution": flags.side}
    if flags.data is not None:
        data = {"source": "folder", "path": str(flags.data), "resolution": flags.side}
        data |= {"labels": False}
    methods = inpainting.CONTROLS | {"network": inpainting.of(inpaint.load(flags.run))}
    values = {}
    for share in inpainting.BUCKETS:
        torn = list(inpainting.pictures(data, flags.masks, share, flags.count))
        found = inpainting.measure(torn, methods)
        values["{:.0%} to {:.0%}".format(*share)] = found
        for name, each in found.items():
            print("{:.0%} to {:.0%}".format(*share), name, each)
    replace_text(flags.out, json.dumps(values, indent=1) + "\n")


if __name__ == "__main__":
    cli.tool(main)
