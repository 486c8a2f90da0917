"""The report's page as a parser sees it."""

import json
import os
import re
import shutil

import pytest

from gan_jax.reporting import charts, curves, equal_time, runs
from gan_jax.reporting import page as report_page
from tests.reporting.made_runs import (
    Page,
    evaluation,
    make_run,
    page_of,
    rows_of,
    section_of,
    svg_of,
    write_lines,
)

LINKS = ("src", "href", "srcset", "action", "data", "poster")
SECTIONS = ["numbers", "samples", "evaluations", "robustness", "pictures", "groups", "tables",
            "losses", "speed", "settings", "protocol"]  # fmt: skip


def test_every_part_is_there_and_nothing_points_outside(tool, tmp_path):
    a, b, out = make_run(tmp_path / "a"), make_run(tmp_path / "b"), tmp_path / "new" / "page.html"
    done = tool("report", a, b, "--out", out)
    assert done.returncode == 0 and re.fullmatch(rf"{out}: 0\.\d MiB, 2 runs\n", done.stdout), (
        done.stderr
    )
    text = out.read_text()
    page = Page(text)
    sections = [e[1]["id"] for e in page.all("section")]
    assert sections == SECTIONS
    assert [e[1]["href"][1:] for e in page.all("a")] == sections
    links = [
        v
        for _, attributes, _ in page.elements
        for k, v in attributes.items()
        if k.split(":")[-1] in LINKS
    ]
    assert len(links) > 20 and all(re.match("#|data:image/png;base64,", link) for link in links)
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)\)", text))
    assert "//" not in re.sub(r"base64,[^\"]*", "", text) and "@import" not in text
    assert (
        "default-src 'none'"
        in page.all("meta", **{"http-equiv": "Content-Security-Policy"})[0][1]["content"]
    )
    assert page.text("main").count("nan") == 0


def test_numbers_curves_and_tables_are_those_of_the_run(tmp_path):
    text = page_of(make_run(tmp_path / "a"))
    page = Page(text)
    row = next(e[2] for e in page.all("tr") if e[2].startswith("kid_efflite0"))
    about = "distance from the real pictures"
    row = re.sub(r"\n\s*", "", row)
    assert row == f"kid_efflite0 ↓ lower is better{about}0.0250 ± 0.0010best 0.02 at 2,000"
    assert "kid_efflite0_se" not in page.text("table")
    assert "0.5flatters: it saw all" in next(
        e[2] for e in page.all("tr") if e[2].startswith("precision")
    )
    assert (
        "3,000 images of 4,000" in page.text("header")
        and page.all("progress")[0][1]["value"] == "3000"
    )
    assert "Median: ● a 245.0." in page.text("section", id="speed")
    assert "100 0.71 ± 0.02" in re.sub(r"(?<=100)(?=0)", " ", page.text("section", id="tables"))
    assert "opt_g.lr0.1" in page.text("div", class_="chips")
    assert "blur" not in page.text("section", id="robustness")  # nothing was measured
    assert "near.png" not in text and "left: generated" in page.text("section", id="pictures")
    folded = Page(section_of(text, "protocol")).text("details")
    assert "features.dim 1280" in folded.replace("dim1280", "dim 1280") and "fcaaa54" in folded
    assert re.findall("d/[a-z0-9]+(?=</text>)", svg_of(text, "critic")) == [
        "d/loss",
        "d/logits",
        "d/r1",
    ]
    titles = [e[1]["aria-label"] for e in page.all("svg")]
    assert titles == [
        "kid_efflite0, lower is better", "precision_efflite0, higher is better",
        "kid_efflite0 under noise", "kid_efflite0 under jpeg",
        "critic, d/…", "generator, g/…", "img/s",
    ]  # fmt: skip


def test_charts_follow_the_pages_colors(tmp_path):
    text = page_of(make_run(tmp_path / "a"), make_run(tmp_path / "b"))
    kid, precision = svg_of(text, "kid_efflite0, lower"), svg_of(text, "precision")
    for svg in (kid, precision, svg_of(text, "kid_efflite0 under noise"), svg_of(text, "critic")):
        assert {"var(--r0)", "var(--r1)", "var(--grid)", "currentColor"} <= set(
            re.findall(r"var\(--\w+\)|currentColor", svg)
        )
        assert set(re.findall(r"#[0-9a-f]{6}\b", svg)) <= {"#ffffff"}
        assert "<text" in svg and ("thousands of images" in svg or "gray levels" in svg)
    # a band where there is an error
    assert kid.count("fill-opacity: 0.18") == 2 and "fill-opacity" not in precision
    assert "kid_efflite0, log" in kid and "log" not in precision
    # two runs' controls
    assert svg_of(text, "kid_efflite0 under noise").count("stroke-dasharray") == 2
    light, dark = (
        f":root{{--r0:{palette[0]};--k0:{palette[0]};--r1:{palette[1]};"
        for palette in (charts.LIGHT, charts.DARK)
    )
    assert light in text and f"@media(prefers-color-scheme:dark){{{dark}" in text


