"""Video files in and out: frames decoded one by one, written in finished parts, joined with the original's sound.

Needs the package `av` (FFmpeg). A job that is cut short keeps its parts and goes on from there.
"""

import collections
import contextlib
import dataclasses
import json
import pathlib
import shutil
from collections.abc import Iterator
from fractions import Fraction

import numpy as np

from gan_jax import frames, video
from gan_jax.data import decode
from gan_jax.video import import_av

CONTAINERS = "mov,matroska,avi,mpegts,mpeg,mpegvideo,asf,flv,ogg,mxf"  # none that opens other files, as playlists do
KINDS = "MP4, MOV, 3GP, MKV, WebM, AVI, TS, MPEG, WMV, FLV, OGG, MXF"  # which these are
HEIF = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1", b"avif", b"avis")  # brands of pictures
TICKS = 90_000  # a second: what times are written in
JUMP = Fraction(1, 2)  # seconds: where times go back by more, another recording begins
PART = 100  # frames in a part: what is lost, at most, with a job that is killed
MOST_JITTER = 0.05  # seconds by which a frame of sound may be late without silence before it
NOTE, MARKED, WHOLE = "job.json", "marked", "whole"  # among the parts: whose they are; `Parts.mark`; all are joined
COPIED = ("aac", "mp3", "ac3", "alac", "opus")  # sound an MP4 takes as it is; other kinds become AAC


@dataclasses.dataclass(frozen=True)
class Clip:
    """A video file that has pictures; open it with `open_clip`.

    Attributes:
        rate: frames a second. count: of frames, by the file's word; 0 where it does not say. size: (H, W), upright.
        has_sound: whether there is a sound track that can be read. pixel: width by height of a pixel, upright.
        is_hdr, is_interlaced: whether its frames are HDR, and stored as two half pictures.
    """

    path: pathlib.Path
    rate: Fraction
    count: int
    size: tuple[int, int]
    has_sound: bool
    pixel: Fraction = Fraction(1)
    is_hdr: bool = False
    is_interlaced: bool = False

    def frames(self, faults: "Faults | None" = None) -> Iterator[tuple[np.ndarray, Fraction]]:
        """(uint8 [H, W, 3] upright, seconds from the first frame), in the order they are shown, each later than the last.

        A frame of another size is fitted into the first one's, with black beside it. Where the file's times jump back by
        more than JUMP, as in two files joined, they go on a frame later; other times that do not rise are moved by a tick.
        Args:
            faults: takes what had to be mended or left out.
        """
        faults = Faults() if faults is None else faults
        at, shift, tick = None, Fraction(0), -1
        with opened(self.path) as container:
            stream = _pictures(container)
            stream.thread_type = "AUTO"
            stamped = container.format.name != "avi"  # which knows when frames are decoded only
            for frame in _decoded(container, stream, faults):
                stamp = frame.pts if stamped else frame.dts
                following = Fraction(0) if at is None else at + 1 / self.rate
                time = following if stamp is None else stamp * frame.time_base + shift
                if at is None or at - time > JUMP:
                    shift, time = shift + following - time, following
                faults.times += round(time * TICKS) <= tick
                at, tick = time, max(tick + 1, round(time * TICKS))
                yield self._fitted(_shown(self.path, frame), faults), Fraction(tick, TICKS)

    def notes(self) -> list[str]:
        """What of the file becomes something else."""
        lines = []
        if self.is_hdr:
            lines.append(f"HDR, brought to SDR: light up to {frames.PEAK:g} cd/m2 by the curve of BT.2390")
        if self.is_interlaced:
            lines.append("interlaced, and styled with its comb lines; ffmpeg -i IN -vf bwdif OUT takes them out before")
        return lines

    def _fitted(self, picture, faults):
        if picture.shape[:2] == self.size:
            return picture
        faults.sizes[picture.shape[:2]] += 1
        scale = min(whole / part for whole, part in zip(self.size, picture.shape[:2], strict=True))
        height, width = (max(1, round(scale * part)) for part in picture.shape[:2])
        top, left = (self.size[0] - height) // 2, (self.size[1] - width) // 2
        fitted = np.zeros((*self.size, 3), np.uint8)
        fitted[top : top + height, left : left + width] = decode.fit(picture, (height, width), "stretch")
        return fitted


@dataclasses.dataclass
class Faults:
    """What of a clip had to be mended or left out while its frames were read.

    Attributes:
        damaged: why places can't be decoded. times: how many frames were not later than the one before.
        sizes: of frames that had another size than the first, how many of each.
    """

    damaged: list[str] = dataclasses.field(default_factory=list)
    times: int = 0
    sizes: collections.Counter = dataclasses.field(default_factory=collections.Counter)

    def add(self, error: Exception) -> None:
        self.damaged.append(str(error).split(";")[0])

    def lines(self) -> list[str]:
        lines = []
        if self.damaged:
            lines.append(f"{len(self.damaged)} places can't be decoded and were left out, the first: {self.damaged[0]}")
        if self.times:
            lines.append(f"times that do not rise: {self.times}; these frames are shown right after the ones before")
        for (height, width), count in self.sizes.items():
            lines.append(f"frames of {width}x{height} pixels: {count}, fitted into the size of the first")
        return lines


@contextlib.contextmanager
def opened(path: pathlib.Path) -> Iterator:
    """The file for reading, as av opens it: by its content, a kind of CONTAINERS only, and nothing that it refers to."""
    limits = {"format_whitelist": CONTAINERS, "protocol_whitelist": "file"}
    with import_av().open(f"file:{path}", container_options=limits) as container:
        yield container


