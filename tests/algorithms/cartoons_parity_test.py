"""AnimeGANv2 and white-box cartoonization beside the official code: equal numbers from equal
weights.

tests/fixtures/cartoons.npz: see its README. Every parameter is filled by `weight`, counted in the
order of the official layers.
"""

import dataclasses
import zlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import traverse_util

from gan_jax import losses, pretrained
from gan_jax.algorithms import animegan, base, white_box
from gan_jax.models import animegan as animegan_models
from gan_jax.models import white_box as white_box_models
from gan_jax.nn import conv_plain
from gan_jax.pretrained import Stages
from gan_jax.state import Player, TrainState
from tests.nets import tiny_net
from tests.paths import FIXTURES

REFERENCE = np.load(FIXTURES / "cartoons.npz")
N, SIDE = 2, 32
SHAPE = (SIDE, SIDE, 3)
BLOCKS = range(4)
ANIME_G = (
    ["first", "down0", "full0", "down1", "full1", "before"]
    + [f"block{n}_{part}" for n in BLOCKS for part in ("wide", "each", "narrow")]
    + ["after", "up1", "full2", "up0", "full3", "last", "colors"]
)
ANIME_D = ["first", "down0", "level0", "down1", "level1", "last", "logits"]
WHITE_G = (
    ["first", "down0", "half0", "down1", "quarter"]
    + [f"block{n}_{i}" for n in BLOCKS for i in (0, 1)]
    + ["after", "up1", "half1", "up0", "last"]
)
WHITE_D = [f"{part}{n}" for n in range(3) for part in ("down", "level")] + ["logits"]


def image(name):
    return np.random.default_rng(zlib.crc32(name.encode())).integers(0, 256, (N, *SHAPE), np.uint8)


def weight(name, shape):
    """An official parameter's value, in its own layout."""
    x = np.random.default_rng(zlib.crc32(name.encode())).standard_normal(shape).astype(np.float32)
    if len(shape) == 1:
        return np.float32(name.endswith("gamma")) + np.float32(0.1) * x
    x = x - x.mean(tuple(range(x.ndim - 1)), keepdims=True)
    return x * np.float32((2 / np.prod(shape[:-1])) ** 0.5)


def official(who, layers, path):
    """The official name of our parameter at this path: generator.kernel3, generator.3.gamma."""
    layer, leaf = path
    normed = [name for name in layers if "_norm" not in name]
    if layer.endswith("_norm"):
        if who == "discriminator":
            normed = ["level0", "level1", "last"]
        n = normed.index(layer.removesuffix("_norm"))
        return f"{who}.{n}.gamma" if leaf == "scale" else f"{who}.beta{n}"
    if leaf == "bias" and layer.endswith("_each"):
        return f"{who}.bias{layer[len('block')]}"
    return f"{who}.{leaf}{layers.index(layer)}"


def theirs(path, x):
    """A kernel of ours in the official layout: depthwise ones are [3, 3, C, 1]."""
    return x.swapaxes(2, 3) if path[0].endswith("_each") and path[1] == "kernel" else x


def filled(who, layers, params):
    flat = {}
    for path, leaf in traverse_util.flatten_dict(params).items():
        shape = theirs(path, np.empty(leaf.shape, bool)).shape
        flat[path] = jnp.asarray(theirs(path, weight(official(who, layers, path), shape)))
    return traverse_util.unflatten_dict(flat)


def largest(params, mutable):
    """The mutable with spectral norm's vectors those of the filled kernels."""
    flat = traverse_util.flatten_dict(mutable)
    for path in flat:
        w = np.asarray(params[path[1]]["kernel"], np.float64)
        flat[path] = np.linalg.svd(w.reshape(-1, w.shape[-1]))[2][0].astype(np.float32)
    return traverse_util.unflatten_dict(flat)


@pytest.fixture(autouse=True)
def eyes(monkeypatch):
    """A stand-in for VGG: one convolution of stride 4."""
    kernel = weight("eyes", (5, 5, 3, 8))

    def maps(params, x, last):
        geometry = conv_plain.Geometry(x.shape[1:3], (5, 5), (4, 4), ((0, 0), (0, 0)))
        h = conv_plain.convolve(geometry, x / 127.5 - 1, params["kernel"])
        return {"map": h / losses.PIXELS}

    stages = Stages(("map",), ("map",), maps)
    net = dataclasses.replace(tiny_net("eyes"), params={"kernel": kernel}, stages_of=stages)
    monkeypatch.setitem(pretrained.NETS, "eyes", lambda name, *_: net)


def state_of(game, layers_g, critics):
    """The state with the official weights. critics: our names -> (theirs, their layers)."""
    shapes = jax.eval_shape(game.init, jax.random.key(0), game.example(SHAPE, 0, N))
    g, d, carry = shapes  # all of it is filled
    g["params"]["g"] = filled("generator", layers_g, g["params"]["g"])
    for ours, (name, layers) in critics.items():
        d["params"][ours] = filled(name, layers, d["params"][ours])
        d["mutable"][ours] = largest(d["params"][ours], d["mutable"][ours])

    def player(v):
        return Player(v["params"], v["mutable"], {})

    rng = jax.random.key_data(jax.random.key(0))
    frozen = {name: net.params for name, net in game.frozen.items()}
    return TrainState(jnp.int32(0), rng, player(g), player(d), {}, carry, frozen)


