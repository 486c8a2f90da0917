"""The tools as a user runs them, on small runs."""

import dataclasses
import json
import os
import re
import shutil

import av
import jax
import numpy as np
import pytest
from PIL import Image

from gan_jax import checkpoint
from gan_jax.algorithms import base
from gan_jax.data.images import save_png, to_uint8
from gan_jax.inference import export, loading
from gan_jax.inference.exported import load_stablehlo
from gan_jax.reporting import runs as runs_module
from gan_jax.runtime.weights import limits
from tests.runs import untrained

FILE = """
def get_config(arg=None):
    return dict(algorithm="noise_to_image", model="mlp", batch=4, total_kimg=0.008,
                data=dict(source="folder", path="PICTURES", resolution=8),
                g=dict(widths=(16,)), d=dict(widths=(16,)), game=dict(z_dim=5))
"""


SETTINGS = {"algorithm": "noise_to_image", "model": "dcgan", "batch": 4, "total_kimg": 0.008}
SETTINGS |= {"data": {}, "g": {"width": 4}, "d": {"width": 4}, "game": {"z_dim": 5}}
STYLES = ["avataaars", "dylan", *(f"style{i}" for i in range(8))]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """{"styles": a conditional run's workdir, "none": an unconditional one's}."""
    folder = tmp_path_factory.mktemp("runs")
    untrained(folder / "styles", SETTINGS, [8, 8, 3], STYLES)
    untrained(folder / "none", SETTINGS, [8, 8, 3])
    return folder


@pytest.fixture
def file(tmp_path):
    """A config of a small game on a folder of pictures."""
    for i in range(4):
        save_png(tmp_path / "pictures" / f"{i}.png", np.full((8, 8, 3), 60 * i, np.uint8))
    path = tmp_path / "mine.py"
    path.write_text(FILE.replace("PICTURES", str(tmp_path / "pictures")))
    return path


@pytest.fixture(scope="module")
def exports(runs, tmp_path_factory):
    """{name of a run: the folder it was exported to, and what was printed}."""
    found = {}
    for name in ("styles", "none"):
        folder = tmp_path_factory.mktemp("exports") / name
        sampler = loading.load_sampler(runs / name)
        found[name] = folder, export.export(sampler, folder)
    return found


def pixels(path):
    return np.asarray(Image.open(path))


def test_sample_draws_a_column_a_class(tool, runs, tmp_path):
    done = tool("sample", runs / "styles", "--out", tmp_path, "--seeds", "3,7-8")
    assert done.returncode == 0, done.stderr
    sampler = loading.load_sampler(runs / "styles")
    assert pixels(tmp_path / "sheet" / "grid.png").shape == (3 * 8, 10 * 8, 3)
    single = pixels(tmp_path / "seed0007_avataaars.png")
    np.testing.assert_array_equal(single, pixels(tmp_path / "sheet" / "grid.png")[8:16, :8])
    z = sampler.game.latent(jax.random.key(7), 1)
    np.testing.assert_array_equal(single, to_uint8(sampler(z, np.array([0])))[0])


def test_sample_one_class_and_truncation(tool, runs, tmp_path):
    run = lambda out, *flags: tool(
        "sample", runs / "styles", "--out", tmp_path / out, "--class", "dylan", *flags
    )
    assert run("a", "--seeds", "0-3", "--cols", "2").returncode == 0
    assert pixels(tmp_path / "a" / "sheet" / "grid.png").shape == (16, 16, 3)
    assert sorted(p.name for p in (tmp_path / "a").iterdir())[0] == "seed0000_dylan.png"
    assert run("b", "--seeds", "0", "--truncation", "0.01").returncode == 0
    assert run("c", "--seeds", "1", "--truncation", "0.01").returncode == 0
    spread = lambda a, b: np.abs(pixels(a).astype(int) - pixels(b)).mean()
    near = spread(tmp_path / "b" / "sheet" / "grid.png", tmp_path / "c" / "sheet" / "grid.png")
    far = spread(tmp_path / "a" / "seed0000_dylan.png", tmp_path / "a" / "seed0001_dylan.png")
    assert near < far / 10


