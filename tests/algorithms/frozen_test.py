"""A game that sees pictures by a frozen network: where its weights are, and where they are not."""

import contextlib
import dataclasses
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax import algorithms, build, checkpoint, config, pretrained, training
from gan_jax.algorithms import noise_to_image
from gan_jax.algorithms.base import to_float
from gan_jax.commands import describe
from gan_jax.distributed import agreement
from gan_jax.distributed.parallel import Parallel
from gan_jax.inference import loading
from gan_jax.start import resume, summary
from gan_jax.state import Aux
from tests.nets import tiny_net

DATA = {"source": "avatars", "resolution": 8, "identities": 12, "labels": None}
RUN = config.Config(
    __name__, "mlp", DATA, batch=4, total_kimg=0.016, game={"z_dim": 4},
    g={"widths": (8,)}, d={"widths": (8,)}, save_every_kimg=0.008, sample_every_kimg=9.0,
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Algorithm(noise_to_image.Algorithm):
    """Its generator matches the features of the reals.

    Attributes:
        features: a name in pretrained.NETS.
    """

    features: str = "tiny"

    @property
    def nets(self):
        return {"eyes": (self.features, None)}

    def loss_g(self, params_g, state, batch, rng):
        x_real = to_float(batch["image"])
        x_fake, mutable = self.fake(state.g.replace(params=params_g), rng, None, len(x_real))
        weights, eyes = state.frozen["eyes"], self.frozen["eyes"]
        real, fake = (eyes.apply(weights, x).features for x in (x_real, x_fake))
        loss = jnp.mean(jnp.abs(real - fake))
        return loss, Aux(mutable, state.carry, {"g/loss": loss})


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    """(seed) -> makes the net "tiny" that of this seed; at first it is that of seed 0."""

    def use(seed):
        monkeypatch.setitem(pretrained.NETS, "tiny", lambda name, *_: tiny_net(name, seed))

    use(0)
    return use


@pytest.fixture(scope="module")
def half(tmp_path_factory, shared_data):
    """The workdir of a run of 2 of 4 steps."""
    folder = tmp_path_factory.mktemp("half")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(pretrained.NETS, "tiny", lambda name, *_: tiny_net(name))
        training.run(dataclasses.replace(RUN, total_kimg=0.008), folder)
    return folder


def test_a_resumed_run_ends_as_one_that_never_stopped(half, tmp_path):
    whole = training.run(RUN, tmp_path / "whole")
    resumed = training.run(RUN, shutil.copytree(half, tmp_path / "resumed"))
    one, other = checkpoint.named(whole), checkpoint.named(resumed)
    assert one.keys() == other.keys() and int(whole.step) == 4
    for name, x in one.items():
        np.testing.assert_array_equal(x, other[name], name)


def test_checkpoints_hold_their_names_only(half):
    leaves, meta = checkpoint.read(checkpoint.find(half), ("",))
    assert leaves and not [name for name in leaves if "frozen" in name]
    assert meta["frozen"] == {"eyes": "tiny (SHA-256 seed0)"}


def test_another_network_does_not_resume(half, tmp_path, tiny):
    tiny(1)
    folder = shutil.copytree(half, tmp_path / "run")
    with pytest.raises(ValueError, match="sees pictures by the network tiny .SHA-256 seed0., and"):
        training.run(RUN, folder)


def test_checkpoints_from_before_still_load(half, tmp_path, monkeypatch):
    """Those say nothing of networks."""
    folder = shutil.copytree(half, tmp_path / "run")
    read = checkpoint.read_meta
    old = lambda path: {k: v for k, v in read(path).items() if k != "frozen"}
    monkeypatch.setattr(checkpoint, "read_meta", old)
    experiment = build.experiment(RUN, new=False)
    with contextlib.closing(resume.open_store(RUN, folder, False)) as store:
        state, _ = resume.begin(experiment, store, lambda line: None)
    np.testing.assert_array_equal(state.frozen["eyes"]["kernel"], tiny_net().params["kernel"])


def test_sampling_needs_no_frozen_network(half, monkeypatch):
    monkeypatch.delitem(pretrained.NETS, "tiny")
    sampler = loading.load_sampler(half, trusted=[__name__])
    assert sampler.game.nets == {"eyes": ("tiny", None)}
    assert sampler.game.sample(sampler.ema, jnp.zeros((2, 4)), None).shape == (2, 8, 8, 3)


def test_an_unknown_network_is_refused_before_data_is_opened():
    wrong = dataclasses.replace(RUN, game=RUN.game | {"features": "tinny"})
    with pytest.raises(ValueError, match="config.game: features='tinny' is.*Did you mean 'tiny'"):
        build.check(wrong, Parallel("jit"), new=True)


def test_processes_compare_networks_before_one_that_lacks_its_file_leaves(monkeypatch):
    """Or the others would wait for it."""
    compared = []
    monkeypatch.setattr(agreement, "agree", compared.append)
    build.check(RUN, Parallel("jit"), new=True)

    def lacking(name, *_):
        raise ValueError(f"{name}: no such file")

    monkeypatch.setitem(pretrained.NETS, "tiny", lacking)
    with pytest.raises(ValueError, match="config.game: tiny: no such file"):
        build.check(RUN, Parallel("jit"), new=True)
    there, lacks = (facts["config.game's networks"] for facts in compared)
    assert there == {"eyes": "tiny (SHA-256 seed0)"}
    assert lacks == {"eyes": "config.game: tiny: no such file"}


@pytest.mark.parametrize("kind", ["jit", "pmap"])
def test_every_device_has_the_weights_and_no_step_writes_them(kind):
    """Two devices give the step of one."""
    found, batch = [], {"image": np.arange(4 * 192, dtype=np.uint8).reshape(4, 8, 8, 3)}
    run = dataclasses.replace(RUN, parallel=kind)
    game = algorithms.make_game(run, (8, 8, 3), 0)
    for devices in (1, 2):
        parallel = Parallel(kind, jax.devices()[:devices])
        iteration = build.make_iteration(run, game, parallel)
        state = parallel.replicate(build.new_state(run, game, (8, 8, 3), 0))
        state, _ = iteration(state, [parallel.put(batch)], 0)
        (weights,) = jax.tree.leaves(state.frozen)
        assert len(weights.sharding.device_set) == devices
        found.append(jax.device_get(parallel.one(state)))
    for state in found:
        np.testing.assert_array_equal(state.frozen["eyes"]["kernel"], tiny_net().params["kernel"])
    one, two = (jax.tree.leaves(state.g.params) for state in found)
    for a, b in zip(one, two, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_networks_are_shown_apart():
    said = describe.networks(RUN)
    assert "eyes, tiny, frozen" in said and said.index("critic, for") < said.index("eyes, tiny")
    experiment = build.experiment(RUN)
    state = experiment.parallel.replicate(experiment.new_state())
    (line,) = [x for x in summary.lines(experiment, state, None, 9) if x.startswith("eyes")]
    assert "tiny, 12 weights, frozen" in line
