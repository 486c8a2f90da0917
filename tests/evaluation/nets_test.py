"""Several networks in one evaluation, and none that judges what learned through it."""

import dataclasses

import numpy as np
import pytest

from gan_jax import pretrained
from gan_jax.evaluation import best, checks, features, gather, measures, nets, record
from gan_jax.evaluation.features import Extractor, Extractors
from gan_jax.evaluation.images import Images, Sets
from gan_jax.evaluation.protocol import Protocol
from gan_jax.reporting.comparison import Values
from tests.evaluation.features_test import pictures, toy_net

SMALL = {
    name: dataclasses.replace(toy_net(seed), name=name, suffix=f"_{name}", trunk=trunk)
    for seed, (name, trunk) in enumerate(
        {"efflite0": "", "vgg16": "", "alexnet": "", "lpips_vgg": "vgg16", "inception": ""}.items()
    )
}
METRICS = ("kid", "precision_recall")


@pytest.fixture(autouse=True)
def small(monkeypatch, tmp_path):
    """Every net is a small one of its name."""
    monkeypatch.setattr(pretrained, "load", lambda name, path, resize: SMALL[name])
    monkeypatch.setenv("GAN_JAX_DATA", str(tmp_path))


def loaded(features, *frozen):
    own = nets.load(Protocol(features=features), [SMALL[name] for name in frozen])
    return [net.name for net in own.general], own.in_training, own.added


def test_an_independent_net_is_added_where_there_is_none():
    assert loaded("efflite0") == (["efflite0"], [], None)
    assert loaded("efflite0", "efflite0") == (["vgg16", "efflite0"], ["efflite0"], "vgg16")
    assert loaded("vgg16", "vgg16") == (["efflite0", "vgg16"], ["vgg16"], "efflite0")
    assert loaded("efflite0,vgg16", "efflite0") == (["vgg16", "efflite0"], ["efflite0"], None)
    both = loaded(("vgg16", "efflite0"), "vgg16", "efflite0")
    assert both == (["alexnet", "vgg16", "efflite0"], ["vgg16", "efflite0"], "alexnet")


def test_processes_compare_the_networks_that_measure():
    """One that lacks a file may take another judge, and pictures' features would mix."""
    own = nets.load(Protocol(features="efflite0"), [SMALL["efflite0"]])
    assert own.hashes() == {name: SMALL[name].sha256 for name in ("vgg16", "efflite0")}


def test_a_judge_whose_weights_are_not_here_is_passed_over(monkeypatch):
    absent = ["vgg16"]

    def load(name, path, resize):
        if name in absent:
            raise ValueError(f"features '{name}' needs its weights")
        return SMALL[name]

    monkeypatch.setattr(pretrained, "load", load)
    assert loaded("efflite0", "efflite0") == (["alexnet", "efflite0"], ["efflite0"], "alexnet")
    absent.append("alexnet")
    with pytest.raises(ValueError, match="features 'vgg16' needs its weights"):
        loaded("efflite0", "efflite0")


def test_every_net_sees_pictures_of_the_resizing_that_is_set(monkeypatch):
    def load(name, path, resize):
        return dataclasses.replace(SMALL[name], resize=resize)

    monkeypatch.setattr(pretrained, "load", load)
    protocol = Protocol(features="efflite0", metrics=("gram",), resize="tf1_bilinear")
    own = nets.load(protocol, [SMALL["efflite0"]])
    assert {net.resize for net in (*own.general, *own.own.values())} == {"tf1_bilinear"}


def test_nets_with_the_same_convolutions_are_one():
    assert loaded("vgg16", "lpips_vgg") == (["efflite0", "vgg16"], ["vgg16"], "efflite0")


