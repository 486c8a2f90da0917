"""pix2pix, CycleGAN and CUT as games: the pool, the order of play, several devices, any size, bad
settings; on toy networks."""

import functools
import types

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax import build, config, regularizers
from gan_jax.algorithms import base, cut, cyclegan, pix2pix
from gan_jax.distributed.parallel import Parallel
from gan_jax.models import cut as cut_models
from gan_jax.models import cyclegan as cyclegan_models
from gan_jax.models import pix2pix as pix2pix_models
from gan_jax.models import starganv2 as starganv2_models
from gan_jax.nn.flat_colors import FINER, SHARPER, Flat, Palette, k_means
from gan_jax.nn.guided_filter import guided_filter
from gan_jax.nn.resample import double
from gan_jax.state import Player

SHAPE = (6, 5, 3)


class ToyTranslator(nn.Module):
    @nn.compact
    def __call__(self, x, taps=(), *, train=False):
        x = jnp.asarray(x)
        h = nn.Conv(4, (3, 3), name="first")(x)
        y = jnp.tanh(nn.Conv(x.shape[-1], (3, 3), name="last")(nn.gelu(h)))
        return (y, [(x, h, y)[tap] for tap in taps]) if taps else y


class ToyCritic(nn.Module):
    @nn.compact
    def __call__(self, x, *, train=False):
        return nn.Conv(1, (3, 3))(jnp.tanh(nn.Conv(4, (3, 3))(x)))[..., 0]


def game(name, **settings):
    g, d = ToyTranslator(), ToyCritic()
    if name == "cut":
        return cut.Algorithm(
            g, d, cut_models.Heads(5), **({"taps": (0, 1), "patches": 6} | settings)
        )
    if name == "pix2pix":
        return pix2pix.Algorithm(g, ToyPairCritic(), **settings)
    return cyclegan.Algorithm(g, d, **({"batch": 4, "pool": 3} | settings))


class ToyPairCritic(nn.Module):
    """pix2pix's critic sees the picture and its translation."""

    @nn.compact
    def __call__(self, x, *, train=False):
        return ToyCritic(name="inner")(x)


def batch_of(step, n=4):
    rng = np.random.default_rng(step)
    return {name: rng.integers(0, 256, (n, *SHAPE), np.uint8) for name in ("image", "target")}


@functools.cache
def new_state(one):
    return jax.device_get(build.new_state(run_config(), one, SHAPE, 0))


def run_config(**changes):
    adam = {"lr": 0.01, "eps": 1e-2}  # a large eps: rounding must not become steps
    return config.Config("x", "x", {}, batch=4, total_kimg=1.0, opt_g=adam, opt_d=adam, **changes)


@functools.cache
def iteration(one, devices, kind, accumulate):
    """One program a game, for all tests that play it."""
    parallel = Parallel(kind, jax.devices()[:devices])
    return build.make_iteration(run_config(parallel=kind, accumulate=accumulate), one, parallel)


def play(one, iterations=3, devices=1, kind="jit", accumulate=1):
    """(the state at the start, at the end, the last iteration's metrics)."""
    compiled = iteration(one, devices, kind, accumulate)
    parallel = compiled.parallel
    start = new_state(one)
    state = parallel.replicate(start)
    for step in range(iterations):
        state, metrics = compiled(state, [parallel.put(batch_of(step))], step)
    return start, parallel.one(state), jax.device_get(parallel.one(metrics))


def alike(a, b, atol=2e-5):
    for (path, x), y in zip(
        jax.tree_util.tree_leaves_with_path(a), jax.tree.leaves(b), strict=True
    ):
        np.testing.assert_allclose(
            np.asarray(x), np.asarray(y), rtol=0, atol=atol, err_msg=jax.tree_util.keystr(path)
        )


def test_the_pool_is_that_of_a_list():
    """Against the official code's way, an image at a time, on the same draws."""
    rng, pool, filled = jax.random.key(3), jnp.zeros((3, 1, 1, 1)), jnp.int32(0)
    listed, value, swaps = [], 0.0, 0
    for i in range(8):
        images = jnp.arange(value + 1, value + 6).reshape(5, 1, 1, 1)
        value += 5
        data = jax.random.key_data(jax.random.fold_in(rng, i))
        key = jax.random.wrap_key_data(data)
        seen, pool, filled = cyclegan.through_pool(pool, filled, images, key)
        wanted = []
        for image, k in zip(
            np.ravel(images), jax.random.split(jax.random.wrap_key_data(data), 5), strict=True
        ):
            k_swap, k_slot = jax.random.split(k)
            if len(listed) < 3:
                listed.append(image)
                wanted.append(image)
            elif jax.random.bernoulli(k_swap):
                slot = int(jax.random.randint(k_slot, (), 0, 3))
                wanted.append(listed[slot])
                listed[slot] = image
                swaps += 1
            else:
                wanted.append(image)
        np.testing.assert_array_equal(np.ravel(seen), wanted)
        np.testing.assert_array_equal(np.ravel(pool)[: len(listed)], listed)
    assert 10 < swaps < 30 and filled == 3


