"""StarGAN v2's networks and game, on networks of a few thousand weights."""

import functools
import itertools
import types

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax import algorithms, build, config, pretrained
from gan_jax.algorithms import base
from gan_jax.algorithms import starganv2 as starganv2_game
from gan_jax.distributed.parallel import Parallel
from gan_jax.inference.sampler import Sampler
from gan_jax.models import starganv2
from gan_jax.nn import resample
from gan_jax.state import Player
from tests.nets import tiny_net

CLASSES = ("avataaars", "dylan", "miniavs")
SETTINGS = {
    "algorithm": "starganv2",
    "model": "starganv2",
    "batch": 4,
    "total_kimg": 1.0,
    "data": {},
    "g": {"width": 4, "widest": 8, "levels": 1, "patch": 2},
    "d": {"width": 4, "widest": 8, "patch": 2},
    "networks": {
        "mapping": {"features": 4, "width": 8},
        "encoder": {"features": 4, "width": 4, "widest": 8},
    },
    "opt_g": {"lr": 1e-3, "networks": {"mapping": {"lr": 1e-5}}},
}


def made(**changes):
    run = config.Config(**(SETTINGS | changes))
    return run, algorithms.make_game(run, (16, 16, 3), len(CLASSES))


# --- networks


@pytest.mark.parametrize("patch", [1, 2, 4])
@pytest.mark.parametrize("size", [(16, 16), (21, 13), (1, 40), (8, 50)])
def test_the_generator_takes_any_size(size, patch):
    g = starganv2.Generator((16, 16, 3), width=4, widest=8, levels=2, patch=patch)
    x, s = jnp.zeros((2, *size, 3)), jnp.ones((2, 4))
    params = jax.eval_shape(g.init, jax.random.key(0), jnp.zeros((2, 16, 16, 3)), s)
    assert jax.eval_shape(g.apply, params, x, s).shape == x.shape


def test_squares_of_pixels_as_channels():
    x = jnp.arange(4 * 8 * 3.0).reshape(1, 4, 8, 3)
    squares = starganv2.in_patches(x, 2, 1)
    assert squares.shape == (1, 2, 4, 12)
    np.testing.assert_array_equal(squares[0, 1, 2].reshape(2, 2, 3), x[0, 2:4, 4:6])
    np.testing.assert_array_equal(resample.depth_to_space(squares, 2), x)
    assert starganv2.in_patches(x, 2, 2).shape == (1, 4, 4, 12) and starganv2.in_patches(
        x, 4, 1
    ).shape == (1, 2, 2, 48)


