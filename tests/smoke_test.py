"""Every file in configs/ trains with :smoke, and what it saved is sampled by the tool."""

import json
import math
import pathlib

import pytest
from PIL import Image

from gan_jax import config, main

CONFIGS = sorted((pathlib.Path(__file__).parent.parent / "configs").glob("*.py"))
# Their games and networks are those of an avatars_* config, which is always tried; run these with -m slow.
ALIKE = {"biggan_cifar10", "biggan_imagenet128", "sagan_imagenet128", "stylegan2_cifar10", "stylegan2_ffhq256",
         "r3gan_cifar10", "r3gan_ffhq256", "r3gan_imagenet64", "starganv2_afhq", "starganv2_celeba_hq",
         "pix2pix_facades", "cyclegan_horse2zebra", "emoji_cut", "single_cut"}  # fmt: skip
TRANSLATORS = ("starganv2", "pix2pix", "cyclegan", "cut")


@pytest.mark.parametrize(
    "file",
    [pytest.param(file, id=file.stem, marks=[pytest.mark.slow] * (file.stem in ALIKE)) for file in CONFIGS],
)
def test_smoke(file, tool, tmp_path, shared_data):
    assert main.main(["--config", f"{file}:smoke", "--workdir", str(tmp_path / "run"), *needs(file, tmp_path)]) == 0
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert lines and all(math.isfinite(value) for line in lines for value in line.values())
    assert list((tmp_path / "run" / "samples").glob("*.png"))
    if config.load(str(file)).model in TRANSLATORS:
        Image.new("RGB", (40, 50), (20, 200, 90)).save(tmp_path / "me.png")
        done = tool("stylize", tmp_path / "run", tmp_path / "me.png", "--out", tmp_path / "out")
        made = "sheet.png" if "starganv2" in file.stem else "me.png"
    else:
        done, made = tool("sample", tmp_path / "run", "--out", tmp_path / "out", "--seeds", "0-1"), "grid.png"
    assert done.returncode == 0, done.stderr
    assert Image.open(tmp_path / "out" / made).size[0] > 0


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
    data = run.data.get("a", run.data)
    game = config.make_game(
        run, (data["resolution"],) * 2 + (data.get("channels", 3),), 10 if data.get("labels") else 0
    )
    assert game.phases and run.total_steps > 100
