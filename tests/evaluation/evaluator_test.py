"""Evaluation end to end: in a run, alone, and of folders; every number with its protocol, the same
digits twice."""

import contextlib
import dataclasses
import json
import shutil
import subprocess

import numpy as np
import pytest
from PIL import Image

import gan_jax
from gan_jax import algorithms, build, checkpoint, config, main, pretrained
from gan_jax import training as train
from gan_jax.data import corruptions
from gan_jax.data.images import save_png
from gan_jax.data.source import open_source
from gan_jax.data.sources.avatars import STYLES
from gan_jax.evaluation import best, evaluator, features, gather, measures, sampler
from gan_jax.evaluation import record as recording
from gan_jax.evaluation.features import Extractor
from gan_jax.evaluation.images import Images, Sets, of_source
from gan_jax.evaluation.measures import robustness, usefulness
from gan_jax.evaluation.protocol import Protocol
from gan_jax.evaluation.record import measure
from gan_jax.metrics import kid
from gan_jax.reporting.writer import Writer
from gan_jax.runtime.files import append_line
from tests.evaluation.features_test import toy_apply
from tests.paths import ROOT

FILE = """
def get_config(arg=None):
    return dict(algorithm="noise_to_image", model="mlp", batch=8, total_kimg=0.16, g=dict(widths=(16,)),
                d=dict(widths=(16,)), game=dict(z_dim=4), opt_g=dict(lr=1e-3), opt_d=dict(lr=1e-3),
                data=dict(source="avatars", resolution=8, identities=36, labels="style", flip=True),
                log_every_kimg=0.08, sample_every_kimg=0.16, save_every_kimg=0.08, eval_every_kimg=0.04,
                eval=dict(images=40, reference=50, batch=8, held_out=dict(split="test"), robustness_images=8,
                          usefulness=dict(sizes=(20, 10_000), seeds=2, steps=3, batch=8, width=4)))
"""


@pytest.fixture
def toy(monkeypatch):
    """Every net is a small one."""
    w = np.random.default_rng(0).normal(size=(3, 3, 3, 6)).astype(np.float32)
    net = pretrained.Net("toy", "_toy", 6, 2, None, "none", "f" * 64, {"w": w}, toy_apply)
    monkeypatch.setattr(pretrained, "load", lambda name, path, resize: net)
    return net


@pytest.fixture
def file(tmp_path, shared_data, toy):
    (tmp_path / "c.py").write_text(FILE)
    return str(tmp_path / "c.py")


def records(workdir):
    return [json.loads(line) for line in (workdir / "evaluations.jsonl").read_text().splitlines()]


def values(workdir):
    return [record["values"] for record in records(workdir)]


# --- while training


def test_a_run_evaluates_itself_the_same_way_twice(file, tmp_path, capsys):
    for name in ("a", "b"):
        train.run(config.load(file), tmp_path / name)
    out = capsys.readouterr().out
    assert out.count("evaluating 40 images by kid, precision_recall") == 8 and "kid_toy  " in out
    assert out.count("measuring 50 reference images by toy, once") == 1  # cached for all the others
    assert [r["step"] for r in records(tmp_path / "a")] == [5, 10, 15, 20]
    assert [r["images"] for r in records(tmp_path / "a")] == [40, 80, 120, 160]
    assert values(tmp_path / "a") == values(tmp_path / "b")
    assert set(values(tmp_path / "a")[0]) == {
        "kid_toy",
        "kid_toy_se",
        "precision_toy",
        "recall_toy",
    }
    lines = [
        json.loads(line) for line in (tmp_path / "a" / "metrics.jsonl").read_text().splitlines()
    ]
    assert [line["eval/kid_toy"] for line in lines if "eval/kid_toy" in line] == [
        v["kid_toy"] for v in values(tmp_path / "a")
    ]


def test_the_protocol_stands_beside_every_number(file, tmp_path):
    train.run(
        config.load(file, ["total_kimg=0.04", "eval.seed=3", "eval.truncation=0.7"]), tmp_path / "a"
    )
    (record,) = records(tmp_path / "a")
    protocol = record["protocol"]
    assert protocol["images"] == 40 and protocol["reference"] == 50 and protocol["seed"] == 3
    assert protocol["features"] == {"name": "toy", "sha256": "f" * 64, "dim": 6}
    assert (
        protocol["split"] == "train"
        and protocol["flips"] is False
        and protocol["truncation"] == 0.7
    )
    assert protocol["range"] == "uint8 [0, 255]" and protocol["resize"] == "none"
    assert protocol["weights"] == "averaged (EMA)" and protocol["versions"]["jax"]
    assert protocol["commit"] == recording.commit() and record["seconds"] >= 0


