"""Runs of games that restore: by their own command, and by no other."""

import functools

import jax
import numpy as np
import pytest
from PIL import Image

from gan_jax.inference import inpaint, loading, restore
from gan_jax.inference.exported import load_stablehlo
from tests import runs
from tests.paths import FIXTURES

ENLARGES = {"algorithm": "super_resolution", "model": "srvgg", "data": {}, "batch": 2}
ENLARGES |= {
    "total_kimg": 1.0,
    "g": {"width": 3, "layers": 1, "scale": 2},
    "d": {"width": 2},
    "game": {"perceptual": 0.0},
}
FILLS = {"algorithm": "inpaint", "model": "lama", "data": {}, "batch": 2, "total_kimg": 1.0}
FILLS |= {"g": {"width": 4, "levels": 1, "blocks": 1}, "d": {"width": 2, "levels": 1}}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    return {
        "restore": runs.untrained(root / "enlarges", ENLARGES, (32, 32, 3)),
        "inpaint": runs.untrained(root / "fills", FILLS, (32, 32, 4)),
    }


@pytest.fixture
def picture(tmp_path):
    x = np.random.default_rng(0).integers(0, 256, (40, 48, 3), np.uint8)
    Image.fromarray(x).save(tmp_path / "x.png")
    return x


def test_a_run_enlarges(made, picture, tool, tmp_path):
    done = tool("restore", tmp_path / "x.png", "--model", made["restore"], "--scale", 2,
                "--out", tmp_path / "out")  # fmt: skip
    assert done.returncode == 0, done.stderr
    sampler = loading.load_sampler(made["restore"])
    net, params = sampler.game.g, sampler.ema["params"]["g"]
    wanted = jax.jit(functools.partial(net.apply, {"params": params}))(picture[None] / 255.0)
    found = np.asarray(Image.open(tmp_path / "out" / "x.png"))
    assert found.shape == (80, 96, 3)
    inner = np.s_[8:-8, 8:-8]  # around it pictures are padded
    assert np.abs(found - np.clip(wanted[0], 0, 1) * 255)[inner].max() <= 0.51
    assert restore.parts(str(made["restore"]))  # all files of it, by which a clip's job is known


def test_a_run_fills(made, picture, tool, tmp_path):
    done = tool("inpaint", tmp_path / "x.png", "--model", made["inpaint"], "--box", "8,8,9,9",
                "--feather", 0, "--out", tmp_path / "out")  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = np.asarray(Image.open(tmp_path / "out" / "x.png"))
    changed = (found != picture).any(-1)
    assert changed[8:17, 8:17].mean() > 0.9 and changed.sum() <= 81


@pytest.mark.parametrize("kind", ["restore", "inpaint"])
def test_other_commands_say_which_it_is_for(made, picture, kind, tool, tmp_path):
    others = {
        "stylize": [made[kind], tmp_path / "x.png"],
        "sample": [made[kind]],
        "restore": [tmp_path / "x.png", "--model", made[kind]],
        "inpaint": [tmp_path / "x.png", "--model", made[kind]],
    }
    for name in others.keys() - {kind}:
        done = tool(name, *others[name], "--out", tmp_path / "out")
        assert done.returncode != 0 and f"use `gan-jax {kind} --model`" in done.stderr, done.stderr


def test_a_file_of_lama_is_a_model(picture, tool, tmp_path):
    official = np.load(FIXTURES / "lama.npz")
    arrays = {name[2:]: official[name] for name in official.files if name.startswith("g/")}
    np.savez(tmp_path / "lama.npz", **arrays)
    assert inpaint.load(tmp_path / "lama.npz").shape == (256, 256, 4)
    done = tool("inpaint", tmp_path / "x.png", "--model", tmp_path / "lama.npz", "--box",
                "8,8,9,9", "--out", tmp_path / "out")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert Image.open(tmp_path / "out" / "x.png").size == (48, 40)


@pytest.mark.parametrize("kind", ["restore", "inpaint"])
def test_a_run_is_exported(made, kind, tool, tmp_path, picture):
    """One that enlarges for small pictures of any size, as they are."""
    done = tool("export", made[kind], "--out", tmp_path / "exported")
    assert done.returncode == 0, done.stderr
    call = load_stablehlo(tmp_path / "exported" / f"{kind}.stablehlo")
    sampler = loading.load_sampler(made[kind])
    x = np.random.default_rng(1).random((3, 12, 20, 3)).astype(np.float32)
    if kind == "restore":
        wanted = sampler.game.g.apply({"params": sampler.ema["params"]["g"]}, x)
        np.testing.assert_allclose(call(x), np.clip(wanted, 0, 1), atol=1e-6)
        assert "2 times as large" in (tmp_path / "exported" / "about.json").read_text()
    else:
        x = np.where(np.random.default_rng(1).random((2, 32, 32, 4)) < 0.5, -1, 1).astype("float32")
        wanted = sampler.restyle(x, np.zeros((2, 0), np.float32))
        np.testing.assert_allclose(call(x), wanted, atol=1e-5)
    done = tool("stylize", tmp_path / "exported", tmp_path / "x.png", "--out", tmp_path / "out")
    assert done.returncode != 0 and f"{kind}.stablehlo" in done.stderr


def test_the_models_that_there_are_are_named(tool, picture, tmp_path):
    flags = ["--out", tmp_path / "out"]
    done = tool("inpaint", tmp_path / "x.png", "--model", "nowhere", "--box", "1,1,5,5", *flags)
    assert "--model=nowhere: no such run or file. Or one of portraits-fill." in done.stderr
    for name in ("none/x.pth", "portraits-x5"):
        done = tool("restore", tmp_path / "x.png", "--model", name, *flags)
        assert done.returncode != 0 and "portraits-x4" in done.stderr, done.stderr
