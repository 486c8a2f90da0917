import builtins

import av
import numpy as np
import pytest
from PIL import Image

from gan_jax.data import decode
from gan_jax.data.quarantine import ImageRejected
from gan_jax.inference import animation, video_file


def frames(n, shape=(16, 24, 3)):
    """Flat frames, each darker than the one before."""
    return [np.full(shape, 250 - 40 * i, np.uint8) for i in range(n)]


def decoded(path):
    with av.open(str(path)) as film:
        return [frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)]


@pytest.mark.parametrize("shape", [(16, 24, 3), (15, 17, 3), (16, 16, 1), (16, 16, 4)])
def test_mp4_holds_the_frames(tmp_path, shape):
    assert video_file.write(tmp_path / "a.mp4", frames(4, shape), 12.5) == 4
    found = decoded(tmp_path / "a.mp4")
    even = tuple(n + n % 2 for n in shape[:2])
    assert [x.shape for x in found] == [(*even, 3)] * 4
    for n, frame in enumerate(found):
        value = 250 - 40 * n
        want = value if shape[2] < 4 else value * value / 255 + 255 - value  # alpha: laid on white
        assert abs(frame.mean() - want) < 4


@pytest.mark.parametrize(
    ("format", "loop"), [("GIF", None), ("GIF", 3), ("PNG", 2), ("WEBP", 0), ("AVIF", None)]
)
def test_an_animation_comes_back(tmp_path, format, loop):
    """Every frame with its alpha, how long each is shown, and how often all are."""
    made = []
    for n in range(3):
        frame = np.full((24, 32, 4), (220 - 20 * n, 40, 60 + 30 * n, 255), np.uint8)
        frame[:8, : 8 * n + 4, 3] = 0
        made.append((frame, 100 + 50 * n))
    path = tmp_path / f"a{animation.ENDINGS[format]}"
    animation.write(path, iter(made), format, loop)
    assert decode.animation(path) == (format, 3, loop) and [p.name for p in tmp_path.iterdir()] == [
        path.name
    ]
    back = list(decode.frames(path))
    assert [time for _, time in back] == [100, 150, 200]
    for (was, _), (now, _) in zip(made, back, strict=True):
        np.testing.assert_array_equal(now[..., 3], was[..., 3])
        assert np.abs(now.astype(int) - was)[was[..., 3] > 0].max() <= 4


def colorful(n, colors, clear=0, seed=0):
    """uint8 [40, 50, 4], a frame of so many colors; the first rows are clear."""
    rng = np.random.default_rng(seed)
    palette = rng.choice(1 << 24, colors, replace=False)
    numbers = palette[rng.integers(0, colors, (n, 40, 50))]
    made = np.stack([numbers >> 16, numbers >> 8 & 255, numbers & 255, 0 * numbers + 255], -1)
    made[:, :clear] = 0
    return list(made.astype(np.uint8))


@pytest.mark.parametrize(
    ("colors", "clear"), [(256, 0), (255, 5), (200, 0), (200, 5), (10, 5), (1, 40)]
)
def test_a_gif_keeps_what_is_kept(tmp_path, colors, clear):
    """A hole of thousands of colors gets the nearest of those that there are and, where there is
    room, of new ones."""
    before, made, kept = colorful(4, colors, clear), [], np.ones((4, 40, 50), bool)
    kept[:, 10:20, 10:30] = False
    for n, frame in enumerate(before):
        drawn = np.full((40, 50, 4), 255, np.uint8)
        drawn[..., :3] = np.linspace(40 * n, 255, 40 * 50 * 3).reshape(40, 50, 3)
        made.append(np.where(kept[n, ..., None] | (frame[..., 3:] == 0), frame, drawn))
    assert animation.lasting(made, kept, "GIF") == "GIF"
    animation.write(tmp_path / "a.gif", [(x, 50) for x in made], "GIF", 0, kept)
    back = [frame for frame, _ in decode.frames(tmp_path / "a.gif")]
    for frame, was, part in zip(back, made, kept, strict=False):
        np.testing.assert_array_equal(frame[part], was[part])
        np.testing.assert_array_equal(frame[..., 3], was[..., 3])
        hole = np.abs(frame[~part].astype(int) - was[~part])
        assert hole.max() <= (8 if colors <= 200 else 80)


def test_frames_of_few_colors_are_a_gif_exactly(tmp_path):
    frames = colorful(3, 255, 5)
    animation.write(tmp_path / "a.gif", [(x, 50) for x in frames], "GIF", 0)
    for (frame, _), was in zip(decode.frames(tmp_path / "a.gif"), frames, strict=True):
        np.testing.assert_array_equal(frame, was)


