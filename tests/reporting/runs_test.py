"""Run folders read back, however they were left."""

import json
import subprocess
import sys

import numpy as np
import pytest

from gan_jax.data.images import save_png
from gan_jax.reporting import runs
from tests.reporting.made_runs import PROTOCOL, Page, evaluation, make_run, page_of, write_lines


def test_damage_is_left_out_and_counted(tmp_path):
    folder = make_run(tmp_path / "a")
    with (folder / "metrics.jsonl").open("a") as file:
        file.write(
            '{"images": 2900, "d/loss": NaN, "g/loss": 1e999, "d/r1": "big"}\n[1]\n\n{"step":'
            ' 999}\n{"images": 3000, "d/l'
        )
    write_lines(
        folder / "evaluations.jsonl", [evaluation(2000, float("nan")), evaluation(1000, 0.1)]
    )
    (folder / "samples" / "0000001000.png").write_bytes(
        (folder / "samples" / "0000002000.png").read_bytes()[:50]
    )
    assert runs.Picture.of(b"GIF89a" + bytes(60) + b"IEND1234") is None
    (folder / "samples" / "notes.png").write_bytes(b"")
    (folder / "config.json").write_text('{"seed": ')
    page = Page(page_of(folder))
    assert [e[2] for e in page.all("li")] == [
        "config.json is damaged",
        "metrics.jsonl: 3 damaged lines left out (line 91, 93, 94)",
        "metrics.jsonl: 3 values not finite (first: d/loss = nan at 2,900 images)",
        "evaluations.jsonl: 1 value not finite (first: kid_efflite0 = nan at 2,000 images)",
        "1 damaged sample grid left out (first: 0000001000.png)",
    ]
    assert "nan" in page.text("section", id="numbers") and "best 0.1 at 1,000" in page.text(
        "section", id="numbers"
    )
    assert len(page.all("figure", class_="frame")) == 2


@pytest.mark.parametrize(
    "odd",
    [None, 3, "x", [], [1], {"x": 3}, {"x": None}, {"x": [3]}, {"x": {"y": [[1], 2, ["a", 1]]}}],
)
def test_no_shape_of_a_line_ends_the_report(tmp_path, odd):
    keys = ("values", "curves", "groups", "tables", "pictures", "protocol", "seconds", "step")
    lines = [
        {"images": 10, **dict.fromkeys(keys, odd)},
        evaluation(20, 1e300),
        {"images": 30, **dict.fromkeys(keys, odd)},
    ]
    folder = make_run(tmp_path / "a", lines, config=odd or {})
    (folder / "metrics.jsonl").write_text(
        json.dumps({"images": 10**400}) + '\n{"images": 3, "d/a": -1e300, "img/s": null}'
    )
    assert Page(page_of(folder, make_run(tmp_path / "b"))).all("section", id="numbers")


@pytest.mark.filterwarnings("error")
def test_numbers_no_axis_can_hold(tmp_path):
    huge = [
        {"images": n, "d/loss": 1e308, "d/x": (-1) ** n * 1e308, "g/loss": -1e308, "img/s": 1e308}
        for n in range(500)
    ]
    folder = make_run(
        tmp_path / "a", [evaluation(10, 1e308), evaluation(20, -1e308), evaluation(30, 1.0)]
    )
    write_lines(folder / "metrics.jsonl", huge)
    page = Page(page_of(folder))
    assert "no finite value" in page.text("section", id="losses") and "1e+308" in page.text(
        "section", id="numbers"
    )


def test_lines_of_one_time_are_one(tmp_path):
    more = evaluation(
        2000, 0.1, values={"kid_efflite0": 0.1, "cas": 0.5}, protocol=PROTOCOL | {"commit": "0"}
    )
    folder = make_run(
        tmp_path / "a", [evaluation(2000, 0.3, groups={"x": {"y": 1}}), evaluation(1000, 0.2), more]
    )
    (run,) = runs.read([folder])
    assert run.values("kid_efflite0") == [(1000, 0.2), (2000, 0.1)]
    assert run.values("precision_efflite0") == [(1000, 0.5), (2000, 0.5)] and run.values("cas") == [
        (2000, 0.5)
    ]
    assert run.of("groups") == {"x": {"y": 1}}
    assert not Page(page_of(folder)).all("div", class_="warning")
    other = more | {"protocol": PROTOCOL | {"seed": 1}}
    write_lines(
        folder / "evaluations.jsonl",
        [evaluation(2000, 0.3, protocol=PROTOCOL | {"seconds": 1}), other],
    )
    (run,) = runs.read([folder])
    assert (
        run.values("precision_efflite0") == [(2000, 0.5)]
        and run.of("protocol") == other["protocol"]
    )
    assert "not all its numbers compare: seed 0 → 1." in Page(page_of(folder)).text(
        "div", class_="warning"
    )


