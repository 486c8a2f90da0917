import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax import losses
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


# --- of feature maps and pictures, each beside its definition written out


def maps(seed, n=2, sides=((3, 4), (2, 2))):
    rng = np.random.default_rng(seed)
    return {
        f"relu{k}": rng.normal(size=(n, *side, 2 + k)).astype(np.float32)
        for k, side in enumerate(sides)
    }


def grams(x):
    """By loops."""
    n, h, w, c = x.shape
    found = np.zeros((n, c, c))
    for i in range(n):
        for row in x[i].reshape(-1, c).astype(float):
            found[i] += np.outer(row, row)
    return found / (h * w * c)


def test_content_adds_up_over_the_maps():
    a, b = maps(1), maps(2)
    wanted = sum(np.abs(a[name] - b[name]).mean() for name in a)
    np.testing.assert_allclose(losses.content(a, b), wanted, rtol=1e-5)


def test_style_compares_gram_matrices_of_any_size():
    a, b, one = maps(1), maps(2, sides=((5, 3), (1, 2))), maps(3, n=1)
    np.testing.assert_allclose(losses.gram(a["relu0"]), grams(a["relu0"]), rtol=1e-5)
    for other in (b, one):
        gaps = [grams(a[name]) - grams(other[name]) for name in a]
        wanted = sum(np.abs(gap).mean() for gap in gaps)
        np.testing.assert_allclose(losses.style(a, other), wanted, rtol=1e-5)
    moved = {name: np.roll(x, 1, (1, 2)) for name, x in a.items()}
    np.testing.assert_allclose(losses.style(a, moved), 0, atol=1e-6)


def test_maps_of_other_names_are_not_compared():
    with pytest.raises(ValueError, match=r"feature maps \['relu0', 'relu1'\] compared with"):
        losses.style(maps(1), {"relu0": maps(1)["relu0"]})


def test_total_variation():
    x = np.random.default_rng(4).normal(size=(2, 3, 4, 3)).astype(np.float32)
    down, right = np.square(np.diff(x, axis=1)), np.square(np.diff(x, axis=2))
    wanted = down.sum() / 2 / down.size + right.sum() / 2 / right.size
    np.testing.assert_allclose(losses.total_variation(x), wanted, rtol=1e-5)


def test_color_is_in_yuv():
    """Of gray levels only the luma; U and V by Huber's loss, on both sides of its corner."""
    x = np.random.default_rng(5).uniform(-1, 1, (2, 3, 4, 1)).astype(np.float32)
    gray = np.repeat(x, 3, -1)
    np.testing.assert_allclose(losses.color(gray, -gray), np.abs(x).mean(), rtol=1e-4)
    red, cyan = (np.broadcast_to(np.float32(c), (1, 2, 2, 3)) for c in ((1, -1, -1), (-1, 1, 1)))
    y, u, v = (2 * row[0] - sum(row) for row in losses.YUV)
    np.testing.assert_allclose(losses.color(red, cyan), abs(y) + u * u / 2 + v - 0.5, rtol=1e-5)
    assert v > 1 > abs(u)
