"""A run's generator as a small folder, used as a run; the models that come with the package."""

import json
import re
import shutil

import jax
import numpy as np
import pytest
import safetensors.numpy

import gan_jax as gj
from gan_jax import build, checkpoint, config
from gan_jax.checkpoint import shared
from gan_jax.data.images import save_png
from gan_jax.inference import loading, share
from gan_jax.start import resume
from tests.runs import STYLED, filled, lively_stylegan2, untrained

RUN = {"data": {"source": "folder", "path": "/home/me/photos"}, "batch": 4, "total_kimg": 1.0}
NOISE = RUN | {"algorithm": "noise_to_image", "model": "mlp", "game": {"z_dim": 5}}
NOISE |= {"g": {"widths": (40,)}, "d": {"widths": (4,)}}
CYCLE = RUN | {"algorithm": "cyclegan", "model": "cyclegan", "data": {}}
CYCLE |= {"g": {"width": 2, "blocks": 1}, "d": {"width": 2}}
PICTURE = np.random.default_rng(0).integers(0, 256, (20, 24, 3), np.uint8)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run that draws pictures from noise, of two classes."""
    return untrained(tmp_path_factory.mktemp("runs") / "noise", NOISE, [6, 8, 3], ["cat", "dog"])


@pytest.fixture
def zoo(tmp_path, run, monkeypatch, tool):
    """A zoo with the run in it, by the command that adds a model to the real one."""
    monkeypatch.setattr(shared, "ZOO", tmp_path / "zoo")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "words.md").write_text("Cats and dogs, CC0.\n\nMade by hand.")
    done = tool("share", run, "--out", "zoo/pets", "--card", "words.md")
    assert done.returncode == 0, done.stderr
    return tmp_path / "zoo"


def test_pictures_are_the_runs_but_for_rounding(run, tmp_path):
    sampler = loading.load_sampler(run)
    made = share.share(sampler, tmp_path / "mine")
    again = gj.load(tmp_path / "mine")
    assert again.classes == ("cat", "dog") and again.shape == (6, 8, 3)
    off = np.abs(again.sample(64).astype(int) - sampler.sample(64))
    assert off.max() <= 1 and made["rounding"] <= 1
    stored = safetensors.numpy.load_file(tmp_path / "mine" / shared.WEIGHTS)
    assert {x.dtype for x in stored.values()} == {np.dtype(np.float16)}
    assert made["bytes"] < 1000 + 2 * sum(x.size for x in stored.values())
    for name, x in checkpoint.read(sampler.step, ("ema/",))[0].items():
        np.testing.assert_allclose(stored[name].astype(np.float32), x, rtol=5e-4, atol=6e-8)


def test_a_difference_to_another_model(run, tmp_path, tool):
    """Only what that has not is written; pictures are as of the whole, and no other model will
    do."""
    base = loading.load_sampler(run)
    share.share(base, tmp_path / "base")

    def moved(path, x):  # the last layer's weights alone differ
        name = jax.tree_util.keystr(path)
        made = filled(path, x)
        return made + 0.5 if "Dense_1" in name and "kernel" in name else made

    own = untrained(tmp_path / "own", NOISE, [6, 8, 3], ["cat", "dog"], moved)
    done = tool("share", own, "--out", tmp_path / "mine", "--over", tmp_path / "base")
    assert done.returncode == 0, done.stderr
    share.share(loading.load_sampler(own), tmp_path / "whole")
    stored = safetensors.numpy.load_file(tmp_path / "mine" / shared.WEIGHTS)
    assert list(stored) == ["ema/params/g/Dense_1/kernel"]
    assert "that `base` has not" in (tmp_path / "mine" / shared.CARD).read_text("utf-8")
    pictures = [gj.load(tmp_path / name).sample(4) for name in ("mine", "whole", "base")]
    np.testing.assert_array_equal(pictures[0], pictures[1])
    assert (pictures[0] != pictures[2]).any()
    for over, says in (
        (tmp_path / "mine", "it is a difference itself"),
        (tmp_path / "none", "no shared model there"),
    ):
        with pytest.raises(ValueError, match=f"--over={over}: {says}"):
            share.share(base, tmp_path / "more", over=over)
    with pytest.raises(ValueError, match="Give an --out beside"):
        share.share(base, tmp_path / "below" / "more", over=tmp_path / "base")
    shutil.move(tmp_path / "base", tmp_path / "elsewhere")
    with pytest.raises(ValueError, match="the model 'base', which is not there. Put the one of"):
        gj.load(tmp_path / "mine")
    share.share(loading.load_sampler(own), tmp_path / "base")
    with pytest.raises(ValueError, match=r"the model 'base', which \(.*\) is another by now"):
        gj.load(tmp_path / "mine")
    about = json.loads((tmp_path / "mine" / shared.ABOUT).read_text())
    about["over"]["name"] = "../base"
    (tmp_path / "mine" / shared.ABOUT).write_text(json.dumps(about))
    with pytest.raises(ValueError, match="is not as `gan-jax share` writes it"):
        gj.load(tmp_path / "mine")


def test_nothing_of_this_machine_is_passed_on(run, tmp_path):
    share.share(loading.load_sampler(run), tmp_path / "mine")
    for file in (shared.ABOUT, shared.CARD):
        text = (tmp_path / "mine" / file).read_text()
        assert "/home/me" not in text and str(tmp_path) not in text and str(run) not in text


def test_the_page_has_figures_of_these_weights_alone(run, tmp_path):
    workdir = shutil.copytree(run, tmp_path / "runs" / "noise")
    record = lambda step, value: json.dumps({"step": step, "values": {"kid": value}}) + "\n"
    page = lambda path, name: (
        share.share(loading.load_sampler(path), tmp_path / name),
        (tmp_path / name / shared.CARD).read_text(),
    )[1]
    (workdir / "evaluations.jsonl").write_text(record(0, 1.0) + record(0, 0.25) + record(5, 0.125))
    text = page(workdir, "mine")
    assert "evaluation at step 0\n\n| | |\n|---|---|\n| kid | 0.25 |\n" in text
    assert "0.125" not in text
    (workdir / "evaluations.jsonl").write_text(record(5, 0.125))
    assert "Figures" not in page(workdir, "other")
    # beside a shared model's folder another run's records may stand
    (tmp_path.parent / "evaluations.jsonl").write_text(record(0, 0.5))
    assert "Figures" not in page(tmp_path / "mine", "again")


def test_it_says_which_frozen_networks_it_was_trained_through(run, tmp_path, monkeypatch):
    kept, frozen = checkpoint.read, {"eyes": "vgg16 (SHA-256 ab)"}
    monkeypatch.setattr(
        checkpoint, "read", lambda *args: (kept(*args)[0], kept(*args)[1] | {"frozen": frozen})
    )
    share.share(loading.load_sampler(run), tmp_path / "mine")
    assert json.loads((tmp_path / "mine" / shared.ABOUT).read_text())["frozen"] == frozen
    text = (tmp_path / "mine" / shared.CARD).read_text()
    assert "* Trained through the frozen network vgg16 (SHA-256 ab)." in text


def test_weights_that_no_picture_depends_on_are_left_out(tmp_path):
    """CycleGAN's other generator; the rest are enough for the same pictures."""
    run = untrained(tmp_path / "cycle", CYCLE, [16, 16, 3], ["a", "b"])
    sampler = gj.load(run)
    share.share(sampler, tmp_path / "mine")
    names = {
        name.split("/")[2]
        for name in safetensors.numpy.load_file(tmp_path / "mine" / shared.WEIGHTS)
    }
    unused = json.loads((tmp_path / "mine" / shared.ABOUT).read_text())["unused"]
    assert len(names) == 1 and {name.split("/")[2] for name in unused} | names == {"g_ab", "g_ba"}
    again = gj.load(tmp_path / "mine")
    off = np.abs(again.stylize(PICTURE).astype(int) - sampler.stylize(PICTURE))
    assert off.max() <= 2
    assert repr(again).startswith("<Sampler mine: cyclegan")
    # the classes of its data are no styles of a translator into one
    assert sampler.classes == again.classes == ()
    with pytest.raises(ValueError, match="turns pictures into pictures"):
        sampler(np.zeros((1, 0)), None)


