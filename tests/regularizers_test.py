import jax
import jax.numpy as jnp
import numpy as np

from gan_jax import regularizers


def linear_critic(a):
    return lambda x: jnp.sum(x * a[None], axis=(1, 2, 3))


def test_penalty_of_a_linear_critic_is_its_slope_squared():
    a = jnp.asarray(np.random.default_rng(0).normal(size=(4, 5, 3)), jnp.float32)
    x = jnp.asarray(np.random.default_rng(1).normal(size=(2, 4, 5, 3)), jnp.float32)
    np.testing.assert_allclose(
        regularizers.grad_penalty(linear_critic(a), x), [jnp.sum(a**2)] * 2, rtol=1e-5
    )


def test_penalty_of_a_quadratic_critic_is_each_images_own():
    critic = lambda x: 0.5 * jnp.sum(jnp.square(x), axis=(1, 2, 3))  # its gradient is x
    x = jnp.asarray(np.random.default_rng(1).normal(size=(3, 2, 2, 1)), jnp.float32)
    np.testing.assert_allclose(
        regularizers.grad_penalty(critic, x), jnp.sum(x**2, (1, 2, 3)), rtol=1e-6
    )


def test_penalty_sums_the_logits_of_a_patch_critic():
    a = jnp.ones((2, 2, 1))
    patches = lambda x: jnp.stack([linear_critic(a)(x), linear_critic(2 * a)(x)], 1)
    np.testing.assert_allclose(
        regularizers.grad_penalty(patches, jnp.zeros((1, 2, 2, 1))), [4 * 9.0], rtol=1e-6
    )


def test_interpolate_penalty_of_a_linear_critic():
    a = jnp.full((2, 2, 1), 1.5)  # norm 3
    x = jnp.zeros((2, 2, 2, 1))
    got = regularizers.interpolate_penalty(linear_critic(a), x, x + 1, jnp.full((2, 1, 1, 1), 0.3))
    np.testing.assert_allclose(got, [4.0, 4.0], rtol=1e-5)


def test_interpolate_penalty_is_taken_between_real_and_fake():
    critic = lambda x: 0.5 * jnp.sum(jnp.square(x), axis=(1, 2, 3))
    real, fake = jnp.full((1, 1, 1, 1), 4.0), jnp.full((1, 1, 1, 1), 8.0)
    got = regularizers.interpolate_penalty(critic, real, fake, jnp.full((1, 1, 1, 1), 0.75))
    np.testing.assert_allclose(got, [(5.0 - 1) ** 2], rtol=1e-5)  # 0.75 * 4 + 0.25 * 8 = 5


def test_flat_critic_has_a_finite_gradient():
    penalty = lambda c: jnp.mean(
        regularizers.interpolate_penalty(
            linear_critic(jnp.full((1, 1, 1), c)), *[jnp.ones((1, 1, 1, 1))] * 3
        )
    )
    assert np.isfinite(jax.grad(penalty)(0.0))


def test_lecam_pulls_each_side_to_the_other_sides_mean():
    lecam = lambda real, fake: regularizers.lecam(
        jnp.array(real), jnp.array(fake), jnp.float32(1.0), jnp.float32(-0.5)
    )
    np.testing.assert_allclose(lecam([0.5, 1.5], [0.0, -1.0]), (1 + 4) / 2 + (1 + 4) / 2, rtol=1e-6)
    # reals below the fakes' mean, fakes above the reals'
    assert float(lecam([-0.5, -3.0], [1.0, 4.0])) == 0
    means = jax.grad(lambda m: regularizers.lecam(jnp.ones(2), -jnp.ones(2), m, -m))(
        jnp.float32(1.0)
    )
    assert float(means) == 0


def test_consistency_is_the_mean_squared_change():
    logits, moved = jnp.array([1.0, -2.0]), jnp.array([0.0, 1.0])
    np.testing.assert_allclose(regularizers.consistency(logits, moved), (1 + 9) / 2, rtol=1e-6)
    np.testing.assert_allclose(
        jax.grad(regularizers.consistency, (0, 1))(logits, moved), ([1, -3], [-1, 3]), rtol=1e-6
    )
