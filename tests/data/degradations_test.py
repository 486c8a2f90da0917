"""What pictures are spoilt by: each part against BasicSR's and PyTorch's numbers, and the whole by
its seed."""

import io
import math

import numpy as np
import pytest
from PIL import Image

from gan_jax.data import degradations
from tests.paths import FIXTURES

OFFICIAL = np.load(FIXTURES / "degradations.npz")
X = OFFICIAL["x"] / 255


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize("kind", degradations.FILTERS)
@pytest.mark.parametrize("size", [(24, 20), (11, 13), (31, 29), (6, 5)])
def test_resizing_is_pytorchs(kind, size):
    made = degradations.interpolate(X, size, kind)
    np.testing.assert_allclose(made, OFFICIAL[f"{kind}_{size[0]}"], atol=3e-6)


@pytest.mark.parametrize("times", [2, 4])
def test_bicubic_is_matlabs_to_half_a_gray_level(times):
    made = degradations.bicubic(OFFICIAL["x"], times)
    wanted = np.clip(OFFICIAL[f"imresize_{times}"], 0, 1) * 255
    assert made.dtype == np.uint8
    np.testing.assert_array_equal(made, np.rint(wanted))


@pytest.mark.parametrize(
    ("name", "made"),
    [
        ("iso", degradations.bell(11, 1.7, 1.7, 0)),
        ("aniso", degradations.bell(13, 2.1, 0.8, 0.7)),
        ("generalized", degradations.bell(9, 1.3, 2.4, -0.9, 2.2)),
        ("plateau", degradations.bell(15, 2.5, 1.1, 1.9, 1.6, plateau=True)),
        ("sinc", degradations.sinc(13, 1.9)),
    ],
)
def test_kernels_are_basicsrs(name, made):
    np.testing.assert_allclose(made, OFFICIAL[f"k_{name}"], atol=1e-8)
    assert made.sum() == pytest.approx(1)


def test_a_filter_correlates_and_reflects_at_the_border():
    made = degradations.blurred(X, OFFICIAL["k_aniso"].astype(np.float64))
    np.testing.assert_allclose(made, OFFICIAL["filtered"], atol=2e-6)
    one = np.zeros((9, 9, 3))
    one[4, 4] = 1
    shifts = np.zeros((3, 3))
    shifts[0, 1] = 1  # each pixel takes the one above it
    assert np.argwhere(degradations.blurred(one, shifts)[..., 0] > 0.5).tolist() == [[5, 4]]


def test_sharpening_is_basicsrs_to_half_a_gray_level():
    made = degradations.sharpened(OFFICIAL["low"])
    assert np.abs(made - OFFICIAL["usm"] * 255).max() <= 0.5001
    assert np.abs(made.astype(int) - OFFICIAL["low"]).max() > 5
    flat = np.full((30, 30, 3), 77, np.uint8)
    np.testing.assert_array_equal(degradations.sharpened(flat), flat)


def test_gaussian_noise_has_its_strength():
    gray = degradations.gaussian_noise(np.zeros((200, 200, 3)), 0.1, True, rng())
    color = degradations.gaussian_noise(np.zeros((200, 200, 3)), 0.1, False, rng())
    assert gray.shape[-1] == 1 and color.shape[-1] == 3
    assert gray.std() == pytest.approx(0.1, rel=0.02) == color.std()


@pytest.mark.parametrize("gray", [False, True])
def test_poisson_noise_grows_with_the_light(gray):
    """Its variance is x / v, v the power of two above the number of 8-bit values."""
    x = np.full((400, 200, 3), 0.2)
    x[200:] = 0.8
    found = degradations.poisson_noise(x, gray, rng())
    for part, level in ((found[:200], 0.2), (found[200:], 0.8)):
        assert part.var() == pytest.approx(level / 2, rel=0.05)  # two values: v = 2
        assert abs(part.mean()) < 0.02


def test_jpeg_is_a_files():
    file = io.BytesIO()
    Image.fromarray(OFFICIAL["low"]).save(file, "JPEG", quality=40)
    wanted = np.asarray(Image.open(file)) / 255
    np.testing.assert_array_equal(degradations.jpeg(OFFICIAL["low"] / 255, 40.2), wanted)


def test_kernels_are_drawn_as_published():
    """Sides 7 to 21, odd; a tenth rings (has a negative part)."""
    drawn = [degradations.kernel(r, (0.2, 3.0)) for r in [rng(1)] for _ in range(1500)]
    sides = np.array([len(kernel) for kernel in drawn])
    assert set(sides) == set(range(7, 22, 2))
    assert np.mean(sides == 7) == pytest.approx(1 / 8, abs=0.03)
    ringing = [kernel.min() < -1e-6 for kernel in drawn]
    assert np.mean(ringing) == pytest.approx(0.1, abs=0.03)
    round_ones = [np.allclose(kernel, kernel.T, atol=1e-12) for kernel in drawn]
    # .9 of (.45 + .12 + .12), and those that ring
    assert np.mean(round_ones) == pytest.approx(0.9 * 0.69 + 0.1, abs=0.05)


def test_the_whole_is_smaller_and_decided_by_the_seed():
    picture = np.array(Image.fromarray(OFFICIAL["low"]).resize((64, 48)))
    one, same, other = (degradations.second_order(picture, 4, rng(s)) for s in (3, 3, 4))
    assert one.shape == (12, 16, 3) and one.dtype == np.uint8
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()


def test_the_whole_keeps_what_a_picture_shows():
    """The mean over many is the picture made small, but for what it always loses."""
    picture = np.array(Image.fromarray(OFFICIAL["low"]).resize((64, 48), Image.Resampling.BICUBIC))
    made = np.mean([degradations.second_order(picture, 4, rng(s)) for s in range(40)], 0)
    plain = degradations.bicubic(picture, 4).astype(float)
    assert np.abs(made - plain).mean() < 25
    assert np.corrcoef(made.ravel(), plain.ravel())[0, 1] > 0.8


def test_a_side_of_few_pixels_is_blurred_too():
    tiny = degradations.second_order(np.full((4, 8, 3), 90, np.uint8), 4, rng(2))
    assert tiny.shape == (1, 2, 3)


def test_the_ringing_filter_is_a_low_pass():
    """Its response at a frequency below the cutoff is about 1, above it about 0."""
    kernel = degradations.sinc(41, math.pi / 2)
    axis = np.arange(41) - 20
    for frequency, wanted in ((0.3 * math.pi, 1.0), (0.8 * math.pi, 0.0)):
        response = (kernel * np.cos(frequency * axis)[None]).sum()
        assert response == pytest.approx(wanted, abs=0.1)
