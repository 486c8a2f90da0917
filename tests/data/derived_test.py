import pickle
import sys

import numpy as np
import pytest

from gan_jax.data import derived
from tests.data.domains_test import Colors

SKY, SEA = (200, 220, 240), (20, 60, 120)


def picture(side=64):
    """Two plain halves: one edge, along a row."""
    image = np.empty((side, side, 3), np.uint8)
    image[: side // 2], image[side // 2 :] = SKY, SEA
    return image


class Drawn:
    """Noise, of which sample 1 is sample 0 again; counts what is loaded."""

    shape, classes, targets, fingerprint = (32, 32, 3), (), None, ""

    def __len__(self):
        return 3

    def load(self, ids, seeds):
        draws = [np.random.default_rng(i // 2).integers(0, 256, self.shape, np.uint8) for i in ids]
        return {"id": ids, "image": np.stack(draws), "target": np.stack(draws)[:, ::-1]}


def test_only_what_lies_around_an_edge_is_blurred():
    x = picture()
    made = derived.smoothed_edges(x)
    changed = np.flatnonzero((made != x).any((1, 2)))
    assert changed.tolist() == [30, 31, 32, 33]  # the blur reaches two rows to either side
    # of 16 parts the first row beyond the edge takes 11 of its own color, the next one 15
    sky, sea = np.array(SKY, float), np.array(SEA, float)
    np.testing.assert_allclose(made[31, 7], (11 * sky + 5 * sea) / 16, atol=0.5)
    np.testing.assert_allclose(made[30, 7], (15 * sky + sea) / 16, atol=0.5)


def test_regions_have_one_size_in_pictures_of_any():
    counts = []
    for side in (64, 128):
        ramp = np.linspace(0, 255, side)
        x = np.stack([*np.meshgrid(ramp, ramp), np.zeros((side, side))], -1).astype(np.uint8)
        counts.append(len(np.unique(derived.superpixels(x).reshape(-1, 3), axis=0)))
    # 200 in 256 x 256
    assert 8 <= counts[0] <= 18 and 36 <= counts[1] <= 66


def test_a_faint_edge_stays():
    x = picture()
    x[32:] = np.array(SKY) - 20  # a gradient of 80, below both thresholds
    np.testing.assert_array_equal(derived.smoothed_edges(x), x)


def test_regions_are_filled_with_their_mean():
    noise = np.random.default_rng(0).integers(-9, 10, (128, 128, 3))
    x = (picture(128) + noise).astype(np.uint8)
    made = derived.superpixels(x)
    assert np.abs(made.astype(float) - picture(128)).mean() < 0.8 * np.abs(noise).mean()
    for c in range(3):  # a region's mean is its own, so that of all is the picture's
        assert abs(made[..., c].mean() - x[..., c].mean()) < 0.5


@pytest.mark.parametrize("channels", [1, 4])
def test_other_channels(channels):
    x = np.random.default_rng(0).integers(0, 256, (24, 20, channels), np.uint8)
    for make in (derived.smoothed_edges, derived.superpixels):
        assert make(x).shape == x.shape and make(x).dtype == np.uint8


def test_a_batch_has_the_views_of_its_own_pictures():
    ids, seeds = np.array([2, 0]), np.zeros(2, np.uint64)
    views = pickle.loads(pickle.dumps(derived.Derived(Drawn(), ["target_smooth", "superpixels"])))
    batch = views.load(ids, seeds)
    assert set(batch) == {"id", "image", "target", "target_smooth", "superpixels"}
    for i in range(2):
        smoothed, regions = (batch[name][i] for name in ("target_smooth", "superpixels"))
        np.testing.assert_array_equal(smoothed, derived.smoothed_edges(batch["target"][i]))
        np.testing.assert_array_equal(regions, derived.superpixels(batch["image"][i]))


def test_nothing_of_a_batch_is_kept():
    """Of random windows none comes again: what is kept would only fill the memory."""
    views = derived.Derived(Drawn(), ["superpixels"])
    before = len(pickle.dumps(views))
    views.load(np.arange(3), np.zeros(3, np.uint64))
    assert len(pickle.dumps(views)) == before


def test_what_is_missing_is_said(monkeypatch):
    with pytest.raises(ValueError, match=r"Game.views='superpixel'.*superpixels"):
        derived.Derived(Drawn(), ["superpixel"])
    unpaired = derived.Derived(Colors(), ["target_smooth"])
    with pytest.raises(ValueError, match="target_smooth is made of a target"):
        unpaired.load(np.arange(2), np.zeros(2, np.uint64))
    monkeypatch.setitem(sys.modules, "skimage", None)
    with pytest.raises(ValueError, match=r"gan_jax\[cartoon\]"):
        derived.Derived(Drawn(), ["superpixels"])
