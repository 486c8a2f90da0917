"""The look of one drawing, on generators of a few hundred weights."""

import functools
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from gan_jax import pretrained
from gan_jax.checkpoint import shared
from gan_jax.commands import look as command
from gan_jax.commands import sample as sample_command
from gan_jax.data.images import as_rgb, save_png
from gan_jax.inference import loading
from gan_jax.nn import alpha
from gan_jax.personalize import looks, one_shot
from gan_jax.personalize.base import Base
from gan_jax.personalize.one_shot import OneShot
from tests.nets import pixel_net
from tests.runs import PALETTE, STYLED, lively, lively_stylegan2, untrained


@pytest.fixture(autouse=True)
def nets(monkeypatch):
    monkeypatch.setitem(pretrained.NETS, "lpips_vgg", pixel_net)


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


@functools.partial(jax.jit, static_argnums=0)
def drawn(base, params, ws):
    return base.draw(params, ws)


def reference(base):
    """(picture, its code): a square of a color that the base does not draw, on a sample."""
    code = np.asarray(base.repeat(jnp.asarray(base.statistics.ws[5:6])))
    picture = np.array(drawn(base, base.params, code))
    picture[:, 2:14, 2:10] = [0.9, -0.9, 0.9, 1]
    return picture, code


@pytest.fixture(scope="module")
def taught(base):
    """(OneShot, what it found, its steps and distances)."""
    patch, seen = pytest.MonkeyPatch(), []
    patch.setitem(pretrained.NETS, "lpips_vgg", pixel_net)
    teach = OneShot(base, steps=60, lr=1e-2)
    found = teach(*reference(base), log=lambda step, near: seen.append((step, near)))
    patch.undo()
    return teach, found, seen


def test_as_many_coarse_layers_stay_as_in_the_paper():
    assert np.flatnonzero(one_shot.mask_of(18)).tolist() == list(range(7, 18))
    assert one_shot.mask_of(4).tolist() == [0, 0, 1, 1]
    assert one_shot.mask_of(4, 1).tolist() == [0, 1, 1, 1]
    assert one_shot.mask_of(4, keep_colors=True).tolist() == [0, 0, 1, 0]


def test_mixed_codes():
    ws, others = np.full((2, 3, 4), 1.0, np.float32), np.full((2, 4), 5.0, np.float32)
    found = one_shot.mixed(jnp.asarray(ws), jnp.asarray(others), np.array([0, 1, 1.0]), 0.25)
    np.testing.assert_allclose(found[:, 0], 1)
    np.testing.assert_allclose(found[:, 1:], 2)


def test_the_loss_is_the_written_one(base):
    picture, code = reference(base)
    teach = OneShot(base, pixels=3.0)
    target = jnp.asarray(picture)
    wanted = pixel_net("a").apply({}, alpha.over(target, jnp.ones(3))).features
    weights = {"net": {}, "g": base.params}
    part = target, wanted, jnp.asarray(code)
    loss, near = jax.jit(teach.loss)({}, weights, part)
    made = drawn(base, base.params, code)
    white = [alpha.over(x, jnp.ones(3)).reshape(8, 2, 8, 2, 3).mean((1, 3)) for x in (made, target)]
    lpips = 4 * jnp.square(white[0] - white[1]).mean()
    assert near == pytest.approx(float(lpips), rel=1e-4) and near > 0.1
    assert loss == pytest.approx(float(lpips + 3 * jnp.square(made - target).mean()), rel=1e-4)


def test_mixed_codes_come_near_the_reference(base, taught):
    _, found, seen = taught
    assert found.distance.shape == (1,) and (found.distance < 0.3 * found.start).all()
    assert [step for step, _ in seen] == list(range(1, 61)) and seen[-1][1] < 0.5 * seen[0][1]
    before, after = (jax.tree.leaves(x["mapping"]) for x in (base.params, found.params))
    assert all((x == y).all() for x, y in zip(before, after, strict=True))


