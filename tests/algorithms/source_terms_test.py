import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax import build, checkpoint, config
from gan_jax.algorithms import source_terms
from gan_jax.algorithms.source_terms import SourceTerms
from gan_jax.start import resume
from tests import runs

FEW = {"source": "avatars", "resolution": 16, "channels": 3, "identities": 12, "labels": None}
FEW |= {"styles": ("dylan",)}


def adapted(tmp_path, **game):
    """(an experiment that goes on from a run at its start, its state)."""
    runs.untrained(tmp_path / "source", runs.STYLED, (16, 16, 3), fill=runs.lively_stylegan2)
    settings = runs.STYLED | {"init_from": str(tmp_path / "source"), "data": FEW}
    settings |= {"game": runs.STYLED["game"] | game, "eval_every_kimg": None}
    experiment = build.experiment(config.Config(**settings))
    store = checkpoint.Store(tmp_path / "checkpoints")
    return experiment, resume.begin(experiment, store, lambda line: None)[0]


def test_the_likeness_of_pictures_by_hand():
    """Equation 2 of Ojha et al. 2021, picture by picture."""
    draw = np.random.default_rng(0)
    before, after = (
        [draw.normal(size=(4, 3, 3, 2)).astype(np.float32), draw.normal(size=(4, 2, 2, 5))]
        for _ in range(2)
    )
    layer = np.array([0, 1, 1, 0])

    def shares(maps, i):
        x = maps[layer[i]].reshape(4, -1).astype(np.float64)
        x = x / np.linalg.norm(x, axis=1, keepdims=True)
        power = np.exp([x[i] @ x[j] for j in range(4) if j != i])
        return power / power.sum()

    pairs = [(shares(before, i), shares(after, i)) for i in range(4)]
    wanted = np.sum([p * np.log(p / q) for p, q in pairs]) / 12
    before, after = ([jnp.asarray(x, jnp.float32) for x in maps] for maps in (before, after))
    found, grads = jax.value_and_grad(source_terms.changed_likeness, 1)(before, after, layer)
    assert found == pytest.approx(wanted, rel=1e-4)
    assert all(np.isfinite(x).all() and x.any() for x in grads)
    assert source_terms.changed_likeness(before, before, layer) == pytest.approx(0, abs=1e-7)


def test_importance_is_the_mean_squared_gradient():
    def log_d(params, state, rng, y):
        return params["w"] @ jax.random.normal(rng, (2,)) * (1 + y[0]) * state

    given = {"w": jnp.zeros(2)}, jnp.float32(1), jax.random.key(0)
    found = source_terms.importance(log_d, *given, 2)["w"]
    keys = [jax.random.fold_in(jax.random.key(0), k) for k in range(source_terms.SAMPLES)]
    each = [(jax.random.normal(k, (2,)) * (1 + n % 2)) ** 2 for n, k in enumerate(keys)]
    np.testing.assert_allclose(found, np.mean(each, 0), rtol=1e-5)


def test_ewc_is_weighted_distance(tmp_path, monkeypatch):
    monkeypatch.setattr(source_terms, "SAMPLES", 3)
    experiment, state = adapted(tmp_path, ewc=3.0)
    terms = experiment.game.source
    leaf = state.carry["importance"]["synthesis"]["b4"]["conv1"]["kernel"]
    assert (leaf >= 0).all() and leaf.any()
    assert terms.ewc_term(state.g.params, state)[0] == 0  # it starts at the source
    moved = jax.tree.map(lambda x: x + 0.5, state.g.params)
    whole = sum(float(x.sum()) for x in jax.tree.leaves(state.carry["importance"]))
    term, metrics = terms.ewc_term(moved, state)
    assert term == pytest.approx(3 * 0.25 * whole, rel=1e-4) and metrics["g/ewc"] == term
    assert SourceTerms().ewc_term(moved, state) == (0.0, {})


def test_the_source_is_kept_and_compared_to(tmp_path):
    experiment, state = adapted(tmp_path, correspondence=1000.0)
    game, kept = experiment.game, state.carry["source"]["params"]
    jax.tree.map(np.testing.assert_array_equal, kept, state.g.params["g"])
    saved, _ = checkpoint.read(checkpoint.find(tmp_path / "source"), ("g/params/g/mapping/",))
    np.testing.assert_array_equal(
        kept["mapping"]["fc0"]["kernel"], saved["g/params/g/mapping/fc0/kernel"]
    )
    assert "importance" not in state.carry

    @jax.jit
    def term(params):
        rng = jax.random.key(1)
        return game.source.correspondence_term(game.g, params, state, rng, game.z_dim, None)[0]

    # the noise differs, and its strength is 0 at the start
    assert term(state.g.params) == pytest.approx(0, abs=1e-4)
    moved = jax.tree.map(
        lambda x: x + jax.random.normal(jax.random.key(0), x.shape), state.g.params
    )
    assert term(moved) > 1e-3


@pytest.mark.parametrize("name", ["ewc", "correspondence"])
def test_without_a_source_it_is_refused(name):
    settings = runs.STYLED | {"data": FEW, "game": {"z_dim": 4, name: 1.0}}
    with pytest.raises(ValueError, match="Set config.init_from"):
        build.experiment(config.Config(**settings))
    with pytest.raises(ValueError, match=f"config.game.{name}=-1.0"):
        SourceTerms(**{name: -1.0})


def test_the_projected_game_has_both_terms(tmp_path, monkeypatch):
    """Of a generator with batch norm; they are in what G minimizes."""
    monkeypatch.setattr(source_terms, "SAMPLES", 2)
    runs.untrained(tmp_path / "source", runs.PALETTE, (16, 16, 4), fill=runs.lively)
    settings = runs.PALETTE | {"init_from": str(tmp_path / "source"), "eval_every_kimg": None}
    game = {"ewc": 2.0, "correspondence": 1000.0, "pixels_kimg": 1.0, "gamma": 0.5}
    settings |= {"data": FEW | {"channels": 4}, "d": settings["d"] | {"pixels": 4}}
    settings |= {"game": settings["game"] | game}
    experiment = build.experiment(config.Config(**settings))
    store = checkpoint.Store(tmp_path / "checkpoints")
    state = resume.begin(experiment, store, lambda line: None)[0]
    assert any(x.any() for x in jax.tree.leaves(state.carry["importance"]))
    batch = {"image": np.random.default_rng(0).integers(0, 256, (4, 16, 16, 4), np.uint8)}
    moved = jax.tree.map(lambda x: x + 0.1, state.g.params)
    loss, aux = jax.jit(experiment.game.loss_g_pixels)(moved, state, batch, jax.random.key(0))
    terms = [aux.metrics[f"g/{name}"] for name in ("loss", "ewc", "correspondence")]
    assert loss == pytest.approx(float(sum(terms)), rel=1e-5) and min(terms[1:]) > 0
