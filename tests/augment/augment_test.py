import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax import augment
from gan_jax.augment import ADA, NONE, DiffAugment, ada, corrupt, flip_shift
from gan_jax.distributed import collectives
from gan_jax.runtime import registry


def images(n=4, height=8, width=8, channels=3, seed=0):
    return jnp.asarray(
        np.random.default_rng(seed).uniform(-1, 1, (n, height, width, channels)), jnp.float32
    )


def smooth(height, width):
    """One image of low frequencies [1, H, W, 3], of values up to 1: the warp's filters turn their
    phase by up to 0.02."""
    i, j = np.mgrid[:height, :width]
    waves = [np.sin(0.3 * i + 0.1 * j), np.cos(0.2 * j), np.sin(0.25 * i - 0.2 * j + 1)]
    return jnp.asarray(np.stack(waves, -1)[None], jnp.float32)


def fixed(pipe="bgcfnc", **settings):
    return ADA(pipe, target=None, **settings)


def apply(x, **values):
    return fixed().apply(
        x, {name: jnp.asarray(v, jnp.float32).reshape(x.shape[0], -1) for name, v in values.items()}
    )


# --- the interface


@pytest.mark.parametrize(
    "made", [NONE, DiffAugment(), ADA(batch=8), fixed(p=0.5), fixed(p=0.5, rise_kimg=1.0)]
)
def test_interface(made):
    hash(made)
    carry, x = made.init(), images()
    assert all(v.shape == () and v.dtype == jnp.float32 for v in carry.values())
    y = jax.eval_shape(made, carry, jax.random.key(0), x)
    assert y.shape == x.shape and y.dtype == jnp.float32
    seen = made.observe(carry, jnp.ones(4), jnp.float32(4))
    shape = lambda tree: jax.tree.map(lambda v: (v.shape, v.dtype), tree)
    assert shape(seen) == shape(carry)


def test_none_changes_nothing():
    x = images()
    assert NONE({}, jax.random.key(0), x) is x


# --- DiffAugment


def test_color_is_drawn_as_published():
    x = images(400, 4, 4)
    y = jax.jit(DiffAugment("color"))({}, jax.random.key(0), x)
    chroma = lambda x: np.asarray(x - x.mean(3, keepdims=True))
    luma = lambda x: np.asarray(x.mean(3) - x.mean((1, 2, 3)).reshape(-1, 1, 1))
    slope = lambda y, x: np.median((y / x).reshape(len(x), -1), 1)
    both, contrast = slope(chroma(y), chroma(x)), slope(luma(y), luma(x))
    np.testing.assert_allclose(luma(y), contrast.reshape(-1, 1, 1) * luma(x), atol=1e-5)
    np.testing.assert_allclose(chroma(y), both.reshape(-1, 1, 1, 1) * chroma(x), atol=1e-5)
    shift = np.asarray(y.mean((1, 2, 3)) - x.mean((1, 2, 3)))
    for drawn, low, high in ((shift, -0.5, 0.5), (contrast, 0.5, 1.5), (both / contrast, 0, 2)):
        span = high - low
        assert (
            low - 1e-4 <= drawn.min() < low + 0.05 * span
            and high - 0.05 * span < drawn.max() <= high + 1e-4
        )
        np.testing.assert_allclose(drawn.mean(), (low + high) / 2, atol=0.05 * span)
    assert np.abs(np.corrcoef([shift, contrast, both / contrast]) - np.eye(3)).max() < 0.2


def moved(x, down, right, fill):
    """x [H, W, C] moved by whole pixels; what comes in is zero, or a reflection."""
    pad = [(3, 3), (3, 3), (0, 0)]
    padded = np.pad(x, pad, "reflect") if fill == "reflect" else np.pad(x, pad)
    return padded[3 - down : 3 - down + x.shape[0], 3 - right : 3 - right + x.shape[1]]


