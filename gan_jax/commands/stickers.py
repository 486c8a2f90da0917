"""A pack of stickers of a person: gan-jax stickers anna --out pack.

Drawn are the person's samples that lie farthest apart, or with --loop animations from one to the
next and back. Sizes, bytes and the tray icon keep to the messenger's published limits; the contact
sheet shows each on black, white and checks. Pictures say of themselves that they are generated.
"""

import argparse
import pathlib

from gan_jax.commands.personalize import base_flag, open_person
from gan_jax.runtime import cli


def main(argv: list[str] | None = None) -> None:
    flags = parse(argv)

    from gan_jax.personalize import directions, packs, stickers

    edits = directions.parse(flags.edit or "")
    made = open_person(flags)
    by_name = directions.known(made.base, flags.direction) if edits else {}
    packs.make(
        made,
        flags.out,
        count=flags.count,
        messenger=flags.messenger,
        emoji=flags.emoji.split(","),
        edits=edits,
        by_name=by_name,
        loop=flags.loop,
        outline=flags.outline,
        seed=flags.seed,
    )
    wrong = stickers.check_pack(flags.out)
    if wrong:
        raise ValueError(f"{flags.out}: {'; '.join(wrong)}")


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = cli.Parser(__doc__, "stickers")
    add, path = parser.add_argument, pathlib.Path
    add("person", type=path, help="folder that gan-jax personalize wrote")
    add("--out", required=True, type=path, help="folder of the pack")
    base_flag(parser)
    add("--count", type=int, default=12, help="stickers (default %(default)s)")
    add(
        "--messenger",
        default="whatsapp",
        choices=("whatsapp", "telegram"),
        help="whose limits are kept (default %(default)s)",
    )
    add(
        "--emoji",
        default="🙂",
        metavar="LIST",
        help="that stand for the stickers, by comma, in turn (default %(default)s)",
    )
    add(
        "--edit",
        metavar="NAME=AMOUNT,...",
        help="change all of them along directions: a class, pca0 to pca9, sefa0 to sefa9, or those"
        " of --direction, such as smile=1.5,pca0=-1",
    )
    add(
        "--direction",
        type=path,
        action="append",
        default=[],
        metavar="FILE",
        help="a direction that gan-jax direction wrote; may be repeated",
    )
    add("--loop", action="store_true", help="animated stickers, which end where they begin")
    add("--outline", type=int, default=8, help="pixels of white around (default %(default)s)")
    add("--seed", type=int, default=0, help="another seed, another choice (default 0)")
    cli.trusts_code(parser)
    flags = parser.parse_args(argv)
    if flags.count < 1:
        raise ValueError(f"--count={flags.count}: it must be at least 1.")
    if not 0 <= flags.outline <= 64:
        raise ValueError(f"--outline={flags.outline}: it must be 0 to 64 pixels.")
    for symbol in flags.emoji.split(","):
        if not symbol.strip() or any(c.isalpha() for c in symbol):
            raise ValueError(f"--emoji={flags.emoji}: emoji by comma, as in 😀,😢.")
    if flags.loop and flags.messenger == "telegram":
        raise ValueError("--loop: Telegram takes WebM videos, which is not written; use whatsapp.")
    return flags
