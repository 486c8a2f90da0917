"""The studio's jobs: commands that wait, the one that runs, and how each ended."""

import collections
import dataclasses
import pathlib
import re
import shlex
import threading
import time
from collections.abc import Callable, Sequence

from gan_jax.studio.worker import Run, Worker

POLL = 0.2  # seconds between looks at the worker
MOST_WAITING = 20  # jobs
SIGNAL = 128  # and its number: the exit status of what a signal ended
KEPT = 400  # lines that a command printed last
INTERRUPTS = 2  # of a job: a training ends unsaved at the third
AGAIN = 20  # seconds after the first
WAITING, RUNNING, DONE, FAILED, STOPPED = "waiting", "running", "done", "failed", "stopped"
GONE = (
    "The process of this job ended by itself; the memory may have been too small for it. Try"
    " smaller pictures, or a smaller size."
)


@dataclasses.dataclass(eq=False)
class Job:
    """A command that the page was asked for.

    Attributes:
        title: what it does, for people: "anna: learning from 12 pictures".
        words: the command's, without gan-jax.
        out: the folder of its results.
        owner: the browser tab that asked for it.
        lasting: whether it goes on when that tab is closed.
        notes: lines that the page shows when it has ended.
        alone: whether its process ends with it, as one that trained keeps much memory.
        state: WAITING, RUNNING, DONE, FAILED or STOPPED.
        text: what it printed last, a line; of a failed one the reason.
        printed: all lines that it printed, the last KEPT of them.
        began, ended: times of time.monotonic; 0: not yet.
    """

    title: str
    words: Sequence[str]
    out: pathlib.Path
    owner: str = ""
    lasting: bool = False
    notes: Sequence[str] = ()
    alone: bool = False
    state: str = WAITING
    text: str = ""
    printed: collections.deque = dataclasses.field(
        default_factory=lambda: collections.deque(maxlen=KEPT)
    )
    began: float = 0.0
    ended: float = 0.0
    stop: bool = False

    @property
    def over(self) -> bool:
        return self.state in (DONE, FAILED, STOPPED)

    @property
    def seconds(self) -> float:
        """How long it has run, or ran."""
        return (self.ended or time.monotonic()) - self.began if self.began else 0.0

    @property
    def command(self) -> str:
        """The same as a command line, files by their names only."""
        return "gan-jax " + shlex.join(_named(word) for word in self.words)

    def plain(self, text: str) -> str:
        """A text with the job's own files by their names only."""
        return text.replace(f"{self.out}/in/", "").replace(f"{self.out}/", "")

    def tell(self, text: str) -> None:
        """Notes what was printed."""
        # "\r" goes back to the line's beginning, and what comes last is what stands there
        for line in re.split(r"[\r\n]+", text):
            line = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", line).strip()  # colors and cursors
            line = re.sub(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d ", "", line)  # of logs
            if line:
                self.text = self.plain(line)
                self.printed.append(self.text)


def _named(word: str) -> str:
    """A word of a command, a path by its last part."""
    return pathlib.PurePath(word).name if pathlib.PurePath(word).is_absolute() else word


class Jobs:
    """A line of jobs, of which one runs at a time.

    Args:
        run: what runs a command, `gan_jax.commands.main`.
        worker: makes what runs them in another process.
    """

    def __init__(self, run: Run, worker: Callable[[Run], Worker] = Worker):
        self._run, self._make = run, worker
        self._line: collections.deque[Job] = collections.deque()
        self._change = threading.Condition()
        self._closed = False
        self._worker: Worker | None = None
        self.current: Job | None = None
        self._thread = threading.Thread(target=self._work, name="jobs", daemon=True)
        self._thread.start()

    def add(self, job: Job) -> Job:
        """Puts a job at the line's end.

        Raises:
            ValueError: too many wait.
        """
        with self._change:
            if len(self._line) >= MOST_WAITING:
                raise ValueError(f"{MOST_WAITING} jobs are waiting already. Try again later.")
            self._line.append(job)
            self._change.notify_all()
        return job

    def before(self, job: Job) -> int:
        """How many jobs come before one that waits."""
        with self._change:
            place = list(self._line).index(job) if job in self._line else 0
            return place + (self.current is not None and self.current is not job)

    def busy(self, out: pathlib.Path) -> bool:
        """Whether a job that waits or runs writes to a folder, as its command names it."""
        with self._change:
            there = [*self._line, *filter(None, [self.current])]
        return any(str(out) in job.words and not job.over for job in there)

    def stop(self, job: Job) -> None:
        """Ends a job as Ctrl-C does: what it has made is kept. One that waits never begins."""
        with self._change:
            if job in self._line:
                self._line.remove(job)
                job.state = STOPPED
            job.stop = True

    def leave(self, owner: str) -> None:
        """Ends the jobs of a browser tab that was closed, but those that are `lasting`."""
        with self._change:
            there = [*self._line, *filter(None, [self.current])]
        for job in there:
            if job.owner == owner and not job.lasting:
                self.stop(job)

    def close(self) -> None:
        """Ends the job that runs, saved as by Ctrl-C, and all that wait."""
        with self._change:
            self._closed = True
            self._line.clear()
            if self.current is not None:
                self.current.stop = True
            self._change.notify_all()
        self._thread.join(600)  # a training that saves
        if self._worker is not None:
            self._worker.close()

    def _work(self) -> None:
        """The thread's own: a job after the other."""
        while True:
            with self._change:
                while not self._line and not self._closed:
                    self._change.wait()
                if self._closed:
                    return
                self.current = self._line.popleft()
            try:
                self._finish(self.current)
            finally:
                self.current = None

    def _finish(self, job: Job) -> None:
        """Runs one to its end."""
        job.state, job.began = RUNNING, time.monotonic()
        try:
            status = self._followed(job)
        except (EOFError, OSError):
            status = GONE
            self._retire()
        except Exception as error:  # the line goes on
            status = f"{type(error).__name__}: {error}"
            self._retire()
        job.ended = time.monotonic()
        if status == 0:
            job.state = DONE
        elif job.stop and type(status) is int and status > SIGNAL:
            job.state, job.text = STOPPED, "Stopped."
        else:
            job.state = FAILED
            text = status if isinstance(status, str) else self._reason(job, status)
            job.text = job.plain(text.removeprefix("error: "))
        if job.alone:
            self._retire()

    def _send(self, words: Sequence[str]) -> None:
        """To the worker: a new one, where there is none or it died meanwhile."""
        if self._worker is not None:
            try:
                return self._worker.send(words)
            except OSError:
                self._retire()
        self._worker = self._make(self._run)
        self._worker.send(words)

    def _followed(self, job: Job) -> int | str:
        """The exit status of a job, or its error, as the worker runs it."""
        self._send(job.words)
        began, interrupts, at = False, 0, 0.0
        while True:
            for kind, what in self._worker.messages(POLL):
                began = began or kind == "began"
                if kind == "text":
                    job.tell(what)
                if kind == "ended":
                    return what
            # again after a while: Python drops what is raised in some of its own callbacks
            late = time.monotonic() - at > AGAIN
            if job.stop and began and interrupts < INTERRUPTS and (late or not interrupts):
                self._worker.interrupt()
                interrupts, at = interrupts + 1, time.monotonic()

    @staticmethod
    def _reason(job: Job, status: int) -> str:
        """Why a command failed that returned a status."""
        errors = [line for line in job.printed if line.startswith("error: ")]
        return errors[-1] if errors else job.text or f"It ended with status {status}."

    def _retire(self) -> None:
        if self._worker is not None:
            self._worker.close()
            self._worker = None
