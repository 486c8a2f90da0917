"""gan-jax inpaint: what is filled, in which part of a picture, and what stays as it was."""

import functools
import types

import av
import numpy as np
import pytest
from PIL import Image

from gan_jax.data import decode, geometry
from gan_jax.data.images import save_png
from gan_jax.data.quarantine import ImageRejected
from gan_jax.inference import animation, inpaint
from gan_jax.inference.inpaint import Holes, Inpainter
from tests.data import clips_test
from tests.inference import video_file_test


class Filler:
    """In the place of a run: draws the mean color of what it sees, half of it red; keeps what it
    was given."""

    shape, multiple, fixed_size = (32, 32, 4), 8, False
    classes, step = (), None
    ema = types.MappingProxyType({"params": {"g": {}}})

    def __init__(self):
        self.seen = []

    def restyle(self, x, style):
        self.seen.append(np.asarray(x))
        known = x[..., 3:] > 0
        mean = (x[..., :3] * known).sum((1, 2)) / known.sum((1, 2))
        made = np.broadcast_to(mean[:, None, None], (*x.shape[:3], 3))
        return np.concatenate([made, np.ones_like(x[..., :1])], -1)


def picture(height=60, width=80, channels=3, seed=0):
    small = np.random.default_rng(seed).integers(0, 256, (5, 6, channels), np.uint8)
    return geometry.fit(small, (height, width), "stretch")


def test_only_what_is_missing_changes():
    x = picture()
    filler = Filler()
    one = Inpainter(filler, Holes(boxes=((20, 10, 12, 8),)), feather=0)
    (made,) = one(x[None])
    changed = (made != x).any(-1)
    assert changed[10:18, 20:32].all()
    changed[10:18, 20:32] = False
    assert not changed.any()
    # it sees the hole and as much again on each side, at least 16 pixels
    (seen,) = filler.seen
    assert seen.shape == (1, 40, 48, 4)  # rows 0 to 34, columns 4 to 48, padded
    hole = seen[0, :, :, 3] < 0
    assert hole.sum() == 12 * 8 and (seen[0, hole] == -1).all()
    np.testing.assert_allclose(seen[0, :10, :16, :3], x[:10, 4:20] / 127.5 - 1, atol=1e-6)
    assert np.ptp(made[10:18, 20:32].reshape(-1, 3), 0).max() == 0


def test_the_drawn_fades_into_the_picture():
    x = np.full((60, 60, 3), 100, np.uint8)
    x[30:] = 200
    holes = Holes(boxes=((25, 25, 10, 10),))
    hard, soft = (Inpainter(Filler(), holes, feather=n)(x[None])[0] for n in (0, 4))
    np.testing.assert_array_equal(hard[25:35, 25:35], soft[25:35, 25:35])
    assert (hard[24, 25:35] == x[24, 25:35]).all() and (soft[24, 25:35] != x[24, 25:35]).all()
    steps = np.abs(soft[20:26, 30, 0].astype(int) - 100)
    assert (np.diff(steps) >= 0).all() and steps[0] == 0


def test_holes_far_apart_go_one_by_one_near_ones_together():
    missing = np.zeros((300, 300), bool)
    missing[10:14, 10:14] = missing[20:24, 30:34] = missing[250:260, 200:220] = True
    found = inpaint.windows(missing)
    assert found == [
        (slice(0, 40), slice(0, 50)),
        (slice(230, 280), slice(180, 240)),
    ]
    covered = np.zeros_like(missing)
    for part in found:
        covered[part] = True
    assert covered[missing].all()


def test_merged_windows_never_overlap():
    rng = np.random.default_rng(0)
    for _ in range(20):
        missing = np.zeros((200, 300), bool)
        for y, x in rng.integers(0, (190, 290), (6, 2)):
            missing[y : y + 6, x : x + 9] = True
        count = np.zeros(missing.shape, int)
        for part in inpaint.windows(missing):
            count[part] += 1
        assert count.max() == 1 and (count[missing] == 1).all()


def test_a_large_hole_is_drawn_at_the_networks_size_and_said():
    filler = Filler()
    one = Inpainter(filler, Holes(boxes=((100, 100, 200, 200),)))
    one(picture(600, 600)[None])
    (seen,) = filler.seen
    assert max(seen.shape[1:3]) <= 4 * 32 + 8 and one.reduced > 3


