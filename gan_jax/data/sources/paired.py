"""Pictures with their translations: two folders with the same names, side-by-side files, or any two
sources in one order."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from gan_jax.data import pairs, source
from gan_jax.data.source import Batch, Outline, Side, fingerprint
from gan_jax.runtime import registry

# settings that move pixels, and their defaults: both of a pair must be moved alike
MOVES = {
    "flip": False,
    "rotate_degrees": 0.0,
    "crop": "center",
    "enlarge": 1.0,
    "side": None,
    "widest": 1.0,
}


@dataclasses.dataclass
class Source(source.Source):
    """The pictures of `a`, each with the picture of `b` that has its name, in a batch's "target".

    Names are a folder's paths without their endings, an avatar's person. Sources without names go
    by number and must be equally long. Both of a pair are flipped, turned and cut alike, so their
    files should have one shape.

    Args:
        a: settings of a source as config.data has them, {"source": "folder", "path": "sketches",
            "resolution": 128}. For side-by-side files both have the same path, one half="left", the
            other half="right". Without `widest`: how wide its windows are depends on each file's
            own size, so that two of a pair would show different parts.
        b: of another one, whose pictures have the same shape.
    Raises:
        ValueError: a side can't be opened; shapes or augmentations differ; a picture without a
            partner, named.
    """

    a: dict
    b: dict

    partner = "paired"

    def __post_init__(self):
        self.outline({"a": self.a, "b": self.b})
        self.a, self.b = pairs.open_sides(self.a, self.b)
        self.rows = matched(self.a, self.b)
        self.shape = self.a.shape
        self.notes = (f"{len(self):,} pairs", *pairs.notes(self.a, self.b))
        self.fingerprint = fingerprint(self.partner, self.a.fingerprint, self.b.fingerprint)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def sides(self) -> tuple[source.Source, ...]:
        colors = (
            {name: values[rows] for name, values in side.colors.items()}
            for side, rows in zip((self.a, self.b), self.rows.T, strict=True)
        )
        return tuple(map(Side, (self, self), ("image", "target"), colors))

    @classmethod
    def outline(cls, settings: Mapping) -> Outline:
        found = pairs.outline(settings, cls.partner)
        check(settings["a"], settings["b"])
        return found

    def load(self, ids: np.ndarray, seeds: np.ndarray) -> Batch:
        """As source.Source.load. Where one of a pair can't be read any more, the next complete
        pair takes its place."""
        for _ in range(len(self)):
            sides = [
                side.load(rows, seeds)
                for side, rows in zip((self.a, self.b), self.rows[ids].T, strict=True)
            ]
            shown = [
                side.get("id", rows) for side, rows in zip(sides, self.rows[ids].T, strict=True)
            ]
            complete = np.all(np.stack(shown, 1) == self.rows[ids], 1)
            if complete.all():
                return {"id": ids, "image": sides[0]["image"], "target": sides[1]["image"]}
            ids = np.where(complete, ids, (ids + 1) % len(self))
        raise ValueError(f"config.data: none of the {len(self)} pairs can be read any more.")


def check(a: dict, b: dict) -> None:
    """Raises ValueError where the settings of the two sides, or their sources' own defaults, move
    pixels differently."""
    sides = [registry.defaults(source.source_class(side)[0]) | side for side in (a, b)]
    for name, default in MOVES.items():
        values = [side.get(name, default) for side in sides]
        if values[0] != values[1]:
            raise ValueError(
                f"config.data: a has {name}={values[0]!r}, b {values[1]!r}. Pairs must be changed"
                " alike: set both."
            )
    widest = sides[0].get("widest", MOVES["widest"])
    if widest > MOVES["widest"]:
        raise ValueError(
            f"config.data: widest={widest} in a and b. How wide a window is then depends on a"
            " file's own size, and pairs would show different parts. Set widest=1.0 in both;"
            " enlarge is safe."
        )


def matched(a: source.Source, b: source.Source) -> np.ndarray:
    """int64 [n, 2]: the samples of a and of b that belong together, in a's order."""
    names = [side.names for side in (a, b)]
    if None in names:
        if len(a) != len(b):
            raise ValueError(
                f"config.data: {len(a)} pictures in a and {len(b)} in b, of sources without names."
                " Pairs need as many."
            )
        return np.repeat(np.arange(len(a))[:, None], 2, 1)
    return pairs.matched(dict(zip(pairs.SIDES, names, strict=True)), "config.data")
