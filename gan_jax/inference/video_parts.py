"""A video written in parts, which are joined with the original's sound. Needs the package `av`
(FFmpeg).

A job that is cut short keeps its parts and goes on from there.
"""

import json
import pathlib
import shutil
from fractions import Fraction

import numpy as np

from gan_jax.data import clips
from gan_jax.data.clips import import_av
from gan_jax.inference import video_file
from gan_jax.runtime.files import replace_text, replacing

PART = 100  # frames in a part: what is lost, at most, with a job that is killed
MOST_JITTER = 0.05  # seconds by which a frame of sound may be late without silence before it
# files among the parts: whose they are; `Parts.mark`; all are joined
NOTE, MARKED, WHOLE = "job.json", "marked", "whole"
# sound an MP4 takes as it is; other kinds become AAC
COPIED = "aac", "mp3", "ac3", "alac", "opus"


class Parts:
    """A video being made: frames go into parts in a hidden folder beside it, `join` makes the file
    of those there are.

    Attributes:
        done: frames in finished parts; a job goes on with the frame after them.
        dropped: frames in finished parts of another job, which are no more.
        marked: whether `mark` was called, by this process or one before it.
        whole: whether `out` is there already, made by this very job and not yet forgotten.
    """

    def __init__(self, out: pathlib.Path, clip: clips.Clip, job: dict):
        """
        out: the file to be, MP4.
        job: what decides the pictures; parts of another job are thrown away.
        """
        self.out, self.clip = out, clip
        self.folder = out.with_name(f".{out.name}.parts")
        self.dropped = 0
        if _read_note(self.folder) != json.loads(json.dumps(job)):
            self.dropped = self.done
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder.mkdir(parents=True)
            replace_text(self.folder / NOTE, json.dumps(job))
        self.whole = (self.folder / WHOLE).exists() and out.exists()
        if not self.whole:
            (self.folder / WHOLE).unlink(missing_ok=True)
        self.container = None
        self.count = 0  # frames in the open part

    @property
    def done(self) -> int:
        return sum(int(part.stem.split("_")[1]) for part in self._finished())

    @property
    def marked(self) -> bool:
        return (self.folder / MARKED).exists()

    def mark(self) -> None:
        """Notes that there is something in the frames to make a video for."""
        (self.folder / MARKED).touch()

    def add(self, frame: np.ndarray, time: Fraction) -> None:
        """The next frame, uint8 [H, W, 3], to be shown at `time` seconds."""
        av = import_av()
        if self.container is None:
            self.start = time
            self.container = av.open(str(self.folder / "draft.mp4"), "w", format="mp4")
            self.stream = video_file.add_stream(
                self.container, self.clip.rate.limit_denominator(1001), frame.shape[:2], bf="0"
            )
            self.stream.codec_context.time_base = Fraction(1, clips.TICKS)
            self.stream.codec_context.sample_aspect_ratio = self.clip.pixel
        picture = video_file.to_yuv(frame)
        picture.pts, picture.time_base = (
            round((time - self.start) * clips.TICKS),
            Fraction(1, clips.TICKS),
        )
        self.container.mux(self.stream.encode(picture))
        self.count += 1
        if self.count == PART:
            self.finish_part()

    def finish_part(self) -> None:
        """Ends the open part, if there is one: from now on it counts as done."""
        if self.container is None:
            return
        self.container.mux(self.stream.encode())
        self.container.close()
        ticks = round(self.start * clips.TICKS)
        name = f"{len(self._finished()):06d}_{self.count}_{ticks}.mp4"
        (self.folder / "draft.mp4").replace(self.folder / name)
        self.container, self.count = None, 0

    def join(self, whole: bool) -> str | None:
        """Writes `out` of the finished parts, with the sound that belongs to them.

        whole: there are no more parts to come, and these are removed.
        Returns:
            Why sound is missing from some place on, or None.
        """
        av, silent = import_av(), None
        with (
            replacing(self.out) as draft,
            av.open(str(draft), "w", format="mp4") as target,
            clips.opened(self.clip.path) as original,
        ):
            end = self._copy_pictures(target, original)
            if self.clip.has_sound:
                try:
                    _copy_sound(original, target, self.sound, None if whole else end)
                except av.error.FFmpegError as error:
                    if isinstance(error, OSError):  # the disk refuses, not the sound
                        raise
                    silent = error.strerror
        if whole:
            (self.folder / WHOLE).touch()
            for part in self._finished():
                part.unlink()
        return silent

    def forget(self) -> None:
        """Removes the folder of parts: the same job begins anew."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _finished(self) -> list[pathlib.Path]:
        return sorted(path for path in self.folder.glob("*_*_*.mp4"))

    def _copy_pictures(self, target, original) -> Fraction:
        """Copies the parts' packets, and opens the sound's stream before the first;
        the end in seconds."""
        stream, end = None, Fraction(0)
        for part in self._finished():
            offset = int(part.stem.split("_")[2])
            with clips.opened(part) as source:
                track = source.streams.video[0]
                if stream is None:
                    stream = target.add_stream_from_template(track)
                    self.sound = _sound_stream(original, target) if self.clip.has_sound else None
                for packet in source.demux(track):
                    if packet.dts is None:
                        continue
                    shift = round(Fraction(offset, clips.TICKS) / packet.time_base)
                    packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                    end = max(end, packet.pts * packet.time_base)
                    packet.stream = stream
                    target.mux(packet)
        return end


def _read_note(folder: pathlib.Path) -> dict | None:
    """The job of the parts there; None: there is none, or it can't be read."""
    try:
        return json.loads((folder / NOTE).read_text("utf-8"))
    except (OSError, ValueError):
        return None


