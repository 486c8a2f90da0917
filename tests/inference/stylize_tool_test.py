"""tools/stylize.py: pictures, folders and videos, by a StarGAN v2 of a few thousand weights as it
is before training."""

import errno
import pathlib
import shutil

import av
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from gan_jax.data import clips, decode, faces
from gan_jax.data.images import as_picture
from gan_jax.data.scan import scan
from gan_jax.inference import export, loading, stylize, video_parts
from gan_jax.nn.guided_filter import guided_mix
from gan_jax.runtime import workdir
from tests import runs as runs_module
from tests.algorithms.starganv2_test import CLASSES, SETTINGS
from tests.data import clips_test, frames_test
from tests.data.faces_test import one_face  # noqa: F401

AS_IT_IS = ["--strength", "0"]  # nothing is compiled


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """{"rgb": the workdir of a run at its start, "rgba": of one with alpha}."""
    folder = tmp_path_factory.mktemp("runs")
    for name, channels in {"rgb": 3, "rgba": 4}.items():
        untrained(folder / name, channels)
    return folder


@pytest.fixture(scope="module")
def exported(runs, tmp_path_factory):
    """What "rgb" was exported to, and the differences."""
    folder = tmp_path_factory.mktemp("exports") / "exported"
    return folder, export.export(loading.load_sampler(runs / "rgb"), folder)


def untrained(workdir, channels):
    """Makes the folder the workdir of a run at its start."""
    runs_module.untrained(workdir, SETTINGS, [16, 16, channels], CLASSES)


