"""import gan_jax as gj: what is called from Python and shown in notebooks."""

import base64
import dataclasses
import io
import logging
import pathlib
import re
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import gan_jax as gj
from gan_jax import checkpoint, evaluation
from gan_jax.data.images import save_png
from gan_jax.evaluation import folders
from gan_jax.inference import generate, stylize
from gan_jax.runtime import xla_flags
from tests.algorithms.starganv2_test import CLASSES, SETTINGS
from tests.runs import untrained

NOISE = {"algorithm": "noise_to_image", "model": "mlp", "data": {}, "batch": 4, "total_kimg": 1.0}
NOISE |= {"g": {"widths": (4,)}, "d": {"widths": (4,)}, "game": {"z_dim": 5}}

CONFIG = """
import ml_collections

def get_config(arg=None):
    c = ml_collections.ConfigDict()
    c.algorithm, c.model, c.batch, c.total_kimg = "noise_to_image", "mlp", 4, 0.008
    c.data = dict(source="folder", path="PATH", resolution=4, flip=False)
    c.g, c.d, c.game = dict(widths=(4,)), dict(widths=(4,)), dict(z_dim=5)
    return c
"""


@pytest.fixture(scope="module")
def noise(tmp_path_factory):
    """A sampler that draws from noise, of two classes."""
    folder = tmp_path_factory.mktemp("api") / "noise"
    return gj.load(untrained(folder, NOISE, [6, 8, 3], ["<b>cat", "dog"]))


@pytest.fixture(scope="module")
def translator(tmp_path_factory):
    folder = tmp_path_factory.mktemp("api") / "translator"
    return gj.load(untrained(folder, SETTINGS, [16, 16, 3], CLASSES))


def test_importing_it_imports_no_jax():
    code = "import gan_jax, sys; gan_jax.__version__; print('jax' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_all_names_are_there():
    for name in gj.__all__:
        assert getattr(gj, name).__doc__
    assert dir(gj) == sorted([*gj.__all__, "__version__"])
    with pytest.raises(AttributeError, match="no attribute 'sampler'"):
        gj.sampler  # noqa: B018


def test_sample_draws_what_the_tool_draws(noise, tmp_path):
    images = noise.sample(3, seed=7, label="dog")
    assert images.dtype == np.uint8 and images.shape == (3, 6, 8, 3)
    generate.generate(noise, [7, 8, 9], tmp_path, name="dog")
    for i in range(3):
        np.testing.assert_array_equal(images[i], Image.open(tmp_path / f"seed000{7 + i}_dog.png"))
    assert (images[0] != images[1]).any()


def test_sample_takes_the_classes_in_turn_and_any_number(noise, monkeypatch):
    all_classes = noise.sample(4, seed=1)
    np.testing.assert_array_equal(all_classes[1::2], noise.sample(4, seed=1, label="dog")[1::2])
    monkeypatch.setattr("gan_jax.inference.sampler.BATCH", 3)
    np.testing.assert_array_equal(noise.sample(4, seed=1), all_classes)


def test_what_cannot_be_sampled_is_said_in_one_line(noise, translator):
    with pytest.raises(ValueError, match="label='dgo' is not known. Did you mean 'dog'?"):
        noise.sample(1, label="dgo")
    with pytest.raises(ValueError, match="n=0: it must be at least 1"):
        noise.sample(0)
    with pytest.raises(ValueError, match="starganv2 turns pictures into pictures"):
        translator.sample(1)
    with pytest.raises(ValueError, match="noise_to_image draws new pictures from noise"):
        noise.stylize(np.zeros((8, 8, 3), np.uint8))


@pytest.mark.parametrize("label", [3, ["dog", "dog"]])
def test_a_label_is_a_name(noise, label):
    message = re.escape(f"label={label!r}: give the name of one class. Known: <b>cat, dog.")
    with pytest.raises(ValueError, match=message):
        noise.sample(2, label=label)


@pytest.mark.parametrize("seed", ["a", 2**70, 2**32, -1, 1.5, True])
def test_a_seed_is_a_whole_number_of_32_bits(noise, translator, seed):
    message = re.escape(f"seed={seed!r}: it must be a whole number from 0 to 4294967295.")
    with pytest.raises(ValueError, match=message):
        noise.sample(seed=seed)
    with pytest.raises(ValueError, match=message):
        translator.stylize(np.zeros((8, 8, 3), np.uint8), style="dylan", seed=seed)