def run_of_classes(folder, names):
    """A checkpoint of an untrained generator of these classes."""
    nets = {"g": {"widths": (4,)}, "d": {"widths": (4,)}}
    settings = {"algorithm": "noise_to_image", "model": "mlp", "data": {}, "batch": 4}
    untrained(folder, settings | {"total_kimg": 1.0} | nets, [2, 2, 3], names)


def test_classes_with_any_name_stay_in_the_folder_and_apart(tool, tmp_path):
    names = ["/../../x", "..", "a/b", "a_b", "Cat", "cat", 'what?"<>|', "\n", "x" * 400, "plain"]
    run_of_classes(tmp_path / "run", names)
    done = tool("sample", tmp_path / "run", "--out", tmp_path / "a" / "b" / "out", "--seeds", "0")
    assert done.returncode == 0, done.stderr
    drawn = {path for path in tmp_path.rglob("*.png") if path.parent.name != "sheet"}
    assert {path.parent for path in drawn} == {tmp_path / "a" / "b" / "out"}
    files = [path.name for path in drawn]
    assert len({name.casefold() for name in files}) == len(names) and "seed0000_plain.png" in files
    assert not any(set(name) & set('/\\:*?"<>|\n') for name in files)


def test_of_very_many_classes_the_first_are_drawn(tool, tmp_path):
    names = [f"class{i:03d}" for i in range(100)]
    run_of_classes(tmp_path / "run", names)
    done = tool("sample", tmp_path / "run", "--out", tmp_path, "--seeds", "0-1")
    assert done.returncode == 0 and "the first 32 of 100 classes" in done.stdout, done.stderr
    assert pixels(tmp_path / "sheet" / "grid.png").shape == (4, 64, 3)
    done = tool(
        "interpolate",
        tmp_path / "run",
        "--out",
        tmp_path / "walk.png",
        "--seeds",
        "0-1",
        "--frames",
        "1",
    )
    assert done.returncode == 0 and "the first 32 of 100 classes" in done.stdout, done.stderr
    one = tool(
        "sample", tmp_path / "run", "--out", tmp_path / "one", "--seeds", "0", "--class", "class099"
    )
    assert "the first" not in one.stdout and (tmp_path / "one" / "seed0000_class099.png").is_file()
    unknown = tool("sample", tmp_path / "run", "--out", tmp_path, "--class", "zebra")
    assert "class='zebra' is not known" in unknown.stderr and unknown.stderr.endswith(
        "class059 and 40 more.\n"
    )


def test_a_label_that_is_no_class_is_refused(runs):
    sampler = loading.load_sampler(runs / "styles")
    z = sampler.game.latent(jax.random.key(0), 2)
    for y in ([0, 10], [-1, 0]):
        with pytest.raises(ValueError, match=f"class {y[1] or y[0]}: .* knows 0 to 9"):
            sampler(z, np.array(y))
    with pytest.raises(ValueError, match="trained on 10 classes, so labels must be given"):
        sampler(z)
    with pytest.raises(ValueError, match="trained on no classes, so labels must not be given"):
        loading.load_sampler(runs / "none")(z, np.array([0, 1]))


def test_sample_without_classes(tool, runs, tmp_path):
    done = tool("sample", runs / "none", "--out", tmp_path, "--seeds", "0-2,1-2", "--cols", "3")
    assert done.returncode == 0 and done.stdout.startswith("3 pictures in ")  # each seed once
    assert pixels(tmp_path / "sheet" / "grid.png").shape == (8, 24, 3)
    assert (tmp_path / "seed0002.png").is_file()


