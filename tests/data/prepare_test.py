"""A folder or packages of emoji made a data set: what is kept, where it goes, what is left out and
why."""

import io
import json
import os
import pathlib
import sys
import tarfile

import numpy as np
import pytest
from PIL import Image

from gan_jax.data import prepare
from gan_jax.data.quarantine import ImageRejected
from gan_jax.data.raw_pictures import pictures_in
from gan_jax.data.source import open_source


def picture(seed, size=(20, 16)):
    noise = np.random.default_rng(seed).integers(0, 256, (5, 4, 3), np.uint8)
    return Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC)


@pytest.fixture
def photos(tmp_path):
    for i in range(20):
        path = tmp_path / "photos" / ("ann" if i % 2 else "bob") / f"{i}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        picture(i).save(path.with_suffix(".png"))
    return tmp_path / "photos"


def files(out):
    return sorted(path.relative_to(out).as_posix() for path in out.rglob("*.png"))


def test_a_folder(photos, tmp_path, tool):
    picture(3, (40, 32)).save(photos / "ann" / "copy.bmp")  # 3.png, larger
    picture(50, (15, 40)).save(photos / "ann" / "small.png")
    (photos / "bob" / "broken.png").write_bytes(b"no")
    sideways = picture(60, (16, 20))
    exif = sideways.getexif()
    exif[0x0112] = 6
    sideways.save(photos / "bob" / "turned.jpg", exif=exif, quality=100)
    (photos / "bob" / "notes.txt").write_text("")
    (photos / "ann" / "raw.heic").write_text("")
    done = tool("prepare", photos, "--out", tmp_path / "set", "--size", "16")
    assert done.returncode == 0, done.stderr
    assert "17 in train, 2 in validation, 2 in test; 3 left out" in done.stdout
    assert "passed over 2 files: 1 .heic, 1 .txt" in done.stdout
    names = files(tmp_path / "set")
    assert len(names) == 21 and {name.split("/")[0] for name in names} == {
        "train",
        "validation",
        "test",
    }
    assert all(name.split("/")[1] in ("ann", "bob") for name in names)
    rejects = dict(
        line.split("\t") for line in (tmp_path / "set" / "rejects.tsv").read_text().splitlines()
    )
    assert (
        rejects["ann/copy.bmp"] == "a near-copy of ann/3.png"
        or rejects["ann/3.png"] == "a near-copy of ann/copy.bmp"
    )
    assert rejects["ann/small.png"] == "smaller than 16 pixels" and "bob/broken.png" in rejects
    card = json.loads((tmp_path / "set" / "card.json").read_text())
    assert (
        card["pictures"] == {"train": 17, "validation": 2, "test": 2}
        and card["recipe"]["size"] == 16
    )
    (turned,) = (tmp_path / "set").rglob("turned.png")
    upright = np.asarray(
        picture(60, (16, 20)).rotate(-90, expand=True).crop((2, 0, 18, 16))
    ).astype(int)
    assert np.abs(np.asarray(Image.open(turned)).astype(int) - upright).mean() < 12
    source = open_source(
        {
            "source": "folder",
            "path": str(tmp_path / "set" / "train"),
            "resolution": 16,
            "labels": True,
        }
    )
    assert source.classes == ("ann", "bob") and len(source) == 17


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_a_drawing_in_its_bounds(channels):
    """6 x 9 pixels of it, wherever they are, of transparent or of even ground: in the middle of 9 x
    9."""
    ground = np.array([9, 90, 200, 0], np.uint8)[:channels]
    image = np.broadcast_to(ground, (30, 40, channels)).copy()
    image[20:26, 3:12] = 255
    image[10, 30] = ground + np.array([5, 0, 0, 5], np.uint8)[:channels]  # no more than noise
    square = prepare.in_bounds(image)
    assert square.shape == (9, 9, channels) and np.all(square[1:7] == 255)
    outside = np.concatenate([square[:1], square[7:]])
    assert np.all(outside == (0 if channels == 4 else ground))
    recipe = prepare.Recipe(9, "bounds")
    np.testing.assert_array_equal(prepare.fitted(image, recipe), square)
    with pytest.raises(ImageRejected, match="smaller than 10 pixels"):
        prepare.fitted(image, prepare.Recipe(10, "bounds"))
    with pytest.raises(ImageRejected, match="nothing is drawn on it"):
        prepare.fitted(image[:15], recipe)


def test_files_that_differ_by_their_ending_alone(photos, tmp_path, tool):
    picture(70).save(photos / "ann" / "3.bmp")
    done = tool("prepare", photos, "--out", tmp_path / "set", "--size", "16")
    assert done.returncode == 0 and "1 left out" in done.stdout, done
    assert (
        tmp_path / "set" / "rejects.tsv"
    ).read_text() == "ann/3.png\tnamed as ann/3.bmp, but for the ending\n"


