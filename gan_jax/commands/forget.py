"""Removes a person that gan-jax personalize made, and the packs and sheets that were made of it:
gan-jax forget anna.

The person's own pictures, and other files in these folders, are left alone.
"""

import pathlib

from gan_jax.runtime import cli


def main(argv: list[str] | None = None) -> None:
    parser = cli.Parser(__doc__, "forget")
    parser.add_argument("person", type=pathlib.Path, help="folder of the person")
    flags = parser.parse_args(argv)

    from gan_jax.personalize import person

    for line in person.forget(flags.person):
        print(line)
