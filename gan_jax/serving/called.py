"""Translators and networks that enlarge, called through a `Caller` by the classes that the commands
use."""

import pathlib
from collections.abc import Callable

import jax
import numpy as np

from gan_jax.inference.restore import MULTIPLE, Enlarger, Restorer
from gan_jax.inference.sampler import Sampler
from gan_jax.nn.guided_filter import guided_mix
from gan_jax.serving.programs import Network, padded
from gan_jax.state import PyTree

RESTORED_TILE = 256  # as of restore.Restorer

Call = Callable[..., PyTree]


class Translating:
    """What Stylizer and Inpainter need of a translator's Sampler, through a Caller.

    Args:
        strength: of a style, see nn.guided_filter.guided_mix.
    """

    least, reads_styles, style_from_picture = 1, False, None

    def __init__(self, sampler: Sampler, call: Call, strength: float = 1.0):
        self.sampler, self.call, self.strength = sampler, call, strength
        self.shape, self.classes, self.step = sampler.shape, sampler.classes, sampler.step
        self.multiple, self.fixed_size = sampler.multiple, sampler.fixed_size

    def restyle(self, x: np.ndarray, style: np.ndarray) -> np.ndarray:
        return self._mixed(x, ("restyle",), style)

    def part_of(self, whole: np.ndarray) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
        moments = None

        def restyled(x, style):
            nonlocal moments
            if moments is None:
                moments = self.call(("moments",), padded(whole, self.multiple), style)
            return self._mixed(x, ("part",), style, moments)

        return restyled

    def styles_from_noise(self, seed: int, y: np.ndarray | None, n: int) -> np.ndarray:
        z, y = self.noise(seed, y)
        return self.call(("style",), np.repeat(z, n, 0), y)

    def noise(self, seed: int, y: np.ndarray | None) -> tuple[np.ndarray, np.ndarray | None]:
        """(z f32 [1, Z], y)."""
        return np.asarray(self.sampler.game.latent(jax.random.key(seed), 1)), y

    def _mixed(self, x, program, *rows):
        height, width = x.shape[1:3]
        x = x if self.fixed_size else padded(x, self.multiple)
        made = self.call(program, x, *rows)
        if self.strength < 1:
            made = self.call(("mix",), x, made, np.full(len(x), self.strength, np.float32))
        return made[:, :height, :width]


def translator(sampler: Sampler, most_pixels: int) -> Network:
    """The functions that Translating calls."""
    game = sampler.game

    def mixed(x, made, strength):
        made = jax.numpy.clip(made, -1, 1)
        return guided_mix(x[None], made[None], strength)[0]

    functions = {
        "restyle": lambda ema, x, style: game.restyle(ema, x, style, None),
        "moments": game.moments,
        "part": game.restyle,
        "style": game.style_from_noise,
        "mix": lambda ema, x, made, strength: jax.vmap(mixed)(x, made, strength),
    }
    return Network(sampler.ema, functions, most_pixels)


class Restoring(Restorer):
    """A Restorer whose network is called through a Caller."""

    def __init__(self, enlarger: Enlarger, file: pathlib.Path, call: Call, scale: float):
        super().__init__(enlarger, file, scale=scale, tile=RESTORED_TILE)
        self.call = call

    def run(self, x, times):
        height, width = (times * n for n in x.shape[1:3])
        return self.call(("enlarge", times), padded(x, MULTIPLE))[:, :height, :width]
