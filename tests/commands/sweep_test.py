"""Sweeps, with a stand-in for training that takes no time."""

import csv
import re
import signal
import subprocess
import sys
import time

import pytest

from gan_jax.commands import sweep
from gan_jax.reporting import runs, summary_table
from tests.paths import ROOT

TRAIN = """
import json, pathlib, sys, time
words = dict(word.lstrip("-").partition("=")[::2] for word in sys.argv[1:] if "=" in word)
workdir = pathlib.Path(sys.argv[sys.argv.index("--workdir") + 1])
with open(workdir.parent / "trained", "a") as file: print(workdir.name, file=file)
lr, seed = float(words.get("config.opt_g.lr", 0)), int(words["config.seed"])
if lr == 9: sys.exit(3)
if lr == 8: time.sleep(60)
values = {"kid": lr + seed / 100, "held": 0.5}
about = {"kid": {"better": -1, "error": None, "control_of": None}}
workdir.mkdir(parents=True, exist_ok=True)
with open(workdir / "evaluations.jsonl", "w") as file:
    for images in (10, 20):
        record = {"images": images, "values": values, "about": about, "protocol": {}}
        print(json.dumps(record), file=file)
        values = {"kid": values["kid"] + 1, "held": 0.25}
(workdir / "checkpoints" / "4").mkdir(parents=True, exist_ok=True)
"""
UNCHECKED = (sys.executable, "-S", "-c", "")  # without the time that JAX takes to start


@pytest.fixture
def swept(tmp_path, monkeypatch, capsys):
    """(flags) -> (exit status, printed, names of the runs that were trained)."""
    (tmp_path / "train.py").write_text(TRAIN)
    monkeypatch.setattr(sweep, "TRAIN", (sys.executable, "-S", str(tmp_path / "train.py")))
    monkeypatch.setattr(sweep, "CHECK", UNCHECKED)

    def run(*flags, config="avatars_dcgan:smoke"):
        trained = tmp_path / "out" / "trained"
        trained.unlink(missing_ok=True)
        argv = ["--config", config, "--out", str(tmp_path / "out"), *flags]
        status = sweep.main(argv)
        names = trained.read_text().splitlines() if trained.exists() else []
        return status, capsys.readouterr().out, names

    return run


def test_a_grid_times_seeds_gives_runs_a_report_and_tables(swept, tmp_path):
    status, printed, names = swept("--set", "opt_g.lr=0.5,2e-1", "--seeds", "0-1")
    assert status == 0 and "run 4 of 4" in printed
    assert names == [f"opt_g.lr={lr},seed={seed}" for lr in ("0.5", "2e-1") for seed in (0, 1)]
    out = tmp_path / "out"
    assert (out / "report.html").read_text().count("<article") == 4
    table = list(csv.DictReader((out / "table.csv").open()))
    assert [row["setting"] for row in table] == ["opt_g.lr=0.5", "opt_g.lr=2e-1"]
    assert float(table[0]["kid mean"]) == pytest.approx(1.505)
    assert float(table[0]["kid std"]) == pytest.approx(0.01 / 2**0.5)  # of a sample of two
    assert float(table[0]["kid (best) mean"]) == pytest.approx(0.505) and table[0]["kid n"] == "2"
    assert "held mean" in table[0] and "held (best) mean" not in table[0]  # no direction known
    lines = (out / "table.md").read_text().splitlines()
    assert lines[0] == "| setting | kid | kid (best) | held |"
    assert lines[2] == "| opt_g.lr=0.5 | 1.505 ± 0.0071 | 0.505 ± 0.0071 | 0.25 ± 0 |"
    assert "\n".join(lines) in printed


def test_finished_runs_are_skipped_and_others_go_on(swept, tmp_path):
    swept("--set", "opt_g.lr=1,2")
    (tmp_path / "out" / "opt_g.lr=2,seed=0" / "checkpoints" / "4").rename(tmp_path / "gone")
    status, printed, names = swept("--set", "opt_g.lr=1,2,3")
    assert status == 0 and names == ["opt_g.lr=2,seed=0", "opt_g.lr=3,seed=0"]
    assert "opt_g.lr=1,seed=0: finished before" in printed


def test_a_run_that_fails_is_reported_and_the_rest_goes_on(swept, tmp_path):
    status, printed, names = swept("--set", "opt_g.lr=9,1")
    assert status == 1 and len(names) == 2
    assert "run 1 of 2: " in printed and "exit status 3" in printed
    assert f"failed: {tmp_path / 'out' / 'opt_g.lr=9,seed=0'}; the same command" in printed
    assert len((tmp_path / "out" / "table.md").read_text().splitlines()) == 3


