"""Inversion, tuning, a person's file, its prior, on a generator of a few hundred weights."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from gan_jax import pretrained
from gan_jax.data import geometry
from gan_jax.data.images import composite
from gan_jax.inference import loading
from gan_jax.inference.inpaint import Holes
from gan_jax.nn import alpha
from gan_jax.personalize import directions, making, person, prior
from gan_jax.personalize.base import Base, reduced, seen
from gan_jax.personalize.inversion import Inversion, _correlation, _normalized, masked
from gan_jax.personalize.pictures import fitted
from gan_jax.personalize.prior import Projection
from gan_jax.personalize.restoration import PersonRestorer
from gan_jax.personalize.tuning import Tuning
from tests.nets import pixel_net
from tests.runs import PALETTE, STYLED, lively, lively_stylegan2, untrained


@pytest.fixture(autouse=True)
def nets(monkeypatch):
    for name in ("lpips_vgg", "lpips_alex", "efflite0"):
        monkeypatch.setitem(pretrained.NETS, name, pixel_net)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Untrained runs: "colors" draws in a palette with alpha, "plain" RGB without."""
    root = tmp_path_factory.mktemp("runs")
    untrained(root / "colors", PALETTE, [16, 16, 4], ["a", "b"], lively)
    untrained(root / "plain", STYLED, [16, 16, 3], (), lively_stylegan2)
    return root


@pytest.fixture(scope="module")
def base(runs):
    return Base(loading.load_sampler(runs / "colors"))


@pytest.fixture(scope="module")
def plain(runs):
    return Base(loading.load_sampler(runs / "plain"))


def drawn(base, rows):
    """(w, pictures) of the base's samples."""
    w = base.statistics.ws[rows]
    return w, np.asarray(base.draw(base.params, base.repeat(jnp.asarray(w))))


# --- the base


def test_statistics_of_w(base):
    found = base.statistics
    np.testing.assert_allclose(found.mean, found.ws.mean(0), rtol=1e-5)
    square = np.square(found.ws - found.mean).sum(1).mean()
    assert found.std == pytest.approx(square**0.5, rel=1e-5)
    assert np.bincount(found.labels).tolist() == [1000, 1000]
    assert found.thumbnails.shape == (2000, 16, 16, 3)


def test_the_hash_is_of_the_weights(runs, base):
    again = Base(loading.load_sampler(runs / "colors"))
    assert again.sha256 == base.sha256
    other = jax.tree.map(lambda x: x + 1e-3, base.ema)
    assert Base(dataclasses.replace(base.sampler, ema=other)).sha256 != base.sha256


def test_a_generator_without_styles_is_refused(tmp_path):
    plain = {"algorithm": "noise_to_image", "model": "mlp", "g": {"widths": (4,)}}
    plain |= {
        "d": {"widths": (4,)},
        "data": {},
        "batch": 4,
        "total_kimg": 1.0,
        "game": {"z_dim": 2},
    }
    run = untrained(tmp_path / "run", plain, [8, 8, 3])
    with pytest.raises(ValueError, match="personalization needs a generator with styles"):
        Base(loading.load_sampler(run))


def test_large_pictures_are_the_small_ones():
    """Of the base that comes with the package: two heads, over white."""
    base = Base(loading.load_sampler("portraits"))
    z = base.sampler.latents([0, 1])
    ws = np.asarray(base.repeat(base.map(z, np.array([0, 8], np.int32))))
    small, large = base.pictures(ws), base.large(ws, 4)
    assert large.shape == (2, 256, 256, 4) and base.draws_colors
    over = [composite(x, (255, 255, 255)).astype(float) for x in (*small, *large)]
    mean = np.stack(over[2:]).reshape(2, 64, 4, 64, 4, 3).mean((2, 4))
    apart = np.abs(mean - np.stack(over[:2])).mean()
    other = np.abs(over[0] - over[1]).mean()
    assert apart < 5 < 0.2 * other


def test_larger_pictures_are_reduced_by_areas():
    x = np.arange(2 * 512 * 512, dtype=np.float32).reshape(2, 512, 512, 1)
    want = x.reshape(2, 256, 2, 256, 2, 1).mean((2, 4))
    np.testing.assert_allclose(reduced(x), want)
    np.testing.assert_array_equal(reduced(x[:, :300]), x[:, :300])


# --- inversion


