"""What the README shows works: its commands run on a short run of the default config."""

import pathlib
import re
import shlex

import numpy as np
import pytest

from gan_jax import config, log, main
from tests import stylize_tool_test

ROOT = pathlib.Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
COMMANDS = [line for block in re.findall(r"```bash\n(.*?)```", README, re.S) for line in block.strip().splitlines()]
TOOLS = [command for command in COMMANDS if "tools/" in command]
PAGES = {path.name: path.read_text() for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]}


@pytest.fixture(scope="module")
def run(tmp_path_factory, shared_data):
    folder = tmp_path_factory.mktemp("readme")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        assert main.main(["--config", "configs/avatars.py:smoke", "--workdir", str(folder / "runs" / "avatars")]) == 0
    stylize_tool_test.untrained(folder / "runs" / "starganv2", 3)
    (folder / "configs").symlink_to(ROOT / "configs")
    for name in ("generated", "photos", "unseen"):
        for i in range(6):
            noise = np.random.default_rng([len(name), i]).integers(0, 256, (16, 16, 3), np.uint8)
            log.save_png(folder / name / f"{i}.png", noise)
    return folder


@pytest.mark.parametrize("command", [c for c in COMMANDS if "gan_jax.main" in c])
def test_training_commands_name_configs_and_settings_that_exist(command, monkeypatch):
    monkeypatch.chdir(ROOT)
    flags, overrides = main.parse(shlex.split(command.split("gan_jax.main", 1)[1]))
    run = config.load(flags.config, overrides)
    make = config.make_game(run, (run.data["resolution"],) * 2 + (3,), 10 if run.data.get("labels") else 0)
    assert make.phases


@pytest.mark.parametrize("command", TOOLS, ids=lambda command: command.split()[1])
def test_tool_commands_run(command, tool, run, monkeypatch):
    monkeypatch.chdir(run)
    python, script, *args = shlex.split(command.replace("configs/avatars.py", "configs/avatars.py:smoke"))
    assert python == "python" and (ROOT / script).is_file()
    done = tool(pathlib.Path(script).stem, *args)
    assert done.returncode == 0, done.stderr


def test_exported_sampler_snippet(tool, run, monkeypatch):
    """After the export command above it."""
    test_tool_commands_run(next(command for command in TOOLS if "export" in command), tool, run, monkeypatch)
    (snippet,) = re.findall(r"```python\n(import jax.*?)```", README, re.S)
    scope = {}
    exec(snippet, scope)
    assert scope["images"].shape == (4, 32, 32, 3) and abs(scope["images"]).max() <= 1


def test_set_up_commands_name_extras_that_exist():
    setup = (ROOT / "setup.cfg").read_text()
    for extra in re.findall(r"\.\[(\w+)\]", README):
        assert re.search(rf"^{extra} ?=", setup, re.M), extra
    assert (ROOT / re.search(r"!\[.*?\]\((.*?)\)", README).group(1)).is_file()


@pytest.mark.parametrize("page", PAGES)
def test_python_is_called_in_one_way(page):
    words = re.findall(r"(?:^|(?<=[\s;&`]))([\w./]*python[\d.]*)(?= (?:-m|tools/))", PAGES[page], re.M)
    assert set(words) <= {"python"} | ({"python3"} if page == "README.md" else set())  # python3 makes the environment
    assert words.count("python3") == (2 if page == "README.md" else 0)


@pytest.mark.parametrize("page", PAGES)
def test_what_the_commands_write_is_no_change_to_the_checkout(page):
    """--out and --workdir lie in what .gitignore names, or are pictures of the docs themselves."""
    ignored = (ROOT / ".gitignore").read_text().split()
    for place in re.findall(r"--(?:out|workdir)[ =]([\w./$-]+)", PAGES[page]):
        first = place.split("/")[0]
        names = [f"/{first}/"] if not pathlib.Path(first).suffix else [f"/*{pathlib.Path(first).suffix}"]
        assert place.startswith(("/", "docs/")) or names[0] in ignored, f"{page}: {place} is not in .gitignore"
