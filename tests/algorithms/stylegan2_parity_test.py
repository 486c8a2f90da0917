"""StyleGAN2 beside the official stylegan2-ada-pytorch: the same weights and inputs give the same
numbers and steps.

tests/fixtures/stylegan2_<side>_<plain|cond>.npz were made by that repository at commit d72cc7d on
torch 2.13.0, CPU, float32. Its networks were built with the arguments below (num_fp16_res=0), every
parameter and buffer filled by `weight`, and run on the inputs below. `w`, `images` and `truncated`
(psi 0.5) are of G in eval mode, noise_mode="const"; of pictures every k-th pixel is kept. The four
steps are training_loop.py's, StyleGAN2Loss(style_mixing_prob=0, r1_gamma=1) with pl_mean starting
at 2: "<phase>/..." is what it reports, "grad/..." the gradients, "after/..." the parameters after
all four, by Adam as it makes it (lr 0.0025, betas 0 and 0.99, corrected for intervals 4 and 16);
w_avg is that after Greg, for Dmain moves it in the peer only. torch.randn gave `noise<side>` in
every layer, torch.randn_like `pl_noise`.
"""

import functools
import zlib

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import traverse_util

from gan_jax import algorithms, build, config
from gan_jax.interop import stylegan2
from gan_jax.interop.pickles import Net
from gan_jax.models.stylegan2 import Discriminator, Generator
from gan_jax.state import Player, TrainState
from tests.paths import FIXTURES
from tests.xla_flags import AS_USERS

N, Z, W, BASE, MOST, LAYERS, CLASSES = 8, 10, 12, 128, 8, 2, 3
CLAMP = {32: 256.0, 64: 2.0}  # the latter is low enough to bite
# The peer's groups for the minibatch std are every second row, ours follow each other; and the path
# length's step takes the peer's first four rows and every second of ours.
ORDER = [0, 4, 2, 6, 1, 5, 3, 7]
KINDS = {"plain": 0, "cond": CLASSES}


def drawn(name, shape):
    return (
        np.random.default_rng(zlib.crc32(name.encode())).standard_normal(shape).astype(np.float32)
    )


def weight(name, shape):
    x = drawn(name, shape)
    if name.endswith("affine.bias"):
        return 1 + np.float32(0.1) * x
    if "mapping.fc" in name:
        return x * np.float32(10 if name.endswith("bias") else 100)
    if name.endswith(("bias", "w_avg")):
        return np.float32(0.1) * x
    return np.float32(0.3) * np.abs(x) if name.endswith("noise_strength") else x


