import numpy as np
import pytest
from PIL import Image

from gan_jax import pretrained
from gan_jax.data import geometry
from gan_jax.evaluation import adaptation, restoration
from tests.nets import pixel_net


@pytest.fixture(autouse=True)
def nets(monkeypatch):
    for name in ("lpips_alex", "vgg16"):
        monkeypatch.setitem(pretrained.NETS, name, lambda *_, name=name: pixel_net(name))


def pictures(n=2, side=50):
    small = np.random.default_rng(0).integers(0, 256, (n, 6, 6, 3), np.uint8)
    return [geometry.fit(x, (side, side + 3), "stretch") for x in small]


def test_pairs_are_the_middle_and_made_small():
    (pair,) = restoration.pairs(pictures(1, 58), times=4, side=48)
    assert pair.large.shape == (48, 48, 3) and pair.small.shape == (12, 12, 3)
    np.testing.assert_array_equal(pair.large, pictures(1, 58)[0][5:53, 6:54])
    box = pair.large.reshape(12, 4, 12, 4, 3).mean((1, 3))
    assert np.abs(pair.small - box).mean() < 3


def test_pictures_too_small_to_measure():
    with pytest.raises(ValueError, match="picture 2 of 2: 33x30, at --side 64; both must be 48"):
        restoration.pairs([*pictures(1), *pictures(1, 30)], times=4, side=64)


def test_a_perfect_method_and_the_filters():
    found = restoration.pairs(pictures(), times=4, side=48)
    answers = {pair.small.tobytes(): pair.large for pair in found}
    methods = restoration.filters(4) | {"perfect": lambda small: answers[small.tobytes()]}
    values = restoration.measure(found, methods, 4)
    assert values["perfect"]["psnr"] == values["perfect"]["psnr_y"] == float("inf")
    assert values["perfect"]["ssim_y"] == pytest.approx(1) and values["perfect"]["lpips"] == 0
    for name in ("bicubic", "lanczos"):
        assert 20 < values[name]["psnr"] < 60 and values[name]["lpips"] > 0
        assert values[name]["seconds_a_megapixel"] > 0


def test_pictures_are_read(tmp_path):
    Image.fromarray(pictures()[0]).convert("L").save(tmp_path / "a.png")
    (found,) = restoration.read([tmp_path], 0, 64)
    assert found.shape == (50, 53, 3)
    with pytest.raises(ValueError, match="give pictures, or --portraits"):
        restoration.read([], 0, 64)


def test_variety_within_what_is_near_to_one_of_the_few():
    """Two clusters, of members 1 apart and of members all the same; and one of a single member."""
    seen = np.array([[0.0, 0], [1, 0], [5, 5], [5, 5], [9, 0]])
    assert adaptation.intra(seen, np.array([0, 0, 1, 1, 2])) == pytest.approx((1 + 0) / 2)
    assert adaptation.intra(seen[:1], np.array([0])) == 0
    np.testing.assert_allclose(
        adaptation.distances(seen[:1], seen)[0], [0, 1, 50, 50, 81], atol=1e-4
    )
