"""Video files read frame by frame, as they are to be shown. Needs the package `av` (FFmpeg)."""

import collections
import contextlib
import dataclasses
import pathlib
import types
from collections.abc import Iterator
from fractions import Fraction

import numpy as np

from gan_jax.data import frames, geometry, image_file

OLDEST_AV = 18  # the first with all that is read here of a file's colors and turns
# none that opens other files, as playlists do
CONTAINERS = "mov,matroska,avi,mpegts,mpeg,mpegvideo,asf,flv,ogg,mxf"
KINDS = "MP4, MOV, 3GP, MKV, WebM, AVI, TS, MPEG, WMV, FLV, OGG, MXF"  # which these are
HEIF = (*image_file.HEIF_BRANDS, *image_file.AVIF_BRANDS, b"mif1", b"msf1")  # brands of pictures
TICKS = 90_000  # a second: what times are written in
JUMP = Fraction(1, 2)  # seconds: where times go back by more, another recording begins


@dataclasses.dataclass(frozen=True)
class Clip:
    """A video file that has pictures; open it with `open_clip`.

    Attributes:
        rate: frames a second.
        count: of frames, by the file's word; 0 where it does not say.
        size: (H, W), upright.
        has_sound: whether there is a sound track that can be read.
        pixel: width by height of a pixel, upright.
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
        """(uint8 [H, W, 3] upright, seconds from the first frame), in the order they are shown,
        each later than the last.

        A frame of another size is fitted into the first one's, with black beside it. Where the
        file's times jump back by more than JUMP, or to where they began, as in files joined, they
        go on a frame later; other times that do not rise are moved by a tick.
        Args:
            faults: takes what had to be mended or left out.
        """
        faults = Faults() if faults is None else faults
        at, began, shift, tick, half = None, None, Fraction(0), -1, 1 / (2 * self.rate)
        with opened(self.path) as container:
            stream = pictures_of(container)
            stream.thread_type = "AUTO"
            stamped = container.format.name != "avi"  # which knows when frames are decoded only
            for frame in decoded(container, stream, faults):
                stamp = frame.pts if stamped else frame.dts
                following = Fraction(0) if at is None else at + 1 / self.rate
                time = following if stamp is None else stamp * frame.time_base + shift
                if at is None or at - time > JUMP or (at - time > half and time - began < half):
                    shift, time, began = shift + following - time, following, following
                faults.times += round(time * TICKS) <= tick
                at, tick = time, max(tick + 1, round(time * TICKS))
                yield self._fitted(_shown(self.path, frame), faults), Fraction(tick, TICKS)

    def notes(self) -> list[str]:
        """What of the file becomes something else."""
        lines = []
        if self.is_hdr:
            lines.append(
                f"HDR, brought to SDR: light up to {frames.PEAK:g} cd/m2 by the curve of BT.2390"
            )
        if self.is_interlaced:
            lines.append(
                "interlaced, and styled with its comb lines; ffmpeg -i IN -vf bwdif OUT takes them"
                " out before"
            )
        return lines

    def _fitted(self, picture, faults):
        if picture.shape[:2] == self.size:
            return picture
        faults.sizes[picture.shape[:2]] += 1
        scale = min(whole / part for whole, part in zip(self.size, picture.shape[:2], strict=True))
        height, width = (max(1, round(scale * part)) for part in picture.shape[:2])
        top, left = (self.size[0] - height) // 2, (self.size[1] - width) // 2
        fitted = np.zeros((*self.size, 3), np.uint8)
        fitted[top : top + height, left : left + width] = geometry.fit(
            picture, (height, width), "stretch"
        )
        return fitted


@dataclasses.dataclass
class Faults:
    """What of a clip had to be mended or left out while its frames were read.

    Attributes:
        damaged: why places can't be decoded.
        times: how many frames were not later than the one before.
        sizes: of frames that had another size than the first, how many of each.
    """

    damaged: list[str] = dataclasses.field(default_factory=list)
    times: int = 0
    sizes: collections.Counter = dataclasses.field(default_factory=collections.Counter)

    def add(self, error) -> None:
        """error: an av.error.FFmpegError."""
        self.damaged.append(error.strerror)

    def lines(self) -> list[str]:
        lines = []
        if self.damaged:
            lines.append(
                f"{len(self.damaged)} places can't be decoded and were left out, the first:"
                f" {self.damaged[0]}"
            )
        if self.times:
            lines.append(
                f"times that do not rise: {self.times}; these frames are shown right after the ones"
                " before"
            )
        for (height, width), count in self.sizes.items():
            lines.append(
                f"frames of {width}x{height} pixels: {count}, fitted into the size of the first"
            )
        return lines


@contextlib.contextmanager
def opened(path: pathlib.Path) -> Iterator:
    """The file for reading, as av opens it: by its content, a kind of CONTAINERS only, and nothing
    that it refers to."""
    limits = {"format_whitelist": CONTAINERS, "protocol_whitelist": "none"}
    with path.open("rb") as file:
        # av sees bytes only: a name would count as much as they do, or be an address
        nameless = types.SimpleNamespace(read=file.read, seek=file.seek, tell=file.tell)
        with import_av().open(nameless, container_options=limits) as container:
            yield container


def pictures_of(container):
    """The first video track that is no cover picture.

    Raises:
        ValueError: there is none.
    """
    cover = import_av().stream.Disposition.attached_pic
    tracks = [
        track
        for track in container.streams.video
        if not track.disposition & cover and track.codec_context
    ]
    if not tracks:
        raise ValueError("not a video, it has no pictures that can be read.")
    if tracks[0].width * tracks[0].height > image_file.MAX_PIXELS:
        raise ValueError(f"its frames have more than {image_file.MAX_PIXELS / 1e6:g} megapixels.")
    return tracks[0]


def sound_of(container):
    """The first sound track that can be read, or None."""
    return next((track for track in container.streams.audio if track.codec_context), None)


def packets_of(container, stream, faults: Faults):
    """The stream's packets, to the file's end or to where it can't be read on."""
    av = import_av()
    try:
        yield from container.demux(stream)
    except av.error.InvalidDataError as error:
        faults.add(error)


