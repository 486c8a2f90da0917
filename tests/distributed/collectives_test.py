"""What is drawn for each row of a batch, on several devices: rows of one draw, never the same ones
on each device."""

import ast
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend.core import jaxprs_in_params

from gan_jax import algorithms, augment, build, config
from gan_jax.distributed import collectives
from gan_jax.distributed.parallel import Parallel
from gan_jax.nn import layers

ROWS, CLASSES = 5, 3  # rows of one device: a number that is no other size here
WIDTH = {"width": 1}
R3GAN = {"widths": (2, 2), "cardinality": (1, 1), "blocks": 1}
STYLEGAN2 = {"channel_base": 8, "channel_max": 2}
GAMES = {  # every algorithm and every model, as small as they come
    "mlp": {"g": {"widths": (2,)}, "d": {"widths": (2,)}, "game": {"penalty": "wgan_gp"}},
    "dcgan": {"g": WIDTH, "d": WIDTH, "game": {"consistency_real": 1.0, "consistency_fake": 1.0}},
    "sngan": {"g": WIDTH, "d": WIDTH},
    "biggan": {
        "g": WIDTH | {"attention": 16, "arch": "studiogan"},
        "d": WIDTH,
        "game": {"z_dim": 8},
    },
    "stylegan2": {
        "g": STYLEGAN2 | {"w_dim": 2, "map_layers": 1},
        "d": STYLEGAN2 | {"mbstd_group": ROWS},
    },
    "r3gan": {"g": R3GAN, "d": R3GAN, "game": {"penalty_every": 2}},
    "pix2pix": {"g": WIDTH | {"levels": 6}, "d": WIDTH | {"levels": 1}, "game": {"temporal": 1.0}},
    "cyclegan": {"g": WIDTH | {"blocks": 1}, "d": WIDTH | {"levels": 1}, "game": {"temporal": 1.0}},
    "cut": {
        "g": WIDTH | {"blocks": 1},
        "d": WIDTH | {"levels": 1},
        "networks": {"heads": {"features": 2}},
        "game": {"taps": (0, 4), "patches": 3, "across": True, "flip": True, "temporal": 1.0},
    },
    "starganv2": {
        "g": {"width": 1, "levels": 1},
        "d": WIDTH,
        "game": {"temporal": 1.0},
        "networks": {
            "mapping": {"features": 2, "width": 2},
            "encoder": {"features": 2, "width": 1},
        },
    },
}


ROOT = pathlib.Path(collectives.__file__).parent.parent
IN_A_STEP = [ROOT / "algorithms" / "critic_terms.py", ROOT / "regularizers.py"]
IN_A_STEP += [
    path
    for part in ("algorithms", "augment", "models", "nn")
    for path in sorted((ROOT / part).glob("*.py"))
]
KEYS = {"split", "fold_in", "key", "key_data", "wrap_key_data"}
NO_ROWS = {  # functions that may draw an array of their own, and of what
    "truncated_normal": "z to draw pictures of, outside of steps",
    "latent": "the same",
    "_standing_pass": "pictures of one device",
    "he_each": "weights",
    "SpectralNorm": "the vector u",
    "ModulatedConv": "the layer's own picture of noise",
    "patch_nce": "places, the same in every picture",
    "views": "weights of gray, the same for every picture",
    "own_noise": "the layer's own picture of noise, in sampling",
    "anchor_codes": "fixed z, the same everywhere",
    "correspondence_term": "z whose pictures are all compared with each other, the same everywhere",
}


def given_to_draw(node):
    """What is given to collectives.draw below a node: names of functions, or lambdas."""
    calls = [x for x in ast.walk(node) if isinstance(x, ast.Call)]
    return {
        ast.unparse(call.args[0]) for call in calls if ast.unparse(call.func) == "collectives.draw"
    }


def own_draws(node, within=(), shared=False, drawn=frozenset()):
    """(names of functions and classes around it, line) of each array drawn elsewhere than in
    collectives.draw, or in a function that is given to it.

    drawn: names of those functions, in the function around the node.
    """
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        within = (*within, node.name)
        shared |= node.name in drawn
        drawn = given_to_draw(node)
    if isinstance(node, ast.Call):
        name = ast.unparse(node.func)
        shared |= name == "collectives.draw"
        draws = name.startswith("jax.random.") and name.removeprefix("jax.random.") not in KEYS
        array = draws and len(node.args) > 1 and ast.unparse(node.args[1]) != "()"
        if (array and not shared) or name.endswith(("nn.Dropout", "linen.Dropout")):
            yield within, node.lineno
    for child in ast.iter_child_nodes(node):
        yield from own_draws(child, within, shared, drawn)