@pytest.mark.parametrize(
    ("run", "flags", "message"),
    [
        ("styles", ["--class", "dylna"], "class='dylna' is not known. Did you mean 'dylan'?"),
        ("none", ["--class", "dylan"], "was trained without classes"),
        ("none", ["--seeds", "a-b"], "--seeds=a-b: write numbers and ranges"),
        ("none", ["--seeds", "5-2"], "--seeds=5-2: that range is empty"),
        (
            "none",
            ["--truncation", "half"],
            "argument --truncation: half must be a number, as 0.7; --help says",
        ),
        ("none", ["--truncation", "0"], "truncation=0.0: it must be a number above 0"),
        ("none", ["--cols", "0"], "--cols=0: it must be at least 1"),
        ("nowhere", [], "no checkpoint. There is no such folder. Give a run's --workdir"),
    ],
)
def test_sample_mistakes_are_one_line(tool, runs, tmp_path, run, flags, message):
    done = tool("sample", runs / run, "--out", tmp_path / "out", *flags)
    assert done.returncode == 1 and message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr


def test_interpolate_walks_round_through_the_seeds(tool, runs, tmp_path):
    """The strip's rows begin with the seeds' own pictures; each frame lies between its
    neighbors."""
    done = tool(
        "interpolate",
        runs / "none",
        "--out",
        tmp_path / "walk.png",
        "--seeds",
        "3,5,9",
        "--frames",
        "4",
    )
    assert done.returncode == 0 and "12 frames" in done.stdout, done.stderr
    # 16-fold
    strip = (
        pixels(tmp_path / "walk.png")
        .reshape(3, 8, 16, 4, 8, 16, 3)[:, :, 0, :, :, 0]
        .swapaxes(1, 2)
    )
    sampler = loading.load_sampler(runs / "none")
    for row, seed in enumerate((3, 5, 9)):
        own = to_uint8(sampler(sampler.game.latent(jax.random.key(seed), 1)))[0]
        assert np.abs(strip[row, 0].astype(int) - own).max() <= 1
    change = lambda a, b: np.abs(a.astype(int) - b).mean()
    # the last leg leads to the first seed
    assert change(strip[2, 3], strip[0, 0]) < change(strip[2, 0], strip[0, 0])


@pytest.mark.parametrize("kind", ["mp4", "gif"])
def test_interpolate_makes_films(tool, runs, tmp_path, kind):
    path = tmp_path / f"walk.{kind}"
    done = tool(
        "interpolate",
        runs / "styles",
        "--out",
        path,
        "--seeds",
        "0-1",
        "--frames",
        "3",
        "--fps",
        "10",
    )
    assert done.returncode == 0, done.stderr
    frames, seconds = frames_of(path)
    assert f"{path}: plays 10 frames a second: 0.6 s\n" in done.stdout
    # ten classes
    assert (
        len(frames) == 6 and frames[0].shape == (3 * 128, 4 * 128, 3) and abs(seconds - 0.6) < 0.02
    )
    one = tool(
        "interpolate",
        runs / "styles",
        "--out",
        path,
        "--seeds",
        "0-1",
        "--frames",
        "1",
        "--class",
        "dylan",
    )
    assert one.returncode == 0 and frames_of(path)[0][0].shape == (128, 128, 3)
    says = (
        "plays 25 frames a second, the nearest to 24 that such a file has"
        if kind == "gif"
        else "plays 24 frames"
    )
    assert says in one.stdout and abs(2 / frames_of(path)[1] - (25 if kind == "gif" else 24)) < 0.1
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def frames_of(path):
    if path.suffix == ".gif":
        film = Image.open(path)
        frames = [
            np.asarray(film.convert("RGB")) for n in range(film.n_frames) if film.seek(n) is None
        ]
        return frames, film.n_frames * film.info["duration"] / 1000
    with av.open(str(path)) as film:
        frames = [frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)]
        return frames, len(frames) / float(film.streams.video[0].average_rate)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--seeds", "4"], "--seeds=4: a walk needs two or more"),
        (["--frames", "0"], "--frames=0: it must be at least 1"),
        (["--fps", "0"], "--fps=0.0: it must be 1 to 240"),
        (["--class", "dylan"], "was trained without classes"),
        (["--truncation", "nan"], "--truncation: nan must be a number, as 0.7"),
        (["--out", "walk.avi"], "walk.avi: no known kind of file. Known: .mp4, .gif, .png"),
    ],
)
def test_interpolate_mistakes_are_one_line(tool, runs, tmp_path, flags, message):
    done = tool("interpolate", runs / "none", "--out", tmp_path / "walk.gif", *flags)
    assert done.returncode == 1 and message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert not list(tmp_path.iterdir())