def test_a_line_without_images_is_placed_by_its_step(tmp_path):
    folder = make_run(tmp_path / "a", config={"batch": 16})
    lines = [
        {"step": 5, "images": 160, "d/loss": 1.0},
        {"step": 5, "eval/kid": 0.5},
        {"step": 6, "d/loss": 2.0},
    ]
    write_lines(folder / "metrics.jsonl", lines)
    (run,) = runs.read([folder])
    assert [(line["images"], line["d/loss"]) for line in run.lines] == [(96, 2.0), (160, 1.0)]
    assert run.lines[1]["eval/kid"] == 0.5 and run.notes == []


def test_evaluations_of_the_log_stand_in(tmp_path):
    folder = make_run(tmp_path / "a")
    (folder / "evaluations.jsonl").unlink()
    write_lines(
        folder / "metrics.jsonl",
        [{"images": 9, "d/loss": 1.0}, {"images": 10, "eval/kid_efflite0": 0.125}],
    )
    page = Page(page_of(folder))
    assert "0.125" in page.text("section", id="numbers") and "those of metrics.jsonl" in page.text(
        "ul"
    )
    assert "eval" not in page.text("section", id="losses")


def test_many_grids_are_thinned_evenly(tmp_path):
    folder = make_run(tmp_path / "a", grids=90)
    page = Page(page_of(folder))
    times = [int(e[1]["data-images"]) for e in page.all("figure", class_="frame")]
    assert len(times) == 40 and (times[0], times[-1]) == (1000, 90_000)
    assert set(np.diff(times)) == {2000, 3000}
    assert "40 of 90 sample grids shown, evenly spaced" in page.text("ul", class_="notes")
    shown = [n for n, e in enumerate(page.all("figure", class_="frame")) if "hidden" not in e[1]]
    assert shown == [0, 39]  # what is seen where no script runs
    assert page.all("div", class_="controls", hidden=None)


def test_only_pictures_inside_the_run_are_shown(tmp_path):
    save_png(tmp_path / "secret.png", np.zeros((4, 4, 3), np.uint8))
    files = (
        "../secret.png",
        str(tmp_path / "secret.png"),
        "link.png",
        "a\0b",
        "..",
        "evaluation/near.png",
    )
    pictures = {file: {"file": file} for file in files}
    folder = make_run(tmp_path / "a", [evaluation(10, 0.1, pictures=pictures)])
    (folder / "link.png").symlink_to(tmp_path / "secret.png")
    page = Page(page_of(folder))
    assert page.text("section", id="pictures").count("can't be shown") == 5
    assert len(page.all("img")) == 3 + 1


def test_runs_of_one_name_are_told_apart(tmp_path):
    folders = [make_run(tmp_path / name) for name in ("x/a", "y/a", "y/b")]
    assert [run.label for run in runs.read([*folders, folders[0]])] == [
        "x/a",
        "y/a",
        "b",
        "x/a (2)",
    ]


def test_reading_a_run_needs_no_jax():
    code = "import sys, gan_jax.reporting.page; sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_the_clock_of_training_has_no_compiling(tmp_path):
    lines = [
        {"images": 10, "img/s": 1.0, "compile_s": 8.0},
        {"images": 30, "img/s": 5.0},
        {"images": 40, "img/s": 2.0, "compile_s": 3.0},
        {"images": 60, "img/s": 4.0},
    ]
    (tmp_path / "a").mkdir()
    write_lines(tmp_path / "a" / "metrics.jsonl", lines)
    (run,) = runs.read([tmp_path / "a"])
    assert run.clock == (60, 10 + 4 + 5 + 5 - 8 - 3, 11)
    assert run.steady == (40, 4 + 5, 0)
