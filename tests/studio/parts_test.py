"""What the studio takes, offers and refuses, without a browser."""

import json
import os
import pathlib
import stat

import numpy as np
import pytest
from PIL import Image

from gan_jax.checkpoint import shared
from gan_jax.studio import panel, server, uploads
from gan_jax.studio.jobs import Job
from gan_jax.studio.shelf import Shelf
from gan_jax.studio.tabs import avatar, restore, style, train
from tests.runs import PALETTE, untrained


def picture(place, size=(8, 6), name="a.png"):
    place.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((*size, 3), 90, np.uint8)).save(place / name)
    return str(place / name)


def test_uploads_are_copied_under_names_of_their_own(tmp_path):
    given = [
        picture(tmp_path / "x"),
        picture(tmp_path / "y"),
        picture(tmp_path / "z", name="A.PNG"),
    ]
    made = uploads.taken(given, tmp_path / "job")
    assert [each.name for each in made] == ["a.png", "a-2.png", "A-3.png"]
    assert all(each.parent == tmp_path / "job" / "in" for each in made)
    given = [given[0], given[1], picture(tmp_path / "w", name="a-2.png")]
    made = uploads.taken(given, tmp_path / "other")
    assert [each.name for each in made] == ["a.png", "a-2.png", "a-2-2.png"]


def test_what_is_no_picture_or_too_much_is_refused_by_its_name(tmp_path, monkeypatch):
    text = tmp_path / "notes.png"
    text.write_text("no picture")
    good = picture(tmp_path)

    def refused(files, **how):
        with pytest.raises(ValueError) as error:
            uploads.taken(files, tmp_path / "job", **how)
        assert not (tmp_path / "job").exists()
        return str(error.value)

    assert refused([]) == "Choose a picture first."
    assert refused(None, moving=True) == "Choose a picture or a clip first."
    assert refused([good, str(text)]).startswith("notes.png: ")
    left = []
    assert [x.name for x in uploads.taken([str(text), good], tmp_path / "some", left_out=left)] == [
        "a.png"
    ]
    assert len(left) == 1 and left[0].startswith("Left out: notes.png: ")
    assert refused([str(text)], left_out=[]).startswith("notes.png: ")
    assert refused([good] * 101) == "101 files; at most 100 go at once."
    other = tmp_path / "song.mp3"
    other.write_bytes(b"ID3" + bytes(100))
    assert "song.mp3" in refused([str(other)], moving=True)
    assert str(tmp_path) not in refused([str(other)], moving=True)
    monkeypatch.setattr(uploads, "MOST_PIXELS", 40)
    assert refused([good]).startswith("a.png: 6 x 8 pixels; at most ")


def test_a_small_file_of_many_pixels_is_refused_before_it_is_decoded(tmp_path, monkeypatch):
    bomb = tmp_path / "bomb.png"
    Image.new("1", (30_000, 30_000)).save(bomb)
    assert bomb.stat().st_size < 200_000
    monkeypatch.setattr(uploads.decode, "decode", None)
    with pytest.raises(ValueError, match="bomb.png: "):
        uploads.taken([str(bomb)], tmp_path / "job")


def test_long_and_large_clips_are_refused(tmp_path, monkeypatch):
    av = pytest.importorskip("av")
    clip = tmp_path / "clip.mp4"
    with av.open(str(clip), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width = stream.height = 32
        for _ in range(20):
            frame = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), "rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    uploads.check(clip, moving=True)
    with pytest.raises(ValueError, match="clip.mp4: "):
        uploads.check(clip, moving=False)
    assert style.side_words([clip], 16) == ["--side", "16"]
    monkeypatch.setattr(uploads, "MOST_SECONDS", 1.5)
    with pytest.raises(ValueError, match="clip.mp4: .* minutes long; at most"):
        uploads.check(clip, moving=True)
    monkeypatch.setattr(uploads, "MOST_SECONDS", 60)
    monkeypatch.setattr(uploads, "MOST_FRAME", 1000)
    with pytest.raises(ValueError, match="frames of 32 x 32 pixels"):
        uploads.check(clip, moving=True)


def test_previews_are_upright_and_no_larger_than_the_page_needs(tmp_path):
    image = Image.fromarray(np.zeros((20, 3000, 3), np.uint8))
    exif = image.getexif()
    exif[0x112] = 6  # turned by a quarter
    image.save(tmp_path / "turned.jpg", exif=exif)
    assert uploads.size_of(tmp_path / "turned.jpg") == (3000, 20)
    with Image.open(uploads.preview(tmp_path / "turned.jpg", tmp_path)) as shown:
        assert shown.size == (9, uploads.SHOWN_SIDE)


def test_sides_are_changed_only_where_a_picture_is_larger(tmp_path):
    small, large = (pathlib.Path(picture(tmp_path / str(n), (n, n))) for n in (10, 40))
    assert style.side_words([small], 20) == style.side_words([small, large], None) == []
    assert style.side_words([small, large], 20) == ["--side", "20"]


def test_what_was_painted_becomes_a_mask_of_the_pictures_size(tmp_path):
    place = pathlib.Path(picture(tmp_path, (20, 40)))
    layer = np.zeros((10, 20, 4), np.uint8)
    layer[2:5, 4:8] = 255
    mask = restore.painted_mask({"layers": [layer]}, place)
    assert mask.shape == (20, 40, 1) and mask[7, 11] == 255 and mask[15, 30] == 0
    rows, columns = np.nonzero(mask[..., 0])
    assert abs(rows.min() - 4) <= 1 and abs(columns.max() - 15) <= 1
    for nothing in (None, {"layers": []}, {"layers": [np.zeros((4, 4, 4), np.uint8)]}):
        with pytest.raises(ValueError, match="Paint over"):
            restore.painted_mask(nothing, place)


