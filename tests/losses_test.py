import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.losses import LOSSES

REAL, FAKE = np.array([0.5, -2.0]), np.array([1.0, -0.25])


def softplus(x):
    return np.log1p(np.exp(x))


def relu(x):
    return np.maximum(x, 0)


# by hand, from the papers' formulas at the logits above
EXPECTED = {
    "minimax": (softplus(-REAL).mean() + softplus(FAKE).mean(), -softplus(FAKE).mean()),
    "non_saturating": (softplus(-REAL).mean() + softplus(FAKE).mean(), softplus(-FAKE).mean()),
    "hinge": ((0.5 + 3.0) / 2 + (2.0 + 0.75) / 2, -(1.0 - 0.25) / 2),
    "least_squares": ((0.25 + 9.0) / 2 + (1.0 + 0.0625) / 2, (0.0 + 1.5625) / 2),
    "wasserstein": (0.375 + 0.75, -0.375),
    "relativistic": (softplus(FAKE - REAL).mean(), softplus(REAL - FAKE).mean()),
}


@pytest.mark.parametrize("name", LOSSES)
def test_both_sides_equal_the_hand_values(name):
    loss = LOSSES[name]
    real, fake = jnp.asarray(REAL, jnp.float32), jnp.asarray(FAKE, jnp.float32)
    np.testing.assert_allclose(loss.d(real, fake), EXPECTED[name][0], rtol=1e-6)
    np.testing.assert_allclose(loss.g(real, fake), EXPECTED[name][1], rtol=1e-6)


def test_losses_are_finite_at_extreme_logits():
    far = jnp.array([1e4, -1e4])
    for loss in LOSSES.values():
        assert np.isfinite(loss.d(far, -far)) and np.isfinite(loss.g(far, -far))


def test_minimax_is_log_one_minus_sigmoid():
    np.testing.assert_allclose(LOSSES["minimax"].g(None, jnp.zeros(3)), np.log(0.5), rtol=1e-6)