def _pictures(container):
    """The first video track that is no cover picture.

    Raises:
        ValueError: there is none.
    """
    cover = import_av().stream.Disposition.attached_pic
    tracks = [track for track in container.streams.video if not track.disposition & cover and track.codec_context]
    if not tracks:
        raise ValueError("not a video, it has no pictures that can be read.")
    if tracks[0].width * tracks[0].height > decode.MAX_PIXELS:
        raise ValueError(f"its frames have more than {decode.MAX_PIXELS / 1e6:g} megapixels.")
    return tracks[0]


def _sound(container):
    """The first sound track that can be read, or None."""
    return next((track for track in container.streams.audio if track.codec_context), None)


def _packets(container, stream, faults: Faults):
    """The stream's packets, to the file's end or to where it can't be read on."""
    av = import_av()
    try:
        yield from container.demux(stream)
    except av.error.InvalidDataError as error:
        faults.add(error)


def _decoded(container, stream, faults: Faults):
    """The stream's frames; what can't be decoded is left out."""
    av = import_av()
    for packet in _packets(container, stream, faults):
        try:
            yield from packet.decode()
        except av.error.InvalidDataError as error:
            faults.add(error)


def _shown(path: pathlib.Path, frame) -> np.ndarray:
    try:
        return frames.picture(frame)
    except ValueError as reason:
        raise ValueError(f"{path}: {reason}") from reason


def open_clip(path: pathlib.Path) -> Clip:
    """Looks into a file.

    Raises:
        ValueError: no such file, not a video of CONTAINERS, one without a frame, or with colours that can't be followed.
    """
    av = import_av()
    if not path.is_file():
        raise ValueError(f"{path}: no such file.")
    with path.open("rb") as file:
        brand = file.read(12)[4:]
    if brand[:4] == b"ftyp" and brand[4:] in HEIF:
        raise ValueError(f"{path}: a HEIF picture, which is not read. Make it a JPEG or PNG first.")
    try:
        with opened(path) as container:
            stream = _pictures(container)
            frame = next(_decoded(container, stream, Faults()), None)
            if frame is None:
                raise ValueError("a video without a single frame.")
            pixel = stream.sample_aspect_ratio or Fraction(1)
            return Clip(
                path,
                rate=Fraction(stream.average_rate or stream.guessed_rate or 25),
                count=stream.frames,
                size=frames.picture(frame).shape[:2],
                has_sound=_sound(container) is not None,
                pixel=1 / pixel if frames.is_sideways(frame) else pixel,
                is_hdr=frames.is_hdr(frame),
                is_interlaced=frame.interlaced_frame,
            )
    except av.error.ArgumentError as error:  # what CONTAINERS does not name
        raise ValueError(f"{path}: not a video of a kind that is read: {KINDS}.") from error
    except (av.error.FFmpegError, EOFError) as error:
        raise ValueError(f"{path}: not a video that can be read ({str(error).split(';')[0]}).") from error
    except ValueError as reason:
        raise ValueError(f"{path}: {reason}") from reason


class Parts:
    """A video being made: frames go into parts in a hidden folder beside it, `join` makes the file of those there are.

    Attributes:
        done: frames in finished parts; a job goes on with the frame after them.
        dropped: frames in finished parts of another job, which are no more.
        marked: whether `mark` was called, by this process or one before it.
        whole: whether `out` is there already, made by this very job and not yet forgotten.
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
            (self.folder / "draft.json").write_text(json.dumps(job), "utf-8")
            (self.folder / "draft.json").replace(self.folder / NOTE)
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
            self.stream = video.add_stream(
                self.container, self.clip.rate.limit_denominator(1001), frame.shape[:2], bf="0"
            )
            self.stream.codec_context.time_base = Fraction(1, TICKS)
            self.stream.codec_context.sample_aspect_ratio = self.clip.pixel
        picture = video.to_yuv(frame)
        picture.pts, picture.time_base = round((time - self.start) * TICKS), Fraction(1, TICKS)
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
        ticks = round(self.start * TICKS)
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
        draft = self.out.with_name(f".{self.out.name}")
        try:
            with av.open(str(draft), "w", format="mp4") as target, opened(self.clip.path) as original:
                end = self._copy_pictures(target, original)
                if self.clip.has_sound:
                    try:
                        _copy_sound(original, target, self.sound, None if whole else end)
                    except av.error.FFmpegError as error:
                        if isinstance(error, OSError):  # the disk refuses, not the sound
                            raise
                        silent = str(error).split(";")[0]
            draft.replace(self.out)
        finally:
            draft.unlink(missing_ok=True)
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
        """Copies the parts' packets, and opens the sound's stream before the first; the end in seconds."""
        stream, end = None, Fraction(0)
        for part in self._finished():
            offset = int(part.stem.split("_")[2])
            with opened(part) as source:
                track = source.streams.video[0]
                if stream is None:
                    stream = target.add_stream_from_template(track)
                    self.sound = _sound_stream(original, target) if self.clip.has_sound else None
                for packet in source.demux(track):
                    if packet.dts is None:
                        continue
                    shift = round(Fraction(offset, TICKS) / packet.time_base)
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
    track = _sound(original)
    if _is_copied(track):
        return target.add_stream_from_template(track)
    return target.add_stream("aac", rate=track.codec_context.sample_rate)


def _copy_sound(original, target, stream, end):
    """The original's sound up to `end` seconds (None: all of it), as late after the first picture as it was.

    Where its times go back, as in two files joined, it goes on right after what was there.
    """
    track, pictures = _sound(original), _pictures(original)
    start = (pictures.start_time or 0) * pictures.time_base
    if _is_copied(track):
        last, ends, shift = None, None, None  # of the copy, in the track's ticks
        for packet in _packets(original, track, Faults()):
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
        return
    done = 0  # samples
    for frame in _decoded(original, track, Faults()):
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
