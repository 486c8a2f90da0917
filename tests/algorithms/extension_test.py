"""The tutorial's promise: a game is one file of your own, named by its dotted path, trained by the
same command."""

import dataclasses
import json
import re
import sys

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax import algorithms, build, checkpoint, config, main
from gan_jax.algorithms import cut, cyclegan, noise_to_image, pix2pix, starganv2
from gan_jax.distributed.parallel import Parallel
from gan_jax.evaluation.sampler import BatchSampler
from tests.paths import ROOT

TUTORIAL = (ROOT / "docs" / "tutorials" / "your-own-game.md").read_text()


def test_the_docs_own_network_fits(tmp_path, monkeypatch):
    (tmp_path / "own_networks").mkdir()
    (tmp_path / "own_networks" / "network.py").write_text(
        re.search(r"<!-- own network -->\n```python\n(.*?)```", TUTORIAL, re.S).group(1)
    )
    monkeypatch.syspath_prepend(tmp_path)
    run = config.Config(
        "noise_to_image", "own_networks.network", {}, batch=4, total_kimg=1.0, g={"width": 3}
    )
    game = algorithms.make_game(run, (4, 6, 3), 0)
    build.check_own_networks(run, game, (4, 6, 3), 0)
    assert game.g.width == 3 and game.d.width == 64


class Apart(nn.Module):
    """Takes what no translator gives."""

    def __call__(self, x, y, z):
        return x


@pytest.mark.parametrize(
    ("game", "needed"),
    [
        (pix2pix.Algorithm(Apart(), Apart()), "x"),
        (cyclegan.Algorithm(Apart(), Apart()), "x"),
        (cut.Algorithm(Apart(), Apart(), Apart()), "x, taps"),
        (starganv2.Algorithm(Apart(), Apart(), Apart(), Apart()), "x, style"),
    ],
)
def test_a_translators_own_network_is_told_what_it_must_take(game, needed):
    run = config.Config("x", "own.network", {}, batch=4, total_kimg=1.0)
    needed = rf"config.model='own.network': Apart must have __call__\(self, {needed}, \*, train\): "
    with pytest.raises(ValueError, match=needed):
        build.check_own_calls(run, game)