def test_generated_pictures_are_found_again(base):
    """They come within a twentieth of where the search starts."""
    _, target = drawn(base, [5, 6, 7])
    inversion, looks = Inversion(base, steps=150, wander=0.0), []
    ws = base.statistics.ws
    begin = (ws[5:8] + ws[100:103]) / 2
    found = inversion(target, begin=begin, log=lambda step, near: looks.append((step, near.mean())))
    assert found.ws.shape == (3, base.layers, 6)
    assert (found.distance < 0.05 * found.start).all() and (found.offset == 0).all()
    assert [step for step, _ in looks[:2]] == [25, 50] and looks[-1][1] < looks[0][1]
    made = base.draw(base.params, jnp.asarray(found.ws))
    want = 4 * np.square(_halved(made) - _halved(target)).mean((1, 2, 3))
    np.testing.assert_allclose(found.distance, want, rtol=1e-3, atol=1e-6)


def _halved(x):
    x = alpha.over(jnp.asarray(x), jnp.ones(3))
    return np.asarray(x.reshape(len(x), 8, 2, 8, 2, 3).mean((2, 4)))


def test_the_search_starts_at_the_sample_most_like_the_picture(base):
    w, target = drawn(base, [30, 31])
    np.testing.assert_array_equal(Inversion(base).starts(jnp.asarray(target)), w)


def test_pictures_do_not_depend_on_each_other(base):
    target = np.random.default_rng(0).uniform(-1, 1, (2, 16, 16, 4)).astype(np.float32)
    search = Inversion(base, steps=5, wander=0.0)
    both, one = search(target), search(target[:1])
    np.testing.assert_allclose(both.ws[0], one.ws[0], atol=1e-3)


def test_a_style_for_each_layer_comes_nearer_and_says_how_far_apart(base):
    target = np.random.default_rng(0).uniform(-1, 1, (1, 16, 16, 4)).astype(np.float32)
    target[..., 3] = 1
    one, each = (Inversion(base, space, steps=90)(target) for space in ("w", "w+"))
    assert each.distance[0] < one.distance[0] and each.offset[0] > 0 == one.offset[0]


def test_it_ends_where_nothing_gets_nearer(base):
    _, target = drawn(base, [9])
    found = Inversion(base, steps=2000, lr=0.0)(target)
    assert found.steps == 100


def test_where_the_mask_is_0_a_drawing_may_be_anything(base):
    _, target = drawn(base, [5, 6])
    mask = np.ones((16, 16), np.float32)
    mask[8:] = 0
    broken = target.copy()
    broken[:, 8:] = 1
    search = Inversion(base, steps=3, wander=0.0)
    begin = base.statistics.ws[100:102]
    one, other = (search(x, begin=begin, mask=mask) for x in (target, broken))
    np.testing.assert_array_equal(one.ws, other.ws)
    assert (search(broken, begin=begin).ws != one.ws).any()
    # of the picture's own style nothing is left to do, whatever is drawn below
    weights = {"net": search.net.params, "g": base.params}
    known = masked(jnp.asarray(broken), jnp.asarray(mask))
    wanted = known, seen(search.net, weights["net"], known), jnp.asarray(mask)
    own = {"w": jnp.asarray(base.statistics.ws[5:7])[:, None]}
    assert search.loss(own, weights, wanted, jax.random.key(0), 0.0) < 1e-6


def test_the_nearest_that_was_seen_is_kept(base):
    """Of a search that starts at the answer and is led away."""
    _, target = drawn(base, [9])
    search = Inversion(base, steps=30, lr=3.0, wander=0.0, pixels=-10.0)
    found = search(target)
    assert found.distance[0] == found.start[0] < 1e-6
    np.testing.assert_array_equal(found.ws[0, 0], base.statistics.ws[9])


def test_many_pictures_are_searched_for_in_parts_of_one_shape(base, monkeypatch):
    _, target = drawn(base, [3, 40, 90])
    search = Inversion(base, steps=2, wander=0.0)
    whole, sizes = search(target, known=np.array([3, 40, 90])), []
    monkeypatch.setattr("gan_jax.personalize.inversion.TOGETHER", 2 * 16 * 16)
    alone = Inversion.search

    def counted(self, target, *args):
        sizes.append(len(target))
        return alone(self, target, *args)

    monkeypatch.setattr(Inversion, "search", counted)
    parts = search(target, known=np.array([3, 40, 90]))
    assert sizes == [2, 2]
    np.testing.assert_allclose(parts.ws, whole.ws, atol=1e-4)
    assert len(parts.start) == len(parts.distance) == len(parts.offset) == 3


