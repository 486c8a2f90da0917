"""Exported programs: each platform's own form of every convolution, wherever they were exported."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax import algorithms, config
from gan_jax.inference import export, loading
from gan_jax.inference.sampler import Sampler
from gan_jax.nn import conv
from gan_jax.nn.guided_filter import guided_filter
from tests.runs import untrained

# a layer with a form of its own on CPUs, the side of its picture, its (convolutions, dots)
# elsewhere
FORMS = {
    "1x1": (lambda x: conv.conv(x, jnp.ones((1, 1, 5, 6))), 6, (1, 0)),
    "7x7 to RGB": (lambda x: conv.conv(x, jnp.ones((7, 7, 5, 3)), 1, 3), 6, (1, 0)),
    "winograd": (
        lambda x: conv.conv(jnp.tile(x, (1, 1, 1, 16)), jnp.ones((3, 3, 80, 80)), 1, 1),
        120,
        (1, 0),
    ),
    "transposed": (lambda x: conv.conv_transpose(x, jnp.ones((4, 4, 5, 6)), 2, 1), 6, (1, 0)),
    "grouped": (
        lambda x: conv.conv(jnp.tile(x, (1, 1, 1, 2)), jnp.ones((3, 3, 5, 6)), 1, 1, 2),
        6,
        (1, 0),
    ),
    "depthwise": (lambda x: conv.conv(x, jnp.ones((3, 3, 1, 5)), 1, 1, groups=5), 6, (1, 0)),
    "filter": (lambda x: conv.resample(x, (1, 3, 3, 1), 2, 1, (2, 1)), 6, (2, 0)),
}


def operations(call, side, platforms):
    """(convolutions, dots) in the exported program's StableHLO."""
    x = jax.ShapeDtypeStruct((1, side, side, 5), jnp.float32)
    text = export.for_platforms(call, [x], platforms).mlir_module()
    return text.count("stablehlo.convolution"), text.count("stablehlo.dot_general")


@pytest.mark.parametrize("machine", ["cpu", "gpu"])
@pytest.mark.parametrize("name", FORMS)
def test_each_platforms_module_has_its_own_form(name, machine, monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: machine)
    call, side, elsewhere = FORMS[name]
    found = {platform: operations(call, side, [platform]) for platform in export.PLATFORMS}
    assert found["cuda"] == found["tpu"] == elsewhere
    assert found["cpu"] != elsewhere
    if name == "7x7 to RGB":
        assert found["cpu"] == (0, 1)


def test_one_module_for_all_platforms_has_each_form():
    """Its result on this one, a CPU, is the layer's."""
    call, side, _ = FORMS["7x7 to RGB"]
    made = export.for_platforms(call, [jax.ShapeDtypeStruct((1, side, side, 5), jnp.float32)])
    assert made.platforms == export.PLATFORMS
    # 7 * 7 * 3
    assert "x147xf32" in made.mlir_module() and "stablehlo.convolution" in made.mlir_module()
    x = jax.random.normal(jax.random.key(0), (1, side, side, 5))
    np.testing.assert_allclose(made.call(x), call(x), rtol=1e-5)


def test_a_guided_filter_is_exported_for_any_size():
    b, h, w = jax.export.symbolic_shape("b, 4*m, 4*n")
    row = lambda channels: jax.ShapeDtypeStruct((b, h, w, channels), jnp.float32)
    made = export.for_platforms(lambda x, guide: guided_filter(x, guide, 2), [row(3), row(1)])
    x, guide = (jax.random.normal(jax.random.key(i), (2, 8, 12, c)) for i, c in enumerate((3, 1)))
    np.testing.assert_allclose(
        made.call(x, guide), guided_filter(x, guide, 2), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize(
    ("name", "g", "multiple"),
    [("pix2pix", {}, 256), ("pix2pix", {"levels": 4}, 32), ("cyclegan", {}, 32), ("cut", {}, 32)],
)
def test_sides_to_compile_for_are_what_the_generator_pads_to(name, g, multiple):
    run = config.Config(name, name, {}, batch=1, total_kimg=1.0, g=g)
    game = algorithms.make_game(run, (64, 64, 3), 0)
    assert Sampler(game, {}, (64, 64, 3), (), None, 1).multiple == multiple


def test_a_u_net_is_exported_for_sides_that_it_halves(tmp_path, monkeypatch):
    monkeypatch.setattr("gan_jax.inference.sampler.SIDES", 2)  # else a small one halves less
    run = {"algorithm": "pix2pix", "model": "pix2pix", "data": {}, "batch": 1, "total_kimg": 1.0}
    run |= {"g": {"width": 1, "levels": 2, "norm": "instance"}, "d": {"width": 1, "levels": 1}}
    made = loading.load_sampler(untrained(tmp_path / "run", run, [8, 8, 1]))
    assert made.multiple == 4
    assert max(export.export(made, tmp_path / "exported").values()) < 1e-5
