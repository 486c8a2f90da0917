"""DeepFill v2's networks: the official sizes, gated convolutions, contextual attention beside one
written out place by place."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.algorithms.base import forward, init_network
from gan_jax.models import deepfill

# (taps a side, channels in, channels out before the gate halves them) of the official program
DILATED = [(3, 96, 192)] * 4
TAIL = [(3, 96, 192), (3, 96, 96), (3, 48, 96), (3, 48, 48), (3, 24, 24), (3, 12, 3)]
COARSE = [(5, 5, 48), (3, 24, 96), (3, 48, 96), (3, 48, 192), (3, 96, 192), (3, 96, 192)]
DRAWN = [(5, 3, 48), (3, 24, 48), (3, 24, 96), (3, 48, 96), (3, 48, 192), (3, 96, 192)]
COPIED = [(5, 3, 48), (3, 24, 48), (3, 24, 96), (3, 48, 192), (3, 96, 192), (3, 96, 192)]
OFFICIAL = {
    "coarse": COARSE + DILATED + [(3, 96, 192)] + TAIL,
    "drawn": DRAWN + DILATED,
    "copied": COPIED,
    "pasted": [(3, 96, 192)] * 2,
    "refined": [(3, 192, 192), *TAIL],
}
CRITIC = [(5, 4, 64), (5, 64, 128), (5, 128, 256), (5, 256, 256), (5, 256, 256), (5, 256, 256)]


def shapes(net, size):
    """Shapes of the variables of a network that is given pictures of this size."""
    return jax.eval_shape(lambda: net.init(jax.random.key(0), jnp.zeros((1, *size, 4))))


def kernels(params, part=""):
    """(taps a side, channels in, channels out) of the layers whose names begin so, in no order."""
    found = {name: layer["kernel"].shape for name, layer in params.items()}
    return sorted((k, i, o) for name, (k, _, i, o) in found.items() if name.startswith(part))


@pytest.mark.parametrize("part", OFFICIAL)
def test_each_part_has_the_official_layers(part):
    params = shapes(deepfill.Generator(), (256, 256))["params"]
    assert kernels(params, part) == sorted(OFFICIAL[part])


def test_parameters_are_as_many_as_the_official_ones():
    g, d = (
        sum(x.size for x in jax.tree.leaves(shapes(net, (256, 256))["params"]))
        for net in (deepfill.Generator(), deepfill.Discriminator())
    )
    layers = [layer for part in OFFICIAL.values() for layer in part]
    assert g == sum((k * k * i + 1) * o for k, i, o in layers) == 4_052_478
    assert d == sum((k * k * i + 1) * o for k, i, o in CRITIC) == 5_946_816


def test_a_critics_logits_are_all_places_and_channels_of_the_last_layer():
    d = deepfill.Discriminator()
    variables = shapes(d, (256, 256))
    assert kernels(variables["params"]) == sorted(CRITIC)
    assert len(jax.tree.leaves(variables["spectral"])) == len(CRITIC)
    for size, left in (((256, 256), (4, 4)), ((65, 37), (2, 1)), ((1, 129), (1, 3))):
        seen = jnp.zeros((2, *size, 4))
        assert jax.eval_shape(d.apply, variables, seen).shape == (2, *left, 256)


@pytest.mark.parametrize("n", range(1, 12))
def test_a_critics_zeros_are_tensorflows(n):
    """ "SAME": as many as make ceil(n / 2) outputs, one more at the end where they are odd."""
    first, last = deepfill._same(n)
    assert (n + first + last - 5) // 2 + 1 == -(-n // 2)
    assert (n + first + last - 5) % 2 == 0 and last - first in (0, 1)


def gated(x, tap=(1, 1), **settings):
    """A gated convolution of one channel, whose first half is twice and whose gate is -1 times what
    one tap meets, and 0.5 more each."""
    kernel = np.zeros((3, 3, 1, 2), np.float32)
    kernel[(*tap, 0)] = 2, -1
    params = {"kernel": kernel, "bias": np.full(2, 0.5, np.float32)}
    return deepfill.Gated(2, **settings).apply({"params": params}, x[None, ..., None])[0, ..., 0]


def by_hand(x):
    drawn, gate = 2 * x + 0.5, 0.5 - x
    return np.where(drawn > 0, drawn, np.expm1(drawn)) / (1 + np.exp(-gate))


def test_a_gated_convolution_in_closed_form():
    x = np.random.default_rng(0).normal(size=(8, 10)).astype(np.float32)
    np.testing.assert_allclose(gated(x), by_hand(x), atol=1e-6)
    np.testing.assert_allclose(gated(x, stride=2), by_hand(x[1::2, 1::2]), atol=1e-6)
    twice = x.repeat(2, 0).repeat(2, 1)
    np.testing.assert_allclose(gated(x, up=True), by_hand(twice), atol=1e-6)
    moved = np.pad(x, ((3, 0), (0, 3)))[:8, 3:]  # from three rows above, three columns to the right
    np.testing.assert_allclose(gated(x, tap=(0, 2), rate=3), by_hand(moved), atol=1e-6)
    other = gated(x, activation=jnp.abs)
    np.testing.assert_allclose(other, np.abs(2 * x + 0.5) / (1 + np.exp(x - 0.5)), atol=1e-6)


def attention_by_hand(x, m):
    """Contextual attention of one picture x [H, W, C], holes m [H, W], in float64 and in loops."""
    (height, width, c), x = x.shape, x.astype(np.float64)
    h, w = height // 2, width // 2

    def around(values, y, x, offsets):
        def inside(i, j):
            return 0 <= i < values.shape[0] and 0 <= j < values.shape[1]

        zero = np.zeros(values.shape[2:])
        places = [(y + i, x + j) for i in offsets for j in offsets]
        return np.array([values[place] if inside(*place) else zero for place in places])

    places = [(i, j) for i in range(h) for j in range(w)]
    near = [around(x[::2, ::2], i, j, (-1, 0, 1)).ravel() for i, j in places]
    known = [not around(m[::2, ::2], i, j, (-1, 0, 1)).any() for i, j in places]
    n = len(places)
    scores = [[a @ b / max(np.linalg.norm(b), 1e-4) for b in near] for a in near]

    def fused(scores, order):
        """Diagonals of the places numbered in another order."""
        found = np.zeros((n, n))
        for p in range(n):
            for q in range(n):
                for step in (-1, 0, 1):
                    if 0 <= p + step < n and 0 <= q + step < n:
                        found[order[p], order[q]] += scores[order[p + step]][order[q + step]]
        return found

    scores = fused(fused(scores, range(n)), [i * w + j for j in range(w) for i in range(h)])
    result = np.zeros((height + 2, width + 2, c))
    for p, (i, j) in enumerate(places):
        likely = np.exp([10 * scores[p, q] * known[q] for q in range(n)])
        weights = likely / likely.sum() * known
        for q, (up, left) in enumerate(places):
            patch = around(x, 2 * up, 2 * left, (-1, 0, 1, 2)).reshape(4, 4, c)
            result[2 * i : 2 * i + 4, 2 * j : 2 * j + 4] += weights[q] * patch / 4
    return result[1:-1, 1:-1]


def test_contextual_attention_is_the_slow_one():
    rng = np.random.default_rng(0)
    x = rng.normal(0, 0.15, (2, 12, 16, 3)).astype(np.float32)
    x[1, :6, :6] *= 1e-5  # surroundings shorter than the floor
    m = np.zeros((2, 12, 16, 1), np.float32)
    m[0, 4:9, 6:8] = m[1, 9:, :5] = 1
    found = jax.jit(deepfill.contextual_attention)(x, m)
    for n in range(2):
        wanted = attention_by_hand(x[n], m[n, ..., 0])
        assert np.abs(wanted).max() > 0.05
        np.testing.assert_allclose(found[n], wanted, atol=1e-5)


def test_nothing_is_copied_from_holes():
    """The first channel is 1 in holes and 0 elsewhere; the second tells places apart."""
    m = jnp.zeros((1, 8, 16, 1)).at[:, :, 9:].set(1)
    x = jnp.concatenate([m, jax.random.uniform(jax.random.key(0), m.shape)], -1)
    attend = jax.jit(deepfill.contextual_attention)
    found = np.asarray(attend(x, m))
    assert not found[..., 0].any() and found[:, 1:-1, 1:-1, 1].min() > 0.01
    assert not np.asarray(attend(x, jnp.ones_like(m))).any(), "nothing is known"


def test_features_of_zeros_have_a_finite_gradient():
    m = jnp.zeros((1, 8, 8, 1))

    def total(x):
        return jnp.sum(deepfill.contextual_attention(x, m))

    assert np.isfinite(jax.jit(jax.grad(total))(jnp.zeros((1, 8, 8, 2)))).all()


def drawing(size, holes=True):
    """(a small generator's call, its parameters, what it is given). A gated convolution leaves a
    sixth of the variance at the start; kernels are so much larger that it leaves all."""
    k_x, k_g = jax.random.split(jax.random.key(0))
    m = np.zeros((2, *size, 1), np.float32)
    m[:, 3:9, 4:14] = holes
    given = jnp.concatenate([jax.random.uniform(k_x, (2, *size, 3), minval=-1) * (1 - m), m], -1)
    net = deepfill.Generator(width=4)
    params, mutable = init_network(net, k_g, given)
    assert mutable == {}
    params = jax.tree.map(lambda x: np.sqrt(6.0, dtype=np.float32) * x, params)
    return jax.jit(lambda params, given: forward(net, params, {}, given)[0]), params, given


def test_sizes_that_are_no_multiple_of_8_are_padded_and_cut():
    draw, params, given = drawing((19, 26))
    whole = jnp.pad(given, ((0, 0), (0, 5), (0, 6), (0, 0)), "reflect")
    for picture, padded in zip(draw(params, given), draw(params, whole), strict=True):
        assert picture.shape == (2, 19, 26, 3) and picture.dtype == jnp.float32
        assert 0.01 < float(jnp.abs(picture).max()) <= 1
        np.testing.assert_allclose(picture, padded[:, :19, :26], atol=1e-6)


@pytest.mark.parametrize("holes", [False, True])
def test_the_coarse_picture_is_seen_in_holes_only(holes):
    draw, params, given = drawing((16, 24), holes)
    last = params["coarse_last"]
    moved = params | {"coarse_last": last | {"bias": last["bias"] + 1}}
    (coarse, refined), (other, found) = draw(params, given), draw(moved, given)
    assert float(jnp.abs(coarse - other).min()) > 0.1
    assert np.array_equal(refined, found) != holes


def test_both_branches_and_all_layers_learn():
    draw, params, given = drawing((32, 40))

    def total(params):
        return sum(jnp.sum(jnp.square(x)) for x in draw(params, given))

    grads = jax.jit(jax.grad(total))(params)
    assert all(float(jnp.abs(layer["kernel"]).max()) > 0 for layer in grads.values())


def test_a_width_that_does_not_halve_twice_is_refused():
    with pytest.raises(ValueError, match="config.g.width=6: it must be a multiple of 4"):
        shapes(deepfill.Generator(width=6), (16, 16))
