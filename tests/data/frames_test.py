"""Files that say how they are to be shown, and what arrives: written by av, their planes computed
by numpy."""

import types
from fractions import Fraction

import av
import numpy as np
import pytest

from gan_jax.data import clips, frames
from gan_jax.inference import video_file, video_parts

RED = (220, 40, 60)
BT601, BT2020 = (0.299, 0.114), (0.2627, 0.0593)  # shares of red and blue in luma
BT709 = (0.2126, 0.0722)


def planes(rgb, shares, full, bits=8):
    """Y, Cb, Cr of a color in [0, 255], by the equations of BT.601, BT.709 and BT.2020."""
    r, g, b = np.array(rgb) / 255
    kr, kb = shares
    y = kr * r + (1 - kr - kb) * g + kb * b
    cb, cr = (b - y) / (2 - 2 * kb), (r - y) / (2 - 2 * kr)
    if full:
        return [round(x * (2**bits - 1)) for x in (y, cb + 0.5, cr + 0.5)]
    return [round(x * 2 ** (bits - 8)) for x in (16 + 219 * y, 128 + 224 * cb, 128 + 224 * cr)]


def color(frame, shares, full):
    """RGB in [0, 255] of the middle of a decoded frame: the inverse of `planes`."""
    height, width = frame.height // 2 * 2, frame.width // 2 * 2
    flat = frame.to_ndarray().astype(float)
    y = flat[height // 2, width // 2]
    cb, cr = flat[height:].reshape(2, height // 2, width // 2)[:, height // 4, width // 4]
    y, cb, cr = (
        (y / 255, cb / 255 - 0.5, cr / 255 - 0.5)
        if full
        else ((y - 16) / 219, (cb - 128) / 224, (cr - 128) / 224)
    )
    kr, kb = shares
    r, b = y + (2 - 2 * kr) * cr, y + (2 - 2 * kb) * cb
    return 255 * np.array([r, (y - kr * r - kb * b) / (1 - kr - kb), b])


def write(
    path,
    yuv,
    size=(32, 48),
    pix_fmt="yuv420p",
    codec="libx264",
    matrix=None,
    prepare=lambda stream: None,
    **tags,
):
    """A clip of two frames of one color, or of the pixels uint8 [H, W] for Y, Cb and Cr in
    4:4:4."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=12)
        (stream.height, stream.width), stream.pix_fmt = size, pix_fmt
        stream.options = {"crf": "1"} if codec == "libx264" else {}
        for name, value in tags.items():
            setattr(stream.codec_context, name, value)
        if matrix is not None:
            stream.set_display_matrix(matrix)
        prepare(stream)
        for n in range(2):
            frame = av.VideoFrame(size[1], size[0], pix_fmt)
            for plane, value in zip(frame.planes, yuv, strict=True):
                deep = "10" in pix_fmt
                rows = np.zeros(
                    (plane.height, plane.line_size // (1 + deep)), "<u2" if deep else np.uint8
                )
                rows[:, : plane.width] = value
                plane.update(rows.tobytes())
            frame.pts = n
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def shown(path):
    """The first frame as the tools see it."""
    return next(clips.open_clip(path).frames())[0]


@pytest.mark.parametrize(
    ("size", "shares", "tags"),
    [
        ((720, 1280), BT709, {}),
        ((1280, 720), BT709, {}),
        ((576, 720), BT601, {}),
        ((32, 48), BT709, {"colorspace": 1}),
        ((32, 48), BT2020, {"colorspace": 9}),
        ((720, 1280), BT601, {"colorspace": 6}),
        ((720, 1280), BT709, {"colorspace": 3, "color_trc": 3}),  # reserved
    ],
)
@pytest.mark.parametrize("full", [False, True])
def test_matrix_and_range_are_obeyed(tmp_path, size, shares, tags, full):
    """What has no matrix is BT.709 where it is high definition, as players take it."""
    pix_fmt = "yuvj420p" if full else "yuv420p"
    path = write(
        tmp_path / "a.mp4",
        planes(RED, shares, full),
        size,
        pix_fmt,
        color_range=2 if full else 1,
        **tags,
    )
    assert np.abs(shown(path)[size[0] // 2, size[1] // 2].astype(int) - RED).max() <= 2


@pytest.mark.parametrize("size", [(32, 48), (720, 1280)])
def test_what_is_written_is_what_it_says(tmp_path, size):
    """Both writers: their planes, by BT.709's matrix, are the colors that went in, and the file's
    tags say BT.709."""
    red = np.full((*size, 3), RED, np.uint8)
    video_file.write(tmp_path / "walk.mp4", [red], 12)
    parts = video_parts.Parts(tmp_path / "styled.mp4", clips.open_clip(tmp_path / "walk.mp4"), {})
    parts.add(red, 0)
    parts.finish_part()
    parts.join(whole=True)
    for name in ("walk.mp4", "styled.mp4"):
        with av.open(str(tmp_path / name)) as container:
            frame = next(container.decode(video=0))
            about = container.streams.video[0].codec_context
            for said in (frame, about):
                assert [
                    said.colorspace,
                    said.color_primaries,
                    said.color_trc,
                    said.color_range,
                ] == [1, 1, 1, 1]
            assert np.abs(color(frame, BT709, full=False) - RED).max() <= 3
        assert np.abs(shown(tmp_path / name)[16, 24].astype(int) - RED).max() <= 3


ORIENTATIONS = {  # the display matrix's a, b, c, d -> what becomes of the stored picture
    "upright": ((1, 0, 0, 1), lambda x: x),
    "half": ((-1, 0, 0, -1), lambda x: x[::-1, ::-1]),
    "clockwise": ((0, 1, -1, 0), lambda x: np.rot90(x, -1)),
    "anticlockwise": ((0, -1, 1, 0), lambda x: np.rot90(x)),
    "mirrored": ((-1, 0, 0, 1), lambda x: x[:, ::-1]),
    "upside down": ((1, 0, 0, -1), lambda x: x[::-1]),
    "transposed": ((0, 1, 1, 0), lambda x: x.swapaxes(0, 1)),
    "transverse": ((0, -1, -1, 0), lambda x: x[::-1, ::-1].swapaxes(0, 1)),
}


def display_matrix(a, b, c, d):
    return [a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30]


@pytest.mark.parametrize("name", ORIENTATIONS)
def test_turns_mirrors_and_pixel_aspect(tmp_path, name):
    """A picture brighter to the right and, by half, to the bottom; its pixels are wider than
    high."""
    sides, change = ORIENTATIONS[name]
    y, x = np.mgrid[:32, :48]
    luma = (40 + 3 * x + 1.5 * y).astype(np.uint8)
    path = write(
        tmp_path / "a.mp4",
        [luma, 128, 128],
        matrix=display_matrix(*sides),
        sample_aspect_ratio=Fraction(32, 27),
    )
    clip = clips.open_clip(path)
    want = change((luma.astype(float) - 16) * 255 / 219)
    assert clip.size == want.shape
    assert np.abs(shown(path).mean(-1) - want).max() <= 4
    parts = video_parts.Parts(tmp_path / "out.mp4", clip, {})
    for frame, time in clip.frames():
        parts.add(frame, time)
    parts.finish_part()
    parts.join(whole=True)
    with av.open(str(tmp_path / "out.mp4")) as container:
        stream = container.streams.video[0]
        pixel = Fraction(27, 32) if want.shape == (48, 32) else Fraction(32, 27)
        assert stream.sample_aspect_ratio == pixel == stream.codec_context.sample_aspect_ratio
        assert (
            np.abs(next(container.decode(stream)).to_ndarray(format="rgb24").mean(-1) - want).max()
            <= 6
        )


def test_a_turn_that_is_no_quarter_is_refused(tmp_path):
    path = write(
        tmp_path / "a.mp4",
        [90, 128, 128],
        matrix=[46341, 46341, 0, -46341, 46341, 0, 0, 0, 1 << 30],
    )
    with pytest.raises(
        ValueError, match=r"a\.mp4: it is to be shown turned by an angle that is no quarter"
    ):
        clips.open_clip(path)


def hdr(path, signal, transfer, **tags):
    """A clip in the 10 bits of BT.2020, of the color with this signal, in [0, 1]."""
    yuv = planes(255 * np.array(signal), BT2020, full=False, bits=10)
    tags = {"colorspace": 9, "color_primaries": 9, "color_range": 1} | tags
    return write(path, yuv, pix_fmt="yuv420p10le", color_trc=transfer, **tags)


def pq(light):
    """ST 2084's inverse EOTF, from cd/m2."""
    y = (np.array(light) / 10_000) ** 0.1593017578125
    return ((0.8359375 + 18.8515625 * y) / (1 + 18.6875 * y)) ** 78.84375


@pytest.mark.parametrize(
    ("light", "want"),
    [
        ([0, 0, 0], [0, 0, 0]),
        ([20, 20, 20], [255 * (20 / 203) ** (1 / 2.4)] * 3),  # below the knee light stays as it is
        ([80, 80, 80], [255 * (80 / 203) ** (1 / 2.4)] * 3),
        ([1000, 1000, 1000], [255, 255, 255]),
        ([4000, 4000, 4000], [255, 255, 255]),
        ([203, 203, 203], [231, 231, 231]),
    ],
)
def test_pq_becomes_what_bt2390_says(tmp_path, light, want):
    path = hdr(tmp_path / "a.mkv", pq(light), 16)
    assert np.abs(shown(path)[16, 24].astype(int) - want).max() <= 2
    assert clips.open_clip(path).is_hdr


def test_hlg_and_wide_colors(tmp_path):
    """HLG's 38 % is a gray card, 26 cd/m2; a red of BT.709 in BT.2020's primaries comes back, with
    and without HDR."""
    gray = shown(hdr(tmp_path / "gray.mkv", [0.38] * 3, 18))[16, 24]
    assert np.abs(gray.astype(int) - 255 * (26 / 203) ** (1 / 2.4)).max() <= 3
    linear = (np.array(RED) / 255) ** 2.4
    # BT.2087
    wide = (
        np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]])
        @ linear
    )
    for name, signal, transfer in (("pq", pq(80 * wide), 16), ("sdr", wide ** (1 / 2.4), 14)):
        want = 255 * (linear * (80 / 203 if name == "pq" else 1)) ** (1 / 2.4)
        assert (
            np.abs(shown(hdr(tmp_path / f"{name}.mkv", signal, transfer))[16, 24] - want).max() <= 4
        )


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        ({"color_trc": 8}, "its colors have the transfer 8 of H.273"),
        ({"colorspace": 8}, "the matrix 8 of H.273"),
    ],
)
def test_colors_that_cannot_be_followed_are_refused(tmp_path, tags, message):
    path = write(tmp_path / "a.mkv", [90, 128, 128], **tags)
    with pytest.raises(ValueError, match=rf"a\.mkv: .*{message}; first make it BT.709"):
        clips.open_clip(path)


def test_transparency_is_laid_on_white(tmp_path):
    with av.open(str(tmp_path / "a.mov"), "w") as container:
        stream = container.add_stream("qtrle", rate=12)
        stream.height, stream.width, stream.pix_fmt = 32, 48, "argb"
        rgba = np.full((32, 48, 4), (*RED, 255), np.uint8)
        rgba[:, 24:, 3] = 0
        frame = av.VideoFrame.from_ndarray(rgba, format="rgba").reformat(format="argb")
        container.mux([*stream.encode(frame), *stream.encode()])
    found = shown(tmp_path / "a.mov")
    assert found[16, 8].tolist() == list(RED) and (found[:, 24:] == 255).all()


def test_dolby_vision_without_a_base_is_refused():
    frame = types.SimpleNamespace(
        color_trc=2, color_primaries=2, side_data={"DOVI_METADATA": b"profile 5"}
    )
    with pytest.raises(ValueError, match="its colors are Dolby Vision's own"):
        frames.picture(frame)