def test_a_color_beyond_white_can_be_learned_back(base):
    """Clipped colors have their gradient."""
    g, ema = base.sampler.game.g, base.ema
    params = jax.tree.map(jnp.copy, ema["params"]["g"])
    params["colors"]["Dense_1"]["bias"] = jnp.full(16, 3.0)
    ws = base.repeat(jnp.asarray(base.statistics.ws[:1]))

    def colors(params):
        return g.apply({"params": params, **ema["mutable"]["g"]}, ws, method="colors").sum()

    made, slope = jax.value_and_grad(colors)(params)
    assert made == pytest.approx(16) and (slope["colors"]["Dense_1"]["bias"] == 1).all()


def test_noise_maps(plain):
    rng = np.random.default_rng(0)
    target = rng.uniform(-1, 1, (2, 16, 16, 3)).astype(np.float32)
    found = Inversion(plain, steps=4, noise_maps=True)(target)
    for x in jax.tree.leaves(found.noise):
        assert len(x) == 2
        np.testing.assert_allclose(x.mean((1, 2)), 0, atol=1e-5)
        np.testing.assert_allclose(np.square(x).mean((1, 2)), 1, rtol=1e-4)
    waves = jnp.asarray(np.tile([1.0, -1.0], (1, 16, 8)))
    assert _correlation(waves) == pytest.approx(2.0)  # -1 along x, 1 along y; 0 once averaged
    shifted = _normalized({"a": waves * 3 + 2})["a"]
    np.testing.assert_allclose(shifted, waves, atol=1e-5)


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"space": "z"}, "space='z' is not known"), ({"steps": 0}, "steps=0: it must be at least 1")],
)
def test_bad_settings_of_an_inversion(base, settings, message):
    with pytest.raises(ValueError, match=message):
        Inversion(base, **settings)


# --- tuning


@pytest.fixture(scope="module")
def tuned(base):
    """(target, ws, tuned without locality, and with)."""
    patch = pytest.MonkeyPatch()
    patch.setitem(pretrained.NETS, "lpips_vgg", pixel_net)
    _, target = drawn(base, [5, 6, 7])
    target = target.copy()
    target[:, 2:14, 2:10] = [0.9, -0.9, 0.9, 1]
    ws = np.asarray(base.repeat(jnp.asarray(base.statistics.ws[5:8])))
    looks = []
    made = [
        Tuning(base, rounds=40, locality=k, batch=2, lr=1e-2)(
            target, ws, log=lambda number, near, params: looks.append((number, params))
        )
        for k in (0.0, 20.0)
    ]
    patch.undo()
    assert [number for number, _ in looks[:3]] == [1, 2, 3]
    assert jax.tree.structure(looks[0][1]) == jax.tree.structure(base.params)
    return target, ws, *made


def test_tuning_draws_what_the_base_can_not(base, tuned):
    *_, free, _ = tuned
    assert (free.distance < 0.6 * free.start).all() and free.rounds == 40
    before, after = base.params["mapping"], free.params["mapping"]
    assert all((x == y).all() for x, y in zip(*map(jax.tree.leaves, (before, after)), strict=True))


def test_the_locality_term_keeps_others_as_they_were(base, tuned):
    *_, free, held = tuned
    ws = np.asarray(base.repeat(jnp.asarray(base.statistics.ws[50:70])))

    def off(found):
        return np.abs(base.pictures(ws, found.params).astype(int) - base.pictures(ws)).mean()

    assert off(held) < 0.7 * off(free)


def test_tuning_ends_once_all_are_near_enough(base):
    _, target = drawn(base, [5])
    ws = np.asarray(base.repeat(jnp.asarray(base.statistics.ws[5:6])))
    found = Tuning(base, rounds=10)(target, ws)
    assert found.rounds == 0 and found.distance[0] < 1e-6
    assert all(
        (x == y).all()
        for x, y in zip(*map(jax.tree.leaves, (base.params, found.params)), strict=True)
    )


# --- a person


