"""Drawings in flat colors, enlarged and smoothed."""

import numpy as np

from gan_jax.nn import flat_colors


def test_a_drawing_larger_has_its_colors_and_sharp_contours():
    logits = np.full((1, 8, 8, 2), -5, np.float32)
    logits[:, :, :4, 0] = logits[:, :, 4:, 1] = 5
    colors = np.array([[[1, 0, 0.0], [0, 1, 0]]], np.float32)
    large = np.asarray(flat_colors.in_colors_enlarged(logits, colors, 8))
    assert large.shape == (1, 64, 64, 3)
    np.testing.assert_array_equal(large[:, :, :32], np.broadcast_to([1, 0, 0], (1, 64, 32, 3)))
    np.testing.assert_array_equal(large[:, :, 32:], np.broadcast_to([0, 1, 0], (1, 64, 32, 3)))


def test_squares_that_do_not_agree_are_smoothed():
    checks = np.indices((8, 8)).sum(0) % 2 * 2.0 - 1
    x = np.stack([checks, np.full((8, 8), 3.0)], -1)[None].astype(np.float32)
    made = np.asarray(flat_colors.smoothed(x))
    np.testing.assert_allclose(made[0, 1:-1, 1:-1, 0], 0, atol=1e-6)
    np.testing.assert_allclose(made[..., 1], 3, rtol=1e-6)