def test_a_network_of_one_size_sees_squares_of_it():
    """A window of a small hole is as large as that, also at an edge; one of a large hole, and a
    picture that is too small, are resized to it."""
    hole = np.zeros((100, 120), bool)
    hole[2:6, 50:52] = True
    assert inpaint.windows(hole, 64) == [(slice(0, 64), slice(19, 83))]
    hole[2:6, 50:80] = True  # 30 long, and as much around it on each side
    assert inpaint.windows(hole, 64) == [(slice(0, 90), slice(20, 110))]
    assert inpaint.windows(np.ones((30, 200), bool), 64) == [(slice(0, 30), slice(0, 200))]
    for size, box, reduced in (
        ((100, 120), (50, 2, 4, 2), 36 / 32),
        ((100, 120), (40, 40, 30, 30), 90 / 32),
        ((20, 25), (5, 5, 6, 6), 1),
    ):
        filler, x = Filler(), picture(*size)
        filler.fixed_size = True
        one = Inpainter(filler, Holes(boxes=(box,)), feather=0)
        (made,) = one(x[None])
        (seen,) = filler.seen
        assert seen.shape == (1, 32, 32, 4) and set(np.unique(seen[..., 3])) == {-1, 1}
        assert one.reduced == pytest.approx(reduced)
        left, top, wide, high = box
        changed = (made != x).any(-1)
        assert changed[top : top + high, left : left + wide].mean() > 0.9
        changed[top : top + high, left : left + wide] = False
        assert not changed.any()


def test_a_network_of_one_size_sees_the_picture_resized():
    filler, x = Filler(), picture(40, 40)
    filler.fixed_size = True
    Inpainter(filler, Holes(boxes=((10, 12, 20, 8),)))(x[None])
    (seen,) = filler.seen
    small = geometry.fit(x, (32, 32), "stretch") / 127.5 - 1
    far = np.ones((32, 32), bool)
    far[6:20, 4:28] = False  # what a filter mixes with the hole
    assert np.abs(seen[0, far, :3] - small[far]).max() < 0.01
    missing = seen[0, ..., 3] < 0
    assert missing[10:16, 8:24].all() and missing.sum() == pytest.approx(20 * 8 * 0.64, rel=0.15)


@pytest.mark.parametrize("side", [12, 300])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_16_bits_stay_outside_and_come_inside(channels, side):
    """Of a hole that the network sees as it is, and of one that is made small for it."""
    x = np.random.default_rng(1).integers(20000, 20300, (400, 400, channels), np.uint16)
    hole = np.zeros((400, 400), bool)
    hole[50 : 50 + side, 60 : 60 + side] = True
    one = Inpainter(Filler(), Holes(boxes=((60, 50, side, side),)), feather=2)
    (made,) = one(x[None])
    assert made.dtype == np.uint16 and made.shape == x.shape
    changed = (made != x).any(-1)
    assert not changed[inpaint.softened(hole, 2) == 0].any()
    colors = made[hole][:, : min(channels, 3)]
    assert np.ptp(colors, 0).max() <= 1 and 20100 < colors.mean() < 20200
    assert (one.reduced > 1) == (side > 128)


def test_a_file_of_16_bits_stays_one(command, tmp_path):
    x = np.random.default_rng(1).integers(0, 65536, (40, 50, 3), np.uint16)
    save_png(tmp_path / "x.png", x)
    done = command(tmp_path / "x.png", "--model", "run", "--out", tmp_path / "out",
                   "--box", "9,9,5,5", "--feather", 0)  # fmt: skip
    assert done.returncode == 0, done.stderr
    made = decode.decode(tmp_path / "out" / "x.png", channels=None, keep_deep=True)
    changed = (made != x).any(-1)
    assert made.dtype == np.uint16 and changed.sum() == 25 and changed[9:14, 9:14].all()


def test_a_deep_key_and_alpha_say_what_is_missing():
    x = np.full((40, 50, 4), 65535, np.uint16)
    x[3, 4, :3] = 0, 250 * 257 + 60, 3 * 257
    assert Holes(key=(0, 250, 3)).of(x).sum() == 1
    x[5:7, :, 3] = 40000
    assert Holes().of(x).sum() == 100


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_channels_stay(channels):
    x = picture(channels=channels)
    made = Inpainter(Filler(), Holes(boxes=((0, 0, 9, 9),)))(x[None])[0]
    assert made.shape == x.shape and made.dtype == np.uint8
    if channels == 4:
        np.testing.assert_array_equal(made[..., 3], x[..., 3])


def test_alpha_says_what_is_missing_where_nothing_else_does():
    x = picture(channels=4).copy()
    x[..., 3] = 255
    x[5:9, 5:9, 3] = 0
    x[5:9, 9, 3] = 200  # half transparent is missing too: nothing becomes opaque as it is
    made = Inpainter(Filler(), Holes(), feather=0)(x[None])[0]
    assert made.shape == (60, 80, 3)
    changed = (made != x[..., :3]).any(-1)
    assert changed[5:9, 5:10].all() and changed.sum() == 20


