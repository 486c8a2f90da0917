"""The games that make cartoons: phases, terms, parts of pictures, bad settings; on toy networks."""

import dataclasses
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax import algorithms, config, losses, pretrained
from gan_jax.algorithms import animegan, base, perceptual, white_box
from gan_jax.models import animegan as animegan_models
from gan_jax.models import white_box as white_box_models
from gan_jax.nn.norms import LayerNorm
from gan_jax.pretrained import Stages
from gan_jax.state import Phase, Player, TrainState
from gan_jax.step import Average, Iteration
from tests.algorithms.translators_test import ToyCritic, ToyTranslator
from tests.nets import tiny_net

SHAPE = (16, 16, 3)


@pytest.fixture(autouse=True)
def eyes(monkeypatch):
    """A frozen network whose one map is a 1x1 convolution."""

    def maps(params, x, last):
        return {"map": (x / 127.5 - 1) @ (100 * params["kernel"]) / losses.PIXELS}

    net = dataclasses.replace(tiny_net("eyes"), stages_of=Stages(("map",), ("map",), maps))
    monkeypatch.setitem(pretrained.NETS, "eyes", lambda name, *_: net)


def game(module, **settings):
    nets = {"g": ToyTranslator()} | ({} if module is perceptual else {"d": ToyCritic()})
    layers = (
        {"content_layer": "map", "style_layers": ("map",)}
        if module is perceptual
        else {"layer": "map", "batch": 2}
    )
    return module.Algorithm(**nets, features="eyes", **layers, **settings)


def state_of(one):
    g, d, carry = one.init(jax.random.key(0), one.example(SHAPE, 0))

    def player(v):
        return Player(v["params"], v["mutable"], {})

    rng = jax.random.key_data(jax.random.key(0))
    frozen = {name: net.params for name, net in one.frozen.items()}
    return TrainState(jnp.int32(0), rng, player(g), player(d), {}, carry, frozen)


def seen(one, x):
    net = one.frozen["eyes"]
    return np.asarray(net.stages(net.params, jnp.asarray(x))["map"], np.float64)


@pytest.mark.parametrize(
    ("module", "settings"),
    [(animegan, {"content_kimg": 0.006}), (white_box, {"first_kimg": 0.006})],
)
def test_at_first_the_generator_learns_alone(module, settings):
    """Content or the picture itself, for 3 iterations of 2 pictures; its critics wait."""
    one = game(module, **settings)
    state, batch = state_of(one), one.example(SHAPE, 0)
    value = jax.jit(
        lambda step: one.loss_g(state.g.params, state.replace(step=step), batch, jax.random.key(0))
    )
    first, aux = value(jnp.int32(2))
    x = base.to_float(batch["image"])
    x_fake = one.translated(state.g.params, x)
    alone = one.content * aux.metrics["g/content"] if module is animegan else losses.l1(x_fake, x)
    np.testing.assert_allclose(first, alone, rtol=1e-5)
    assert abs(float(value(jnp.int32(3))[0]) - float(first)) > 0.1
    assert [phase.since for phase in one.phases] == [3, 0]
    played = [[phase.who for phase in one.phases if phase.due(step)] for step in (0, 2, 3, 4)]
    assert played == [["g"], ["g"], ["d", "g"], ["d", "g"]]


def test_an_iteration_leaves_out_what_has_not_begun():
    """since, with every: 4 and 6 of steps 0 to 6; until, the others before."""

    def loss(params, state, batch, rng):
        return 0.0, None

    parallel = types.SimpleNamespace(compile=lambda f: f)
    phases = Phase("d", loss, every=2, since=3), Phase("g", loss, until=2)
    steps = Iteration(phases, {"d": None, "g": None}, parallel, batch=1, average=Average(1))
    assert [step for step in range(7) if 0 in steps.due(step)] == [4, 6]
    assert [step for step in range(7) if 1 in steps.due(step)] == [0, 1]


def test_perceptual_style_in_closed_form():
    """Both terms by their definition; of the style, the batch's mean Gram matrix."""
    one = game(perceptual, content=2.0, style=3.0, tv=0.0)
    state, batch = state_of(one), one.example(SHAPE, 0)
    loss, aux = jax.jit(one.loss_g)(state.g.params, state, batch, jax.random.key(0))
    x, y = (base.to_float(batch[name]) for name in ("image", "target"))
    x_fake = one.translated(state.g.params, x)
    of_x, of_y, of_fake = (seen(one, pictures) for pictures in (x, y, x_fake))
    content = np.square(of_fake - of_x).mean() / np.square(of_x).mean()

    def gram(h):
        return np.einsum("nhwc,nhwd->ncd", h, h) / h[0].size

    of_style = gram(of_y).mean(0, keepdims=True)
    distance = np.square(gram(of_fake) - of_style).sum((1, 2)).mean()
    style = distance / np.square(of_style).sum()
    np.testing.assert_allclose(aux.metrics["g/content"], content, rtol=1e-4)
    np.testing.assert_allclose(aux.metrics["g/style"], style, rtol=1e-4)
    np.testing.assert_allclose(loss, 2 * content + 3 * style, rtol=1e-4)