def test_samples_are_mixtures_of_three_anchors():
    anchors = np.eye(5, dtype=np.float32)
    found = prior.samples(anchors, 40, seed=1)
    np.testing.assert_allclose(found.sum(1), 1, rtol=1e-6)
    assert found.min() >= 0 and ((found > 0).sum(1) == 3).all()
    assert (prior.samples(anchors, 40, seed=1) == found).all()
    assert len(np.unique(np.argmax(found, 1))) == 5
    np.testing.assert_allclose(prior.samples(anchors[:1], 2), anchors[[0, 0]])


def test_an_edit_ends_where_the_person_does():
    anchors = np.eye(3, dtype=np.float32)
    shares = np.array([0.2, 0.3, 0.5])
    moved, gone = prior.edited(anchors, shares, np.array([1, -1, 0.0]), 0.1)
    np.testing.assert_allclose(moved, [0.3, 0.2, 0.5], atol=1e-4)
    assert gone == pytest.approx(0.1)
    moved, gone = prior.edited(anchors, shares, np.array([1, -1, 0.0]), 5.0, beta=0.02)
    np.testing.assert_allclose(moved, [0.52, -0.02, 0.5], atol=1e-4)
    assert gone == pytest.approx(0.32, abs=1e-4) and moved.sum() == pytest.approx(1)


def test_what_is_lost_of_a_picture_does_not_matter_to_its_projection(base):
    anchors = base.statistics.ws[[5, 6, 7, 8]]
    truth = np.array([0.7, 0.1, 0.1, 0.1]) @ anchors
    _, (picture,) = (
        anchors,
        np.asarray(base.draw(base.params, base.repeat(jnp.asarray(truth[None])))),
    )
    project = Projection(base, base.params, anchors, steps=60)
    mask = np.ones((16, 16), np.float32)
    mask[:8] = 0
    broken = picture.copy()
    broken[:8] = 1
    ws, near = project(broken, mask=mask)
    same, _ = project(picture, mask=mask)
    np.testing.assert_array_equal(ws, same)
    made = np.asarray(base.draw(base.params, jnp.asarray(ws)[None]))[0]
    middle = np.asarray(base.draw(base.params, base.repeat(jnp.asarray(anchors.mean(0)[None]))))[0]
    assert np.abs(made - picture).mean() < 0.5 * np.abs(middle - picture).mean() and near < 0.05
    small = picture.reshape(8, 2, 8, 2, 4).mean((1, 3))
    ws, _ = project(small, times=2)
    made = np.asarray(base.draw(base.params, jnp.asarray(ws)[None]))[0]
    assert np.abs(made - picture).mean() < 0.5 * np.abs(middle - picture).mean()


@pytest.fixture
def made(base, tuned, tmp_path):
    """A person's folder."""
    _, ws, free, _ = tuned
    small = base.pictures(ws)
    about = {"made_from": [{"file": "a.png", "sha256": "0"}], "seed": 0}
    person.write(tmp_path / "anna", base, free.params, ws, small, about)
    return tmp_path / "anna"


def test_a_persons_picture_is_enlarged_and_filled_by_the_person(base, made, tmp_path):
    """Better than by a filter and by the mean color: it is one of the person's mixtures."""
    anna = person.read(made, base)
    mixture = np.array([0.7, 0.15, 0.15]) @ anna.ws.mean(1)
    ws = np.repeat(mixture[None, None], base.layers, 1).astype(np.float32)
    truth = base.pictures(ws, anna.params)[0]
    opaque = composite(truth, (255, 255, 255))
    small = np.asarray(Image.fromarray(truth).resize((8, 8), Image.Resampling.BOX))
    (made_large,) = PersonRestorer(anna, scale=2.0, steps=60)(small[None])
    assert made_large.shape == (16, 16, 4)
    by_filter = np.asarray(Image.fromarray(small).resize((16, 16), Image.Resampling.BICUBIC))

    def off(x):
        return np.abs(composite(x, (255, 255, 255)).astype(int) - opaque).mean()

    assert off(made_large) < off(by_filter)
    assert PersonRestorer(anna, scale=6.0, steps=2)(small[None]).shape == (1, 48, 48, 4)

    holes = Holes(boxes=((2, 8, 12, 6),))
    torn = truth.copy()
    torn[8:14, 2:14] = 0, 0, 0, 255
    (filled,) = PersonRestorer(anna, holes, feather=0, steps=60)(torn[None])
    changed = (filled != torn).any(-1)
    changed[8:14, 2:14] = False
    assert not changed[truth[..., 3] > 0].any()
    hole = np.s_[8:14, 2:14, :3]
    mean = opaque.reshape(-1, 3).mean(0)
    assert np.abs(filled[hole].astype(int) - truth[hole]).mean() < np.abs(mean - truth[hole]).mean()


