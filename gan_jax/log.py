"""What a run shows and writes: progress on the console, TensorBoard, JSON lines, sample grids."""

import contextlib
import errno
import json
import logging
import math
import os
import pathlib
import sys
import time
from collections.abc import Callable, Iterator, Mapping

import numpy as np
import rich.console
import rich.logging
import rich.progress
from PIL import Image
from tensorboardX import summary
from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.proto.summary_pb2 import Summary

from gan_jax import launch
from gan_jax.data.sources.folder import MARK
from gan_jax.workdir import step_of

TIME = "%Y-%m-%d %H:%M:%S"
FLUSH_SECONDS = 30  # TensorBoard's file is on the disk at least so often


class Writer:
    """Scalars and images of a run, to TensorBoard and to `metrics.jsonl`; clu.metric_writers' method names.

    A disk that is full is said once and ends nothing: the next line that can be written is. TensorBoard's file, which an
    unfinished record would spoil, is left at the first error.
    """

    def __init__(self, workdir: str | pathlib.Path, start: int = 0):
        """start: the step the run goes on from; lines of later steps, lost with a killed run, are dropped.

        Raises OSError, naming the file, where those lines can't be dropped.
        """
        self.workdir = pathlib.Path(workdir)
        self.workdir.mkdir(parents=True, exist_ok=True)
        self._failed = False
        self._lines, self._evaluations = self.workdir / "metrics.jsonl", self.workdir / "evaluations.jsonl"
        for lines in (self._lines, self._evaluations):
            _keep_until(lines, start)
        self._board, self._flushed = None, -math.inf
        self._on_board(lambda: self._open_board(start))

    def write_scalars(self, step: int, scalars: Mapping[str, float]) -> None:
        values = {name: float(value) for name, value in scalars.items()}
        self._try(lambda: append_line(self._lines, {"step": step, **values}))
        self._event(step, lambda: [summary.scalar(name, value).value[0] for name, value in values.items()])

    def write_evaluation(self, step: int, record: Mapping) -> None:
        """The whole record with its protocol, a line of `evaluations.jsonl`; its values beside the other scalars too."""
        self._try(lambda: append_line(self._evaluations, record))
        self.write_scalars(step, {f"eval/{name}": value for name, value in record["values"].items()})

    def write_images(self, step: int, images: Mapping[str, np.ndarray]) -> None:
        """images: name -> uint8 [H, W, C]."""
        shown = lambda image: image[..., :3] if image.shape[-1] == 4 else image
        make = lambda name, image: summary.image(name, shown(image), dataformats="HWC").value[0]
        self._event(step, lambda: [make(name, image) for name, image in images.items()])

    def write_hparams(self, hparams: Mapping) -> None:
        """The resolved config, as `config.json`."""
        self._try(lambda: _replace(self.workdir / "config.json", json.dumps(hparams, indent=1) + "\n"))

    def flush(self) -> None:
        if self._board:
            self._on_board(self._board.flush)
            self._flushed = time.monotonic()

    def close(self) -> None:
        if self._board:
            self._on_board(self._board.close)

    def _open_board(self, start: int) -> None:
        """TensorBoard's file, written here: in tensorboardX's thread a full disk would end the thread, then hang the run."""
        folder = self.workdir / "tensorboard"
        folder.mkdir(exist_ok=True)
        self._board = EventsWriter(str(folder / "events"), f".{os.getpid()}")
        if start:  # hides what a killed run showed of later steps
            self._board.write_event(
                Event(step=start, wall_time=time.time(), session_log=SessionLog(status=SessionLog.START))
            )

    def _event(self, step: int, values: Callable[[], list]) -> None:
        if self._board:
            event = Event(step=step, wall_time=time.time(), summary=Summary(value=values()))
            self._on_board(lambda: self._board.write_event(event))
            if time.monotonic() > self._flushed + FLUSH_SECONDS:
                self.flush()

    def _on_board(self, write: Callable[[], object]) -> None:
        try:
            write()
        except OSError as error:
            self._board = None
            logging.error("TensorBoard can't be written: %s. Training goes on; %s has its numbers.", error, self._lines)

    def _try(self, write: Callable[[], object]) -> None:
        try:
            write()
            self._failed = False
        except OSError as error:
            if not self._failed:
                logging.error("the log can't be written: %s. Training goes on.", error)
            self._failed = True


def append_line(path: pathlib.Path, line: Mapping) -> None:
    """Adds a line of JSON to a file, the whole line or nothing. Raises OSError, naming the file."""
    with path.open("ab", buffering=0) as file, _naming(path):
        end, raw = file.seek(0, os.SEEK_END), f"{json.dumps(line)}\n".encode()
        try:
            if file.write(raw) < len(raw):  # the disk has just become full
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError:
            file.truncate(end)
            raise


