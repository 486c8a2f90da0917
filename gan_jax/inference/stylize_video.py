"""A video in styles: an MP4 a style, with the original's sound and timing. A job that is cut short
goes on where it was."""

import contextlib
import dataclasses
import math
import pathlib
import time
from collections.abc import Callable, Sequence

import numpy as np

from gan_jax.data import clips, geometry
from gan_jax.inference.stylize import Look, Stylizer
from gan_jax.inference.stylize_pictures import (
    FaceStylizer,
    keep_original,
    resized,
    resized_shape,
    result_name,
)
from gan_jax.inference.video_parts import Parts
from gan_jax.metrics import flicker
from gan_jax.runtime import workdir
from gan_jax.runtime.files import identity

FRAMES = 8  # translated together, where they have no more pixels than one tile


@dataclasses.dataclass(frozen=True)
class VideoJob:
    """One video, in all looks, to the folder `out`.

    Attributes:
        side: pixels that a frame's shorter side is made first; None: as it is.
        settings: all that decides the pictures beside the video, the checkpoint and the style.
        log: takes lines of text.
    """

    stylizer: Stylizer | FaceStylizer
    looks: Sequence[Look]
    clip: clips.Clip
    out: pathlib.Path
    side: int | None
    settings: dict
    log: Callable[[str], None] = print

    def run(self) -> bool:
        """Whether any was made; False: there is no face in it.

        Raises:
            ValueError: a result would take the place of the video, or another program makes it.
            OSError: the disk is full; what is done is kept. KeyboardInterrupt: the same.
        """
        self.out.mkdir(parents=True, exist_ok=True)
        names = self.stylizer.sampler.classes
        outs = [
            self.out / result_name(self.clip.path.stem, look, ".mp4", names) for look in self.looks
        ]
        with contextlib.ExitStack() as locks:
            for out in outs:
                keep_original(out, {identity(self.clip.path)})
                locks.enter_context(workdir.making(out))
            finished = []
            for look, out in zip(self.looks, outs, strict=True):
                parts = Parts(out, self.clip, self._job(look))
                if parts.whole:
                    self.log(f"{out}: made before")
                elif not _Film(self, look, parts).make():
                    return False
                finished.append(parts)
            # not before the last is made: the same command passes over those that are whole
            for parts in finished:
                parts.forget()
        return True

    @property
    def together(self) -> int:
        """Frames that go through the network at a time."""
        if self.stylizer.found is not None:
            return 1
        pixels = math.prod(resized_shape(self.clip.size, self.side))
        return max(1, min(FRAMES, self.stylizer.tile**2 // pixels))

    def _job(self, look: Look) -> dict:
        """All that decides a video's pictures."""
        step, stat = self.stylizer.sampler.step, self.clip.path.stat()
        files = step.iterdir() if step.is_dir() else [step]
        return {
            "input": [str(self.clip.path.resolve()), stat.st_size, stat.st_mtime_ns],
            "step": str(step.resolve()),
            "weights": max(file.stat().st_mtime_ns for file in files),
            "style": [float(x) for x in look.style],
        } | self.settings


class _Film:
    """One look's video being made."""

    def __init__(self, job: VideoJob, look: Look, parts: Parts):
        self.job, self.look, self.parts, self.out = job, look, parts, parts.out
        self.stylizer, self.log = job.stylizer, job.log
        self.done = parts.done  # frames made by an earlier call
        self.number = 0  # the last frame read, from 1
        self.frames_made, self.faces = 0, 0
        self.waiting: list[tuple[np.ndarray, object]] = []
        self.changes = flicker.Changes()

    def make(self) -> bool:
        """False: there is no face in it, and nothing was made."""
        if self.done:
            self.log(f"{self.out}: going on after frame {self.done}")
        if self.parts.dropped:
            self.log(
                f"{self.out}: beginning anew, for {self.parts.dropped} frames were made by another"
                " checkpoint, style or setting"
            )
        stopped = self._translate()
        self.parts.finish_part()
        if stopped and not self.parts.done:
            raise stopped
        if self.stylizer.found is not None and not self.parts.marked:
            if stopped:
                self.log(
                    f"{self.out}: no face in the first {self.parts.done} frames; the same command"
                    " goes on after them"
                )
                raise stopped
            self.parts.forget()
            return False
        self._join(stopped)
        if stopped:
            raise stopped
        return True

    def _translate(self) -> KeyboardInterrupt | None:
        """All frames, to the end or to a signal, which is returned."""
        began, faults, stopped = time.monotonic(), clips.Faults(), None
        try:
            for number, (frame, at) in enumerate(self.job.clip.frames(faults), 1):
                self.number = number
                if number <= self.done:
                    continue
                self.waiting.append((frame, at))
                if len(self.waiting) == self.job.together:
                    self._flush()
                    self._progress(began)
            self._flush()
        except KeyboardInterrupt as signal:
            stopped = signal
        except OSError:  # of the disk: it may refuse what would be written now
            self.log(
                f"\n{self.out}: {self.parts.done} frames are kept; once that is mended, the same"
                " command goes on after them"
            )
            raise
        except (RuntimeError, ValueError):
            self.parts.finish_part()
            self.log(f"\n{self.out}: {self.parts.done} frames are kept")
            raise
        print()
        for line in faults.lines():
            self.log(f"{self.job.clip.path}: {line}")
        return stopped

    def _flush(self) -> None:
        """The frames that wait go through the network and into the video."""
        if not self.waiting:
            return
        self.frames_made += len(self.waiting)
        frames = np.stack([resized(frame, self.job.side) for frame, _ in self.waiting])
        styled = self.stylizer(frames, self.look)
        if self.stylizer.found:
            self.faces += self.stylizer.found
            self.parts.mark()
        for before, after, (_, at) in zip(frames, styled, self.waiting, strict=True):
            self.parts.add(after, at)
            self.changes.add(before, geometry.fit(after, before.shape[:2], "stretch"))
        self.waiting.clear()

    def _progress(self, began: float) -> None:
        count = self.job.clip.count
        rate = (self.number - self.done) / (time.monotonic() - began)
        left = f", {(count - self.number) / rate:.0f} s left" if count > self.number else ""
        line = f"{self.number}/{count or '?'} frames, {rate:.1f} frames/s{left}   "
        print(f"\r{line}", end="", flush=True)

    def _join(self, stopped: KeyboardInterrupt | None) -> None:
        silent = self.parts.join(whole=not stopped)
        if silent:
            self.log(f"{self.out}: the sound ends early, for it can't be read on ({silent})")
        count = self.parts.done if stopped else self.number
        so_far = ", up to where it was stopped; the same command goes on" if stopped else ""
        self.log(f"{count} frames in {self.out}{so_far}")
        if self.stylizer.found is not None:
            self.log(f"{self.faces} faces in {self.frames_made} frames")
        found = self.changes.values()
        if found:
            moving = f"{found['output']:.2f} of 255, the original by {found['input']:.2f}"
            still = found["still"]
            rest = f"; {still:.2f} where that stands still" if math.isfinite(still) else ""
            self.log(f"from frame to frame it changes by {moving}{rest}")
