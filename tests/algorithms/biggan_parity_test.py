"""BigGAN against its peers, with the same weights and inputs on both sides.

The references (fixtures/biggan.npz, torch 2.13.0, CPU, float32): BigGAN-PyTorch 9845943 `Generator`
and `Discriminator` at 32x32 (5 classes, shared embedding of 8, z 16 cut into 4, attention in G at
16, BN_eps 1e-5, SN_eps 1e-6), one step each by `losses.py` and their own Adam (lr 4e-4 and 1e-4,
betas 0 and 0.999, eps 1e-6), G's from its own start: a step of ours drops the other player's state;
`utils.ortho`; `layers.Attention` alone; `utils.accumulate_standing_stats` with `--mybn`, three
passes. PyTorch-StudioGAN 947b35e `big_resnet`, attention after G's second and D's first block, with
and without classes. Parameters and buffers are drawn from their names by `drawn`. A table whose
left singular vector the peers follow, where we follow the right one, starts with it converged:
sigma is then the same.
"""

import zlib

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gan_jax import optim, regularizers
from gan_jax.algorithms import base, noise_to_image
from gan_jax.models import biggan
from gan_jax.nn.attention import SelfAttention
from gan_jax.state import Phase, Player, TrainState
from gan_jax.step import make_step
from tests.paths import FIXTURES

REFERENCE = np.load(FIXTURES / "biggan.npz")
CLASSES, Z, SHARED = 5, 16, 8
RNG = np.random.default_rng(0)
NOISE = RNG.standard_normal((4, Z)).astype(np.float32)
IMAGES = np.round((RNG.uniform(-1, 1, (4, 32, 32, 3)).astype(np.float32) + 1) * 127.5).astype(
    np.uint8
)
LABELS = np.array([0, 3, 4, 3])

CORNER = {"d.linear.bias": -90, "d.linear1.bias": -200}  # bring the logits near the hinge's corner

LEAVES = {
    "kernel": "weight",
    "": "weight",
    "spectral_norm/u": "u0",
    "u": "u0",
    "mean": "stored_mean",
    "var": "stored_var",
}
STUDIO_LEAVES = {
    "kernel": "weight_orig",
    "": "weight_orig",
    "spectral_norm/u": "weight_u",
    "u": "weight_u",
}
STUDIO_LEAVES |= {"mean": "running_mean", "var": "running_var", "gamma": "sigma", "scale": "weight"}


def block(kind, conv, bn=""):
    """Our layers of a block -> the peer's, of which `bn` is the batch norm within a conditional
    one."""
    layers = {f"Conv_{i}": name for i, name in enumerate(conv)}
    for i in (0, 1) if kind == "Gen" else ():
        layers |= {
            f"ConditionalBatchNorm_{i}/{part}": f"bn{i + 1}.{part}" for part in ("gain", "bias")
        }
        layers |= {
            f"ConditionalBatchNorm_{i}/{part}_spectral_norm": f"bn{i + 1}.{part}"
            for part in ("gain", "bias")
        }
        layers[f"ConditionalBatchNorm_{i}/BatchNorm_0"] = f"bn{i + 1}{bn}"
    return layers


def layers_of(own, kind, layers, numbers, attention, parts):
    """Our layers of a network -> the peer's. numbers: of its blocks in the peer; attention: the
    peer's name of it."""
    own = own | {f"SelfAttention_0/Conv_{i}": f"{attention}.{part}" for i, part in enumerate(parts)}
    for i, number in enumerate(numbers):
        own |= {
            f"{kind}Block_{i}/{ours}": f"blocks.{number}.0.{theirs}"
            for ours, theirs in layers.items()
        }
    return own | {"SelfAttention_0": attention}