def picture(path, size, mode="RGB", **save):
    path.parent.mkdir(exist_ok=True)
    h, w = size
    y, x = np.mgrid[:h, :w]
    pixels = np.stack([255 * x // w, 255 * y // h, 128 + 0 * x, 255 * (x > w // 2)], -1).astype(
        np.uint8
    )
    Image.fromarray(pixels).convert(mode).save(path, **save)
    return path


def pixels(path):
    return np.asarray(Image.open(path))


def test_every_style_and_a_sheet(tool, runs, tmp_path):
    picture(tmp_path / "me.png", (20, 30))
    done = tool("stylize", runs / "rgb", tmp_path / "me.png", "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        *(f"me_{c}.png" for c in CLASSES),
        "sheet",
    ]
    found = [pixels(tmp_path / "out" / f"me_{c}.png") for c in CLASSES]
    assert found[0].shape == (20, 30, 3) and (found[0] != found[1]).any()
    assert pixels(tmp_path / "out" / "sheet" / "sheet.png").shape == (14 + 30, 4 * 30, 4)


def test_strength_mixes_with_the_picture(tool, runs, tmp_path):
    source = pixels(picture(tmp_path / "me.png", (32, 32))).astype(int)
    for strength in ("0", "0.5", "1"):
        flags = ["--style", "dylan", "--strength", strength, "--out", tmp_path / strength]
        assert tool("stylize", runs / "rgb", tmp_path / "me.png", *flags).returncode == 0
    none, half, full = (
        pixels(tmp_path / s / "me_dylan.png").astype(int) for s in ("0", "0.5", "1")
    )
    np.testing.assert_array_equal(none, source)
    x, made = (jnp.float32(a)[None] / 127.5 - 1 for a in (source, full))
    expected = (np.asarray(guided_mix(x, made, 0.5))[0] + 1) * 127.5
    np.testing.assert_allclose(half, np.clip(expected, 0, 255), atol=1.01)
    assert np.abs(half - source).mean() > 5 and np.abs(half - full).mean() > 5


def test_several_pictures_and_folders_share_a_sheet(tool, runs, tmp_path):
    one = picture(tmp_path / "one.png", (16, 16))
    other = picture(tmp_path / "more" / "one.png", (12, 16))
    picture(tmp_path / "more" / "two.png", (16, 12))
    (tmp_path / "more" / "broken.png").write_text("no")
    given = [one, tmp_path / "more"]
    flags = ["--style", "dylan", "--out", tmp_path / "out", *AS_IT_IS]
    done = tool("stylize", runs / "rgb", one, *given, *flags)
    assert done.returncode == 1 and "two of the pictures are one.png" in done.stderr, done
    other.rename(other.with_name("three.png"))
    done = tool("stylize", runs / "rgb", *given, *flags)
    assert done.returncode == 0 and "set aside 1" in done.stdout, done
    names = {path.name for path in (tmp_path / "out").glob("*.png")}
    assert names == {"one_dylan.png", "two_dylan.png", "three_dylan.png"}
    assert pixels(tmp_path / "out" / "sheet" / "sheet.png").shape[0] > 3 * 14


def test_a_picture_and_a_clip(tool, runs, tmp_path):
    me = picture(tmp_path / "me.png", (16, 16))
    clips_test.make(tmp_path / "clip.mp4")
    given = [me, tmp_path / "clip.mp4"]
    flags = ["--style", "dylan", "--out", tmp_path / "out", *AS_IT_IS]
    done = tool("stylize", runs / "rgb", *given, *flags)
    assert done.returncode == 0, done.stderr
    names = {path.name for path in (tmp_path / "out").iterdir() if path.is_file()}
    assert names == {"me_dylan.png", "clip_dylan.mp4"}
    shutil.copy(tmp_path / "clip.mp4", tmp_path / "clip.mov")
    done = tool("stylize", runs / "rgb", tmp_path / "clip.mov", tmp_path / "clip.mp4", *flags)
    assert "two of the videos are named clip" in done.stderr, done


def test_alpha_is_kept_and_what_is_under_it_does_not_matter(runs, tmp_path):
    look = stylize.Stylizer(loading.load_sampler(runs / "rgb"))
    rgba = pixels(picture(tmp_path / "a.png", (16, 16), "RGBA"))
    other = rgba.copy()
    other[rgba[..., 3] == 0] = (9, 9, 9, 0)
    style = look.looks(["dylan"], 0)[0]
    found, same = look(np.stack([rgba, other]), style)
    np.testing.assert_array_equal(found[..., 3], rgba[..., 3])
    np.testing.assert_array_equal(found, same)


def test_half_transparent_edges_get_no_halo(runs):
    sampler = loading.load_sampler(runs / "rgb")
    whole, weak = (stylize.Stylizer(sampler, strength=strength) for strength in (1.0, 0.004))
    style = whole.looks(["dylan"], 0)[0]
    red = np.full((1, 16, 16, 4), (255, 0, 0, 128), np.uint8)
    assert np.abs(weak(red, style).astype(int) - red).max() <= 4  # not pink, as red on white is
    on_white = np.full((1, 16, 16, 3), (255, 127, 127), np.uint8)
    found = whole(red, style)[0].astype(float)
    shown = found[..., :3] * 128 / 255 + 127
    exact = (found[..., :3] > 0) & (found[..., :3] < 255)  # what lies beyond can't be undone
    assert exact.any()
    np.testing.assert_allclose(shown[exact], whole(on_white, style)[0][exact], atol=1.5)


def test_a_run_with_alpha_makes_its_own(runs, tmp_path):
    look = stylize.Stylizer(loading.load_sampler(runs / "rgba"))
    style = look.looks(["dylan"], 0)[0]
    for mode, channels in (("RGB", 3), ("RGBA", 4), ("L", 1)):
        found = look(
            pixels(picture(tmp_path / f"{mode}.png", (16, 16), mode)).reshape(1, 16, 16, channels),
            style,
        )
        assert found.shape == (1, 16, 16, channels)


def test_what_was_exported_styles_the_same(tool, runs, exported, tmp_path):
    exported, differences = exported
    differences = list(differences.values())
    assert len(differences) == 3 and differences[:2] == [0, 0] and differences[2] < 1e-5
    me, look = picture(tmp_path / "me.png", (21, 45)), picture(tmp_path / "look.png", (30, 20))
    for more in ([], ["--reference", look, "--style", "dylan"]):
        made = []
        for source in (runs / "rgb", exported):
            done = tool("stylize", source, me, "--out", tmp_path / source.name, *more)
            assert done.returncode == 0, done.stderr
            made.append(pixels(tmp_path / source.name / "me_dylan.png").astype(int))
        assert np.abs(made[0] - made[1]).max() <= 1 and made[0].shape == (21, 45, 3)
    again = loading.load(exported).stylize(me, style="dylan", reference=look)
    np.testing.assert_array_equal(again, pixels(tmp_path / "exported" / "me_dylan.png"))
    done = tool("stylize", exported, me, "--out", tmp_path, "--style", "oil")
    assert (
        done.returncode == 1
        and "style='oil' is not known. Known: avataaars, dylan, miniavs." in done.stderr
    )
    for source in (runs / "rgb", exported):
        translator, y = loading.load(source), np.array([3], np.int32)
        with pytest.raises(ValueError, match="class 3: .* knows 0 to 2"):
            translator.styles_from_noise(0, y, 1)
        with pytest.raises(ValueError, match="class 3: .* knows 0 to 2"):
            translator.style_from_picture(np.zeros((1, 16, 16, 3), np.float32), y)
    assert "3 classes: avataaars, dylan, miniavs" in loading.load(exported)._repr_html_()


def test_a_damaged_export_is_named(exported, tmp_path):
    folder = shutil.copytree(exported[0], tmp_path / "damaged")
    for damaged in (b"short", bytes(5000)):
        (folder / "style.stablehlo").write_bytes(damaged)
        with pytest.raises(ValueError, match="damaged: no translator that `gan-jax export` wrote"):
            loading.load(folder)


def test_what_was_exported_styles_tiles_the_same(tool, runs, exported, tmp_path):
    me = picture(tmp_path / "me.png", (21, 200))

    def styled(source, tile):
        out = tmp_path / f"{source.name}_{tile}"
        flags = ["--style", "dylan", "--tile", tile, "--overlap", "8"]
        done = tool("stylize", source, me, "--out", out, *flags)
        assert done.returncode == 0, done.stderr
        return pixels(out / "me_dylan.png").astype(int)

    tiles = styled(runs / "rgb", "48")
    assert np.abs(tiles - styled(exported[0], "48")).max() <= 1
    assert np.abs(tiles - styled(runs / "rgb", "1024")).max() > 1


def test_a_turned_photograph_is_upright(tool, runs, tmp_path):
    exif = Image.Exif()
    exif[274] = 6  # to be turned a quarter
    picture(tmp_path / "me.jpg", (20, 32), exif=exif)
    assert (
        tool(
            "stylize", runs / "rgb", tmp_path / "me.jpg", "--out", tmp_path, "--style", "dylan"
        ).returncode
        == 0
    )
    assert pixels(tmp_path / "me_dylan.png").shape == (32, 20, 3)


def test_a_reference_gives_its_style(tool, runs, tmp_path):
    for name, size in (("me", (16, 16)), ("a", (16, 16)), ("b", (40, 20))):
        picture(tmp_path / f"{name}.png", size, "RGB" if name != "b" else "RGBA")
    for name in "ab":
        flags = [
            "--style",
            "dylan",
            "--reference",
            tmp_path / f"{name}.png",
            "--out",
            tmp_path / name,
        ]
        done = tool("stylize", runs / "rgb", tmp_path / "me.png", *flags)
        assert done.returncode == 0, done.stderr
    assert (
        pixels(tmp_path / "a" / "me_dylan.png") != pixels(tmp_path / "b" / "me_dylan.png")
    ).any()


def test_files_that_differ_by_their_ending_alone(tool, runs, tmp_path):
    (tmp_path / "in").mkdir()
    for ending in ("png", "bmp"):
        picture(tmp_path / "in" / f"x.{ending}", (20, 20))
    done = tool(
        "stylize", runs / "rgb", tmp_path / "in", "--out", tmp_path / "out", "--style", "dylan"
    )
    assert done.returncode == 0, done.stderr
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "x_png_dylan.png",
        "x_bmp_dylan.png",
        "sheet",
    }


