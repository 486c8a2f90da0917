import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gan_jax import optim
from gan_jax.runtime import registry
from gan_jax.state import Phase

MAIN = (Phase("d", None),)


def step(grads, params, phases=MAIN, batch=10, total_kimg=1.0, steps=1, **settings):
    tx = optim.make(
        place="config.opt_d", phases=phases, batch=batch, total_kimg=total_kimg, **settings
    )
    state = tx.init(params)

    @jax.jit
    def play(params, state):
        updates, state = tx.update(grads, state, params)
        return optax.apply_updates(params, updates), state

    for _ in range(steps):
        params, state = play(params, state)
    return params


def test_adam_first_step_is_lr():
    np.testing.assert_allclose(
        step(jnp.array([3.0, -7.0]), jnp.zeros(2), lr=0.1), [-0.1, 0.1], rtol=1e-5
    )


def test_sgd_and_rmsprop():
    np.testing.assert_allclose(
        step(jnp.array(2.0), jnp.array(0.0), name="sgd", lr=0.1), -0.2, rtol=1e-6
    )
    got = step(jnp.array(2.0), jnp.array(0.0), name="rmsprop", lr=0.1, b2=0.75)
    np.testing.assert_allclose(got, -0.1 * 2 / np.sqrt(0.25 * 4), rtol=1e-5)


def test_rmsprops_eps_stands_outside_the_root():
    """Of a gradient far below sqrt(eps): optax's default, eps inside, moves a hundredth of this."""
    got = step(jnp.float32(1e-6), jnp.float32(0), name="rmsprop", lr=5e-5, b2=0.99, eps=1e-8)
    np.testing.assert_allclose(got, -5e-5 * 1e-6 / (np.sqrt(0.01 * 1e-12) + 1e-8), rtol=1e-5)


@pytest.mark.parametrize("name", ["adam", "rmsprop", "sgd"])
def test_updates_are_the_published_ones(name):
    """The module's equations, in double precision; gradients near eps, weights that decay, five
    steps."""
    b1, b2, lr, eps, decay, momentum = 0.5, 0.9, 0.01, 1e-3, 0.1, 0.8
    tx = optim.make(
        place="config.opt_d",
        phases=MAIN,
        batch=10,
        total_kimg=1.0,
        name=name,
        lr=lr,
        b1=b1,
        b2=b2,
        eps=eps,
        weight_decay=decay,
        momentum=momentum if name == "sgd" else 0.0,
    )
    params, want = jnp.array([0.01, -0.02]), np.array([0.01, -0.02])
    state, m, v = tx.init(params), 0.0, 0.0
    for t, grad in enumerate(
        [[1e-3, -2e-3], [3e-4, 1e-3], [-5e-3, 0.0], [1e-4, 2e-4], [0.0, -1e-3]], 1
    ):
        updates, state = tx.update(jnp.array(grad), state, params)
        params = optax.apply_updates(params, updates)
        g = np.array(grad) + decay * want
        v = b2 * v + (1 - b2) * g**2
        if name == "adam":
            m = b1 * m + (1 - b1) * g
            want = want - lr * m / (1 - b1**t) / (np.sqrt(v / (1 - b2**t)) + eps)
        elif name == "rmsprop":
            want = want - lr * g / (np.sqrt(v) + eps)
        else:
            m = momentum * m + g
            want = want - lr * m
    np.testing.assert_allclose(params, want, rtol=1e-5)


@pytest.mark.parametrize(("steps", "left"), [(50, 1.0), (75, 0.5), (100, 0.0)])
def test_linear_schedule_counts_images(steps, left):
    """1 kimg in batches of 10 is 100 steps; the rate falls from 0.5 kimg on."""

    def tx(n):
        return step(
            jnp.array(1.0),
            jnp.array(0.0),
            name="sgd",
            lr=1.0,
            schedule="linear",
            decay_from_kimg=0.5,
            steps=n,
        )

    np.testing.assert_allclose(tx(steps) - tx(steps + 1), left, atol=1e-4)


