"""Signals that ask a run to end: Ctrl-C (SIGINT), SIGTERM and, of a closing terminal, SIGHUP."""

import _thread
import signal
import sys
import threading
from typing import Self

# no SIGHUP on Windows
NAMES = [name for name in ("SIGINT", "SIGTERM", "SIGHUP") if name in signal.Signals.__members__]


class Stopped(KeyboardInterrupt):
    """A signal ended the run. What catches errors lets it pass.

    saved: whether it was in training, in which all processes stop after the same step and save it.
    """

    def __init__(self, name: str, saved: bool = False):
        super().__init__(f"stopped by {name}")
        self.name, self.saved = name, saved

    @property
    def status(self) -> int:
        """The exit status: 128 + the signal's number, as shells have it."""
        return 128 + signal.Signals[self.name]


class Signals:
    """Notes signals, in a `with`. Until `defer` is called each also raises `Stopped` where it
    arrives.

    Python drops what is raised in a callback of its garbage collector (JAX has one) or in a
    `__del__`: then it is raised again a moment later, and `check` stands between the stages of a
    start.
    """

    def __init__(self):
        self.caught: list[str] = []  # names, in order
        self._deferred = False

    def __enter__(self) -> Self:
        # Python lets only the main thread set handlers: in another one, signals do what they did
        names = NAMES if threading.current_thread() is threading.main_thread() else []
        self._old = {name: signal.getsignal(signal.Signals[name]) for name in names}
        self._old_hook, sys.unraisablehook = sys.unraisablehook, self._again
        for name in names:
            # nohup wants the run to outlive its terminal
            if name != "SIGHUP" or self._old[name] is not signal.SIG_IGN:
                signal.signal(signal.Signals[name], self._note)
        return self

    def __exit__(self, *_) -> None:
        sys.unraisablehook = self._old_hook
        for name, handler in self._old.items():
            # None: it was not Python's
            signal.signal(signal.Signals[name], handler or signal.SIG_DFL)

    def check(self) -> None:
        """Raises Stopped if a signal came."""
        if self.caught:
            raise Stopped(self.caught[0])

    def defer(self) -> None:
        """From now on a signal is noted only, for whoever looks at `caught`; a third Ctrl-C still
        raises Stopped."""
        self.check()
        self._deferred = True

    def _note(self, number, frame) -> None:
        name = signal.Signals(number).name
        self.caught.append(name)
        if not self._deferred or self.caught.count("SIGINT") > 2:
            raise Stopped(name)

    def _again(self, unraisable) -> None:
        if isinstance(unraisable.exc_value, Stopped):
            number = int(signal.Signals[unraisable.exc_value.name])
            threading.Timer(0.01, _send_again, [number]).start()
        else:
            self._old_hook(unraisable)


def _send_again(number: int) -> None:
    if sys.platform == "win32":
        _thread.interrupt_main(number)
    else:
        # what the main thread waits for is interrupted too
        signal.pthread_kill(threading.main_thread().ident, number)
