"""The best checkpoint: chosen by one value, on pictures that are not to test it, and remembered."""

import numpy as np
import pytest

from gan_jax import algorithms, checkpoint, config
from gan_jax.data.source import open_source
from gan_jax.evaluation import best, evaluator
from gan_jax.evaluation.protocol import Protocol
from gan_jax.state import Player, TrainState
from tests.paths import ROOT

X = {"x": np.zeros(3, np.float32)}
STATE = TrainState(np.int32(0), np.zeros(2, np.uint32), Player(X, {}, X), Player(X, {}, X), X, {})


def kept(path, workdir, overrides=(), start=0):
    """(a BestCheckpoint of a config file, what it logs)."""
    run, logged = config.load(path, overrides), []
    source = open_source(run.data)
    game = algorithms.make_game(run, source.shape, len(source.classes))
    return best.BestCheckpoint(run, workdir, source, game, start, logged.append), logged


def best_step(workdir):
    """The step of the best checkpoint, or None."""
    return next((int(path.name) for path in checkpoint.steps_in(workdir / "best")), None)


@pytest.fixture
def evaluated(file, tmp_path, monkeypatch):
    """(values by step, overrides, start) -> (step of the best checkpoint, what was logged,
    records): evaluations give these values, with no picture drawn."""

    def run(values, overrides=(), start=0, name="kid_toy"):
        def call(self, ema, *, step, images, folder):
            return {"values": {name: values[step]}, "protocol": self.stamp()}

        monkeypatch.setattr(evaluator.Evaluator, "__call__", call)
        keeper, logged = kept(file, tmp_path, overrides, start)
        writer = Records()
        for step in values:
            keeper(step, STATE, {}, writer)
        keeper.close()
        return best_step(tmp_path), logged, writer.written

    return run


class Records:
    """A writer that keeps evaluations."""

    def __init__(self):
        self.written = []

    def write_evaluation(self, step, record):
        self.written.append(record)


def test_the_best_checkpoint_is_kept_and_nan_never_wins(evaluated, tmp_path):
    newest, logged, _ = evaluated({5: float("nan"), 10: 0.5, 15: 0.2, 20: float("-inf")})
    assert newest == 15 and sum("best kid_toy so far" in line for line in logged) == 2
    found = checkpoint.find(tmp_path / "best")
    assert found.name == "15" and checkpoint.read_meta(found)["best"]["kid_toy"] == 0.2


def test_a_best_is_remembered(evaluated):
    assert evaluated({5: 0.5, 10: 0.2})[0] == 10
    assert evaluated({15: 0.3, 20: 0.25}, start=10)[0] == 10
    assert evaluated({25: 0.1}, start=20)[0] == 25


def test_a_best_of_another_protocol_or_of_a_lost_future_does_not_count(evaluated, tmp_path):
    assert evaluated({5: 0.5, 10: 0.2})[0] == 10
    newest, logged, _ = evaluated({15: 0.35, 20: 0.6}, ["eval.seed=7"], start=10)
    assert "step 10, was chosen by another protocol: chosen anew" in logged[0]
    assert newest == 15  # 0.35, though 0.2 was seen by another protocol
    newest, logged, _ = evaluated({15: 0.9, 20: 0.8}, ["eval.seed=7"], start=10)
    assert newest == 20  # the best at 15 was of a future that is gone
    assert (tmp_path / "best" / "later-15" / "state").is_dir()  # and is kept all the same
    assert "the best checkpoint was of step 15, later than this run goes on from" in logged[0]


def test_a_best_by_another_value_does_not_count(evaluated):
    assert evaluated({10: 0.2})[0] == 10
    own = ["eval.best=recall_toy"]
    newest, logged, _ = evaluated({15: 0.1}, own, start=10, name="recall_toy")
    assert newest == 15
    assert logged[0] == "the best checkpoint, step 10, was chosen by kid_toy: chosen anew."


def test_a_best_that_could_not_be_saved_is_not_announced(evaluated, monkeypatch):
    save, failed = checkpoint.Store.save, []

    def fails_once(self, step, state, meta):
        if step == 10:
            failed.append(step)
            return False
        return save(self, step, state, meta)

    monkeypatch.setattr(checkpoint.Store, "save", fails_once)
    newest, logged, _ = evaluated({5: 0.5, 10: 0.2, 15: 0.3, 20: 0.4})
    assert failed == [10] and newest == 15
    assert not [line for line in logged if "0.2 at step 10" in line]


