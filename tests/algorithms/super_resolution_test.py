"""SRGAN, ESRGAN and Real-ESRGAN: their terms by hand, their phases, and what a run enlarges; on toy
networks."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit

from gan_jax import algorithms, config, pretrained
from gan_jax.algorithms import super_resolution
from gan_jax.data import degradations
from gan_jax.models import rrdb, srvgg
from gan_jax.state import Phase, Player, TrainState
from tests.nets import tiny_net
from tests.paths import ROOT

SHAPE = (16, 24, 3)


@pytest.fixture(autouse=True)
def eyes(monkeypatch):
    monkeypatch.setitem(pretrained.NETS, "eyes", lambda name, *_: tiny_net("eyes"))


class Enlarger(nn.Module):
    """Pixels repeated, times a number."""

    scale = 4

    @nn.compact
    def __call__(self, x, *, train=False):
        gain = self.param("gain", nn.initializers.constant(0.9), ())
        return gain * x.repeat(4, 1).repeat(4, 2)


class Critic(nn.Module):
    @nn.compact
    def __call__(self, x, *, train=False):
        weights = self.param("weights", nn.initializers.normal(1), (3,))
        return x @ weights


def game(**settings):
    layers = {"layers": ("half", "quarter"), "layer_weights": (0.5, 2.0)}
    given = {"features": "eyes", "batch": 2} | layers | settings
    return super_resolution.Algorithm(Enlarger(), Critic(), **given)


def batch_of(seed=0):
    rng = np.random.default_rng(seed)
    target = rng.integers(0, 256, (2, *SHAPE), np.uint8)
    low = np.stack([degradations.bicubic(x, 4) for x in target])
    sharp = np.stack([degradations.sharpened(x) for x in target])
    image = low.repeat(4, 1).repeat(4, 2)
    return {"image": image, "target": target, "target_sharp": sharp}


def state_of(one):
    g, d, carry = one.init(jax.random.key(3), one.example(SHAPE, 0))
    rng = jax.random.key_data(jax.random.key(0))
    players = (Player(v["params"], v["mutable"], {}) for v in (g, d))
    frozen = {name: net.params for name, net in one.frozen.items()}
    return TrainState(jnp.int32(0), rng, *players, {}, carry, frozen)


def run(one, who):
    state, batch = state_of(one), batch_of()
    params = {"g": state.g.params, "d": state.d.params}[who]
    loss = {"g": one.loss_g, "d": one.loss_d}[who]
    return state, batch, loss, params


def by_hand(state, batch, relativistic):
    """(logits of real and fake, f64), by the networks above."""
    weights = np.asarray(state.d.params["d"]["weights"], np.float64)
    y, fake = batch["target"] / 255, 0.9 * batch["image"] / 255
    real, made = y @ weights, fake @ weights
    return (real - made.mean(), made - real.mean()) if relativistic else (real, made)


def softplus(x):
    return np.log1p(np.exp(x)).mean()


@pytest.mark.parametrize("relativistic", [False, True])
@pytest.mark.parametrize("sharpen", [False, True])
def test_generators_terms(relativistic, sharpen):
    weights = {"pixels": 0.01, "perceptual": 3.0, "adversarial": 0.005}
    one = game(relativistic=relativistic, sharpen=sharpen, **weights)
    state, batch, loss, params = run(one, "g")
    value, aux = loss(params, state, batch, jax.random.key(0))
    wanted = batch["target_sharp" if sharpen else "target"] / 255
    fake = 0.9 * batch["image"] / 255
    pixels = np.abs(fake - wanted).mean()
    net = one.frozen["eyes"]

    def maps(x):
        found = net.stages(net.params, jnp.asarray(2 * x - 1, jnp.float32))
        return {name: np.asarray(h, np.float64) for name, h in found.items()}

    a, b = maps(fake), maps(wanted)
    perceptual = sum(
        w * np.abs(a[name] - b[name]).mean() for name, w in (("half", 0.5), ("quarter", 2.0))
    )
    real, made = by_hand(state, batch, relativistic)
    adversarial = softplus(-made)
    if relativistic:
        adversarial = (softplus(real) + softplus(-made)) / 2
    assert value == pytest.approx(0.01 * pixels + 3 * perceptual + 0.005 * adversarial, rel=1e-4)
    assert aux.metrics["g/loss"] == pytest.approx(adversarial, rel=1e-5)


@pytest.mark.parametrize("relativistic", [False, True])
def test_critics_term_and_where_its_gradient_goes(relativistic):
    """As the official code: the other side's mean is a constant, in each half."""
    one = game(relativistic=relativistic, sharpen=True)
    state, batch, loss, params = run(one, "d")
    value, grads = jax.value_and_grad(lambda p: loss(p, state, batch, jax.random.key(0))[0])(params)
    real, made = by_hand(state, batch, relativistic)
    half = 0.5 if relativistic else 1
    assert value == pytest.approx(half * (softplus(-real) + softplus(made)), rel=1e-5)
    y, fake = batch["target"] / 255, 0.9 * batch["image"] / 255
    of_real = (-expit(-real)[..., None] * y).mean((0, 1, 2))
    of_fake = (expit(made)[..., None] * fake).mean((0, 1, 2))
    np.testing.assert_allclose(grads["d"]["weights"], half * (of_real + of_fake), rtol=1e-3)


def test_who_plays_when():
    plain = game(adversarial=0.0, perceptual=0.0)
    assert plain.phases == (Phase("g", plain.loss_g),) and not plain.nets
    assert not state_of(plain).d.params
    one = game(pixels_kimg=0.006)
    assert one.phases == (
        Phase("g", one.loss_pixels, until=3),
        Phase("g", one.loss_g, since=3),
        Phase("d", one.loss_d, since=3),
    )
    state, batch = state_of(one), batch_of()
    value, _ = one.loss_pixels(state.g.params, state, batch, jax.random.key(0))
    wanted = np.abs(0.9 * batch["image"] / 255 - batch["target"] / 255).mean()
    assert value == pytest.approx(wanted, rel=1e-5)


def test_a_run_enlarges_the_small_picture():
    one = game()
    g, _, _ = one.init(jax.random.key(0), one.example(SHAPE, 0))
    x = 2 * jnp.asarray(batch_of()["image"], jnp.float32) / 255 - 1
    made = one.restyle(g, x, jnp.zeros((2, 0)))
    np.testing.assert_allclose((made + 1) / 2, 0.9 * (x + 1) / 2, atol=1e-6)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"pixels": -1.0}, "config.game.pixels=-1"),
        ({"layers": ("half",)}, "give at least one layer, and a weight for each"),
        ({"pixels": 0.0, "perceptual": 0.0}, "nothing ties a picture"),
    ],
)
def test_bad_settings_are_said(settings, says):
    with pytest.raises(ValueError, match=says):
        game(**settings)


def test_network_and_data_enlarge_alike():
    """A network of other than the data's scale would read every fourth of pixels that stand in
    squares of two."""
    made = config.load(f"{ROOT}/configs/avatars_esrgan.py:smoke", ["data.times=2"])
    one = dataclasses.replace(game(), g=srvgg.Generator(scale=4), d=rrdb.Discriminator())

    class Data:
        partner, reduced = "degraded", 2

    with pytest.raises(ValueError, match=r"config.data.times=2: the network .* 4 times"):
        algorithms.check_partner(made, one, Data)
