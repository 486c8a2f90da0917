"""Every file in configs/ trains with :smoke, resumes bit for bit, and what it saved is sampled by
the tool."""

import dataclasses
import json
import math
import os
import shutil

import jax
import numpy as np
import pytest
from PIL import Image

from gan_jax import algorithms, build, checkpoint, config, main
from gan_jax.distributed.parallel import Parallel
from gan_jax.evaluation.protocol import Protocol
from gan_jax.runtime import registry
from tests.paths import ROOT

CONFIGS = sorted((ROOT / "configs").glob("*.py"))
# Their games are those of another config, which is always tried, or trained in tests/algorithms,
# and so are their networks; run these with -m slow.
ALIKE = {
    "avatars_dcgan",  # in tests/readme_test.py
    "avatars_rgba64",
    "cartoon_comic",
    "folder",
    "portraits_few",
    "portraits_dorm",
    "avatars_biggan",
    "wgan_gp_cifar10",
    "biggan_cifar10",
    "biggan_imagenet128",
    "sagan_imagenet128",
    "stylegan2_cifar10",
    "stylegan2_ffhq256",
    "r3gan_cifar10",
    "r3gan_ffhq256",
    "r3gan_imagenet64",
    "projected_ffhq256",
    "starganv2_afhq",
    "starganv2_celeba_hq",
    "pix2pix_facades",
    "emoji_pix2pix",
    "cyclegan_horse2zebra",
    "emoji_cut",
    "avatars_cut",
    "single_cut",
    "cartoon_anime",
    "cartoon_film",
    "cartoon_white_box",
    "dcgan_celeba64",
    "dcgan_cifar10",
    "wgan_cifar10",
    "realesrnet_x4",
    "realesrgan_x4",
    "lama_places",
    "deepfill_places",
    "migan_ffhq256",
}
# Of games that keep more than weights between iterations: what makes them use it within two
# iterations, and after them.
KEEPS = {
    "avatars": ["game.gamma_every=2"],  # stopped where its critic's other part joins
    "avatars_biggan": [],
    "avatars_stylegan2": ["game.path_every=2", "game.r1_every=2"],
    "avatars_r3gan": [
        "augment.target=0.6",
        "augment.rise_kimg=None",
        "game.lecam=0.3",
        "game.lecam_start=1",
    ],
    "avatars_starganv2": [],
    "emoji_cyclegan": [],
}
# Whose evaluation is that of another config's kind of game, tried there; -m slow tries them too.
NOT_EVALUATED = {
    "avatars_stylegan2",
    "avatars_r3gan",
    "emoji_cyclegan",
    "sngan_cifar10",
    "gan_mnist",
}


@pytest.fixture
def shared_experiment(monkeypatch):
    """Runs whose settings differ in their evaluation only use the same compiled programs, on one
    device."""
    build_experiment, made = build.experiment, {}
    one = jax.devices()[:1]  # programs for one device compile a fifth faster than those for two
    monkeypatch.setattr(build, "Parallel", lambda kind: Parallel(kind, one))

    def experiment(run, *, new=True):
        key = json.dumps(config.as_json(dataclasses.replace(run, eval_every_kimg=None)))
        if key not in made:
            made[key] = build_experiment(run, new=new)
        settings = dataclasses.replace(made[key].config, eval_every_kimg=run.eval_every_kimg)
        return dataclasses.replace(made[key], config=settings)

    monkeypatch.setattr(build, "experiment", experiment)


def runs():
    """(file, whether it is evaluated), the slow ones marked."""
    for file in CONFIGS:
        slow = [pytest.mark.slow]
        marks = slow * (file.stem in NOT_EVALUATED | ALIKE)
        yield pytest.param(file, True, id=f"{file.stem}-evaluated", marks=marks)
        if file.stem in NOT_EVALUATED:
            yield pytest.param(file, False, id=file.stem)