def test_validation_pictures_choose_and_the_record_says_so(evaluated):
    by_cas = {"overrides": ["eval.metrics=('usefulness',)"], "name": "cas"}
    newest, _, (record,) = evaluated({5: 0.5}, **by_cas)
    assert newest is None and record["best"].startswith("none: cas is measured on")
    assert record["protocol"]["held_out"] == {"split": "test"}
    by_cas["overrides"].append("eval.validation={'split': 'validation'}")
    newest, _, (record,) = evaluated({5: 0.5}, **by_cas)
    assert newest == 5 and record["best"] == "by cas on config.eval.validation"
    assert record["protocol"]["held_out"] == {"split": "validation"}


def test_a_value_that_was_not_taken_is_reported(evaluated):
    newest, logged, _ = evaluated({5: 0.5}, name="other")
    assert newest is None
    assert logged[-1] == "no best checkpoint: this evaluation gave no kid_toy to choose it by."


def test_a_translators_own_measure_keeps_its_best(toy, shared_data, tmp_path, monkeypatch):
    values = iter([0.3, 0.1, 0.2])

    def call(self, ema, *, step, images, folder):
        return {"values": {"kid_toy": -step, "style_kid_toy": next(values)}, "protocol": {}}

    monkeypatch.setattr(evaluator.Evaluator, "__call__", call)
    own = ["eval.metrics=('kid', 'style')", "eval.best=style_kid_toy"]
    keeper, _ = kept(CUT, tmp_path, own)
    for step in (1, 2, 3):
        keeper(step, STATE, {}, None)
    keeper.close()
    assert best_step(tmp_path) == 2 and keeper.chosen == "by style_kid_toy on training pictures"


HELD_OUT = "eval.held_out={'a': {'split': 'test'}, 'b': {'split': 'test'}}"
CUT = str(ROOT / "configs" / "avatars_cut.py:smoke")


@pytest.mark.parametrize(
    ("of", "overrides", "chosen"),
    [
        ("noise", [], "by kid_toy on training pictures"),
        ("noise", ["eval.data={'background': (0, 0, 0)}"], "by kid_toy on training pictures"),
        (
            "noise",
            ["eval.data={'split': 'test'}"],
            ("none: kid_toy is measured on the pictures of config.eval.data, which"),
        ),
        (
            "noise",
            ["eval.metrics=('usefulness',)"],
            ("none: cas is measured on the pictures of config.eval.held_out, which"),
        ),
        (
            "noise",
            ["eval.metrics=('usefulness',)", ("eval.validation={'split': 'validation'}")],
            "by cas on config.eval.validation",
        ),
        ("pictures", [], "by kid_toy on training pictures"),
        (
            "pictures",
            [HELD_OUT],
            (
                "none: kid_toy is measured on the pictures of config.eval.held_out,"
                " which are to test"
            ),
        ),
        (
            "pictures",
            [HELD_OUT, HELD_OUT.replace("test", "validation").replace("held_out", "validation")],
            "by kid_toy on config.eval.validation",
        ),
    ],
)
def test_no_checkpoint_is_chosen_on_test_pictures(file, tmp_path, of, overrides, chosen):
    path = {"noise": file, "pictures": CUT}[of]
    keeper, said = kept(path, tmp_path, overrides)
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
                f"config.eval.best='{keeper.criterion.name}': it is measured on the"
                f" pictures that are to test"
            ),
        ):
            kept(path, tmp_path, [*overrides, f"eval.best={keeper.criterion.name}"])


@pytest.mark.parametrize(
    ("value", "measure"),
    [("style_kid_toy", "style"), ("fid_toy", "fid"), ("recall_toy", "precision")],
)
def test_the_measure_of_a_value_that_is_not_measured_is_named(file, value, measure):
    protocol = Protocol(images=40, reference=50, metrics=("kid",), best=value)
    run = config.load(file)
    source = open_source(run.data)
    game = algorithms.make_game(run, source.shape, 10)
    of = evaluator.Evaluator(protocol, run.data, source, game, print)
    message = f"best='{value}': it is a value of the measure '{measure}"
    with pytest.raises(ValueError, match=message):
        best.criterion(protocol, of.sets, of.nets)


def test_higher_is_better_where_it_is(file):
    protocol = Protocol(images=40, reference=50, best="recall_toy")
    run = config.load(file)
    source = open_source(run.data)
    game = algorithms.make_game(run, source.shape, 10)
    of = evaluator.Evaluator(protocol, run.data, source, game, print)
    found = best.criterion(protocol, of.sets, of.nets)
    assert found.name == "recall_toy" and found.beats(0.5, 0.2) and not found.beats(0.1, 0.2)
    assert not found.beats(float("nan"), None)
    assert found.beats(0.1, None) and found.beats(0.1, float("nan"))