def official_shapes(side, classes):
    """{"G": {name: shape}, "D": ...} as the official networks have them."""
    levels = [4 << i for i in range((side // 4).bit_length())]
    c = {level: min(BASE // level, MOST) for level in levels}
    g, d = {"mapping.w_avg": (W,), "synthesis.b4.const": (c[4], 4, 4)}, {}

    def dense(net, name, features, inputs):
        net |= {f"{name}.weight": (features, inputs), f"{name}.bias": (features,)}

    def layer(net, name, features, inputs, k=3, bias=True):
        net[f"{name}.weight"] = (features, inputs, k, k)
        if bias:
            net[f"{name}.bias"] = (features,)

    if classes:
        dense(g, "mapping.embed", W, classes)
        dense(d, "mapping.embed", c[4], classes)
        for i in range(8):
            dense(d, f"mapping.fc{i}", c[4], c[4])
    for i in range(LAYERS):
        dense(g, f"mapping.fc{i}", W, W if i else Z + W * bool(classes))
    for level in levels:
        names = {"conv1": c[level]} | ({"conv0": c[level // 2]} if level > 4 else {})
        for name, inputs in names.items():
            place = f"synthesis.b{level}.{name}"
            layer(g, place, c[level], inputs)
            g |= {f"{place}.noise_strength": (), f"{place}.noise_const": (level, level)}
            dense(g, f"{place}.affine", inputs, W)
        layer(g, f"synthesis.b{level}.torgb", 3, c[level], k=1)
        dense(g, f"synthesis.b{level}.torgb.affine", c[level], W)
        if level > 4:
            layer(d, f"b{level}.conv0", c[level], c[level])
            layer(d, f"b{level}.conv1", c[level // 2], c[level])
            layer(d, f"b{level}.skip", c[level // 2], c[level], k=1, bias=False)
    layer(d, f"b{side}.fromrgb", c[side], 3, k=1)
    layer(d, "b4.conv", c[4], c[4] + 1)
    dense(d, "b4.fc", c[4], 16 * c[4])
    dense(d, "b4.out", c[4] if classes else 1, c[4])
    return {"G": g, "D": d}


@functools.cache
def found(side, classes):
    """(G, D) converted from the official names."""
    shapes = official_shapes(side, classes)
    arrays = {
        who: {n: weight(f"{who}.{n}", s) for n, s in net.items()} for who, net in shapes.items()
    }
    clamp = {"b4.conv.conv_clamp": CLAMP[side], "b4.mbstd.group_size": 4}
    g = stylegan2.generator(
        Net("Generator", {"synthesis.b4.conv1.conv_clamp": CLAMP[side]}, arrays["G"])
    )
    return g, stylegan2.discriminator(Net("Discriminator", clamp, arrays["D"]))


def stored(side, kind):
    with np.load(FIXTURES / f"stylegan2_{side}_{kind}.npz") as file:
        return dict(file)


def inputs(side, classes):
    """(pictures uint8 [8, H, W, 3], labels [8] or None) in the peer's order."""
    squares = np.random.default_rng(5).integers(0, 256, (N, 3, 8, 8), dtype=np.uint8)
    images = squares.repeat(side // 8, 2).repeat(side // 8, 3).transpose(0, 2, 3, 1)
    return images, np.arange(N, dtype=np.int32) % classes if classes else None


def assert_close(ours, theirs, what):
    """Within 1e-4 of the quantity's greatest magnitude."""
    assert np.shape(ours) == np.shape(theirs), what
    np.testing.assert_allclose(
        ours, theirs, rtol=0, atol=1e-4 * float(np.abs(theirs).max()), err_msg=what
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("side", [32, 64])
def test_networks(side, kind):
    g, d = found(side, KINDS[kind])
    theirs = stored(side, kind)
    images, y = inputs(side, KINDS[kind])
    z, k = drawn("z", (N, Z)), side // 16
    make = {"shape": g.shape, "n_classes": g.n_classes}
    net, critic = (
        Generator(**make, **g.settings),
        jax.jit(Discriminator(**make, **d.settings).apply),
    )

    @jax.jit
    def draw(z, y):
        ws = net.apply(g.variables, z, y, method="mapping")
        average = g.variables["average"]["mapping"]["w_avg"].reshape(1, 1, -1)
        render = lambda ws: net.apply(g.variables, ws, method="synthesis")
        return ws, render(ws), render(average + 0.5 * (ws - average))

    ws, fakes, truncated = draw(z, y)
    channels_first = lambda x: np.asarray(x[:2]).transpose(0, 3, 1, 2)
    for layer in range(ws.shape[1]):
        assert_close(ws[:, layer], theirs["w"], "w")
    assert_close(channels_first(fakes)[:, :, ::k, ::k], theirs["images"], "images")
    assert_close(
        channels_first(truncated)[:, :, 1 :: 2 * k, 1 :: 2 * k], theirs["truncated"], "truncated"
    )
    pick = lambda x: None if x is None else x[np.array(ORDER)]
    for name, x in (
        ("logits_real", images.astype(np.float32) / 127.5 - 1),
        ("logits_fake", np.asarray(fakes)),
    ):
        assert_close(critic(d.variables, pick(x), pick(y)), theirs[name][ORDER, 0], name)


def converted(who, arrays, side, classes):
    """Parameter-like arrays by official names, "G.synthesis.b4.const" -> our leaves by path; those
    not given are zero."""
    shapes = official_shapes(side, classes)[who]
    whole = {
        name: arrays.get(f"{who}.{name}", np.zeros(shape, np.float32))
        for name, shape in shapes.items()
    }
    convert = stylegan2.generator if who == "G" else stylegan2.discriminator
    return traverse_util.flatten_dict(convert(Net("", {}, whole)).variables, sep="/")


def under(prefix, file):
    return {name.removeprefix(prefix): x for name, x in file.items() if name.startswith(prefix)}


@pytest.mark.parametrize("kind", [pytest.param("plain", marks=pytest.mark.slow), "cond"])
def test_one_step_of_each_phase(kind, monkeypatch):
    side, classes = 32, KINDS[kind]
    theirs, (g, d), (images, y) = stored(side, kind), found(side, classes), inputs(side, classes)
    adam = {"name": "adam", "lr": 0.0025, "b1": 0.0, "b2": 0.99, "eps": 1e-8}
    settings = config.Config(
        algorithm="stylegan2",
        model="stylegan2",
        data={},
        batch=N,
        total_kimg=1,
        g=g.settings,
        d=d.settings,
        game={
            "z_dim": Z,
            "gamma": 1.0,
            "style_mixing": 0.0,
            "r1_every": 16,
            "path_every": 4,
            "path_shrink": 2,
        },
        opt_g=adam,
        opt_d=adam,
    )
    game = algorithms.make_game(settings, (side, side, 3), classes)
    tx = build.make_optimizers(settings, game)

    def player(who, found):
        state = {name: tree for name, tree in found.variables.items() if name != "params"}
        params = {who: found.variables["params"]}
        return Player(params, {who: state}, tx[who].init(params))

    carry = {"augment": {}, "lecam": {}, "path_mean": jnp.float32(2)}
    state = TrainState(
        jnp.int32(0),
        jax.random.key_data(jax.random.key(0)),
        player("g", g),
        player("d", d),
        {},
        carry,
    )
    batch = {"image": images[ORDER]} | ({"label": y[ORDER]} if classes else {})
    named = zip(("Gmain", "Greg", "Dmain", "Dreg"), game.phases, strict=True)
    reported = {
        "g/loss": "G/loss",
        "g/path_penalty": "pl_penalty",
        "d/loss": "D/loss",
        "d/real": "scores/real",
        "d/fake": "scores/fake",
        "d/r1": "r1_penalty",
    }
    # numbers whose gradients are far enough from zero for the sign of Adam's first steps to be
    # certain
    steady = {}
    for name, phase in named:
        me = getattr(state, phase.who)
        play = jax.jit(jax.value_and_grad(phase.loss, has_aux=True), compiler_options=AS_USERS)
        with monkeypatch.context() as patch:
            patch.setattr(jax.random, "normal", functools.partial(given, name))
            (_, aux), grads = play(me.params, state, batch, jax.random.key(0))
        for ours, reports in reported.items():
            if ours in aux.metrics:
                assert_close(aux.metrics[ours], theirs[f"{name}/{reports}"], f"{name} {ours}")
        flat = traverse_util.flatten_dict(grads[phase.who], sep="/")
        wanted = converted(phase.who.upper(), under(f"grad/{name}/", theirs), side, classes)
        greatest = max(float(np.abs(x).max()) for x in wanted.values())
        for path, x in flat.items():
            want = wanted[f"params/{path}"]
            tolerance = max(1e-4 * float(np.abs(want).max()), 1e-7 * greatest)
            np.testing.assert_allclose(x, want, rtol=0, atol=tolerance, err_msg=f"{name} {path}")
            far = np.abs(want) >= 1e-2 * np.abs(want).max()
            steady[phase.who, path] = steady.get((phase.who, path), True) & far
        updates, opt = tx[phase.who].update(grads, me.opt, me.params)
        me = me.replace(
            params=optax.apply_updates(me.params, updates), opt=opt, mutable=aux.mutable
        )
        state = state.replace(**{phase.who: me}, carry=aux.carry)
    assert_close(state.carry["path_mean"], theirs["pl_mean"], "pl_mean")
    for who, start in (("g", g), ("d", d)):
        before = traverse_util.flatten_dict(start.variables, sep="/")
        after = converted(who.upper(), under("after/", theirs), side, classes)
        for path, x in traverse_util.flatten_dict(getattr(state, who).params[who], sep="/").items():
            keep, want = steady[who, path], after[f"params/{path}"]
            assert keep.any(), path
            moved = np.abs(want - before[f"params/{path}"]).max()
            # float32 keeps the latter of a weight
            tolerance = 1e-4 * moved + 1.2e-7 * np.abs(want).max()
            np.testing.assert_allclose(
                np.asarray(x)[keep], want[keep], rtol=0, atol=tolerance, err_msg=path
            )
    assert_close(
        state.g.mutable["g"]["average"]["mapping"]["w_avg"],
        theirs["after/G.mapping.w_avg"],
        "w_avg",
    )


def given(phase, key, shape=(), dtype=jnp.float32):
    """What the peer drew in that step, in our order of rows: z, a layer's noise, or the path
    length's."""
    n, *inner = shape
    rows = np.array(ORDER)[:: N // n]  # the path length's step has every second
    if len(inner) == 1:
        return jnp.asarray(drawn(f"z/{phase}", (N, Z))[rows])
    if inner[-1] == 1:
        return jnp.broadcast_to(
            drawn(f"noise{inner[0]}", (1, 1, *inner[:2])).reshape(1, *inner), shape
        )
    return jnp.asarray(drawn("pl_noise", (n, 3, *inner[:2])).transpose(0, 2, 3, 1)[rows])