@pytest.mark.parametrize("patch", [2, 4])
def test_squares_start_as_one_pixel(patch):
    g = starganv2.Generator((16, 16, 3), width=4, widest=8, levels=1, patch=patch)
    x, s = jax.random.normal(jax.random.key(0), (1, 16, 16, 3)), jnp.ones((1, 4))
    made = np.asarray(jax.jit(g.apply)(jax.jit(g.init)(jax.random.key(1), x, s), x, s))
    np.testing.assert_array_equal(made, made[:, ::patch, ::patch].repeat(patch, 1).repeat(patch, 2))
    assert len(np.unique(made)) == 3 * (16 // patch) ** 2


def test_parts_are_drawn_in_the_colors_of_the_whole():
    run, game = made(g={"width": 4, "widest": 8, "levels": 1, "patch": 2, "palette": 3})
    state = build.new_state(run, game, (16, 16, 3), len(CLASSES))
    sampler = Sampler(game, jax.device_get(state.ema), (16, 16, 3), CLASSES, None, 1)
    x = jax.random.uniform(jax.random.key(0), (2, 16, 16, 3), minval=-1)
    style = sampler.styles_from_noise(0, jnp.array([0, 1]), 2)
    moments = jax.device_get(jax.jit(game.moments)(sampler.ema, x, style))
    assert moments["palette"]["colors"].shape == (2, 3, 3)
    whole = np.asarray(sampler.restyle(x, style))
    np.testing.assert_allclose(sampler.part_of(x)(x, style), whole, atol=1e-5)
    moments["palette"]["colors"] = moments["palette"]["colors"][::-1]
    other = jax.jit(game.restyle)(sampler.ema, x, style, moments)
    assert np.abs(np.asarray(other) - whole).max() > 0.01


def test_sides_to_compile_for_are_what_the_generator_halves():
    _, game = made(g={"levels": 5, "patch": 2})
    assert Sampler(game, {}, (16, 16, 3), CLASSES, None, 1).multiple == 64


@pytest.mark.parametrize("patch", [2, 4])
def test_a_critic_of_squares_has_the_same_grid_on_top(patch):
    x, y = jnp.zeros((2, 32, 48, 3)), jnp.zeros(2, jnp.int32)

    def shapes(patch, side):
        d = starganv2.Discriminator((32, 48, 3), 3, width=4, widest=4, patch=patch)
        return jax.eval_shape(d.init, jax.random.key(0), x[:, :side], y)["params"]

    assert shapes(patch, 32)["grid"]["kernel"].shape == shapes(1, 32)["grid"]["kernel"].shape
    assert shapes(4, 8)["from_image"]["kernel"].shape[2] == 48  # the smallest pictures there are


@pytest.mark.parametrize(
    ("size", "padded"), [((5, 8), (8, 8)), ((1, 3), (4, 4)), ((2, 9), (4, 12)), ((4, 4), (4, 4))]
)
def test_padding_is_a_reflection(size, padded):
    x = np.arange(np.prod(size), dtype=np.float32).reshape(1, *size, 1)
    found = np.asarray(resample.pad_to(jnp.asarray(x), 4))
    assert found.shape == (1, *padded, 1)
    np.testing.assert_array_equal(found[:, : size[0], : size[1]], x)
    if size == (5, 8):
        np.testing.assert_array_equal(found[0, 5:], x[0, [3, 2, 1]])


def test_branches_use_each_rows_own_layer():
    layer = starganv2.Branches(3, 2)
    x = jax.random.normal(jax.random.key(0), (3, 5))
    variables = layer.init(jax.random.key(1), x, jnp.arange(3))
    found = layer.apply(variables, x, jnp.array([2, 0, 2]))
    kernel = variables["params"]["kernel"]
    np.testing.assert_allclose(
        found, jnp.stack([x[0] @ kernel[2], x[1] @ kernel[0], x[2] @ kernel[2]]), rtol=1e-5
    )


# --- the game


class Lighter(nn.Module):
    """G: a picture and its style, one number, times a weight. Critic, mapping and encoder: means,
    times theirs."""

    @nn.compact
    def __call__(self, x, s, *, train=False):
        w = self.param("w", nn.initializers.ones, ())
        mean = x.mean(tuple(range(1, x.ndim)))
        if self.name == "g":
            return x + w * s[:, :, None, None]
        return w * (mean if self.name == "d" else mean[:, None])


def light_game(**weights):
    """The game on networks of one weight each, 1."""
    nets = (Lighter(name=name) for name in ("g", "d", "mapping", "encoder"))
    return starganv2_game.Algorithm(*nets, z_dim=1, **weights)


@pytest.fixture(scope="module")
def played():
    """(game, the state at the start, after each of the iteration's four steps)."""
    run, game = config.Config(**SETTINGS), light_game()
    parallel = Parallel("jit", jax.devices()[:1])
    play = build.make_iteration(run, game, parallel)
    states = [jax.device_get(build.new_state(run, game, (8, 8, 3), 3))]
    batch = parallel.put(game.example((8, 8, 3), 3, 4))
    for k, (_, step) in enumerate(play.steps):
        state, _ = step(parallel.replicate(states[-1]), batch, parallel.scalar(np.int32(k)))
        states.append(jax.device_get(state))
    return game, states


def moved(before, after):
    """Names of the networks whose weights differ."""

    def differ(a, b):
        pairs = zip(*map(jax.tree.leaves, (a, b)), strict=True)
        return any(bool((x != y).any()) for x, y in pairs)

    return {name for name in before.params if differ(before.params[name], after.params[name])}


def test_who_moves_in_each_step(played):
    _, states = played
    assert [moved(a.d, b.d) for a, b in itertools.pairwise(states)] == [{"d"}, {"d"}, set(), set()]
    found = [moved(a.g, b.g) for a, b in itertools.pairwise(states)]
    assert found == [set(), set(), {"g", "mapping", "encoder"}, {"g"}]


def test_the_reference_step_leaves_the_others_optimizers_alone(played):
    _, states = played
    opt = states[-1].g.opt
    assert [int(opt[name][0][0].count) for name in ("g", "mapping", "encoder")] == [2, 1, 1]


def test_the_mapping_has_its_own_learning_rate(played):
    _, (*_, before, after, _) = played

    def far(name):
        both = (jax.tree.leaves(state.g.params[name]) for state in (before, after))
        return max(float(jnp.abs(a - b).max()) for a, b in zip(*both, strict=True))

    assert far("encoder") == pytest.approx(1e-3, rel=0.1)  # Adam's first step
    assert far("mapping") == pytest.approx(1e-5, rel=0.1)


def test_the_diversity_weight_falls_with_the_images_seen():
    _, game = made(game={"diversity": 2.0, "diversity_kimg": 0.04})
    assert [float(game.diversity_at(jnp.int32(step))) for step in (0, 5, 10, 20)] == [2, 1, 0, 0]
    assert float(made(game={"diversity": 2.0})[1].diversity_at(jnp.int32(10**6))) == 2


LIGHT = {name: {"w": jnp.float32(1)} for name in ("g", "d", "mapping", "encoder")}
LIGHT_STATE = types.SimpleNamespace(
    g=Player(None, {}, None),
    d=Player(LIGHT, {"d": {}}, None),
    carry={"augment": {}},
    step=jnp.int32(0),
    frozen={},
)


def test_diversity_and_color_enter_by_their_weights_alone():
    batch, found = light_batch(), {}
    for weights in ({}, {"color": 3.0}, {"diversity": 2.0}):
        game = light_game(**{"diversity": 0.0} | weights)
        loss = functools.partial(game.loss_g_latent, LIGHT, LIGHT_STATE, batch)
        found[tuple(weights)] = jax.jit(loss)(jax.random.key(0))
    loss, aux = found[()]
    assert not {"g/latent_color", "g/latent_diversity"} & aux.metrics.keys()
    (colored, far), (diverse, unlike) = found["color",], found["diversity",]
    assert colored - loss == pytest.approx(3 * float(far.metrics["g/latent_color"]), rel=1e-3)
    assert loss - diverse == pytest.approx(
        2 * float(unlike.metrics["g/latent_diversity"]), rel=1e-3
    )
    assert unlike.metrics["g/latent_diversity"] > 0 and far.metrics["g/latent_color"] > 0


@pytest.mark.parametrize("diversity", [0.0, 2.0])
def test_the_other_picture_of_the_diversity_term_is_frozen(diversity):
    """G(x, s) = x + w s: the gradient of -2 |G(x, 3) - G(x, 1)| in w is -2 * 3, the second not
    running through: not -2 * 2."""
    game = light_game(style=0.0, cycle=0.0, diversity=diversity)
    batch = {
        "image": np.full((4, 2, 2, 1), 127, np.uint8),
        "label": jnp.zeros(4),
        "target_label": jnp.zeros(4),
    }
    s, s_other = jnp.full((4, 1), 3.0), jnp.ones((4, 1))

    def loss(params):
        return game.loss_g(params, LIGHT_STATE, batch, s, s_other, "latent", jax.random.key(0))[0]

    logit = base.to_float(batch["image"]).mean() + 3
    adversarial = -3 * jax.nn.sigmoid(-logit)
    np.testing.assert_allclose(
        jax.jit(jax.grad(loss))(LIGHT)["g"]["w"], adversarial - diversity * 3, rtol=1e-5
    )


def light_batch():
    x = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3), np.uint8)
    batch = {name: np.roll(x, k, 0) for k, name in enumerate(("image", "target", "target2"))}
    return batch | {"label": jnp.array([0, 1, 2, 0]), "target_label": jnp.array([1, 2, 0, 0])}