@pytest.mark.parametrize("name", ["", "  ", "../x", "a/b", "-x", ".x", "x" * 61, "a\nb", "con"])
def test_names_that_are_no_folders_are_refused(name):
    with pytest.raises(ValueError, match="Give a name|can't be a name"):
        avatar.checked_name(name)


def test_names_are_taken_as_they_are():
    assert avatar.checked_name(" Zoë 2 ") == "Zoë 2"


def test_the_shelf_has_the_packages_models_and_the_users_runs(tmp_path):
    untrained(tmp_path / "runs" / "mine", PALETTE, (16, 16, 4), ("a", "b"))
    (tmp_path / "runs" / "empty" / "checkpoints").mkdir(parents=True)
    (tmp_path / "runs" / "notes").mkdir()
    for k, text in enumerate(("{}", "[]", '{"config": [], "shape": [], "classes": []}', "\x00")):
        broken = tmp_path / "runs" / f"broken{k}"
        broken.mkdir()
        (broken / shared.ABOUT).write_text(text)
    odd = {"config": {"algorithm": [], "model": 3}, "shape": [1], "classes": [2]}
    (broken / shared.ABOUT).write_text(json.dumps(odd | {"step": 0, "unused": {}}))
    shelf = Shelf(tmp_path)
    drawn = shelf.models("sample")
    assert drawn[0].name == "portraits" and len(drawn) == 2
    own = drawn[1]
    assert (
        own.name == "mine"
        and own.label.startswith("mine (")
        and own.path == str(tmp_path / "runs" / "mine")
    )
    assert own.styled and own.classes == ("a", "b")
    every = [
        each.name
        for command in ("sample", "stylize", "restore", "inpaint")
        for each in shelf.models(command)
    ]
    assert set(shared.names()) <= set(every)
    assert shelf.choices("sample")[1] == (own.label, own.path)
    assert shelf.model("sample", own.path) == own
    with pytest.raises(ValueError, match="not there any more"):
        shelf.model("sample", "gone")
    looks = shelf.looks()
    assert looks["comic"].style == "" and looks["dylan (ten-styles)"].model.reads
    assert all(look.picture.is_file() for look in looks.values())
    assert shelf.people() == []


def test_how_a_job_goes_is_said_as_html_without_its_own_marks():
    text = panel.said('<b>"x"', "failed", part=(1, 4))
    assert "<b>" not in text and 'role="alert"' in text and 'value="1" max="4"' in text
    assert panel.share("frames 3/12, 5 s left") == (3, 12) and panel.share("45%") == (45, 100)
    assert panel.share("12/3") is None and panel.share("a/b") is None
    assert panel.clock(59.6) == "1 min 0 s" and panel.clock(5) == "5 s"
    job = Job("x", ["report", "<a>"], pathlib.Path(), state="done")
    assert "<a>" not in panel.ended(job) and "gan-jax report" in panel.ended(job)


def test_all_results_are_packed(tmp_path):
    import zipfile

    assert panel.packed(tmp_path / "none", "x") is None
    picture(tmp_path / "out"), picture(tmp_path / "out" / "sheet", name="s.png")
    with zipfile.ZipFile(panel.packed(tmp_path / "out", "all")) as archive:
        assert sorted(archive.namelist()) == ["a.png", "sheet/s.png"]


def test_curves_are_read_while_a_line_is_being_written(tmp_path):
    lines = [
        f'{{"images": {n}000, "d/loss": {n}.5, "eval/kid_vgg16": 0.{n}, "eval/kid_vgg16_se": 9}}'
        for n in (1, 2)
    ]
    (tmp_path / "metrics.jsonl").write_text("\n".join([*lines, '{"images": 3000, "d/lo']))
    found = train.losses_of(tmp_path)
    assert found.values.tolist() == [[1.0, 1.5, "D loss"], [2.0, 2.5, "D loss"]]
    assert train.kid_curve(tmp_path).values.tolist() == [[1.0, 0.1], [2.0, 0.2]]
    assert not len(train.kid_curve(tmp_path / "none"))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2", "example.org"])
def test_addresses_that_others_reach_need_a_password(host):
    with pytest.raises(ValueError, match="password"):
        server.check_host(host, None)
    server.check_host(host, "long enough")


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.0.0.9"])
def test_addresses_of_this_machine_need_none(host):
    server.check_host(host, None)


def test_passwords_are_read_from_a_file_of_ones_own(tmp_path):
    file = tmp_path / "word"
    file.write_text("correct horse\nmore\n")
    file.chmod(0o600)
    assert server.read_password(file) == "correct horse"
    file.chmod(0o644)
    if os.name == "posix":
        with pytest.raises(ValueError, match="chmod 600"):
            server.read_password(file)
    file.chmod(stat.S_IRUSR | stat.S_IWUSR)
    file.write_text("short\n")
    with pytest.raises(ValueError, match="8 or more"):
        server.read_password(file)


def test_only_the_password_lets_in(monkeypatch):
    waited = []
    monkeypatch.setattr(server.time, "sleep", waited.append)
    allowed = server.entry("correct horse")
    assert allowed("anyone", "correct horse") and not waited
    assert not allowed("anyone", "correct hors") and not allowed("", "ü") and len(waited) == 2
