"""Measures of sets whose answers are known, and what stands in their record."""

import functools
import subprocess
import types

import jax
import numpy as np
import pytest
from PIL import Image

import gan_jax
from gan_jax import pretrained
from gan_jax.data import corruptions
from gan_jax.data.sources.avatars import STYLES
from gan_jax.evaluation import features, gather, measures
from gan_jax.evaluation import record as recording
from gan_jax.evaluation.features import Extractor, Extractors
from gan_jax.evaluation.images import Images, Sets
from gan_jax.evaluation.measures import memorisation, robustness, usefulness
from gan_jax.evaluation.nets import Nets
from gan_jax.evaluation.protocol import Protocol
from gan_jax.evaluation.record import measure
from gan_jax.metrics import kid
from tests.evaluation.known_sets import avatars
from tests.xla_flags import OPTIMIZED


def test_the_commit_is_the_checkouts(tmp_path, monkeypatch):
    package = tmp_path / "gan_jax"
    package.mkdir()
    (package / "__init__.py").write_text("")
    monkeypatch.setattr(gan_jax, "__file__", str(package / "__init__.py"))
    commit = recording.commit.__wrapped__
    assert commit() is None

    def git(*words):
        call = ["git", "-C", str(tmp_path), *words]
        return subprocess.run(call, check=True, capture_output=True, text=True).stdout

    git("init", "--quiet")
    git("add", ".")
    git("-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "--message=first")
    assert commit() == git("rev-parse", "HEAD")[:12]
    (package / "__init__.py").write_text("changed = True")
    assert commit() == git("rev-parse", "HEAD")[:12] + "-dirty"


def test_copies_are_counted_and_shown(toy, shared_data, tmp_path):
    train_set = avatars(labels="style")
    copies = Images(train_set.load, 30, train_set.labels[:30], train_set.classes)
    protocol = Protocol(metrics=("memorisation",), batch=16)
    sets = Sets(copies, train_set, avatars(labels="style", split="test"))
    found = measure(protocol, sets, Extractors(Nets((toy,)), 16), tmp_path, print)
    assert found["values"]["memorised_toy"] == 1 and found["values"]["memorised_held_out_toy"] < 0.8
    picture = np.asarray(Image.open(tmp_path / "sheet" / "neighbors.png"))
    first = picture[1:33, 5:37].astype(int), picture[1:33, 39:71].astype(int)
    assert np.abs(first[0] - first[1]).max() <= 1  # the worst: a copy beside its original


def test_without_a_folder_nothing_is_drawn(toy, shared_data, monkeypatch):
    monkeypatch.setattr(memorisation, "_sheet", None)
    images, protocol = avatars(), Protocol(metrics=("memorisation",))
    found = measure(protocol, Sets(images, images), Extractors(Nets((toy,)), 16), None, print)
    assert "memorised_toy" in found["values"] and "pictures" not in found
    assert found["notes"]["memorised_toy"].startswith("it copies: of ")  # all are training images
    assert found["values"]["memorised_training_toy"] < 0.9


def test_copying_is_more_than_the_control_by_two_errors_of_the_difference():
    """Which is about sqrt(1/4 * (1/100 + 1/100)) = 0.07."""
    assert memorisation.verdict(0.63, 100, 0.5, 100).startswith("no copying seen: of real pictures")
    assert memorisation.verdict(0.65, 100, 0.5, 100).startswith("it copies: of real pictures only")
    assert memorisation.verdict(0.63, 10**6, 0.5, 100).startswith("it copies: ")
    assert memorisation.verdict(0.05, 20, 0, 20).startswith("no copying seen: ")  # one picture


def verdicts(seed, held_out):
    """What is said of fakes of the training pictures' distribution, and of their copies."""
    rng = np.random.default_rng(seed)
    train, fakes = rng.normal(size=(2000, 6)), rng.normal(size=(200, 6))
    copies = train[:200] + rng.normal(size=(200, 6)) / 100

    def said(fakes):
        sides = {"train": train, "fake": fakes}
        sides |= {"held_out": rng.normal(size=(1000, 6))} if held_out else {}
        kept = {name: types.SimpleNamespace(kept=each) for name, each in sides.items()}
        notes = memorisation.compute(types.SimpleNamespace(features=kept)).notes
        return notes["memorised{net}"].partition(":")[0]

    return said(fakes), said(copies)


@pytest.mark.parametrize("held_out", [False, True])
def test_honest_pictures_are_seldom_called_copies_and_copies_always(held_out):
    honest, copied = zip(*(verdicts(seed, held_out) for seed in range(40)), strict=True)
    assert honest.count("it copies") <= 3 and set(copied) == {"it copies"}


def test_a_picture_that_cannot_be_written_loses_no_number(toy, shared_data, tmp_path):
    (tmp_path / "file").write_text("where the folder should be")
    said, images = [], avatars()
    protocol = Protocol(metrics=("memorisation",))
    found = measure(
        protocol, Sets(images, images), Extractors(Nets((toy,)), 16), tmp_path / "file", said.append
    )
    assert "memorised_toy" in found["values"] and "pictures" not in found
    assert said[-1].startswith("the picture of neighbors can't be written: ")


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
    measure(protocol, Sets(watched, tidy), Extractors(Nets((toy,)), 10), None, print)
    assert len(set(np.array(seen["ids"]) // 10)) > 6  # of ten classes
    chosen = measures.find(("kid", "memorisation"))
    pairs, own = [(each, toy) for each in chosen], Extractors(Nets((toy,)), 10)
    now = gather.Shared(Protocol(), Sets(tidy, tidy, tidy), own, print, pairs).by[toy]
    for name in ("fake", "real", "held_out"):
        ids = now.features[name].ids[:30]
        assert len(set(ids // 10)) > 6


@pytest.mark.parametrize(
    ("trained_on", "note"),
    [
        (30, "flatters: the generator was trained on 30 labeled real pictures, its control on 20"),
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
    with pytest.raises(ValueError, match="memorisation needs at least 3 held-out images, got 2"):
        measure(
            Protocol(metrics=("memorisation",)),
            Sets(images, images, few),
            Extractors(Nets((toy,)), 10),
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
    few = avatars(labels="style", identities=12)  # 100 pictures: each is a center
    found = measure(
        Protocol(metrics=("diversity",)), Sets(few, few), Extractors(Nets((toy,)), 16), None, print
    )
    assert found["values"]["diversity_clusters_toy"] == pytest.approx(0, abs=1e-5)
    assert found["values"]["diversity_toy"] == pytest.approx(
        found["values"]["diversity_real_toy"], rel=1e-6
    )
    many = avatars(labels="style", identities=24)
    found = measure(
        Protocol(metrics=("diversity",)), Sets(few, many), Extractors(Nets((toy,)), 16), None, print
    )
    assert (
        "diversity_clusters_toy" not in found["values"]
        and len(found["groups"]["diversity_toy"]) == 10
    )


def test_the_default_net_puts_known_sets_in_order(shared_data, monkeypatch):
    """Same distribution, slight blur, then other drawing styles or ten pictures over and over, then
    noise."""
    with monkeypatch.context() as patch:  # it sees 384 pictures: compiled to run fast
        patch.setattr(jax, "jit", functools.partial(jax.jit, compiler_options=OPTIMIZED))
        extractor = Extractor(pretrained.load("efflite0"), 16)
    styles = tuple(STYLES)
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
        found = measure(protocol, sets, Extractors(Nets((toy,)), 16), None, lambda text: None)[
            "values"
        ]
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
