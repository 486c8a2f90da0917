import jax
import numpy as np
import pytest

from gan_jax import algorithms, build, config
from gan_jax.inference import stylize, tiling
from gan_jax.inference.sampler import Sampler
from gan_jax.nn.guided_filter import guided_mix


def echo(x):
    return x.copy()


@pytest.mark.parametrize("size", [(90, 200), (128, 130), (40, 500), (65, 64)])
def test_tiles_leave_no_seams(size):
    y, x = np.mgrid[: size[0], : size[1]].astype(np.float32)
    # two ramps and a constant
    ramps = np.stack([x / size[1], y / size[0], np.full(size, 0.3, np.float32)], -1)[None]
    np.testing.assert_allclose(
        tiling.in_tiles(echo, lambda small: echo, ramps, 64, 16), ramps, atol=1e-6
    )


def test_tiles_that_disagree_are_blended():
    calls = iter(range(100))
    x = np.random.default_rng(0).random((1, 64, 112, 1), np.float32)
    mixed = tiling.in_tiles(
        None, lambda small: lambda part: np.full_like(part, next(calls)), x, 64, 16
    )
    row = mixed[0, 0, :, 0]
    assert row[0] == 0 and row[-1] == 1
    assert np.all(np.diff(row) >= 0) and np.diff(row).max() < 0.13  # a step of 1 would be a seam


def test_tiles_cover_and_overlap():
    for size in (65, 100, 200, 1000):
        begun = list(tiling.starts(size, 64, 16))
        assert begun[0] == 0 and begun[-1] == size - 64
        assert max(np.diff(begun)) <= 48
    assert list(tiling.starts(64, 64, 16)) == [0]


def test_strength_mixes_what_is_shown():
    class Bright:
        """Twice as far above gray as white is."""

        least, multiple, shape, reads_styles = 1, 1, (8, 8, 3), False
        restyle = staticmethod(lambda x, style: np.full_like(x, 2))

    look = stylize.Stylizer(Bright(), strength=0.5)
    found = look(np.zeros((1, 8, 8, 3), np.uint8), stylize.Look("", np.zeros(0, np.float32)))
    assert np.all((found == 127) | (found == 128))


def test_a_mixture_follows_the_pictures_own_edges():
    """At little strength a color is changed up to a contour, and a line that was drawn beside it
    hardly shows; a mixture of pixels would have it at that strength."""
    x = np.full((1, 40, 40, 3), -0.5, np.float32)
    x[:, :, 20:] = 0.5
    made = x + 0.25
    made[:, :, 26] = -1.0  # a contour that the picture has not
    ends = [np.asarray(guided_mix(x, made, s)) for s in (0.0, 1.0)]
    np.testing.assert_allclose(ends[0], x, atol=1e-6)
    np.testing.assert_allclose(ends[1], made, atol=1e-6)
    little = np.asarray(guided_mix(x, made, 0.2))
    np.testing.assert_allclose(little[:, :, :8], x[:, :, :8] + 0.05, atol=1e-3)
    assert abs(little[0, 20, 19, 0] - (x[0, 20, 19, 0] + 0.05)) < 0.01  # up to the edge
    line = little[0, 20, 24, 0] - little[0, 20, 26, 0]
    assert line < 0.4 * 0.2 * (made[0, 20, 24, 0] - made[0, 20, 26, 0])


def test_a_mixture_has_no_seams():
    """Tiles are mixed one by one: as the picture whole."""
    x = np.random.default_rng(0).integers(0, 256, (1, 150, 170, 3), np.uint8)

    class Inverse:
        least, multiple, shape, reads_styles = 1, 1, (8, 8, 3), False
        restyle = staticmethod(lambda x, style: -x)
        part_of = staticmethod(lambda whole: lambda x, style: -x)

    look = stylize.Look("", np.zeros(0, np.float32))
    whole, tiled = (
        stylize.Stylizer(Inverse(), strength=0.5, tile=tile)(x, look).astype(int)
        for tile in (1024, 160)
    )
    assert np.abs(whole - tiled).max() <= 1