@pytest.mark.parametrize(("file", "evaluated"), list(runs()))
def test_smoke(file, evaluated, tool, tmp_path, shared_data, capsys, shared_experiment):
    args = ["--config", f"{file}:smoke", *needs(file, tmp_path)]
    args += [f"--config.{setting}" for setting in KEEPS.get(file.stem, [])]
    if not evaluated:
        args += ["--config.eval_every_kimg=None"]
    if file.stem in KEEPS:
        args += [f"--config.save_every_kimg={config.load(f'{file}:smoke').total_kimg / 2}"]
    assert main.main([*args, "--workdir", str(tmp_path / "run")]) == 0
    if file.stem == "folder":
        said = capsys.readouterr()
        said = said.out + said.err
        assert "9 pictures are fewer than 10,000" in said and "9 images are few:" in said
        assert "config.g.palette=0: they are not drawn in flat colors" in said
        assert "real pictures" in said.partition("memorised_alexnet")[2]
    if file.stem == "pairs":
        said = capsys.readouterr()
        assert "config.g.guided=" in said.out + said.err
    if file.stem in KEEPS:
        resumes(args, tmp_path / "run", tmp_path / "again")
    lines = [
        json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    ]
    assert lines and all(math.isfinite(value) for line in lines for value in line.values())
    assert list((tmp_path / "run" / "samples").glob("*.png"))
    algorithm, _ = algorithms.modules(config.load(str(file)))
    Image.new("RGB", (40, 50), (20, 200, 90)).save(tmp_path / "me.png")
    run, me = tmp_path / "run", tmp_path / "me.png"
    inputs, made = {
        "sample": ([run, "--seeds", "0-1"], "sheet/grid.png"),
        "stylize": ([run, me], "sheet/sheet.png" if "starganv2" in file.stem else "me.png"),
        "restore": ([me, "--model", run], "me.png"),
        "inpaint": ([me, "--model", run, "--box", "4,4,9,9"], "me.png"),
    }[algorithm.Algorithm.command]
    done = tool(algorithm.Algorithm.command, *inputs, "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert Image.open(tmp_path / "out" / made).size[0] > 0


def resumes(args, whole, workdir):
    """Goes on from the run's first checkpoint alone, in another workdir: it must end as the run
    did, in every bit."""
    first, last = sorted(map(int, os.listdir(whole / "checkpoints")))
    shutil.copytree(whole / "checkpoints" / str(first), workdir / "checkpoints" / str(first))
    assert main.main([*args, "--config.eval_every_kimg=None", "--workdir", str(workdir)]) == 0
    want, got = (
        checkpoint.read(folder / "checkpoints" / str(last), ("",))[0] for folder in (whole, workdir)
    )
    assert list(want) == list(got)
    for name in want:
        np.testing.assert_array_equal(want[name], got[name], err_msg=name)


def needs(file, tmp_path):
    """The folder's configs want a folder."""
    if file.stem not in ("folder", "portraits_few", "portraits_dorm"):
        return []
    place = tmp_path if file.stem == "folder" else tmp_path / "mine"
    place.mkdir(exist_ok=True)
    for i in range(9):
        Image.new("RGB", (40, 50), (20 * i, 255 - 20 * i, 90)).save(place / f"{i}.png")
    return ["--config.data.path", str(tmp_path)]


@pytest.mark.parametrize("file", CONFIGS, ids=lambda file: file.stem)
def test_the_whole_config_names_a_game_that_exists(file):
    run = config.load(str(file))
    data = run.data.get("a", run.data.get("of", run.data))
    channels = 4 if run.data["source"] == "masked" else data.get("channels", 3)
    shape = (*(data["resolution"],) * 2, channels)
    game = algorithms.make_game(run, shape, 10 if data.get("labels") else 0)
    assert game.phases and run.total_steps > 100
    for spec in (str(file), f"{file}:smoke"):
        registry.build(Protocol, config.load(spec).eval, "config.eval")
