"""Comparisons, with a stand-in for training that takes no time."""

import html
import json
import re
import sys

import pytest

import gan_jax.evaluation
from gan_jax.commands import compare, sweep

TRAIN = """
import json, pathlib, sys, time
words = dict(word.removeprefix("--config.").partition("=")[::2] for word in sys.argv if "=" in word)
workdir = pathlib.Path(sys.argv[sys.argv.index("--workdir") + 1])
batch, kimg = int(words.get("batch", 8)), float(words["total_kimg"])
measuring = kimg > 1e4
with open(workdir.parent / "trained", "a") as file:
    print("speed" if measuring else workdir.name, *sys.argv, file=file)
if words.get("seed") == "9": sys.exit("error: it can't be.")
if words.get("seed") == "8" and not measuring: sys.exit(3)
workdir.mkdir(parents=True, exist_ok=True)
rate, images = 100 * batch, kimg * 1000
lines = [{"step": 1, "images": batch, "img/s": batch / 10, "compile_s": 9.5}]
if measuring:
    lines.append({"step": 2, "images": 500 * batch, "img/s": rate})
else:
    slow = 2 if words.get("seed") == "6" or workdir.name == ".speed" else 1
    lines.append({"step": 2, "images": images, "img/s": rate / slow})
    (workdir / "checkpoints" / str(round(images / batch))).mkdir(parents=True, exist_ok=True)
(workdir / "metrics.jsonl").write_text("".join(json.dumps(line) + "\\n" for line in lines))
if measuring: time.sleep(60)
"""


@pytest.fixture
def compared(tmp_path, monkeypatch, capsys):
    """(words) -> (exit status, printed, what was trained, with its command lines)."""
    (tmp_path / "train.py").write_text(TRAIN)
    monkeypatch.setattr(sweep, "TRAIN", (sys.executable, "-S", str(tmp_path / "train.py")))
    monkeypatch.setattr(compare, "CHECK", (sys.executable, "-S", "-c", ""))

    def evaluate(config, workdir, metrics):
        if config.seed == 7:
            raise ValueError("the generator draws nothing")
        values = {"kid_toy": config.batch / 10, "kid_toy_se": 0.01}
        about = {"kid_toy": {"better": -1, "error": "kid_toy_se", "control_of": None}}
        images = config.total_steps * config.batch
        line = {"images": images, "values": values, "about": about, "protocol": config.eval}
        with (workdir / "evaluations.jsonl").open("a") as file:
            file.write(json.dumps(line) + "\n")

    monkeypatch.setattr(gan_jax.evaluation, "run", evaluate)

    def run(*words, minutes="1"):
        log = tmp_path / "out" / "trained"
        log.unlink(missing_ok=True)
        status = compare.main([*words, "--minutes", minutes, "--out", str(tmp_path / "out")])
        lines = log.read_text().splitlines() if log.exists() else []
        return status, capsys.readouterr().out, lines

    return run


def test_runs_take_the_same_time_and_stand_side_by_side(compared, tmp_path):
    status, printed, lines = compared("avatars_dcgan:smoke", "big=avatars_dcgan:smoke batch=4")
    assert status == 0
    assert [line.split()[0] for line in lines] == ["speed", "avatars_dcgan,smoke", "speed", "big"]
    # 800 and 400 images/s: 48,000 and 24,000 in a minute
    assert "--config.total_kimg=48 " in lines[1] and "--config.total_kimg=24 " in lines[3]
    assert not (tmp_path / "out" / ".speed").exists()
    rows = (tmp_path / "out" / "table.md").read_text().splitlines()
    assert rows[0] == "| run | minutes | compiling, s | images | images/s | kid_toy |"
    assert rows[2] == "| avatars_dcgan,smoke | 1.01 | 9.5 | 48,000 | 794 | 0.8 ± 0.01 |"
    assert rows[3] == "| big | 1.01 | 9.5 | 24,000 | 397 | 0.4 ± 0.01 |"
    assert "\n".join(rows) in printed
    page = (tmp_path / "out" / "report.html").read_text()
    assert page.count("<article") == 2 and "At equal time" in page
    results = json.loads((tmp_path / "out" / "comparison.json").read_text())["results"]
    assert results["big"]["values"]["kid_toy"] == 0.4 and results["big"]["images"] == 24_000


def test_all_durations_of_a_config_are_scaled_alike(compared):
    own = "opt_g.decay_from_kimg=64 opt_g.schedule=cosine total_kimg=128 save_every_kimg=16"
    ramps = {"a": 0.1, "b": None}
    words = [f"{name}=avatars_dcgan {own} ema_rampup={ramp}" for name, ramp in ramps.items()]
    lines = compared(*words, "--set", "batch=32", "--set", "ema_halflife_kimg=4")[2]
    assert "--config.total_kimg=100000.0" in lines[0]
    for line, half_life in ((lines[1], 4), (lines[3], 6)):  # of the first it is bounded
        given = dict(word.split("=", 1) for word in line.split() if word.startswith("--config."))
        # 3,200 images/s: 192,000 in a minute
        assert float(given["--config.total_kimg"]) == pytest.approx(192)
        assert float(given["--config.opt_g.decay_from_kimg"]) == pytest.approx(96)
        assert float(given["--config.save_every_kimg"]) == pytest.approx(24)
        assert given["--config.eval_every_kimg"] == "None"
        assert float(given["--config.ema_halflife_kimg"]) == pytest.approx(half_life)


