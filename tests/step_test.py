import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gan_jax import build, config, losses, optim
from gan_jax.algorithms import noise_to_image
from gan_jax.algorithms.base import example_batch, to_float
from gan_jax.distributed.parallel import Parallel
from gan_jax.state import Player
from gan_jax.step import Average, Iteration, end_iteration, make_step

SHAPE = (4, 4, 1)


def settings(**changes):
    return dataclasses.replace(
        config.Config(
            "noise_to_image",
            "mlp",
            {},
            batch=4,
            total_kimg=1.0,
            opt_g={"lr": 0.01},
            opt_d={"lr": 0.02},
        ),
        **changes,
    )


def play(game, iterations, devices=1, **changes):
    """(state before, state after, metrics of each iteration)."""
    run = settings(**changes)
    parallel = Parallel(run.parallel, jax.devices()[:devices])
    iteration = build.make_iteration(run, game, parallel)
    start = build.new_state(run, game, SHAPE, 0)
    state = parallel.replicate(build.new_state(run, game, SHAPE, 0))
    seen = []
    for step in range(iterations):
        batches = [
            parallel.put(
                {
                    "image": (
                        np.random.default_rng(100 * step + i).integers(
                            0, 256, (run.batch, *SHAPE), np.uint8
                        )
                    )
                }
            )
            for i in range(iteration.batches)
        ]
        state, metrics = iteration(state, batches, step)
        seen.append(jax.device_get(parallel.one(metrics)))
    return start, parallel.one(state), seen


def adam_count(player):
    adam = lambda x: isinstance(x, optax.ScaleByAdamState)
    (state,) = filter(adam, jax.tree.leaves(player.opt, is_leaf=adam))
    return int(state.count)


def equal(a, b):
    return all(
        np.array_equal(x, y) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    )


@pytest.mark.parametrize(
    ("n_critic", "every", "d_steps"), [(1, 1, 4), (3, 1, 12), (1, 2, 4 + 2), (2, 3, 8 + 4)]
)
def test_adam_counts_with_repeat_and_lazy_phases(toy_game, n_critic, every, d_steps):
    _, state, _ = play(toy_game(n_critic=n_critic, penalty="r1", penalty_every=every), 4)
    assert (adam_count(state.d), adam_count(state.g), int(state.step)) == (d_steps, 4, 4)


def test_a_step_moves_its_own_player_only(toy_game):
    game = toy_game()
    state = build.new_state(settings(), game, SHAPE, 0)
    tx = build.make_optimizers(settings(), game)
    d_phase, g_phase = game.phases
    after_d, _ = jax.jit(make_step(d_phase, tx["d"]))(
        state, example_batch(SHAPE, 0, 4), jnp.int32(0)
    )
    assert equal(after_d.g, state.g) and not equal(after_d.d.params, state.d.params)
    # 1 from init's pass, 1 by this step: one a step
    assert after_d.d.mutable["d"]["spectral"]["passes"] == 2
    after_g, _ = jax.jit(make_step(g_phase, tx["g"]))(
        after_d, example_batch(SHAPE, 0, 4), jnp.int32(1)
    )
    assert equal(after_g.d, after_d.d) and not equal(after_g.g.params, after_d.g.params)
    assert not equal(after_g.g.mutable, after_d.g.mutable)


def test_d_state_advances_in_ds_steps_only(toy_game):
    start, state, _ = play(toy_game(n_critic=3), 2)
    passes = lambda s: int(s.d.mutable["d"]["spectral"]["passes"])
    assert passes(state) - passes(start) == 6


def test_every_phase_of_an_iteration_draws_its_own_noise(toy_game):
    """Same batch, same weights (lr 0): the critic's fakes still differ from step to step and from
    iteration to iteration."""
    _, _, seen = play(toy_game(), 3, opt_g={"lr": 0.0}, opt_d={"lr": 0.0})
    assert len({float(m["d/fake"]) for m in seen}) == 3