TRANSLATOR = """
import dataclasses
from typing import Any
from gan_jax import state
from gan_jax.algorithms import base

@dataclasses.dataclass(frozen=True)
class Algorithm(base.Translator):
    g: Any
    d: Any
    phases = state.Phase("d", None), state.Phase("g", None)
    def init(self, rng, batch): return base.variables({"g": {}}), base.variables({"d": {}}), {}
    def apply_generator(self, ema, more, x, style): return x, {}
"""
NETWORKS = """
import flax.linen as nn

class Generator(nn.Module):
    depth: int = 3
    def __call__(self, x, *, train=False): return x

class Discriminator(nn.Module):
    levels: int = 3
    def __call__(self, x, *, train=False): return x
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    """(source of a game, of its networks) -> a config of them."""

    def write(game=TRANSLATOR, networks=NETWORKS):
        package = tmp_path / tmp_path.name
        package.mkdir()
        (package / "game.py").write_text(game)
        (package / "networks.py").write_text(networks)
        names = f"{tmp_path.name}.game", f"{tmp_path.name}.networks"
        side = {"source": "avatars", "resolution": 8}
        return config.Config(*names, side, batch=2, total_kimg=1.0)

    monkeypatch.syspath_prepend(tmp_path)
    return write


def test_a_translator_of_ones_own_needs_no_calls(own):
    build.check(own(), Parallel("jit"), new=True)


@pytest.mark.parametrize(
    ("old", "now", "message"),
    [
        ("def apply_generator", "def through", "through is called apply_generator now"),
        ("def apply_generator", "def settle(self, ema, rng): return ema\n    def apply_generator",
         "settle is called prepare_for_sampling now"),
        ("phases = ", "drawing = phases = ", "drawing is called sampling_settings now"),
        ("depth: int = 3", "depth: int = 3\n    drawing = 'depth',", "is called sampling_settings"),
        ("depth: int", "levels: int", "Generator has levels, but no side_multiple"),
    ],
)  # fmt: skip
def test_former_names_are_refused(own, old, now, message):
    run = own(TRANSLATOR.replace(old, now), NETWORKS.replace(old, now))
    with pytest.raises(ValueError, match=rf"{run.algorithm.split('.')[0]}\..*{message}"):
        algorithms.make_game(run, (8, 8, 3), 0)


def test_a_generator_may_have_levels_and_say_its_sides(own):
    levels = "levels: int = 3\n    side_multiple = 1"
    algorithms.make_game(own(networks=NETWORKS.replace("depth: int = 3", levels)), (8, 8, 3), 0)


@dataclasses.dataclass(frozen=True)
class Measured(noise_to_image.Algorithm):
    """Gives other pictures to measures, by the arguments of a game from noise alone."""

    def sample_to_measure(self, ema, keys, z, y, truncation=None):
        return jnp.zeros((len(z), 4, 4, 1))


def test_a_game_from_noise_is_given_no_pictures_to_measure(toy_game):
    game = Measured(**vars(toy_game()))
    run = config.Config("x", "x", {}, batch=2, total_kimg=1.0)
    state = build.new_state(run, game, (4, 4, 1), 0)
    drawn = BatchSampler(game, seed=0, truncation=None, batch=2)
    assert (drawn.images(drawn.prepare(state.ema), 2, None).load(np.arange(2)) == 128).all()


@pytest.mark.parametrize("name", ["pix2pix", "cyclegan", "cut", "starganv2"])
def test_the_models_here_take_what_translators_give(name):
    run = config.Config(name, name, {}, batch=4, total_kimg=1.0)
    game = algorithms.make_game(run, (32, 32, 3), 3)
    assert len(game.calls) >= 2
    build.check_own_calls(run, game)


def test_the_tutorials_own_game_trains(tool, tmp_path, monkeypatch, shared_data):
    game = re.search(r"<!-- own game -->\n```python\n(.*?)```", TUTORIAL, re.S).group(1)
    assert len(game.strip().splitlines()) <= 20
    (tmp_path / "my_project").mkdir()
    (tmp_path / "my_project" / "my_game.py").write_text(game)
    (tmp_path / "mine.py").write_text(
        "def get_config(arg=None):\n    return dict(algorithm='my_project.my_game', model='mlp',"
        " batch=8, total_kimg=0.016,\n                data=dict(source='avatars', identities=12,"
        " resolution=8), game=dict(weight=0.5))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert (
        main.main(["--config", str(tmp_path / "mine.py"), "--workdir", str(tmp_path / "run")]) == 0
    )
    (line,) = (
        json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    )
    assert line["step"] == 2 and "d/loss" in line and "g/loss" in line
    for name in ("my_project.my_game", "my_project"):
        sys.modules.pop(name)
    monkeypatch.setattr(sys, "path", [place for place in sys.path if place != str(tmp_path)])
    monkeypatch.chdir(tmp_path)  # it is found from its folder
    done = tool(
        *("sample", "run", "--out", "out", "--seeds", "0", "--trust-code", "my_project.my_game")
    )
    assert done.returncode == 0 and (tmp_path / "out" / "sheet" / "grid.png").is_file(), done.stderr


@pytest.fixture
def foreign_game(tmp_path, monkeypatch):
    """A checkpoint whose meta names a module that lies in the working directory; the module leaves
    a mark when it runs."""
    folder = tmp_path / "evilpkg"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "game.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()\n")
    step = tmp_path / "run" / "checkpoints" / "4"
    settings = {
        "algorithm": "evilpkg.game",
        "model": "mlp",
        "data": {"source": "avatars"},
        "batch": 8,
        "total_kimg": 1.0,
    }
    monkeypatch.setattr(checkpoint, "find", lambda path: step)
    monkeypatch.setattr(
        checkpoint,
        "read",
        lambda *args: ({}, {"config": settings, "shape": [8, 8, 3], "classes": []}),
    )
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.chdir(tmp_path)
    yield settings
    sys.modules.pop("evilpkg.game", None)
    sys.modules.pop("evilpkg", None)


@pytest.mark.parametrize("kind", ["algorithm", "model"])
@pytest.mark.parametrize(
    "call",
    [
        "sample run --out out",
        "interpolate run --out out.gif",
        "stylize run . --out out",
        "export run --out out",
    ],
)
def test_a_checkpoint_runs_no_code_that_nobody_trusts(foreign_game, tmp_path, tool, kind, call):
    foreign_game |= {"algorithm": "noise_to_image", "model": "mlp", kind: "evilpkg.game"}
    done = tool(*call.split())
    assert (
        done.returncode == 1 and not (tmp_path / "ran").exists() and str(tmp_path) not in sys.path
    )
    assert (
        done.stderr.splitlines()[-1]
        == f"error: {tmp_path / 'run' / 'checkpoints' / '4'}: its {kind}, 'evilpkg.game', is Python"
        " from outside gan_jax, which would run. If you trust it: --trust-code evilpkg.game,"
        " or in Python trusted=['evilpkg.game']"
    )
    other = tool(*call.split(), "--trust-code", "evilpkg")  # the package is not the module
    assert other.returncode == 1 and not (tmp_path / "ran").exists()
    trusted = tool(*call.split(), "--trust-code", "evilpkg.game")
    assert (tmp_path / "ran").exists() and "evilpkg.game has no " in trusted.stderr


def test_evaluation_trusts_what_the_users_own_config_names(foreign_game, tmp_path, capsys):
    mine = tmp_path / "mine.py"
    mine.write_text(
        "def get_config(arg=None):\n    return"
        f" {foreign_game | {'algorithm': 'noise_to_image'}!r}\n"
    )
    call = ["--config", str(mine), "--workdir", str(tmp_path / "run"), "--mode", "eval"]
    assert main.main(call) == 1
    assert (
        "'evilpkg.game', is Python from outside" in capsys.readouterr().err
        and not (tmp_path / "ran").exists()
    )
    sys.path.insert(0, str(tmp_path))  # as python -m has it
    assert main.main([*call, "--config.algorithm=evilpkg.game"]) == 1
    assert (tmp_path / "ran").exists()
