"""The judge of usefulness tells pictures that teach from pictures that don't."""

import numpy as np
import pytest

from gan_jax.evaluation import probes
from gan_jax.evaluation.probes import Labeled, Usefulness

QUICK = Usefulness(sizes=(8,), seeds=2, steps=120, batch=16, width=8)


def stripes(seed, n, sure=1.0):
    """Class 0 has upright stripes, class 1 lying ones, `sure` of the labels right."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, n)
    wave = 90 * np.sign(
        np.sin(np.arange(16) * np.pi / 2 + 0.5 + rng.integers(0, 2, n)[:, None] * np.pi)
    )
    images = (
        np.where(labels[:, None, None] == 0, wave[:, None, :], wave[:, :, None])[..., None] + 128
    )
    images = np.clip(images + rng.normal(0, 20, images.shape), 0, 255).astype(np.uint8)
    return Labeled(images, np.where(rng.random(n) < sure, labels, 1 - labels))


def test_good_pictures_teach_and_mislabeled_ones_do_not():
    test = stripes(1, 300)
    good = QUICK.score([stripes(2, 200)], test, 2)
    wrong = QUICK.score([stripes(2, 200, sure=0.0)], test, 2)
    assert good.mean > 0.9 and wrong.mean < 0.1


def test_generated_pictures_help_a_small_real_set_and_bad_ones_harm_it():
    test, real = stripes(1, 300), stripes(2, 200)
    alone = QUICK.score([real], test, 2, size=4).mean
    helped = QUICK.score([real, stripes(3, 200)], test, 2, size=4).mean
    harmed = QUICK.score([real, stripes(3, 200, sure=0.0)], test, 2, size=4).mean
    assert helped > 0.9 and harmed < helped - 0.2 and alone < helped


def test_scores_repeat_and_seeds_differ():
    test, real = stripes(1, 100), stripes(2, 100, sure=0.8)
    short = Usefulness(sizes=(8,), seeds=2, steps=4, batch=8, width=4)
    assert short.score([real], test, 2, size=8) == short.score([real], test, 2, size=8)
    weights = [
        np.asarray(short.fit([real], 2, seed)["params"]["Dense_0"]["kernel"]) for seed in (0, 0, 1)
    ]
    np.testing.assert_array_equal(weights[0], weights[1])
    assert np.abs(weights[0] - weights[2]).max() > 1e-3


def test_every_batch_has_equally_many_of_each_set(monkeypatch):
    seen = []

    training = probes._training

    def watched(net, steps):
        tx, step = training(net, steps)
        return tx, lambda v, o, images, labels: seen.append(images) or step(v, o, images, labels)

    monkeypatch.setattr(probes, "_training", watched)
    black, white = (
        Labeled(np.full((n, 16, 16, 1), v, np.uint8), np.zeros(n, int))
        for n, v in ((3, 0), (500, 255))
    )
    Usefulness(sizes=(3,), seeds=1, steps=2, batch=10, width=4).fit([black, white], 2, 0)
    assert len(seen) == 2 and all((images[:, 0, 0, 0] == 0).sum() == 5 for images in seen)


def test_accuracy_counts_whole_and_part_chunks():
    variables = QUICK.fit([stripes(2, 200)], 2, 0)
    test = stripes(1, 300)
    parts = [
        QUICK.accuracy(variables, Labeled(*(x[a:b] for x in test)))
        for a, b in ((0, 256), (256, 300))
    ]
    assert QUICK.accuracy(variables, test) == pytest.approx((256 * parts[0] + 44 * parts[1]) / 300)


def test_how_a_spread_reads():
    assert str(probes.Accuracy(0.51234, 0.02)) == "0.512 ± 0.020"
    assert str(probes.Accuracy(0.51234, float("nan"))) == "0.512"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"seeds": 0}, "usefulness.seeds=0: it must be at least 1"),
        ({"sizes": ()}, r"usefulness.sizes=\(\): numbers of real images"),
        ({"sizes": (0, 5)}, r"usefulness.sizes=\(0, 5\): numbers of real images, each at least 1"),
    ],
)
def test_mistakes_are_one_line(settings, message):
    with pytest.raises(ValueError, match=message):
        Usefulness(**settings)