def test_the_commit_is_the_checkouts(tmp_path, monkeypatch):
    package = tmp_path / "gan_jax"
    package.mkdir()
    (package / "__init__.py").write_text("")
    monkeypatch.setattr(gan_jax, "__file__", str(package / "__init__.py"))
    commit = recording.commit.__wrapped__
    assert commit() is None
    git = lambda *words: (
        subprocess.run(
            ["git", "-C", str(tmp_path), *words], check=True, capture_output=True, text=True
        ).stdout
    )
    git("init", "--quiet")
    git("add", ".")
    git("-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "--message=first")
    assert commit() == git("rev-parse", "HEAD")[:12]
    (package / "__init__.py").write_text("changed = True")
    assert commit() == git("rev-parse", "HEAD")[:12] + "-dirty"


def test_numbers_change_with_the_seed_and_the_truncation(file, tmp_path):
    found = []
    for n, override in enumerate(["eval.seed=0", "eval.seed=1", "eval.truncation=0.1"]):
        train.run(config.load(file, ["total_kimg=0.04", override]), tmp_path / str(n))
        found.append(values(tmp_path / str(n))[0]["kid_toy"])
    assert len(set(found)) == 3


def test_what_is_measured_is_the_average_and_the_unflipped_data(file, tmp_path, toy):
    state = train.run(config.load(file, ["total_kimg=0.04"]), tmp_path / "a")
    run = config.load(file)
    source = open_source(dict(run.data) | {"flip": False})
    game = algorithms.make_game(run, source.shape, 10)
    chosen = np.random.default_rng(0).permutation(len(source))[:50]
    real = toy_apply(toy.params, source.load(chosen, np.zeros(50, np.uint64))["image"]).features
    labels = np.random.default_rng([0, 1]).permutation(np.repeat(np.arange(10, dtype=np.int32), 4))
    drawn = sampler.BatchSampler(game, seed=0, truncation=None, batch=8)
    fake = drawn.images(drawn.prepare(state.ema), 40, labels)
    fake = toy_apply(toy.params, fake.load(np.arange(40))).features
    found = kid.kid(np.asarray(real), np.asarray(fake))
    (record,) = records(tmp_path / "a")
    assert record["values"]["kid_toy"] == pytest.approx(found.value, rel=1e-4)
    assert record["values"]["kid_toy_se"] == pytest.approx(found.se, rel=1e-4)


def scripted(monkeypatch, numbers):
    """Evaluations give these values of kid, in order."""
    queue = iter(numbers)

    def call(self, ema, *, step, images, folder):
        return {
            "step": step,
            "images": images,
            "values": {"kid_toy": next(queue)},
            "protocol": {},
            "seconds": 0.0,
        }

    monkeypatch.setattr(evaluator.Evaluator, "__call__", call)


def test_the_best_checkpoint_is_kept_and_nan_never_wins(file, tmp_path, monkeypatch, capsys):
    scripted(monkeypatch, [float("nan"), 0.5, 0.2, float("-inf")])
    train.run(config.load(file), tmp_path / "a")
    best = checkpoint.find(tmp_path / "a" / "best")
    assert best.name == "15" and checkpoint.read_meta(best)["best"]["kid_toy"] == 0.2
    assert capsys.readouterr().out.count("best kid_toy so far") == 2
    assert checkpoint.find(tmp_path / "a").name == "20"  # the newest, apart from it


def test_a_resumed_run_remembers_the_best(file, tmp_path, monkeypatch):
    scripted(monkeypatch, [0.5, 0.2])
    train.run(config.load(file, ["total_kimg=0.08"]), tmp_path / "a")
    scripted(monkeypatch, [0.3, 0.25])
    train.run(config.load(file), tmp_path / "a")
    assert checkpoint.find(tmp_path / "a" / "best").name == "10"
    scripted(monkeypatch, [0.1])
    train.run(config.load(file, ["total_kimg=0.2"]), tmp_path / "a")
    assert checkpoint.find(tmp_path / "a" / "best").name == "25"


def test_a_best_of_another_protocol_or_of_a_lost_future_does_not_count(
    file, tmp_path, monkeypatch, capsys
):
    scripted(monkeypatch, [0.5, 0.2, 0.4, 0.3])
    train.run(config.load(file), tmp_path / "a")
    # the run goes on from 10, before the best at 10 ... 20
    shutil.rmtree(tmp_path / "a" / "checkpoints" / "20")
    scripted(monkeypatch, [0.35, 0.6])
    train.run(config.load(file, ["eval.seed=7"]), tmp_path / "a")
    assert "step 10, was chosen by another protocol: chosen anew" in capsys.readouterr().out
    # 0.35, though 0.2 was seen by another protocol
    assert checkpoint.find(tmp_path / "a" / "best").name == "15"
    shutil.rmtree(tmp_path / "a" / "checkpoints" / "20")
    scripted(monkeypatch, [0.9, 0.8])
    train.run(config.load(file, ["eval.seed=7"]), tmp_path / "a")
    # the best at 15 was of a future that is gone
    assert checkpoint.find(tmp_path / "a" / "best").name == "20"
    assert (tmp_path / "a" / "best" / "later-15" / "state").is_dir()  # and is kept all the same
    assert (
        "the best checkpoint was of step 15, later than this run goes on from"
        in capsys.readouterr().out
    )


def best_of(config_file, overrides, workdir):
    """(a BestCheckpoint of the config, what it logged)."""
    run, said = config.load(config_file, overrides), []
    source = open_source(run.data)
    return (
        best.BestCheckpoint(
            run,
            workdir,
            source,
            algorithms.make_game(run, source.shape, len(source.classes)),
            0,
            said.append,
        ),
        said,
    )


HELD_OUT = "eval.held_out={'a': {'split': 'test'}, 'b': {'split': 'test'}}"
CUT = str(ROOT / "configs" / "avatars_cut.py:smoke")


@pytest.mark.parametrize(
    ("of", "overrides", "chosen"),
    [
        ("noise", [], "by kid_toy on training pictures"),
        ("noise", ["eval.data={'background': (0, 0, 0)}"], "by kid_toy on training pictures"),
        ("noise", ["eval.data={'split': 'test'}"], "none: kid_toy is measured on the pictures of config.eval.data, which"),
        ("noise", ["eval.metrics=('usefulness',)"], "none: cas is measured on the pictures of config.eval.held_out, which"),
        ("noise", ["eval.metrics=('usefulness',)", "eval.validation={'split': 'validation'}"], "by cas on config.eval.validation"),
        ("pictures", [], "by kid_toy on training pictures"),
        ("pictures", [HELD_OUT], "none: kid_toy is measured on the pictures of config.eval.held_out, which are to test"),
        ("pictures", [HELD_OUT, HELD_OUT.replace("test", "validation").replace("held_out", "validation")],
         "by kid_toy on config.eval.validation"),
    ],
)  # fmt: skip
def test_no_checkpoint_is_chosen_on_test_pictures(file, tmp_path, of, overrides, chosen):
    path = {"noise": file, "pictures": CUT}[of]
    keeper, said = best_of(path, overrides, tmp_path)
    keeper.close()
    assert keeper.chosen.startswith(chosen) and keeper.keeps == chosen.startswith("by ")
    assert (
        said == []
        if keeper.keeps
        else said[0].startswith("no best checkpoint is kept: ") and len(said) == 1
    )
    if not keeper.keeps:
        with pytest.raises(
            ValueError,
            match=(
                f"config.eval.best='{keeper.criterion.name}': it is measured on the pictures that are to test"
            ),
        ):
            best_of(path, [*overrides, f"eval.best={keeper.criterion.name}"], tmp_path)


def test_validation_pictures_choose_and_the_record_says_so(file, tmp_path, monkeypatch):
    def call(self, ema, *, step, images, folder):
        return {
            "step": step,
            "images": images,
            "values": {"cas": 0.5},
            "protocol": self.stamp(),
            "seconds": 0.0,
        }

    monkeypatch.setattr(evaluator.Evaluator, "__call__", call)
    validation = "eval.validation={'split': 'validation'}"
    short = ["total_kimg=0.04", "eval.metrics=('usefulness',)"]
    train.run(config.load(file, [*short, validation]), tmp_path / "a")
    (record,) = records(tmp_path / "a")
    assert record["best"] == "by cas on config.eval.validation"
    assert record["protocol"]["held_out"] == {"split": "validation"}
    assert checkpoint.find(tmp_path / "a" / "best").name == "5"
    train.run(config.load(file, short), tmp_path / "b")
    (record,) = records(tmp_path / "b")
    assert record["best"].startswith("none: cas is measured on") and record["protocol"][
        "held_out"
    ] == {"split": "test"}
    assert not list((tmp_path / "b" / "best").glob("[0-9]*"))


def test_a_best_that_could_not_be_saved_is_not_announced(file, tmp_path, monkeypatch, capsys):
    scripted(monkeypatch, [0.5, 0.2, 0.3, 0.4])
    save, failed = checkpoint.Store.save, []

    def fails_once(self, step, state, meta):
        if "best" in meta and step == 10:
            failed.append(step)
            return False
        return save(self, step, state, meta)

    monkeypatch.setattr(checkpoint.Store, "save", fails_once)
    train.run(config.load(file), tmp_path / "a")
    assert failed == [10] and "0.2 at step 10" not in capsys.readouterr().out
    assert checkpoint.find(tmp_path / "a" / "best").name == "15"


def test_a_step_is_saved_before_it_is_evaluated(file, tmp_path, monkeypatch):
    def broken(self, *args, **kwargs):
        raise ValueError("generated image 3 holds NaN")

    monkeypatch.setattr(evaluator.Evaluator, "__call__", broken)
    with pytest.raises(ValueError, match="holds NaN"):
        train.run(config.load(file, ["eval_every_kimg=0.08"]), tmp_path / "a")
    assert checkpoint.find(tmp_path / "a").name == "10"


def test_real_pictures_are_never_augmented(file, tmp_path, toy):
    run = config.load(file)
    source, protocol = (
        open_source(run.data),
        Protocol(metrics=("kid",), images=40, reference=50),
    )
    plainly = evaluator.Evaluator(
        protocol, run.data, source, algorithms.make_game(run, source.shape, 10), print
    ).sets.real.load(np.arange(20))
    asked = Protocol(metrics=("kid",), images=40, reference=50, data={"flip": True})
    np.testing.assert_array_equal(
        evaluator.Evaluator(
            asked, run.data, source, algorithms.make_game(run, source.shape, 10), print
        ).sets.real.load(np.arange(20)),
        plainly,
    )


def test_higher_is_better_where_it_is(file, tmp_path, toy):
    run = config.load(file, ["eval.best=recall_toy"])
    protocol = Protocol(images=40, reference=50, best="recall_toy")
    source = open_source(run.data)
    game = algorithms.make_game(run, source.shape, 10)
    of = evaluator.Evaluator(protocol, run.data, source, game, print)
    found = best.criterion(protocol, of.sets, of.net)
    assert found.name == "recall_toy" and found.beats(0.5, 0.2) and not found.beats(0.1, 0.2)
    assert not found.beats(float("nan"), None)
    assert found.beats(0.1, None) and found.beats(0.1, float("nan"))


def test_evaluating_changes_nothing_of_the_run(file, tmp_path):
    often = train.run(config.load(file), tmp_path / "a")
    never = train.run(config.load(file, ["eval_every_kimg=None"]), tmp_path / "b")
    for (name, x), y in zip(
        checkpoint.named(often).items(), checkpoint.named(never).values(), strict=True
    ):
        np.testing.assert_array_equal(x, y, err_msg=name)
    assert (
        not (tmp_path / "b" / "evaluations.jsonl").exists()
        and not (tmp_path / "b" / "best").exists()
    )


def test_lines_lost_with_a_killed_run_are_dropped(tmp_path):
    for step in (5, 10, 15):
        append_line(tmp_path / "evaluations.jsonl", {"step": step, "values": {}})
    Writer(tmp_path, start=10).close()
    assert [record["step"] for record in records(tmp_path)] == [5, 10]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("eval.metrics=('kif',)", "config.eval.metrics='kif' is not known. Did you mean 'kid'?"),
        ("eval.metrics=()", "config.eval.metrics='' is not known"),
        ("eval.metrics=('fid',)", "config.eval: fid needs at least 7 generated images, got 5: make more (config.eval.images)"),
        ("eval.metrics=('density_coverage',)", "density_coverage needs at least 6 generated images, got 5"),
        ("eval.features='efflite'", "config.eval.features='efflite' is not known. Did you mean 'efflite0'?"),
        ("eval.best='kid'", "config.eval.best='kid' is not known. Did you mean 'kid_toy'?"),
        ("eval.reference=3", "precision_recall needs at least 4 real images, got 3: give more (config.eval.reference)"),
        ("eval.truncation=0", "config.eval.truncation=0: it must be above 0, or None."),
        ("eval.usefulness={'seed': 3}", "config.eval.usefulness.seed: no such setting. Did you mean 'seeds'?"),
        ("eval.imags=5", "config.eval.imags: no such setting. Did you mean 'images'?"),
        ("eval.robustness_images=2", "config.eval.robustness_images=2: it must be at least 3."),
        ("eval.data={'resolution': 16}", "config.eval.data: the real pictures are [16, 16, 3] in 10 classes"),
        ("eval_every_kimg=0", "config.eval_every_kimg=0: it must be above 0"),
        ("eval.validation={'split': 'test'}", "config.eval.validation={'split': 'test'}: these are config.eval.held_out's pictures"),
        ("eval.metrics=('memorisation',)", "none of them tells which checkpoint is best; add 'kid'"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_before_training_begins(file, tmp_path, capsys, override, message):
    code = main.main(
        [
            "--config",
            file,
            "--workdir",
            str(tmp_path / "a"),
            "--config.eval.images=5",
            f"--config.{override}",
        ]
    )
    out, err = capsys.readouterr()
    assert code == 1 and message in err, err
    assert len(err.splitlines()) <= 2 and "kimg  " not in out


# --- alone


def test_eval_mode_measures_all_there_is_enough_for(file, tmp_path, capsys):
    workdir = tmp_path / "a"
    train.run(config.load(file, ["eval_every_kimg=None"]), workdir)
    capsys.readouterr()
    command = ["--config", file, "--workdir", str(workdir), "--mode", "eval"]
    assert main.main(command) == 0
    out = capsys.readouterr().out
    (record,) = records(workdir)
    assert record["step"] == 20 and record["images"] == 160
    found = set(record["values"])
    assert {"kid_toy", "fid_toy", "is_toy", "precision_toy", "density_toy", "diversity_toy", "memorised_toy",
            "memorised_held_out_toy", "cas", "cas_std", "cas_real", "gain_at_20"} <= found  # fmt: skip
    assert "gain_at_10000" not in found  # there are not so many
    assert set(record["curves"]) == {"kid_toy", "held_out/kid_toy"}
    assert set(record["curves"]["kid_toy"]) == set(corruptions.CORRUPTIONS)
    assert set(record["groups"]["diversity_toy"]) == set(STYLES)
    (row,) = record["tables"]["usefulness"]["rows"]
    assert row[0] == 20 and "±" in row[1]
    saw = "flatters: the generator was trained on 300 labelled real pictures, its control on "
    assert record["notes"] == {"gain_at_20": f"{saw}20", "cas_real": f"{saw}40"}
    assert f"({saw}20)" in out
    width, height = Image.open(workdir / record["pictures"]["neighbours"]["file"]).size
    assert (width, height) == (4 * (3 * 10 + 8), 4 * 10)
    assert (
        "kid_toy" in out
        and "usefulness: real images" in out
        and f"the generator of {workdir}" in out
    )
    # other data than it saw
    assert main.main([*command, "--metrics", "usefulness", "--config.data.flip=False"]) == 0
    assert records(workdir)[1]["notes"]["gain_at_20"].endswith(
        "20 real pictures, which is not known here"
    )
    assert main.main([*command, "--metrics", "kid"]) == 0
    assert values(workdir)[2]["kid_toy"] == record["values"]["kid_toy"] and set(
        values(workdir)[2]
    ) == {
        "kid_toy",
        "kid_toy_se",
    }


def test_eval_mode_says_what_it_leaves_out_and_takes_another_checkpoint(file, tmp_path, capsys):
    workdir = tmp_path / "a"
    train.run(config.load(file), workdir)
    best = checkpoint.find(workdir / "best")
    step = int(best.name)
    best = best.rename(workdir / "final")  # a name of the user's own
    capsys.readouterr()
    command = [
        "--config",
        file,
        "--workdir",
        str(workdir),
        "--mode",
        "eval",
        "--config.eval.held_out=None",
    ]
    assert main.main([*command, "--checkpoint", str(best), "--config.eval.images=6"]) == 0
    out = capsys.readouterr().out
    assert f"the generator of {best}" in out and records(workdir)[-1]["step"] == step
    assert "left out: fid needs at least 7 generated images, got 6" in out
    assert "left out: is needs at least 10 generated images" in out
    assert "left out: usefulness needs held-back real pictures" in out
    assert "memorised_held_out_toy" not in records(workdir)[-1]["values"]


def test_what_acts_only_when_pictures_are_drawn_is_applied(toy, shared_data, tmp_path, capsys):
    small = [
        f"data.{side}.{setting}" for side in "ab" for setting in ("identities=36", "resolution=16")
    ]
    run = config.load(CUT, [*small, "g.flat=2", "g.residual=True", "game.taps=(0, 4)"])
    source = open_source(run.data)
    state = build.new_state(run, algorithms.make_game(run, source.shape, 0), source.shape, 0)
    meta = {
        "config": dataclasses.asdict(run),
        "shape": source.shape,
        "classes": (),
        "data": {"fingerprint": ""},
    }
    del meta["config"]["conditional"]  # as saved before there was the setting
    with contextlib.closing(checkpoint.Store(tmp_path / "checkpoints")) as store:
        assert store.save(4, state, json.loads(json.dumps(meta))) and store.finish()
    command = ["--config", CUT, "--workdir", str(tmp_path), "--mode", "eval", "--metrics", "kid"]
    command += [f"--config.{setting}" for setting in small]
    for flags in (
        [],
        ["--config.g.residual=True", "--config.g.flat=0"],
    ):  # the first of them as it was trained
        assert main.main([*command, *flags]) == 0, capsys.readouterr().err
    out = capsys.readouterr().out
    assert (
        out.count(
            "the checkpoint draws as it was trained, not as the config has it now: config.g.flat: 2"
            " -> None"
        )
        == 1
    )
    flat, free = records(tmp_path)
    assert flat["values"] != free["values"]
    assert free["protocol"]["redrawn"] == {"g.flat": 0} and "redrawn" not in flat["protocol"]
    assert main.main([*command, "--config.g.width=8"]) == 1
    refused = (
        "trained otherwise, and draws as it was trained. Leave it out; what can be changed of it:"
        " g.guided, g.flat."
    )
    assert refused in capsys.readouterr().err and len(records(tmp_path)) == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--mode", "eval", "--metrics", "fid", "--config.eval.images=6"], "config.eval: fid needs at least 7 generated images, got 6"),
        (["--mode", "eval", "--config.data.resolution=16"], "Give the config the run was made with."),
        (["--mode", "eval", "--config.g.widths=(8,)"], "was trained otherwise, and draws as it was trained. Leave it out; what can be changed of it: game.standing_passes."),
        (["--mode", "eval", "--checkpoint", "nowhere"], "nowhere: no checkpoint."),
        (["--metrics", "kid"], "--checkpoint and --metrics go with --mode eval."),
    ],
)  # fmt: skip
def test_eval_mode_mistakes(file, tmp_path, capsys, words, message):
    train.run(config.load(file, ["eval_every_kimg=None", "total_kimg=0.008"]), tmp_path / "a")
    assert main.main(["--config", file, "--workdir", str(tmp_path / "a"), *words]) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "a" / "evaluations.jsonl").exists()


