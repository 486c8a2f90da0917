"""CycleGAN: two sets of pictures, each into the other, no pairs. Zhu et al. 2017,
arXiv:1703.10593."""

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
    """Two generators, a -> b and b -> a, and a critic of each set, of what the generators drew
    lately.

    The generators minimise their adversarial losses + `cycle` (|BA(AB(a)) - a| + |AB(BA(b)) - b|) +
    `cycle` `identity` (|AB(b) - b| + |BA(a) - a|). They move first, then the critics, whose fakes
    come through a pool of former ones.

    Attributes:
        g, d: picture -> picture; picture -> a logit for each patch. Two of each.
        loss: a name in losses.LOSSES. The critics' is halved.
        cycle, identity: weights of the terms above.
        pool: former fakes kept of each set, in the checkpoint; 0: none.
        direction: "ab" or "ba", which way pictures are taken when training is done.
        temporal: weight of regularizers.crop_consistency of both generators, for video.
        batch: images a round.
    Shrivastava et al. 2017, arXiv:1612.07828, section 2.3: the pool.
    """

    calls = (("g", "x"), ("d", "x"))
    partners = ("unpaired", "paired")

    g: nn.Module
    d: nn.Module
    loss: str = "least_squares"
    cycle: float = 10.0
    identity: float = 0.5
    pool: int = 50
    direction: str = "ab"
    temporal: float = 0.0
    batch: int = 0

    def __post_init__(self):
        registry.choose(losses.LOSSES, self.loss, "config.game.loss")
        registry.choose({"ab": 1, "ba": 1}, self.direction, "config.game.direction")
        base.check_weights(self, "cycle", "identity", "temporal", "pool")

    @property
    def contents(self):
        return self.direction[0]

    @property
    def phases(self):
        return Phase("g", self.loss_g), Phase("d", self.loss_d)

    def loss_g(self, params_g, state, batch, rng):
        """Minimised over both generators with the critics frozen; leaves the critics' fakes in
        carry. Returns (f32 [], Aux)."""
        k_pool, *keys = jax.random.split(rng, 3)
        x_a, x_b = base.to_float(batch["image"]), base.to_float(batch["target"])
        ab, ba = (lambda x, name=name: self.drawn(params_g, name, x) for name in ("g_ab", "g_ba"))
        fake_b, fake_a = ab(x_a), ba(x_b)
        mislead = losses.LOSSES[self.loss].g
        metrics, loss = {}, 0.0
        sides = (
            ("a", x_a, fake_a, ba, fake_b),
            ("b", x_b, fake_b, ab, fake_a),
        )  # set, real, fake, the way to it, from
        for name, x_real, x_fake, to, origin in sides:
            critic = lambda x, name=name: self.critic(state.d.params, name, x)
            found = {
                "loss": mislead(critic(x_real), critic(x_fake)),
                "cycle": l1(to(origin), x_real),
            }
            loss += found["loss"] + self.cycle * found["cycle"]
            if self.identity:
                found["identity"] = l1(to(x_real), x_real)
                loss += self.cycle * self.identity * found["identity"]
            metrics |= {f"g/{name}_{key}": value for key, value in found.items()}
        if self.temporal:
            shifted = [
                regularizers.crop_consistency(to, x, x_fake, key)
                for to, x, x_fake, key in zip(
                    (ab, ba), (x_a, x_b), (fake_b, fake_a), keys, strict=True
                )
            ]
            metrics["g/temporal"] = sum(shifted)
            loss += self.temporal * metrics["g/temporal"]
        carry = jax.lax.stop_gradient(self.pooled(state.carry, {"a": fake_a, "b": fake_b}, k_pool))
        return loss, Aux(state.g.mutable, carry, metrics)

    def loss_d(self, params_d, state, batch, rng):
        """Minimised over both critics, at the fakes that this round's G turn left. Returns (f32 [],
        Aux)."""
        metrics, loss, waiting = {}, 0.0, dict(state.carry["waiting"])
        for name, images in (("a", batch["image"]), ("b", batch["target"])):
            x_real = base.to_float(images)
            x_fake = collectives.draw(lambda n, name=name: waiting[name][:n], x_real.shape[0])
            waiting[name] = jnp.roll(waiting[name], -collectives.size() * x_real.shape[0], 0)
            logits_real, logits_fake = (self.critic(params_d, name, x) for x in (x_real, x_fake))
            found = losses.LOSSES[self.loss].d(logits_real, logits_fake)
            loss += 0.5 * found
            metrics |= {f"d/{name}_loss": found, f"d/{name}_real": jnp.mean(logits_real)}
            metrics |= {f"d/{name}_fake": jnp.mean(logits_fake)}
        return loss, Aux(state.d.mutable, state.carry | {"waiting": waiting}, metrics)

    def pooled(self, carry, fakes, rng):
        """The carry after this turn's fakes f32 [b, H, W, C] of each set: through its pool, then
        last in its line."""
        carry = {key: dict(value) for key, value in carry.items()}
        for name, key in zip(("a", "b"), jax.random.split(rng), strict=True):
            images = collectives.gather(fakes[name])
            if self.pool:
                pool, filled = carry["pool"][name], carry["filled"][name]
                images, carry["pool"][name], carry["filled"][name] = through_pool(
                    pool, filled, images, key
                )
            carry["waiting"][name] = jnp.concatenate(
                [carry["waiting"][name][len(images) :], images]
            )
        return carry

    def drawn(self, params_g, name, x):
        """Pictures f32 [B, H, W, C] by one of the generators."""
        return base.forward(self.g, params_g[name], {}, x)[0]

    def critic(self, params_d, name, x):
        """Logits f32 [B, h, w] of the critic of a set."""
        return base.forward(self.d, params_d[f"d_{name}"], {}, x)[0]

    def init(self, rng, batch):
        keys = jax.random.split(rng, 4)
        x = base.to_float(batch["image"])
        wrap = lambda params: {"params": params, "mutable": {name: {} for name in params}}
        g = {
            name: base.init_network(self.g, key, x)[0]
            for name, key in zip(("g_ab", "g_ba"), keys[:2], strict=True)
        }
        d = {
            name: base.init_network(self.d, key, x)[0]
            for name, key in zip(("d_a", "d_b"), keys[2:], strict=True)
        }
        room = lambda n: {name: jnp.zeros((n, *x.shape[1:])) for name in ("a", "b")}
        carry = {"waiting": room(self.batch or x.shape[0])}
        if self.pool:
            carry |= {
                "pool": room(self.pool),
                "filled": {name: jnp.int32(0) for name in ("a", "b")},
            }
        return wrap(g), wrap(d), carry

    def apply_generator(self, ema, more, x, style):
        return base.forward(self.g, ema["params"][f"g_{self.direction}"], more, x, train=False)


def through_pool(pool, filled, images, rng):
    """(images the critic sees, the new pool, how many it holds), one image after the other.

    Until the pool is full an image goes in and is seen itself; then every second one, by chance,
    changes places with one of the pool. pool f32 [P, H, W, C]; filled int32 []; images f32 [n, H,
    W, C].
    """
    draws, seen = jax.random.split(rng, len(images)), []
    for image, key in zip(images, draws, strict=True):
        k_swap, k_slot = jax.random.split(key)
        full = filled >= len(pool)
        slot = jnp.where(full, jax.random.randint(k_slot, (), 0, len(pool)), filled)
        enters = ~full | jax.random.bernoulli(k_swap)
        seen.append(jnp.where(full & enters, pool[slot], image))
        pool = pool.at[slot].set(jnp.where(enters, image, pool[slot]))
        filled = jnp.minimum(filled + 1, len(pool))
    return jnp.stack(seen), pool, filled


def l1(a, b):
    """Mean absolute difference, f32 []."""
    return jnp.mean(jnp.abs(a - b))
