"""A person -> a pack of stickers: which of their styles are drawn, and how large."""

import math
import pathlib
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from rich.progress import track

from gan_jax.data import geometry
from gan_jax.personalize import directions, making, person, stickers
from gan_jax.personalize.directions import Direction
from gan_jax.personalize.person import Person
from gan_jax.personalize.stickers import MARGIN, SIDE, Sticker
from gan_jax.runtime import registry

FRAMES = 24  # of an animated sticker
MILLISECONDS = 60  # a frame


def make(
    made: Person,
    out: pathlib.Path,
    *,
    count: int = 12,
    messenger: str = "whatsapp",
    emoji: Sequence[str] = ("🙂",),
    edits: Mapping[str, float] | None = None,
    by_name: Mapping[str, Direction] | None = None,
    loop: bool = False,
    outline: int = stickers.OUTLINE,
    seed: int = 0,
    log: Callable[[str], None] = print,
) -> list[pathlib.Path]:
    """Draws a pack of `count` stickers; see stickers.write_pack, which raises what is wrong of it.

    Args:
        emoji: of the stickers, in turn.
        edits, by_name: as directions.apply has them, of all stickers.
        loop: each goes to the next one's style and back, without a jump at its end.
    Raises:
        ValueError: the base has no alpha.
    """
    base = made.base
    if not base.has_alpha:
        raise ValueError(
            f"{base.name}: its pictures have no alpha, and stickers need one; take a base that was"
            " trained with config.data.channels=4, as configs/avatars_rgba64.py has it."
        )
    stickers.check_count(messenger, count)
    for name in edits or {}:
        registry.choose(by_name or {}, name, "--edit")
    person.check_output(out, made.folder)
    ws, words = making.sample(made, count, seed)
    log(words)
    ws, notes = directions.apply(base, ws, edits or {}, by_name or {})
    for line in notes:
        log(line)
    drawn = []
    for k in track(range(count), "stickers"):
        path = _there_and_back(ws[k], ws[(k + 1) % count]) if loop else ws[k : k + 1]
        about = {"sample": k, "edits": dict(edits or {})}
        symbol = (emoji[k % len(emoji)].strip(),)
        drawn.append(Sticker(f"{k + 1:02d}", symbol, tuple(large(made, path)), about))
    about = {
        "seed": seed,
        "base": {"name": base.name, "sha256": base.sha256},
        "person": made.about["id"],
        "license": "as the base's and the person's pictures allow",
    }
    how = {"outline": outline, "milliseconds": MILLISECONDS, "log": log}
    files = stickers.write_pack(drawn, out, messenger, about, **how)
    person.mark_output(out, made, stickers.files_of(out))
    return files


def large(made: Person, ws: np.ndarray) -> np.ndarray:
    """ws [n, L, W] -> uint8 [n, h, w, 4], whose drawn part fills a sticker or more: drawn at that
    size where the base draws in colors, else enlarged."""
    base = made.base
    small = base.pictures(ws, made.params)
    box = stickers.box_of([stickers.cleaned(x) for x in small])
    part = max(each.stop - each.start for each in box)
    times = max(1, math.ceil((SIDE - 2 * MARGIN) / part))
    if base.draws_colors:
        return base.large(ws, times, made.params)
    size = tuple(n * times for n in base.shape[:2])
    return np.stack([geometry.fit(x, size, "stretch") for x in small])


def _there_and_back(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """FRAMES styles from a to b and back, slow at both ends: the last leads to the first."""
    t = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(FRAMES) / FRAMES)
    return (a + t[:, None, None] * (b - a)).astype(np.float32)
