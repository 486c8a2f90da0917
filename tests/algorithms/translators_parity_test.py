"""pix2pix, CycleGAN, CUT and FastCUT beside the official code: equal numbers from equal weights,
and an equal training step.

tests/fixtures/translators.npz was made by taesungp/contrastive-unpaired-translation at commit
b3ac297 (whose networks.py is that of pytorch-CycleGAN-and-pix2pix with anti-aliasing added, on and
off here) on torch 2.13.0, CPU, float64: 32x32 pictures, 4 channels at full size, five residual
blocks, a U-Net of five levels without dropout, heads of 16 numbers, 64 patches. Every parameter is
filled by `weight`, counted in the order of its layers. The steps are the official classes' own
`optimize_parameters` (pix2pix's, not in that repository, is written as there: D, then G; BCE and
100 L1), Adam 2e-4, betas 0.5 and 0.999, but eps 1, so that a gradient's rounding is not made a step
of. "moved/..." is how far weights went, of the large ones every so many-th, in our layout.
"""

import zlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import traverse_util

from gan_jax.algorithms import base, cut, cyclegan, pix2pix
from gan_jax.build import make_optimizers
from gan_jax.config import Config
from gan_jax.models import cut as cut_models
from gan_jax.models import cyclegan as cyclegan_models
from gan_jax.models import pix2pix as pix2pix_models
from gan_jax.state import Player, TrainState
from gan_jax.step import make_step
from tests.paths import FIXTURES

REFERENCE = np.load(FIXTURES / "translators.npz")
N, SIDE, BLOCKS, LEVELS = 2, 32, 5, 5
SHAPE = (SIDE, SIDE, 3)
RESNET = (
    ["first", "down0", "down1"]
    + [f"block{n}_{i}" for n in range(BLOCKS) for i in (0, 1)]
    + ["up1", "up0", "last"]
)
PATCH = ["level0", "level1", "level2", "level3", "last"]
UNET = [f"down{n}" for n in range(LEVELS)] + [f"up{n}" for n in reversed(range(LEVELS))]
HEADS = [f"{place}{n}" for n in range(5) for place in ("first", "second")]
LAYERS = {
    "g": RESNET,
    "gab": RESNET,
    "gba": RESNET,
    "d": PATCH,
    "dp": PATCH,
    "da": PATCH,
    "db": PATCH,
    "u": UNET,
    "f": HEADS,
}
# an instance norm after these takes their bias out again
WITHOUT_GRADIENT = {"first", "down0", "down1", "up0", "up1", "level1", "level2", "level3"} | {
    f"block{n}_{i}" for n in range(BLOCKS) for i in (0, 1)
}


def image(name):
    return np.random.default_rng(zlib.crc32(name.encode())).integers(0, 256, (N, *SHAPE), np.uint8)


def weight(name, shape):
    """An official parameter's value, in its own layout."""
    x = np.random.default_rng(zlib.crc32(name.encode())).standard_normal(shape).astype(np.float32)
    if len(shape) == 1:
        return (1 if name.endswith("scale") else 0) + np.float32(0.1) * x
    return x * np.float32((2 / (np.prod(shape[1:]) if len(shape) == 4 else shape[1])) ** 0.5)


def official(who, path):
    """The fixture's name of our parameter at this path: g.c3.kernel, u.n0.scale."""
    layer, leaf = path
    kind, number = (
        ("n", layer.rsplit("_", 1)[1]) if "Norm" in layer else ("c", LAYERS[who].index(layer))
    )
    return f"{who}.{kind}{number}.{leaf}"


def filled(who, params):
    """Our parameters with the official weights."""
    flat = {}
    for path, leaf in traverse_util.flatten_dict(params).items():
        axes = {4: (3, 2, 0, 1), 2: (1, 0), 1: (0,)}[leaf.ndim]
        theirs = weight(official(who, path), tuple(leaf.shape[axis] for axis in axes))
        flat[path] = jnp.asarray(theirs.transpose(np.argsort(axes)), jnp.float32)
    return traverse_util.unflatten_dict(flat)


