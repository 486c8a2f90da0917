"""A walk from seed to seed: gan-jax interpolate runs/avatars --seeds 0-5 --out walk.mp4.

StyleGAN2 walks in style space, in straight lines; all others from z to z on the arc between them,
on which each z stays as long as a drawn one. The walk ends where it began. With classes each frame
shows all of them, or the one of --class.
"""

import argparse
import pathlib
import time

from gan_jax.runtime import cli


def main(argv: list[str] | None = None) -> None:
    flags = parse(argv)
    seeds = cli.parse_numbers(flags.seeds, "--seeds")
    if len(seeds) < 2:
        raise ValueError(f"--seeds={flags.seeds}: a walk needs two or more.")

    from gan_jax.inference import latent_walk, loading, video_file

    video_file.check(flags.out)
    per_leg = flags.frames or (8 if flags.out.suffix.lower() == ".png" else 48)
    sampler = loading.load_sampler(flags.checkpoint, command="sample", trusted=flags.trust_code)
    labels = sampler.columns(flags.name)
    began = time.monotonic()
    frames = latent_walk.walk(sampler, seeds, labels, per_leg, flags.truncation)
    count = video_file.write(flags.out, frames, flags.fps, per_leg)
    seconds = time.monotonic() - began
    played = video_file.rate(flags.out, flags.fps)
    if played is not None:
        nearest = f", the nearest to {flags.fps:g} that such a file has"
        rate = f"{float(played):.4g} frames a second{'' if played == flags.fps else nearest}"
        print(f"{flags.out}: plays {rate}: {float(count / played):.1f} s")
    print(f"{flags.out}: {count} frames, made {count / seconds:.1f} a second, from {sampler.step}")
    cli.print_omitted_classes(len(labels), len(sampler.classes), flags.name)


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = cli.Parser(__doc__, "interpolate")
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
        help="file: .mp4 (needs av), .gif, or .png: a strip",
    )
    add("--seeds", default="0-5", help="where it passes, as in 0-9 or 1,5,10-12 (default 0-5)")
    add("--frames", type=int, help="from seed to seed (default: 48; 8 for a PNG)")
    add("--fps", type=float, default=24.0, help="frames a second (default 24)")
    add("--class", dest="name", metavar="NAME", help="only this class (default: all, 32 at most)")
    add("--truncation", type=float, metavar="PSI", help="as in gan-jax sample")
    cli.trusts_code(parser)
    flags = parser.parse_args(argv)
    if flags.frames is not None and flags.frames < 1:
        raise ValueError(f"--frames={flags.frames}: it must be at least 1.")
    if not 1 <= flags.fps <= 240:
        raise ValueError(f"--fps={flags.fps}: it must be 1 to 240.")
    return flags
