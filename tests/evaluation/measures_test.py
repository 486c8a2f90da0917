"""What measures declare of themselves: complete, in one file, read from the record by others."""

import dataclasses
import types

import pytest

from gan_jax import algorithms, config, pretrained
from gan_jax.data.source import outline
from gan_jax.evaluation import best, measures
from gan_jax.evaluation import record as recording
from gan_jax.evaluation.features import Extractor, Extractors
from gan_jax.evaluation.measures.base import Measure, Needs, Result, Value
from gan_jax.evaluation.nets import Nets
from gan_jax.evaluation.protocol import Protocol
from gan_jax.evaluation.record import lines, measure
from tests.evaluation.translations_test import NET, sets
from tests.paths import ROOT

OWN = """
from gan_jax.evaluation.measures.base import Measure, Needs, Result, Value


def compute(given):
    loaded = given.sets.fake.load(given.features["fake"].ids)
    return Result({"brightness{net}": loaded.mean(), "brightness{net}_std": loaded.std()})


MEASURES = (
    Measure(
        "brightness", "how bright the pictures are", Needs(features=("fake",)),
        {"brightness{net}": Value(1, "mean of all pixels", error="brightness{net}_std")}, compute,
    ),
)
"""


def all_values():
    for one in measures.known().values():
        for name, value in {**one.values, **one.curves}.items():
            yield one, name, value


def test_every_measure_says_all_of_itself():
    names = [name for one in measures.known().values() for name in one.values]
    assert len(names) == len(set(names)) > 30
    for name, one in measures.known().items():
        assert one.name == name and len(one.about.split()) > 4, name
        assert one.values or one.curves, name
        assert ("{each}" in str(one.values)) == (one.each is not None), name
    for one, name, value in all_values():
        assert value.better in (-1, 0, 1) and value.about and not value.about.endswith("."), name
        assert value.error is None or (value.error.startswith(name) and value.error not in names)
        if value.control_of is not None:  # of a result, not of another control
            controlled = {**one.values, **one.curves}[value.control_of]
            assert value.better == 0 and controlled.control_of is None, name


def test_only_controls_and_warnings_have_no_direction():
    undirected = {
        name for _, name, value in all_values() if not value.better and not value.control_of
    }
    assert undirected == {"memorised{net}"}


@pytest.mark.parametrize(
    ("name", "better", "error", "control_of"),
    [
        ("kid_efflite0", -1, "kid_efflite0_se", None),
        ("fid", -1, None, None),
        ("diversity_real_efflite0", 0, None, "diversity_efflite0"),
        ("style_kid_input_lpips_alex", 0, None, "style_kid_lpips_alex"),
        ("hair_error", -1, None, None),
        ("hair_error_floor", 0, None, "hair_error"),
        ("gain_at_100", 1, "gain_at_100_std", None),
        ("variety_efflite0", 1, None, None),
        ("shift_error", -1, None, None),
    ],
)
def test_a_value_of_before_is_known_by_its_name(name, better, error, control_of):
    found = measures.meaning(name)
    assert (found["better"], found["error"], found["control_of"]) == (better, error, control_of)
    assert found["about"] and "{" not in found["about"]


@pytest.mark.parametrize("name", ["kid_efflite0_se", "gain_at_100_std", "mystery"])
def test_errors_and_strange_names_have_no_meaning(name):
    assert measures.meaning(name) == {}


def taken(*metrics, **settings):
    protocol = Protocol(metrics=metrics, images=30, reference=30, robustness_images=6, **settings)
    return measure(protocol, sets(), Extractors(Nets((NET,)), 10), None, lambda text: None)


def test_the_record_says_what_each_value_is(monkeypatch, tmp_path):
    monkeypatch.setenv("GAN_JAX_DATA", str(tmp_path))
    found = taken("kid", "style", "robustness")
    assert set(found["about"]) == {
        "kid_toy",
        "style_kid_toy",
        "style_kid_input_toy",
        "ssim_to_clean",
    }
    about = found["about"]["style_kid_input_toy"]
    assert about["better"] == 0 and about["control_of"] == "style_kid_toy"
    assert found["about"]["kid_toy"]["better"] == -1
    assert found["about"]["kid_toy"]["error"] == "kid_toy_se"
    shown = lines(found)
    assert " ± " in shown[0] and not [line for line in shown if line.startswith("kid_toy_se")]