SINGLE = {"across": True, "l1": 1.0, "gamma": 1.0, "loss": "non_saturating"}  # SinCUT


@pytest.mark.parametrize(
    ("name", "settings"),
    [("pix2pix", {}), ("cyclegan", {}), ("cut", {}), ("cut", SINGLE), ("cut", {"flip": True})],
)
def test_two_devices_play_as_one(name, settings):
    one = game(name, **settings)
    _, expected, _ = play(one)
    for kind in ("jit", "pmap"):
        _, found, _ = play(one, devices=2, kind=kind)
        alike(
            (expected.g.params, expected.d.params, expected.carry),
            (found.g.params, found.d.params, found.carry),
        )


@pytest.mark.parametrize("name", ["pix2pix", "cyclegan"])
def test_parts_of_a_batch_are_the_whole(name):
    """Without chance in the loss; CycleGAN's fakes reach its critics in their order, a part at a
    time."""
    one = game(name, **({"pool": 0} if name == "cyclegan" else {}))
    (_, whole, _), (_, parts, _) = play(one), play(one, accumulate=2)
    alike((whole.g.params, whole.d.params), (parts.g.params, parts.d.params))


@pytest.mark.parametrize(("name", "order"), [("pix2pix", "dg"), ("cyclegan", "gd"), ("cut", "dg")])
def test_who_plays_when(name, order):
    one = game(name)
    assert "".join(phase.who for phase in one.phases) == order
    start, state, metrics = play(one, iterations=1)
    moved = lambda a, b: all(
        bool((x != y).any()) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    )
    assert moved(start.g.params, state.g.params) and moved(start.d.params, state.d.params)
    assert all(np.isfinite(value) for value in metrics.values())


class Times(nn.Module):
    """A picture times a weight."""

    @nn.compact
    def __call__(self, x, *, train=False):
        return x * self.param("w", nn.initializers.ones, ())


def test_cyclegans_objective_in_closed_form():
    """Generators that multiply by 2 (a to b) and 3, critics that give pictures as logits: each term
    by hand."""
    one = cyclegan.Algorithm(Times(), Times(), cycle=7.0, identity=0.3, pool=0)
    weights = lambda **networks: {name: {"w": jnp.float32(w)} for name, w in networks.items()}
    waiting = {side: jnp.zeros((4, *SHAPE)) for side in "ab"}
    players = {"g": Player(None, {}, None), "d": Player(weights(d_a=1, d_b=1), {}, None)}
    state = types.SimpleNamespace(**players, carry={"waiting": waiting})
    loss, aux = one.loss_g(weights(g_ab=2, g_ba=3), state, batch_of(0), jax.random.key(0))
    x_a, x_b = (np.asarray(base.to_float(batch_of(0)[name])) for name in ("image", "target"))
    adversarial = np.square(2 * x_a - 1).mean() + np.square(3 * x_b - 1).mean()
    size = {"a": np.abs(x_a).mean(), "b": np.abs(x_b).mean()}
    cycle = (2 * 3 - 1) * (size["a"] + size["b"])
    identity = (3 - 1) * size["a"] + (2 - 1) * size["b"]  # a picture of a goes through the way to a
    np.testing.assert_allclose(
        aux.metrics["g/a_identity"] + aux.metrics["g/b_identity"], identity, rtol=1e-5
    )
    np.testing.assert_allclose(loss, adversarial + 7 * cycle + 7 * 0.3 * identity, rtol=1e-5)


def test_the_critics_see_the_pool_and_it_fills():
    _, state, _ = play(game("cyclegan", pool=7), iterations=1)
    assert state.carry["filled"] == {"a": 4, "b": 4}
    assert (
        not np.asarray(state.carry["pool"]["a"])[4:].any()
        and np.asarray(state.carry["pool"]["a"])[:4].any()
    )
    _, state, _ = play(game("cyclegan", pool=7), iterations=2)
    assert state.carry["filled"] == {"a": 7, "b": 7}