def test_what_may_say_what_is_missing():
    x = np.full((40, 50, 3), 9, np.uint8)
    x[3, 4] = 0, 250, 3
    assert Holes(key=(0, 255, 0), tolerance=5).of(x).sum() == 1
    assert Holes(key=(0, 255, 0), tolerance=5, grow=1).of(x).sum() == 5
    clear = np.zeros((40, 50, 4), np.uint8)
    clear[3, 4] = 0, 0, 0, 9
    assert Holes(key=(0, 0, 0)).of(clear).sum() == 1  # what is clear has no color
    mask = np.zeros((40, 50), np.uint8)
    mask[:2] = 200
    assert Holes(file=mask).of(x).sum() == 100
    assert Holes(boxes=((-3, -3, 5, 5), (49, 0, 100, 1))).of(x).sum() == 4 + 1


@pytest.mark.parametrize(
    ("holes", "says"),
    [
        (Holes(), "nothing of it is to be filled"),
        (Holes(key=(1, 2, 3)), "nothing of it is to be filled"),
        (Holes(boxes=((0, 0, 50, 40),)), "all of it is missing"),
        (Holes(boxes=((50, 0, 5, 5),)), "the box 50,0,5,5 lies outside of its 50x40"),
        (Holes(file=np.zeros((40, 51), np.uint8)), "it is 50x40, its mask 51x40"),
    ],
)
def test_what_can_not_be_filled_is_said(holes, says):
    with pytest.raises(ImageRejected, match=says):
        holes.of(np.full((40, 50, 3), 9, np.uint8))


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"holes": Holes(grow=-1)}, "--grow=-1"),
        ({"holes": Holes(tolerance=256)}, "--tolerance=256"),
        ({"holes": Holes(), "feather": -1}, "--feather=-1"),
    ],
)
def test_bad_numbers_are_said(settings, says):
    with pytest.raises(ValueError, match=says):
        Inpainter(Filler(), **settings)


@pytest.fixture
def command(tool, monkeypatch, tmp_path):
    """gan-jax inpaint with the filler for a run."""
    filler = Filler()
    filler.step = tmp_path / "run"
    filler.step.mkdir()
    (filler.step / "weights").touch()
    monkeypatch.setattr(inpaint, "load", lambda model, trusted: filler)
    return functools.partial(tool, "inpaint")


def test_the_command_writes_pictures_and_a_sheet(command, tmp_path):
    for i in range(2):
        Image.fromarray(picture(seed=i)).save(tmp_path / f"{i}.png")
    mask = np.zeros((60, 80), np.uint8)
    mask[:, :8] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    files = [str(tmp_path / f"{i}.png") for i in range(2)]
    out = tmp_path / "out"
    run = ["--model", "run", "--out", str(out)]
    done = command(*files, *run, "--mask", str(tmp_path / "mask.png"), "--feather", "0")
    assert done.returncode == 0, done.stderr
    for i in range(2):
        made = np.asarray(Image.open(out / f"{i}.png"))
        np.testing.assert_array_equal(made[:, 8:], picture(seed=i)[:, 8:])
        assert (made[:, :8] != picture(seed=i)[:, :8]).any()
    sheet = np.asarray(Image.open(out / "sheet" / "sheet.png"))
    assert sheet.shape[0] > 2 * 60 and sheet.shape[1] >= 2 * 80
    assert "2 pictures in" in done.stdout
    alpha = picture(channels=4)
    Image.fromarray(alpha).save(tmp_path / "alpha.png")
    flags = ["--model", "run", "--out", out, "--box", "3,3,9,9"]
    assert command(tmp_path / "alpha.png", *flags).returncode == 0
    np.testing.assert_array_equal(np.asarray(Image.open(out / "alpha.png"))[..., 3], alpha[..., 3])


def test_a_clips_place_is_filled_in_every_frame(command, tmp_path):
    file = clips_test.make(tmp_path / "clip.mp4", frames=5)
    command(str(file), "--model", "run", "--out", str(tmp_path / "out"), "--box", "8,8,16,16")
    with av.open(str(tmp_path / "out" / "clip.mp4")) as made, av.open(str(file)) as was:
        frames = [
            [frame.to_ndarray(format="rgb24") for frame in clip.decode(video=0)]
            for clip in (made, was)
        ]
    assert len(frames[0]) == len(frames[1]) == 5
    for after, before in zip(*frames, strict=True):
        assert after.shape == before.shape
        assert after[10:22, 10:22].reshape(-1, 3).std(0).max() < 6  # one color, but for the codec


@pytest.mark.parametrize(("ending", "colors", "made"), [("gif", 200, "gif"), ("webp", 999, "webp"),
                                                        ("gif", 999, "webp")])  # fmt: skip
