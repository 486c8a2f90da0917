"""The README's promise: a game is one file of your own, named by its dotted path, trained by the same command."""

import json
import os
import pathlib
import re
import subprocess
import sys

from gan_jax import main

README = (pathlib.Path(__file__).parent.parent / "README.md").read_text()


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
