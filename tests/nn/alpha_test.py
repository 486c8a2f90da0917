"""Pictures with alpha, straight and premultiplied."""

import numpy as np

from gan_jax.nn import alpha


def test_alpha_straight_and_premultiplied():
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (2, 3, 3, 4)).astype(np.float32)
    x[0, 0, 0, 3] = -1
    both = np.asarray(alpha.premultiplied(x))
    assert (both[0, 0, 0] == -1).all()  # what nobody sees is black
    back = np.asarray(alpha.straight(both))
    np.testing.assert_allclose(back[1:], x[1:], atol=1e-5)
    ground = np.array([0.5, -0.5, 1], np.float32)
    a = (x[..., 3:] + 1) / 2
    np.testing.assert_allclose(
        alpha.over(both, ground), x[..., :3] * a + ground * (1 - a), atol=1e-6
    )
    rgb = x[..., :3]
    assert alpha.premultiplied(rgb) is rgb and alpha.straight(rgb) is rgb