def test_a_folder_with_sub_folders_and_a_broken_file(tool, runs, tmp_path):
    (tmp_path / "in" / "deep").mkdir(parents=True)
    picture(tmp_path / "in" / "a.png", (16, 20))
    picture(tmp_path / "in" / "deep" / "b.png", (12, 16), "L")
    (tmp_path / "in" / "c.png").write_bytes(b"no picture")
    (tmp_path / "in" / "d.HEIC").write_bytes(b"no known kind")
    done = tool(
        "stylize", runs / "rgb", tmp_path / "in", "--out", tmp_path / "out", "--style", "dylan"
    )
    assert done.returncode == 0 and "passed over 1 file: 1 .heic" in done.stdout, done.stderr
    assert pixels(tmp_path / "out" / "deep" / "b_dylan.png").shape == (12, 16)
    assert "set aside 1 as 'no known image format': c.png" in done.stdout
    assert pixels(tmp_path / "out" / "sheet" / "sheet.png").shape == (14 + 2 * 20, 2 * 20, 4)


def test_a_video_keeps_its_sound_and_goes_on(tool, runs, tmp_path, monkeypatch):
    clip = clips_test.make(tmp_path / "clip.mp4", frames=24)
    run = lambda: tool("stylize", runs / "rgb", clip, "--out", tmp_path / "out", "--style", "dylan")
    add, made = video_parts.Parts.add, []

    def stop_at_20(self, frame, time):
        if len(made) == 19:
            raise KeyboardInterrupt
        made.append(time)
        add(self, frame, time)

    monkeypatch.setattr(video_parts.Parts, "add", stop_at_20)
    stopped = run()
    assert stopped.returncode == 130 and "the same command goes on" in stopped.stdout
    out = tmp_path / "out" / "clip_dylan.mp4"
    assert len(list(clips.open_clip(out).frames())) == 19
    monkeypatch.setattr(video_parts.Parts, "add", add)
    done = run()
    assert done.returncode == 0 and "going on after frame 19" in done.stdout
    assert (
        "from frame to frame it changes by " in done.stdout
        and "of 255, the original by " in done.stdout
    )
    whole = clips.open_clip(out)
    assert len(list(whole.frames())) == 24 and whole.has_sound and whole.size == (32, 48)


