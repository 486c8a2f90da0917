"""Video files in and out: frames decoded one by one, written in finished parts, joined with the original's sound.

Needs the package `av` (FFmpeg). A job that is cut short keeps its parts and goes on from there.
"""

import dataclasses
import json
import pathlib
import shutil
from collections.abc import Iterator
from fractions import Fraction

import numpy as np

from gan_jax.video import import_av

SUFFIXES = (".mp4", ".mov", ".m4v", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".wmv", ".ts")
PART = 100  # frames in a part: what is lost, at most, with a job that is killed
BT709 = 1  # H.273's number of the colour space that players take high resolution to be in; written into the file too
MOST_JITTER = 0.05  # seconds by which a frame of sound may be late without silence before it
NOTE = "job.json"  # among the parts: whose they are
COPIED = ("aac", "mp3", "ac3", "alac", "opus")  # sound an MP4 takes as it is; other kinds become AAC


@dataclasses.dataclass(frozen=True)
class Clip:
    """A video file that has pictures; open it with `open_clip`.

    Attributes:
        rate: frames a second. count: of frames, by the file's word; 0 where it does not say. size: (H, W), upright.
        has_sound: whether there is a sound track.
    """

    path: pathlib.Path
    rate: Fraction
    count: int
    size: tuple[int, int]
    has_sound: bool

    def frames(self, damaged: list[str] | None = None) -> Iterator[tuple[np.ndarray, Fraction]]:
        """(uint8 [H, W, 3] upright, seconds from the first frame), in the order they are shown.

        damaged: takes the reasons why places of the file can't be decoded; they are left out.
        """
        av = import_av()
        first, number = None, 0
        with av.open(str(self.path)) as container:
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            for packet in _packets(container, stream, damaged):
                try:
                    decoded = packet.decode()
                except av.error.InvalidDataError as error:
                    _note(damaged, error)
                    continue
                for frame in decoded:
                    time = frame.pts * frame.time_base if frame.pts is not None else number / self.rate
                    first, number = time if first is None else first, number + 1
                    yield _upright(frame), time - first


def _packets(container, stream, damaged: list[str] | None):
    """The stream's packets, to the file's end or to where it can't be read on."""
    av = import_av()
    try:
        yield from container.demux(stream)
    except av.error.InvalidDataError as error:
        _note(damaged, error)


def _note(damaged: list[str] | None, error: Exception) -> None:
    if damaged is not None:
        damaged.append(str(error).split(";")[0])


def open_clip(path: pathlib.Path) -> Clip:
    """Looks into a file.

    Raises:
        ValueError: no such file, not a video, or one without a frame.
    """
    av = import_av()
    if not path.is_file():
        raise ValueError(f"{path}: no such file.")
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise ValueError(f"{path}: not a video, it has no pictures.")
            stream = container.streams.video[0]
            frame = next(container.decode(stream), None)
            if frame is None:
                raise ValueError(f"{path}: a video without a single frame.")
            rate = stream.average_rate or stream.guessed_rate or Fraction(25)
            return Clip(path, Fraction(rate), stream.frames, _upright(frame).shape[:2], bool(container.streams.audio))
    except (av.error.FFmpegError, EOFError) as error:
        raise ValueError(f"{path}: not a video that can be read ({str(error).split(';')[0]}).") from error


