"""--config.help: every setting of every config, with its value, its default and a sentence."""

import re

import pytest

from gan_jax import build, config, main
from gan_jax.commands import describe
from gan_jax.runtime import registry
from tests.paths import ROOT

CONFIGS = sorted((ROOT / "configs").glob("*.py"))


@pytest.mark.parametrize("file", CONFIGS, ids=lambda file: file.stem)
def test_every_setting_has_a_sentence(file):
    for place, factory, values, given in describe.parts(config.load(str(file))):
        said = describe.sentences(factory)
        bare = [
            name
            for name in registry.settings_of(factory)
            if name not in given and not said.get(name)
        ]
        assert not bare, (
            f"{place}: {factory.__module__}.{factory.__qualname__} says nothing of {bare}"
        )
        unlisted = [
            name for name in said if re.search(r"\bnames? in [\w.]*[A-Z]{2,}\b", said[name])
        ]
        assert not unlisted, f"{place}: {unlisted} name a table, not what is in it"
        assert set(values) <= {*registry.settings_of(factory), "name", "networks"}


def test_a_sentence_is_that_settings_own():
    """Of docstrings with several to a line, of base classes, of comments, and of tables."""

    def factory(width: int = 1, depth: int = 2, loss: str = "a", way: int = 3):
        """Something.

        Args:
            width: of a layer. depth: how many; each
                halves `way` times.
            loss: a name in TABLE.
        Raises:
            ValueError: never.
        """

    factory.__globals__["TABLE"] = {"one": 1, "two": 2}
    assert describe.sentences(factory) == {
        "width": "of a layer.",
        "depth": "how many; each halves `way` times.",
        "loss": "one of one, two.",
        "way": "see depth.",
    }
    assert (
        describe.sentences(config.Config)["seed"]
        == "of initialization, noise and the order of the data"
    )


def test_the_flag_opens_no_data_and_needs_no_workdir(monkeypatch, capsys):
    monkeypatch.setattr(build, "open_source", None)
    command = [
        "--config",
        str(CONFIGS[0].with_name("emoji_cut.py")),
        "--config.help",
        "--config.batch=3",
    ]
    assert main.main(command) == 0
    said = capsys.readouterr().out
    assert "  batch = 3 " in said and "images of an optimizer step, over all devices" in said
    assert "config.networks.heads: gan_jax.models.cut.Heads." in said
    assert (
        "  taps = (0, 4, 8, 12, 15) (default (0, 4, 8, 12, 16))\n" in said
        and "config.data.b: " in said
    )
    assert max(map(len, said.splitlines())) < 250


def test_the_command_shows_settings_and_a_table_of_each_players_parameters(capsys):
    describe.main(["configs/emoji_cut.py:smoke", "--set", "batch=2"])
    shown = capsys.readouterr().out
    assert "  batch = 2 " in shown
    generator, critic = shown[shown.index("generator, for") :].split("\n\n")
    assert generator.startswith("generator, for images [32, 32, 3] in 0 classes:")
    for table, network in ((generator, "heads/"), (critic, "d/")):
        rows = [line.split("|") for line in table.splitlines() if line.startswith("| ")][1:]
        assert any(row[1].strip().startswith(network) for row in rows)
        total = sum(int(row[4].replace(",", "")) for row in rows)
        assert f"Total: {total:,} -- " in table


def test_networks_whose_data_are_not_there_are_left_out_with_the_reason():
    run = config.load("configs/folder.py", ["data.path=nowhere"])
    assert describe.networks(run) == (
        "networks: not shown, for their sizes depend on the data. config.data.path='nowhere': no"
        " such file or folder."
    )
