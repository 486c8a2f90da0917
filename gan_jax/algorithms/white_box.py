"""White-box cartoonization: photographs into cartoons, whose surface, structure and texture are
learned apart.

Wang & Yu 2020, "Learning to Cartoonize Using White-box Cartoon Representations" (CVPR).
"""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp

from gan_jax import losses, regularizers
from gan_jax.algorithms import base
from gan_jax.nn.guided_filter import guided_filter
from gan_jax.state import Aux, Phase

RADIUS, EPS = 5, 0.2  # of the guided filter that leaves a picture's surface
LUMA, SPREAD = (0.299, 0.587, 0.114), 0.1  # the weights of random gray lie so far around these


@dataclasses.dataclass(frozen=True)
class Algorithm(base.Translator):
    """Two critics compare G(x) with cartoons y, one their surfaces, one their textures; a frozen
    network compares it with the photograph and its superpixels.

    G minimizes `surface` (D_surface(S(G(x))) - 1)^2 + `texture` (D_texture(R(G(x))) - 1)^2 +
    (`content` |F(x) - F(G(x))| + `structure` |F(superpixels of x) - F(G(x))|) / (h w c) + `tv`
    total variation; S is a picture filtered by itself, R its gray by random weights, F feature maps
    [h, w, c] of a frozen network. Each critic minimizes half its least-squares loss. At first G
    learns to give x.

    Attributes:
        g, d: picture -> picture; picture of any channels -> a logit for each patch. Two of d.
        surface, texture, content, structure, tv: weights of the terms above. The less `content`
            weighs beside `structure`, the flatter the regions; the paper has one weight for both.
        first_kimg: length of the first phase, in thousands of images; official: 50,000 iterations.
        features, weights: the frozen network, a name in pretrained.NETS, and its file (None: of the
            installed package).
        layer: its feature map that is looked at.
        temporal: weight of regularizers.crop_consistency, for video.
        batch: images an iteration.
    Differs: VGG16's conv4_3 before its ReLU, times losses.PIXELS, for VGG19's conv4_4, whose
        weights are not to be had here. Superpixels are of the photograph, not of G(x), each filled
        with its mean. In the first phase G's result is filtered too. Faces are not drawn apart
        from scenes.
    """

    calls = (("g", "x"), ("d", "x"))
    partners = ("unpaired", "paired")
    views = ("superpixels",)
    least_targets = 2

    g: nn.Module
    d: nn.Module
    surface: float = 0.1
    texture: float = 1.0
    content: float = 200.0
    structure: float = 200.0
    tv: float = 1e4
    first_kimg: float = 0.0
    features: str = "vgg16"
    weights: str | None = None
    layer: str = "conv4_3"
    temporal: float = 0.0
    batch: int = 0

    def __post_init__(self):
        names = "surface", "texture", "content", "structure", "tv", "first_kimg", "temporal"
        base.check_weights(self, *names)

    @property
    def nets(self):
        return {"eyes": (self.features, self.weights)}

    @property
    def first_steps(self) -> int:
        """Iterations of the first phase."""
        return round(1000 * self.first_kimg / max(self.batch, 1))

    @property
    def phases(self):
        return Phase("d", self.loss_d, since=self.first_steps), Phase("g", self.loss_g)

    def loss_d(self, params_d, state, batch, rng):
        """Minimized over both critics with G frozen. Returns (f32 [], Aux)."""
        x, y = base.to_float(batch["image"]), base.to_float(batch["target"])
        x_fake = self.translated(state.g.params, x)
        loss, mutable, metrics = 0.0, {}, {}
        for name, view in views(rng).items():
            both = view(jnp.concatenate([y, x_fake]))
            logits, mutable[name] = self.logits(params_d, state.d.mutable, name, both)
            real, fake = jnp.split(logits, 2)
            adversarial = losses.least_squares_d(real, fake)
            loss += 0.5 * adversarial
            metrics |= {
                f"d/{name}_loss": adversarial,
                f"d/{name}_real": jnp.mean(real),
                f"d/{name}_fake": jnp.mean(fake),
            }
        return loss, Aux(mutable, state.carry, metrics)

    def loss_g(self, params_g, state, batch, rng):
        """Minimized over params_g with the critics frozen. Returns (f32 [], Aux)."""
        k_gray, k_crop = jax.random.split(rng)
        x, regions = base.to_float(batch["image"]), base.to_float(batch["superpixels"])
        x_fake = self.translated(params_g, x)
        adversarial = {}
        for name, view in views(k_gray).items():
            logits, _ = self.logits(state.d.params, state.d.mutable, name, view(x_fake))
            adversarial[name] = losses.least_squares_g(None, logits)
        of_x, of_regions, of_fake = (self.maps(state, images) for images in (x, regions, x_fake))
        size = of_x[self.layer][0].size
        content = losses.content(of_x, of_fake) / size
        structure = losses.content(of_regions, of_fake) / size
        height, width, channels = x_fake.shape[1:]
        tv = 2 * losses.total_variation(x_fake) / (height * width * channels)
        loss = self.surface * adversarial["surface"] + self.texture * adversarial["texture"]
        loss += self.content * content + self.structure * structure + self.tv * tv
        loss = jnp.where(state.step < self.first_steps, losses.l1(x_fake, x), loss)
        metrics = {f"g/{name}_loss": value for name, value in adversarial.items()}
        metrics |= {"g/content": content, "g/structure": structure, "g/tv": tv}
        if self.temporal:

            def translate(part):
                return self.translated(params_g, part)

            temporal = regularizers.crop_consistency(translate, x, x_fake, k_crop)
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

    def logits(self, params_d, mutable, name, x):
        """(logits f32 [B, h, w], new mutable) of one of the critics."""
        return base.forward(self.d, params_d[name], mutable[name], x)

    def init(self, rng, batch):
        k_g, k_gray, *keys = jax.random.split(rng, 4)
        x = base.to_float(batch["image"])
        base.check_rgb(x)
        params, mutable = {}, {}
        for key, (name, view) in zip(keys, views(k_gray).items(), strict=True):
            params[name], mutable[name] = base.init_network(self.d, key, view(x))
        g = base.variables({"g": base.init_network(self.g, k_g, x)[0]})
        return g, base.variables(params, mutable), {}

    def apply_generator(self, ema, more, x, style):
        return base.forward(self.g, ema["params"]["g"], more, x, train=False)


def views(rng: jax.Array) -> dict:
    """What each critic sees of pictures f32 [B, H, W, 3], by its name: functions of them."""
    weights = jax.random.uniform(rng, (3,), minval=-SPREAD, maxval=SPREAD) + jnp.asarray(LUMA)

    def surface(x):
        return guided_filter(x, x, RADIUS, EPS)

    def texture(x):
        """Gray by this step's weights, [B, H, W, 1]."""
        return x @ (weights / jnp.sum(weights))[:, None]

    return {"surface": surface, "texture": texture}
