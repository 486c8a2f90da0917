"""What translators are measured by, on sets whose answers are known."""

import dataclasses

import numpy as np
import pytest

from gan_jax import pretrained
from gan_jax.evaluation import nets
from gan_jax.evaluation.features import Extractors
from gan_jax.evaluation.images import Images, Sets, materialize
from gan_jax.evaluation.measures import (
    attributes,
    edges,
    fidelity,
    gram,
    identity,
    shift_error,
    style,
    variety,
)
from gan_jax.evaluation.nets import Nets
from gan_jax.evaluation.probes import Usefulness
from gan_jax.evaluation.protocol import Protocol
from gan_jax.evaluation.record import measure
from gan_jax.metrics import flicker
from tests.evaluation.features_test import toy_apply


def noise(n, side=12, seed=0, low=0, high=256):
    return np.random.default_rng(seed).integers(low, high, (n, side, side, 3), np.uint8)


def images(pixels, **more):
    return Images(lambda ids: pixels[ids], len(pixels), **more)


def embed(images, ids):
    return images.load(ids).reshape(len(ids), -1).astype(np.float32) / 255


def test_fidelity_beside_the_copy():
    x = noise(5, high=200)
    found = fidelity.likeness(images(np.tile(x + 10, (2, 1, 1, 1))), images(x + 10), images(x))
    assert found["mae"] == 0 and found["ssim"] == pytest.approx(1) and "psnr" in found
    assert found["mae_input"] == 10 and found["psnr_input"] == pytest.approx(20 * np.log10(25.5))
    assert found["ssim_input"] < 1


def test_fidelity_to_an_opaque_truth_is_that_of_its_colors():
    """Of pictures whose holes are filled: alpha, equal everywhere, must not add to the PSNR."""
    x = noise(4, high=200)

    def with_alpha(value):
        return images(np.concatenate([value, np.full_like(x[..., :1], 255)], -1))

    found = fidelity.likeness(*map(with_alpha, (x + 10, x, x + 20)))
    assert found == fidelity.likeness(*map(images, (x + 10, x, x + 20)))
    assert found["psnr"] == pytest.approx(20 * np.log10(25.5))


def features_of(*args, **more):
    return noise(*args, **more).reshape(args[0], -1).astype(np.float32) / 255


def test_style_leaves_out_what_was_of_the_style():
    """What goes to "bright" is bright, what goes to "dark" is bright still."""
    dark, bright = features_of(40, high=60), features_of(40, seed=1, low=190)
    before, after = features_of(80, seed=2, high=60), features_of(80, seed=3, low=190)
    found, control = style.by_style(after, before, bright, None, ())
    assert abs(found[""]) < 0.01 < control[""] and control[""] > 20 * abs(found[""])
    y_real = np.array([0] * 40 + [1] * 40)
    labels = np.arange(80) % 2, np.arange(80) // 2 % 2, y_real
    found, control = style.by_style(
        after, before, np.concatenate([dark, bright]), labels, ("dark", "bright")
    )
    assert set(found) == {"dark", "bright"} and found["bright"] < 0.01 < found["dark"]
    assert control["bright"] > 0.01 > control["dark"]
    after[(labels[0] == 1) & (labels[1] == 1)] = 1e3  # bright before: not counted
    again, _ = style.by_style(
        after, before, np.concatenate([dark, bright]), labels, ("dark", "bright")
    )
    assert again["bright"] == found["bright"]


def test_attributes_follow_the_content_or_not():
    palette = np.array([[220.0, 30, 30], [30, 220, 30], [30, 30, 220]], np.float32)
    which = np.arange(60) % 3
    paint = lambda which, seed: np.clip(
        palette[which][:, None, None]
        + np.random.default_rng(seed).normal(0, 8, (len(which), 16, 16, 3)),
        0,
        255,
    ).astype(np.uint8)
    real = images(paint(which, 0), colors={"skin": palette[which]})
    probe = Usefulness(steps=200, batch=16, width=8)
    kept = attributes.errors(
        probe, images(paint(which[:30], 1)), real, real, images(paint(which, 2), colors=real.colors)
    )
    assert (
        kept["skin_error"] < 20
        and kept["skin_error_floor"] < 20
        and kept["skin_error_shuffled"] > 100
    )
    lost = attributes.errors(probe, images(paint((which + 1) % 3, 1)), real, real, None)
    assert lost["skin_error"] > 200 and "skin_error_floor" not in lost


def test_identity_beside_a_shuffled_pairing():
    x = features_of(20)
    own, shuffled = identity.distances(np.tile(x, (2, 1)), x)
    assert abs(own) < 1e-6 < shuffled
    assert all((identity.others(n) != np.arange(n)).all() for n in (2, 3, 50))


