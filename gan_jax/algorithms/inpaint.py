"""Holes in pictures filled: LaMa. Suvorov et al. 2022, arXiv:2109.07161."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from gan_jax import losses, regularizers
from gan_jax.algorithms import base
from gan_jax.state import Aux, Phase


@dataclasses.dataclass(frozen=True)
class Algorithm(base.Translator):
    """G draws a whole picture p of one with holes, m = 1 there and 0 elsewhere; x is the true one.
    The result is p in the holes and the picture elsewhere. Both networks see pixels in [0, 1].

    G minimizes (`pixels` (1 - m) + `missing` m) |p - x| + `adversarial` softplus(-D(p)) +
    `feature_matching` the mean over D's layers of the mean (D_l(p) - D_l(x))^2 + `perceptual` the
    same of a frozen network's maps, summed. D minimizes softplus(-D(x)) + m softplus(D(p)) + (1 -
    m) softplus(-D(p)) + `gamma` |dD(x)/dx|^2: what G need not draw counts as real. D sees p, not
    the result.

    Attributes:
        g: (colors, 0 in holes; m) [B, H, W, 4] -> p.
        d: picture -> (logits of patches, activations).
        pixels, missing, adversarial, feature_matching, perceptual, gamma: weights of the terms
            above. Official: missing 0, perceptual 30. `missing` ties holes to the truth where
            training is short, and blurs what can't be known.
        features, weights: the frozen network, a name in pretrained.NETS, and its file (None: of the
            installed package).
        layers: its maps that are compared.
    Differs: VGG16 for a ResNet-50 trained on scenes with dilated convolutions, whose weights are
        not to be had here, and so another default of `perceptual`.
    """

    calls = (("g", "x"), ("d", "x"))
    command = "inpaint"
    partners = ("masked",)

    g: nn.Module
    d: nn.Module
    pixels: float = 10.0
    missing: float = 0.0
    adversarial: float = 10.0
    feature_matching: float = 100.0
    perceptual: float = 0.0
    gamma: float = 0.001
    features: str = "vgg16"
    weights: str | None = None
    layers: tuple[str, ...] = ("relu1_2", "relu2_2", "relu3_3", "relu4_3", "relu5_3")

    def __post_init__(self):
        names = "pixels", "missing", "adversarial", "feature_matching", "perceptual", "gamma"
        base.check_weights(self, *names)
        if not self.layers:
            raise ValueError(f"config.game.layers={self.layers}: give at least one.")

    @property
    def nets(self):
        return {"eyes": (self.features, self.weights)} if self.perceptual else {}

    @property
    def phases(self):
        return Phase("g", self.loss_g), Phase("d", self.loss_d)

    def loss_g(self, params_g, state, batch, rng):
        """Minimized over params_g with D frozen. Returns (f32 [], Aux). Eq. 6 of section 2.3."""
        x, m, given = opened(batch)
        p, mutable = self.drawn(params_g, state.g.mutable, given)
        known = jnp.mean((1 - m) * jnp.abs(p - x))
        (logits, of_p), _ = self.critic(state.d.params, state.d.mutable, p)
        (_, of_x), _ = self.critic(state.d.params, state.d.mutable, x)
        adversarial = losses.non_saturating_g(None, logits)
        matching = sum(map(mean_square, of_p, of_x)) / len(of_p)
        loss = self.pixels * known + self.adversarial * adversarial
        loss += self.feature_matching * matching
        metrics = {"g/loss": adversarial, "g/pixels": known, "g/feature_matching": matching}
        if self.missing:
            drawn = jnp.mean(m * jnp.abs(p - x))
            loss += self.missing * drawn
            metrics["g/missing"] = drawn
        if self.perceptual:
            maps = [self.maps(state, pictures) for pictures in (p, x)]
            perceptual = sum(mean_square(*(of[name] for of in maps)) for name in self.layers)
            loss += self.perceptual * perceptual
            metrics["g/perceptual"] = perceptual
        return loss, Aux(mutable, state.carry, metrics)

    def loss_d(self, params_d, state, batch, rng):
        """Minimized over params_d with G frozen. Returns (f32 [], Aux). Eq. 3 to 5."""
        x, m, given = opened(batch)
        p, _ = self.drawn(state.g.params, state.g.mutable, given)
        (logits_real, _), mutable = self.critic(params_d, state.d.mutable, x)
        (logits_fake, _), mutable = self.critic(params_d, mutable, p)
        m = at_patches(m[..., 0], logits_fake.shape[1:])
        of_known = (1 - m) * jax.nn.softplus(-logits_fake)
        of_holes = m * jax.nn.softplus(logits_fake)
        loss = jnp.mean(jax.nn.softplus(-logits_real)) + jnp.mean(of_known + of_holes)
        metrics = {"d/loss": loss, "d/real": logits_real.mean(), "d/fake": logits_fake.mean()}
        if self.gamma:

            def logits(x):
                return self.critic(params_d, state.d.mutable, x)[0][0]

            r1 = jnp.mean(regularizers.grad_penalty(logits, x))
            loss += self.gamma * r1
            metrics["d/r1"] = r1
        return loss, Aux(mutable, state.carry, metrics)

    def maps(self, state, x):
        """The frozen network's maps of pictures in [0, 1], by name."""
        return self.frozen["eyes"].stages(state.frozen["eyes"], 2 * x - 1, self.layers)

    def drawn(self, params_g, mutable, given, *, train=True):
        """(G's pictures p f32 [B, H, W, 3], new mutable) of what `opened` gave it."""
        p, new = base.forward(self.g, params_g["g"], mutable["g"], given, train=train)
        return p, {"g": new}

    def critic(self, params_d, mutable, x):
        """((D's logits f32 [B, h, w], its activations), new mutable)."""
        found, new = base.forward(self.d, params_d["d"], mutable["d"], x)
        return found, {"d": new}

    def init(self, rng, batch):
        k_g, k_d = jax.random.split(rng)
        x, _, given = opened(batch)
        params_g, mutable_g = base.init_network(self.g, k_g, given)
        params_d, mutable_d = base.init_network(self.d, k_d, x)
        g = base.variables({"g": params_g}, {"g": mutable_g})
        return g, base.variables({"d": params_d}, {"d": mutable_d}), {}

    def apply_generator(self, ema, more, x, style):
        """x: f32 [n, H, W, 4] in [-1, 1], transparent where it is to be filled -> the same, filled
        and opaque."""
        x = (x + 1) / 2
        colors, m = x[..., :3], (x[..., 3:] < 0.5).astype(jnp.float32)
        given = jnp.concatenate([colors * (1 - m), m], -1)
        p, new = base.forward(
            self.g, ema["params"]["g"], ema["mutable"]["g"] | more, given, train=False
        )
        filled = m * p + (1 - m) * colors
        return 2 * jnp.concatenate([filled, jnp.ones_like(m)], -1) - 1, new


def opened(batch):
    """(the true pictures x f32 [B, H, W, 3] in [0, 1]; m [B, H, W, 1], 1 in their holes; what G is
    given [B, H, W, 4]) of a batch of data/sources/masked.py."""
    image, target = (batch[name].astype(jnp.float32) / 255 for name in ("image", "target"))
    m = (image[..., 3:] < 0.5).astype(jnp.float32)
    return target[..., :3], m, jnp.concatenate([image[..., :3] * (1 - m), m], -1)


def at_patches(m, size):
    """m [B, H, W] at the size (h, w) of a critic's logits: pixel (i H // h, j W // w), as PyTorch's
    "nearest" picks it."""
    rows, columns = (np.arange(n) * old // n for n, old in zip(size, m.shape[1:], strict=True))
    return m[:, rows][:, :, columns]


def mean_square(a, b):
    """Mean squared difference."""
    return jnp.mean(jnp.square(a - b))
