"""The run end to end on the embedded data, tiny: what it writes, how it stops, and that resuming
changes nothing."""

import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import time
import types

import jax
import numpy as np
import pytest
from PIL import Image

from gan_jax import build, checkpoint, config, main, training
from gan_jax.data import pipeline
from gan_jax.data.source import open_source
from gan_jax.distributed.parallel import Parallel
from gan_jax.inference import previews
from gan_jax.runtime import workdir
from gan_jax.runtime.signals import Stopped
from gan_jax.start import resume
from tests.xla_flags import FAST_COMPILE

STEPS = 20
CLOCK = {"img/s", "compile_s"}  # of a log line: not the same in two runs
SOAK_MIB = 0.1  # an iteration: a save leaves 0.04 behind, a grid, a log line and a step nothing
FILE = """
import ml_collections

def get_config(arg=None):
    c = ml_collections.ConfigDict()
    c.algorithm, c.model, c.batch, c.total_kimg = "noise_to_image", "mlp", 8, 0.16
    c.data = dict(source="avatars", resolution=8, identities=12, labels="skin", flip=True)
    c.g = c.d = dict(widths=(16,))
    c.game = dict(z_dim=4, n_critic=2, penalty="r1", penalty_every=3)
    c.opt_g = c.opt_d = dict(lr=1e-3)
    c.log_every_kimg, c.sample_every_kimg, c.save_every_kimg = 0.04, 0.08, 0.08
    c.keep, c.grid_rows = 9, 2
    return c
"""


@pytest.fixture
def file(tmp_path, shared_data):
    path = tmp_path / "tiny.py"
    path.write_text(FILE)
    return str(path)


@pytest.fixture(scope="module")
def runs(tmp_path_factory, shared_data):
    """(the folder with a config, a finished run, its state, its batches, and a run half as
    long)."""
    folder = tmp_path_factory.mktemp("runs")
    (folder / "tiny.py").write_text(FILE)
    with pytest.MonkeyPatch.context() as patch:
        batches = record_batches(patch)
        state = jax.device_get(run(folder / "tiny.py", folder / "finished"))
    run(folder / "tiny.py", folder / "half", "total_kimg=0.08")
    return types.SimpleNamespace(folder=folder, state=state, batches=batches)


@pytest.fixture
def half(runs, tmp_path):
    """A copy of a run's workdir that has come to step 10."""
    return shutil.copytree(runs.folder / "half", tmp_path / "half")


@pytest.fixture
def finished(runs, tmp_path):
    """A copy of a finished run's workdir, of 20 steps."""
    return shutil.copytree(runs.folder / "finished", tmp_path / "finished")


def run(file, workdir, *overrides):
    return training.run(config.load(str(file), overrides), workdir)


def env(**more):
    clean = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST")}
    return clean | {"PYTHONPATH": os.getcwd()} | more


def script(body, *args, **more):
    code = (
        "import sys\nfrom gan_jax.runtime import xla_flags\nxla_flags.prepare()\n"
        + textwrap.dedent(body)
    )
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, args)],
        env=env(**more),
        capture_output=True,
        text=True,
        timeout=300,
    )


def record_batches(monkeypatch):
    """A list that every batch will be added to, copied."""
    seen, pull = [], pipeline.Batches.__next__

    def pull_and_record(self):
        batch = pull(self)
        seen.append({name: x.copy() for name, x in batch.items()})
        return batch

    monkeypatch.setattr(pipeline.Batches, "__next__", pull_and_record)
    return seen


def lines(workdir):
    found = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    return [line for line in found if "images" in line]  # not those of evaluations


def assert_equal(a, b):
    one, two = checkpoint.named(a), checkpoint.named(b)
    assert list(one) == list(two)
    for name in one:
        np.testing.assert_array_equal(one[name], two[name], err_msg=name)


class Killed(BaseException):
    pass


