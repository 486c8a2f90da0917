from fractions import Fraction

import av
import numpy as np
import pytest

from gan_jax.data import clips
from gan_jax.inference import video_file, video_parts


def make(path, frames=24, sound=True, codec="aac", times=None, late=0, size=(32, 48)):
    """A clip of `size` whose frame n is gray 8 n, 12 frames a second, with a tone that begins
    `late` seconds after it.

    times: of the frames, in 1/1200 s.
    """
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=12)
        video.height, video.width, video.pix_fmt = *size, "yuv420p"
        video.codec_context.time_base = Fraction(1, 1200)
        tone = container.add_stream(codec, rate=44100) if sound else None
        if tone:
            tone.layout = "mono"
        for n in range(frames):
            frame = av.VideoFrame.from_ndarray(np.full((*size, 3), 8 * n, np.uint8), format="rgb24")
            frame.pts, frame.time_base = (times[n] if times else 100 * n), Fraction(1, 1200)
            container.mux(video.encode(frame))
        container.mux(video.encode())
        if tone:
            wave = (8000 * np.sin(np.arange(44100 * frames // 12) * 0.05)).astype(np.int16)[None]
            block = av.AudioFrame.from_ndarray(wave, format="s16", layout="mono")
            block.sample_rate, block.pts, block.time_base = 44100, late * 44100, Fraction(1, 44100)
            container.mux(tone.encode(block))
            container.mux(tone.encode())
    return path


def copy(clip, out, stop=None, job=None):
    """The clip through Parts as it is, up to frame `stop`; how many frames were added."""
    parts, added = video_parts.Parts(out, clip, job or {"job": 1}), 0
    done = parts.done
    for n, (frame, time) in enumerate(clip.frames()):
        if n < done:
            continue
        if n == stop:
            break
        parts.add(frame, time)
        added += 1
    parts.finish_part()
    assert parts.join(whole=stop is None) is None
    if stop is None:
        parts.forget()
    return added


def sound_seconds(path):
    with av.open(str(path)) as container:
        return sum(frame.samples / frame.sample_rate for frame in container.decode(audio=0))


def test_frames_times_and_sound_arrive(tmp_path, monkeypatch):
    monkeypatch.setattr(video_parts, "PART", 7)  # three parts and a rest
    times = [0, 100, 150, 400, *range(500, 2500, 100)]  # of a phone that skips
    clip = clips.open_clip(make(tmp_path / "in.mp4", times=times))
    assert (clip.count, clip.size, clip.has_sound) == (24, (32, 48), True)
    assert copy(clip, tmp_path / "out.mp4") == 24
    before, after = list(clip.frames()), list(clips.open_clip(tmp_path / "out.mp4").frames())
    assert (
        [time for _, time in after]
        == [Fraction(t, 1200) for t in times]
        == [time for _, time in before]
    )
    for n, (frame, _) in enumerate(after):
        assert abs(frame.astype(int) - 8 * n).max() <= 4
    assert sound_seconds(tmp_path / "out.mp4") == pytest.approx(
        sound_seconds(tmp_path / "in.mp4"), abs=0.05
    )
    assert not list(tmp_path.glob(".*"))


def test_a_job_cut_short_is_playable_and_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(video_parts, "PART", 5)
    clip = clips.open_clip(make(tmp_path / "in.mp4"))
    out = tmp_path / "out.mp4"
    assert copy(clip, out, stop=12) == 12
    assert len(list(clips.open_clip(out).frames())) == 12
    assert sound_seconds(out) == pytest.approx(1, abs=0.15)
    assert copy(clip, out) == 12  # the others
    frames = [frame for frame, _ in clips.open_clip(out).frames()]
    assert len(frames) == 24 and abs(frames[-1].astype(int) - 8 * 23).max() <= 4


def test_parts_of_another_job_are_not_used(tmp_path):
    clip = clips.open_clip(make(tmp_path / "in.mp4", frames=6, sound=False))
    copy(clip, tmp_path / "out.mp4", stop=3)
    assert copy(clip, tmp_path / "out.mp4", job={"job": 2}) == 6


def test_sound_that_mp4_does_not_take_becomes_aac(tmp_path):
    clip = clips.open_clip(make(tmp_path / "in.mkv", codec="pcm_s16le"))
    copy(clip, tmp_path / "out.mp4")
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert container.streams.audio[0].codec_context.name == "aac"
    assert sound_seconds(tmp_path / "out.mp4") == pytest.approx(2, abs=0.1)


@pytest.mark.parametrize(
    ("file", "codec"),
    [("in.mp4", "aac"), ("in.mkv", "pcm_s16le"), ("in.mkv", "mp3"), ("in.mkv", "flac")],
)
def test_sound_begins_when_it_did(tmp_path, file, codec):
    clip = clips.open_clip(make(tmp_path / file, codec=codec, late=1))
    copy(clip, tmp_path / "out.mp4")
    with av.open(str(tmp_path / "out.mp4")) as container:
        track = container.streams.audio[0]
        assert track.codec_context.codec.canonical_name == (codec if codec == "mp3" else "aac")
        frames = list(container.decode(track))
        loud = next(
            frame for frame in frames if np.abs(frame.to_ndarray().astype(float)).max() > 0.1
        )
        video = container.streams.video[0]
        assert float(loud.time - (video.start_time or 0) * video.time_base) == pytest.approx(
            1, abs=0.06
        )


def test_colors_arrive_and_are_said_to_be_bt709(tmp_path):
    clip = clips.open_clip(make(tmp_path / "in.mp4", frames=3, sound=False))
    parts = video_parts.Parts(tmp_path / "out.mp4", clip, {})
    parts.add(np.full((32, 48, 3), (255, 40, 40), np.uint8), Fraction(0))
    parts.finish_part()
    parts.join(whole=True)
    ((frame, _),) = clips.open_clip(tmp_path / "out.mp4").frames()
    assert np.abs(frame[16, 24].astype(int) - (255, 40, 40)).max() <= 3
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert next(container.decode(video=0)).colorspace == video_file.BT709


def test_damaged_places_are_left_out_and_said(tmp_path):
    path = make(tmp_path / "in.mp4", sound=False)
    whole = path.read_bytes()
    with av.open(str(path)) as container:
        packets = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    data, (at, size) = bytearray(whole), packets[10]
    data[at : at + size] = b"\xff" * size
    path.write_bytes(data)
    faults = clips.Faults()
    frames = list(clips.open_clip(path).frames(faults))
    assert (
        "places can't be decoded and were left out, the first: " in faults.lines()[0]
        and 0 < len(frames) < 24
    )


def remuxed(path, times, base=1000, codec="mpeg4", options=None, rate=12):
    """A clip 32 x 48 without sound whose packets have these times, in 1/base s; None: what the
    encoder gives."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        stream.height, stream.width, stream.pix_fmt, stream.options = (
            32,
            48,
            "yuv420p",
            options or {},
        )
        packets = []
        for n in range(len(times)):
            y = np.full((32, 48, 3), 8 * n, np.uint8)
            y[:, 2 * n :] = 200  # an edge that moves, so that there is use for B-frames
            packets += stream.encode(av.VideoFrame.from_ndarray(y, format="rgb24"))
        packets += stream.encode()
        for packet, time in zip(packets, times, strict=True):
            if time is not None:
                packet.time_base, packet.pts, packet.dts = Fraction(1, base), time, time
            container.mux(packet)
    return path


def rising(clip, out):
    """The times of a clip's frames, all of which must have arrived in `out`, each later than the
    last."""
    times = [time for _, time in clip.frames()]
    assert copy(clip, out) == len(times)
    with av.open(str(out)) as container:
        written = [frame.pts * frame.time_base for frame in container.decode(video=0)]
    assert written == times == sorted(set(times)), times
    return times


@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.3gp", "mpeg4"), ("a.flv", "flv"), ("a.mpg", "mpeg1video"), ("a", "wmv2")],
)
def test_kinds_of_files(tmp_path, name, codec):
    path = tmp_path / name if "." in name else tmp_path / "a.wmv"
    clip = clips.open_clip(
        remuxed(path, [None] * 4, codec=codec, rate=25).rename(tmp_path / f"{name}.png")
    )
    assert len(list(clip.frames())) == 4


def test_two_equal_times(tmp_path):
    clip = clips.open_clip(remuxed(tmp_path / "in.mkv", [0, 80, 160, 160, 240]))
    ticks = [time * clips.TICKS for time in rising(clip, tmp_path / "out.mp4")]
    assert ticks == [0, 7200, 14400, 14401, 21600]
    faults = clips.Faults()
    list(clip.frames(faults))
    assert faults.lines() == [
        "times that do not rise: 1; these frames are shown right after the ones before"
    ]


def test_b_frames_in_an_avi_come_evenly(tmp_path):
    """AVI has no times of showing; in what FFmpeg makes of them every third goes back."""
    options = {"x264-params": "bframes=2:b-adapt=0:scenecut=0"}
    path = remuxed(tmp_path / "in.avi", [None] * 16, codec="libx264", options=options)
    with av.open(str(path)) as container:
        stamps = [frame.pts for frame in container.decode(video=0)]
    assert stamps != sorted(stamps)
    times = rising(clips.open_clip(path), tmp_path / "out.mp4")
    assert times == [Fraction(n, 12) for n in range(16)]


def test_short_recordings_joined(tmp_path):
    """Each goes on a frame after the one before, also where its times go back by less than half a
    second."""
    part = remuxed(tmp_path / "a.ts", [None] * 4, codec="mpeg2video", rate=25).read_bytes()
    (tmp_path / "in.ts").write_bytes(part * 3)
    faults = clips.Faults()
    times = [time for _, time in clips.open_clip(tmp_path / "in.ts").frames(faults)]
    assert times == [Fraction(n, 25) for n in range(12)] and not faults.lines()


def test_two_recordings_joined(tmp_path):
    """Times and sound go on where the second begins; its other size is fitted into the first."""
    parts = [make(tmp_path / "a.ts"), make(tmp_path / "b.ts", size=(32, 32))]
    (tmp_path / "in.ts").write_bytes(b"".join(path.read_bytes() for path in parts))
    clip = clips.open_clip(tmp_path / "in.ts")
    times = rising(clip, tmp_path / "out.mp4")
    assert len(times) == 48 and np.abs(np.diff([float(t) for t in times]) - 1 / 12).max() < 1e-4
    assert sound_seconds(tmp_path / "out.mp4") == pytest.approx(4, abs=0.2)
    faults = clips.Faults()
    last = list(clip.frames(faults))[-1][0]
    assert faults.lines() == ["frames of 32x32 pixels: 24, fitted into the size of the first"]
    assert (
        last.shape == (32, 48, 3)
        and not last[:, :7].any()
        and abs(last[16, 24].astype(int) - 8 * 23).max() <= 4
    )


@pytest.mark.parametrize(
    "text",
    [
        "ffconcat version 1.0\nfile '{}'\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{}\n#EXT-X-ENDLIST\n",
        (
            "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP"
            " 96\na=rtpmap:96 H264/90000\n"
        ),
        (
            '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"'
            ' type="static"><Period><AdaptationSet>'
            '<Representation id="1"'
            ' mimeType="video/mp4"><BaseURL>{}</BaseURL></Representation>'
            "</AdaptationSet></Period></MPD>"
        ),
    ],
)
@pytest.mark.parametrize("ending", [".mp4", ".m3u8", ".mpd"])
def test_lists_of_other_files_are_not_opened(tmp_path, text, ending):
    make(tmp_path / "private.ts", frames=3)
    (tmp_path / f"list{ending}").write_text(text.format("private.ts"))
    with pytest.raises(ValueError, match=rf"list{ending}: not a video"):
        clips.open_clip(tmp_path / f"list{ending}")


def test_a_heif_picture_is_no_clip(tmp_path):
    path = make(tmp_path / "a.heic.mp4", frames=1)
    path.write_bytes(path.read_bytes().replace(path.read_bytes()[4:12], b"ftypheic"))
    with pytest.raises(ValueError, match="a HEIF picture, which is not read"):
        clips.open_clip(path)


def test_sound_that_cannot_be_read_on_costs_no_picture(tmp_path, monkeypatch):
    clip = clips.open_clip(make(tmp_path / "in.mp4", frames=6))
    monkeypatch.setattr(
        video_parts,
        "_copy_sound",
        lambda *args: (_ for _ in ()).throw(av.error.ArgumentError(22, "bad")),
    )
    parts = video_parts.Parts(tmp_path / "out.mp4", clip, {})
    for frame, time in clip.frames():
        parts.add(frame, time)
    parts.finish_part()
    assert "bad" in parts.join(whole=True)
    assert len(list(clips.open_clip(tmp_path / "out.mp4").frames())) == 6


def test_a_note_that_cannot_be_read_is_none(tmp_path):
    clip = clips.open_clip(make(tmp_path / "in.mp4", frames=6, sound=False))
    copy(clip, tmp_path / "out.mp4", stop=3)
    (tmp_path / ".out.mp4.parts" / "job.json").write_text("")
    assert video_parts.Parts(tmp_path / "out.mp4", clip, {"job": 1}).dropped == 3


def test_a_silent_clip(tmp_path):
    clip = clips.open_clip(make(tmp_path / "in.mp4", sound=False))
    copy(clip, tmp_path / "out.mp4")
    assert not clips.open_clip(tmp_path / "out.mp4").has_sound


def test_what_is_no_video(tmp_path):
    (tmp_path / "a.mp4").write_text("not a video")
    (tmp_path / "b.mp4").write_bytes(b"")
    with av.open(str(tmp_path / "c.mp4"), "w") as container:
        tone = container.add_stream("aac", rate=44100)
        block = av.AudioFrame.from_ndarray(
            np.zeros((1, 4096), np.int16), format="s16", layout="mono"
        )
        block.sample_rate = 44100
        container.mux(tone.encode(block))
        container.mux(tone.encode())
    for name, message in (
        ("a", "not a video"),
        ("b", "not a video"),
        ("c", "no pictures"),
        ("d", "no such file"),
    ):
        with pytest.raises(ValueError, match=rf"{name}.mp4: .*{message}"):
            clips.open_clip(tmp_path / f"{name}.mp4")
