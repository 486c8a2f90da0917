"""What a noise-to-image game adds to its loss: augmentation, LeCam, consistency. The loss itself:
tests/update_test.py."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax import build, config, regularizers
from gan_jax.algorithms.base import example_batch
from gan_jax.augment import ADA, DiffAugment
from gan_jax.distributed.parallel import Parallel
from gan_jax.models import stylegan2

SHAPE = (4, 4, 1)
SETTINGS = config.Config("noise_to_image", "mlp", {}, batch=4, total_kimg=1.0)


@dataclasses.dataclass(frozen=True)
class Brighter:
    """Adds one, doubles: easy to see in a linear critic."""

    def init(self):
        return {"seen": jnp.float32(0)}

    def __call__(self, carry, rng, x):
        return 2 * (x + 1)

    def observe(self, carry, logits_real, images):
        return {"seen": images}


class LinearCritic(nn.Module):
    @nn.compact
    def __call__(self, x, y=None, *, train=False):
        return nn.Dense(1)(x.reshape(x.shape[0], -1))[:, 0]


@pytest.fixture
def play(toy_game):
    """(critic or None, settings of the game) -> (loss, aux) of D's step, and its state."""

    def d_step(critic=None, **settings):
        game = toy_game(batch=4, **settings)
        game = dataclasses.replace(game, d=critic) if critic else game
        state = build.new_state(SETTINGS, game, SHAPE, 0)
        return (
            *game.loss_d(state.d.params, state, example_batch(SHAPE, 0, 4), jax.random.key(0)),
            state,
        )

    return d_step


def test_the_critic_sees_augmented_pictures_on_both_sides(play):
    _, plain, _ = play(LinearCritic())
    _, seen, state = play(LinearCritic(), augment=Brighter())
    shift = float(2 * jnp.sum(state.d.params["d"]["Dense_0"]["kernel"]))
    for side in ("d/real", "d/fake"):
        np.testing.assert_allclose(seen.metrics[side], 2 * plain.metrics[side] + shift, rtol=1e-4)
    assert seen.carry["augment"]["seen"] == 4


def test_g_plays_against_the_augmented_picture(toy_game):
    game = dataclasses.replace(
        toy_game(batch=4, loss="wasserstein", augment=Brighter()), d=LinearCritic()
    )
    state = build.new_state(SETTINGS, game, SHAPE, 0)
    args = state, example_batch(SHAPE, 0, 4)
    seen, _ = game.loss_g(state.g.params, *args, jax.random.key(0))
    plain, _ = dataclasses.replace(game, terms=toy_game().terms).loss_g(
        state.g.params, *args, jax.random.key(0)
    )
    shift = float(2 * jnp.sum(state.d.params["d"]["Dense_0"]["kernel"]))
    np.testing.assert_allclose(seen, 2 * plain - shift, rtol=1e-4)


@pytest.mark.parametrize("penalty", ["r1", "r2", "r1+r2"])
def test_a_penalty_is_of_the_picture_before_it_is_augmented(play, penalty):
    """A critic of slope a after doubling has slope 2 a."""
    _, aux, state = play(LinearCritic(), augment=Brighter(), penalty=penalty, penalty_weight=1.0)
    slope = float(jnp.sum(jnp.square(2 * state.d.params["d"]["Dense_0"]["kernel"])))
    np.testing.assert_allclose(
        aux.metrics["d/penalty"], slope / 2 * (1 + ("+" in penalty)), rtol=1e-4
    )


def test_lecam_pulls_to_the_other_sides_mean_at_its_weight(play):
    plain, before, _ = play()
    loss, aux, state = play(lecam=3.0, lecam_decay=0.9, lecam_start=0)
    np.testing.assert_allclose(loss - plain, aux.metrics["d/lecam"], rtol=1e-4)
    assert aux.metrics["d/lecam"] > 0 and state.carry["lecam"] == {"real": 0, "fake": 0}
    for side in ("real", "fake"):
        np.testing.assert_allclose(
            aux.carry["lecam"][side], 0.1 * before.metrics[f"d/{side}"], rtol=1e-4
        )


def test_lecam_waits_for_its_start_and_knows_the_logits_then(play):
    plain, before, _ = play()
    loss, aux, _ = play(lecam=3.0, lecam_decay=0.9, lecam_start=1)
    assert loss == plain and aux.metrics["d/lecam"] == 0
    for side in ("real", "fake"):
        np.testing.assert_allclose(aux.carry["lecam"][side], before.metrics[f"d/{side}"], rtol=1e-4)


