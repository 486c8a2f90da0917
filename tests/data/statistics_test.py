"""What training pictures are like: flat drawings, shaded ones, pairs."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

from gan_jax.data import statistics
from gan_jax.data.source import open_source


def drawings(n=8, side=64):
    """uint8 [n, side, side, 3]: two discs of a color each on a ground of another."""
    found = []
    for i in range(n):
        picture = Image.new("RGB", (4 * side, 4 * side), (240, 240, 240))
        draw = ImageDraw.Draw(picture)
        draw.ellipse((20, 30, 180 + i, 200), fill=(200, 40 + 9 * i, 60))
        draw.ellipse((90, 90, 240, 230), fill=(30, 90, 150 + 9 * i))
        found.append(np.asarray(picture.resize((side, side), Image.Resampling.LANCZOS)))
    return np.stack(found)


def shaded(x):
    """The pictures, darker from left to right, by half of 255 a picture's width."""
    light = np.linspace(1, 0.5, x.shape[2])[:, None]
    return np.round(x * light).astype(np.uint8)


def folder(path, pictures, mode="RGB", **settings):
    path.mkdir()
    for i, picture in enumerate(pictures):
        Image.fromarray(picture).convert(mode).save(path / f"{i}.png")
    return dict(source="folder", path=str(path), resolution=pictures.shape[1], **settings)


def test_drawings_are_flat_and_shaded_ones_and_noise_are_not():
    flat = statistics.look(drawings())
    assert 0.5 < flat.flat < 0.7 and flat.colors == 3 and flat.alpha is None
    assert statistics.look(shaded(drawings())).flat < 0.01
    noise = np.random.default_rng(0).integers(0, 256, (4, 64, 64, 3), np.uint8)
    assert statistics.look(noise).flat == 0


def test_a_large_ground_makes_no_flat_picture():
    x = np.full((4, 64, 64, 3), 255, np.uint8)
    x[:, 20:44, 20:44] = shaded(drawings(4, 24))
    found = statistics.look(x)
    assert statistics.one_color_areas(x).mean() > 0.8 and found.flat < 0.1


def test_areas_are_windows_of_one_color():
    x = np.zeros((1, 16, 16, 3), np.uint8)
    x[0, 4:7, 4:7, 1] = 9  # as large as a window
    x[0, 12, 12, 2] = 9  # a point
    areas = statistics.one_color_areas(x)[0]
    assert areas[4:7, 4:7].all() and not areas[12, 12] and areas[0].all()


def test_three_of_four_pictures_decide():
    x = drawings(16)
    x[:3] = shaded(x[:3])
    assert statistics.look(x).flat > 0.5
    x[3:5] = shaded(x[3:5])
    assert statistics.look(x).flat < 0.01


def test_alpha_is_the_share_that_is_not_opaque(tmp_path):
    x = np.dstack([drawings(1)[0], np.full((64, 64), 255, np.uint8)])
    x[:, :16, 3] = 40
    found = statistics.measure(open_source(folder(tmp_path / "a", x[None], "RGBA", channels=4)))
    assert found.pictures.alpha == 0.25 and found.shape == (64, 64, 4) and found.count == 1


def test_a_pair_of_sets_differs_by_so_much(tmp_path):
    x = drawings(4)
    a, b = folder(tmp_path / "a", x), folder(tmp_path / "b", 255 - x)
    found = statistics.measure(open_source(dict(source="paired", a=a, b=b)))
    want = np.abs(255.0 - 2 * x.astype(float)).mean()
    assert found.difference == pytest.approx(want, rel=1e-5)
    near = np.abs(x - x.astype(float).mean(0)).mean()
    assert found.spread == pytest.approx(near, rel=1e-5)
    one = statistics.measure(open_source(dict(source="unpaired", a=a, b=b)))
    assert one.difference is None and one.count == 4


def test_a_set_of_one_color_is_refused(tmp_path):
    plain = np.full((3, 16, 16, 3), 7, np.uint8)
    a = folder(tmp_path / "a", plain)
    said = r"config.data: all of the 3 pictures looked at are of one color, \(7, 7, 7\)"
    with pytest.raises(ValueError, match=said):
        statistics.measure(open_source(a))
    b = folder(tmp_path / "b", drawings(3, 16))
    statistics.measure(open_source(dict(source="paired", a=a, b=b)))  # only targets must vary
    with pytest.raises(ValueError, match=r"Give others \(config.data.b.path\)"):
        statistics.measure(open_source(dict(source="unpaired", a=b, b=a)))
    plain[1] = 8
    statistics.measure(open_source(folder(tmp_path / "c", plain)))
