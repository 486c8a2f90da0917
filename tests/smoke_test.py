"""Every file in configs/ trains with :smoke, and what it saved is sampled by the tool."""

import json
import math
import pathlib

import pytest
from PIL import Image

from gan_jax import config, main

CONFIGS = sorted((pathlib.Path(__file__).parent.parent / "configs").glob("*.py"))


@pytest.mark.parametrize("file", CONFIGS, ids=lambda file: file.stem)
def test_smoke(file, tool, tmp_path, shared_data):
    assert main.main(["--config", f"{file}:smoke", "--workdir", str(tmp_path / "run"), *needs(file, tmp_path)]) == 0
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert lines and all(math.isfinite(value) for line in lines for value in line.values())
    assert list((tmp_path / "run" / "samples").glob("*.png"))
    done = tool("sample", tmp_path / "run", "--out", tmp_path / "out", "--seeds", "0-1")
    assert done.returncode == 0, done.stderr
    assert Image.open(tmp_path / "out" / "grid.png").size[0] > 0


def needs(file, tmp_path):
    """The folder config wants a folder."""
    if file.stem != "folder":
        return []
    for i in range(9):
        Image.new("RGB", (40, 50), (20 * i, 255 - 20 * i, 90)).save(tmp_path / f"{i}.png")
    return ["--config.data.path", str(tmp_path)]


@pytest.mark.parametrize("file", CONFIGS, ids=lambda file: file.stem)
def test_the_whole_config_names_a_game_that_exists(file):
    run = config.load(str(file))
    channels = run.data.get("channels", 3)
    game = config.make_game(run, (run.data["resolution"],) * 2 + (channels,), 10 if run.data.get("labels") else 0)
    assert game.phases and run.total_steps > 100
