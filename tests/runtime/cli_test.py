import contextlib
import os
import pathlib
import signal
import subprocess
import sys
import time
import unicodedata

import pytest

from gan_jax import main
from gan_jax.runtime import cli, xla_flags
from gan_jax.runtime.text import file_name

PRINT = (
    "import os; from gan_jax.runtime import xla_flags; xla_flags.prepare();"
    " print(os.environ.get('XLA_FLAGS', ''))"
)


def flags_after(**env):
    clean = {k: v for k, v in os.environ.items() if k not in ("XLA_FLAGS", "JAX_PLATFORMS")}
    done = subprocess.run(
        [sys.executable, "-c", PRINT], env=clean | env, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_set_on_cpu_beside_the_users_flags():
    ours = f"{xla_flags.FLAG}={xla_flags.VALUE}"
    assert flags_after(JAX_PLATFORMS="cpu") == ours
    assert flags_after(
        JAX_PLATFORMS="cpu", XLA_FLAGS="--xla_cpu_multi_thread_eigen=true"
    ).split() == [
        "--xla_cpu_multi_thread_eigen=true",
        ours,
    ]


def test_never_over_a_users_own_value_and_never_off_cpu():
    own = f"{xla_flags.FLAG}=+dot"
    assert flags_after(JAX_PLATFORMS="cpu", XLA_FLAGS=own) == own
    assert flags_after(JAX_PLATFORMS="cuda") == ""
    assert flags_after(JAX_PLATFORMS="tpu,cpu") == ""


def test_not_set_where_xla_does_not_know_it(monkeypatch):
    monkeypatch.setattr(xla_flags, "FLAG", "--xla_cpu_no_such_flag_at_all")
    monkeypatch.setenv("XLA_FLAGS", "")
    xla_flags.prepare()
    assert os.environ["XLA_FLAGS"] == ""


def test_a_part_of_a_flags_name_is_no_flag():
    """As is left of "xla_cpu_use_fusion_emitters" in an XLA that no longer has it, and ends at the
    flag."""
    assert xla_flags.xla_knows("xla_backend_optimization_level")
    assert not xla_flags.xla_knows("xla_backend_optimization") and not xla_flags.xla_knows(
        "backend_optimization_level"
    )


def test_xla_accepts_what_is_set():
    run = (
        "from gan_jax.runtime import xla_flags; xla_flags.prepare(); import jax;"
        " print(jax.numpy.ones(3).sum())"
    )
    env = {k: v for k, v in os.environ.items() if k != "XLA_FLAGS"} | {"JAX_PLATFORMS": "cpu"}
    done = subprocess.run(
        [sys.executable, "-c", run], env=env, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "3.0"


@pytest.mark.parametrize(
    "name", ["metrics.jsonl", "config.json", "samples/0000000016.png", "samples", "best/5/meta"]
)
def test_no_tool_writes_over_a_runs_own_files(tool, tmp_path, name):
    run = tmp_path / "a"
    (run / "samples").mkdir(parents=True)
    (run / "metrics.jsonl").write_text('{"images": 5}\n')
    for words in (
        ("report", run),
        ("curves", run),
        ("evaluate", run, run),
        ("sample", run),
        ("bench_step", run),
    ):
        done = tool(*words, "--out", run / name)
        own = name.split("/")[0]
        assert (
            done.stderr
            == f"error: --out={run / name}: {run} is a run's workdir, and {own} there is its own."
            " Give another name.\n"
        )
    assert (run / "metrics.jsonl").read_text() == '{"images": 5}\n' and not list(
        (run / "samples").iterdir()
    )


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("stylize", "run", "", "--out", "x"), "input"),
        (("stylize", "run", "me.jpg", "--out", ""), "--out"),
        (("stylize", "", "me.jpg", "--out=x"), "checkpoint"),
        (("sample", "run", "--out="), "--out"),
        (("report", "run", "", "--out", "x"), "WORKDIR"),
        (("evaluate", "a", "b", "--weights", ""), "--weights"),
    ],
)
def test_an_empty_path_is_not_the_current_folder(tool, words, named):
    done = tool(*words)
    assert (
        done.returncode == 1
        and f"argument {named}: it is empty, as a variable that is not set is." in done.stderr
    )


