"""What a run writes while it trains: JSON lines, TensorBoard and experiment trackers.

All take the method names of clu.metric_writers (https://github.com/google/CommonLoopUtils), which
itself needs TensorFlow.
"""

import json
import logging
import math
import os
import pathlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Self

import numpy as np
from tensorboardX import summary
from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.proto.summary_pb2 import Summary

from gan_jax.reporting import trackers as trackers_module
from gan_jax.reporting.metric_writer import MetricWriter
from gan_jax.runtime.files import append_line, replace_text
from gan_jax.runtime.workdir import step_of

FLUSH_SECONDS = 30  # TensorBoard's file is on the disk at least so often


class Writer(MetricWriter):
    """All writers of a run as one.

    None of them ends a run: JSON lines that can't be written are reported once and tried again with
    the next line; another writer is left out from its first error on.
    """

    def __init__(
        self, workdir: str | pathlib.Path, start: int = 0, trackers: str | Sequence[str] = ()
    ):
        """start: the step the run goes on from; lines of later steps, lost with a killed run, are
        dropped. trackers: names in trackers.TRACKERS, as trackers.names takes them.

        Raises OSError, naming the file, where those lines can't be dropped.
        """
        self.workdir = pathlib.Path(workdir)
        self.workdir.mkdir(parents=True, exist_ok=True)
        self._lines = JsonLines(self.workdir, start)
        self._others = {}  # name -> (what it may raise, writer)
        self._add("TensorBoard", OSError, lambda: TensorBoard(self.workdir / "tensorboard", start))
        for name in trackers_module.names(trackers):
            # whatever it raises is about that library or its server
            self._add(
                name, Exception, lambda name=name: trackers_module.open_tracker(name, self.workdir)
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind, *_) -> None:
        self.close(failed=kind is not None)

    def write_scalars(self, step: int, scalars: Mapping[str, float]) -> None:
        values = {name: float(value) for name, value in scalars.items()}
        self._each(lambda writer: writer.write_scalars(step, values))

    def write_evaluation(self, step: int, record: Mapping) -> None:
        self._each(lambda writer: writer.write_evaluation(step, record))

    def write_images(self, step: int, images: Mapping[str, np.ndarray]) -> None:
        self._each(lambda writer: writer.write_images(step, images))

    def write_hparams(self, hparams: Mapping) -> None:
        self._each(lambda writer: writer.write_hparams(hparams))

    def flush(self) -> None:
        self._each(lambda writer: writer.flush())

    def close(self, failed: bool = False) -> None:
        self._each(lambda writer: writer.close(failed))
        self._others.clear()

    def _each(self, call: Callable[[MetricWriter], None]) -> None:
        call(self._lines)
        for name, (errors, writer) in list(self._others.items()):
            self._guarded(name, errors, lambda writer=writer: call(writer))

    def _add(self, name: str, errors: type, make: Callable[[], MetricWriter]) -> None:
        def add():
            self._others[name] = errors, make()

        self._guarded(name, errors, add)

    def _guarded(self, name: str, errors: type, call: Callable[[], object]) -> None:
        try:
            call()
        except errors as error:
            self._others.pop(name, None)
            logging.error(
                "%s can't be written: %s. Training goes on; %s has its numbers.",
                name,
                str(error).strip().rstrip(".") or type(error).__name__,
                self._lines.metrics,
            )


class JsonLines(MetricWriter):
    """metrics.jsonl, evaluations.jsonl and config.json in the workdir."""

    def __init__(self, workdir: pathlib.Path, start: int):
        self.metrics, self.evaluations = workdir / "metrics.jsonl", workdir / "evaluations.jsonl"
        self._config, self._failed = workdir / "config.json", False
        for lines in (self.metrics, self.evaluations):
            _drop_after(lines, start)

    def write_scalars(self, step: int, scalars: Mapping[str, float]) -> None:
        self._try(lambda: append_line(self.metrics, {"step": step, **scalars}))

    def write_evaluation(self, step: int, record: Mapping) -> None:
        self._try(lambda: append_line(self.evaluations, record))
        super().write_evaluation(step, record)

    def write_hparams(self, hparams: Mapping) -> None:
        self._try(lambda: replace_text(self._config, json.dumps(hparams, indent=1) + "\n"))

    def _try(self, write: Callable[[], object]) -> None:
        try:
            write()
            self._failed = False
        except OSError as error:
            if not self._failed:
                logging.error("the log can't be written: %s. Training goes on.", error)
            self._failed = True


class TensorBoard(MetricWriter):
    """TensorBoard's event file, which is of no use after an unfinished record.

    Written here, not by tensorboardX's thread: a full disk would end the thread, then hang the run.
    """

    def __init__(self, folder: pathlib.Path, start: int):
        """start: hides what a killed run logged of later steps. Raises OSError, as all methods."""
        folder.mkdir(exist_ok=True)
        self._file = EventsWriter(str(folder / "events"), f".{os.getpid()}")
        self._flushed = -math.inf  # the first record is flushed at once
        if start:
            log = SessionLog(status=SessionLog.START)
            self._file.write_event(Event(step=start, wall_time=time.time(), session_log=log))

    def write_scalars(self, step: int, scalars: Mapping[str, float]) -> None:
        self._write(step, [summary.scalar(name, value) for name, value in scalars.items()])

    def write_images(self, step: int, images: Mapping[str, np.ndarray]) -> None:
        shown = {
            name: image[..., :3] if image.shape[-1] == 4 else image
            for name, image in images.items()
        }
        found = [summary.image(name, image, dataformats="HWC") for name, image in shown.items()]
        self._write(step, found)

    def flush(self) -> None:
        self._file.flush()
        self._flushed = time.monotonic()

    def close(self, failed: bool = False) -> None:
        self._file.close()

    def _write(self, step: int, summaries: Sequence[Summary]) -> None:
        values = Summary(value=[each.value[0] for each in summaries])
        self._file.write_event(Event(step=step, wall_time=time.time(), summary=values))
        if time.monotonic() > self._flushed + FLUSH_SECONDS:
            self.flush()


def _drop_after(path: pathlib.Path, step: int) -> None:
    """Drops lines of steps after `step`, and a last line that a kill cut short."""
    if not path.is_file():
        return
    old = path.read_text("utf-8", "replace")
    kept = []
    for line in old.splitlines():
        at = step_of(line)
        if at is not None and at <= step:
            kept.append(f"{line}\n")
    if "".join(kept) != old:
        replace_text(path, "".join(kept))