def test_20_steps_are_10_an_end_and_10_more(runs, file, tmp_path, monkeypatch):
    iterate = training.Trainer.iterate

    def iterate_then_end(self, state, batches, step):
        if step == 13:
            assert self.store.finish()
            raise Killed
        return iterate(self, state, batches, step)

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(training.Trainer, "iterate", iterate_then_end)
        run(file, tmp_path / "killed")
    assert_goes_on_as(runs, file, tmp_path / "killed", monkeypatch)


@pytest.mark.slow
def test_20_steps_are_10_a_kill_and_10_more(runs, file, tmp_path, monkeypatch):
    killed = script(
        """
        import os, signal
        from gan_jax import config, training
        iterate = training.Trainer.iterate
        def iterate_then_die(self, state, batches, step):
            if step == 13:
                assert self.store.finish()
                os.kill(os.getpid(), signal.SIGKILL)
            return iterate(self, state, batches, step)
        training.Trainer.iterate = iterate_then_die
        training.run(config.load(sys.argv[1]), sys.argv[2])
        """,
        file,
        tmp_path / "killed",
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert_goes_on_as(runs, file, tmp_path / "killed", monkeypatch)


def assert_goes_on_as(runs, file, workdir, monkeypatch):
    """A run that ended at step 13 goes on from step 10 as the one that did not."""
    assert checkpoint.find(workdir).name == "10"
    assert lines(workdir)[-1]["step"] == 10
    batches = record_batches(monkeypatch)
    resumed = run(file, workdir)
    assert int(resumed.step) == STEPS
    assert len(batches) == len(runs.batches) / 2
    for a, b in zip(runs.batches[len(batches) :], batches, strict=True):
        np.testing.assert_array_equal(a["id"], b["id"])
        np.testing.assert_array_equal(a["image"], b["image"])
    assert_equal(runs.state, resumed)
    whole, again = (
        [{k: v for k, v in line.items() if k not in CLOCK} for line in lines(folder)]
        for folder in (runs.folder / "finished", workdir)
    )
    assert whole == again


def test_what_a_run_prints_and_writes(file, tmp_path, capsys):
    run(file, tmp_path, "profile_steps=3", "keep=2")
    out = capsys.readouterr().out
    assert "ETA" in out and "img/s" in out and "d/loss" in out
    assert json.loads((tmp_path / "config.json").read_text())["game"]["penalty"] == "r1"
    assert [line["step"] for line in lines(tmp_path)] == [5, 10, 15, 20]
    assert lines(tmp_path)[-1]["images"] == 160
    assert ["compile_s" in line for line in lines(tmp_path)] == [True, False, False, False]
    grids = sorted((tmp_path / "samples").iterdir())
    assert [g.name for g in grids] == ["0000000000.png", "0000000080.png", "0000000160.png"]
    # the grid, and the phases: all run in the first iteration
    assert out.count(" compiling\n") == 2
    settings = {"source": "avatars", "identities": 12, "labels": "skin", "resolution": 8}
    classes = open_source(settings).classes
    width, height = Image.open(grids[0]).size
    assert width == 8 * len(classes) and height > 8 * 2  # with the names of the classes
    assert list((tmp_path / "tensorboard").iterdir())
    assert checkpoint.find(tmp_path).name == "20"
    assert f"the profiler's trace is in {tmp_path / 'profile'}" in out
    assert list((tmp_path / "profile").rglob("perfetto_trace.json.gz"))
    start = " ".join(re.sub(r"\d+-\d+-\d+ \d+:\d+:\d+ ", "", out.split(" compiling\n")[0]).split())
    for text in (
        "game noise_to_image, networks of mlp; optimizer steps of an iteration: 2 x d, g, 2 x d"
        " every 3 iterations",
        "devices 2 x cpu by jit, 4 images each, float32",
        "data 100 images, 8 x 8 RGB",
        f"classes {len(classes)}: {classes[0]} ",
        "length 0.16 kimg (thousand images): 20 steps of 8 images, 1.6 epochs",
        f"log every 0.04 kimg, next at step 5: {tmp_path / 'metrics.jsonl'}, TensorBoard in",
        f"checkpoints every 0.08 kimg, next at step 10: the newest 2 in {tmp_path / 'checkpoints'}",
    ):
        assert text in start, start


def test_running_a_finished_run_again_does_nothing(runs, file, finished, capsys):
    again = run(file, finished)
    said = capsys.readouterr().out
    assert "nothing to do" in said and "generator " in said and "next at step" not in said
    assert_equal(runs.state, again)


def test_grid_does_not_disturb_the_run(runs, file, tmp_path):
    often = run(
        file,
        tmp_path / "a",
        "sample_every_kimg=0.008",
        "log_every_kimg=0.008",
        "save_every_kimg=0.032",
    )
    assert_equal(often, runs.state)


def test_changed_settings_are_named_on_resume(file, half, capsys, monkeypatch):
    restore = checkpoint.Store.restore

    def older(meta):
        """As saved before there were these settings."""
        del meta["config"]["join_seconds"], meta["config"]["trackers"]
        return meta

    def restore_older(self, step, like):
        state, meta = restore(self, step, like)
        return state, older(meta)

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint.Store, "restore", restore_older)
        run(file, half, "opt_g.lr=5e-4", "total_kimg=0.088")
    out = capsys.readouterr().out
    assert "resumed from step 10" in out
    assert "changed since that step: config.opt_g.lr: 0.001 -> 0.0005" in out
    assert "changed since that step: config.total_kimg: 0.08 -> 0.088" in out
    assert "the data" not in out and "join_seconds" not in out and "trackers" not in out
    run(file, half, "total_kimg=0.096", "data.flip=False")
    assert "changed since that step: the data" in capsys.readouterr().out


