import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax import algorithms, build, config, losses, regularizers
from gan_jax.algorithms import base, r3gan
from gan_jax.augment import ADA, NONE
from gan_jax.distributed.parallel import Parallel
from gan_jax.interop import r3gan as converters
from gan_jax.models import r3gan as networks
from gan_jax.models import sngan
from tests.paths import ROOT

SHAPE = (8, 8, 3)
SMALL = dict(widths=(8, 4), cardinality=(4, 2), blocks=1)
CONFIGS = ROOT / "configs"

# Parameters of brownvc/R3GAN's own networks by preset, counted as sum(p.numel() for p in
# net.parameters()), torch 2.13.0
OFFICIAL = {
    ("CIFAR10", 10): (20_781_952, 21_280_512),
    ("CIFAR10", 0): (20_732_160, 20_683_776),
    ("FFHQ-64", 0): (22_429_824, 22_381_440),
    ("FFHQ-256", 0): (23_057_952, 23_009_568),
    ("ImageNet-32", 1000): (82_914_304, 86_548_992),
    ("ImageNet-64", 1000): (103_570_432, 107_205_120),
}


def normal(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def stirred(params):
    """No weight is zero, so that nothing is left out by being nothing."""

    def moved(x):
        noise = np.random.default_rng(x.size).normal(size=x.shape)
        return (np.asarray(x) + 0.3 * noise).astype(np.float32)

    return jax.tree.map(moved, params)


def any_params(net, *args):
    """Weights of a network, none of them zero, that no compiled program had to make."""
    shapes = jax.eval_shape(net.init, jax.random.key(0), *args)["params"]
    return stirred(jax.tree.map(lambda x: np.zeros(x.shape, np.float32), shapes))


def make_game(classes=3, **settings):
    g, d = (
        networks.Generator(SHAPE, classes, embedding=5, **SMALL),
        networks.Discriminator(SHAPE, classes, **SMALL),
    )
    given = {"batch": 4, "augment": settings.pop("augment", NONE)}
    return r3gan.Algorithm.build({"z_dim": 5} | settings, g=g, d=d, **given)


def example_batch():
    return jax.tree.map(jnp.asarray, base.example_batch(SHAPE, 3, 4))


@functools.cache
def start():
    opt = dict(lr=2e-3, b1=0.0, b2=0.9)
    run = config.Config("r3gan", "r3gan", {}, batch=4, total_kimg=1.0, opt_g=opt, opt_d=opt)
    return build.new_state(run, make_game(), SHAPE, 3)


def new_state(game, step=0):
    """A state of any game of `make_game`: they differ in what they carry only."""
    stir = lambda player: player.replace(params=stirred(player.params))
    g, d = stir(start().g), stir(start().d)
    return start().replace(g=g, d=d, step=jnp.int32(step), carry=game.terms.init_carry())


@functools.cache
def gradient(loss):
    """One program for all tests of a game's loss: ((value, aux), gradient by the parameters)."""
    return jax.jit(jax.value_and_grad(loss, has_aux=True))


def same(a, b, tolerance=1e-4):
    """Each leaf within `tolerance` of its greatest magnitude."""
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_allclose(x, y, rtol=0, atol=tolerance * float(jnp.abs(y).max()))


# --- networks


@pytest.mark.parametrize(("name", "classes"), OFFICIAL)
def test_parameter_counts_are_the_official(name, classes):
    settings = r3gan.preset(name)
    side = 4 << (len(settings["g"]["widths"]) - 1)
    x, y = jnp.zeros((1, side, side, 3)), jnp.zeros(1, int) if classes else None
    count = lambda net, *args: sum(
        p.size for p in jax.tree.leaves(jax.eval_shape(net.init, jax.random.key(0), *args, y))
    )
    g = networks.Generator(x.shape[1:], classes, **settings["g"])
    d = networks.Discriminator(x.shape[1:], classes, **settings["d"])
    assert (count(g, jnp.zeros((1, 64))), count(d, x)) == OFFICIAL[name, classes]
    assert f"-{side}" in name or side == 32


@pytest.mark.parametrize(("shape", "classes"), [((8, 8, 1), 0), ((8, 12, 3), 3), ((20, 10, 4), 2)])
def test_shapes_and_labels(shape, classes):
    """Square and not, gray to RGBA; the label and every weight matter."""
    z, x, y = normal(0, 3, 5), normal(1, 3, *shape), jnp.arange(3) % classes if classes else None
    for net, make in ((networks.Generator, z), (networks.Discriminator, x)):
        plain = net(shape, classes, **SMALL)
        params = any_params(plain, make, y)

        @jax.jit
        def apply(params, y, net=plain, make=make):
            out, pull_back = jax.vjp(lambda p: net.apply({"params": p}, make, y), params)
            return out, pull_back(jnp.cos(out))

        out, (grads,) = apply(params, y)
        assert all(float(jnp.abs(g).max()) > 0 for g in jax.tree.leaves(grads))
        assert (
            out.shape == ((3, *shape) if net is networks.Generator else (3,))
            and out.dtype == jnp.float32
        )
        if classes:
            other, _ = apply(params, (y + 1) % classes)
            assert float(jnp.abs(out - other).max()) > 1e-3
            with pytest.raises(ValueError, match="needs labels"):
                plain.apply({"params": params}, make)


def test_bfloat16_activations():
    """A bfloat16 has 8 bits: pictures and logits within a few percent; weights and results are
    float32."""
    for net, x in (
        (networks.Generator, normal(0, 3, 5)),
        (networks.Discriminator, normal(1, 3, *SHAPE)),
    ):
        params = any_params(net(SHAPE, **SMALL), x)
        half = net(SHAPE, dtype="bfloat16", **SMALL)
        got, want = (jax.jit(n.apply)({"params": params}, x) for n in (half, net(SHAPE, **SMALL)))
        assert got.dtype == jnp.float32 and not np.array_equal(got, want)
        same(got, want, 0.05)
        text = str(jax.make_jaxpr(lambda x: half.apply({"params": params}, x))(x))
        assert "bf16" in text


def test_start():
    """Variances of the official initialization, and blocks that do nothing yet: the depth's share
    is blocks^(-1/4)."""
    g = networks.Generator(
        (16, 16, 3), 40, widths=(64, 32, 32), cardinality=(8, 4, 4), embedding=64
    )
    d = networks.Discriminator((16, 16, 3), 40, widths=(64, 32, 32), cardinality=(8, 4, 4))
    y = jnp.zeros(1, int)
    params_g = base.init_network(g, jax.random.key(0), jnp.zeros((1, 64)), y)[0]
    params_d = base.init_network(d, jax.random.key(1), jnp.zeros((1, 16, 16, 3)), y)[0]
    block = 2 / 1.04 * 6**-0.5  # gain^2 of the six blocks' kernels
    for params, path, variance in [
        (params_g, "basis", 1),
        (params_g, "start", 1 / 128),
        (params_g, "embed", 1 / 40),
        (params_g, "up1/kernel", 1 / 64),
        (params_g, "block0_1/expand", block / 64),
        (params_g, "block0_1/mix", block / (9 * 16)),
        (params_d, "block2_0/expand", block / 32),
        (params_d, "basis", 1 / 16),
        (params_d, "end", 1 / 64),
        (params_d, "embed", 1 / 40 / 64),
    ]:
        leaf = params
        for key in path.split("/"):
            leaf = leaf[key]
        deviation = math.sqrt(2 / leaf.size)  # of the estimate
        assert abs(float(jnp.mean(jnp.square(leaf))) / variance - 1) < 4 * deviation, path
        assert abs(float(jnp.mean(leaf))) < 4 * math.sqrt(variance / leaf.size), path
    for params in (params_g, params_d):
        blocks = [p for name, p in params.items() if name.startswith("block")]
        zero = ("project", "expand_bias", "mix_bias")
        assert len(blocks) == 6 and not any(jnp.any(p[name]) for p in blocks for name in zero)


def test_resampling_is_bilinear():
    """Up: half-pixel bilinear. Down: [1, 3, 3, 1] / 8 around each pair. A ramp stays a ramp away
    from the border."""
    ramp = jnp.arange(8.0)[None, :, None, None] * jnp.ones((1, 1, 8, 1))
    up = networks.conv.resample(ramp, networks.FIR, up=2, padding=(2, 1), gain=4)
    np.testing.assert_allclose(up[0, 1:-1, 8, 0], jnp.arange(14) / 2 + 0.25, rtol=1e-5)
    down = networks.conv.resample(ramp, networks.FIR, down=2, padding=(1, 1))
    np.testing.assert_allclose(down[0, 1:-1, 2, 0], [2.5, 4.5], rtol=1e-5)


@pytest.mark.parametrize(
    ("shape", "settings", "message"),
    [
        (
            (16, 16, 3),
            SMALL,
            r"config.g.widths=\(8, 4\): 16x16 images need 3 widths, one for each size from 4x4 up",
        ),
        (
            (8, 8, 3),
            SMALL | {"cardinality": (4,)},
            r"config.g.cardinality=\(4,\): one for each of the 2 widths",
        ),
        ((8, 8, 3), SMALL | {"cardinality": (4, 3)}, "2 x 4 channels don't divide into 3 groups"),
        ((8, 8, 3), SMALL | {"blocks": 0}, "config.g.blocks=0: it must be at least 1"),
        ((9, 8, 3), SMALL, "images 9x8: both sides must halve"),
    ],
)
def test_sizes_that_do_not_fit_are_named(shape, settings, message):
    with pytest.raises(ValueError, match=message):
        jax.eval_shape(
            networks.Generator(shape, **settings).init, jax.random.key(0), jnp.zeros((1, 5))
        )


# --- logits and slopes in one backward pass


@pytest.mark.parametrize("classes", [0, 3])
def test_critic_is_homogeneous_in_image_and_biases(classes):
    d = networks.Discriminator(SHAPE, classes, **SMALL)
    x, y = normal(0, 4, *SHAPE), jnp.arange(4) % classes if classes else None
    params = {"params": any_params(d, x, y)}
    by = jnp.array([0.5, 2.0, 3.0, 0.1])
    apply = jax.jit(lambda x, scale: d.apply(params, x, y, scale))
    plain = apply(x, jnp.ones(4))
    np.testing.assert_allclose(apply(by[:, None, None, None] * x, by), by * plain, rtol=1e-4)
    # biases take part
    assert not np.allclose(apply(x, by), plain, rtol=1e-2)


@pytest.mark.parametrize("remat", [False, True])
def test_logits_and_slopes_are_those_of_two_passes(remat):
    """Values, and the derivatives by weights of any function of them, against the logits and
    grad_penalty apart."""
    d = networks.Discriminator(SHAPE, 3, remat=remat, **SMALL)
    x, y = normal(0, 4, *SHAPE), jnp.array([0, 2, 1, 1])
    params = any_params(d, x, y)
    critic = lambda p: lambda x, scale=None: d.apply({"params": p}, x, y, scale)

    def joint(p):
        logits, slopes = regularizers.logits_and_slopes(critic(p), x)
        return jnp.sum(jnp.sin(logits)) + jnp.sum(jnp.cos(jnp.sum(slopes**2, (1, 2, 3)))), logits

    def apart(p):
        logits = critic(p)(x)
        return (
            jnp.sum(jnp.sin(logits)) + jnp.sum(jnp.cos(regularizers.grad_penalty(critic(p), x))),
            logits,
        )

    run = lambda f: jax.jit(jax.value_and_grad(f, has_aux=True))(params)
    same(run(joint), run(apart), 2e-5)


# --- the game


def written_out(game, params_d, state, batch, rng):
    """D's loss as the paper has it: two logits, grad_penalty of the reals and of the fakes,
    augmented in the critic."""
    k_z, k_real, k_fake, *_ = jax.random.split(rng, 5)
    x_real, y = base.to_float(batch["image"]), batch["label"]
    x_fake = game.g.apply(
        {"params": state.g.params["g"]}, jax.random.normal(k_z, (4, game.z_dim)), y
    )
    see = lambda key, x: game.terms.augment(state.carry["augment"], jax.random.clone(key), x)
    critics = [
        lambda x, k=k: game.d.apply({"params": params_d["d"]}, see(k, x), y)
        for k in (k_real, k_fake)
    ]
    r1, r2 = (
        jnp.mean(regularizers.grad_penalty(c, x))
        for c, x in zip(critics, (x_real, x_fake), strict=True)
    )
    adversarial = losses.relativistic_d(critics[0](x_real), critics[1](x_fake))
    return adversarial + game.gamma / 2 * (r1 + r2), {"d/r1": r1, "d/r2": r2, "d/loss": adversarial}


@pytest.mark.parametrize("augmented", [False, True])
def test_ds_loss_and_its_gradient_are_the_papers(augmented):
    """The slope is that of the picture before augmentation; the pair has one label; real and fake
    don't mix."""
    ada = (
        dict(augment=ADA(pipe=("xint", "scale", "brightness", "cutout"), target=None, p=0.9))
        if augmented
        else {}
    )
    game, rng = make_game(gamma=0.8, **ada), jax.random.key(4)
    state, batch = new_state(game), example_batch()
    ours = gradient(game.loss_d)
    theirs = gradient(functools.partial(written_out, game))
    (value, aux), grads = ours(state.d.params, state, batch, rng)
    (want, measured), want_grads = theirs(state.d.params, state, batch, jax.random.clone(rng))
    same((value, grads), (want, want_grads))
    for name, number in measured.items():
        np.testing.assert_allclose(aux.metrics[name], number, rtol=1e-4, err_msg=name)
    if augmented:
        alone = make_game(gamma=0.8)
        plain = gradient(alone.loss_d)(
            state.d.params, new_state(alone), batch, jax.random.clone(rng)
        )
        (_, plain), _ = plain
        assert abs(plain.metrics["d/r1"] / aux.metrics["d/r1"] - 1) > 0.01


def test_gs_loss_pairs_rows():
    game, rng = make_game(), jax.random.key(4)
    state, batch = new_state(game), example_batch()
    value, aux = jax.jit(game.loss_g)(state.g.params, state, batch, rng)
    k_z = jax.random.split(jax.random.clone(rng), 3)[0]
    fake = game.g.apply(
        {"params": state.g.params["g"]}, jax.random.normal(k_z, (4, 5)), batch["label"]
    )
    judge = lambda x: game.d.apply({"params": state.d.params["d"]}, x, batch["label"])
    gap = judge(fake) - judge(base.to_float(batch["image"]))
    np.testing.assert_allclose(value, jnp.mean(jnp.log1p(jnp.exp(-gap))), rtol=1e-5)
    assert aux.metrics["g/loss"] == value


def test_lazy_penalties_are_a_step_of_their_own_as_much_heavier():
    lazy, rng, batch = (
        make_game(gamma=0.8, penalty_every=4),
        jax.random.key(4),
        example_batch(),
    )
    assert [(p.who, p.every) for p in lazy.phases] == [("d", 1), ("g", 1), ("d", 4)]
    assert [(p.who, p.every) for p in make_game().phases] == [("d", 1), ("g", 1)]
    state = new_state(lazy)
    main, aux = jax.jit(lazy.loss_d)(state.d.params, state, batch, rng)
    assert main == aux.metrics["d/loss"] and "d/r1" not in aux.metrics
    penalty, aux = jax.jit(lazy.penalty_d)(state.d.params, state, batch, jax.random.clone(rng))
    np.testing.assert_allclose(
        penalty, 4 * 0.4 * (aux.metrics["d/r1"] + aux.metrics["d/r2"]), rtol=1e-5
    )
    assert aux.metrics["d/r1"] > 0 and aux.metrics["d/r2"] > 0


def test_lecam_and_consistency_are_added_at_their_weights():
    rng, batch = jax.random.key(4), example_batch()
    more = dict(
        lecam=0.3, lecam_decay=0.75, lecam_start=0, consistency_real=2.0, consistency_fake=3.0
    )
    game = make_game(gamma=0.8, **more)
    state = new_state(game)
    state = state.replace(
        carry=state.carry | {"lecam": {"real": jnp.float32(9.0), "fake": jnp.float32(-9.0)}}
    )
    value, aux = jax.jit(game.loss_d)(state.d.params, state, batch, rng)
    alone = make_game(gamma=0.8)
    (plain, old), _ = gradient(alone.loss_d)(
        state.d.params, new_state(alone), batch, jax.random.clone(rng)
    )
    added = [aux.metrics[name] for name in ("d/lecam", "d/consistency_real", "d/consistency_fake")]
    assert all(x > 1e-4 for x in added)
    np.testing.assert_allclose(value - plain, sum(added), rtol=1e-3)
    np.testing.assert_allclose(
        aux.carry["lecam"]["real"], 0.75 * 9 + 0.25 * old.metrics["d/real"], rtol=1e-4
    )
    assert old.carry == {"augment": {}, "lecam": {}}


def test_gamma_goes_along_half_a_cosine_in_images():
    game = make_game(gamma=2.0, gamma_final=0.2, decay_kimg=0.8)  # 800 images: 200 iterations of 4
    got = [float(game.gamma_at(jnp.int32(step))) for step in (0, 50, 100, 200, 1000)]
    quarter = 0.2 + 1.8 * (1 + math.cos(math.pi / 4)) / 2
    np.testing.assert_allclose(got, [2.0, quarter, 1.1, 0.2, 0.2], rtol=1e-5)
    assert float(make_game(gamma=2.0).gamma_at(jnp.int32(10**9))) == 2.0
    state = new_state(game, step=100)
    batch = example_batch()

    @jax.jit
    def weight(state):
        _, aux = game.loss_d(state.d.params, state, batch, jax.random.key(0))
        return aux.metrics["d/gamma"]

    np.testing.assert_allclose(weight(state), 1.1, rtol=1e-5)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (dict(gamma=-1.0), "config.game.gamma=-1.0: it must be 0 or more"),
        (dict(gamma_final=0.1), "give both, or neither"),
        (dict(gamma_final=0.1, decay_kimg=0.0), "config.game.decay_kimg=0.0: it must be above 0"),
        (dict(penalty_every=0), "config.game.penalty_every=0: it must be at least 1"),
    ],
)
def test_settings_out_of_range_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        make_game(**settings)