BIGGAN_CONV, BIGGAN_PARTS = ("conv1", "conv2", "conv_sc"), ("theta", "phi", "g", "o")
STUDIO_CONV, STUDIO_PARTS = (
    ("conv2d1", "conv2d2", "conv2d0"),
    [f"conv1x1_{part}" for part in ("theta", "phi", "g", "attn")],
)
BIGGAN_G = layers_of(
    {
        "Dense_0": "linear",
        "BatchNorm_0": "output_layer.0",
        "Conv_0": "output_layer.2",
        "embed": "shared",
    },
    "Gen",
    block("Gen", BIGGAN_CONV),
    (0, 1, 2),
    "blocks.1.1",
    BIGGAN_PARTS,
)
BIGGAN_D = layers_of(
    {"Dense_0": "linear", "Embed_0": "embed"},
    "Disc",
    block("Disc", BIGGAN_CONV),
    (0, 1, 2, 3),
    "",
    BIGGAN_PARTS,
)
STUDIO_G = layers_of(
    {"Dense_0": "linear0", "BatchNorm_0": "bn4", "Conv_0": "conv2d5", "embed": "shared"},
    "Gen",
    block("Gen", STUDIO_CONV, ".bn"),
    (0, 1, 3),
    "blocks.2.0",
    STUDIO_PARTS,
)
STUDIO_D = layers_of(
    {"Dense_0": "linear1", "Embed_0": "embedding"},
    "Disc",
    block("Disc", STUDIO_CONV),
    (0, 2, 3, 4),
    "blocks.1.0",
    STUDIO_PARTS,
)


def drawn(name, shape):
    """What the peer's array of this name holds."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    leaf = name.rsplit(".", 1)[-1]
    if name in CORNER:
        return np.full(shape, CORNER[name], np.float32)
    if leaf in ("gamma", "sigma"):  # attention's
        return np.full(shape, 0.8, np.float32)
    if leaf in ("stored_var", "running_var"):
        return rng.uniform(0.5, 1.5, shape).astype(np.float32)
    x = rng.standard_normal(shape).astype(np.float32)
    if leaf in ("u0", "weight_u"):
        return x
    return x * np.float32(1 / np.sqrt(np.prod(shape[1:])) if len(shape) > 1 else 0.5)


def peers(name, layers, leaves):
    """Our leaf "GenBlock_0/Conv_1/kernel" -> the peer's "blocks.0.0.conv2.weight"."""
    layer = max(
        (layer for layer in layers if name == layer or name.startswith(layer + "/")),
        key=len,
        default="",
    )
    leaf = name.removeprefix(layer).lstrip("/")
    if layer == "embed":
        return "shared.weight"
    if layer.startswith("BatchNorm") and leaves is LEAVES:
        leaf = {"scale": "gain"}.get(leaf, leaf)
    return f"{layers.get(layer, '')}.{leaves.get(leaf, leaf)}".lstrip(".")


def ours(tree, layers, leaves, read, generator):
    """The tree with every leaf read from the peer: read(the peer's name, its shape) -> array, laid
    out as ours."""

    def leaf(path, like):
        name = "/".join(key.key for key in path)
        shape, tabled = like.shape, "mbed" in name
        if len(shape) > 1 and not tabled:
            shape = (shape[-1], shape[-2], *shape[:-2])
        x = read(peers(name, layers, leaves), shape)
        if generator and name.startswith("Dense_0/"):  # [C, 4, 4] flattened there, [4, 4, C] here
            x = np.moveaxis(x.reshape(-1, 16, *x.shape[1:]), 1, 0).reshape(x.shape)
        if len(shape) > 1 and not tabled:
            x = np.moveaxis(x, (0, 1), (-1, -2))
        return x.reshape(like.shape)

    return jax.tree_util.tree_map_with_path(leaf, tree)


