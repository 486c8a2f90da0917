import numpy as np
import pytest

from gan_jax import stylize


def echo(x):
    return x.copy()


@pytest.mark.parametrize("size", [(90, 200), (128, 130), (40, 500), (65, 64)])
def test_tiles_leave_no_seams(size):
    y, x = np.mgrid[: size[0], : size[1]].astype(np.float32)
    gradient = np.stack([x / size[1], y / size[0], np.full(size, 0.3, np.float32)], -1)[None]  # and a constant
    np.testing.assert_allclose(stylize.in_tiles(echo, gradient, 64, 16), gradient, atol=1e-6)


def test_tiles_that_disagree_are_blended():
    calls = iter(range(100))
    mixed = stylize.in_tiles(lambda x: np.full_like(x, next(calls)), np.zeros((1, 64, 112, 1), np.float32), 64, 16)
    row = mixed[0, 0, :, 0]
    assert row[0] == 0 and row[-1] == 1
    assert np.all(np.diff(row) >= 0) and np.diff(row).max() < 0.1  # a step of 1 would be a seam


def test_tiles_cover_and_overlap():
    for size in (65, 100, 200, 1000):
        begun = list(stylize.starts(size, 64, 16))
        assert begun[0] == 0 and begun[-1] == size - 64
        assert max(np.diff(begun)) <= 48
    assert list(stylize.starts(64, 64, 16)) == [0]


def test_a_small_picture_is_run_whole():
    shapes = []
    stylize.in_tiles(lambda x: shapes.append(x.shape) or x, np.zeros((2, 10, 400, 3), np.float32), 64, 16)
    assert shapes == [(2, 10, 400, 3)]
