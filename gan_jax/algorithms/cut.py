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

    G and the heads minimise adversarial + `nce` PatchNCE(x, G(x)); with `identity` the mean of that
    and `nce` PatchNCE(y, G(y)), y of the set to go to; + `l1` |G(y) - y|. D minimises half its loss
    + `gamma` / 2 R1 on the reals.

    Attributes:
        g, heads, d: picture -> picture, or its layers too; layers' patches -> unit vectors; picture
            -> logits.
        loss: a name in losses.LOSSES. D's is halved.
        nce: weight of PatchNCE: 1 (CUT), 10 (FastCUT).
        identity: whether G is to keep pictures of the set it goes to (CUT).
        flip: whether every second batch goes through G mirrored, its patches compared with those of
            the picture as it was (FastCUT).
        taps: layers of G that are compared. patches: places in each; temperature: of the softmax.
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
        """Minimised over params_d with G frozen. Returns (f32 [], Aux)."""
        x, x_real = base.to_float(batch["image"]), base.to_float(batch["target"])
        x_fake, _ = self.drawn(state.g.params, self.turned(x, self.toss(rng)))
        logits_real, logits_fake = self.critic(params_d, x_real), self.critic(params_d, x_fake)
        loss = losses.LOSSES[self.loss].d(logits_real, logits_fake)
        metrics = {"d/loss": loss, "d/real": jnp.mean(logits_real), "d/fake": jnp.mean(logits_fake)}
        total = 0.5 * loss
        if self.gamma:
            metrics["d/r1"] = jnp.mean(
                regularizers.grad_penalty(lambda x: self.critic(params_d, x), x_real)
            )
            total += self.gamma / 2 * metrics["d/r1"]
        return total, Aux(state.d.mutable, state.carry, metrics)

    def loss_g(self, params_g, state, batch, rng):
        """Minimised over params_g (G and the heads) with D frozen. Returns (f32 [], Aux)."""
        k_flip, k_places, k_own, k_crop = jax.random.split(rng, 4)
        x, y = base.to_float(batch["image"]), base.to_float(batch["target"])
        mirrored = self.toss(k_flip)
        x_fake, layers = self.drawn(params_g, self.turned(x, mirrored))
        if self.flip:
            layers = self.drawn(params_g, x)[1]
        found = {
            "loss": (
                losses.LOSSES[self.loss].g(
                    self.critic(state.d.params, y), self.critic(state.d.params, x_fake)
                )
            )
        }
        found["nce"] = patches = self.patch_nce(params_g, layers, x_fake, k_places, mirrored)
        if self.identity:
            y_fake, layers = self.drawn(params_g, self.turned(y, mirrored))
            if self.flip:
                layers = self.drawn(params_g, y)[1]
            found["nce_identity"] = self.patch_nce(params_g, layers, y_fake, k_own, mirrored)
            patches = 0.5 * (patches + found["nce_identity"])
        loss = found["loss"] + self.nce * patches
        if self.l1:
            same = y_fake if self.identity and not self.flip else self.drawn(params_g, y)[0]
            found["l1"] = jnp.mean(jnp.abs(same - y))
            loss += self.l1 * found["l1"]
        if self.temporal:
            again = lambda part: self.drawn(params_g, part)[0]
            found["temporal"] = regularizers.crop_consistency(
                again, x, again(x) if self.flip else x_fake, k_crop
            )
            loss += self.temporal * found["temporal"]
        return loss, Aux(
            state.g.mutable, state.carry, {f"g/{name}": value for name, value in found.items()}
        )

    def toss(self, rng):
        """Whether this turn's pictures go through G mirrored: bool [], or False without `flip`."""
        return jax.random.bernoulli(rng) if self.flip else False

    def turned(self, x, mirrored):
        """x [B, H, W, C], left and right exchanged where `mirrored`."""
        return jnp.where(mirrored, x[:, :, ::-1], x) if self.flip else x

    def patch_nce(self, params_g, layers, x_fake, rng, mirrored):
        """The mean over layers of PatchNCE between a picture's layers and those of its translation,
        f32 [] (eq. 3)."""
        of_fake = [self.turned(h, mirrored) for h in self.drawn(params_g, x_fake)[1]]
        keys = jax.random.split(rng, len(layers))
        places = [
            jax.random.permutation(key, h.shape[1] * h.shape[2])[: self.patches]
            for key, h in zip(keys, layers, strict=True)
        ]
        q, k = (
            base.forward(
                self.heads,
                params_g["heads"],
                {},
                [at(h, p) for h, p in zip(hs, places, strict=True)],
            )[0]
            for hs in (of_fake, layers)
        )
        return sum(
            patch_nce(a, b, self.temperature, self.across) for a, b in zip(q, k, strict=True)
        ) / len(layers)

    def drawn(self, params_g, x):
        """(G's pictures f32 [B, H, W, C], its tapped layers, a list of [B, h, w, c])."""
        return base.forward(self.g, params_g["g"], {}, x, self.taps)[0]

    def critic(self, params_d, x):
        """Logits f32 [B, h, w]."""
        return base.forward(self.d, params_d["d"], {}, x)[0]

    def init(self, rng, batch):
        k_g, k_heads, k_d = jax.random.split(rng, 3)
        x = base.to_float(batch["image"])
        params = {"g": base.init_network(self.g, k_g, x)[0]}
        layers = [at(h, jnp.arange(2)) for h in self.drawn(params, x)[1]]
        params["heads"] = base.init_network(self.heads, k_heads, layers)[0]
        params_d = {"d": base.init_network(self.d, k_d, x)[0]}
        wrap = lambda params: {"params": params, "mutable": {name: {} for name in params}}
        return wrap(params), wrap(params_d), {}

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
