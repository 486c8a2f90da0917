"""Several processes that must agree, and that end in one line where one is gone: with a store of
our own, and for real."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import jax
import pytest
from PIL import Image

from gan_jax import main
from gan_jax.distributed import agreement, cluster, connection, heartbeat
from tests.training_test import FILE, env
from tests.xla_flags import FAST_COMPILE


class Store(dict):
    """What jax's distributed client offers, in this process."""

    def __init__(self):
        self.changed = threading.Condition()

    def key_value_set(self, key, value, allow_overwrite=False):
        assert allow_overwrite or key not in self
        with self.changed:
            self[key] = value
            self.changed.notify_all()

    def blocking_key_value_get(self, key, timeout_in_ms):
        with self.changed:
            assert self.changed.wait_for(lambda: key in self, timeout=5)
        return self[key]

    def key_value_dir_get(self, key):
        return [(name, value) for name, value in self.items() if name.startswith(key)]


def compared(*facts):
    """What each of so many processes raises."""
    store, raised = Store(), [None] * len(facts)

    def process(k):
        try:
            agreement.compare(store, "facts", k, len(facts), facts[k])
        except ValueError as error:
            raised[k] = str(error)

    threads = [threading.Thread(target=process, args=(k,)) for k in range(len(facts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return raised


def facts(seed=0, widths=(16, 8), jax_version="0.10.2", **more):
    return {
        "--mode": "train",
        "config": {"seed": seed, "g": {"widths": widths}, "d": {}} | more,
        "jax": jax_version,
    }


def test_processes_that_agree_go_on():
    assert compared(facts(), facts(widths=[16, 8]), facts()) == [None] * 3


@pytest.mark.parametrize(
    ("other", "line"),
    [
        (facts(seed=7, jax_version="0.11"), "config.seed is 0 on process 0, 7 on process 2."),
        (facts(widths=(16,)), r"config.g.widths is [16, 8] on process 0, [16] on process 2."),
        (facts(jax_version="0.12.0"), "jax is '0.10.2' on process 0, '0.12.0' on process 2."),
        (facts(keep=3), "config.keep is not given on process 0, 3 on process 2."),
        (facts(seed=False), "config.seed is 0 on process 0, False on process 2."),
    ],
)
def test_the_first_difference_is_named_in_all_processes(other, line):
    raised = compared(facts(), facts(), other)
    assert len(set(raised)) == 1 and raised[0].startswith(
        f"the processes don't run the same: {line} Start all"
    )
    assert "\n" not in raised[0]


def test_software_names_what_numbers_depend_on():
    found = agreement.software()
    assert found["jax"] == jax.__version__ and len(found["gan_jax (digest of its code)"]) == 12
    assert {"python", "jaxlib", "flax", "optax", "grain", "numpy"} <= found.keys()


def test_silence_is_counted_in_beats_and_all_end_with_one_line():
    store = Store()
    first, second, third = (heartbeat.Heartbeats(store, k, 3, patience=4) for k in range(3))
    for _ in range(20):
        assert [beats.beat() for beats in (first, second, third)] == [None] * 3
    for _ in range(4):
        assert third.beat() is first.beat() is None
    assert third.beat() == first.beat() == "process 1 of 3 is gone; the same command resumes."
    assert first.silent[1] == 0  # told by the third, not waited for


def test_a_process_without_any_heartbeat_is_gone_too():
    beats = heartbeat.Heartbeats(Store(), 0, 2, patience=3)
    assert [beats.beat() for _ in range(4)] == [None] * 3 + [
        "process 1 of 2 is gone; the same command resumes."
    ]


def ended(monkeypatch, index=1):
    """(peers, statuses of os._exit): what would end this process comes back instead."""
    statuses = []
    monkeypatch.setattr(os, "_exit", statuses.append)
    peers = heartbeat.Peers(index, 2, heartbeat_seconds=1)
    peers.heartbeats = heartbeat.Heartbeats(Store(), index, 2, patience=3)
    return peers, statuses


def test_a_process_ends_once_with_one_line(monkeypatch, capfd):
    peers, statuses = ended(monkeypatch)
    for _ in range(2):
        peers.end("process 0 of 2 is gone.")
    assert statuses == [1] and capfd.readouterr().err == "error: process 0 of 2 is gone.\n"


def test_a_process_that_fails_tells_the_others_why_and_says_nothing_more(monkeypatch, capfd):
    peers, statuses = ended(monkeypatch)
    peers.depart(OSError("data/x.png can't be read\nby anybody"))
    peers.end("process 0 of 2 is gone.")
    other = heartbeat.Heartbeats(peers.heartbeats.store, 0, 2, patience=3)
    assert other.beat() == "process 1 of 2 ended: data/x.png can't be read"
    assert statuses == [] and capfd.readouterr().err == ""


def test_heartbeats_end_a_process_whose_main_thread_is_stuck(monkeypatch, capfd):
    over = threading.Event()
    # the thread goes no further
    monkeypatch.setattr(os, "_exit", lambda status: over.set() or threading.Event().wait())
    peers = heartbeat.Peers(1, 2, heartbeat_seconds=0.05)
    peers.watch(Store())
    assert over.wait(5)
    assert capfd.readouterr().err == "error: process 0 of 2 is gone; the same command resumes.\n"
    peers.close()


def test_waiting_is_said_and_ends(monkeypatch, capsys):
    monkeypatch.setattr(connection, "LOG_SECONDS", 0.02)
    never = threading.Event()
    with pytest.raises(
        TimeoutError,
        match="process 0 of 2 waits: not all have come in 0 s .config.join_seconds.. Every",
    ):
        connection.wait_for(never.wait, 0.3, "process 0 of 2 waits")
    never.set()
    said = capsys.readouterr().err.splitlines()
    assert 1 <= len(said) <= 15 and set(said) == {"process 0 of 2 waits: 0 s of 0"}


def test_what_a_step_raises_while_waited_for_arrives():
    def step():
        raise OSError("no such host")

    with pytest.raises(OSError, match="no such host"):
        connection.wait_for(step, 5, "process 1 of 2 waits")


def test_the_relay_passes_bytes_and_sees_the_end_first():
    lost = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:
        near = socket.create_connection(
            ("127.0.0.1", connection.relay(*server.getsockname(), 5, lost.set)), timeout=5
        )
        far, _ = server.accept()
    near.sendall(b"hello")
    assert far.recv(5) == b"hello"
    far.sendall(b"you")
    assert near.recv(3) == b"you" and not lost.is_set()
    far.close()
    assert lost.wait(5)
    near.settimeout(0.05)
    with pytest.raises(TimeoutError):  # still open: whoever is behind it has not noticed
        near.recv(1)
    near.close()


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


def test_what_a_run_compares(tmp_path, monkeypatch):
    for name, shade in (("a", 0), ("b", 255)):
        Image.new("RGB", (8, 8), (shade,) * 3).save(tmp_path / f"{name}.png")
    (tmp_path / "tiny.py").write_text(FILE)
    compared = []

    def agree(facts):
        compared.append(facts)
        if len(compared) % 2 == 0:
            raise ValueError("they differ")

    monkeypatch.setattr(agreement, "agree", agree)
    source = {"source": "folder", "path": str(tmp_path), "resolution": 8}
    call = [
        "--config",
        str(tmp_path / "tiny.py"),
        "--workdir",
        str(tmp_path / "run"),
        f"--config.data={source}",
    ]
    assert main.main(call) == 1
    first, second = compared
    assert first["--mode"] == "train" and first["--workdir"] == str(tmp_path / "run")
    assert (
        first["config"]["data"] == source
        and first["config"]["seed"] == 0
        and first["jax"] == jax.__version__
    )
    assert json.dumps(first)
    (tmp_path / "b.png").unlink()
    assert main.main(call) == 1
    assert compared[2] == first and compared[3] != second  # the same command, but other pictures


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
