"""Pictures -> the styles that a generator draws them by, found by gradient descent.

After the projectors of StyleGAN2 (Karras et al. 2020, arXiv:1912.04958, appendix D) and of PTI
(Roich et al. 2021, arXiv:2106.05744).
"""

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from gan_jax import pretrained
from gan_jax.personalize.base import Base, seen, thumbnails, visible
from gan_jax.pretrained.perceptual import distance
from gan_jax.runtime import registry
from gan_jax.state import PyTree

SPACES = {
    "w": "one style for all layers: what it finds can be edited well",
    "w+": "a style for each layer: nearer to the picture, edited less well",
}
LOOK = 25  # steps between two looks at the distance
PATIENCE = 100  # steps without a hundredth of progress, after which it ends
TOGETHER = 32 * 64 * 64  # pixels that are searched for at a time, by what LPIPS sees
NOISE_SMALLEST = 8  # pixels a side of the last scale of the noise maps' penalty


class Inverted(NamedTuple):
    """What n pictures were inverted to.

    Attributes:
        ws: f32 [n, L, W].
        start, distance: LPIPS of the picture to the drawing at the start and at the end, [n].
        offset: |w_l - mean of them|, the mean over layers, by the spread of W, [n]; 0 in "w". The
            less, the better it can be edited (Tov et al. 2021, arXiv:2102.02766).
        noise: the layers' noise maps of each picture, or None.
        steps: that were done.
        net: the network that measured.
    """

    ws: np.ndarray
    start: np.ndarray
    distance: np.ndarray
    offset: np.ndarray
    noise: PyTree | None
    steps: int
    net: str