def test_a_learning_rate_that_jumps_is_said(file, tmp_path, capsys):
    """A finished run with a linear schedule has come to rate 0; a longer one is in the middle of
    its own."""
    linear = [
        "opt_g={'lr': 1e-3, 'schedule': 'linear', 'decay_from_kimg': 0.04}",
        "total_kimg=0.08",
    ]
    run(file, tmp_path, *linear)
    run(file, tmp_path, *linear[:1], "total_kimg=0.088")
    out = capsys.readouterr().out
    assert (
        "THE LEARNING RATE JUMPS: config.opt_g.lr is 0 before and 0.000167 after this step." in out
    )
    assert (
        "config.opt_g.decay_kimg=0.04 keeps the old schedule." in out and "config.opt_d" not in out
    )
    kept = {"lr": 1e-3, "schedule": "linear", "decay_from_kimg": 0.04, "decay_kimg": 0.04}
    old, new = (
        {"total_kimg": kimg, "opt_g": kept, "opt_d": {"lr": lr}}
        for kimg, lr in ((0.08, 1e-3), (0.4, 2e-3))
    )
    # a constant rate that its user changes is said among the settings
    assert not list(resume.learning_rate_jumps(old, new, 0.08))
    whole = [
        old | {"opt_g": {"lr": lr, "schedule": "linear", "decay_from_kimg": 0.04}}
        for lr in (1e-3, 2e-3)
    ]
    (line,) = resume.learning_rate_jumps(*whole, 0.06)
    # the schedule is the old one
    assert line.endswith("config.opt_g.lr is 0.0005 before and 0.001 after this step.")
    own = new | {"opt_g": {"lr": 1e-3, "networks": {"style": {"schedule": "cosine"}}}}
    (line,) = resume.learning_rate_jumps(own | {"total_kimg": 0.08}, own, 0.08)
    assert "config.opt_g.networks.style.lr is 0 before and 0.000905 after" in line


