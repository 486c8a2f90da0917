"""R3GAN: a relativistic loss that R1 and R2 make converge. Huang et al. 2024, arXiv:2501.05441;
presets of the official runs."""

import dataclasses
import functools
import math

import flax.linen as nn
import jax
import jax.numpy as jnp

from gan_jax import losses, models, regularizers
from gan_jax.algorithms import base, critic_terms
from gan_jax.runtime import registry
from gan_jax.state import Aux, Phase, PyTree


@dataclasses.dataclass(frozen=True)
class Algorithm(base.FromNoise):
    """Every fake is compared with the real image of its row; R1 and R2 at every step make that
    converge.

    Attributes:
        z_dim: dimension of the latent z ~ N(0, I).
        gamma: D's loss has gamma / 2 times the squared slopes at reals and at fakes. With
            `gamma_final` it goes there along half a cosine over `decay_kimg` thousand images.
        penalty_every: 1 has both penalties in every D step; k > 1 makes them a step of its own
            every k iterations, k times as heavy: faster, without the paper's guarantee of
            convergence.
        batch: images an iteration.
        terms: see critic_terms.CriticTerms, whose settings stand among these.
    Slopes are those of the picture before it is augmented. Labels, where the data has them, go to
    both players; fakes are drawn with the labels of the reals they are paired with.
    Differs: G's step pairs its fakes with the real images of D's step before it; the official code
    draws others.
    """

    parts = (("terms", critic_terms.CriticTerms),)

    g: nn.Module
    d: nn.Module
    z_dim: int = 64
    gamma: float = 1.0
    gamma_final: float | None = None
    decay_kimg: float | None = None
    penalty_every: int = 1
    batch: int = 0
    terms: critic_terms.CriticTerms = critic_terms.NONE

    def __post_init__(self):
        if not models.traits(self.d).scales_biases:
            raise ValueError(
                f"config.model: {type(self.d).__module__}.{type(self.d).__name__} has no scale of"
                " its biases (models.Traits), which config.algorithm='r3gan' needs. Use"
                " model='r3gan', or algorithm='noise_to_image' with game.loss='relativistic' and"
                " game.penalty='r1+r2'."
            )
        base.check_counts(self, "z_dim", "penalty_every")
        base.check_weights(self, "gamma")
        if self.gamma_final is not None:
            base.check_weights(self, "gamma_final")
        if (self.gamma_final is None) != (self.decay_kimg is None):
            raise ValueError(
                "config.game.gamma_final and config.game.decay_kimg: give both, or neither."
            )
        if self.decay_kimg is not None and not (0 < self.decay_kimg < math.inf and self.batch):
            raise ValueError(
                f"config.game.decay_kimg={self.decay_kimg}: it must be above 0 (thousands of"
                " images)."
            )

    @property
    def phases(self):
        play = Phase("d", self.loss_d), Phase("g", self.loss_g)
        if self.penalty_every > 1:
            return *play, Phase("d", self.penalty_d, every=self.penalty_every)
        return play

    def loss_d(self, params_d, state, batch, rng):
        """Minimized over params_d with G frozen. Returns (f32 [], Aux). Huang et al. 2024, section
        2: the relativistic loss, R1 and R2."""
        k_z, k_real, k_fake, *k_perturb = jax.random.split(rng, 5)
        pairs, y = self.pairs(state, batch, k_z)
        augment = functools.partial(self.augmented_pairs, state, k_real, k_fake)
        if self.penalty_every == 1:
            critic = functools.partial(self.critic, params_d, _twice(y))
            r1, r2, logits, augmented = regularizers.r1_r2(critic, augment, pairs)
        else:  # they have a step of their own
            r1, r2, augmented = 0.0, 0.0, augment(pairs)
            logits = self.pair_logits(params_d, augmented, y)
        logits_real, logits_fake = logits[:, 0], logits[:, 1]
        adversarial = losses.relativistic_d(logits_real, logits_fake)
        gamma = self.gamma_at(state.step)
        lecam, of_lecam = self.terms.lecam_term(state, logits_real, logits_fake)
        consistency, of_consistency = self.terms.consistency_term(
            functools.partial(self.critic, params_d, y),
            k_perturb,
            (augmented[:, 0], augmented[:, 1]),
            (logits_real, logits_fake),
        )
        loss = adversarial + gamma / 2 * (r1 + r2) + lecam + consistency
        metrics = {
            "d/loss": adversarial,
            "d/real": jnp.mean(logits_real),
            "d/fake": jnp.mean(logits_fake),
        }
        if self.penalty_every == 1:
            metrics |= {"d/r1": r1, "d/r2": r2, "d/gamma": gamma}
        carry, strength = self.terms.next_carry(state, logits_real, logits_fake)
        return loss, Aux(state.d.mutable, carry, metrics | of_lecam | of_consistency | strength)

    def penalty_d(self, params_d, state, batch, rng):
        """The lazy penalties' own step:
        `penalty_every` times gamma / 2 (R1 + R2), minimized over params_d."""
        k_z, k_real, k_fake = jax.random.split(rng, 3)
        pairs, y = self.pairs(state, batch, k_z)
        augment = functools.partial(self.augmented_pairs, state, k_real, k_fake)
        critic = functools.partial(self.critic, params_d, _twice(y))
        r1, r2, _, _ = regularizers.r1_r2(critic, augment, pairs)
        gamma = self.gamma_at(state.step)
        aux = Aux(state.d.mutable, state.carry, {"d/r1": r1, "d/r2": r2, "d/gamma": gamma})
        return self.penalty_every * gamma / 2 * (r1 + r2), aux

    def loss_g(self, params_g, state, batch, rng):
        """Minimized over params_g with D frozen. Returns (f32 [], Aux)."""
        k_z, k_real, k_fake = jax.random.split(rng, 3)
        x_real, y = base.to_float(batch["image"]), batch.get("label")
        x_fake = self.fake(params_g, k_z, y, x_real.shape[0])
        augmented_real = self.terms.augmented(state, k_real, x_real)
        augmented_fake = self.terms.augmented(state, k_fake, x_fake)
        logits_real = self.critic(state.d.params, y, augmented_real)
        logits_fake = self.critic(state.d.params, y, augmented_fake)
        loss = losses.relativistic_g(logits_real, logits_fake)
        return loss, Aux(state.g.mutable, state.carry, {"g/loss": loss})

    def gamma_at(self, step: jax.Array) -> jax.Array:
        """gamma f32 [] in iteration `step` (from 0), by the images before it."""
        if self.gamma_final is None:
            return jnp.float32(self.gamma)
        done = jnp.minimum((step + 0.0) * self.batch / (self.decay_kimg * 1000), 1)
        return self.gamma_final + (self.gamma - self.gamma_final) * (1 + jnp.cos(jnp.pi * done)) / 2

    def pairs(self, state, batch, rng):
        """(real and fake of each row, f32 [B, 2, H, W, C]; their labels int32 [B] or None).

        A row's two stay beside each other, so on one device.
        """
        x_real, y = base.to_float(batch["image"]), batch.get("label")
        return jnp.stack([x_real, self.fake(state.g.params, rng, y, x_real.shape[0])], 1), y

    def fake(self, params_g, rng, y, n):
        """Images f32 [n, H, W, C]."""
        return base.forward(self.g, params_g["g"], {}, base.normal(rng, n, self.z_dim), y)[0]

    def augmented_pairs(self, state, k_real, k_fake, pairs):
        """Pairs [B, 2, H, W, C] as the critic sees them, the same shape."""
        sides = zip((k_real, k_fake), (0, 1), strict=True)
        return jnp.stack([self.terms.augmented(state, key, pairs[:, i]) for key, i in sides], 1)

    def pair_logits(self, params_d, pairs, y):
        """Logits f32 [B, 2] of pairs [B, 2, H, W, C]."""
        rows = pairs.reshape(-1, *pairs.shape[2:])
        return self.critic(params_d, _twice(y), rows).reshape(-1, 2)

    def critic(self, params_d, y, x, scale=None):
        """x [n, H, W, C] of classes y -> logits f32 [n]; scale f32 [n]: of the biases."""
        return base.forward(self.d, params_d["d"], {}, x, y, scale)[0]

    def init(self, rng, batch):
        k_g, k_d, k_z = jax.random.split(rng, 3)
        x, y = base.to_float(batch["image"]), batch.get("label")
        params_g, mutable_g = base.init_network(self.g, k_g, self.latent(k_z, x.shape[0]), y)
        params_d, mutable_d = base.init_network(self.d, k_d, x, y)
        for name, mutable in (("g", mutable_g), ("d", mutable_d)):
            if mutable:
                raise ValueError(
                    f"config.{name}: config.algorithm='r3gan' plays with networks without state"
                    " only."
                )
        carry = self.terms.init_carry()
        return base.variables({"g": params_g}), base.variables({"d": params_d}), carry

    def latent(self, rng, n, truncation=None):
        return base.truncated_normal(rng, (n, self.z_dim), truncation)

    def sample(self, ema, z, y, truncation=None):
        return base.forward(self.g, ema["params"]["g"], ema["mutable"]["g"], z, y, train=False)[0]