def test_a_critic_without_scale_is_named():
    with pytest.raises(
        ValueError, match="gan_jax.models.sngan.Discriminator has no scale of its biases"
    ):
        r3gan.Algorithm(sngan.Generator((32, 32, 3)), sngan.Discriminator((32, 32, 3)))


@functools.cache
def two_iterations(parallel, devices):
    """(the state after two iterations with augmentation, the last one's metrics)."""
    game = make_game(augment=ADA(pipe=("xflip", "cutout"), target=None, p=0.8))
    opt = dict(lr=2e-3, b1=0.5, b2=0.9, eps=1e-4)  # not steps of the size lr, whatever the gradient
    settings = dict(
        batch=4, total_kimg=1.0, opt_g=opt, opt_d=opt, ema_rampup=None, parallel=parallel
    )
    run, on = (
        config.Config("r3gan", "r3gan", {}, **settings),
        Parallel(parallel, jax.devices()[:devices]),
    )
    play, state = (
        build.make_iteration(run, game, on),
        on.replicate(build.new_state(run, game, SHAPE, 3)),
    )
    for step in range(2):
        images = np.random.default_rng(step).integers(0, 256, (4, *SHAPE), np.uint8)
        state, metrics = play(
            state, [on.put({"image": images, "label": np.arange(4, dtype=np.int32) % 3})], step
        )
    return on.one(state), jax.device_get(on.one(metrics))