@dataclasses.dataclass(frozen=True, eq=False)
class Inversion:
    """How styles are searched for: Adam on the distance of the drawing to the picture, while noise
    on the styles falls to 0.

    The distance of a picture is LPIPS + `pixels` times the mean squared difference + in "w+"
    `spread` times the mean of |w_l - mean| / std; with noise maps + `quiet` times what they are
    correlated with themselves, each shifted by a pixel, at every scale. The sum over pictures is
    minimized, so that they don't depend on each other.

    Attributes:
        base: the generator.
        space: a name in SPACES.
        steps: at most; it ends where no picture gets nearer (PATIENCE).
        lr: the largest learning rate: it rises over the first 5 %, and falls over the last 25 %.
        wander: of the noise on the styles at the start, by std; it is 0 after three quarters.
        pixels, spread, quiet: weights, as above.
        noise_maps: whether the layers' noise is found too, for each picture: for photographs.
        features: the network of the distance.
        params: of the generator, a person's; None: the base's.
    Differs: rates and steps (official: lr .1 and 1000 steps, PTI's .01 and 450). The search starts
    at that of 2,000 samples which is most like the picture at 16 x 16 pixels, not at the mean of W;
    `pixels`, of which the official code has none; noise maps only on demand; the noise on w is
    divided by the root of its length; "w+" starts with a third of its steps in "w"; the nearest
    that was seen is kept, not the last.
    """

    base: Base
    space: str = "w"
    steps: int = 400
    lr: float = 0.05
    wander: float = 0.05
    pixels: float = 0.5
    spread: float = 0.02
    quiet: float = 1e5
    noise_maps: bool = False
    features: str = "lpips_vgg"
    params: PyTree | None = None

    def __post_init__(self):
        registry.choose(SPACES, self.space, "space")
        if self.steps < 1:
            raise ValueError(f"steps={self.steps}: it must be at least 1.")

    @functools.cached_property
    def net(self) -> pretrained.Net:
        return pretrained.load(self.features)

    def __call__(
        self,
        pictures: Float[np.ndarray, "n H W C"],
        *,
        seed: int = 0,
        known: np.ndarray | None = None,
        begin: Float[np.ndarray, "n W"] | None = None,
        mask: Float[np.ndarray, "H W"] | None = None,
        log: Callable[[int, np.ndarray], None] | None = None,
    ) -> Inverted:
        """Inverts pictures of the base's shape in [-1, 1], premultiplied where they have alpha.

        Args:
            known: of pictures that are samples of the base's statistics, the row of each, at which
                its search does not start; for measuring.
            begin: where each search starts; None: at the sample most like the picture.
            mask: 1 where a drawing is to be like the picture, 0 where it may be anything; None: 1.
            log: takes (step, LPIPS [m]), now and then; of many pictures a part at a time.
        """
        side = min(256, *self.base.shape[:2])
        searches = math.ceil(len(pictures) * side**2 / TOGETHER)
        size = math.ceil(len(pictures) / searches)
        shown = jnp.ones(self.base.shape[:2]) if mask is None else jnp.asarray(mask)
        found = []
        for start in range(0, len(pictures), size):
            rows = np.arange(start, start + size) % len(pictures)  # all parts of one shape
            target = jnp.asarray(pictures[rows])
            if begin is not None:
                first = jnp.asarray(begin[rows])
            else:
                first = self.starts(target, None if known is None else known[rows])
            found.append(self.search(target, first, shown, seed, log))
        parts = ((part.ws, part.start, part.distance, part.offset, part.noise) for part in found)
        arrays = jax.tree.map(lambda *x: np.concatenate(x)[: len(pictures)], *parts)
        return Inverted(*arrays, max(part.steps for part in found), found[0].net)

    def search(
        self,
        target: Float[jax.Array, "n H W C"],
        first: Float[jax.Array, "n W"],
        mask: Float[jax.Array, "H W"],
        seed: int,
        log: Callable[[int, np.ndarray], None] | None,
    ) -> Inverted:
        """`__call__`, of all pictures at once, from the styles `first`."""
        n, found = len(target), {"w": first[:, None]}
        if self.noise_maps:
            found["noise"] = self.new_noise(jax.random.key(seed), n)
        weights = {"net": self.net.params, "g": self.params or self.base.params}
        target = masked(target, mask)
        wanted = target, _seen(self, weights, target), mask
        start = np.asarray(_distances(self, weights, found, wanted))
        best, kept, progress = start, found, 0
        opt, key, done = _optimizer().init(found), jax.random.key(seed), 0
        wide = self.steps // 3 if self.space == "w+" else None
        for step in range(self.steps):
            if step == wide:
                found, kept = ({**x, "w": self.whole(x["w"])} for x in (found, kept))
                opt, progress = _optimizer().init(found), step
            t = step / self.steps
            rate = self.lr * min(1.0, t / 0.05 + 1 / self.steps, 0.5 - 0.5 * _cos(t))
            wander = self.wander * max(0.0, 1 - t / 0.75) ** 2 * self.base.statistics.std
            key, k_step = jax.random.split(key)
            found, opt = _step(self, weights, found, opt, wanted, k_step, rate, wander)
            done = step + 1
            if done % LOOK and done < self.steps:
                continue
            now = np.asarray(_distances(self, weights, found, wanted))
            if log is not None:
                log(done, now)
            progress = done if (now < 0.99 * best).any() else progress
            nearer = now < best
            kept, best = _better(nearer, found, kept), np.minimum(now, best)
            if done - progress >= PATIENCE and (wide is None or done > wide):
                break
        ws = self.whole(kept["w"])
        apart = jnp.linalg.norm(ws - ws.mean(1, keepdims=True), axis=-1).mean(1)
        return Inverted(
            np.asarray(ws),
            start,
            best,
            np.asarray(apart / self.base.statistics.std),
            jax.device_get(kept["noise"]) if self.noise_maps else None,
            done,
            f"{self.net.name} (SHA-256 {self.net.sha256})",
        )

    def starts(self, target: jax.Array, known: np.ndarray | None = None) -> jax.Array:
        """The samples most like pictures [n, H, W, C], but for those of the rows `known`:
        w [n, W]."""
        samples = self.base.statistics
        wanted = np.asarray(thumbnails(target)).reshape(len(target), -1)
        small = samples.thumbnails.reshape(len(samples.ws), -1)
        far = (wanted**2).sum(1)[:, None] + (small**2).sum(1)[None] - 2 * wanted @ small.T
        if known is not None:
            far[np.arange(len(known)), known] = np.inf
        return jnp.asarray(samples.ws[far.argmin(1)])

    def new_noise(self, rng: jax.Array, n: int) -> PyTree:
        """Noise maps for n pictures, N(0, 1)."""
        own, tree = jax.tree.flatten(self.base.ema["mutable"]["g"]["noise"])
        keys = jax.random.split(rng, len(own))
        maps = [jax.random.normal(k, (n, *x.shape)) for k, x in zip(keys, own, strict=True)]
        return jax.tree.unflatten(tree, maps)

    def whole(self, w: jax.Array) -> jax.Array:
        """w [n, 1 or L, W] -> ws [n, L, W]."""
        return jnp.broadcast_to(w, (len(w), self.base.layers, w.shape[2]))

    def drawn(self, params: PyTree, found: PyTree, w: jax.Array) -> jax.Array:
        """What is found so far, as pictures f32 [n, H, W, C]."""
        ws = self.whole(w)
        if "noise" not in found:
            return self.base.draw(params, ws)

        def one(ws, noise):
            return self.base.draw(params, ws[None], noise)[0]

        return jax.vmap(one)(ws, found["noise"])

    def loss(self, found, weights, wanted, rng, wander):
        """The sum over pictures of what is minimized. wanted: (pictures, what LPIPS sees there,
        where they count)."""
        target, features, mask = wanted
        w = found["w"] + wander / np.sqrt(found["w"].shape[-1]) * jax.random.normal(
            rng, found["w"].shape
        )
        made = masked(self.drawn(weights["g"], found, w), mask)
        near = distance(seen(self.net, weights["net"], made), features)
        pixels = jnp.mean(jnp.square(made - target), (1, 2, 3))
        loss = jnp.sum(near + self.pixels * pixels)
        if found["w"].shape[1] > 1:
            apart = found["w"] - found["w"].mean(1, keepdims=True)
            apart = jnp.sqrt(jnp.square(apart).sum(-1) + 1e-12).mean(1)
            loss += self.spread / self.base.statistics.std * apart.sum()
        if "noise" in found:
            loss += self.quiet * sum(map(_correlation, jax.tree.leaves(found["noise"])))
        return loss