def test_long_names_are_shortened(tool, runs, tmp_path):
    """240 bytes and a style's name are more than a file name may have; two that begin alike stay
    apart."""
    for end in "ab":
        picture(tmp_path / "in" / f"{'絵' * 78}{end}.png", (8, 8))
    clip = clips_test.make(tmp_path / f"{'絵' * 80}.mp4", frames=3, sound=False)
    done = tool(
        "stylize",
        runs / "rgb",
        tmp_path / "in",
        "--out",
        tmp_path / "out",
        "--style",
        "avataaars",
        *AS_IT_IS,
    )
    assert done.returncode == 0 and "2 pictures in" in done.stdout, done.stderr
    assert len(list((tmp_path / "out").glob("絵*.png"))) == 2
    done = tool(
        "stylize", runs / "rgb", clip, "--out", tmp_path / "film", "--style", "avataaars", *AS_IT_IS
    )
    assert done.returncode == 0, done.stderr
    (film,) = (tmp_path / "film").iterdir()
    assert len(list(clips.open_clip(film).frames())) == 3


def test_what_is_made_of_a_video_is_not_made_twice(tool, runs, tmp_path, monkeypatch):
    """Stopped in the second style, the same command goes on there."""
    clip, join = (
        clips_test.make(tmp_path / "clip.mp4", frames=3, sound=False),
        video_parts.Parts.join,
    )
    run = lambda: tool(
        "stylize",
        runs / "rgb",
        clip,
        "--out",
        tmp_path / "out",
        "--style",
        "dylan",
        "--style",
        "miniavs",
    )

    def stop_second(self, whole):
        if "miniavs" in self.out.name:
            raise KeyboardInterrupt
        return join(self, whole)

    monkeypatch.setattr(video_parts.Parts, "join", stop_second)
    assert run().returncode == 130
    monkeypatch.setattr(video_parts.Parts, "join", join)
    done = run()
    assert (
        done.returncode == 0
        and "clip_dylan.mp4: made before" in done.stdout
        and "going on after frame 3" in done.stdout
    )
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "clip_dylan.mp4",
        "clip_miniavs.mp4",
    }


def test_a_second_job_of_one_output_is_refused(tool, runs, tmp_path, monkeypatch):
    """And nothing of the first is touched; of another output it is not; what a killed one left does
    not count."""
    clip, out = (
        clips_test.make(tmp_path / "clip.mp4", frames=3, sound=False),
        tmp_path / "out" / "clip_dylan.mp4",
    )
    styles = {"--strength": "0", "--style": "dylan"}
    run = lambda **more: tool(
        "stylize", runs / "rgb", clip, "--out", out.parent, *sum((styles | more).items(), ())
    )
    out.parent.mkdir()
    parts = video_parts.Parts(out, clip, {})
    with workdir.making(out):
        before = sorted(out.parent.rglob("*"))
        done = run()
        assert done.returncode == 1 and f"{out}: another program is making it" in done.stderr
        assert sorted(out.parent.rglob("*")) == before
        assert run(**{"--style": "miniavs"}).returncode == 0
    parts.forget()
    (out.parent / f".{out.name}.lock").touch()
    assert run().returncode == 0
    assert {path.name for path in out.parent.iterdir()} == {"clip_dylan.mp4", "clip_miniavs.mp4"}


