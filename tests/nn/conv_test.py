"""The kit's CPU forms against plain lax: values, first and second derivatives within 1e-4 of their
scale."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.nn import conv, conv_cpu, conv_plain, winograd


def plain(x, w, stride=1, pads=((0, 0), (0, 0)), groups=1):
    return jax.lax.conv_general_dilated(
        x,
        w,
        (stride, stride),
        pads,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=groups,
    )


def plain_transpose(x, w, stride, p):
    """The input gradient of a plain convolution, by lax's own rule."""
    size = [(x.shape[1 + i] - 1) * stride + w.shape[i] - 2 * p for i in (0, 1)]
    shape = jax.ShapeDtypeStruct((x.shape[0], *size, w.shape[3]), x.dtype)
    forward = lambda y: plain(y, jnp.swapaxes(w, 2, 3), stride, ((p, p), (p, p)))
    return jax.linear_transpose(forward, shape)(x)[0]


def plain_resample(x, taps, up, down, padding, gain):
    taps = np.asarray(taps, np.float64) / np.sum(taps)
    n, h, w, c = x.shape
    wide = np.zeros((n, h * up, w * up, c))
    wide[:, ::up, ::up] = x
    lo, hi = padding
    wide = np.pad(wide, ((0, 0), (max(lo, 0), max(hi, 0)), (max(lo, 0), max(hi, 0)), (0, 0)))
    wide = wide[
        :, max(-lo, 0) : wide.shape[1] - max(-hi, 0), max(-lo, 0) : wide.shape[2] - max(-hi, 0)
    ]
    k = len(taps)
    out = sum(
        taps[i] * taps[j] * wide[:, i : wide.shape[1] - k + 1 + i, j : wide.shape[2] - k + 1 + j]
        for i in range(k)
        for j in range(k)
    )
    return gain * out[:, ::down, ::down]


