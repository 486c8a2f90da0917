import functools
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.algorithms.base import forward, init_network
from gan_jax.models import dcgan, fastgan, mlp, sngan, style_dcgan
from gan_jax.nn import flat_colors
from gan_jax.nn.init import INITIALIZERS
from gan_jax.runtime import registry

# Parameters of PyTorch-StudioGAN's own modules (`deep_conv`, `resnet` at g_conv_dim = d_conv_dim =
# 64, z 128, ten classes with cBN and projection), counted as sum(p.numel() for p in
# net.parameters()); WGAN-GP's critic without norm
STUDIOGAN = {
    (dcgan, 32, 0): (3812355, 2931009),
    (dcgan, 32, 10): (3820419, 2936129),
    (sngan, 32, 0): (4276739, 1053825),
    (sngan, 32, 10): (4304387, 1055105),
    (sngan, 64, 0): (12220675, 19542721),
    (sngan, 64, 10): (12272515, 19552961),
}


def shapes(net, *args):
    return jax.eval_shape(lambda: net.init(jax.random.key(0), *args, train=True))


def count(variables):
    return sum(x.size for x in jax.tree.leaves(variables["params"]))


@pytest.mark.parametrize(("model", "side", "classes"), STUDIOGAN)
def test_parameter_counts_are_studiogans(model, side, classes):
    shape, y = (side, side, 3), jnp.zeros(2, int) if classes else None
    g = shapes(model.Generator(shape, classes), jnp.zeros((2, 128)), y)
    d = shapes(model.Discriminator(shape, classes), jnp.zeros((2, *shape)), y)
    assert (count(g), count(d)) == STUDIOGAN[model, side, classes]


SMALL = [  # model, shape, settings, classes
    (mlp, (28, 28, 1), {"widths": (8,)}, 0),
    (mlp, (5, 7, 3), {"widths": (8,)}, 3),
    (dcgan, (8, 8, 3), {"width": 2}, 3),
    (dcgan, (16, 24, 4), {"width": 2}, 0),
    (dcgan, (28, 28, 1), {"width": 2}, 3),
    (sngan, (32, 32, 1), {"width": 1}, 0),
    (sngan, (32, 40, 3), {"width": 1}, 3),
]


@pytest.mark.parametrize(("model", "shape", "settings", "classes"), SMALL)
def test_shapes_range_and_labels(model, shape, settings, classes):
    settings = settings | {"initializer": "he"}  # compiles sooner than orthogonal kernels
    g, d = (net(shape, classes, **settings) for net in (model.Generator, model.Discriminator))
    z, y = jax.random.normal(jax.random.key(0), (3, 5)), jnp.array([0, 1, 2]) if classes else None

    @jax.jit
    def found(rng, z, y):
        params, mutable = init_network.__wrapped__(g, rng, z, y)
        images, new = forward(g, params, mutable, z, y)
        assert jax.tree.structure(new) == jax.tree.structure(mutable)
        critic = init_network.__wrapped__(d, rng, images, y)
        labels = (y, (y + 1) % 3) if classes else (y,)
        return images, [forward(d, *critic, images, y)[0] for y in labels]

    images, logits = found(jax.random.key(1), z, y)
    assert images.shape == (3, *shape) and images.dtype == jnp.float32
    assert float(jnp.abs(images).max()) <= 1
    assert logits[0].shape == (3,) and logits[0].dtype == jnp.float32
    if classes:
        assert not np.allclose(*logits), "the label makes no difference"


