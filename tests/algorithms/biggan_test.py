"""BigGAN and SAGAN: sizes, z's chunks, spectral norm, attention, types, standing statistics,
orthogonal regularization."""

import dataclasses

import jax
import jax.extend
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax import regularizers
from gan_jax.algorithms import base, noise_to_image
from gan_jax.algorithms.base import forward
from gan_jax.models import biggan, dcgan, mlp, sngan
from gan_jax.nn.attention import SelfAttention
from gan_jax.state import Player, TrainState

# Parameters of the peers' own modules: sum(p.numel() for p in net.parameters()). StudioGAN's
# `big_resnet` as its CIFAR-10 config has it, with classes and without; BigGAN-PyTorch's networks
# with a shared embedding and hierarchical z
PEERS = {  # arch, side, width, attention, z, classes
    ("studiogan", 32, 96, 16, 80, 10): (9416196, 2415170),
    ("studiogan", 32, 96, 16, 80, 0): (8825092, 2413250),
    ("biggan", 32, 64, 0, 128, 10): (4373251, 4207361),
    ("biggan", 64, 64, 32, 120, 1000): (31969540, 20571842),
    ("biggan", 128, 96, 64, 120, 1000): (70433988, 87982370),
    ("biggan", 256, 96, 64, 140, 1000): (82235844, 99225890),
}


def shapes(net, *args):
    return jax.eval_shape(lambda: net.init(jax.random.key(0), *args, train=True))


def count(variables):
    return sum(x.size for x in jax.tree.leaves(variables["params"]))


def networks(shape=(32, 32, 3), classes=3, **settings):
    """(G, D) small enough for a test, attention included."""
    settings = {"width": 2, "attention": 16, **settings}
    return biggan.Generator(shape, classes, embedding=4, **settings), biggan.Discriminator(
        shape, classes, **settings
    )


def init_network(net, seed, *args):
    """base.init_network, compiled as one program."""
    return jax.jit(lambda rng: base.init_network(net, rng, *args))(jax.random.key(seed))


def noise(n=3, width=8, seed=0):
    return jax.random.normal(jax.random.key(seed), (n, width))


@pytest.mark.parametrize(("arch", "side", "width", "attention", "z", "classes"), PEERS)
def test_parameter_counts_are_the_peers(arch, side, width, attention, z, classes):
    shape, y, settings = (
        (side, side, 3),
        jnp.zeros(2, int) if classes else None,
        {"arch": arch, "attention": attention},
    )
    g = shapes(biggan.Generator(shape, classes, width=width, **settings), jnp.zeros((2, z)), y)
    d = shapes(
        biggan.Discriminator(shape, classes, width=width, **settings), jnp.zeros((2, *shape)), y
    )
    assert (count(g), count(d)) == PEERS[arch, side, width, attention, z, classes]


@pytest.mark.parametrize(
    ("shape", "classes"), [((32, 32, 1), 3), ((32, 40, 4), 0), ((80, 64, 3), 0)]
)
def test_shapes_range_and_labels(shape, classes):
    g, d = networks(shape, classes, width=1)
    z, y = noise(width=20), jnp.array([0, 1, 2]) if classes else None
    params, mutable = init_network(g, 1, z, y)
    images = jax.jit(lambda z: forward(g, params, mutable, z, y)[0])(z)
    assert (
        images.shape == (3, *shape)
        and images.dtype == jnp.float32
        and float(jnp.abs(images).max()) <= 1
    )
    params, mutable = init_network(d, 2, images, y)
    judge = jax.jit(lambda y: forward(d, params, mutable, images, y)[0])
    assert judge(y).shape == (3,) and judge(y).dtype == jnp.float32
    if classes:
        assert not np.allclose(judge(y), judge((y + 1) % 3)), "the label makes no difference"


