"""Several processes of one run end together:
each sees soon, by missing heartbeats, that another is gone."""

import collections
import contextlib
import math
import multiprocessing
import os
import threading
import time

import jax

# process k's heartbeat is KEY + str(k): a number that grows, GONE, or why the process ended
KEY = "gan_jax/heartbeats/"
GONE = "gone"


class Heartbeats:
    """The heartbeats of all processes, in a key-value store with the methods of jax.distributed's
    client."""

    def __init__(self, store, index: int, count: int, patience: int):
        """index, count: which process this is, of how many. patience: calls of `beat` without a new
        heartbeat of a process until it counts as gone."""
        self.store, self.index, self.count, self.patience = store, index, count, patience
        self.beats, self.last, self.silent = 0, {}, collections.Counter()

    def beat(self) -> str | None:
        """Writes a heartbeat and reads those of the others: the line to end with where one of them
        is gone.

        The first process that notices tells the others, so that all end with the same line.
        """
        self.beats += 1
        self.put(self.index, str(self.beats))
        found = {key.rpartition("/")[2]: sign for key, sign in self.store.key_value_dir_get(KEY)}
        for k in range(self.count):
            sign = found.get(str(k))
            self.silent[k] = 0 if sign != self.last.get(k) else self.silent[k] + 1
            self.last[k] = sign
            if k == self.index:
                continue
            if self.silent[k] > self.patience:
                sign = GONE
                self.put(k, sign)
            if sign == GONE:
                return gone(k, self.count)
            if sign is not None and not sign.isdecimal():
                return f"process {k} of {self.count} ended: {sign}"
        return None

    def put(self, k: int, sign: str) -> None:
        self.store.key_value_set(f"{KEY}{k}", sign, allow_overwrite=True)


def gone(k: int, count: int) -> str:
    return f"process {k} of {count} is gone; the same command resumes."


class Peers:
    """The other processes as this one sees them, and how it ends with them."""

    def __init__(self, index: int, count: int, heartbeat_seconds: int):
        self.index, self.count, self.heartbeat_seconds = index, count, heartbeat_seconds
        self.interval = min(1.0, heartbeat_seconds / 5)  # seconds between two heartbeats
        self.patience = math.ceil(heartbeat_seconds / self.interval)
        self.heartbeats = None
        self._unanswered = 0  # intervals since the store last answered
        self._closed, self._ending = threading.Event(), threading.Lock()

    def watch(self, store) -> None:
        """Starts to write heartbeats and to read the others', in threads."""
        self.heartbeats = Heartbeats(store, self.index, self.count, self.patience)
        for loop in (self._beat, self._count_unanswered):
            threading.Thread(target=loop, daemon=True).start()

    def end(self, line: str) -> None:
        """Ends this process, from any thread, with a line; unless it is leaving by itself."""
        if self._ending.acquire(blocking=False) and not self._closed.is_set():
            os.write(2, f"error: {line}\n".encode("utf-8", "backslashreplace"))
            self.exit(1)

    def wait_until_noticed(self) -> None:
        """Waits as long as it takes to notice that another process is gone, which ends this one."""
        time.sleep((self.patience + 3) * self.interval)

    def depart(self, error: BaseException) -> None:
        """Tells the others that this process ends, and why; it prints that itself."""
        self._ending.acquire()  # for ever where `end` has it: then that line is the one
        self._closed.set()
        if self.heartbeats is not None:
            text = str(error).strip().split("\n")[0] or type(error).__name__
            with contextlib.suppress(jax.errors.JaxRuntimeError):  # process 0 is gone too
                self.heartbeats.put(self.index, text if not text.isdecimal() else f"error {text}")

    def close(self) -> None:
        """The run is over in every process."""
        self._closed.set()

    def exit(self, status: int) -> None:
        """Ends this process at once, in the middle of whatever it does."""
        if self.index == 0:
            time.sleep(3 * self.interval)  # process 0 keeps the store: the others are to read it
        for child in multiprocessing.active_children():
            child.kill()
        os._exit(status)

    def _beat(self):
        while not self._closed.wait(self.interval):
            # no answer: _count_unanswered counts
            with contextlib.suppress(jax.errors.JaxRuntimeError):
                line = self.heartbeats.beat()
                self._unanswered = 0
                if line and not self._closed.is_set():
                    self.end(line)

    def _count_unanswered(self):
        # counted, not timed: a process that was held up raises no alarm
        while not self._closed.wait(self.interval):
            self._unanswered += 1
            if self._unanswered > self.patience:
                self.end(gone(0, self.count))