def test_what_is_clear_in_the_person_takes_the_pictures_ground(base, made):
    """Of a picture without alpha; and one that is not quite square is stretched both ways."""
    anna = person.read(made, base)
    drawn = base.pictures(np.repeat(anna.ws.mean(1)[:1, None], base.layers, 1), anna.params)[0]
    picture = composite(drawn, (10, 200, 30)).copy()
    holes = Holes(boxes=((4, 4, 8, 8),))
    restorer = PersonRestorer(anna, holes, feather=0, steps=2)
    restorer._drawn = lambda ws, size: np.zeros((*size, 4), np.uint8)  # nothing but ground
    (filled,) = restorer(picture[None])
    edge = np.concatenate([picture[0], picture[-1], picture[1:-1, 0], picture[1:-1, -1]])
    assert (filled[4:12, 4:12] == np.median(edge, 0).astype(int)).all()
    wide = geometry.fit(picture, (16, 17), "stretch")
    seen = []
    restorer.project = lambda x, **given: seen.append((x, given)) or (anna.ws[0], 0.0)
    assert restorer(wide[None]).shape == (1, 16, 17, 3)
    (x, given) = seen[0]
    square = geometry.fit(wide, (17, 17), "stretch")
    np.testing.assert_array_equal(x, fitted(square, base.shape))
    mask = given["mask"]
    assert mask[:, 0].all() and mask[:, -1].all() and not mask[5:11, 5:10].any()


def test_a_persons_pictures_are_noted_and_forgotten(runs, base, made, tool, tmp_path):
    Image.fromarray(base.pictures(base.repeat(base.statistics.ws[:1]))[0]).save(tmp_path / "x.png")
    flags = ["--person", made, "--base", runs / "colors", "--steps", 2, "--out", tmp_path / "out"]
    done = tool("restore", tmp_path / "x.png", *flags, "--scale", 3)
    assert done.returncode == 0, done.stderr
    assert Image.open(tmp_path / "out" / "x.png").size == (48, 48)
    done = tool("inpaint", tmp_path / "x.png", *flags, "--box", "2,2,5,5")
    assert done.returncode == 0, done.stderr
    assert Image.open(tmp_path / "out" / "x.png").size == (16, 16)
    Image.new("RGB", (40, 20)).save(tmp_path / "wide.png")
    done = tool("restore", tmp_path / "wide.png", *flags)
    assert "wide.png: 40x20: a person is redrawn in a square picture" in done.stderr
    Image.new("RGB", (100, 100)).save(tmp_path / "large.png")
    done = tool("restore", tmp_path / "large.png", *flags, "--scale", 16)
    assert "large.png: 100x100 would become 1600x1600, more than 1024 pixels a side" in done.stderr
    done = tool("inpaint", tmp_path / "x.png", "--out", tmp_path / "out", "--box", "2,2,5,5")
    assert "give one of --model, a run or a file of weights, and --person" in done.stderr
    tool("forget", made)
    assert not (tmp_path / "out" / "x.png").exists() and (tmp_path / "x.png").exists()


def test_a_persons_file(base, tuned, made):
    """The difference in bfloat16; what did not change is not in it."""
    _, ws, free, _ = tuned
    again = person.read(made, base)
    np.testing.assert_array_equal(again.ws, ws)
    for x, y, z in zip(
        *map(jax.tree.leaves, (again.params, free.params, base.params)), strict=True
    ):
        np.testing.assert_allclose(x - z, y - z, rtol=0.01, atol=1e-7)
    import safetensors.numpy

    names = safetensors.numpy.load_file(made / person.WEIGHTS)
    assert not [name for name in names if "mapping" in name]
    assert json.loads((made / person.ABOUT).read_text())["made_from"][0]["file"] == "a.png"


def test_a_persons_file_for_another_base(plain, made):
    with pytest.raises(ValueError, match=r"anna: made on the base .*colors.*which is not .*plain"):
        person.read(made, plain)


