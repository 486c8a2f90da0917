"""Drawings in flat colors, enlarged and smoothed."""

import numpy as np

from gan_jax.nn import flat_colors


def test_a_drawing_larger_has_its_colors_and_sharp_contours():
    logits = np.full((1, 8, 8, 2), -5, np.float32)
    logits[:, :, :4, 0] = logits[:, :, 4:, 1] = 5
    colors = np.array([[[1, 0, 0.0], [0, 1, 0]]], np.float32)
    large = np.asarray(flat_colors.in_colors_enlarged(logits, colors, 8))
    assert large.shape == (1, 64, 64, 3)
    left, right = (np.broadcast_to(c, (1, 64, 32, 3)) for c in ([1, 0, 0], [0, 1, 0]))
    np.testing.assert_allclose(large[:, :, :32], left, atol=1e-5)
    np.testing.assert_allclose(large[:, :, 32:], right, atol=1e-5)


def test_an_area_that_is_drawn_as_a_mixture_stays_it():
    logits = np.full((1, 8, 8, 3), -9, np.float32)
    logits[:, :, :4, 0], logits[:, :, 4:, 1], logits[:, :, 4:, 2] = 9, 0.1, 0
    colors = np.array([[[1, 0, 0.0], [0, 1, 0], [0, 0, 1]]], np.float32)
    small = np.asarray(flat_colors.in_colors(logits, colors, soft=False))
    large = np.asarray(flat_colors.in_colors_enlarged(logits, colors, 4))
    share = 1 / (1 + np.exp(-0.1 * flat_colors.SHARPER))
    np.testing.assert_allclose(small[0, 4, 6], [0, share, 1 - share], atol=1e-5)
    np.testing.assert_allclose(large[0, 16, 28], small[0, 4, 6], atol=1e-5)
    np.testing.assert_allclose(large[0, 16, 4], [1, 0, 0], atol=1e-5)


def test_squares_that_do_not_agree_are_smoothed():
    checks = np.indices((8, 8)).sum(0) % 2 * 2.0 - 1
    x = np.stack([checks, np.full((8, 8), 3.0)], -1)[None].astype(np.float32)
    made = np.asarray(flat_colors.smoothed(x))
    np.testing.assert_allclose(made[0, 1:-1, 1:-1, 0], 0, atol=1e-6)
    np.testing.assert_allclose(made[..., 1], 3, rtol=1e-6)