def test_an_animation_stays_outside_of_holes(command, tmp_path, ending, colors, made, monkeypatch):
    """A GIF whose frames together have more colors than one frame can hold becomes a WebP."""
    frames = video_file_test.colorful(3, colors, seed=3)
    kept = None if ending == "gif" and colors < 256 else np.ones((3, 40, 50), bool)
    file = tmp_path / f"a.{ending}"
    if ending == "gif" and colors > 256:
        file = tmp_path / "a.png"
    kind = {"gif": "GIF", "webp": "WEBP", "png": "PNG"}[file.suffix[1:]]
    animation.write(file, [(x, 60) for x in frames], kind, 0, kept)
    if kind == "PNG":  # as a GIF whose frames are drawn over each other
        monkeypatch.setattr(decode, "animation", lambda file: decode.Animation("GIF", 3, 0))
    done = command(file, "--model", "run", "--out", tmp_path / "out", "--box", "9,9,12,12")
    assert done.returncode == 0, done.stderr
    assert ("no GIF keeps, written as WEBP" in done.stdout) == (kind == "PNG")
    back = [x for x, _ in decode.frames(tmp_path / "out" / f"a.{made}")]
    for after, before in zip(back, frames, strict=True):
        changed = (after != before).any(-1)
        assert changed[10:20, 10:20].mean() > 0.9
        changed[7:23, 7:23] = False
        assert not changed.any()


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (("--box", "1,2,3"), "give left,top,width,height, whole numbers"),
        (("--box", "1,2,a,4"), "give left,top,width,height, whole numbers"),
        (("--box", "1,2,0,4"), "its width and height must be 1 or more"),
        (("--box", "1,2,3,4", "--tolerance", "5"), "it is of --key, which is not given"),
        (("--box", "1,2,3,4", "--person", "anna"), "give one of --model"),
        (("--key", "#12"), "give a color as #00ff00"),
        (("--mask", "nowhere.png"), "nowhere.png: no such file"),
    ],
)
def test_bad_flags_are_said(command, tmp_path, flags, says):
    Image.fromarray(picture()).save(tmp_path / "x.png")
    done = command(tmp_path / "x.png", "--model", "run", "--out", tmp_path / "o", *flags)
    assert done.returncode != 0 and says in done.stderr


def test_hidden_colors_stay():
    """Under clear pixels, which no mask names."""
    x = picture(channels=4).copy()
    x[30:, :, 3] = 0
    made = Inpainter(Filler(), Holes(boxes=((2, 2, 9, 9),)))(x[None])[0]
    np.testing.assert_array_equal(made[30:], x[30:])


def test_frames_without_the_key_stay():
    frames = np.stack([picture(seed=1), picture(seed=2)])
    frames[1, 4:9, 4:9] = 1, 254, 3
    holes = Holes(key=(1, 254, 3))
    made = Inpainter(Filler(), holes, feather=0, frames=True)(frames)
    np.testing.assert_array_equal(made[0], frames[0])
    assert (made[1, 4:9, 4:9] != frames[1, 4:9, 4:9]).any(-1).all()
    with pytest.raises(ImageRejected, match="nothing of it"):
        Inpainter(Filler(), holes)(frames)


def test_a_clips_holes_are_checked_first(command, tmp_path):
    file = clips_test.make(tmp_path / "clip.mp4", frames=2)
    flags = ["--model", "run", "--out", tmp_path / "out", "--box", "100,100,5,5"]
    done = command(file, *flags)
    assert done.returncode != 0
    assert (
        done.stderr.strip()
        .splitlines()[-1]
        .endswith("clip.mp4: the box 100,100,5,5 lies outside of its 48x32.")
    )
    assert not list(tmp_path.glob("out/*"))


def test_what_can_not_be_filled_does_not_stop_the_others(command, tmp_path):
    Image.fromarray(picture()).save(tmp_path / "a.png")
    Image.fromarray(picture(20, 20)).save(tmp_path / "small.png")
    clip = clips_test.make(tmp_path / "clip.mp4", frames=2)  # 48x32
    inputs = [tmp_path / "small.png", clip, tmp_path / "a.png"]
    done = command(*inputs, "--model", "run", "--out", tmp_path / "out", "--box", "50,10,9,9")
    assert done.returncode == 1 and "nothing was made of 2 of 3 inputs: " in done.stderr
    assert "small.png: the box 50,10,9,9 lies outside of its 20x20." in done.stderr
    assert "clip.mp4: the box 50,10,9,9 lies outside of its 48x32." in done.stderr
    assert [path.name for path in (tmp_path / "out").glob("*.*")] == ["a.png"]


def test_a_clip_needs_to_be_told(command, tmp_path):
    file = clips_test.make(tmp_path / "clip.mp4", frames=2)
    done = command(file, "--model", "run", "--out", tmp_path / "out")
    assert done.returncode != 0 and "say what is to be filled in its frames" in done.stderr
