"""gan-jax: one console command, whose commands are the files of tools/ too."""

import errno
import pathlib
import re
import subprocess
import sys

import matplotlib.figure
import pytest

import gan_jax
from gan_jax import commands
from gan_jax.commands import configs, curves, train
from tests.paths import ROOT
from tests.reporting.made_runs import make_run


def test_every_command_has_a_module_a_sentence_and_help(capsys):
    files = (ROOT / "gan_jax" / "commands").glob("*.py")
    assert {file.stem for file in files} - {"__init__"} == set(commands.COMMANDS)
    assert commands.main([]) == commands.main(["--help"]) == 0
    listed = dict(re.findall(r"^  (\w+) +(.*)$", capsys.readouterr().out, re.M))
    assert listed == commands.COMMANDS


@pytest.mark.parametrize("name", commands.COMMANDS)
def test_a_commands_help_names_it(name, capsys):
    with pytest.raises(SystemExit) as end:
        commands.main([name, "--help"])
    assert end.value.code == 0
    assert f"usage: gan-jax {name}" in capsys.readouterr().out


def test_a_typo_suggests(capsys):
    with pytest.raises(SystemExit) as end:
        commands.main(["smaple", "runs/avatars"])
    assert "no command 'smaple'. Did you mean 'sample'?" in end.value.code


OWN = """
def get_config(arg=None):
    return dict(algorithm="own_code.game", model="mlp", data={}, batch=4, total_kimg=1.0)
"""


def test_modules_in_the_current_folder_are_found(tmp_path, monkeypatch, capsys):
    """Here one that lacks what a game needs."""
    (tmp_path / "own_code").mkdir()
    (tmp_path / "own_code" / "game.py").write_text("x = 1")
    (tmp_path / "mine.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [place for place in sys.path if place])
    flags = ["--config", "mine.py", "--config.data.source=avatars", "--workdir", "run"]
    assert train.main(flags) == 1
    assert "own_code.game has no Algorithm" in capsys.readouterr().err
    for name in ("own_code.game", "own_code"):
        sys.modules.pop(name)


def test_the_version(capsys):
    commands.main(["--version"])
    assert capsys.readouterr().out.strip() == gan_jax.__version__


def test_lists_need_no_jax():
    code = (
        "import sys; from gan_jax import commands; commands.main([]); commands.main(['configs']);"
        " print('jax' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("False\n")


def test_evaluations_help_names_measures_and_nets(capsys):
    with pytest.raises(SystemExit):
        commands.main(["evaluate", "--help"])
    said = " ".join(capsys.readouterr().out.split())
    assert "of: kid, mind, fid, is, precision_recall," in said and "of: efflite0, vgg16," in said
    assert "style" not in said and "docs/" not in said


def test_training_describes_nothing_unless_told_to(monkeypatch, tmp_path):
    monkeypatch.delitem(sys.modules, "gan_jax.commands.describe", raising=False)
    monkeypatch.delattr(commands, "describe", raising=False)
    assert train.main(["--config", "nowhere", "--workdir", str(tmp_path)]) == 1
    assert "gan_jax.commands.describe" not in sys.modules


def test_configs_are_listed_with_a_sentence_each(capsys):
    configs.main([])
    out = capsys.readouterr().out
    names = re.findall(r"^(\w+)  +\S", out, re.M)
    assert names == sorted(file.stem for file in (ROOT / "configs").glob("*.py"))
    assert max(map(len, out.splitlines())) <= configs.WIDTH


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("CUT, one side. Not yet run.", "CUT, one side."),
        (
            "Brock et al. 2018, arXiv:1809.11096. Not\n    run.",
            "Brock et al. 2018, arXiv:1809.11096.",
        ),
        ("Bare", "Bare"),
    ],
)
def test_a_sentence_ends_at_its_end(tmp_path, text, first):
    file = tmp_path / "a.py"
    file.write_text(f'def get_config(arg=None):\n    """{text}"""\n')
    assert configs.sentence(file) == first
    file.write_text("x = 1")
    assert configs.sentence(file) == ""


def test_tools_are_the_commands():
    """Each file of tools/ that has a command runs it."""
    names = {"bench_step": "bench", "convert_weights": "convert"}
    for file in (ROOT / "tools").glob("*.py"):
        name = names.get(file.stem, file.stem)
        if name in commands.COMMANDS:
            call = f'commands.main(["{name}", *sys.argv[1:]])'
            assert call in file.read_text(), file


def test_whoever_stops_reading_gets_no_error():
    """As `gan-jax configs | head -1` does."""
    code = "from gan_jax import commands; commands.main(['configs'])"
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as program:
        program.stdout.close()
        assert program.stderr.read() == b""
    assert program.returncode == 141


def test_curves_that_can_not_be_written_leave_the_old_ones(tmp_path, monkeypatch):
    def half(figure, file):
        pathlib.Path(file).write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(matplotlib.figure.Figure, "savefig", half)
    out = tmp_path / "curves.png"
    out.write_bytes(b"old")
    with pytest.raises(OSError, match="No space left"):
        curves.main([str(make_run(tmp_path / "run")), "--out", str(out)])
    assert out.read_bytes() == b"old" and {p.name for p in tmp_path.iterdir()} == {"run", out.name}
