"""Evaluation of a run, in training and alone: every number with its protocol, the same digits
twice."""

import contextlib
import dataclasses
import json

import numpy as np
import pytest
from PIL import Image

import gan_jax
from gan_jax import algorithms, build, checkpoint, config, main
from gan_jax import training as train
from gan_jax.data import corruptions
from gan_jax.data.source import open_source
from gan_jax.data.sources.avatars import STYLES
from gan_jax.evaluation import evaluator, runs, sampler
from gan_jax.evaluation import record as recording
from gan_jax.evaluation.protocol import Protocol
from gan_jax.inference import loading, share
from gan_jax.metrics import kid
from gan_jax.reporting.writer import Writer
from gan_jax.runtime.files import append_line
from tests.evaluation.features_test import toy_apply
from tests.paths import ROOT

CUT = str(ROOT / "configs" / "avatars_cut.py:smoke")


def records(workdir):
    return [json.loads(line) for line in (workdir / "evaluations.jsonl").read_text().splitlines()]


def values(workdir):
    return [record["values"] for record in records(workdir)]


# --- while training


def test_a_run_evaluates_itself_the_same_way_twice(file, tmp_path, capsys, toy, trained):
    for name in ("a", "b"):
        train.run(config.load(file), tmp_path / name)
    out = capsys.readouterr().out
    assert out.count("evaluating 40 images by kid, precision_recall") == 8 and "kid_toy  " in out
    assert out.count("measuring 50 reference images by toy, once") == 1  # cached for all the others
    found, names = records(tmp_path / "a"), {"kid_toy", "precision_toy", "recall_toy"}
    assert [(r["step"], r["images"]) for r in found] == [(5, 40), (10, 80), (15, 120), (20, 160)]
    assert values(tmp_path / "a") == values(tmp_path / "b")
    assert set(found[0]["values"]) == names | {"kid_toy_se"} and set(found[0]["about"]) == names
    lines = map(json.loads, (tmp_path / "a" / "metrics.jsonl").read_text().splitlines())
    logged = [line["eval/kid_toy"] for line in lines if "eval/kid_toy" in line]
    assert logged == [v["kid_toy"] for v in values(tmp_path / "a")]
    # evaluating changes nothing of the run
    often, never = (leaves(workdir) for workdir in (tmp_path / "a", trained))
    for name, x in often.items():
        np.testing.assert_array_equal(x, never.pop(name), err_msg=name)
    assert not never and not (trained / "evaluations.jsonl").exists()
    # what is measured is the average and the unflipped data
    by_hand = kid_by_hand(config.load(file), trained, toy)
    assert found[-1]["values"]["kid_toy"] == pytest.approx(by_hand.value, rel=1e-4)
    assert found[-1]["values"]["kid_toy_se"] == pytest.approx(by_hand.se, rel=1e-4)


def leaves(workdir):
    """The arrays of a run's newest checkpoint, by name."""
    return dict(checkpoint.read(checkpoint.find(workdir), ("",))[0])


def kid_by_hand(run, workdir, toy):
    source = open_source(dict(run.data) | {"flip": False})
    game = algorithms.make_game(run, source.shape, 10)
    chosen = np.random.default_rng(0).permutation(len(source))[:50]
    real = toy_apply(toy.params, source.load(chosen, np.zeros(50, np.uint64))["image"]).features
    labels = np.random.default_rng([0, 1]).permutation(np.repeat(np.arange(10, dtype=np.int32), 4))
    drawn = sampler.BatchSampler(game, seed=0, truncation=None, batch=8)
    ema = loading.load_sampler(workdir).ema
    fake = drawn.images(drawn.prepare(ema), 40, labels).load(np.arange(40))
    return kid.kid(np.asarray(real), np.asarray(toy_apply(toy.params, fake).features))