def test_a_chunk_of_z_for_the_first_layer_and_one_for_each_block():
    """Told apart by what still changes the picture when some blocks' batch norms do not read their
    chunk."""
    g, _ = networks()
    y = jnp.array([0, 1, 2])
    params, mutable = init_network(g, 1, noise(), y)
    draw = jax.jit(lambda params, z, y: forward(g, params, mutable, z, y)[0])
    swapped = [
        noise().at[:, 2 * i : 2 * i + 2].set(noise(seed=5)[:, 2 * i : 2 * i + 2]) for i in range(4)
    ]

    def deaf(rows, *blocks):  # a table has 4 rows of the label, then 2 of the chunk
        change = lambda path, x: x.at[rows].set(0) if path[0].key in blocks and x.ndim == 2 else x
        return jax.tree_util.tree_map_with_path(change, params)

    def moves(*blocks):
        without = deaf(slice(4, None), *(f"GenBlock_{i}" for i in blocks))
        first = draw(without, noise(), y)
        return [bool(np.abs(draw(without, z, y) - first).max() > 1e-3) for z in swapped]

    assert moves() == [True] * 4
    assert moves(0, 1, 2) == [True, False, False, False]
    assert moves(0) == [True, False, True, True]
    assert moves(1, 2) == [True, True, False, False]
    for blocks, change in (((0, 1, 2), False), ((0, 1), True), ((1, 2), True)):
        without = deaf(slice(4), *(f"GenBlock_{i}" for i in blocks))
        difference = np.abs(draw(without, noise(), y) - draw(without, noise(), (y + 1) % 3)).max()
        assert (difference > 1e-3) == change, f"the label, without blocks {blocks}"


@pytest.mark.parametrize("model", ["biggan", "sagan"])
def test_spectral_norm_is_everywhere_but_in_gs_tables_of_labels(model):
    if model == "biggan":
        nets = networks()
    else:
        settings = dict(width=2, attention=16, spectral_norm=True)
        nets = (
            sngan.Generator((32, 32, 3), 3, **settings),
            sngan.Discriminator((32, 32, 3), 3, **settings),
        )
    y = jnp.zeros(2, int)
    for net, x in zip(nets, (jnp.zeros((2, 8)), jnp.zeros((2, 32, 32, 3))), strict=True):
        variables = shapes(net, x, y)
        path = lambda path: [key.key for key in path]
        kernels = {
            tuple(path(p)): x
            for p, x in jax.tree.leaves_with_path(variables["params"])
            if x.ndim > 1
        }
        if "embed" in variables["params"]:
            del kernels["embed", "kernel"]
        if model == "sagan":
            kernels = {p: x for p, x in kernels.items() if p[-1] == "kernel"}
        divided = {tuple(path(p)): x for p, x in jax.tree.leaves_with_path(variables["spectral"])}
        names = {
            (*p[:-2], p[-2].removesuffix("spectral_norm").rstrip("_") or "kernel"): x
            for p, x in divided.items()
        }
        assert {p: x.shape[-1:] for p, x in kernels.items()} == {
            p: x.shape for p, x in names.items()
        }


def test_attention_starts_as_identity_and_sees_the_whole_map():
    x = jax.random.normal(jax.random.key(0), (1, 6, 7, 8))
    layer = SelfAttention()
    params, mutable = init_network(layer, 1, x)
    run = lambda gamma, x: forward(
        layer, params | {"gamma": jnp.float32(gamma)}, mutable, x, train=False
    )[0]
    assert params["gamma"] == 0 and np.array_equal(run(0.0, x), x)
    reached = jax.grad(lambda x: run(1.0, x)[0, 5, 6].sum())(x)
    assert float(jnp.abs(reached[0, :2, :2]).max()) > 1e-6


@pytest.mark.parametrize(
    ("settings", "width", "error"),
    [
        ({}, 10, r"config.game.z_dim=10: .* multiple of 4. Use 8 or 12."),
        ({}, 3, r"config.game.z_dim=3: .* multiple of 4. Use 4."),
        ({"shape": (48, 48, 3)}, 8, r"images 48x48: .* one of 32, 64, 128, 256"),
        ({"shape": (32, 38, 3)}, 8, r"images 32x38"),
        ({"attention": 20}, 8, r"config.g.attention=20: .* 8, 16, 32, or 0"),
        ({"arch": "biggam"}, 8, r"config.g.arch='biggam' is not known. Did you mean 'biggan'"),
    ],
)
def test_what_does_not_fit_is_named(settings, width, error):
    with pytest.raises(ValueError, match=error):
        shapes(networks(**settings)[0], jnp.zeros((2, width)), jnp.zeros(2, int))


