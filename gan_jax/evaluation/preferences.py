"""How soon `gan-jax ideas` knows what somebody likes: simulated people whose rule is known, on one
drawn person in clothes of known kinds and colors."""

import io
from typing import NamedTuple

import numpy as np
from PIL import Image

from gan_jax.data import drawings
from gan_jax.personalize import likes
from gan_jax.personalize.ideas import rows_of

STYLE, PERSON, SIDE = "avataaars", 1100, 64
PARTS = "clothesGraphic", "mouth", "eyes"  # that are by chance
TOP = 5  # of those that are never shown, that are looked at
SHEET = 12  # ideas that are rated a round
ROUNDS = 3
SPLITS = 10  # of the pool, for each of the people


class Wardrobe(NamedTuple):
    """One person in clothes of every kind and color.

    Attributes:
        pictures: uint8 [n, SIDE, SIDE, 4].
        kinds, colors: of the clothes, n names each.
    """

    pictures: np.ndarray
    kinds: np.ndarray
    colors: np.ndarray


def wardrobe() -> Wardrobe:
    """All kinds in all colors, twice; mouth, eyes and a shirt's picture are by chance."""
    kinds, colors = drawings.clothes(STYLE)
    rows = [(kind, color) for kind in kinds for color in colors] * 2
    pictures = []
    for number, (kind, color) in enumerate(rows):
        given = {"clothesVariant": kind, "clothesColor": color}
        png = drawings.draw(STYLE, PERSON, SIDE, number, PARTS, given)
        pictures.append(np.asarray(Image.open(io.BytesIO(png)).convert("RGBA")))
    return Wardrobe(np.stack(pictures), *map(np.array, zip(*rows, strict=True)))


def rules(of: Wardrobe) -> dict[str, list[np.ndarray]]:
    """What people like, bool [n] each: a color (and those near it), a kind of clothes, a kind in
    light or dark colors."""
    rgb = np.array([list(bytes.fromhex(color[1:])) for color in of.colors], float)
    near = [np.linalg.norm(rgb - one, axis=1) < 90 for one in np.unique(rgb, axis=0)]
    kinds = [of.kinds == kind for kind in np.unique(of.kinds)]
    light = rgb.mean(1) > 150
    both = [kind & part for kind in kinds for part in (light, ~light)]
    return {"color": near, "kind": kinds, "kind and lightness": both}


def precision(pool: np.ndarray, liked: np.ndarray, seed: int) -> list[float]:
    """Share of the TOP best that are liked, after 0, 1, ... ROUNDS sheets on which somebody liked
    what the rule `liked` bool [n] says and disliked the rest.

    pool: likes.features of all, [n, F]. Half of them, by the seed, are never shown, and the best
    are of those; before anything was rated any five are as good, and liked as often as all are.
    """
    order, shown, found = np.random.default_rng(seed).permutation(len(pool)), [], []
    for_sheets, held = np.sort(order[::2]), order[1::2]
    for number in range(ROUNDS + 1):
        rated = for_sheets[shown]
        taste = likes.fit(pool[for_sheets], pool[rated], list(liked[rated]))
        best = held[np.argsort(-taste.scores(pool[held]), kind="stable")[:TOP]]
        found.append(float(liked[best if number else held].mean()))
        shown += likes.choose(taste, pool[for_sheets], SHEET, shown)
    return found


def measure() -> dict[str, dict]:
    """Of each kind of rule {"people", "chance", "precision": [after 0, 1, ... rounds]}: means over
    people."""
    of = wardrobe()
    pool = likes.features(of.pictures, (rows_of("bottom", SIDE), slice(None)))
    values = {}
    for name, people in rules(of).items():
        found = np.array([precision(pool, liked, k) for liked in people for k in range(SPLITS)])
        chance = float(np.mean([liked.mean() for liked in people]))
        values[name] = {
            "people": len(people), "chance": chance, "precision": found.mean(0).tolist()
        }  # fmt: skip
    return values
