"""A folder of images: what is found, set aside, resized, labeled and augmented."""

import json
import logging
import os

import numpy as np
import pytest
from PIL import Image

from gan_jax.data import decode, image_sets
from gan_jax.data.scan import scan
from gan_jax.data.sources import folder


def save(path, *color, size=(8, 8), mode="RGB"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, color if len(color) > 1 else color[0]).save(path)


@pytest.fixture
def images(tmp_path):
    save(tmp_path / "b" / "1.PNG", 0, 0, 255)
    save(tmp_path / "a" / "deep" / "2.png", 0, 255, 0)
    save(tmp_path / "a" / "1.bmp", 255, 0, 0)
    (tmp_path / "a" / "notes.txt").write_text("hello")
    (tmp_path / ".thumbs").mkdir()
    save(tmp_path / ".thumbs" / "x.png", 9, 9, 9)
    save(tmp_path / "a" / "._1.bmp.png", 9, 9, 9)
    return tmp_path


def pixels(source, ids=None, seed=0):
    ids = np.arange(len(source)) if ids is None else np.asarray(ids)
    return source.load(ids, np.arange(len(ids), dtype=np.uint64) + np.uint64(seed))["image"]


@pytest.fixture(params=["kept", "read as needed"])
def memory(request, monkeypatch):
    if request.param != "kept":
        monkeypatch.setattr(image_sets, "KEEP_BYTES", 0)
    return request.param


def test_finds_them_in_order(images, memory):
    source = folder.Source(str(images), 4)
    assert source.shape == (4, 4, 3) and source.classes == ()
    np.testing.assert_array_equal(pixels(source)[:, 0, 0], [[255, 0, 0], [0, 255, 0], [0, 0, 255]])
    assert source.load(np.array([0]), np.zeros(1, np.uint64)).keys() == {"id", "image"}
    where = "in memory" if memory == "kept" else "read as needed"
    assert source.notes == (f"3 images from {images}, {where}", "passed over 1 file: 1 .txt")


def test_labels_are_sub_folders(images, memory):
    save(images / "0.png", 1, 1, 1)  # the first of all
    (images / "c").mkdir()
    (images / "c" / "empty.png").touch()
    source = folder.Source(str(images), 4, labels=True)
    batch = source.load(np.array([2, 0, 1]), np.zeros(3, np.uint64))
    assert source.classes == ("a", "b", "c") and batch["label"].dtype == np.int32
    np.testing.assert_array_equal(batch["label"], [1, 0, 0])
    np.testing.assert_array_equal(batch["image"][:, 0, 0], [[0, 0, 255], [255, 0, 0], [0, 255, 0]])
    assert source.quarantine.files["0.png"] == "no class folder"
    assert source.quarantine.files["c/empty.png"] == "empty"
    assert "class 'c' has no image that can be used" in source.notes


def test_non_square_gray_and_rgba(tmp_path, memory):
    picture = np.zeros((10, 40), np.uint8)
    picture[:, 10:30] = 200  # what a center crop to 1:2 keeps
    Image.fromarray(picture).save(tmp_path / "a.png")
    source = folder.Source(str(tmp_path), (5, 10), channels=1, resize="box")
    np.testing.assert_array_equal(pixels(source), np.full((1, 5, 10, 1), 200))
    source = folder.Source(str(tmp_path), (5, 20), channels=4, crop="stretch", resize="box")
    image = pixels(source)
    assert image.shape == (1, 5, 20, 4) and (image[..., 3] == 255).all()
    np.testing.assert_array_equal(image[0, 0, :, 0], [0] * 5 + [200] * 10 + [0] * 5)


def test_transparency_meets_the_background(tmp_path):
    save(tmp_path / "a.png", 10, 20, 30, 0, mode="RGBA")
    np.testing.assert_array_equal(
        pixels(folder.Source(str(tmp_path), 2, background=(1, 2, 3)))[0, 0, 0], [1, 2, 3]
    )
    np.testing.assert_array_equal(
        pixels(folder.Source(str(tmp_path), 2, channels=4))[0, ..., 3], np.zeros((2, 2))
    )