def masked(x: Float[Array, "n H W C"], mask: Float[Array, "H W"]) -> Float[Array, "n H W C"]:
    """Pictures that are black, and clear where they have alpha, where the mask is 0."""
    shown = mask[None, :, :, None]
    return x * shown - (1 - shown)


def _better(nearer: np.ndarray, found: PyTree, kept: PyTree) -> PyTree:
    """Of each picture what was found, where it is nearer, else what was kept."""

    def chosen(new, old):
        return jnp.where(nearer.reshape(-1, *(1,) * (new.ndim - 1)), new, old)

    return jax.tree.map(chosen, found, kept)


def _cos(t: float) -> float:
    """cos(pi min(1, (1 - t) / 0.25)), of the learning rate's fall."""
    return float(np.cos(np.pi * min(1.0, (1 - t) / 0.25)))


def _correlation(maps: jax.Array) -> jax.Array:
    """Of noise maps [n, H, W]: squared correlation with themselves a pixel on, at every scale."""
    total, x = 0.0, maps
    while True:
        for axis in (1, 2):
            total += jnp.square(jnp.mean(x * jnp.roll(x, 1, axis), (1, 2))).sum()
        if min(x.shape[1:]) <= NOISE_SMALLEST:
            return total
        n, h, w = x.shape
        x = x.reshape(n, h // 2, 2, w // 2, 2).mean((2, 4))


def _normalized(noise: PyTree) -> PyTree:
    """Maps [n, H, W] of mean 0 and mean square 1."""

    def normalized(x):
        x = x - x.mean((1, 2), keepdims=True)
        return x * jax.lax.rsqrt(jnp.square(x).mean((1, 2), keepdims=True) + 1e-8)

    return jax.tree.map(normalized, noise)


def _optimizer():
    return optax.scale_by_adam(0.9, 0.999)


@functools.partial(jax.jit, static_argnums=0)
def _step(inversion, weights, found, opt, wanted, rng, rate, wander):
    grads = jax.grad(inversion.loss)(found, weights, wanted, rng, wander)
    updates, opt = _optimizer().update(grads, opt)
    found = jax.tree.map(lambda x, u: x - rate * u, found, updates)
    if "noise" in found:
        found = found | {"noise": _normalized(found["noise"])}
    return found, opt


@functools.partial(jax.jit, static_argnums=0)
def _distances(inversion, weights, found, wanted):
    made = masked(inversion.drawn(weights["g"], found, found["w"]), wanted[2])
    return distance(seen(inversion.net, weights["net"], made), wanted[1])


@functools.partial(jax.jit, static_argnums=0)
def _seen(inversion, weights, x):
    return seen(inversion.net, weights["net"], x)


def psnr(made: Float[Array, "n H W C"], target: Float[Array, "n H W C"]) -> Float[Array, " n"]:
    """In decibels, of pictures in [-1, 1], over white."""
    error = jnp.mean(jnp.square(visible(made) - visible(target)), (1, 2, 3))
    return 10 * jnp.log10(4 / jnp.maximum(error, 1e-12))
