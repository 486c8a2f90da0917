"""Sources of pictures made smaller and of pictures with holes: what a batch holds, by which seed,
and what is refused."""

import pickle

import numpy as np
import pytest
from PIL import Image

from gan_jax.data import degradations
from gan_jax.data.source import open_source, outline
from gan_jax.evaluation import checks, images


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    for i in range(3):
        small = Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8))
        small.resize((48, 40), Image.Resampling.BICUBIC).save(tmp_path / f"{i}.png")
    return {"source": "folder", "path": str(tmp_path), "resolution": (40, 48), "labels": False}


def seeds(*values):
    return np.array(values, np.uint64)


def test_a_degraded_picture_stands_beside_itself(folder):
    source = pickle.loads(pickle.dumps(open_source({"source": "degraded", "of": folder})))
    batch = source.load(np.array([2, 0]), seeds(5, 6))
    assert source.shape == (40, 48, 3) and source.reduced == 4 and source.partner == "degraded"
    for picture, truth in zip(batch["image"], batch["target"], strict=True):
        small = picture[::4, ::4]
        np.testing.assert_array_equal(small, degradations.bicubic(truth, 4))
        np.testing.assert_array_equal(picture, small.repeat(4, 0).repeat(4, 1))
    sides = images.sides(source)
    np.testing.assert_array_equal(sides.truth.load(np.array([2]))[0], batch["target"][0])


def test_what_is_random_goes_by_seed_and_number(folder):
    settings = {"source": "degraded", "of": folder, "kind": "second_order", "crop": 32}
    source = open_source(settings)
    one = source.load(np.array([0, 1, 1]), seeds(7, 7, 8))
    again = source.load(np.array([1, 0]), seeds(7, 7))
    assert one["image"].shape == (3, 32, 32, 3)
    np.testing.assert_array_equal(one["image"][:2], again["image"][::-1])
    assert (one["image"][1] != one["image"][2]).any()
    assert (one["target"][1] != one["target"][2]).any()  # another window
    # its truth is a window of the picture, of another place in each
    wholes, places = open_source(folder).load(np.array([0, 1]), seeds(7, 7))["image"], []
    for whole, window in zip(wholes, one["target"][:2], strict=True):
        views = np.lib.stride_tricks.sliding_window_view(whole, (32, 32, 3))
        found = np.argwhere((views[..., 0, :, :, :] == window).all((2, 3, 4)))
        places.append(found.tolist())
    assert len(places[0]) == len(places[1]) == 1 and places[0] != places[1]


def test_a_picture_with_holes_stands_beside_itself(folder):
    settings = {"source": "masked", "of": folder, "masks": "thick", "missing": (0.1, 0.5)}
    source = pickle.loads(pickle.dumps(open_source(settings)))
    batch = source.load(np.array([0, 1]), seeds(1, 2))
    image, target = batch["image"], batch["target"]
    assert source.shape == (40, 48, 4) and (target[..., 3] == 255).all()
    missing = image[..., 3] == 0
    assert (image[missing] == 0).all() and (image[~missing] == target[~missing]).all()
    share = missing.mean((1, 2))
    assert share.min() > 0.1 and share.max() <= 0.5
    plain = open_source(folder).load(np.array([0, 1]), seeds(1, 2))["image"]
    np.testing.assert_array_equal(target[..., :3], plain)
    assert (source.load(np.array([0, 1]), seeds(3, 2))["image"][0] != image[0]).any()


def test_evaluation_moves_no_pixels(folder):
    """Settings of the pictures within are those of evaluation too."""
    settings = {"source": "masked", "of": folder | {"flip": True, "crop": "random", "enlarge": 1.5}}
    assert checks.plain(settings) == {"source": "masked", "of": folder | {"crop": "center"}}
    merged = checks.merged(settings, {"of": {"split": "test"}})
    assert merged["of"]["split"] == "test" and merged["of"]["flip"]


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"source": "degraded", "kind": "bicubik"}, "config.data.kind"),
        ({"source": "degraded", "times": 0}, "config.data.times=0: it must be 1 to 8"),
        ({"source": "degraded", "times": 7}, "times=7: pictures of 40 x 48"),
        ({"source": "degraded", "crop": 64}, "crop=64: it must be 1 to 40"),
        ({"source": "degraded", "crop": 30}, "times=4: pictures of 30 x 30"),
        ({"source": "masked", "masks": "holes"}, "config.data.masks"),
        ({"source": "masked", "missing": (0.5, 0.2)}, "give two shares"),
        ({"source": "masked", "of": {"channels": 1}}, "pictures of 1 channels"),
        ({"source": "degraded", "of": {"channels": 4}}, "pictures of 4 channels"),
        ({"source": "masked", "of": {"resolution": 16}}, "32 pixels a side"),
        ({"source": "masked", "of": {"path": "nowhere"}}, "config.data.of.path='nowhere'"),
    ],
)
def test_what_does_not_fit_is_said(folder, settings, says):
    given = settings | {"of": folder | settings.get("of", {})}
    with pytest.raises(ValueError) as error:
        outline(given, "config.data")
        open_source(given)
    assert says in str(error.value)
