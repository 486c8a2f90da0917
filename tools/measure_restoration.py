"""Networks that enlarge beside filters: python tools/measure_restoration.py photos --out
runs/restoration.json.

Pictures are made four times as small (bicubic) and enlarged again. One JSON object is written to
--out: PSNR, SSIM, LPIPS and seconds of each method; with --speed, of one picture of that side
through each network, milliseconds and memory, one network a process being the fair way.
"""

import json
import pathlib

from gan_jax.runtime import cli
from gan_jax.runtime.files import replace_text

TIMES = 4


def main(argv: list[str] | None = None) -> None:
    parser = cli.Parser(__doc__)
    add = parser.add_argument
    add("input", type=pathlib.Path, nargs="*", help="pictures, and folders of them")
    add("--out", required=True, type=pathlib.Path, help="JSON file to write")
    add("--models", default="fast,drawing,photo", help="by comma (default %(default)s)")
    add("--side", type=int, default=512, help="pixels taken of the middle (default %(default)s)")
    add("--portraits", type=int, default=0, help="held-back drawings to measure on instead")
    add("--speed", type=int, metavar="SIDE", help="measure the speed instead")
    flags = parser.parse_args(argv)

    from gan_jax.evaluation import restoration
    from gan_jax.inference import restore

    models = flags.models.split(",")
    if flags.speed:
        values = {name: restoration.speed(name, flags.speed, rounds=8) for name in models}
    else:
        pictures = restoration.read(flags.input, flags.portraits, flags.side)
        found = restoration.pairs(pictures, TIMES, flags.side)
        methods = restoration.filters(TIMES)
        for name in models:
            restorer = restore.Restorer(*restore.load(name), scale=TIMES, tile=max(flags.side, 96))
            methods[name] = restorer.enlarged
        values = restoration.measure(found, methods, TIMES)
    for name, each in values.items():
        print(name, each)
    replace_text(flags.out, json.dumps(values, indent=1) + "\n")


if __name__ == "__main__":
    cli.tool(main)
