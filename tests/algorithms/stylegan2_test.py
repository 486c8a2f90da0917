import dataclasses
import functools
import types

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gan_jax import algorithms, build, config, regularizers
from gan_jax.algorithms import base, stylegan2
from gan_jax.distributed.parallel import Parallel
from gan_jax.evaluation.sampler import BatchSampler
from gan_jax.models import stylegan2 as networks
from gan_jax.nn import equalized, modulated
from tests.paths import ROOT

SHAPE = (8, 8, 3)
NARROW = dict(channel_base=32, channel_max=8)
jit = functools.lru_cache(jax.jit)  # one program for all tests of a loss
CONFIGS = ROOT / "configs"


def normal(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def make_game(classes=3, **settings):
    g = networks.Generator(SHAPE, classes, w_dim=6, map_layers=2, **NARROW)
    d = networks.Discriminator(SHAPE, classes, mbstd_group=2, **NARROW)
    return stylegan2.Algorithm.build({"z_dim": 5} | settings, g=g, d=d, batch=4)


def run_config(**changes):
    opt = dict(lr=2.5e-3, b1=0.0, b2=0.99)
    plain = config.Config(
        "stylegan2", "stylegan2", {}, batch=4, total_kimg=1.0, opt_g=opt, opt_d=opt
    )
    return dataclasses.replace(plain, **changes)


@pytest.fixture(scope="module")
def start():
    """(game, its state, a batch); noise has strength, biases are not zero: nothing is left out by
    being nothing."""
    game = make_game()
    state = build.new_state(run_config(), game, SHAPE, 3)
    stir = lambda path, x: (
        x + 0.3 * normal(len(str(path)), *x.shape) if "kernel" not in str(path[-1]) else x
    )
    params = jax.tree_util.tree_map_with_path(stir, state.g.params)
    ema = {"params": params, "mutable": state.g.mutable}
    return (
        game,
        state.replace(g=state.g.replace(params=params), ema=ema),
        jax.tree.map(jnp.asarray, base.example_batch(SHAPE, 3, 4)),
    )


def same(a, b, rtol=1e-5, atol=1e-6):
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_allclose(x, y, rtol=rtol, atol=atol)


# --- layers


@pytest.mark.parametrize("up", [False, True])
@pytest.mark.parametrize("demodulate", [False, True])
def test_modulated_convolution_is_one_with_a_kernel_for_every_image(demodulate, up):
    """The definition, equations 1 and 3: w' = s w, w'' = w' / sqrt(sum w'^2); here as loops over
    images and taps."""
    x, w, s = (
        np.asarray(a, np.float64)
        for a in (normal(0, 2, 4, 5, 3), normal(1, 3, 3, 3, 6), normal(2, 2, 3))
    )
    want = []
    for image, style in zip(x, s, strict=True):
        kernel = w * style[None, None, :, None]
        if demodulate:
            kernel = kernel / np.sqrt((kernel**2).sum((0, 1, 2)) + 1e-8)
        if not up:
            padded = np.pad(image, ((1, 1), (1, 1), (0, 0)))
            want.append(
                sum(padded[i : i + 4, j : j + 5] @ kernel[i, j] for i in range(3) for j in range(3))
            )
            continue
        wide = np.zeros((9 + 2, 11 + 2, 6))  # a kernel for each pixel, two apart; one zero around
        for i in range(4):
            for j in range(5):
                wide[1 + 2 * i : 4 + 2 * i, 1 + 2 * j : 4 + 2 * j] += image[i, j] @ kernel
        taps = np.outer([1, 3, 3, 1], [1, 3, 3, 1]) / 64 * 4
        want.append(
            sum(taps[i, j] * wide[i : i + 8, j : j + 10] for i in range(4) for j in range(4))
        )
    arguments = (jnp.asarray(a, jnp.float32) for a in (x, w, s))
    got = modulated.modulated_conv(*arguments, demodulate=demodulate, up=up)
    np.testing.assert_allclose(got, np.stack(want), rtol=1e-4, atol=1e-4)


def test_resampling_keeps_a_constant():
    """Away from the border, where the filter meets zeros."""
    x = jnp.ones((1, 8, 8, 2))
    layer = equalized.Conv(2, kernel_size=1, down=True, activate=False)
    kernel = {"params": {"kernel": jnp.eye(2).reshape(1, 1, 2, 2) * np.sqrt(2)}}
    np.testing.assert_allclose(layer.apply(kernel, x)[:, 1:-1, 1:-1], 1, rtol=1e-6)
    g = networks.Generator((16, 16, 3), w_dim=4, map_layers=1, **NARROW)
    variables = jax.jit(g.init)(jax.random.key(0), jnp.zeros((1, 4)))
    params = jax.tree_util.tree_map_with_path(
        lambda path, x: 0 * x if "to_rgb" in str(path) else x, variables["params"]
    )
    params["synthesis"]["b4"]["to_rgb"]["bias"] = jnp.array([0.1, 0.2, 0.3])
    image = jax.jit(g.apply)(variables | {"params": params}, jnp.ones((1, 4)))
    np.testing.assert_allclose(image[0, 4:-4, 4:-4], np.tile([0.1, 0.2, 0.3], (8, 8, 1)), rtol=1e-5)


@pytest.mark.parametrize("lr_mult", [1.0, 0.01])
def test_equalized_layers_keep_the_variance_and_start_at_one(lr_mult):
    layer = equalized.Dense(400, lr_mult=lr_mult, bias_init=0.0)
    x = normal(0, 50, 300)
    variables = layer.init(jax.random.key(0), x)
    np.testing.assert_allclose(variables["params"]["kernel"].std() * lr_mult, 1, rtol=0.05)
    np.testing.assert_allclose(layer.apply(variables, x).std(), 1, rtol=0.05)
    # an Adam step moves the result lr_mult as far
    moved = {"params": jax.tree.map(lambda x: x + 1, variables["params"])}
    step = layer.apply(moved, x) - layer.apply(variables, x)
    np.testing.assert_allclose(
        step[:, 0], lr_mult * (x.sum(1) / np.sqrt(300) + 1), rtol=1e-3, atol=1e-4
    )


def test_leaky_relu_clamps_before_its_gain():
    x = jnp.array([-10.0, 1.0, 10.0])
    np.testing.assert_allclose(
        equalized.leaky_relu(x), np.sqrt(2) * np.array([-2, 1, 10]), rtol=1e-6
    )
    np.testing.assert_allclose(equalized.leaky_relu(x, 0.5, 2.0), [-1, np.sqrt(0.5), 1], rtol=1e-6)


def test_minibatch_std_by_hand():
    x = np.asarray(normal(0, 6, 2, 3, 4))
    got = networks.minibatch_std(jnp.asarray(x), 3)
    np.testing.assert_array_equal(got[..., :4], x)
    for rows in (slice(0, 3), slice(3, 6)):
        np.testing.assert_allclose(got[rows, :, :, 4], x[rows].std(0).mean(), rtol=1e-5)
    np.testing.assert_allclose(
        networks.minibatch_std(jnp.asarray(x), 8)[..., 4], x.std(0).mean(), rtol=1e-5
    )
    with pytest.raises(
        ValueError, match=r"config.d.mbstd_group=4: 6 images .* Use one of 1, 2, 3, 6, or another"
    ):
        networks.minibatch_std(jnp.asarray(x), 4)


def test_path_length_of_a_linear_map():
    """images = A w summed over layers: the gradient at y is A^T y in each of them, of any w."""
    a = normal(0, 4 * 6 * 2, 5)
    render = lambda ws: (ws.sum(1) @ a.T).reshape(-1, 4, 6, 2)
    noise = normal(1, 3, 4, 6, 2)
    want = np.linalg.norm(np.asarray(noise).reshape(3, -1) @ np.asarray(a) / np.sqrt(24), axis=1)
    np.testing.assert_allclose(
        regularizers.path_length(render, normal(2, 3, 7, 5), noise), want, rtol=1e-5
    )
    top = lambda ws: render(ws[:, :1])  # one layer of seven
    np.testing.assert_allclose(
        regularizers.path_length(top, normal(2, 3, 7, 5), noise), want / np.sqrt(7), rtol=1e-5
    )


# --- networks


@pytest.mark.parametrize(
    ("shape", "grid", "layers"),
    [((16, 24, 4), (4, 6), 6), ((20, 10, 1), (10, 5), 4), ((64, 64, 3), (4, 4), 10)],
)
def test_any_sides_that_halve_to_a_small_grid(shape, grid, layers):
    g = networks.Generator(shape, w_dim=4, map_layers=1, **NARROW | {"channel_base": 64})
    d = networks.Discriminator(shape, mbstd_group=1, **NARROW | {"channel_base": 64})
    z = jnp.ones((1, 4))
    variables = jax.eval_shape(lambda: g.init(jax.random.key(0), z))
    assert variables["params"]["synthesis"]["const"].shape[:2] == grid
    image = jax.eval_shape(lambda v: g.apply(v, z), variables)
    ws = jax.eval_shape(lambda v: g.apply(v, z, method="mapping"), variables)
    assert image.shape == (1, *shape) and image.dtype == jnp.float32 and ws.shape == (1, layers, 4)
    critic = jax.eval_shape(lambda: d.init(jax.random.key(0), jnp.ones(image.shape)))
    assert jax.eval_shape(lambda v: d.apply(v, jnp.ones(image.shape)), critic).shape == (1,)


@pytest.mark.parametrize("shape", [(33, 33, 3), (32, 34, 3), (4, 4, 3), (24, 66, 3), (7, 128, 1)])
def test_sizes_that_do_not_halve_are_named(shape):
    with pytest.raises(
        ValueError, match=f"images {shape[0]}x{shape[1]}: stylegan2 halves both sides"
    ):
        networks.channels_of(shape, 1024, 8, "config.g")


def test_too_few_channels_are_named():
    with pytest.raises(ValueError, match=r"config.g.channel_base=32: 64x64 needs at least 64"):
        networks.channels_of((64, 64, 3), 32, 8, "config.g")


def test_channels_are_the_published_ones():
    want = {4: 512, 8: 512, 16: 512, 32: 512, 64: 256, 128: 128, 256: 64}
    assert networks.channels_of((256, 256, 3), 16384, 512, "config.g") == want


def test_label_and_neighbors_matter(start):
    game, state, _ = start
    z, y = game.latent(jax.random.key(0), 4), jnp.array([0, 1, 2, 0])
    sample = jit(game.sample)
    images = sample(state.ema, z, y)
    assert not np.allclose(images, sample(state.ema, z, (y + 1) % 3))
    judge = jax.jit(lambda x, y: game.critic(state.d.params, state, x, y)[0])
    logits = judge(images, y)
    assert not np.allclose(logits, judge(images, (y + 1) % 3))
    other = judge(images.at[1].mul(-1), y)  # in the group of the first, not of the last two
    assert not np.allclose(logits[0], other[0], rtol=1e-6)
    np.testing.assert_allclose(logits[2:], other[2:], rtol=1e-5)


def test_d_of_the_plain_architecture_has_no_skips():
    for architecture, skips in (("resnet", 1), ("orig", 0)):
        d = networks.Discriminator(SHAPE, architecture=architecture, **NARROW)
        params = jax.eval_shape(lambda d=d: d.init(jax.random.key(0), jnp.ones((2, *SHAPE))))[
            "params"
        ]
        assert (
            sum("skip" in str(path) for path, _ in jax.tree_util.tree_leaves_with_path(params))
            == skips
        )
    with pytest.raises(
        ValueError, match=r"config.d.architecture='skip' is not known. .*orig, resnet"
    ):
        networks.Discriminator(SHAPE, architecture="skip").init(
            jax.random.key(0), jnp.ones((2, *SHAPE))
        )


def test_noise_is_random_in_training_and_fixed_in_sampling(start):
    game, state, _ = start
    variables = {"params": state.g.params["g"], **state.g.mutable["g"]}
    ws = jnp.tile(normal(0, 1, 1, 6), (2, 4, 1))  # twice the same picture
    synthesis = jax.jit(
        functools.partial(game.g.apply, method="synthesis"), static_argnames=("train", "noise")
    )
    render = lambda seed, **how: synthesis(
        variables, ws, rngs={"noise": jax.random.key(seed)}, **how
    )
    first, second = render(0, train=True)
    assert not np.allclose(first, second) and not np.allclose(first, render(1, train=True)[0])
    first, second = render(0)
    np.testing.assert_allclose(first, second, rtol=1e-5)
    same(render(0), render(1, noise="const"))
    assert not np.allclose(first, render(0, noise="none")[0])
    with pytest.raises(ValueError, match="noise='off' is not known"):
        render(0, noise="off")


def test_bfloat16_and_remat(start):
    """bfloat16: everything kept and returned is float32, and near; remat: the same gradients."""
    game, state, batch = start
    z, y = game.latent(jax.random.key(0), 4), jnp.asarray(batch["label"])

    @functools.partial(jax.jit, static_argnames=("dtype", "remat"))
    def logits(params, **how):
        g, d = game.g.clone(**how), game.d.clone(**how)
        rngs = {"noise": jax.random.key(1)}
        x, _ = base.forward(g, params[0], state.g.mutable["g"], z, y, rngs=rngs)
        return base.forward(d, params[1], state.d.mutable["d"], x, y)[0], x

    params = state.g.params["g"], state.d.params["d"]

    @functools.partial(jax.jit, static_argnames="remat")
    def gradient(params, **how):
        def total(params):
            found = logits(params, **how)
            return jnp.sum(jnp.sin(found[0])), found

        return jax.grad(total, has_aux=True)(params)

    (grads, (plain, x)), (again, _) = gradient(params), gradient(params, remat=True)
    same(grads, again, rtol=1e-4, atol=1e-5)
    half, x_half = logits(params, dtype="bfloat16")
    assert half.dtype == x_half.dtype == jnp.float32 and not np.array_equal(x, x_half)
    np.testing.assert_allclose(x_half, x, atol=0.05 * float(jnp.abs(x).max()))
    np.testing.assert_allclose(half, plain, atol=0.05 * float(jnp.abs(plain).max()))
    new = jax.eval_shape(lambda: game.g.clone(dtype="bfloat16").init(jax.random.key(0), z, y))
    assert {leaf.dtype for leaf in jax.tree.leaves(new)} == {jnp.dtype("float32")}


# --- sampling


def test_truncation(start):
    game, state, _ = start
    ema = jax.tree.map(jnp.copy, state.ema)
    average = normal(5, 6)
    ema["mutable"]["g"]["average"]["mapping"]["w_avg"] = average
    z, y = game.latent(jax.random.key(0), 3, 0.1), jnp.array([0, 1, 1])
    styles = jax.jit(game.styles, static_argnums=3)
    plain = styles(ema, z, y)
    same(styles(ema, z, y, 1), plain)
    same(styles(ema, z, y, 0.0), np.broadcast_to(average, plain.shape))
    assert not np.allclose(average, plain[0, 0])
    half = styles(ema, z, y, 0.5)
    same(half, (plain + average.reshape(1, 1, -1)) / 2)
    same(jax.jit(game.render)(ema, half), jax.jit(game.sample, static_argnums=3)(ema, z, y, 0.5))
    assert float(jnp.abs(z).max()) > 0.5, "psi is of w, z stays as it is"


def test_measures_see_pictures_with_fresh_noise(start):
    """As the official ones do: of the same z, pictures differ by their keys alone."""
    game, state, _ = start
    keys = jax.random.split(jax.random.key(0), 2)[jnp.array([0, 1, 0])]
    z, y = jnp.tile(normal(0, 1, 5), (3, 1)), jnp.zeros(3, jnp.int32)
    first, other, again = jax.jit(game.sample_to_measure)(state.ema, keys, z, y)
    np.testing.assert_allclose(first, again, rtol=1e-5, atol=1e-5)
    assert float(jnp.abs(first - other).mean()) > 0.02


def test_a_pictures_noise_is_drawn_by_its_number():
    """Whatever is drawn beside it, and apart from its z."""
    game = types.SimpleNamespace(
        prepare_for_sampling=lambda ema, rng: ema,
        latent=lambda rng, n, truncation: jax.random.uniform(rng, (n, 1)),
        translates=False,
        sample_to_measure=lambda ema, keys, z, y, truncation: jnp.concatenate(
            [z, jax.vmap(lambda key: jax.random.uniform(key, (1,)))(keys)], 1
        )[:, None, None],
    )
    sampler = BatchSampler(game, seed=0, truncation=None, batch=2)
    drawn = sampler.images(sampler.prepare({"w": jnp.zeros(())}), 5, None)
    together, alone = drawn.load(np.array([3, 1, 4])), drawn.load(np.array([1]))
    np.testing.assert_array_equal(together[1], alone[0])
    assert len(np.unique(together)) == 6


@pytest.mark.parametrize("psi", [float("nan"), float("inf"), "0.7"])
def test_psi_must_be_a_number(start, psi):
    game, state, _ = start
    with pytest.raises(ValueError, match="psi must be a finite number"):
        game.sample(state.ema, jnp.zeros((1, 5)), jnp.zeros(1, int), psi)


# --- the game


def test_order_of_play():
    play = lambda game: [(phase.who, phase.loss.__name__, phase.every) for phase in game.phases]
    g, path, d, r1 = ("g", "loss_g", 1), ("g", "path_g", 4), ("d", "loss_d", 1), ("d", "r1_d", 16)
    assert play(make_game()) == [g, path, d, r1]
    assert play(make_game(path_weight=0.0)) == [g, d, r1]
    assert play(make_game(gamma=0.0)) == [g, path, d]


def test_average_of_w(start):
    """It moves by 0.005 in each of G's steps, by the first z's w alone; D's steps and sampling
    leave it."""
    game, state, batch = start
    w_avg = lambda mutable: mutable["g"]["average"]["mapping"]["w_avg"]
    for loss, n in ((game.loss_g, 4), (game.path_g, 2)):
        _, aux = jit(loss)(state.g.params, state, batch, jax.random.key(0))
        k_ws = jax.random.split(jax.random.key(0), 2 if n == 4 else 3)[0]
        k_ws = jax.random.split(k_ws)[0] if n == 4 else k_ws
        z = base.normal(jax.random.split(k_ws, 4)[0], n, 5)
        w = jit(game.styles)(state.ema, z, batch["label"][:: 4 // n])[:, 0]
        np.testing.assert_allclose(w_avg(aux.mutable), 0.005 * w.mean(0), rtol=1e-4, atol=1e-8)
    aux = jax.eval_shape(game.loss_d, state.d.params, state, batch, jax.random.key(0))[1]
    assert "average" not in str(jax.tree.structure(aux.mutable))


def test_styles_are_mixed_from_one_layer_on(start):
    _, state, batch = start
    draw = lambda mixing: (
        lambda key: make_game(style_mixing=mixing).ws(
            state.g.params, state, key, batch["label"], 4
        )[0]
    )
    firsts, off, on = set(), jax.jit(draw(0.0)), jax.jit(draw(1.0))
    for seed in range(12):
        alone, mixed = off(jax.random.key(seed)), on(jax.random.key(seed))
        np.testing.assert_array_equal(alone, np.broadcast_to(alone[:, :1], alone.shape))
        kept = np.all(np.isclose(alone, mixed), (0, 2))
        first = int(kept.sum())
        assert kept.tolist() == [True] * first + [False] * (4 - first)
        np.testing.assert_array_equal(
            mixed[:, first:], np.broadcast_to(mixed[:, first:][:, :1], mixed[:, first:].shape)
        )
        firsts.add(first)
    assert firsts == {1, 2, 3}


def test_losses_are_the_published_ones(start):
    game, state, batch = start
    real, y = base.to_float(batch["image"]), batch["label"]
    judge = jax.jit(lambda x: game.critic(state.d.params, state, x, y)[0])
    fake = jax.jit(lambda key: judge(game.fake(state.g.params, state, key, y, 4)[0]))
    softplus = lambda x: np.log1p(np.exp(np.asarray(x, np.float64)))

    value, aux = jit(game.loss_g)(state.g.params, state, batch, jax.random.key(3))
    np.testing.assert_allclose(
        value, softplus(-fake(jax.random.split(jax.random.key(3))[0])).mean(), rtol=1e-5
    )
    assert aux.metrics == {"g/loss": value}

    value, aux = jit(game.loss_d)(state.d.params, state, batch, jax.random.key(3))
    want = (
        softplus(fake(jax.random.split(jax.random.key(3), 5)[0])).mean()
        + softplus(-judge(real)).mean()
    )
    np.testing.assert_allclose(value, want, rtol=1e-5)

    value, aux = jit(game.r1_d)(state.d.params, state, batch, jax.random.key(3))
    slope = jax.jit(jax.grad(lambda x: judge(x).sum()))(real)
    np.testing.assert_allclose(
        aux.metrics["d/r1"], np.square(slope).sum((1, 2, 3)).mean(), rtol=1e-4
    )
    np.testing.assert_allclose(value, 16 * 10 / 2 * aux.metrics["d/r1"], rtol=1e-6)

    state = state.replace(carry=state.carry | {"path_mean": jnp.float32(2.0)})
    value, aux = jit(game.path_g)(state.g.params, state, batch, jax.random.key(3))
    np.testing.assert_allclose(value, 4 * 2 * aux.metrics["g/path_penalty"], rtol=1e-6)
    length = aux.metrics["g/path_length"]
    np.testing.assert_allclose(aux.carry["path_mean"], 2 + 0.01 * (length - 2), rtol=1e-5)
    k_ws, k_noise, k_image = jax.random.split(jax.random.key(3), 3)

    @jax.jit
    def lengths(k_ws, k_noise, k_image):
        ws, _ = game.ws(state.g.params, state, k_ws, y[::2], 2)
        render = lambda ws: game.render_live(state.g.params, state, ws, jax.random.clone(k_noise))
        return regularizers.path_length(render, ws, base.normal(k_image, 2, *SHAPE))

    lengths = np.asarray(lengths(k_ws, k_noise, k_image))
    np.testing.assert_allclose(length, lengths.mean(), rtol=1e-5)
    want = np.square(lengths - np.asarray(aux.carry["path_mean"])).mean()
    np.testing.assert_allclose(aux.metrics["g/path_penalty"], want, rtol=1e-4)


def test_lecam_and_consistency_add_to_ds_loss(start):
    _, state, batch = start
    rng = lambda: jax.random.key(3)
    plain, _ = jit(make_game().loss_d)(state.d.params, state, batch, rng())
    state = state.replace(
        carry=state.carry | {"lecam": {"real": jnp.float32(1.0), "fake": jnp.float32(-1.0)}}
    )
    game = make_game(
        lecam=0.5, lecam_decay=0.9, lecam_start=0, consistency_real=2.0, consistency_fake=3.0
    )
    value, aux = jit(game.loss_d)(state.d.params, state, batch, rng())
    added = {name: x for name, x in aux.metrics.items() if "lecam" in name or "consistency" in name}
    assert len(added) == 3 and all(x > 0 for x in added.values())
    np.testing.assert_allclose(value, plain + sum(added.values()), rtol=1e-5)
    np.testing.assert_allclose(
        aux.carry["lecam"]["real"], 0.9 + 0.1 * aux.metrics["d/real"], rtol=1e-5
    )


def play(devices, parallel):
    """(state, metrics of each iteration) of four iterations with lazy steps every 2 and every 4."""
    run, game = run_config(parallel=parallel), make_game(path_every=2, r1_every=4)
    parallel = Parallel(run.parallel, jax.devices()[:devices])
    iteration = build.make_iteration(run, game, parallel)
    state, seen = parallel.replicate(build.new_state(run, game, SHAPE, 3)), []
    for step in range(4):
        image = np.random.default_rng(step).integers(0, 256, (4, *SHAPE), np.uint8)
        batch = parallel.put({"image": image, "label": np.arange(4, dtype=np.int32) % 3})
        state, metrics = iteration(state, [batch], step)
        seen.append(jax.device_get(parallel.one(metrics)))
    return parallel.one(state), seen


@pytest.mark.slow
def test_two_devices_play_as_one():
    """Same numbers within 1e-3 after 10 steps by Adam, whose first steps magnify rounding; and the
    steps that were due."""
    alone, seen = play(1, "jit")
    for x, y in zip(seen, play(2, "pmap")[1], strict=True):
        assert x.keys() == y.keys()
        for name in x:
            np.testing.assert_allclose(x[name], y[name], rtol=1e-3, atol=1e-4, err_msg=name)
    assert [{name for name in ("g/path_length", "d/r1") if name in x} for x in seen] == [
        {"g/path_length", "d/r1"},
        set(),
        {"g/path_length"},
        set(),
    ]
    counts = [
        int(s.count)
        for player in (alone.g, alone.d)
        for s in jax.tree.leaves(
            player.opt, is_leaf=lambda x: isinstance(x, optax.ScaleByAdamState)
        )
        if isinstance(s, optax.ScaleByAdamState)
    ]
    assert counts == [4 + 2, 4 + 1]
    assert float(alone.carry["path_mean"]) > 0


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("path_shrink", 0, "config.game.path_shrink=0: it must be at least 1"),
        ("gamma", -1.0, "config.game.gamma=-1.0: it must be 0 or more"),
        ("style_mixing", 1.5, "config.game.style_mixing=1.5: it must be within 0 and 1"),
    ],
)
def test_settings_out_of_range(setting, value, message):
    with pytest.raises(ValueError, match=message):
        make_game(**{setting: value})


def test_needs_its_own_generator(toy_game):
    toy = toy_game()
    with pytest.raises(
        ValueError, match="has methods mapping and synthesis.*Set config.model='stylegan2'"
    ):
        stylegan2.Algorithm(toy.g, toy.d)


# --- presets


def test_presets_are_the_published_table():
    """cfg -> mb, mbstd, fmaps, lrate, gamma, ema, ramp, map; kimg, and what cifar changes
    besides."""
    table = {
        "stylegan2": (32, 4, 1, 0.002, 10, 10, None, 8),
        "paper256": (64, 8, 0.5, 0.0025, 1, 20, None, 8),
        "paper512": (64, 8, 1, 0.0025, 0.5, 20, None, 8),
        "paper1024": (32, 4, 1, 0.002, 2, 10, None, 8),
        "cifar": (64, 32, 1, 0.0025, 0.01, 500, 0.05, 2),
    }
    row = lambda p: (
        p["batch"],
        p["d"]["mbstd_group"],
        p["d"]["channel_base"] / 32768,
        p["opt_d"]["lr"],
        p["game"]["gamma"],
        p["ema_halflife_kimg"],
        p["ema_rampup"],
        p["g"]["map_layers"],
    )
    for name, want in table.items():
        p = stylegan2.preset(name)
        assert row(p) == want and p["g"]["channel_base"] == p["d"]["channel_base"]
        assert p["total_kimg"] == (100_000 if name == "cifar" else 25_000)
        assert p["d"]["architecture"] == ("orig" if name == "cifar" else "resnet")
        assert (p["game"]["path_weight"], p["game"]["style_mixing"]) == (
            (0, 0) if name == "cifar" else (2, 0.9)
        )
    auto = stylegan2.preset("auto", 256, 4)
    assert row(auto) == (64, 4, 0.5, 0.0025, 0.0002 * 256**2 / 64, 20, 0.05, 2)
    assert row(stylegan2.preset("auto", 1024)) == (
        4,
        4,
        1,
        0.002,
        0.0002 * 1024**2 / 4,
        1.25,
        0.05,
        2,
    )
    assert stylegan2.PRESETS["auto"].keys() == {"map_layers", "ema_rampup"}
    assert stylegan2.preset("cifar")["opt_g"]["lr"] == 0.0025 * 4 / 5
    with pytest.raises(ValueError, match="the preset='paper128' is not known. .*paper256"):
        stylegan2.preset("paper128")


def test_configs_take_their_presets():
    run = config.load(str(CONFIGS / "stylegan2_ffhq256.py") + ":preset=auto,resolution=128")
    assert (run.batch, run.data["resolution"], run.g["map_layers"]) == (32, 128, 2)
    game = algorithms.make_game(config.load(str(CONFIGS / "stylegan2_cifar10.py")), (32, 32, 3), 10)
    assert len(game.phases) == 3 and game.terms.augment.target == 0.6
    assert game.d.architecture == "orig"
