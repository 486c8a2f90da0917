"""A walk from seed to seed: python tools/interpolate.py runs/avatars --seeds 0-5 --out walk.mp4.

StyleGAN2 walks in style space, in straight lines; all others from z to z on the arc between them,
on which each z stays as long as a drawn one. The walk ends where it began. With classes each frame
shows all of them, or the one of --class.
"""

import math
import pathlib
import time

from gan_jax.runtime import cli

ROWS = 16  # frames computed at a time
SHOWN = 128  # pixels: smaller pictures are enlarged to this or more


def main() -> None:
    parser = cli.Parser(__doc__)
    parser.add_argument(
        "checkpoint", help="a run's workdir (its newest valid checkpoint) or one step's folder"
    )
    parser.add_argument(
        "--out",
        required=True,
        type=pathlib.Path,
        help="file: .mp4 (needs av), .gif, or .png: a strip",
    )
    parser.add_argument(
        "--seeds",
        default="0-5",
        help="where it passes, as in 0-9 or 1,5,10-12 (default %(default)s)",
    )
    parser.add_argument("--frames", type=int, help="from seed to seed (default: 48; 8 for a PNG)")
    parser.add_argument(
        "--fps", type=float, default=24.0, help="frames a second (default %(default)s)"
    )
    parser.add_argument(
        "--class",
        dest="name",
        metavar="NAME",
        help="only this class (default: all, side by side, 32 at most)",
    )
    parser.add_argument("--truncation", type=float, metavar="PSI", help="as in tools/sample.py")
    cli.trusts_code(parser)
    flags = parser.parse_args()
    seeds = cli.parse_numbers(flags.seeds, "--seeds")
    if len(seeds) < 2:
        raise ValueError(f"--seeds={flags.seeds}: a walk needs two or more.")
    if flags.frames is not None and flags.frames < 1:
        raise ValueError(f"--frames={flags.frames}: it must be at least 1.")
    if not 1 <= flags.fps <= 240:
        raise ValueError(f"--fps={flags.fps}: it must be 1 to 240.")

    from gan_jax.algorithms.base import FromNoise
    from gan_jax.inference import export, video_file

    video_file.check(flags.out)
    per_leg = flags.frames or (8 if flags.out.suffix.lower() == ".png" else 48)
    sampler = export.load(flags.checkpoint, FromNoise, flags.trust_code)
    labels = sampler.columns(flags.name)
    began = time.monotonic()
    count = video_file.write(
        flags.out, walk(sampler, seeds, labels, per_leg, flags.truncation), flags.fps, per_leg
    )
    seconds = time.monotonic() - began
    played = video_file.rate(flags.out, flags.fps)
    if played is not None:
        nearest = (
            "" if played == flags.fps else f", the nearest to {flags.fps:g} that such a file has"
        )
        print(
            f"{flags.out}: plays {float(played):.4g} frames a second{nearest}:"
            f" {float(count / played):.1f} s"
        )
    print(f"{flags.out}: {count} frames, made {count / seconds:.1f} a second, from {sampler.step}")
    cli.say_of_columns(len(labels), len(sampler.classes), flags.name)


def walk(sampler, seeds: list[int], labels: list[int], per_leg: int, truncation: float | None):
    """Yields uint8 frames [H, W, C], `per_leg` from each seed to the next and from the last to the
    first."""
    import jax
    import numpy as np
    from rich.progress import track

    from gan_jax.data.images import grid, to_uint8

    z = np.concatenate([sampler.game.latent(jax.random.key(seed), 1, truncation) for seed in seeds])
    classes = max(1, len(labels))
    if sampler.has_styles:
        y = np.repeat(np.asarray(labels, np.int32), len(z)) if labels else None
        points = np.asarray(sampler.styles(np.tile(z, (classes, 1)), y, truncation))
        # [seeds, classes, L, W]
        points = points.reshape(classes, len(z), *points.shape[1:]).swapaxes(0, 1)
        between = lambda a, b, t: (1 - t) * a + t * b
        show = sampler.render
    else:
        points = np.repeat(z[:, None], classes, axis=1)  # [seeds, classes, Z]
        between = arc
        show = lambda z: sampler(
            z, np.resize(np.asarray(labels, np.int32), len(z)) if labels else None, truncation
        )
    side, cols = min(sampler.shape[:2]), math.ceil(math.sqrt(classes))
    scale = math.ceil(SHOWN / side)
    steps = [(leg, n / per_leg) for leg in range(len(seeds)) for n in range(per_leg)]
    for start in track(range(0, len(steps), ROWS), "frames"):
        part = steps[start : start + ROWS]
        part += [part[-1]] * (min(ROWS, len(steps)) - len(part))  # one shape: one compilation
        places = [between(points[leg], points[(leg + 1) % len(seeds)], t) for leg, t in part]
        pictures = to_uint8(show(np.concatenate(places).astype(np.float32)))
        pictures = pictures.reshape(len(part), classes, *pictures.shape[1:])
        for shown in pictures[: len(steps) - start]:
            yield grid(shown, cols).repeat(scale, 0).repeat(scale, 1)


def arc(a, b, t: float):
    """Between a and b, f32 [..., Z], on the great circle, with lengths in between (White 2016,
    arXiv:1609.04468)."""
    import numpy as np

    norm = lambda x: np.linalg.norm(x, axis=-1, keepdims=True)
    angle = np.arccos(np.clip(np.sum(a / norm(a) * (b / norm(b)), -1, keepdims=True), -1, 1))
    sine = np.maximum(np.sin(angle), 1e-7)
    return np.where(
        angle < 1e-4,
        (1 - t) * a + t * b,
        (np.sin((1 - t) * angle) * a + np.sin(t * angle) * b) / sine,
    )


if __name__ == "__main__":
    cli.tool(main)