def test_arrays_are_drawn_by_axis_draw():
    """So that devices have rows of their own of what games, networks, augmentations and penalties
    draw."""
    found = [
        f"{path.relative_to(ROOT)}:{line} draws without collectives.draw, so under pmap the same"
        " rows on each device"
        for path in IN_A_STEP
        for within, line in own_draws(ast.parse(path.read_text()))
        if not set(within) & set(NO_ROWS)
    ]
    assert not found


def test_the_search_finds_a_draw_of_a_devices_own():
    own = "def f(rng, x):\n    return {}\n"
    for drawn in (
        "jax.random.normal(rng, x.shape)",
        "nn.Dropout(0.5)(x)",
        "jax.random.uniform(rng, (n, 3))",
    ):
        assert list(own_draws(ast.parse(own.format(drawn)))) == [(("f",), 2)]
    for drawn in (
        "collectives.draw(lambda n: jax.random.normal(rng, (n, 3)), 4)",
        "jax.random.split(rng, 3)",
        "jax.random.bernoulli(rng)",
        "jax.random.randint(rng, (), 0, 3)",
    ):
        assert not list(own_draws(ast.parse(own.format(drawn))))
    inner = "jax.random.normal(key, (n, 3))\n    return collectives.draw({}, 4)"
    named = "def f(key):\n    def draw(n):\n        return " + inner
    assert not list(own_draws(ast.parse(named.format("draw"))))
    assert list(own_draws(ast.parse(named.format("other")))) == [(("f", "draw"), 3)]


def draws(jaxpr):
    """Shapes of the random numbers that a program draws."""
    for eqn in jaxpr.eqns:
        if eqn.primitive.name == "random_bits":
            yield eqn.outvars[0].aval.shape
        for inner in jaxprs_in_params(eqn.params):
            yield from draws(inner)


def drawn_on_one_of_two(f, *args):
    """The same, of f(*args) on one of two devices under pmap."""
    return list(draws(jax.make_jaxpr(f, axis_env=[(collectives.NAME, 2)])(*args).jaxpr))


@pytest.mark.slow
@pytest.mark.parametrize("model", GAMES)
def test_every_draw_of_a_step_is_a_row_of_the_global_one(model):
    algorithm = "noise_to_image" if model in ("mlp", "dcgan", "sngan", "biggan") else model
    side, classes = 32 if model in ("sngan", "biggan") else 8, CLASSES * (model == "starganv2")
    run = config.Config(algorithm, model, {}, batch=2 * ROWS, total_kimg=1.0, **GAMES[model])
    game, found = algorithms.make_game(run, (side, side, 3), classes), []
    state = jax.eval_shape(lambda: build.new_state(run, game, (side, side, 3), classes))
    for phase in game.phases:

        def step(state, batch):
            params, key = getattr(state, phase.who).params, jax.random.wrap_key_data(state.rng)
            return phase.loss(params, state, batch, key)

        found += drawn_on_one_of_two(step, state, game.example((side, side, 3), classes, ROWS))
    assert found and not [shape for shape in found if shape[:1] == (ROWS,)]


@pytest.mark.parametrize(
    "augment", [augment.DiffAugment(), augment.ADA("bgcfnc", target=None, p=0.5)]
)
def test_every_draw_of_an_augmentation_is_a_row_of_the_global_one(augment):
    found = drawn_on_one_of_two(
        lambda key, x: augment(augment.init(), key, x),
        jax.random.key(0),
        jnp.zeros((ROWS, 8, 8, 3)),
    )
    assert {shape[0] for shape in found} == {2 * ROWS}


@pytest.mark.parametrize("kind", ["jit", "pmap"])
def test_dropout_of_several_devices_is_that_of_one(kind):
    """Four equal rows, each with a mask of its own: the masks of one device."""
    dropout, devices = layers.Dropout(0.5), Parallel(kind)

    def drop(state, x):
        return state, dropout.apply({}, x, train=True, rngs={"dropout": jax.random.key(0)})

    x = np.ones((4, 30), np.float32)
    alone = np.asarray(drop(0, jnp.asarray(x))[1])
    assert (
        set(np.unique(alone)) == {0, 2}
        and len(np.unique(alone, axis=0)) == 4
        and 40 < (alone > 0).sum() < 80
    )
    run = devices.compile(drop)
    _, found = run(devices.replicate(np.float32(0)), devices.put(x))
    np.testing.assert_array_equal(np.asarray(found).reshape(4, 30), alone)


def test_dropout_is_off_when_pictures_are_drawn_and_its_rate_is_a_share():
    x = jnp.ones((2, 3))
    np.testing.assert_array_equal(layers.Dropout(0.5).apply({}, x), x)
    with pytest.raises(ValueError, match=r"dropout=1: it must be 0 or more, and below 1"):
        layers.Dropout(1).apply({}, x, train=True)
