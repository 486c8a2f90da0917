"""The README's promise: a game is one file of your own, named by its dotted path, trained by the same command."""

import json
import os
import pathlib
import re
import subprocess
import sys

from gan_jax import build, config, main

README = (pathlib.Path(__file__).parent.parent / "README.md").read_text()


def test_the_docs_own_network_fits(tmp_path, monkeypatch):
    docs = (pathlib.Path(__file__).parent.parent / "docs" / "generators.md").read_text()
    (tmp_path / "own_networks").mkdir()
    (tmp_path / "own_networks" / "network.py").write_text(
        re.search(r"<!-- own network -->\n```python\n(.*?)```", docs, re.S).group(1)
    )
    monkeypatch.syspath_prepend(tmp_path)
    run = config.Config("noise_to_image", "own_networks.network", {}, batch=4, total_kimg=1.0, g={"width": 3})
    game = config.make_game(run, (4, 6, 3), 0)
    build.check_own_networks(run, game, (4, 6, 3), 0)
    assert game.g.width == 3 and game.d.width == 64


def test_the_readmes_own_game_trains(tmp_path, monkeypatch, shared_data):
    game = re.search(r"<!-- own game -->\n```python\n(.*?)```", README, re.S).group(1)
    assert len(game.strip().splitlines()) <= 20
    (tmp_path / "my_project").mkdir()
    (tmp_path / "my_project" / "my_game.py").write_text(game)
    (tmp_path / "mine.py").write_text(
        "def get_config(arg=None):\n"
        "    return dict(algorithm='my_project.my_game', model='mlp', batch=8, total_kimg=0.016,\n"
        "                data=dict(source='avatars', identities=12, resolution=8), game=dict(weight=0.5))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert main.main(["--config", str(tmp_path / "mine.py"), "--workdir", str(tmp_path / "run")]) == 0
    (line,) = (json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines())
    assert line["step"] == 2 and "d/loss" in line and "g/loss" in line
    root = pathlib.Path(__file__).parent.parent
    sample = [sys.executable, root / "tools" / "sample.py", "run", "--out", "out", "--seeds", "0"]
    env = os.environ | {"PYTHONPATH": str(root)}
    done = subprocess.run(sample, cwd=tmp_path, env=env, capture_output=True, text=True)  # finds it from its folder
    assert done.returncode == 0 and (tmp_path / "out" / "sheet" / "grid.png").is_file(), done.stderr
    assert "WARNING" not in done.stderr