def test_mixing_needs_styles(tool, runs, tmp_path):
    done = tool("sample", runs / "none", "--out", tmp_path, "--mix", "1-3")
    assert done.returncode == 1 and "has no styles to mix; StyleGAN2 has" in done.stderr
    done = tool("sample", runs / "none", "--out", tmp_path, "--layers", "1-3")
    assert done.returncode == 1 and "--layers is for style mixing: give --mix too" in done.stderr


@pytest.mark.parametrize("run", ["styles", "none"])
def test_export_round_trip(exports, run):
    folder, differences = exports[run]
    assert differences["params.safetensors"] == differences["params"] == 0
    assert differences["sampler.stablehlo"] < 1e-5
    about = json.loads((folder / "about.json").read_text())
    assert about["z"] == [5] and about["platforms"] == ["cpu", "cuda", "tpu"]
    assert len(about["classes"]) == (10 if run == "styles" else 0)
    program = jax.export.deserialize(bytearray((folder / "sampler.stablehlo").read_bytes()))
    assert program.platforms == ("cpu", "cuda", "tpu")
    checked = load_stablehlo(str(folder / "sampler.stablehlo"))
    z = np.zeros((2, 5), np.float32)
    if run == "styles":
        np.testing.assert_array_equal(
            checked(z, np.array([0, 9], np.int32)), program.call(z, np.array([0, 9], np.int32))
        )
        for y in ([0, 10], [-1, 0], [99, 0]):
            with pytest.raises(ValueError, match=r"class -?\d+: .*sampler.stablehlo knows 0 to 9"):
                checked(z, np.array(y, np.int32))
    else:
        assert checked(z).shape == (2, 8, 8, 3)
    for n in (1, 3):  # any batch size, by a reader that knows nothing of gan_jax
        args = (np.zeros((n, 5), np.float32), np.zeros(n, np.int32))[: 2 if run == "styles" else 1]
        assert program.call(*args).shape == (n, 8, 8, 3)


def test_others_may_read_what_is_written(tool, runs, tmp_path):
    """As much as the umask lets them: no file is its writer's alone."""
    before = os.umask(0o027)
    try:
        for name, *flags in (
            ["export"],
            ["sample", "--seeds", "0"],
            ["interpolate", "--frames", "1"],
        ):
            out = tmp_path / name / ("walk.gif" if name == "interpolate" else "")
            done = tool(name, runs / "none", "--out", out, *flags)
            assert done.returncode == 0, done.stderr
    finally:
        os.umask(before)
    modes = {path: path.stat().st_mode & 0o777 for path in tmp_path.rglob("*")}
    assert len(modes) > 10
    for path, mode in modes.items():
        assert mode == (0o750 if path.is_dir() else 0o640), path


META = {  # what stands in a checkpoint's meta -> what is said
    "config": ([1], "its meta has no config as"),
    "classes": ([1, 2], "its meta has no classes as"),
    "classes alike": (["x", "y", "x"], "its meta has 2 classes of the name 'x'"),
    "classes without text": (
        ["x", "\ud800"],
        "its meta has a class named '\\ud800', which is no Unicode text",
    ),
    "shape": ([10**9, 8, 3], "its meta has no shape as"),
    "shape text": (["8", 8, 3], "its meta has no shape as"),
    "shape short": ([8, 8], "its meta has no shape as"),
    "shape nan": ([float("nan"), 8, 3], "its meta has no shape as"),
    "z_dim": (float("inf"), "config.game.z_dim=inf is a float"),
    "z_dim huge": (10**9, "float32[1000000000, 128] here"),
}


