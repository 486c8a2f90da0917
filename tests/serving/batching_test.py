"""The queue before a network, by functions that need no compiling."""

import threading

import numpy as np
import pytest

from gan_jax.serving.batching import Batcher, Caller, Dropped, filled
from gan_jax.serving.programs import Network

WAIT = 30.0  # seconds: what is waited for comes


class Plain:
    """In the place of Programs: "double" is numpy's; notes its calls, and waits where told to."""

    def __init__(self, most_pixels=10**6):
        self.network = Network(None, {}, most_pixels)
        self.calls, self.begun, self.go = [], threading.Semaphore(0), threading.Event()
        self.go.set()

    def __call__(self, call, rows):
        self.begun.release()
        assert self.go.wait(WAIT)
        self.calls.append((call, rows[0][:, 0].ravel().tolist()))
        if call[0] == "fail":
            raise ZeroDivisionError("by zero")
        return 2 * rows[0]


@pytest.fixture
def queue():
    """(settings) -> (Plain, Batcher) whose thread ends with the test."""
    made = []

    def make(most=4, wait=0.0, **network):
        plain = Plain(**network)
        made.append(Batcher(plain, most, wait, lambda call, size: plain.calls.append(size)))
        return plain, made[-1]

    yield make
    for batcher in made:
        batcher.programs.go.set()
        batcher.close()


def rows(*numbers, width=1):
    return np.repeat(np.float32(numbers)[:, None], width, 1)


def behind(plain, batcher, *submits):
    """The jobs of submits that all wait while the network is busy; it is free again then."""
    plain.go.clear()
    first = batcher.submit(("double",), (rows(-1),))
    assert plain.begun.acquire(timeout=WAIT)
    jobs = [batcher.submit(call, (x,)) for call, x in submits]
    plain.go.set()
    return first, jobs


def test_what_waits_together_goes_together(queue):
    plain, batcher = queue()
    submits = [(("double",), rows(1)), (("double",), rows(2, 3)), (("double",), rows(4, 5))]
    _, jobs = behind(plain, batcher, *submits)
    made = [[job.result.result(WAIT).item() for job in each] for each in jobs]
    assert made == [[2], [4, 6], [8, 10]]
    (one, *more) = plain.calls
    assert one == (("double",), [-1])
    assert more == [1, (("double",), [1, 2, 3, 4]), 4, (("double",), [5]), 1]


def test_other_functions_settings_and_shapes_go_by_themselves_the_oldest_first(queue):
    plain, batcher = queue()
    submits = [
        (("double",), rows(1)),
        (("double", 2), rows(2)),
        (("double",), rows(3, width=2)),
        (("double",), rows(4)),
    ]
    _, jobs = behind(plain, batcher, *submits)
    for (job,) in jobs:
        job.result.result(WAIT)
    calls = [call for call in plain.calls[2:] if call != 1 and call != 2]
    assert calls == [(("double",), [1, 4]), (("double", 2), [2]), (("double",), [3])]


def test_a_batch_is_filled_up_to_a_power_of_two(queue):
    plain, batcher = queue(most=6)
    _, (jobs,) = behind(plain, batcher, (("double",), rows(1, 2, 3)))
    assert [job.result.result(WAIT).item() for job in jobs] == [2, 4, 6]
    assert plain.calls[2:] == [(("double",), [1, 2, 3, 1]), 3]
    assert [filled(n, 6) for n in range(1, 7)] == [1, 2, 4, 4, 6, 6]
    assert batcher.sizes((rows(1),)) == [1, 2, 4, 6]


def test_a_batch_has_no_more_pixels_than_the_network_takes(queue):
    plain, batcher = queue(most=8, most_pixels=50)
    pictures = np.zeros((5, 4, 6, 3), np.float32)  # 24 pixels each
    assert batcher.sizes((pictures[:1],)) == [1, 2]
    assert batcher.sizes((np.zeros((1, 9, 9, 3)),)) == [1]
    _, (jobs,) = behind(plain, batcher, (("double",), pictures))
    for job in jobs:
        job.result.result(WAIT)
    assert [call for call in plain.calls if isinstance(call, int)] == [1, 2, 2, 1]


def test_a_row_waits_for_others(queue):
    """The batch is full with the second row: long before the wait is over."""
    plain, batcher = queue(most=2, wait=WAIT)
    first = batcher.submit(("double",), (rows(1),))
    assert not plain.begun.acquire(timeout=0.05)
    second = batcher.submit(("double",), (rows(2),))
    assert [job.result.result(WAIT).item() for job in first + second] == [2, 4]
    assert plain.calls == [(("double",), [1, 2]), 2]


def test_what_nobody_waits_for_is_taken_out(queue):
    plain, batcher = queue()
    plain.go.clear()
    batcher.submit(("double",), (rows(-1),))
    assert plain.begun.acquire(timeout=WAIT)
    gone, stays, ended = Caller(batcher), Caller(batcher), []

    def call(caller, x):
        try:
            ended.append(caller(("double",), x).tolist())
        except Dropped:
            ended.append("dropped")

    threads = [threading.Thread(target=call, args=args) for args in ((gone, rows(1, 2)),)]
    threads += [threading.Thread(target=call, args=(stays, rows(3)))]
    for thread, waiting in zip(threads, (2, 3), strict=True):
        thread.start()
        while len(batcher) < waiting:
            pass
    gone.drop()
    gone.drop()
    threads[0].join(WAIT)
    assert ended == ["dropped"] and len(batcher) == 1
    plain.go.set()
    threads[1].join(WAIT)
    assert ended == ["dropped", [[6]]]
    assert plain.calls[2:] == [(("double",), [3]), 1]
    with pytest.raises(Dropped):
        gone(("double",), rows(1))


def test_a_failure_is_theirs_who_wait_and_the_next_goes_on(queue):
    _, batcher = queue()
    with pytest.raises(RuntimeError, match="fail: the network failed: by zero"):
        Caller(batcher)(("fail",), rows(1, 2))
    assert Caller(batcher)(("double",), rows(4)).item() == 8


def test_closing_ends_what_is_in_the_queue_and_takes_no_more(queue):
    _, batcher = queue(wait=WAIT)
    (job,) = batcher.submit(("double",), (rows(1),))
    batcher.close()
    assert job.result.result(0).item() == 2 and not batcher._thread.is_alive()
    with pytest.raises(Dropped):
        batcher.submit(("double",), (rows(1),))