def test_translation_by_whole_pixels():
    x = images(300, 12, 16)
    y = jax.jit(DiffAugment("translation"))({}, jax.random.key(0), x)
    found = [
        [
            (i, j)
            for i in range(-3, 4)
            for j in range(-3, 4)
            if np.array_equal(after, moved(before, i, j, "zero"))
        ]
        for before, after in zip(np.asarray(x), np.asarray(y), strict=True)
    ]
    assert all(len(f) == 1 for f in found)
    # 12 / 8 = 1.5 is 2
    assert {f[0] for f in found} == {(i, j) for i in range(-2, 3) for j in range(-2, 3)}


def test_cutout_is_a_box_of_half_the_sides():
    x = 1 + 0 * images(400, 8, 12)
    y = np.asarray(jax.jit(DiffAugment("cutout"))({}, jax.random.key(0), x))
    cut = y[..., 0] == 0
    assert np.array_equal(y == 0, np.broadcast_to(cut[..., None], y.shape)) and np.all(
        (y == 0) | (y == 1)
    )
    rows, columns = cut.any(2), cut.any(1)
    assert np.array_equal(cut, rows[:, :, None] & columns[:, None, :])
    # first, how many
    ends = lambda lines: {(int(line.argmax()), int(line.sum())) for line in lines}
    assert ends(rows) == {(max(i - 2, 0), min(i + 2, 8) - max(i - 2, 0)) for i in range(9)}
    assert ends(columns) == {(max(i - 3, 0), min(i + 3, 12) - max(i - 3, 0)) for i in range(13)}
    # of 9 and 13 places of the center
    np.testing.assert_allclose(cut.mean(0)[3:5, 5:7], 4 / 9 * 6 / 13, atol=0.1)


def test_policies_are_applied_in_turn():
    x = images(6, 16, 16)
    y = np.asarray(jax.jit(DiffAugment("translation,color,cutout"))({}, jax.random.key(1), x))
    assert np.all((y == 0).all(3).any((1, 2)))  # cut last, so that its zeros keep their color
    assert not np.any((y == x).all(3) & (y != 0).all(3))
    only = np.asarray(jax.jit(DiffAugment("cutout,translation"))({}, jax.random.key(1), x))
    assert np.all((only == 0).all(3).mean((1, 2)) > 0.05) and np.all(np.isin(only[only != 0], x))


def test_flip_shift_mirrors_and_shifts_with_reflection():
    x = images(400, 16, 8)
    y = jax.jit(flip_shift)(jax.random.key(0), x)
    found = [
        [
            (i, j, flip)
            for i in range(-3, 4)
            for j in range(-3, 4)
            for flip in (1, -1)
            if np.array_equal(after, moved(before[:, ::flip], i, j, "reflect"))
        ]
        for before, after in zip(np.asarray(x), np.asarray(y), strict=True)
    ]
    assert all(len(f) == 1 for f in found)
    assert {f[0][:2] for f in found} == {(i, j) for i in range(-2, 3) for j in range(-1, 2)}
    np.testing.assert_allclose(np.mean([f[0][2] for f in found]), 0, atol=0.15)


# --- ADA: each transform, by its values


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_nothing_changes_at_p_0(channels):
    x = images(channels=channels)
    y = jax.jit(fixed())({"p": jnp.float32(0)}, jax.random.key(0), x)
    np.testing.assert_array_equal(y, x)


def test_flips_and_quarter_turns_of_a_known_picture():
    x = smooth(24, 24)
    turned = np.asarray(apply(x, xflip=1, rotate90=1))
    flipped = np.asarray(apply(x, xflip=1))
    still = np.s_[:, 3:-3, 3:-3]
    np.testing.assert_allclose(flipped[still], np.asarray(x[:, :, ::-1])[still], atol=0.03)
    assert np.abs(flipped - x).max() > 0.5
    np.testing.assert_allclose(
        turned[still], np.rot90(np.asarray(x[0, :, ::-1]), 1)[None][still], atol=0.03
    )


