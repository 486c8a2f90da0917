"""JAX functions as ONNX graphs: what onnxruntime computes is what JAX does, at sizes that the graph
did not know."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import onnxruntime
import pytest
from jax import lax

from gan_jax.interop import onnx_ops
from gan_jax.interop.onnx_graph import HALVED, Graph, Output
from gan_jax.nn import conv, resample


def written(function, *specs):
    """The model of a function of values x0, x1, ..., and its graph."""
    graph = Graph()
    values = []
    for i, spec in enumerate(specs):
        values.append(graph.input(f"x{i}", spec.dtype, list(map(str, spec.shape))))
    (made,) = onnx_ops.call(graph, function, values, specs)
    rank = jax.eval_shape(function, *specs).ndim
    outputs = {"result": Output(made, np.float32, [f"side{i}" for i in range(rank)])}
    return graph.model(outputs, {}), graph


def run(model, *values):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return session.run(None, {f"x{i}": x for i, x in enumerate(values)})[0]


def spec(text, *rest):
    """Of sides as jax.export.symbolic_shape reads them."""
    return jax.ShapeDtypeStruct((*jax.export.symbolic_shape(text), *rest), jnp.float32)


def weights(*shape):
    return np.random.default_rng(shape).normal(size=shape).astype(np.float32)


FORMS = {
    "7x7": lambda x: conv.conv(x, weights(7, 7, 6, 3), 1, 3),
    "stride 2": lambda x: conv.conv(x, weights(4, 4, 6, 5), 2, 1),
    "uneven": lambda x: conv.conv(x, weights(3, 3, 6, 5), 2, ((0, 1), (2, 0))),
    "cut": lambda x: conv.conv(x, weights(3, 3, 6, 5), 1, ((-1, 2), (0, -1))),
    "grouped": lambda x: conv.conv(x, weights(3, 3, 2, 9), 1, 1, groups=3),
    "depthwise": lambda x: conv.conv(x, weights(3, 3, 1, 6), 1, 1, groups=6),
    "transposed": lambda x: conv.conv_transpose(x, weights(4, 4, 6, 5), 2, 1),
    "transposed, odd": lambda x: conv.conv_transpose(x, weights(3, 3, 6, 5), 2, 1),
    "transposed, by 3": lambda x: conv.conv_transpose(x, weights(5, 4, 6, 5), 3, ((1, 0), (2, 1))),
    "upsampled": lambda x: conv.upsample_conv(x, weights(3, 3, 6, 5)),
    "pooled": lambda x: conv.conv_pool(x, weights(3, 3, 6, 5)),
    "filter up": lambda x: conv.resample(x, (1, 3, 3, 1), up=2, padding=(2, 1), gain=4),
    "filter by 3": lambda x: conv.resample(x, (1, 2, 3, 2, 1), up=3, padding=(2, 1)),
    "filter down": lambda x: conv.resample(x, (1, 3, 3, 1), down=2, padding=(1, 1)),
    "doubled": resample.double,
    "halved": resample.halve,
}


@pytest.mark.parametrize("name", FORMS)
def test_convolutions(name):
    model, _ = written(FORMS[name], spec("b, 4*m, 4*n", 6))
    for shape in ((1, 4, 12, 6), (2, 8, 4, 6)):
        x = np.random.default_rng(1).normal(size=shape).astype(np.float32)
        wanted = np.asarray(FORMS[name](x))
        np.testing.assert_allclose(run(model, x), wanted, rtol=1e-5, atol=2e-5)
    kinds = {node.op_type for node in model.graph.node}
    assert "ConvTranspose" not in kinds


def there_and_back(x):
    found = lax.fft(x, "RFFT", x.shape)
    return lax.fft(lax.complex(found.real * 2, found.imag + 1), "IRFFT", x.shape)


def test_fourier_transforms_of_any_size():
    model, _ = written(there_and_back, spec("h, w"))
    for size in ((6, 5), (7, 8), (1, 3)):
        x = np.random.default_rng(1).normal(size=size).astype(np.float32)
        found = np.fft.rfft2(x)
        wanted = np.fft.irfft2(found.real * 2 + 1j * (found.imag + 1), size)
        np.testing.assert_allclose(run(model, x), wanted, rtol=1e-5, atol=1e-5)


def of_sides(x):
    n = x.shape[0]
    sides = (n // 3, n % 3, -(-n // 4), n * n - n)
    return sum((jnp.float32(side) * 10.0**i for i, side in enumerate(sides)), jnp.sum(x))


def test_sizes_are_computed_as_python_does():
    model, _ = written(of_sides, spec("n"))
    for n in (3, 4, 11):
        assert run(model, np.zeros(n, np.float32)) == of_sides(jnp.zeros(n)), n


MORE = {
    "pixels by row and column": lambda x: x[:, 1::2, ::3],
    "the last row": lambda x: x[:, -1],
    "reflected": lambda x: resample.reflect(x, 2),
    "padded": lambda x: jnp.pad(x, ((0, 0), (1, 0), (0, 2), (0, 0)), constant_values=3.0),
    "leaky": lambda x: jnp.where(x >= 0, x, 0.2 * x) + jnp.maximum(x, 0),
    "not leaky": lambda x: jnp.where(x >= 0, x, 0.2 * (x + 1)),
    "not leaky either": lambda x: jnp.where(x >= 0, x, x + 0.2),
    "a slope a channel": lambda x: jnp.where(x > 0, x, x * weights(1, 1, 1, 6)),
    "to depth": lambda x: resample.space_to_depth(x, 2),
    "exponential": jax.nn.elu,
    "summed": lambda x: nn.avg_pool(x, (3, 2), (1, 2), ((1, 1), (0, 0))),
    "tiled": lambda x: jnp.tile(x, (1, 1, 2, 1)).mean((1, 2)),
    "channels mixed": lambda x: jnp.einsum("bhwk,bhwc->bkc", jax.nn.softmax(x), x),
    "each pixel's": lambda x: jnp.einsum("bhwc,c->bhw", x, weights(6)),
    "apart": lambda x: jnp.concatenate(jnp.split(x, 3, -1)[::-1], -1),
    "places": lambda x: x * jnp.arange(x.shape[1], dtype=jnp.float32).reshape(1, -1, 1, 1),
}


@pytest.mark.parametrize("name", MORE)
def test_other_operations(name):
    model, _ = written(MORE[name], spec("b, 4*m, 4*n", 6))
    x = np.random.default_rng(1).normal(size=(2, 4, 8, 6)).astype(np.float32)
    wanted = np.asarray(MORE[name](jnp.asarray(x)))
    np.testing.assert_allclose(run(model, x), wanted, rtol=1e-5, atol=1e-5)
    kinds = [node.op_type for node in model.graph.node]
    assert ("PRelu" in kinds) == (name in ("leaky", "a slope a channel")), name


def test_what_is_unknown_is_named():
    with pytest.raises(ValueError, match="uses JAX's `sort`, which is not written as ONNX here"):
        written(jnp.sort, spec("n"))


def test_weights_in_half_and_nothing_that_is_not_needed():
    kernel = weights(3, 3, 6, 50)
    graph = Graph()
    x = graph.input("x0", np.float32, ["b", "h", "w", 6])
    (made,) = onnx_ops.call(graph, lambda x: conv.conv(x, kernel), [x], [spec("b, h, w", 6)])
    graph.op("Add", made, weights(HALVED))  # leads nowhere
    output = {"result": Output(made, np.float32, ["b", "h", "w", 50])}
    full, half = (graph.model(output, {"name": "mine"}, half=half) for half in (False, True))
    assert len(full.graph.initializer) == 1 and full.metadata_props[0].value == "mine"
    assert half.ByteSize() < 0.6 * full.ByteSize()
    x = np.random.default_rng(1).normal(size=(1, 5, 6, 6)).astype(np.float32)
    close = run(half, x)
    rounded = conv.conv(x, kernel.astype(np.float16).astype(np.float32))
    np.testing.assert_allclose(close, np.asarray(rounded), rtol=1e-5, atol=1e-5)