def test_a_control_shares_its_metrics_chart(tmp_path):
    values = {"memorised_efflite0": 0.1, "memorised_held_out_efflite0": 0.2}
    text = page_of(
        make_run(tmp_path / "a", [evaluation(n, 0.1, values=values) for n in (1000, 2000)])
    )
    assert Page(text).all("svg")[0][1]["aria-label"] == "memorised_efflite0"
    assert (
        text.count('aria-label="memorised') == 1
        and svg_of(text, "memorised").count("stroke-dasharray") == 1
    )


def test_groups_are_shaded_with_their_control_beside(tmp_path):
    section = section_of(page_of(make_run(tmp_path / "a")), "groups")
    assert rows_of(section) == [
        ["", "● agenerated", "● acontrol"],
        ["dylan", "0.2", "0.3"],
        ["micah", "0.4", "–"],
    ]
    # least, middle, most of all cells
    assert re.findall("--v:([0-9.]+)", section) == ["0.05", "0.32", "0.60"]


def test_what_was_measured_once_has_no_curve(tmp_path):
    once = evaluation(3000, 0.1, values={"kid_efflite0": 0.1, "cas": 0.5, "cas_real": 0.9})
    text = page_of(
        make_run(tmp_path / "a", [evaluation(1000, 0.3), once]), make_run(tmp_path / "b", [once])
    )
    section = section_of(text, "evaluations")
    assert [e[1]["aria-label"] for e in Page(section).all("svg")] == [
        "kid_efflite0, lower is better"
    ]
    assert "without a curve: precision_efflite0, cas." in Page(section).text("p")
    controls = [row[0] for row in rows_of(section_of(text, "numbers")) if "control" in row[0]]
    assert controls == ["cas_realcontrol: of real pictures"]


def test_user_text_is_escaped(tmp_path):
    evil = "$x_1$<script>alert(1)</script>&\"'"
    more = {
        "values": {evil: 0.5, "kid_x": 0.1},
        "groups": {evil: {evil: 1.0}},
        "tables": {evil: {"columns": [evil], "rows": [[evil, {"a": evil}]]}},
        "pictures": {evil: {"file": "evaluation/near.png", "caption": evil}},
        "curves": {evil: {evil: [[0, 1.0], [1, 2.0]]}},
        "protocol": {evil: evil, "half": "\ud800"},
    }
    config = {evil: evil, "algorithm": evil, "total_kimg": 4}
    folder = make_run(
        tmp_path / "<i>&run", [evaluation(n, 0.1, **more) for n in (2000, 3000)], config
    )
    (folder / "metrics.jsonl").write_text(
        json.dumps({"images": 5, f"d/{evil}": 1.0, f"{evil}/x": 1.0})
    )
    other = make_run(tmp_path / "other", [evaluation(3000, 0.1, protocol={evil: 1})], {evil: 1})
    report_page.write(tmp_path / "page.html", page_of(folder, other))
    parsed = Page((tmp_path / "page.html").read_text("utf-8"))
    assert ">$x_1$&lt;script&gt;alert" in svg_of(page_of(folder), "$x_1$")
    assert len(parsed.all("script")) == 2 and parsed.text("h1") == "<i>&run · other"
    for section in (
        "numbers",
        "evaluations",
        "robustness",
        "pictures",
        "groups",
        "tables",
        "settings",
        "protocol",
    ):
        assert evil in parsed.text("section", id=section), section
    assert "alert(1)" not in "".join(e[2] for e in parsed.all("script"))


