import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.distributed import collectives
from gan_jax.nn.norms import BatchNorm, ConditionalBatchNorm, SpectralNorm


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def apply(module, variables, *args, train):
    return module.apply(
        variables, *args, train=train, mutable=[k for k in variables if k != "params"]
    )


def test_batch_norm_against_numpy():
    x = 3 * normal(5, 4, 3, 2) + np.float32([1, -2])
    module = BatchNorm()
    variables = dict(module.init(jax.random.key(0), x, train=True))
    variables["params"] = {"scale": jnp.array([2.0, 0.5]), "bias": jnp.array([0.1, -0.3])}
    y, new = apply(module, variables, x, train=True)
    mean, var = x.mean((0, 1, 2)), x.var((0, 1, 2))
    want = (x - mean) / np.sqrt(var + 1e-4) * [2.0, 0.5] + [0.1, -0.3]
    np.testing.assert_allclose(y, want, atol=1e-5)
    np.testing.assert_allclose(new["batch_stats"]["mean"], 0.1 * mean, rtol=1e-5)
    # unbiased
    np.testing.assert_allclose(new["batch_stats"]["var"], 0.9 + 0.1 * var * 60 / 59, rtol=1e-5)
    y, same = apply(module, {**variables, **new}, x, train=False)
    running = jax.tree.map(np.asarray, new["batch_stats"])
    want = (x - running["mean"]) / np.sqrt(running["var"] + 1e-4) * [2.0, 0.5] + [0.1, -0.3]
    np.testing.assert_allclose(y, want, atol=1e-5)
    assert np.array_equal(same["batch_stats"]["mean"], running["mean"])


def test_batch_norm_is_global_under_pmap():
    """Two devices with very different rows: each gets the statistics of both."""
    x = np.stack([normal(4, 2, 2, 3), 10 + 5 * normal(4, 2, 2, 3, seed=1)])
    module = BatchNorm()
    variables = module.init(jax.random.key(0), x[0], train=True)
    cut = jax.pmap(lambda x: apply(module, variables, x, train=True), axis_name=collectives.NAME)(x)
    whole = apply(module, variables, x.reshape(8, 2, 2, 3), train=True)
    np.testing.assert_allclose(np.reshape(cut[0], (8, 2, 2, 3)), whole[0], atol=1e-4)
    for device in (0, 1):
        for name, value in whole[1]["batch_stats"].items():
            np.testing.assert_allclose(
                cut[1]["batch_stats"][name][device], value, rtol=1e-4, atol=1e-5
            )


def test_conditional_batch_norm_takes_the_labels_row():
    x, y = normal(4, 3, 3, 2), np.array([0, 2, 2, 1])
    module = ConditionalBatchNorm(3)
    variables = dict(module.init(jax.random.key(0), x, y, train=True))
    gain, bias = normal(3, 2, seed=1), normal(3, 2, seed=2)
    variables["params"] = {"gain": gain, "bias": bias}
    got, _ = apply(module, variables, x, y, train=True)
    plain = (x - x.mean((0, 1, 2))) / np.sqrt(x.var((0, 1, 2)) + 1e-4)
    np.testing.assert_allclose(
        got, plain * (1 + gain[y])[:, None, None] + bias[y][:, None, None], atol=1e-5
    )


@pytest.mark.parametrize("shape", [(3, 3, 4, 6), (7, 5), (5, 1)])
def test_spectral_norm_converges_to_the_largest_singular_value(shape):
    w = normal(*shape)
    module = SpectralNorm()
    variables = module.init(jax.random.key(0), w, train=True)
    for _ in range(200):
        scaled, variables = apply(module, variables, w, train=True)
    singular = np.linalg.svd(w.reshape(-1, shape[-1]), compute_uv=False)
    np.testing.assert_allclose(scaled * singular[0], w, rtol=1e-4, atol=1e-5)
    assert abs(np.linalg.svd(np.reshape(scaled, (-1, shape[-1])), compute_uv=False)[0] - 1) < 1e-4


def test_one_iteration_a_training_pass_and_none_without():
    w = normal(6, 4)
    module = SpectralNorm()
    start = module.init(jax.random.key(0), w, train=True)
    u = start["spectral"]["u"]
    v = w @ u / np.linalg.norm(w @ u)
    want = v @ w / np.linalg.norm(v @ w)
    scaled, after = apply(module, start, w, train=True)
    np.testing.assert_allclose(after["spectral"]["u"], want, rtol=1e-5)
    np.testing.assert_allclose(scaled, w / (v @ w @ want), rtol=1e-5)
    _, still = apply(module, after, w, train=False)
    assert np.array_equal(still["spectral"]["u"], after["spectral"]["u"])


def test_spectral_norms_gradient_is_that_of_w_over_sigma():
    """u and v are constants: d(w / sigma) = (g - <g, w / sigma> v u^T) / sigma. Miyato et al. 2018,
    eq. 12."""
    w, g = normal(6, 4), normal(6, 4, seed=1)
    module = SpectralNorm()
    variables = module.init(jax.random.key(0), w, train=True)
    u = variables["spectral"]["u"]
    v = w @ u / np.linalg.norm(w @ u)
    u = v @ w / np.linalg.norm(v @ w)
    sigma = v @ w @ u
    got = jax.grad(lambda w: jnp.sum(apply(module, variables, w, train=True)[0] * g))(w)
    np.testing.assert_allclose(got, (g - np.sum(g * w) / sigma * np.outer(v, u)) / sigma, atol=1e-4)