@pytest.mark.parametrize("name", ["pix2pix", "cyclegan", "cut"])
def test_the_temporal_term_weighs_in(name):
    (_, without, plain), (_, state, metrics) = (
        play(game(name), 1),
        play(game(name, temporal=5.0), 1),
    )
    assert "g/temporal" not in plain and metrics["g/temporal"] > 0
    assert any(
        (x != y).any()
        for x, y in zip(jax.tree.leaves(without.g), jax.tree.leaves(state.g), strict=True)
    )


def test_the_single_pictures_terms_weigh_in():
    (_, plain, few), (_, state, metrics) = play(game("cut"), 1), play(game("cut", **SINGLE), 1)
    # g/nce: of four times as many
    assert {"d/r1", "g/l1"} <= metrics.keys() - few.keys() and metrics["g/nce"] > few["g/nce"]
    assert any(
        (x != y).any()
        for x, y in zip(jax.tree.leaves(plain.d), jax.tree.leaves(state.d), strict=True)
    )


def test_crop_consistency_in_closed_form():
    x = jax.random.normal(jax.random.key(0), (2, 16, 24, 3))
    pointwise = lambda x: 3 * x + 1
    assert regularizers.crop_consistency(pointwise, x, pointwise(x), jax.random.key(1)) == 0
    places = lambda x: (
        x
        + jnp.broadcast_to(jnp.arange(x.shape[1], dtype=jnp.float32)[None, :, None, None], x.shape)
    )
    found = [
        float(regularizers.crop_consistency(places, x, places(x), jax.random.key(i)))
        for i in range(30)
    ]
    tops = np.sqrt(found)  # the window's top row, 0 to 2: its squared shift is what is left
    np.testing.assert_allclose(tops, np.rint(tops), atol=1e-4)
    assert set(np.rint(tops)) == {0, 1, 2}


def test_a_patch_of_zeros_has_a_finite_gradient():
    heads, zeros = cut_models.Heads(5), [jnp.zeros((1, 3, 4))]
    params = heads.init(jax.random.key(0), zeros)
    grads = jax.grad(
        lambda params, x: jnp.sum(heads.apply(params, x)[0] * jnp.arange(5.0)[None, None]), (0, 1)
    )(params, zeros)
    assert all(bool(jnp.isfinite(leaf).all()) for leaf in jax.tree.leaves(grads))
    unit = heads.apply(params, [jax.random.normal(jax.random.key(1), (2, 3, 4))])[0]
    np.testing.assert_allclose(jnp.linalg.norm(unit, axis=-1), 1, atol=1e-5)


def test_patch_nce_in_closed_form():
    eye = jnp.eye(4)[None]
    np.testing.assert_allclose(cut.patch_nce(eye, eye, 0.5), np.log(np.exp(2) + 3) - 2, rtol=1e-5)
    np.testing.assert_allclose(
        cut.patch_nce(eye, jnp.roll(eye, 1, 1), 0.5), np.log(np.exp(2) + 3), rtol=1e-5
    )
    two = jnp.concatenate([eye, -eye])
    np.testing.assert_allclose(
        cut.patch_nce(two, two, 0.5, True), np.log(np.exp(2) + 6 + np.exp(-2)) - 2, rtol=1e-5
    )
    np.testing.assert_allclose(cut.patch_nce(two, two, 0.5), np.log(np.exp(2) + 3) - 2, rtol=1e-5)
    grads = jax.grad(cut.patch_nce, 1)(eye, eye, 0.5)
    assert not np.asarray(grads).any()  # what is compared with is frozen


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("size", [(33, 20), (1, 9), (64, 7)])
def test_any_shape_comes_back_as_it_was(channels, size):
    shape = (32, 32, channels)
    for one in (
        cyclegan_models.Generator(shape, width=2, blocks=1),
        cut_models.Generator(shape, width=2, blocks=1),
        pix2pix_models.Generator(shape, width=2, levels=3),
    ):
        params = jax.eval_shape(one.init, jax.random.key(0), jnp.zeros((1, *shape)))
        assert jax.eval_shape(one.apply, params, jnp.zeros((2, *size, channels))).shape == (
            2,
            *size,
            channels,
        )


