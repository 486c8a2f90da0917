"""DeepFill v2 as a game: its objective by hand, what its result keeps, a short training."""

import types

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax import build, config
from gan_jax.algorithms import base, deepfill
from gan_jax.distributed.parallel import Parallel
from gan_jax.models import deepfill as models
from gan_jax.state import Player

SHAPE = (24, 32, 4)


def batch_of(seed, n=4):
    """As data/sources/masked.py has it: pictures of one bright color each, one with a dark edge, a
    box missing of each."""
    rng = np.random.default_rng(seed)
    target = np.full((n, *SHAPE), 255, np.uint8)
    target[..., :3] = rng.integers(180, 256, (n, 1, 1, 3))
    target[0, :2, :, :3] = 20
    image = target.copy()
    for picture in image:
        y, x = rng.integers(2, 8), rng.integers(2, 12)
        picture[y : y + 10, x : x + 14] = 0
    return {"image": image, "target": target}


class Scaled(nn.Module):
    """The colors times two weights, less the mask."""

    @nn.compact
    def __call__(self, x, *, train=False):
        weights = self.param("w", nn.initializers.ones, (2,))
        return tuple(weights[n] * x[..., :3] - x[..., 3:] / (n + 2) for n in range(2))


class Counting(nn.Module):
    """All it sees, times a weight; counts its training passes, as spectral norm's u is advanced."""

    @nn.compact
    def __call__(self, x, *, train=False):
        passes = self.variable("spectral", "passes", jnp.zeros, ())
        passes.value += train
        return x * self.param("w", nn.initializers.ones, ())


def by_hand(batch, weights):
    """(x, m, coarse, refined, result) of `Scaled` with these weights."""
    x = batch["target"][..., :3] / 127.5 - 1
    m = (batch["image"][..., 3:] == 0).astype(float)
    coarse, refined = weights[0] * x * (1 - m) - m / 2, weights[1] * x * (1 - m) - m / 3
    return x, m, coarse, refined, np.where(m == 1, refined, x)


def state_of(weights, w):
    g = Player({"g": {"w": jnp.array(weights)}}, {"g": {}}, None)
    d = Player({"d": {"w": jnp.float32(w)}}, {"d": {"spectral": {"passes": jnp.float32(5)}}}, None)
    return types.SimpleNamespace(g=g, d=d, carry={})


def test_the_objective_by_hand():
    one = deepfill.Algorithm(Scaled(), Counting(), pixels=3.0, adversarial=0.5)
    batch, state = batch_of(0), state_of([0.5, 2.0], 1.5)
    x, m, coarse, refined, result = by_hand(batch, [0.5, 2.0])
    loss, aux = one.loss_g(state.g.params, state, batch, jax.random.key(0))
    pixels = np.abs(coarse - x).mean(), np.abs(refined - x).mean()
    adversarial = -1.5 * np.concatenate([result, m], -1).mean()
    np.testing.assert_allclose(loss, 3 * sum(pixels) + 0.5 * adversarial, rtol=1e-5)
    names = "g/coarse", "g/refined", "g/loss"
    found = [aux.metrics[name] for name in names]
    np.testing.assert_allclose(found, [*pixels, adversarial], rtol=1e-5)
    assert aux.mutable == {"g": {}}

    loss, aux = one.loss_d(state.d.params, state, batch, jax.random.key(0))
    real, fake = (1.5 * np.concatenate([side, m], -1) for side in (x, result))
    wanted = np.maximum(1 - real, 0).mean() + np.maximum(1 + fake, 0).mean()
    np.testing.assert_allclose(loss, wanted, rtol=1e-5)
    np.testing.assert_allclose(aux.metrics["d/real"], real.mean(), rtol=1e-5)
    np.testing.assert_allclose(aux.metrics["d/fake"], fake.mean(), rtol=1e-5)
    assert aux.mutable["d"]["spectral"]["passes"] == 6, "real and fake are one batch"


def test_the_result_is_the_picture_outside_its_holes():
    """Of any size; what stands under transparent pixels makes no difference."""
    net = models.Generator(width=4)
    one = deepfill.Algorithm(net, Counting())
    k_g, k_x, k_under = jax.random.split(jax.random.key(0), 3)
    x = jax.random.uniform(k_x, (2, 19, 21, 4), minval=-1)
    hole = jnp.zeros((2, 19, 21, 1), bool).at[:, 4:9, 5:16].set(True)
    x = x.at[..., 3:].set(jnp.where(hole, -0.01, 0.01))  # half transparent: either side of the half
    params, mutable = base.init_network(net, k_g, x)
    ema = base.variables({"g": params}, {"g": mutable})
    fill = jax.jit(lambda x: one.restyle(ema, x, jnp.zeros((2, 0))))
    found = fill(x)
    assert found.shape == x.shape and bool((found[..., 3] == 1).all())
    np.testing.assert_array_equal(
        jnp.where(hole, 0, found[..., :3]), jnp.where(hole, 0, x[..., :3])
    )
    assert float(jnp.abs(jnp.where(hole, found[..., :3] - x[..., :3], 0)).max()) > 0.1
    under = jax.random.uniform(k_under, x.shape, minval=-1)
    other = fill(jnp.where(hole, under, x).at[..., 3].set(x[..., 3]))
    np.testing.assert_array_equal(found, other)


def test_a_short_training_fills_holes_better():
    """Of pictures that it has not seen; D plays first, once each."""
    one = deepfill.Algorithm(models.Generator(width=8), models.Discriminator(width=4))
    assert [phase.who for phase in one.phases] == ["d", "g"]
    adam = {"lr": 2e-3, "b1": 0.5}
    settings = dict(batch=4, total_kimg=1.0, opt_g=adam, opt_d=adam, ema_halflife_kimg=0.01)
    run = config.Config("deepfill", "deepfill", {}, **settings)
    parallel = Parallel("jit", jax.devices()[:1])
    iteration = build.make_iteration(run, one, parallel)
    state = parallel.replicate(build.new_state(run, one, SHAPE, 0))
    unseen = batch_of(1000)
    fill = jax.jit(lambda ema, x: one.restyle(ema, x, jnp.zeros((4, 0))))

    def error(state):
        filled = fill(state.ema, base.to_float(unseen["image"]))
        missing = unseen["image"][..., 3] == 0
        return float(jnp.abs(filled - base.to_float(unseen["target"]))[missing].mean())

    before = error(state)
    for step in range(30):
        state, metrics = iteration(state, [parallel.put(batch_of(step))], step)
    assert all(np.isfinite(value) for value in metrics.values())
    assert error(state) < 0.5 * before


@pytest.mark.parametrize("name", ["pixels", "adversarial"])
def test_bad_weights(name):
    with pytest.raises(ValueError, match=f"config.game.{name}=-1.0: it must be 0 or more"):
        deepfill.Algorithm(Scaled(), Counting(), **{name: -1.0})