@pytest.mark.parametrize("name", META)
def test_a_checkpoint_with_something_else_where_a_number_belongs(name, runs, tmp_path):
    value, says = META[name]
    step = changed_step(runs, tmp_path)
    meta = checkpoint.read_meta(step)
    where = meta["config"]["game"] if name.startswith("z_dim") else meta
    where[name.split()[0]] = value
    (step / "meta" / "metadata").write_text(json.dumps(meta))
    checkpoint.write_manifest(step, 2)
    with pytest.raises(ValueError) as error:
        loading.load_sampler(step)
    assert says in str(error.value)


def test_a_size_that_a_checkpoint_states_takes_no_memory(runs, tmp_path, monkeypatch):
    def pictures(*sizes):
        raise MemoryError

    step = changed_step(runs, tmp_path)
    (step / "meta" / "metadata").write_text(
        json.dumps(checkpoint.read_meta(step) | {"shape": [2**16, 2**16, 3]})
    )
    checkpoint.write_manifest(step, 2)
    monkeypatch.setattr(base, "example_batch", pictures)  # of 24 GiB
    with pytest.raises(ValueError, match="does not fit the checkpoint"):
        loading.load_sampler(step)


def changed_step(runs, folder):
    """A copy of a checkpoint."""
    return shutil.copytree(checkpoint.find(runs / "none"), folder / "2")


def test_a_checkpoint_whose_meta_nests_without_end(runs, tmp_path):
    step = changed_step(runs, tmp_path)
    (step / "meta" / "metadata").write_text("[" * 10**5)
    checkpoint.write_manifest(step, 2)
    with pytest.raises(ValueError, match="its meta is no JSON"):
        loading.load_sampler(step)


def test_a_checkpoint_that_unfolds_into_far_more_than_its_size_is_refused(runs, monkeypatch):
    """All that stands in the tree is compared with the files' size; the bound is lowered, for a
    small one to pass it."""
    step = checkpoint.find(runs / "none")
    checkpoint.read(step, ("ema/",))
    monkeypatch.setattr(limits, "LEAST", 1000)
    monkeypatch.setattr(limits, "MULTIPLE", 0)
    with pytest.raises(ValueError, match="would unfold into 0.0 MiB of arrays. Refused"):
        checkpoint.read(step, ("ema/",))


ABOUT = {"images": {"shape": ["b", 8, 8, 3]}, "z": [5], "multiple": 32, "classes": []}
WRONG_ABOUT = {
    "z": [10**9],
    "multiple": float("nan"),
    "classes": [1],
    "images": {"shape": ["b", "8", 8, 3]},
}


@pytest.mark.parametrize("name", WRONG_ABOUT)
def test_an_export_with_something_else_where_a_number_belongs(name, tmp_path):
    (tmp_path / "about.json").write_text(json.dumps(ABOUT | {name: WRONG_ABOUT[name]}))
    with pytest.raises(
        ValueError,
        match=f"no translator that `gan-jax export` wrote .the {name}.* in about.json is not as",
    ):
        loading.load(tmp_path)
    (tmp_path / "about.json").write_text("[" * 10**5)
    with pytest.raises(ValueError, match="no translator that `gan-jax export` wrote"):
        loading.load(tmp_path)
    (tmp_path / "about.json").write_text(json.dumps(ABOUT))
    with pytest.raises(ValueError, match="restyle.stablehlo"):
        loading.load(tmp_path)


def test_an_exported_generator_from_noise_says_how_it_draws(exports):
    folder, _ = exports["none"]
    program = re.escape(f"load_stablehlo({str(folder / 'sampler.stablehlo')!r})")
    with pytest.raises(ValueError, match=rf"draws from noise.*{program}\(z, y\)"):
        loading.load(folder)