def test_an_empty_workdir_is_refused(capsys):
    with pytest.raises(SystemExit):
        main.main(["--config", "configs/avatars.py", "--workdir", ""])
    assert (
        "argument --workdir: it is empty, as a variable that is not set is."
        in capsys.readouterr().err
    )


def test_other_names_beside_a_run_are_free(tmp_path):
    (tmp_path / "metrics.jsonl").touch()
    (tmp_path / "other").mkdir()
    for path in ("report.html", "drawn/samples", "other/config.json"):
        cli.check_out(tmp_path / path)
    (tmp_path / "metrics.jsonl").unlink()
    cli.check_out(tmp_path / "samples" / "mine.png")  # no run's


def test_a_tools_error_is_one_line():
    def main():
        raise ValueError("--seeds=x: write numbers.")

    with pytest.raises(SystemExit, match=r"^error: --seeds=x: write numbers.$"):
        cli.tool(main)


def test_a_tools_error_is_no_page():
    def main():
        raise ValueError(f"a/1: algorithm={'x' * 100_000}: no such game.")

    with pytest.raises(
        SystemExit, match=r"^error: a/1: algorithm=x+ \.\.\. x+: no such game\.$"
    ) as end:
        cli.tool(main)
    assert len(end.value.code) < 6100


def test_file_names_are_safe_short_and_apart():
    assert file_name("me_dylan", ".png") == "me_dylan.png"
    for text in (
        "/../../x",
        "..",
        ".hidden",
        "a/b",
        "a\\b",
        "line\nend",
        "x" * 250,
        "絵" * 80 + "_dylan",
        "\udcff" * 250,
    ):
        name = file_name(text, ".png")
        assert (
            pathlib.PurePosixPath(name).name == name
            and "\\" not in name
            and name[0] != "."
            and name.isprintable()
        )
        assert len(os.fsencode(name)) <= 240 and name.endswith(".png")
    long = [file_name("絵" * 80 + style, ".mp4") for style in ("_dylan", "_miniavs")]
    assert len({*long, file_name("a_b", ""), file_name("a/b", "")}) == 4


@pytest.mark.parametrize(
    ("text", "numbers"),
    [("3", [3]), ("0-3", [0, 1, 2, 3]), ("1,5-6", [1, 5, 6]), ("4294967295", [2**32 - 1])],
)
def test_numbers_and_ranges(text, numbers):
    assert cli.parse_numbers(text, "--seeds") == numbers


@pytest.mark.parametrize(
    "text", ["4294967296", "0-4294967296", f"{10**20}", "9" * 5000, "²", "1-", "-1", "1e3", "", "x"]
)
def test_what_is_no_number_of_32_bits_is_said(text):
    with pytest.raises(
        ValueError, match=r"^--seeds=.{0,40}: write numbers and ranges, .* each 0 to 4294967295\.$"
    ):
        cli.parse_numbers(text, "--seeds")


@pytest.mark.parametrize("text", ["0-1000000", "0-4294967295", "0-999999,5"])
def test_more_numbers_than_anybody_draws_are_not_listed(text):
    with pytest.raises(ValueError, match=f"--seeds={text}: more than 1,000,000 numbers"):
        cli.parse_numbers(text, "--seeds")


@pytest.mark.parametrize("name", ["seed", "strength"])
@pytest.mark.parametrize(
    "text", ["4294967296", f"{10**20}", "9" * 5000, "-1", "1.5", "nan", "inf", "1e999", "x"]
)
def test_every_number_of_a_command_line_is_checked(name, text):
    parser = cli.Parser("")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--strength", type=float)
    fits = name == "strength" and text not in ("nan", "inf", "1e999", "x", "9" * 5000)
    if fits:
        assert parser.parse_args([f"--{name}={text}"]).strength == float(text)
    else:
        with pytest.raises(
            ValueError, match=rf"^argument --{name}: .{{1,40}} must be a (whole )?number, [^\n]*$"
        ):
            parser.parse_args([f"--{name}={text}"])


