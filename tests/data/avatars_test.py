"""The embedded data: people apart between splits, true labels, faces that fill the frame, a cache
that heals."""

import logging
import pathlib
import shutil
import sys

import numpy as np
import pytest
from dicebear.validator import StyleValidator

from gan_jax.data import drawings, source
from gan_jax.data.sources import avatars
from gan_jax.runtime import files


@pytest.fixture(scope="module", autouse=True)
def trusted_drawings():
    """The package's own drawings are not checked against its schema, which takes four seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(StyleValidator, "validate", staticmethod(lambda data: None))
        yield


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    path = tmp_path_factory.mktemp("avatars")
    avatars.Source(identities=12, data_dir=str(path))
    return path


def open_source(data_dir, **settings):
    return source.open_source(
        {"source": "avatars", "identities": 12, "data_dir": str(data_dir)} | settings
    )


def load(source, ids=None, seed=0):
    ids = np.arange(len(source)) if ids is None else np.asarray(ids)
    return source.load(ids, np.arange(len(ids), dtype=np.uint64) + np.uint64(seed))


def cache(data_dir):
    (manifest,) = data_dir.glob("avatars/*/*/manifest.json")
    return manifest.parent


def test_people_in_ten_styles(data_dir):
    source = open_source(data_dir)
    batch = load(source)
    assert (
        len(source) == 100
        and source.shape == (32, 32, 3)
        and source.classes == tuple(drawings.STYLES)
    )
    assert batch["image"].shape == (100, 32, 32, 3) and batch["image"].dtype == np.uint8
    np.testing.assert_array_equal(batch["label"], np.tile(np.arange(10), 10))
    np.testing.assert_array_equal(source.attributes["identity"], np.repeat(np.arange(10), 10))
    assert source.notes[0].startswith("100 avatars: 10 people in 10 styles (train), from ")


def test_splits_share_no_person(data_dir):
    people = [
        set(open_source(data_dir, split=split).attributes["identity"]) for split in avatars.SPLITS
    ]
    assert sorted(identity for split in people for identity in split) == list(range(12))
    assert [len(split) for split in people] == [10, 1, 1]
    default = avatars._Config(name="x", version="1.0.0", identities=1200)
    assert [len(default.people(split)) for split in avatars.SPLITS] == [1000, 100, 100]


def test_skins_and_hairs_are_balanced():
    assert len({drawings.person(i) for i in range(48)}) == 48


@pytest.mark.parametrize(("labels", "table"), [("skin", drawings.SKINS), ("hair", drawings.HAIRS)])
def test_labels_are_what_is_drawn(data_dir, labels, table):
    source = open_source(data_dir, labels=labels, resolution=64)
    batch = load(source)
    assert source.classes == tuple(table)
    colors = np.array([list(bytes.fromhex(color)) for color in table.values()])
    # [B, H, W, colors]
    drawn = np.abs(batch["image"][:, :, :, None].astype(int) - colors).max(-1) < 12
    shares = drawn.mean((1, 2))[np.arange(len(source)), batch["label"]]
    # voxel-art and pixel-art shade theirs
    assert np.median(shares) > 0.15 and (shares > 0.01).mean() > 0.9


def test_dark_skin_stays_dark(data_dir):
    image = load(open_source(data_dir, labels="skin", styles=("personas",), resolution=64))["image"]
    dark = np.abs(image[5].astype(int) - list(bytes.fromhex(drawings.SKINS["dark"]))).max(-1) < 12
    assert dark.mean() > 0.15


def test_heads_fill_the_frame(data_dir):
    source = open_source(data_dir, channels=4, labels=None)
    opaque = load(source)["image"][..., 3] > 128
    for style, name in enumerate(drawings.STYLES):
        own = opaque[source.attributes["style"] == style]
        assert 0.45 < own.mean() < 0.95, name
        # rows, columns that the head reaches
        assert own.any(2).mean() > 0.85 and own.any(1).mean() > 0.7, name


def test_stickers_and_backgrounds(data_dir):
    image = load(open_source(data_dir, channels=4, labels=None))["image"]
    assert (image[..., 0, 0, 3] == 0).mean() > 0.5
    plain = load(open_source(data_dir, background=(255, 0, 0)))["image"]
    assert (plain[image[..., 3] == 0][:, 1:] < 100).mean() > 0.9
    assert load(open_source(data_dir, channels=1))["image"].shape[-1] == 1


def test_some_styles_and_no_labels(data_dir):
    source = open_source(data_dir, styles=("dylan", "avataaars"))
    assert len(source) == 20 and source.classes == ("dylan", "avataaars")
    everything = open_source(data_dir)
    dylan = np.flatnonzero(everything.attributes["style"] == list(drawings.STYLES).index("dylan"))
    batch = load(source)
    np.testing.assert_array_equal(
        batch["image"][batch["label"] == 0], load(everything, dylan)["image"]
    )
    source = open_source(data_dir, labels=None)
    assert source.classes == () and load(source).keys() == {"id", "image"}


def test_flips_by_seed(data_dir):
    image = load(open_source(data_dir), [3])["image"][0]
    shown = load(open_source(data_dir, flip=True), [3] * 200)["image"]
    flipped = (shown == image[:, ::-1]).all((1, 2, 3))
    assert (flipped | (shown == image).all((1, 2, 3))).all() and 60 < flipped.sum() < 140


def test_made_twice_is_the_same(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    a, b = (open_source(folder, identities=3) for folder in (one, two))
    assert files.file_hashes(cache(one)) == files.file_hashes(cache(two))
    other = open_source(one, identities=3, labels="skin")
    assert a.fingerprint == b.fingerprint != other.fingerprint
    np.testing.assert_array_equal(load(a)["image"], load(b)["image"])
    assert not list(cache(two).parent.glob(".making*"))


def test_damage_is_repaired_and_reported(tmp_path, caplog):
    whole = load(open_source(tmp_path, identities=3))["image"]
    (file,) = cache(tmp_path).glob("*train.array_record*")
    raw = bytearray(file.read_bytes())
    raw[5000] ^= 1
    file.write_bytes(raw)
    with caplog.at_level(logging.WARNING, "gan_jax"):
        source = open_source(tmp_path, identities=3)
    message = f"was damaged ({file.name} has changed since it was written): made again"
    assert message in source.notes[0] and message in caplog.text
    np.testing.assert_array_equal(load(source)["image"], whole)
    assert open_source(tmp_path, identities=3).notes[0].startswith("10 avatars")


def test_where_it_is_kept(data_dir, tmp_path, monkeypatch):
    shutil.copytree(data_dir, tmp_path, dirs_exist_ok=True)
    monkeypatch.setenv("GAN_JAX_DATA", str(tmp_path))
    assert str(tmp_path) in avatars.Source(identities=12).notes[0]
    monkeypatch.delenv("GAN_JAX_DATA")
    shutil.copytree(data_dir, tmp_path / "home" / ".cache" / "gan_jax")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert str(tmp_path / "home" / ".cache" / "gan_jax") in avatars.Source(identities=12).notes[0]


def test_the_license_card_names_every_style(data_dir):
    card = pathlib.Path(open_source(data_dir).notes[-1].partition(": ")[2]).read_text()
    for style in drawings.STYLES:
        assert f"* {style}: " in card
    assert "Pablo Stanley" in card and "CC BY 4.0" in card and "CC0 1.0" in card


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"labels": "styel"}, "config.data.labels='styel' is not known. Did you mean 'style'"),
        (
            {"styles": ("dylan", "micah")},
            "config.data.styles='micah' is not known. .*Known: adventurer",
        ),
        ({"styles": ()}, "config.data.styles='' is not known."),
        (
            {"split": "val"},
            "config.data.split='val' is not known. .*Known: test, train, validation",
        ),
        ({"identities": 2}, "config.data.identities=2: it must be at least 3"),
        ({"resolution": 0}, "config.data.resolution=0"),
        ({"channels": 5}, "config.data.channels=5"),
        (
            {"data_dir": "/dev/null/x"},
            r"config.data.data_dir: the avatars can't be kept in /dev/null/x: .*GAN_JAX_DATA",
        ),
    ],
)
def test_errors_say_what_to_do(data_dir, settings, message):
    with pytest.raises(ValueError, match=message):
        open_source(**{"data_dir": data_dir} | settings)


@pytest.mark.parametrize("package", ["dicebear", "dicebear_styles", "resvg_py"])
def test_missing_packages(data_dir, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ValueError, match=f"needs {package}: pip install dicebear-core"):
        open_source(data_dir)
