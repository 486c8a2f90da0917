"""Waiting for process 0 can be interrupted, and its end is seen first."""

import socket
import threading

import pytest

from gan_jax.distributed import connection


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
