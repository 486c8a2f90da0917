"""pix2pix: from a picture to its counterpart, learned from pairs. Isola et al. 2017,
arXiv:1611.07004, eq. 4."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp

from gan_jax import losses, regularizers
from gan_jax.algorithms import base
from gan_jax.runtime import registry
from gan_jax.state import Aux, Phase


@dataclasses.dataclass(frozen=True)
class Algorithm(base.Translator):
    """D tells (picture, true counterpart) from (picture, G's); G minimizes its loss + `l1` |G(x) -
    counterpart|.

    Attributes:
        g, d: x -> picture; (x, picture), joined by channel -> a logit for each patch.
        loss: a name in losses.LOSSES. D's is halved, which slows it down.
        l1: weight of the mean absolute difference.
        temporal: weight of regularizers.crop_consistency, for video.
    """

    calls = (("g", "x"), ("d", "x"))
    partners = ("paired",)

    g: nn.Module
    d: nn.Module
    loss: str = "non_saturating"
    l1: float = 100.0
    temporal: float = 0.0

    def __post_init__(self):
        registry.choose(losses.LOSSES, self.loss, "config.game.loss")
        base.check_weights(self, "l1", "temporal")

    @property
    def phases(self):
        return Phase("d", self.loss_d), Phase("g", self.loss_g)

    def loss_d(self, params_d, state, batch, rng):
        """Minimized over params_d with G frozen. Returns (f32 [], Aux)."""
        x, x_real = base.to_float(batch["image"]), base.to_float(batch["target"])
        x_fake, _ = self.translated(state.g.params, state.g.mutable, x, rng)
        logits_real, mutable = self.critic(params_d, state.d.mutable, x, x_real)
        logits_fake, mutable = self.critic(params_d, mutable, x, x_fake)
        loss = losses.LOSSES[self.loss].d(logits_real, logits_fake)
        metrics = {"d/loss": loss, "d/real": jnp.mean(logits_real), "d/fake": jnp.mean(logits_fake)}
        return 0.5 * loss, Aux(mutable, state.carry, metrics)

    def loss_g(self, params_g, state, batch, rng):
        """Minimized over params_g with D frozen. Returns (f32 [], Aux)."""
        k_drop, k_crop = jax.random.split(rng)
        x, x_real = base.to_float(batch["image"]), base.to_float(batch["target"])
        x_fake, mutable = self.translated(params_g, state.g.mutable, x, k_drop)
        logits_real, _ = self.critic(state.d.params, state.d.mutable, x, x_real)
        logits_fake, _ = self.critic(state.d.params, state.d.mutable, x, x_fake)
        adversarial = losses.LOSSES[self.loss].g(logits_real, logits_fake)
        l1 = losses.l1(x_fake, x_real)
        loss = adversarial + self.l1 * l1
        metrics = {"g/loss": adversarial, "g/l1": l1}
        if self.temporal:

            def translate(part):
                return self.translated(params_g, mutable, part, k_drop)[0]

            temporal = regularizers.crop_consistency(translate, x, x_fake, k_crop)
            loss += self.temporal * temporal
            metrics["g/temporal"] = temporal
        return loss, Aux(mutable, state.carry, metrics)

    def translated(self, params, mutable, x, rng):
        """(G's translations of x f32 [B, H, W, C], new mutable), with dropout by rng."""
        x_fake, new = base.forward(self.g, params["g"], mutable["g"], x, rngs={"dropout": rng})
        return x_fake, {"g": new}

    def critic(self, params, mutable, x, picture):
        """(logits f32 [B, h, w], new mutable)."""
        both = jnp.concatenate([x, picture], -1)
        logits, new = base.forward(self.d, params["d"], mutable["d"], both)
        return logits, {"d": new}

    def init(self, rng, batch):
        k_g, k_d = jax.random.split(rng)
        x = base.to_float(batch["image"])
        rngs = {"params": k_g, "dropout": jax.random.fold_in(k_g, 1)}
        params_g, mutable_g = base.init_network(self.g, rngs, x)
        params_d, mutable_d = base.init_network(self.d, k_d, jnp.concatenate([x, x], -1))
        g = base.variables({"g": params_g}, {"g": mutable_g})
        return g, base.variables({"d": params_d}, {"d": mutable_d}), {}

    def apply_generator(self, ema, more, x, style):
        return base.forward(self.g, ema["params"]["g"], ema["mutable"]["g"] | more, x, train=False)