def test_with_luma_a_photograph_keeps_its_colors():
    """U and V of YUV are the photograph's; Y is what G draws, and nothing but Y is taught."""
    one, plain = game(perceptual, luma=True), game(perceptual)
    state, batch = state_of(one), one.example(SHAPE, 0)
    x = base.to_float(batch["image"])
    drawn, made = plain.translated(state.g.params, x), one.translated(state.g.params, x)
    yuv = np.asarray(losses.YUV)
    wanted = np.concatenate([drawn @ yuv[:1].T, x @ yuv[1:].T], 3)
    np.testing.assert_allclose(made @ yuv.T, wanted, atol=1e-5)
    loss, _ = jax.jit(one.loss_g)(state.g.params, state, batch, jax.random.key(0))
    levels = {name: losses.gray(base.to_float(batch[name])) for name in ("image", "target")}
    maps = {name: seen(plain, levels[name]) for name in levels} | {
        "fake": seen(plain, losses.gray(drawn))
    }
    content = np.square(maps["fake"] - maps["image"]).mean() / np.square(maps["image"]).mean()
    of_style = np.asarray(losses.gram(maps["target"])).mean(0, keepdims=True)
    style = perceptual.gram_distance(losses.gram(maps["fake"]), of_style)
    tv = losses.total_variation(made)
    np.testing.assert_allclose(loss, content + 5 * style + 0.1 * tv, rtol=1e-4)


@pytest.mark.parametrize("module", [animegan, white_box, perceptual])
def test_the_temporal_term_weighs_in(module):
    one = game(module, temporal=0.0)
    state, batch = state_of(one), one.example(SHAPE, 0)
    plain, more = (
        jax.jit(g.loss_g)(state.g.params, state, batch, jax.random.key(1))
        for g in (one, game(module, temporal=5.0))
    )
    plain, more, aux = plain[0], *more
    np.testing.assert_allclose(more - plain, 5 * aux.metrics["g/temporal"], rtol=1e-3, atol=1e-3)
    assert aux.metrics["g/temporal"] > 0


def test_a_part_is_layer_normalized_as_the_whole():
    norm, x = LayerNorm(), np.random.default_rng(0).normal(2, 3, (2, 8, 6, 4)).astype(np.float32)
    weights = {"params": {"scale": jnp.arange(4.0), "bias": jnp.ones(4)}}
    whole, found = norm.apply(weights | {"norms": {}}, x, mutable=["norms"])
    wanted = (x - x.mean((1, 2, 3), keepdims=True)) / x.std((1, 2, 3), keepdims=True)
    np.testing.assert_allclose(whole, wanted * np.arange(4) + 1, atol=1e-4)
    part = norm.apply(weights | found, x[:, 2:5, 1:4])
    np.testing.assert_allclose(part, whole[:, 2:5, 1:4], atol=1e-5)


@pytest.mark.parametrize("models", [animegan_models, white_box_models])
def test_a_residual_generator_starts_as_the_picture_of_any_size(models):
    """white_box's filter smooths it a little."""
    net = models.Generator(SHAPE, width=4, blocks=1, residual=True)
    x = np.random.default_rng(0).uniform(-0.9, 0.9, (1, 13, 18, 3)).astype(np.float32)
    x = np.cumsum(x, 1) / 13 if models is white_box_models else x
    y, _ = jax.jit(lambda: net.init_with_output(jax.random.key(0), x))()
    np.testing.assert_allclose(y, x, atol=0.1 if models is white_box_models else 1e-6)


class Set:
    """A source's two sides; the second has n pictures of noise, or of one color each."""

    def __init__(self, n, plain=False):
        self.n, self.plain, self.sides = n, plain, (self, self)

    def __len__(self):
        return self.n

    def load(self, ids, seeds):
        x = np.random.default_rng(0).integers(0, 256, (len(ids), 4, 4, 3), np.uint8)
        return {"image": np.broadcast_to(x[:, :1, :1], x.shape) if self.plain else x}


def test_a_set_without_a_style_is_refused():
    run = config.Config("animegan", "animegan", {}, batch=2, total_kimg=1.0)
    one, perceptual_one = game(animegan), game(perceptual)
    algorithms.check_targets(run, one, Set(2))
    algorithms.check_targets(run, perceptual_one, Set(1))
    with pytest.raises(ValueError, match="1 style picture.*configs/cartoon_painting.py"):
        algorithms.check_targets(run, one, Set(1))
    with pytest.raises(ValueError, match="of one color each .the first 2 looked at."):
        algorithms.check_targets(run, one, Set(2, plain=True))


@pytest.mark.parametrize(
    ("module", "settings", "message"),
    [
        (animegan, {"critic": (1.0, 1.0, 1.0)}, "config.game.critic=.*four weights"),
        (animegan, {"style": -1.0}, "config.game.style=-1.0: it must be 0 or more"),
        (white_box, {"texture": -1.0}, "config.game.texture=-1.0: it must be 0 or more"),
        (perceptual, {"style_layers": ()}, "config.game.style_layers=.*at least one"),
    ],
)  # fmt: skip
def test_bad_settings(module, settings, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(game(module), **settings)


def test_pictures_must_be_rgb():
    one = game(white_box)
    with pytest.raises(ValueError, match="pictures of 4 channels.*config.data.a.channels=3"):
        one.init(jax.random.key(0), one.example((16, 16, 4), 0))