def test_whole_pixels_are_shifted_exactly_with_reflection():
    x = images(1, 16, 24)
    y = apply(x, xint=(0.125, -0.125))  # 3 right, 2 up
    np.testing.assert_allclose(y[0], moved(np.asarray(x[0]), -2, 3, "reflect"), atol=2e-5)


def test_beyond_a_whole_reflection_lies_zero():
    x = jnp.ones((1, 8, 8, 3))
    # the picture, 2 pixels wide, and its reflections: 22 / 4 = 5.5 pixels
    y = np.asarray(apply(x, scale=0.25))
    np.testing.assert_allclose(y[0, 3:5, 3:5], 1, atol=0.05)
    np.testing.assert_allclose(y[0, :, 0], 0, atol=0.1)
    assert np.abs(y).max() < 1.3


def test_scale_and_aniso_enlarge_about_the_center():
    x = smooth(25, 25)
    at = lambda i, j: np.asarray(x[0, 12 + i, 12 + j])
    y = np.asarray(apply(x, scale=2))[0]
    for i, j in ((0, 0), (4, -6), (-8, 2)):
        np.testing.assert_allclose(y[12 + i, 12 + j], at(i // 2, j // 2), atol=0.02)
    y = np.asarray(apply(x, aniso=2))[0]  # twice as wide, half as high
    np.testing.assert_allclose(y[12 + 2, 12 - 6], at(4, -3), atol=0.02)


def test_colors():
    x = images(1)
    close = functools.partial(np.testing.assert_allclose, atol=1e-6)
    luma = lambda x: x.mean(3)
    close(apply(x, brightness=0.25), x + 0.25)
    close(apply(x, contrast=0.5), x / 2)
    close(apply(x, brightness=0.25, contrast=0.5), (x + 0.25) / 2)
    close(apply(x, hue=2 * np.pi / 3), jnp.roll(x, 1, 3))  # a third of the circle: red is green
    hued = apply(x, hue=1.0)
    close(luma(hued), luma(x))
    close(jnp.square(hued).sum(3), jnp.square(x).sum(3))
    gray = luma(x)[..., None]
    close(apply(x, saturation=0), jnp.broadcast_to(gray, x.shape))
    close(apply(x, saturation=3), gray + 3 * (x - gray))
    close(apply(x, lumaflip=1), x - 2 * gray)


def test_gray_images_have_no_hue_and_alpha_keeps_its_color():
    x = images(1, channels=1)
    np.testing.assert_allclose(
        apply(x, brightness=0.25, contrast=2, lumaflip=1), -2 * (x + 0.25), atol=1e-6
    )
    np.testing.assert_array_equal(apply(x, hue=1.0, saturation=3), x)
    x = images(1, channels=4)
    y = apply(x, brightness=0.25, contrast=2, imgfilter=(1, 1, 2, 1))
    np.testing.assert_array_equal(y[..., 3], x[..., 3])
    assert np.abs(y - x)[..., :3].max() > 0.1
    np.testing.assert_array_equal(apply(x, cutout=(0.5, 0.5))[0, 2:6, 2:6], np.zeros((4, 4, 4)))
    np.testing.assert_allclose(apply(x, xint=(0.125, 0))[0, :, 1:, 3], x[0, :, :-1, 3], atol=1e-5)
    with pytest.raises(ValueError, match=r"config.augment: images of 2 channels.*1, 3 or 4"):
        apply(images(1, channels=2), brightness=0)


def test_filter_splits_the_image_in_bands():
    x = images(2, 48, 40)
    every = jnp.full((2, 4), 2.0)
    np.testing.assert_allclose(corrupt.amplify(x, every), 4 * x, atol=1e-5)  # 2 in each direction
    lowest = jnp.array([[3.0, 0, 0, 0]])
    np.testing.assert_allclose(
        corrupt.amplify(jnp.ones((1, 48, 40, 1)), lowest), jnp.full((1, 48, 40, 1), 9), rtol=1e-5
    )
    fastest = jnp.asarray((-1.0) ** np.indices((1, 48, 40, 1)).sum(0), jnp.float32)
    np.testing.assert_allclose(corrupt.amplify(fastest, lowest), 0, atol=1e-5)
    one = np.asarray(corrupt.gains(jnp.array([[1, 1, 5.0, 1]])))  # the expected power stays
    np.testing.assert_allclose((np.array([10, 1, 1, 1]) / 13 * one**2).sum(), 1, rtol=1e-6)
    np.testing.assert_allclose(one[0, 2] / one[0, 0], 5, rtol=1e-6)


def test_cutout_box():
    x = jnp.ones((2, 8, 12, 3))
    y = np.asarray(apply(x, cutout=[[0.25, 0.75], [np.inf, np.inf]]))
    box = np.zeros((8, 12), bool)
    box[4:8, 0:6] = True
    np.testing.assert_array_equal(y[0, ..., 0] == 0, box)
    np.testing.assert_array_equal(y[1], x[1])


# --- ADA: how values are drawn


def test_probabilities_and_distributions():
    """20 000 images: a share's deviation is below 0.0036, a deviation's below 1 %."""
    n, p = 20000, 0.6
    pipe = fixed(
        "bgcfnc", multipliers=(("color", 0.5), ("brightness", 0.25)), strengths=(("hue", 0.5),)
    )
    values = jax.jit(pipe.parameters, static_argnums=1)(jax.random.key(0), n, jnp.float32(p))
    chosen = {name: np.asarray(v != ada.TRANSFORMS[name].neutral) for name, v in values.items()}
    share = {name: c.any(1).mean() for name, c in chosen.items()}
    expected = dict.fromkeys(("xint", "scale", "rotate", "aniso", "xfrac", "noise", "cutout"), p)
    expected |= {"xflip": p / 2, "rotate90": p * 3 / 4, "lumaflip": p / 4, "brightness": p / 4}
    expected |= dict.fromkeys(("contrast", "hue", "saturation"), p / 2) | {
        "imgfilter": 1 - (1 - p) ** 4
    }
    assert share.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(share[name], value, atol=0.015, err_msg=name)
    np.testing.assert_allclose(chosen["rotate"].mean(0), [1 - np.sqrt(1 - p)] * 2, atol=0.015)
    drawn = {name: np.asarray(values[name])[chosen[name]] for name in values}
    uniform = {"xint": 0.125, "rotate": np.pi, "hue": np.pi / 2}
    for name, most in uniform.items():
        assert np.abs(drawn[name]).max() <= most
        np.testing.assert_allclose(drawn[name].std(), most / np.sqrt(3), rtol=0.03, err_msg=name)
    logs = {
        name: np.log2(drawn[name])
        for name in ("scale", "aniso", "contrast", "saturation", "imgfilter")
    }
    deviations = {
        "scale": 0.2,
        "aniso": 0.2,
        "contrast": 0.5,
        "saturation": 1,
        "imgfilter": 1,
        "xfrac": 0.125,
    }
    for name, deviation in (deviations | {"brightness": 0.2}).items():
        np.testing.assert_allclose(
            logs.get(name, drawn[name]).std(), deviation, rtol=0.05, err_msg=name
        )
        np.testing.assert_allclose(
            logs.get(name, drawn[name]).mean(), 0, atol=0.06 * deviation, err_msg=name
        )
    np.testing.assert_allclose(np.sqrt(np.square(drawn["noise"]).mean()), 0.1, rtol=0.03)
    assert np.abs(np.corrcoef(np.asarray(values["xint"]).T)[0, 1]) < 0.05


@pytest.mark.parametrize("made", [fixed(), DiffAugment()])
def test_gradients_reach_the_image_twice(made):
    """R1 through the augmentation, as a critic sees it."""
    carry, x = {"p": jnp.float32(0.9)}, images(3, 8, 12)
    slope = jax.grad(lambda x: jnp.sum(jnp.sin(made(carry, jax.random.key(3), x))))
    penalty = jax.jit(jax.value_and_grad(lambda x: jnp.sum(jnp.square(slope(x)))))
    first, second = jax.jit(slope)(x), penalty(x)[1]
    for grad in (first, second):
        assert np.isfinite(grad).all() and np.all(np.abs(grad).max((1, 2, 3)) > 1e-3)
    step = 1e-2 * images(3, 8, 12, seed=1)
    np.testing.assert_allclose(
        penalty(x + step)[0] - penalty(x - step)[0], 2 * jnp.sum(second * step), rtol=0.03
    )


@pytest.mark.parametrize("made", [fixed(), DiffAugment()])
def test_devices_draw_the_rows_of_one_batch(made):
    carry, x = {"p": jnp.float32(0.7)}, images(4)
    whole = jax.jit(made)(carry, jax.random.key(0), x)
    parts = jax.pmap(lambda x: made(carry, jax.random.key(0), x), collectives.NAME)(
        x.reshape(2, 2, *x.shape[1:])
    )
    np.testing.assert_allclose(parts.reshape(x.shape), whole, atol=1e-5)
    assert np.abs(whole[:2] - x[:2]).max() > 0.1 and np.abs(whole[2:] - x[2:]).max() > 0.1


# --- ADA: p

UP, DOWN = jnp.ones(8), -jnp.ones(8)


def observed(made, carry, *turns):
    for number, logits in enumerate(turns, 1):
        carry = made.observe(carry, logits, jnp.float32(8 * number))
    return carry


def test_p_follows_the_sign_of_real_logits_every_four_steps():
    made = ADA(batch=8, kimg=0.1)  # a move is 4 * 8 / 100
    carry = observed(made, made.init(), UP, UP, UP)
    assert float(carry["p"]) == 0 and float(carry["rows"]) == 24
    carry = observed(made, carry, UP)
    np.testing.assert_allclose(carry["p"], 0.32, rtol=1e-6)
    assert float(carry["rows"]) == 0 and float(carry["signs"]) == 0
    carry = observed(made, carry, UP, UP, UP, UP)
    np.testing.assert_allclose(carry["p"], 0.64, rtol=1e-6)
    carry = observed(made, carry, *[UP] * 12)
    np.testing.assert_allclose(carry["p"], 1.6, rtol=1e-6)  # no upper bound
    carry = observed(made, carry, DOWN, DOWN, DOWN, UP)
    np.testing.assert_allclose(carry["p"], 1.28, rtol=1e-6)
    assert float(observed(made, made.init(), DOWN, DOWN, DOWN, DOWN)["p"]) == 0


def test_target_is_the_mean_sign():
    logits = jnp.array([3, 3, 3, 3, 3, 3, 3, -0.1])  # mean sign 0.75
    for target, p in ((0.74, 0.4), (0.76, 0.0), (0.75, 0.2)):
        made = ADA(batch=8, kimg=0.16, target=target, p=0.2)
        np.testing.assert_allclose(observed(made, made.init(), *[logits] * 4)["p"], p, atol=1e-6)
    made = ADA(batch=8, kimg=0.16, target=0.74)
    patches = jnp.stack([logits, logits], 1)  # a patch critic's logits are one row an image
    np.testing.assert_allclose(observed(made, made.init(), *[patches] * 4)["p"], 0.2, rtol=1e-6)


def test_parts_of_a_step_and_devices_count_like_the_whole():
    made = ADA(batch=8, kimg=0.16, target=0.49)
    turns = [
        jnp.sign(jnp.asarray(np.random.default_rng(i).normal(0.7, 1, 8), jnp.float32))
        for i in range(7)
    ]
    whole, parts = made.init(), made.init()
    shared = jax.tree.map(lambda v: jnp.stack([v, v]), made.init())
    devices = jax.pmap(
        lambda carry, logits: made.observe(carry, logits, jnp.float32(0)), collectives.NAME
    )
    for logits in turns:
        whole = observed(made, whole, logits)
        parts = observed(made, parts, *(logits[i::4] for i in range(4)))
        shared = devices(shared, logits.reshape(2, 4))
        for name in whole:
            np.testing.assert_allclose(parts[name], whole[name], rtol=1e-6)
            np.testing.assert_allclose(shared[name], jnp.stack([whole[name]] * 2), rtol=1e-6)
    assert float(whole["p"]) > 0 and float(whole["rows"]) == 24


def test_fixed_and_scheduled_p():
    made = fixed(p=0.3)
    assert (
        float(made.init()["p"])
        == float(made.observe(made.init(), UP, jnp.float32(9))["p"])
        == np.float32(0.3)
    )
    made = fixed(p=0.55, rise_kimg=2.0)
    assert float(made.init()["p"]) == 0
    at = lambda n: float(made.observe(made.init(), UP, jnp.float32(n))["p"])
    np.testing.assert_allclose(
        [at(0), at(500), at(1000), at(2000), at(9000)],
        0.55 * np.array([0, 0.146447, 0.5, 1, 1]),
        atol=1e-6,
    )


# --- settings


def test_names_of_pipes():
    blit, geom, colors = (
        ("xflip", "rotate90", "xint"),
        ("scale", "rotate", "aniso", "xfrac"),
        ada.PIPES["color"],
    )
    assert ADA(batch=1).names == blit + geom + colors
    assert fixed("bgcf").names == (*blit, *geom, *colors, "imgfilter")
    assert (
        fixed("bgcfn").names == (*blit, *geom, *colors, "imgfilter", "noise")
        and fixed("bgcfnc").names[-1] == "cutout"
    )
    assert fixed(("cutout", "hue", "blit")).names == (*blit, "hue", "cutout")
    built = registry.build(
        ADA,
        {"pipe": ["bgc", "cutout"], "multipliers": [["color", 0.5]], "target": None},
        "config.augment",
        batch=8,
    )
    assert hash(built) and built.multipliers == (("color", 0.5),)


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"pipe": "bgd"}, r"config.augment.pipe='bgd' is not known.*'bg'.*cutout"),
        (
            {"pipe": ("bgc", "cut")},
            r"config.augment.pipe='cut' is not known. Did you mean 'cutout'",
        ),
        (
            {"multipliers": (("colour", 0.5),)},
            r"config.augment.multipliers='colour' is not known. Did you mean 'color'",
        ),
        ({"multipliers": (("cutout", 0.5),)}, r"config.augment.multipliers='cutout' is not known"),
        ({"multipliers": ("color", 0.5)}, r"config.augment.multipliers=\('color', 0.5\): pairs"),
        ({"strengths": (("xflip", 0.5),)}, r"config.augment.strengths='xflip' is not known"),
        ({"rise_kimg": 1.0}, r"config.augment.rise_kimg.*target=None"),
        ({"batch": 0}, r"config.augment.batch=0"),
        ({"p": -0.1}, r"config.augment.p=-0.1"),
        ({"kimg": 0}, r"config.augment.kimg=0"),
    ],
)
def test_wrong_settings_of_ada_are_named(settings, match):
    with pytest.raises(ValueError, match=match):
        ADA(**{"batch": 8} | settings)


def test_unknown_policy_is_named():
    with pytest.raises(
        ValueError,
        match=r"config.augment.policy='colour' is not known. Did you mean 'color'.*cutout",
    ):
        DiffAugment("colour,cutout")


def test_table():
    assert dict(augment.AUGMENTS) == dict(diffaugment=DiffAugment, ada=ADA)
    assert "batch" in {field.name for field in dataclasses.fields(ADA)}
