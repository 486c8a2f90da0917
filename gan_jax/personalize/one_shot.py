"""The look of one drawing, or of a few, taught to a generator: everybody whom it draws then has it.

After JoJoGAN (Chong & Forsyth 2022, arXiv:2112.11641). A drawing is inverted to a style for each
layer. Coarse layers say who is drawn, fine ones how: that code with random fine layers is the same
one in another look, and the generator is taught to draw all of these as the drawing is.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from gan_jax import pretrained
from gan_jax.personalize.base import Base, seen
from gan_jax.personalize.tuning import FIXED, distances, features_of, step
from gan_jax.pretrained.perceptual import distance
from gan_jax.state import PyTree

COLORS = "colors"  # the part of a generator that makes its palette
MEASURED = 16  # mixed codes of a reference that its distance is the mean of


class Taught(NamedTuple):
    """Attributes:
    params: of the generator.
    start, distance: LPIPS of each reference to what its mixed codes are drawn as, the mean over
        MEASURED of them, before and after, [n].
    net: the network that measured.
    """

    params: PyTree
    start: np.ndarray
    distance: np.ndarray
    net: str


def mask_of(layers: int, first: int | None = None, *, keep_colors: bool = False) -> np.ndarray:
    """1 where a code's layer becomes random, 0 where it stays the reference's: f32 [layers].

    Args:
        layers: L, of the generator.
        first: the first that becomes random; None: as many of the coarse ones stay as in the paper,
            7 of 18.
        keep_colors: the last layer stays, so that the generator does not learn to draw whatever
            colors it asks for as the reference's.
    Raises:
        ValueError: no layer would become random, or `first` is none of them.
    """
    first = round(layers * 7 / 18) if first is None else first
    end = layers - keep_colors
    if not 0 <= first < end:
        raise ValueError(
            f"first={first}: it must be 0 to {end - 1}; of this generator's {layers} layers"
            f" {'the last keeps its colors' if keep_colors else 'all may be random'}."
        )
    return ((np.arange(layers) >= first) & (np.arange(layers) < end)).astype(np.float32)


def mixed(
    ws: Float[Array, "n L W"],
    others: Float[Array, "n W"],
    mask: Float[Array, " L"],
    strength: float = 1.0,
) -> Float[Array, "n L W"]:
    """The codes `ws` with layers of others' where the mask is 1: w_l + strength M_l (w'_l - w_l).
    The paper's alpha is 1 - strength."""
    return ws + strength * mask[None, :, None] * (others[:, None] - ws)


def gray(x: Float[Array, "n H W C"]) -> Float[Array, "n H W C"]:
    """Pictures in [-1, 1] with the luma of their colors (ITU-R BT.601) in each channel; alpha, of
    which they are premultiplied, stays. Those of one channel as they are."""
    if x.shape[-1] == 1:
        return x
    luma = (x[..., :3] @ jnp.array([0.299, 0.587, 0.114]))[..., None]
    return jnp.concatenate([jnp.repeat(luma, 3, -1), x[..., 3:]], -1)