def test_a_resumed_run_remembers_the_best(file, tmp_path, monkeypatch):
    numbers = iter([0.5, 0.2, 0.3, 0.25])

    def call(self, ema, *, step, images, folder):
        found = {"values": {"kid_toy": next(numbers)}, "protocol": {}, "seconds": 0.0}
        return {"step": step, "images": images, **found}

    monkeypatch.setattr(evaluator.Evaluator, "__call__", call)
    for overrides in (["total_kimg=0.08"], []):
        train.run(config.load(file, overrides), tmp_path / "a")
    assert checkpoint.find(tmp_path / "a" / "best").name == "10"
    assert checkpoint.find(tmp_path / "a").name == "20"  # the newest, apart from it


def test_a_step_is_saved_before_it_is_evaluated(file, tmp_path, monkeypatch):
    def broken(self, *args, **kwargs):
        raise ValueError("generated image 3 holds NaN")

    monkeypatch.setattr(evaluator.Evaluator, "__call__", broken)
    with pytest.raises(ValueError, match="holds NaN"):
        train.run(config.load(file, ["eval_every_kimg=0.08"]), tmp_path / "a")
    assert checkpoint.find(tmp_path / "a").name == "10"


def test_real_pictures_are_never_augmented(file):
    run = config.load(file)
    source = open_source(run.data)
    game = algorithms.make_game(run, source.shape, 10)

    def real(**data):
        protocol = Protocol(metrics=("kid",), images=40, reference=50, data=data)
        made = evaluator.Evaluator(protocol, run.data, source, game, print)
        return made.sets.real.load(np.arange(20))

    np.testing.assert_array_equal(real(flip=True), real())


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
        (
            "eval.metrics=('fid',)",
            (
                "config.eval: fid needs at least 7 generated images, got 5: make more"
                " (config.eval.images)"
            ),
        ),
        (
            "eval.metrics=('density_coverage',)",
            ("density_coverage needs at least 6 generated images, got 5"),
        ),
        (
            "eval.features='efflite'",
            ("config.eval.features='efflite' is not known. Did you mean 'efflite0'?"),
        ),
        ("eval.best='kid'", "config.eval.best='kid' is not known. Did you mean 'kid_toy'?"),
        (
            "eval.reference=3",
            (
                "precision_recall needs at least 4 real images, got 3: give more"
                " (config.eval.reference)"
            ),
        ),
        ("eval.truncation=0", "config.eval.truncation=0: it must be above 0, or None."),
        (
            "eval.usefulness={'seed': 3}",
            ("config.eval.usefulness.seed: no such setting. Did you mean 'seeds'?"),
        ),
        ("eval.imags=5", "config.eval.imags: no such setting. Did you mean 'images'?"),
        ("eval.robustness_images=2", "config.eval.robustness_images=2: it must be at least 3."),
        (
            "eval.data={'resolution': 16}",
            ("config.eval.data: the real pictures are [16, 16, 3] in 10 classes"),
        ),
        ("eval_every_kimg=0", "config.eval_every_kimg=0: it must be above 0"),
        (
            "eval.validation={'split': 'test'}",
            ("config.eval.validation={'split': 'test'}: these are config.eval.held_out's pictures"),
        ),
        (
            "eval.metrics=('memorisation',)",
            ("none of them tells which checkpoint is best; add 'kid'"),
        ),
    ],
)
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


def test_the_protocol_stands_beside_every_number(file, trained):
    command = ["--config", file, "--workdir", str(trained), "--mode", "eval", "--metrics", "kid"]
    for setting in ("seed=0", "seed=1", "truncation=0.1", "seed=3 truncation=0.7"):
        flags = [f"--config.eval.{one}" for one in setting.split()]
        assert main.main([*command, *flags]) == 0
    assert len({found["kid_toy"] for found in values(trained)}) == 4
    record = records(trained)[-1]
    protocol = record["protocol"]
    assert protocol["images"] == 40 and protocol["reference"] == 50 and protocol["seed"] == 3
    assert protocol["features"] == {"name": "toy", "sha256": "f" * 64, "dim": 6}
    assert protocol["split"] == "train" and protocol["flips"] is False
    assert protocol["truncation"] == 0.7
    assert protocol["range"] == "uint8 [0, 255]" and protocol["resize"] == "none"
    assert protocol["weights"] == "averaged (EMA)" and protocol["versions"]["jax"]
    assert protocol["commit"] == recording.commit() and record["seconds"] >= 0