def close(ours, theirs, what):
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-4 * np.abs(theirs).max(), err_msg=what)


def variables(game, who):
    """(G side's, critics' variables with the official weights, carry); who: our networks' names ->
    the fixture's."""
    shapes = jax.eval_shape(game.init, jax.random.key(0), game.example(SHAPE, 0, N))
    fresh = game.init(jax.random.key(0), game.example(SHAPE, 0, N))
    filling = [
        {name: filled(who[name], params) for name, params in side["params"].items()}
        for side in shapes[:2]
    ]
    return [
        {"params": p, "mutable": side["mutable"]}
        for p, side in zip(filling, fresh[:2], strict=True)
    ] + [fresh[2]]


def played(game, who, algorithm):
    """(metrics, our weights' movement by the fixture's names) of one iteration."""
    adam = {"name": "adam", "lr": 2e-4, "b1": 0.5, "b2": 0.999, "eps": 1.0}
    tx = make_optimizers(Config(algorithm, algorithm, {}, N, 1.0, opt_d=adam, opt_g=adam), game)
    g, d, carry = variables(game, who)
    player = lambda side, v: Player(v["params"], v["mutable"], tx[side].init(v["params"]))
    rng = jax.random.key_data(jax.random.key(0))
    state = TrainState(jnp.int32(0), rng, player("g", g), player("d", d), {}, carry)
    batch, found = {"image": image("a"), "target": image("b")}, {}
    for phase in game.phases:
        state, metrics = jax.jit(make_step(phase, tx[phase.who]))(state, batch, jnp.int32(0))
        found |= metrics
    moved = {}
    for before, after in ((g, state.g), (d, state.d)):
        for name, params in before["params"].items():
            old, new = (
                traverse_util.flatten_dict(params),
                traverse_util.flatten_dict(after.params[name]),
            )
            moved |= {(who[name], path): (old[path], new[path] - old[path]) for path in old}
    return found, moved