def test_the_largest_and_the_smallest_number():
    parser = cli.Parser("")
    parser.add_argument("--seed", type=int)
    assert [parser.parse_args(["--seed", text]).seed for text in ("0", "4294967295", "007")] == [
        0,
        2**32 - 1,
        7,
    ]


def test_a_tool_that_a_signal_stops_has_the_shells_status(capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.tool(lambda: (os.kill(os.getpid(), signal.SIGTERM), time.sleep(5)))
    assert stopped.value.code == 143 and capsys.readouterr().err == "stopped by SIGTERM.\n"


def test_a_tool_may_end_its_work_and_raise_what_python_raises(capsys):
    def main():
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(5)
        except KeyboardInterrupt:
            raise KeyboardInterrupt from None

    with pytest.raises(SystemExit) as stopped:
        cli.tool(main)
    assert stopped.value.code == 143 and capsys.readouterr().err == "stopped by SIGTERM.\n"


def test_a_ctrl_c_that_was_swallowed_does_not_look_like_success():
    def main():
        with contextlib.suppress(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(5)

    with pytest.raises(SystemExit) as stopped:
        cli.tool(main)
    assert stopped.value.code == 130


@pytest.mark.parametrize("argv", [["--out", "gs://bucket/x"], ["--out=gs://bucket/x"]])
def test_a_remote_path_of_a_tool_is_one_line(argv):
    parser = cli.Parser("")
    parser.add_argument("--out", type=pathlib.Path)
    with pytest.raises(
        ValueError, match=r"gs://bucket/x: a remote address. Give a path of this machine: mount"
    ):
        parser.parse_args(argv)


def test_what_is_compiled_is_kept_unless_the_user_says_otherwise(tmp_path, monkeypatch):
    for name in ("JAX_COMPILATION_CACHE_DIR", "JAX_ENABLE_COMPILATION_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GAN_JAX_DATA", str(tmp_path / "data"))
    xla_flags.prepare()
    folder = pathlib.Path(os.environ["JAX_COMPILATION_CACHE_DIR"])
    assert folder.is_dir() and folder.parent == tmp_path / "data" / "compiled"
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "mine")
    xla_flags.prepare()
    assert os.environ["JAX_COMPILATION_CACHE_DIR"] == "mine"
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR")
    monkeypatch.setenv("JAX_ENABLE_COMPILATION_CACHE", "false")
    xla_flags.prepare()
    assert "JAX_COMPILATION_CACHE_DIR" not in os.environ
    monkeypatch.delenv("JAX_ENABLE_COMPILATION_CACHE")
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("GAN_JAX_DATA", str(tmp_path / "file"))  # can't be written
    xla_flags.prepare()
    assert "JAX_COMPILATION_CACHE_DIR" not in os.environ


def test_other_processors_have_what_was_compiled_for_them(monkeypatch):
    ours = xla_flags.compiled()
    monkeypatch.setattr(pathlib.Path, "read_text", lambda *_: "flags\t\t: fpu avx512f\n")
    assert xla_flags.compiled() != ours and xla_flags.compiled().parent == ours.parent


@pytest.mark.parametrize("name", ["CON", "nul", "Com1", "LPT9.old", "aux"])
def test_no_file_is_named_as_a_device_of_windows(name):
    assert file_name(name, ".png").startswith(f"_{name}-")


def test_names_that_some_systems_take_for_one_get_files_of_their_own():
    names = ["Cat", "cat", "caf\u00e9", "cafe\u0301", "dog"]
    files = [file_name(name, ".png", names) for name in names]
    assert files[-1] == "dog.png"
    folded = {unicodedata.normalize("NFC", file).casefold() for file in files}
    assert len(folded) == len(names)