def normal(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def close(a, b, what):
    scale = max(1.0, float(jnp.abs(b).max()))
    np.testing.assert_allclose(a, b, atol=1e-4 * scale, rtol=0, err_msg=what)


def assert_same(f, reference, x, w):
    """Value, both gradients, and the gradients of a gradient penalty: the family through double
    backward. A program each, for compiling them is what takes the time."""
    towards = normal(*jax.eval_shape(reference, x, w).shape, seed=7)

    def all_of(g):
        first = jax.grad(lambda x, w: jnp.sum(jnp.sin(g(x, w)) * towards), (0, 1))

        def penalty(x, w):
            slopes = first(x, w)
            return sum(jnp.sum(jnp.square(d) * jnp.cos(d)) for d in slopes), slopes

        def found(x, w):
            second, slopes = jax.grad(penalty, (0, 1), has_aux=True)(x, w)
            return g(x, w), *slopes, *second

        return jax.jit(found)(x, w)

    names = "value", "d/dx", "d/dw", "second derivative by x", "second derivative by w"
    for a, b, name in zip(all_of(f), all_of(reference), names, strict=True):
        assert a.shape == b.shape, name
        close(a, b, name)


CONVS = [  # (height, width), kernel, stride, padding, channels in, out
    ((6, 6), 3, 1, 1, 5, 6),
    ((7, 5), 3, 1, 0, 5, 6),
    ((6, 6), 3, 1, 1, 3, 6),
    ((6, 5), 3, 1, 1, 6, 3),
    ((6, 6), 1, 1, 0, 5, 6),
    ((6, 7), 1, 2, 0, 5, 6),
    ((5, 5), 1, 1, 1, 5, 6),
    ((8, 8), 4, 2, 1, 5, 6),
    ((8, 6), 4, 2, 1, 3, 6),
    ((7, 9), 4, 2, 1, 5, 6),
    ((7, 8), 3, 2, 1, 5, 6),
    ((9, 8), 5, 3, 2, 5, 6),
    ((6, 6), 4, 1, 3, 3, 2),
    ((8, 8), 4, 2, ((0, 3), (2, 1)), 5, 6),
    ((8, 8), 2, 3, 0, 5, 6),
]


@pytest.mark.parametrize(("size", "k", "stride", "padding", "ci", "co"), CONVS)
def test_conv(size, k, stride, padding, ci, co):
    pads = ((padding, padding),) * 2 if isinstance(padding, int) else padding
    f = lambda x, w: conv.conv(x, w, stride, padding)
    assert_same(
        f,
        lambda x, w: plain(x, w, stride, pads),
        normal(2, *size, ci),
        normal(k, k, ci, co, seed=1),
    )


WINOGRAD = [  # (height, width), padding, channels in, out
    ((7, 5), 0, 5, 3),
    ((6, 7), ((0, 3), (2, 1)), 5, 6),
    ((3, 4), ((4, 0), (0, 5)), 5, 6),  # wider than the kernel: the input's gradient is cut off
]


@pytest.mark.parametrize(("size", "padding", "ci", "co"), WINOGRAD)
def test_winograds_form(size, padding, ci, co, monkeypatch):
    monkeypatch.setattr(winograd, "suits", lambda *_, **__: True)
    pads = ((padding, padding),) * 2 if isinstance(padding, int) else padding
    x, w = normal(2, *size, ci), normal(3, 3, ci, co, seed=1)
    f = lambda x, w: conv.conv(x, w, 1, padding)
    assert_same(f, lambda x, w: plain(x, w, 1, pads), x, w)
    assert "conv_general_dilated" not in str(
        jax.make_jaxpr(jax.grad(lambda x, w: jnp.sum(f(x, w)), (0, 1)))(x, w)
    )


@pytest.mark.parametrize(
    ("shape", "k", "stride", "dtype", "taken"),
    [
        ((1, 32, 32, 256), 3, 1, "float32", True),
        ((1, 32, 32, 128), 3, 1, "float32", False),  # too little work
        ((1, 256, 256, 64), 3, 1, "float32", False),  # more than the caches hold
        ((1, 512, 512, 32), 3, 1, "float32", False),  # too few channels
        ((1, 32, 32, 256), 3, 1, "bfloat16", False),
        ((1, 32, 32, 256), 3, 2, "float32", False),
        ((1, 32, 32, 256), 5, 1, "float32", False),
        (("b", 32, 32, 256), 3, 1, "float32", False),
    ],
)
def test_large_products_take_winograds_form(shape, k, stride, dtype, taken):
    shape = (jax.export.symbolic_shape("b")[0] if shape[0] == "b" else shape[0], *shape[1:])
    kernel = k, k, shape[-1], shape[-1]
    text = jax.make_jaxpr(lambda x, w: conv.conv(x, w, stride, 1))(
        jax.ShapeDtypeStruct(shape, dtype), jax.ShapeDtypeStruct(kernel, dtype)
    )
    assert ("conv_general_dilated" not in str(text)) == taken


@pytest.mark.parametrize(("batch", "channels", "taken"), [(4, 128, True), (16, 64, False)])
def test_a_kernels_gradient_takes_it_for_few_tiles_a_channel(batch, channels, taken):
    geometry = conv_plain.Geometry((32, 32), (3, 3), (1, 1), ((1, 1), (1, 1)))
    x, w = (
        jax.ShapeDtypeStruct((*shape, channels), "float32")
        for shape in ((batch, 32, 32), (3, 3, channels))
    )
    for form, both in ((conv_cpu.convolve, True), (conv_cpu.kernel_grad, taken)):
        other = x if form is conv_cpu.kernel_grad else w
        text = str(
            jax.make_jaxpr(lambda a, b, form=form: form.__wrapped__(geometry, a, b))(x, other)
        )
        assert ("conv_general_dilated" not in text) == both


@pytest.mark.parametrize(
    ("groups", "ci", "co"), [(2, 8, 6), (6, 12, 6), (16, 64, 32), (3, 120, 9), (8, 8, 8)]
)
def test_grouped_conv(groups, ci, co):
    x, w = normal(2, 5, 6, ci), normal(3, 3, ci // groups, co, seed=1)
    f = lambda x, w: conv.conv(x, w, 1, 1, groups=groups)
    assert_same(f, lambda x, w: plain(x, w, 1, ((1, 1), (1, 1)), groups), x, w)


DEPTHWISE = [  # (height, width), kernel, stride, padding
    ((6, 5), 3, 1, 1),
    ((7, 8), 3, 2, ((0, 1), (0, 1))),
    ((8, 7), (5, 2), 2, ((1, 2), (1, 0))),
    ((9, 7), 3, 3, ((2, 0), (0, 4))),
    ((4, 6), (1, 4), 1, ((0, 0), (3, 0))),
]


@pytest.mark.parametrize(("size", "k", "stride", "padding"), DEPTHWISE)
def test_depthwise_conv(size, k, stride, padding):
    """A filter to a channel, by shifted sums: TensorFlow's lopsided padding included."""
    pads = ((padding, padding),) * 2 if isinstance(padding, int) else padding
    x, w = normal(2, *size, 6), normal(*((k, k) if isinstance(k, int) else k), 1, 6, seed=1)
    f = lambda x, w: conv.conv(x, w, stride, padding, groups=6)
    assert_same(f, lambda x, w: plain(x, w, stride, pads, 6), x, w)
    assert "conv_general_dilated" not in str(jax.make_jaxpr(f)(x, w))


@pytest.mark.parametrize(
    ("size", "k", "stride", "p", "ci", "co"),
    [
        ((4, 4), 4, 2, 1, 5, 6),
        ((3, 5), 4, 2, 1, 5, 3),
        ((4, 3), 3, 2, 1, 5, 6),
        ((3, 3), 5, 3, 1, 5, 6),
        ((4, 4), 3, 1, 1, 5, 3),
    ],
)
def test_conv_transpose(size, k, stride, p, ci, co):
    f = lambda x, w: conv.conv_transpose(x, w, stride, p)
    assert_same(
        f,
        lambda x, w: plain_transpose(x, w, stride, p),
        normal(2, *size, ci),
        normal(k, k, ci, co, seed=1),
    )


def test_conv_transpose_to_a_size():
    x, w = normal(1, 3, 3, 5), normal(3, 3, 5, 6)
    assert conv.conv_transpose(x, w, 2, 1, size=(6, 5)).shape == (1, 6, 5, 6)
    np.testing.assert_allclose(
        conv.conv_transpose(x, w, 2, 1, (6, 6))[:, :5, :5],
        conv.conv_transpose(x, w, 2, 1),
        atol=1e-5,
    )


@pytest.mark.parametrize(("size", "ci", "co"), [((4, 4), 5, 6), ((3, 5), 5, 3), ((4, 2), 3, 6)])
def test_upsample_conv(size, ci, co):
    reference = lambda x, w: plain(jnp.repeat(jnp.repeat(x, 2, 1), 2, 2), w, 1, ((1, 1), (1, 1)))
    assert_same(conv.upsample_conv, reference, normal(2, *size, ci), normal(3, 3, ci, co, seed=1))


@pytest.mark.parametrize(("size", "ci", "co"), [((4, 4), 5, 6), ((6, 8), 3, 6)])
def test_conv_pool(size, ci, co):
    def reference(x, w):
        y = plain(x, w, 1, ((1, 1), (1, 1)))
        return (y[:, ::2, ::2] + y[:, 1::2, ::2] + y[:, ::2, 1::2] + y[:, 1::2, 1::2]) / 4

    assert_same(conv.conv_pool, reference, normal(2, *size, ci), normal(3, 3, ci, co, seed=1))


RESAMPLES = [
    (1, 1, (2, 1), 1.0),
    (2, 1, (2, 1), 4.0),
    (1, 2, (1, 1), 1.0),
    (2, 1, (3, 2), 4.0),
    (3, 1, (1, 1), 9.0),
    (1, 2, (-1, 2), 1.0),
    (2, 3, (2, 2), 4.0),
]


@pytest.mark.parametrize(("up", "down", "padding", "gain"), RESAMPLES)
@pytest.mark.parametrize("taps", [(1, 3, 3, 1), (1, 2, 5)])
def test_resample_both_ways(taps, up, down, padding, gain, monkeypatch):
    x = normal(2, 5, 7, 3)
    want = plain_resample(x, taps, up, down, padding, gain)

    def value_and_grad():
        def loss(x):
            y = conv.resample(x, taps, up, down, padding, gain)
            return jnp.sum(jnp.sin(y)), y

        grad, value = jax.jit(jax.grad(loss, has_aux=True))(x)
        return value, grad

    cpu, slope = value_and_grad()
    close(cpu, want, "CPU form")
    monkeypatch.setattr(conv, "on_cpu", lambda: False)
    plain, plain_slope = value_and_grad()
    close(plain, want, "plain form")
    close(slope, plain_slope, "gradient")


def test_plain_forms_elsewhere_are_the_same_numbers(monkeypatch):
    x, w3, w4 = normal(2, 6, 6, 5), normal(3, 3, 5, 6), normal(4, 4, 5, 6)
    x10, w5 = normal(2, 6, 6, 10), normal(5, 5, 1, 5)

    def results(x, x10, w3, w4, w5):
        return {
            "conv": conv.conv(x, w4, 2, 1),
            "transpose": conv.conv_transpose(x, w4, 2, 1),
            "odd transpose": conv.conv_transpose(x, w3, 2, ((1, 0), (0, 1))),
            "up": conv.upsample_conv(x, w3),
            "pool": conv.conv_pool(x, w3),
            "grouped": conv.conv(x10, w3, 1, 1, groups=2),
            "depthwise": conv.conv(x, w5, 2, ((1, 2), (2, 1)), groups=5),
        }

    on_cpu = jax.jit(lambda *args: results(*args)).trace(x, x10, w3, w4, w5)
    monkeypatch.setattr(conv, "on_cpu", lambda: False)
    elsewhere = jax.jit(lambda *args: results(*args)).trace(x, x10, w3, w4, w5)
    assert "custom_vjp" in str(on_cpu.jaxpr) and "custom_vjp" not in str(elsewhere.jaxpr)
    found, wanted = (t.lower().compile()(x, x10, w3, w4, w5) for t in (on_cpu, elsewhere))
    for name in wanted:
        close(found[name], wanted[name], name)


FEW_OUTPUTS = lambda x: conv.conv(x, normal(7, 7, 5, 3), 1, 3)


@pytest.mark.parametrize(
    "f",
    [
        FEW_OUTPUTS,
        lambda x: conv.conv_transpose(x, normal(4, 4, 5, 6), 2, 1),
        lambda x: conv.resample(x, (1, 3, 3, 1), 2, 1, (2, 1)),
    ],
)
def test_forward_mode_in_plain_forms(f):
    x = normal(1, 6, 6, 5)
    with conv.plain():
        value, slope = jax.jit(lambda x: jax.jvp(f, (x,), (x,)))(x)
    close(slope, value, "a linear map is its own derivative")
    with pytest.raises(
        TypeError, match=r"no forward-mode derivatives .* inside `with gan_jax.nn.conv.plain\(\):`"
    ):
        jax.jvp(f, (x,), (x,))


def test_what_was_compiled_before_is_not_taken_for_plain():
    x = normal(1, 6, 6, 5)
    f = jax.jit(FEW_OUTPUTS)
    traced = lambda: str(f.trace(x).jaxpr)
    f(x)
    with conv.plain():
        assert "custom_vjp" not in traced()
        jax.jvp(f, (x,), (x,))
    assert "custom_vjp" in traced()
    with conv.for_cpu():
        assert "custom_vjp" in traced()


def test_no_control_flow_around_convolutions():
    """XLA's CPU backend leaves convolution gradients slow inside scan, while and cond."""

    def penalty(w, x):
        y = lambda x: jnp.sum(
            jnp.sin(conv.conv_pool(conv.upsample_conv(conv.conv(x, w, 1, 1), w), w))
        )
        return jnp.sum(jnp.square(jax.grad(y)(x)))

    text = str(jax.make_jaxpr(jax.grad(penalty))(normal(3, 3, 5, 5), normal(2, 4, 4, 5)))
    assert "conv_general_dilated" in text
    assert not [word for word in ("scan[", "while[", "cond[") if word in text]


def test_any_batch_size_and_bfloat16():
    (b,) = jax.export.symbolic_shape("b")
    w = normal(3, 3, 5, 6)
    net = lambda x: conv.conv_pool(conv.upsample_conv(x, w), jnp.swapaxes(w, 2, 3))
    exported = jax.export.export(jax.jit(net))(jax.ShapeDtypeStruct((b, 4, 4, 5), jnp.float32))
    for n in (1, 3):
        x = normal(n, 4, 4, 5)
        close(exported.call(x), jax.jit(net)(x), f"batch {n}")
    up = jax.jit(conv.upsample_conv)
    half = up(x.astype(jnp.bfloat16), w.astype(jnp.bfloat16))
    assert half.dtype == jnp.bfloat16
    np.testing.assert_allclose(half.astype(jnp.float32), up(x, w), atol=0.2)


def test_a_filter_shorter_than_the_upsampling_leaves_zeros():
    x = normal(1, 3, 3, 2)
    y = np.asarray(conv.resample(x, (1.0,), up=2, padding=(0, 0)))
    np.testing.assert_allclose(y[:, ::2, ::2], x, atol=1e-6)
    assert not y[:, 1::2].any() and not y[:, :, 1::2].any()


def test_pool_and_upsample_are_averages_and_copies():
    x = normal(2, 5, 4, 3)
    want = x[:, :4].reshape(2, 2, 2, 2, 2, 3).mean((2, 4))  # the odd last row has no partner
    np.testing.assert_allclose(conv.pool(x), want, atol=1e-6)
    assert np.array_equal(conv.upsample(x), x.repeat(2, 1).repeat(2, 2))


def test_gradients_are_the_same_over_a_mesh_and_under_pmap():
    """Rows on two devices; the kernel's gradient is the sum over both."""
    devices = jax.devices()[:2]
    assert len(devices) == 2
    x, w = normal(4, 6, 6, 5), normal(3, 3, 5, 6)

    def loss(w, x):
        y = lambda x: jnp.sum(jnp.sin(conv.conv_pool(conv.upsample_conv(x, w), w.swapaxes(2, 3))))
        return y(x) + jnp.sum(jnp.square(jax.grad(y)(x)))

    want = jax.jit(jax.grad(loss))(w, x)
    mesh = jax.sharding.Mesh(np.array(devices), ("devices",))
    rows = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("devices"))
    close(jax.jit(jax.grad(loss))(w, jax.device_put(x, rows)), want, "mesh")
    halves = jax.pmap(jax.grad(loss), in_axes=(None, 0), devices=devices)(
        w, x.reshape(2, 2, 6, 6, 5)
    )
    close(halves.sum(0), want, "pmap")