def test_ds_attention_that_no_block_reaches_is_named():
    with pytest.raises(ValueError, match=r"config.d.attention=32: .* one of 8, 16, or 0"):
        shapes(networks(attention=32)[1], jnp.zeros((2, 32, 32, 3)), jnp.zeros(2, int))


def test_recomputed_activations_are_the_same_numbers():
    """Pictures, logits, new state, and gradients through both networks; and the same parameters by
    name."""
    results = []
    for remat in (False, True):
        (g, d), y = networks(remat=remat), jnp.array([0, 1, 2])
        params_g, mutable_g = init_network(g, 1, noise(), y)
        params_d, mutable_d = init_network(d, 2, jnp.zeros((3, 32, 32, 3)), y)

        def loss(params_g, params_d):
            images, new_g = forward(g, params_g, mutable_g, noise(), y)
            logits, new_d = forward(d, params_d, mutable_d, images, y)
            return jnp.mean(logits), (images, new_g, new_d)

        step = jax.jit(jax.value_and_grad(loss, (0, 1), has_aux=True))
        results.append(step(params_g, params_d))
        remade = str(jax.make_jaxpr(step)(params_g, params_d)).count("remat")
        assert (remade > 0) == remat
    assert jax.tree.structure(results[0]) == jax.tree.structure(results[1])
    for x, y in zip(jax.tree.leaves(results[0]), jax.tree.leaves(results[1]), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("model", [mlp, dcgan, sngan, biggan])
def test_bfloat16_activations_with_float32_weights_and_results(model):
    settings = {
        mlp: {"widths": (8,)},
        dcgan: {"width": 4},
        sngan: {"width": 2},
        biggan: {"width": 2, "attention": 16},
    }
    y, shape = jnp.array([0, 1, 2]), (32, 32, 3)
    for net, x in (
        (model.Generator, noise()),
        (model.Discriminator, jax.random.normal(jax.random.key(3), (3, *shape))),
    ):
        results = []
        for dtype in ("float32", "bfloat16"):
            built = net(shape, 3, dtype, **settings[model])
            params, mutable = init_network(built, 1, x, y)
            run = jax.jit(
                lambda x, net=built, params=params, mutable=mutable: forward(
                    net, params, mutable, x, y
                )
            )
            result, new = run(x)
            results.append(result)
            assert {leaf.dtype for leaf in jax.tree.leaves((result, params, new))} == {
                jnp.dtype("float32")
            }
            assert multiplies_in(jax.make_jaxpr(run)(x).jaxpr) == {jnp.dtype(dtype)}
        assert 0 < np.linalg.norm(results[0] - results[1]) <= 0.03 * np.linalg.norm(results[0])


def multiplies_in(jaxpr):
    """Types of the activations of a batch of 3 that products and convolutions read; D's end and
    labels left out."""
    found = set()
    for equation in jaxpr.eqns:
        if equation.primitive.name in ("dot_general", "conv_general_dilated"):
            x, y = equation.invars[0].aval, equation.outvars[0].aval
            if x.shape[0] == 3 and x.shape != (3, 3) and y.ndim > 1 and y.shape[-1] > 1:
                found.add(x.dtype)
        for part in jax.extend.core.jaxprs_in_params(equation.params):
            found |= multiplies_in(part)
    return found


def test_orthogonal_is_its_formula():
    rng = np.random.default_rng(0)
    w, table = (
        rng.normal(size=(3, 3, 4, 5)).astype(np.float32),
        rng.normal(size=(6, 4)).astype(np.float32),
    )
    params = {"Conv_0": {"kernel": w, "bias": np.ones(5, np.float32)}, "embed": {"kernel": table}}
    grads = jax.grad(regularizers.orthogonal)(params)
    rows = w.reshape(-1, 5).T  # [O, everything else]
    off = (rows @ rows.T) * (1 - np.eye(5))
    np.testing.assert_allclose(
        grads["Conv_0"]["kernel"], (2 * off @ rows).T.reshape(w.shape), rtol=1e-4, atol=1e-4
    )
    assert not np.any(grads["embed"]["kernel"]) and not np.any(grads["Conv_0"]["bias"])
    np.testing.assert_allclose(regularizers.orthogonal(params), np.square(off).sum() / 2, rtol=1e-5)


def test_orthogonal_regularization_enters_gs_loss_at_its_weight(toy_game):
    batch, rng = base.example_batch((4, 4, 1), 0, 4), jax.random.key(0)
    game, plain = toy_game(orthogonal=0.5), toy_game()
    g, d, carry = game.init(jax.random.key(1), batch)
    state = TrainState(jnp.int32(0), None, Player(**g, opt=()), Player(**d, opt=()), g, carry)
    with_it, aux = game.loss_g(g["params"], state, batch, rng)
    without, _ = plain.loss_g(g["params"], state, batch, jax.random.clone(rng))
    own = 0.5 * regularizers.orthogonal(g["params"])
    assert own > 0
    np.testing.assert_allclose(with_it - without, own, rtol=1e-4)
    np.testing.assert_allclose(aux.metrics["g/orthogonal"], own, rtol=1e-5)


@pytest.fixture(scope="module")
def settled():
    """(game, ema, settled ema) of a conditional BigGAN, three passes of 4."""
    game = noise_to_image.Algorithm(*networks(), z_dim=8, standing_passes=3, batch=4)
    ema, _, _ = jax.jit(game.init)(jax.random.key(0), base.example_batch((32, 32, 3), 3, 4))
    return game, ema, game.prepare_for_sampling(ema, jax.random.key(1))


def test_standing_statistics_are_the_mean_over_passes(settled):
    game, ema, after = settled
    mutable, moments = ema["mutable"]["g"], []
    run = jax.jit(lambda mutable, z, y: forward(game.g, ema["params"]["g"], mutable, z, y)[1])
    for key in jax.random.split(jax.random.key(1), 3):
        k_z, k_y = jax.random.split(key)
        z, y = jax.random.normal(k_z, (4, 8)), jax.random.randint(k_y, (4,), 0, 3)
        mutable = run(mutable | {"moments": {}}, z, y)
        moments.append(mutable.pop("moments"))
    want = jax.tree.map(lambda *x: sum(x) / 3, *moments)
    assert jax.tree.structure(want) == jax.tree.structure(ema["mutable"]["g"]["batch_stats"])
    got = after["mutable"]["g"]
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6),
        got["batch_stats"],
        want,
    )
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5),
        got["spectral"],
        mutable["spectral"],
    )
    assert after["params"] is ema["params"]


