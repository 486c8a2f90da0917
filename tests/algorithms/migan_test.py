"""MI-GAN: the official code's networks, losses and gradients, its objective by hand, what its
result keeps, a short training."""

import types

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import traverse_util

from gan_jax import build, config
from gan_jax.algorithms import base, migan
from gan_jax.distributed.parallel import Parallel
from gan_jax.interop import migan as interop
from gan_jax.models import migan as models
from gan_jax.state import Player
from tests.paths import FIXTURES

OFFICIAL = np.load(FIXTURES / "migan.npz")
NET = dict(shape=(16, 16, 4), channel_base=64, channel_max=8)
D_PARTS = {  # theirs -> ours
    "fromrgb": "from_rgb", "skip": "skip", "conv1": "depthwise", "conv2": "pointwise",
}  # fmt: skip


def nhwc(name):
    return OFFICIAL[name].transpose(0, 2, 3, 1)


def generator():
    return interop.of({k[2:]: OFFICIAL[k] for k in OFFICIAL.files if k.startswith("g/")})


def critic_place(name):
    """Our leaf, as a tuple, of one of the official critic's."""
    block, *parts, leaf = name.split(".")
    leaf = "kernel" if leaf == "weight" else leaf
    if parts in (["fc"], ["out"], ["fromrgb"]):
        return D_PARTS.get(parts[0], parts[0]), leaf
    if parts == ["skip"]:
        return block, "skip", leaf
    if block == "b4":
        return "last", D_PARTS[parts[1]], leaf
    return block, f"conv{int(parts[0][-1]) - 1}", D_PARTS[parts[1]], leaf


def turned(name, array):
    """An array of theirs, or its gradient, as ours; the dense layer sees channels last."""
    if name.endswith("fc.weight"):
        return array.reshape(-1, 8, 4, 4).transpose(2, 3, 1, 0).reshape(128, -1)
    return array.transpose(2, 3, 1, 0) if array.ndim == 4 else array.T


def critic():
    names = [k[2:] for k in OFFICIAL.files if k.startswith("d/")]
    flat = {critic_place(name): turned(name, OFFICIAL[f"d/{name}"]) for name in names}
    return traverse_util.unflatten_dict(flat)


def official_game(**settings):
    return migan.Algorithm(models.Generator(**NET), models.Discriminator(**NET), **settings)


def official_batch():
    known = nhwc("known")
    target = np.concatenate([nhwc("x"), np.full_like(known, 255)], -1)
    return {"image": target * known, "target": target}


def official_state():
    """Without noise, whose draws are not PyTorch's."""
    g = generator()
    flat = traverse_util.flatten_dict(g.variables["params"])
    quiet = {k: 0 * x if k[-1] == "strength" else x for k, x in flat.items()}
    params = {"g": traverse_util.unflatten_dict(quiet)}
    one = Player(params, {"g": {"noise": g.variables["noise"]}}, None)
    return types.SimpleNamespace(g=one, d=Player({"d": critic()}, {"d": {}}, None), carry={})


def assert_gradients(found, kind, place):
    flat = traverse_util.flatten_dict(found)
    names = [k.split("/")[1] for k in OFFICIAL.files if k.startswith(f"grad_{kind}/")]
    assert len(names) == 6
    for name in names:
        wanted = turned(name, OFFICIAL[f"grad_{kind}/{name}"])
        atol = 1e-4 * np.abs(wanted).max()
        np.testing.assert_allclose(flat[place(name)], wanted, atol=atol, err_msg=name)


def test_the_generator_is_the_official_one():
    g = generator()
    assert g.net == models.Generator(**NET)
    _, _, given = migan.opened(official_batch())
    pictures = jax.jit(g.net.apply)(g.variables, given)
    for picture, name in zip(pictures, ("4", "8", ""), strict=True):
        np.testing.assert_allclose(picture, nhwc(f"picture{name}"), atol=1e-5)


def test_generators_loss_and_gradients_are_the_official_ones():
    state, batch = official_state(), official_batch()
    one = official_game(known=0.0, pixels=0.0)

    def loss(params):
        return one.loss_g(params, state, batch, jax.random.key(0))[0]

    value, grads = jax.jit(jax.value_and_grad(loss))(state.g.params)
    np.testing.assert_allclose(value, OFFICIAL["loss_g"], rtol=1e-5)
    assert_gradients(grads["g"], "g", lambda name: tuple(interop._place(name).split(".")[1:]))


