"""AnimeGANv2: photographs into the style of a set of drawings, by a critic that sees edges and a
frozen network's content and style.

Chen et al. 2020, "AnimeGAN: A Novel Lightweight GAN for Photo Animation", and the authors' second
version.
"""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp

from gan_jax import losses, regularizers
from gan_jax.algorithms import base
from gan_jax.state import Aux, Phase


@dataclasses.dataclass(frozen=True)
class Algorithm(base.Translator):
    """G keeps what a photograph shows and takes the texture of gray drawings and their edges.

    G minimizes `content` |F(x) - F(G(x))| + `style` |Gram(F(gray y)) - Gram(F(G(x)))| + `color` the
    difference in YUV + `tv` total variation + `adversarial` (D(G(x)) - 1)^2; F are feature maps of
    a frozen network, y the drawings. D minimizes `adversarial` times the sum of (D(y) - 1)^2,
    D(G(x))^2, D(gray y)^2 and D(gray y with its edges blurred)^2, each with its weight of `critic`.
    At first G learns the content alone.

    Attributes:
        g, d: picture -> picture; picture -> a logit for each patch.
        content, style, color, tv, adversarial: weights of the terms above. Official for the styles
            "Hayao", "Paprika" and "Shinkai": content 1.5, 2, 1.2; style 2.5, .6, 2; color 15, 50,
            10; tv 1, .1, 1.
        critic: weights of D's four terms in the order above; official: (1.2, 1.2, 1.2, .8), (1, 1,
            1, .005), (1.7, 1.7, 1.7, 1).
        content_kimg: length of the first phase, in thousands of images; official: 10 epochs.
        features, weights: the frozen network, a name in pretrained.NETS, and its file (None: of the
            installed package).
        layer: its feature map that is looked at.
        temporal: weight of regularizers.crop_consistency, for video.
        batch: images an iteration.
    Differs: VGG16's conv4_3 before its ReLU, times losses.PIXELS, for VGG19's conv4_4, whose
        weights are not to be had here. One optimizer of G throughout; the official code has a new
        one after the first phase.
    """

    calls = (("g", "x"), ("d", "x"))
    partners = ("unpaired", "paired")
    views = ("target_smooth",)
    least_targets = 2

    g: nn.Module
    d: nn.Module
    content: float = 1.5
    style: float = 2.5
    color: float = 15.0
    tv: float = 1.0
    adversarial: float = 300.0
    critic: tuple[float, float, float, float] = (1.2, 1.2, 1.2, 0.8)
    content_kimg: float = 0.0
    features: str = "vgg16"
    weights: str | None = None
    layer: str = "conv4_3"
    temporal: float = 0.0
    batch: int = 0

    def __post_init__(self):
        names = "content", "style", "color", "tv", "adversarial", "content_kimg", "temporal"
        base.check_weights(self, *names)
        if len(self.critic) != 4 or min(self.critic) < 0:
            raise ValueError(f"config.game.critic={self.critic}: give four weights of 0 or more.")

    @property
    def nets(self):
        return {"eyes": (self.features, self.weights)}

    @property
    def content_steps(self) -> int:
        """Iterations of the first phase."""
        return round(1000 * self.content_kimg / max(self.batch, 1))

    @property
    def phases(self):
        return Phase("d", self.loss_d, since=self.content_steps), Phase("g", self.loss_g)

    def loss_d(self, params_d, state, batch, rng):
        """Minimized over params_d with G frozen. Returns (f32 [], Aux)."""
        x, y = base.to_float(batch["image"]), base.to_float(batch["target"])
        smooth = base.to_float(batch["target_smooth"])
        x_fake = self.translated(state.g.params, x)
        seen = jnp.concatenate([y, x_fake, losses.gray(y), losses.gray(smooth)])
        logits, mutable = self.logits(params_d, state.d.mutable, seen)
        real, fake, of_gray, of_smooth = jnp.split(logits, 4)
        w_real, w_fake, w_gray, w_smooth = self.critic
        loss = self.adversarial * (
            w_real * jnp.mean(jnp.square(real - 1))
            + w_fake * jnp.mean(jnp.square(fake))
            + w_gray * jnp.mean(jnp.square(of_gray))
            + w_smooth * jnp.mean(jnp.square(of_smooth))
        )
        metrics = {"d/loss": loss, "d/real": jnp.mean(real), "d/fake": jnp.mean(fake)}
        metrics |= {"d/gray": jnp.mean(of_gray), "d/smooth": jnp.mean(of_smooth)}
        return loss, Aux(mutable, state.carry, metrics)

    def loss_g(self, params_g, state, batch, rng):
        """Minimized over params_g with D frozen. Returns (f32 [], Aux)."""
        x, y = base.to_float(batch["image"]), base.to_float(batch["target"])
        x_fake = self.translated(params_g, x)
        of_x, of_gray, of_fake = (
            self.maps(state, images) for images in (x, losses.gray(y), x_fake)
        )
        content = losses.content(of_x, of_fake)
        style = losses.style(of_gray, of_fake)
        color, tv = losses.color(x, x_fake), losses.total_variation(x_fake)
        logits, _ = self.logits(state.d.params, state.d.mutable, x_fake)
        adversarial = losses.least_squares_g(None, logits)
        loss = self.style * style + self.color * color + self.tv * tv
        loss += self.adversarial * adversarial
        loss = self.content * content + jnp.where(state.step < self.content_steps, 0.0, loss)
        metrics = {"g/loss": adversarial, "g/content": content, "g/style": style}
        metrics |= {"g/color": color, "g/tv": tv}
        if self.temporal:

            def translate(part):
                return self.translated(params_g, part)

            temporal = regularizers.crop_consistency(translate, x, x_fake, rng)
            loss += self.temporal * temporal
            metrics["g/temporal"] = temporal
        return loss, Aux(state.g.mutable, state.carry, metrics)

    def maps(self, state, x):
        """The frozen network's feature maps of pictures, as those of one that sees pixels of 255
        units."""
        maps = self.frozen["eyes"].stages(state.frozen["eyes"], x, (self.layer,))
        return {name: losses.PIXELS * h for name, h in maps.items()}

    def translated(self, params_g, x):
        """G's translations of x f32 [B, H, W, C]."""
        return base.forward(self.g, params_g["g"], {}, x)[0]

    def logits(self, params_d, mutable, x):
        """(logits f32 [B, h, w], new mutable)."""
        logits, new = base.forward(self.d, params_d["d"], mutable["d"], x)
        return logits, {"d": new}

    def init(self, rng, batch):
        k_g, k_d = jax.random.split(rng)
        x = base.to_float(batch["image"])
        base.check_rgb(x)
        params_d, mutable_d = base.init_network(self.d, k_d, x)
        g = base.variables({"g": base.init_network(self.g, k_g, x)[0]})
        return g, base.variables({"d": params_d}, {"d": mutable_d}), {}

    def apply_generator(self, ema, more, x, style):
        return base.forward(self.g, ema["params"]["g"], more, x, train=False)