def test_a_style_is_found_in_either_form_of_unicode():
    """As a class folder of macOS (e and an accent) and a keyboard's name (é)."""

    class Styles:
        least, multiple, shape, reads_styles, classes, step = (
            1,
            1,
            (8, 8, 3),
            True,
            ("b", "\u00e9", "c"),
            "run",
        )
        styles_from_noise = staticmethod(lambda seed, y, count: np.float32(y)[:, None])
        style_from_picture = staticmethod(lambda x, y: np.float32(y)[:, None])

    stylizer = stylize.Stylizer(Styles())
    assert [(look.name, *look.style) for look in stylizer.looks(["e\u0301", "b"], 0)] == [
        ("\u00e9", 1),
        ("b", 0),
    ]
    look = stylizer.look_of(np.zeros((8, 8, 3), np.uint8), "e\u0301")
    assert (look.name, *look.style) == ("\u00e9", 1)


def test_a_small_picture_is_run_whole():
    shapes = []
    tiling.in_tiles(
        lambda x: shapes.append(x.shape) or x, None, np.zeros((2, 10, 400, 3), np.float32), 64, 16
    )
    assert shapes == [(2, 10, 400, 3)]


@pytest.fixture(scope="module")
def sampler():
    """Of a residual generator with instance norm after every convolution, as it is before
    training."""
    run = config.Config(
        "cyclegan",
        "cyclegan",
        {},
        batch=1,
        total_kimg=1.0,
        g={"width": 8, "blocks": 1},
        d={"width": 4, "levels": 1},
    )
    game = algorithms.make_game(run, (32, 32, 3), 0)
    state = build.new_state(run, game, (32, 32, 3), 0)
    return Sampler(game, jax.device_get(state.ema), (32, 32, 3), (), None, 1)


def plain(restyle):
    return lambda x: np.asarray(restyle(x, np.zeros((len(x), 0))))


def gradient(height, width):
    y, x = np.mgrid[:height, :width].astype(np.float32)
    return np.stack([2 * x / width - 1, 2 * y / height - 1, 0 * x], -1)[None]


def test_a_networks_tiles_leave_no_seams(sampler):
    """Instance norm by itself makes of each tile of a gradient the whole gradient again."""
    x, run = gradient(128, 512), plain(sampler.restyle)
    whole = run(x)
    columns = lambda made: made.mean((0, 1))  # [W, C]
    off = lambda made: np.abs(columns(made) - columns(whole)).mean() / columns(whole).std()
    tiled = tiling.in_tiles(run, lambda small: plain(sampler.part_of(small)), x, 192, 64)
    alone = tiling.in_tiles(run, lambda small: run, x, 192, 64)
    assert off(tiled) < 0.3 < 0.35 < off(alone)


def test_one_color_stays_one_color(sampler):
    run = plain(sampler.restyle)
    x = np.full((2, 60, 300, 3), 0.4, np.float32)
    x[1] = -1
    made = tiling.in_tiles(run, lambda small: plain(sampler.part_of(small)), x, 96, 32)
    assert made.shape == x.shape and np.ptp(made, axis=(1, 2)).max() == 0
    np.testing.assert_allclose(made[:, 0, 0], run(x[:, :, :96])[:, 30, 48], atol=1e-6)


def test_a_part_that_is_the_whole_is_the_whole(sampler):
    x = np.random.default_rng(0).uniform(-1, 1, (2, 32, 64, 3)).astype(np.float32)
    run = plain(sampler.restyle)
    np.testing.assert_allclose(plain(sampler.part_of(x))(x), run(x), atol=1e-6)
    assert np.abs(plain(sampler.part_of(x[::-1]))(x) - run(x)).max() > 1e-3


def test_a_picture_is_made_small_by_means_of_blocks():
    x = np.arange(2 * 6 * 8, dtype=np.float32).reshape(2, 6, 8, 1)
    small = tiling.shrunk(x, 12)
    assert small.shape == (2, 3, 4, 1)
    assert small[0, 0, 0, 0] == x[0, :2, :2].mean() and small[1, 2, 3, 0] == x[1, 4:, 6:].mean()
    assert tiling.shrunk(x, 48).shape == x.shape
    assert tiling.shrunk(np.zeros((1, 1, 5000, 3)), 64).shape == (1, 1, 555, 3)