def test_one_step_is_the_written_update_rule(toy_game):
    """The golden step: D's step of the hinge game, recomputed without step.py, optim.py or the
    game's own loss."""
    game = toy_game()
    state = build.new_state(settings(), game, SHAPE, 0)
    batch = example_batch(SHAPE, 0, 4)
    tx = build.make_optimizers(settings(), game)
    got, metrics = jax.jit(make_step(game.phases[0], tx["d"]))(state, batch, jnp.int32(5))

    k_z, _ = jax.random.split(
        jax.random.fold_in(jax.random.fold_in(jax.random.wrap_key_data(state.rng), 0), 5)
    )
    z = jax.random.normal(k_z, (4, 3))
    g_vars = {"params": state.g.params["g"], **state.g.mutable["g"]}
    x_fake, _ = game.g.apply(g_vars, z, train=True, mutable=["batch_stats"])

    def loss(params):
        critic = lambda x: game.d.apply(
            {"params": params, **state.d.mutable["d"]}, x, train=True, mutable=["spectral"]
        )[0]
        real, fake = critic(to_float(batch["image"])), critic(x_fake)
        return jnp.mean(jnp.maximum(1 - real, 0)) + jnp.mean(jnp.maximum(1 + fake, 0))

    value, grads = jax.value_and_grad(loss)(state.d.params["d"])
    adam = lambda p, g: p - 0.02 * g / (jnp.abs(g) + 1e-8)  # Adam's first step, whatever its betas
    want = jax.tree.map(adam, state.d.params["d"], grads)
    np.testing.assert_allclose(metrics["d/loss"], value, rtol=1e-5)
    for a, b in zip(jax.tree.leaves(got.d.params["d"]), jax.tree.leaves(want), strict=True):
        np.testing.assert_allclose(a, b, atol=2e-5)


def test_g_minimizes_the_named_loss(toy_game):
    for name, loss in losses.LOSSES.items():
        game = toy_game(loss=name)
        state = build.new_state(settings(), game, SHAPE, 0)
        rng = jax.random.key(3)
        value, aux = game.loss_g(state.g.params, state, example_batch(SHAPE, 0, 4), rng)
        fake, _ = game.fake(state.g, jax.random.split(jax.random.clone(rng), 3)[0], None, 4)
        logits = lambda x: game.critic(state.d.params, state, x, None)[0]
        want = loss.g(logits(to_float(example_batch(SHAPE, 0, 4)["image"])), logits(fake))
        np.testing.assert_allclose(value, want, rtol=1e-6)
        assert aux.metrics["g/loss"] == value


@pytest.mark.parametrize("penalty", ["r1", "r2", "r1+r2", "wgan_gp"])
def test_penalty_enters_ds_loss_at_its_weight(toy_game, penalty):
    rng, batch = jax.random.key(0), example_batch(SHAPE, 0, 4)
    game = toy_game(penalty=penalty, penalty_weight=3.0)
    state = build.new_state(settings(), game, SHAPE, 0)
    with_it, aux = game.loss_d(state.d.params, state, batch, rng)
    without, _ = toy_game().loss_d(state.d.params, state, batch, jax.random.clone(rng))
    np.testing.assert_allclose(with_it - without, aux.metrics["d/penalty"], rtol=1e-4)
    lazy = toy_game(penalty=penalty, penalty_weight=3.0, penalty_every=4)
    alone, _ = lazy.penalty_d(state.d.params, state, batch, jax.random.clone(rng))
    np.testing.assert_allclose(alone, 4 * aux.metrics["d/penalty"], rtol=1e-5)
    one = toy_game(penalty=penalty, penalty_weight=1.0).loss_d(
        state.d.params, state, batch, jax.random.clone(rng)
    )[1]
    np.testing.assert_allclose(aux.metrics["d/penalty"], 3 * one.metrics["d/penalty"], rtol=1e-5)
    assert aux.metrics["d/penalty"] > 0


class Linear(nn.Module):
    """Its R1 is the squared norm of its kernel w, whose gradient is 2 w at any image."""

    @nn.compact
    def __call__(self, x, y=None, *, train=False):
        return nn.Dense(1)(x.reshape(x.shape[0], -1))[:, 0]


