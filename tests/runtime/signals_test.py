"""Signals are noted from the first line on, lost by nobody, and say how the program ended."""

import contextlib
import gc
import os
import signal
import sys
import threading
import time

import pytest

from gan_jax.runtime import signals
from gan_jax.runtime.signals import Signals, Stopped


def send(name):
    os.kill(os.getpid(), signal.Signals[name])


@pytest.mark.parametrize(("name", "status"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129)])
def test_a_signal_stops_at_once_and_gives_the_shells_status(name, status):
    before = signal.signal(signal.Signals[name], signal.default_int_handler)  # nohup ignores SIGHUP
    try:
        with pytest.raises(Stopped, match=f"stopped by {name}") as stopped, Signals():
            send(name)
            time.sleep(5)
        assert stopped.value.status == status
        assert signal.getsignal(signal.Signals[name]) is signal.default_int_handler
    finally:
        signal.signal(signal.Signals[name], before)


def test_what_the_garbage_collectors_callback_swallows_is_raised_again(capsys):
    def callback(phase, info):
        gc.callbacks.remove(callback)
        send("SIGINT")

    with pytest.raises(Stopped), Signals() as caught:
        gc.callbacks.append(callback)
        gc.collect()
        time.sleep(20)
    assert len(caught.caught) > 1 and set(caught.caught) == {"SIGINT"}
    assert "ignored" not in capsys.readouterr().err


def test_other_errors_that_python_drops_are_shown_as_ever(capsys):
    class Odd:
        def __del__(self):
            raise ValueError("of somebody else")

    seen, old = [], sys.unraisablehook
    sys.unraisablehook = seen.append
    try:
        with Signals():
            Odd()
        assert sys.unraisablehook == seen.append
    finally:
        sys.unraisablehook = old
    assert [str(x.exc_value) for x in seen] == ["of somebody else"]


def test_deferred_signals_are_noted_and_a_third_ctrl_c_ends_it():
    with pytest.raises(Stopped), Signals() as caught:
        caught.defer()
        for name in ("SIGTERM", "SIGINT", "SIGTERM", "SIGINT"):
            send(name)
        assert caught.caught == ["SIGTERM", "SIGINT", "SIGTERM", "SIGINT"]
        send("SIGINT")
        time.sleep(5)


@pytest.mark.parametrize("stage", [Signals.check, Signals.defer])
def test_a_stage_heeds_what_was_swallowed_before_it(stage):
    with pytest.raises(Stopped, match="SIGTERM"), Signals() as caught:
        with contextlib.suppress(Stopped):
            send("SIGTERM")
        stage(caught)


def test_nohup_is_heeded():
    old = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Signals() as caught:
            send("SIGHUP")
            assert caught.caught == []
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, old)


def test_a_system_without_sighup(monkeypatch):
    monkeypatch.setattr(signals, "NAMES", ["SIGINT", "SIGTERM"])  # as Windows has them
    with pytest.raises(Stopped), Signals():
        send("SIGINT")
        time.sleep(5)


def test_in_another_thread_it_leaves_signals_alone():
    """As gan_jax.train is called from there by a server."""
    failed = []

    def run():
        try:
            with Signals() as found:
                found.check()
        except Exception as error:
            failed.append(error)

    old = signal.getsignal(signal.SIGINT)
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert not failed and signal.getsignal(signal.SIGINT) is old
