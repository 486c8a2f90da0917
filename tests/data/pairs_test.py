"""Two sets of pictures as one source: unpaired, paired by name or number, side by side; and what
doesn't fit."""

import pickle

import numpy as np
import pytest
from PIL import Image

from gan_jax import algorithms, config
from gan_jax.data import image_sets, pipeline
from gan_jax.data.source import open_source
from gan_jax.evaluation import checks, images
from gan_jax.runtime import registry


def save(path, value, size=(8, 8)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (value, 0, 0)).save(path)


def opened(source, tmp_path, a=None, b=None, **more):
    side = lambda name, own: (
        {"source": "folder", "path": str(tmp_path / name), "resolution": 4} | (own or {})
    )
    return open_source({"source": source, "a": side("a", a), "b": side("b", b)} | more)


def loaded(source, n, seed=0):
    ids = np.arange(n) % len(source)
    return source.load(ids, pipeline.sample_seeds(seed, np.arange(n, dtype=np.uint64)))


def value(images):
    return images[:, 0, 0, 0]


@pytest.fixture
def folders(tmp_path):
    for i in range(3):
        save(tmp_path / "a" / "x" / f"{i}.png", 10 * i)
        save(tmp_path / "b" / "x" / f"{i}.bmp", 100 + 10 * i)
    return tmp_path


def test_unpaired_draws_evenly_and_by_the_seed(folders):
    save(folders / "b" / "more.png", 200)
    source = pickle.loads(pickle.dumps(opened("unpaired", folders)))
    batch = loaded(source, 3000)
    assert (
        len(source) == 3
        and source.shape == (4, 4, 3)
        and source.classes == ()
        and source.targets is None
    )
    np.testing.assert_array_equal(value(batch["image"]), np.arange(3000) % 3 * 10)
    counts = [np.sum(value(batch["target"]) == v) for v in (100, 110, 120, 200)]
    assert sum(counts) == 3000 and min(counts) > 650
    np.testing.assert_array_equal(batch["target"], loaded(source, 3000)["target"])
    assert (batch["target"] != loaded(source, 3000, seed=1)["target"]).any()
    assert source.notes[0].startswith("a: 3 images") and source.notes[1].startswith("b: 4 images")


def test_pairs_have_one_name(folders):
    save(folders / "b" / "x" / "00.png", 255)  # shifts the order of b
    save(folders / "a" / "x" / "00.png", 155)
    source = opened("paired", folders)
    batch = loaded(source, 4)
    assert sorted(value(batch["image"])) == [0, 10, 20, 155]
    np.testing.assert_array_equal(value(batch["target"]), value(batch["image"]).astype(int) + 100)
    assert source.notes[0] == "4 pairs"


def test_a_picture_without_a_partner_is_named(folders):
    save(folders / "a" / "alone.png", 9)
    (folders / "b" / "x" / "2.bmp").write_bytes(b"no picture")
    with pytest.raises(
        ValueError,
        match=r"2 pictures lack a partner of the same name, first 'alone' of a, 'x/2' of a",
    ):
        opened("paired", folders)
    save(folders / "a" / "alone.bmp", 9)
    with pytest.raises(ValueError, match=r"config.data: two pictures of a are named 'alone'"):
        opened("paired", folders)


def test_pairs_are_changed_alike(tmp_path):
    rng = np.random.default_rng(0)
    for i in range(4):
        pixels = rng.integers(0, 256, (10, 14, 3), np.uint8)
        for side, x in (("a", pixels), ("b", 255 - pixels)):
            (tmp_path / side).mkdir(exist_ok=True)
            Image.fromarray(x).save(tmp_path / side / f"{i}.png")
    moved = {"flip": True, "crop": "random", "enlarge": 1.5, "resize": "nearest"}
    source = opened("paired", tmp_path, moved, moved)
    batch = loaded(source, 64)
    np.testing.assert_array_equal(batch["image"], 255 - batch["target"])
    # windows and mirrors of one picture
    assert len(np.unique(batch["image"][::4].reshape(16, -1), axis=0)) > 8
    with pytest.raises(ValueError, match="a has flip=True, b False. Pairs must be changed alike"):
        opened("paired", tmp_path, moved, {name: x for name, x in moved.items() if name != "flip"})


