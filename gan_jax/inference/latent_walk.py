"""A walk from seed to seed, frame by frame, that ends where it began.

StyleGAN2 walks in style space, in straight lines; all others from z to z on the arc between them,
on which each z stays as long as a drawn one.
"""

import math
from collections.abc import Iterator, Sequence

import numpy as np
from rich.progress import track

from gan_jax.data.images import grid, to_uint8
from gan_jax.inference.sampler import Sampler

ROWS = 16  # frames computed at a time
SHOWN = 128  # pixels: smaller pictures are enlarged to this or more


def walk(
    sampler: Sampler,
    seeds: Sequence[int],
    labels: Sequence[int],
    per_leg: int,
    truncation: float | None = None,
) -> Iterator[np.ndarray]:
    """Yields uint8 frames [H, W, C], `per_leg` from each seed to the next and from the last to the
    first; with several labels each frame is a grid of them."""
    between = _line if sampler.has_styles else arc
    points = _points(sampler, seeds, labels, truncation)
    classes = points.shape[1]
    cols = math.ceil(math.sqrt(classes))
    scale = math.ceil(SHOWN / min(sampler.shape[:2]))
    steps = [(leg, n / per_leg) for leg in range(len(seeds)) for n in range(per_leg)]
    for start in track(range(0, len(steps), ROWS), "frames"):
        part = steps[start : start + ROWS]
        part += [part[-1]] * (min(ROWS, len(steps)) - len(part))  # one shape: one compilation
        places = [between(points[leg], points[(leg + 1) % len(seeds)], t) for leg, t in part]
        places = np.concatenate(places).astype(np.float32)
        if sampler.has_styles:
            pictures = to_uint8(sampler.render(places))
        else:
            y = np.resize(np.asarray(labels, np.int32), len(places)) if labels else None
            pictures = to_uint8(sampler(places, y, truncation))
        pictures = pictures.reshape(len(part), classes, *pictures.shape[1:])
        for shown in pictures[: len(steps) - start]:
            yield grid(shown, cols).repeat(scale, 0).repeat(scale, 1)


def _points(sampler, seeds, labels, truncation) -> np.ndarray:
    """Where the walk passes: styles [seeds, classes, L, W], or z [seeds, classes, Z]."""
    z = sampler.latents(seeds, truncation)
    classes = max(1, len(labels))
    if not sampler.has_styles:
        return np.repeat(z[:, None], classes, axis=1)
    y = np.repeat(np.asarray(labels, np.int32), len(z)) if labels else None
    ws = np.asarray(sampler.styles(np.tile(z, (classes, 1)), y, truncation))
    return ws.reshape(classes, len(z), *ws.shape[1:]).swapaxes(0, 1)


def _line(a, b, t: float):
    return (1 - t) * a + t * b


def arc(a: np.ndarray, b: np.ndarray, t: float) -> np.ndarray:
    """Between a and b, f32 [..., Z], on the great circle, with lengths in between (White 2016,
    arXiv:1609.04468)."""

    def norm(x):
        return np.linalg.norm(x, axis=-1, keepdims=True)

    angle = np.arccos(np.clip(np.sum(a / norm(a) * (b / norm(b)), -1, keepdims=True), -1, 1))
    sine = np.maximum(np.sin(angle), 1e-7)
    turned = (np.sin((1 - t) * angle) * a + np.sin(t * angle) * b) / sine
    return np.where(angle < 1e-4, _line(a, b, t), turned)