def spreads(base, params):
    """(how far pictures of other coarse layers lie apart, and of other fine ones): mean variances
    over codes whose coarse layer is one of six samples' and whose fine one of six others'."""
    w = jnp.asarray(base.statistics.ws)
    codes = jnp.stack([jnp.stack([w[k], w[100 + j]]) for k in range(20, 26) for j in range(6)])
    made = alpha.over(drawn(base, params, codes), jnp.ones(3)).reshape(6, 6, -1)
    return float(made.mean(1).var(0).mean()), float(made.var(1).mean())


def test_coarse_layers_still_decide_who(base, taught):
    """Fine ones, which taught codes differ in, decide less of the picture than before."""
    coarse, fine = spreads(base, base.params)
    coarse_taught, fine_taught = spreads(base, taught[1].params)
    assert coarse_taught / fine_taught > 2 * coarse / fine
    assert coarse_taught > 0.2 * coarse


def test_gray_pictures():
    x = jnp.array([[[[1.0, -1, -1, 0.5], [0.2, 0.2, 0.2, 1]]]])
    want = np.array([[[[-0.402] * 3 + [0.5], [0.2, 0.2, 0.2, 1]]]])
    np.testing.assert_allclose(one_shot.gray(x), want, atol=1e-6)
    assert (one_shot.gray(x[..., :1]) == x[..., :1]).all()
    np.testing.assert_allclose(one_shot.gray(x[..., :3]), want[..., :3], atol=1e-6)


def test_colors_that_are_kept(base):
    """The palette's part of the generator does not move; a reference is compared in gray."""
    teach, (picture, code) = OneShot(base, steps=2, first=0, keep_colors=True), reference(base)
    found = teach(picture, code)
    again = teach(np.asarray(one_shot.gray(jnp.asarray(picture))), code)
    np.testing.assert_allclose(again.start, found.start, rtol=1e-4)
    np.testing.assert_allclose(again.distance, found.distance, rtol=1e-3)
    for name, moves in (("colors", False), ("synthesis", True)):
        before, after = (jax.tree.leaves(x[name]) for x in (base.params, found.params))
        assert any((x != y).any() for x, y in zip(before, after, strict=True)) == moves


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"first": 2}, r"first=2: it must be 0 to 1; of this generator's 2 layers all may be"),
        ({"keep_colors": True}, r"first=1: it must be 0 to 0; .* the last keeps its colors"),
        ({"steps": 0}, r"steps=0: it must be at least 1"),
        ({"strength": 0.0}, r"strength=0.0: it must be more than 0, 1 at most"),
    ],
)
def test_bad_settings(base, settings, message):
    with pytest.raises(ValueError, match=message):
        OneShot(base, **settings)


# --- the folder


def test_the_folder_is_a_base(base, taught, tmp_path):
    """Its pictures are those of the taught generator; float16 rounds its weights."""
    params = taught[1].params
    made = looks.write(tmp_path / "mine", base, params, "A look.", looks.weights_of(base))
    ws = np.asarray(base.repeat(jnp.asarray(base.statistics.ws[:8])))
    want, found = base.pictures(ws, params), made.pictures(ws)
    assert (
        np.abs(want.astype(int) - found).mean()
        < 2
        < np.abs(want.astype(int) - base.pictures(ws)).mean()
    )
    np.testing.assert_allclose(made.statistics.ws, base.statistics.ws, rtol=0.02, atol=0.02)
    assert made.sha256 != base.sha256 and made.name == "mine"
    about, was = shared.read_meta(tmp_path / "mine"), loading.run_config(base.sampler.step)
    assert about["step"] == 0 and about["config"]["model"] == was.model
    card = (tmp_path / "mine" / shared.CARD).read_text()
    assert card.startswith("# mine\n\nA look.\n") and "Figures" not in card


