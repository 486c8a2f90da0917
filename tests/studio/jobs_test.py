"""The studio's line of jobs, and the process that runs them."""

import pathlib
import sys
import threading
import time

import pytest

from gan_jax.studio import jobs
from gan_jax.studio.jobs import Job, Jobs
from gan_jax.studio.worker import Worker


class Scripted:
    """In a worker's place: tells what a job's first word says."""

    def __init__(self, run):
        self.sent, self.closed, self.interrupts = [], False, 0
        self.go = threading.Event()
        Scripted.made.append(self)

    def send(self, words):
        if words == ["ok"] and self.sent[-1:] == [["dies"]]:
            raise BrokenPipeError
        self.sent.append(list(words))
        self.begun = False

    def messages(self, seconds):
        kind = self.sent[-1][0]
        if not self.begun:
            self.begun = True
            return [("began", None), ("text", "frames 1/4\rframes 2/4\n")]
        if kind == "lost":
            raise EOFError
        if kind == "waits" and not self.interrupts:
            time.sleep(0.01)
            return []
        return [
            ("ended", {"ok": 0, "dies": 0, "waits": 130, "bad": "error: it is no picture."}[kind])
        ]

    def interrupt(self):
        self.interrupts += 1

    def close(self):
        self.closed = True


@pytest.fixture
def line():
    Scripted.made = []
    made = Jobs(None, Scripted)
    yield made
    made.close()


def job(kind, **settings):
    return Job(kind, [kind], pathlib.Path(), **settings)


def ended(*waited):
    deadline = time.monotonic() + 20
    while not all(each.over for each in waited):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_jobs_run_one_after_the_other_and_say_how_they_ended(line):
    first, second, third = (line.add(job(kind)) for kind in ("ok", "bad", "lost"))
    ended(first, second, third)
    states = [each.state for each in (first, second, third)]
    assert states == [jobs.DONE, jobs.FAILED, jobs.FAILED]
    assert second.text == "it is no picture." and "ended by itself" in third.text
    assert [words for each in Scripted.made for words in each.sent] == [["ok"], ["bad"], ["lost"]]
    last = line.add(job("ok"))
    ended(last)
    assert last.state == jobs.DONE and len(Scripted.made) == 2  # a new one for the lost


def test_a_process_that_died_between_jobs_is_replaced(line):
    first, second = line.add(job("dies")), line.add(job("ok"))
    ended(first, second)
    assert (first.state, second.state) == (jobs.DONE, jobs.DONE)
    assert [each.sent for each in Scripted.made] == [[["dies"]], [["ok"]]]


def test_stop_interrupts_what_runs_and_takes_what_waits_out(line):
    running, waiting, after = line.add(job("waits")), line.add(job("ok")), line.add(job("ok"))
    while running.state != jobs.RUNNING:
        time.sleep(0.01)
    assert (line.before(waiting), line.before(after)) == (1, 2)
    line.stop(waiting)
    assert waiting.state == jobs.STOPPED and line.before(after) == 1
    line.stop(running)
    ended(running, after)
    assert running.state == jobs.STOPPED and after.state == jobs.DONE
    assert Scripted.made[0].sent == [["waits"], ["ok"]]


def test_a_closed_tab_ends_its_jobs_but_lasting_ones(line):
    running = line.add(job("waits", owner="other"))
    mine, lasting = line.add(job("ok", owner="me")), line.add(job("ok", owner="me", lasting=True))
    line.leave("me")
    assert mine.state == jobs.STOPPED and lasting.state == jobs.WAITING
    assert not running.stop
    line.stop(running)
    ended(lasting)
    assert lasting.state == jobs.DONE


def test_a_job_alone_takes_its_process_with_it(line):
    ended(line.add(job("ok", alone=True)))
    deadline = time.monotonic() + 20
    while not Scripted.made[0].closed:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_too_many_jobs_are_refused(line, monkeypatch):
    monkeypatch.setattr(jobs, "MOST_WAITING", 1)
    running = line.add(job("waits"))
    while running.state != jobs.RUNNING:
        time.sleep(0.01)
    line.add(job("ok"))
    with pytest.raises(ValueError, match="1 jobs are waiting already"):
        line.add(job("ok"))
    line.stop(running)


def test_the_last_line_is_what_stands_on_the_terminal():
    made = job("ok")
    made.tell("a\n\x1b[2Kframes 1/4\rframes 2/4\r")
    assert made.text == "frames 2/4" and list(made.printed) == ["a", "frames 1/4", "frames 2/4"]
    made.tell("2026-01-02 03:04:05 compiling\n")
    assert made.text == "compiling"
    own = Job("", [], pathlib.Path("/tmp/x"))
    own.tell("error: /tmp/x/in/a.png: truncated, see /tmp/x/out")
    assert own.text == "error: a.png: truncated, see out"
    words = ["stylize", "comic", "/tmp/x/my head.png", "--out", "/tmp/x/out"]
    shown = Job("", words, pathlib.Path()).command
    assert shown == "gan-jax stylize comic 'my head.png' --out out"


def command(words):
    """What the process runs in the tests."""
    print("began", words)
    if words[0] == "exit":
        sys.exit("error: no such file.")
    if words[0] == "defect":
        raise KeyError("x")
    if words[0] == "sleep":
        time.sleep(60)
    return int(words[1])


def test_the_process_runs_commands_and_outlives_what_goes_wrong():
    made = Worker(command)

    def told(*words):
        made.send(words)
        return until_ended()

    def until_ended():
        found = []
        while not found or found[-1][0] != "ended":
            found += made.messages(20)
        text = "".join(what for kind, what in found if kind == "text")
        return text, found[-1][1]

    assert told("status", "3") == ("began ['status', '3']\n", 3)
    assert told("exit")[1] == "error: no such file."
    assert "KeyError" in told("defect")[1]
    made.interrupt()  # with nothing to interrupt
    time.sleep(0.2)
    made.send(["sleep"])
    while not [each for each in made.messages(20) if each[0] == "text"]:
        pass
    made.interrupt()
    assert until_ended()[1] == 130
    assert told("status", "0")[1] == 0
    made.close()
    with pytest.raises((EOFError, OSError)):
        made.send(["status", "0"])
        made.messages(1)


def test_words_of_a_worker_that_ended_are_heard_before_the_end():
    made = Worker(command)
    made.send(["status", "0"])
    while not any(kind == "ended" for kind, _ in made.messages(20)):
        pass
    made._process.kill()
    made._process.join()
    with pytest.raises(EOFError):
        made.messages(1)
    made.close()
