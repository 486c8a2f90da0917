"""A generator taught to draw pictures that it can't draw yet, around the styles they were inverted
to: pivotal tuning. Roich et al. 2021, arXiv:2106.05744; for many pictures of one person as Nitzan
et al. 2022 (MyStyle), arXiv:2203.17272."""

import dataclasses
import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Float

from gan_jax import pretrained
from gan_jax.personalize.base import Base, seen
from gan_jax.pretrained.perceptual import distance
from gan_jax.state import PyTree

FIXED = "mapping"  # the part of the generator that gets no gradient: styles are given


class Tuned(NamedTuple):
    """Attributes:
    params: of the generator.
    start, distance: LPIPS of each picture before and after, [n].
    rounds: over all pictures.
    net: the network that measured.
    """

    params: PyTree
    start: np.ndarray
    distance: np.ndarray
    rounds: int
    net: str


@dataclasses.dataclass(frozen=True, eq=False)
class Tuning:
    """Adam on all of the generator but its mapping; styles stay.

    Minimized is the mean over a batch of LPIPS + `pixels` times the mean squared difference, and
    `locality` times LPIPS + the mean squared difference between the tuned and the first generator's
    pictures of styles near by, which keeps everybody else as they were: w_r = w_p + reach (w_z -
    w_p), with w_z of a new z.

    Attributes:
        base: the generator before.
        rounds: over all pictures, at most.
        enough: it ends once no picture's LPIPS is above.
        lr: Adam's learning rate.
        batch: pictures a step; the official codes take one.
        pixels: weight of the mean squared difference.
        locality: weight, as above; 0: none.
        reach: how far from w_p to another w, 0 to 1.
        features: the network of the distance.
    Differs: rates, weights and rounds are for generators of 64 pixels (official: LPIPS by AlexNet,
    whose first layer sees every fourth pixel; pixels 1, lr 3e-4, at most 350 steps, enough .06, one
    picture a step). The official reach is 30 in the length of all layers' styles
    together, about 0.7 of the way for FFHQ's generator.
    """

    base: Base
    rounds: int = 150
    enough: float = 0.05
    lr: float = 1e-3
    batch: int = 4
    pixels: float = 3.0
    locality: float = 0.1
    reach: float = 0.7
    features: str = "lpips_vgg"

    @functools.cached_property
    def net(self) -> pretrained.Net:
        return pretrained.load(self.features)

    def __call__(
        self,
        pictures: Float[np.ndarray, "n H W C"],
        ws: Float[np.ndarray, "n L W"],
        *,
        seed: int = 0,
        log: Callable[[int, np.ndarray, PyTree], None] | None = None,
    ) -> Tuned:
        """Tunes for pictures of the base's shape in [-1, 1], premultiplied where they have alpha,
        and their styles.

        log: takes (round, LPIPS [n], the weights), after each.
        """
        n, rng = len(pictures), np.random.default_rng(seed)
        size = min(self.batch, n)
        weights = {"net": self.net.params, "g": self.base.params}
        target, ws = jnp.asarray(pictures), jnp.asarray(ws)
        wanted = np.concatenate(
            [features_of(self, weights, target[i : i + 1]) for i in range(n)]
        )  # one shape: one compilation
        params = self.base.params
        moving = {name: x for name, x in params.items() if name != FIXED}
        opt, samples = self.optimizer.init(moving), self.base.statistics.ws
        start = self._measured(weights, params, ws, wanted)
        now, done = start, 0
        for done in range(1, self.rounds + 1):
            if now.max() <= self.enough:
                done -= 1
                break
            order = rng.permutation(n)
            order = np.concatenate([order, order[: -n % size]])  # the last batch is a whole one
            near = np.zeros(n)
            for rows in order.reshape(-1, size):
                others = jnp.asarray(samples[rng.integers(len(samples), size=size)])
                part = target[rows], jnp.asarray(wanted[rows]), ws[rows], others
                moving, opt, near[rows] = step(self, weights, moving, opt, part)
            now = near
            if log is not None:
                log(done, now, params | moving)
        params = params | jax.device_get(moving)
        net = f"{self.net.name} (SHA-256 {self.net.sha256})"
        return Tuned(params, start, self._measured(weights, params, ws, wanted), done, net)

    @property
    def optimizer(self) -> optax.GradientTransformation:
        return optax.adam(self.lr)

    def drawn(self, params: PyTree, ws: jax.Array) -> jax.Array:
        """Codes as they are compared."""
        return self.base.draw(params, ws)

    def _measured(self, weights, params, ws, wanted) -> np.ndarray:
        """LPIPS of each picture, [n]."""
        rows = (slice(i, i + 1) for i in range(len(ws)))
        found = [distances(self, weights, params, ws[k], wanted[k]) for k in rows]
        return np.concatenate(found)

    def loss(self, moving, weights, part):
        """(what is minimized, LPIPS of each picture [b])."""
        target, wanted, ws, others = part
        params = weights["g"] | moving
        made = self.base.draw(params, ws)
        near = distance(seen(self.net, weights["net"], made), wanted)
        loss = near.mean() + self.pixels * jnp.mean(jnp.square(made - target))
        if self.locality:
            around = ws + self.reach * (self.base.repeat(others) - ws)
            before = jax.lax.stop_gradient(self.base.draw(weights["g"], around))
            after = self.base.draw(params, around)
            away = distance(*(seen(self.net, weights["net"], x) for x in (before, after))).mean()
            loss += self.locality * (away + jnp.mean(jnp.square(after - before)))
        return loss, near


# Of Tuning and of one_shot.OneShot: both have net, optimizer, drawn and loss.


@functools.partial(jax.jit, static_argnums=0)
def step(how, weights, moving, opt, part):
    """(moving, opt, what `loss` tells beside) after a step of Adam on `moving`."""
    (_, near), grads = jax.value_and_grad(how.loss, has_aux=True)(moving, weights, part)
    updates, opt = how.optimizer.update(grads, opt)
    return optax.apply_updates(moving, updates), opt, near


@functools.partial(jax.jit, static_argnums=0)
def features_of(how, weights, x):
    """What LPIPS compares of pictures, [n, F]."""
    return seen(how.net, weights["net"], x)


@functools.partial(jax.jit, static_argnums=0)
def distances(how, weights, params, ws, wanted):
    """LPIPS of codes as they are drawn from pictures of these features, [n]."""
    return distance(seen(how.net, weights["net"], how.drawn(params, ws)), wanted)