def test_labels_that_mean_other_classes_stop_the_run(file, half, monkeypatch):
    def renamed(change):
        def opened(settings):
            source = open_source(settings)
            source.classes = change(tuple(source.classes))
            return source

        monkeypatch.setattr(build, "open_source", opened)

    names = open_source(config.load(file).data).classes
    renamed(lambda classes: (*classes[1:], "zebras"))
    with pytest.raises(
        ValueError,
        match=f"the labels mean other classes.*: {len(names)} classes, .*there, .*'zebras' here",
    ):
        run(file, half)
    renamed(lambda classes: (*classes, "zebras"))  # the same words, not a leaf's shape
    with pytest.raises(
        ValueError, match=rf"other classes.*\(label {len(names)}: no class there, 'zebras' here\)"
    ):
        run(file, half)
    assert checkpoint.find(half).name == "10"


def test_classes_of_converted_networks_get_their_names():
    assert resume.unnamed(["0", "1"], ["cats", "dogs"]) and not resume.unnamed(
        ["0", "1"], ["a", "b", "c"]
    )
    assert not resume.unnamed(["cats", "dogs"], ["cats", "wolves"])


def test_a_config_that_does_not_fit_the_checkpoint(file, half):
    with pytest.raises(
        ValueError,
        match=(
            r"made with another config: config\.g\.widths: \[16\] -> \[24\]\. \(the config does not"
            r" fit the checkpoint "
            r".*: g/params/g/\S+ is float32\[.*16.*\] there and float32\[.*24.*\] here"
        ),
    ):
        run(file, half, "g.widths=(24,)")
    assert checkpoint.find(half).name == "10"


def test_init_from_takes_what_fits(file, half, tmp_path, capsys):
    run(
        file,
        tmp_path / "b",
        "total_kimg=0.008",
        f"init_from={half}",
        "opt_g.lr=0.0",
        "opt_d.lr=0.0",
        "d.widths=(24,)",
    )
    out = capsys.readouterr().out
    assert "leaves match" in out and "kept as initialized: d/params/d/" in out
    old, new = (
        checkpoint.read(checkpoint.find(folder), ("g/params/",))[0]
        for folder in (half, tmp_path / "b")
    )
    for name in old:
        np.testing.assert_array_equal(old[name], new[name])


def test_phases_that_a_resumed_run_plays_later_are_compiled_apart(file, half, capsys):
    run(file, half, "total_kimg=0.12")
    # step 10 plays two phases, step 12 the penalty too, step 15 draws the grid
    out = capsys.readouterr().out
    assert out.count(" compiling\n") == 3
    assert not (half / "samples" / "0000000088.png").exists()


def test_nan_stops_the_run_and_names_metric_and_steps(file, half):
    with pytest.raises(
        FloatingPointError, match=r"d/\S+ became (nan|inf|-inf) at step \d+ \(steps 11-15\)"
    ):
        run(file, half, "opt_d.lr=1e38", "game.loss=wasserstein")
    assert checkpoint.find(half).name == "10"
    for name, x in checkpoint.read(checkpoint.find(half), ("",))[0].items():
        assert np.isfinite(x).all() if x.dtype.kind == "f" else True, name
    assert int(run(file, half, "total_kimg=0.088").step) == 11


def test_a_full_disk_under_the_grids_ends_nothing(file, tmp_path, monkeypatch, capsys):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(training, "save_png", full)
    assert int(run(file, tmp_path, "total_kimg=0.008").step) == 1
    assert (
        "the sample grid can't be written: [Errno 28] No space left on device"
        in capsys.readouterr().out
    )


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_signal_saves_and_stops(file, tmp_path, monkeypatch, capsys, name):
    iterate = training.Trainer.iterate

    def iterate_and_signal(self, state, batches, step):
        if step == 6:
            os.kill(os.getpid(), getattr(signal, name))
        return iterate(self, state, batches, step)

    monkeypatch.setattr(training.Trainer, "iterate", iterate_and_signal)
    status = main.main(["--config", file, "--workdir", str(tmp_path / "w")])
    assert status == 128 + getattr(signal, name)
    out, err = capsys.readouterr()
    assert f"stopped by {name} at step 7; the same command goes on from there." in out
    assert f"stopped by {name} (exit status {status})" in err
    assert checkpoint.find(tmp_path / "w").name == "7"
    assert "0000000056.png" in os.listdir(tmp_path / "w" / "samples")


