"""Each corruption does what it says, more of it the stronger, the same every time."""

import itertools

import numpy as np
import pytest
import scipy.ndimage

from gan_jax.data import corruptions

IDS = np.arange(3)


def photo(channels=3, side=32):
    rough = np.random.default_rng(5).normal(size=(3, side, side, channels))
    smooth = scipy.ndimage.gaussian_filter(rough, (0, 1, 1, 0))
    return np.clip(128 + 200 * smooth, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("kind", corruptions.CORRUPTIONS)
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_stronger_is_further_away_and_clean_is_untouched(kind, channels):
    images, corruption = photo(channels), corruptions.CORRUPTIONS[kind]
    np.testing.assert_array_equal(corruptions.corrupt(images, kind, corruption.clean, IDS), images)
    before = images.copy()
    found = [corruptions.corrupt(images, kind, strength, IDS) for strength in corruption.strengths]
    away = [np.abs(x.astype(float) - images).mean() for x in found]
    assert away[0] > 0.5 and all(a < b for a, b in itertools.pairwise(away)), away
    assert all(x.shape == images.shape and x.dtype == np.uint8 for x in found)
    np.testing.assert_array_equal(images, before)
    if channels == 4:
        assert all((x[..., 3] == images[..., 3]).all() for x in found)


def test_noise_has_its_deviation_and_its_own_seed_per_picture():
    gray = np.full((2, 64, 64, 3), 128, np.uint8)
    noisy = corruptions.corrupt(gray, "noise", 10, np.array([7, 8])).astype(float)
    assert noisy.std() == pytest.approx(10, rel=0.03) and noisy.mean() == pytest.approx(
        128, abs=0.3
    )
    assert (noisy[0] != noisy[1]).mean() > 0.9
    alone = corruptions.corrupt(gray[1:], "noise", 10, np.array([8]))
    np.testing.assert_array_equal(alone[0], noisy[1])


def test_blur_brightness_downscale_and_jpeg_are_the_known_ones():
    images = photo()
    blurred = scipy.ndimage.gaussian_filter(images[0].astype(float), (2, 2, 0), mode="nearest")
    np.testing.assert_allclose(corruptions.corrupt(images, "blur", 2, IDS)[0], blurred, atol=0.51)
    np.testing.assert_allclose(
        corruptions.corrupt(images, "brightness", 0.25, IDS), images * 0.75, atol=0.51
    )
    small = corruptions.corrupt(images, "downscale", 1000, IDS)  # to one pixel and back
    np.testing.assert_allclose(small[:, 0, 0], images.mean((1, 2)), atol=1.5)
    assert (small == small[:, :1, :1]).all()
    blocks = corruptions.corrupt(images, "jpeg", 90, IDS)
    assert 3 < np.abs(blocks.astype(float) - images).mean() < 60


def test_an_unknown_kind_is_one_line():
    with pytest.raises(ValueError, match="corruption='nose' is not known. Did you mean 'noise'?"):
        corruptions.corrupt(photo(), "nose", 1, IDS)
