"""The process that runs the studio's commands, one after the other, and stays warm between them."""

import contextlib
import io
import multiprocessing
import os
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection

from gan_jax.runtime import xla_flags
from gan_jax.runtime.signals import Signals

Run = Callable[[list[str]], int]
"""A command's words -> its exit status; or it exits with it, or with the text of an error."""


class Worker:
    """A process that runs commands.

    Args:
        run: as `gan_jax.commands.main`; a function that is found by its name, for another process.
    """

    def __init__(self, run: Run):
        here, there = multiprocessing.Pipe()
        self._messages = here
        # not forked: JAX has threads
        context = multiprocessing.get_context("spawn")
        self._process = context.Process(target=_serve, args=(there, run), daemon=True)
        self._process.start()
        there.close()

    def send(self, words: Sequence[str]) -> None:
        """Lets it run a command; its messages tell how it goes."""
        self._messages.send(list(words))

    def messages(self, seconds: float) -> list[tuple[str, object]]:
        """What it told since the last call, waiting so long for the first: ("began", None);
        ("text", str), printed; ("ended", an exit status, or an error's text).

        Raises:
            EOFError: the process is gone.
        """
        found = []
        while self._messages.poll(0 if found else seconds):
            try:
                found.append(self._messages.recv())
            except (EOFError, OSError) as error:
                if found:
                    break
                raise EOFError from error
        return found

    def interrupt(self) -> None:
        """Ctrl-C, for the command that runs."""
        if self._process.is_alive():
            os.kill(self._process.pid, signal.SIGINT)

    def close(self) -> None:
        """Ends the process."""
        self._messages.close()
        self._process.terminate()
        self._process.join(10)
        if self._process.is_alive():
            self._process.kill()


class _Printed(io.RawIOBase):
    """What a command prints, as messages."""

    def __init__(self, connection: Connection):
        self._connection = connection

    def writable(self) -> bool:
        return True

    def write(self, data) -> int:
        self._connection.send(("text", bytes(data).decode("utf-8", "replace")))
        return len(data)


def _serve(connection: Connection, run: Run) -> None:
    """The process's own work: until the other end is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # between commands: the page's process ends us
    if os.name == "posix":
        os.setsid()  # the terminal's Ctrl-C is the page's alone, which passes it on
    xla_flags.prepare()
    out = io.TextIOWrapper(_Printed(connection), "utf-8", "backslashreplace", write_through=True)
    sys.stdout = sys.stderr = out
    with contextlib.suppress(EOFError, OSError, KeyboardInterrupt):
        while True:
            words = connection.recv()
            status = _run(run, words, connection)
            connection.send(("ended", status))


def _run(run: Run, words: list[str], connection: Connection) -> int | str:
    """One command: its exit status, or the text of its error."""
    try:
        with Signals():
            connection.send(("began", None))
            return run(words)
    except SystemExit as end:
        return 0 if end.code is None else end.code
    except KeyboardInterrupt:  # before the command, or after its own handling of signals
        return 128 + signal.SIGINT
    except Exception as error:  # a defect: the page says so, and lives on
        traceback.print_exc(file=sys.__stderr__)
        return (
            f"error: {type(error).__name__}: {error} (a defect of gan_jax; the terminal has more)"
        )