def test_standing_statistics_forget_the_running_ones(settled):
    game, ema, after = settled
    stats = jax.tree.map(lambda x: 7 * x + 3, ema["mutable"]["g"]["batch_stats"])
    other = {
        "params": ema["params"],
        "mutable": {"g": ema["mutable"]["g"] | {"batch_stats": stats}},
    }
    again = game.prepare_for_sampling(other, jax.random.key(1))
    assert all(map(np.array_equal, jax.tree.leaves(again), jax.tree.leaves(after)))


def test_pictures_by_standing_statistics_are_those_of_training(settled):
    """After one pass, what was drawn in it is drawn again from the statistics kept: near, for u has
    moved on."""
    game, ema, _ = settled
    for key in jax.random.split(jax.random.key(3), 20):
        ema = game.prepare_for_sampling(ema, key)  # u converges
    one = dataclasses.replace(game, standing_passes=1)
    after = one.prepare_for_sampling(ema, jax.random.key(2))
    k_z, k_y = jax.random.split(*jax.random.split(jax.random.key(2), 1))
    z, y = jax.random.normal(k_z, (4, 8)), jax.random.randint(k_y, (4,), 0, 3)
    trained, _ = jax.jit(
        lambda ema: forward(game.g, ema["params"]["g"], ema["mutable"]["g"], z, y)
    )(ema)
    sample = jax.jit(lambda ema: game.sample(ema, z, y))
    np.testing.assert_allclose(sample(after), trained, atol=1e-3)
    assert np.abs(sample(ema) - trained).max() > 1e-2


def test_standing_statistics_need_batch_norm(toy_game):
    game = noise_to_image.Algorithm(
        mlp.Generator((4, 4, 1)), mlp.Discriminator((4, 4, 1)), standing_passes=2
    )
    with pytest.raises(ValueError, match=r"config.game.standing_passes=2: .*no batch norm"):
        jax.eval_shape(game.init, jax.random.key(0), base.example_batch((4, 4, 1), 0))
    ema = {"params": {}, "mutable": {}}
    assert toy_game().prepare_for_sampling(ema, jax.random.key(0)) is ema