def test_together_every_other_style_is_a_pictures_and_taken_as_it_is():
    game, batch = light_game(together=True), light_batch()
    assert [phase.who for phase in game.phases] == ["d", "g"]
    noise = game.styles_from_noise(LIGHT, batch, jax.random.key(0))
    seen = game.styles_from_images(LIGHT, batch, "target")

    def styles(params):
        return game.styles_of_both(params, batch, jax.random.key(0), "target")

    np.testing.assert_allclose(styles(LIGHT), jnp.stack([noise[0], seen[1], noise[2], seen[3]]))
    grads = jax.grad(lambda params: styles(params).sum())(LIGHT)
    assert grads["encoder"]["w"] == 0 and grads["mapping"]["w"] != 0


class Looker(nn.Module):
    """Feature maps -> a weight times the mean of the second; counts its passes in training."""

    @nn.compact
    def __call__(self, maps, y, picture, *, train=False):
        assert picture.shape[1] == 8
        passes = self.variable("batch_stats", "passes", jnp.zeros, ())
        passes.value += 1.0 * (train and not self.is_initializing())
        half, quarter = maps
        assert half.shape[1] == 2 * quarter.shape[1] == 8  # pictures of 8 pixels, enlarged to 16
        return self.param("w", nn.initializers.ones, ()) * quarter.mean((1, 2, 3))