def test_schedule_counts_images_whatever_the_critic_repeats():
    five = (Phase("d", None, repeat=5),)
    sgd = {"name": "sgd", "lr": 1.0, "schedule": "linear", "phases": five}

    def moved(n):
        return step(jnp.array(1.0), jnp.array(0.0), steps=n, **sgd)

    np.testing.assert_allclose(moved(250) - moved(251), 0.5, atol=1e-4)  # half of 100 x 5 steps


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_schedule_counts_images_whenever_a_phase_begins_or_ends(schedule):
    """From iteration 50 of 100 on, or one phase of two: each of an optimizer's steps has the rate
    of the iteration that it is played in, `optim.rate`'s."""
    settings = {"name": "sgd", "lr": 1.0, "schedule": schedule, "decay_from_kimg": 0.25}
    late = Phase("d", None, since=50, repeat=2)
    early = Phase("d", None, until=30)
    for phases in (
        (late,),
        (late, Phase("d", None)),
        (late, Phase("d", None, since=70)),
        (early, late),
        (early, Phase("d", None, since=30)),
        (Phase("d", None, until=60),),
        (early, Phase("d", None, since=40, until=60)),
    ):
        played = [n for n in range(100) for p in phases if p.due(n) for _ in range(p.repeat)]
        tx = optim.make(place="", phases=phases, batch=10, total_kimg=1.0, **settings)
        grads = jnp.float32(1)

        def play(state, _, tx=tx, grads=grads):
            update, state = tx.update(grads, state, grads)
            return state, -update

        moved = jax.lax.scan(play, tx.init(grads), None, len(played))[1]
        wanted = [optim.rate(settings, 1.0, n / 100) for n in played]
        np.testing.assert_allclose(moved, wanted, atol=0.02)


@pytest.mark.parametrize(("steps", "left"), [(0, 1.0), (25, 0.6), (50, 0.2), (80, 0.2)])
def test_cosine_schedule_ends_where_and_when_it_is_told(steps, left):
    """Over 0.5 of 1 kimg, in batches of 10: 50 steps from 1 to 0.2, then constant."""
    settings = {"name": "sgd", "lr": 1.0, "schedule": "cosine", "final_lr": 0.2, "decay_kimg": 0.5}

    def moved(n):
        return step(jnp.array(1.0), jnp.array(0.0), steps=n, **settings)

    np.testing.assert_allclose(moved(steps) - moved(steps + 1), left, atol=1e-4)


def test_b2_is_scheduled_with_the_rate():
    """Adam by hand, b1 0 and b2 going in a line from 0.5 to 0.9 over 4 steps; the correction uses
    the b2 of its step."""
    grads, value, second = [1.0, 3.0, -2.0, 0.5, 4.0], 0.0, 0.0
    settings = {
        "lr": 0.1,
        "final_lr": 0.1,
        "b1": 0.0,
        "b2": 0.5,
        "final_b2": 0.9,
        "schedule": "linear",
    }
    tx = optim.make(place="config.opt_d", phases=MAIN, batch=10, total_kimg=0.04, **settings)
    params = jnp.array(0.0)
    state = tx.init(params)
    for n, grad in enumerate(grads):
        b2 = 0.5 + 0.4 * min(n / 4, 1)
        second = b2 * second + (1 - b2) * grad**2
        value -= 0.1 * grad / (np.sqrt(second / (1 - b2 ** (n + 1))) + 1e-8)
        updates, state = tx.update(jnp.array(grad), state, params)
        params = optax.apply_updates(params, updates)
    np.testing.assert_allclose(params, value, rtol=1e-5)


def test_b2_goes_nowhere_without_adam_and_a_schedule():
    with pytest.raises(
        ValueError, match=r"config.opt_d.final_b2=0.9: it needs name='adam' and schedule="
    ):
        step(jnp.array(1.0), jnp.array(0.0), final_b2=0.9)


def test_clip_norm_bounds_the_global_norm():
    got = step(
        {"a": jnp.array(3.0), "b": jnp.array(4.0)},
        {"a": jnp.array(0.0), "b": jnp.array(0.0)},
        name="sgd",
        lr=1.0,
        clip_norm=1.0,
    )
    np.testing.assert_allclose([got["a"], got["b"]], [-0.6, -0.8], rtol=1e-6)


