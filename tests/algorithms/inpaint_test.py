"""LaMa: the official code's networks, losses and gradients, and what a run fills."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import traverse_util

from gan_jax.algorithms import inpaint
from gan_jax.interop import lama as interop
from gan_jax.models import lama
from gan_jax.state import Player, TrainState
from tests.paths import FIXTURES

OFFICIAL = np.load(FIXTURES / "lama.npz")
NET = dict(width=4, levels=2, blocks=2, share=0.75)


def nhwc(name):
    return OFFICIAL[name].transpose(0, 2, 3, 1)


def generator():
    return interop.of({k[2:]: OFFICIAL[k] for k in OFFICIAL.files if k.startswith("g/")})


def critic():
    """Its variables: "modelN.0" are convolutions, "modelN.1" batch norms."""
    flat = {}
    for name in (k[2:] for k in OFFICIAL.files if k.startswith("d/")):
        part, number, leaf = name.split(".")
        level, value = int(part[-1]), OFFICIAL[f"d/{name}"]
        layer = ("last" if level == 4 else f"level{level}") if number == "0" else f"norm{level}"
        if value.ndim == 4:
            leaf, value = "kernel", value.transpose(2, 3, 1, 0)
        elif number == "1":
            leaf = interop.NORM[leaf]
        kind = "batch_stats" if leaf in ("mean", "var") else "params"
        flat[kind, layer, leaf] = value
    return traverse_util.unflatten_dict(flat)


def game(**settings):
    d = lama.Discriminator(width=4, levels=3)
    return inpaint.Algorithm(lama.Generator(**NET), d, **settings)


@pytest.fixture(scope="module")
def official():
    """(state, batch) of the official numbers."""
    g, d = generator(), critic()

    def player(name, found):
        mutable = {"batch_stats": found["batch_stats"]}
        return Player({name: found["params"]}, {name: mutable}, {})

    x, missing = nhwc("x"), nhwc("m") > 0.5
    target = np.concatenate([x, np.ones_like(x[..., :1])], -1) * 255
    batch = {"image": np.where(missing, 0, target), "target": target}  # floats: none is rounded
    zero, rng = jnp.int32(0), jax.random.key_data(jax.random.key(0))
    players = player("g", g.variables), player("d", d)
    return TrainState(zero, rng, *players, {}, {}), jax.tree.map(jnp.asarray, batch)


def test_the_networks_are_the_official_ones():
    g = generator()
    assert g.net == lama.Generator(**NET)
    x, m = nhwc("x"), nhwc("m")
    given = np.concatenate([x * (1 - m), m], -1)
    made = jax.jit(g.net.apply)(g.variables, given)
    np.testing.assert_allclose(made, nhwc("eval"), atol=2e-6)
    small = jax.jit(g.net.apply)(g.variables, given[:, :28, :20])
    np.testing.assert_allclose(small, nhwc("eval_small"), atol=2e-6)
    train = jax.jit(lambda v, x: g.net.apply(v, x, train=True, mutable=["batch_stats"]))
    trained, _ = train(g.variables, given)
    np.testing.assert_allclose(trained, nhwc("train"), atol=5e-6)


def test_the_official_sizes_have_the_official_counts():
    def count(net, channels):
        x = jax.ShapeDtypeStruct((1, 64, 64, channels), jnp.float32)
        made = jax.eval_shape(net.init, jax.random.key(0), x)["params"]
        return sum(leaf.size for leaf in jax.tree.leaves(made))

    assert count(lama.Generator(), 4) == 27_048_835
    assert count(lama.Discriminator(), 3) == 6_962_369


def test_generators_loss_and_gradients_are_the_official_ones(official):
    state, batch = official

    def loss(params):
        return game().loss_g(params, state, batch, jax.random.key(0))

    (value, aux), grads = jax.jit(jax.value_and_grad(loss, has_aux=True))(state.g.params)
    found = aux.metrics
    assert 10 * found["g/pixels"] == pytest.approx(float(OFFICIAL["loss_known"]), rel=1e-5)
    assert 10 * found["g/loss"] == pytest.approx(float(OFFICIAL["loss_adv"]), rel=1e-5)
    matching = 100 * found["g/feature_matching"]
    assert matching == pytest.approx(float(OFFICIAL["loss_fm"]), rel=1e-4)
    terms = [float(OFFICIAL[f"loss_{name}"]) for name in ("known", "adv", "fm")]
    assert value == pytest.approx(sum(terms), rel=1e-4)
    g = grads["g"]
    for ours, theirs in (
        (g["first"]["kernel"], "grad_first"),
        (g["block0_0"]["global"]["fourier"]["kernel"], "grad_fourier"),
    ):
        wanted = OFFICIAL[theirs].transpose(2, 3, 1, 0)
        np.testing.assert_allclose(ours, wanted, atol=2e-4 * np.abs(wanted).max())


def test_critics_loss_and_gradients_are_the_official_ones(official):
    state, batch = official
    p = nhwc("train")  # what the official generator drew

    class Drawn(inpaint.Algorithm):
        def drawn(self, params_g, mutable, given, *, train=True):
            return jnp.asarray(p), mutable

    one = Drawn(lama.Generator(**NET), lama.Discriminator(width=4, levels=3))

    def loss(params):
        return one.loss_d(params, state, batch, jax.random.key(0))

    (value, aux), grads = jax.jit(jax.value_and_grad(loss, has_aux=True))(state.d.params)
    assert value == pytest.approx(float(OFFICIAL["loss_d"]), rel=1e-4)
    # which the official code logs after its factor of 0.001
    assert 1e-3 * aux.metrics["d/r1"] == pytest.approx(float(OFFICIAL["loss_d_r1"]), rel=1e-4)
    for ours, theirs in (("level0", "grad_d_first"), ("level3", "grad_d_last")):
        wanted = OFFICIAL[theirs].transpose(2, 3, 1, 0)
        found = grads["d"][ours]["kernel"]
        np.testing.assert_allclose(found, wanted, atol=3e-4 * np.abs(wanted).max())


def test_only_holes_are_drawn():
    one = game()
    g, _, _ = one.init(jax.random.key(0), one.example((32, 24, 4), 0))
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (2, 30, 21, 4)).astype(np.float32)  # of any size
    x[..., 3] = np.where(rng.random((2, 30, 21)) < 0.3, -1, 1)
    restyle = jax.jit(one.restyle)
    made = np.asarray(restyle(g, x, jnp.zeros((2, 0))))
    known = x[..., 3] == 1
    np.testing.assert_allclose(made[known], x[known], atol=1e-6)
    assert (made[..., 3] == 1).all() and np.abs(made[~known][:, :3]).max() <= 1
    hidden = x.copy()
    hidden[~known, :3] = 0.5  # what lies under a hole changes nothing
    again = restyle(g, hidden, jnp.zeros((2, 0)))
    np.testing.assert_allclose(again, made, atol=1e-6)


def test_bad_settings_are_said():
    with pytest.raises(ValueError, match="feature_matching=-1"):
        game(feature_matching=-1.0)
    with pytest.raises(ValueError, match="layers"):
        game(layers=())
    net = lama.Generator(width=4, levels=1, blocks=1, share=0.1)
    with pytest.raises(ValueError, match=r"config.g.share=0.1: of 8 channels"):
        net.init(jax.random.key(0), jnp.zeros((1, 16, 16, 4)))


def test_a_perceptual_term_looks_through_the_frozen_network(monkeypatch):
    from gan_jax import pretrained
    from tests.nets import tiny_net

    monkeypatch.setitem(pretrained.NETS, "eyes", lambda name, *_: tiny_net("eyes"))
    one = game(perceptual=3.0, missing=2.0, features="eyes", layers=("half", "quarter"))
    g, d, carry = one.init(jax.random.key(0), one.example((32, 32, 4), 0))
    frozen = {"eyes": one.frozen["eyes"].params}
    players = (Player(v["params"], v["mutable"], {}) for v in (g, d))
    rng = jax.random.key_data(jax.random.key(0))
    state = TrainState(jnp.int32(0), rng, *players, {}, carry, frozen)
    batch = jax.tree.map(jnp.asarray, one.example((32, 32, 4), 0))
    value, aux = jax.jit(one.loss_g)(g["params"], state, batch, jax.random.key(0))
    found = aux.metrics
    others = 10 * found["g/pixels"] + 10 * found["g/loss"] + 100 * found["g/feature_matching"]
    others += 2 * found["g/missing"]
    assert value == pytest.approx(float(others + 3 * found["g/perceptual"]), rel=1e-5)
    p, _ = jax.jit(one.drawn)(g["params"], g["mutable"], inpaint.opened(batch)[2])
    truth, m = batch["target"][..., :3] / 255, (batch["image"][..., 3:] < 128)
    assert found["g/missing"] == pytest.approx(float(np.mean(m * np.abs(p - truth))), rel=1e-4)
    x, net = 2 * truth - 1, one.frozen["eyes"]
    maps = [net.stages(net.params, jnp.asarray(seen)) for seen in (2 * p - 1, x)]
    wanted = sum(np.square(maps[0][name] - maps[1][name]).mean() for name in ("half", "quarter"))
    assert found["g/perceptual"] == pytest.approx(float(wanted), rel=1e-4)