def test_the_last_of_the_seeds_counts_too(noise):
    assert noise.sample(2, seed=np.int64(2**32 - 2)).shape[0] == 2
    with pytest.raises(ValueError, match="from 0 to 4294967294, for it and the 1 after it"):
        noise.sample(2, seed=2**32 - 1)


def test_a_sampler_is_shown_in_a_line(noise, translator):
    assert repr(noise) == (
        "<Sampler noise, step 0: noise_to_image, 6x8x3, draws from noise, 2 classes>"
    )
    assert "translator, step 0: starganv2, 16x16x3, translates pictures" in repr(translator)


def test_what_is_no_path_is_said_in_one_line():
    with pytest.raises(ValueError, match="path=None: give the path of a run's workdir"):
        gj.load(None)


def test_stylize_takes_a_file_a_picture_or_an_array(translator, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    save_png(tmp_path / "me.png", pixels)
    found = translator.stylize(pixels, style="dylan", seed=3)
    assert found.dtype == np.uint8 and found.shape == pixels.shape
    stylizer = stylize.Stylizer(translator)
    wanted = stylizer(pixels[None], stylizer.looks(["dylan"], 3)[0])[0]
    np.testing.assert_array_equal(found, wanted)
    for picture in (tmp_path / "me.png", str(tmp_path / "me.png"), Image.fromarray(pixels)):
        np.testing.assert_array_equal(translator.stylize(picture, style="dylan", seed=3), found)
    like = translator.stylize(pixels, style="dylan", reference=tmp_path / "me.png")
    look = stylizer.look_of(pixels, "dylan")
    np.testing.assert_array_equal(like, stylizer(pixels[None], look)[0])


def test_pictures_of_other_kinds_keep_their_channels(translator):
    assert translator.stylize(np.zeros((8, 9), np.uint8), style="dylan", strength=0).shape[2] == 1
    palette = Image.new("RGB", (9, 8), "red").convert("P")
    red = translator.stylize(palette, style="dylan", strength=0)
    assert red.shape == (8, 9, 3) and red[0, 0].tolist() == [255, 0, 0]
    clear = Image.new("LA", (9, 8), (5, 0))
    assert translator.stylize(clear, style="dylan", strength=0)[0, 0].tolist() == [5, 5, 5, 0]


def test_what_cannot_be_stylized_is_said_in_one_line(translator, tmp_path):
    pixels = np.zeros((8, 8, 3), np.uint8)
    with pytest.raises(ValueError, match="style=None: name one. Known: avataaars, dylan"):
        translator.stylize(pixels)
    with pytest.raises(ValueError, match=r"picture: an array float64\[8, 8, 3\]; give uint8"):
        translator.stylize(pixels.astype(float), style="dylan")
    (tmp_path / "text.png").write_text("none")
    with pytest.raises(ValueError, match=r"picture=.*text.png: no known image format"):
        translator.stylize(tmp_path / "text.png", style="dylan")
    with pytest.raises(ValueError, match="strength=2: it must be within 0"):
        translator.stylize(pixels, style="dylan", strength=2)


def picture_in(page):
    (data,) = re.findall(r'src="data:image/png;base64,([^"]*)"', page)
    return Image.open(io.BytesIO(base64.b64decode(data)))


def test_notebooks_show_a_sampler(noise, translator):
    page = noise._repr_html_()
    assert picture_in(page).size == (8 * 8, 6)
    assert "noise, step 0" in page and "noise_to_image, 6x8x3" in page
    assert "2 classes: &lt;b&gt;cat, dog" in page and "<b>cat" not in page
    page = translator._repr_html_()
    assert "translator, step 0" in page and "<img" not in page
    grid = np.zeros((40, 1600, 3), np.uint8)
    save_png(translator.step.parent.parent / "samples" / "0000000000.png", grid)
    assert picture_in(translator._repr_html_()).size == (800, 20)


def test_train_gives_a_run(tmp_path, capsys, monkeypatch):
    """By a config's file, with overrides; notebooks show it."""
    for i in range(8):
        save_png(tmp_path / "data" / f"{i}.png", np.full((4, 4, 3), 30 * i, np.uint8))
    (tmp_path / "mine.py").write_text(CONFIG.replace("PATH", str(tmp_path / "data")))
    overrides = {"game.z_dim": 3, "total_kimg": 0.004}
    run = gj.train(tmp_path / "mine.py", tmp_path / "run", overrides=overrides)
    assert run.step == 1 and run.metrics()[-1]["step"] == 1
    assert gj.Run(str(tmp_path / "run")) == run
    sampler = run.load()
    own = checkpoint.read_meta(sampler.step)
    own["config"]["model"] = "mine.networks"
    monkeypatch.setattr(checkpoint, "read", lambda *args: ({}, own))
    with pytest.raises(ValueError, match=r"in Python trusted=\['mine.networks'\]"):
        run.load()
    with pytest.raises(ValueError, match="config.model='mine.networks'"):
        run.load(trusted=["mine.networks"])
    assert sampler.sample(2).shape == (2, 4, 4, 3) and sampler.latents([0]).shape == (1, 3)
    page = run._repr_html_()
    assert "run, step 1" in page and "noise_to_image/mlp" in page and picture_in(page).size[1] > 4


def test_evaluate_measures_a_run_or_two_folders(noise, tmp_path, monkeypatch):
    """What it hands to the evaluation; the evaluation's own tests measure."""
    called = []
    monkeypatch.setattr(evaluation, "run", lambda *args, **how: called.append((args, how)) or {})
    monkeypatch.setattr(folders, "compare", lambda *args, **how: called.append((args, how)) or {})
    workdir = noise.step.parent.parent
    assert gj.evaluate(workdir, metrics="kid") == gj.evaluate(tmp_path, "real") == {}
    ((config, place), how), (args, _) = called
    assert config.model == "mlp" and place == workdir and how == {"metrics": ["kid"]}
    assert args == (str(tmp_path), "real", None)
    with pytest.raises(ValueError, match="held_out goes with `real`"):
        gj.evaluate(workdir, held_out="x")


def test_a_runs_data_may_not_name_code_that_nobody_trusts(tmp_path):
    data = {"source": "unpaired", "a": {"source": "avatars"}, "b": {"source": "evil.data"}}
    run = untrained(tmp_path / "run", NOISE | {"data": data}, [6, 8, 3])
    with pytest.raises(ValueError, match="its data.b.source, 'evil.data', is Python from outside"):
        gj.evaluate(run)


def test_a_config_may_be_an_object_a_name_or_a_file():
    from gan_jax import config

    named = config.resolve("avatars:smoke", {"batch": 8, "data.labels": "hair"})
    assert named.batch == 8 and named.data["labels"] == "hair"
    again = config.resolve(named, {"game.z_dim": 7})
    assert again.game["z_dim"] == 7 and again.batch == 8 and named.game["z_dim"] != 7
    values = {"data.root": pathlib.Path("photos"), "data.identities": np.int64(20), "seed": 3}
    for given in (named, "avatars"):
        run = config.resolve(given, values | {"opt_g.lr": np.float32(0.5), "g": {"widths": (4,)}})
        assert run.data["root"] == "photos" and run.seed == 3 and run.g == {"widths": (4,)}
        assert type(run.data["identities"]) is int and type(run.opt_g["lr"]) is float
    with pytest.raises(ValueError, match="config.data.path='': it is empty"):
        config.resolve(dataclasses.replace(named, data={"path": ""}), {})
    with pytest.raises(ValueError, match="config.g.widths: a ndarray is no setting"):
        config.resolve(named, {"g.widths": np.ones(3)})
    with pytest.raises(ValueError, match="config.bach: no such setting. Did you mean 'batch'?"):
        config.resolve(named, {"bach": 7})
    with pytest.raises(ValueError, match="--config=avatrs: no such config.* mean 'avatars'?"):
        config.resolve("avatrs", {})


def test_jax_imported_too_early_is_said(noise, monkeypatch, caplog):
    monkeypatch.setattr(xla_flags, "missing", lambda: True)
    with caplog.at_level(logging.WARNING, "gan_jax"):
        gj._warn_too_late.cache_clear()
        gj.load(noise.step)
        gj.load(noise.step)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "JAX was imported before" in caplog.text
