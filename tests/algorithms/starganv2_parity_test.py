"""StarGAN v2 beside the official code: the same weights and inputs give the same numbers, and the
same iteration of play.

tests/fixtures/starganv2.npz was made by clovaai/stargan-v2 at commit 875b70a on torch 2.13.0, CPU,
float32, its width at full size 128 / side (4 at 32x32) instead of 16384 / side, 16 channels at
most, style 6, z 5, three classes, w_hpf 0; every parameter filled by `weight`, on the inputs below.
`picture`, `logits` are before training; then its four updates in their order with lambda_ds 2 and
Adam as it makes it (1e-4, of the mapping 1e-6, betas 0 and 0.99, weight decay 1e-4) but eps 1e-3,
so that a gradient's rounding is not made a step of. "loss/..." is what it reports, "moved/..." how
far weights went (of the large ones every so many-th).
"""

import zlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import traverse_util

from gan_jax.algorithms import base, starganv2
from gan_jax.build import make_optimizers
from gan_jax.config import Config
from gan_jax.models.starganv2 import Discriminator, Generator, Mapping, StyleEncoder
from gan_jax.state import Player, TrainState
from gan_jax.step import make_step
from tests.paths import FIXTURES
from tests.xla_flags import AS_USERS

CARRY = {"augment": {}}  # nothing is augmented
REFERENCE = dict(np.load(FIXTURES / "starganv2.npz"))
SIDE, STYLE, Z, CLASSES, N = 32, 6, 5, 3, 4
Y, Y_NEW = np.array([0, 1, 2, 1], np.int32), np.array([2, 0, 1, 1], np.int32)
OFFICIAL = {
    "g": "generator",
    "mapping": "mapping_network",
    "encoder": "style_encoder",
    "d": "discriminator",
}


def drawn(name, shape):
    return (
        np.random.default_rng(zlib.crc32(name.encode())).standard_normal(shape).astype(np.float32)
    )


def weight(name, shape):
    x = drawn(name, shape)
    if name.endswith("bias"):
        return np.float32(0.1) * x
    if len(shape) == 1:
        return 1 + np.float32(0.1) * x
    return x * np.float32((2 / np.prod(shape[1:])) ** 0.5)


def image(name):
    return np.random.default_rng(zlib.crc32(name.encode())).integers(
        0, 256, (N, SIDE, SIDE, 3), dtype=np.uint8
    )


def official(who, path, shape):
    """[(official name, its shape, official array -> ours)] of our parameter; a class's own layers
    are one each there."""
    *place, kind = path
    block = {
        "conv0": "conv1",
        "conv1": "conv2",
        "norm0": "norm1",
        "norm1": "norm2",
        "shortcut": "conv1x1",
    }
    torch = {"kernel": "weight", "scale": "weight", "bias": "bias"}[kind]
    flip = lambda x: x.transpose(2, 3, 1, 0) if x.ndim == 4 else x.T
    levels = {"g": 1, "encoder": 3, "d": 3}.get(who)
    if who == "g":
        where = {
            "from_image": "from_rgb",
            "norm": "to_rgb.0",
            "to_image": "to_rgb.2",
            "down0": "encode.0",
        }
        where |= {
            "middle0": "encode.1",
            "middle1": "encode.2",
            "middle2": "decode.0",
            "middle3": "decode.1",
            "up0": "decode.2",
        }
        name = ".".join([where[place[0]], *(block[p] if p != "set" else "fc" for p in place[1:])])
    elif who == "mapping":
        if place[0].startswith("Dense_"):
            name = f"shared.{2 * int(place[0][6:])}"
        else:
            return classes(lambda k: f"unshared.{k}.{2 * int(place[0][3:])}", torch, shape)
    else:
        trunk = "shared" if who == "encoder" else "main"
        if place[0] == "own" and who == "encoder":
            return classes(lambda k: f"unshared.{k}", torch, shape)
        if place[0] == "own":  # a 1x1 convolution to a number a class
            alone = (CLASSES, shape[1], 1, 1) if kind == "kernel" else (CLASSES,)
            return [("main.7." + torch, alone, lambda x: x.reshape(shape))]
        if place[0] == "grid":
            inputs = (16, 16, 4, 4) if kind == "kernel" else (16,)
            to_ours = lambda x: flip(x).reshape(-1, 16) if x.ndim == 4 else x
            return [(f"{trunk}.{levels + 2}.{torch}", inputs, to_ours)]
        first = f"{trunk}.{int(place[0][4:]) + 1}" if place[0].startswith("down") else f"{trunk}.0"
        name = ".".join([first, *(block[p] for p in place[1:])])
    there = {4: lambda: (shape[3], shape[2], *shape[:2]), 2: lambda: shape[::-1], 1: lambda: shape}[
        len(shape)
    ]()
    return [(f"{name}.{torch}", there, flip)]


def classes(name, torch, shape):
    alone = shape[:0:-1] if len(shape) == 3 else shape[1:]
    return [
        (f"{name(k)}.{torch}", alone, lambda x: x.T if x.ndim == 2 else x) for k in range(CLASSES)
    ]


def filled(who, params):
    """Our parameters with the official weights."""
    flat = {}
    for path, leaf in traverse_util.flatten_dict(params).items():
        found = official(who, path, leaf.shape)
        parts = [
            to_ours(weight(f"{OFFICIAL[who]}.{name}", shape)) for name, shape, to_ours in found
        ]
        flat[path] = jnp.asarray(np.stack(parts) if len(parts) > 1 else parts[0])
        assert flat[path].shape == leaf.shape, path
    return traverse_util.unflatten_dict(flat)