@pytest.mark.parametrize(("format", "last"), [("GIF", "WEBP"), ("WEBP", "WEBP"), ("AVIF", "WEBP"),
                                              ("PNG", "PNG")])  # fmt: skip
def test_more_colors_than_a_format_keeps_go_into_webp(tmp_path, format, last):
    frames, kept = colorful(3, 1000, 5), np.ones((3, 40, 50), bool)
    assert animation.lasting(frames, kept, format) == last
    animation.write(tmp_path / "a", [(x, 50) for x in frames], last, 0, kept)
    for (frame, _), was in zip(decode.frames(tmp_path / "a"), frames, strict=True):
        np.testing.assert_array_equal(frame, was)


def test_the_default_picture_of_a_png_is_no_frame_and_pages_are_no_animation(tmp_path):
    red, blue, green = (Image.new("RGB", (8, 8), color) for color in ("red", "blue", "lime"))
    red.save(
        tmp_path / "a.png",
        save_all=True,
        append_images=[blue, green],
        default_image=True,
        duration=40,
    )
    assert decode.animation(tmp_path / "a.png").frames == 2
    assert [frame[0, 0].tolist() for frame, _ in decode.frames(tmp_path / "a.png")] == [
        [0, 0, 255, 255],
        [0, 255, 0, 255],
    ]
    red.save(tmp_path / "a.tif", save_all=True, append_images=[blue])
    assert decode.animation(tmp_path / "a.tif") is None


def test_animations_too_large_for_the_memory_are_refused(tmp_path, monkeypatch):
    red, blue = (Image.new("RGB", (8, 8), color) for color in ("red", "blue"))
    red.save(tmp_path / "a.gif", save_all=True, append_images=[blue])
    monkeypatch.setattr(decode, "ANIMATION_PIXELS", 127)
    with pytest.raises(
        ImageRejected,
        match="frames of more than 0.000127 megapixels together; make it a video",
    ):
        list(decode.frames(tmp_path / "a.gif"))


def test_png_holds_all_frames_in_rows(tmp_path):
    video_file.write(tmp_path / "a.png", frames(3, (2, 2, 1)), 1, cols=2)
    sheet = np.asarray(Image.open(tmp_path / "a.png"))
    assert (
        sheet.shape == (4, 4) and sheet[0, 0] == 250 and sheet[0, 2] == 210 and sheet[2, 0] == 170
    )
    assert sheet[2, 2] == 255  # no frame


def test_two_that_write_one_file_do_not_mix(tmp_path):
    def within():
        with pytest.raises(ValueError, match="another program is making it"):
            video_file.write(tmp_path / "a.mp4", frames(1), 10)
        yield from frames(3)

    assert video_file.write(tmp_path / "a.mp4", within(), 10) == 3
    assert len(decoded(tmp_path / "a.mp4")) == 3 and [p.name for p in tmp_path.iterdir()] == [
        "a.mp4"
    ]


@pytest.mark.parametrize("name", ["a.mp4", "a.gif"])
def test_ctrl_c_keeps_what_is_done(tmp_path, name):
    def cut_short():
        yield from frames(3)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        video_file.write(tmp_path / name, cut_short(), 10)
    count = (
        len(decoded(tmp_path / name))
        if name.endswith("mp4")
        else Image.open(tmp_path / name).n_frames
    )
    assert count == 3 and [p.name for p in tmp_path.iterdir()] == [name]


def test_an_error_leaves_the_old_file(tmp_path):
    def broken():
        yield frames(1)[0]
        raise OSError("disk full")

    video_file.write(tmp_path / "a.mp4", frames(2), 10)
    with pytest.raises(OSError, match="disk full"):
        video_file.write(tmp_path / "a.mp4", broken(), 10)
    assert len(decoded(tmp_path / "a.mp4")) == 2 and len(list(tmp_path.iterdir())) == 1


def test_mp4_without_its_package_names_it(tmp_path, monkeypatch):
    real = builtins.__import__
    no_av = lambda name, *a, **k: (
        (_ for _ in ()).throw(ImportError(name)) if name == "av" else real(name, *a, **k)
    )
    monkeypatch.setattr(builtins, "__import__", no_av)
    with pytest.raises(ValueError, match="need the package av: pip install av"):
        video_file.check(tmp_path / "a.mp4")
    video_file.check(tmp_path / "a.gif")
    monkeypatch.setattr(builtins, "__import__", real)
    monkeypatch.setattr(av, "__version__", "12.3.0")
    with pytest.raises(ValueError, match="av is 12.3.0: video files need 18 or newer"):
        video_file.check(tmp_path / "a.mp4")
