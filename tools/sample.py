"""Checkpoint -> pictures: python tools/sample.py runs/avatars --out pictures --seeds 0-63."""

import argparse
import pathlib

from gan_jax import launch


def parse_seeds(text: str) -> list[int]:
    """'3', '0-9' or '1,5,10-12' -> numbers."""
    seeds = []
    for part in text.split(","):
        first, dash, last = part.partition("-")
        if not first.isdigit() or (dash and not last.isdigit()):
            raise ValueError(f"--seeds={text}: write numbers and ranges, as in 0-9 or 1,5,10-12.")
        seeds += range(int(first), int(last or first) + 1)
    if not seeds:
        raise ValueError(f"--seeds={text}: that range is empty; the smaller number comes first.")
    return seeds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("checkpoint", help="a run's workdir (its newest valid checkpoint) or one step's folder")
    parser.add_argument("--out", required=True, type=pathlib.Path, help="folder: grid.png and a PNG a picture")
    parser.add_argument("--seeds", default="0-7", help="one z each, as in 0-9 or 1,5,10-12 (default %(default)s)")
    parser.add_argument("--class", dest="name", metavar="NAME", help="only this class (default: a column each)")
    parser.add_argument("--truncation", type=float, help="keep every number of z within this; try 1.0")
    parser.add_argument("--cols", type=int, default=8, help="columns of the grid where there is one class or none")
    flags = parser.parse_args()
    if flags.cols < 1:
        raise ValueError(f"--cols={flags.cols}: it must be at least 1.")

    import jax
    import numpy as np

    from gan_jax import export, log

    seeds = parse_seeds(flags.seeds)
    sampler = export.load(flags.checkpoint)
    names = [flags.name] if flags.name is not None else list(sampler.classes)
    labels = [sampler.label(name) for name in names]
    flags.out.mkdir(parents=True, exist_ok=True)
    rows = []
    for seed in seeds:  # a picture depends on its own seed only, not on its neighbours
        z = sampler.game.latent(jax.random.key(seed), 1, flags.truncation)
        z = np.repeat(np.asarray(z), max(1, len(labels)), axis=0)
        rows.append(log.to_uint8(sampler(z, np.asarray(labels, np.int32) if labels else None)))
        for image, name in zip(rows[-1], names or [""], strict=True):
            log.save_png(flags.out / f"seed{seed:04d}{'_' if name else ''}{name}.png", image)
    pictures = np.concatenate(rows)
    log.save_png(flags.out / "grid.png", log.grid(pictures, len(names) if len(names) > 1 else flags.cols))
    print(f"{len(pictures)} pictures and grid.png in {flags.out}, from {sampler.step}")


if __name__ == "__main__":
    launch.tool(main)