def test_a_value_beyond_float16_stays_as_it_is(tmp_path):
    leaves = {"ema/a": np.array([1e6, 1], np.float32), "ema/b": np.array([1.0], np.float32)}
    shared.write(tmp_path, leaves, {}, {"config": {}, "shape": [], "classes": [], "step": 0})
    assert shared.read(tmp_path, ("ema/",))[0]["ema/a"].tolist() == [1e6, 1]
    assert safetensors.numpy.load_file(tmp_path / shared.WEIGHTS)["ema/b"].dtype == np.float16


def test_what_is_damaged_is_refused(run, tmp_path):
    share.share(loading.load_sampler(run), tmp_path / "mine")
    file = tmp_path / "mine" / shared.WEIGHTS
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    with pytest.raises(ValueError, match=r"its weights \(weights.safetensors\) have changed"):
        gj.load(tmp_path / "mine")
    file.unlink()
    with pytest.raises(ValueError, match="are missing"):
        gj.load(tmp_path / "mine")
    (tmp_path / "mine" / shared.ABOUT).write_text("{")
    with pytest.raises(ValueError, match=r"model.json is no JSON"):
        gj.load(tmp_path / "mine")
    (tmp_path / "mine" / shared.ABOUT).write_text("[]")
    with pytest.raises(ValueError, match=r"not as `gan-jax share` writes it"):
        gj.load(tmp_path / "mine")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"step": None}, "not as `gan-jax share` writes it"),
        ({"step": -1}, "not as `gan-jax share` writes it"),
        ({"config": []}, "not as `gan-jax share` writes it"),
        ({"shape": None}, "not as `gan-jax share` writes it"),
        ({"unused": ["ema/x"]}, "not as `gan-jax share` writes it"),
        ({"unused": {"ema/x": ["a"]}}, "not as `gan-jax share` writes it"),
        ({"unused": {"ema/x": [10**12]}}, "would unfold into"),
        ({"unused": {"ema/x": [0, 10**30]}}, "would unfold into"),
    ],
)
def test_what_someone_wrote_into_it_is_checked(run, tmp_path, wrong, message):
    file = tmp_path / "mine" / shared.ABOUT
    share.share(loading.load_sampler(run), file.parent)
    file.write_text(json.dumps(json.loads(file.read_text()) | wrong))
    with pytest.raises(ValueError, match=message):
        gj.load(file.parent)


