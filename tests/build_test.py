"""What is wrong with a config is said before any data is opened."""

import dataclasses

import pytest

from gan_jax import algorithms, build, config, main, training
from gan_jax.distributed.parallel import Parallel
from tests.paths import ROOT

CONFIGS = ROOT / "configs"
DEFAULT, CUT, PAIRS = "avatars_dcgan.py:smoke", "emoji_cut.py:smoke", "emoji_pix2pix.py:smoke"


@pytest.fixture
def unopened(monkeypatch):
    """Fails the test where data is opened."""

    def opened(settings):
        raise AssertionError(f"opened {settings}")

    monkeypatch.setattr(build, "open_source", opened)


@pytest.mark.parametrize(
    ("file", "override", "message"),
    [
        (DEFAULT, "game.los=hinge", r"config.game.los: no such setting. Did you mean 'loss'\?"),
        (DEFAULT, "game.penalty=r3", r"config.game.penalty='r3' is not known"),
        (DEFAULT, "g.widht=8", r"config.g.widht: no such setting. Did you mean 'width'\?"),
        (DEFAULT, "d.norm=bach", r"'bach'.*Did you mean 'batch'"),
        (DEFAULT, "data.resolution=37", r"images 37x37: both sides must halve"),
        (DEFAULT, "opt_g.schedule=linar", r"config.opt_g.schedule='linar'.*Did you mean 'linear'"),
        (DEFAULT, "opt_d.lr=-1.0", r"config.opt_d.lr=-1.0 is out of range"),
        (DEFAULT, "opt_g.networks={'h': {}}", r"config.opt_g.networks='h' is not known"),
        (DEFAULT, "accumulate=3", r"config.accumulate=3: it can't cut"),
        (DEFAULT, "parallel=tpu", r"config.parallel='tpu' is not known"),
        (DEFAULT, "batch=7", r"config.batch=7: 2 devices can't share it equally"),
        (DEFAULT, "augment={'name': 'ada', 'target': 3.0}", r"config.augment.target=3.0"),
        (DEFAULT, "conditional=False", r"config.conditional=False, but the data has classes"),
        (DEFAULT, "init_from=nowhere", r"nowhere"),
        (DEFAULT, "data.labels=stile", r"config.data.labels='stile'.*Did you mean 'style'"),
        (DEFAULT, "data.channels=2", r"config.data.channels=2: it must be 1"),
        (DEFAULT, "data.colour=1", r"config.data.colour: no such setting"),
        (DEFAULT, "data.source=avatar", r"config.data.source='avatar'.*Did you mean 'avatars'"),
        (DEFAULT, "eval.metrics=('kidd',)", r"config.eval.metrics='kidd'.*Did you mean 'kid'"),
        (
            DEFAULT,
            "eval.best=fid",
            r"config.eval.best='fid': it is a value of the measure 'fid', which .* lacks",
        ),
        (DEFAULT, "eval.images=2", r"kid needs at least 3 generated images, got 2"),
        (
            DEFAULT,
            "eval.held_out={'split': 'tset'}",
            r"config.eval.held_out.split='tset'.*Did you mean 'test'",
        ),
        (
            DEFAULT,
            "eval.held_out={'spilt': 'test'}",
            r"config.eval.held_out.spilt: no such setting",
        ),
        (
            DEFAULT,
            "eval.metrics=('kid', 'usefulness')",
            r"usefulness needs held-out real pictures",
        ),
        (DEFAULT, "eval.metrics=('kid', 'shift_error')", r"shift_error is of translators"),
        (DEFAULT, "eval.weights=nowhere.onnx", r"nowhere.onnx"),
        (CUT, "game.taps=(0, 99)", r"config.game.taps: no layer 99"),
        (
            CUT,
            "networks={'hedas': {}}",
            r"config.networks='hedas' is not known. Did you mean 'heads'",
        ),
        (
            CUT,
            "eval.metrics=('kid', 'fidelity')",
            r"fidelity needs each picture's true translation",
        ),
        (CUT, "data.b.styles=('dilan',)", r"config.data.b.styles='dilan'.*Did you mean 'dylan'"),
        (
            CUT,
            "data.b.resolution=16",
            r"config.data: a's pictures are \[32, 32, 3\], b's \[16, 16, 3\]",
        ),
        (CUT, "data.b.path=nowhere", r"config.data.b.path='nowhere': no such file or folder"),
        (
            PAIRS,
            "data.source=unpaired",
            r"config.data.source='unpaired': config.algorithm='pix2pix' takes 'paired'",
        ),
        (PAIRS, "data.a.flip=True", r"a has flip=True, b False"),
        (
            "sngan_cifar10.py",
            "data.name=cifra10",
            r"config.data.name='cifra10': no such TFDS data set",
        ),
        ("avatars_stylegan2.py:smoke", "d.mbstd_group=3", r"config.d.mbstd_group=3"),
        ("avatars_starganv2.py:smoke", "data.labels=None", r"the data has no classes"),
    ],
)
def test_what_is_wrong_is_said_before_data_is_opened(file, override, message, unopened, tmp_path):
    with pytest.raises(ValueError, match=message):
        training.run(config.load(f"{CONFIGS / file}", [override]), tmp_path / "run")
    assert {path.name for path in (tmp_path / "run").glob("*")} == {".lock"}


