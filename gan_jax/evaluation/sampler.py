"""A game's generator as a maker of numbered pictures."""

import jax
import jax.numpy as jnp
import numpy as np

from gan_jax.algorithms.base import Game, Variables, to_float
from gan_jax.evaluation.images import Images
from gan_jax.evaluation.local_devices import LocalDevices


class BatchSampler:
    """A game's generator, compiled once, as a maker of pictures: number i is drawn by (seed, i)
    alone.

    A translator's is picture i of `contents`, from the start again after the last, in a style drawn
    from that z.
    """

    def __init__(self, game: Game, *, seed: int, truncation: float | None, batch: int):
        """batch: pictures a device draws at a time."""
        self._game, self._seed, self._devices = game, seed, LocalDevices(batch)

        def draw(ema, ids, y, pixels):
            keys = jax.vmap(lambda i: jax.random.fold_in(jax.random.key(seed), i))(ids)
            z = jax.vmap(lambda key: game.latent(key, 1, truncation)[0])(keys)
            further = jax.vmap(lambda key: jax.random.fold_in(key, 1))(keys)
            given = {"x": to_float(pixels)} if game.translates else {}
            x = game.sample_to_measure(ema, further, z, y, truncation, **given)
            drawn = jnp.clip(jnp.rint((x + 1) * 127.5), 0, 255).astype(jnp.uint8)
            return drawn, jnp.isfinite(x).all((1, 2, 3))

        self._draw = self._devices.compile(draw)

    def prepare(self, ema: Variables) -> Variables:
        """The averaged weights as `images` takes them: made ready for sampling, on each of this
        process's devices. All processes call it together."""
        ready = self._game.prepare_for_sampling(ema, jax.random.key(self._seed))
        return self._devices.replicate(ready)

    def images(
        self,
        weights: Variables,
        count: int,
        labels: np.ndarray | None,
        classes: tuple[str, ...] = (),
        contents: Images | None = None,
    ) -> Images:
        """`count` pictures by the weights that `prepare` gave; labels int32 [count], or None for an
        unconditional generator.

        contents: what a translator turns into others.

        Loading raises ValueError where a picture holds NaN or infinity: the generator has diverged.
        """
        rows = self._devices.rows

        def load(ids):
            parts = [self._load(weights, ids[i : i + rows], labels, contents)
                     for i in range(0, len(ids), rows)]  # fmt: skip
            return np.concatenate(parts)

        return Images(load, count, labels, classes)

    def _load(self, weights, ids, labels, contents) -> np.ndarray:
        """The pictures `ids`, at most as many as the devices draw at once."""
        filled = np.resize(ids, self._devices.rows).astype(np.int32)
        y = None if labels is None else labels[filled].astype(np.int32)
        pixels = None if contents is None else contents.load(filled % contents.count)
        drawn, finite = self._draw(weights, filled, y, pixels)
        diverged = ids[~np.asarray(finite)[: len(ids)]]
        if len(diverged):
            raise ValueError(
                f"generated image {diverged[0]} holds NaN or infinity: these weights have diverged."
            )
        return np.asarray(drawn)[: len(ids)]