def test_a_run_is_measured_by_the_config_that_it_was_made_with(toy, trained):
    found = gan_jax.evaluate(trained, metrics=["kid"])
    assert found["step"] == 20 and found["protocol"]["images"] == 40
    assert records(trained)[0]["values"] == found["values"] and "kid_toy" in found["about"]


def test_a_shared_model_is_measured_as_a_run(toy, file, trained, tmp_path):
    share.share(loading.load_sampler(trained), tmp_path / "mine")
    settings = config.load(file, ["eval.metrics=('kid',)"])
    found = runs.run(settings, tmp_path / "out", str(tmp_path / "mine"), ["kid"])
    assert found["step"] == 20 and "kid_toy" in found["values"]


def test_a_checkpoint_brings_no_code_of_others(toy, trained, monkeypatch):
    meta = checkpoint.read_meta(checkpoint.find(trained))
    meta["config"]["eval"]["metrics"] = ["no.such"]
    monkeypatch.setattr(checkpoint, "read_meta", lambda step: meta)
    with pytest.raises(ValueError, match="its measure no.such, 'no.such', is Python from outside"):
        gan_jax.evaluate(trained)


def test_eval_mode_measures_all_there_is_enough_for(file, trained, capsys):
    workdir = trained
    command = ["--config", file, "--workdir", str(workdir), "--mode", "eval"]
    assert main.main(command) == 0
    out = capsys.readouterr().out
    (record,) = records(workdir)
    assert record["step"] == 20 and record["images"] == 160
    found = set(record["values"])
    assert {
        "kid_toy",
        "fid_toy",
        "is_toy",
        "precision_toy",
        "density_toy",
        "diversity_toy",
        "memorised_toy",
        "memorised_held_out_toy",
        "cas",
        "cas_std",
        "cas_real",
        "gain_at_20",
    } <= found
    assert "gain_at_10000" not in found  # there are not so many
    assert set(record["curves"]) == {"kid_toy", "held_out/kid_toy"}
    assert set(record["curves"]["kid_toy"]) == set(corruptions.CORRUPTIONS)
    assert set(record["groups"]["diversity_toy"]) == set(STYLES)
    (row,) = record["tables"]["usefulness"]["rows"]
    assert row[0] == 20 and "±" in row[1]
    saw = "flatters: the generator was trained on 300 labeled real pictures, its control on "
    notes = dict(record["notes"])
    assert notes.pop("memorised_toy").startswith("no copying seen: of real pictures ")
    assert notes.pop("mind_toy") == "of 25 pictures a side"
    assert notes == {"gain_at_20": f"{saw}20", "cas_real": f"{saw}40"}
    assert f"({saw}20)" in out
    width, height = Image.open(workdir / record["pictures"]["neighbors"]["file"]).size
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


def test_eval_mode_says_what_it_leaves_out_and_takes_another_checkpoint(file, trained, capsys):
    workdir, step = trained, 10
    best = (workdir / "checkpoints" / "10").rename(workdir / "final")  # a name of the user's own
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
    assert "left out: usefulness needs held-out real pictures" in out
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
    # the first of them as it was trained
    for flags in ([], ["--config.g.residual=True", "--config.g.flat=0"]):
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
        (
            ["--mode", "eval", "--metrics", "fid", "--config.eval.images=6"],
            ("config.eval: fid needs at least 7 generated images, got 6"),
        ),
        (
            ["--mode", "eval", "--config.data.resolution=16"],
            ("Give the config the run was made with."),
        ),
        (
            ["--mode", "eval", "--config.g.widths=(8,)"],
            (
                "was trained otherwise, and draws as it was trained. Leave it out;"
                " what can be changed of it: game.standing_passes."
            ),
        ),
        (["--mode", "eval", "--checkpoint", "nowhere"], "nowhere: no checkpoint."),
        (["--metrics", "kid"], "--checkpoint and --metrics go with --mode eval."),
    ],
)
def test_eval_mode_mistakes(file, trained, capsys, words, message):
    assert main.main(["--config", file, "--workdir", str(trained), *words]) == 1
    assert message in capsys.readouterr().err
    assert not (trained / "evaluations.jsonl").exists()