def test_a_speed_that_changes_on_the_way_is_that_of_a_whole_run_in_small(compared):
    """avatars, 64,000 images of 16 a step, 48,000 of them against the critic on pixels alone: at
    first 1,600 images/s, so 4,800 images in a twentieth of a minute; on the whole half as many."""
    lines = compared("avatars", "--set", "batch=16")[2]
    assert [line.split()[0] for line in lines] == ["speed", ".speed", "avatars"]
    for line, total in zip(lines[1:], (4.8, 48), strict=True):
        given = dict(word.split("=", 1) for word in line.split() if word.startswith("--config."))
        assert float(given["--config.total_kimg"]) == pytest.approx(total)
        assert float(given["--config.game.pixels_kimg"]) == pytest.approx(total * 3 / 4)


def test_the_same_command_goes_on_where_it_was(compared, tmp_path):
    words = ["avatars_dcgan:smoke", "b=avatars_dcgan:smoke seed=1"]
    compared(*words)
    assert compared(*words)[2] == []
    out = tmp_path / "out"
    (out / "b" / "checkpoints" / "6000").rename(out / "b" / "gone")
    status, printed, lines = compared(*words, "c=avatars_dcgan:smoke seed=2")
    assert status == 0 and [line.split()[0] for line in lines] == ["b", "speed", "c"]
    assert "avatars_dcgan,smoke, 48 thousand images: finished before" in printed

    # measured once more by another protocol only
    def count():
        return len((out / "b" / "evaluations.jsonl").read_text().splitlines())

    assert count() == 1
    compared(*words, "--set", "eval.images=4")
    assert count() == 2


def test_minutes_that_came_out_otherwise_are_said(compared):
    printed = compared("avatars_dcgan:smoke", "slow=avatars_dcgan:smoke seed=6")[1]
    assert printed.endswith("slow: 2.01 minutes, not 1.\n") and printed.count(", not 1.") == 1


def test_what_fails_is_named_and_the_others_go_on(compared, tmp_path):
    broken = [f"s{n}=avatars_dcgan:smoke seed={n}" for n in (9, 8, 7)]
    status, printed, lines = compared(*broken, "avatars_dcgan:smoke")
    assert status == 1 and len(lines) == 1 + 2 + 2 + 2
    page = (tmp_path / "out" / "report.html").read_text()
    for name, why in (
        ("s9", "its speed can't be measured: it can't be."),
        ("s8", "its training ended early."),
        ("s7", "the generator draws nothing"),
    ):
        assert f"{name}: {why}" in printed and f"failed: {name}; the same command" in printed
        assert f"failed: {html.escape(why)}" in page.replace("&#39;", "&#x27;")
    rows = (tmp_path / "out" / "table.md").read_text().splitlines()
    assert "| s8 |" in rows[3] and rows[3].endswith("| failed: its training ended early. |")
    assert rows[5].endswith("| 0.8 ± 0.01 |")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nothing"], "--config=nothing: no such config."),
        (["avatars nothing=1"], "config.nothing: no such setting"),
        (["avatars", "avatars"], "'avatars': two have it; put another before it, as in"),
        (["a/b=avatars"], "'a/b': no name of a folder"),
        (["avatars", "--minutes", "0"], "--minutes=0: it must be above 0."),
        (["avatars", "--folder", "x=here"], "--folder 'x=here': write it as 'NAME=PICTURES min"),
        (
            ["avatars", "--folder", "x=. minutes=a images=3"],
            "--folder 'x=. minutes=a images=3': a must be a number",
        ),
        (["avatars", "--folder", "x=. minutes=1 images=0"], "0 must be a whole number, 1 to"),
        (["avatars", "--folder", "x=. minutes=0 images=3"], "minutes must be above 0."),
        (["avatars", "--folder", "x=gone minutes=1 images=3"], "gone: no such folder."),
    ],
)
def test_mistakes_are_found_before_anything_is_trained(tmp_path, words, message):
    minutes = [] if "--minutes" in words else ["--minutes", "1"]
    with pytest.raises(ValueError, match=re.escape(message)):
        compare.main([*words, *minutes, "--out", str(tmp_path / "out")])
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "minutes", "message"),
    [
        (
            ["avatars_dcgan:smoke"],
            "2",
            "an earlier comparison is of 1 minutes. Give another --out.",
        ),
        (
            ["avatars_dcgan,smoke=avatars_dcgan:smoke batch=4"],
            "1",
            "another config: config.batch: 8 -> 4.",
        ),
    ],
)
def test_another_comparison_is_not_taken_for_this_one(compared, words, minutes, message):
    compared("avatars_dcgan:smoke")
    with pytest.raises(ValueError, match=re.escape(message)):
        compared(*words, minutes=minutes)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["avatars_dcgan:smoke", "big=avatars_dcgan:smoke data.resolution=64"],
            "big is of pictures of [64, 64, 3], avatars_dcgan,smoke of [32, 32, 3]",
        ),
        (["x=avatars_dcgan:smoke opt_g.lrr=1"], "x: config.opt_g.lrr: no such setting."),
    ],
)
def test_runs_are_checked_together(tmp_path, words, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        compare.check([*words, "--minutes", "1", "--out", str(tmp_path / "out")])


def test_the_first_config_says_how_all_are_measured(tmp_path):
    """But always by two networks, where the user names no others."""

    def protocols(*words):
        flags = [*words, "--minutes", "1", "--out", str(tmp_path / "out")]
        return [run.config["eval"] for run in compare.plan(compare.parse(flags))[0]]

    first, second = protocols("folder", "b=avatars_biggan", "--set", "eval.images=50")
    assert first == second and first["images"] == 50 and first["features"] == "vgg16,efflite0"
    assert first["metrics"] == ["kid", "memorisation", "precision_recall"]
    assert protocols("folder eval.features=alexnet")[0]["features"] == "alexnet"