def test_the_command(base, runs, tmp_path, monkeypatch, capsys):
    """The drawing has no alpha, and a plain ground; the look is the base of the next look."""
    monkeypatch.chdir(tmp_path)
    picture = np.full((32, 32, 3), 255, np.uint8)
    picture[6:28, 8:24] = [200, 30, 90]
    save_png("drawing.png", picture)
    quick = ["--steps", "2", "--inversion", "2"]
    command.main(["drawing.png", "--out", "one", "--base", str(runs / "colors"), *quick])
    said = capsys.readouterr().out
    assert "1 drawing; inverting to w+" in said and "of layers 0 to 1 random: 1" in said
    assert "LPIPS of mixed codes to the drawing:" in said and "neither transparency" not in said
    sheet = np.asarray(Image.open("one/sheet/look.png"))
    assert sheet.shape == (3 * 128, 10 * 128, 3)
    assert np.abs(sheet[64, 64].astype(int) - [200, 30, 90]).max() < 8  # the reference comes first
    w = base.map(base.sampler.latents([0]), np.array([0], np.int32))
    before = base.pictures(np.asarray(base.repeat(w)))
    shown = sheet[128:256, :128].reshape(16, 8, 16, 8, 3).mean((1, 3))
    assert np.abs(shown - as_rgb(before[0])).mean() < 12
    assert b"trainedAlgorithmicMedia" in (tmp_path / "one/sheet/look.png").read_bytes()
    card = (tmp_path / "one" / shared.CARD).read_text()
    assert "`drawing.png` (SHA-256 " in card and f"colors, step 0 (SHA-256 {base.sha256})" in card
    sample_command.main(["one", "--out", "pictures", "--seeds", "0-1"])
    assert len(list((tmp_path / "pictures").glob("*.png"))) >= 2

    save_png("busy.png", np.random.default_rng(0).integers(0, 255, (32, 32, 3), np.uint8))
    shutil.copytree("one", "two")  # is made anew
    command.main(["busy.png", "drawing.png", "--out", "two", "--base", "one", *quick])
    said = capsys.readouterr().out
    assert "2 drawings" in said and "1 of 2 pictures have neither transparency nor a plain" in said
    assert "`busy.png`" in (tmp_path / "two" / shared.CARD).read_text()
    with pytest.raises(ValueError, match="--out=one: it is the base itself"):
        command.main(["drawing.png", "--out", "one", "--base", "one", *quick])
    with pytest.raises(ValueError, match="--out=pictures: it holds other files"):
        command.main(["drawing.png", "--out", "pictures", "--base", "one", *quick])
    (tmp_path / "bad.png").write_bytes(b"no")
    with pytest.raises(ValueError, match="bad.png: no picture left"):
        command.main(["bad.png", "--out", "three", "--base", "one", *quick])
    assert not (tmp_path / "three").exists()


def test_a_run_without_alpha(plain, tmp_path):
    """StyleGAN2's, of six layers."""
    assert OneShot(plain, keep_colors=True).mask.tolist() == [0, 0, 1, 1, 1, 0]
    params = jax.tree.map(lambda x: 1.1 * x, plain.params)
    made = looks.write(tmp_path / "one", plain, params, "", looks.weights_of(plain))
    code = np.asarray(plain.repeat(plain.map(plain.sampler.latents([0]), None)))
    want, before = (plain.pictures(code, x).astype(int) for x in (params, plain.params))
    assert np.abs(want - made.pictures(code)).max() < 8 < np.abs(want - before).max()


def test_a_base_without_styles(tmp_path):
    settings = {"algorithm": "noise_to_image", "model": "mlp", "g": {"widths": (4,)}, "batch": 4}
    settings |= {"d": {"widths": (4,)}, "data": {}, "total_kimg": 1.0, "game": {"z_dim": 2}}
    run = untrained(tmp_path / "run", settings, [8, 8, 3])
    save_png(tmp_path / "a.png", np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(ValueError, match="personalization needs a generator with styles"):
        command.main([str(tmp_path / "a.png"), "--out", str(tmp_path / "x"), "--base", str(run)])


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["none.png"], "none.png: no such file or folder"),
        ([".", "--steps", "0"], "--steps=0: it must be at least 1"),
        ([".", "--inversion", "0"], "--inversion=0: it must be at least 1"),
        ([".", "--lr", "0"], "--lr=0.0: it must be more than 0"),
        ([".", "--strength", "1.5"], "--strength=1.5: it must be more than 0, 1 at most"),
        ([".", "--base", "no-such-model"], "no-such-model"),
    ],
)
def test_bad_flags(flags, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=message):
        command.main([*flags, "--out", "x"])
