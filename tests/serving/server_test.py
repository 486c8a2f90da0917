"""The process: its socket, its token, its flags, and how it ends."""

import concurrent.futures
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading

import pytest

from gan_jax.commands import serve
from gan_jax.serving import access, server
from tests.paths import ROOT
from tests.runs import STYLED, lively_stylegan2, untrained

WAIT = 120  # seconds: what is waited for comes


def test_answers_are_not_held_back_for_acknowledgments():
    """asyncio sets TCP_NODELAY where a socket's protocol is named."""
    with server.listen("127.0.0.1", 0) as listener:
        assert listener.proto == socket.IPPROTO_TCP and listener.getsockname()[1]


def test_a_port_in_use():
    with server.listen("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(ValueError, match=f"--port={port}: another program uses it"):
            server.listen("127.0.0.1", port)
    with pytest.raises(ValueError, match="--host=nowhere.invalid: no address"):
        server.listen("nowhere.invalid", 0)
    with pytest.raises(ValueError, match="--host=192.0.2.1, --port=0: "):
        server.listen("192.0.2.1", 0)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org"])
def test_others_need_a_token(host):
    with pytest.raises(ValueError, match=f"--host={host}: others reach this address"):
        access.read_token(None, host)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_this_machine_needs_none(host):
    assert access.read_token(None, host) is None


@pytest.mark.parametrize("text", ["", " \n", "short", "two words of a token", "é" * 20])
def test_a_file_without_a_token(tmp_path, text):
    file = tmp_path / "token"
    file.write_text(text)
    file.chmod(0o600)
    with pytest.raises(ValueError, match="it must hold one token"):
        access.read_token(file, "127.0.0.1")


def test_a_token_is_nobody_elses(tmp_path):
    file = tmp_path / "token"
    file.write_text("0123456789abcdef\n")
    file.chmod(0o604)
    with pytest.raises(ValueError, match="everybody may read it"):
        access.read_token(file, "0.0.0.0")
    file.chmod(0o640)
    assert access.read_token(file, "0.0.0.0") == "0123456789abcdef"


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--max-batch", "0"], "--max-batch=0: it must be at least 1"),
        (["--queue", "9999"], "--queue=9999: it must be at most 1024"),
        (["--timeout", "0"], "--timeout=0: it must be above 0"),
        (["--wait-ms", "2000"], "--wait-ms=2000: it must be 0 to 1000"),
        (["--port", "70000"], "--port=70000: it must be 0 to 65535"),
        (["--max-bytes", "1"], "--max-bytes=1: it must be at least 1024"),
        (["--allow-origin", "example.org"], "--allow-origin=example.org: "),
    ],
)
def test_flags_that_can_not_be(flags, words):
    with pytest.raises(ValueError, match=words):
        serve.parse(["run", *flags])


def test_what_is_missing_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(ValueError, match=r"uvicorn, .*: pip install 'gan_jax\[serve\]'"):
        serve.main(["portraits"])


def test_a_network_that_fails_ends_the_server():
    class Failing:
        class limits:
            timeout = 1.0

        closed = False

        def in_background(self, function):
            done = concurrent.futures.Future()
            done.set_exception(RuntimeError("out of memory"))
            return done

        warm_up = None

        def close(self):
            self.closed = True

    service = Failing()
    with (
        pytest.MonkeyPatch.context() as patch,
        server.listen("127.0.0.1", 0) as listener,
        pytest.raises(RuntimeError, match="out of memory"),
    ):
        patch.setattr(server, "create_app", lambda *_: None)
        server.run(service, listener, None, [])
    assert service.closed


@pytest.fixture
def process(tmp_path):
    """(process, port) of a tiny run that is served and ready."""
    run = untrained(tmp_path / "run", STYLED, [8, 8, 3], (), lively_stylegan2)
    command = [sys.executable, str(ROOT / "tools" / "serve.py"), str(run)]
    flags = ["--port", "0", "--max-batch", "2", "--wait-ms", "100"]
    paths = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    with subprocess.Popen(
        [*command, *flags],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": paths},
    ) as started:
        first = started.stdout.readline()
        assert first.startswith("http://127.0.0.1:"), first + started.stderr.read()
        assert started.stdout.readline() == "ready\n"
        yield started, int(first.split(":")[2].split("/")[0])
        started.kill()


def test_a_signal_lets_those_that_are_here_finish(process):
    """Twelve that are on their way are answered; then the port is closed."""
    started, port = process
    answers, sent = [], threading.Barrier(13)

    def ask(seed):
        to = http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT)
        to.request(
            "POST", "/v1/sample", json.dumps({"seed": seed}), {"Content-Type": "application/json"}
        )
        sent.wait(WAIT)
        answer = to.getresponse()
        answers.append((answer.status, len(answer.read())))

    threads = [threading.Thread(target=ask, args=(seed,)) for seed in range(12)]
    for thread in threads:
        thread.start()
    sent.wait(WAIT)
    started.send_signal(signal.SIGTERM)
    for thread in threads:
        thread.join(WAIT)
    assert len(answers) == 12 and {status for status, _ in answers} <= {200, 503}
    assert (200 in dict(answers)) and all(size > 100 for status, size in answers if status == 200)
    assert started.wait(WAIT) == 128 + signal.SIGTERM
    assert started.stderr.read() == "stopped by SIGTERM.\n"
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", port), timeout=1)
