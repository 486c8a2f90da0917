"""Pictures of one person, ten to a hundred, into a generator of that person:
gan-jax personalize photos --out anna.

The pictures are inverted to styles of the base, a trained generator with styles, and the base is
tuned to draw them. Nothing leaves this machine; the person's folder lists the files it was made of,
and gan-jax forget removes it with all that was made of it. gan-jax stickers draws packs.
"""

import argparse
import pathlib

from gan_jax.runtime import cli

DEFAULT = "portraits"  # the base, of gan-jax models


def main(argv: list[str] | None = None) -> None:
    flags = parse(argv)

    from gan_jax.personalize import encoder, making, person, pictures

    person.check_place(flags.out)
    base = open_base(flags)
    reads = None if flags.encoder is None else encoder.load(flags.encoder, base)
    found = pictures.read(
        flags.input, base.shape, find_faces=flags.faces, face=flags.face, most=flags.most
    )
    making.make(
        base,
        found,
        flags.out,
        space=flags.space,
        steps=flags.steps,
        rounds=flags.rounds,
        locality=flags.locality,
        encoder=reads,
        seed=flags.seed,
        preview=flags.preview,
    )
    of_base = "" if flags.base == DEFAULT else f" --base {flags.base}"
    print(f"next: gan-jax stickers {flags.out}{of_base} --out pack")


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = cli.Parser(__doc__, "personalize")
    add, path = parser.add_argument, pathlib.Path
    add("input", type=path, nargs="+", help="pictures of the person, and folders of them")
    add("--out", required=True, type=path, help="folder of the person")
    base_flag(parser)
    add("--faces", action="store_true", help="take the square around the face, upright, of each")
    add("--face", type=int, default=1, help="of several faces which, 1 the largest (default 1)")
    add("--most", type=int, default=200, help="pictures that are taken, evenly (default 200)")
    add(
        "--space",
        default="w",
        choices=("w", "w+"),
        help="invert to one style a picture, which can be edited well, or to one a layer, which"
        " comes nearer (default w)",
    )
    add("--steps", type=int, default=200, help="of the inversion, at most (default 200)")
    add("--rounds", type=int, default=100, help="of the tuning over all pictures (default 100)")
    add(
        "--locality",
        type=float,
        default=0.1,
        help="how strongly everybody else is kept as they were (default 0.1; 0: not)",
    )
    add(
        "--encoder",
        type=path,
        metavar="FILE",
        help="of gan-jax encoder: where the inversion starts (default that of the base, if it has"
        " one)",
    )
    add(
        "--preview",
        type=path,
        metavar="FILE",
        help="a PNG that shows how far it is, written again and again",
    )
    add("--seed", type=int, default=0, help="another seed, another course (default 0)")
    cli.trusts_code(parser)
    flags = parser.parse_args(argv)
    for file in flags.input:
        if not file.exists():
            raise ValueError(f"{file}: no such file or folder.")
    for name in ("face", "most", "steps"):
        if vars(flags)[name] < 1:
            raise ValueError(f"--{name}={vars(flags)[name]}: it must be at least 1.")
    if flags.locality < 0:
        raise ValueError(f"--locality={flags.locality}: it must be 0 or more.")
    return flags


def base_flag(parser: argparse.ArgumentParser) -> None:
    """--base of a command."""
    parser.add_argument(
        "--base",
        default=DEFAULT,
        help="the generator, one with styles: a run's workdir, what gan-jax share wrote, or a name"
        " of gan-jax models (default %(default)s)",
    )


def open_base(flags: argparse.Namespace):
    """The personalize.base.Base that --base names. Raises ValueError as loading.load_sampler."""
    from gan_jax.inference import loading
    from gan_jax.personalize.base import Base

    return Base(loading.load_sampler(flags.base, command="sample", trusted=flags.trust_code))


def open_person(flags: argparse.Namespace):
    """The personalize.person.Person that is named, on its base. Raises ValueError as person.read,
    before the base is loaded where there is no person."""
    from gan_jax.personalize import person

    person.read_about(flags.person)
    return person.read(flags.person, open_base(flags))
