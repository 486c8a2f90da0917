"""The tutorial's promise: a game is one file of your own, named by its dotted path, trained by the
same command."""

import json
import re
import sys

import flax.linen as nn
import pytest

from gan_jax import algorithms, build, checkpoint, config, main
from gan_jax.algorithms import cut, cyclegan, pix2pix, starganv2
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
        " from outside gan_jax, which would run. If you trust it: --trust-code evilpkg.game"
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