def test_a_second_critic_that_sees_pictures_by_a_frozen_network(monkeypatch):
    """Its logits are of the network's maps of the enlarged picture; D's pass moves its state, G's
    does not; both players' losses have it beside the first critic's, which keeps R1."""
    monkeypatch.setitem(pretrained.NETS, "tiny", lambda name, *_: tiny_net(name))
    game = light_game(
        features="tiny", features_side=16, together=True, heads=Looker(), gamma=0.5, cycle=0.0
    )
    run = config.Config(**SETTINGS | {"game": {}})
    state = jax.eval_shape(lambda: build.new_state(run, game, (8, 8, 3), 3))
    assert state.d.params.keys() == {"d", "heads"}
    stats = {"batch_stats": {"passes": jax.ShapeDtypeStruct((), "float32")}}
    assert state.d.mutable == {"d": {}, "heads": stats}

    params_d = LIGHT | {"heads": {"w": jnp.float32(1)}}
    state = types.SimpleNamespace(
        g=LIGHT_STATE.g.replace(params=LIGHT),
        d=Player(params_d, {"d": {}, "heads": {"batch_stats": {"passes": 0.0}}}, None),
        carry={"augment": {}},
        step=jnp.int32(0),
        frozen={"eyes": tiny_net().params},
    )
    batch = light_batch()

    def key():
        return jax.random.key(0)

    def seen(x):
        x = jax.image.resize(x, (4, 16, 16, 3), "bilinear")
        mapped = jnp.maximum(((x + 1) * 127.5 - 127) @ tiny_net().params["kernel"], 0)
        return mapped.mean((1, 2, 3))

    real = base.to_float(batch["image"])
    fake = game.translated(LIGHT, real, game.styles_of_both(LIGHT, batch, key(), "target"))
    alone, _ = jax.jit(lambda: game.loss_d_both(params_d, state, batch, key()))()
    loss, aux = jax.jit(lambda: game.loss_d_joined(params_d, state, batch, key()))()
    want = jax.nn.softplus(-seen(real)).mean() + jax.nn.softplus(seen(fake)).mean()
    np.testing.assert_allclose(aux.metrics["d/heads_loss"], want, rtol=1e-5)
    np.testing.assert_allclose(loss - alone, want, rtol=1e-5)
    assert "d/r1" in aux.metrics and aux.mutable["heads"]["batch_stats"]["passes"] == 1

    def of_g(params, joined):
        return game.loss_g_both(params, state, batch, key(), joined)

    (loss, aux), slope = jax.value_and_grad(of_g, has_aux=True)(LIGHT, True)
    (alone, _), without = jax.value_and_grad(of_g, has_aux=True)(LIGHT, False)
    k_fake = jax.random.split(key())[0]
    fake = game.translated(LIGHT, real, game.styles_of_both(LIGHT, batch, k_fake, "target"))
    want = jax.nn.softplus(-seen(fake)).mean()
    np.testing.assert_allclose(loss - alone, want, rtol=1e-4)
    assert slope["g"]["w"] != without["g"]["w"] and aux.mutable == state.g.mutable