class Parts:
    """A video being made: frames go into parts in a hidden folder beside it, `join` makes the file of those there are.

    Attributes:
        done: frames in finished parts; a job goes on with the frame after them.
        dropped: frames in finished parts of another job, which are no more.
    """

    def __init__(self, out: pathlib.Path, clip: Clip, job: dict):
        """out: the file to be, MP4. job: what decides the pictures; parts of another job are thrown away."""
        self.out, self.clip = out, clip
        self.folder = out.with_name(f".{out.name}.parts")
        self.dropped = 0
        if _read_note(self.folder) != json.loads(json.dumps(job)):
            self.dropped = self.done
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder.mkdir(parents=True)
            (self.folder / "draft.json").write_text(json.dumps(job))
            (self.folder / "draft.json").replace(self.folder / NOTE)
        self.container = None
        self.count = 0  # frames in the open part

    @property
    def done(self) -> int:
        return sum(int(part.stem.split("_")[1]) for part in self._finished())

    def add(self, frame: np.ndarray, time: Fraction) -> None:
        """The next frame, uint8 [H, W, 3], to be shown at `time` seconds."""
        av = import_av()
        if self.container is None:
            self.start = time
            self.container = av.open(str(self.folder / "draft.mp4"), "w", format="mp4")
            self.stream = self.container.add_stream("libx264", rate=self.clip.rate.limit_denominator(1001))
            self.stream.height, self.stream.width = (n + n % 2 for n in frame.shape[:2])  # 4:2:0 wants even sides
            self.stream.pix_fmt, self.stream.options = "yuv420p", {"crf": "17", "bf": "0"}
            context = self.stream.codec_context
            context.time_base = Fraction(1, 90_000)
            context.colorspace = context.color_primaries = context.color_trc = BT709
            context.color_range = av.video.reformatter.ColorRange.MPEG
        frame = np.pad(frame, ((0, frame.shape[0] % 2), (0, frame.shape[1] % 2), (0, 0)), mode="edge")
        picture = av.VideoFrame.from_ndarray(frame, format="rgb24").reformat(format="yuv420p", dst_colorspace="ITU709")
        picture.pts, picture.time_base = round((time - self.start) * 90_000), Fraction(1, 90_000)
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
        ticks = round(self.start * 90_000)
        name = f"{len(self._finished()):06d}_{self.count}_{ticks}.mp4"
        (self.folder / "draft.mp4").replace(self.folder / name)
        self.container, self.count = None, 0

    def join(self, whole: bool) -> None:
        """Writes `out` of the finished parts, with the sound that belongs to them; `whole`: the parts are of no more use."""
        av = import_av()
        draft = self.out.with_name(f".{self.out.name}")
        try:
            with av.open(str(draft), "w", format="mp4") as target, av.open(str(self.clip.path)) as original:
                end = self._copy_pictures(target, original)
                if self.clip.has_sound:
                    _copy_sound(original, target, self.sound, None if whole else end)
            draft.replace(self.out)
        finally:
            draft.unlink(missing_ok=True)
        if whole:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _finished(self) -> list[pathlib.Path]:
        return sorted(path for path in self.folder.glob("*_*_*.mp4"))

    def _copy_pictures(self, target, original) -> Fraction:
        """Copies the parts' packets, and opens the sound's stream before the first; the end in seconds."""
        av, stream, end = import_av(), None, Fraction(0)
        for part in self._finished():
            offset = int(part.stem.split("_")[2])
            with av.open(str(part)) as source:
                track = source.streams.video[0]
                if stream is None:
                    stream = target.add_stream_from_template(track)
                    self.sound = _sound_stream(original, target) if self.clip.has_sound else None
                for packet in source.demux(track):
                    if packet.dts is None:
                        continue
                    shift = round(Fraction(offset, 90_000) / packet.time_base)
                    packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                    end = max(end, packet.pts * packet.time_base)
                    packet.stream = stream
                    target.mux(packet)
        return end


def _read_note(folder: pathlib.Path) -> dict | None:
    """The job of the parts there; None: there is none, or it can't be read."""
    try:
        return json.loads((folder / NOTE).read_text())
    except (OSError, ValueError):
        return None


def _is_copied(track) -> bool:
    return track.codec_context.codec.canonical_name in COPIED


def _sound_stream(original, target):
    track = original.streams.audio[0]
    if _is_copied(track):
        return target.add_stream_from_template(track)
    return target.add_stream("aac", rate=track.codec_context.sample_rate)


def _copy_sound(original, target, stream, end):
    """The original's sound up to `end` seconds (None: all of it), as late after the first picture as it was."""
    track, video = original.streams.audio[0], original.streams.video[0]
    start = (video.start_time or 0) * video.time_base
    if _is_copied(track):
        for packet in original.demux(track):
            if packet.dts is None or packet.pts * packet.time_base < start:
                continue
            if end is not None and packet.pts * packet.time_base - start > end:
                break
            shift = round(start / packet.time_base)
            packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
            packet.stream = stream
            target.mux(packet)
        return
    done = 0  # samples
    for frame in original.decode(track):
        at = done if frame.pts is None else round((frame.pts * frame.time_base - start) * frame.sample_rate)
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
        frame = import_av().AudioFrame.from_ndarray(blank, format=like.format.name, layout=like.layout.name)
        frame.sample_rate = like.sample_rate
        yield frame
        samples -= n


def _upright(frame) -> np.ndarray:
    """A decoded frame as uint8 [H, W, 3], turned as its file says it is to be shown."""
    turns = round(getattr(frame, "rotation", 0) / 90) % 4
    return np.ascontiguousarray(np.rot90(frame.to_ndarray(format="rgb24"), turns))