def test_what_a_file_holds_is_told_by_its_content(tool, runs, tmp_path):
    """A video of high definition called .png, whose red stays red; a picture called .mp4."""
    red, size = (220, 40, 60), (32, 1280)
    run = lambda path: tool(
        "stylize", runs / "rgb", path, "--out", tmp_path / "out", "--style", "dylan", *AS_IT_IS
    )
    video = frames_test.write(
        tmp_path / "a.mp4", frames_test.planes(red, frames_test.BT709, False), size
    )
    done = run(video.rename(tmp_path / "a.png"))
    assert (
        done.returncode == 0 and f"2 frames in {tmp_path / 'out' / 'a_dylan.mp4'}" in done.stdout
    ), done
    with av.open(str(tmp_path / "out" / "a_dylan.mp4")) as container:
        found = frames_test.color(next(container.decode(video=0)), frames_test.BT709, False)
    assert np.abs(found - red).max() <= 3
    done = run(picture(tmp_path / "b.png", (16, 16)).rename(tmp_path / "b.mp4"))
    assert done.returncode == 0 and "1 picture in" in done.stdout, done


def test_an_animation_stays_one(tool, runs, tmp_path, monkeypatch):
    """All frames, restyled, with their times: alone, and in a folder beside a picture, where a
    video is passed over."""
    monkeypatch.setattr(stylize.Stylizer, "__call__", lambda self, x, look: 255 - x // 2)
    (tmp_path / "in").mkdir()
    frames = [Image.new("RGB", (16, 16), (n, n, n)) for n in (40, 120, 200)]
    for name in ("a.webp", "b.gif", "c.png"):
        frames[0].save(
            tmp_path / "in" / name,
            save_all=True,
            append_images=frames[1:],
            duration=[50, 100, 150],
            loop=0,
        )
    picture(tmp_path / "in" / "d.png", (16, 16))
    clips_test.make(tmp_path / "in" / "e.mp4", frames=1)
    done = tool(
        "stylize", runs / "rgb", tmp_path / "in", "--out", tmp_path / "out", "--style", "dylan"
    )
    assert (
        done.returncode == 0
        and "4 pictures in" in done.stdout
        and "passed over 1 file: 1 .mp4" in done.stdout
    ), done
    for name in ("a_dylan.webp", "b_dylan.gif", "c_dylan.png"):
        back = list(decode.frames(tmp_path / "out" / name))
        assert [time for _, time in back] == [50, 100, 150]
        for (frame, _), n in zip(back, (40, 120, 200), strict=True):
            assert abs(int(frame[8, 8, 0]) - (255 - n // 2)) <= 2 and frame.shape == (16, 16, 4)
    assert decode.animation(tmp_path / "out" / "d_dylan.png") is None
    (tmp_path / "in" / "b.gif").rename(tmp_path / "b.mp4")
    done = tool(
        "stylize", runs / "rgb", tmp_path / "b.mp4", "--out", tmp_path / "one", "--style", "dylan"
    )
    assert done.returncode == 0 and decode.animation(tmp_path / "one" / "b_dylan.gif").frames == 3


def test_originals_are_not_written_over(tool, runs, tmp_path, monkeypatch):
    """By a game of one style results have the originals' names, and are here meant for their
    folder."""
    one = stylize.Stylizer.looks
    monkeypatch.setattr(
        stylize.Stylizer,
        "looks",
        lambda self, names, seed: [stylize.Look("", one(self, names, seed)[0].style)],
    )
    made = [picture(tmp_path / "in" / f"{name}.png", (16, 16)) for name in ("me", "you")]
    made.append(clips_test.make(tmp_path / "in" / "clip.mp4", frames=3))
    before = {path: path.read_bytes() for path in made}
    for path in (tmp_path / "in", *before):
        done = tool("stylize", runs / "rgb", path, "--out", tmp_path / "in")
        assert (
            done.returncode == 1 and "one of those that go in, and would be lost" in done.stderr
        ), done
    assert all(path.read_bytes() == content for path, content in before.items())
    for _ in range(2):  # what is made below the folder is no input of the second
        done = tool("stylize", runs / "rgb", tmp_path / "in", "--out", tmp_path / "in" / "out")
        assert done.returncode == 0 and "2 pictures in" in done.stdout, done


def test_a_contact_sheet_has_a_folder_of_its_own_and_an_end(tool, runs, tmp_path, monkeypatch):
    one = stylize.Stylizer.looks
    monkeypatch.setattr(
        stylize.Stylizer,
        "looks",
        lambda self, names, seed: [stylize.Look("", one(self, names, seed)[0].style)],
    )
    for i in range(60):
        picture(tmp_path / "in" / f"{i}.png", (4, 4))
    picture(tmp_path / "in" / "sheet" / "sheet.png", (16, 16))
    for _ in range(2):
        done = tool("stylize", runs / "rgb", tmp_path / "in", "--out", tmp_path / "out")
        assert (
            done.returncode == 0 and "sheet_/sheet.png has the first 50 pictures" in done.stdout
        ), done
    assert pixels(tmp_path / "out" / "sheet" / "sheet.png").shape == (16, 16, 3)
    assert pixels(tmp_path / "out" / "sheet_" / "sheet.png").shape == (50 * 4, 2 * 4, 4)
    assert len(scan(tmp_path / "out")[0]) == 61


def test_tiles_of_a_wide_picture(tool, runs, tmp_path):
    picture(tmp_path / "wide.png", (3, 20_000))
    flags = ["--out", tmp_path, "--style", "dylan", "--tile", "160", "--overlap", "32"]
    done = tool("stylize", runs / "rgb", tmp_path / "wide.png", *flags)
    assert done.returncode == 0, done.stderr
    assert pixels(tmp_path / "wide_dylan.png").shape == (3, 20_000, 3)
    picture(tmp_path / "dot.png", (1, 1))
    assert (
        tool(
            "stylize", runs / "rgb", tmp_path / "dot.png", "--out", tmp_path, "--style", "dylan"
        ).returncode
        == 0
    )


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (
            ["--style", "dylam"],
            "style='dylam' is not known. Did you mean 'dylan'? Known: avataaars, dylan, miniavs",
        ),
        (["--strength", "2"], "strength=2.0: it must be within 0"),
        (["--reference", "me.png"], "--reference: say by --style, once, which style"),
        (["--tile", "40"], "tile=40: with overlap=64 it must be at least "),
        (["--side", "0"], "--side=0: it must be 1 to 8192 pixels"),
    ],
)
def test_bad_flags(tool, runs, tmp_path, flags, message):
    picture(tmp_path / "me.png", (16, 16))
    done = tool("stylize", runs / "rgb", tmp_path / "me.png", "--out", tmp_path / "out", *flags)
    assert done.returncode == 1 and message in done.stderr
    assert not list(tmp_path.glob("out/*.png"))


def test_bad_input(tool, runs, tmp_path):
    run = lambda name: tool(
        "stylize", runs / "rgb", tmp_path / name, "--out", tmp_path / "out", "--style", "dylan"
    )
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "text.mp4").write_text("no video")
    (tmp_path / "empty").mkdir()
    for name, message in (
        ("gone.png", "gone.png: no such file or folder"),
        ("text.png", "text.png: no known image format"),
        ("text.mp4", "text.mp4: not a video"),
        ("empty", "no images in it"),
    ):
        done = run(name)
        assert done.returncode == 1 and message in done.stderr, done.stderr