# --- the measures on sets


def avatars(n=None, **settings):
    settings = {"source": "avatars", "identities": 120, "resolution": 32, "labels": None} | settings
    return of_source(open_source(settings))


def test_copies_are_counted_and_shown(toy, shared_data, tmp_path):
    train_set = avatars(labels="style")
    copies = Images(train_set.load, 30, train_set.labels[:30], train_set.classes)
    protocol = Protocol(metrics=("memorisation",), batch=16)
    sets = Sets(copies, train_set, avatars(labels="style", split="test"))
    found = measure(protocol, sets, Extractor(toy, 16), tmp_path, print)
    assert found["values"]["memorised_toy"] == 1 and found["values"]["memorised_held_out_toy"] < 0.8
    picture = np.asarray(Image.open(tmp_path / "sheet" / "neighbours.png"))
    first = picture[1:33, 5:37].astype(int), picture[1:33, 39:71].astype(int)
    assert np.abs(first[0] - first[1]).max() <= 1  # the worst: a copy beside its original


def test_a_picture_that_cannot_be_written_loses_no_number(toy, shared_data, tmp_path):
    (tmp_path / "file").write_text("where the folder should be")
    said, images = [], avatars()
    protocol = Protocol(metrics=("memorisation",))
    found = measure(
        protocol, Sets(images, images), Extractor(toy, 16), tmp_path / "file", said.append
    )
    assert "memorised_toy" in found["values"] and "pictures" not in found
    assert said[-1].startswith("the picture of neighbours can't be written: ")


