"""Simulated people and what they like: rules by what was drawn, precision on what is held back."""

import json

import numpy as np
import pytest

from gan_jax.data import drawings
from gan_jax.evaluation import preferences


def test_a_taste_is_found_and_measured_on_what_was_never_shown(monkeypatch):
    """Of pictures whose liking is one number of theirs, and of those where it is nothing."""
    rng = np.random.default_rng(0)
    pool = rng.normal(size=(200, 6))
    liked = pool[:, 2] > 0.8
    found = preferences.precision(pool, liked, 0)
    assert len(found) == 4 and found[0] == pytest.approx(liked.mean(), abs=0.05)
    assert found[-1] == 1
    by_chance = np.mean(
        [preferences.precision(pool, rng.random(200) < 0.2, k)[1:] for k in range(40)]
    )
    assert by_chance == pytest.approx(0.2, abs=0.06)
    seen = []
    monkeypatch.setattr(
        preferences.likes, "choose", lambda taste, part, n, shown: seen.append(len(part)) or [0]
    )
    preferences.precision(pool, liked, 0)
    assert set(seen) == {100}


def test_clothes_are_drawn_as_they_are_called(monkeypatch):
    kinds, colors = drawings.clothes(preferences.STYLE)
    assert len(kinds) == 9 and all(color.startswith("#") for color in colors)
    few = ["hoodie", "overall"], ["#ff488e", "#65c9ff"]
    monkeypatch.setattr(drawings, "clothes", lambda style: few)
    of = preferences.wardrobe()
    assert of.pictures.shape == (8, 64, 64, 4)
    for picture, color in zip(of.pictures, of.colors, strict=True):
        rgb = np.array(list(bytes.fromhex(color[1:])))
        near = np.abs(picture[48:, :, :3].astype(int) - rgb).max(-1) < 8
        assert near.mean() > 0.1
    rules = preferences.rules(of)
    assert [len(people) for people in rules.values()] == [2, 2, 4]
    assert (rules["kind"][0] == (of.kinds == "hoodie")).all()


def test_the_tool_writes_chance_beside(tool, tmp_path, monkeypatch):
    pictures = np.random.default_rng(0).integers(0, 256, (80, 64, 64, 4), np.uint8)
    kinds, colors = np.array(["a", "b"] * 40), np.array(["#000000", "#ffffff"] * 40)
    made = preferences.Wardrobe(pictures, kinds, colors)
    monkeypatch.setattr(preferences, "wardrobe", lambda: made)
    done = tool("measure_likes", "--out", tmp_path / "likes.json")
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "likes.json").read_text())
    assert found["kind"]["people"] == 2 and found["kind"]["chance"] == 0.5
    assert len(found["color"]["precision"]) == 4 and "chance 0.50" in done.stdout
