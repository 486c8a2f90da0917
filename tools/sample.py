"""Checkpoint -> pictures: python tools/sample.py runs/avatars --out pictures --seeds 0-63.

Style mixing (StyleGAN2): --mix 8-15 draws a matrix, a row for each of --seeds, a column for each of
--mix; a picture has the row's styles but in --layers, where it has the column's.
"""

import argparse
import pathlib

from gan_jax.runtime import cli
from gan_jax.runtime.text import file_name


def main() -> None:
    parser = cli.Parser(__doc__)
    parser.add_argument(
        "checkpoint", help="a run's workdir (its newest valid checkpoint) or one step's folder"
    )
    parser.add_argument(
        "--out",
        required=True,
        type=pathlib.Path,
        help="folder for a PNG a picture, and sheet/grid.png",
    )
    parser.add_argument(
        "--seeds", default="0-7", help="one z each, as in 0-9 or 1,5,10-12 (default %(default)s)"
    )
    parser.add_argument(
        "--class",
        dest="name",
        metavar="NAME",
        help="only this class (default: a column each, 32 at most)",
    )
    parser.add_argument(
        "--truncation",
        type=float,
        metavar="PSI",
        help=(
            "likelier pictures, less variety: StyleGAN2 pulls styles to their mean (1: as they are,"
            " 0: the mean; try 0.7); all others keep every number of z within it (try 1.0)"
        ),
    )
    parser.add_argument(
        "--cols",
        type=int,
        default=8,
        help="columns of the grid where there is one class or none (default %(default)s)",
    )
    parser.add_argument("--mix", metavar="SEEDS", help="style mixing: the columns of sheet/mix.png")
    parser.add_argument(
        "--layers",
        help="with --mix: layers from the column, 0 the coarsest (default: the first half)",
    )
    cli.trusts_code(parser)
    flags = parser.parse_args()
    if flags.cols < 1:
        raise ValueError(f"--cols={flags.cols}: it must be at least 1.")
    if flags.layers is not None and flags.mix is None:
        raise ValueError("--layers is for style mixing: give --mix too.")
    seeds = list(dict.fromkeys(cli.parse_numbers(flags.seeds, "--seeds")))  # a file each
    columns = cli.parse_numbers(flags.mix, "--mix") if flags.mix is not None else []

    from gan_jax.algorithms.base import FromNoise
    from gan_jax.inference import export

    sampler = export.load(flags.checkpoint, FromNoise, flags.trust_code)
    if columns:
        mix(sampler, seeds, columns, flags)
    else:
        draw(sampler, seeds, flags)


def draw(sampler, seeds: list[int], flags: argparse.Namespace) -> None:
    """A grid, a row a seed and a column a class, and each picture by itself."""
    import jax
    import numpy as np

    from gan_jax.data.images import grid, save_png, save_sheet, to_uint8

    labels = sampler.columns(flags.name)
    names = [sampler.classes[label] for label in labels]
    rows = []
    for seed in seeds:  # a picture depends on its own seed only, not on its neighbours
        z = sampler.game.latent(jax.random.key(seed), 1, flags.truncation)
        z = np.repeat(np.asarray(z), max(1, len(labels)), axis=0)
        rows.append(
            to_uint8(sampler(z, np.asarray(labels, np.int32) if labels else None, flags.truncation))
        )
        for image, name in zip(rows[-1], names or [""], strict=True):
            stem = f"seed{seed:04d}"
            file = file_name(
                f"{stem}_{name}", ".png", [f"{stem}_{other}" for other in sampler.classes]
            )
            save_png(flags.out / (file if name else f"{stem}.png"), image)
    pictures = np.concatenate(rows)
    sheet = save_sheet(
        flags.out, "grid.png", grid(pictures, len(names) if len(names) > 1 else flags.cols)
    )
    print(f"{len(pictures)} pictures in {flags.out}, all of them on {sheet}, from {sampler.step}")
    cli.say_of_columns(len(labels), len(sampler.classes), flags.name)


def mix(sampler, seeds: list[int], columns: list[int], flags: argparse.Namespace) -> None:
    """mix.png: the columns' own pictures above, the rows' own on the left, the mixtures between."""
    import jax
    import numpy as np

    from gan_jax.data.images import grid, save_sheet, to_uint8

    if not sampler.has_styles:
        raise ValueError(
            f"--mix: {sampler.step} has no styles to mix; StyleGAN2 has"
            " (configs/avatars_stylegan2.py)."
        )
    if sampler.classes and flags.name is None:
        raise ValueError(
            f"--mix: say whose pictures are mixed by --class. Known: {', '.join(sampler.classes)}."
        )
    z = np.concatenate(
        [sampler.game.latent(jax.random.key(seed), 1, flags.truncation) for seed in seeds + columns]
    )
    y = np.full(len(z), sampler.label(flags.name), np.int32) if flags.name is not None else None
    ws = np.asarray(sampler.styles(z, y, flags.truncation))  # [rows + columns, L, W]
    depth = ws.shape[1]
    layers = (
        cli.parse_numbers(flags.layers, "--layers")
        if flags.layers is not None
        else range(depth // 2)
    )
    if max(layers) >= depth:
        raise ValueError(f"--layers={flags.layers}: this generator has layers 0 to {depth - 1}.")
    across = ws[len(seeds) :]
    rows = [
        np.concatenate(
            [
                np.full_like(to_uint8(sampler.render(across[:1])), 255),
                to_uint8(sampler.render(across)),
            ]
        )
    ]
    for own in ws[: len(seeds)]:
        mixed = np.repeat(own[None], len(columns) + 1, axis=0)
        mixed[1:, list(layers)] = across[:, list(layers)]
        rows.append(to_uint8(sampler.render(mixed)))
    place = save_sheet(flags.out, "mix.png", grid(np.concatenate(rows), len(columns) + 1))
    print(f"{place}: {len(seeds)} x {len(columns)} mixtures, from {sampler.step}")


if __name__ == "__main__":
    cli.tool(main)