def test_signals_during_the_last_save_do_not_lose_it(file, tmp_path, monkeypatch):
    """The disk is slow; SIGTERM comes again while the save that the first one caused is under
    way."""
    write = checkpoint.write_manifest

    def slowly(path, step):
        for _ in range(5):
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.05)
        write(path, step)

    monkeypatch.setattr(checkpoint.steps, "write_manifest", slowly)
    run(file, tmp_path / "w", "total_kimg=0.08")
    assert checkpoint.find(tmp_path / "w").name == "10"


@pytest.mark.slow
def test_a_signal_from_outside_saves_and_stops(file, tmp_path):
    call = [sys.executable, "-m", "gan_jax.main", "--config", file, "--workdir", tmp_path / "w"]
    call += ["--config.total_kimg=400"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    process = subprocess.Popen(call, env=env(), **pipes)
    try:
        wait_for(
            lambda: (tmp_path / "w" / "metrics.jsonl").exists() and lines(tmp_path / "w"), process
        )
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 143, out
    step = int(out.split("stopped by SIGTERM at step ")[1].split(";")[0])
    assert checkpoint.find(tmp_path / "w").name == str(step)


def test_a_last_save_that_fails_is_an_error(file, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: types.SimpleNamespace(free=10))
    with pytest.raises(OSError, match="the last checkpoint, step 2, is not saved"):
        run(file, tmp_path, "total_kimg=0.016", "save_every_kimg=0.008")
    assert "CHECKPOINT NOT SAVED at step 1" in capsys.readouterr().err


def test_one_run_a_workdir(file, tmp_path, capsys):
    """The loser of two writes nothing into the winner's folder, whatever is wrong with it."""
    with workdir.lock(tmp_path / "w"):
        for more in ([], ["--config.batch=7"], ["--config.no_such=1"]):
            assert main.main(["--config", file, "--workdir", str(tmp_path / "w"), *more]) == 1
        assert "another run is using it" in capsys.readouterr().err
        assert [p.name for p in (tmp_path / "w").iterdir()] == [".lock"]


def test_an_error_is_kept_with_its_traceback_where_no_other_run_is(file, tmp_path):
    (tmp_path / "w").mkdir()
    assert main.main(["--config", file, "--workdir", str(tmp_path / "w"), "--config.batch=7"]) == 1
    assert "Traceback" in (tmp_path / "w" / "error.log").read_text()


def begun(folder, step, *checkpoints):
    """A workdir as a run leaves it that came to `step`, with (damaged) checkpoints."""
    folder.mkdir()
    (folder / "metrics.jsonl").write_text(
        f'{{"step": 5, "images": 40}}\n{{"step": {step}, "images": {step * 8}}}\n'
    )
    for name in checkpoints:
        (folder / "checkpoints" / name / "state").mkdir(parents=True)
    return folder


@pytest.mark.parametrize(
    ("step", "checkpoints", "message"),
    [
        (10, [], r"the run has come to step 10, but .*checkpoints has no checkpoint"),
        (10, ["10", "5"], r"no checkpoint in .*checkpoints is whole"),
        (10, ["damaged-10"], r"no checkpoint in .*checkpoints is whole"),
        (21, ["old"], r"the run has come to step 21, but .*checkpoints has no checkpoint"),
    ],
)
def test_a_run_that_lost_its_checkpoints_stops_and_keeps_its_log(
    file, tmp_path, capsys, step, checkpoints, message
):
    folder = begun(tmp_path / "w", step, *checkpoints)
    log_before = (folder / "metrics.jsonl").read_text()
    for _ in range(2):  # the second time as the first
        assert main.main(["--config", file, "--workdir", str(folder)]) == 1
        said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
        assert len(said) == 1 and re.search(message, said[0]) and "--restart" in said[0], said
        assert (folder / "metrics.jsonl").read_text() == log_before
        assert len(list((folder / "checkpoints").glob("*"))) == len(checkpoints)


def test_a_run_killed_before_its_first_checkpoint_begins_anew(file, tmp_path):
    folder = begun(tmp_path / "w", 12)
    (folder / "checkpoints").mkdir()
    assert resume.open_store(config.load(file), folder, restart=False).newest is None


def test_restart_begins_at_0_and_moves_what_is_there(file, tmp_path, caplog):
    folder = begun(tmp_path / "w", 10, "10")
    args = ["--config", file, "--workdir", str(folder), "--config.total_kimg=0.04", "--restart"]
    assert main.main(args) == 0
    assert f"what was in {folder} is in {folder / 'earlier-1'} now" in caplog.text
    assert [line["step"] for line in lines(folder / "earlier-1")] == [5, 10]
    assert (folder / "earlier-1" / "checkpoints" / "10").is_dir()
    assert [line["step"] for line in lines(folder)] == [5]
    assert checkpoint.find(folder).name == "5"


@pytest.mark.parametrize(
    "stage",
    [(config, "load"), (build, "open_source"), (build, "make_iteration"), (resume, "begin")],
    ids=lambda s: s[1],
)
def test_a_signal_swallowed_while_starting_is_heeded_at_the_next_stage(
    file, tmp_path, monkeypatch, capsys, stage
):
    whole = getattr(*stage)

    def swallow(*args, **more):
        with contextlib.suppress(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(5)
        return whole(*args, **more) if stage[1] != "begin" else (None, 0)

    monkeypatch.setattr(*stage, swallow)
    monkeypatch.setattr(training.Trainer, "__init__", lambda *_: pytest.fail("it went on"))
    assert main.main(["--config", file, "--workdir", str(tmp_path / "w")]) == 143
    assert "stopped by SIGTERM (exit status 143)" in capsys.readouterr().err


@pytest.mark.slow
def test_memory_in_a_soak(file, tmp_path, monkeypatch):
    """An iteration of save, grid and log after the other, for as long as GAN_JAX_SOAK_SECONDS says
    (an hour)."""
    seconds = float(os.environ.get("GAN_JAX_SOAK_SECONDS", "3600"))
    began, used, iterate = time.monotonic(), [], training.Trainer.iterate

    def iterate_and_measure(self, state, batches, step):
        used.append(
            int(pathlib.Path("/proc/self/statm").read_text().split()[1])
            * os.sysconf("SC_PAGE_SIZE")
            / 2**20
        )
        if time.monotonic() - began > seconds:
            self.signals.caught.append("SIGTERM")
        return iterate(self, state, batches, step)

    monkeypatch.setattr(training.Trainer, "iterate", iterate_and_measure)
    every = [f"{name}_every_kimg=0.008" for name in ("log", "sample", "save")]
    with pytest.raises(Stopped):
        run(file, tmp_path, *every, "total_kimg=8000", "keep=2")
    assert len(used) > 100
    half = used[len(used) // 2 :]
    assert np.polyfit(np.arange(len(half)), half, 1)[0] < SOAK_MIB, used[:: max(1, len(used) // 20)]


@pytest.mark.slow
def test_workers_end_with_a_killed_run_and_not_by_ctrl_c(file, tmp_path):
    command = [
        sys.executable,
        "-m",
        "gan_jax.main",
        "--config",
        file,
        "--workdir",
        str(tmp_path),
        "--config.workers=1",
    ]
    process = subprocess.Popen(
        [*command, "--config.total_kimg=400"], env=env(), stdout=subprocess.DEVNULL
    )
    try:
        wait_for(lambda: (tmp_path / "metrics.jsonl").exists() and lines(tmp_path), process)
        workers = [pid for pid in children_of(process.pid) if b"spawn_main" in cmdline(pid)]
        assert len(workers) == 1
        os.kill(workers[0], signal.SIGINT)
        step = lines(tmp_path)[-1]["step"]
        wait_for(lambda: lines(tmp_path)[-1]["step"] > step + 20, process)
    finally:
        process.kill()
        process.wait()
    end = time.monotonic() + 60
    while cmdline(workers[0]):
        assert time.monotonic() < end, "the worker lives on"
        time.sleep(0.1)


def children_of(pid):
    tasks = pathlib.Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text().split()]


def cmdline(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
    except FileNotFoundError:
        return b""


def test_another_batch_does_not_resume(file, half):
    with pytest.raises(
        ValueError, match=r"config.batch=16: the checkpoints in .* were made with 8"
    ):
        run(file, half, "batch=16")


def test_worker_processes_read_the_same_run(file, tmp_path):
    short = ["total_kimg=0.04", "save_every_kimg=1.0"]
    one = run(file, tmp_path / "a", *short, "workers=1")
    assert_equal(one, run(file, tmp_path / "b", *short))


@pytest.mark.slow
def test_a_reader_that_goes_away_does_not_end_the_run(file, tmp_path):
    command = (
        f"{sys.executable} -m gan_jax.main --config {file} --workdir {tmp_path / 'w'} | head -n 1"
    )
    subprocess.run(["bash", "-c", command], env=env(), capture_output=True, timeout=200, check=True)
    assert checkpoint.find(tmp_path / "w").name == str(STEPS)


def test_many_classes_make_a_grid_of_the_first(file, tmp_path, monkeypatch):
    monkeypatch.setattr(previews, "MOST_COLUMNS", 3)
    run(file, tmp_path, "total_kimg=0.008")
    width, height = Image.open(next((tmp_path / "samples").iterdir())).size
    assert width == 3 * 8 and height > 2 * 8


def test_a_penalty_needs_a_critic_that_does_not_mix_images(file, tmp_path):
    with pytest.raises(
        ValueError, match="config.game.penalty='r1': a critic with batch norm mixes"
    ):
        run(file, tmp_path, "model=dcgan", "g={'width': 2}", "d={'width': 2}")


def wait_for(condition, process, seconds=120):
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.1)


def test_jit_pmap_and_one_device_agree(runs, file, tmp_path, monkeypatch):
    """Whole runs: losses equal within 1e-3 after 10 steps of 8 images; only the order of summation
    differs."""
    short = "total_kimg=0.08"
    run(file, tmp_path / "pmap", short, "parallel=pmap")  # on this process's 2 virtual devices
    first = jax.devices()[:1]
    monkeypatch.setattr(build, "Parallel", lambda kind: Parallel(kind, first))
    run(file, tmp_path / "one", short)
    assert_losses_agree(tmp_path / "one", runs.folder / "half", tmp_path / "pmap")


def assert_losses_agree(first, *others):
    for other in others:
        for a, b in zip(lines(first), lines(other), strict=True):
            assert a.keys() == b.keys()
            for name in a.keys() - CLOCK:
                np.testing.assert_allclose(
                    a[name], b[name], rtol=1e-3, atol=1e-4, err_msg=f"{other.name} {name}"
                )


@pytest.fixture
def two_processes(file, tmp_path):
    """(settings) -> trains in two processes, one device each; the workdir."""

    def train_in_two(*settings):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{free.getsockname()[1]}"
        call = [sys.executable, "-m", "gan_jax.main", "--config", file]
        call += ["--workdir", str(tmp_path / "two"), "--coordinator", address]
        call += ["--num_processes", "2", *[f"--config.{setting}" for setting in settings]]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        processes = [
            subprocess.Popen(
                [*call, "--process_id", str(k)], env=env(XLA_FLAGS=FAST_COMPILE), **pipes
            )
            for k in range(2)
        ]
        try:
            outs = [process.communicate(timeout=200)[0] for process in processes]
        finally:
            for process in processes:
                process.kill()
        assert [process.returncode for process in processes] == [0, 0], "\n".join(outs)
        return tmp_path / "two"

    return train_in_two


def test_two_processes_agree_with_one(runs, two_processes):
    """Each reads its half of every batch; the first writes."""
    assert_losses_agree(runs.folder / "half", two_processes("total_kimg=0.08"))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["jit", "pmap"])
def test_two_processes_evaluate_and_save_as_one(file, tmp_path, two_processes, kind):
    """Each sees its half of the evaluation too."""
    short = ["total_kimg=0.08", f"parallel={kind}", "eval_every_kimg=0.08"]
    short += [f"eval.{setting}" for setting in ("images=10", "reference=9", "batch=4")]
    two = two_processes(*short)
    run(file, tmp_path / "one", *short)
    assert_losses_agree(tmp_path / "one", two)
    a, b = (
        json.loads((folder / "evaluations.jsonl").read_text())["values"]["kid_efflite0"]
        for folder in (tmp_path / "one", two)
    )
    assert b == pytest.approx(a, rel=1e-2)
    assert checkpoint.find(two / "best").name == "10"
    # what two processes saved, one goes on from
    assert int(run(file, two, f"parallel={kind}").step) == STEPS


def test_state_on_devices_is_whole_on_each(file, tmp_path):
    state = run(file, tmp_path, "total_kimg=0.008")
    leaf = jax.tree.leaves(state.g.params)[0]
    assert len(leaf.sharding.device_set) == 2 and leaf.sharding.is_fully_replicated


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["--config.batch=7"], r"error: config.batch=7.*device"),
        (["--config.batch=100000"], r"error: config.batch=100000: the data has only"),
        (["--config.gam.z_dim=3"], r"error: config.gam: no such setting. Did you mean 'game'"),
        (["--config.algorithm=cyclgan"], r"error: config.algorithm='cyclgan': no module"),
        (["--config.game.z_dim=big"], r"error: config.game.z_dim='big' is a str; it must be int"),
        (["--config.opt_g.name=adma"], r"error: .*'adma' is not known. Did you mean 'adam'"),
        (
            ["--config.parallel=pmp"],
            r"error: config.parallel='pmp' is not known. Did you mean 'pmap'",
        ),
        (
            ["--config.data.source=avatar"],
            r"error: config.data.source='avatar': no module .* Did you mean 'avatars'",
        ),
        (
            ["--config.data.resolutoin=8"],
            r"error: config.data.resolutoin: no such setting. Did you mean 'resolution'",
        ),
        (["--config.init_from=nowhere"], r"error: nowhere: no checkpoint"),
        (
            ["--coordinator=x:1"],
            r"error: --coordinator, --num_processes and --process_id go together",
        ),
    ],
)
def test_a_users_mistake_is_one_line(file, tmp_path, capsys, overrides, message):
    status = main.main(["--config", file, "--workdir", str(tmp_path / "w"), *overrides])
    err = capsys.readouterr().err
    assert status == 1
    said = [line for line in err.splitlines() if line.startswith("error: ")]
    assert len(said) == 1 and "Traceback" not in err
    assert re.search(message, said[0]), said[0]


def test_flags_that_are_missing_or_unknown(capsys):
    for argv, message in [
        ([], "--config"),
        (
            ["--config", "a", "--workdir", "b", "--wrkdir", "c"],
            "unrecognized arguments: --wrkdir c",
        ),
    ]:
        with pytest.raises(SystemExit) as caught:
            main.main(argv)
        assert caught.value.code == 2 and message in capsys.readouterr().err