def pull(game, iterations):
    """The sum of D's gradients over so many iterations, at weights that stay where they are."""
    gathered = optax.GradientTransformation(
        lambda params: jax.tree.map(jnp.zeros_like, params),
        lambda grads, state, params: (
            jax.tree.map(jnp.zeros_like, grads),
            jax.tree.map(jnp.add, state, grads),
        ),
    )
    tx = {who: optim.per_network(lambda name: gathered) for who in "gd"}
    state = build.new_state(settings(), game, SHAPE, 0)
    state = state.replace(g=state.g.replace(opt=tx["g"].init(state.g.params)))
    state = state.replace(d=state.d.replace(opt=tx["d"].init(state.d.params)))
    w = np.array(state.d.params["d"]["Dense_0"]["kernel"])
    batch = {"image": np.random.default_rng(0).integers(0, 256, (4, *SHAPE), np.uint8)}
    play = Iteration(
        game.phases, tx, Parallel("jit", jax.devices()[:1]), batch=4, average=Average(40.0)
    )
    for step in range(iterations):
        state, _ = play(state, [batch] * play.batches, step)
    return state.d.opt["d"]["Dense_0"]["kernel"], w


@pytest.mark.parametrize("every", [1, 4])
def test_a_penalty_pulls_as_much_however_seldom_it_comes(every, n_critic=5):
    """gamma / 2 R1 of a linear critic: gamma w for each of D's main steps, lazy or not."""
    game = lambda **more: noise_to_image.Algorithm(
        Still(), Linear(), z_dim=3, n_critic=n_critic, **more
    )
    with_it, w = pull(game(penalty="r1", penalty_weight=3.0, penalty_every=every), 4)
    np.testing.assert_allclose(
        with_it - pull(game(), 4)[0], 4 * n_critic * 3.0 * w, rtol=1e-4, atol=1e-4
    )


def test_ema_has_its_half_life(toy_game):
    """Weights that jump from 0 to 1: after the half-life's images the average stands at one
    half."""
    batch, halflife = 4, 40.0
    value = 0.0
    for step in range(10):
        decay = float(Average(halflife).decay(jnp.int32(step), batch))
        value = decay * value + (1 - decay)
    np.testing.assert_allclose(value, 0.5, rtol=1e-5)
    with_ramp = float(Average(halflife, rampup=0.05).decay(jnp.int32(0), batch))
    # half-life: 0.05 of the 4 images seen
    np.testing.assert_allclose(with_ramp, 0.5 ** (4 / (0.05 * 4)), rtol=1e-4)


@pytest.mark.parametrize(("step", "share"), [(9, 0.5), (19, 1.0), (99, 1.0)])
def test_half_life_rises_along_half_a_cosine(step, share):
    """Over 80 images of 4 an iteration: at half of them half of it, afterwards the whole."""
    decay = float(Average(40.0, rise=80.0).decay(jnp.int32(step), 4))
    np.testing.assert_allclose(decay, 0.5 ** (4 / (40 * share)), rtol=1e-5)


class Still(nn.Module):
    """A generator and a critic without batch statistics, so that parts of a batch give the whole
    batch's gradient."""

    picture: bool = True

    @nn.compact
    def __call__(self, x, y=None, *, train=False):
        h = jnp.tanh(nn.Dense(8)(x.reshape(x.shape[0], -1)))
        return (
            jnp.tanh(nn.Dense(16)(h)).reshape(-1, *SHAPE) if self.picture else nn.Dense(1)(h)[:, 0]
        )