def test_one_name_in_several_folders_has_one_split(tmp_path, tool):
    for i in range(30):
        for style in ("a", "b"):
            path = tmp_path / "both" / style / f"{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            picture(100 + i if style == "a" else 200 + i).save(path)
    assert (
        tool("prepare", tmp_path / "both", "--out", tmp_path / "set", "--size", "16").returncode
        == 0
    )
    halves = [
        {
            name.replace(f"/{style}/", "/")
            for name in files(tmp_path / "set")
            if f"/{style}/" in name
        }
        for style in "ab"
    ]
    assert halves[0] == halves[1] and len(halves[0]) == 30


@pytest.mark.parametrize("before", [("train", "val"), ("trainA", "testA"), ("a/train", "a/test")])
def test_a_split_is_not_mixed_into_a_new_one(tmp_path, before):
    for i, part in enumerate((*before, "trainB")):
        (tmp_path / part).mkdir(parents=True, exist_ok=True)
        picture(i).save(tmp_path / part / f"{i}.png")
    with pytest.raises(ValueError, match="it is split already, into .*train.* Give one of"):
        list(pictures_in(tmp_path, print))
    assert len(list(pictures_in(tmp_path / before[0], print))) == 1


def test_the_split_is_of_names_and_hardly_changes(photos):
    recipe = prepare.Recipe(16)
    names = {f"p{i}" for i in range(200)}
    first = prepare.split(names, recipe)
    assert [list(first.values()).count(name) for name in prepare.SPLITS] == [160, 20, 20]
    later = prepare.split(names | {f"q{i}" for i in range(20)}, recipe)
    assert sum(later[name] != first[name] for name in names) <= 6
    assert prepare.split(names, prepare.Recipe(16, seed=1)) != first


def test_near_copies_only_where_asked(photos, tmp_path, tool):
    brighter = np.clip(np.asarray(picture(5)).astype(int) + 3, 0, 255).astype(np.uint8)
    Image.fromarray(brighter).save(photos / "ann" / "z_brighter.png")
    Image.open(photos / "ann" / "5.png").save(photos / "ann" / "z_same.png")
    Image.open(photos / "ann" / "5.png").save(photos / "bob" / "5.png")  # in another style: no copy
    for near, left_out in (("3", 2), ("-1", 0)):
        done = tool("prepare", photos, "--out", tmp_path / near, "--size", "16", "--near", near)
        assert f"{left_out} left out" in done.stdout, done


def test_drawings_of_one_outline_in_other_colors_are_no_copies(tmp_path, tool):
    for name, hair in {"blond": (220, 190, 90), "blue": (60, 110, 240)}.items():
        person = np.full((32, 32, 3), 240, np.uint8)
        person[8:30, 8:24], person[4:12, 6:26] = (230, 190, 160), hair
        (tmp_path / "people").mkdir(exist_ok=True)
        Image.fromarray(person).save(tmp_path / "people" / f"{name}.png")
        Image.fromarray(person).save(tmp_path / "people" / f"{name}_again.jpg", quality=95)
    done = tool("prepare", tmp_path / "people", "--out", tmp_path / "set", "--size", "32")
    assert "2 left out" in done.stdout, done
    kept = {path.stem.split("_")[0] for path in (tmp_path / "set").rglob("*.png")}
    assert kept == {"blond", "blue"}


def test_of_pairs_both_are_set_aside(photos, tmp_path, tool):
    for i in range(20):
        for style in ("ann", "bob"):
            picture(i + 100 * (style == "ann")).save(photos / style / f"{i}.png")
    (photos / "ann" / "9.png").rename(photos / "ann" / "e\u0301.png")  # as macOS writes é
    (photos / "bob" / "9.png").rename(photos / "bob" / "\u00e9.png")
    (photos / "bob" / "7.png").write_bytes(b"no")
    Image.open(photos / "ann" / "3.png").save(photos / "ann" / "4.png")
    done = tool("prepare", photos, "--out", tmp_path / "set", "--size", "16")
    assert "4 left out" in done.stdout, done
    rejects = dict(
        line.split("\t") for line in (tmp_path / "set" / "rejects.tsv").read_text().splitlines()
    )
    assert rejects["ann/7.png"] == rejects["bob/4.png"] == "its partner was set aside"
    side = lambda name: {
        "source": "folder",
        "path": str(tmp_path / "set" / "train" / name),
        "resolution": 16,
    }
    assert len(open_source({"source": "paired", "a": side("ann"), "b": side("bob")})) == 14