def noisy(tmp_path, size=(8, 8)):
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    Image.fromarray(image).save(tmp_path / "a.png")
    return image


def test_flips_every_second_sample(tmp_path, memory):
    image = noisy(tmp_path)
    shown = pixels(folder.Source(str(tmp_path), 8, flip=True), [0] * 400)
    straight, flipped = ((shown == x).all((1, 2, 3)) for x in (image, image[:, ::-1]))
    assert (straight | flipped).all() and 160 < flipped.sum() < 240


def test_turns_within_the_limit(tmp_path, memory):
    # an edge at 45 degrees
    Image.fromarray(np.tri(32, 32, dtype=np.uint8)[:, ::-1] * 255).save(tmp_path / "a.png")
    shown = (
        pixels(folder.Source(str(tmp_path), 32, channels=1, rotate_degrees=10.0), [0] * 200)[..., 0]
        / 255.0
    )
    dy, dx = np.gradient(shown, axis=(1, 2))
    # what turned in at the borders says nothing
    middle = (slice(None), slice(12, 20), slice(12, 20))
    angles = np.rad2deg(np.arctan2(dy[middle].sum((1, 2)), dx[middle].sum((1, 2)))) - 45
    assert (
        np.abs(angles).max() < 11.5
        and angles.max() > 7
        and angles.min() < -7
        and abs(angles.mean()) < 2
    )


def test_random_crops_are_windows(tmp_path, memory):
    image = noisy(tmp_path, (8, 20))
    shown = pixels(folder.Source(str(tmp_path), 8, crop="random"), [0] * 300)
    places = [next(x for x in range(13) if (image[:, x : x + 8] == one).all()) for one in shown]
    assert set(places) == set(range(13))


def test_windows_are_as_wide_as_the_image_has_pixels(tmp_path, memory):
    """A ramp's slope in a window says how wide it is; 32 pixels are four windows of 8."""
    y, x = np.mgrid[:32, :48]
    Image.fromarray(np.stack([4 * y, 4 * x, 0 * x], -1).astype(np.uint8)).save(tmp_path / "a.png")
    settings = dict(path=str(tmp_path), resolution=8, crop="random")
    for widest, most in ((6.0, 4), (2.0, 2)):  # with 2 it is brought to 16 pixels first
        shown = pixels(folder.Source(**settings, widest=widest), [0] * 200)
        scale = (shown[:, -1, 4, 0].astype(float) - shown[:, 0, 4, 0]) / 7 / 4
        scale /= 1 if widest > 4 else 2
        assert 0.9 < scale.min() < 1.15 and 0.85 * most < scale.max() < 1.1 * most
        assert abs(np.mean(np.log2(scale)) - np.log2(most) / 2) < 0.15
        assert shown[..., 1].min() <= 8 and shown[..., 1].max() >= 176  # from side to side
    small = pixels(folder.Source(**settings | {"resolution": 40}, widest=4.0), [0] * 3)
    assert small.shape == (3, 40, 40, 3)  # blown up to cover, as without


def test_windows_of_one_width_leave_the_fingerprint(tmp_path):
    """So that a run of a version without `widest` goes on without a word of changed data."""
    noisy(tmp_path, (9, 20))
    prints = {
        w: folder.Source(str(tmp_path), 6, crop="random", widest=w).fingerprint for w in (1.0, 1.5)
    }
    assert prints[1.0] != prints[1.5]


@pytest.mark.parametrize("size", [(9, 8), (8, 9)])
def test_flips_and_places_are_drawn_apart(tmp_path, size):
    image = noisy(tmp_path, size)
    shown = pixels(folder.Source(str(tmp_path), 8, crop="random", flip=True), [0] * 100)
    cases = [
        view for window in (image[:8, :8], image[-8:, -8:]) for view in (window, window[:, ::-1])
    ]
    counts = [(shown == case).all((1, 2, 3)).sum() for case in cases]
    assert sum(counts) == 100 and min(counts) > 10


