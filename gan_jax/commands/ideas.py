"""Ideas for a person, such as other clothes: gan-jax ideas anna --out outfits;
then what you like: gan-jax ideas anna --out outfits --like 3,7 --dislike 5.

The person stays as they are but for one region, in which each idea starts at another sample of the
base. The next sheet follows what you liked, and shows some that are unlike all before.
"""

import argparse
import pathlib

from gan_jax.commands.personalize import base_flag, open_person
from gan_jax.runtime import cli


def main(argv: list[str] | None = None) -> None:
    flags = parse(argv)

    from gan_jax.personalize import ideas, person

    person.check_output(flags.out, flags.person)
    sheet = ideas.make(
        open_person(flags),
        flags.out,
        region=flags.region,
        count=flags.count,
        steps=flags.steps,
        like=flags.like,
        dislike=flags.dislike,
        seed=flags.seed,
    )
    print(f"{sheet}; next: the same command with --like N,N --dislike N")


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = cli.Parser(__doc__, "ideas")
    add, path = parser.add_argument, pathlib.Path
    add("person", type=path, help="folder that gan-jax personalize wrote")
    add("--out", required=True, type=path, help="folder of the ideas, the same for all sheets")
    base_flag(parser)
    add(
        "--region",
        default="bottom",
        choices=("bottom", "middle", "top"),
        help="what may change: clothes; eyes, glasses, mouth; hair and hats (default bottom)",
    )
    add("--count", type=int, default=12, help="ideas a sheet (default %(default)s)")
    add("--steps", type=int, default=75, help="of the searches (default %(default)s)")
    add("--like", metavar="LIST", help="numbers of ideas that you like, as in 3,7")
    add("--dislike", metavar="LIST", help="numbers of ideas that you don't")
    add("--seed", type=int, default=0, help="another seed, other ideas (default 0)")
    cli.trusts_code(parser)
    flags = parser.parse_args(argv)
    for name in ("like", "dislike"):
        text = vars(flags)[name]
        setattr(flags, name, cli.parse_numbers(text, f"--{name}") if text else [])
    for name in ("count", "steps"):
        if vars(flags)[name] < 1:
            raise ValueError(f"--{name}={vars(flags)[name]}: it must be at least 1.")
    return flags