@pytest.mark.parametrize("parallel", ["jit", "pmap"])
def test_two_devices_play_as_one(parallel):
    """Only the order of summation differs."""
    (one, alone), (two, together) = two_iterations("jit", 1), two_iterations(parallel, 2)
    for name, value in alone.items():
        np.testing.assert_allclose(together[name], value, rtol=2e-4, atol=1e-6, err_msg=name)
    same(two.g.params, one.g.params, 1e-3)
    same(two.d.params, one.d.params, 1e-3)


# --- presets and configs


@pytest.mark.parametrize("name", r3gan.PRESETS)
def test_presets_are_whole_runs(name):
    """Every setting is taken; schedules start and end at the preset's numbers, at `decay_kimg`."""
    p, settings = r3gan.PRESETS[name], r3gan.preset(name)
    run = config.Config(data={}, **settings)
    side = 4 << (len(p["widths"]) - 1)
    game = algorithms.make_game(run, (side, side, 3), 10 if p["conditional"] else 0)
    assert build.make_optimizers(run, game).keys() == {"g", "d"}
    end = round(run.total_kimg * 1000 / run.batch)
    gammas = [float(game.gamma_at(jnp.int32(step))) for step in (0, end)]
    np.testing.assert_allclose(gammas, p["gamma"], rtol=1e-5)
    strength = [
        float(game.terms.augment.scheduled(share * run.total_kimg * 1000)) for share in (0, 0.5, 1)
    ]
    np.testing.assert_allclose(strength, [0, p["p"] / 2, p["p"]], rtol=1e-5, atol=1e-7)
    assert (run.opt_g["lr"], run.opt_g["final_lr"], run.opt_d["b2"], run.opt_d["final_b2"]) == (
        *p["lr"],
        *p["b2"],
    )
    assert (
        run.ema_rampup is None and run.ema_rise_kimg == p["decay_kimg"] == run.opt_d["decay_kimg"]
    )