def test_the_same_seeds_give_the_same_pixels(tmp_path, memory):
    noisy(tmp_path, (9, 20))
    settings = dict(path=str(tmp_path), resolution=6, crop="random", flip=True, rotate_degrees=30.0)
    a, b = (pixels(folder.Source(**settings), [0] * 20) for _ in range(2))
    np.testing.assert_array_equal(a, b)
    assert (a != pixels(folder.Source(**settings), [0] * 20, seed=100)).any()


def test_bad_files_are_set_aside_and_counted(images):
    (images / "a" / "3.jpg").write_bytes(b"<html>")
    (images / "a" / "4.jpg").touch()
    os.symlink(images / "nowhere", images / "a" / "5.jpg")
    source = folder.Source(str(images), 4)
    assert len(source) == 3
    assert source.quarantine.files == {
        "a/3.jpg": "HTML, not an image",
        "a/4.jpg": "empty",
        "a/5.jpg": "no such file",
    }
    assert "set aside 1 as 'empty': a/4.jpg" in source.notes


def test_a_file_lost_later_is_replaced_and_reported_once(images, monkeypatch, caplog):
    monkeypatch.setattr(image_sets, "KEEP_BYTES", 0)
    source = folder.Source(str(images), 4, labels=True)
    (images / "b" / "1.PNG").write_bytes(b"gone")
    seeds = np.zeros(2, np.uint64)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            batch = source.load(np.array([2, 1]), seeds)
    # the next, of another class as there is none
    np.testing.assert_array_equal(batch["image"][:, 0, 0], [[255, 0, 0], [0, 255, 0]])
    np.testing.assert_array_equal(batch["label"], [0, 0])  # and its own label
    assert source.quarantine.files == {"b/1.PNG": "no known image format"}
    (record,) = caplog.records
    assert "b/1.PNG can't be read any more (no known image format)" in record.getMessage()
    for name in ("a/1.bmp", "a/deep/2.png"):
        (images / name).unlink()
    with pytest.raises(ValueError, match="none of the 3 images can be read any more"):
        source.load(np.array([0]), seeds[:1])


def test_another_of_its_class_takes_the_place_of_a_lost_file(images, monkeypatch):
    save(images / "b" / "2.png", 0, 0, 200)
    save(images / "c" / "1.png", 9, 9, 9)
    monkeypatch.setattr(image_sets, "KEEP_BYTES", 0)
    source = folder.Source(str(images), 4, labels=True)
    (images / "b" / "2.png").write_bytes(b"gone")
    batch = source.load(np.array([3]), np.zeros(1, np.uint64))
    assert (
        batch["label"] == [1]
        and batch["id"] == [2]
        and (batch["image"][0, 0, 0] == (0, 0, 255)).all()
    )


