"""StarGAN v2: one generator for many styles. Choi et al. 2020, arXiv:1912.01865."""

import dataclasses
import functools
import math

import flax.linen as nn
import jax
import jax.numpy as jnp

from gan_jax import losses, pretrained, regularizers
from gan_jax.algorithms import base
from gan_jax.augment import NONE, Augment
from gan_jax.runtime import registry
from gan_jax.state import Aux, Phase

COARSE = 4  # pixels a side, at which `color` compares


@dataclasses.dataclass(frozen=True)
class Algorithm(base.Translator):
    """A picture takes on the style of a class: drawn from noise by `mapping`, or seen on another
    picture by `encoder`.

    G minimizes adversarial + `style` |E(G(x, s)) - s| - diversity |G(x, s) - G(x, s')| + `cycle`
    |G(G(x, s), E(x)) - x|, D the logistic loss and R1 on the reals; each of them twice an
    iteration, with styles of noise and with styles of pictures. A second critic can join, `heads`
    on the feature maps of a frozen network, with the logistic loss too: D says what is where and
    of which class, the heads make areas and contours even.

    Attributes:
        g, mapping, encoder, d: (x, s) -> picture; (z, y) -> s; (x, y) -> s; (x, y) -> logit.
        heads: (feature maps, y) -> logits; Projected GAN's (models.projected). Only with
            `features`.
        z_dim: dimension of the latent z ~ N(0, I) of a style.
        gamma: R1's; D's loss has gamma / 2 times the squared slope at reals.
        style, cycle: weights of the terms above.
        diversity: weight at the start; it falls in a line to 0 over `diversity_kimg` thousand
            images (None: it stays).
        color: weight of |coarse(G(x, s)) - coarse(x)|, pictures brought to COARSE x COARSE: colors
            stay where they were.
        temporal: weight of regularizers.crop_consistency in the step with styles of noise, for
            video.
        together: one step of each player, not two: every other style is a picture's. No gradient
            runs through that style, but the terms `style` and `cycle` of its pictures move the
            encoder, which the official step with styles of pictures leaves alone.
        features, weights, features_side: of the frozen network that the second critic sees pictures
            by, as in `projected`; None: there is no second critic, as published.
        features_from_kimg: after so many thousand images the second critic joins.
        augment: what the critics' pictures go through, real and generated; config.augment.
        batch: images an iteration.
    Labels say which class a picture is of; each is taken to a class that was drawn evenly, with two
    pictures of it. The step with styles of pictures moves G alone (`only`), as in the official
    code.
    Differs: pictures come as often as the data has them; the official sampler draws every class
    equally often. `color`, 0 in the paper. Without it skin and hair are part of a style, which
    noise or the reference decides: G need not keep them, for E(x) can carry them past it.
    """

    calls = (("g", "x, style"), ("d", "x, y"), ("mapping", "z, y"), ("encoder", "x, y"))
    reads_styles = True
    references = 2
    labeled = True

    g: nn.Module
    d: nn.Module
    mapping: nn.Module
    encoder: nn.Module
    heads: nn.Module | None = None
    z_dim: int = 16
    gamma: float = 1.0
    style: float = 1.0
    cycle: float = 1.0
    diversity: float = 1.0
    diversity_kimg: float | None = None
    color: float = 0.0
    temporal: float = 0.0
    together: bool = False
    features: str | None = None
    weights: str | None = None
    features_side: int = 64
    features_from_kimg: float = 0.0
    augment: Augment = NONE
    batch: int = 0

    def __post_init__(self):
        if self.features is not None:
            registry.choose(pretrained.NETS, self.features, "config.game.features")
            base.check_counts(self, "features_side")
            if self.heads is None:
                raise ValueError(
                    "config.game.features: the model's NETWORKS has no 'heads', which see by it."
                )
            if not self.together:
                raise ValueError(
                    "config.game.together=False: with config.game.features it must be True."
                )
        elif self.features_from_kimg:
            raise ValueError(
                f"config.game.features_from_kimg={self.features_from_kimg}: there is no second"
                " critic; set config.game.features to the network it sees by, such as 'efflite0',"
                " or features_from_kimg to 0."
            )
        if self.z_dim < 1:
            raise ValueError(f"config.game.z_dim={self.z_dim}: it must be at least 1.")
        weights = "gamma", "style", "cycle", "diversity", "color", "temporal"
        base.check_weights(self, *weights, "features_from_kimg")
        if self.diversity_kimg is not None and not (
            0 < self.diversity_kimg < math.inf and self.batch
        ):
            raise ValueError(
                f"config.game.diversity_kimg={self.diversity_kimg}: it must be above 0 (thousands"
                " of images), or None."
            )

    @property
    def nets(self):
        return {"eyes": (self.features, self.weights)} if self.features else {}

    @property
    def phases(self):
        if self.together:
            joins = round(1000 * self.features_from_kimg / max(self.batch, 1))
            alone = Phase("d", self.loss_d_both, only=("d",)), Phase("g", self.loss_g_both)
            if not self.features:
                return alone
            joined = Phase("d", self.loss_d_joined), Phase("g", self.loss_g_joined)
            if not joins:
                return joined
            first = [phase._replace(until=joins) for phase in alone]
            return (*first, *(phase._replace(since=joins) for phase in joined))
        return (
            Phase("d", self.loss_d_latent),
            Phase("d", self.loss_d_reference),
            Phase("g", self.loss_g_latent),
            Phase("g", self.loss_g_reference, only=("g",)),
        )

    def loss_d_latent(self, params_d, state, batch, rng):
        """Minimized over params_d with G frozen; fakes have styles of noise.
        Returns (f32 [], Aux)."""
        s = self.styles_from_noise(state.g.params, batch, rng)
        return self.loss_d(params_d, state, batch, s, rng)

    def loss_d_reference(self, params_d, state, batch, rng):
        """The same; fakes have the styles of pictures."""
        s = self.styles_from_images(state.g.params, batch, "target")
        return self.loss_d(params_d, state, batch, s, rng)

    def loss_d_both(self, params_d, state, batch, rng, joined=False):
        """The same; every other fake has the style of a picture."""
        s = self.styles_of_both(state.g.params, batch, rng, "target")
        return self.loss_d(params_d, state, batch, s, rng, joined)

    def loss_d_joined(self, params_d, state, batch, rng):
        """The same, of both critics."""
        return self.loss_d_both(params_d, state, batch, rng, joined=True)

    def loss_d(self, params_d, state, batch, s, rng, joined=False):
        """The critic's loss at fakes of style s [B, S], eq. 1 and R1; `joined`: and the second
        critic's."""
        x_real, y, y_new = base.to_float(batch["image"]), batch["label"], batch["target_label"]
        x_fake = self.translated(state.g.params, x_real, s)
        k_real, k_fake = jax.random.split(jax.random.fold_in(rng, 1))

        def critic(x):
            return self.critic(params_d, state, x, y, k_real)[0]

        logits_real, moved = self.critic(params_d, state, x_real, y, k_real)
        logits_fake, _ = self.critic(params_d, state, x_fake, y_new, k_fake)
        loss = adversarial = losses.logistic_d(logits_real, logits_fake)
        metrics = {
            "d/loss": adversarial,
            "d/real": jnp.mean(logits_real),
            "d/fake": jnp.mean(logits_fake),
        }
        if self.gamma:
            r1 = jnp.mean(regularizers.grad_penalty(critic, x_real))
            loss += self.gamma / 2 * r1
            metrics["d/r1"] = r1
        mutable = state.d.mutable | {"d": moved}
        if joined:
            heads_real, moved = self.second_critic(params_d, state, x_real, y, k_real)
            heads_fake, _ = self.second_critic(params_d, state, x_fake, y_new, k_fake)
            heads = losses.logistic_d(heads_real, heads_fake)
            loss += heads
            metrics["d/heads_loss"] = heads
            mutable |= {"heads": moved}
        images = (state.step + 1.0) * self.batch
        carry = {"augment": self.augment.observe(state.carry["augment"], logits_real, images)}
        return loss, Aux(mutable, carry, metrics)

    def loss_g_latent(self, params_g, state, batch, rng):
        """Minimized over params_g (G, mapping and encoder) with D frozen; styles are of noise.
        Returns (f32 [], Aux)."""
        k_one, k_other, *k_crop = jax.random.split(rng, 3 if self.temporal else 2)
        s = self.styles_from_noise(params_g, batch, k_one)
        s_other = self.styles_from_noise(params_g, batch, k_other)
        return self.loss_g(params_g, state, batch, s, s_other, "latent", rng, *k_crop)

    def loss_g_reference(self, params_g, state, batch, rng):
        """The same with the styles of pictures; it moves G alone."""
        s = self.styles_from_images(params_g, batch, "target")
        s_other = self.styles_from_images(params_g, batch, "target2")
        return self.loss_g(params_g, state, batch, s, s_other, "reference", rng)

    def loss_g_both(self, params_g, state, batch, rng, joined=False):
        """The same with every other style of a picture, taken as it is."""
        k_one, k_other, *k_crop = jax.random.split(rng, 3 if self.temporal else 2)
        s = self.styles_of_both(params_g, batch, k_one, "target")
        s_other = self.styles_of_both(params_g, batch, k_other, "target2")
        return self.loss_g(params_g, state, batch, s, s_other, "both", rng, *k_crop, joined=joined)

    def loss_g_joined(self, params_g, state, batch, rng):
        """The same, by both critics."""
        return self.loss_g_both(params_g, state, batch, rng, joined=True)

    def loss_g(self, params_g, state, batch, s, s_other, kind, rng, k_crop=None, joined=False):
        """The generator's loss at style s [B, S], with s_other [B, S] to be unlike: eq. 1 to 4.

        k_crop: key of the crop where the loss is to have the term `temporal`.
        joined: whether it is to please the second critic too.
        """
        x, y, y_new = base.to_float(batch["image"]), batch["label"], batch["target_label"]
        x_fake = self.translated(params_g, x, s)
        k_critic = jax.random.fold_in(rng, 1)
        logits, _ = self.critic(state.d.params, state, x_fake, y_new, k_critic)
        adversarial = losses.non_saturating_g(None, logits)
        style = losses.l1(self.encode(params_g, x_fake, y_new), s)
        loss = adversarial + self.style * style
        metrics = {"loss": adversarial, "style": style}
        if joined:
            logits, _ = self.second_critic(state.d.params, state, x_fake, y_new, k_critic)
            heads = losses.non_saturating_g(None, logits)
            loss += heads
            metrics["heads_loss"] = heads
        if self.cycle:
            cycle = losses.l1(self.translated(params_g, x_fake, self.encode(params_g, x, y)), x)
            loss += self.cycle * cycle
            metrics["cycle"] = cycle
        if self.diversity:
            x_other = jax.lax.stop_gradient(self.translated(params_g, x, s_other))
            diversity = losses.l1(x_fake, x_other)
            loss -= self.diversity_at(state.step) * diversity
            metrics["diversity"] = diversity
        if self.color:
            color = losses.l1(coarse(x_fake), coarse(x))
            loss += self.color * color
            metrics["color"] = color
        if k_crop is not None:

            def translate(part):
                return self.translated(params_g, part, s)

            temporal = regularizers.crop_consistency(translate, x, x_fake, k_crop)
            loss += self.temporal * temporal
            metrics["temporal"] = temporal
        metrics = {f"g/{kind}_{name}": value for name, value in metrics.items()}
        if self.diversity:
            metrics["g/diversity_weight"] = self.diversity_at(state.step)
        return loss, Aux(state.g.mutable, state.carry, metrics)

    def diversity_at(self, step: jax.Array) -> jax.Array:
        """The diversity term's weight f32 [] in iteration `step` (from 0),
        by the images before it."""
        if self.diversity_kimg is None:
            return jnp.float32(self.diversity)
        done = (step + 0.0) * self.batch / (self.diversity_kimg * 1000)
        return self.diversity * jnp.maximum(1 - done, 0)

    def styles_from_noise(self, params_g, batch, rng):
        """Styles [B, S] of new latents, of the classes that the batch is taken to."""
        z = base.normal(rng, batch["image"].shape[0], self.z_dim)
        return self.map(params_g, z, batch["target_label"])

    def styles_from_images(self, params_g, batch, name):
        """Styles [B, S] of the batch's pictures `name`, of the classes that it is taken to."""
        return self.encode(params_g, base.to_float(batch[name]), batch["target_label"])

    def styles_of_both(self, params_g, batch, rng, name):
        """Styles [B, S]: of noise, and every other one of the batch's pictures `name`, through
        which no gradient runs."""
        seen = jax.lax.stop_gradient(self.styles_from_images(params_g, batch, name))
        return self.styles_from_noise(params_g, batch, rng).at[1::2].set(seen[1::2])

    def map(self, params_g, z, y, train=True):
        """z [B, Z], classes y [B] -> styles [B, S]."""
        return base.forward(self.mapping, params_g["mapping"], {}, z, y, train=train)[0]

    def encode(self, params_g, x, y, train=True):
        """x [B, H, W, C] of classes y [B] -> styles [B, S]."""
        return base.forward(self.encoder, params_g["encoder"], {}, x, y, train=train)[0]

    def translated(self, params_g, x, s):
        """x [B, H, W, C], styles s [B, S] -> pictures f32 [B, H, W, C]."""
        return base.forward(self.g, params_g["g"], {}, x, s)[0]

    def critic(self, params_d, state, x, y, rng):
        """(logits f32 [B] of pictures x of classes y, augmented; the critic's new mutable). Every
        pass of a step starts from the stored one."""
        x = self.augment(state.carry["augment"], jax.random.clone(rng), x)
        return base.forward(self.d, params_d["d"], state.d.mutable["d"], x, y)

    def second_critic(self, params_d, state, x, y, rng):
        """(logits f32 [B, L], the heads' new mutable), in the same way: given the same key, of the
        same augmented pictures."""
        x = self.augment(state.carry["augment"], jax.random.clone(rng), x)
        eyes = self.frozen["eyes"], state.frozen["eyes"]
        maps = base.feature_maps(*eyes, x, self.features_side)
        return base.forward(self.heads, params_d["heads"], state.d.mutable["heads"], maps, y, x)

    def init(self, rng, batch):
        *_, k_d = jax.random.split(jax.random.clone(rng), 4)
        x, y = base.to_float(batch["image"]), batch["label"]
        params, mutable = base.init_network(self.d, k_d, x, y)
        params, mutable = {"d": params}, {"d": mutable}
        if self.features:
            eyes = self.frozen["eyes"]
            find = functools.partial(base.feature_maps, eyes, eyes.params, side=self.features_side)
            maps = [jnp.zeros(found.shape) for found in jax.eval_shape(find, x)]
            k_heads = jax.random.fold_in(k_d, 1)
            params["heads"], mutable["heads"] = base.init_network(self.heads, k_heads, maps, y, x)
        d = base.variables(params, mutable)
        return self.init_generator(rng, batch), d, {"augment": self.augment.init()}

    def init_generator(self, rng, batch):
        k_g, k_mapping, k_encoder, _ = jax.random.split(rng, 4)
        x, y = base.to_float(batch["image"]), batch["label"]
        z = jnp.zeros((x.shape[0], self.z_dim))
        params = {
            "mapping": base.init_network(self.mapping, k_mapping, z, y)[0],
            "encoder": base.init_network(self.encoder, k_encoder, x, y)[0],
        }
        s = self.encode(params, x, y)
        params["g"] = base.init_network(self.g, k_g, x, s)[0]
        if self.map(params, z, y).shape != s.shape:
            raise ValueError(
                "config.networks: mapping.features and encoder.features must be equal."
            )
        return base.variables(params)

    def latent(self, rng, n, truncation=None):
        return base.truncated_normal(rng, (n, self.z_dim), truncation)

    def style_from_noise(self, ema, z, y):
        return self.map(ema["params"], z, y, train=False)

    def style_from_picture(self, ema, x, y):
        return self.encode(ema["params"], x, y, train=False)

    def apply_generator(self, ema, more, x, style):
        return base.forward(self.g, ema["params"]["g"], more, x, style, train=False)


def coarse(x):
    """x [B, H, W, C] -> [B, COARSE, COARSE, C], averaged."""
    return jax.image.resize(x, (x.shape[0], COARSE, COARSE, x.shape[3]), "linear")
