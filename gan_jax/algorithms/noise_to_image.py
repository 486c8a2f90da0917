"""Pictures from noise: GAN, DCGAN, WGAN(-GP), SNGAN, SAGAN, BigGAN. They differ in networks, loss
and penalty only."""

import dataclasses
import functools

import flax.linen as nn
import jax
import jax.numpy as jnp

from gan_jax import losses, regularizers
from gan_jax.algorithms import base, critic_terms
from gan_jax.runtime import registry
from gan_jax.state import Aux, Phase

PENALTIES = {
    "wgan_gp": "lambda * (||gradient between real and fake|| - 1)^2",
    "r1": "gamma / 2 * ||gradient at reals||^2",
    "r2": "gamma / 2 * ||gradient at fakes||^2",
    "r1+r2": "both",
}

STANDING_BATCH = 256  # pictures, at most, in a pass for standing statistics


@dataclasses.dataclass(frozen=True)
class Algorithm(base.FromNoise):
    """min over G, max over D of any adversarial loss, with an optional gradient penalty on D.

    Attributes:
        z_dim: dimension of the latent z ~ N(0, I).
        loss: a name in losses.LOSSES.
        n_critic: D steps an iteration, each on a batch of its own.
        penalty: None or a name in PENALTIES.
        penalty_weight: WGAN-GP's lambda, or R1's and R2's gamma.
        penalty_every: 1 adds the penalty to every D step; k > 1 gives it steps of its own every k
            iterations, `n_critic` of them, each k times as heavy (lazy regularization): its pull an
            iteration stays the same.
        orthogonal: weight of G's orthogonal regularization (BigGAN's beta; 1e-4 as published).
        standing_passes: training passes over which the averaged G's batch statistics are gathered
            anew before it samples; 0: its running ones, averaged with its weights.
        batch: images an iteration.
        terms: see critic_terms.CriticTerms, whose settings stand among these.
    Labels, where the data has them, go to both players; fakes are drawn with the real batch's
    labels.
    """

    sampling_settings = ("standing_passes",)
    parts = (("terms", critic_terms.CriticTerms),)

    g: nn.Module
    d: nn.Module
    z_dim: int = 128
    loss: str = "hinge"
    n_critic: int = 1
    penalty: str | None = None
    penalty_weight: float = 10.0
    penalty_every: int = 1
    orthogonal: float = 0.0
    standing_passes: int = 0
    batch: int = 0
    terms: critic_terms.CriticTerms = critic_terms.NONE

    def __post_init__(self):
        registry.choose(losses.LOSSES, self.loss, "config.game.loss")
        if self.penalty is not None:
            registry.choose(PENALTIES, self.penalty, "config.game.penalty")
        base.check_counts(self, "z_dim", "n_critic", "penalty_every")
        base.check_weights(self, "orthogonal", "standing_passes")

    @property
    def phases(self):
        play = Phase("d", self.loss_d, repeat=self.n_critic), Phase("g", self.loss_g)
        if self.penalty is not None and self.penalty_every > 1:
            return *play, Phase("d", self.penalty_d, every=self.penalty_every, repeat=self.n_critic)
        return play

    def loss_d(self, params_d, state, batch, rng):
        """Minimized over params_d with G frozen. Returns (f32 [], Aux)."""
        k_z, k_penalty, k_real, k_fake, *k_perturb = jax.random.split(rng, 6)
        x_real, y = base.to_float(batch["image"]), batch.get("label")
        x_fake, _ = self.fake(state.g, k_z, y, x_real.shape[0])
        augmented_real = self.terms.augmented(state, k_real, x_real)
        augmented_fake = self.terms.augmented(state, k_fake, x_fake)
        logits_real, mutable = self.critic(params_d, state, augmented_real, y)
        logits_fake, _ = self.critic(params_d, state, augmented_fake, y)
        logits = logits_real, logits_fake

        def critic(x):
            return self.critic(params_d, state, x, y)[0]

        adversarial = losses.LOSSES[self.loss].d(*logits)
        metrics = {
            "d/loss": adversarial,
            "d/real": jnp.mean(logits_real),
            "d/fake": jnp.mean(logits_fake),
        }
        penalty = 0.0
        if self.penalty is not None and self.penalty_every == 1:
            penalty = self.weighted_penalty(params_d, state, x_real, x_fake, y, k_penalty)
            metrics["d/penalty"] = penalty
        lecam, of_lecam = self.terms.lecam_term(state, *logits)
        consistency, of_consistency = self.terms.consistency_term(
            critic, k_perturb, (augmented_real, augmented_fake), logits
        )
        loss = adversarial + penalty + lecam + consistency
        carry, strength = self.terms.next_carry(state, *logits)
        return loss, Aux(mutable, carry, metrics | of_lecam | of_consistency | strength)

    def penalty_d(self, params_d, state, batch, rng):
        """The lazy penalty's own step:
        `penalty_every` times the weighted penalty, minimized over params_d."""
        k_z, k_penalty = jax.random.split(rng)
        x_real, y = base.to_float(batch["image"]), batch.get("label")
        x_fake, _ = self.fake(state.g, k_z, y, x_real.shape[0])
        penalty = self.weighted_penalty(params_d, state, x_real, x_fake, y, k_penalty)
        aux = Aux(state.d.mutable, state.carry, {"d/penalty": penalty})
        return self.penalty_every * penalty, aux

    def loss_g(self, params_g, state, batch, rng):
        """Minimized over params_g with D frozen. Returns (f32 [], Aux)."""
        k_z, k_real, k_fake = jax.random.split(rng, 3)
        x_real, y = base.to_float(batch["image"]), batch.get("label")
        player = state.g.replace(params=params_g)
        x_fake, mutable = self.fake(player, k_z, y, x_real.shape[0])
        augmented_real = self.terms.augmented(state, k_real, x_real)
        augmented_fake = self.terms.augmented(state, k_fake, x_fake)
        # only relativistic losses read the reals' logits
        logits_real, _ = self.critic(state.d.params, state, augmented_real, y)
        logits_fake, _ = self.critic(state.d.params, state, augmented_fake, y)
        adversarial = losses.LOSSES[self.loss].g(logits_real, logits_fake)
        metrics, orthogonal = {"g/loss": adversarial}, 0.0
        if self.orthogonal:
            orthogonal = self.orthogonal * regularizers.orthogonal(params_g)
            metrics["g/orthogonal"] = orthogonal
        return adversarial + orthogonal, Aux(mutable, state.carry, metrics)

    def weighted_penalty(self, params_d, state, x_real, x_fake, y, rng):
        """The penalty as it enters D's loss, f32 []. R1, R2: gamma / 2; WGAN-GP: lambda.

        The gradient is that of the picture before it is augmented.
        """
        k_mix, *keys = jax.random.split(rng, 3)

        def critic(key, x):
            return self.critic(params_d, state, self.terms.augmented(state, key, x), y)[0]

        if self.penalty == "wgan_gp":
            mix = base.uniform(k_mix, x_real.shape[0], 1, 1, 1)
            slope = functools.partial(critic, keys[0])
            penalties = regularizers.interpolate_penalty(slope, x_real, x_fake, mix)
            return self.penalty_weight * jnp.mean(penalties)
        at = {"r1": (x_real,), "r2": (x_fake,), "r1+r2": (x_real, x_fake)}[self.penalty]
        penalties = [
            jnp.mean(regularizers.grad_penalty(functools.partial(critic, key), x))
            for key, x in zip(keys, at, strict=False)
        ]
        return self.penalty_weight / 2 * sum(penalties)

    def fake(self, player, rng, y, n):
        """(images f32 [n, H, W, C] in [-1, 1], G's new mutable {"g": ...})."""
        z = base.normal(rng, n, self.z_dim)
        rngs = {"noise": jax.random.fold_in(rng, 1)}  # StyleGAN2's generator draws such noise
        params, mutable = player.params["g"], player.mutable["g"]
        images, mutable = base.forward(self.g, params, mutable, z, y, rngs=rngs)
        return images, {"g": mutable}

    def critic(self, params_d, state, x, y):
        """(logits f32 [B], D's new mutable {"d": ...}).
        Every pass of a step starts from the stored one."""
        logits, mutable = base.forward(self.d, params_d["d"], state.d.mutable["d"], x, y)
        return logits, {"d": mutable}

    def init(self, rng, batch):
        k_g, k_d, k_z = jax.random.split(rng, 3)
        x, y = base.to_float(batch["image"]), batch.get("label")
        params_g, mutable_g = base.init_network(self.g, k_g, self.latent(k_z, x.shape[0]), y)
        params_d, mutable_d = base.init_network(self.d, k_d, x, y)
        if self.penalty is not None and "batch_stats" in mutable_d:
            raise ValueError(
                f"config.game.penalty={self.penalty!r}: a critic with batch norm mixes the images"
                " of a batch, so it has no gradient of one image to penalize. Set"
                " config.d.norm='none'."
            )
        if self.standing_passes and "batch_stats" not in mutable_g:
            raise ValueError(
                f"config.game.standing_passes={self.standing_passes}: this generator has no batch"
                " norm. Set it to 0."
            )
        g = base.variables({"g": params_g}, {"g": mutable_g})
        d = base.variables({"d": params_d}, {"d": mutable_d})
        return g, d, self.terms.init_carry()

    def latent(self, rng, n, truncation=None):
        return base.truncated_normal(rng, (n, self.z_dim), truncation)

    def sample(self, ema, z, y, truncation=None):
        return base.forward(self.g, ema["params"]["g"], ema["mutable"]["g"], z, y, train=False)[0]

    def prepare_for_sampling(self, ema, rng):
        """Standing statistics: the mean of the moments of `standing_passes` training passes by the
        averaged weights.

        Each has its own z and labels, uniform over the classes; u of spectral norm moves on with
        each. Brock et al. 2018, arXiv:1809.11096.
        """
        if not self.standing_passes:
            return ema
        mutable, moments = ema["mutable"]["g"], []
        for key in jax.random.split(rng, self.standing_passes):
            mutable, found = _standing_pass(self, ema["params"]["g"], mutable, key)
            moments.append(found)
        stats = jax.tree.map(lambda *x: sum(x) / self.standing_passes, *moments)
        return {"params": ema["params"], "mutable": {"g": mutable | {"batch_stats": stats}}}


@functools.partial(jax.jit, static_argnums=0)
def _standing_pass(game, params, mutable, rng):
    """(G's new mutable, the moments its batch norms used, named as their running ones) of one
    training pass."""
    n, classes = min(game.batch, STANDING_BATCH), game.g.n_classes
    k_z, k_y = jax.random.split(rng)
    z = game.latent(k_z, n)
    y = jax.random.randint(k_y, (n,), 0, classes) if classes else None
    _, mutable = base.forward(game.g, params, mutable | {"moments": {}}, z, y)
    moments = mutable.pop("moments")
    return mutable, moments
