"""The report page of small made-up runs, as a parser and as a browser see it."""

import functools
import html
import html.parser
import json
import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from gan_jax.data.images import save_png
from gan_jax.reporting import charts, comparison, curves, runs
from gan_jax.reporting import page as report_page

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
PROTOCOL = {
    "images": 1000,
    "features": {"name": "efflite0", "dim": 1280},
    "resize": "bicubic",
    "seed": 0,
    "truncation": None,
    "commit": "fcaaa54",
    "versions": {"jax": "0.10.2"},
}
ABOUT = {
    "kid_efflite0": {
        "better": -1,
        "error": "kid_efflite0_se",
        "control_of": None,
        "about": "distance from the real pictures",
    },
    "precision_efflite0": {"better": 1, "error": None, "control_of": None},
    "recall_efflite0": {"better": 1, "error": None, "control_of": None},
    "memorised_efflite0": {"better": 0, "error": None, "control_of": None},
    "memorised_held_out_efflite0": {
        "better": 0,
        "error": None,
        "control_of": "memorised_efflite0",
    },
    "cas": {"better": 1, "error": None, "control_of": None},
    "cas_real": {"better": 1, "error": None, "control_of": "cas", "about": "of real pictures"},
}
VOID = {"meta", "img", "input", "wbr"}
LINKS = ("src", "href", "srcset", "action", "data", "poster")
SECTIONS = ["numbers", "samples", "evaluations", "robustness", "pictures", "groups", "tables",
            "losses", "speed", "settings", "protocol"]  # fmt: skip