def close(ours, theirs, what):
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-4 * np.abs(theirs).max(), err_msg=what)


@pytest.fixture(scope="module")
def game():
    g = Generator((SIDE, SIDE, 3), width=4, widest=16, levels=1)
    encoder = StyleEncoder((SIDE, SIDE, 3), CLASSES, STYLE, width=4, widest=16)
    d = Discriminator((SIDE, SIDE, 3), CLASSES, width=4, widest=16)
    return starganv2.Algorithm(
        g, d, Mapping(CLASSES, STYLE), encoder, z_dim=Z, diversity=2.0, batch=N
    )


@pytest.fixture(scope="module")
def variables(game):
    g, d, carry = jax.eval_shape(
        game.init, jax.random.key(0), game.example((SIDE, SIDE, 3), CLASSES, N)
    )
    assert carry == CARRY
    fill = lambda variables: {
        who: filled(who, params) for who, params in variables["params"].items()
    }
    return fill(g), fill(d)


def test_networks(game, variables):
    params_g, params_d = variables
    x = base.to_float(jnp.asarray(image("image")))
    ema = {"params": params_g}
    s = jax.jit(game.style_from_noise)(ema, drawn("ze", (N, Z)), Y_NEW)
    close(s, REFERENCE["mapping"], "mapping")
    close(
        jax.jit(game.style_from_picture)(ema, base.to_float(jnp.asarray(image("target"))), Y_NEW),
        REFERENCE["encoder"],
        "encoder",
    )
    close(jax.jit(game.restyle)(ema, x, s), REFERENCE["picture"], "picture")
    logits = base.forward(game.d, params_d["d"], {}, x, Y)[0]
    close(logits, REFERENCE["logits"], "logits")


def test_an_iteration(game, variables, monkeypatch):
    names = iter(["ze", "ze", "zf"])  # D's, then G's two
    monkeypatch.setattr(base, "normal", lambda rng, n, z: jnp.asarray(drawn(next(names), (n, z))))
    params_g, params_d = variables
    adam = {"name": "adam", "lr": 1e-4, "b1": 0.0, "b2": 0.99, "eps": 1e-3, "weight_decay": 1e-4}
    config = Config(
        "starganv2",
        "starganv2",
        {},
        N,
        1.0,
        opt_d=adam,
        opt_g=adam | {"networks": {"mapping": {"lr": 1e-6}}},
    )
    tx = make_optimizers(config, game)
    player = lambda who, params: Player(params, {n: {} for n in params}, tx[who].init(params))
    rng = jax.random.key_data(jax.random.key(0))
    state = TrainState(jnp.int32(0), rng, player("g", params_g), player("d", params_d), {}, CARRY)
    batch = {name: image(name) for name in ("image", "target", "target2")} | {
        "label": Y,
        "target_label": Y_NEW,
    }
    parts = {"d": ("d/r1",), "g": ("loss", "style", "diversity", "cycle")}
    for phase, tag in zip(
        game.phases, ("d_latent", "d_reference", "g_latent", "g_reference"), strict=True
    ):
        optimizer_step = jax.jit(make_step(phase, tx[phase.who]), compiler_options=AS_USERS)
        state, found = optimizer_step(state, batch, jnp.int32(0))
        if phase.who == "d":
            close(
                found["d/loss"], REFERENCE[f"loss/{tag}/real"] + REFERENCE[f"loss/{tag}/fake"], tag
            )
            close(found["d/r1"] / 2, REFERENCE[f"loss/{tag}/reg"], tag)
        else:
            for ours, theirs in zip(parts["g"], ("adv", "sty", "ds", "cyc"), strict=True):
                close(
                    found[f"g/{tag[2:]}_{ours}"], REFERENCE[f"loss/{tag}/{theirs}"], f"{tag} {ours}"
                )
    checked = 0
    for before, after in ((params_d, state.d.params), (params_g, state.g.params)):
        for name in before:
            old, new = (traverse_util.flatten_dict(tree[name]) for tree in (before, after))
            for path in old:
                for k, (there, _, to_ours) in enumerate(official(name, path, old[path].shape)):
                    theirs = REFERENCE[f"moved/{OFFICIAL[name]}.{there}"]
                    checked += 1
                    if theirs.ndim == 1 and theirs.size < np.prod(old[path].shape):
                        continue  # thinned, in the official order
                    moved = np.asarray(new[path]) - np.asarray(old[path])
                    moved = moved[k] if len(official(name, path, old[path].shape)) > 1 else moved
                    want = to_ours(theirs)
                    if name == "g" and there.endswith(
                        ("conv1.bias", "conv2.bias", "from_rgb.bias")
                    ):
                        # an instance norm takes it out again: no gradient but rounding's
                        assert max(np.abs(want).max(), np.abs(moved).max()) < 1e-5
                        continue
                    tolerance = (
                        1e-3 * np.abs(want).max() + 1.2e-7 * np.abs(np.asarray(old[path])).max()
                    )
                    np.testing.assert_allclose(
                        moved, want, rtol=0, atol=tolerance, err_msg=f"{name} {there}"
                    )
    assert checked == sum(key.startswith("moved/") for key in REFERENCE)