def values(game, state, batch):
    """((loss, aux), gradients) of the critics' loss and of the generator's; the pictures."""
    rng, x = jax.random.key(0), base.to_float(batch["image"])

    @jax.jit
    def of_g(params, state):
        play = jax.value_and_grad(game.loss_g, has_aux=True)
        return play(params, state, batch, rng), game.translated(params, x)

    @jax.jit
    def of_d(params, state):
        return jax.value_and_grad(game.loss_d, has_aux=True)(params, state, batch, rng)

    return of_d(state.d.params, state), *of_g(state.g.params, state)


def close(ours, wanted, what, tolerance=1e-4):
    """Within tolerance of the array's greatest value."""
    ours, wanted = np.asarray(ours), np.asarray(wanted)
    limit = tolerance * np.abs(wanted).max()
    np.testing.assert_allclose(ours, wanted, rtol=0, atol=limit, err_msg=what)


def check_gradients(tag, who, layers, grads, tolerance=1e-3):
    """Within tolerance of each array's greatest value."""
    for path, ours in traverse_util.flatten_dict(grads).items():
        name = official(who, layers, path)
        wanted = REFERENCE[f"{tag}/grad/{name}"]
        ours = theirs(path, np.asarray(ours)).reshape(-1)
        ours = ours[:: max(1, ours.size // 40)]
        close(ours[:: max(1, -(-ours.size // 12))], wanted, name, tolerance)


def test_the_networks_have_the_official_number_of_parameters():
    for tag, models in (("animegan", animegan_models), ("white_box", white_box_models)):
        nets = (
            models.Generator(SHAPE),
            models.Discriminator(SHAPE, **({"width": 8} if tag == "animegan" else {})),
        )
        x = jnp.zeros((1, *SHAPE))
        counts = [
            sum(
                leaf.size
                for leaf in jax.tree.leaves(
                    jax.eval_shape(lambda net=net: base.init_network(net, jax.random.key(0), x)[0])
                )
            )
            for net in nets
        ]
        assert counts == REFERENCE[f"{tag}/params"].tolist()


def test_animegan():
    """Its networks, each term, and the gradients of both players' losses."""
    critics = {"d": ("discriminator", ANIME_D)}
    weights = {"content": 1.2, "style": 2.0, "color": 10.0, "critic": (1.7, 1.7, 1.7, 1.0)}
    nets = animegan_models.Generator(SHAPE), animegan_models.Discriminator(SHAPE, width=8)
    game = animegan.Algorithm(*nets, features="eyes", layer="map", **weights)
    state = state_of(game, ANIME_G, critics)
    batch = {"image": image("x"), "target": image("y"), "target_smooth": image("smooth")}

    def wanted(name):
        return REFERENCE[f"animegan/{name}"]

    ((loss, aux), grads), of_g, fake = values(game, state, batch)
    close(loss, wanted("d"), "d")
    for ours, name in (
        ("real", "real"),
        ("fake", "fake_logits"),
        ("gray", "gray"),
        ("smooth", "smooth"),
    ):
        close(aux.metrics[f"d/{ours}"], wanted(name).mean(), name)
    # below its last layers activations lie within rounding of the leaky ReLU's kink: on two kinds
    # of CPU ours differ by up to 8e-3
    last = {name: grads["d"].pop(name) for name in ("last", "logits")}
    check_gradients("animegan", "discriminator", ANIME_D, last)
    check_gradients("animegan", "discriminator", ANIME_D, grads["d"], tolerance=2e-2)
    (loss, aux), grads = of_g
    for name in ("content", "style", "color", "tv"):
        close(aux.metrics[f"g/{name}"], wanted(name), name)
    close(loss, wanted("g"), "g")
    # the same: the official code's own gradients differ by up to 5e-2 with and without TensorFlow's
    # oneDNN
    last = {name: grads["g"].pop(name) for name in ("full3", "last", "colors")}
    check_gradients("animegan", "generator", ANIME_G, last)
    check_gradients("animegan", "generator", ANIME_G, grads["g"], tolerance=5e-2)
    close(fake[:, ::4, ::4], wanted("fake"), "fake")


def test_white_box(monkeypatch):
    """Its networks, each term, and the gradients of both players' losses."""
    critics = {"surface": ("disc_blur", WHITE_D), "texture": ("disc_gray", WHITE_D)}
    nets = (
        white_box_models.Generator(SHAPE, width=8),
        white_box_models.Discriminator(SHAPE, width=8),
    )
    game = white_box.Algorithm(*nets, features="eyes", layer="map")
    # gray's random weights; the official code's pictures are BGR
    drawn = jnp.asarray([0.1, 0.5, 0.3]) - jnp.asarray(white_box.LUMA)
    monkeypatch.setattr(white_box.jax.random, "uniform", lambda *_, **__: drawn)
    state = state_of(game, WHITE_G, critics)
    batch = {"image": image("x"), "target": image("y"), "superpixels": image("superpixels")}

    def wanted(name):
        return REFERENCE[f"white_box/{name}"]

    ((loss, aux), grads), of_g, fake = values(game, state, batch)
    close(loss, wanted("d"), "d")
    for ours, (name, layers) in critics.items():
        check_gradients("white_box", name, layers, grads[ours])
    (loss, aux), grads = of_g
    close(aux.metrics["g/content"], wanted("photo"), "content")
    close(aux.metrics["g/structure"], wanted("superpixels"), "structure")
    for name in ("tv", "surface_loss", "texture_loss"):
        close(aux.metrics[f"g/{name}"], wanted(name.removesuffix("_loss")), name)
    close(loss, wanted("g"), "g")
    check_gradients("white_box", "generator", WHITE_G, grads["g"])
    (without, _), _ = values(dataclasses.replace(game, content=0.0), state, batch)[1]
    close(loss - without, 200 * wanted("photo"), "content")
    close(fake[:, ::4, ::4], wanted("fake"), "fake")