def test_when_the_second_critic_joins():
    def schedule(**settings):
        game = light_game(together=True, heads=Looker(), **settings)
        return [(p.who, p.only, p.since, p.until) for p in game.phases]

    first = [("d", ("d",), 0, None), ("g", None, 0, None)]
    both = [("d", None, 0, None), ("g", None, 0, None)]
    assert schedule() == first
    assert schedule(features="vgg16") == both
    joins = {"features": "vgg16", "features_from_kimg": 0.04, "batch": 4}
    assert schedule(**joins) == [
        ("d", ("d",), 0, 10),
        ("g", None, 0, 10),
        ("d", None, 10, None),
        ("g", None, 10, None),
    ]


def test_the_frozen_network_is_the_second_critics():
    assert light_game().nets == {}
    game = light_game(features="vgg16", weights="file", together=True, heads=Looker())
    assert game.nets == {"eyes": ("vgg16", "file")}


def test_the_critics_pictures_are_augmented():
    class Black:
        def init(self):
            return {"p": jnp.float32(0)}

        def __call__(self, carry, rng, x):
            return 0 * x

        def observe(self, carry, logits, images):
            return {"p": images}

    game = light_game(gamma=0.0, augment=Black(), batch=4)
    state = types.SimpleNamespace(**vars(LIGHT_STATE))
    state.g, state.carry = state.g.replace(params=LIGHT), {"augment": game.augment.init()}
    _, aux = game.loss_d_latent(LIGHT, state, light_batch(), jax.random.key(0))
    assert aux.metrics["d/real"] == aux.metrics["d/fake"] == 0
    assert aux.carry == {"augment": {"p": 4}}


@pytest.mark.parametrize(
    ("changes", "classes", "message"),
    [
        (
            {"game": {"features": "vgg61"}},
            3,
            r"config.game.features='vgg61' is not known. Did you mean 'vgg16'\?",
        ),
        (
            {"game": {"features": "vgg16"}},
            3,
            r"config.game.together=False: with config.game.features it must be True",
        ),
        (
            {"game": {"features_from_kimg": 4.0}},
            3,
            r"config.game.features_from_kimg=4.0: there is no second critic; set config.game.feat",
        ),
        (
            {},
            0,
            r"config.algorithm='starganv2': the data has no classes, .* Set config.data.labels",
        ),
        ({"game": {"cycle": -1.0}}, 3, r"config.game.cycle=-1.0: it must be 0 or more"),
        (
            {"game": {"diversity_kimg": 0.0}},
            3,
            r"config.game.diversity_kimg=0.0: it must be above 0",
        ),
        (
            {"networks": {"mappin": {}}},
            3,
            r"config.networks='mappin' is not known. Did you mean 'mapping'\?",
        ),
        (
            {"networks": {"mapping": {"widht": 3}}},
            3,
            r"config.networks.mapping.widht: no such setting. .*'width'",
        ),
    ],
)
def test_bad_settings(changes, classes, message):
    with pytest.raises(ValueError, match=message):
        algorithms.make_game(config.Config(**(SETTINGS | changes)), (16, 16, 3), classes)


def test_squares_of_three_pixels():
    run, game = made(d={"width": 4, "patch": 3})
    with pytest.raises(ValueError, match="patch=3 of a StarGAN v2 network: it must be 1, 2, 4"):
        build.new_state(run, game, (16, 16, 3), 3)


def test_styles_of_different_lengths():
    _, game = made(networks={"mapping": {"features": 5}, "encoder": {"features": 4}})
    with pytest.raises(ValueError, match="mapping.features and encoder.features must be equal"):
        jax.eval_shape(game.init, jax.random.key(0), game.example((16, 16, 3), 3))


def test_an_optimizer_for_a_network_there_is_not():
    run, game = made(opt_g={"networks": {"maping": {"lr": 1.0}}})
    with pytest.raises(
        ValueError, match=r"config.opt_g.networks='maping' is not known. Did you mean 'mapping'\?"
    ):
        build.new_state(run, game, (16, 16, 3), 3)