def _twice(y):
    """Labels [B] -> [2B], of both pictures of a pair."""
    return None if y is None else jnp.repeat(y, 2)


def preset(name: str) -> dict[str, PyTree]:
    """Settings of a whole run but its data, as a config gives them, by a name in PRESETS.

    Differs: a run ends where its schedules end; the official ones go on until they are stopped.
    """
    p = registry.choose(PRESETS, name, "the preset")
    lr, final_lr = p["lr"]
    gamma, gamma_final = p["gamma"]
    b2, final_b2 = p["b2"]
    kimg = p["decay_kimg"]
    opt = {"name": "adam", "lr": lr, "b1": 0.0, "b2": b2, "schedule": "cosine"}
    opt |= {"final_lr": final_lr, "final_b2": final_b2, "decay_kimg": kimg}
    widths = {"widths": p["widths"], "cardinality": p["cardinality"]}
    ada = {"name": "ada", "pipe": ("bgc", "cutout"), "multipliers": (("color", 0.5),)}
    return {
        "algorithm": "r3gan",
        "model": "r3gan",
        "g": widths,
        "d": widths,
        "game": dict(z_dim=64, gamma=gamma, gamma_final=gamma_final, decay_kimg=kimg),
        "augment": ada | {"target": None, "p": p["p"], "rise_kimg": kimg},
        "conditional": p["conditional"],
        "opt_g": dict(opt),
        "opt_d": dict(opt),
        "batch": p["batch"],
        "total_kimg": kimg,
        "ema_halflife_kimg": p["ema_kimg"],
        "ema_rise_kimg": kimg,
        "ema_rampup": None,
    }