def test_a_bad_file_does_not_stop_the_others(tool, runs, tmp_path):
    picture(tmp_path / "me.png", (16, 16))
    (tmp_path / "text.png").write_text("no picture")
    done = tool(
        "stylize",
        runs / "rgb",
        tmp_path / "text.png",
        tmp_path / "me.png",
        "--out",
        tmp_path / "out",
        "--style",
        "dylan",
    )
    assert done.returncode == 1 and (tmp_path / "out" / "me_dylan.png").exists()
    assert "nothing was made of 1 of 2 inputs: " in done.stderr
    assert "text.png: no known image format." in done.stderr


def test_a_full_disk_is_named_and_what_is_done_kept(tool, runs, tmp_path, monkeypatch):
    clip, me = (
        clips_test.make(tmp_path / "clip.mp4", frames=24),
        picture(tmp_path / "me.png", (16, 16)),
    )
    run = lambda path: tool(
        "stylize", runs / "rgb", path, "--out", tmp_path / "out", "--style", "dylan"
    )
    full, add = OSError(errno.ENOSPC, "No space left on device"), video_parts.Parts.add

    def refuse(*args, **kwargs):
        raise full

    def full_after_part(self, frame, time):
        add(self, frame, time)
        self.finish_part()
        if self.done == 16:
            refuse()

    with monkeypatch.context() as patch:
        patch.setattr(pathlib.Path, "write_bytes", refuse)
        done = run(me)
    assert (
        done.returncode == 1
        and f"{tmp_path / 'out' / 'me_dylan.png'}: No space left on device." in done.stderr
    )
    monkeypatch.setattr(video_parts.Parts, "add", full_after_part)
    done = run(clip)
    assert (
        done.returncode == 1
        and "16 frames are kept" in done.stdout
        and "No space left" in done.stderr
    )
    monkeypatch.setattr(video_parts.Parts, "add", add)
    done = run(clip)
    assert done.returncode == 0 and "going on after frame 16" in done.stdout