def test_a_residual_generator_starts_as_the_identity_and_stays_in_range():
    x = jax.random.uniform(jax.random.key(0), (2, 10, 9, 3), minval=-1)
    net = cyclegan_models.Generator((10, 9, 3), width=2, blocks=1, residual=True)
    params = jax.jit(net.init)(jax.random.key(1), x)["params"]
    apply = jax.jit(lambda params: net.apply({"params": params}, x))
    np.testing.assert_array_equal(apply(params), x)
    kernel = params["last"]["kernel"]
    moved = apply(
        params
        | {
            "last": (
                params["last"]
                | {"kernel": kernel + jax.random.normal(jax.random.key(2), kernel.shape)}
            )
        }
    )
    assert float(jnp.abs(moved).max()) == 1 and float(jnp.abs(moved - x).mean()) > 0.1


def test_a_palettes_colors_are_the_means_of_what_chose_them():
    drawing = jax.random.normal(jax.random.key(0), (2, 4, 6, 3))
    chosen = np.random.default_rng(0).integers(0, 3, (2, 4, 6))  # of four: the last has no pixel
    draw = lambda part, **given: Palette().apply(
        given, part(drawing), part(1e3 * jax.nn.one_hot(chosen, 4)), mutable="norms"
    )
    made, found = draw(lambda x: x)
    assert all(bool(jnp.isfinite(leaf).all()) for leaf in jax.tree.leaves(found))
    for n in range(2):
        for k in range(3):
            here = chosen[n] == k
            np.testing.assert_allclose(
                made[n][here],
                np.broadcast_to(drawing[n][here].mean(0), made[n][here].shape),
                atol=1e-6,
            )
    half = lambda x: x[:, :, 3:]
    np.testing.assert_allclose(draw(half, **found)[0], half(made), atol=1e-6)
    assert float(jnp.abs(draw(half)[0] - half(made)).max()) > 0.1


def test_contours_of_a_palette_run_between_pixels_when_it_draws():
    drawing = jax.random.normal(jax.random.key(0), (1, 3, 5, 3))
    across = lambda place: jnp.tile(
        jnp.outer(jnp.arange(5.0) - place, jnp.array([-1e3, 1e3])), (1, 3, 1, 1)
    )
    for place, training, sharp, share in (
        (2.1, False, False, 0.5),
        (2.4, False, False, 0.0),
        (1.6, False, False, 1.0),
        (2.1, True, False, 0.0),
        (2.1, True, True, 0.5),
    ):
        made = Palette(sharp).apply({}, drawing, across(place), train=training)
        left, right = made[:, :, :1], made[:, :, 4:]
        np.testing.assert_allclose(made[:, :, 1:2], left, atol=1e-6)
        np.testing.assert_allclose(made[:, :, 2:3], (1 - share) * left + share * right, atol=1e-6)
        np.testing.assert_allclose(made[:, :, 3:4], right, atol=1e-6)


def test_a_palette_is_sharper_when_it_draws_than_in_training():
    drawing, logits = jnp.ones((1, 2, 2, 3)), jnp.tile(jnp.array([0.0, 0.3]), (1, 2, 2, 1))
    colors = jnp.array([[[-1.0, -1, -1], [1, 1, 1]]])
    for training, sharp, factor in (
        (True, False, 1),
        (False, False, SHARPER),
        (True, True, SHARPER),
    ):
        made = Palette(sharp).apply({"norms": {"colors": colors}}, drawing, logits, train=training)
        np.testing.assert_allclose(made, np.full((1, 2, 2, 3), np.tanh(0.15 * factor)), atol=1e-6)


def test_twice_as_fine_is_linear_between_centers():
    x = jax.random.normal(jax.random.key(0), (2, 1, 6, 3))
    want = jax.image.resize(x, (2, 2, 12, 3), "linear")
    np.testing.assert_allclose(double(x), want, atol=1e-6)


@pytest.mark.parametrize("palette", [0, 2])
@pytest.mark.parametrize(
    ("module", "settings", "moved"),
    [(pix2pix_models, {"levels": 2}, 1.0), (starganv2_models, {"levels": 1, "patch": 2}, 0.1)],
)
def test_a_palette_of_two_puts_a_pictures_colors_on_a_line(module, settings, moved, palette):
    """`moved`: by how much the weights are, to see something."""
    x = jax.random.uniform(jax.random.key(0), (2, 12, 9, 3), minval=-0.1, maxval=0.1)
    style = (jnp.ones((2, 4)),) if module is starganv2_models else ()
    net = module.Generator((12, 9, 3), width=4, palette=palette, **settings)
    params = jax.jit(net.init)(jax.random.key(1), x, *style)
    params = jax.tree.map(
        lambda w: w + moved * jax.random.normal(jax.random.key(2), w.shape), params
    )
    colors = np.asarray(jax.jit(net.apply)(params, x, *style))[0].reshape(-1, 3)
    spread = np.linalg.svd(colors - colors.mean(0), compute_uv=False)
    assert spread[0] > 1e-3 and (spread[1] < 1e-3 * spread[0]) == bool(palette)


