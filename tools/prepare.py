"""Pictures into a data set: python tools/prepare.py photos --out sets/mine --size 256.

Each picture is turned upright, cropped to a square, scaled to --size and written as PNG to
OUT/train, OUT/validation or OUT/test; sub-folders (a style or a class each) stay. What is
unreadable, too small or a near-copy is left out and named with its reason in OUT/rejects.tsv;
OUT/card.json says how the set was made.

Emoji drawn by two vendors, 3,786 pairs, split by emoji so that the skin tones of one stay together:
  npm pack emoji-datasource-google@16.0.0 emoji-datasource-twitter@16.0.0
  python tools/prepare.py emoji-datasource-*.tgz --out sets/emoji --size 64
"""

import functools
import pathlib
import time

from gan_jax.runtime import cli


def main() -> None:
    parser = cli.Parser(__doc__)
    parser.add_argument(
        "input", nargs="+", type=pathlib.Path, help="a folder of pictures, or emoji packages (.tgz)"
    )
    parser.add_argument("--out", required=True, type=pathlib.Path, help="the new folder")
    parser.add_argument(
        "--size", required=True, type=int, metavar="N", help="pixels, the square's side"
    )
    parser.add_argument(
        "--crop",
        default="center",
        help=(
            "center, stretch, bounds: what is drawn, amid its ground, or face: the largest one, its"
            " eyes level (default %(default)s)"
        ),
    )
    parser.add_argument(
        "--smallest",
        type=int,
        metavar="N",
        help="leave out what has a shorter side (of bounds: the longer) below N (default: --size)",
    )
    parser.add_argument(
        "--near", type=functools.partial(cli.whole, least=-1), metavar="BITS",
        help="bits of 64 in which the looks of near-copies may differ; -1: keep them (default 3; emoji: -1)",
    )  # fmt: skip
    parser.add_argument(
        "--validation",
        type=float,
        default=0.1,
        metavar="SHARE",
        help="of the pictures, to choose by (default %(default)s)",
    )
    parser.add_argument(
        "--test",
        type=float,
        default=0.1,
        metavar="SHARE",
        help="of the pictures, to measure by (default %(default)s)",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the split (default %(default)s)")
    parser.add_argument(
        "--category",
        action="append",
        default=[],
        help="emoji of this category only; may be repeated",
    )
    flags = parser.parse_args()

    from gan_jax.data import prepare

    packed = [path.suffix == ".tgz" for path in flags.input]
    if any(packed) != all(packed) or (not any(packed) and len(flags.input) > 1):
        raise ValueError(
            f"{flags.input[0]} ...: give one folder of pictures, or packages (.tgz) only."
        )
    for path in flags.input:
        if not path.exists():
            raise ValueError(f"{path}: no such file or folder.")
    if flags.category and not all(packed):
        raise ValueError("--category: it is of emoji packages; a folder has none.")
    near = (-1 if any(packed) else 3) if flags.near is None else flags.near
    recipe = prepare.Recipe(
        flags.size,
        flags.crop,
        flags.smallest,
        None if near == -1 else near,
        (flags.validation, flags.test),
        flags.seed,
    )
    if any(packed):
        pictures = list(prepare.emoji(flags.input, tuple(flags.category)))
        about = f"emoji of {', '.join(path.name for path in flags.input)}"
    else:
        pictures, about = (
            list(prepare.pictures_in(flags.input[0], print)),
            f"pictures of {flags.input[0].resolve().name}",
        )
    began = said = time.monotonic()

    def step(done: int, of: int) -> None:
        nonlocal said
        now = time.monotonic()
        if now - said > 1 or done == of:
            print(
                f"\r{done}/{of} pictures, {done / max(now - began, 1e-9):.0f} pictures/s ",
                end="",
                flush=True,
            )
            said = now

    try:
        card = prepare.prepare(
            pictures, flags.out, recipe, about, lambda line: print(f"\n{line}", end=""), step
        )
    finally:
        print()
    counts = ", ".join(f"{count:,} in {name}" for name, count in card["pictures"].items())
    print(
        f"{counts}; {card['rejected']:,} left out: {flags.out / 'rejects.tsv'},"
        f" {flags.out / 'card.json'}"
    )


if __name__ == "__main__":
    cli.tool(main)
