"""Each kind of model, through the queue: the pictures that the commands make."""

import concurrent.futures
import functools

import jax
import numpy as np
import pytest

from gan_jax.checkpoint import shared
from gan_jax.data.quarantine import no_remark
from gan_jax.inference import inpaint, loading, restore, stylize
from gan_jax.serving import kinds, models, options
from gan_jax.serving.batching import Batcher, Caller
from gan_jax.serving.programs import Programs
from tests.algorithms.starganv2_test import CLASSES, SETTINGS
from tests.inference import inpaint_test, restore_test
from tests.runs import STYLED, lively_stylegan2, untrained

NAMES = ("red", "green", "blue")


def lively(path, x):
    """With a mean of the styles that is not 0."""
    average = "w_avg" in jax.tree_util.keystr(path)
    return jax.numpy.ones(x.shape) if average else lively_stylegan2(path, x)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    untrained(folder / "styled", STYLED, [8, 8, 3], NAMES, lively)
    untrained(folder / "stargan", SETTINGS, [16, 16, 3], CLASSES)
    return folder


@pytest.fixture(scope="module")
def served():
    """(a Kind, most of a batch) -> make(wanted, **pictures) through a queue."""
    batchers = []

    def start(kind, most=4):
        batchers.append(Batcher(Programs(kind.network, 16), most, 0.0))

        def make(wanted, remark=no_remark, **pictures):
            return kind.make(Caller(batchers[-1]), wanted, pictures, remark)

        make.kind, make.batcher = kind, batchers[-1]
        return make

    yield start
    for batcher in batchers:
        batcher.close()


@pytest.fixture(scope="module")
def samples(runs, served):
    return served(models.load(str(runs / "styled")))


@pytest.fixture(scope="module")
def styles(runs, served):
    return served(models.load(str(runs / "stargan")), most=2)


def drawn(made):
    return np.stack([picture for _, picture in made])


def near(a, b):
    """Batches of another size are rounded otherwise."""
    return np.abs(np.asarray(a, int) - b).max() <= 1


def test_samples_are_the_samplers(runs, samples):
    sampler = loading.load_sampler(runs / "styled")
    made = samples(options.Sample(seed=5, n=4))
    assert near(drawn(made), sampler.sample(4, seed=5))
    assert [name for name, _ in made] == [
        "00_seed5_red.png",
        "01_seed6_green.png",
        "02_seed7_blue.png",
        "03_seed8_red.png",
    ]
    assert np.ptp(drawn(made), 0).max() > 20


@pytest.mark.parametrize("truncation", [None, 0.0, 0.5, -1.0])
def test_truncation_is_the_samplers_and_compiles_nothing(runs, samples, truncation):
    sampler = loading.load_sampler(runs / "styled")
    wanted = options.Sample(seeds=[3, 9], label="blue", truncation=truncation)
    made = drawn(samples(wanted))
    assert near(made[0], sampler.sample(1, seed=3, label="blue", truncation=truncation)[0])
    assert near(made[1], sampler.sample(1, seed=9, label="blue", truncation=truncation)[0])
    assert samples.batcher.programs.compiled <= 3  # of one, two and four pictures


def test_who_else_is_in_the_batch_does_not_matter(samples):
    """In batches of one size, bit for bit."""
    a, b = options.Sample(seeds=[7, 1, 2, 3]), options.Sample(seeds=[8, 9, 7, 5], label="red")
    np.testing.assert_array_equal(drawn(samples(a))[0], drawn(samples(b))[2])


def test_a_game_that_truncates_by_itself_is_told(samples):
    """StyleGAN2 mixes styles; of others it is looked up whether `sample` does anything with it."""
    kind = samples.kind
    assert kind.styled and not kind.truncates and kind._uses_truncation()


@pytest.mark.parametrize("size", [(16, 16), (40, 21)])
@pytest.mark.parametrize("strength", [1.0, 0.4, 0.0])
@pytest.mark.parametrize("channels", [3, 4])
def test_styles_are_the_samplers(runs, styles, size, strength, channels):
    sampler = loading.load_sampler(runs / "stargan")
    picture = restore_test.drawn(*size, channels)
    wanted = options.Stylize(style="dylan", seed=3, strength=strength)
    ((_, made),) = styles(wanted, picture=picture)
    expected = sampler.stylize(picture, style="dylan", seed=3, strength=strength)
    assert near(made, expected) and made.shape == picture.shape
    assert (made == picture).all() == (strength == 0)


def test_large_pictures_go_in_tiles(runs, styles, monkeypatch):
    """By the stylizer's own; the whole picture's moments go through the queue too."""
    small = functools.partial(stylize.Stylizer, tile=64, overlap=16)
    picture = restore_test.drawn(64, 96)
    stylizer = small(loading.load_sampler(runs / "stargan"))
    expected = stylizer(picture[None], stylizer.looks(["dylan"], 0)[0])[0]
    monkeypatch.setattr(kinds.stylize, "Stylizer", small)
    ((_, made),) = styles(options.Stylize(style="dylan"), picture=picture)
    assert near(made, expected)


def test_the_shorter_side_is_made_so_long(styles):
    ((_, made),) = styles(
        options.Stylize(style="dylan", side=16), picture=np.zeros((90, 60, 3), np.uint8)
    )
    assert made.shape == (24, 16, 3)
    assert styles.kind.result_size(options.Stylize(side=16), (90, 60)) == (24, 16)