@contextlib.contextmanager
def _naming(path: pathlib.Path) -> Iterator[None]:
    """Adds the file to the error of a full disk, met in the middle of a write, which knows no name."""
    try:
        yield
    except OSError as error:
        if error.errno and error.filename is None:
            error.filename = str(path)
        raise


def _keep_until(path: pathlib.Path, step: int) -> None:
    """Drops lines of steps after `step`, and a last line that a kill cut short."""
    if not path.is_file():
        return
    old = path.read_text("utf-8", "replace")
    kept = [f"{line}\n" for line in old.splitlines() if (at := step_of(line)) is not None and at <= step]
    if "".join(kept) != old:
        _replace(path, "".join(kept))


def _replace(path: pathlib.Path, text: str) -> None:
    """The whole new text, or the old. Raises OSError, naming the file."""
    draft = path.with_name(f".{path.name}")
    try:
        with _naming(path):
            draft.write_text(text, "utf-8")
            draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


class _Console(rich.console.Console):
    """Goes quiet where nobody reads any more (`| head`, a closed terminal): training goes on."""

    def on_broken_pipe(self) -> None:
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class Progress:
    """One live line on a terminal; plain lines, one a log window, elsewhere."""

    def __init__(self, total: int, done: int, console: rich.console.Console | None = None, quiet: bool = False):
        """total, done: images of the whole run, and already played; quiet: of several processes one speaks."""
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
        self._bar = rich.progress.Progress(*columns, console=self.console) if self.console.is_terminal else None
        if self._bar:
            self._task = self._bar.add_task("starting", total=total, completed=done)

    def __enter__(self):
        handler = rich.logging.RichHandler(console=self.console, show_path=False, show_time=False)
        plain = logging.StreamHandler(sys.stderr)
        plain.setFormatter(logging.Formatter("%(asctime)s %(levelname)s: %(message)s", TIME))
        logging.basicConfig(level=logging.WARNING, handlers=[handler if self._bar else plain], force=True)
        if self._bar:
            self._bar.start()
        return self

    def __exit__(self, *_):
        if self._bar:
            self._bar.stop()

    def say(self, text: str) -> None:
        """One line that stays; with the time, where it goes to a file."""
        text = text if self._bar else f"{time.strftime(TIME)} {text}"
        self.console.print(launch.shown(text), markup=False, highlight=False, soft_wrap=True)

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
        """What is done in here takes long once, and is said; the ETA leaves it out, with the images played in it."""
        if self._bar:
            self._bar.update(self._task, description="compiling")
        else:
            self.say("compiling")
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
            self.say(text)


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{seconds:02d}"


def to_uint8(images: np.ndarray) -> np.ndarray:
    """float [..] in [-1, 1] -> uint8, rounded; what lies outside is clipped."""
    return np.clip(np.rint((np.asarray(images, np.float32) + 1) * 127.5), 0, 255).astype(np.uint8)


MOST_COLUMNS = 32  # of a grid with a column a class: the first so many


def grid(images: np.ndarray, cols: int) -> np.ndarray:
    """uint8 [N, H, W, C] -> one picture [rows*H, cols*W, C], row by row; missing cells are white."""
    n, h, w, c = images.shape
    rows = math.ceil(n / cols)
    cells = np.full((rows * cols, h, w, c), 255, np.uint8)
    cells[:n] = images
    return cells.reshape(rows, cols, h, w, c).transpose(0, 2, 1, 3, 4).reshape(rows * h, cols * w, c)


def save_png(path: str | pathlib.Path, image: np.ndarray) -> None:
    """Writes uint8 [H, W, C], C = 1 (gray), 3 (RGB) or 4 (RGBA); whole or not at all.

    Raises:
        OSError: the folder can't be written, or the disk is full.
    """
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")  # its own, should another program write the same
    try:
        with _naming(path):
            Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(draft, format="PNG")
            draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def save_sheet(folder: pathlib.Path, name: str, image: np.ndarray) -> pathlib.Path:
    """Writes a grid of the pictures in `folder` to folder/sheet/<name>, marked so that no set of pictures takes it in.

    A folder `sheet` that is not so marked holds pictures of the set itself: then sheet_ is used.
    Returns the file's path. Raises OSError as `save_png`.
    """
    place = folder / "sheet"
    while place.exists() and not (place / MARK).exists():
        place = place.with_name(f"{place.name}_")
    place.mkdir(parents=True, exist_ok=True)
    (place / MARK).touch()
    save_png(place / name, image)
    return place / name