def test_a_name_stands_for_a_run(zoo, run, tool):
    done = tool("sample", "pets", "--out", "pictures", "--seeds", "0")
    assert done.returncode == 0 and "from " + str(zoo / "pets") in done.stdout, done
    np.testing.assert_array_equal(gj.load("pets").sample(4), gj.load(zoo / "pets").sample(4))
    (zoo.parent / "pets").mkdir()  # a folder of results, as of --out pets
    assert gj.load("pets").step == zoo / "pets"
    (zoo.parent / "pets" / "checkpoints").symlink_to(run / "checkpoints")  # a run of one's own
    assert gj.load("pets").step.parent.name == "checkpoints"


def test_a_wrong_name_says_which_there_are(zoo, tool):
    done = tool("stylize", "pet", zoo.parent / "words.md", "--out", "out")
    assert "Or a model's name. Did you mean 'pets'? Known: pets." in done.stderr, done.stderr


def test_models_are_listed_with_their_pages(zoo, tool):
    (line,) = tool("models").stdout.splitlines()
    assert line.startswith("pets  0.0 MB  Cats and dogs, CC0.")
    page = tool("models", "pets").stdout
    assert "# pets" in page and "Classes: cat, dog." in page and "Made by hand." in page
    assert "Known: pets" in tool("models", "pet").stderr


def test_a_new_run_starts_from_a_model(zoo, run):
    settings = json.loads(json.dumps(NOISE)) | {"init_from": "pets", "seed": 1}
    run_config = config.Config(**settings | {"g": {"widths": (40,)}, "d": {"widths": (4,)}})
    game = build.make_game(run_config, (6, 8, 3), 2)
    new = build.new_state(run_config, game, (6, 8, 3), 2)
    state, report = checkpoint.warm_start(new, "pets", ["cat", "dog"])
    saved = checkpoint.read(zoo / "pets", ("ema/",))[0]
    for name, x in checkpoint.named({"ema": state.g.params}).items():
        np.testing.assert_array_equal(x, saved[name.replace("ema/", "ema/params/", 1)])
    assert f"initialized from {zoo / 'pets'}" in report[0]


def test_a_run_goes_on_from_a_models_critic(run, tmp_path):
    """Which is shared on demand only."""
    meta = {}
    for critic in (False, True):
        share.share(gj.load(run), tmp_path / f"{critic}", critic=critic)
        meta[critic] = (tmp_path / f"{critic}" / shared.CARD).read_text()
    assert "critic's" in meta[True] and "critic's" not in meta[False]
    run_config = config.Config(**NOISE | {"seed": 1})
    game = build.make_game(run_config, (6, 8, 3), 2)
    new = build.new_state(run_config, game, (6, 8, 3), 2)
    before = checkpoint.named({"d": new.d.params})
    own, _ = checkpoint.read(checkpoint.find(run), ("d/params/",))
    for critic in (False, True):
        state, _ = checkpoint.warm_start(new, tmp_path / f"{critic}", ["cat", "dog"])
        for name, x in checkpoint.named({"d": state.d.params}).items():
            wanted = own[name.replace("d/", "d/params/", 1)] if critic else before[name]
            np.testing.assert_allclose(x, wanted, rtol=1e-3)