# Of the official runs, on 8, 8, 8, 32 and 64 GPUs. Pairs go from the first number to the second, p
# and the half-life of the average (ema_kimg) from 0, all along half a cosine over decay_kimg.
PRESETS = {
    "CIFAR10": dict(
        widths=(768,) * 4, cardinality=(96,) * 4, conditional=True, batch=512,
        lr=(2e-4, 5e-5), gamma=(0.05, 0.005), b2=(0.9, 0.99), p=0.55,
        ema_kimg=5_000.0, decay_kimg=20_000.0,
    ),
    "FFHQ-64": dict(
        widths=(768,) * 4 + (384,), cardinality=(96,) * 4 + (48,), conditional=False, batch=256,
        lr=(2e-4, 5e-5), gamma=(2.0, 0.2), b2=(0.9, 0.99), p=0.3,
        ema_kimg=500.0, decay_kimg=20_000.0,
    ),
    "FFHQ-256": dict(
        widths=(768,) * 4 + (384, 192, 96), cardinality=(96,) * 4 + (48, 24, 12),
        conditional=False, batch=256,
        lr=(2e-4, 5e-5), gamma=(150.0, 15.0), b2=(0.9, 0.99), p=0.3,
        ema_kimg=500.0, decay_kimg=20_000.0,
    ),
    "ImageNet-32": dict(
        widths=(1536,) * 4, cardinality=(96,) * 4, conditional=True, batch=4096,
        lr=(2e-4, 5e-5), gamma=(0.5, 0.05), b2=(0.9, 0.99), p=0.5,
        ema_kimg=50_000.0, decay_kimg=200_000.0,
    ),
    "ImageNet-64": dict(
        widths=(1536,) * 5, cardinality=(96,) * 5, conditional=True, batch=4096,
        lr=(2e-4, 5e-5), gamma=(1.0, 0.1), b2=(0.9, 0.99), p=0.4,
        ema_kimg=50_000.0, decay_kimg=200_000.0,
    ),
}  # fmt: skip
