"""What a run shows on the console."""

import contextlib
import logging
import os
import sys
import time
from collections.abc import Iterator, Mapping

import rich.console
import rich.logging
import rich.progress

from gan_jax.runtime.text import shown

TIME = "%Y-%m-%d %H:%M:%S"


class _Console(rich.console.Console):
    """Goes quiet where nobody reads any more (`| head`, a closed terminal): training goes on."""

    def on_broken_pipe(self) -> None:
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class Progress:
    """One live line on a terminal; plain lines, one a log window, elsewhere."""

    def __init__(
        self,
        total: int,
        done: int,
        console: rich.console.Console | None = None,
        quiet: bool = False,
    ):
        """total, done: images of the whole run, and already played; quiet: of several processes one
        speaks."""
        self.console = console or _Console(file=sys.stdout, quiet=quiet)
        self.total, self._done, self._since = total, done, time.monotonic()
        self._spent, self._counted = 0.0, 0  # seconds and images that the ETA goes by
        self._apart = (0.0, 0)  # those of this window that it doesn't
        columns = (
            rich.progress.BarColumn(20),
            rich.progress.TaskProgressColumn(),
            rich.progress.TextColumn("{task.description}"),
            rich.progress.TimeElapsedColumn(),
        )
        self._bar = (
            rich.progress.Progress(*columns, console=self.console)
            if self.console.is_terminal
            else None
        )
        if self._bar:
            self._task = self._bar.add_task("starting", total=total, completed=done)

    def __enter__(self):
        handler = rich.logging.RichHandler(console=self.console, show_path=False, show_time=False)
        plain = logging.StreamHandler(sys.stderr)
        plain.setFormatter(logging.Formatter("%(asctime)s %(levelname)s: %(message)s", TIME))
        logging.basicConfig(
            level=logging.WARNING, handlers=[handler if self._bar else plain], force=True
        )
        if self._bar:
            self._bar.start()
        return self

    def __exit__(self, *_):
        if self._bar:
            self._bar.stop()

    def log(self, text: str) -> None:
        """One line that stays; with the time, where it goes to a file."""
        text = text if self._bar else f"{time.strftime(TIME)} {text}"
        self.console.print(shown(text), markup=False, highlight=False, soft_wrap=True)

    def rate(self, done: int) -> float:
        """Images a second since the last call, of wall-clock time: what the user waits for."""
        now = time.monotonic()
        rate = (done - self._done) / max(now - self._since, 1e-9)
        seconds, images = self._apart
        self._spent, self._counted = (
            self._spent + now - self._since - seconds,
            self._counted + done - self._done - images,
        )
        self._done, self._since, self._apart = done, now, (0.0, 0)
        return rate

    def begin(self) -> None:
        """Training begins now: what came before took none of its time."""
        self._since = time.monotonic()

    @contextlib.contextmanager
    def compiling(self, images: int = 0) -> Iterator[None]:
        """What is done in here takes long once, and is said; the ETA leaves it out, with the images
        played in it."""
        if self._bar:
            self._bar.update(self._task, description="compiling")
        else:
            self.log("compiling")
        began = time.monotonic()
        yield
        self._apart = (self._apart[0] + time.monotonic() - began, self._apart[1] + images)

    @contextlib.contextmanager
    def aside(self) -> Iterator[None]:
        """What is done in here, an evaluation, is no training: `rate` leaves its time out."""
        began = time.monotonic()
        yield
        took = time.monotonic() - began
        self._since, self._spent = self._since + took, self._spent + took

    def show(self, metrics: Mapping[str, float], rate: float) -> None:
        values = "  ".join(f"{name} {value:.3f}" for name, value in metrics.items())
        text = f"{self._done / 1000:.1f}/{self.total / 1000:g} kimg  {rate:.0f} img/s  {values}"
        if self._counted > 0:
            text += f"  ETA {_duration(self._spent * (self.total - self._done) / self._counted)}"
        if self._bar:
            self._bar.update(self._task, completed=self._done, description=text)
        else:
            self.log(text)


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{seconds:02d}"