def test_critics_losses_and_gradients_are_the_official_ones():
    state, batch = official_state(), official_batch()
    one = official_game()

    @jax.jit
    def found(params):
        pair = one.loss_d, one.r1_d
        return [
            jax.value_and_grad(loss, has_aux=True)(params, state, batch, jax.random.key(0))
            for loss in pair
        ]

    ((value, aux), grads), ((penalty, of_r1), grads_r1) = found(state.d.params)
    np.testing.assert_allclose(value, OFFICIAL["loss_d"], rtol=1e-5)
    for name in ("real", "fake"):
        wanted = OFFICIAL[f"logits_{name}"].mean()
        np.testing.assert_allclose(aux.metrics[f"d/{name}"], wanted, rtol=1e-5)
    np.testing.assert_allclose(of_r1.metrics["d/r1"], OFFICIAL["r1"].mean(), rtol=1e-4)
    np.testing.assert_allclose(penalty, 16 * 5 * OFFICIAL["r1"].mean(), rtol=1e-4)
    assert_gradients(grads["d"], "d", critic_place)
    assert_gradients(jax.tree.map(lambda x: x / 16, grads_r1["d"]), "r1", critic_place)


@pytest.mark.parametrize(
    ("net", "side", "count"),
    [
        (models.Generator, 256, 5_865_505),
        (models.Generator, 512, 5_893_158),
        (models.Discriminator, 256, 8_067_723),
    ],
)
def test_parameters_are_as_many_as_the_official_ones(net, side, count):
    x = jnp.zeros((2, side, side, 4))
    made = jax.eval_shape(net((side, side, 4)).init, jax.random.key(0), x)["params"]
    assert sum(leaf.size for leaf in jax.tree.leaves(made)) == count


def test_one_tensor_learns_as_the_sum_of_nine():
    """With Adam, and without its eps."""
    nine = jax.random.normal(jax.random.key(0), (9, 1, 1, 4, 3))
    k_x, k_y = jax.random.split(jax.random.key(1))
    x, y = jax.random.normal(k_x, (2, 3, 3, 4)), jax.random.normal(k_y, (2, 3, 3, 3))

    def loss(kernel):
        made = models.Conv(3, bias=False).apply({"params": {"kernel": kernel}}, x)
        return jnp.mean(jnp.square(made - y))

    def trained(of, start):
        adam = optax.adam(1e-2, 0.0, 0.99, eps=0)
        params, state = start, adam.init(start)
        step = jax.jit(jax.grad(lambda params: loss(of(params))))
        for _ in range(20):
            updates, state = adam.update(step(params), state)
            params = optax.apply_updates(params, updates)
        return of(params)

    one = trained(lambda kernel: kernel, nine.sum(0) / 9)
    sums = trained(lambda kernels: kernels.sum(0) / 3, nine)
    assert float(jnp.abs(3 * one - nine.sum(0) / 3).max()) > 0.1
    np.testing.assert_allclose(3 * one, sums, rtol=1e-4, atol=1e-4)


def test_filters_have_length_1_and_start_at_a_third():
    x = jax.random.normal(jax.random.key(0), (1, 3, 3, 64))
    one = models.Conv(64, kernel_size=3, depthwise=True)
    found = one.init(jax.random.key(1), x)
    kernel = found["params"]["kernel"]
    np.testing.assert_allclose(kernel.std(), 1 / 3, rtol=0.1)
    taps = np.square(one.apply(found, jnp.zeros((1, 7, 7, 64)).at[:, 3, 3].set(1))).sum((1, 2))
    np.testing.assert_allclose(taps, 1, rtol=1e-5)
    scaled = {"params": found["params"] | {"kernel": 5 * kernel}}
    np.testing.assert_allclose(one.apply(scaled, x), one.apply(found, x), atol=1e-6)


def test_noise_is_fresh_in_training_and_the_layers_own_otherwise():
    noise, k_params, *keys = models.Noise(), *jax.random.split(jax.random.key(0), 3)
    x = jnp.zeros((2, 4, 6, 3))
    found = noise.init(k_params, x, train=False)
    assert found["params"]["strength"] == 0
    found = found | {"params": {"strength": 2.0}}
    fresh = [noise.apply(found, x, train=True, rngs={"noise": key}) for key in keys]
    assert float(jnp.abs(fresh[0] - fresh[1]).min()) > 0
    assert float(jnp.abs(fresh[0][0] - fresh[0][1]).min()) > 0, "pictures share their noise"
    own = noise.apply(found, x, train=False)
    const = np.asarray(found["noise"]["const"])[None, ..., None]
    np.testing.assert_array_equal(own, np.broadcast_to(2 * const, x.shape))
    large = noise.apply(found, jnp.zeros((1, 7, 9, 1)), train=False)
    wanted = 2 * const[:, np.arange(7) % 4][:, :, np.arange(9) % 6]
    np.testing.assert_array_equal(large, wanted)