def test_clip_weight_bounds_each_weight_after_the_step():
    got = step(jnp.array([-5.0, 5.0, 0.001]), jnp.zeros(3), name="sgd", lr=1.0, clip_weight=0.01)
    np.testing.assert_allclose(got, [0.01, -0.01, -0.001], rtol=1e-5)


@pytest.mark.parametrize("final_b2", [None, 0.99])
@pytest.mark.parametrize("repeat", [1, 5])
@pytest.mark.parametrize("b1", [0.0, 0.5])
def test_lazy_correction(b1, repeat, final_b2):
    """Lazy steps every 16 iterations: lr and betas get k / (k + 1), Karras et al. 2020, app. B."""
    lazy = (Phase("d", None, repeat=repeat), Phase("d", None, every=16, repeat=repeat))
    c = 16 / 17
    scheduled = (
        {} if final_b2 is None else {"final_b2": final_b2, "schedule": "linear", "final_lr": 0.1}
    )
    tx = optim.make(
        place="config.opt_d",
        phases=lazy,
        batch=10,
        total_kimg=1.0,
        lr=0.1,
        b1=b1,
        b2=0.99,
        **scheduled,
    )
    want = optax.adam(0.1 * c, b1**c, 0.99**c)
    params = wanted = jnp.array(0.0)
    state, other = tx.init(params), want.init(params)
    for grad in (2.0, -1.0, 0.5):
        updates, state = tx.update(jnp.array(grad), state, params)
        params = optax.apply_updates(params, updates)
        updates, other = want.update(jnp.array(grad), other, wanted)
        wanted = optax.apply_updates(wanted, updates)
    np.testing.assert_allclose(params, wanted, rtol=1e-5)


def test_unknown_names():
    with pytest.raises(
        ValueError, match=r"config.opt_d.name='adm' is not known. Did you mean 'adam'"
    ):
        step(jnp.array(1.0), jnp.array(1.0), name="adm")
    with pytest.raises(ValueError, match=r"config.opt_g.learning_rate: no such setting. .*lr"):
        registry.build(
            optim.make,
            {"learning_rate": 1},
            "config.opt_g",
            place="config.opt_g",
            phases=MAIN,
            batch=1,
            total_kimg=1.0,
        )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"lr": -1.0}, "config.opt_d.lr=-1.0 is out of range"),
        ({"b1": 1.5}, "config.opt_d.b1=1.5 is out of range"),
        ({"clip_norm": 0.0}, "config.opt_d.clip_norm=0.0 is out of range"),
        ({"decay_from_kimg": float("inf")}, "config.opt_d.decay_from_kimg=inf is out of range"),
        ({"momentum": 0.9}, "config.opt_d.momentum=0.9: only name='sgd' has it"),
        ({"schedule": "lin"}, "config.opt_d.schedule='lin' is not known. Did you mean 'linear'"),
    ],
)
def test_settings_out_of_range(settings, message):
    with pytest.raises(ValueError, match=message):
        step(jnp.array(1.0), jnp.array(1.0), **settings)


def test_frozen_parameters_stay():
    """Neither the gradient nor weight decay moves them."""
    params = {"mapping": {"fc0": jnp.ones(2), "fc1": jnp.ones(2)}, "synthesis": {"b4": jnp.ones(2)}}
    settings = {"lr": 0.1, "weight_decay": 0.1, "steps": 3}
    made = step(params, params, frozen=("mapping/fc0", "synthesis"), **settings)
    assert (made["mapping"]["fc0"] == 1).all() and (made["synthesis"]["b4"] == 1).all()
    assert (made["mapping"]["fc1"] != 1).all()


@pytest.mark.parametrize(("name", "hint"), [("map", "'mapping'"), ("mapping/fc", "'mapping/fc0'")])
def test_frozen_names_nothing(name, hint):
    params = {"mapping": {"fc0": jnp.ones(2)}, "synthesis": jnp.ones(2)}
    with pytest.raises(ValueError, match=f"config.opt_d.frozen: '{name}' is no.*{hint}"):
        step(params, params, frozen=(name,))
