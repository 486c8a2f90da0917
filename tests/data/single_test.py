"""Windows of one picture."""

import numpy as np
import pytest
from PIL import Image

from gan_jax.data import pipeline
from gan_jax.data.sources import single


@pytest.fixture
def file(tmp_path):
    y, x = np.mgrid[:40, :60]
    Image.fromarray(np.stack([4 * y, 4 * x, 0 * x], -1).astype(np.uint8)).save(tmp_path / "one.png")
    return str(tmp_path / "one.png")


def windows(source, n=400, seed=0):
    return source.load(
        np.arange(n) % len(source), pipeline.sample_seeds(seed, np.arange(n, dtype=np.uint64))
    )["image"]


def test_windows_are_of_all_places_and_sizes(file):
    source = single.Source(file, resolution=8, widest=4.0, count=10)
    found = windows(source)
    assert source.shape == (8, 8, 3) and len(source) == 10 and found.dtype == np.uint8
    # pixels of the picture a pixel of the window
    slope = (found[:, -1, 4, 0].astype(float) - found[:, 0, 4, 0]) / 7 / 4
    assert 0.9 < slope.min() < 1.2 and 3.5 < slope.max() < 4.1
    assert abs(np.mean(np.log2(slope)) - 1) < 0.15  # evenly in the logarithm
    assert found[..., 0].min() <= 4 and found[..., 0].max() >= 150 and found[..., 1].max() >= 228
    np.testing.assert_array_equal(found, windows(source))
    assert (found != windows(source, seed=1)).any()


def test_one_size_is_cut_as_it_is(file):
    found = windows(single.Source(file, resolution=(8, 12), widest=1.0))
    np.testing.assert_array_equal(
        found[:, :, :, 0], np.broadcast_to(found[:, :, :1, 0], found.shape[:3])
    )
    np.testing.assert_array_equal(np.diff(found[..., 0].astype(int), axis=1), 4)
    turned = windows(single.Source(file, resolution=8, widest=1.0, flip=True))
    signs = np.sign(turned[:, 0, -1, 1].astype(int) - turned[:, 0, 0, 1])
    assert 120 < (signs < 0).sum() < 280


def test_pictures_that_are_measured_differ(file):
    source = single.Source(file, resolution=8)
    found = source.load(np.arange(20), np.zeros(20, np.uint64))["image"]
    assert len(np.unique(found.reshape(20, -1), axis=0)) > 15


def test_fingerprint_follows_the_pixels(file, tmp_path):
    with Image.open(file) as picture:
        picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(tmp_path / "mirrored.png")
    prints = [
        single.Source(str(path), resolution=8).fingerprint
        for path in (file, tmp_path / "mirrored.png")
    ]
    assert prints[0] != prints[1]


def test_side_resizes_first(file):
    source = single.Source(file, resolution=16, side=20, widest=1.2)
    assert source.picture.shape == (20, 30, 3) and "20 x 30 pixels" in source.notes[0]
    assert source.fingerprint != single.Source(file, resolution=16, side=24, widest=1.2).fingerprint


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"resolution": 32}, "40 x 60 pixels, its widest window 64 x 64"),
        ({"resolution": 8, "count": 0}, "^config.data.count=0: it must be at least 1"),
        ({"resolution": 8, "widest": 0.5}, "^config.data.widest=0.5: it must be 1 to 64"),
        ({"path": "nowhere.png"}, "config.data.path='nowhere.png': no such file"),
        ({"path": "text.png"}, "config.data.path='text.png': no known image format"),
    ],
)
def test_bad_settings(file, tmp_path, monkeypatch, settings, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.png").write_text("hello")
    with pytest.raises(ValueError, match=message):
        single.Source(**({"path": file} | settings))