def test_k_means_find_groups_however_few_their_points():
    rng = np.random.default_rng(0)
    centers = np.array([[-1, -1, 0], [1, 0, 0], [0, 1, 1], [0, 0, -1]], np.float32)
    own = np.repeat(np.arange(4), (300, 40, 5, 1))
    points = jnp.float32(centers[own] + 0.05 * rng.normal(size=(346, 3)))[rng.permutation(346)]
    found = np.asarray(jax.jit(k_means, static_argnums=1)(points, 4))
    order = np.linalg.norm(found[:, None] - centers, axis=2).argmin(0)
    assert sorted(order) == [0, 1, 2, 3]
    np.testing.assert_allclose(found[order], centers, atol=0.12)
    np.testing.assert_allclose(found[order[0]], centers[0], atol=0.01)
    few = np.asarray(k_means(jnp.ones((5, 3)), 4))  # fewer colors than asked for
    np.testing.assert_array_equal(few, np.ones((4, 3)))


def test_flat_colors_have_no_grain_and_contours_stay_between_pixels():
    """A picture of two colors, their contour at a quarter of a pixel, and noise."""
    x = jnp.full((1, 12, 16, 3), -0.5).at[:, :, 8:].set(0.5).at[:, :, 8].set(-0.25)
    draw = jax.jit(lambda x: Flat(2).apply({}, x))
    made = np.asarray(draw(x + 0.03 * jax.random.normal(jax.random.key(0), x.shape)))
    assert (
        made[:, :, :7].std((0, 1, 2)).max() < 1e-6 and made[:, :, 10:].std((0, 1, 2)).max() < 1e-6
    )
    left, right = made[0, 0, 0], made[0, 0, -1]
    np.testing.assert_allclose(left, -0.5, atol=0.05)
    share = (made - left) / (right - left)  # of the right color
    # pixels it has in a row
    np.testing.assert_allclose(share.sum(2).mean(), 7.25, atol=0.5 / FINER)


def test_parts_of_a_flat_picture_have_the_colors_of_the_whole():
    x = jax.random.uniform(jax.random.key(0), (2, 8, 12, 3), minval=-1)
    draw = lambda part, **given: Flat(3).apply(given, part(x), mutable="norms")
    made, found = draw(lambda x: x)
    assert found["norms"]["colors"].shape == (2, 3, 3)
    half = lambda x: x[:, :, :6]
    inside = lambda x: np.asarray(x)[:, :, :5]  # but for the last pixel, which has no neighbor here
    np.testing.assert_allclose(inside(draw(half, **found)[0]), inside(made), atol=1e-6)
    assert np.abs(inside(draw(half)[0]) - inside(made)).max() > 0.1


def test_flat_is_of_pictures_that_are_drawn():
    x = jax.random.uniform(jax.random.key(0), (1, 16, 16, 3), minval=-1)
    net = cut_models.Generator((16, 16, 3), width=2, blocks=1, residual=True, flat=2)
    params = jax.jit(net.init)(jax.random.key(1), x)
    apply = jax.jit(net.apply, static_argnames="train")
    np.testing.assert_array_equal(apply(params, x, train=True), x)
    np.testing.assert_allclose(apply(params, x), Flat(2).apply({}, x), atol=1e-6)


@pytest.mark.parametrize("flat", [-1, 1])
def test_one_flat_color_is_refused(flat):
    net, x = (
        cut_models.Generator((16, 16, 3), width=2, blocks=1, flat=flat),
        jnp.zeros((1, 16, 16, 3)),
    )
    with pytest.raises(
        ValueError, match=f"config.g.flat={flat}: it must be 2 or more colors, or 0 for any"
    ):
        jax.eval_shape(net.init, jax.random.key(0), x)


@pytest.mark.parametrize("palette", [-1, 1])
def test_a_palette_of_one_color_is_refused(palette):
    net, x = (
        pix2pix_models.Generator((16, 16, 3), width=2, palette=palette),
        jnp.zeros((1, 16, 16, 3)),
    )
    with pytest.raises(
        ValueError, match=f"config.g.palette={palette}: it must be 2 or more colors, or 0 for any"
    ):
        jax.eval_shape(net.init, jax.random.key(0), x)