def _is_copied(track) -> bool:
    return track.codec_context.codec.canonical_name in COPIED


def _sound_stream(original, target):
    track = clips.sound_of(original)
    if _is_copied(track):
        return target.add_stream_from_template(track)
    return target.add_stream("aac", rate=track.codec_context.sample_rate)


def _copy_sound(original, target, stream, end):
    """The original's sound up to `end` seconds (None: all of it), as late after the first picture
    as it was.

    Where its times go back, as in two files joined, it goes on right after what was there.
    """
    track, pictures = clips.sound_of(original), clips.pictures_of(original)
    start = (pictures.start_time or 0) * pictures.time_base
    copy = _copy_packets if _is_copied(track) else _copy_samples
    copy(original, track, target, stream, start, end)


def _copy_packets(original, track, target, stream, start, end):
    last, ends, shift = None, None, None  # of the copy, in the track's ticks
    for packet in clips.packets_of(original, track, clips.Faults()):
        if packet.dts is None:
            continue
        base, stamp = packet.time_base, packet.dts if packet.pts is None else packet.pts
        shift = -round(start / base) if shift is None else shift
        if stamp * base < start and last is None:
            continue
        if last is not None and packet.dts + shift <= last:
            shift = ends - packet.dts
        if end is not None and (stamp + shift) * base > end:
            break
        packet.pts, packet.dts = stamp + shift, packet.dts + shift
        last, ends = packet.dts, packet.dts + max(1, packet.duration or 0)
        packet.stream = stream
        target.mux(packet)


def _copy_samples(original, track, target, stream, start, end):
    done = 0  # samples
    for frame in clips.decoded(original, track, clips.Faults()):
        at = done
        if frame.pts is not None:
            at = round((frame.pts * frame.time_base - start) * frame.sample_rate)
        if end is not None and at > end * frame.sample_rate:
            break
        if at + frame.samples <= 0:
            continue
        if at - done > MOST_JITTER * frame.sample_rate:
            for silence in _silence(frame, at - done):
                done = _encode(silence, done, stream, target)
        done = _encode(frame, done, stream, target)
    target.mux(stream.encode(None))


def _encode(frame, done, stream, target) -> int:
    """Adds a frame of sound after `done` samples; how many there are then."""
    frame.pts, frame.time_base = done, Fraction(1, frame.sample_rate)
    target.mux(stream.encode(frame))
    return done + frame.samples


def _silence(like, samples):
    """Frames of no sound, a second each at most, of another frame's kind."""
    channels, zero = len(like.layout.channels), 128 if like.format.name.startswith("u8") else 0
    while samples > 0:
        n = min(samples, like.sample_rate)
        shape = (channels, n) if like.format.is_planar else (1, n * channels)
        blank = np.full(shape, zero, like.to_ndarray().dtype)
        frame = import_av().AudioFrame.from_ndarray(
            blank, format=like.format.name, layout=like.layout.name
        )
        frame.sample_rate = like.sample_rate
        yield frame
        samples -= n
