"""Holes: their sizes as published, by the seed alone, and within the share that is asked for."""

import numpy as np
import pytest

from gan_jax.data import masks


def drawn(kind, n=60, side=256, share=(0, 1)):
    rng = np.random.default_rng(0)
    return np.stack([masks.draw(kind, (side, side), rng, share) for _ in range(n)])


@pytest.mark.parametrize("kind", masks.KINDS)
def test_masks_are_decided_by_the_seed_and_scale_with_the_picture(kind):
    one, same = (masks.KINDS[kind]((96, 128), np.random.default_rng(5)) for _ in range(2))
    assert one.dtype == bool and one.shape == (96, 128)
    np.testing.assert_array_equal(one, same)
    small, large = (drawn(kind, 80, side).mean() for side in (64, 256))
    assert small == pytest.approx(large, rel=0.2)


def test_thin_ones_are_thinner_than_thick_ones():
    """By how many of the missing pixels lie at a border of a hole."""

    def border(kind):
        found = drawn(kind, share=(0.1, 0.5))
        inner = found[:, 1:-1, 1:-1]
        around = found[:, :-2, 1:-1] & found[:, 2:, 1:-1] & found[:, 1:-1, :-2] & found[:, 1:-1, 2:]
        return 1 - (inner & around).sum() / inner.sum()

    thin, medium, thick = map(border, ("thin", "medium", "thick"))
    assert thin > 2 * medium > 2 * thick


def test_a_share_is_kept_or_refused():
    shares = drawn("thick", 20, 64, (0.2, 0.4)).mean((1, 2))
    assert shares.min() > 0.2 and shares.max() <= 0.4
    with pytest.raises(ValueError, match=r"missing=\(0.9, 1.0\): 100 masks of 'thin'"):
        masks.draw("thin", (64, 64), np.random.default_rng(0), (0.9, 1.0))


def test_deepfills_have_a_box_of_about_half_the_side():
    """128 pixels of 256, less up to 16 on each side, and brushes."""
    found = drawn("deepfill", 30)
    for mask in found:
        columns = np.cumsum(np.pad(mask, ((0, 0), (1, 0))), 1)
        runs = (columns[:, 96:] - columns[:, :-96]).max()  # 96 missing in a row somewhere
        assert runs == 96
    assert found.mean((1, 2)).min() > 96**2 / 256**2


def test_lamas_are_boxes_as_often_as_strokes():
    """A box's edges are straight: all its rows are equal."""
    rng = np.random.default_rng(1)
    with_box = []
    for _ in range(200):
        mask = masks.lama("lama", (256, 256), rng)
        rows = mask.any(1)
        edges = {tuple(np.flatnonzero(np.diff(row.astype(int)))) for row in mask[rows]}
        with_box.append(len(edges) <= 8)
    assert np.mean(with_box) == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize("width", [1, 2, 7, 20])
def test_a_stroke_is_as_wide_as_asked(width):
    mask = masks.stroke((64, 64), [(30, 32), (55, 32)], width)
    assert abs(mask[:, 40].sum() - width) <= 1
    assert mask[32, 32:53].all() and not mask[32, : 30 - width].any()
