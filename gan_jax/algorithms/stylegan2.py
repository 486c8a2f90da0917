"""StyleGAN2, with StyleGAN2-ADA's presets. Karras et al. 2020, arXiv:1912.04958 and
arXiv:2006.06676."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp

from gan_jax import losses, models, regularizers
from gan_jax.algorithms import base, critic_terms, source_terms
from gan_jax.distributed import collectives
from gan_jax.nn import alpha
from gan_jax.runtime import registry
from gan_jax.state import Aux, Phase


@dataclasses.dataclass(frozen=True)
class Algorithm(base.FromNoise):
    """The non-saturating game with R1 on D and path length regularization on G, both lazy: steps of
    their own.

    Attributes:
        z_dim: dimension of the latent z ~ N(0, I).
        gamma: R1's; D's loss has gamma / 2 times the squared slope at reals, every `r1_every`
            iterations. 0: none.
        path_weight: of the path length's squared distance to its running mean, which moves by
            `path_decay`; every `path_every` iterations, on one picture of `path_shrink`. 0: none.
        style_mixing: probability that the upper layers, from one chosen at random for the whole
            batch, get the w of another z.
        batch: images an iteration.
        terms, source: see critic_terms.CriticTerms and source_terms.SourceTerms, whose settings
            stand among these.
    Labels, where the data has them, go to both players; fakes are drawn with the real batch's
    labels. Pictures with alpha are learned premultiplied.
    Differs: the running average of w moves in G's steps, not in D's too, for a step writes to its
    own player only. With `config.parallel="pmap"` the path length's pictures are 1 / `path_shrink`
    of each device's rows, at least one.
    """

    learns_styles = True
    parts = ("terms", critic_terms.CriticTerms), ("source", source_terms.SourceTerms)

    g: nn.Module
    d: nn.Module
    z_dim: int = 512
    gamma: float = 10.0
    r1_every: int = 16
    path_weight: float = 2.0
    path_every: int = 4
    path_shrink: int = 2
    path_decay: float = 0.01
    style_mixing: float = 0.9
    batch: int = 0
    terms: critic_terms.CriticTerms = critic_terms.NONE
    source: source_terms.SourceTerms = source_terms.NONE

    def __post_init__(self):
        base.check_counts(self, "z_dim", "r1_every", "path_every", "path_shrink")
        base.check_weights(self, "gamma", "path_weight")
        base.check_shares(self, "style_mixing", "path_decay")
        group = min(models.traits(self.d).mbstd_group, self.batch)
        if self.batch and self.batch % group:
            raise ValueError(
                f"config.d.mbstd_group={group}: config.batch={self.batch} images don't split into"
                " such groups. Use a number that divides it."
            )
        if not self.mixes_styles:
            raise ValueError(
                "config.algorithm='stylegan2': its generator has methods mapping and synthesis,"
                f" {type(self.g).__module__}.{type(self.g).__name__} lacks them. Set"
                " config.model='stylegan2'."
            )

    @property
    def phases(self):
        path = [Phase("g", self.path_g, every=self.path_every)] if self.path_weight else []
        r1 = [Phase("d", self.r1_d, every=self.r1_every)] if self.gamma else []
        return Phase("g", self.loss_g), *path, Phase("d", self.loss_d), *r1

    def loss_g(self, params_g, state, batch, rng):
        """Minimized over params_g with D frozen. Returns (f32 [], Aux)."""
        k_fake, k_augment, k_source = jax.random.split(rng, 3)
        y = batch.get("label")
        x_fake, mutable = self.fake(params_g, state, k_fake, y, batch["image"].shape[0])
        augmented = self.terms.augmented(state, k_augment, x_fake)
        logits_fake, _ = self.critic(state.d.params, state, augmented, y)
        adversarial = losses.non_saturating_g(None, logits_fake)
        ewc, of_ewc = self.source.ewc_term(params_g, state)
        correspondence, of_correspondence = self.source.correspondence_term(
            self.g, params_g, state, k_source, self.z_dim, y
        )
        metrics = {"g/loss": adversarial} | of_ewc | of_correspondence
        return adversarial + ewc + correspondence, Aux(mutable, state.carry, metrics)

    def path_g(self, params_g, state, batch, rng):
        """The path length's own step: `path_every` times `path_weight` times the mean of
        (||J^T y|| - mean)^2, minimized over params_g. Karras et al. 2020, arXiv:1912.04958, eq. 4.
        """
        k_ws, k_noise, k_image = jax.random.split(rng, 3)
        images, y = batch["image"], batch.get("label")
        n = max(1, images.shape[0] // self.path_shrink)
        y = None if y is None else y[:: self.path_shrink][:n]  # of each device its own
        ws, mutable = self.ws(params_g, state, k_ws, y, n)

        def render(ws):
            return self.render_live(params_g, state, ws, k_noise)

        lengths = regularizers.path_length(render, ws, base.normal(k_image, n, *images.shape[1:]))
        mean = state.carry["path_mean"]
        mean = mean + self.path_decay * (collectives.mean(jnp.mean(lengths)) - mean)
        penalty = jnp.mean(jnp.square(lengths - mean))
        metrics = {"g/path_length": jnp.mean(lengths), "g/path_penalty": penalty}
        aux = Aux(mutable, state.carry | {"path_mean": mean}, metrics)
        return self.path_every * self.path_weight * penalty, aux

    def loss_d(self, params_d, state, batch, rng):
        """Minimized over params_d with G frozen. Returns (f32 [], Aux)."""
        k_fake, k_real_augment, k_fake_augment, *k_perturb = jax.random.split(rng, 5)
        x_real, y = base.real(batch)
        x_fake, _ = self.fake(state.g.params, state, k_fake, y, x_real.shape[0])
        augmented_real = self.terms.augmented(state, k_real_augment, x_real)
        augmented_fake = self.terms.augmented(state, k_fake_augment, x_fake)
        logits_real, mutable = self.critic(params_d, state, augmented_real, y)
        logits_fake, _ = self.critic(params_d, state, augmented_fake, y)
        logits = logits_real, logits_fake

        def critic(x):
            return self.critic(params_d, state, x, y)[0]

        adversarial = losses.logistic_d(*logits)
        metrics = {
            "d/loss": adversarial,
            "d/real": jnp.mean(logits_real),
            "d/fake": jnp.mean(logits_fake),
        }
        lecam, of_lecam = self.terms.lecam_term(state, *logits)
        consistency, of_consistency = self.terms.consistency_term(
            critic, k_perturb, (augmented_real, augmented_fake), logits
        )
        loss = adversarial + lecam + consistency
        carry, strength = self.terms.next_carry(state, *logits)
        return loss, Aux(mutable, carry, metrics | of_lecam | of_consistency | strength)

    def r1_d(self, params_d, state, batch, rng):
        """R1's own step: `r1_every` times gamma / 2 times R1, minimized over params_d.

        The gradient is that of the picture before it is augmented.
        """
        x_real, y = base.real(batch)

        def critic(x):
            return self.critic(params_d, state, self.terms.augmented(state, rng, x), y)[0]

        r1 = jnp.mean(regularizers.grad_penalty(critic, x_real))
        return self.r1_every * self.gamma / 2 * r1, Aux(state.d.mutable, state.carry, {"d/r1": r1})

    def fake(self, params_g, state, rng, y, n):
        """(images f32 [n, H, W, C], G's new mutable {"g": ...})."""
        k_ws, k_noise = jax.random.split(rng)
        ws, mutable = self.ws(params_g, state, k_ws, y, n)
        return self.render_live(params_g, state, ws, k_noise), mutable

    def ws(self, params_g, state, rng, y, n):
        """(ws f32 [n, L, W] of new z with their styles mixed, G's new mutable {"g": ...})."""
        k_z, k_other, k_layer, k_mix = jax.random.split(rng, 4)
        mutable_g = state.g.mutable["g"]

        def mapping(z, train):
            how = {"train": train, "method": "mapping"}
            return base.forward(self.g, params_g["g"], mutable_g, z, y, **how)

        ws, mutable = mapping(base.normal(k_z, n, self.z_dim), True)
        if self.style_mixing:
            other, _ = mapping(base.normal(k_other, n, self.z_dim), False)
            layers = ws.shape[1]
            first = jax.random.randint(k_layer, (), 1, layers)
            first = jnp.where(jax.random.uniform(k_mix) < self.style_mixing, first, layers)
            ws = jnp.where(jnp.arange(layers)[None, :, None] < first, ws, other)
        return ws, {"g": mutable}

    def render_live(self, params_g, state, ws, rng):
        """ws [n, L, W] -> images f32 [n, H, W, C] as in training, with fresh noise in every one."""
        how = {"rngs": {"noise": rng}, "method": "synthesis"}
        return base.forward(self.g, params_g["g"], state.g.mutable["g"], ws, **how)[0]

    def critic(self, params_d, state, x, y):
        """(logits f32 [B], D's new mutable {"d": ...})."""
        logits, mutable = base.forward(self.d, params_d["d"], state.d.mutable["d"], x, y)
        return logits, {"d": mutable}

    def init(self, rng, batch):
        k_g, k_d, k_z = jax.random.split(rng, 3)
        x, y = base.real(batch)
        params_g, mutable_g = base.init_network(self.g, k_g, self.latent(k_z, x.shape[0]), y)
        if "w_avg" not in mutable_g.get("average", {}).get("mapping", {}):
            raise ValueError(
                "config.g: its mapping network keeps no mean of w (average/mapping/w_avg);"
                " truncation needs it."
            )
        params_d, mutable_d = base.init_network(self.d, k_d, x, y)
        g = base.variables({"g": params_g}, {"g": mutable_g})
        d = base.variables({"d": params_d}, {"d": mutable_d})
        carry = self.terms.init_carry() | self.source.init_carry(
            self.g, g, jnp.zeros((x.shape[0], self.z_dim)), y
        )
        return g, d, carry | {"path_mean": jnp.float32(0)}

    @property
    def adapts(self):
        return self.source.used or self.remodulates

    def begin(self, state, n_classes):
        state = base.from_average(state) if self.remodulates else state

        def log_d(params_g, state, rng, y):
            x_fake, _ = self.fake({"g": params_g}, state, rng, y, 1)
            return jax.nn.log_sigmoid(self.critic(state.d.params, state, x_fake, y)[0])[0]

        return self.source.begin(state, log_d, n_classes)

    def latent(self, rng, n, truncation=None):
        """z f32 [n, Z]; truncation is of w, so it is left to `sample`."""
        return jax.random.normal(rng, (n, self.z_dim))

    def sample(self, ema, z, y, truncation=None):
        """Images of z, with the constant noise of each layer. truncation: see `styles`."""
        return self.render(ema, self.styles(ema, z, y, truncation))

    def sample_to_measure(self, ema, keys, z, y, truncation=None, x=None):
        """Images of z with noise that is fresh in every one, as the official measures' are."""

        params, mutable = ema["params"]["g"], ema["mutable"]["g"]

        def render(ws, key):
            how = {"rngs": {"noise": key}, "method": "synthesis"}
            made, _ = base.forward(self.g, params, mutable, ws[None], **how)
            return alpha.straight(made[0])

        return jax.vmap(render)(self.styles(ema, z, y, truncation), keys)


def preset(name: str, resolution: int = 256, devices: int = 1) -> dict:
    """Settings of a whole run but its data, as a config gives them, by a name in PRESETS.

    Args:
        resolution, devices: of the images, and that share a batch; "auto" depends on them, the
            others are fixed.
    Differs: activations are not clamped, as the official code in float32; its float16 clamps them
    to 256.
    """
    p = registry.choose(PRESETS, name, "the preset")
    if name == "auto":
        batch = max(min(devices * min(4096 // resolution, 32), 64), devices)
        p = p | {
            "batch": batch,
            "mbstd_group": min(batch // devices, 4),
            "channel_base": 32768 if resolution >= 512 else 16384,
            "lr": 2e-3 if resolution >= 1024 else 2.5e-3,
            "gamma": 2e-4 * resolution**2 / batch,
            "ema_halflife_kimg": batch * 10 / 32,
        }
    p = COMMON | p
    adam = dict(name="adam", lr=p["lr"], b1=0.0, b2=0.99)
    # without path length regularization the official G still learns as if it had a lazy step in
    # four
    slow = {} if p["path_weight"] else dict(lr=p["lr"] * 4 / 5, b2=0.99 ** (4 / 5))

    def pick(*names):
        return {name: p[name] for name in names}

    return pick("batch", "total_kimg", "ema_halflife_kimg", "ema_rampup") | {
        "algorithm": "stylegan2",
        "model": "stylegan2",
        "g": pick("channel_base", "channel_max", "map_layers"),
        "d": pick("channel_base", "channel_max", "mbstd_group", "architecture"),
        "game": pick("gamma", "path_weight", "style_mixing"),
        "opt_g": adam | slow,
        "opt_d": adam,
    }


COMMON = dict(
    channel_max=512, architecture="resnet", path_weight=2.0, style_mixing=0.9, total_kimg=25_000.0
)
PRESETS = {  # of StyleGAN2-ADA; what "auto" lacks depends on the data and the machine
    "auto": dict(map_layers=2, ema_rampup=0.05),
    "stylegan2": dict(
        batch=32, mbstd_group=4, channel_base=32768, map_layers=8,
        lr=2e-3, gamma=10.0, ema_halflife_kimg=10.0, ema_rampup=None,
    ),
    "paper256": dict(
        batch=64, mbstd_group=8, channel_base=16384, map_layers=8,
        lr=2.5e-3, gamma=1.0, ema_halflife_kimg=20.0, ema_rampup=None,
    ),
    "paper512": dict(
        batch=64, mbstd_group=8, channel_base=32768, map_layers=8,
        lr=2.5e-3, gamma=0.5, ema_halflife_kimg=20.0, ema_rampup=None,
    ),
    "paper1024": dict(
        batch=32, mbstd_group=4, channel_base=32768, map_layers=8,
        lr=2e-3, gamma=2.0, ema_halflife_kimg=10.0, ema_rampup=None,
    ),
    "cifar": dict(
        batch=64, mbstd_group=32, channel_base=32768, map_layers=2, architecture="orig",
        lr=2.5e-3, gamma=0.01, ema_halflife_kimg=500.0, ema_rampup=0.05,
        path_weight=0.0, style_mixing=0.0, total_kimg=100_000.0,
    ),
}  # fmt: skip
