"""What a run writes: TensorBoard, JSON lines."""

import json
import logging
import math
import os
import pathlib
import time
from collections.abc import Callable, Mapping

import numpy as np
from tensorboardX import summary
from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.proto.summary_pb2 import Summary

from gan_jax.runtime.files import append_line, replace_text
from gan_jax.runtime.workdir import step_of

FLUSH_SECONDS = 30  # TensorBoard's file is on the disk at least so often


class Writer:
    """Scalars and images of a run, to TensorBoard and to `metrics.jsonl`; clu.metric_writers'
    method names.

    A disk that is full is said once and ends nothing: the next line that can be written is.
    TensorBoard's file, which an unfinished record would spoil, is left at the first error.
    """

    def __init__(self, workdir: str | pathlib.Path, start: int = 0):
        """start: the step the run goes on from; lines of later steps, lost with a killed run, are
        dropped.

        Raises OSError, naming the file, where those lines can't be dropped.
        """
        self.workdir = pathlib.Path(workdir)
        self.workdir.mkdir(parents=True, exist_ok=True)
        self._failed = False
        self._lines, self._evaluations = (
            self.workdir / "metrics.jsonl",
            self.workdir / "evaluations.jsonl",
        )
        for lines in (self._lines, self._evaluations):
            _keep_until(lines, start)
        self._board, self._flushed = None, -math.inf
        self._on_board(lambda: self._open_board(start))

    def write_scalars(self, step: int, scalars: Mapping[str, float]) -> None:
        values = {name: float(value) for name, value in scalars.items()}
        self._try(lambda: append_line(self._lines, {"step": step, **values}))
        self._event(
            step, lambda: [summary.scalar(name, value).value[0] for name, value in values.items()]
        )

    def write_evaluation(self, step: int, record: Mapping) -> None:
        """The whole record with its protocol, a line of `evaluations.jsonl`; its values beside the
        other scalars too."""
        self._try(lambda: append_line(self._evaluations, record))
        self.write_scalars(
            step, {f"eval/{name}": value for name, value in record["values"].items()}
        )

    def write_images(self, step: int, images: Mapping[str, np.ndarray]) -> None:
        """images: name -> uint8 [H, W, C]."""
        shown = lambda image: image[..., :3] if image.shape[-1] == 4 else image
        make = lambda name, image: summary.image(name, shown(image), dataformats="HWC").value[0]
        self._event(step, lambda: [make(name, image) for name, image in images.items()])

    def write_hparams(self, hparams: Mapping) -> None:
        """The resolved config, as `config.json`."""
        self._try(
            lambda: replace_text(self.workdir / "config.json", json.dumps(hparams, indent=1) + "\n")
        )

    def flush(self) -> None:
        if self._board:
            self._on_board(self._board.flush)
            self._flushed = time.monotonic()

    def close(self) -> None:
        if self._board:
            self._on_board(self._board.close)

    def _open_board(self, start: int) -> None:
        """TensorBoard's file, written here: in tensorboardX's thread a full disk would end the
        thread, then hang the run."""
        folder = self.workdir / "tensorboard"
        folder.mkdir(exist_ok=True)
        self._board = EventsWriter(str(folder / "events"), f".{os.getpid()}")
        if start:  # hides what a killed run showed of later steps
            self._board.write_event(
                Event(
                    step=start,
                    wall_time=time.time(),
                    session_log=SessionLog(status=SessionLog.START),
                )
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
            logging.error(
                "TensorBoard can't be written: %s. Training goes on; %s has its numbers.",
                error,
                self._lines,
            )

    def _try(self, write: Callable[[], object]) -> None:
        try:
            write()
            self._failed = False
        except OSError as error:
            if not self._failed:
                logging.error("the log can't be written: %s. Training goes on.", error)
            self._failed = True


def _keep_until(path: pathlib.Path, step: int) -> None:
    """Drops lines of steps after `step`, and a last line that a kill cut short."""
    if not path.is_file():
        return
    old = path.read_text("utf-8", "replace")
    kept = [
        f"{line}\n" for line in old.splitlines() if (at := step_of(line)) is not None and at <= step
    ]
    if "".join(kept) != old:
        replace_text(path, "".join(kept))