class Page(html.parser.HTMLParser):
    """(tag, attributes, text inside) of every element, in the order in which they open."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.open = [], []
        self.feed(text)
        self.close()
        assert not self.open, f"left open: {self.open}"

    def handle_starttag(self, tag, attributes):
        self.elements.append([tag, dict(attributes), ""])
        if tag not in VOID:
            self.open.append(self.elements[-1])

    def handle_startendtag(self, tag, attributes):
        self.elements.append([tag, dict(attributes), ""])

    def handle_endtag(self, tag):
        assert self.open.pop()[0] == tag

    def handle_data(self, text):
        for element in self.open:
            element[2] += text

    def all(self, tag, **wanted):
        wanted = {name.strip("_"): value for name, value in wanted.items()}
        return [e for e in self.elements if e[0] == tag and wanted.items() <= e[1].items()]

    def text(self, tag, **wanted):
        return " ".join(" ".join(element[2] for element in self.all(tag, **wanted)).split())


def evaluation(images, kid, **more):
    values = {"kid_efflite0": kid, "kid_efflite0_se": 0.001, "precision_efflite0": 0.5}
    return {
        "step": images // 32,
        "images": images,
        "values": values,
        "about": ABOUT,
        "protocol": PROTOCOL,
        "seconds": 3.5,
    } | more


def make_run(folder, evaluations=None, config=None, grids=3):
    """A whole run of 3,000 images."""
    folder.mkdir(parents=True)
    config = config or {"algorithm": "noise_to_image", "total_kimg": 4.0, "opt_g": {"lr": 0.1}}
    (folder / "config.json").write_text(json.dumps(config))
    loss = lambda n: {
        "step": n,
        "images": n * 32,
        "img/s": 200.0 + n,
        "d/logits": 0.2,
        "d/loss": 1 / n,
        "d/r1": 0.1,
        "g/loss": n / 9,
    }
    write_lines(folder / "metrics.jsonl", [loss(n) for n in range(1, 90)])
    for n in range(grids):
        image = np.full((8, 16, 3), 20 * (n % 12), np.uint8)
        save_png(folder / "samples" / f"{1000 * (n + 1):010d}.png", image)
    save_png(folder / "evaluation" / "near.png", np.zeros((4, 12, 3), np.uint8))
    curve = {"noise": [[0, 0.01], [10, 0.02]], "jpeg": [[0, 0.01], [40, 0.04]], "blur": []}
    last = {
        "curves": {"kid_efflite0": curve, "held_out/kid_efflite0": curve},
        "groups": {
            "diversity_efflite0": {"dylan": 0.2, "micah": 0.4},
            "diversity_real_efflite0": {"dylan": 0.3},
        },
        "tables": {
            "usefulness": {"columns": ["real images", "accuracy"], "rows": [[100, "0.71 ± 0.02"]]}
        },
        "pictures": {"neighbours": {"file": "evaluation/near.png", "caption": "left: generated"}},
        "notes": {"precision_efflite0": "flatters: it saw all"},
    }
    evaluations = evaluations or [
        evaluation(1000, 0.3),
        evaluation(2000, 0.02),
        evaluation(3000, 0.025, **last),
    ]
    write_lines(folder / "evaluations.jsonl", evaluations)
    return folder


def write_lines(path, lines):
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


@pytest.fixture(scope="module", autouse=True)
def draw_once():
    """A chart of the same curves is drawn once for all tests of this file."""
    drawn, draw = {}, charts._svg

    @functools.wraps(draw)
    def draw_or_reuse(*args, **kwargs):
        key = repr((args, kwargs))
        if key not in drawn:
            drawn[key] = draw(*args, **kwargs)
        return drawn[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(charts, "_svg", draw_or_reuse)
        yield


def page_of(*folders):
    return report_page.page(runs.read(folders))


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


def section_of(text, name):
    return text.partition(f'<section id="{name}">')[2].partition("</section>")[0]


def rows_of(section):
    """The text of each cell of its tables."""
    rows = re.findall("<tr>.*?</tr>", section, re.DOTALL)
    return [
        [re.sub(r"\n\s*", "", e[2]) for e in Page(row).elements if e[0] in ("th", "td")]
        for row in rows
    ]


def svg_of(text, title):
    return next(
        s for s in re.findall(r"<svg.*?</svg>", text, re.DOTALL) if f'aria-label="{title}' in s
    )


def test_charts_follow_the_pages_colours(tmp_path):
    text = page_of(make_run(tmp_path / "a"), make_run(tmp_path / "b"))
    kid, precision = svg_of(text, "kid_efflite0, lower"), svg_of(text, "precision")
    for svg in (kid, precision, svg_of(text, "kid_efflite0 under noise"), svg_of(text, "critic")):
        assert {"var(--r0)", "var(--r1)", "var(--grid)", "currentColor"} <= set(
            re.findall(r"var\(--\w+\)|currentColor", svg)
        )
        assert set(re.findall(r"#[0-9a-f]{6}\b", svg)) <= {"#ffffff"}
        assert "<text" in svg and ("thousands of images" in svg or "grey levels" in svg)
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
    assert re.findall("--v:([0-9.]+)", section) == [
        "0.05",
        "0.32",
        "0.60",
    ]  # least, middle, most of all cells


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


def test_a_record_without_about_is_read_by_the_names_of_errors_and_controls(tmp_path):
    values = {"x": 0.1, "x_std": 0.3, "x_held_out": 0.2, "x_real": 0.2, "y_real_z": 1.0, "held": 2}
    found = values_of(tmp_path, values, None, lambda name: {"better": 1} if name == "x" else {})
    assert list(found) == ["x", "x_held_out", "x_real", "y_real_z", "held"]
    assert [about.sign for about in found.values()] == [1, 0, 0, 0, 0]
    assert found["x"].error == "x_std"
    assert [name for name, about in found.items() if about.control_of] == [
        "x_held_out",
        "x_real",
        "y_real_z",
    ]


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


def test_long_curves_keep_their_peaks(tmp_path):
    folder = make_run(tmp_path / "a")
    write_lines(
        folder / "metrics.jsonl",
        [{"images": n, "d/loss": 9.0 if n == 700 else 1.0} for n in range(1, 1201)],
    )
    (line,) = curves._logged(runs.read([folder]), "d/loss")
    assert len(line.y) == 80 and max(line.high) == 9 and min(line.low) == 1
    assert max(line.y) == pytest.approx(1 + 8 / 15)


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


def test_the_same_run_gives_the_same_page_wherever_it_lies(tmp_path, monkeypatch):
    monkeypatch.setattr(charts, "_svg", charts._svg.__wrapped__)
    first = make_run(tmp_path / "x" / "a")
    shutil.copytree(first, tmp_path / "y" / "z" / "a")
    for file in (tmp_path / "y").rglob("*"):
        os.utime(file, (0, 0))
    pages = {page_of(first), page_of(tmp_path / "y" / "z" / "a")}
    assert len(pages) == 1 and str(tmp_path) not in pages.pop()


def test_runs_of_one_name_are_told_apart(tmp_path):
    folders = [make_run(tmp_path / name) for name in ("x/a", "y/a", "y/b")]
    assert [run.label for run in runs.read([*folders, folders[0]])] == [
        "x/a",
        "y/a",
        "b",
        "x/a (2)",
    ]


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


def test_reading_a_run_needs_no_jax():
    code = "import sys, gan_jax.reporting.page; sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def browser(tmp_path, page, *flags):
    """What Chromium prints; the page is opened from disk."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        reason = f"none of {', '.join(BROWSERS)} is on PATH"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    quiet = (
        "headless no-sandbox disable-gpu disable-quic no-first-run disable-background-networking"
        " disable-component-update disable-sync"
    )
    command = [found, *(f"--{flag}" for flag in quiet.split())]
    command += [f"--user-data-dir={tmp_path / 'profile'}", *flags, page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


# Reads the page in a frame, does something there, and says what there is then.
HARNESS = """<!doctype html><html><body style="margin:0"><script>
const cases = CASES, found = {};
const state = doc => ({
  error: doc.documentElement.dataset.error, frames: doc.documentElement.dataset.frames,
  shown: [...doc.querySelectorAll(".frame")].filter(x => !x.hidden).map(x => +x.dataset.images),
  controls: [...doc.querySelectorAll(".controls")].map(x => x.hidden),
  pressed: [...doc.querySelectorAll(".switch")].map(x => x.ariaPressed),
  style: doc.documentElement.getAttribute("style"),
});
for (const [name, {page, script, wait, style}] of Object.entries(cases)) {
  const frame = document.createElement("iframe");
  frame.style = "border:0;width:1000px;height:900px;" + style;
  frame.onload = () => {
    const view = frame.contentWindow, doc = frame.contentDocument;
    const end = () => {
      found[name] = {...found[name], ...state(doc)};
      document.documentElement.dataset.found = JSON.stringify(found);
    };
    const press = (n, what) => doc.querySelectorAll(".player")[n].querySelector(what).click();
    found[name] = new Function("view", "doc", "press", script)(view, doc, press) || {};
    setTimeout(end, wait);
  };
  frame.srcdoc = page;
  document.body.append(frame);
}
</script></body></html>"""
PHONE = 320  # CSS pixels: narrower than a browser's window can be
CLICKS = """
  press(0, '[data-go="1"]');  // round to 1000
  press(0, '[data-go="1"]');  // then 2000; the other follows
  doc.querySelector("#together").click();
  press(1, '[data-go="-1"]');  // alone
  doc.querySelector(".switch").click();
"""
MEASURE = """
  const parts = doc.querySelectorAll("#numbers th, #numbers td, #numbers b, #numbers .key");
  const boxes = [...parts].map(x => x.getBoundingClientRect()).filter(box => box.width);
  const rows = [...doc.querySelectorAll("#numbers tbody tr")].map(x => x.querySelectorAll("td"));
  const top = cell => cell.getBoundingClientRect().top;
  return {
    right: Math.max(...boxes.map(box => box.right)), cells: boxes.length,
    wide: doc.documentElement.scrollWidth, level: rows.every(([a, b]) => top(a) === top(b)),
  };
"""


def test_the_page_works_in_a_browser(tmp_path):
    """All in one start of the browser, a frame each."""
    text = page_of(make_run(tmp_path / "avatars", grids=5), make_run(tmp_path / "other", grids=3))
    broken = text.replace("(() => {", "(() => { nothing();", 1)
    case = {"page": text, "script": "", "wait": 50, "style": ""}
    cases = {
        "untouched": case,
        "at an address": case | {"script": "view.location.hash = '#images=2100'"},
        "clicked": case | {"script": CLICKS},
        "played": case | {"script": "doc.querySelector('.play').click()", "wait": 1000},
        "broken": case | {"page": broken},
        "phone": case | {"script": MEASURE, "style": f"width:{PHONE}px"},
    }
    harness = HARNESS.replace("CASES", json.dumps(cases).replace("</", "<\\/"))
    (tmp_path / "harness.html").write_text(harness)
    dom = browser(tmp_path, tmp_path / "harness.html", "--dump-dom", "--virtual-time-budget=3000")
    found = json.loads(html.unescape(re.search('data-found="(.*?)"', dom)[1]))
    assert list(sorted(found)) == sorted(cases)
    untouched, clicked = found["untouched"], found["clicked"]
    assert (untouched["error"], untouched["frames"]) == ("", "5,3")
    assert untouched["shown"] == [5000, 3000]  # the last of each
    assert untouched["controls"] == [False, False]
    assert found["at an address"]["shown"] == [2000, 2000]
    assert clicked["shown"] == [2000, 1000] and clicked["error"] == ""
    assert clicked["pressed"] == ["false", "true"] and "--r0: transparent" in clicked["style"]
    assert found["played"]["shown"] == [2000, 2000]  # two frames on
    assert "nothing is not defined" in found["broken"]["error"]
    phone = found["phone"]  # the columns of numbers end where the screen does
    assert phone["right"] <= PHONE and phone["wide"] <= PHONE and phone["level"], phone
    assert phone["cells"] > 6


def test_a_browser_draws_it_in_light_and_dark(tmp_path):
    """Side by side: a frame's page takes its color scheme from the frame."""
    text = html.escape(page_of(make_run(tmp_path / "a")))
    frames = [
        f'<iframe style="width:500px;height:1400px;border:0;color-scheme:{scheme}"'
        f' srcdoc="{text}"></iframe>'
        for scheme in ("light", "dark")
    ]
    (tmp_path / "both.html").write_text(
        f"<!doctype html><html><body style='margin:0;display:flex'>{''.join(frames)}</body></html>"
    )
    picture = tmp_path / "both.png"
    browser(tmp_path, tmp_path / "both.html", "--window-size=1000,1400", f"--screenshot={picture}")
    pixels = np.asarray(Image.open(picture).convert("RGB"))
    light, dark = pixels[:1200, :500], pixels[:1200, 500:1000]
    for part in (light, dark):
        assert (part != part[0, 0]).any((1, 2)).mean() > 0.5  # rows with something in them
    assert np.median(light) > 240 and np.median(dark) < 40
