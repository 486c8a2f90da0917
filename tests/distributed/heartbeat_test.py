"""A process that is gone is noticed, and each ends with one line."""

import os
import threading

from gan_jax.distributed import heartbeat
from tests.distributed.stores import Store


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