def test_a_style_must_be_one_of_them(styles):
    for wanted in (options.Stylize(), options.Stylize(style="dyan")):
        with pytest.raises(ValueError, match="Known: avataaars, dylan, miniavs"):
            styles(wanted, picture=np.zeros((16, 16, 3), np.uint8))


def test_requests_that_meet_get_their_own_pictures(styles):
    pictures = [restore_test.drawn(16, 16, seed=i) for i in range(6)]
    alone = [styles(options.Stylize(style="dylan"), picture=x)[0][1] for x in pictures]
    with concurrent.futures.ThreadPoolExecutor(6) as threads:
        met = threads.map(lambda x: styles(options.Stylize(style="dylan"), picture=x), pictures)
        for ((_, made),), one in zip(met, alone, strict=True):
            assert near(made, one)
    assert np.ptp(np.stack(alone), 0).max() > 20


@pytest.mark.parametrize(("scale", "size"), [(4, (20, 24)), (2.5, (30, 70)), (6, (9, 9))])
@pytest.mark.parametrize("channels", [1, 4])
def test_restored_pictures_are_the_restorers(served, scale, size, channels):
    make = served(kinds.Restores(restore_test.enlarger(), "net.param"))
    picture = restore_test.drawn(*size, channels)
    ((_, made),) = make(options.Restore(scale=scale), picture=picture)
    expected = restore_test.restorer(scale=scale).enlarged(picture)
    assert near(made, expected)
    assert make.kind.result_size(options.Restore(scale=scale), size) == made.shape[:2]


class Filler(inpaint_test.Filler):
    """A game and a sampler at once, for JAX."""

    ema = None
    game = property(lambda self: self)
    moments = style_from_noise = None

    def restyle(self, ema, x, style, moments=None):
        known = x[..., 3:] > 0
        mean = (x[..., :3] * known).sum((1, 2)) / known.sum((1, 2))
        made = jax.numpy.broadcast_to(mean[:, None, None], (*x.shape[:3], 3))
        return jax.numpy.concatenate([made, jax.numpy.ones_like(x[..., :1])], -1)


def test_filled_pictures_are_the_inpainters(served):
    make = served(kinds.Fills(Filler()))
    picture, mask = inpaint_test.picture(32, 48), np.zeros((32, 48, 4), np.uint8)
    mask[8:20, 16:24] = 255
    mask[:4, :4, :3] = 255  # clear: not white
    ((_, made),) = make(options.Inpaint(grow=1, feather=3), picture=picture, mask=mask)
    holes = inpaint.Holes(mask[..., 3], grow=1)
    expected = inpaint.Inpainter(inpaint_test.Filler(), holes, feather=3)(picture[None])[0]
    assert near(made, expected)
    clear = np.concatenate([picture, 255 - mask[..., 3:]], -1)
    ((_, made),) = make(options.Inpaint(grow=1, feather=3), picture=clear)
    assert near(made, expected)


def test_a_network_of_one_size_sees_that_size(served):
    """Others would be padded to 24 here."""

    class Fixed(Filler):
        shape, fixed_size = (20, 20, 4), True

    class Plain(inpaint_test.Filler):
        shape, fixed_size = (20, 20, 4), True

    make, picture = served(kinds.Fills(Fixed())), inpaint_test.picture(40, 40, 4).copy()
    picture[10:15, 10:15, 3] = 0
    ((_, made),) = make(options.Inpaint(), picture=picture)
    assert near(made, inpaint.Inpainter(Plain(), inpaint.Holes())(picture[None])[0])
    ((_, (x, _)),) = make.kind.examples()
    assert x.shape == (1, 20, 20, 4)


def test_what_was_drawn_smaller_is_said(served):
    make = served(kinds.Fills(Filler()))
    picture = inpaint_test.picture(200, 200, 4).copy()
    picture[20:180, 20:180, 3] = 0
    said = []
    make(options.Inpaint(), said.append, picture=picture)
    assert said == ["around the largest hole it was made 1.6 times as small for the network"]


def test_the_page_of_a_model(runs, styles):
    about = styles.kind.about
    assert about["name"] == "stargan" and about["route"] == "/v1/stylize"
    assert about["classes"] == list(CLASSES) and about["size"] == [16, 16, 3]
    assert about["license"] == "none stated: ask who trained it"
    assert about == models.load(str(runs / "stargan")).about
    leaves = {"b": np.zeros((2, 3), np.float32), "a": np.ones(1, np.int32)}
    found = models.digest(leaves)
    assert found == models.digest(dict(sorted(leaves.items()))) and len(found) == 64
    for other in (
        leaves | {"a": np.zeros(1, np.int32)},
        leaves | {"b": np.zeros((3, 2), np.float32)},
    ):
        assert models.digest(other) != found


def test_every_model_of_the_zoo_says_its_license():
    assert {models.license_of(shared.ZOO / name) for name in shared.names()} == {
        "Apache-2.0, as the code"
    }


def test_a_name_that_is_no_model(tmp_path):
    (tmp_path / "photo.png").write_bytes(b"no model")
    with pytest.raises(ValueError, match="no checkpoint. It is a file"):
        models.load(str(tmp_path / "photo.png"))
    with pytest.raises(ValueError, match="Or a model's name"):
        models.load("nowhere")


def test_real_esrgan_is_known_by_its_names(monkeypatch):
    monkeypatch.setattr(restore, "load", lambda name: (restore_test.enlarger(), name))
    about = models.load("fast").about
    assert about["route"] == "/v1/restore" and about["license"].startswith("BSD-3-Clause")
