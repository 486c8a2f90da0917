"""Pictures from noise: the original GAN, DCGAN, WGAN(-GP), SNGAN. They differ in networks, loss and penalty only."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp

from gan_jax import lookup, losses, regularizers
from gan_jax.algorithms import base
from gan_jax.state import Aux, Phase, Player

PENALTIES = {
    "wgan_gp": "lambda * (||gradient between real and fake|| - 1)^2",
    "r1": "gamma / 2 * ||gradient at reals||^2",
    "r2": "gamma / 2 * ||gradient at fakes||^2",
    "r1+r2": "both",
}


@dataclasses.dataclass(frozen=True)
class Algorithm(base.Game):
    """min over G, max over D of any loss in `losses.LOSSES`, with an optional gradient penalty on D.

    Attributes:
        z_dim: numbers of noise a picture, standard normal.
        loss: a name in losses.LOSSES.
        n_critic: D steps a round, each on a batch of its own.
        penalty: None or a name in PENALTIES. penalty_weight: WGAN-GP's lambda, or R1's and R2's gamma.
        penalty_every: 1 adds the penalty to every D step; k > 1 makes it a step of its own every k rounds, k times
            as heavy (lazy regularisation).
    Labels, where the data has them, go to both players; fakes are drawn with the real batch's labels.
    """

    g: nn.Module
    d: nn.Module
    z_dim: int = 128
    loss: str = "hinge"
    n_critic: int = 1
    penalty: str | None = None
    penalty_weight: float = 10.0
    penalty_every: int = 1

    def __post_init__(self):
        lookup.choose(losses.LOSSES, self.loss, "config.game.loss")
        if self.penalty is not None:
            lookup.choose(PENALTIES, self.penalty, "config.game.penalty")
        for name in ("z_dim", "n_critic", "penalty_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"config.game.{name}={getattr(self, name)}: it must be at least 1.")

    @property
    def phases(self):
        play = Phase("d", self.loss_d, repeat=self.n_critic), Phase("g", self.loss_g)
        if self.penalty is not None and self.penalty_every > 1:
            return *play, Phase("d", self.penalty_d, every=self.penalty_every)
        return play

    def loss_d(self, params_d, state, batch, rng):
        """Minimised over params_d with G frozen. Returns (f32 [], Aux)."""
        k_z, k_mix = jax.random.split(rng)
        x_real, y = base.to_float(batch["image"]), batch.get("label")
        x_fake = self.fake(state.g, k_z, y, x_real.shape[0])[0]
        logits_real, mutable = self.critic(params_d, state, x_real, y)
        logits_fake, _ = self.critic(params_d, state, x_fake, y)
        loss = losses.LOSSES[self.loss].d(logits_real, logits_fake)
        metrics = {"d/loss": loss, "d/real": jnp.mean(logits_real), "d/fake": jnp.mean(logits_fake)}
        if self.penalty is not None and self.penalty_every == 1:
            penalty = self.weighted_penalty(params_d, state, x_real, x_fake, y, k_mix)
            loss, metrics = loss + penalty, metrics | {"d/penalty": penalty}
        return loss, Aux(mutable, state.carry, metrics)

    def penalty_d(self, params_d, state, batch, rng):
        """The lazy penalty's own turn: `penalty_every` times the weighted penalty, minimised over params_d."""
        k_z, k_mix = jax.random.split(rng)
        x_real, y = base.to_float(batch["image"]), batch.get("label")
        x_fake = self.fake(state.g, k_z, y, x_real.shape[0])[0]
        penalty = self.weighted_penalty(params_d, state, x_real, x_fake, y, k_mix)
        return self.penalty_every * penalty, Aux(state.d.mutable, state.carry, {"d/penalty": penalty})

    def loss_g(self, params_g, state, batch, rng):
        """Minimised over params_g with D frozen. Returns (f32 [], Aux)."""
        x_real, y = base.to_float(batch["image"]), batch.get("label")
        x_fake, mutable = self.fake(Player(params_g, state.g.mutable, None), rng, y, x_real.shape[0])
        logits_real, _ = self.critic(state.d.params, state, x_real, y)  # only relativistic losses read it
        logits_fake, _ = self.critic(state.d.params, state, x_fake, y)
        loss = losses.LOSSES[self.loss].g(logits_real, logits_fake)
        return loss, Aux(mutable, state.carry, {"g/loss": loss})

    def weighted_penalty(self, params_d, state, x_real, x_fake, y, rng):
        """The penalty as it enters D's loss, f32 []. R1, R2: gamma / 2; WGAN-GP: lambda."""
        critic = lambda x: self.critic(params_d, state, x, y)[0]  # [B, H, W, C] -> [B]
        if self.penalty == "wgan_gp":
            mix = base.uniform(rng, x_real.shape[0], 1, 1, 1)
            return self.penalty_weight * jnp.mean(regularizers.interpolate_penalty(critic, x_real, x_fake, mix))
        at = {"r1": (x_real,), "r2": (x_fake,), "r1+r2": (x_real, x_fake)}[self.penalty]
        return self.penalty_weight / 2 * sum(jnp.mean(regularizers.grad_penalty(critic, x)) for x in at)

    def fake(self, player, rng, y, n):
        """(images f32 [n, H, W, C] in [-1, 1], G's new mutable {"g": ...})."""
        z = base.normal(rng, n, self.z_dim)
        images, mutable = base.forward(self.g, player.params["g"], player.mutable["g"], z, y)
        return images, {"g": mutable}

    def critic(self, params_d, state, x, y):
        """(logits f32 [B], D's new mutable {"d": ...}). Every pass of a turn starts from the stored one."""
        logits, mutable = base.forward(self.d, params_d["d"], state.d.mutable["d"], x, y)
        return logits, {"d": mutable}

    def init(self, rng, batch):
        k_g, k_d, k_z = jax.random.split(rng, 3)
        x, y = base.to_float(batch["image"]), batch.get("label")
        params_g, mutable_g = base.init_network(self.g, k_g, self.latent(k_z, x.shape[0]), y)
        params_d, mutable_d = base.init_network(self.d, k_d, x, y)
        if self.penalty is not None and "batch_stats" in mutable_d:
            raise ValueError(
                f"config.game.penalty={self.penalty!r}: a critic with batch norm mixes the images of a batch, so it has "
                f"no gradient of one image to penalise. Set config.d.norm='none'."
            )
        wrap = lambda name, params, mutable: {"params": {name: params}, "mutable": {name: mutable}}
        return wrap("g", params_g, mutable_g), wrap("d", params_d, mutable_d), {}

    def latent(self, rng, n, truncation=None):
        return base.truncated_normal(rng, (n, self.z_dim), truncation)

    def sample(self, ema, z, y):
        return base.forward(self.g, ema["params"]["g"], ema["mutable"]["g"], z, y, train=False)[0]
