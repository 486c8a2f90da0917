"""Small pictures made large: SRGAN, ESRGAN and Real-ESRGAN, by settings, and the networks without a
critic that they start from.

Ledig et al. 2017, arXiv:1609.04802; Wang et al. 2018, arXiv:1809.00219; Wang et al. 2021,
arXiv:2107.10833.
"""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp

from gan_jax import losses, models
from gan_jax.algorithms import base
from gan_jax.distributed import collectives
from gan_jax.state import Aux, Phase


@dataclasses.dataclass(frozen=True)
class Algorithm(base.Translator):
    """G enlarges the small picture x; the large one y that x was made of is the truth. Pictures are
    in [0, 1] for both networks.

    G minimizes `pixels` |G(x) - y| + `perceptual` sum w_l |F_l(G(x)) - F_l(y)| + `adversarial`
    times the adversarial loss; F_l are maps of a frozen network before its ReLU. D minimizes the
    adversarial loss, logistic: each logit alone (SRGAN, Real-ESRGAN), or less the mean logit of the
    other side (ESRGAN's relativistic average). With `sharpen` the first two terms look at y
    sharpened, and D at y as it is.

    | | pixels | perceptual | adversarial | layers | relativistic | sharpen |
    |---|---|---|---|---|---|---|
    | SRResNet, RRDB without a critic | 1 | 0 | 0 | | | no |
    | SRGAN, ESRGAN | .01 | 1 | .005 | conv5_3 | no, yes | no |
    | Real-ESRNet | 1 | 0 | 0 | | | yes |
    | Real-ESRGAN | 1 | 1 | .1 | five | no | yes |

    Attributes:
        g, d: small picture -> large one, by its trait `scale`; picture -> logits. Without
            `adversarial` there is no critic.
        pixels, perceptual, adversarial: weights of the terms above.
        relativistic: whether logits are taken less the other side's mean.
        layers, layer_weights: the frozen network's maps F_l, and their weights w_l.
        sharpen: whether G learns from sharpened pictures (degradations.sharpened).
        pixels_kimg: at first G learns the term `pixels` alone, for so many thousand images.
        features, weights: the frozen network, a name in pretrained.NETS, and its file (None: of the
            installed package).
        batch: images an iteration.
    Differs: VGG16 for VGG19, whose weights are not to be had here, each map with the weight of
        VGG19's at its depth (conv3_3 for conv3_4, and so on).
    """

    calls = (("g", "x"), ("d", "x"))
    command = "restore"
    partners = ("degraded",)

    g: nn.Module
    d: nn.Module
    pixels: float = 1.0
    perceptual: float = 1.0
    adversarial: float = 0.1
    relativistic: bool = False
    layers: tuple[str, ...] = ("conv1_2", "conv2_2", "conv3_3", "conv4_3", "conv5_3")
    layer_weights: tuple[float, ...] = (0.1, 0.1, 1.0, 1.0, 1.0)
    sharpen: bool = False
    pixels_kimg: float = 0.0
    features: str = "vgg16"
    weights: str | None = None
    batch: int = 0

    def __post_init__(self):
        base.check_weights(self, "pixels", "perceptual", "adversarial", "pixels_kimg")
        if not self.layers or len(self.layers) != len(self.layer_weights):
            raise ValueError(
                f"config.game.layers={self.layers}, layer_weights={self.layer_weights}: give at"
                " least one layer, and a weight for each."
            )
        if not self.pixels and not self.perceptual:
            raise ValueError(
                "config.game.pixels=0, perceptual=0: nothing ties a picture to its small one."
            )

    @property
    def nets(self):
        return {"eyes": (self.features, self.weights)} if self.perceptual else {}

    @property
    def views(self):
        return ("target_sharp",) if self.sharpen else ()

    @property
    def pixels_steps(self) -> int:
        """Iterations in which G learns from pixels alone."""
        return round(1000 * self.pixels_kimg / max(self.batch, 1))

    @property
    def phases(self):
        first = self.pixels_steps
        found = [Phase("g", self.loss_pixels, until=first)] if first else []
        found.append(Phase("g", self.loss_g, since=first))
        return *found, *([Phase("d", self.loss_d, since=first)] if self.adversarial else [])

    def loss_pixels(self, params_g, state, batch, rng):
        """The first term of `loss_g` alone. Returns (f32 [], Aux)."""
        y_fake = self.enlarged(params_g, small(batch["image"], models.traits(self.g).scale))
        pixels = losses.l1(y_fake, self.wanted(batch))
        return pixels, Aux(state.g.mutable, state.carry, {"g/pixels": pixels})

    def loss_g(self, params_g, state, batch, rng):
        """Minimized over params_g with D frozen. Returns (f32 [], Aux). ESRGAN, eq. 3."""
        y, wanted = to_unit(batch["target"]), self.wanted(batch)
        y_fake = self.enlarged(params_g, small(batch["image"], models.traits(self.g).scale))
        pixels = losses.l1(y_fake, wanted)
        loss, metrics = self.pixels * pixels, {"g/pixels": pixels}
        if self.perceptual:
            of_fake, of_wanted = (self.maps(state, pictures) for pictures in (y_fake, wanted))
            perceptual = sum(
                weight * losses.l1(of_fake[name], of_wanted[name])
                for name, weight in zip(self.layers, self.layer_weights, strict=True)
            )
            loss += self.perceptual * perceptual
            metrics["g/perceptual"] = perceptual
        if self.adversarial:
            logits_fake, _ = self.logits(state.d.params, state.d.mutable, y_fake)
            if self.relativistic:
                logits_real, _ = self.logits(state.d.params, state.d.mutable, y)
                one, other = self.compared(logits_real, logits_fake)
                adversarial = losses.logistic_d(other, one) / 2  # the sides change places
            else:
                adversarial = losses.non_saturating_g(None, logits_fake)
            loss += self.adversarial * adversarial
            metrics["g/loss"] = adversarial
        return loss, Aux(state.g.mutable, state.carry, metrics)

    def loss_d(self, params_d, state, batch, rng):
        """Minimized over params_d with G frozen. Returns (f32 [], Aux). SRGAN, eq. 2; ESRGAN,
        eq. 1."""
        y = to_unit(batch["target"])
        y_fake = self.enlarged(state.g.params, small(batch["image"], models.traits(self.g).scale))
        logits_real, mutable = self.logits(params_d, state.d.mutable, y)
        logits_fake, mutable = self.logits(params_d, mutable, y_fake)
        if self.relativistic:
            one, other = self.compared(logits_real, logits_fake, frozen=True)
            loss = losses.logistic_d(one, other) / 2
        else:
            loss = losses.logistic_d(logits_real, logits_fake)
        metrics = {"d/loss": loss, "d/real": logits_real.mean(), "d/fake": logits_fake.mean()}
        return loss, Aux(mutable, state.carry, metrics)

    def compared(self, logits_real, logits_fake, *, frozen=False):
        """(logits of each side less the mean of the other's, over all devices); frozen: no gradient
        goes through the means, as in the official code's steps of D."""
        means = (collectives.mean(x.mean()) for x in (logits_real, logits_fake))
        real, fake = (jax.lax.stop_gradient(x) if frozen else x for x in means)
        return logits_real - fake, logits_fake - real

    def maps(self, state, x):
        """The frozen network's maps of pictures in [0, 1], by name."""
        return self.frozen["eyes"].stages(state.frozen["eyes"], 2 * x - 1, self.layers)

    def wanted(self, batch):
        """What the first two terms look at, f32 [B, H, W, 3] in [0, 1]."""
        return to_unit(batch["target_sharp" if self.sharpen else "target"])

    def enlarged(self, params_g, x):
        """G's pictures of small ones, f32 [B, h, w, 3] in [0, 1]."""
        return base.forward(self.g, params_g["g"], {}, x)[0]

    def logits(self, params_d, mutable, x):
        """(D's logits f32 [B, ...], new mutable)."""
        logits, new = base.forward(self.d, params_d["d"], mutable["d"], x)
        return logits, {"d": new}

    def init(self, rng, batch):
        k_g, k_d = jax.random.split(rng)
        large = to_unit(batch["image"])
        base.check_rgb(large)
        x = small(batch["image"], models.traits(self.g).scale)
        g = base.variables({"g": base.init_network(self.g, k_g, x)[0]})
        if not self.adversarial:
            return g, base.variables({}), {}
        params_d, mutable_d = base.init_network(self.d, k_d, large)
        return g, base.variables({"d": params_d}, {"d": mutable_d}), {}

    def apply_generator(self, ema, more, x, style):
        """x: f32 [n, H, W, 3] in [-1, 1], the small pictures at the size of the result, as
        data/sources/degraded.py shows them."""
        scale = models.traits(self.g).scale
        x = (x[:, ::scale, ::scale] + 1) / 2
        made, new = base.forward(self.g, ema["params"]["g"], more, x, train=False)
        return 2 * jnp.clip(made, 0, 1) - 1, new


def to_unit(images):
    """uint8 [B, H, W, C] -> f32 in [0, 1]."""
    return images.astype(jnp.float32) / 255


def small(images, scale):
    """uint8 [B, H, W, C] whose pixels stand in squares of `scale` a side -> f32 [B, H / scale, W /
    scale, C] in [0, 1], one of each."""
    return to_unit(images[:, ::scale, ::scale])
