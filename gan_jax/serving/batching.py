"""Rows of many requests that wait together go through the network in one batch, on one thread."""

import collections
import concurrent.futures
import dataclasses
import threading
import time
from collections.abc import Callable, Hashable

import jax
import numpy as np

from gan_jax.serving.programs import Call, Programs, signature
from gan_jax.state import PyTree

CLOSING = 30  # seconds in which the thread ends what it runs, at most


class Dropped(Exception):
    """Nobody waits for this any more: the client has gone, or its time is over."""


@dataclasses.dataclass(eq=False)
class Job:
    """A row that waits for its turn. `key`: those of one key may share a batch."""

    call: Call
    row: PyTree
    key: Hashable
    arrived: float
    result: concurrent.futures.Future = dataclasses.field(default_factory=concurrent.futures.Future)


class Batcher:
    """The queue before a network. A batch is of one function and one shape, oldest first; its size
    is filled up to a power of two, so that few sizes are compiled.

    Args:
        programs: of the network; called on one thread only.
        most: rows of a batch.
        wait: seconds that a row waits for others, where there are fewer.
        ran: called with what each batch was of, and its size before it was filled up.
    """

    def __init__(
        self,
        programs: Programs,
        most: int,
        wait: float,
        ran: Callable[[Call, int], None] = lambda call, size: None,
    ):
        self.programs, self.most, self.wait, self._ran = programs, most, wait, ran
        self._waiting: dict[Hashable, collections.deque[Job]] = {}
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="network", daemon=True)
        self._thread.start()

    def __len__(self) -> int:
        """Rows that wait."""
        with self._changed:
            return sum(map(len, self._waiting.values()))

    def sizes(self, row: PyTree) -> list[int]:
        """The sizes of batches of rows like this one, each compiled by itself."""
        most = self._most(row)
        return sorted({filled(n, most) for n in range(1, most + 1)})

    def submit(self, call: Call, rows: PyTree) -> list[Job]:
        """Puts n rows, trees of arrays [n, ...], into the queue."""
        count = len(jax.tree.leaves(rows)[0])
        parts = [jax.tree.map(lambda x, i=i: np.asarray(x[i : i + 1]), rows) for i in range(count)]
        key, now = (call, signature(parts[0])), time.monotonic()
        jobs = [Job(call, part, key, now) for part in parts]
        with self._changed:
            if self._closed:
                raise Dropped
            for job in jobs:
                self._waiting.setdefault(key, collections.deque()).append(job)
            self._changed.notify_all()
        return jobs

    def drop(self, jobs: list[Job]) -> None:
        """Takes out of the queue what is still in it; whoever waits for it gets CancelledError."""
        with self._changed:
            for job in jobs:
                if job.result.cancel():
                    self._waiting[job.key].remove(job)
                    self._tidy(job.key)

    def close(self) -> None:
        """Ends the thread, after what is in the queue."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join(CLOSING)

    def _tidy(self, key: Hashable) -> None:
        if not self._waiting.get(key, True):
            del self._waiting[key]

    def _most(self, row: PyTree) -> int:
        """Rows of a batch, of those like this one."""
        network = self.programs.network
        shapes = [x.shape for x in jax.tree.leaves(row) if x.ndim == 4]
        pixels = max([network.pixels, *(shape[1] * shape[2] for shape in shapes)])
        return max(1, min(self.most, network.most_pixels // pixels))

    def _work(self) -> None:
        while (jobs := self._gather()) is not None:
            if jobs:
                self._run(jobs)

    def _gather(self) -> list[Job] | None:
        """The next batch; None: closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            if not self._waiting:
                return None
            key = min(self._waiting, key=lambda key: self._waiting[key][0].arrived)
            first = self._waiting[key][0]
            most, until = self._most(first.row), first.arrived + self.wait

            def full():
                return len(self._waiting.get(key, ())) >= most or self._closed

            self._changed.wait_for(full, until - time.monotonic())
            queue = self._waiting.get(key, collections.deque())
            jobs = [queue.popleft() for _ in range(min(most, len(queue)))]
            self._tidy(key)
            return [job for job in jobs if job.result.set_running_or_notify_cancel()]

    def _run(self, jobs: list[Job]) -> None:
        more = filled(len(jobs), self._most(jobs[0].row)) - len(jobs)
        rows = [job.row for job in jobs] + [jobs[0].row] * more
        try:
            made = self.programs(jobs[0].call, jax.tree.map(_joined, *rows))
            assert {len(x) for x in jax.tree.leaves(made)} <= {len(rows)}
        except Exception as error:  # whatever it is, it is theirs who wait
            for job in jobs:
                failed = RuntimeError(f"{jobs[0].call[0]}: the network failed: {error}")
                failed.__cause__ = error
                job.result.set_exception(failed)
            return
        self._ran(jobs[0].call, len(jobs))
        for i, job in enumerate(jobs):
            job.result.set_result(jax.tree.map(lambda x, i=i: x[i : i + 1], made))


class Caller:
    """One request's way to the network.

    Attributes:
        dropped: whether nobody waits for it any more.
    """

    def __init__(self, batcher: Batcher):
        self.batcher, self.dropped = batcher, False
        self._jobs: list[Job] = []
        self._lock = threading.Lock()

    def __call__(self, call: Call, *rows: PyTree) -> PyTree:
        """What `call` makes of rows, trees of arrays [n, ...].

        Raises:
            Dropped: after `drop`.
            RuntimeError: the network failed.
        """
        with self._lock:
            if self.dropped:
                raise Dropped
            self._jobs = self.batcher.submit(call, rows)
            jobs = self._jobs
        try:
            return jax.tree.map(_joined, *[job.result.result() for job in jobs])
        except concurrent.futures.CancelledError as error:
            raise Dropped from error

    def drop(self) -> None:
        """Takes its rows out of the queue; what goes on for it ends at its next call."""
        with self._lock:
            if not self.dropped:
                self.dropped = True
                self.batcher.drop(self._jobs)


def filled(count: int, most: int) -> int:
    """The size of a batch of so many rows: the next power of two, or the most there may be."""
    return min(1 << (count - 1).bit_length(), most)


def _joined(*rows: np.ndarray) -> np.ndarray:
    return np.concatenate(rows)