def test_links_to_folders_are_followed_but_not_round(images, tmp_path_factory, monkeypatch):
    """Classes that are links, as sets under version control have them; a link to a folder above is
    a loop."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    save(elsewhere / "cats" / "1.png", 9, 9, 9)
    save(elsewhere / "cats" / "deep" / "2.png", 9, 9, 9)
    (images / "cats").symlink_to(elsewhere / "cats", target_is_directory=True)
    (elsewhere / "cats" / "deep" / "again").symlink_to(elsewhere / "cats", target_is_directory=True)
    (images / "a" / "up").symlink_to(images, target_is_directory=True)
    (images / "dogs").symlink_to(images / "nowhere", target_is_directory=True)
    os.mkfifo(images / "b" / "pipe.png")
    for path in (str(images), "."):
        monkeypatch.chdir(images)
        source = folder.Source(path, 4, labels=True)
        assert source.classes == ("a", "b", "cats") and source.names == [
            "a/1",
            "a/deep/2",
            "b/1",
            "cats/1",
            "cats/deep/2",
        ]
        assert source.quarantine.files == {"b/pipe.png": "a special file"}
    assert (
        source.notes[-1]
        == "passed over 4 files: 2 folder used already under another name (a/up, cats/deep/again),"
        " 1 .txt, 1 link to nothing"
    )


@pytest.mark.parametrize("labels", [False, True])
def test_a_folder_with_several_names_is_used_once(tmp_path, labels):
    """As `latest` and `best` beside the folder they name; its own name is kept, though it is not
    the first."""
    save(tmp_path / "2023" / "1.png", 9, 9, 9)
    for name in ("0-latest", "best"):
        (tmp_path / name).symlink_to("2023", target_is_directory=True)
    source = folder.Source(str(tmp_path), 4, labels=labels)
    assert source.names == ["2023/1"] and source.classes == (("2023",) if labels else ())
    assert (
        source.notes[-1]
        == "passed over 2 files: 2 folder used already under another name (0-latest, best)"
    )


def test_folders_that_link_to_each_other_are_looked_into_once(tmp_path, monkeypatch):
    for i in range(7):
        save(tmp_path / "outside" / f"{i}" / "1.png", i, 0, 0)
        for other in range(7):
            (tmp_path / "outside" / f"{i}" / f"to{other}").symlink_to(
                f"../{other}", target_is_directory=True
            )
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "in").symlink_to("../outside/0", target_is_directory=True)
    looked, scandir = [], os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: looked.append(path) or scandir(path))
    files, _ = scan(tmp_path / "set")
    assert [path.relative_to(tmp_path / "set").parts[:-1] for path in files] == [
        ("in",),
        *(("in", f"to{i}") for i in range(1, 7)),
    ] and len(looked) <= 1 + 1 + 7 * 7


def test_links_to_one_file_are_said(images):
    (images / "a" / "latest.png").symlink_to(images / "b" / "1.PNG")
    (images / "a" / "first.png").symlink_to(images / "b" / "1.PNG")
    source = folder.Source(str(images), 4)
    assert len(source) == 5
    assert (
        "only 3 files: images that are links to one file count once for each name" in source.notes
    )


def test_a_folder_that_can_not_be_read_is_said(images, monkeypatch):
    def closed(path, of=os.scandir):
        if os.fspath(path).endswith("deep"):
            raise PermissionError(13, "Permission denied", os.fspath(path))
        return of(path)

    monkeypatch.setattr(os, "scandir", closed)
    (note,) = (note for note in folder.Source(str(images), 4).notes if "passed over" in note)
    assert f"1 folder that can't be read ({images / 'a' / 'deep'})" in note


def test_names_are_in_nfc(tmp_path):
    """macOS writes é as two characters; so may one folder of two."""
    save(tmp_path / "cafe\u0301" / "e\u0301.png", 1, 2, 3)
    save(tmp_path / "caf\u00e9" / "a.png", 1, 2, 3)
    source = folder.Source(str(tmp_path), 4, labels=True)
    assert source.classes == ("caf\u00e9",) and sorted(source.names) == [
        "caf\u00e9/a",
        "caf\u00e9/\u00e9",
    ]
    assert not [note for note in source.notes if "no images" in note]


def test_classes_and_their_counts_are_said(images):
    source = folder.Source(str(images), 4, labels=True)
    assert source.notes[0] == f"3 images of 2 classes from {images}, in memory: 'a' 2, 'b' 1"
    for i in range(30):
        save(images / f"c{i:02}" / "1.png", 1, 1, 1)
    assert folder.Source(str(images), 4, labels=True).notes[0].endswith("'c16' 1, 'c17' 1, ...")


def test_splits_are_no_classes(tmp_path):
    for name in ("train/cat", "train/dog", "val/cat", "val/dog"):
        save(tmp_path / name / "1.png", 1, 2, 3)
    message = (
        rf"the folders of {tmp_path}, train, val, are splits; .* Use one:"
        rf" config.data.path={tmp_path}/train\.$"
    )
    with pytest.raises(ValueError, match=message):
        folder.Source(str(tmp_path), 4, labels=True)
    assert folder.Source(str(tmp_path / "train"), 4, labels=True).classes == ("cat", "dog")
    notes = folder.Source(str(tmp_path), 4).notes
    assert (
        f"all of the folders train, val are used; config.data.path={tmp_path}/train is one" in notes
    )
    save(tmp_path / "car" / "1.png", 1, 2, 3)  # then they may be vehicles
    assert folder.Source(str(tmp_path), 4, labels=True).classes == ("car", "train", "val")


@pytest.fixture
def stylegans(tmp_path):
    """(labels) -> the set that dataset_tool.py writes: shards of pictures, labels beside them."""
    for i in range(4):
        save(tmp_path / "00000" / f"img{i:08}.png", i, 0, 0)

    def write(labels):
        (tmp_path / "dataset.json").write_text(json.dumps({"labels": labels}), encoding="utf-8")
        return str(tmp_path)

    return write


def test_stylegans_labels_are_read(stylegans):
    name = "00000/img{:08}.png".format
    path = stylegans([[name(0), 2], [name(1), 0], [name(3), [0.0, 0.0, 1.0]], ["gone.png", 0]])
    source = folder.Source(path, 4, labels=True)
    np.testing.assert_array_equal(source.targets, [2, 0, 2])
    assert source.classes == ("0", "1", "2") and source.names == [name(i)[:-4] for i in (0, 1, 3)]
    assert source.quarantine.files == {name(2): "no label in dataset.json"}
    assert f"3 images of 3 classes from {path}, in memory: '0' 1, '1' 0, '2' 2" in source.notes
    assert source.notes[-1] == "class '1' has no image that can be used"
    assert folder.Source(path, 4).classes == () and len(folder.Source(path, 4)) == 4


def test_many_empty_classes_are_counted(stylegans, tmp_path):
    path = stylegans([["00000/img00000000.png", 99_999]])
    notes = folder.Source(path, 4, labels=True).notes
    assert len(notes) == 23 and notes[-2:] == (
        "class '19' has no image that can be used",
        "99,979 more like the last",
    )
    (tmp_path / "dataset.json").unlink()
    for i in range(22):
        (tmp_path / f"empty{i:02}").mkdir()
    assert folder.Source(path, 4, labels=True).notes[-1] == "2 more like the last"


def test_fingerprint_follows_stylegans_labels(stylegans):
    names = [f"00000/img{i:08}.png" for i in range(4)]
    prints = {
        folder.Source(stylegans(list(zip(names, labels, strict=True))), 4, labels=True).fingerprint
        for labels in ([0, 1, 0, 1], [1, 0, 0, 1])
    }
    assert len(prints) == 2


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (None, "dataset.json has no labels. Set labels=False, or take it out"),
        (
            [["00000/img00000000.png", [0.5, 0.5]]],
            r"label of '00000/img00000000.png' is no class, \[0.5, 0.5\]",
        ),
        (
            [["00000/img00000000.png", -1]],
            "is no class, -1. It must be a number, 0 to 99999, or a vector with a single 1",
        ),
        (["00000/img00000000.png"], "is no class, None"),
    ],
)
def test_stylegans_labels_that_are_no_classes(stylegans, labels, message):
    with pytest.raises(ValueError, match=message):
        folder.Source(stylegans(labels), 4, labels=True)


def test_a_dataset_json_of_another_program(images):
    (images / "dataset.json").write_text('{"title": "mine"}', encoding="utf-8")
    assert folder.Source(str(images), 4, labels=True).classes == ("a", "b")
    (images / "dataset.json").write_text("{", encoding="utf-8")
    with pytest.raises(ValueError, match="dataset.json can't be read: Expecting"):
        folder.Source(str(images), 4, labels=True)


def test_an_empty_class_folder_is_named(images):
    (images / "empty").mkdir()
    source = folder.Source(str(images), 4, labels=True)
    assert (
        source.classes == ("a", "b") and "no images in the folder 'empty': no class" in source.notes
    )


def test_fingerprint_follows_the_data_and_the_settings(images):
    prints = [
        folder.Source(str(images), **settings).fingerprint
        for settings in (
            {"resolution": 4},
            {"resolution": 4},
            {"resolution": 5},
            {"resolution": 4, "flip": True},
            {"resolution": 4, "labels": True},
        )
    ]
    assert prints[0] == prints[1] and len(set(prints)) == 4
    save(images / "z.png", 0, 0, 0)
    assert folder.Source(str(images), 4).fingerprint not in prints


def test_fingerprint_follows_the_contents(tmp_path):
    (tmp_path / "deep").mkdir()
    image = noisy(tmp_path, (40, 40))
    prints = set()
    for pixels in (image, 255 - image, np.concatenate([image[:39], 255 - image[39:]]), image):
        Image.fromarray(pixels).save(tmp_path / "deep" / "b.bmp")
        prints.add(folder.Source(str(tmp_path), 4).fingerprint)
    assert len(prints) == 3


def broken(tmp_path):
    (tmp_path / "a.png").touch()
    (tmp_path / "b.png").write_text("<html>")


ERRORS = {
    "missing": (lambda p: None, {"path": "nowhere"}, "config.data.path='nowhere': no such folder."),
    "a file": (lambda p: (p / "f").touch(), {"path": "f"}, "config.data.path='.*f': not a folder."),
    "empty": (lambda p: None, {}, "no images in it. Known kinds: .png .apng .jpg"),
    "no image": (
        broken,
        {},
        "none of its 2 images can be used: set aside 1 as 'HTML, not an image': b.png; .*'empty'",
    ),
    "flat": (
        lambda p: save(p / "a.png", 0),
        {"labels": True},
        "config.data.labels=True: .* no sub-folders with images",
    ),
    "resolution": (broken, {"resolution": 0}, "config.data.resolution=0: .* 1 to 8192 pixels"),
    "three sides": (broken, {"resolution": (1, 2, 3)}, r"config.data.resolution=\(1, 2, 3\): "),
    "channels": (broken, {"channels": 2}, r"config.data.channels=2: it must be 1 \(gray\)"),
    "crop": (
        broken,
        {"crop": "centre"},
        "config.data.crop='centre' is not known. Did you mean 'center'",
    ),
    "resize": (
        broken,
        {"resize": "lancos"},
        "config.data.resize='lancos' is not known. Did you mean 'lanczos'",
    ),
    "enlarge": (broken, {"enlarge": 9.0}, r"config.data.enlarge=9.0: it must be 1 to 8\.$"),
    "rotate": (
        broken,
        {"rotate_degrees": 181.0},
        "config.data.rotate_degrees=181.0: it must be 0 to 180",
    ),
    "background": (broken, {"background": (0, 0, 256)}, r"config.data.background=\(0, 0, 256\): "),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors_say_what_to_do(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    prepare, settings, message = ERRORS[name]
    prepare(tmp_path)
    with pytest.raises(ValueError, match=message):
        folder.Source(**{"path": str(tmp_path), "resolution": 4} | settings)


@pytest.mark.parametrize(
    ("settings", "cover"),
    [
        ({"resolution": (4, 6)}, (4, 6)),
        ({"resolution": 4, "crop": "random", "enlarge": 1.5}, (6, 6)),
        ({"resolution": 4, "crop": "random", "widest": 3.0}, (12, 12)),
        ({"resolution": 4, "half": "left"}, (4, 8)),  # of the whole file, which is twice as wide
        ({"resolution": 4, "resize": "nearest"}, None),  # it takes pixels as they are
    ],
)
def test_files_are_read_no_larger_than_they_are_used(images, monkeypatch, settings, cover):
    asked, decoded = [], decode.decoded
    spy = lambda file, *, cover, **more: asked.append(cover) or decoded(file, cover=cover, **more)
    monkeypatch.setattr(decode, "decoded", spy)
    folder.Source(str(images), **settings)
    assert asked == [cover] * 3


def test_pictures_that_are_enlarged_or_lose_their_transparency_are_named(tmp_path):
    save(tmp_path / "small.png", 9, 9, 9, size=(8, 20))
    save(tmp_path / "large.png", 9, 9, 9, size=(16, 20))
    save(tmp_path / "clear.png", 9, 9, 9, 200, size=(16, 16), mode="RGBA")
    save(tmp_path / "opaque.png", 9, 9, 9, 255, size=(16, 16), mode="RGBA")
    small = "1 with fewer than 16 x 16 pixels, enlarged, which blurs them: small.png"
    clear = "1 with transparency, drawn on the background (channels=4 keeps it): clear.png"
    found = folder.Source(str(tmp_path), 16)
    assert len(found) == 4 and found.notes[1:] == (small, clear)
    assert folder.Source(str(tmp_path), 16, channels=4).notes[1:] == (small,)
    assert folder.Source(str(tmp_path), 8, channels=4).notes[1:] == ()
