"""Holes in pictures filled by a small network: MI-GAN. Sargsyan et al. 2023, "MI-GAN: A Simple
Baseline for Image Inpainting on Mobile Devices" (ICCV)."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp

from gan_jax import losses, models, regularizers
from gan_jax.algorithms import base
from gan_jax.algorithms.holes import filled, opened, torn
from gan_jax.nn import conv
from gan_jax.state import Aux, Phase

LEAST = 32  # pixels: shorter sides of the smallest pictures that are compared


@dataclasses.dataclass(frozen=True)
class Algorithm(base.Translator):
    """G draws whole pictures p_s of sizes s of one with holes, m = 1 there and 0 elsewhere; x is
    the true one, x_s its averages over squares of pixels, and p the largest p_s. The result k is p
    in the holes and the picture elsewhere. All pictures are in [-1, 1].

    G minimizes softplus(-D(k, m)) + `known` (1 - m) |p - x| + `pixels` the sum of |p_s - x_s| over
    the sizes whose shorter side is 32 or more, or over the largest alone where there are none. D
    minimizes softplus(-D(x, m)) + softplus(D(k, m)) and, every `r1_every` iterations, in a step of
    its own, `gamma` / 2 |dD(x, m) / d(x, m)|^2 times `r1_every`.

    Attributes:
        g: (colors, 0 in holes; m) [B, H, W, 4] -> pictures [B, h, w, 3], the smallest first.
        d: (picture; m) [B, H, W, 4] -> logits.
        known, pixels, gamma: weights of the terms above.
        r1_every: iterations from one step of D's penalty to the next.
        batch: images an iteration.
    Differs: the paper's `pixels`, of weight 2 too, compares what each size adds to the picture, in
        holes, with what a large network draws there, Co-Mod-GAN, whose weights are not to be had
        here; and it has no `known`. An L1 of the true picture in holes blurs what could be many
        things: lower `pixels` for sharper ones.
    """

    calls = (("g", "x"), ("d", "x"))
    command = "inpaint"
    partners = ("masked",)

    g: nn.Module
    d: nn.Module
    known: float = 10.0
    pixels: float = 2.0
    gamma: float = 10.0
    r1_every: int = 16
    batch: int = 0

    def __post_init__(self):
        base.check_weights(self, "known", "pixels", "gamma")
        base.check_counts(self, "r1_every")
        group = min(models.traits(self.d).mbstd_group, self.batch)
        if self.batch and self.batch % group:
            raise ValueError(
                f"config.d.mbstd_group={group}: config.batch={self.batch} images don't split into"
                " such groups. Use a number that divides it."
            )

    @property
    def phases(self):
        r1 = [Phase("d", self.r1_d, every=self.r1_every)] if self.gamma else []
        return Phase("g", self.loss_g), Phase("d", self.loss_d), *r1

    def loss_g(self, params_g, state, batch, rng):
        """Minimized over params_g with D frozen. Returns (f32 [], Aux)."""
        x, m, given = opened(batch)
        pictures, mutable = self.drawn(params_g, state.g.mutable, given, rng)
        logits, _ = self.critic(state.d.params, state.d.mutable, filled(pictures[-1], x, m), m)
        adversarial = losses.non_saturating_g(None, logits)
        known = jnp.mean((1 - m) * jnp.abs(pictures[-1] - x))
        pixels = sum(losses.l1(p, of_x) for p, of_x in beside_true(pictures, x))
        loss = adversarial + self.known * known + self.pixels * pixels
        metrics = {"g/loss": adversarial, "g/known": known, "g/pixels": pixels}
        return loss, Aux(mutable, state.carry, metrics)

    def loss_d(self, params_d, state, batch, rng):
        """Minimized over params_d with G frozen. Returns (f32 [], Aux)."""
        x, m, given = opened(batch)
        pictures, _ = self.drawn(state.g.params, state.g.mutable, given, rng)
        logits_real, mutable = self.critic(params_d, state.d.mutable, x, m)
        logits_fake, mutable = self.critic(params_d, mutable, filled(pictures[-1], x, m), m)
        loss = losses.logistic_d(logits_real, logits_fake)
        metrics = {"d/loss": loss, "d/real": logits_real.mean(), "d/fake": logits_fake.mean()}
        return loss, Aux(mutable, state.carry, metrics)

    def r1_d(self, params_d, state, batch, rng):
        """R1's own step: `r1_every` times gamma / 2 times R1, of the picture and its holes,
        minimized over params_d."""
        x, m, _ = opened(batch)

        def logits(seen):
            return self.critic(params_d, state.d.mutable, seen[..., :3], seen[..., 3:])[0]

        r1 = jnp.mean(regularizers.grad_penalty(logits, jnp.concatenate([x, m], -1)))
        return self.r1_every * self.gamma / 2 * r1, Aux(state.d.mutable, state.carry, {"d/r1": r1})

    def drawn(self, params_g, mutable, given, rng):
        """(G's pictures of what `opened` gave it, with fresh noise, new mutable)."""
        how = {"rngs": {"noise": rng}}
        pictures, new = base.forward(self.g, params_g["g"], mutable["g"], given, **how)
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
        pictures, new = base.forward(
            self.g, ema["params"]["g"], ema["mutable"]["g"] | more, given, train=False
        )
        whole = filled(jnp.clip(pictures[-1], -1, 1), colors, m)
        return jnp.concatenate([whole, jnp.ones_like(m)], -1), new


def beside_true(pictures, x):
    """(p_s, x_s) of the sizes that are compared, the largest first."""
    pairs = [(pictures[-1], x)]
    for p in reversed(pictures[:-1]):
        if min(p.shape[1:3]) < LEAST:
            break
        x = conv.pool(x)
        pairs.append((p, x))
    return pairs
