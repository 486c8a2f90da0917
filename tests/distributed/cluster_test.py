"""Several processes that join and end in one line where one is gone: flags and launchers, and for
real."""

import os
import signal
import socket
import subprocess
import sys
import time

import pytest

from gan_jax.distributed import cluster
from tests.training_test import FILE, env
from tests.xla_flags import FAST_COMPILE


def join(*place, explain=lambda error: 1):
    with cluster.joined(*place, 100, 300, explain):
        pass


@pytest.mark.parametrize(
    ("place", "message"),
    [
        (("host:1", 2, None), "--coordinator, --num_processes and --process_id go together"),
        (("host:1", 2, 2), "--process_id=2: it must be 0 to 1"),
        (("host", 2, 0), "--coordinator=host: write HOST:PORT"),
        (("host:99999", 2, 0), "--coordinator=host:99999: write HOST:PORT.*a port is 1 to 65535"),
    ],
)
def test_flags_that_name_no_process(place, message):
    with pytest.raises(ValueError, match=message):
        join(*place)


@pytest.mark.parametrize(
    ("env", "several"),
    [
        ({}, False),
        ({"SLURM_STEP_NUM_TASKS": "1"}, False),
        ({"SLURM_STEP_NUM_TASKS": "8"}, True),
        ({"OMPI_COMM_WORLD_SIZE": "2"}, True),
        ({"JOB_COMPLETION_INDEX": "0"}, True),
        ({"TPU_WORKER_HOSTNAMES": "localhost"}, False),
        ({"TPU_WORKER_HOSTNAMES": "a,b"}, True),
    ],
)
def test_a_launcher_with_several_processes_is_noticed(env, several, monkeypatch):
    for name in (
        "SLURM_STEP_NUM_TASKS",
        "OMPI_COMM_WORLD_SIZE",
        "JOB_COMPLETION_INDEX",
        "TPU_WORKER_HOSTNAMES",
    ):
        monkeypatch.delenv(name, raising=False)
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name == "kubernetes")
    calls = []
    monkeypatch.setattr(
        cluster, "_detected", lambda *args: calls.append(args) or ("nowhere", 8, 0, None)
    )
    if several:
        with pytest.raises(ValueError, match="--coordinator=nowhere"):
            join(None, None, None)
    else:
        join(None, None, None)
    assert calls == ([(None, None, None, 300)] if several else [])


def test_a_port_that_is_taken_is_said(monkeypatch):
    statuses, said = [], []
    monkeypatch.setattr(os, "_exit", statuses.append)
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    with socket.create_server(("", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(
            OSError, match=f"--coordinator: port {port} of this machine can't be used"
        ):
            join(f"localhost:{port}", 2, 0, explain=lambda error: said.append(error) or 1)
    assert statuses == [1] and len(said) == 1


# Two real processes, one device each.


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@pytest.fixture
def processes(tmp_path, shared_data):
    """(settings of process 0, of process 1; NAME=values of theirs in the environment): all are
    killed at the end."""
    file, started, address = tmp_path / "tiny.py", [], f"127.0.0.1:{free_port()}"
    file.write_text(FILE)

    def start(*settings, **environment):
        for k, more in enumerate(settings):
            call = [
                sys.executable,
                "-m",
                "gan_jax.main",
                "--config",
                str(file),
                "--workdir",
                str(tmp_path / "run"),
            ]
            call += ["--coordinator", address, "--num_processes", "2", "--process_id", str(k)]
            call += [f"--config.{setting}" for setting in ("heartbeat_seconds=5", *more)]
            own = {name: values[k] for name, values in environment.items()}
            pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
            started.append(subprocess.Popen(call, env=env(XLA_FLAGS=FAST_COMPILE, **own), **pipes))
        return started

    yield start
    for process in started:
        process.kill()
        process.communicate()


def errors(process, within):
    """(exit status, the lines on stderr but those of gloo and of where the traceback is)."""
    err = process.communicate(timeout=within)[1]
    return process.returncode, [
        x for x in err.splitlines() if not x.startswith(("[Gloo]", "(traceback", "drawing"))
    ]


@pytest.mark.slow
@pytest.mark.parametrize("victim", [0, 1])
def test_a_killed_process_ends_the_other_in_one_line_and_the_same_command_resumes(
    processes, tmp_path, victim
):
    both = processes(["total_kimg=1000"], ["total_kimg=1000"])
    while not (tmp_path / "run" / "checkpoints" / "20").is_dir():
        time.sleep(0.1)
    both[victim].send_signal(signal.SIGKILL)
    line = f"error: process {victim} of 2 is gone; the same command resumes."
    assert errors(both[1 - victim], within=10) == (1, [line])
    again = processes(["total_kimg=0.32"], ["total_kimg=0.32"])[2:]
    outs = [process.communicate(timeout=120) for process in again]
    assert [process.returncode for process in again] == [0, 0], outs
    assert "resumed from step" in outs[0][0]


@pytest.mark.slow
@pytest.mark.parametrize("settings", [["seed=7"], ["data.identities=11"]])
def test_processes_of_other_settings_end_before_they_train(processes, settings):
    both = processes([], settings)
    found = [errors(process, within=120) for process in both]
    assert found[0] == found[1] and found[0][0] == 1 and len(found[0][1]) == 1
    assert settings[0].split("=")[0] in found[0][1][0]


@pytest.mark.slow
def test_a_partner_that_never_comes(processes):
    (alone,) = processes(["join_seconds=32"])
    status, said = errors(alone, within=60)
    assert status == 1 and len(said) == 2
    assert "waits at" in said[0] and said[0].endswith("for the others: 30 s of 32")
    assert (
        said[1].startswith("error: process 0 of 2 waits at")
        and "not all have come in 32 s" in said[1]
    )


@pytest.mark.slow
def test_an_error_of_one_process_is_told_by_the_other(processes, tmp_path):
    (tmp_path / "file").touch()
    both = processes([], [], GAN_JAX_DATA=(os.environ["GAN_JAX_DATA"], str(tmp_path / "file")))
    (status_0, said_0), (status_1, said_1) = [errors(process, within=120) for process in both]
    assert (status_0, status_1) == (1, 1) and len(said_1) == 1
    assert said_0 == [said_1[0].replace("error: ", "error: process 1 of 2 ended: ")]


@pytest.mark.slow
@pytest.mark.parametrize("told", [0, 1])
def test_a_signal_to_one_process_saves_and_ends_both(processes, tmp_path, told):
    both = processes(["total_kimg=1000"], ["total_kimg=1000"])
    while not (tmp_path / "run" / "checkpoints" / "20").is_dir():
        time.sleep(0.1)
    both[told].send_signal(signal.SIGTERM)
    outs = [process.communicate(timeout=60) for process in both]
    assert (
        both[0].returncode == both[1].returncode
        and "the same command goes on from there" in outs[0][0]
    )
    assert [
        line
        for line in (outs[0][1] + outs[1][1]).splitlines()
        if line.startswith(("error", "*** Check"))
    ] == []
