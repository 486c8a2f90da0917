"""The grids that training draws: always the same z and the same pictures of the data, so that a
run's grids can be compared."""

from typing import Protocol

import jax
import numpy as np

from gan_jax.algorithms.base import Game, Variables
from gan_jax.config import Config
from gan_jax.data.images import MOST_COLUMNS, to_float, to_uint8
from gan_jax.distributed.parallel import Parallel


class Preview(Protocol):
    """What both kinds have.

    Attributes:
        cols: columns of the grid.
        names: of the columns; empty where they have none.
    """

    cols: int
    names: tuple[str, ...]

    def __call__(self, ema: Variables) -> np.ndarray:
        """Pictures uint8 [n, H, W, C], row by row, by the averaged weights, replicated and after
        `prepare_for_sampling`."""


def preview(
    game: Game, config: Config, parallel: Parallel, classes: tuple[str, ...], sides
) -> Preview:
    """The preview of a game's kind.

    classes: of the data.
    sides: evaluation.images.Sides of the data; a game that draws from noise looks at none.
    """
    if game.translates:
        return TranslationPreview(game, config, parallel, classes, sides)
    return NoisePreview(game, config, parallel, classes)


class NoisePreview:
    """Pictures drawn from config.grid_rows rows of z: a column a class, or config.grid_cols columns
    where there are no classes."""

    def __init__(self, game, config, parallel, classes):
        self.names = tuple(classes)[:MOST_COLUMNS]
        self.cols = len(self.names) or config.grid_cols
        self._sample = jax.jit(game.sample, out_shardings=parallel.replicated)
        self._z, self._y = _latents(game, config, parallel, self.cols, len(self.names))

    def __call__(self, ema):
        rows = [self._sample(ema, z, self._y) for z in self._z]
        return to_uint8(np.concatenate(jax.device_get(rows)))


class TranslationPreview:
    """config.grid_rows pictures of the data, a row each: as it is, in each class's style drawn from
    z, and the picture it should become, where the data have it."""

    def __init__(self, game, config, parallel, classes, sides):
        classes = tuple(classes)[:MOST_COLUMNS]
        styles = max(1, len(classes))
        ids = np.linspace(0, sides.contents.count - 1, config.grid_rows).astype(np.int64)
        self._inputs = sides.contents.load(ids)[:, None]  # uint8 [rows, 1, H, W, C]
        self._truth = sides.truth.load(ids)[:, None] if sides.truth else self._inputs[:, :0]
        truth = self._truth.shape[1]
        self.cols = 1 + styles + truth
        self.names = ("input", *(classes or ("result",)), *["truth"] * truth)
        self._translate = jax.jit(game.translate, out_shardings=parallel.replicated)
        repeated = np.repeat(self._inputs, styles, 1)
        self._x = [parallel.broadcast(to_float(x)) for x in repeated]
        self._z, self._y = _latents(game, config, parallel, styles, len(classes))

    def __call__(self, ema):
        rows = jax.device_get(
            [self._translate(ema, x, z, self._y) for x, z in zip(self._x, self._z, strict=True)]
        )
        cells = zip(self._inputs, map(to_uint8, rows), self._truth, strict=True)
        return np.concatenate([picture for row in cells for picture in row])


def _latents(game, config, parallel, cols: int, classes: int) -> tuple[list, jax.Array | None]:
    """(z [cols, Z] of each row, y int32 [cols] or None), on all devices."""
    z = np.asarray(game.latent(jax.random.key(config.seed), config.grid_rows * cols))
    y = parallel.broadcast(np.arange(classes, dtype=np.int32)) if classes else None
    return [parallel.broadcast(row) for row in np.split(z, config.grid_rows)], y
