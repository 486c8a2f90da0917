"""Further mappings and affines over a generator that stays (DoRM)."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from gan_jax import build, checkpoint, config
from gan_jax.algorithms.base import forward, init_network
from gan_jax.data.images import as_array
from gan_jax.inference import loading
from gan_jax.models import style_dcgan
from gan_jax.start import resume
from tests import runs
from tests.algorithms.source_terms_test import FEW

ALPHAS = (0.25, -0.5)


def generator(*alphas):
    settings = dict(w_dim=3, map_layers=1, width=2, patch=2, palette=3, initializer="he")
    return style_dcgan.Generator((16, 16, 4), 2, remodulation=alphas, **settings)


@pytest.fixture(scope="module")
def remodulated():
    """z, labels, and the parameters of a generator with two sets, all of them random."""
    z, y = jax.random.normal(jax.random.key(0), (3, 5)), jnp.array([0, 1, 1])
    params, mutable = init_network(generator(*ALPHAS), jax.random.key(1), z, y)
    return z, y, params, mutable


def base_of(tree):
    return {name: x for name, x in tree.items() if not name.startswith("remodulation")}


def test_sets_are_added_by_their_alphas(remodulated):
    """Of sets that are copies of the generator's own: its gains, shifts and colors times 1 + the
    sum of all alphas."""
    z, y, params, mutable = remodulated
    own = base_of(params)
    part = {name: own[name] for name in ("mapping", "colors")}
    norms = {k: x for k, x in own["synthesis"].items() if k.startswith("Conditional")}
    copies = part | {"synthesis": norms}
    given = own | {"remodulation0": copies, "remodulation1": copies}
    jax.tree.map(lambda x, y: x.shape == y.shape or pytest.fail("shape"), given, params)
    found = forward(generator(*ALPHAS), given, mutable, z, y, train=False)[0]
    factor = 1 + sum(ALPHAS)
    last = jax.tree.map(lambda x: factor * x, own["colors"]["Dense_1"])
    scaled = own | {"colors": own["colors"] | {"Dense_1": last}}
    scaled["synthesis"] = own["synthesis"] | jax.tree.map(lambda x: factor * x, norms)
    plain = {kind: base_of(tree) for kind, tree in mutable.items()}
    wanted = forward(generator(), scaled, plain, z, y, train=False)[0]
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    assert np.abs(wanted - forward(generator(), own, plain, z, y, train=False)[0]).max() > 0.01


def test_each_set_has_a_mapping_of_its_own(remodulated):
    z, y, params, mutable = remodulated
    g = generator(*ALPHAS)
    ws = forward(g, params, mutable, z, y, train=False, method="mapping")[0]
    assert ws.shape == (3, 2, 9)
    image = forward(g, params, mutable, ws, train=False, method="synthesis")[0]
    np.testing.assert_array_equal(image, forward(g, params, mutable, z, y, train=False)[0])
    for first in (3, 6):
        other = ws.at[:, :, first : first + 3].add(1.0)
        assert (
            forward(g, params, mutable, other, train=False, method="synthesis")[0] != image
        ).any()


def test_no_alpha_is_the_generator_bit_for_bit(remodulated):
    z, y, params, mutable = remodulated
    plain = {kind: base_of(tree) for kind, tree in mutable.items()}
    wanted = forward(generator(), base_of(params), plain, z, y, train=False)[0]
    found = forward(generator(0.0, 0.0), params, mutable, z, y, train=False)[0]
    np.testing.assert_array_equal(found, wanted)
    assert (forward(generator(*ALPHAS), params, mutable, z, y, train=False)[0] != wanted).any()
    with pytest.raises(ValueError, match=r"config.g.remodulation=\(nan,\): each must be"):
        forward(generator(float("nan")), params, mutable, z, y, train=False)


def test_its_strength_is_chosen_when_it_draws(tmp_path, tool):
    """0: the pictures of the model below, in every bit; and by the command."""
    below = runs.untrained(tmp_path / "below", runs.PALETTE, [16, 16, 4], ["a"], runs.lively)
    settings = runs.PALETTE | {"g": runs.PALETTE["g"] | {"remodulation": (1.0,)}}
    own = runs.untrained(tmp_path / "own", settings, [16, 16, 4], ["a"], runs.lively)

    done = tool("sample", own, "--out", tmp_path / "x", "--seeds", "0-3", "--remodulation", "0")
    assert done.returncode == 0, done.stderr
    pictures = [as_array(Image.open(file)) for file in sorted((tmp_path / "x").glob("*.png"))]
    drawn = loading.load_sampler(below).sample(4, seed=0)
    np.testing.assert_array_equal(pictures, drawn)
    whole = loading.load_sampler(own)
    assert (loading.remodulated(whole, [0.5]).sample(4, seed=0) != drawn).any()
    with pytest.raises(ValueError, match="--remodulation=2 3: this model has 1 set "):
        loading.remodulated(whole, [2.0, 3.0])


def test_a_run_leaves_its_base_as_it_was(tmp_path):
    """It begins as the base's average, copies of its mapping and affines beside it; two iterations
    move these alone, and without them it draws what the base does, in every bit."""
    pixels = {"pixels": 2, "pixels_spectral_norm": False}
    game = runs.PALETTE["game"] | {"gamma": 0.5, "pixels_kimg": 1.0}
    settings = runs.PALETTE | {"game": game, "d": runs.PALETTE["d"] | pixels}

    def fill(path, x):
        made = runs.lively(path, x)
        return 1.1 * made if ".ema" in jax.tree_util.keystr(path[:1]) else made

    runs.untrained(tmp_path / "source", settings, (16, 16, 4), ["a"], fill)
    adam = {"name": "adam", "b1": 0.0, "b2": 0.99, "lr": 0.01}
    settings |= {"init_from": str(tmp_path / "source"), "eval_every_kimg": None}
    settings |= {"data": FEW | {"channels": 4, "labels": "style"}}
    settings |= {"g": settings["g"] | {"remodulation": (0.5,)}, "opt_d": adam}
    settings |= {"opt_g": adam | {"frozen": ("mapping", "synthesis", "colors")}}
    experiment = build.experiment(config.Config(**settings))
    store, lines = checkpoint.Store(tmp_path / "checkpoints"), []
    state = resume.begin(experiment, store, lines.append)[0]
    assert any("of a remodulation start as copies of its base's" in line for line in lines)
    source = loading.load_sampler(tmp_path / "source")
    before = jax.device_get(state.ema)
    for kind in ("params", "mutable"):
        live = getattr(state.g, kind)["g"]
        jax.tree.map(np.testing.assert_array_equal, live, before[kind]["g"])
    found = before["params"]["g"]["remodulation0"]["synthesis"]["ConditionalBatchNorm_0"]
    own = source.ema["params"]["g"]["synthesis"]["ConditionalBatchNorm_0"]["gain"]
    np.testing.assert_array_equal(found["gain"], own)
    draw = np.random.default_rng(0)
    batch = {"image": draw.integers(0, 256, (4, 16, 16, 4), np.uint8), "label": np.zeros(4, int)}
    for step in range(2):
        state, _ = experiment.iteration(state, [batch], step)
    after = jax.device_get(state.ema)
    same = jax.tree.map(np.array_equal, base_of(after["params"]["g"]), source.ema["params"]["g"])
    assert all(jax.tree.leaves(same))
    for name, collection in after["mutable"]["g"].items():  # batch statistics, the mean of w
        own = source.ema["mutable"]["g"][name]
        jax.tree.map(np.testing.assert_array_equal, base_of(collection), own)
    moved = jax.tree.map(
        lambda x, y: (x != y).any(),
        after["params"]["g"]["remodulation0"],
        before["params"]["g"]["remodulation0"],
    )
    assert all(jax.tree.leaves(moved))
