"""One person's part of a generator's styles: the mixtures of the styles that the person's pictures
were inverted to, the anchors. Nitzan et al. 2022 (MyStyle), arXiv:2203.17272."""

import dataclasses
import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from gan_jax import pretrained
from gan_jax.personalize.base import Base, seen
from gan_jax.pretrained.perceptual import distance
from gan_jax.state import PyTree

ANCHORS = 3  # that a sample is a mixture of
SHARPNESS = 100.0  # of the softplus that keeps weights above -beta


def samples(
    anchors: Float[np.ndarray, "N W"], n: int, seed: int = 0, mixed: int = ANCHORS
) -> Float[np.ndarray, "n W"]:
    """n styles of the person: each a mixture of `mixed` anchors drawn without replacement, their
    weights uniform and normalized. None lies outside the anchors' hull."""
    rng, k = np.random.default_rng(seed), min(mixed, len(anchors))
    rows = np.stack([rng.choice(len(anchors), k, replace=False) for _ in range(n)])
    weights = rng.uniform(size=(n, k))
    weights /= weights.sum(1, keepdims=True)
    return np.einsum("nk,nkw->nw", weights, anchors[rows]).astype(np.float32)


def shares_of(anchors: Float[np.ndarray, "N W"], n: Float[np.ndarray, " W"]) -> np.ndarray:
    """A direction in W as one of the anchors' weights: gamma = (A A^T)^-1 A n, [N]."""
    gram = anchors @ anchors.T
    slack = 1e-6 * np.trace(gram) / len(gram) * np.eye(len(gram))
    return np.linalg.solve(gram + slack, anchors @ n)


def edited(
    anchors: Float[np.ndarray, "N W"],
    shares: Float[np.ndarray, " N"],
    direction: Float[np.ndarray, " W"],
    amount: float,
    beta: float = 0.02,
) -> tuple[np.ndarray, float]:
    """(the weights [N] of a style moved along a direction, how much of `amount` was gone): it goes
    as far as no weight falls below -beta, where the person ends. The weights sum to 1."""
    gamma = shares_of(anchors, direction)
    gamma = gamma - gamma.mean()  # the sum of the weights stays
    step = amount * gamma
    falls = step < 0
    room = np.where(falls, (shares + beta) / np.where(falls, -step, 1), np.inf)
    part = float(np.clip(room.min(initial=np.inf), 0, 1))
    return shares + part * step, part * amount


@dataclasses.dataclass(frozen=True, eq=False)
class Projection:
    """A picture, whole or damaged, drawn by the person's generator: the weights of the anchors that
    come nearest, beta beyond the hull at most.

    Attributes:
        base: the generator before it was tuned.
        params: of the person's.
        anchors: f32 [N, W].
        beta: how far beyond the hull; the more, the nearer to the picture, the farther from the
            person.
        steps, lr: of Adam.
        layered: weight of |delta_l|, what each layer's weights differ from the common ones.
        features: the network of the distance.
    Differs: the official code has Adam 5e-3 for 1000 steps and 10 times the sum of |delta_l| over
    the first twelve layers; a hole is filled, not blended in by Poisson's equation.
    """

    base: Base
    params: PyTree
    anchors: np.ndarray
    beta: float = 0.02
    steps: int = 200
    lr: float = 0.02
    layered: float = 0.1
    features: str = "lpips_vgg"

    @functools.cached_property
    def net(self) -> pretrained.Net:
        return pretrained.load(self.features)

    def __call__(
        self,
        picture: Float[np.ndarray, "H W C"],
        *,
        mask: Float[np.ndarray, "H W"] | None = None,
        times: int = 1,
        log: Callable[[int, float], None] | None = None,
    ) -> tuple[np.ndarray, float]:
        """(ws f32 [L, W], LPIPS of what is known of the picture).

        Args:
            picture: in [-1, 1], premultiplied where it has alpha; [H / times, W / times, C] of one
                that is to be enlarged.
            mask: 1 where the picture is known, 0 where it is lost; None: all is known.
            times: by what the picture is smaller than the base's.
            log: takes (step, LPIPS), now and then.
        """
        n, layers = len(self.anchors), self.base.layers
        known = jnp.ones(picture.shape[:2]) if mask is None else jnp.asarray(mask)
        weights = {"net": self.net.params, "g": self.params, "anchors": jnp.asarray(self.anchors)}
        found = {"shares": jnp.full(n, 1 / n), "delta": jnp.zeros((layers, n))}
        opt, near = optax.adam(self.lr).init(found), np.inf
        given = jnp.asarray(picture), known[..., None]
        for step in range(self.steps):
            found, opt, near = _project(self, times, weights, found, opt, given)
            if log is not None and (step + 1) % 25 == 0:
                log(step + 1, float(near))
        return np.asarray(self.styles(found, weights["anchors"])), float(near)

    def styles(self, found: PyTree, anchors: Float[Array, "N W"]) -> Float[Array, "L W"]:
        """A style for each layer, of weights that are -beta at the least and sum to 1."""
        raw = found["shares"][None] + found["delta"]
        kept = softplus(raw + self.beta) - self.beta
        return kept / kept.sum(1, keepdims=True) @ anchors

    def loss(self, found, times, weights, given):
        """(what is minimized, LPIPS)."""
        picture, known = given
        made = self.base.draw(weights["g"], self.styles(found, weights["anchors"])[None])[0]
        if times > 1:
            h, w, c = picture.shape
            made = made.reshape(h, times, w, times, c).mean((1, 3))
        ground = -(1.0 - known)  # what is lost is black in both
        made, picture = (x * known + ground for x in (made, picture))
        near = distance(
            seen(self.net, weights["net"], made[None]),
            seen(self.net, weights["net"], picture[None]),
        )[0]
        apart = jnp.sqrt(jnp.square(found["delta"]).sum(1) + 1e-12).mean()
        whole = jnp.square(found["shares"].sum() - 1)
        pixels = jnp.mean(jnp.square(made - picture))
        return near + pixels + self.layered * apart + 10 * whole, near


def softplus(x: jax.Array) -> jax.Array:
    """softplus of SHARPNESS: close to max(x, 0)."""
    return jax.nn.softplus(SHARPNESS * x) / SHARPNESS


@functools.partial(jax.jit, static_argnums=(0, 1))
def _project(projection, times, weights, found, opt, given):
    how = jax.value_and_grad(projection.loss, has_aux=True)
    (_, near), grads = how(found, times, weights, given)
    updates, opt = optax.adam(projection.lr).update(grads, opt)
    return optax.apply_updates(found, updates), opt, near