SHAPE = (64, 80, 4)


def batch_of(seed, n=4, shape=SHAPE):
    """As data/sources/masked.py has it: pictures of one bright color each, one with a dark edge, a
    box missing of each."""
    rng = np.random.default_rng(seed)
    target = np.full((n, *shape), 255, np.uint8)
    target[..., :3] = rng.integers(180, 256, (n, 1, 1, 3))
    target[0, :1, :, :3] = 20
    image = target.copy()
    for picture in image:
        y, x = rng.integers(1, 4, 2)
        picture[y : y + shape[0] // 2, x : x + shape[1] // 2] = 0
    return {"image": image, "target": target}


class Scaled(nn.Module):
    """The colors times a weight, of every size, less the mask."""

    @nn.compact
    def __call__(self, x, *, train=False):
        w = self.param("w", nn.initializers.ones, (4,))
        steps = 8, 4, 2, 1
        parts = [x[:, ::step, ::step] for step in steps]
        return tuple(w[n] * part[..., :3] - part[..., 3:] / (n + 2) for n, part in enumerate(parts))


class Weighted(nn.Module):
    """The sum of the squares of all it sees, weighted."""

    mbstd_group: int = 4

    @nn.compact
    def __call__(self, x, *, train=False):
        w = self.param("w", nn.initializers.ones, ())
        return w * jnp.mean(jnp.square(x), (1, 2, 3))


def by_hand(batch, weights):
    """(x, m, pictures, result) of `Scaled` with these weights."""
    x = batch["target"][..., :3] / 127.5 - 1
    m = (batch["image"][..., 3:] == 0).astype(float)
    given, pictures = x * (1 - m), []
    for n, step in enumerate((8, 4, 2, 1)):
        pictures.append(weights[n] * given[:, ::step, ::step] - m[:, ::step, ::step] / (n + 2))
    return x, m, pictures, np.where(m == 1, pictures[-1], x)


def averaged(x, n):
    b, h, w, c = x.shape
    return x.reshape(b, h // n, n, w // n, n, c).mean((2, 4))


def state_of(weights, w):
    g = Player({"g": {"w": jnp.array(weights)}}, {"g": {}}, None)
    return types.SimpleNamespace(g=g, d=Player({"d": {"w": jnp.float32(w)}}, {"d": {}}, None),
                                 carry={})  # fmt: skip


@pytest.mark.parametrize(("shape", "compared"), [(SHAPE, 2), ((24, 32, 4), 1)])
def test_the_objective_by_hand(shape, compared):
    """Of 64x80 pixels the pictures of 64 and 32 rows are compared, of 24x32 the largest."""
    one = migan.Algorithm(Scaled(), Weighted(), known=3.0, pixels=0.5, gamma=2.0, r1_every=8)
    weights = [2.0, 1.5, 0.5, 0.7]
    batch, state = batch_of(0, shape=shape), state_of(weights, 1.5)
    x, m, pictures, result = by_hand(batch, weights)
    sees = [np.concatenate([side, m], -1) for side in (x, result)]
    real, fake = (1.5 * np.square(seen).mean((1, 2, 3)) for seen in sees)

    loss, aux = one.loss_g(state.g.params, state, batch, jax.random.key(0))
    adversarial = np.log1p(np.exp(-fake)).mean()
    known = ((1 - m) * np.abs(pictures[-1] - x)).mean()
    pairs = list(zip(pictures[::-1], (x, averaged(x, 2), averaged(x, 4)), strict=False))
    pixels = sum(np.abs(p - of_x).mean() for p, of_x in pairs[:compared])
    np.testing.assert_allclose(loss, adversarial + 3 * known + 0.5 * pixels, rtol=1e-5)
    found = [aux.metrics[name] for name in ("g/loss", "g/known", "g/pixels")]
    np.testing.assert_allclose(found, [adversarial, known, pixels], rtol=1e-5)

    loss, aux = one.loss_d(state.d.params, state, batch, jax.random.key(0))
    wanted = np.log1p(np.exp(-real)).mean() + np.log1p(np.exp(fake)).mean()
    np.testing.assert_allclose(loss, wanted, rtol=1e-5)
    np.testing.assert_allclose(aux.metrics["d/real"], real.mean(), rtol=1e-5)
    np.testing.assert_allclose(aux.metrics["d/fake"], fake.mean(), rtol=1e-5)

    loss, aux = one.r1_d(state.d.params, state, batch, jax.random.key(0))
    slope = 3 * sees[0] / sees[0][0].size
    r1 = np.square(slope).sum((1, 2, 3)).mean()
    np.testing.assert_allclose(aux.metrics["d/r1"], r1, rtol=1e-5)
    np.testing.assert_allclose(loss, 8 * 2.0 / 2 * r1, rtol=1e-5)


def test_r1_has_steps_of_its_own():
    def order(**settings):
        return [(phase.who, phase.every) for phase in official_game(**settings).phases]

    assert order() == [("g", 1), ("d", 1), ("d", 16)]
    assert order(r1_every=4, gamma=0.0) == [("g", 1), ("d", 1)]


def test_the_result_is_the_picture_outside_its_holes():
    """Of any size, within [-1, 1]; what stands under transparent pixels makes no difference."""
    net = models.Generator((8, 8, 4), channel_base=32, channel_max=4)
    one = migan.Algorithm(net, Weighted())
    k_g, k_x, k_under = jax.random.split(jax.random.key(0), 3)
    x = jax.random.uniform(k_x, (2, 19, 21, 4), minval=-1)
    hole = jnp.zeros((2, 19, 21, 1), bool).at[:, 4:9, 5:16].set(True)
    x = x.at[..., 3:].set(jnp.where(hole, -0.01, 0.01))  # half transparent: either side of the half
    params, mutable = base.init_network(net, k_g, x)
    params["to_rgb8"]["bias"] += jnp.array([0.0, 5.0, -5.0])
    ema = base.variables({"g": params}, {"g": mutable})
    fill = jax.jit(lambda x: one.restyle(ema, x, jnp.zeros((2, 0))))
    found = fill(x)
    assert found.shape == x.shape and bool((found[..., 3] == 1).all())
    np.testing.assert_array_equal(
        jnp.where(hole, 0, found[..., :3]), jnp.where(hole, 0, x[..., :3])
    )
    drawn = found[:, 4:9, 5:16, :3]
    assert float(drawn[..., 0].std()) > 0.01
    assert float(jnp.abs(drawn).max()) == 1
    under = jax.random.uniform(k_under, x.shape, minval=-1)
    other = fill(jnp.where(hole, under, x).at[..., 3].set(x[..., 3]))
    np.testing.assert_array_equal(found, other)


def test_a_short_training_draws_better():
    """New pictures in every iteration."""
    shape = (8, 8, 4)
    small = dict(shape=shape, channel_base=64, channel_max=8)
    one = migan.Algorithm(models.Generator(**small), models.Discriminator(**small), gamma=0.0)
    adam = {"lr": 2e-2, "b1": 0.0, "b2": 0.99}
    settings = dict(batch=4, total_kimg=1.0, opt_g=adam, opt_d=adam, ema_halflife_kimg=0.01)
    run = config.Config("migan", "migan", {}, **settings)
    parallel = Parallel("jit", jax.devices()[:1])
    iteration = build.make_iteration(run, one, parallel)
    state = parallel.replicate(build.new_state(run, one, shape, 0))
    start, errors = jax.tree.map(np.asarray, state.d.params), []
    for step in range(30):
        state, metrics = iteration(state, [parallel.put(batch_of(step, shape=shape))], step)
        assert all(np.isfinite(value) for value in metrics.values())
        errors.append(float(metrics["g/pixels"]))
    assert np.mean(errors[-5:]) < 0.5 * np.mean(errors[:2])
    still = jax.tree.map(lambda a, b: bool((a == b).all()), start, state.d.params)
    assert not any(jax.tree.leaves(still)), "some weights of D do not learn"


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"known": -1.0}, "config.game.known=-1.0: it must be 0 or more"),
        ({"pixels": -1.0}, "config.game.pixels=-1.0: it must be 0 or more"),
        ({"gamma": -1.0}, "config.game.gamma=-1.0: it must be 0 or more"),
        ({"r1_every": 0}, "config.game.r1_every=0: it must be at least 1"),
        ({"batch": 6}, "config.d.mbstd_group=4: config.batch=6 images don't split"),
    ],
)
def test_bad_settings(settings, says):
    with pytest.raises(ValueError, match=says):
        migan.Algorithm(Scaled(), Weighted(), **settings)