def test_a_damaged_persons_file(base, made, tmp_path):
    (made / person.WEIGHTS).write_bytes(b"no")
    with pytest.raises(ValueError, match=r"person.safetensors has changed since it was written"):
        person.read(made, base)
    (made / person.ABOUT).write_text("{")
    with pytest.raises(ValueError, match="is no JSON"):
        person.read(made, base)
    (made / person.ABOUT).write_text("{}")
    with pytest.raises(ValueError, match="is not as `gan-jax personalize` writes it"):
        person.read(made, base)
    with pytest.raises(ValueError, match="no person there"):
        person.read(tmp_path, base)


def test_forgetting_removes_what_was_made_of_the_person_and_nothing_else(base, made, tmp_path):
    found = person.read(made, base)
    own, moved, others, broken = (tmp_path / x for x in ("pack", "moved", "others", "broken"))
    for folder in (own, moved, others, broken):
        person.mark_output(folder, found, [folder / "01.webp"])
    person.mark_output(own, found, [own / "tray.png"])
    mark = json.loads((own / person.MARK).read_text())
    assert mark["files"] == ["01.webp", "tray.png"]
    mark["files"] += ["../photo.png", str(tmp_path / "photo.png")]
    (own / person.MARK).write_text(json.dumps(mark))
    for name in ("01.webp", "tray.png", "mine.png"):
        (own / name).write_bytes(b"x")
    (moved / person.MARK).unlink()
    (others / person.MARK).write_text('{"person": "another"}')
    (broken / person.MARK).write_text("[")
    (tmp_path / "photo.png").write_bytes(b"mine")
    (made / "diary.txt").write_text("mine")
    lines = person.forget(made)
    assert sorted(x.name for x in own.iterdir()) == ["mine.png"] and "stay" in lines[0]
    assert [line.split(":")[0] for line in lines[1:4]] == ["not found, it may have been moved"] * 3
    assert [x.name for x in made.iterdir()] == ["diary.txt"] and "stay" in lines[4]
    left = ["anna", "broken", "moved", "others", "pack", "photo.png"]
    assert sorted(x.name for x in tmp_path.iterdir()) == left


def test_a_person_made_again_is_the_same_one(base, made, tmp_path):
    found = person.read(made, base)
    person.mark_output(tmp_path / "pack", found, [])
    about = {"made_from": [{"file": "b.png", "sha256": "1"}], "seed": 1}
    person.write(made, base, base.params, found.ws, found.pictures, about)
    assert person.read(made, base).about["made_from"][0]["file"] == "b.png"
    person.check_output(tmp_path / "pack", made)  # may be written anew
    assert person.forget(made) == [f"removed {tmp_path / 'pack'}", f"removed {made}"]
    assert list(tmp_path.iterdir()) == []