def test_the_tool_styles_faces_and_leaves_the_rest(tool, runs, tmp_path, one_face):
    picture(tmp_path / "me.png", (48, 64))
    done = tool(
        "stylize",
        runs / "rgb",
        tmp_path / "me.png",
        "--out",
        tmp_path / "out",
        "--style",
        "dylan",
        "--faces",
    )
    assert done.returncode == 0, done.stderr
    before, after = pixels(tmp_path / "me.png"), pixels(tmp_path / "out" / "me_dylan.png")
    np.testing.assert_array_equal(after[:10], before[:10])
    assert (after[20:28, 28:36] != before[20:28, 28:36]).any()


def test_where_no_face_is_found_nothing_is_made(tool, runs, tmp_path, one_face):
    """Said of each picture and of all; exit status 3 where there is none at all, in pictures as in
    a video."""
    (tmp_path / "in").mkdir()
    picture(tmp_path / "in" / "me.png", (48, 64))
    dark = tmp_path / "in" / "dark\u202e.png"  # a mark that turns the text after it round
    as_picture(np.zeros((30, 30, 3), np.uint8)).save(dark)
    clip = clips_test.make(tmp_path / "black.mp4", frames=1)
    flags = ["--style", "dylan", "--faces", "--strength", "0"]
    run = lambda path, out: tool("stylize", runs / "rgb", path, "--out", tmp_path / out, *flags)
    done = run(tmp_path / "in", "some")
    assert done.returncode == 0 and "1 picture in" in done.stdout, done.stderr
    assert "dark\\u202e.png: no face found, nothing is made of it\n" in done.stdout
    assert "no face in 1 of 2 pictures\n" in done.stdout
    assert [path.name for path in (tmp_path / "some").iterdir()] == ["me_dylan.png"]
    for path in (dark, clip):
        done = run(path, "none")
        assert done.returncode == 3 and f"{path}: no face found; without --faces" in done.stdout, (
            done
        )
        assert not list((tmp_path / "none").iterdir())


def test_faces_of_a_video_count_though_it_was_cut_short(
    tool, runs, tmp_path, monkeypatch, one_face
):
    """Of frames 1 to 3, which go from black to gray, the second and third have a face; the last was
    left to a second call."""
    clip, add, made = clips_test.make(tmp_path / "clip.mp4", frames=4), video_parts.Parts.add, []
    monkeypatch.setattr(
        faces, "find", lambda x: [faces.Face(24, 16, 20, 0.0)] if 2 < x.mean() < 20 else []
    )

    def stop_at_3(self, frame, time):
        if len(made) == 3:
            raise KeyboardInterrupt
        made.append(time)
        add(self, frame, time)

    flags = ["--style", "dylan", "--faces", "--strength", "0"]
    run = lambda: tool("stylize", runs / "rgb", clip, "--out", tmp_path / "out", *flags)
    monkeypatch.setattr(video_parts.Parts, "add", stop_at_3)
    assert run().returncode == 130
    monkeypatch.setattr(video_parts.Parts, "add", add)
    done = run()
    assert (
        done.returncode == 0
        and "going on after frame 3" in done.stdout
        and "0 faces in 1 frames" in done.stdout
    )
    assert len(list(clips.open_clip(tmp_path / "out" / "clip_dylan.mp4").frames())) == 4