def test_parts_of_a_sorted_set_stand_for_the_whole(toy, shared_data):
    """Folders come class after class; what is taken of one must not be its first class."""
    sorted_ids = np.argsort(np.tile(np.arange(10), 10), kind="stable")
    images = avatars(labels="style", identities=12)
    tidy = Images(
        lambda ids: images.load(sorted_ids[ids]), 100, images.labels[sorted_ids], images.classes
    )
    seen = {}
    watched = Images(lambda ids: seen.setdefault("ids", []).extend(ids) or tidy.load(ids), 100)
    protocol = Protocol(metrics=("robustness",), robustness_images=20, reference=30)
    measure(protocol, Sets(watched, tidy), Extractor(toy, 10), None, print)
    assert len(set(np.array(seen["ids"]) // 10)) > 6  # of ten classes
    chosen = measures.find(("kid", "memorisation"))
    now = gather.Gathering(Protocol(), Sets(tidy, tidy, tidy), Extractor(toy, 10), print, chosen)
    for name in ("fake", "real", "held_out"):
        ids = now.features[name].ids[:30]
        assert len(set(ids // 10)) > 6


@pytest.mark.parametrize(
    ("trained_on", "note"),
    [
        (30, "flatters: the generator was trained on 30 labelled real pictures, its control on 20"),
        (20, "fair: the generator was trained on 20 real pictures, its control on 20"),
        (
            None,
            (
                "fair only if the generator too was trained on 20 real pictures, which is not known"
                " here"
            ),
        ),
    ],
)
def test_a_gain_is_fair_where_the_generator_saw_no_more_than_its_control(trained_on, note):
    assert usefulness.fairness(trained_on, 20) == note


def test_two_held_back_images_are_too_few(toy, shared_data):
    images = avatars(labels="style", identities=12)
    few = Images(images.load, 2, images.labels[:2], images.classes)
    with pytest.raises(ValueError, match="memorisation needs at least 3 held-back images, got 2"):
        measure(
            Protocol(metrics=("memorisation",)),
            Sets(images, images, few),
            Extractor(toy, 10),
            None,
            print,
        )


def test_robustness_begins_with_the_clean_set_and_worsens(toy, shared_data):
    images = avatars()
    seen = []

    def distance(changed):
        seen.append(changed)
        return {
            "away": float(
                np.abs(changed.load(np.arange(8)).astype(int) - images.load(np.arange(8))).mean()
            )
        }

    curves = robustness.over_corruptions(images, distance)["away"]
    for kind, points in curves.items():
        corruption = corruptions.CORRUPTIONS[kind]
        assert [strength for strength, _ in points] == [corruption.clean, *corruption.strengths]
        assert points[0][1] == 0 and points[-1][1] > points[1][1] > 0
    assert len(seen) == 1 + 4 * len(curves)


def test_few_shot_sets_get_clusters_and_classes_their_own_row(toy, shared_data):
    few = avatars(labels="style", identities=12)  # 100 pictures: each is a centre
    found = measure(
        Protocol(metrics=("diversity",)), Sets(few, few), Extractor(toy, 16), None, print
    )
    assert found["values"]["diversity_clusters_toy"] == pytest.approx(0, abs=1e-5)
    assert found["values"]["diversity_toy"] == pytest.approx(
        found["values"]["diversity_real_toy"], rel=1e-6
    )
    many = avatars(labels="style", identities=24)
    found = measure(
        Protocol(metrics=("diversity",)), Sets(few, many), Extractor(toy, 16), None, print
    )
    assert (
        "diversity_clusters_toy" not in found["values"]
        and len(found["groups"]["diversity_toy"]) == 10
    )


def test_the_default_net_puts_known_sets_in_order(shared_data):
    """Same distribution, slight blur, then other drawing styles or ten pictures over and over, then
    noise."""
    extractor, styles = Extractor(pretrained.load("efflite0"), 16), tuple(STYLES)
    known, other = (avatars(styles=part, resolution=64) for part in (styles[::2], styles[1::2]))
    order = np.random.default_rng(0).permutation(known.count)
    real_ids, ids = order[:64], order[64:128]
    see = lambda images, ids: features.extract(images, ids, extractor, keep=len(ids)).kept
    real = see(known, real_ids)
    blurred, noisy = known.corrupted("blur", 2 * 64 / 224), known.corrupted("noise", 32)
    sets = (
        (known, ids),
        (blurred, ids),
        (other, ids),
        (known, np.resize(ids[:10], 64)),
        (noisy, ids),
    )
    same, blur, styles, repeated, noise = (kid.kid(real, see(*images)) for images in sets)
    assert abs(same.value) < 2 * same.se
    assert same.value < blur.value < min(styles.value, repeated.value)
    assert max(styles.value, repeated.value) < noise.value / 2


# --- folders


def test_what_sample_draws_is_measured_and_reported_without_its_grid(file, tool, tmp_path):
    train.run(config.load(file, ["eval_every_kimg=None", "total_kimg=0.008"]), tmp_path / "run")
    drawn, page = tmp_path / "drawn", tmp_path / "run" / "report.html"
    done = tool("sample", tmp_path / "run", "--out", drawn, "--seeds", "0-1")
    assert (
        done.returncode == 0
        and f"20 pictures in {drawn}, all of them on {drawn}/sheet/grid.png" in done.stdout
    )
    save(tmp_path / "real", avatars(resolution=8).load(np.arange(12)))
    (drawn / "notes.txt").touch()
    for flags in ([], ["--resolution", 8]):
        words = [
            drawn,
            tmp_path / "real",
            "--out",
            drawn / "record.json",
            "--held-out",
            tmp_path / "real",
            *flags,
        ]
        done = tool("evaluate", *words)
        assert done.returncode == 0, done.stderr
        assert json.loads((drawn / "record.json").read_text())["protocol"]["images"] == 20
        assert (
            "passed over 4 files: 2 in sheet (marked .nomedia), 1 .json, 1 .txt" in done.stdout
            or not flags
        )
    done = tool("report", tmp_path / "run", "--out", page)
    assert done.returncode == 0 and "no evaluations.jsonl" in page.read_text(), done.stderr


def save(folder, images, names=None):
    folder.mkdir(parents=True, exist_ok=True)
    for i, image in enumerate(images):
        save_png(folder / (names[i] if names else f"{i:03d}.png"), image)


def test_folder_against_folder(tool, toy, shared_data, tmp_path):
    images = avatars()
    save(tmp_path / "real", images.load(np.arange(40)))
    save(tmp_path / "good", images.load(np.arange(40, 60)))
    save(tmp_path / "bad", images.corrupted("noise", 50).load(np.arange(40, 60)))
    found = {}
    for name in ("good", "bad"):
        out = tmp_path / f"{name}.json"
        done = tool(
            "evaluate",
            tmp_path / name,
            tmp_path / "real",
            "--out",
            out,
            "--held-out",
            tmp_path / "good",
        )
        assert done.returncode == 0, done.stderr
        found[name] = json.loads(out.read_text())
    assert (
        "left out: usefulness needs labels on both sides" in done.stdout
        and "kid_toy" in done.stdout
    )
    assert found["good"]["values"]["kid_toy"] < found["bad"]["values"]["kid_toy"]
    protocol = found["good"]["protocol"]
    assert (
        protocol["images"] == 20
        and protocol["reference"] == 40
        and protocol["resolution"] == [32, 32]
    )
    assert (tmp_path / "sheet" / "neighbours.png").is_file()
    direct = kid.kid(
        *(
            toy_apply(toy.params, images.load(np.arange(a, b))).features
            for a, b in ((0, 40), (40, 60))
        )
    )
    assert found["good"]["values"]["kid_toy"] == pytest.approx(direct.value, rel=1e-4)


def test_pairs_by_name(tool, tmp_path):
    images = np.random.default_rng(0).integers(20, 230, (3, 24, 24, 3), np.uint8)
    save(tmp_path / "truth", images)
    save(tmp_path / "made", images + np.uint8(10))
    done = tool(
        "evaluate",
        tmp_path / "made",
        tmp_path / "truth",
        "--pairs",
        "--out",
        tmp_path / "r.json",
        "--border",
        2,
    )
    assert done.returncode == 0, done.stderr
    record = json.loads((tmp_path / "r.json").read_text())
    assert record["values"]["mae"] == pytest.approx(10) and record["values"][
        "psnr"
    ] == pytest.approx(28.1308, abs=1e-4)
    assert (
        record["protocol"]["pairs"] == 3
        and record["protocol"]["border"] == 2
        and record["protocol"]["on"] == "all channels"
    )
    done = tool(
        "evaluate", tmp_path / "made", tmp_path / "truth", "--pairs", "--luma", "--metrics", "mae"
    )
    assert done.returncode == 0 and f"mae_y{'':24}8.5882" in done.stdout, done.stdout


def test_pairs_meet_whatever_their_endings_and_unicode_form(tool, tmp_path):
    images = np.random.default_rng(0).integers(20, 230, (2, 16, 16, 3), np.uint8)
    save(tmp_path / "made", images, ["caf\u00e9/a.png", "caf\u00e9/b.png"])
    # PNGs inside; the names are what counts
    save(tmp_path / "truth", images, ["cafe\u0301/a.tif", "cafe\u0301/b.BMP"])
    done = tool("evaluate", tmp_path / "made", tmp_path / "truth", "--pairs", "--metrics", "mae")
    assert done.returncode == 0 and f"mae{'':26}0 ± 0\n" in done.stdout, done
    save(tmp_path / "made", images[:1], ["caf\u00e9/a.gif"])
    done = tool("evaluate", tmp_path / "made", tmp_path / "truth", "--pairs")
    assert (
        "--pairs: two pictures of generated are named 'caf\u00e9/a'; pairs go by name without"
        " ending." in done.stderr
    )


@pytest.mark.parametrize(
    ("harm", "flags", "message"),
    [
        ("none", ["--metrics", "fid"], "fid needs at least 7 generated images, got 4"),
        ("size", [], "a/9.png has (8, 9) HxW, "),
        ("gray", [], "a/9.png has 1 channels, "),
        ("name", ["--pairs"], "--pairs: 1 picture lacks a partner of the same name, first '9' of generated"),
        ("none", ["--pairs", "--metrics", "psnrr"], "--metrics='psnrr' is not known. Did you mean 'psnr'?"),
        ("none", ["--pairs"], "ssim needs pictures of at least 11 pixels a side, got 8x8"),
        ("none", ["--pairs", "--metrics", "lpips"], "lpips needs --features lpips_alex, lpips_vgg or lpips_hed, and --weights"),
        ("empty", [], "no images in it"),
        ("gone", [], "no such folder"),
        ("junk", [], "not one picture there can be read"),
        ("torn", ["--pairs"], "set aside 1 as 'no known image format': 9.png. Pairs need every picture"),
    ],
)  # fmt: skip
def test_folder_mistakes_are_one_line(tool, toy, tmp_path, harm, flags, message):
    for name in ("a", "b"):
        save(tmp_path / name, np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3), np.uint8))
    a = tmp_path / "a"
    harms = {
        "none": lambda: None,
        "size": lambda: save(a, np.zeros((1, 8, 9, 3), np.uint8), ["9.png"]),
        "gray": lambda: save(a, np.zeros((1, 8, 8, 1), np.uint8), ["9.png"]),
        "name": lambda: save(a, np.zeros((1, 8, 8, 3), np.uint8), ["9.png"]),
        "empty": lambda: [file.unlink() for file in a.iterdir()],
        "gone": lambda: shutil.rmtree(a),
        "junk": lambda: [
            file.write_bytes(b"junk")
            for folder in ("a", "b")
            for file in (tmp_path / folder).iterdir()
        ],
        "torn": lambda: [
            (tmp_path / folder / "9.png").write_bytes(b"junk") for folder in ("a", "b")
        ],
    }
    harms[harm]()
    done = tool("evaluate", a, tmp_path / "b", *flags)
    assert done.returncode == 1 and message in done.stderr, done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_mixed_sizes_go_with_a_resolution(tool, toy, tmp_path):
    rng = np.random.default_rng(0)
    save(tmp_path / "a", [rng.integers(0, 256, (8 + i, 12, 3), np.uint8) for i in range(6)])
    save(tmp_path / "b", rng.integers(0, 256, (6, 16, 16, 1), np.uint8))
    done = tool(
        "evaluate",
        tmp_path / "a",
        tmp_path / "b",
        "--resolution",
        8,
        "--channels",
        3,
        "--metrics",
        "kid",
    )
    assert done.returncode == 0 and "kid_toy" in done.stdout, done.stderr


def test_label_accuracy_tells_obedient_pictures_from_others(toy, tmp_path, monkeypatch):
    monkeypatch.setenv("GAN_JAX_DATA", str(tmp_path))
    shades = np.array([40, 128, 216])
    labels = np.arange(60, dtype=np.int32) % 3
    noise = np.random.default_rng(0).integers(-20, 20, (60, 8, 8, 3))
    pixels = (shades[labels][:, None, None, None] + noise).astype(np.uint8)
    side = lambda labels: Images(lambda ids: pixels[ids], 60, labels, ("dark", "gray", "bright"))
    # what a translator was given: of the next class
    before = Images(lambda ids: pixels[(ids + 1) % 60], 60)
    protocol = Protocol(
        metrics=("label_accuracy",), usefulness={"steps": 200, "seeds": 2, "batch": 24, "width": 8}
    )
    for given, wanted, untouched in (
        (labels, 1, 0),
        ((labels + 1) % 3, 0, 1),
        (np.array([1, 0, 2])[labels], 1 / 3, 1 / 3),
    ):
        sets = Sets(side(given.astype(np.int32)), side(labels), side(labels), before)
        found = measure(protocol, sets, Extractor(toy, 16), None, lambda text: None)["values"]
        assert found["label_accuracy"] == pytest.approx(wanted, abs=0.02)
        assert found["label_accuracy_real"] == pytest.approx(1, abs=0.02)
        assert found["label_accuracy_input"] == pytest.approx(untouched, abs=0.02)
        assert {"label_accuracy_std", "label_accuracy_real_std"} <= set(found)


def test_a_class_name_in_what_is_printed_steers_no_terminal():
    table = {"columns": ["a\x1b[2J"], "rows": [["b\x1b[2J"]]}
    lines = recording.lines({"values": {"c\x1b[2J": 1.0}, "tables": {"diversity": table}})
    assert [line.split() for line in lines] == [
        ["c\\x1b[2J", "1"],
        ["diversity:", "a\\x1b[2J"],
        ["b\\x1b[2J"],
    ]