WRONG = {  # a tool given another kind of file or folder -> what it says
    ("sample", "picture"): "picture.png: no checkpoint. It is a file. Give a run's --workdir",
    ("export", "network"): "Of other people's networks `gan-jax convert` makes a run.",
    ("interpolate", "folder"): "folder: no checkpoint. Give a run's --workdir",
    ("report", "picture"): "picture.png: that is a file, not a folder.",
    ("report", "folder"): "folder: not a run's workdir",
    ("convert_weights", "picture"): "picture.png: this is no file of weights but a PNG picture.",
    ("convert_weights", "folder"): "folder: that is a folder; give the file itself.",
    ("convert_weights", "run"): "none: that is a folder; give the file itself.",
    ("stylize", "run"): (
        "this run's noise_to_image draws new pictures from noise, and can't change one of yours."
        " `gan-jax sample`"
    ),
    ("evaluate", "picture"): "picture.png': not a folder.",
}


@pytest.mark.parametrize(("name", "kind"), WRONG)
def test_a_tool_given_another_kind_of_thing_says_what_it_is(name, kind, tool, runs, tmp_path):
    things = {
        "picture": tmp_path / "picture.png",
        "network": tmp_path / "net.pkl",
        "folder": tmp_path / "folder",
    }
    save_png(things["picture"], np.zeros((8, 8, 3), np.uint8))
    things["network"].write_bytes(b"\x80\x02N.")
    save_png(things["folder"] / "a.png", np.zeros((8, 8, 3), np.uint8))
    thing = things.get(kind, runs / "none")
    also = {"stylize": [things["picture"]], "evaluate": [things["folder"]]}.get(name, [])
    done = tool(name, thing, *also, "--out", tmp_path / "out.gif")
    assert (
        done.returncode == 1 and WRONG[name, kind] in done.stderr and "config." not in done.stderr
    )
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
    assert not (tmp_path / "out.gif").exists()


@pytest.mark.parametrize("name", ["sample", "export", "interpolate"])
def test_a_file_where_the_results_would_go_is_named(name, tool, runs, tmp_path):
    (tmp_path / "out").write_text("mine")
    out = tmp_path / "out" / ("walk.gif" if name == "interpolate" else "x")
    done = tool(
        name, runs / "none", "--out", out, *(["--frames", "1"] if name == "interpolate" else [])
    )
    assert (
        done.returncode == 1
        and "a file stands there, or above it, where a folder is needed." in done.stderr
    )
    assert "Errno" not in done.stderr and (tmp_path / "out").read_text() == "mine"


def test_export_leaves_what_is_not_its_own(tool, runs, tmp_path):
    (tmp_path / "params").mkdir()
    (tmp_path / "params" / "mine.txt").write_text("mine")
    done = tool("export", runs / "none", "--out", tmp_path)
    assert (
        done.returncode == 1 and "params is there already and is no export of ours" in done.stderr
    )
    assert (tmp_path / "params" / "mine.txt").read_text() == "mine"


def test_a_difference_would_show(tool, runs, exports):
    """And an export goes over its own."""
    folder, _ = exports["none"]
    done = tool("export", runs / "none", "--out", folder)
    assert done.returncode == 0 and done.stdout.count(": max difference ") == 3, done.stderr
    sampler = loading.load_sampler(runs / "none")
    shifted = jax.tree.map(lambda x: x + 0.5, sampler.ema)
    assert min(export.round_trip(dataclasses.replace(sampler, ema=shifted), folder).values()) > 1e-3