@pytest.mark.parametrize(("patch", "palette"), [(1, 0), (2, 3)])
def test_style_dcgan_is_drawn_by_a_style_a_layer(patch, palette):
    """And its picture is that of its methods one after another."""
    settings = dict(w_dim=3, map_layers=1, width=2, patch=patch, palette=palette, initializer="he")
    g = style_dcgan.Generator((16, 24, 4), 3, **settings)
    z, y = jax.random.normal(jax.random.key(0), (3, 5)), jnp.array([0, 1, 2])
    params, mutable = init_network(g, jax.random.key(1), z, y)
    call = functools.partial(forward, g, params, mutable)
    images, new = call(z, y)
    assert jax.tree.structure(new) == jax.tree.structure(mutable)
    images = call(z, y, train=False)[0]
    assert images.shape == (3, 16, 24, 4) and float(jnp.abs(images).max()) <= 1
    ws = call(z, y, train=False, method="mapping")[0]
    assert ws.shape == (3, 3 if patch == 1 else 2, 3)  # the start grid's, and a level's each
    assert not np.allclose(ws[0], call(z, y[::-1], train=False, method="mapping")[0][0])
    np.testing.assert_allclose(images, call(ws, train=False, method="synthesis")[0], atol=1e-6)
    for layer in range(ws.shape[1]):
        other = ws.at[:, layer].add(1)
        assert not np.allclose(images, call(other, train=False, method="synthesis")[0])


CRITICS = {  # every model's
    "mlp": {"widths": (8,)}, "dcgan": {"width": 2}, "sngan": {"width": 1}, "biggan": {"width": 1},
    "r3gan": {"widths": (2,) * 4, "cardinality": (1,) * 4, "blocks": 1},
    "stylegan2": {"channel_base": 64, "channel_max": 8}, "starganv2": {"width": 2, "widest": 2},
    "pix2pix": {"width": 2}, "cyclegan": {"width": 2}, "cut": {"width": 2},
    "animegan": {"width": 2}, "white_box": {"width": 2}, "projected": {"width": 2},
    "rrdb": {"width": 2}, "srvgg": {"width": 2}, "srresnet": {"width": 2},
    "style_dcgan": {"width": 2}, "lama": {"width": 2},
    "deepfill": {"width": 2}, "migan": {"channel_base": 64, "channel_max": 8},
}  # fmt: skip


def test_there_is_a_row_for_every_critic():
    files = pathlib.Path(mlp.__file__).parent.glob("*.py")
    families = {path.stem for path in files if "Discriminator" in path.read_text()}
    assert families - {"__init__", "patchgan"} == set(CRITICS)


@pytest.mark.parametrize("name", CRITICS)
def test_a_bfloat16_critics_logits_are_computed_in_float32(name):
    """From the output back, over what only moves numbers: none is rounded to bfloat16 before it is
    called float32."""
    model, labels = registry.by_name("models", name, "config.model"), name == "starganv2"
    seen, shape = jnp.zeros((4, 32, 32, 3)), ((32, 32, 3),)
    if name in ("rrdb", "srvgg", "srresnet", "lama", "deepfill"):
        shape = ()
    if name == "projected":  # its critic sees feature maps
        seen, shape = [seen, seen[:, ::2, ::2]], ()
    d = model.Discriminator(
        *shape, dtype="bfloat16", **({"n_classes": 3} if labels else {}), **CRITICS[name]
    )
    args = seen, *((jnp.zeros(4, jnp.int32),) if labels else ())

    def logits_of(key):
        found = d.init_with_output(key, *args)[0]
        return found[0] if name == "lama" else found  # whose activations are compared too

    traced = jax.make_jaxpr(logits_of)(jax.random.key(0)).jaxpr
    made_by = {out: eqn for eqn in traced.eqns for out in eqn.outvars}
    logits = list(traced.outvars)
    moves = "reshape", "squeeze", "slice", "dynamic_slice", "convert_element_type", "concatenate"
    while logits:
        made = made_by[logits.pop()]
        if made.primitive.name in moves:
            logits += made.invars
            assert all(x.aval.dtype == jnp.float32 for x in made.invars)
    assert any(var.aval.dtype == jnp.bfloat16 for var in made_by)


@pytest.mark.parametrize("model", [mlp, dcgan, sngan])
def test_labels_and_networks_must_agree(model):
    shape = (32, 32, 3)
    with pytest.raises(ValueError, match="n_classes=0, so it takes no labels"):
        shapes(model.Generator(shape), jnp.zeros((2, 4)), jnp.zeros(2, int))
    with pytest.raises(ValueError, match="n_classes=3: it needs labels"):
        shapes(model.Discriminator(shape, 3), jnp.zeros((2, *shape)), None)


