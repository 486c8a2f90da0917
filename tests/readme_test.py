"""What the README and the docs show works: the README's commands run on a short run of a small
config, in the place of the default; those of all pages name configs, settings and flags that exist.
"""

import argparse
import pathlib
import re
import shlex

import numpy as np
import pytest

from gan_jax import algorithms, build, config, main
from gan_jax.commands import COMMANDS
from gan_jax.data.images import save_png
from gan_jax.data.source import outline
from gan_jax.evaluation.protocol import Protocol
from gan_jax.runtime import registry
from tests.algorithms.starganv2_test import CLASSES, SETTINGS
from tests.paths import ROOT
from tests.runs import untrained

README = (ROOT / "README.md").read_text()
SMALL = "avatars_dcgan:smoke"
PAGES = {
    str(path.relative_to(ROOT)): path.read_text()
    for path in [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
}
OWN = ("my_config.py", "/ffhq/config.py")  # configs that the reader or a command writes


def commands(page):
    """The lines of a page's bash blocks, each whole; a loop's once for each of its words."""
    for block in re.findall(r"```bash\n(.*?)```", page, re.S):
        for line in block.replace("\\\n", " ").strip().splitlines():
            loop = re.fullmatch(r"for (\w+) in (.*?); do (.*); done", line)
            yield from (
                [loop[3].replace(f"${loop[1]}", word) for word in loop[2].split()]
                if loop
                else [line]
            )


SCRIPTS = {"convert": "convert_weights", "bench": "bench_step"}  # tools/ has the others by name


def is_tool(command):
    return command.startswith(("gan-jax ", "python tools/")) and "gan-jax train" not in command


def script(command):
    """(the file's name in tools/, the arguments) of a command."""
    first, *words = shlex.split(command, comments=True)
    if first == "python":
        return pathlib.Path(words[0]).stem, words[1:]
    return SCRIPTS.get(words[0], words[0]), words[1:]


TOOLS = [command for command in commands(README) if is_tool(command)]
ALL = [
    command for page in PAGES.values() for command in commands(page) if not command.startswith("#")
]


def test_the_readme_is_short():
    assert len(README.splitlines()) <= 120


def test_the_architecture_names_every_room():
    page = PAGES["docs/development/architecture.md"]
    rooms = {path.parent.name for path in (ROOT / "gan_jax").glob("*/__init__.py")}
    files = {path.name for path in (ROOT / "gan_jax").glob("*.py")} - {"__init__.py"}
    assert not files - set(re.findall(r"\w+\.py", page))
    assert not {room for room in rooms if f"`{room}/`" not in page}


@pytest.mark.parametrize("page", PAGES)
def test_commands_exist(page):
    assert set(re.findall(r"(?:^|`)gan-jax ([a-z]+)", PAGES[page], re.M)) <= set(COMMANDS)


@pytest.mark.parametrize("page", PAGES)
def test_links_and_pictures_exist(page):
    """Of files; the strict build of the site checks anchors."""
    for target in re.findall(r"\]\(([^)\s]+)\)", PAGES[page]):
        if not target.startswith(("http", "#")):
            assert ((ROOT / page).parent / target.partition("#")[0]).exists(), f"{page}: {target}"


@pytest.mark.parametrize("page", PAGES)
def test_files_that_a_page_names_exist(page):
    for name in re.findall(r"\b(?:gan_jax|configs|tools|tests)/[\w/]+\.(?:py|md)\b", PAGES[page]):
        assert "NAME" in name or (ROOT / name).is_file(), f"{page}: {name}"


@pytest.fixture(scope="module")
def run(tmp_path_factory, shared_data):
    folder = tmp_path_factory.mktemp("readme")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        workdir = str(folder / "runs" / "avatars")
        assert main.main(["--config", SMALL, "--workdir", workdir]) == 0
    untrained(folder / "runs" / "starganv2", SETTINGS, [16, 16, 3], CLASSES)
    (folder / "configs").symlink_to(ROOT / "configs")
    for name in ("generated", "photos", "unseen"):
        for i in range(6):
            noise = np.random.default_rng([len(name), i]).integers(0, 256, (16, 16, 3), np.uint8)
            save_png(folder / name / f"{i}.png", noise)
    return folder


@pytest.mark.parametrize(
    "command", sorted({c for c in ALL if "gan_jax.main" in c and not any(o in c for o in OWN)})
)
def test_training_commands_name_configs_and_settings_that_exist(command, monkeypatch):
    """All but that their data is here."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(pathlib.Path, "exists", lambda self: True)
    flags, overrides = main.parse(shlex.split(command.split("gan_jax.main", 1)[1], comments=True))
    run = config.load(flags.config, overrides)
    about = outline(run.data, "config.data")
    game = algorithms.make_game(run, about.shape, about.classes)
    assert (
        game.phases
        and build.make_optimizers(run, game)
        and registry.build(Protocol, run.eval, "config.eval")
    )


@pytest.mark.parametrize("command", sorted(filter(is_tool, set(ALL))))
def test_tool_commands_have_flags_that_exist(command, tool, monkeypatch):
    class Parsed(Exception):
        """The command line is one that the tool takes."""

    parse = argparse.ArgumentParser.parse_args

    def parse_args(self, *args):
        parse(self, *args)
        raise Parsed

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse_args)
    name, args = script(command)
    with pytest.raises(Parsed):
        tool(name, *args)


@pytest.mark.parametrize("command", TOOLS, ids=lambda command: command.split()[1])
def test_tool_commands_run(command, tool, run, monkeypatch):
    monkeypatch.chdir(run)
    name, args = script(command)
    done = tool(name, *args)
    assert done.returncode == 0, done.stderr


def test_the_python_runs(run, monkeypatch):
    monkeypatch.chdir(run)
    (code,) = re.findall(r"```python\n(.*?)```", README, re.S)
    scope = {}
    exec(code.replace('"avatars"', f'"{SMALL}"'), scope)
    assert scope["pictures"].shape == (16, 32, 32, 3) and scope["pictures"].dtype == np.uint8
    assert scope["drawn"].shape == (16, 16, 3)
    assert scope["run"].step == 4 and np.isfinite(scope["record"]["values"]["kid_efflite0"])


def test_exported_sampler_snippet(tool, run, monkeypatch):
    """After the README's export command."""
    if not (run / "exported").is_dir():
        test_tool_commands_run(
            next(command for command in TOOLS if "export" in command), tool, run, monkeypatch
        )
    monkeypatch.chdir(run)
    (snippet,) = re.findall(
        r"<!-- exported -->\n```python\n(.*?)```", PAGES["docs/how-to/export.md"], re.S
    )
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
    words = re.findall(
        r"(?:^|(?<=[\s;&`]))([\w./]*python[\d.]*)(?= (?:-m|tools/))", PAGES[page], re.M
    )
    # python3 makes the environment
    makes = PAGES[page].count("python3 -m venv")
    assert set(words) <= {"python", "python3"} and words.count("python3") == makes


@pytest.mark.parametrize("page", PAGES)
def test_what_the_commands_write_is_no_change_to_the_checkout(page):
    """--out and --workdir lie in what .gitignore names, or are pictures of the docs themselves."""
    ignored = (ROOT / ".gitignore").read_text().split()
    for place in re.findall(r"--(?:out|workdir)[ =]([\w./$-]+)", PAGES[page]):
        first = place.split("/")[0]
        names = (
            [f"/{first}/"]
            if not pathlib.Path(first).suffix
            else [f"/*{pathlib.Path(first).suffix}"]
        )
        assert place.startswith(("/", "docs/")) or names[0] in ignored, (
            f"{page}: {place} is not in .gitignore"
        )


@pytest.mark.parametrize("file", sorted((ROOT / "tools").glob("*.py")), ids=lambda file: file.stem)
def test_every_flag_of_the_tools_has_a_sentence(file, tool, monkeypatch):
    class Bare(Exception):
        """What has none."""

    def parse_args(self, *args):
        raise Bare(
            [
                action.dest
                for action in self._actions
                if not (action.help or (action.choices and not action.option_strings))
            ]
        )

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse_args)
    with pytest.raises(Bare) as found:
        tool(file.stem)
    assert found.value.args == ([],)
