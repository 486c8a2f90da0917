"""What somebody likes, by simulated users whose rule is known; and ideas by it."""

import json

import numpy as np
import pytest
from PIL import Image

from gan_jax import pretrained
from gan_jax.commands import ideas as ideas_command
from gan_jax.inference import loading
from gan_jax.personalize import ideas, likes, person
from gan_jax.personalize.base import Base
from tests.nets import pixel_net
from tests.runs import PALETTE, lively, untrained


def precision(rule, rounds, seed, n=300):
    """Shares of liked among 5 shown, of each round, by a user who likes where the rule holds."""
    rng = np.random.default_rng(seed)
    pool = rng.normal(0, 1, (n, 12))
    liked, shown, found = rule(pool), [], []
    for _ in range(rounds + 1):
        taste = likes.fit(pool, pool[shown], liked[shown])
        new = likes.choose(taste, pool, 5, shown)
        found.append(liked[new].mean())
        shown += new
    return found


@pytest.mark.parametrize(
    "rule",
    [
        lambda x: x[:, 0] > 1,  # one of six, by one number
        lambda x: x[:, 0] - x[:, 1] + x[:, 2] > 1.7,  # one of six, by three
    ],
)
def test_the_next_sheet_is_better_than_chance(rule):
    found = np.mean([precision(rule, 4, seed) for seed in range(20)], 0)
    chance = np.mean(rule(np.random.default_rng(0).normal(0, 1, (10_000, 12))))
    assert found[4] > 2.5 * chance and found[4] > found[0]


def test_before_anything_is_rated_what_differs_most_is_shown():
    pool = np.array([[0.0], [0.1], [-0.1], [9], [-9]])
    taste = likes.fit(pool, pool[:0], [])
    assert likes.choose(taste, pool, 2) == [3, 4]
    assert sorted(likes.choose(taste, pool, 9)) == [0, 1, 2, 3, 4]
    assert likes.choose(taste, pool, 2, shown=[3, 4, 0, 1, 2]) == []


def test_one_kind_of_word_is_enough():
    pool = np.random.default_rng(0).normal(0, 1, (50, 3))
    best = pool[:, 0].argmax()
    for rows, liked in (([best], [True]), ([pool[:, 0].argmin()], [False])):
        scores = likes.fit(pool, pool[rows], liked).scores(pool)
        assert np.corrcoef(scores, pool[:, 0])[0, 1] > 0.3


def test_features_are_colors_of_the_region():
    pictures = np.zeros((2, 20, 20, 4), np.uint8)
    pictures[1, 15:] = (255, 0, 0, 255)
    pictures[0, 15:] = (255, 0, 0, 0)  # clear
    whole, below = (likes.features(pictures, box) for box in (np.s_[:, :], np.s_[15:, :]))
    assert (whole[0] == 0).all() and below[1, -3:].tolist() == [1, 0, 0]
    assert whole[1, -3] == pytest.approx(0.25, abs=0.01)


@pytest.fixture
def anna(tmp_path, monkeypatch):
    """(base's workdir, a person's folder)."""
    monkeypatch.chdir(tmp_path)
    workdir = untrained(tmp_path / "run", PALETTE, [16, 16, 4], ["a"], lively)
    for name in ("lpips_vgg", "lpips_alex", "efflite0"):
        monkeypatch.setitem(pretrained.NETS, name, pixel_net)
    base = Base(loading.load_sampler(workdir))
    ws = np.asarray(base.repeat(base.statistics.ws[:2]))
    person.write(
        tmp_path / "anna", base, base.params, ws, base.pictures(ws), {"made_from": [], "seed": 0}
    )
    return base


def test_ideas_from_the_first_sheet_to_none_left(anna, tmp_path, capsys):
    given = ["anna", "--out", "new", "--base", "run", "--count", "2", "--steps", "4"]
    ideas_command.main(given)
    assert "drawing 6 ideas" in capsys.readouterr().out
    pictures = [np.asarray(Image.open(f"new/{k:02d}.png")) for k in (1, 2)]
    assert pictures[0].shape == (16, 16, 4) and (pictures[0] != pictures[1]).any()
    assert Image.open("new/sheet/ideas.png").size[0] == 4 * 128
    ideas_command.main([*given, "--like", "1", "--dislike", "2"])
    state = json.loads((tmp_path / "new/ideas.json").read_text())
    assert (state["liked"], state["disliked"], len(set(state["shown"]))) == ([1], [2], 4)
    ideas_command.main([*given, "--dislike", "1"])
    state = json.loads((tmp_path / "new/ideas.json").read_text())
    assert (state["liked"], state["disliked"], len(set(state["shown"]))) == ([], [1, 2], 6)
    with pytest.raises(ValueError, match="new: all 6 ideas were shown"):
        ideas_command.main(given)
    with pytest.raises(ValueError, match="no idea has the number 7; there are 1 to 6"):
        ideas_command.main([*given, "--like", "7"])
    with pytest.raises(ValueError, match="3 is in both"):
        ideas_command.main([*given, "--like", "3", "--dislike", "3"])
    with pytest.raises(ValueError, match="its ideas are of the region bottom"):
        ideas_command.main([*given, "--region", "top"])
    state = json.loads((tmp_path / "new/ideas.json").read_text())
    (tmp_path / "new/ideas.json").write_text(json.dumps(state | {"person": "another"}))
    with pytest.raises(ValueError, match="its ideas are of the person as made before"):
        ideas_command.main(given)
    (tmp_path / "new/ideas.json").write_text(json.dumps(state))
    with pytest.raises(ValueError, match="there are no ideas in other yet"):
        ideas_command.main(["anna", "--out", "other", "--base", "run", "--like", "1"])
    assert sorted(x.name for x in tmp_path.iterdir()) == ["anna", "new", "run"]
    (tmp_path / "new/ideas.json").write_text("{}")
    with pytest.raises(ValueError, match="new: its ideas can't be read"):
        ideas_command.main(given)
    person.forget(tmp_path / "anna")
    assert sorted(x.name for x in tmp_path.iterdir()) == ["run"]


def test_the_person_stays_but_for_the_region(anna):
    """Ideas are nearer to the person than where they began, above the region."""
    made = person.read(anna.sampler.step.parents[2] / "anna", anna)
    rng = np.random.default_rng(0)
    rows = rng.choice(len(anna.statistics.ws), 4, replace=False)
    found = ideas.draw(made, "bottom", 4, 60, 0, log=lambda line: None)
    usual = anna.pictures(made.ws[:1]).astype(int)
    above = slice(0, ideas.rows_of("bottom", 16).start)

    def off(ws):
        return np.abs(anna.pictures(ws)[:, above] - usual[:, above]).mean()

    begin = np.asarray(anna.repeat(anna.statistics.ws[rows]))
    assert off(found) < 0.6 * off(begin)
