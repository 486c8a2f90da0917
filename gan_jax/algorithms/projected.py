"""Projected GAN: the critic sees pictures by a frozen network's feature maps. Sauer et al. 2021,
arXiv:2111.01007. With a critic on the pixels too, if wanted."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp

from gan_jax import losses, pretrained, regularizers
from gan_jax.algorithms import base, critic_terms, source_terms
from gan_jax.models import projected
from gan_jax.nn import alpha
from gan_jax.runtime import registry
from gan_jax.state import Aux, Phase

ANCHORED_EVERY = 4  # iterations
ANCHOR_SPREAD = 0.1  # of z around an anchor


@dataclasses.dataclass(frozen=True)
class Algorithm(base.FromNoise):
    """min over G, max over D of any adversarial loss of D(mixed feature maps, pixels), with R1
    (`gamma`) of the critic on pixels.

    Attributes:
        z_dim: dimension of the latent z ~ N(0, I).
        loss: a name in losses.LOSSES.
        n_critic: D steps an iteration, each on a batch of its own.
        features: the frozen network, a name in pretrained.NETS that gives feature maps. A run is
            judged by another one.
        weights: its file; None: that of the installed package.
        features_side: pictures are resized before the network sees them, bilinearly, so that their
            shorter side has so many pixels; 224 as published. The fewer, the faster.
        gamma: weight of R1 of the critic on pixels; the heads, whose batch norms mix pictures, have
            none. It has steps of its own every `gamma_every` iterations, so many times as heavy.
        pixels_kimg: for so many thousand images at first, the critic is that on the pixels alone
            (config.d.pixels): it teaches where things are, cheaply; then the frozen network's
            critics join, which make areas and contours even.
        anchors: for few pictures, as many as they are: of so many z, drawn once, the fakes near by
            (a standard deviation of 0.1) are seen by the critic on pixels whole, in every
            fourth iteration; in the others all fakes are seen by their patches alone
            (config.d.pixels_patches), so that only these few z must become pictures like the
            reals. As long as that critic is alone. Ojha et al. 2021, arXiv:2104.06820, section
            3.2. 0: every fake is seen whole.
        batch: images an iteration.
        terms, source: see critic_terms.CriticTerms and source_terms.SourceTerms, whose settings
            stand among these.
    Labels, where the data has them, go to both players; fakes are drawn with the real batch's
    labels. Pictures with alpha are learned premultiplied; the frozen network sees each, real or
    generated, over a color at random.
    Differs: pictures larger than 224 are resized too. The network's weights are other people's
    conversion of the same TensorFlow ones.
    """

    learns_styles = True
    parts = ("terms", critic_terms.CriticTerms), ("source", source_terms.SourceTerms)

    g: nn.Module
    d: nn.Module
    z_dim: int = 256
    loss: str = "hinge"
    n_critic: int = 1
    features: str = "efflite0"
    weights: str | None = None
    features_side: int = 224
    gamma: float = 0.0
    gamma_every: int = 4
    pixels_kimg: float = 0.0
    anchors: int = 0
    batch: int = 0
    terms: critic_terms.CriticTerms = critic_terms.NONE
    source: source_terms.SourceTerms = source_terms.NONE

    def __post_init__(self):
        registry.choose(losses.LOSSES, self.loss, "config.game.loss")
        registry.choose(pretrained.NETS, self.features, "config.game.features")
        base.check_counts(self, "z_dim", "n_critic", "features_side", "gamma_every")
        base.check_weights(self, "gamma", "pixels_kimg")
        if self.pixels_kimg and self.batch and not self.pixels_steps:
            raise ValueError(
                f"config.game.pixels_kimg={self.pixels_kimg}: that is less than an iteration of"
                f" {self.batch} images (in thousands); set it to 0 for none."
            )
        if self.anchors < 0 or (self.anchors > 0) != (self.d.pixels_patches > 0):
            raise ValueError(
                f"config.game.anchors={self.anchors}: it needs a critic of patches, and that needs"
                f" anchors; config.d.pixels_patches={self.d.pixels_patches}. Set both, such as 10"
                " and 2, or both to 0."
            )
        if self.d.pixels and not (self.d.pixels_spectral_norm or self.gamma):
            raise ValueError(
                "config.d.pixels_spectral_norm=False: the critic on pixels needs that or R1; set"
                " config.game.gamma to its weight, such as 0.5."
            )
        for name in ("gamma", "pixels_kimg", "anchors"):
            if getattr(self, name) and not self.d.pixels:
                raise ValueError(
                    f"config.game.{name}={getattr(self, name)}: there is no critic on pixels; set"
                    f" config.d.pixels to its width, such as 64, or {name} to 0."
                )

    @classmethod
    def own_critic(cls, settings):
        return projected.Discriminator

    @property
    def nets(self):
        return {"eyes": (self.features, self.weights)}

    @property
    def phases(self):
        both = [Phase("d", self.loss_d, repeat=self.n_critic), Phase("g", self.loss_g)]
        first = self.pixels_steps
        if first:
            alone = Phase("d", self.loss_d_pixels, repeat=self.n_critic, only=("pixels",))
            pixels = [alone, Phase("g", self.loss_g_pixels)]
            both = [phase._replace(since=first) for phase in both]
            both = [phase._replace(until=first) for phase in pixels] + both
        if self.gamma:
            both.append(Phase("d", self.penalty_d, every=self.gamma_every, only=("pixels",)))
        return tuple(both)

    @property
    def pixels_steps(self) -> int:
        """Iterations in which the critic on pixels is alone."""
        return round(1000 * self.pixels_kimg / max(self.batch, 1))

    def loss_d(self, params_d, state, batch, rng, heads=True):
        """Minimized over params_d with G frozen. Returns (f32 [], Aux)."""
        k_z, k_real, k_fake, *k_perturb = jax.random.split(rng, 5)
        x_real, y = base.real(batch)
        x_fake, _ = self.fake(state.g, k_z, y, x_real.shape[0], near=self.anchored(state, heads))
        augmented_real = self.terms.augmented(state, k_real, x_real)
        augmented_fake = self.terms.augmented(state, k_fake, x_fake)
        logits_real, mutable = self.critic(params_d, state, augmented_real, y, k_real, heads)
        logits_fake, _ = self.critic(params_d, state, augmented_fake, y, k_fake, heads)
        logits = logits_real, logits_fake

        def critic(x):
            return self.critic(params_d, state, x, y, k_real, heads)[0]

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

    def loss_g(self, params_g, state, batch, rng, heads=True):
        """Minimized over params_g with D frozen. Returns (f32 [], Aux)."""
        k_z, k_real, k_fake, k_source = jax.random.split(rng, 4)
        x_real, y = base.real(batch)
        player = state.g.replace(params=params_g)
        near = self.anchored(state, heads)
        x_fake, mutable = self.fake(player, k_z, y, x_real.shape[0], near=near)
        augmented_real = self.terms.augmented(state, k_real, x_real)
        augmented_fake = self.terms.augmented(state, k_fake, x_fake)
        # only relativistic losses read the reals' logits
        logits_real, _ = self.critic(state.d.params, state, augmented_real, y, k_real, heads)
        logits_fake, _ = self.critic(state.d.params, state, augmented_fake, y, k_fake, heads)
        adversarial = losses.LOSSES[self.loss].g(logits_real, logits_fake)
        ewc, of_ewc = self.source.ewc_term(params_g, state)
        correspondence, of_correspondence = self.source.correspondence_term(
            self.g, params_g, state, k_source, self.z_dim, y
        )
        metrics = {"g/loss": adversarial} | of_ewc | of_correspondence
        return adversarial + ewc + correspondence, Aux(mutable, state.carry, metrics)

    def penalty_d(self, params_d, state, batch, rng):
        """R1 of the critic on pixels, `gamma_every` times as heavy. Returns (f32 [], Aux)."""
        x_real, y = base.real(batch)

        def critic(x):
            return self.critic(params_d, state, x, y, rng, heads=False)[0].mean(1)

        r1 = self.gamma / 2 * jnp.mean(regularizers.grad_penalty(critic, x_real))
        return self.gamma_every * r1, Aux(state.d.mutable, state.carry, {"d/r1": r1})

    def loss_d_pixels(self, params_d, state, batch, rng):
        """The same as loss_d, of the critic on pixels alone."""
        return self.loss_d(params_d, state, batch, rng, heads=False)

    def loss_g_pixels(self, params_g, state, batch, rng):
        """The same as loss_g, by the critic on pixels alone."""
        return self.loss_g(params_g, state, batch, rng, heads=False)

    def anchored(self, state, heads):
        """Whether this iteration's fakes are of z near the anchors and seen whole, bool []; None:
        there are no anchors now."""
        return None if heads or not self.anchors else state.step % ANCHORED_EVERY == 0

    def anchor_codes(self):
        """The fixed z [anchors, Z], the same in every iteration and run."""
        return jax.random.normal(jax.random.key(0), (self.anchors, self.z_dim))

    def fake(self, player, rng, y, n, near=None, train=True):
        """(images f32 [n, H, W, C] in [-1, 1], G's new mutable {"g": ...}). near: as `anchored`."""
        z = base.normal(rng, n, self.z_dim)
        if near is not None:
            pick = base.uniform(jax.random.fold_in(rng, 2), n)
            chosen = self.anchor_codes()[(pick * self.anchors).astype(int)]
            z = jnp.where(near, chosen + ANCHOR_SPREAD * z, z)
        rngs = {"noise": jax.random.fold_in(rng, 1)}  # FastGAN's generator draws such noise
        params, mutable = player.params["g"], player.mutable["g"]
        images, mutable = base.forward(self.g, params, mutable, z, y, train=train, rngs=rngs)
        return images, {"g": mutable}

    def critic(self, params_d, state, x, y, rng, heads=True):
        """(logits f32 [B, L], D's new mutable {"d": ...}); without heads, of the critic on pixels.
        Every pass of a step starts from the stored one."""
        maps = ()
        if heads:
            eyes, opaque = (self.frozen["eyes"], state.frozen["eyes"]), x
            if x.shape[-1] == 4:
                color = base.uniform(jax.random.fold_in(rng, 2), len(x), 1, 1, 3)
                opaque = alpha.over(x, 2 * color - 1)
            maps = base.feature_maps(*eyes, opaque, self.features_side)
        # two networks for the optimizer, one module
        params = params_d["d"] | {name: params_d[name] for name in params_d if name != "d"}
        mutable, whole = state.d.mutable["d"], self.anchored(state, heads)
        if whole is None:
            logits, mutable = base.forward(self.d, params, mutable, maps, y, x)
            return logits, {"d": mutable}
        logits, mutable = base.forward(self.d, params, mutable | {"patches": {}}, maps, y, x)
        (patches,) = jax.tree.leaves(mutable.pop("patches"))
        # as many either way
        return jnp.where(whole, logits, patches.reshape(len(x), -1)), {"d": mutable}

    def init(self, rng, batch):
        k_g, k_d = jax.random.split(rng)
        x, y = base.real(batch)
        net, side = self.frozen["eyes"], self.features_side
        shapes = jax.eval_shape(lambda: base.feature_maps(net, net.params, x[..., :3], side))
        maps = [jnp.zeros(found.shape) for found in shapes]
        params, mutable = base.init_network(self.d, k_d, maps, y, x)
        pixels = {"pixels": params.pop("pixels")} if self.d.pixels else {}
        d = base.variables({"d": params} | pixels, {"d": mutable})
        g = self.init_generator(k_g, batch)
        z = jnp.zeros((x.shape[0], self.z_dim))
        return g, d, self.terms.init_carry() | self.source.init_carry(self.g, g, z, y)

    @property
    def adapts(self):
        return self.source.used or self.remodulates

    def begin(self, state, n_classes):
        state = base.from_average(state) if self.remodulates else state
        # by the critic on pixels where there is one: it has no batch norm, as G has none here
        heads = not self.d.pixels

        def log_d(params_g, state, rng, y):
            k_z, k_critic = jax.random.split(rng)
            player = state.g.replace(params={"g": params_g})
            x_fake, _ = self.fake(player, k_z, y, 1, train=False)
            logits, _ = self.critic(state.d.params, state, x_fake, y, k_critic, heads)
            return jax.nn.log_sigmoid(logits).mean()

        return self.source.begin(state, log_d, n_classes)

    def init_generator(self, rng, batch):
        k_net, k_z = jax.random.split(rng)
        z = self.latent(k_z, batch["image"].shape[0])
        params, mutable = base.init_network(self.g, k_net, z, batch.get("label"))
        return base.variables({"g": params}, {"g": mutable})

    def latent(self, rng, n, truncation=None):
        # of a generator with styles truncation is of w, and left to `sample`
        return base.truncated_normal(
            rng, (n, self.z_dim), None if self.mixes_styles else truncation
        )

    def sample(self, ema, z, y, truncation=None):
        if self.mixes_styles:
            return self.render(ema, self.styles(ema, z, y, truncation))
        mutable = ema["mutable"]["g"]
        made, _ = base.forward(self.g, ema["params"]["g"], mutable, z, y, train=False)
        return alpha.straight(made)