def test_side_by_side_files(tmp_path):
    pixels = np.zeros((6, 13, 3), np.uint8)
    pixels[:, 7:] = 200
    pixels[:, 6] = 77  # an odd middle column belongs to neither
    (tmp_path / "a").mkdir()
    Image.fromarray(pixels).save(tmp_path / "a" / "1.png")
    where = {"path": str(tmp_path / "a")}
    batch = loaded(
        opened("paired", tmp_path, where | {"half": "right"}, where | {"half": "left"}), 1
    )
    assert (batch["image"] == 200).all() and (batch["target"] == 0).all()
    with pytest.raises(ValueError, match=r"config.data.a.half='top' is not known"):
        opened("paired", tmp_path, where | {"half": "top"}, where)
    Image.new("RGB", (1, 5)).save(tmp_path / "a" / "thin.png")
    source = opened("unpaired", tmp_path, where | {"half": "left"}, where)
    assert len(source) == 1 and "one column can't be halved" in " ".join(source.notes)


def test_sides_that_do_not_fit(folders):
    with pytest.raises(
        ValueError, match=r"config.data: a's pictures are \[4, 4, 3\], b's \[8, 8, 3\]"
    ):
        opened("unpaired", folders, b={"resolution": 8})
    with pytest.raises(ValueError, match=r"config.data.b.path='[^']*nowhere': no such folder"):
        opened("unpaired", folders, b={"path": str(folders / "nowhere")})
    (folders / "empty").mkdir()
    with pytest.raises(ValueError, match=r"config.data.a.path='[^']*empty': no images in it"):
        opened("paired", folders, a={"path": str(folders / "empty")})
    with pytest.raises(
        ValueError, match=r"config.data.a.pth: no such setting. Did you mean 'path'"
    ):
        opened("paired", folders, a={"pth": "x"})
    with pytest.raises(ValueError, match=r"config.data lacks b"):
        open_source({"source": "paired", "a": {}})


def test_a_pair_of_which_one_half_went_bad_gives_way_whole(folders, monkeypatch):
    monkeypatch.setattr(image_sets, "KEEP_BYTES", 0)
    source = opened("paired", folders)
    for i in (0, 2):  # readable headers, then damaged
        whole = (folders / "b" / "x" / f"{i}.bmp").read_bytes()
        (folders / "b" / "x" / f"{i}.bmp").write_bytes(whole[:60])
    batch = loaded(source, 3)
    np.testing.assert_array_equal(value(batch["image"]), 10)
    np.testing.assert_array_equal(value(batch["target"]), 110)
    np.testing.assert_array_equal(batch["id"], 1)
    (folders / "b" / "x" / "1.bmp").write_bytes(b"BM")
    with pytest.raises(ValueError, match="can be read any more"):
        loaded(source, 3)


def test_avatars_are_paired_by_person(shared_data):
    side = lambda style: {
        "source": "avatars",
        "identities": 36,
        "resolution": 16,
        "styles": (style,),
        "labels": None,
    }
    source = open_source({"source": "paired", "a": side("dylan"), "b": side("personas")})
    np.testing.assert_array_equal(source.a.attributes["identity"], source.b.attributes["identity"])
    assert len(source) == 30 and (loaded(source, 30)["image"] != loaded(source, 30)["target"]).any()


def test_sources_without_names_go_by_number(tmp_path, monkeypatch):
    (tmp_path / "ext_numbers.py").write_text(
        "import numpy as np\nclass Source:\n    shape, classes, targets, fingerprint, notes = (1,"
        " 1, 1), (), None, '', ()\n    def __init__(self, n: int): self.n = n\n    def"
        " __len__(self): return self.n\n    def load(self, ids, seeds): return {'image':"
        " ids.astype(np.uint8)[:, None, None, None]}\n"
    )
    (tmp_path / "ext_pairs").mkdir()
    (tmp_path / "ext_numbers.py").rename(tmp_path / "ext_pairs" / "numbers.py")
    monkeypatch.syspath_prepend(tmp_path)
    side = lambda n: {"source": "ext_pairs.numbers", "n": n}
    batch = loaded(open_source({"source": "paired", "a": side(5), "b": side(5)}), 5)
    np.testing.assert_array_equal(batch["image"], batch["target"])
    with pytest.raises(ValueError, match="5 pictures in a and 4 in b, of sources without names"):
        open_source({"source": "paired", "a": side(5), "b": side(4)})


