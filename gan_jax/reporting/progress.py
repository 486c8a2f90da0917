"""What a run shows on the console: its messages, and how far it is."""

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


class Progress:
    """One live line on a terminal; elsewhere plain lines with their times, one a log window."""

    def __init__(
        self,
        total: int,
        done: int,
        console: rich.console.Console | None = None,
        quiet: bool = False,
    ):
        """total, done: images of the whole run, and those that an earlier part of it has trained
        on. quiet: prints nothing, as all processes but the first do."""
        self.console = console or _Console(file=sys.stdout, quiet=quiet)
        self.total, self._done, self._since = total, done, time.monotonic()
        # seconds and images that the ETA is computed from
        self._seconds, self._images = 0.0, 0
        # of the current log window, seconds and images that it leaves out
        self._compile_seconds, self._compile_images = 0.0, 0
        self.compiled = 0.0  # seconds of compiling in the last log window
        self._bar = None
        if self.console.is_terminal:
            self._bar = rich.progress.Progress(
                rich.progress.BarColumn(20),
                rich.progress.TaskProgressColumn(),
                rich.progress.TextColumn("{task.description}"),
                rich.progress.TimeElapsedColumn(),
                console=self.console,
            )
            self._task = self._bar.add_task("starting", total=total, completed=done)

    def __enter__(self):
        if self._bar:
            handler = rich.logging.RichHandler(
                console=self.console, show_path=False, show_time=False
            )
            self._bar.start()
        else:
            handler = logging.StreamHandler(sys.stderr)
            handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s: %(message)s", TIME))
        logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
        return self

    def __exit__(self, *_):
        if self._bar:
            self._bar.stop()

    def log(self, text: str) -> None:
        """Prints a line that stays; with the time where there is no terminal."""
        text = text if self._bar else f"{time.strftime(TIME)} {text}"
        self.console.print(shown(text), markup=False, highlight=False, soft_wrap=True)

    def begin(self) -> None:
        """Call when training begins: the time before counts neither as a rate nor for the ETA."""
        self._since = time.monotonic()

    def rate(self, done: int) -> float:
        """Images a second of wall-clock time since the last call, and so since the last log line.

        done: images of the whole run that have been trained on.
        """
        now = time.monotonic()
        seconds, images = now - self._since, done - self._done
        self._seconds += seconds - self._compile_seconds
        self._images += images - self._compile_images
        self.compiled = self._compile_seconds
        self._compile_seconds, self._compile_images = 0.0, 0
        self._done, self._since = done, now
        return images / max(seconds, 1e-9)

    @contextlib.contextmanager
    def compiling(self, images: int = 0) -> Iterator[None]:
        """For the block in which a program is compiled: reports that, and leaves the block's time
        and `images`, which are trained on in it, out of the ETA."""
        if self._bar:
            self._bar.update(self._task, description="compiling")
        else:
            self.log("compiling")
        began = time.monotonic()
        yield
        self._compile_seconds += time.monotonic() - began
        self._compile_images += images

    @contextlib.contextmanager
    def aside(self) -> Iterator[None]:
        """For the block in which nothing is trained, as of an evaluation: its time counts for the
        ETA, but not for the rate."""
        began = time.monotonic()
        yield
        seconds = time.monotonic() - began
        self._since += seconds
        self._seconds += seconds

    def show(self, metrics: Mapping[str, float], rate: float) -> None:
        """Shows how far the run is, the metrics, and the time to the end once it is known."""
        values = "  ".join(f"{name} {value:.3f}" for name, value in metrics.items())
        text = f"{self._done / 1000:.1f}/{self.total / 1000:g} kimg  {rate:.0f} img/s  {values}"
        if self._images > 0:
            left = self._seconds * (self.total - self._done) / self._images
            text += f"  ETA {_duration(left)}"
        if self._bar:
            self._bar.update(self._task, completed=self._done, description=text)
        else:
            self.log(text)


class _Console(rich.console.Console):
    """Goes quiet where nobody reads any more (`| head`, a closed terminal): training goes on."""

    def on_broken_pipe(self) -> None:
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _duration(seconds: float) -> str:
    """3661.0 -> '1:01:01'."""
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{seconds:02d}"
