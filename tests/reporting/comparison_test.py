"""What a report makes of the values of several runs."""

import shutil

import pytest

from gan_jax.commands import report
from gan_jax.reporting import comparison, runs
from tests.reporting.made_runs import (
    PROTOCOL,
    Page,
    evaluation,
    make_run,
    page_of,
    rows_of,
    section_of,
)


def test_best_of_runs_is_shaded_and_what_is_as_good_outlined(tmp_path):
    near = evaluation(3000, 0.026)
    far = evaluation(3000, 0.2) | {
        "values": {"kid_efflite0": 0.2, "kid_efflite0_se": 0.001, "precision_efflite0": 0.9}
    }
    page = Page(
        page_of(
            *[
                make_run(tmp_path / n, [e])
                for n, e in (("a", evaluation(3000, 0.025)), ("b", near), ("c", far))
            ]
        )
    )
    assert [e[2] for e in page.all("b", class_="best")[1:]] == ["0.0250 ± 0.0010", "0.9"]
    assert [e[2] for e in page.all("b", class_="tie")[1:]] == ["0.0260 ± 0.0010"]
    assert comparison.marks([(0.5, 0.0), (0.5, 0.0), (float("nan"), 0.1)], 1) == [
        "best",
        "best",
        "",
    ]
    alone = Page(page_of(tmp_path / "a"))
    assert not alone.all("b", class_="best")


@pytest.mark.parametrize(("gap", "mark"), [(0.0099, "tie"), (0.0101, "")])
def test_a_tie_is_within_two_standard_errors_of_the_difference(gap, mark):
    """The errors 0.003 and 0.004 are 0.005 together."""
    assert comparison.marks([(0.5, 0.003), (0.5 - gap, 0.004)], 1) == ["best", mark]
    assert comparison.marks([(0.5 + gap, 0.003), (0.5, 0.004)], -1) == [mark, "best"]


def test_nobody_is_best_where_all_are_zero(tmp_path):
    nothing = evaluation(3000, 0.02) | {
        "values": {"recall_efflite0": 0.0, "precision_efflite0": 0.5}
    }
    page = Page(page_of(make_run(tmp_path / "a", [nothing]), make_run(tmp_path / "b", [nothing])))
    assert [e[2] for e in page.all("b", class_="best")[1:]] == ["0.5", "0.5"]
    assert comparison.marks([(0.0, 0.0), (0.0, 0.1)], -1) == ["", ""]
    # z, or what a translator is given
    assert "The same inputs at every time" in page.text("section", id="samples")


def values_of(tmp_path, values, about, known=comparison.unknown):
    evaluations = [evaluation(3000, 0.1, values=values, about=about)]
    return comparison.Values(runs.read([make_run(tmp_path / "a", evaluations)]), known)


def test_what_is_known_of_a_value_comes_from_its_record(tmp_path):
    values = {"shift": 0.1, "input": 0.3, "spread": 0.01, "odd": 1.0}
    about = {
        "shift": {"better": -1, "error": "spread", "control_of": None, "about": "how far"},
        "input": {"better": -1, "error": None, "control_of": "shift"},
        "odd": {"better": [1], "error": 3},
    }
    found = values_of(tmp_path, values, about)
    assert list(found) == ["shift", "input", "odd"]  # no error, and the control behind its value
    assert found["shift"] == (-1, "spread", None, "how far") and found["shift"].sign == -1
    assert found["input"].sign == 0 and found.controls_of("shift") == ["input"]
    assert found["odd"].sign == 0


def test_a_record_without_about_is_read_by_what_the_measures_declare(tmp_path):
    values = dict.fromkeys(
        (
            "kid_efflite0", "kid_efflite0_se", "memorised_efflite0", "cas", "cas_std", "style_kid",
            "style_kid_input", "memorised_held_out_efflite0", "cas_real", "cas_real_std", "x_real",
        ),
        0.5,
    )  # fmt: skip
    found = values_of(tmp_path, values, None, report.known)
    assert {name: about.sign for name, about in found.items()} == {
        "kid_efflite0": -1,
        "memorised_efflite0": 0,
        "memorised_held_out_efflite0": 0,
        "cas": 1,
        "cas_real": 0,
        "style_kid": -1,
        "style_kid_input": 0,
        "x_real": 0,
    }
    assert list(found)[1:5] == [
        "memorised_efflite0", "memorised_held_out_efflite0", "cas", "cas_real",
    ]  # fmt: skip
    assert found["kid_efflite0"].error == "kid_efflite0_se" and found["cas"].error == "cas_std"
    assert found.controls_of("cas") == ["cas_real"]
    assert found.controls_of("style_kid") == ["style_kid_input"]


def test_a_control_is_never_compared_as_a_result(tmp_path):
    one, other = (evaluation(3000, 0, values={"cas": x, "cas_real": x}) for x in (0.5, 0.6))
    page = Page(page_of(make_run(tmp_path / "a", [one]), make_run(tmp_path / "b", [other])))
    assert [e[2] for e in page.all("b", class_="best")[1:]] == ["0.6"]


def test_protocols_that_differ_are_said_and_nothing_is_shaded(tmp_path):
    change = lambda **keys: [evaluation(3000, 0.02, protocol=PROTOCOL | keys)]
    a = make_run(tmp_path / "a", change())
    features = {"name": "dino", "dim": 1280}
    b = make_run(tmp_path / "b", change(features=features, images=500, commit="0000000"))
    page = Page(page_of(a, b))
    assert "not comparable. Measured differently: features.name, images." in page.text(
        "div", class_="warning"
    )
    assert "commit" not in page.text("div", class_="warning")
    assert not page.all("b", class_="best") and "Nothing is shaded" in page.text(
        "section", id="numbers"
    )
    assert [e[2] for e in page.all("b", class_="bad")] == ["1000", "500", "efflite0", "dino"]
    c = make_run(tmp_path / "c", change(commit="0000000", versions={"jax": "0.11"}))
    assert not Page(page_of(a, c)).all("div", class_="warning")
    d = make_run(tmp_path / "d", [evaluation(3000, 0.02, protocol=None)])
    assert "not comparable" in Page(page_of(a, d)).text("div", class_="warning")
    e = make_run(tmp_path / "e", [evaluation(1000, 0.1), *change(seed=1)])
    assert "e was not always measured alike, so not all its numbers compare: seed 0 → 1." in Page(
        page_of(e)
    ).text("div", class_="warning")


def test_settings_that_differ(tmp_path):
    a = make_run(
        tmp_path / "a",
        config={"seed": 0, "opt_g": {"lr": 0.1, "b1": 0.0}, "d": {"norm": "none"}, "x": 1},
    )
    b = make_run(
        tmp_path / "b", config={"seed": 0, "opt_g": {"lr": 0.2, "b1": 0.0}, "d": {}, "x": True}
    )
    section = section_of(page_of(a, b), "settings")
    assert rows_of(section)[1:] == [
        ["d", "not set", "{}"], ["d.norm", "none", "not set"], ["opt_g.lr", "0.1", "0.2"],
        ["x", "1", "true"],
    ]  # fmt: skip
    assert len(Page(section).all("details")) == 2
    section = section_of(page_of(a), "settings")
    assert not Page(section).all("table") and '"lr": 0.1' in Page(section).text("details")
    shutil.copy(a / "config.json", b / "config.json")
    assert "The configs are the same." in page_of(a, b)