def test_a_guided_filter_of_no_radius():
    net, x = (
        cut_models.Generator((16, 16, 3), width=2, blocks=1, guided=-1),
        jnp.zeros((1, 16, 16, 3)),
    )
    with pytest.raises(
        ValueError,
        match="config.g.guided=-1: it must be a radius of 1 pixel or more, or 0 for none",
    ):
        jax.eval_shape(net.init, jax.random.key(0), x)


def test_guided_filter_against_its_definition():
    rng, n = np.random.default_rng(0), 2
    x, guide = rng.normal(size=(2, 7, 5, 3)), rng.normal(size=(2, 7, 5, 1))

    def windows(values):  # by pixel, of its window the mean
        around = lambda i, side: slice(max(i - n, 0), min(i + n + 1, side))
        return np.stack(
            [
                [values[:, around(i, 7), around(j, 5)].mean((1, 2)) for j in range(5)]
                for i in range(7)
            ],
            0,
        )

    mean = lambda values: np.moveaxis(windows(values), 2, 0)
    slope = (mean(guide * x) - mean(guide) * mean(x)) / (mean(guide**2) - mean(guide) ** 2 + 1e-2)
    want = mean(slope) * guide + mean(mean(x) - slope * mean(guide))
    np.testing.assert_allclose(
        guided_filter(jnp.float32(x), jnp.float32(guide), n), want, rtol=1e-4, atol=1e-5
    )


def test_guided_changes_have_no_grain_and_keep_to_edges():
    """Of a picture of two colors: noise goes, a difference between the two stays, and the identity
    stays the start."""
    x = jnp.full((1, 20, 24, 3), -0.5).at[:, :, 12:].set(0.5)
    noisy = 0.2 * jnp.sign(x) + 0.05 * jax.random.normal(jax.random.key(0), x.shape)
    smooth = np.asarray(guided_filter(noisy, x.mean(-1, keepdims=True), 4))
    assert smooth[:, :, :12].std() < 0.02 and smooth[:, :, 12:].std() < 0.02
    assert np.abs(smooth[:, :, 12] - smooth[:, :, 11]).min() > 0.3
    net = cyclegan_models.Generator((20, 24, 3), width=2, blocks=1, residual=True, guided=4)
    params = jax.jit(net.init)(jax.random.key(1), x)
    np.testing.assert_array_equal(jax.jit(net.apply)(params, x), x)
    params["params"]["last"]["kernel"] = 0.1 * jax.random.normal(jax.random.key(2), (7, 7, 2, 3))
    run = lambda guided, train: jax.jit(
        lambda: net.clone(guided=guided).apply(params, x + 0.01 * noisy, train=train)
    )()
    grain = lambda guided, train=False: np.diff(np.asarray(run(guided, train)), axis=1).std()
    assert grain(4) < 0.3 * grain(0)
    assert grain(4, train=True) == grain(0, train=True)


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("cyclegan", {"direction": "ca"}, "config.game.direction='ca' is not known"),
        ("cyclegan", {"cycle": -1.0}, "config.game.cycle=-1.0: it must be 0 or more"),
        ("cyclegan", {"pool": -1}, "config.game.pool=-1: it must be 0 or more"),
        ("cut", {"loss": "l2"}, "config.game.loss='l2' is not known"),
        ("cut", {"patches": 1}, "^config.game.patches=1: it must be at least 2"),
        ("cut", {"temperature": 0.0}, "^config.game.temperature=0.0: it must be above 0"),
        ("cut", {"temporal": float("inf")}, "config.game.temporal=inf: it must be 0 or more"),
        ("pix2pix", {"l1": float("nan")}, "config.game.l1=nan: it must be 0 or more"),
    ],
)
def test_bad_settings(name, settings, message):
    with pytest.raises(ValueError, match=message):
        game(name, **settings)


def test_direction_says_what_is_translated():
    for direction in ("ab", "ba"):
        one = game("cyclegan", direction=direction)
        start = build.new_state(config.Config("x", "x", {}, batch=4, total_kimg=1.0), one, SHAPE, 0)
        x = jax.random.normal(jax.random.key(0), (2, *SHAPE))
        own = ToyTranslator().apply({"params": start.g.params[f"g_{direction}"]}, x)
        np.testing.assert_array_equal(one.restyle(start.ema, x, jnp.zeros((2, 0))), own)
        assert one.contents == direction[0]
