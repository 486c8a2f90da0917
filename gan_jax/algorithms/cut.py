"""CUT, FastCUT, SinCUT: one set of pictures (or one picture) into another, content kept patch by
patch.

Park et al. 2020, arXiv:2007.15651.
"""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp

from gan_jax import losses, regularizers
from gan_jax.algorithms import base
from gan_jax.distributed import collectives
from gan_jax.runtime import registry
from gan_jax.state import Aux, Phase


@dataclasses.dataclass(frozen=True)
class Algorithm(base.Translator):
    """A patch of G(x) must be told by G's own encoder from the other patches of x, as the one at
    its place.

    G and the heads minimize adversarial + `nce` PatchNCE(x, G(x)); with `identity` the mean of that
    and `nce` PatchNCE(y, G(y)), y of the set to go to; + `l1` |G(y) - y|. D minimizes half its loss
    + `gamma` / 2 R1 on the reals.

    Attributes:
        g, heads, d: picture -> picture, or its layers too; layers' patches -> unit vectors; picture
            -> logits.
        loss: a name in losses.LOSSES. D's is halved.
        nce: weight of PatchNCE: 1 (CUT), 10 (FastCUT).
        identity: whether G is to keep pictures of the set it goes to (CUT).
        flip: whether every second batch goes through G mirrored, its patches compared with those of
            the picture as it was (FastCUT).
        taps: layers of G that are compared.
        patches: places in each; temperature: of the softmax.
        across: whether a patch is told from those of all pictures of the batch too, where these are
            windows of one (SinCUT).
        l1, gamma: weights of the terms above (SinCUT: 1 and 1).
        temporal: weight of regularizers.crop_consistency, for video.
    """

    calls = (("g", "x, taps"), ("d", "x"), ("heads", "patches"))
    partners = ("unpaired", "paired")

    g: nn.Module
    d: nn.Module
    heads: nn.Module
    loss: str = "least_squares"
    nce: float = 1.0
    identity: bool = True
    flip: bool = False
    taps: tuple[int, ...] = (0, 4, 8, 12, 16)
    patches: int = 256
    temperature: float = 0.07
    across: bool = False
    l1: float = 0.0
    gamma: float = 0.0
    temporal: float = 0.0

    def __post_init__(self):
        registry.choose(losses.LOSSES, self.loss, "config.game.loss")
        base.check_weights(self, "nce", "l1", "gamma", "temporal")
        if not self.taps:
            raise ValueError(f"config.game.taps={self.taps}: give at least one layer.")
        if self.patches < 2:
            raise ValueError(f"config.game.patches={self.patches}: it must be at least 2.")
        if not self.temperature > 0:
            raise ValueError(f"config.game.temperature={self.temperature}: it must be above 0.")

    @property
    def phases(self):
        return Phase("d", self.loss_d), Phase("g", self.loss_g)

    def loss_d(self, params_d, state, batch, rng):
        """Minimized over params_d with G frozen. Returns (f32 [], Aux). Eq. 1, and R1."""
        x, x_real = base.to_float(batch["image"]), base.to_float(batch["target"])
        x_fake, _ = self.translated(state.g.params, self.mirrored(x, self.mirrors(rng)))

        def critic(x):
            return self.critic(params_d, x)

        logits_real, logits_fake = critic(x_real), critic(x_fake)
        adversarial = losses.LOSSES[self.loss].d(logits_real, logits_fake)
        loss = 0.5 * adversarial
        metrics = {
            "d/loss": adversarial,
            "d/real": jnp.mean(logits_real),
            "d/fake": jnp.mean(logits_fake),
        }
        if self.gamma:
            r1 = jnp.mean(regularizers.grad_penalty(critic, x_real))
            loss += self.gamma / 2 * r1
            metrics["d/r1"] = r1
        return loss, Aux(state.d.mutable, state.carry, metrics)

    def loss_g(self, params_g, state, batch, rng):
        """Minimized over params_g (G and the heads) with D frozen. Returns (f32 [], Aux). Eq. 5."""
        k_flip, k_places, k_own, k_crop = jax.random.split(rng, 4)
        x, y = base.to_float(batch["image"]), base.to_float(batch["target"])
        flip = self.mirrors(k_flip)
        x_fake, layers = self.translated_with_layers(params_g, x, flip)
        logits_real = self.critic(state.d.params, y)
        logits_fake = self.critic(state.d.params, x_fake)
        adversarial = losses.LOSSES[self.loss].g(logits_real, logits_fake)
        patches = self.patch_nce(params_g, layers, x_fake, k_places, flip)
        metrics = {"g/loss": adversarial, "g/nce": patches}
        if self.identity:
            y_fake, layers = self.translated_with_layers(params_g, y, flip)
            of_identity = self.patch_nce(params_g, layers, y_fake, k_own, flip)
            patches = 0.5 * (patches + of_identity)
            metrics["g/nce_identity"] = of_identity
        loss = adversarial + self.nce * patches
        if self.l1:
            unflipped = self.identity and not self.flip
            l1 = losses.l1(y_fake if unflipped else self.translated(params_g, y)[0], y)
            loss += self.l1 * l1
            metrics["g/l1"] = l1
        if self.temporal:

            def translate(part):
                return self.translated(params_g, part)[0]

            whole = translate(x) if self.flip else x_fake
            temporal = regularizers.crop_consistency(translate, x, whole, k_crop)
            loss += self.temporal * temporal
            metrics["g/temporal"] = temporal
        return loss, Aux(state.g.mutable, state.carry, metrics)

    def mirrors(self, rng):
        """Whether this step's pictures go through G mirrored: bool [], or False without `flip`."""
        return jax.random.bernoulli(rng) if self.flip else False

    def mirrored(self, x, flip):
        """x [B, H, W, C], left and right exchanged where `flip`, as `mirrors` gives it."""
        return jnp.where(flip, x[:, :, ::-1], x) if self.flip else x

    def translated_with_layers(self, params_g, x, flip):
        """(translations of x, mirrored where `flip`; the tapped layers of x itself)."""
        x_fake, layers = self.translated(params_g, self.mirrored(x, flip))
        return x_fake, self.translated(params_g, x)[1] if self.flip else layers

    def patch_nce(self, params_g, layers, x_fake, rng, flip):
        """The mean over layers of PatchNCE between a picture's layers and those of its translation,
        f32 [] (eq. 3)."""
        of_fake = [self.mirrored(h, flip) for h in self.translated(params_g, x_fake)[1]]
        keys = jax.random.split(rng, len(layers))
        places = [
            jax.random.permutation(key, h.shape[1] * h.shape[2])[: self.patches]
            for key, h in zip(keys, layers, strict=True)
        ]
        queries = self.heads_at(params_g, of_fake, places)
        positives = self.heads_at(params_g, layers, places)
        pairs = zip(queries, positives, strict=True)
        return sum(patch_nce(q, k, self.temperature, self.across) for q, k in pairs) / len(layers)

    def heads_at(self, params_g, layers, places):
        """Unit vectors f32 [B, P, F] of each layer [B, h, w, c] at places int32 [P]."""
        patches = [at(h, p) for h, p in zip(layers, places, strict=True)]
        return base.forward(self.heads, params_g["heads"], {}, patches)[0]

    def translated(self, params_g, x):
        """(G's translations of x f32 [B, H, W, C], its tapped layers, a list of [B, h, w, c])."""
        return base.forward(self.g, params_g["g"], {}, x, self.taps)[0]

    def critic(self, params_d, x):
        """Logits f32 [B, h, w]."""
        return base.forward(self.d, params_d["d"], {}, x)[0]

    def init(self, rng, batch):
        k_g, k_heads, k_d = jax.random.split(rng, 3)
        x = base.to_float(batch["image"])
        params = {"g": base.init_network(self.g, k_g, x)[0]}
        layers = [at(h, jnp.arange(2)) for h in self.translated(params, x)[1]]
        params["heads"] = base.init_network(self.heads, k_heads, layers)[0]
        params_d = {"d": base.init_network(self.d, k_d, x)[0]}
        return base.variables(params), base.variables(params_d), {}

    def apply_generator(self, ema, more, x, style):
        return base.forward(self.g, ema["params"]["g"], more, x, train=False)


def patch_nce(q: jax.Array, k: jax.Array, temperature: float, across: bool = False) -> jax.Array:
    """Cross-entropy of telling, for each patch of q, its own in k among all of that picture: f32
    [].

    q, k: unit vectors [B, P, F], compared patch by patch at equal places; k is frozen. Park et al.
        2020, eq. 2.
    across: among those of all pictures of the batch.
    """
    k = jax.lax.stop_gradient(k)
    if across:
        b, p, f = q.shape
        # [b, P], their places in the whole batch
        own = collectives.draw(lambda n: jnp.arange(n * p).reshape(n, p), b)
        logits = jnp.einsum("bpf,qf->bpq", q, collectives.gather(k).reshape(-1, f)) / temperature
        return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(logits), own[..., None], 2))
    logits = jnp.einsum("bpf,bqf->bpq", q, k) / temperature
    return -jnp.mean(jnp.diagonal(jax.nn.log_softmax(logits), axis1=1, axis2=2))


def at(h: jax.Array, places: jax.Array) -> jax.Array:
    """h [B, h, w, c], places int32 [P], counted along rows -> f32 [B, P, c]."""
    return h.reshape(h.shape[0], -1, h.shape[-1])[:, places].astype(jnp.float32)