def test_configs_are_the_presets():
    for file, name in (
        ("r3gan_cifar10.py", "CIFAR10"),
        ("r3gan_ffhq256.py", "FFHQ-256"),
        ("r3gan_ffhq256.py:side=64", "FFHQ-64"),
        ("r3gan_imagenet64.py", "ImageNet-64"),
        ("r3gan_imagenet64.py:side=32", "ImageNet-32"),
    ):
        run = dataclasses.asdict(config.load(str(CONFIGS / file)))
        assert {key: run[key] for key in r3gan.preset(name)} == r3gan.preset(name), file
    with pytest.raises(ValueError, match="the preset='FFHQ-128' is not known"):
        config.load(str(CONFIGS / "r3gan_ffhq256.py:side=128"))


# --- official weights


def official(net, classes, order):
    """An official state dict of zeros, by our settings: names as brownvc/R3GAN gives them."""
    stages = [f"MainLayers.{i}.Layers" for i in order]
    first = 1 if net == "G" else 0
    arrays = {"EmbeddingLayer.weight": (5 if net == "G" else 8, classes)} if classes else {}
    for level, (stage, width, groups) in enumerate(zip(stages, (8, 4), (4, 2), strict=True)):
        block = f"{stage}.{first}."
        arrays[block + "LinearLayer1.Layer.weight"] = (2 * width, width, 1, 1)
        arrays[block + "LinearLayer2.Layer.weight"] = (2 * width, 2 * width // groups, 3, 3)
        arrays[block + "LinearLayer3.Layer.weight"] = (width, 2 * width, 1, 1)
        arrays |= {block + f"NonLinearity{i}.Bias": (2 * width,) for i in (1, 2)}
        if level:
            arrays[f"{stage}.{1 - first}.LinearLayer.Layer.weight"] = (
                (4, 8, 1, 1) if net == "G" else (8, 4, 1, 1)
            )
    if net == "G":
        arrays |= {
            "MainLayers.0.Layers.0.Basis": (8, 4, 6),
            "AggregationLayer.Layer.weight": (3, 4, 1, 1),
        }
        arrays["MainLayers.0.Layers.0.LinearLayer.weight"] = (8, 12 if classes else 7)
    else:
        arrays |= {
            "MainLayers.1.Layers.1.Basis.weight": (8, 1, 4, 6),
            "ExtractionLayer.Layer.weight": (4, 3, 1, 1),
        }
        arrays["MainLayers.1.Layers.1.LinearLayer.weight"] = (8 if classes else 1, 8)
    arrays = {f"Model.{name}": np.zeros(shape, np.float32) for name, shape in arrays.items()}
    return arrays | {
        f"Model.{stages[1]}.{1 - first}.Resampler.Kernel": np.outer([1, 3, 3, 1], [1, 3, 3, 1]) / 64
    }


READERS = {"G": (converters.generator, (0, 1)), "D": (converters.discriminator, (1, 0))}


@pytest.mark.parametrize("classes", [0, 3])
@pytest.mark.parametrize("net", READERS)
def test_official_names_are_read(net, classes):
    read, order = READERS[net]
    found = read(official(net, classes, order))
    assert (found.shape, found.n_classes) == ((8, 12, 3), classes)
    assert {name: found.settings[name] for name in SMALL} == SMALL and found.settings[
        "expansion"
    ] == 2
    assert found.z_dim == (7 if net == "G" else None)


@pytest.mark.parametrize("net", READERS)
def test_arrays_that_do_not_fit_are_named(net):
    read, order = READERS[net]
    arrays = official(net, 3, order)
    for name in arrays:
        short = name.removeprefix("Model.")
        if name.endswith("Resampler.Kernel"):
            with pytest.raises(ValueError, match=f"{short} is not the filter"):
                read(arrays | {name: np.ones((4, 4)) / 16})
            continue
        if name == "Model.EmbeddingLayer.weight":  # without it the net is another one
            continue
        rest = {n: a for n, a in arrays.items() if n != name}
        with pytest.raises(ValueError, match=f"lacks .*{short.split('.')[-1]}"):
            read(rest)
    with pytest.raises(ValueError, match="has Other.weight, which ours has not"):
        read(arrays | {"Other.weight": np.zeros(3, np.float32)})
    bias = f"Model.MainLayers.1.Layers.{1 if net == 'G' else 0}.NonLinearity2.Bias"
    with pytest.raises(ValueError, match=r"NonLinearity2.Bias is float32\[3\]; ours is \[\d+\]"):
        read(arrays | {bias: np.zeros(3, np.float32)})
    with pytest.raises(ValueError, match="lacks MainLayers.0.Layers"):
        read({})
