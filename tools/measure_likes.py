"""How soon ideas follow what somebody likes: python tools/measure_likes.py --out runs/likes.json.

Simulated people like a color, a kind of clothes, or a kind in light or dark colors, and rate sheets
of twelve; of the five best that they have not seen, the share that they like is printed after each
sheet, beside chance.
"""

import json
import pathlib

from gan_jax.runtime import cli
from gan_jax.runtime.files import replace_text


def main(argv: list[str] | None = None) -> None:
    parser = cli.Parser(__doc__)
    parser.add_argument("--out", required=True, type=pathlib.Path, help="JSON file to write")
    flags = parser.parse_args(argv)

    from gan_jax.evaluation import preferences

    values = preferences.measure()
    for name, found in values.items():
        rounds = ", ".join(f"{x:.2f}" for x in found["precision"])
        print(f"{name}: {found['people']} people, chance {found['chance']:.2f}; {rounds}")
    replace_text(flags.out, json.dumps(values, indent=1) + "\n")


if __name__ == "__main__":
    cli.tool(main)
