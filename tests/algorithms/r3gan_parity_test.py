"""R3GAN's networks, losses, penalties, gradients and one iteration of training against the official
code's.

Made by brownvc/R3GAN 19a7ddf, torch 2.13.0, CPU, float32, its ops in their reference forms:
`R3GAN.Networks`' Generator and Discriminator, widths (8, 8, 4) from 4x4 to 16x16, cardinality (4,
4, 2), z 6, and with 3 classes a label embedding of 5;
`AdversarialTraining.Accumulate{Discriminator,Generator}Gradients` with gamma 0.7;
torch.optim.Adam(lr 0.02, betas (0, 0.9)), D's step, then G's. Array `name` of shape `shape` is
drawn from its official name, as `drawn` does here. "fake" is G of the first z, "logits" D of the
images, both before the iteration; grad.* and after.* are each step's gradients and new weights.
"""

import zlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax import optim
from gan_jax.algorithms import base
from gan_jax.algorithms.r3gan import Algorithm
from gan_jax.interop import r3gan as converters
from gan_jax.models.r3gan import Discriminator, Generator
from gan_jax.state import Player, TrainState
from gan_jax.step import make_step
from tests.paths import FIXTURES

BATCH, SHAPE, Z, GAMMA = 4, (16, 16, 3), 6, 0.7
KINDS = {"plain": 0, "classes": 3}
ADAM = dict(name="adam", lr=0.02, b1=0.0, b2=0.9)


def drawn(name, shape):
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    scale = 1 / np.sqrt(np.prod(shape[1:])) if len(shape) > 1 else 0.1
    return (scale * rng.standard_normal(shape)).astype(np.float32)


def close(ours, theirs, what, tolerance=1e-4):
    """Within 1e-4 of the quantity's greatest magnitude: both sides sum in float32, in different
    orders."""
    np.testing.assert_allclose(
        ours, theirs, rtol=0, atol=tolerance * np.abs(theirs).max(), err_msg=what
    )


@pytest.fixture(scope="module", params=KINDS)
def both(request):
    """(the official numbers, our game with the official weights, its state, inputs)."""
    theirs = dict(np.load(FIXTURES / f"r3gan_{request.param}.npz"))
    names = lambda who: {
        n.removeprefix(f"grad.{who}."): x.shape
        for n, x in theirs.items()
        if n.startswith("grad." + who)
    }
    weights = lambda who: {n: drawn(f"{who}.{n}", shape) for n, shape in names(who).items()}
    g, d = converters.generator(weights("G")), converters.discriminator(weights("D"))
    game = Algorithm(
        Generator(g.shape, g.n_classes, **g.settings),
        Discriminator(d.shape, d.n_classes, **d.settings),
        z_dim=g.z_dim,
        gamma=GAMMA,
    )
    rng = np.random.default_rng(0)
    batch = {"image": rng.integers(0, 256, (BATCH, *SHAPE), dtype=np.uint8)}
    z = [rng.standard_normal((BATCH, Z)).astype(np.float32) for _ in range(2)]
    if KINDS[request.param]:
        batch["label"] = np.arange(BATCH, dtype=np.int32) % KINDS[request.param]
    return theirs, game, g, d, batch, z


def test_settings_are_read_off_the_arrays(both):
    _, _, g, d, batch, _ = both
    n_classes = 3 if "label" in batch else 0
    sizes = dict(widths=(8, 8, 4), cardinality=(4, 4, 2), blocks=2, expansion=2)
    assert (g.shape, g.n_classes, g.z_dim) == (SHAPE, n_classes, Z)
    assert g.settings == sizes | ({"embedding": 5} if n_classes else {})
    assert (d.shape, d.n_classes, d.settings) == (SHAPE, n_classes, sizes)


def test_networks(both):
    theirs, game, g, d, batch, z = both
    y = batch.get("label")
    close(jax.jit(game.g.apply)(g.variables, z[0], y), theirs["fake"], "G")
    close(
        jax.jit(game.d.apply)(d.variables, base.to_float(jnp.asarray(batch["image"])), y),
        theirs["logits"],
        "D",
    )


def test_an_iteration(both, monkeypatch):
    """Losses, R1, R2, every gradient and every weight after a step, first D's, then G's against the
    new D."""
    theirs, game, g, d, batch, z = both
    given = iter(z)
    monkeypatch.setattr(base, "normal", lambda rng, rows, *shape: jnp.asarray(next(given)))
    sides = {"g": g, "d": d}
    tx = {
        who: optim.make(
            **ADAM,
            phases=[p for p in game.phases if p.who == who],
            batch=BATCH,
            total_kimg=1.0,
            place=f"opt_{who}",
        )
        for who in sides
    }
    players = {
        who: Player(
            {who: net.variables["params"]}, {who: {}}, tx[who].init({who: net.variables["params"]})
        )
        for who, net in sides.items()
    }
    carry = {"augment": {}, "lecam": {}}
    state = TrainState(
        jnp.int32(0), jax.random.key_data(jax.random.key(0)), **players, ema={}, carry=carry
    )
    convert = {"g": converters.generator, "d": converters.discriminator}
    for phase, metrics in zip(game.phases, (["d/loss", "d/r1", "d/r2"], ["g/loss"]), strict=True):
        who, captured = phase.who, {}

        def update(grads, opt, params, who=who, captured=captured):
            captured["grads"] = grads
            return tx[who].update(grads, opt, params)

        def optimizer_step(state, batch, phase=phase, update=update, captured=captured):
            state, measured = make_step(phase, tx[phase.who]._replace(update=update))(
                state, batch, jnp.int32(0)
            )
            return state, measured, captured["grads"]

        state, measured, grads = jax.jit(optimizer_step)(state, batch)
        for name in metrics:
            close(measured[name], theirs[name], name)
        official = lambda part: {
            n.split(".", 2)[2]: x
            for n, x in theirs.items()
            if n.startswith(f"{part}.{who.upper()}.")
        }
        want = {
            part: convert[who](official(part)).variables["params"] for part in ("grad", "after")
        }
        for part, ours in (("grad", grads[who]), ("after", getattr(state, who).params[who])):
            for (path, a), b in zip(
                jax.tree_util.tree_leaves_with_path(ours), jax.tree.leaves(want[part]), strict=True
            ):
                close(a, b, f"{part} {who} {jax.tree_util.keystr(path)}")
