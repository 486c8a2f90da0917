"""Holes in pictures filled: DeepFill v2, free-form inpainting with gated convolutions. Yu et al.
2019, arXiv:1806.03589."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp

from gan_jax import losses
from gan_jax.algorithms import base
from gan_jax.algorithms.holes import filled, opened, torn
from gan_jax.state import Aux, Phase


@dataclasses.dataclass(frozen=True)
class Algorithm(base.Translator):
    """G draws a coarse and a refined whole picture of one with holes, m = 1 there and 0 elsewhere;
    x is the true one. The result is the refined one in the holes and the picture elsewhere. All
    pictures are in [-1, 1].

    G minimizes `pixels` (|coarse - x| + |refined - x|) - `adversarial` D(result, m), D minimizes
    relu(1 - D(x, m)) + relu(1 + D(result, m)): means over whole pictures and over all logits.

    Attributes:
        g: (colors, 0 in holes; m) [B, H, W, 4] -> (coarse, refined) [B, H, W, 3].
        d: (picture; m) [B, H, W, 4] -> logits.
        pixels, adversarial: weights of the terms above.
    Differs: each picture has its own hole, where officially all of a batch have the same one; D's
        loss is not halved.
    """

    calls = (("g", "x"), ("d", "x"))
    command = "inpaint"
    partners = ("masked",)

    g: nn.Module
    d: nn.Module
    pixels: float = 1.0
    adversarial: float = 1.0

    def __post_init__(self):
        base.check_weights(self, "pixels", "adversarial")

    @property
    def phases(self):
        return Phase("d", self.loss_d), Phase("g", self.loss_g)

    def loss_d(self, params_d, state, batch, rng):
        """Minimized over params_d with G frozen. Returns (f32 [], Aux). Section 3.2."""
        x, m, given = opened(batch)
        (_, refined), _ = self.drawn(state.g.params, state.g.mutable, given)
        both = jnp.concatenate([x, filled(refined, x, m)])
        logits, mutable = self.critic(params_d, state.d.mutable, both, jnp.concatenate([m, m]))
        logits_real, logits_fake = jnp.split(logits, 2)
        loss = losses.hinge_d(logits_real, logits_fake)
        metrics = {"d/loss": loss, "d/real": logits_real.mean(), "d/fake": logits_fake.mean()}
        return loss, Aux(mutable, state.carry, metrics)

    def loss_g(self, params_g, state, batch, rng):
        """Minimized over params_g with D frozen. Returns (f32 [], Aux). Sections 3.2 and
        3.3."""
        x, m, given = opened(batch)
        (coarse, refined), mutable = self.drawn(params_g, state.g.mutable, given)
        of_coarse, of_refined = losses.l1(coarse, x), losses.l1(refined, x)
        logits, _ = self.critic(state.d.params, state.d.mutable, filled(refined, x, m), m)
        adversarial = losses.wasserstein_g(None, logits)
        loss = self.pixels * (of_coarse + of_refined) + self.adversarial * adversarial
        metrics = {"g/loss": adversarial, "g/coarse": of_coarse, "g/refined": of_refined}
        return loss, Aux(mutable, state.carry, metrics)

    def drawn(self, params_g, mutable, given, *, train=True):
        """(G's (coarse, refined) pictures of what `opened` gave it, new mutable)."""
        pictures, new = base.forward(self.g, params_g["g"], mutable["g"], given, train=train)
        return pictures, {"g": new}

    def critic(self, params_d, mutable, x, m):
        """(D's logits of pictures x with holes m, new mutable)."""
        seen = jnp.concatenate([x, m], -1)
        logits, new = base.forward(self.d, params_d["d"], mutable["d"], seen)
        return logits, {"d": new}

    def init(self, rng, batch):
        k_g, k_d = jax.random.split(rng)
        x, m, given = opened(batch)
        params_g, mutable_g = base.init_network(self.g, k_g, given)
        params_d, mutable_d = base.init_network(self.d, k_d, jnp.concatenate([x, m], -1))
        g = base.variables({"g": params_g}, {"g": mutable_g})
        return g, base.variables({"d": params_d}, {"d": mutable_d}), {}

    def apply_generator(self, ema, more, x, style):
        """x: f32 [n, H, W, 4] in [-1, 1], transparent where it is to be filled -> the same, filled
        and opaque."""
        colors, m, given = torn(x)
        (_, refined), new = base.forward(
            self.g, ema["params"]["g"], ema["mutable"]["g"] | more, given, train=False
        )
        return jnp.concatenate([filled(refined, colors, m), jnp.ones_like(m)], -1), new