@pytest.mark.parametrize(
    ("settings", "found"),
    [
        ({"features": "vgg16, efflite0"}, [("vgg16", None), ("efflite0", None)]),
        ({"features": ("vgg16",), "weights": "a.pth"}, [("vgg16", "a.pth")]),
        ({"features": "lpips_vgg", "weights": "a.pth,b.pth"}, [("lpips_vgg", "a.pth,b.pth")]),
        (
            {"features": "inception,vgg16", "weights": "a.pth,"},
            [("inception", "a.pth"), ("vgg16", None)],
        ),
        (
            {"features": ("vgg16", "inception"), "weights": (None, "a.pth")},
            [("vgg16", None), ("inception", "a.pth")],
        ),
    ],
)
def test_features_and_weights_are_paired(settings, found):
    assert Protocol(**settings).nets() == found


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"features": "vgg16,efflite"}, "config.eval.features='efflite' is not known"),
        ({"features": ""}, "config.eval.features='' is not known"),
        ({"features": "vgg16,vgg16"}, "a network stands twice"),
        ({"features": "vgg16,inception", "weights": "a.pth"}, "1 files for 2 networks"),
    ],
)
def test_features_and_weights_that_do_not_fit(settings, message):
    with pytest.raises(ValueError, match=message):
        Protocol(**settings)


def measured(*frozen, metrics=METRICS, **settings):
    """(record, how often each picture was loaded)."""
    protocol = Protocol(metrics=metrics, batch=4, features="efflite0,vgg16", **settings)
    own = nets.load(protocol, [SMALL[name] for name in frozen])
    counts = np.zeros(37, int)

    def load(ids):
        np.add.at(counts, ids, 1)
        return pictures(seed=1).load(ids)

    sets = Sets(Images(load, 37), pictures())
    found = record.measure(protocol, sets, Extractors(own, 4), None, lambda text: None)
    return found | {"protocol": record.stamp(protocol, own, 37, 37)}, counts


def test_each_value_is_measured_by_each_net_in_one_pass():
    found, counts = measured()
    names = ["kid_efflite0", "kid_vgg16", "precision_efflite0", "precision_vgg16"]
    assert set(names) <= set(found["values"]) and "notes" not in found
    assert found["values"]["kid_efflite0"] != found["values"]["kid_vgg16"]
    assert counts.max() <= 2  # the last chunk is filled up with some again
    assert found["about"]["kid_vgg16"]["net"] == "vgg16"
    assert found["protocol"]["features"]["name"] == "efflite0,vgg16"
    assert "in_training" not in found["protocol"]["features"]
    alone = Extractor(SMALL["vgg16"], 4)
    kept = features.extract(pictures(seed=1), np.arange(37), alone, keep=37).kept
    for each in features.extract_by_all(
        pictures(seed=1), np.arange(37), [Extractor(SMALL["efflite0"], 4), alone], keep=37
    )[1:]:
        np.testing.assert_array_equal(each.kept, kept)


def test_values_by_a_net_of_training_come_last_and_say_so():
    found, _ = measured("efflite0")
    names = list(found["values"])
    independent, dependent = ([n for n in names if net in n] for net in ("vgg16", "efflite0"))
    assert independent and names == independent + dependent
    assert found["notes"]["kid_efflite0"] == nets.NOTE and "kid_vgg16" not in found["notes"]
    about = found["about"]
    assert about["kid_efflite0"]["in_training"] and not about["kid_vgg16"]["in_training"]
    assert found["protocol"]["features"]["in_training"] == "efflite0"
    lines = record.lines(found)
    assert lines[0].startswith("kid_vgg16") and nets.NOTE in lines[-1]


def test_a_measures_own_words_do_not_hide_it():
    notes = measured("efflite0", metrics=("memorisation",))[0]["notes"]
    assert notes["memorised_efflite0"].endswith(f"; {nets.NOTE}")
    assert ": of real pictures" in notes["memorised_efflite0"]
    assert nets.NOTE not in notes["memorised_vgg16"]


def test_the_report_shows_them_last_too():
    """Also where an earlier evaluation had that net alone."""
    found, _ = measured("efflite0")
    early = {"values": {"kid_efflite0": 1.0}, "about": {}}

    class Run:
        evaluations = early, found

    shown = list(Values([Run]))
    assert shown[0] == "kid_vgg16" and shown[-1].endswith("efflite0")


