"""Checkpoint -> pictures: gan-jax sample runs/avatars --out pictures --seeds 0-63.

Style mixing (StyleGAN2): --mix 8-15 draws a matrix, a row for each of --seeds, a column for each of
--mix; a picture has the row's styles but in --layers, where it has the column's.
"""

import argparse
import pathlib

from gan_jax.runtime import cli


def main(argv: list[str] | None = None) -> None:
    flags = parse(argv)
    seeds = list(dict.fromkeys(cli.parse_numbers(flags.seeds, "--seeds")))  # a file each
    columns = cli.parse_numbers(flags.mix, "--mix") if flags.mix is not None else []
    layers = cli.parse_numbers(flags.layers, "--layers") if flags.layers is not None else None

    from gan_jax.inference import generate, loading
    from gan_jax.personalize import directions
    from gan_jax.personalize.base import Base

    edits = directions.parse(flags.edit or "")
    sampler = loading.load_sampler(flags.checkpoint, command="sample", trusted=flags.trust_code)
    if flags.remodulation is not None:
        sampler = loading.remodulated(sampler, flags.remodulation)
    chosen = {"name": flags.name, "truncation": flags.truncation}
    if columns:
        sheet = generate.mix(sampler, seeds, columns, flags.out, layers=layers, **chosen)
        print(f"{sheet}: {len(seeds)} x {len(columns)} mixtures, from {sampler.step}")
        return
    edit, notes = None, {}
    if edits:
        base = Base(sampler)
        by_name = directions.known(base)

        def edit(ws):
            moved, lines = directions.apply(base, ws, edits, by_name)
            notes.update(dict.fromkeys(lines))
            return moved

    count, sheet = generate.generate(
        sampler, seeds, flags.out, cols=flags.cols, edit=edit, **chosen
    )
    for line in notes:
        print(line)
    print(f"{count} pictures in {flags.out}, all of them on {sheet}, from {sampler.step}")
    cli.print_omitted_classes(len(sampler.columns(flags.name)), len(sampler.classes), flags.name)


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = cli.Parser(__doc__, "sample")
    add = parser.add_argument
    add(
        "checkpoint",
        help="a run's workdir (its newest valid checkpoint), one step's folder, what gan-jax share"
        " wrote, or a name of gan-jax models",
    )
    add(
        "--out",
        required=True,
        type=pathlib.Path,
        help="folder for a PNG a picture, and sheet/grid.png",
    )
    add("--seeds", default="0-7", help="one z each, as in 0-9 or 1,5,10-12 (default %(default)s)")
    add("--class", dest="name", metavar="NAME", help="only this class (default: all, 32 at most)")
    add(
        "--truncation",
        type=float,
        metavar="PSI",
        help="likelier pictures, less variety: StyleGAN2 pulls styles to their mean (1: as they"
        " are, 0: the mean; try 0.7); all others keep every element of z within it (try 1.0)",
    )
    add(
        "--remodulation",
        type=cli.finite,
        nargs="+",
        metavar="ALPHA",
        help="of a model with config.g.remodulation: how strongly each of its sets acts"
        " (0: not at all, the model below, bit for bit)",
    )
    add(
        "--cols",
        type=int,
        default=8,
        help="columns of the grid where there is one class or none (default %(default)s)",
    )
    add(
        "--edit",
        metavar="NAME=AMOUNT,...",
        help="of a generator with styles: move all along directions, a class, pca0 to pca9 or sefa0"
        " to sefa9, such as pca0=1.5,sefa2=-1",
    )
    add("--mix", metavar="SEEDS", help="style mixing: the columns of sheet/mix.png")
    add("--layers", help="with --mix: layers from the column, 0 the coarsest (default: first half)")
    cli.trusts_code(parser)
    flags = parser.parse_args(argv)
    if flags.cols < 1:
        raise ValueError(f"--cols={flags.cols}: it must be at least 1.")
    if flags.edit is not None and flags.mix is not None:
        raise ValueError("--edit and --mix don't go together: give one of them.")
    if flags.layers is not None and flags.mix is None:
        raise ValueError("--layers is for style mixing: give --mix too.")
    return flags