def test_what_a_translator_starts_from_and_should_reach(folders):
    for source, truth in (("unpaired", False), ("paired", True)):
        for contents, base in (("a", 0), ("b", 100)):
            sides = images.sides(opened(source, folders), contents)
            np.testing.assert_array_equal(
                value(sides.contents.load(np.arange(3))), base + np.arange(3) * 10
            )
            np.testing.assert_array_equal(
                value(sides.real.load(np.arange(3))), 100 - base + np.arange(3) * 10
            )
            assert (sides.truth is not None) == truth


def test_pairs_know_their_colors(shared_data):
    side = lambda style: {
        "source": "avatars",
        "identities": 36,
        "resolution": 16,
        "styles": (style,),
        "labels": None,
    }
    source = open_source(
        {"source": "paired", "a": side("dylan"), "b": side("personas") | {"flip": False}}
    )
    sides = images.sides(source)
    np.testing.assert_array_equal(sides.contents.colors["skin"], source.a.colors["skin"])
    np.testing.assert_array_equal(sides.truth.colors["hair"], sides.contents.colors["hair"])


def test_windows_of_pairs_are_of_one_size(folders):
    """A window's width goes by its file's own size, and a picture's partner may have another."""
    window = {"crop": "random", "widest": 4.0}
    with pytest.raises(ValueError, match=r"widest=4.0 in a and b.*Set widest=1.0 in both"):
        opened("paired", folders, window, window)
    with pytest.raises(ValueError, match=r"a has widest=4.0, b 1.0"):
        opened("paired", folders, window, {"crop": "random"})
    assert len(opened("paired", folders, {"widest": 1.0})) == 3
    # what a source does without being told counts too
    one = {"source": "single", "path": str(folders / "a" / "x" / "0.png"), "resolution": 4}
    with pytest.raises(ValueError, match=r"widest=2.0 in a and b"):
        open_source({"source": "paired", "a": one, "b": one})
    with pytest.raises(ValueError, match=r"a has widest=2.0, b 1.0"):
        open_source({"source": "paired", "a": one, "b": one | {"widest": 1.0}})


def test_held_out_settings_reach_both_sides():
    assert checks.merged({"a": {"path": "x"}}, {"a": "photos"}) == {"a": "photos"}
    data = {
        "source": "paired",
        "a": {"path": "x", "flip": True},
        "b": {"path": "y", "crop": "random", "enlarge": 2.0},
    }
    assert checks.plain(checks.merged(data, {"a": {"path": "z"}})) == {
        "source": "paired",
        "a": {"path": "z"},
        "b": {"path": "y", "crop": "center"},
    }


@pytest.mark.parametrize(
    ("algorithm", "source", "message"),
    [
        (
            "pix2pix",
            "unpaired",
            (
                "config.data.source='unpaired': config.algorithm='pix2pix' takes 'paired' as its"
                " source"
            ),
        ),
        (
            "cyclegan",
            "folder",
            "config.data.source='folder': config.algorithm='cyclegan' takes 'unpaired' or 'paired'",
        ),
        (
            "noise_to_image",
            "paired",
            "config.data.source='paired': config.algorithm='noise_to_image' takes one set of",
        ),
    ],
)
def test_a_game_with_the_wrong_kind_of_data(folders, algorithm, source, message):
    one = {"source": "folder", "path": str(folders / "a"), "resolution": 4}
    data = open_source(one) if source == "folder" else opened(source, folders)
    run = config.Config(algorithm, algorithm, {"source": source}, 2, 1.0)
    game = registry.by_name("algorithms", algorithm, "config.algorithm").Algorithm
    with pytest.raises(ValueError, match=message):
        algorithms.check_partner(run, game, data)
