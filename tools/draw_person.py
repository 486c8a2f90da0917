"""One drawn person many times, with other mouths and eyes: python tools/draw_person.py --out anna.

For trying personalization where it can be measured: skin, hair, clothes and glasses stay. People of
avatars.py's split "test" are unknown to its runs: with 1,200 of them, 1100 to 1199.
"""

import pathlib

from gan_jax.data import drawings
from gan_jax.runtime import cli, registry
from gan_jax.runtime.files import replace_bytes


def main(argv: list[str] | None = None) -> None:
    parser = cli.Parser(__doc__)
    add = parser.add_argument
    add("--out", required=True, type=pathlib.Path, help="folder for the PNG files")
    add("--style", default="avataaars", help="drawing style (default %(default)s)")
    add("--person", type=int, default=1100, help="number of the person (default %(default)s)")
    add("--count", type=int, default=20, help="pictures (default %(default)s)")
    add("--side", type=int, default=256, help="pixels a side (default %(default)s)")
    add(
        "--vary",
        default="mouth,eyes,eyebrows",
        help="parts of the drawing that differ, by comma (default %(default)s)",
    )
    flags = parser.parse_args(argv)
    registry.choose(drawings.STYLES, flags.style, "--style")
    parts = [part.strip() for part in flags.vary.split(",")]
    for variant in range(flags.count):
        drawn = drawings.draw(flags.style, flags.person, flags.side, variant, parts)
        flags.out.mkdir(parents=True, exist_ok=True)
        replace_bytes(flags.out / f"{variant:03d}.png", drawn)
    print(f"{flags.count} pictures of person {flags.person} ({flags.style}) in {flags.out}")


if __name__ == "__main__":
    cli.tool(main)
