"""A workdir belongs to one run at a time; what an earlier one left is moved, not removed."""

import ast
import json
import pathlib
import sys
import types

import pytest

import gan_jax
from gan_jax import main
from gan_jax.runtime import workdir

ROOT = pathlib.Path(gan_jax.__file__).parent.parent
POSIX = {"fcntl", "grp", "pty", "pwd", "resource", "termios", "tty"}
# without those that ask for memory used
TOOLS = [path for path in ROOT.glob("tools/*.py") if not path.name.startswith("bench_")]


@pytest.mark.parametrize(
    ("left", "kept"), [("me.png", False), ("metrics.jsonl", True), ("checkpoints", True)]
)
def test_no_traceback_is_left_in_a_folder_that_is_no_run(tmp_path, left, kept):
    (tmp_path / left).touch()
    assert main.main(["--config", "nowhere.py", "--workdir", str(tmp_path), "--mode", "eval"]) == 1
    assert {path.name for path in tmp_path.iterdir()} == {left} | (
        {"error.log", ".lock"} if kept else set()
    )


def test_a_second_run_is_refused_and_writes_nothing(tmp_path):
    with workdir.lock(tmp_path):
        before = sorted(tmp_path.iterdir())
        with pytest.raises(workdir.InUse, match="another run is using it"), workdir.lock(tmp_path):
            pass
        assert sorted(tmp_path.iterdir()) == before
    with workdir.lock(tmp_path):
        pass


def test_one_program_makes_a_file(tmp_path, monkeypatch):
    """The lock goes with the file made; one that went between opening and locking is none."""
    out = tmp_path / "walk.mp4"
    taken = pytest.raises(workdir.InUse, match=r"walk\.mp4: another program is making it")
    with workdir.making(out), taken, workdir.making(out):
        pass
    assert not list(tmp_path.iterdir())
    lock = workdir._lock
    monkeypatch.setattr(
        workdir, "_lock", lambda file: (lock(file), pathlib.Path(file.name).unlink())
    )
    with pytest.raises(workdir.InUse), workdir.making(out):
        pass


def test_the_lock_of_windows(tmp_path, monkeypatch):
    held = []

    def locking(number, mode, count):
        if held:
            raise PermissionError(13, "Permission denied")
        held.append((mode, count))

    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setitem(sys.modules, "msvcrt", types.SimpleNamespace(locking=locking, LK_NBLCK=2))
    monkeypatch.setitem(sys.modules, "fcntl", None)  # its import fails
    with workdir.lock(tmp_path), pytest.raises(workdir.InUse), workdir.lock(tmp_path):
        pass
    assert held == [(2, 1)]


@pytest.mark.parametrize(
    "path", sorted([*ROOT.glob("gan_jax/**/*.py"), *TOOLS]), ids=lambda p: p.name
)
def test_nothing_of_posix_alone_is_needed_on_import(path):
    tree = ast.parse(path.read_text("utf-8"))
    outside = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    names = {name.name for node in outside if isinstance(node, ast.Import) for name in node.names}
    names |= {node.module for node in outside if isinstance(node, ast.ImportFrom)}
    assert not names & POSIX
    assert not [
        n
        for n in ast.walk(tree)
        if isinstance(n, ast.Attribute) and n.attr in ("SIGHUP", "SIGKILL", "SIGALRM")
    ]


@pytest.mark.parametrize("address", ["gs://bucket/run", "s3://bucket/run", "file:///tmp/run"])
def test_a_remote_workdir_is_one_line(address):
    with pytest.raises(
        ValueError,
        match=(
            f"--workdir={address}: a remote address. Give a path of this machine: mount the bucket"
        ),
    ):
        workdir.of(address)


def test_a_file_where_the_lock_or_the_folder_should_be_is_named(tmp_path):
    (tmp_path / "a" / ".lock").mkdir(parents=True)
    (tmp_path / "b").write_text("mine")
    for name, named in {"a": r"a/\.lock", "b": "b"}.items():
        with pytest.raises(OSError, match=f"{named}'$"), workdir.lock(tmp_path / name):
            pass


def test_last_step_passes_over_damaged_lines(tmp_path):
    assert workdir.last_step(tmp_path) == 0
    deep = "[" * 100_000
    lines = [
        '{"step": 7}',
        '{"step": 12, "x": 1}',
        '{"st',
        "5",
        '{"step": NaN}',
        '{"step": Infinity}',
        deep,
    ]
    (tmp_path / "metrics.jsonl").write_text("\n".join(lines))
    assert workdir.last_step(tmp_path) == 12


def test_move_aside_takes_what_a_run_writes_and_nothing_else(tmp_path):
    assert workdir.move_aside(tmp_path) is None
    for n in (1, 2):
        (tmp_path / "checkpoints" / "20").mkdir(parents=True)
        (tmp_path / "metrics.jsonl").write_text(json.dumps({"step": n}))
        (tmp_path / "notes.txt").write_text("mine")
        (tmp_path / "profile").mkdir()
        assert workdir.move_aside(tmp_path) == tmp_path / f"earlier-{n}"
        assert json.loads((tmp_path / f"earlier-{n}" / "metrics.jsonl").read_text()) == {"step": n}
    assert (tmp_path / "earlier-1" / "checkpoints" / "20").is_dir()
    assert (tmp_path / "earlier-1" / "profile").is_dir()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["earlier-1", "earlier-2", "notes.txt"]