def test_bench_prints_one_json_line(tool, file, tmp_path):
    out = tmp_path / "bench.jsonl"
    for extra in ([], ["--set", "batch=8"]):
        done = tool("bench_step", file, "--iterations", "3", "--out", out, *extra)
        assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert json.loads(done.stdout) == lines[-1]
    assert [line["batch"] for line in lines] == [4, 8]
    low, high = lines[0]["step_ms_range"]
    assert low <= lines[0]["step_ms"] <= high
    ms, half = lines[0]["step_ms"], 0.005 + 1e-9  # of the last digit of two
    assert 4000 / (ms + half) - half <= lines[0]["img_s"] <= 4000 / (ms - half) + half
    assert lines[0]["gflop"] > 0 and lines[0]["compile_s"] > 0 and lines[0]["peak_mib"] > 50
    assert lines[1]["gflop"] > 1.5 * lines[0]["gflop"]  # twice the images
    table = tool("bench_step", "--compare", out).stdout.splitlines()
    assert len(table) == 4 and table[2].endswith("| 1.00 |") and "batch=8" in table[3]


def test_bench_times_whole_cycles_of_lazy_steps(tool, file):
    lazy = ["--set", "game.penalty=r1", "--set", "game.penalty_every=4"]
    done = tool("bench_step", file, "--iterations", "5", *lazy)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["iterations"] == 8


def test_compare_names_a_line_that_is_none_of_its_own(tool, tmp_path):
    (tmp_path / "x.jsonl").write_text('{"a": 1}\n')
    done = tool("bench_step", "--compare", tmp_path / "x.jsonl")
    assert (
        done.returncode == 1 and "x.jsonl, line 1: not a line that this tool printed" in done.stderr
    )


def test_bench_of_a_given_shape_opens_no_data(tool, file):
    shutil.rmtree(file.parent / "pictures")
    done = tool("bench_step", file, "--shape", "4x6x1", "--classes", "3", "--iterations", "1")
    assert done.returncode == 0 and json.loads(done.stdout)["shape"] == [4, 6, 1], done.stderr
    done = tool("bench_step", file, "--shape", "8by8")
    assert done.returncode == 1 and "--shape=8by8: write height x width x channels" in done.stderr


def test_curves_count_training_time(tool, tmp_path):
    """100 images at 10 a second, then 100 at 20: the evaluation at 150 comes after 12.5 seconds."""
    for name, slow in (("a", 1), ("b", 2)):
        (tmp_path / name).mkdir()
        lines = [
            {"images": 100, "step": 1, "img/s": 10 / slow},
            {"images": 200, "step": 2, "img/s": 20 / slow},
        ]
        (tmp_path / name / "metrics.jsonl").write_text("\n".join(map(json.dumps, lines)))
        found = [
            {"images": n, "step": n, "values": {"kid": value}}
            for n, value in ((100, 0.5), (150, 0.25))
        ]
        (tmp_path / name / "evaluations.jsonl").write_text("\n".join(map(json.dumps, found)))
    draw = lambda *flags: tool(
        "curves", tmp_path / "a", tmp_path / "b", "--out", tmp_path / "out.png", *flags
    )
    done = draw("--metric", "kid")
    assert done.returncode == 0, done.stderr
    assert "a: 0.25 after 0.2 minutes" in done.stdout and "b: 0.25 after 0.4 minutes" in done.stdout
    assert Image.open(tmp_path / "out.png").size == (1050, 630)
    assert runs_module.read([tmp_path / "a"])[0].seconds(150) == 12.5
    assert np.isnan(runs_module.read([tmp_path / "a"])[0].seconds(300))
    done = draw("--metric", "kids")
    assert (
        done.returncode == 1
        and "--metric=kids: not measured in" in done.stderr
        and "Did you mean 'kid'?" in done.stderr
    )


@pytest.mark.parametrize(
    ("workload", "repository"),
    [
        ("biggan", "POSTECH-CVLab/PyTorch-StudioGAN"),
        ("stylegan2", "NVlabs/stylegan2-ada-pytorch"),
        ("r3gan", "brownvc/R3GAN"),
    ],
)
def test_bench_peer_names_the_checkout_it_wants(tool, tmp_path, workload, repository):
    done = tool("bench_peer", workload, "--checkout", tmp_path)
    assert done.returncode == 1 and f"no checkout of github.com/{repository}" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