def package(path, vendor, codes, entries):
    with tarfile.open(path, "w:gz") as archive:
        contents = {"emoji.json": json.dumps(entries).encode()}
        for i, code in enumerate(codes):
            png = io.BytesIO()
            Image.new("RGBA", (64, 64), (i, ord(vendor[0]), 0, 255 - i)).save(png, "PNG")
            contents[f"img/{vendor}/64/{code}.png"] = png.getvalue()
            contents[f"img/{vendor}/sheets/{code}.png"] = b""
        for name, data in contents.items():
            member = tarfile.TarInfo(f"package/{name}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


@pytest.fixture
def packages(tmp_path):
    entries, codes = [], []
    for i in range(10):
        entry = {
            "unified": f"1F{i}",
            "image": f"1f{i}.png",
            "category": "Objects" if i % 2 else "People & Body",
        }
        entry["skin_variations"] = {
            tone: {"image": f"1f{i}-{tone.lower()}.png"} for tone in ("1F3FB", "1F3FF")
        }
        entries.append(entry)
        codes += [f"1f{i}", f"1f{i}-1f3fb", f"1f{i}-1f3ff"]
    return [
        package(tmp_path / f"{vendor}.tgz", vendor, codes[:last], entries)
        for vendor, last in (("google", 30), ("twitter", 29))
    ]


def test_emoji_are_paired_and_their_tones_stay_together(packages, tmp_path, tool):
    done = tool("prepare", *packages, "--out", tmp_path / "emoji", "--size", "64")
    assert done.returncode == 0, done.stderr
    names = files(tmp_path / "emoji")
    assert len(names) == 2 * 29  # one is drawn by google alone
    split_of = {name.split("/", 1)[1]: name.split("/")[0] for name in names}
    for name, part in split_of.items():
        vendor, code = name.removesuffix(".png").split("/")
        assert split_of[f"{'google' if vendor == 'twitter' else 'twitter'}/{code}.png"] == part
        assert split_of[f"{vendor}/{code.split('-')[0]}.png"] == part
    side = lambda vendor: {
        "source": "folder",
        "path": str(tmp_path / "emoji" / "train" / vendor),
        "resolution": 64,
    }
    source = open_source({"source": "paired", "a": side("google"), "b": side("twitter")})
    assert len(source) == sum(name.startswith("train/google") for name in names) >= 23
    some = tool(
        "prepare", *packages, "--out", tmp_path / "some", "--size", "64", "--category", "Objects"
    )
    assert some.returncode == 0 and len(files(tmp_path / "some")) == 2 * 14
    assert Image.open(tmp_path / "some" / files(tmp_path / "some")[0]).mode == "RGBA"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["nowhere"], "nowhere: no such file or folder."),
        (["photos", "--size", "0"], "--size=0: it must be 1 to 8192"),
        (
            ["photos", "--crop", "round"],
            "--crop='round': it must be center, stretch, whole, bounds, face.",
        ),
        (["photos", "--near", "40"], "--near=40: it must be 0 to 32"),
        (
            ["photos", "--test", "1.0"],
            "error: --test=1.0: it must be a share of 0 or more, below 1",
        ),
        (["photos", "--test", "0.9"], "--validation=0.1 --test=0.9: together they must be below 1"),
        (
            ["photos", "--size", "64"],
            "none of 20 pictures is left: set aside 20 as 'smaller than 64 pixels'",
        ),
        (["photos", "photos"], "give one folder of pictures, or packages (.tgz) only"),
        (["photos", "--out", "photos"], "it is there already"),
        (
            ["photos", "--category", "Food"],
            "--category: it is of emoji packages; nothing else has any",
        ),
        (["google.tgz", "google.tgz"], "google.tgz: a second package of 'google'"),
        (["bad.tgz"], "bad.tgz: can't be read as a package of npm"),
        (
            ["google.tgz", "--category", "Food"],
            "--category 'Food': not in google.tgz. There: Objects, People & Body.",
        ),
    ],
)
def test_bad_input(photos, packages, tmp_path, tool, monkeypatch, flags, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.tgz").write_bytes(b"x" * 100)
    size = [] if "--size" in flags else ["--size", "16"]
    out = [] if "--out" in flags else ["--out", "set"]
    done = tool("prepare", *flags, *size, *out)
    assert done.returncode == 1 and message in done.stderr and len(done.stderr.splitlines()) == 1, (
        done
    )
    assert not (tmp_path / "set").exists() and not list(tmp_path.glob(".making*"))


def test_names_that_the_console_or_unicode_lacks(photos, tmp_path, tool, monkeypatch):
    """As on a console of another encoding, and files named in another system's bytes."""
    (photos / "bob" / "\u732b.png").write_bytes(b"no")
    (photos / "bob" / os.fsdecode(b"\xff.png")).write_bytes(b"no")
    picture(70).save(photos / "ann" / os.fsdecode(b"\xfe.png"))
    console = io.TextIOWrapper(io.BytesIO(), "ascii")
    monkeypatch.setattr(sys, "stdout", console)
    assert tool("prepare", photos, "--out", tmp_path / "set", "--size", "16").returncode == 0
    console.seek(0)
    assert r"bob/\u732b.png, bob/\udcff.png" in console.read()
    lines = (tmp_path / "set" / "rejects.tsv").read_text("utf-8").splitlines()
    assert [line.split("\t")[0] for line in lines] == ["bob/\u732b.png", r"bob/\udcff.png"]


def test_a_full_disk_leaves_nothing(photos, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pathlib.Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left.*/ann/1.png"):
        prepare.prepare(
            list(pictures_in(photos, print)),
            tmp_path / "set",
            prepare.Recipe(16),
            "",
            print,
        )
    assert not (tmp_path / "set").exists() and not list(tmp_path.glob(".making*"))