def test_where_nothing_may_be_made_of_a_person(base, made, tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.png").write_bytes(b"mine")
    with pytest.raises(ValueError, match="photos: it holds other files"):
        person.check_output(tmp_path / "photos", made)
    with pytest.raises(ValueError, match="a.png: it is no folder"):
        person.check_output(tmp_path / "photos" / "a.png", made)
    for out in (made, made / "pack", tmp_path):
        with pytest.raises(ValueError, match="it is in the person's folder"):
            person.check_output(out, made)


def test_samples_are_accepted_by_the_persons_own_pictures(base, made):
    found = person.read(made, base)
    ws, words = making.sample(found, 4, seed=0)
    assert ws.shape == (4, base.layers, 6)
    assert "% of 16 samples are as near to the person" in words
    assert "of the 4 chosen copy a picture" in words
    alone = found._replace(ws=found.ws[:1])
    ws, words = making.sample(alone, 4, seed=0)
    assert ws.shape == (4, base.layers, 6) and words == "4 samples around the one picture's style"
    away = np.linalg.norm(ws[:, 0] - alone.ws[:, 0], axis=1).mean()
    assert away == pytest.approx(making.ALONE * base.statistics.std, rel=0.5)


def test_copies_are_counted():
    """Pictures at 0, 1 and 3 lie 1, 1 and 2 from the nearest other; the median's half is 0.5."""
    own = np.array([[0.0], [1], [3]])
    assert making.copies(np.array([[0.4], [-0.6], [1.51], [2.51], [3.0]]), own) == 3


def test_farthest_apart():
    features = np.array([[0.0], [0.1], [0.2], [5], [-5]])
    assert making.farthest(features, 3).tolist() == [1, 4, 3]
    assert sorted(making.farthest(features, 9)) == [0, 1, 2, 3, 4]


# --- directions


def test_directions_of_the_samples(base):
    first, second, *_ = directions.pca(base)
    ws = base.statistics.ws - base.statistics.mean
    along = ws @ first.vector / (first.vector @ first.vector)
    assert along.std() == pytest.approx(1, rel=1e-3)  # an amount of 1 is a standard deviation
    assert abs(first.vector @ second.vector) < 1e-5
    assert first.least == pytest.approx(np.percentile(along, 1), rel=1e-3)
    (weights,) = directions.sefa(base, 1)
    columns = np.concatenate(directions._affines(base.params["synthesis"]), 1)
    columns /= np.linalg.norm(columns, axis=0)
    gain = [np.linalg.norm(v @ columns) / np.linalg.norm(v) for v in np.eye(6)]
    own = weights.vector / np.linalg.norm(weights.vector)
    assert np.linalg.norm(own @ columns) > max(gain)


def test_a_direction_from_labels():
    rng = np.random.default_rng(0)
    labels = np.arange(200) % 2
    ws = rng.normal(0, 1, (200, 5)) * [1, 1, 1, 1, 8] + np.outer(labels, [3, 0, 0, 0, 4])
    found = directions.from_labels(ws.astype(np.float32), labels)
    assert found.accuracy > 0.9
    means = [found.direction @ ws[labels == k].mean(0) for k in (0, 1)]
    assert means[1] - means[0] == pytest.approx(found.direction @ found.direction, rel=1e-3)
    assert abs(found.direction[4]) < abs(found.direction[0])  # the noisy number counts for less
    chance = directions.from_labels(rng.normal(0, 1, (200, 5)), labels)
    assert 0.35 < chance.accuracy < 0.65
    with pytest.raises(ValueError, match="1 pictures with and 3 without"):
        directions.from_labels(ws[:4], np.array([0, 0, 0, 1]))


def test_edits_by_name(base, plain, tmp_path):
    found = directions.Separated(np.arange(6, dtype=np.float32), 0.9)
    directions.save(tmp_path / "smile.json", base, "smile", found, "3 and 3 pictures")
    by_name = directions.known(base, [tmp_path / "smile.json"])
    assert {"smile", "a", "b", "pca5", "sefa5"} <= by_name.keys()
    first, mean = by_name["pca0"], base.statistics.mean
    ws = np.tile(mean, (2, base.layers, 1))
    moved, notes = directions.apply(base, ws, directions.parse("pca0=0.5, pca1=-.5"), by_name)
    want = mean + 0.5 * first.vector - 0.5 * by_name["pca1"].vector
    np.testing.assert_allclose(moved, np.broadcast_to(want, ws.shape), rtol=1e-4, atol=1e-5)
    assert notes == [] and (ws == mean).all()
    ws[1] += 50 * first.vector  # beyond the samples already
    moved, notes = directions.apply(base, ws, {"pca0": 1000.0}, by_name)
    np.testing.assert_allclose(moved[0, 0], mean + first.most * first.vector, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(moved[1], ws[1], rtol=1e-5)
    assert "pca0=1000: 2 of 2 go only as far as the base's samples do" in notes[0]
    with pytest.raises(ValueError, match="--edit='smlie' is not known. Did you mean 'smile'"):
        directions.apply(base, ws, {"smlie": 1.0}, by_name)
    with pytest.raises(ValueError, match="a is given twice"):
        directions.parse("a=1,a=2")
    directions.save(tmp_path / "pca0.json", base, "pca0", found, "examples")
    with pytest.raises(ValueError, match="there is another direction named pca0"):
        directions.known(base, [tmp_path / "pca0.json"])
    with pytest.raises(ValueError, match="'smile' is not as smile=1.5"):
        directions.parse("smile")
    with pytest.raises(ValueError, match="a direction of another base"):
        directions.load(tmp_path / "smile.json", plain)
    (tmp_path / "bad.json").write_text("[]")
    with pytest.raises(ValueError, match="no direction as `gan-jax direction` writes it"):
        directions.load(tmp_path / "bad.json", base)


def test_what_lpips_sees_of_alpha_lies_over_white(base):
    x = np.full((1, 16, 16, 4), -1, np.float32)  # all clear
    np.testing.assert_allclose(
        seen(pixel_net("a"), {}, jnp.asarray(x)), seen(pixel_net("a"), {}, jnp.ones((1, 16, 16, 3)))
    )
