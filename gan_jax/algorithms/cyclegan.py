"""CycleGAN: two sets of pictures, each into the other, no pairs. Zhu et al. 2017,
arXiv:1703.10593."""

import dataclasses
import functools

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

    The generators minimize their adversarial losses + `cycle` (|BA(AB(a)) - a| + |AB(BA(b)) - b|) +
    `cycle` `identity` (|AB(b) - b| + |BA(a) - a|). They move first, then the critics, whose fakes
    come through a pool of former ones.

    Attributes:
        g, d: picture -> picture; picture -> a logit for each patch. Two of each.
        loss: a name in losses.LOSSES. The critics' is halved.
        cycle, identity: weights of the terms above.
        pool: former fakes kept of each set, in the checkpoint; 0: none.
        direction: "ab" or "ba", which way pictures are translated after training.
        temporal: weight of regularizers.crop_consistency of both generators, for video.
        batch: images an iteration.
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
        """Minimized over both generators with the critics frozen; leaves the critics' fakes in
        carry. Returns (f32 [], Aux). Eq. 1 to 3, and the identity term of section 5.2."""
        k_pool, *keys = jax.random.split(rng, 3)
        x_a, x_b = base.to_float(batch["image"]), base.to_float(batch["target"])
        ab = functools.partial(self.translated, params_g, "g_ab")
        ba = functools.partial(self.translated, params_g, "g_ba")
        fake_b, fake_a = ab(x_a), ba(x_b)
        metrics, loss = {}, 0.0
        sides = ("a", x_a, fake_a, ba, fake_b), ("b", x_b, fake_b, ab, fake_a)
        for name, x_real, x_fake, translate, translation in sides:
            logits_real = self.critic(state.d.params, name, x_real)
            logits_fake = self.critic(state.d.params, name, x_fake)
            adversarial = losses.LOSSES[self.loss].g(logits_real, logits_fake)
            cycle = losses.l1(translate(translation), x_real)
            loss += adversarial + self.cycle * cycle
            metrics |= {f"g/{name}_loss": adversarial, f"g/{name}_cycle": cycle}
            if self.identity:
                identity = losses.l1(translate(x_real), x_real)
                loss += self.cycle * self.identity * identity
                metrics[f"g/{name}_identity"] = identity
        if self.temporal:
            ways = zip((ab, ba), (x_a, x_b), (fake_b, fake_a), keys, strict=True)
            temporal = sum(regularizers.crop_consistency(*way) for way in ways)
            loss += self.temporal * temporal
            metrics["g/temporal"] = temporal
        carry = jax.lax.stop_gradient(self.pooled(state.carry, {"a": fake_a, "b": fake_b}, k_pool))
        return loss, Aux(state.g.mutable, carry, metrics)

    def loss_d(self, params_d, state, batch, rng):
        """Minimized over both critics, at the fakes that this iteration's step of G left. Returns
        (f32 [], Aux)."""
        metrics, loss, waiting = {}, 0.0, dict(state.carry["waiting"])
        for name, images in (("a", batch["image"]), ("b", batch["target"])):
            x_real = base.to_float(images)
            x_fake = collectives.draw(lambda n, name=name: waiting[name][:n], x_real.shape[0])
            waiting[name] = jnp.roll(waiting[name], -collectives.size() * x_real.shape[0], 0)
            logits_real = self.critic(params_d, name, x_real)
            logits_fake = self.critic(params_d, name, x_fake)
            adversarial = losses.LOSSES[self.loss].d(logits_real, logits_fake)
            loss += 0.5 * adversarial
            metrics |= {
                f"d/{name}_loss": adversarial,
                f"d/{name}_real": jnp.mean(logits_real),
                f"d/{name}_fake": jnp.mean(logits_fake),
            }
        return loss, Aux(state.d.mutable, state.carry | {"waiting": waiting}, metrics)

    def pooled(self, carry, fakes, rng):
        """The carry after this step's fakes f32 [b, H, W, C] of each set: through its pool, then
        last in its line."""
        carry = {key: dict(value) for key, value in carry.items()}
        for name, key in zip(("a", "b"), jax.random.split(rng), strict=True):
            images = collectives.gather(fakes[name])
            if self.pool:
                pool, filled = carry["pool"][name], carry["filled"][name]
                images, pool, filled = through_pool(pool, filled, images, key)
                carry["pool"][name], carry["filled"][name] = pool, filled
            line = carry["waiting"][name]
            carry["waiting"][name] = jnp.concatenate([line[len(images) :], images])
        return carry

    def translated(self, params_g, name, x):
        """Translations of x f32 [B, H, W, C] by one of the generators."""
        return base.forward(self.g, params_g[name], {}, x)[0]

    def critic(self, params_d, name, x):
        """Logits f32 [B, h, w] of the critic of a set."""
        return base.forward(self.d, params_d[f"d_{name}"], {}, x)[0]

    def init(self, rng, batch):
        keys = jax.random.split(rng, 4)
        x = base.to_float(batch["image"])
        names = "g_ab", "g_ba", "d_a", "d_b"
        nets = self.g, self.g, self.d, self.d
        params = {
            name: base.init_network(net, key, x)[0]
            for name, net, key in zip(names, nets, keys, strict=True)
        }

        def room(n):
            return {name: jnp.zeros((n, *x.shape[1:])) for name in ("a", "b")}

        carry = {"waiting": room(self.batch or x.shape[0])}
        if self.pool:
            filled = {name: jnp.int32(0) for name in ("a", "b")}
            carry |= {"pool": room(self.pool), "filled": filled}
        g, d = ({name: params[name] for name in side} for side in (names[:2], names[2:]))
        return base.variables(g), base.variables(d), carry

    def apply_generator(self, ema, more, x, style):
        return base.forward(self.g, ema["params"][f"g_{self.direction}"], more, x, train=False)


def through_pool(pool, filled, images, rng):
    """(images the critic sees, the new pool, how many it holds), one image after the other.

    Until the pool is full an image goes in and is shown itself; then each, with probability 0.5,
    changes places with one of the pool. pool f32 [P, H, W, C]; filled int32 []; images f32 [n, H,
    W, C].
    """
    draws, shown = jax.random.split(rng, len(images)), []
    for image, key in zip(images, draws, strict=True):
        k_swap, k_slot = jax.random.split(key)
        full = filled >= len(pool)
        slot = jnp.where(full, jax.random.randint(k_slot, (), 0, len(pool)), filled)
        enters = ~full | jax.random.bernoulli(k_swap)
        shown.append(jnp.where(full & enters, pool[slot], image))
        pool = pool.at[slot].set(jnp.where(enters, image, pool[slot]))
        filled = jnp.minimum(filled + 1, len(pool))
    return jnp.stack(shown), pool, filled