@pytest.mark.parametrize(
    ("gone", "note", "sections"),
    [
        ("config.json", "no config.json", {"settings"}),
        ("metrics.jsonl", "no metrics.jsonl", {"losses", "speed"}),
        ("evaluations.jsonl", "no evaluations.jsonl",
         {"numbers", "evaluations", "robustness", "pictures", "groups", "tables", "protocol"}),
        ("samples", "no grids in samples/", {"samples"}),
        ("evaluation", None, set()),
    ],
)  # fmt: skip
def test_what_is_missing_is_said(tmp_path, gone, note, sections):
    folder = make_run(tmp_path / "a")
    (shutil.rmtree if (folder / gone).is_dir() else os.remove)(folder / gone)
    page = Page(page_of(folder))
    assert set(SECTIONS) - {e[1]["id"] for e in page.all("section")} == sections
    assert page.text("ul", class_="notes") == (note or "")
    if note is None:
        assert "evaluation/near.png can't be shown." in page.text("section", id="pictures")
    both = Page(page_of(folder, make_run(tmp_path / "b")))
    assert [e[1]["id"] for e in both.all("section")] == SECTIONS
    assert both.text("ul", class_="notes") == (note or "")


def test_long_curves_keep_their_peaks(tmp_path):
    folder = make_run(tmp_path / "a")
    write_lines(
        folder / "metrics.jsonl",
        [{"images": n, "d/loss": 9.0 if n == 700 else 1.0} for n in range(1, 1201)],
    )
    (line,) = curves._logged(runs.read([folder]), "d/loss")
    assert len(line.y) == 80 and max(line.high) == 9 and min(line.low) == 1
    assert max(line.y) == pytest.approx(1 + 8 / 15)


def test_the_same_run_gives_the_same_page_wherever_it_lies(tmp_path, monkeypatch):
    monkeypatch.setattr(charts, "_svg", charts._svg.__wrapped__)
    first = make_run(tmp_path / "x" / "a")
    shutil.copytree(first, tmp_path / "y" / "z" / "a")
    for file in (tmp_path / "y").rglob("*"):
        os.utime(file, (0, 0))
    pages = {page_of(first), page_of(tmp_path / "y" / "z" / "a")}
    assert len(pages) == 1 and str(tmp_path) not in pages.pop()


def test_mistakes_are_one_line(tool, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "out").mkdir()
    run = make_run(tmp_path / "a")
    for folder, out, message in (
        ("nowhere", "page.html", f"error: {tmp_path / 'nowhere'}: no such folder."),
        (
            "empty",
            "page.html",
            "not a run's workdir: no metrics.jsonl, evaluations.jsonl or samples/.",
        ),
        ("a", "out", "Is a directory"),
        ("a", "a/config.json/page.html", "config.json"),
    ):
        done = tool("report", tmp_path / folder, "--out", tmp_path / out)
        assert (
            done.returncode == 1 and message in done.stderr and len(done.stderr.splitlines()) == 1
        ), done.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "empty", "out"] and run.is_dir()


def test_a_failed_write_leaves_the_old_page(tmp_path, monkeypatch):
    report_page.write(tmp_path / "page.html", "first")
    with (tmp_path / "page.html").open() as reader:
        report_page.write(tmp_path / "page.html", "old")
        assert reader.read() == "first"  # whoever has it open reads it to its end

    def full(path, data):
        path.write_text("half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    with pytest.raises(OSError, match="No space"):
        report_page.write(tmp_path / "page.html", "new")
    assert [p.name for p in tmp_path.iterdir()] == ["page.html"] and (
        tmp_path / "page.html"
    ).read_text() == "old"


def test_a_value_by_a_network_of_training_is_in_no_contest(tmp_path):
    about = {"kid_efflite0": {"better": -1, "in_training": True}}
    lines = {"a": (0.01, {"about": about}), "b": (0.03, {}), "c": (0.02, {})}
    for name, (kid, more) in lines.items():
        values = {"kid_efflite0": kid}
        make_run(tmp_path / name, [evaluation(1000, kid, values=values, **more)])
    marked = lambda *names: re.findall(
        r'<td><b class="best">(.*?)</b>', page_of(*(tmp_path / name for name in names))
    )
    assert marked("a", "b") == [] and marked("a", "b", "c") == ["0.02"]


def test_runs_of_equal_time_stand_in_a_table(tmp_path):
    found = runs.read([make_run(tmp_path / "a")])
    rows = equal_time.rows({"a": found[0]}, {"b": "it fell over"}, ["a", "b"])
    section = section_of(report_page.page(found, timed=rows), "time")
    images = 89 * 32
    seconds = sum(32 / (200 + n) for n in range(1, 90))
    numbers = [f"{seconds / 60:.4g}", "0", "2,848", f"{images / seconds:.4g}"]
    assert rows_of(section)[1] == ["a", *numbers, ""]
    assert rows_of(section)[2] == ["b", "–", "–", "–", "–", "failed: it fell over"]
    assert "At equal time" not in page_of(tmp_path / "a")