@pytest.mark.parametrize(
    ("model", "shape"),
    [
        (dcgan, (33, 33, 3)),
        (dcgan, (32, 34, 3)),
        (dcgan, (36, 36, 3)),
        (dcgan, (7, 7, 3)),
        (sngan, (48, 50, 3)),
        (fastgan, (16, 16, 3)),
        (fastgan, (48, 48, 3)),
        (fastgan, (64, 32, 3)),
    ],
)
def test_sizes_that_do_not_double_are_named(model, shape):
    with pytest.raises(ValueError, match=f"{shape[0]}x{shape[1]}"):
        shapes(model.Generator(shape), jnp.zeros((2, 4)))


def test_critics_without_batch_norm_do_not_mix_images():
    """What a gradient penalty needs: an image's logit depends on that image alone."""
    x = jax.random.normal(jax.random.key(0), (4, 32, 32, 3))
    for d in (
        sngan.Discriminator((32, 32, 3), width=2, spectral_norm=False),
        dcgan.Discriminator((32, 32, 3), width=2, norm="none"),
    ):
        params, mutable = init_network(d, jax.random.key(1), x)
        critic = jax.jit(
            lambda x, d=d, params=params, mutable=mutable: forward(d, params, mutable, x)[0]
        )
        others = jnp.concatenate([x[:2], 5 * x[2:]])
        np.testing.assert_allclose(critic(x)[:2], critic(others)[:2], rtol=1e-5)


def test_folded_and_unfolded_generators_learn_through_all_layers():
    g = dcgan.Generator((16, 16, 3), width=4, up="folded")
    z = jax.random.normal(jax.random.key(0), (4, 5))
    params, mutable = init_network(g, jax.random.key(1), z)
    grads = jax.jit(
        jax.grad(lambda params: jnp.sum(jnp.square(forward(g, params, mutable, z)[0])))
    )(params)
    kernels = [
        x for path, x in jax.tree_util.tree_leaves_with_path(grads) if "kernel" in str(path[-1])
    ]
    assert len(kernels) == 4 and all(float(jnp.abs(x).max()) > 0 for x in kernels)


@pytest.mark.parametrize(("patch", "palette"), [(1, 0), (4, 0), (2, 2)])
def test_dcgan_draws_squares_of_pixels_and_a_palette(patch, palette):
    g = dcgan.Generator((16, 16, 3), width=4, patch=patch, palette=palette, initializer="he")
    z = jax.random.normal(jax.random.key(0), (2, 5))

    @jax.jit
    def start(rng, z):
        params, mutable = init_network.__wrapped__(g, rng, z)
        return forward(g, params, mutable, z)[0]

    x = np.asarray(start(jax.random.key(1), z))
    squares = x.reshape(2, 4, 4, 4, 4, 3) if patch == 4 else x.reshape(2, 8, 2, 8, 2, 3)
    within = np.ptp(squares, axis=(2, 4)).max()
    assert (within < 1e-6) == (patch > 1), "the pixels of a square start equal"
    apart = np.linalg.svd(x.reshape(2, -1, 3) - x.mean((1, 2))[:, None], compute_uv=False)
    mixtures_of_two = bool((apart[:, 1] < 1e-4 * apart[:, 0]).all())
    assert mixtures_of_two == (palette == 2)


def test_the_colors_of_dcgans_palette_start_apart_and_follow_noise_and_label():
    colors = flat_colors.Colors(8, n_classes=3)
    z, y = jax.random.normal(jax.random.key(0), (3, 5)), jnp.array([0, 0, 1])
    z = z.at[2].set(z[1])
    found = np.asarray(colors.init_with_output(jax.random.key(1), z, y)[0])
    assert found.shape == (3, 8, 3) and np.abs(found).max() < 2
    assert found.std(1).mean() > 0.3, "the colors of a picture start alike"
    assert not np.allclose(found[0], found[1]) and not np.allclose(found[1], found[2])