@pytest.mark.parametrize("devices", [1, 2])
def test_accumulated_parts_are_the_whole_batch(devices):
    """D's step with G's noise the same in every part (z ignored: weights 0): equal to the step in
    one piece."""
    game = noise_to_image.Algorithm(Still(), Still(picture=False), z_dim=3, penalty="r1")
    whole, parts = (settings(batch=8, accumulate=n) for n in (1, 2))
    seen = []
    for run in (whole, parts):
        parallel = Parallel("jit", jax.devices()[:devices])
        state = build.new_state(run, game, SHAPE, 0)
        state = state.replace(
            g=state.g.replace(params=jax.tree.map(jnp.zeros_like, state.g.params))
        )
        optimizer_step = build.make_iteration(run, game, parallel).steps[0][1]
        image = np.random.default_rng(0).integers(0, 256, (8, *SHAPE), np.uint8)
        seen.append(
            optimizer_step(
                parallel.replicate(state),
                parallel.put({"image": image}),
                parallel.scalar(np.int32(0)),
            )
        )
    (one, measured), (two, measured_in_parts) = seen
    for name in measured:
        np.testing.assert_allclose(measured[name], measured_in_parts[name], rtol=1e-4, err_msg=name)
    for a, b in zip(jax.tree.leaves(one.d), jax.tree.leaves(two.d), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
    assert adam_count(two.d) == 1


def test_parts_draw_their_own_noise_and_thread_the_mutable_state(toy_game):
    game = toy_game()
    state = build.new_state(settings(batch=4), game, SHAPE, 0)
    tx = build.make_optimizers(settings(batch=4), game)["d"]
    draws = []
    loss = lambda params, state, batch, rng: (
        draws.append(rng) or game.loss_d(params, state, batch, rng)
    )
    after, _ = jax.jit(make_step(game.phases[0]._replace(loss=loss), tx, 2))(
        state, example_batch(SHAPE, 0, 4), jnp.int32(0)
    )
    # 1 from init's pass, 1 a part
    assert len(draws) == 2 and after.d.mutable["d"]["spectral"]["passes"] == 3


def test_parts_that_do_not_divide_are_refused(toy_game):
    with pytest.raises(
        ValueError, match=r"config.accumulate=3: it can't cut the 4 images a device sees"
    ):
        build.make_iteration(settings(accumulate=3), toy_game(), Parallel("jit", jax.devices()[:1]))


def test_iteration_averages_weights_and_batch_statistics_together(toy_game):
    # half-life: one batch
    start, state, _ = play(toy_game(), 1, ema_halflife_kimg=0.004, ema_rampup=None)
    for part in ("params", "mutable"):
        old, live = getattr(start.g, part), getattr(state.g, part)
        want = jax.tree.map(lambda a, b: (a + b) / 2, old, live)
        for a, b in zip(jax.tree.leaves(state.ema[part]), jax.tree.leaves(want), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)


def test_what_is_an_average_already_is_copied(toy_game):
    """As StyleGAN2's mean of w."""
    start = build.new_state(settings(), toy_game(), SHAPE, 0)
    keep = lambda value: {"g": {"average": {"w": jnp.float32(value)}}}
    state = start.replace(
        g=start.g.replace(mutable=keep(3)), ema={"params": start.g.params, "mutable": keep(1)}
    )
    state = end_iteration(state, 4, Average(1e9))
    assert state.ema["mutable"]["g"]["average"]["w"] == 3 and start.ema["mutable"] != keep(3)


def test_what_does_not_move_stays_in_every_bit(toy_game):
    """As the frozen generator below a remodulation."""
    start = build.new_state(settings(), toy_game(), SHAPE, 0)
    values = {"g": {"w": jax.random.normal(jax.random.key(0), (1000,))}}
    player = start.g.replace(params=values, mutable={})
    state = start.replace(g=player, ema={"params": values, "mutable": {}})
    end = jax.jit(lambda state: end_iteration(state, 4, Average(40.0)))
    for _ in range(5):
        state = end(state)
    np.testing.assert_array_equal(state.ema["params"]["g"]["w"], values["g"]["w"])


def test_sampling_reads_the_average(toy_game):
    game = toy_game()
    state = build.new_state(settings(), game, SHAPE, 0)
    z = game.latent(jax.random.key(0), 2)
    images = game.sample(state.ema, z, None)
    assert np.array_equal(
        images, game.g.apply({"params": state.ema["params"]["g"], **state.ema["mutable"]["g"]}, z)
    )
    doubled = {
        "params": jax.tree.map(lambda x: 2 * x, state.ema["params"]),
        "mutable": state.ema["mutable"],
    }
    assert not np.array_equal(images, game.sample(doubled, z, None))


def same_numbers(a, b):
    for x, y in zip(a, b, strict=True):
        for name in x:
            np.testing.assert_allclose(x[name], y[name], rtol=2e-4, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("parallel", ["jit", "pmap"])
def test_two_devices_play_as_one(toy_game, parallel):
    """Same losses for 4 iterations at equal global batch, within 2e-4: only the order of summation
    differs."""
    game = toy_game(penalty="wgan_gp", n_critic=2)
    _, one, alone = play(game, 4)
    _, two, together = play(game, 4, devices=2, parallel=parallel)
    same_numbers(alone, together)
    for a, b in zip(jax.tree.leaves(one.g), jax.tree.leaves(two.g), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-3, atol=2e-4)
    assert isinstance(one.g, Player)