NETWORKS = """
import flax.linen as nn

class Generator(nn.Module):
    shape: tuple

    @nn.compact
    def __call__(self, {z}, *, train):
        return {picture}

class Discriminator(nn.Module):
    @nn.compact
    def __call__(self, x, y=None, *, train):
        return {logit}
"""
FITS = dict(
    z="z, y=None",
    picture="nn.tanh(nn.Dense(8 * 8 * 3)(z)).reshape(-1, *self.shape)",
    logit="nn.Dense(1)(x.reshape(x.shape[0], -1))[:, 0]",
)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({}, None),
        (
            {"z": "z"},
            r"Generator must have __call__\(self, z, y, \*, train\): too many positional arguments",
        ),
        (
            {"picture": "nn.Dense(64)(z)"},
            r"Generator gives \[2, 64\] for 2 images; it must give images f32 \[2, 8, 8, 3\]",
        ),
        (
            {"logit": "nn.Dense(1)(x).mean()"},
            r"Discriminator gives \[\] for 2 images; it must give logits f32 \[2, ...\]",
        ),
        ({"logit": "(x, x)"}, r"Discriminator gives tuple for 2 images"),
        ({"picture": "z.rehsape(2)"}, r"Generator, line 9: AttributeError: .*rehsape"),
    ],
)
def test_networks_of_ones_own_are_told_what_they_must_take_and_give(
    change, message, tmp_path, monkeypatch, unopened
):
    monkeypatch.syspath_prepend(tmp_path)
    package = tmp_path.name  # another for each case: a module is imported once
    (tmp_path / package).mkdir()
    (tmp_path / package / "networks.py").write_text(NETWORKS.format(**(FITS | change)))
    own = [f"model={package}.networks", "g={}", "d={}", "data.resolution=8", "eval_every_kimg=None"]
    run = config.load(f"{CONFIGS / DEFAULT}", own)
    if message is None:
        return build.check(run, Parallel("jit"), new=True)
    with pytest.raises(ValueError, match=message) as caught:
        build.check(run, Parallel("jit"), new=True)
    assert "\n" not in str(caught.value) and f"config.model='{package}.networks'" in str(
        caught.value
    )


def test_very_few_images_are_told_what_to_expect(toy_game):
    run, game = config.load(str(CONFIGS / "folder.py")), toy_game()
    assert "99 images are few" in build.warn_of_few_images(run, game, 99)[0]
    assert (
        build.warn_of_few_images(run, game, 100)
        == []
        == build.warn_of_few_images(dataclasses.replace(run, init_from="runs/many"), game, 9)
    )
    cut = config.load(str(CONFIGS / CUT))
    assert build.warn_of_few_images(cut, algorithms.make_game(cut, (32, 32, 3), 0), 2) == []


def test_a_source_of_ones_own_is_checked_by_its_arguments(tmp_path, monkeypatch, unopened):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "rows.py").write_text(
        "class Source:\n    def __init__(self, place: str): raise AssertionError\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    own = lambda settings: config.load(
        f"{CONFIGS / DEFAULT}", [f"data={settings!r}", "eval_every_kimg=None"]
    )
    build.check(own({"source": "mine.rows", "place": "x"}), Parallel("jit"), new=True)
    with pytest.raises(
        ValueError, match="config.data.palce: no such setting. Did you mean 'place'"
    ):
        build.check(own({"source": "mine.rows", "palce": "x"}), Parallel("jit"), new=True)


def test_evaluation_alone_is_checked_first(tmp_path, capsys, shared_data, unopened):
    args = ["--config", f"{CONFIGS / DEFAULT}", "--workdir", str(tmp_path), "--mode", "eval"]
    assert main.main([*args, "--metrics", "kidd"]) == 1
    assert "Did you mean 'kid'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--metrics", "kidd"], "Did you mean 'kid'"),
        (["--features", "inceptio"], "Did you mean 'inception'"),
        (["--resize", "bicubc"], "Did you mean 'bicubic'"),
        (["--reference", "0"], "reference=0: it must be at least 1"),
        (["--pairs", "--metrics", "psnrr"], "Did you mean 'psnr'"),
        (["--pairs", "--metrics", "lpips", "--features", "vgg16"], "lpips is measured by"),
    ],
)
def test_evaluating_folders_is_checked_before_they_are_opened(flags, message, tool, tmp_path):
    done = tool("evaluate", tmp_path / "nowhere", tmp_path / "nowhere", *flags)
    assert done.returncode == 1 and message in done.stderr, done.stderr


@pytest.mark.parametrize("model", ["rrdb", "animegan"])
def test_a_network_that_draws_nothing_from_noise(model, unopened):
    data = {"source": "avatars", "resolution": 32}
    run = config.Config("noise_to_image", model, data=data, batch=4, total_kimg=1.0)
    with pytest.raises(ValueError, match=rf"config.model='{model}': Generator must have __call__"):
        build.experiment(run)