@pytest.mark.parametrize("here", [2, 3])
def test_a_new_runs_classes_start_as_one_of_the_others(tmp_path, here):
    """Of three, whose number is also that of a kernel's rows; whatever they are called here."""
    settings = STYLED | {"g": STYLED["g"] | {"channel_max": 3}}
    run = untrained(tmp_path / "three", settings, [16, 16, 3], list("abc"), lively_stylegan2)
    run_config = config.Config(**settings, seed=3)
    game = build.make_game(run_config, (16, 16, 3), here)
    new = build.new_state(run_config, game, (16, 16, 3), here)
    by_class = build.rows_by_class(run_config, (16, 16, 3), here)
    assert {name.rsplit("/", 2)[1] for name in by_class} == {"embed"}
    how = new, run, [f"style {k}" for k in range(here)]
    state, report = checkpoint.warm_start(*how, "c", by_class)
    assert "  all classes start as 'c' there, in 3 leaves" in report  # G's, D's, the average's
    saved, _ = checkpoint.read(checkpoint.find(run), ("g/params/", "d/params/"))
    own = checkpoint.named({"g": {"params": state.g.params}, "d": {"params": state.d.params}})
    for name, x in own.items():
        wanted = saved[name]
        if name in by_class:
            wanted = np.repeat(wanted[2:3], here, 0)
        np.testing.assert_array_equal(x, wanted)
    with pytest.raises(ValueError, match="config.init_class='k' is not known. .*Known: a, b"):
        checkpoint.warm_start(*how, "k", by_class)
    with pytest.raises(ValueError, match="config.init_class='c': the data has no classes"):
        checkpoint.warm_start(new, run, [], "c", by_class)
    with pytest.raises(ValueError, match="the networks there have no rows for classes"):
        checkpoint.warm_start(*how, "c", ())


def test_a_new_run_takes_no_zeros_for_what_was_left_out(tmp_path):
    run = untrained(tmp_path / "cycle", CYCLE, [16, 16, 3], ["a", "b"])
    share.share(gj.load(run), tmp_path / "mine")
    run_config = config.Config(**CYCLE)
    game = build.make_game(run_config, (16, 16, 3), 2)
    new = build.new_state(run_config, game, (16, 16, 3), 2)
    state, report = checkpoint.warm_start(new, tmp_path / "mine", ["a", "b"])
    left_out = json.loads((tmp_path / "mine" / shared.ABOUT).read_text())["unused"]
    before, after = (checkpoint.named({"ema": x.ema}) for x in (new, state))
    assert left_out and before.keys() > left_out.keys()
    for name in left_out:
        np.testing.assert_array_equal(after[name], before[name])
        assert f"  kept as initialized: {name} is not there" in report


@pytest.mark.parametrize("name", shared.names())
def test_a_model_that_comes_with_the_package(name):
    folder = shared.ZOO / name
    assert (folder / shared.WEIGHTS).stat().st_size <= 8e6
    assert share.NO_WORDS not in (folder / shared.CARD).read_text()
    picture = np.zeros((40, 40, 3), np.uint8)
    sampler = gj.load(name)
    if sampler.game.command == "stylize":
        styled = sampler.stylize(picture, style=sampler.classes[0] if sampler.classes else None)
        assert styled.shape == picture.shape


def test_a_folder_with_other_files_is_left_alone(run, tmp_path, tool):
    save_png(tmp_path / "pictures" / "a.png", PICTURE)
    done = tool("share", run, "--out", tmp_path / "pictures")
    assert done.returncode == 1 and "it holds other files" in done.stderr
    assert "no such file" in tool("share", run, "--out", "x", "--card", "none.md").stderr


def test_a_model_is_no_runs_folder(run, tmp_path, tool):
    mine = tmp_path / "mine"
    assert tool("share", run, "--out", mine).returncode == 0
    with pytest.raises(ValueError, match="mine: a shared model.* --config.init_from="):
        resume.open_store(config.Config(**NOISE), mine, restart=False)
    (mine / "checkpoints").mkdir()
    assert "it holds other files" in tool("share", run, "--out", mine).stderr


@pytest.mark.parametrize("name", ["portraits_few", "portraits_dorm"])
def test_the_config_for_few_portraits_goes_on_from_all_of_the_model(name):
    run_config = config.load(name)
    game = build.make_game(run_config, (64, 64, 4), 1)
    shapes = jax.eval_shape(lambda: build.new_state(run_config, game, (64, 64, 4), 1).saved())
    new = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), shapes)
    by_class = build.rows_by_class(run_config, (64, 64, 4), 1)
    how = run_config.init_from, ["one"], run_config.init_class, by_class
    state, report = checkpoint.warm_start(new, *how)
    found, of = map(int, re.search(r"(\d+) of (\d+) leaves match", report[0]).groups())
    assert found == of > 50 and "all classes start as 'big-ears' there" in report[1]
    names = checkpoint.named({"d": state.d.params, "g": state.g.params})
    assert all(np.any(x) for name, x in names.items() if name.endswith("kernel"))