def test_variety_is_within_a_picture():
    contents, fake = images(noise(4)), images(noise(4), labels=np.arange(4) % 2)
    seen = []

    def translate(contents, labels, spread):
        seen.append(labels)
        by_latent = np.random.default_rng(0).integers(0, spread + 1, (contents.count, 1, 1, 1))
        return images((contents.load(np.arange(contents.count)) // 2 + by_latent).astype(np.uint8))

    def found(spread):
        sets = Sets(fake, fake, contents=contents, translate=lambda c, y: translate(c, y, spread))
        made = variety.variants(sets)
        return variety.within(embed(made, np.arange(made.count)), False)

    none, some = found(0), found(90)
    np.testing.assert_array_equal(seen[0], np.repeat([0, 1, 0, 1], variety.LATENTS))
    assert none == pytest.approx(0, abs=1e-3) and some > 1


@pytest.mark.parametrize("by", [*shift_error.SHIFTS, (-2, -3), (0, 0)])
def test_shifting(by):
    x = noise(2)
    moved = flicker.shift(x, *by)
    for y in range(12):
        for column in range(12):
            source = x[:, np.clip(y - by[0], 0, 11), np.clip(column - by[1], 0, 11)]
            np.testing.assert_array_equal(moved[:, y, column], source)
    assert not flicker.shift_error(
        x, moved, *by
    ).any()  # the identity answers a shift with the shift
    steps = np.broadcast_to(np.arange(12, dtype=np.uint8)[None, :, None, None], x.shape)
    # a pattern that stays on the screen while the picture moves
    fixed = flicker.shift_error(steps, steps, *by)
    np.testing.assert_allclose(fixed, abs(by[0]))


def test_shift_error_of_a_translator():
    x = images(noise(3, side=24))
    assert shift_error.error(lambda c, y: images(255 - c.load(np.arange(c.count))), x, None) == 0
    mask = np.arange(24)[None, :, None, None] % 2 == 0
    grid = lambda c, y: images(np.where(mask, 0, c.load(np.arange(c.count))))
    assert shift_error.error(grid, x, None) > 20


def test_frame_to_frame_changes():
    still, moving = noise(1)[0] // 2, noise(9)
    changes = flicker.Changes()
    assert changes.values() == {}
    for i in range(5):
        changes.add(still, still + 10 * (i % 2))
    assert changes.values() == {"input": 0, "output": 10, "still": 10}
    changes = flicker.Changes()
    for frame in moving:
        changes.add(frame, frame // 2)
    found = changes.values()
    # nothing stands still
    assert found["input"] == pytest.approx(2 * found["output"], rel=0.02) and np.isnan(
        found["still"]
    )


def sets(classes=()):
    x = noise(30, side=16)
    labels = np.arange(30) % 2 if classes else None
    real = images(x, labels=labels, classes=classes, colors={"skin": np.zeros((30, 3), np.float32)})
    translate = lambda contents, y: images(255 - contents.load(np.arange(contents.count)))
    fake = images(255 - x, labels=None if labels is None else 1 - labels, classes=classes)
    return Sets(fake, real, real, real, real, translate)


NET = pretrained.Net(
    "toy",
    "_toy",
    6,
    2,
    None,
    "none",
    "f" * 64,
    {"w": np.random.default_rng(0).normal(size=(3, 3, 3, 6)).astype(np.float32)},
    toy_apply,
)


@pytest.mark.parametrize("classes", [(), ("a", "b")])
def test_all_of_them_together(classes, monkeypatch, tmp_path):
    monkeypatch.setenv("GAN_JAX_DATA", str(tmp_path))
    asked = ("fidelity", "style", "attributes", "identity", "variety", "shift_error", "robustness")
    protocol = Protocol(
        metrics=asked,
        images=30,
        reference=30,
        robustness_images=6,
        usefulness={"steps": 2, "width": 2},
    )
    found = measure(protocol, sets(classes), Extractors(Nets((NET,)), 10), None, lambda text: None)
    wanted = {
        "psnr",
        "ssim",
        "mae",
        "psnr_input",
        "ssim_input",
        "mae_input",
        "style_kid_toy",
        "style_kid_input_toy",
        "skin_error",
        "skin_error_shuffled",
        "skin_error_floor",
        "identity_toy",
        "identity_shuffled_toy",
        "variety_toy",
        "shift_error",
    }
    assert wanted <= set(found["values"]) and found["values"]["shift_error"] == 0
    assert bool(found.get("groups")) == bool(classes)
    curve = found["curves"]["ssim_to_clean"]["noise"]
    assert curve[0][1] == pytest.approx(1) and curve[-1][1] < curve[1][1] < 1


@pytest.mark.parametrize(
    ("changes", "metric", "message"),
    [
        ({"contents": None}, "style", "style is of translators"),
        (
            {"truth": None},
            "fidelity",
            "fidelity needs each picture's true translation: config.data.source='paired'",
        ),
        ({"varied": False}, "variety", "variety needs a translator that draws its styles"),
        (
            {"contents": images(noise(2))},
            "style",
            "style needs at least 3 pictures to translate, got 2",
        ),
        (
            {"real": images(noise(30))},
            "attributes",
            "attributes needs pictures whose skin and hair are known",
        ),
    ],
)
def test_what_is_lacking(changes, metric, message):
    with pytest.raises(ValueError, match=message):
        measure(
            Protocol(metrics=(metric,)),
            dataclasses.replace(sets(), **changes),
            Extractors(Nets((NET,)), 8),
            None,
            print,
        )


def test_held_pictures_are_loaded_once():
    calls = []
    some = Images(lambda ids: calls.append(ids) or noise(9)[ids], 9, labels=np.arange(9))
    held = materialize(some, np.array([4, 2]))
    np.testing.assert_array_equal(held.load(np.array([1])), noise(9)[[2]])
    assert len(calls) == 1 and list(held.labels) == [4, 2] and held.count == 2


# --- photographs into drawings: by the nets that are installed


def blots(n, seed, style):
    """Coarse pictures, each with its own edges; in a style they are orange."""
    coarse = np.random.default_rng(seed).integers(0, 200, (n, 2, 2, 3)).repeat(16, 1).repeat(16, 2)
    coarse = np.stack([np.roll(x, (3 * i, 5 * i), (0, 1)) for i, x in enumerate(coarse)])
    orange = coarse * (0.7, 0.6, 0.3) + (115, 50, 0)
    return (orange if style else coarse).astype(np.uint8)


def restyled(game=()):
    """The record of a translator that changes colors and moves nothing."""
    contents, real, apart = (images(blots(6, n, style=n > 0)) for n in range(3))
    fake = images(blots(6, 0, style=True))
    sets = Sets(fake, real, apart, contents, fake, lambda contents, y: fake)
    metrics = "lpips", "content", "edges", "gram"
    protocol = Protocol(metrics=metrics, images=6, reference=6, batch=2, features="efflite0")
    own = nets.load(protocol, game)
    return measure(protocol, sets, Extractors(own, 2), None, lambda text: None)


def test_a_restyled_picture_keeps_its_edges_and_has_the_styles_colors():
    alexnet = pretrained.load("alexnet")
    found = restyled([alexnet])
    values = found["values"]
    assert values["lpips_alex"] == 0 < values["lpips_input_alex"]
    assert values["content_lpips_alex"] < values["content_lpips_other_alex"]
    assert values["edge_agreement"] > 0.9 > values["edge_agreement_other"] + 0.2
    for net in ("alexnet", "vgg16"):
        assert values[f"gram_{net}"] < values[f"gram_input_{net}"] / 2
        assert values[f"gram_held_out_{net}"] < values[f"gram_held_out_input_{net}"] / 2
        assert values[f"gram_held_out_real_{net}"] < values[f"gram_held_out_input_{net}"] / 2
    # a loss looked through AlexNet: VGG16's value comes first
    assert list(values)[-1].endswith("alexnet") and nets.NOTE in found["notes"]["gram_alexnet"]
    assert "gram_vgg16" not in found["notes"]


def test_a_styles_gram_matrices_are_its_mean():
    net, x = pretrained.load("alexnet"), blots(6, 3, style=False)
    whole = gram.mean(net, images(x), np.arange(6))
    parts = [gram.mean(net, images(x[part]), np.arange(3)) for part in (slice(3), slice(3, 6))]
    for name, found in whole.items():
        np.testing.assert_allclose(found, (parts[0][name] + parts[1][name]) / 2, rtol=1e-4)
    assert gram.distance(whole, whole) == 0
    doubled = {name: 2 * found for name, found in whole.items()}
    assert gram.distance(doubled, whole) == pytest.approx(1)


def test_edges_without_scikit_image_say_what_to_install(monkeypatch):
    monkeypatch.setattr(edges.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match="edges needs scikit-image: pip install scikit-image"):
        measure(Protocol(metrics=("edges",)), sets(), Extractors(Nets((NET,)), 8), None, print)