def test_settings_that_go_together_and_values_that_are_lists(swept):
    together = ["--together", "opt_g.lr=1 batch=8", "--together", "opt_g.lr=2 batch=4"]
    fixed = ["--set", "total_kimg=0.032"]
    assert swept(*together, *fixed)[2] == [
        "opt_g.lr=1,batch=8,seed=0",
        "opt_g.lr=2,batch=4,seed=0",
    ]
    assert sweep.axis("g.widths=(8, 4),(4,2)") == ("g.widths", ["(8, 4)", "(4,2)"])
    assert sweep.axis("data.path=a b,c") == ("data.path", ["a b", "c"])
    assert sweep.axis("d.norm=none,'x,y'") == ("d.norm", ["none", "'x,y'"])


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--set", "opt_g.lr"], "--set opt_g.lr: give a setting's values"),
        (["--set", "nothing=1,2"], "config.nothing: no such setting"),
        (["--set", "opt_g.lr=1", "--seeds", "a"], "--seeds=a: write numbers"),
    ],
)
def test_mistakes_are_found_before_anything_is_trained(swept, tmp_path, flags, message):
    with pytest.raises(ValueError, match=message):
        swept(*flags)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("opt_g.lrr=1e-4", "config.opt_g.lrr: no such setting. Did you mean 'lr'?"),
        ("opt_g.lr=1e-4,abc", "config.opt_g.lr='abc' is a str; it must be float"),
    ],
)
def test_the_settings_of_parts_are_checked_as_training_checks_them(tmp_path, setting, message):
    flags = ["--config", "avatars_dcgan:smoke", "--out", str(tmp_path / "out"), "--set", setting]
    with pytest.raises(ValueError, match=re.escape(message)):
        sweep.check(flags)


def test_a_setting_that_fails_its_check_ends_a_sweep(swept, tmp_path, monkeypatch):
    monkeypatch.setattr(sweep, "CHECK", (sys.executable, "-S", "-c", "raise SystemExit(1)"))
    assert swept("--set", "opt_g.lr=1,2") == (1, "", [])
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_sweep_checks_in_a_process_of_its_own(tmp_path, capfd):
    flags = ["--config", "avatars_dcgan:smoke", "--out", str(tmp_path / "out")]
    assert sweep.main([*flags, "--set", "opt_g.lr=1,abc"]) == 1
    assert capfd.readouterr().err == "error: config.opt_g.lr='abc' is a str; it must be float.\n"


def test_a_run_of_another_config_is_not_taken_for_this_one(swept, tmp_path):
    swept("--set", "opt_g.lr=1,2")
    with pytest.raises(ValueError, match=r"another config: config.batch: 8 -> 4\. Give another"):
        swept("--set", "opt_g.lr=1,2", "--set", "batch=4")
    assert swept("--set", "opt_g.lr=1,2", "--set", "total_kimg=9")[0] == 0  # for longer


def test_a_signal_stops_the_run_too_and_the_sweep_says_so(tmp_path):
    (tmp_path / "train.py").write_text(TRAIN)
    code = (
        "import sys; from gan_jax.runtime import cli; from gan_jax.commands import sweep;"
        f"sweep.TRAIN = (sys.executable, '-S', {str(tmp_path / 'train.py')!r});"
        f"sweep.CHECK = {UNCHECKED!r};"
        "cli.tool(lambda: sweep.main(sys.argv[1:]))"
    )
    flags = ["--config", "avatars_dcgan:smoke", "--out", tmp_path / "out", "--set", "opt_g.lr=8,1"]
    process = subprocess.Popen(
        [sys.executable, "-c", code, *flags], cwd=ROOT, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert "run 1 of 2" in process.stdout.readline()
    while not (tmp_path / "out" / "trained").exists():
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 143 and "stopped by SIGTERM" in err and "Traceback" not in err
    assert (tmp_path / "out" / "trained").read_text() == "opt_g.lr=8,seed=0\n"


@pytest.mark.slow
def test_a_sweep_of_the_smoke_config(tmp_path, capsys):
    flags = ["--config", "avatars_dcgan:smoke", "--out", str(tmp_path / "lr")]
    flags += ["--set", "opt_g.lr=1e-4,2e-4", "--set", "batch=8"]
    assert sweep.main(flags) == 0
    table = list(csv.DictReader((tmp_path / "lr" / "table.csv").open()))
    assert len(table) == 2 and all(float(row["kid_efflite0 mean"]) > 0 for row in table)
    capsys.readouterr()
    assert sweep.main(flags) == 0
    assert capsys.readouterr().out.count("finished before") == 2


def test_a_sweep_without_evaluations_says_why_its_table_is_empty(tmp_path, capsys):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "metrics.jsonl").write_text('{"step": 1, "images": 8, "g/loss": 0.5}\n')
    sweep.write_report(tmp_path, [sweep.Job("x", [], tmp_path / "a", {}, tmp_path / "a" / "4")])
    text = (tmp_path / "table.md").read_text()
    assert (
        "the runs have no evaluations (eval_every_kimg)" in text and text in capsys.readouterr().out
    )
    assert "g/loss" in (tmp_path / "report.html").read_text()


def test_the_table_of_runs_without_evaluations_is_empty(tmp_path):
    (tmp_path / "a" / "samples").mkdir(parents=True)
    found = summary_table.table({"x": runs.read([tmp_path / "a"])})
    assert summary_table.as_markdown(found) == "| setting |\n| --- |\n| x |\n"