def test_each_net_has_its_own_entry_in_the_cache(tmp_path):
    said, ids = [], np.arange(37)
    how = {"keep": 37, "moments": False, "log": said.append}
    one, two = (Extractor(SMALL[name], 4) for name in ("efflite0", "vgg16"))
    (first,) = features.cached(tmp_path, pictures(), ids, [one], **how)
    both = features.cached(tmp_path, pictures(), ids, [two, one], **how)
    assert said == [f"measuring 37 reference images by {n}, once" for n in ("efflite0", "vgg16")]
    np.testing.assert_array_equal(both[1].kept, first.kept)
    again = features.cached(tmp_path, pictures(), ids, [one, two], **how)
    np.testing.assert_array_equal(again[1].kept, both[0].kept)
    assert len(said) == 2


def test_nets_of_one_name_and_other_weights_are_two():
    theirs = SMALL["vgg16"]
    mine = dataclasses.replace(theirs, sha256="b" * 64, params=SMALL["alexnet"].params)
    pairs = [(measure, net) for measure in measures.find(("kid",)) for net in (mine, theirs)]
    sets, extractors = Sets(pictures(), pictures()), Extractors(nets.Nets((mine,)), 4)
    by = gather.Shared(Protocol(), sets, extractors, print, pairs).by
    for side in ("fake", "real"):
        kept = [by[net].features[side].kept for net in (mine, theirs)]
        assert np.abs(kept[0] - kept[1]).max() > 0.01


def test_mind_says_of_how_many_pictures_it_is():
    assert measured(metrics=("mind",))[0]["notes"]["mind_vgg16"] == "of 18 pictures a side"


def test_the_stamp_names_the_weights_of_a_measures_own_nets():
    protocol = Protocol(features="efflite0", metrics=("gram",))
    seen = record.stamp(protocol, nets.load(protocol), 37, 37)["features"]
    assert seen["own"] == {name: SMALL[name].sha256 for name in ("alexnet", "vgg16")}
    assert "own" not in measured()[0]["protocol"]["features"]


def test_a_measures_own_net_is_the_general_one_of_equal_weights():
    protocol = Protocol(features="alexnet", metrics=("gram",))
    own = nets.load(protocol, [SMALL["alexnet"]])
    assert own.own["alexnet"] in own.general and own.own["vgg16"] in own.general


def chosen(name, *frozen, features="efflite0"):
    protocol = Protocol(metrics=METRICS, features=features, best=name)
    own = nets.load(protocol, [SMALL[each] for each in frozen])
    return best.criterion(protocol, Sets(pictures(), pictures()), own).name


def test_no_checkpoint_is_chosen_by_a_net_of_training():
    assert chosen(None, "efflite0") == "kid_vgg16"
    assert chosen("recall_vgg16", "efflite0") == "recall_vgg16"
    assert chosen("kid_efflite0", "vgg16") == "kid_efflite0"
    refusal = (
        "config.eval.best='kid_efflite0': training looks through the network that it is measured"
        " by, which can't judge it. Choose by another: kid_vgg16, precision_vgg16, recall_vgg16."
    )
    with pytest.raises(ValueError, match=refusal):
        chosen("kid_efflite0", "efflite0")


def test_a_measure_that_one_net_lacks_is_taken_by_the_other():
    """And said."""
    protocol = Protocol(metrics=("is",), features="vgg16,efflite0")
    blind = dataclasses.replace(SMALL["vgg16"], n_logits=0)
    own, sets = nets.Nets((blind, SMALL["efflite0"])), Sets(pictures(), pictures())
    assert best.criterion(protocol, sets, own).name == "is_efflite0"
    reasons, partly = checks.reasons(protocol, sets, own)
    assert reasons == {"is": None}
    assert partly == [
        "by vgg16: is needs a net that classifies, and vgg16 does not: use features='inception' or"
        " 'efflite0'."
    ]
