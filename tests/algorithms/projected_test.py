"""Projected GAN: its objective, what its steps leave alone, and what it refuses. Its critic beside
the official one: projected_parity_test.py."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gan_jax import algorithms, build, config, pretrained
from gan_jax.algorithms import base, noise_to_image
from gan_jax.algorithms.base import example_batch, to_float
from gan_jax.distributed.parallel import Parallel
from gan_jax.models import projected
from gan_jax.nn import alpha
from gan_jax.step import make_step
from tests.nets import tiny_net

SHAPE, CLASSES = (8, 8, 3), 2
DATA = {"source": "avatars", "resolution": 8, "identities": 12, "labels": "skin"}
RUN = config.Config(
    "projected", "mlp", DATA, batch=4, total_kimg=0.016, g={"widths": (8,)}, d={"width": 2},
    game={"z_dim": 4, "features": "tiny", "features_side": 16}, augment={"name": "diffaugment"},
    opt_g={"lr": 0.01}, opt_d={"lr": 0.02},
)  # fmt: skip


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    monkeypatch.setitem(pretrained.NETS, "tiny", lambda name, *_: tiny_net(name))


def changed(**settings):
    """RUN with these settings of the game, its pictures not augmented."""
    return dataclasses.replace(RUN, game=RUN.game | settings, augment={})


def equal(a, b):
    return jax.tree.all(jax.tree.map(np.array_equal, a, b))


def game_and_state(run=RUN, classes=0):
    game = algorithms.make_game(run, SHAPE, classes)
    return game, build.new_state(run, game, SHAPE, classes)


def test_one_step_of_each_player_is_the_written_rule():
    """The golden step, of labels: hinge on the logits of maps of resized pictures; each player's
    weights alone move, and the frozen ones and the fixed mixing never."""
    run = changed()
    game, state = game_and_state(run, CLASSES)
    batch, tx = example_batch(SHAPE, CLASSES, 4), build.make_optimizers(run, game)
    steps = [jax.jit(make_step(phase, tx[phase.who])) for phase in game.phases]
    after_d, metrics = steps[0](state, batch, jnp.int32(0))
    after_g, of_g = steps[1](after_d, batch, jnp.int32(1))

    y = batch["label"]

    def fake(params, k, n):
        key = jax.random.fold_in(jax.random.fold_in(jax.random.wrap_key_data(state.rng), 0), k)
        z = jax.random.normal(jax.random.split(key, n)[0], (4, 4))
        return game.g.apply({"params": params["g"]}, z, y, train=True)

    def logits(params, x):
        x = jax.image.resize(x, (4, 16, 16, 3), "bilinear")
        x = jnp.maximum(((x + 1) * 127.5 - 127) @ tiny_net().params["kernel"], 0)
        half = x.reshape(4, 8, 2, 8, 2, 4).mean((2, 4))
        maps = [half, half.reshape(4, 4, 2, 4, 2, 4).mean((2, 4))]
        variables = {"params": params["d"], **state.d.mutable["d"]}
        return game.d.apply(variables, maps, y, train=True, mutable=["spectral", "batch_stats"])[0]

    @jax.jit
    def loss_d(params):
        real, fakes = logits(params, to_float(batch["image"])), fake(state.g.params, 0, 5)
        hinge = jnp.maximum(1 - real, 0).mean() + jnp.maximum(1 + logits(params, fakes), 0).mean()
        return hinge

    value, grads = jax.value_and_grad(loss_d)(state.d.params)
    np.testing.assert_allclose(metrics["d/loss"], value, rtol=1e-5)
    adam = optax.adam(0.02, b1=0.0, b2=0.99, eps=1e-8)
    updates, _ = adam.update(grads, adam.init(state.d.params))
    want, got = optax.apply_updates(state.d.params, updates), after_d.d.params
    for slope, a, b in zip(*map(jax.tree.leaves, (grads, want, got)), strict=True):
        # of a bias before batch norm it is 0, whose rounding Adam makes steps of
        np.testing.assert_allclose(
            *(np.where(np.abs(slope) > 1e-5, x, 0) for x in (a, b)), atol=2e-4
        )
    assert equal(after_d.g, state.g) and equal(after_g.d, after_d.d)
    assert not equal(after_g.g.params, state.g.params) and jnp.isfinite(of_g["g/loss"])

    def fixed(state):
        return state.d.mutable["d"]["fixed"]

    assert equal(fixed(after_g), fixed(state)) and equal(after_g.frozen, state.frozen)
    assert not equal(after_d.d.mutable["d"]["spectral"], state.d.mutable["d"]["spectral"])


def test_gs_gradient_comes_through_the_network_and_the_frozen_weights_have_none():
    game, state = game_and_state(changed(loss="wasserstein"))
    batch = example_batch(SHAPE, 0, 4)

    def loss(params, frozen):
        moved = state.replace(frozen=frozen)
        return game.loss_g(params, moved, batch, jax.random.key(0))[0]

    grads = jax.jit(jax.grad(loss))(state.g.params, state.frozen)
    assert all(np.abs(g).max() > 0 for g in jax.tree.leaves(grads))
    blind = {"eyes": {"kernel": jnp.zeros((3, 4))}}
    assert not any(g.any() for g in jax.tree.leaves(jax.jit(jax.grad(loss))(state.g.params, blind)))


def test_maps_too_small_for_the_heads_are_refused():
    game, _ = game_and_state(changed())
    maps = [jnp.zeros((2, 1, 1, 4))] * 2
    with pytest.raises(ValueError, match="config.game.features_side: .*too small; set it to 8"):
        jax.eval_shape(lambda: game.d.init(jax.random.key(0), maps))


@pytest.mark.parametrize(("setting", "value"), [("smallest", 0), ("pixels", -1)])
def test_the_critics_settings_are_checked(setting, value):
    d = projected.Discriminator(width=2, **{setting: value})
    with pytest.raises(ValueError, match=f"config.d.{setting}={value}: it must be"):
        jax.eval_shape(lambda: d.init(jax.random.key(0), [jnp.zeros((2, 8, 8, 4))] * 2))


@pytest.mark.parametrize(
    ("smallest", "count", "small"),
    [(1, 1 + 1, ()), (4, 1 + 1, ()), (5, 25 + 25, (1,))],
)
@pytest.mark.parametrize("separable", [False, True])
def test_heads_stop_halving_where_a_map_is_small(smallest, count, small, separable):
    """The mixing doubles the maps, to 16 and 8 pixels; one too small to be halved is convolved
    3x3 once."""
    maps = [jnp.zeros((2, side, side, 4)) for side in (8, 4)]
    d = projected.Discriminator(width=2, smallest=smallest, separable=separable)

    def start():
        return d.init_with_output(jax.random.key(0), maps, train=True)

    logits, variables = jax.eval_shape(start)
    assert logits.shape == (2, count)
    plain = [k for k in (0, 1) if "down0" in variables["params"][f"head{k}"]]
    three = [k for k in plain if variables["params"][f"head{k}"]["down0"]["kernel"].shape[0] == 3]
    assert three == list(small) and (separable or plain == [0, 1])


def test_the_pixels_critic_counts_as_much_as_all_heads():
    rng = np.random.default_rng(0)
    maps = [rng.normal(size=(2, side, side, 4)).astype(np.float32) for side in (8, 4)]
    a, b = rng.normal(size=(2, 2, 16, 16, 3)).astype(np.float32)
    d = projected.Discriminator(CLASSES, width=2, pixels=2)
    y = jnp.array([0, 1])

    @jax.jit
    def see():
        params, mutable = base.init_network(d, jax.random.key(1), maps, y, a)
        seen = [base.forward(d, params, mutable, maps, *of) for of in ((y, a), (y, b), (1 - y, a))]
        return mutable, seen

    mutable, ((of_a, after), (of_b, _), (of_others, _)) = see()
    assert of_a.shape == (2, 2 + 2)
    np.testing.assert_array_equal(of_a[:, :2], of_b[:, :2])
    assert (of_a[:, 2] == of_a[:, 3]).all()
    assert not np.allclose(of_a[:, 2], of_b[:, 2]), "the picture makes no difference"
    assert not np.allclose(of_a[:, 2], of_others[:, 2]), "the label makes no difference"
    assert not equal(after["spectral"]["pixels"], mutable["spectral"]["pixels"])


@pytest.mark.parametrize("classes", [0, CLASSES])
def test_at_first_the_critic_on_pixels_plays_alone(classes):
    """For 3 iterations of 4 pictures. Its step and R1 leave the heads as they are, and G learns
    nothing through the network."""
    plain = changed(pixels_kimg=0.012, gamma=2.0, gamma_every=2)
    run = dataclasses.replace(plain, d={"width": 2, "pixels": 2, "pixels_spectral_norm": False})
    game, state = game_and_state(run, classes)
    plays = [[phase.who for phase in game.phases if phase.due(step)] for step in range(5)]
    assert plays == [["d", "g", "d"], ["d", "g"], ["d", "g", "d"], ["d", "g"], ["d", "g", "d"]]
    assert [phase.due(2) for phase in game.phases] == [True, True, False, False, True]
    assert [phase.due(3) for phase in game.phases] == [False, False, True, True, False]
    batch, tx = example_batch(SHAPE, classes, 4), build.make_optimizers(run, game)
    for n, moves in ((0, False), (2, True), (4, False)):
        phase = game.phases[n]
        after, metrics = jax.jit(make_step(phase, tx["d"]))(state, batch, jnp.int32(0))
        assert equal(after.d.params["d"], state.d.params["d"]) != moves
        assert not equal(after.d.params["pixels"], state.d.params["pixels"])
        assert equal(after.d.opt["d"], state.d.opt["d"]) != moves
        assert jax.tree.structure(after.d.mutable) == jax.tree.structure(state.d.mutable)
        assert equal(after.d.mutable["d"], state.d.mutable["d"]) != moves
    blind = state.replace(frozen={"eyes": {"kernel": jnp.zeros((3, 4))}})
    slopes = [
        jax.jit(jax.grad(game.phases[n].loss, has_aux=True))(
            s.g.params, s, batch, jax.random.key(0)
        )
        for n in (1, 3)
        for s in (state, blind)
    ]
    alone, alone_blind, both, both_blind = (slope for slope, _ in slopes)
    assert equal(alone, alone_blind) and not equal(both, both_blind)

    x, y = to_float(batch["image"]), batch.get("label")

    def logit(params, x, y):
        y = None if y is None else y[None]
        return game.d.apply({"params": params}, (), y, x[None], train=True)[0, 0]

    def r1(params):
        slopes = jax.vmap(jax.grad(logit, 1), (None, 0, None if y is None else 0))(params, x, y)
        return 2.0 / 2 * jnp.square(slopes).sum((1, 2, 3)).mean()

    found, slope = jax.jit(jax.value_and_grad(r1))({"pixels": state.d.params["pixels"]})
    np.testing.assert_allclose(metrics["d/r1"], found, rtol=1e-4)
    lazy = jax.jit(jax.grad(game.penalty_d, has_aux=True))
    twice = lazy(state.d.params, state, batch, jax.random.key(0))[0]["pixels"]
    for a, b in zip(*map(jax.tree.leaves, (twice, slope["pixels"])), strict=True):
        np.testing.assert_allclose(a, 2 * b, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"pixels_kimg": 0.001}, "config.game.pixels_kimg=0.001: that is less than an iteration"),
        ({"gamma": 1.0}, "config.game.gamma=1.0: there is no critic on pixels.*config.d.pixels"),
        ({"pixels_kimg": 1.0}, "config.game.pixels_kimg=1.0: there is no critic on pixels"),
        ({"features": "eflite0"}, "config.game.features='eflite0'.*Did you mean 'efflite0'"),
        ({"features_side": 2}, "features 'tiny': pictures of 2x2 are too small for quarter"),
        ({"features_side": 0}, "config.game.features_side=0: it must be at least 1"),
        ({"loss": "hing"}, "config.game.loss='hing'.*Did you mean 'hinge'"),
        ({"features": "face"}, "features 'face'"),
    ],
)
def test_what_does_not_fit_is_said_in_one_line(settings, words):
    with pytest.raises(ValueError, match=words) as error:
        build.check(changed(**settings), Parallel("jit"), new=True)
    assert "\n" not in str(error.value)


def test_sampling_asks_for_the_generator_alone(monkeypatch):
    _, state = game_and_state(changed())
    monkeypatch.setitem(pretrained.NETS, "tiny", None)  # fails where it is called
    game = algorithms.make_game(changed(), SHAPE, 0)
    example = game.example_shapes(SHAPE, 0)
    shapes = jax.eval_shape(game.init_generator, jax.random.key(0), example)
    assert jax.tree.structure(shapes) == jax.tree.structure(state.ema)


@pytest.fixture(scope="module")
def stickers():
    """(the game of a generator with styles, a palette and alpha; its state)."""
    patch = pytest.MonkeyPatch()
    patch.setitem(pretrained.NETS, "tiny", lambda name, *_: tiny_net(name))
    g = {"w_dim": 6, "map_layers": 1, "width": 4, "palette": 3}
    run = dataclasses.replace(changed(), model="style_dcgan", g=g)
    game = algorithms.make_game(run, (8, 8, 4), 0)
    state = build.new_state(run, game, (8, 8, 4), 0)
    yield game, state
    patch.undo()


def test_what_nobody_sees_of_a_picture_with_alpha_is_not_learned(stickers):
    """Pictures that differ where they are clear give the same losses."""
    game, state = stickers
    one = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 4), np.uint8)
    one[:, :4, :, 3] = 0
    other = one.copy()
    other[:, :4, :, :3] = 255
    loss = jax.jit(lambda x: game.loss_d(state.d.params, state, {"image": x}, jax.random.key(0))[0])
    assert loss(one) == loss(other) != loss(one[:, ::-1])


def test_the_frozen_network_sees_pictures_with_alpha_over_colors_at_random(stickers):
    game, state = stickers

    @jax.jit
    def logits(x, seed):
        return game.critic(state.d.params, state, x, None, jax.random.key(seed))[0]

    clear = -jnp.ones((4, 8, 8, 4))
    assert not np.allclose(logits(clear, 0), logits(clear, 1))
    opaque = jnp.ones((4, 8, 8, 4))
    np.testing.assert_allclose(logits(opaque, 0), logits(opaque, 1), rtol=1e-5)


def test_a_generator_with_styles_is_sampled_by_them(stickers):
    game, state = stickers
    assert game.mixes_styles and not game_and_state()[0].mixes_styles
    assert not noise_to_image.Algorithm(game.g, None).mixes_styles  # which learns alpha straight
    z = game.latent(jax.random.key(0), 2, truncation=0.1)
    assert np.abs(z).max() > 0.2  # it is w that is truncated
    ws = game.styles(state.ema, z, None, 0.5)
    made = game.sample(state.ema, z, None, 0.5)
    np.testing.assert_allclose(made, game.render(state.ema, ws), rtol=1e-5)
    raw = game.g.apply(
        {"params": state.ema["params"]["g"], **state.ema["mutable"]["g"]}, ws, method="synthesis"
    )
    np.testing.assert_allclose(made, alpha.straight(raw), atol=1e-5)
    assert np.abs(made - raw).max() > 0.1
