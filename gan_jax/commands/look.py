"""One drawing, or a few of one look, into a base that draws everybody in that look:
gan-jax look drawing.png --out runs/mylook.

The drawing is inverted to styles of the base, a trained generator with styles, and the base is
taught to draw its coarse layers so, whatever the fine ones are. The folder is a base itself:
gan-jax sample runs/mylook, gan-jax personalize photos --base runs/mylook.
"""

import argparse
import pathlib

from gan_jax.commands.personalize import base_flag, open_base
from gan_jax.runtime import cli


def main(argv: list[str] | None = None) -> None:
    flags = parse(argv)

    from gan_jax.personalize import looks, pictures
    from gan_jax.personalize.one_shot import OneShot

    base = open_base(flags)
    looks.check_place(flags.out, base)
    one_shot = OneShot(
        base,
        steps=flags.steps,
        lr=flags.lr,
        first=flags.first,
        strength=flags.strength,
        keep_colors=flags.keep_colors,
    )
    found = pictures.read(flags.input, base.shape)
    looks.make(one_shot, found, flags.out, inversion_steps=flags.inversion, seed=flags.seed)
    print(f"next: gan-jax sample {flags.out} --out pictures")


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = cli.Parser(__doc__, "look")
    add, path = parser.add_argument, pathlib.Path
    add("input", type=path, nargs="+", help="drawings of one look, and folders of them")
    add("--out", required=True, type=path, help="folder of the new base; its name is the base's")
    base_flag(parser)
    add("--steps", type=int, default=80, help="of the teaching (default %(default)s)")
    add("--lr", type=float, default=1e-3, help="its learning rate at the start (default .001)")
    add(
        "--first",
        type=int,
        metavar="LAYER",
        help="from this layer on styles are random while it learns: the lower, the more of the"
        " drawing's shapes everybody gets (default 7 of 18 of the layers)",
    )
    add(
        "--strength",
        type=float,
        default=1.0,
        help="how random they are, up to 1: the lower, the more everybody keeps of their own"
        " (default 1)",
    )
    add("--keep-colors", action="store_true", help="everybody keeps their own colors")
    add("--inversion", type=int, default=200, help="steps of the inversion (default %(default)s)")
    add("--seed", type=int, default=0, help="another seed, another course (default 0)")
    cli.trusts_code(parser)
    flags = parser.parse_args(argv)
    for file in flags.input:
        if not file.exists():
            raise ValueError(f"{file}: no such file or folder.")
    for name in ("steps", "inversion"):
        if vars(flags)[name] < 1:
            raise ValueError(f"--{name}={vars(flags)[name]}: it must be at least 1.")
    if flags.lr <= 0:
        raise ValueError(f"--lr={flags.lr}: it must be more than 0.")
    if not 0 < flags.strength <= 1:
        raise ValueError(f"--strength={flags.strength}: it must be more than 0, 1 at most.")
    return flags
