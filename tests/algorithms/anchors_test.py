"""Fakes near few fixed z are seen whole, all others by their patches (projected's `anchors`)."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax import algorithms, build, config
from gan_jax.algorithms import projected
from tests import runs

SHAPE = (16, 16, 3)


def settings(**game):
    d = runs.PALETTE["d"] | {"pixels": 2, "pixels_spectral_norm": False, "pixels_patches": 1}
    game = runs.PALETTE["game"] | {"gamma": 0.5, "pixels_kimg": 1.0, "anchors": 3} | game
    return config.Config(**runs.PALETTE | {"d": d, "game": game})


@pytest.fixture(scope="module")
def begun():
    """(the game, a state of it)."""
    game = algorithms.make_game(settings(), SHAPE, 0)
    shapes = jax.eval_shape(lambda: build.new_state(settings(), game, SHAPE, 0).saved())
    return game, jax.tree_util.tree_map_with_path(runs.lively, shapes)


def test_three_of_four_iterations_see_patches_alone(begun):
    game, state = begun
    x = np.random.default_rng(0).normal(size=(2, *SHAPE)).astype(np.float32)

    @jax.jit
    def logits(step, x):
        now = state.replace(step=step)
        return game.critic(state.d.params, now, x, None, jax.random.key(3), heads=False)[0]

    found = [np.asarray(logits(jnp.int32(step), x)) for step in range(6)]
    for step in (0, 4):
        np.testing.assert_array_equal(found[step], found[0])
        assert (found[step] == found[step][:, :1]).all()  # one logit a picture, repeated
    for step in (1, 2, 3, 5):
        np.testing.assert_array_equal(found[step], found[1])
    # those of the lowest row see pixels 6 to 15 only; of the whole picture all
    other = x.copy()
    other[:, :6] += 1
    patches = [y.reshape(2, 4, 4) for y in (found[1], np.asarray(logits(jnp.int32(1), other)))]
    np.testing.assert_array_equal(patches[0][:, 3], patches[1][:, 3])
    assert (patches[0][:, 0] != patches[1][:, 0]).all()
    assert (np.asarray(logits(jnp.int32(0), other)) != found[0]).all()


def test_near_means_around_the_anchors(begun, monkeypatch):
    """Exactly there where nothing is added to them."""
    game, state = begun
    monkeypatch.setattr(projected, "ANCHOR_SPREAD", 0.0)

    @jax.jit
    def fakes(near):
        return game.fake(state.g, jax.random.key(5), None, 16, near=near, train=False)[0]

    near, free = (np.asarray(fakes(jnp.asarray(x))).reshape(16, -1) for x in (True, False))
    assert len(np.unique(near.round(4), axis=0)) == 3 < len(np.unique(free.round(4), axis=0))
    assert [game.anchored(state.replace(step=k), False) for k in range(5)] == [1, 0, 0, 0, 1]
    assert game.anchored(state, True) is None


def test_both_settings_or_none():
    for wrong in ({"anchors": 0}, {"anchors": -1}):
        with pytest.raises(ValueError, match="anchors=.*: it needs a critic of patches"):
            algorithms.make_game(settings(**wrong), SHAPE, 0)
