import pathlib

import numpy as np
import pytest
from PIL import Image

from gan_jax.data import images


def test_bytes_to_floats_and_back():
    levels = np.arange(256, dtype=np.uint8)
    x = images.to_float(levels)
    assert x.dtype == np.float32 and x[0] == -1 and x[255] == 1
    np.testing.assert_array_equal(images.to_uint8(x), levels)
    np.testing.assert_array_equal(images.to_uint8(np.array([-3, 3, 0.0])), [0, 255, 128])
    np.testing.assert_array_equal(images.rounded(np.array([-1, 0.6, 254.4, 300])), [0, 1, 254, 255])


def test_transparency_over_a_color_is_rounded_to_nearest():
    levels = np.arange(256)
    rgba = np.stack(np.broadcast_arrays(levels[:, None], 0, 255, levels), -1).astype(np.uint8)
    for background in ((255, 255, 255), (238, 242, 246)):
        share = rgba[..., 3:] / 255
        exact = rgba[..., :3] * share + np.array(background) * (1 - share)
        np.testing.assert_array_equal(images.composite(rgba, background), np.rint(exact))
    np.testing.assert_array_equal(images.as_rgb(rgba), images.composite(rgba, (255, 255, 255)))


def test_channels():
    gray, red = np.full((2, 3, 1), 7, np.uint8), np.full((2, 3, 3), (255, 0, 0), np.uint8)
    assert (images.as_rgb(gray) == 7).all() and images.as_rgb(gray).shape == (2, 3, 3)
    assert (images.in_channels(red, 1) == 76).all() and images.in_channels(red, 3) is red


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB"), (4, "RGBA")])
def test_a_png_is_written_whole(channels, mode, tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (2, 3, channels), np.uint8)
    images.save_png(tmp_path / "new" / "a.png", image)
    with Image.open(tmp_path / "new" / "a.png") as picture:
        assert picture.mode == mode
        np.testing.assert_array_equal(images.as_array(picture), image)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.png"]


def test_a_grid_goes_row_by_row_and_is_filled_with_white():
    cells = np.arange(3, dtype=np.uint8)[:, None, None, None] * np.ones((1, 2, 1, 1), np.uint8)
    sheet = images.grid(cells, 2)
    np.testing.assert_array_equal(sheet[..., 0], [[0, 1], [0, 1], [2, 255], [2, 255]])


def test_a_sheet_belongs_to_no_set_of_pictures(tmp_path):
    image = np.zeros((2, 2, 3), np.uint8)
    assert images.save_sheet(tmp_path, "grid.png", image) == tmp_path / "sheet" / "grid.png"
    assert (tmp_path / "sheet" / images.MARK).is_file()
    (tmp_path / "set" / "sheet").mkdir(parents=True)  # a class of the set itself
    assert images.save_sheet(tmp_path / "set", "g.png", image).parent.name == "sheet_"


def test_an_error_keeps_its_own_words(tmp_path, monkeypatch):
    def refuse(*args, **kwargs):
        raise OSError("cannot write mode F as PNG")

    monkeypatch.setattr(pathlib.Path, "write_bytes", refuse)
    with pytest.raises(OSError, match="cannot write mode F as PNG"):
        images.save_png(tmp_path / "x.png", np.zeros((4, 4, 3), np.uint8))