def network(net, prefix, layers, leaves, *args):
    """(params, mutable) of a network of ours with the peer's weights."""
    shapes = jax.eval_shape(lambda: net.init(jax.random.key(0), *args, train=True))
    read = lambda name, shape: drawn(prefix + name, shape)
    variables = {part: ours(shapes[part], layers, leaves, read, prefix == "g.") for part in shapes}
    if "Embed_0" in shapes["params"]:  # its right singular vector, where theirs is the left one
        table = variables["params"]["Embed_0"]["kernel"]
        variables["spectral"]["Embed_0"]["spectral_norm"]["u"] = np.linalg.svd(table)[2][0]
    return variables.pop("params"), variables


def close(got, want, what=""):
    """Within 1e-4 of the greatest magnitude."""
    assert np.shape(got) == np.shape(want)
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-4 * np.abs(want).max(), err_msg=what)


def adam(lr):
    phase = Phase("d", None)
    return optim.make(place="", lr=lr, b1=0.0, eps=1e-6, phases=[phase], batch=4, total_kimg=1.0)


@pytest.fixture(scope="module")
def played():
    """(after D's step, after G's, their metrics) from the peer's weights, on the peer's noise."""
    g = biggan.Generator((32, 32, 3), CLASSES, width=4, attention=16, embedding=SHARED)
    game = noise_to_image.Algorithm(g, biggan.Discriminator((32, 32, 3), CLASSES, width=2), z_dim=Z)
    batch, tx = {"image": IMAGES, "label": LABELS}, {"g": adam(1e-4), "d": adam(4e-4)}
    *_, carry = game.init(jax.random.key(0), batch)
    wrap = lambda params, mutable, name: Player(
        {name: params}, {name: mutable}, tx[name].init({name: params})
    )
    players = {
        "g": wrap(*network(game.g, "g.", BIGGAN_G, LEAVES, NOISE, LABELS), "g"),
        "d": wrap(
            *network(game.d, "d.", BIGGAN_D, LEAVES, base.to_float(jnp.asarray(IMAGES)), LABELS),
            "d",
        ),
    }
    state = TrainState(
        jnp.int32(0), jax.random.key_data(jax.random.key(0)), **players, ema={}, carry=carry
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(base, "normal", lambda rng, rows, *shape: jnp.asarray(NOISE))
        after_d, metrics_d = jax.jit(make_step(game.phases[0], tx["d"]))(state, batch, jnp.int32(0))
        after_g, metrics_g = jax.jit(make_step(game.phases[1], tx["g"]))(
            after_d, batch, jnp.int32(1)
        )
    return after_d, after_g, metrics_d | metrics_g


def test_losses(played):
    *_, metrics = played
    close(metrics["d/loss"], REFERENCE["loss_d"])
    close(metrics["g/loss"], REFERENCE["loss_g"])
    close(metrics["d/real"], REFERENCE["logits_real"].mean())
    close(metrics["d/fake"], REFERENCE["logits_fake"].mean())


@pytest.mark.parametrize(("who", "layers"), [("d", BIGGAN_D), ("g", BIGGAN_G)])
def test_one_step(played, who, layers):
    """Gradients (Adam's first moment where b1 = 0), weights, u and batch statistics after each
    player's step."""
    player = getattr(played[0] if who == "d" else played[1], who)
    (moments,) = (x for x in jax.tree.leaves(player.opt, is_leaf=is_adam) if is_adam(x))
    got = {"grad": moments.mu[who], "new": player.params[who], "u": player.mutable[who]["spectral"]}
    got |= {"stats": player.mutable["g"]["batch_stats"]} if who == "g" else {}
    for part, tree in got.items():

        def read(name, shape, part=part):
            x = REFERENCE[f"{part}/{who}.{name}"]
            if name == "embed.u0":
                x = x @ drawn("d.embed.weight", (CLASSES, *shape))
                x = x / np.linalg.norm(x)
            return x.reshape(shape)

        want = ours(tree, layers, LEAVES, read, who == "g")
        largest = max(np.abs(x).max() for x in jax.tree.leaves(want))
        for (path, x), y in zip(
            jax.tree.leaves_with_path(tree), jax.tree.leaves(want), strict=True
        ):
            # a bias before a batch norm has gradient 0, whose rounding is nobody's number
            atol = 1e-4 * max(np.abs(y).max(), 1e-3 * largest if part == "grad" else 0)
            np.testing.assert_allclose(
                x, y, rtol=0, atol=atol, err_msg=f"{part}{jax.tree_util.keystr(path)}"
            )


def is_adam(x):
    return isinstance(x, optax.ScaleByAdamState)


def test_attention_alone():
    x = np.random.default_rng(1).standard_normal((2, 6, 8, 16)).astype(np.float32)
    layers = {f"Conv_{i}": part for i, part in enumerate(BIGGAN_PARTS)}
    params, mutable = network(SelfAttention(), "attention.", layers, LEAVES, x)
    close(base.forward(SelfAttention(), params, mutable, x)[0] - x, REFERENCE["attention"] - x)


@pytest.mark.parametrize("classes", [CLASSES, 0])
def test_studiogans_networks(classes):
    """Attention in both; without classes z alone sets the batch norms."""
    tag, y = ("cond", LABELS) if classes else ("plain", None)
    settings = dict(width=4, arch="studiogan", attention=16)
    g = biggan.Generator((32, 32, 3), classes, embedding=SHARED, eps=1e-4, **settings)
    params, mutable = network(g, "g.", STUDIO_G, STUDIO_LEAVES, NOISE, y)
    images = jax.jit(lambda z: base.forward(g, params, mutable, z, y)[0])(NOISE)
    close(images[:1], REFERENCE[f"studio_{tag}/images"])
    d = biggan.Discriminator((32, 32, 3), classes, **settings)
    x = jnp.concatenate([base.to_float(jnp.asarray(IMAGES)), images])
    y = None if y is None else np.concatenate([y, y])
    params, mutable = network(d, "d.", STUDIO_D, STUDIO_LEAVES, x, y)
    close(
        jax.jit(lambda x: base.forward(d, params, mutable, x, y)[0])(x),
        REFERENCE[f"studio_{tag}/logits"],
    )


def test_orthogonal_regularization():
    """The norm of each kernel's gradient; none of the shared embedding and of vectors."""
    g = biggan.Generator((32, 32, 3), CLASSES, width=4, attention=16, embedding=SHARED)
    params, _ = network(g, "g.", BIGGAN_G, LEAVES, NOISE, LABELS)
    grads = jax.jit(jax.grad(regularizers.orthogonal))(params)
    norms = jax.tree.map(lambda x: np.full(x.shape, np.linalg.norm(x)), grads)
    want = ours(
        params,
        BIGGAN_G,
        LEAVES,
        lambda name, shape: np.full(shape, REFERENCE[f"ortho/g.{name}"]),
        True,
    )
    for (path, x), y in zip(jax.tree.leaves_with_path(norms), jax.tree.leaves(want), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-4, err_msg=jax.tree_util.keystr(path))


def test_standing_statistics():
    """The moments of three training passes averaged, u moving on from one to the next."""
    g = biggan.Generator((32, 32, 3), CLASSES, width=4, attention=16, embedding=SHARED)
    params, mutable = network(g, "g.", BIGGAN_G, LEAVES, NOISE, LABELS)
    rng, passes = np.random.default_rng(2), []
    run = jax.jit(lambda mutable, z, y: base.forward(g, params, mutable, z, y)[1])
    for _ in range(3):
        z, y = rng.standard_normal((4, Z)).astype(np.float32), rng.integers(0, CLASSES, 4)
        mutable = run(mutable | {"moments": {}}, z, y)
        passes.append(mutable.pop("moments"))
    stats = jax.tree.map(lambda *x: sum(x) / 3, *passes)
    read = lambda name, shape: REFERENCE[f"standing/g.{name}"]
    jax.tree.map(close, stats, ours(stats, BIGGAN_G, LEAVES, read, True))