def test_parts_of_a_step_move_lecams_means_as_one_does(toy_game):
    game = toy_game(batch=4, lecam=1.0, lecam_start=0)
    state = build.new_state(SETTINGS, game, SHAPE, 0)
    whole, _ = game.terms.next_carry(state, jnp.full(4, 3.0), jnp.full(4, -2.0))
    for _ in range(2):
        carry, _ = game.terms.next_carry(state, jnp.full(2, 3.0), jnp.full(2, -2.0))
        state = state.replace(carry=carry)
    np.testing.assert_allclose(carry["lecam"]["real"], 0.03, rtol=1e-4)
    for side in ("real", "fake"):
        np.testing.assert_allclose(carry["lecam"][side], whole["lecam"][side], rtol=1e-4)


def test_lecams_means_follow_the_logits():
    means = {"real": jnp.float32(1), "fake": jnp.float32(-1)}
    new = regularizers.lecam_means(means, jnp.array([3.0, 5.0]), jnp.array([0.0, 2.0]), 0.75)
    np.testing.assert_allclose([new["real"], new["fake"]], [0.75 + 1.0, -0.75 + 0.25])
    grad = jax.grad(lambda x: regularizers.lecam_means(means, x, x, 0.5)["real"])(jnp.ones(2))
    assert not grad.any()


@pytest.mark.parametrize("side", ["real", "fake"])
def test_consistency_enters_at_its_weight(play, side):
    plain, _, _ = play()
    loss, aux, _ = play(**{f"consistency_{side}": 5.0})
    _, twice, _ = play(**{f"consistency_{side}": 10.0})
    name = f"d/consistency_{side}"
    assert (
        aux.metrics[name] > 0
        and name.replace(side, {"real": "fake", "fake": "real"}[side]) not in aux.metrics
    )
    np.testing.assert_allclose(loss - plain, aux.metrics[name], rtol=1e-3)
    np.testing.assert_allclose(twice.metrics[name], 2 * aux.metrics[name], rtol=1e-5)


def test_adas_strength_is_kept_and_moves_with_ds_steps(toy_game):
    """Reals all above zero: after four steps p has gone up by four batches' worth, and is in the
    carry and the log."""
    game = toy_game(batch=4, augment=ADA(kimg=0.16, batch=4, pipe="xflip", target=-1.0))
    state = build.new_state(SETTINGS, game, SHAPE, 0)
    loss = jax.jit(game.loss_d)
    seen = []
    for step in range(8):
        _, aux = loss(state.d.params, state, example_batch(SHAPE, 0, 4), jax.random.key(step))
        state = state.replace(carry=aux.carry)
        seen.append(float(aux.metrics["d/augment_p"]))
    np.testing.assert_allclose(seen, [0, 0, 0, 0.1, 0.1, 0.1, 0.1, 0.2], rtol=1e-5)


def test_every_addition_at_once_trains_on_two_devices_alike(toy_game):
    game = toy_game(
        batch=4,
        augment=DiffAugment(),
        lecam=0.1,
        lecam_start=0,
        consistency_real=1.0,
        consistency_fake=1.0,
        penalty="r1+r2",
        penalty_weight=1.0,
    )
    results = []
    for parallel in (Parallel("jit", jax.devices()[:1]), Parallel("pmap")):
        iteration = build.make_iteration(SETTINGS, game, parallel)
        state = parallel.replicate(build.new_state(SETTINGS, game, SHAPE, 0))
        state, metrics = iteration(state, [parallel.put(example_batch(SHAPE, 0, 4))], 0)
        results.append(jax.device_get(parallel.one((metrics, state.carry))))
    for a, b in zip(*map(jax.tree.leaves, results), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=1e-5)


def test_the_carry_of_a_plain_game_holds_nothing(toy_game):
    assert not jax.tree.leaves(build.new_state(SETTINGS, toy_game(), SHAPE, 0).carry)


def test_stylegan2s_generator_draws_its_noise_in_this_game_too(toy_game):
    g = stylegan2.Generator((8, 8, 3), w_dim=4, map_layers=1, channel_base=16, channel_max=4)
    game = dataclasses.replace(toy_game(batch=2), g=g)
    state = build.new_state(SETTINGS, game, (8, 8, 3), 0)
    draw = jax.jit(lambda key: game.fake(state.g, key, None, 2)[0])
    one, again, other = (np.asarray(draw(jax.random.key(seed))) for seed in (0, 0, 1))
    assert np.isfinite(one).all() and np.array_equal(one, again) and not np.array_equal(one, other)
