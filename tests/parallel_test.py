import jax
import numpy as np
import pytest

from gan_jax import config, parallel, train
from gan_jax.algorithms.base import example_batch
from gan_jax.parallel import Parallel


@pytest.mark.parametrize("kind", ["jit", "pmap"])
def test_rows_are_cut_disjoint_and_complete(kind):
    placed = Parallel(kind).put({"image": np.arange(12, dtype=np.uint8).reshape(6, 2)})["image"]
    shards = [np.asarray(shard.data).reshape(-1, 2) for shard in placed.addressable_shards]
    assert len(shards) == 2 and all(shard.shape == (3, 2) for shard in shards)
    np.testing.assert_array_equal(np.concatenate(shards), np.arange(12).reshape(6, 2))


@pytest.mark.parametrize("kind", ["jit", "pmap"])
def test_replicated_values_come_back_as_one(kind):
    devices = Parallel(kind)
    tree = {"a": np.arange(3.0, dtype=np.float32), "b": np.int32(4)}
    back = devices.one(devices.replicate(tree))
    for name, value in tree.items():
        assert back[name].shape == value.shape and len(back[name].sharding.device_set) == 2
        np.testing.assert_array_equal(back[name], value)


@pytest.mark.parametrize("kind", ["jit", "pmap"])
def test_each_device_draws_pictures_for_its_own_rows_only(kind, toy_game):
    """The work of an unconditional G turn on two devices is half of one's: nothing but the noise says whose rows are whose."""
    run = config.Config("noise_to_image", "mlp", {}, batch=64, total_kimg=1.0)
    work = []
    for devices in (Parallel(kind, jax.devices()[:1]), Parallel(kind)):
        game = toy_game()
        turn = train.make_round(run, game, devices).turns[1][1]
        state = devices.replicate(train.new_state(run, game, (4, 4, 1), 0))
        batch = devices.put(example_batch((4, 4, 1), 0, 64))
        work.append(turn.lower(state, batch, devices.scalar(np.int32(0))).compile().cost_analysis()["flops"])
    assert work[1] < 0.7 * work[0]


def test_fewer_devices_than_there_are():
    one = Parallel("jit", jax.devices()[:1])
    assert one.size == 1 and len(one.put(np.zeros((2, 1)))[0].sharding.device_set) == 1


@pytest.mark.parametrize(
    ("env", "several"),
    [
        ({}, False),
        ({"SLURM_STEP_NUM_TASKS": "1"}, False),
        ({"SLURM_STEP_NUM_TASKS": "8"}, True),
        ({"OMPI_COMM_WORLD_SIZE": "2"}, True),
        ({"JOB_COMPLETION_INDEX": "0"}, True),
        ({"TPU_WORKER_HOSTNAMES": "localhost"}, False),
        ({"TPU_WORKER_HOSTNAMES": "a,b"}, True),
    ],
)
def test_a_launcher_with_several_processes_is_noticed(env, several, monkeypatch):
    for name in ("SLURM_STEP_NUM_TASKS", "OMPI_COMM_WORLD_SIZE", "JOB_COMPLETION_INDEX", "TPU_WORKER_HOSTNAMES"):
        monkeypatch.delenv(name, raising=False)
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name == "kubernetes")
    calls = []
    monkeypatch.setattr(jax.distributed, "initialize", lambda *args, **kwargs: calls.append(kwargs))
    parallel.start(None, None, None, heartbeat_seconds=7)
    assert calls == ([{"heartbeat_timeout_seconds": 7}] if several else [])


def test_the_three_flags_go_together():
    with pytest.raises(ValueError, match="--coordinator, --num_processes and --process_id go together"):
        parallel.start("host:1", 2, None, 10)


def test_a_process_id_that_there_is_not():
    with pytest.raises(ValueError, match="--process_id=2: it must be 0 to 1"):
        parallel.start("host:1", 2, 2, 10)
