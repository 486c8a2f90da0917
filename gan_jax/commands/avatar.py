"""A photograph of a person, or a drawing, into avatars: gan-jax avatar me.jpg --out avatars.

One in each of ten drawing styles, by the model ten-styles, which comes with the package: skin and
hair are the person's, all else is the style's. Drawn in flat colors, so contours are sharp at any
--side. Pictures say of themselves that they are generated; nothing leaves this machine.
"""

import argparse
import pathlib
from collections import Counter

from gan_jax.runtime import cli


def main(argv: list[str] | None = None) -> None:
    flags = parse(argv)

    from gan_jax.data import scan
    from gan_jax.personalize import avatars

    files = []
    for path in flags.input:
        found, passed = scan.scan(path, "input") if path.is_dir() else ([path], Counter())
        files += found
        for line in scan.passed_over(passed):
            print(line)
    sampler = avatars.load(flags.model, flags.side, flags.trust_code)
    how = {"side": flags.side, "face": flags.face, "seed": flags.seed}
    avatars.make(sampler, files, flags.out, styles=list(dict.fromkeys(flags.style)), **how)


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = cli.Parser(__doc__, "avatar")
    add, path = parser.add_argument, pathlib.Path
    add("input", type=path, nargs="+", help="pictures, and folders of them")
    add("--out", required=True, type=path, help="folder for NAME_STYLE.png, and sheet/")
    add(
        "--model",
        default="ten-styles",
        help="a translator into several styles: a run's workdir, or a name of gan-jax models"
        " (default %(default)s)",
    )
    add(
        "--style",
        action="append",
        default=[],
        metavar="NAME",
        help="may be repeated; default all of the"
        " model: adventurer, avataaars, big-ears, big-smile, dylan, miniavs, personas, pixel-art,"
        " toon-head, voxel-art",
    )
    add(
        "--side",
        type=int,
        default=256,
        help="pixels of an avatar, 16 to 1024 (default %(default)s)",
    )
    add(
        "--face",
        type=int,
        default=1,
        help="of several faces which, 1 the largest (default 1); needs the detector",
    )
    add("--seed", type=int, default=0, help="another seed, other variants (default 0)")
    cli.trusts_code(parser)
    flags = parser.parse_args(argv)
    for file in flags.input:
        if not file.exists():
            raise ValueError(f"{file}: no such file or folder.")
    if not 16 <= flags.side <= 1024:
        raise ValueError(f"--side={flags.side}: it must be 16 to 1024 pixels.")
    if flags.face < 1:
        raise ValueError(f"--face={flags.face}: it must be at least 1.")
    return flags