def check_moves(tag, moved, tolerance=1e-3, with_gradient=()):
    names = set()
    for (who, path), (old, ours) in moved.items():
        name = official(who, path)
        names.add(name)
        theirs = REFERENCE[f"moved/{tag}/{name}"]
        ours = np.asarray(ours).reshape(-1)[:: max(1, ours.size // 200)]
        if (
            path[1] == "bias"
            and path[0] in WITHOUT_GRADIENT
            and path[0] not in with_gradient
            and who != "u"
        ):
            assert max(np.abs(theirs).max(), np.abs(ours).max()) < 1e-5, name
            continue
        rounding = 1.2e-7 * np.abs(np.asarray(old)).max() * ours.size**0.5
        assert np.linalg.norm(ours - theirs) <= tolerance * np.linalg.norm(theirs) + rounding, name
    assert names == {key.split("/")[2] for key in REFERENCE if key.startswith(f"moved/{tag}/")}


@pytest.mark.parametrize("blur", [False, True])
def test_residual_generator_and_patch_critic(blur):
    module = cut_models if blur else cyclegan_models
    game = cyclegan.Algorithm(
        module.Generator(SHAPE, width=4, blocks=BLOCKS),
        module.Discriminator(SHAPE, width=4),
        batch=N,
    )
    g, d, _ = variables(game, {"g_ab": "g", "g_ba": "gba", "d_a": "d", "d_b": "db"})
    x = base.to_float(jnp.asarray(image("a")))
    close(jax.jit(game.restyle)(g, x, jnp.zeros((N, 0))), REFERENCE[f"resnet{blur:d}"], "picture")
    close(
        jax.jit(game.critic, static_argnums=1)(d["params"], "a", x),
        REFERENCE[f"patch{blur:d}"],
        "logits",
    )
    if blur:
        taps = (0, 4, 8, 12, 16)
        _, layers = jax.jit(lambda p: game.g.apply({"params": p}, x, taps))(g["params"]["g_ab"])
        for number, layer in zip(taps, layers, strict=True):
            close(np.asarray(layer).reshape(-1)[::37], REFERENCE[f"tap{number}"], f"layer {number}")


@pytest.fixture(scope="module")
def pairs():
    g = pix2pix_models.Generator(SHAPE, width=4, levels=LEVELS, dropout=0.0)
    return pix2pix.Algorithm(g, pix2pix_models.Discriminator(SHAPE, width=4))


def test_unet(pairs):
    g, _, _ = variables(pairs, {"g": "u", "d": "dp"})
    x_fake, _ = jax.jit(pairs.translated)(
        g["params"], g["mutable"], base.to_float(jnp.asarray(image("a"))), jax.random.key(0)
    )
    close(x_fake, REFERENCE["unet"], "picture")


def test_pix2pix_step(pairs):
    found, moved = played(pairs, {"g": "u", "d": "dp"}, "pix2pix")
    for ours, theirs in (("d/loss", "d"), ("g/loss", "g"), ("g/l1", "l1")):
        close(found[ours], REFERENCE[f"pix2pix/{theirs}"], ours)
    check_moves("pix2pix", moved)


def test_cyclegan_step():
    g = cyclegan_models.Generator(SHAPE, width=4, blocks=BLOCKS)
    game = cyclegan.Algorithm(g, cyclegan_models.Discriminator(SHAPE, width=4), batch=N)
    found, moved = played(
        game, {"g_ab": "gab", "g_ba": "gba", "d_a": "da", "d_b": "db"}, "cyclegan"
    )
    weights = {"cycle": 10, "identity": 5, "loss": 1}
    for ours, theirs in (("loss", "G_A"), ("cycle", "cycle_B"), ("identity", "idt_A")):
        close(weights[ours] * found[f"g/b_{ours}"], REFERENCE[f"cyclegan/{theirs}"], ours)
    for ours, theirs in (("loss", "G_B"), ("cycle", "cycle_A"), ("identity", "idt_B")):
        close(weights[ours] * found[f"g/a_{ours}"], REFERENCE[f"cyclegan/{theirs}"], ours)
    close(found["d/b_loss"] / 2, REFERENCE["cyclegan/D_A"], "D_A")
    close(found["d/a_loss"] / 2, REFERENCE["cyclegan/D_B"], "D_B")
    check_moves("cyclegan", moved)


@pytest.fixture
def float64(monkeypatch):
    """All of it in float64, as the fixture is."""
    monkeypatch.setattr(jnp, "float32", jnp.float64)
    with jax.enable_x64(True):
        yield


@pytest.mark.parametrize("tag", ["cut", "fastcut"])
def test_cut_step(tag, monkeypatch, float64):
    """In float64: the softmax over close patches magnifies float32's rounding to 1 % of a step, on
    either side."""
    monkeypatch.setattr(jax.random, "permutation", lambda rng, n: (jnp.arange(n) * 7 + 3) % n)
    monkeypatch.setattr(jax.random, "bernoulli", lambda rng: jnp.bool_(True))
    g, d = (
        net(SHAPE, width=4, dtype="float64")
        for net in (cut_models.Generator, cut_models.Discriminator)
    )
    g = g.clone(blocks=BLOCKS)
    how = {"flip": True, "identity": False, "nce": 10.0} if tag == "fastcut" else {}
    game = cut.Algorithm(g, d, cut_models.Heads(16), patches=64, **how)
    found, moved = played(game, {"g": "g", "heads": "f", "d": "d"}, "cut")
    close(found["g/loss"], REFERENCE[f"{tag}/G_GAN"], "adversarial")
    close(game.nce * found["g/nce"], REFERENCE[f"{tag}/NCE"], "PatchNCE")
    if game.identity:
        close(found["g/nce_identity"], REFERENCE[f"{tag}/NCE_Y"], "PatchNCE of y")
    close(found["d/loss"], REFERENCE[f"{tag}/D_real"] + REFERENCE[f"{tag}/D_fake"], "D")
    check_moves(tag, moved, with_gradient={"down0", "down1"})
