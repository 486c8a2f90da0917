"""Layers against plain arithmetic: what the kernel is, where the bias goes, what spectral norm
divides."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.nn import conv, layers


def normal(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def start(layer, x):
    """Variables with a bias that is not zero."""
    variables = dict(layer.init(jax.random.key(0), x, train=True))
    assert not np.any(variables["params"]["bias"])
    variables["params"] = {**variables["params"], "bias": normal(layer.features, seed=9)}
    return (
        variables,
        variables["params"]["kernel"],
        variables["params"]["bias"].reshape((1,) * (x.ndim - 1) + (-1,)),
    )


def test_dense():
    x = normal(3, 4)
    variables, w, b = start(layers.Dense(5), x)
    np.testing.assert_allclose(
        layers.Dense(5).apply(variables, x), np.asarray(x) @ np.asarray(w) + b, atol=1e-5
    )


@pytest.mark.parametrize(
    ("settings", "shape"),
    [
        ({}, (3, 3, 4, 6)),
        ({"kernel_size": 4, "stride": 2}, (4, 4, 4, 6)),
        ({"kernel_size": 1, "padding": 0}, (1, 1, 4, 6)),
        ({"groups": 2}, (3, 3, 2, 6)),
    ],
)
def test_conv(settings, shape):
    x, layer = normal(2, 6, 8, 4), layers.Conv(6, **settings)
    variables, w, b = start(layer, x)
    assert w.shape == shape
    plain = jax.lax.conv_general_dilated(
        x,
        w,
        (layer.stride, layer.stride),
        ((layer.padding, layer.padding),) * 2,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=layer.groups,
    )
    np.testing.assert_allclose(layer.apply(variables, x), plain + b, atol=1e-4)


def test_conv_resamples_before_or_after():
    x = normal(2, 4, 6, 4)
    variables, w, b = start(layers.Conv(6), x)
    up, down = layers.Conv(6, resample="up"), layers.Conv(6, resample="down")
    np.testing.assert_allclose(
        up.apply(variables, x), conv.conv(conv.upsample(x), w, 1, 1) + b, atol=1e-4
    )
    np.testing.assert_allclose(
        down.apply(variables, x), conv.pool(conv.conv(x, w, 1, 1)) + b, atol=1e-4
    )


def test_conv_transpose_is_the_input_gradient_of_its_kernel():
    x, layer = normal(2, 3, 4, 5), layers.ConvTranspose(6)
    variables, w, b = start(layer, x)
    assert w.shape == (4, 4, 6, 5)
    forward = lambda image: conv.conv(image, w, 2, 1)  # [2, 6, 8, 6] -> [2, 3, 4, 5]
    want = jax.vjp(forward, jnp.zeros((2, 6, 8, 6)))[1](x)[0]
    np.testing.assert_allclose(layer.apply(variables, x), want + b, atol=1e-4)


def test_embed_takes_rows_and_learns_only_them():
    layer, y = layers.Embed(4, n_classes=3), jnp.array([2, 0, 2])
    variables = layer.init(jax.random.key(0), y)
    table = variables["params"]["kernel"]
    np.testing.assert_allclose(layer.apply(variables, y), table[y], atol=1e-6)
    grads = jax.grad(lambda v: layer.apply(v, y).sum())(variables)["params"]["kernel"]
    np.testing.assert_allclose(grads, np.repeat([[1.0], [0.0], [2.0]], 4, 1), atol=1e-6)


@pytest.mark.parametrize("layer", [layers.Conv(6, "he", True), layers.Dense(6, "he", True)])
def test_spectral_norm_divides_the_kernel_and_not_the_bias(layer):
    x = normal(2, 4, 4, 5) if isinstance(layer, layers.Conv) else normal(2, 5)
    variables, w, _ = start(layer, x)
    for _ in range(60):
        _, state = layer.apply(variables, x, train=True, mutable=["spectral"])
        variables |= state
    sigma = np.linalg.svd(np.reshape(w, (-1, 6)), compute_uv=False)[0]
    assert abs(sigma - 1) > 0.2, "dividing by it would show nothing"
    bare = type(layer)(6).apply({"params": {**variables["params"], "kernel": w / sigma}}, x)
    np.testing.assert_allclose(layer.apply(variables, x), bare, atol=1e-4)


def test_an_unknown_initializer_is_named():
    with pytest.raises(
        ValueError, match="initializer='orthogonl' is not known. Did you mean 'orthogonal'"
    ):
        layers.Dense(2, "orthogonl").init(jax.random.key(0), jnp.ones((1, 2)), train=True)