@pytest.fixture
def own(monkeypatch, tmp_path):
    """The dotted path of a measure that stands in a file of its own."""
    (tmp_path / "brightness_of_mine").mkdir()
    (tmp_path / "brightness_of_mine" / "bright.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("GAN_JAX_DATA", str(tmp_path / "cache"))
    return "brightness_of_mine.bright"


def test_a_measure_of_ones_own_is_one_file(own):
    found = taken("kid", own)
    assert 0 < found["values"]["brightness_toy"] < 255
    assert found["about"]["brightness_toy"]["error"] == "brightness_toy_std"
    protocol = Protocol(metrics=(own, "kid"))
    chosen = best.criterion(protocol, sets(), Nets((NET,)))
    assert chosen.name == "brightness_toy" and chosen.beats(2, 1)
    assert any(line.startswith("brightness_toy") and "±" in line for line in lines(found))


def test_a_measure_that_is_not_there_is_named():
    with pytest.raises(ValueError, match=r"config.eval.metrics='no.such': no module no.such"):
        Protocol(metrics=("no.such",))
    with pytest.raises(ValueError, match=r"gan_jax.losses has no MEASURES"):
        Protocol(metrics=("gan_jax.losses",))


def replaced(monkeypatch, **known):
    monkeypatch.setattr(measures, "known", lambda: known)


def of_one(compute, **more):
    value = {"value": Value(1, "a number")}
    return Measure("one", "what one is made of", Needs(), value, compute, **more)


def test_a_value_that_is_not_declared_is_an_error(monkeypatch):
    replaced(monkeypatch, one=of_one(lambda given: Result({"other": 1})))
    with pytest.raises(ValueError, match="'one' gave 'other', which its `values` do not declare"):
        taken("one")


def test_all_is_gathered_before_anything_is_computed(monkeypatch):
    """What waits for other processes must not stand behind what only the first one does."""
    events = []

    def compute(given):
        events.append(f"compute {given.own}")
        return Result({"value": given.own})

    def gather(n):
        return lambda now: events.append(f"gather {n}") or n

    replaced(monkeypatch, a=of_one(compute, gather=gather(1)), b=of_one(compute, gather=gather(2)))
    taken("a", "b")
    assert events == ["gather 1", "gather 2", "compute 1", "compute 2"]


def test_other_processes_gather_and_compute_nothing(monkeypatch):
    gathered = []
    one = of_one(lambda given: pytest.fail("computed"), gather=gathered.append)
    replaced(monkeypatch, one=one)
    monkeypatch.setattr(recording, "jax", types.SimpleNamespace(process_index=lambda: 1))
    assert taken("one") == {"values": {}, "about": {}} and len(gathered) == 1


def test_each_set_is_seen_once_by_the_net(monkeypatch, tmp_path):
    monkeypatch.setenv("GAN_JAX_DATA", str(tmp_path))
    seen, stream = [], Extractor.stream

    def watched(self, images, ids):
        seen.append(len(ids))
        yield from stream(self, images, ids)

    monkeypatch.setattr(Extractor, "stream", watched)
    taken("kid", "precision_recall", "diversity", "style", "identity")
    # generated, real; the translations in their order, what they were made of
    assert len(seen) == 4


# --- what chooses the best checkpoint


@pytest.mark.parametrize(
    ("metrics", "name", "new_wins"),
    [
        (("style",), "style_kid_toy", False),
        (("kid", "attributes"), "skin_error", False),
        (("identity",), "identity_toy", False),
        (("shift_error",), "shift_error", False),
        (("variety",), "variety_toy", True),
        (("fidelity",), "psnr", True),
        (("fidelity",), "mae", False),
    ],
)
def test_a_translators_own_measure_can_choose(metrics, name, new_wins):
    chosen = best.criterion(Protocol(metrics=metrics, best=name), sets(), Nets((NET,)))
    assert chosen.name == name and chosen.beats(2.0, 1.0) == new_wins


@pytest.mark.parametrize("name", ["style_kid_input_toy", "kid_toy_se", "kid"])
def test_what_is_no_result_can_not_choose(name):
    protocol = Protocol(metrics=("kid", "style"), best=name)
    with pytest.raises(
        ValueError, match=f"config.eval.best='{name}' is not known. .*style_kid_toy"
    ):
        best.criterion(protocol, sets(), Nets((NET,)))


@pytest.mark.parametrize(
    ("needs", "reason"),
    [
        (Needs(translator=True, labels=True), "own needs labels on both sides"),
        (Needs(translator=True, logits=True), "own needs a net that classifies"),
        (Needs(translator=True, held_out="required"), "own needs held-out real pictures"),
    ],
)
def test_a_translators_measure_may_need_what_others_do(needs, reason):
    alone = dataclasses.replace(sets(), held_out=None)
    net = dataclasses.replace(NET, n_logits=0)
    assert needs.lacking("own", Protocol(), alone, net).startswith(reason)


def test_by_default_the_first_value_with_a_direction_chooses():
    def chosen(*metrics):
        return best.criterion(Protocol(metrics=metrics), sets(), Nets((NET,))).name

    assert chosen("memorisation", "kid") == "kid_toy"
    assert chosen("style", "fid", "kid") == "fid_toy"  # what only translations have comes last
    assert chosen("usefulness", "kid") == "kid_toy" and chosen("style", "usefulness") == "cas"
    assert chosen("style") == "style_kid_toy"
    with pytest.raises(ValueError, match="none of them tells which checkpoint is best; add 'kid'"):
        chosen("memorisation", "robustness")


def test_config_eval_best_of_a_translator_is_checked_before_any_data_is_read(monkeypatch):
    monkeypatch.setattr(pretrained, "load", lambda name, path, resize: NET)
    run = config.load(str(ROOT / "configs" / "avatars_cut.py:smoke"))
    game = algorithms.make_game(run, outline(run.data, "config.data").shape, 0)
    protocol = Protocol(metrics=("attributes", "style"), images=4, reference=8)
    for name in ("style_kid_toy", "skin_error", "hair_error"):
        best.check(dataclasses.replace(protocol, best=name), run.data, game)
    with pytest.raises(ValueError, match="Did you mean 'skin_error'"):
        best.check(dataclasses.replace(protocol, best="skin_eror"), run.data, game)
    with pytest.raises(ValueError, match="variety needs a translator that draws its styles"):
        best.check(Protocol(metrics=("variety",), images=4, reference=8), run.data, game)
