"""Frames -> a file to look at: MP4, GIF, or a PNG that holds them all."""

import pathlib
from collections.abc import Iterable, Iterator
from fractions import Fraction

import numpy as np

from gan_jax.data.clips import import_av
from gan_jax.data.images import as_picture, as_rgb, grid, png_bytes
from gan_jax.runtime import workdir
from gan_jax.runtime.files import replacing

KINDS = (".mp4", ".gif", ".png")
BT709 = 1  # H.273's number of the matrix, the primaries and the transfer of high-definition video


def check(path: pathlib.Path) -> None:
    """Raises ValueError where `write` can't write such a file, before any frame is made."""
    if path.suffix.lower() not in KINDS:
        raise ValueError(f"{path}: no known kind of file. Known: {', '.join(KINDS)}.")
    if path.suffix.lower() == ".mp4":
        import_av()


def write(path: pathlib.Path, frames: Iterable[np.ndarray], fps: float, cols: int = 8) -> int:
    """Writes frames uint8 [H, W, C], C = 1 (gray), 3 (RGB) or 4 (RGBA); how many. What was there is
    replaced at the end.

    Args:
        fps: frames a second; a GIF counts in hundredths of a second, so there it is the nearest
            that fits.
        cols: frames a row of a PNG.
    An MP4 has no transparency: it is laid on white. Where `frames` is cut short by Ctrl-C, what was
    made so far is kept.
    Raises:
        ValueError: another suffix, MP4 without the package `av`, or another program that makes this
            file at the same time.
        OSError: the folder can't be written.
    """
    check(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    frames = _Counted(frames)
    with workdir.making(path), replacing(path) as draft:
        {".mp4": _mp4, ".gif": _gif, ".png": _png}[path.suffix.lower()](draft, frames, fps, cols)
    if frames.interrupted:
        raise frames.interrupted
    return frames.count


def rate(path: pathlib.Path, fps: float) -> Fraction | None:
    """Frames a second at which what `write` writes for `fps` is played;
    None for a PNG, which is not."""
    if path.suffix.lower() == ".gif":
        return Fraction(1000, _duration(fps))
    return Fraction(fps).limit_denominator(1001) if path.suffix.lower() == ".mp4" else None


class _Counted:
    """The frames, which end at Ctrl-C too, so that the file is finished."""

    def __init__(self, frames: Iterable[np.ndarray]):
        self._frames, self.count, self.interrupted = frames, 0, None

    def __iter__(self) -> Iterator[np.ndarray]:
        try:
            for frame in self._frames:
                self.count += 1
                yield frame
        except KeyboardInterrupt as signal:
            self.interrupted = signal
            if not self.count:
                raise


def add_stream(container, fps: Fraction, size: tuple[int, int], **options: str):
    """A stream of H.264 for frames (H, W) as `to_yuv` makes them, which says so: BT.709 in the
    limited range."""
    stream = container.add_stream("libx264", rate=fps)
    stream.height, stream.width = (n + n % 2 for n in size)  # 4:2:0 wants even sides
    stream.pix_fmt, stream.options = "yuv420p", {"crf": "17", **options}
    context = stream.codec_context
    context.colorspace = context.color_primaries = context.color_trc = BT709
    context.color_range = import_av().video.reformatter.ColorRange.MPEG
    return stream


def to_yuv(frame: np.ndarray):
    """uint8 [H, W, 3] -> an av.VideoFrame, 4:2:0, BT.709, limited range; odd sides get their last
    row or column twice."""
    frame = np.pad(frame, ((0, frame.shape[0] % 2), (0, frame.shape[1] % 2), (0, 0)), mode="edge")
    rgb = import_av().VideoFrame.from_ndarray(frame, format="rgb24")
    return rgb.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG")


def _mp4(path, frames, fps, cols):
    with import_av().open(str(path), "w", format="mp4") as container:
        stream = None
        for frame in frames:
            frame = as_rgb(frame)
            stream = stream or add_stream(container, rate(path, fps), frame.shape[:2])
            container.mux(stream.encode(to_yuv(frame)))
        if stream is not None:
            container.mux(stream.encode())


def _gif(path, frames, fps, cols):
    images = (as_picture(frame) for frame in frames)
    first = next(images)
    duration = _duration(fps)
    first.save(
        path,
        format="GIF",
        save_all=True,
        append_images=images,
        duration=duration,
        loop=0,
        disposal=2,
    )


def _duration(fps: float) -> int:
    """Of a GIF's frame, in ms: tens of them, 20 at least, below which browsers slow it down."""
    return max(20, round(100 / fps) * 10)


def _png(path, frames, fps, cols):
    path.write_bytes(png_bytes(grid(np.stack(list(frames)), cols)))
