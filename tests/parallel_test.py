import jax
import numpy as np
import pytest

from gan_jax import parallel
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
