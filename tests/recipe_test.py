"""Settings that the training pictures decide: once, with a reason, never those that are given."""

import dataclasses
import json
import pathlib

import pytest

from gan_jax import checkpoint, config, recipe
from gan_jax.data import statistics
from gan_jax.data.statistics import Look, Statistics
from gan_jax.start import resume
from tests.paths import ROOT

PAIRS = str(ROOT / "configs" / "pairs.py")
DRAWN, SHADED = Look(0.4, 6, None), Look(0.01, 2, None)


@pytest.fixture
def measured(monkeypatch):
    """Makes `measure` find what is given."""

    def found(**values):
        result = Statistics(500, (64, 64, 3), **values)
        monkeypatch.setattr(statistics, "measure", lambda source: result)

    return found


def test_flat_targets_are_drawn_flat_and_shaded_ones_never(measured):
    run = config.load(PAIRS)
    measured(pictures=DRAWN, difference=40, spread=60)
    drawn, lines = recipe.decide(run, None)
    assert drawn.g == dict(width=24, blocks=4, residual=True, guided=24, flat=8)
    assert drawn.from_data == () and dataclasses.replace(drawn, g=run.g) == dataclasses.replace(
        run, from_data=()
    )
    assert lines[0].startswith("the pictures to be drawn: 40% of the pixels")
    want = "config.g.flat=8: they are drawn in flat colors; --config.g.flat=0 turns that off."
    assert lines[2] == want
    measured(pictures=SHADED, difference=40, spread=60)
    shaded, lines = recipe.decide(run, None)
    assert shaded.g == dict(width=24, blocks=4, residual=True, guided=0, flat=0)
    assert lines[1] == "config.g.guided=0: they are not drawn in flat colors."


def test_a_palette_has_twice_the_colors_and_shaded_pictures_have_none(measured):
    run = dataclasses.replace(config.load(PAIRS), from_data=("g.palette",))
    for pictures, colors in ((DRAWN, 16), (SHADED, 0), (Look(0.5, 300, None), recipe.MOST)):
        measured(pictures=pictures)
        assert recipe.decide(run, None)[0].g["palette"] == colors


def test_few_pictures_are_augmented_and_many_are_not(monkeypatch):
    run = config.load(str(ROOT / "configs" / "folder.py"))
    for count, augment in ((9_999, run.augment), (10_000, {})):
        found = Statistics(count, (64, 64, 3), SHADED)
        monkeypatch.setattr(statistics, "measure", lambda source, found=found: found)
        decided, lines = recipe.decide(run, None)
        assert decided.augment == augment and f"{count:,} pictures are" in lines[1]
    given = config.load(str(ROOT / "configs" / "folder.py"), ["augment={'name': 'ada'}"])
    assert recipe.decide(given, None)[0].augment == {"name": "ada"}


@pytest.mark.parametrize(
    ("override", "left"),
    [
        ({"g.flat": 4}, ("g.guided",)),
        ({"g": {"width": 8}}, ()),
        ({"g.fla": 1, "d.flat": 1}, ("g.guided", "g.flat")),
        ({"from_data": ()}, ()),
    ],
)
def test_what_is_given_is_not_decided(override, left):
    run = config.load(PAIRS)
    assert config.resolve(PAIRS, override).from_data == left
    assert config.resolve(run, override).from_data == left


def test_a_setting_without_a_rule_is_named():
    run = dataclasses.replace(config.load(PAIRS), from_data=("g.flatt",))
    with pytest.raises(ValueError, match=r"config.from_data='g.flatt' .*Did you mean 'g.flat'"):
        recipe.check(run)
    with pytest.raises(ValueError, match=r"config.from_data='g.flat' is a str; it must be tuple"):
        config.load(PAIRS, ["from_data=g.flat"])


def test_a_run_that_goes_on_decides_nothing_anew(tmp_path, measured):
    run = config.load(PAIRS)
    measured(pictures=SHADED, difference=40, spread=60)
    begun, _ = recipe.decide(run, None)
    for step, text in ((2, json.dumps({"config": config.as_json(begun)})), (4, "{")):
        meta = tmp_path / "checkpoints" / str(step) / "meta"
        meta.mkdir(parents=True)
        (meta / "metadata").write_text(text)
    assert resume.as_begun(run, tmp_path, new=False) == begun
    assert resume.as_begun(run, tmp_path / "nowhere", new=False) == run
    given = config.load(PAIRS, ["g.flat=4"])
    assert resume.as_begun(given, tmp_path, new=False).g == begun.g | {"flat": 4}
    older = {"g": {"width": 24}, "augment_below": 1000}
    assert "augment_below" not in config.current(older)
    assert recipe.as_decided(run, older) == dataclasses.replace(run, from_data=())


def test_a_run_from_anothers_weights_has_their_shapes(tmp_path, monkeypatch):
    folder = str(ROOT / "configs" / "folder.py")
    many = dataclasses.replace(config.load(folder, ["g.palette=12"]), from_data=())
    meta = tmp_path / "meta"
    meta.mkdir()
    (meta / "metadata").write_text(json.dumps({"config": config.as_json(many)}))
    monkeypatch.setattr(checkpoint, "find", pathlib.Path)
    few = config.load(folder, [f"init_from={tmp_path}"])
    begun = resume.as_begun(few, tmp_path / "few", new=True)
    assert begun.g == many.g and begun.from_data == ("augment",)
    alone = config.load(folder)
    assert resume.as_begun(alone, tmp_path / "few", new=True) == alone
