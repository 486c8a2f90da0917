"""Experiment trackers against stand-ins for their libraries, which record what they are called
with."""

import json
import os
import sys

import numpy as np
import pytest

from gan_jax.reporting import trackers
from gan_jax.reporting.writer import Writer

WANDB = """
calls = []
def Image(array): return ("image", array.shape)
class Run:
    config = type("Config", (), {"update": lambda self, *a, **k: calls.append(("config", a, k))})()
    def log(self, values): calls.append(("log", values))
    def define_metric(self, *a, **k): calls.append(("axis", a, k))
    def save(self, *a, **k): calls.append(("save", a, k))
    def finish(self, **k): calls.append(("finish", k))
def init(**settings):
    calls.append(("init", settings))
    return Run()
"""
MLFLOW = """
import types
calls = []
entities = types.SimpleNamespace(Metric=lambda *a: a, Param=lambda *a: a)
class MlflowClient:
    def get_experiment_by_name(self, name): return None
    def create_experiment(self, name): return "experiment " + name
    def create_run(self, experiment, run_name, tags):
        calls.append(("run", experiment, run_name))
        return types.SimpleNamespace(info=types.SimpleNamespace(run_id="id7"))
    def __getattr__(self, name):
        return lambda *a, **k: calls.append((name, a, k))
"""
RECORD = {"step": 4, "images": 32, "values": {"kid": 0.5}, "protocol": {"seed": 0}}


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """The stand-ins are installed; (name) -> what was called."""
    for name, source in (("wandb", WANDB), ("mlflow", MLFLOW)):
        (tmp_path / "site").mkdir(exist_ok=True)
        (tmp_path / "site" / f"{name}.py").write_text(source)
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.syspath_prepend(tmp_path / "site")
    for variable in os.environ:
        if variable.startswith(("WANDB_", "MLFLOW_")):
            monkeypatch.delenv(variable)
    yield lambda name: sys.modules[name].calls
    for name in ("wandb", "mlflow"):
        sys.modules.pop(name, None)


def write(workdir, start, names, failed=False):
    try:
        with Writer(workdir, start, names) as writer:
            writer.write_hparams({"batch": 8, "opt_g": {"lr": 0.1}})
            writer.write_scalars(start + 1, {"d/loss": np.float32(0.5)})
            writer.write_images(start + 1, {"samples": np.zeros((4, 6, 1), np.uint8)})
            writer.write_evaluation(start + 1, RECORD)
            if failed:
                raise FloatingPointError
    except FloatingPointError:
        pass


def test_wandb_gets_the_run_and_a_resumed_run_goes_on_in_it(installed, tmp_path, monkeypatch):
    workdir = tmp_path / "runs" / "avatars"
    write(workdir, 0, ("wandb",))
    calls = installed("wandb")
    settings = calls[0][1]
    wanted = {"project": "gan_jax", "name": "avatars", "group": "runs", "dir": str(workdir)}
    assert settings | wanted | {"resume": "allow"} == settings
    assert ("log", {"d/loss": 0.5, "step": 1}) in calls
    assert ("log", {"samples": ("image", (4, 6)), "step": 1}) in calls
    assert ("log", {"eval/kid": 0.5, "step": 1}) in calls
    saved = next(call for call in calls if call[0] == "save")
    assert saved[1] == (str(workdir / "evaluations.jsonl"),)
    assert calls[-1] == ("finish", {"exit_code": 0})
    first_id = settings["id"]
    calls.clear()
    monkeypatch.setenv("WANDB_PROJECT", "mine")
    write(workdir, 1, "wandb", failed=True)
    assert calls[0][1]["id"] == first_id and calls[0][1]["project"] == "mine"
    assert calls[-1] == ("finish", {"exit_code": 1})


def test_mlflow_gets_the_run_and_a_resumed_run_goes_on_in_it(installed, tmp_path):
    write(tmp_path / "avatars", 0, ("mlflow",))
    calls = installed("mlflow")
    assert calls[0] == ("run", "experiment gan_jax", "avatars")
    batches = [kept for name, _, kept in calls[1:] if name == "log_batch"]
    assert {"params": [("batch", "8"), ("opt_g.lr", "0.1")]} in batches
    metrics = [metric for batch in batches for metric in batch.get("metrics", ())]
    assert [(name, value, step) for name, value, _, step in metrics] == [
        ("d/loss", 0.5, 1),
        ("eval/kid", 0.5, 1),
    ]
    dicts = [given for name, given, _ in calls[1:] if name == "log_dict"]
    assert dicts[-1] == ("id7", RECORD, "evaluations/0000000001.json")
    image = next(call for call in calls if call[0] == "log_image")
    assert image[1][1].shape == (4, 6) and image[2]["step"] == 1
    assert calls[-1][:2] == ("set_terminated", ("id7", "FINISHED"))
    calls.clear()
    write(tmp_path / "avatars", 1, ("mlflow",))
    assert calls[0] == ("update_run", ("id7",), {"status": "RUNNING"})
    assert not any("params" in kept for _, _, kept in calls)  # they can't be changed


def test_a_tracker_that_fails_is_reported_once_and_ends_nothing(
    installed, tmp_path, monkeypatch, caplog
):
    def unreachable(*_):
        raise RuntimeError("no route to the server.")

    monkeypatch.setattr(trackers.Wandb, "write_scalars", unreachable)
    write(tmp_path / "a", 0, "wandb,mlflow")
    where = tmp_path / "a" / "metrics.jsonl"
    text = "wandb can't be written: no route to the server. Training goes on;"
    assert caplog.messages == [f"{text} {where} has its numbers."]
    assert len(where.read_text().splitlines()) == 2
    assert "set_terminated" in [name for name, *_ in installed("mlflow")]
    assert set(json.loads((tmp_path / "a" / "trackers.json").read_text())) == {"wandb", "mlflow"}


def test_a_tracker_that_does_not_start_is_left_out(installed, tmp_path, monkeypatch, caplog):
    def no_key(self, workdir, run_id):
        raise ValueError("api_key not configured")

    monkeypatch.setattr(trackers.Wandb, "__init__", no_key)
    write(tmp_path / "a", 0, "wandb")
    assert len(caplog.messages) == 1 and "api_key not configured" in caplog.text
    assert not (tmp_path / "a" / "trackers.json").exists()


def test_a_tracker_that_is_unknown_or_not_installed_is_one_line(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match=r"config.trackers='wanda' .* Did you mean 'wandb'\?"):
        trackers.check(("wanda",))
    # a folder that wandb leaves in the current folder is not the library
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    (tmp_path / "wandb").mkdir()
    for name in ("wandb", "mlflow"):
        monkeypatch.delitem(sys.modules, name, raising=False)
        with pytest.raises(ValueError, match=rf"is not installed.*pip install 'gan_jax\[{name}\]'"):
            trackers.check(name)


def test_the_names_are_a_tuple_or_one_text():
    assert trackers.names("wandb, mlflow") == trackers.names(("wandb", "mlflow"))
    assert trackers.names("") == trackers.names(()) == []
