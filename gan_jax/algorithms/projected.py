"""Projected GAN: the critic sees pictures by a frozen network's feature maps. Sauer et al. 2021,
arXiv:2111.01007."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp

from gan_jax import losses, pretrained
from gan_jax.algorithms import base, critic_terms
from gan_jax.models import projected
from gan_jax.runtime import registry
from gan_jax.state import Aux, Phase


@dataclasses.dataclass(frozen=True)
class Algorithm(base.FromNoise):
    """min over G, max over D of any adversarial loss of D(mixed feature maps); no penalty.

    Attributes:
        z_dim: dimension of the latent z ~ N(0, I).
        loss: a name in losses.LOSSES.
        n_critic: D steps an iteration, each on a batch of its own.
        features: the frozen network, a name in pretrained.NETS that gives feature maps. A run is
            judged by another one.
        weights: its file; None: that of the installed package.
        features_side: pictures are resized before the network sees them, bilinearly, so that their
            shorter side has so many pixels; 224 as published. The fewer, the faster.
        batch: images an iteration.
        terms: see critic_terms.CriticTerms, whose settings stand among these.
    Labels, where the data has them, go to both players; fakes are drawn with the real batch's
    labels.
    Differs: pictures larger than 224 are resized too. The network's weights are other people's
    conversion of the same TensorFlow ones.
    """

    parts = (("terms", critic_terms.CriticTerms),)

    g: nn.Module
    d: nn.Module
    z_dim: int = 256
    loss: str = "hinge"
    n_critic: int = 1
    features: str = "efflite0"
    weights: str | None = None
    features_side: int = 224
    batch: int = 0
    terms: critic_terms.CriticTerms = critic_terms.NONE

    def __post_init__(self):
        registry.choose(losses.LOSSES, self.loss, "config.game.loss")
        registry.choose(pretrained.NETS, self.features, "config.game.features")
        base.check_counts(self, "z_dim", "n_critic", "features_side")

    @classmethod
    def own_critic(cls, settings):
        return projected.Discriminator

    @property
    def nets(self):
        return {"eyes": (self.features, self.weights)}

    @property
    def phases(self):
        return Phase("d", self.loss_d, repeat=self.n_critic), Phase("g", self.loss_g)

    def loss_d(self, params_d, state, batch, rng):
        """Minimized over params_d with G frozen. Returns (f32 [], Aux)."""
        k_z, k_real, k_fake, *k_perturb = jax.random.split(rng, 5)
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
        lecam, of_lecam = self.terms.lecam_term(state, *logits)
        consistency, of_consistency = self.terms.consistency_term(
            critic, k_perturb, (augmented_real, augmented_fake), logits
        )
        carry, strength = self.terms.next_carry(state, *logits)
        aux = Aux(mutable, carry, metrics | of_lecam | of_consistency | strength)
        return adversarial + lecam + consistency, aux

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
        return adversarial, Aux(mutable, state.carry, {"g/loss": adversarial})

    def fake(self, player, rng, y, n):
        """(images f32 [n, H, W, C] in [-1, 1], G's new mutable {"g": ...})."""
        z = base.normal(rng, n, self.z_dim)
        rngs = {"noise": jax.random.fold_in(rng, 1)}  # FastGAN's generator draws such noise
        params, mutable = player.params["g"], player.mutable["g"]
        images, mutable = base.forward(self.g, params, mutable, z, y, rngs=rngs)
        return images, {"g": mutable}

    def critic(self, params_d, state, x, y):
        """(logits f32 [B, L], D's new mutable {"d": ...}).
        Every pass of a step starts from the stored one."""
        maps = base.feature_maps(self.frozen["eyes"], state.frozen["eyes"], x, self.features_side)
        logits, mutable = base.forward(self.d, params_d["d"], state.d.mutable["d"], maps, y, x)
        return logits, {"d": mutable}

    def init(self, rng, batch):
        k_g, k_d = jax.random.split(rng)
        x, y = base.to_float(batch["image"]), batch.get("label")
        net, side = self.frozen["eyes"], self.features_side
        shapes = jax.eval_shape(lambda: base.feature_maps(net, net.params, x, side))
        maps = [jnp.zeros(found.shape) for found in shapes]
        params, mutable = base.init_network(self.d, k_d, maps, y, x)
        d = base.variables({"d": params}, {"d": mutable})
        return self.init_generator(k_g, batch), d, self.terms.init_carry()

    def init_generator(self, rng, batch):
        k_net, k_z = jax.random.split(rng)
        z = self.latent(k_z, batch["image"].shape[0])
        params, mutable = base.init_network(self.g, k_net, z, batch.get("label"))
        return base.variables({"g": params}, {"g": mutable})

    def latent(self, rng, n, truncation=None):
        return base.truncated_normal(rng, (n, self.z_dim), truncation)

    def sample(self, ema, z, y, truncation=None):
        return base.forward(self.g, ema["params"]["g"], ema["mutable"]["g"], z, y, train=False)[0]
