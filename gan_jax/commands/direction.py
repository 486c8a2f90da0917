"""A direction of change from examples:
gan-jax direction smiling serious --name smile --out smile.json.

Both folders' pictures are inverted; the direction separates those with from those without, and its
accuracy on pictures held out is printed. gan-jax stickers --direction smile.json --edit smile=1
applies it.
"""

import pathlib

from gan_jax.commands.personalize import base_flag, open_base
from gan_jax.runtime import cli


def main(argv: list[str] | None = None) -> None:
    parser = cli.Parser(__doc__, "direction")
    add, path = parser.add_argument, pathlib.Path
    add("with_it", type=path, help="folder of pictures that have it")
    add("without_it", type=path, help="folder of pictures that don't")
    add("--name", required=True, help="of the direction, for --edit")
    add("--out", required=True, type=path, help="file to write, .json")
    base_flag(parser)
    add("--steps", type=int, default=200, help="of the inversion, at most (default 200)")
    add("--faces", action="store_true", help="take the square around the face, upright, of each")
    cli.trusts_code(parser)
    flags = parser.parse_args(argv)
    if not all(c.isalnum() or c in "-_ " for c in flags.name):
        raise ValueError(f"--name={flags.name!r}: letters, digits, - and _ only.")
    for folder in (flags.with_it, flags.without_it):
        if not folder.is_dir():
            raise ValueError(f"{folder}: no such folder.")

    import numpy as np

    from gan_jax.personalize import directions, pictures
    from gan_jax.personalize.inversion import Inversion

    base = open_base(flags)
    invert = Inversion(base, steps=flags.steps)
    found = {1: pictures.read([flags.with_it], base.shape, find_faces=flags.faces)}
    found[0] = pictures.read([flags.without_it], base.shape, find_faces=flags.faces)
    ws, labels = [], []
    for label, folder in ((1, flags.with_it), (0, flags.without_it)):
        for line in found[label].notes:
            print(line)
        print(f"{folder}: inverting {len(found[label])} pictures")
        ws.append(invert(found[label].values).ws[:, 0])
        labels += [label] * len(found[label])
    separated = directions.from_labels(np.concatenate(ws), np.array(labels))
    made_of = f"{len(ws[0])} pictures with and {len(ws[1])} without"
    directions.save(flags.out, base, flags.name, separated, made_of)
    print(
        f"{flags.out}: {flags.name}, from {made_of};"
        f" {separated.accuracy:.0%} of held-out pictures on the right side"
    )
    if min(map(len, ws)) < 10:
        print("fewer than ten of a kind: that share says little")
    elif separated.accuracy < 0.65:
        print("that is near chance, 50 %: nothing was found that the base knows")