def decoded(container, stream, faults: Faults):
    """The stream's frames; what can't be decoded is left out."""
    av = import_av()
    for packet in packets_of(container, stream, faults):
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
        ValueError: no such file, not a video of CONTAINERS, one without a frame, or with colors
            that can't be followed.
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
            stream = pictures_of(container)
            frame = next(decoded(container, stream, Faults()), None)
            if frame is None:
                raise ValueError("a video without a single frame.")
            pixel = stream.sample_aspect_ratio or Fraction(1)
            return Clip(
                path,
                rate=Fraction(stream.average_rate or stream.guessed_rate or 25),
                count=stream.frames,
                size=frames.picture(frame).shape[:2],
                has_sound=sound_of(container) is not None,
                pixel=1 / pixel if frames.is_sideways(frame) else pixel,
                is_hdr=frames.is_hdr(frame),
                is_interlaced=frame.interlaced_frame,
            )
    except av.error.ArgumentError as error:  # what CONTAINERS does not name
        raise ValueError(f"{path}: not a video of a kind that is read: {KINDS}.") from error
    except av.error.FFmpegError as error:
        raise ValueError(f"{path}: not a video that can be read ({error.strerror}).") from error
    except ValueError as reason:
        raise ValueError(f"{path}: {reason}") from reason


def import_av():
    """The package av.

    Raises:
        ValueError: it is not installed, or too old.
    """
    try:
        import av
    except ImportError as error:
        raise ValueError(
            "video files need the package av: pip install av. GIF and PNG need nothing more."
        ) from error
    if int(av.__version__.split(".")[0]) < OLDEST_AV:
        raise ValueError(
            f"av is {av.__version__}: video files need {OLDEST_AV} or newer. pip install"
            " --upgrade av"
        )
    return av