def test_in_sampling_pixels_are_of_one_color_but_for_smooth_contours():
    logits = np.zeros((1, 8, 8, 2), np.float32)
    logits[:, :, :4, 0] = logits[:, :, 4:, 1] = 4
    colors = jnp.array([[[1.0, 0, 0], [0, 0, 1.0]]])
    soft, sharp = (flat_colors.in_colors(logits, colors, soft=soft) for soft in (True, False))
    np.testing.assert_allclose(soft[0, 0, 0], [0.982, 0, 0.018], atol=1e-3)
    np.testing.assert_allclose(sharp[0, :, :3], np.broadcast_to([1, 0, 0], (8, 3, 3)), atol=1e-3)
    assert 0.5 < sharp[0, 4, 3, 0] < 1, "the contour is not smooth"


def test_dcgans_critic_sees_squares_of_pixels_as_channels():
    x = jax.random.normal(jax.random.key(0), (2, 16, 16, 3))
    squares = x.reshape(2, 8, 2, 8, 2, 3).transpose(0, 1, 3, 2, 4, 5).reshape(2, 8, 8, 12)
    same = dict(width=4, block="single", norm="none")
    d = dcgan.Discriminator((16, 16, 3), patch=2, **same)

    @jax.jit
    def logits(rng):
        params, mutable = init_network.__wrapped__(d, rng, x)
        plain = dcgan.Discriminator((8, 8, 12), **same)
        return forward(d, params, mutable, x)[0], forward(plain, params, mutable, squares)[0]

    np.testing.assert_allclose(*logits(jax.random.key(1)), rtol=1e-5)


def test_fastgans_noise_is_drawn_in_training_and_fixed_in_sampling():
    g = fastgan.Generator((32, 32, 3), 3, width=1)
    z, y = jax.random.normal(jax.random.key(0), (2, 5)), jnp.array([0, 2])
    params, mutable = jax.jit(lambda: init_network.__wrapped__(g, jax.random.key(1), z, y))()
    strong = jax.tree.map(lambda x: x + 1.0 * (x.ndim == 0), params)  # strengths alone are scalars

    @functools.partial(jax.jit, static_argnames="train")
    def draw(params, seed, train):
        rngs = {"noise": jax.random.key(seed)} if train else None
        return forward(g, params, mutable, z, y, train=train, rngs=rngs)[0]

    assert draw(params, 0, True).shape == (2, 32, 32, 3)
    np.testing.assert_array_equal(draw(params, 0, True), draw(params, 1, True))  # they start at 0
    assert not np.allclose(draw(strong, 0, True), draw(strong, 1, True))
    np.testing.assert_array_equal(draw(strong, 0, False), draw(strong, 1, False))
    assert not np.allclose(draw(strong, 0, False), draw(params, 0, False))


@pytest.mark.parametrize("patch", [0, 3, 8])
def test_a_patch_that_does_not_halve_the_picture_is_refused(patch):
    with pytest.raises(
        ValueError, match=f"config.g.patch={patch}: for pictures of this size it must be 1, 2, 4"
    ):
        shapes(dcgan.Generator((16, 16, 3), patch=patch), jnp.zeros((2, 4)))


@pytest.mark.parametrize("patch", [0, 3, 4])
def test_a_critics_patch_leaves_a_level_to_halve(patch):
    words = rf"config.d.patch={patch}: for pictures of this size it must be 1, 2\."
    with pytest.raises(ValueError, match=words):
        shapes(dcgan.Discriminator((16, 16, 3), patch=patch), jnp.zeros((2, 16, 16, 3)))


@pytest.mark.parametrize("name", INITIALIZERS)
def test_initializers(name):
    w = np.asarray(INITIALIZERS[name](jax.random.key(0), (3, 3, 40, 60))).reshape(-1, 60)
    fan_in, fan_out = 9 * 40, 9 * 60
    xavier = 2 / (fan_in + fan_out)
    known = {
        "normal": 0.02**2,
        "xavier": xavier,
        "xavier_small": 0.02**2 * xavier,
        "he": 2 / fan_in,
        "torch": 1 / (3 * fan_in),
    }
    variance = (known | {"orthogonal": 1 / fan_in, "zeros": 0})[name]
    np.testing.assert_allclose(w.var(), variance, rtol=0.05)
    assert abs(w.mean()) <= 3 * np.sqrt(variance / w.size)
    if name == "orthogonal":
        np.testing.assert_allclose(w.T @ w, np.eye(60), atol=1e-5)