@dataclasses.dataclass(frozen=True, eq=False)
class OneShot:
    """Adam on all of the generator but its mapping. Minimized is the mean, over `batch` mixed codes
    of each reference, of LPIPS between the reference and what the code is drawn as, + `pixels`
    times the mean squared difference.

    Attributes:
        base: the generator before.
        steps: of Adam; the more, the nearer to the references, the more alike everybody becomes.
        lr: Adam's learning rate at the start; it falls to 0 along half a cosine.
        first: the first layer that becomes random, as `mask_of` has it; the earlier, the more is
            taken over of the drawing, shapes at last.
        strength: of the random layers, 0 to 1, as `mixed` has it.
        batch: mixed codes of each reference a step.
        pixels: weight of the mean squared difference.
        keep_colors: everybody keeps the colors that the base gives them: pictures are compared in
            gray, and what makes colors stays as it is.
        features: the network of the distance.
    Differs: LPIPS by VGG16, as the tuning of persons has it, and pixels; the paper has the L1 of
    features of a frozen critic, which many runs were shared or converted without. 80 steps from
    1e-3 to 0, `batch` mixed codes in each (300 of 2e-3 with beta 0 and .99, one): faces of 64
    pixels are lost sooner. The layers' noise is the generator's own, not drawn anew. For colors the
    official code has random layers 9, 11, 15, 16 and 17 of 18; here all fine ones but the last are,
    pictures are compared in gray, and the part of a generator that makes its palette stays.
    """

    base: Base
    steps: int = 80
    lr: float = 1e-3
    first: int | None = None
    strength: float = 1.0
    batch: int = 2
    pixels: float = 3.0
    keep_colors: bool = False
    features: str = "lpips_vgg"

    def __post_init__(self):
        for name in ("steps", "batch"):
            if vars(self)[name] < 1:
                raise ValueError(f"{name}={vars(self)[name]}: it must be at least 1.")
        if not 0 < self.strength <= 1:
            raise ValueError(f"strength={self.strength}: it must be more than 0, 1 at most.")
        mask_of(self.base.layers, self.first, keep_colors=self.keep_colors)

    @functools.cached_property
    def mask(self) -> np.ndarray:
        return mask_of(self.base.layers, self.first, keep_colors=self.keep_colors)

    @functools.cached_property
    def net(self) -> pretrained.Net:
        return pretrained.load(self.features)

    def __call__(
        self,
        pictures: Float[np.ndarray, "n H W C"],
        ws: Float[np.ndarray, "n L W"],
        *,
        seed: int = 0,
        log: Callable[[int, float], None] | None = None,
    ) -> Taught:
        """Teaches the look of pictures of the base's shape in [-1, 1], premultiplied where they
        have alpha, and their codes.

        log: takes (step, LPIPS, the mean), after each.
        """
        rng, n = np.random.default_rng(seed), len(pictures)
        weights = {"net": self.net.params, "g": self.base.params}
        target, ws = jnp.asarray(pictures), jnp.asarray(ws)
        target = gray(target) if self.keep_colors else target
        wanted = features_of(self, weights, target)
        fixed = (FIXED, COLORS) if self.keep_colors else (FIXED,)
        moving = {name: x for name, x in self.base.params.items() if name not in fixed}
        opt, rows = self.optimizer.init(moving), np.repeat(np.arange(n), self.batch)
        start = self._measured(weights, self.base.params, ws, wanted)
        for number in range(self.steps):
            others = self._others(rng, len(rows))
            part = target[rows], wanted[rows], mixed(ws[rows], others, self.mask, self.strength)
            moving, opt, near = step(self, weights, moving, opt, part)
            if log is not None:
                log(number + 1, float(near))
        params = self.base.params | jax.device_get(moving)
        net = f"{self.net.name} (SHA-256 {self.net.sha256})"
        return Taught(params, start, self._measured(weights, params, ws, wanted), net)

    @property
    def optimizer(self) -> optax.GradientTransformation:
        return optax.adam(optax.cosine_decay_schedule(self.lr, self.steps))

    def _others(self, rng: np.random.Generator, n: int) -> jax.Array:
        """w [n, W] of samples of the base."""
        samples = self.base.statistics.ws
        return jnp.asarray(samples[rng.integers(len(samples), size=n)])

    def _measured(self, weights, params, ws, wanted) -> np.ndarray:
        """As Taught.distance, [n]; the same random layers every time."""
        others, found = self._others(np.random.default_rng(0), MEASURED), []
        for code, goal in zip(ws, wanted, strict=True):
            codes = mixed(jnp.repeat(code[None], MEASURED, 0), others, self.mask, self.strength)
            found.append(np.mean(distances(self, weights, params, codes, goal[None])))
        return np.array(found)

    def drawn(self, params: PyTree, ws: jax.Array) -> jax.Array:
        """Codes as they are compared: where colors are kept, in gray."""
        made = self.base.draw(params, ws)
        return gray(made) if self.keep_colors else made

    def loss(self, moving, weights, part):
        """(what is minimized, LPIPS)."""
        target, wanted, ws = part
        made = self.drawn(weights["g"] | moving, ws)
        near = distance(seen(self.net, weights["net"], made), wanted).mean()
        return near + self.pixels * jnp.mean(jnp.square(made - target)), near
