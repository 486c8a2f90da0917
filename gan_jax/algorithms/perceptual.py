"""A photograph in the manner of one picture: a feed-forward network that a frozen network teaches.

Johnson et al. 2016, "Perceptual Losses for Real-Time Style Transfer and Super-Resolution",
arXiv:1603.08155.
"""

import dataclasses

import flax.linen as nn
import jax.numpy as jnp

from gan_jax import losses, regularizers
from gan_jax.algorithms import base
from gan_jax.distributed import collectives
from gan_jax.state import Aux, Phase


@dataclasses.dataclass(frozen=True)
class Algorithm(base.Translator):
    """No critic: G(x) has the content of x and the Gram matrices of the style picture y.

    G minimizes `content` mean (F(x) - F(G(x)))^2 / mean F(x)^2, of the layer `content_layer`, +
    `style` |Gram(F(G(x))) - Gram(F(y))|^2 / |Gram(F(y))|^2, the mean over `style_layers`, + `tv`
    total variation. F are feature maps of a frozen network. With several pictures of a style,
    Gram(F(y)) is the mean over the batch's.

    Attributes:
        g: picture -> picture.
        content, style, tv: weights of the terms above.
        luma: whether G draws only how light a pixel is, and colors stay the photograph's: the
            frozen network then sees gray pictures (Gatys et al. 2016, arXiv:1606.05897).
        content_layer, style_layers: the frozen network's feature maps that are looked at.
        features, weights: the frozen network, a name in pretrained.NETS, and its file (None: of the
            installed package).
        temporal: weight of regularizers.crop_consistency, for video.
    Differs: the terms of content and style are divided by the size of what G's are compared with,
        so that weights mean the same for any network and style. In place of the style picture
        there may be windows of it, and several pictures.
    """

    calls = (("g", "x"),)
    partners = ("unpaired", "paired")

    g: nn.Module
    content: float = 1.0
    style: float = 5.0
    tv: float = 0.1
    luma: bool = False
    content_layer: str = "relu3_3"
    style_layers: tuple[str, ...] = ("relu1_2", "relu2_2", "relu3_3", "relu4_3")
    features: str = "vgg16"
    weights: str | None = None
    temporal: float = 0.0

    def __post_init__(self):
        base.check_weights(self, "content", "style", "tv", "temporal")
        if not self.style_layers:
            raise ValueError(f"config.game.style_layers={self.style_layers}: give at least one.")

    @property
    def nets(self):
        return {"eyes": (self.features, self.weights)}

    @property
    def phases(self):
        return (Phase("g", self.loss_g),)

    def loss_g(self, params_g, state, batch, rng):
        """Minimized over params_g. Returns (f32 [], Aux). Eq. 2, 4 and 5."""
        x, y = base.to_float(batch["image"]), base.to_float(batch["target"])
        x_fake = self.translated(params_g, x)
        see = losses.gray if self.luma else lambda pictures: pictures
        of_x = self.maps(state, see(x), (self.content_layer,))[self.content_layer]
        of_y = self.maps(state, see(y), self.style_layers)
        of_fake = self.maps(state, see(x_fake), (*self.style_layers, self.content_layer))
        change = of_fake[self.content_layer] - of_x
        content = jnp.mean(jnp.square(change)) / jnp.mean(jnp.square(of_x))
        style = sum(
            gram_distance(losses.gram(of_fake[name]), mean_gram(of_y[name]))
            for name in self.style_layers
        ) / len(self.style_layers)
        tv = losses.total_variation(x_fake)
        loss = self.content * content + self.style * style + self.tv * tv
        metrics = {"g/content": content, "g/style": style, "g/tv": tv}
        if self.temporal:

            def translate(part):
                return self.translated(params_g, part)

            temporal = regularizers.crop_consistency(translate, x, x_fake, rng)
            loss += self.temporal * temporal
            metrics["g/temporal"] = temporal
        return loss, Aux(state.g.mutable, state.carry, metrics)

    def maps(self, state, x, names):
        """The frozen network's feature maps of pictures, by name."""
        return self.frozen["eyes"].stages(state.frozen["eyes"], x, tuple(dict.fromkeys(names)))

    def translated(self, params_g, x):
        """G's translations of x f32 [B, H, W, C]."""
        return self.colored(x, base.forward(self.g, params_g["g"], {}, x)[0])

    def colored(self, x, drawn):
        """G's drawing, with `luma` in the colors of x."""
        return x + losses.gray(drawn - x) if self.luma else drawn

    def init(self, rng, batch):
        x = base.to_float(batch["image"])
        base.check_rgb(x)
        g = base.variables({"g": base.init_network(self.g, rng, x)[0]})
        return g, base.variables({}), {}

    def apply_generator(self, ema, more, x, style):
        drawn, made = base.forward(self.g, ema["params"]["g"], more, x, train=False)
        return jnp.clip(self.colored(x, drawn), -1, 1), made


def mean_gram(maps):
    """The mean Gram matrix of the batch's pictures, on all devices: f32 [1, C, C]."""
    return collectives.mean(losses.gram(maps).mean(0, keepdims=True))


def gram_distance(gram, style):
    """Mean over the pictures of |gram - style|^2 / |style|^2: f32 []; gram f32 [B, C, C], style f32
    [1, C, C]."""
    return jnp.mean(jnp.sum(jnp.square(gram - style), (1, 2))) / jnp.sum(jnp.square(style))
