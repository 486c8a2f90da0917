import jax
import numpy as np
import pytest

from gan_jax import build, config
from gan_jax.algorithms.base import example_batch
from gan_jax.distributed.parallel import Parallel


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
    """The work of an unconditional G step on two devices is half of one's: nothing but the noise
    says whose rows are whose."""
    run = config.Config("noise_to_image", "mlp", {}, batch=64, total_kimg=1.0)
    work = []
    for devices in (Parallel(kind, jax.devices()[:1]), Parallel(kind)):
        game = toy_game()
        optimizer_step = build.make_iteration(run, game, devices).steps[1][1]
        state = devices.replicate(build.new_state(run, game, (4, 4, 1), 0))
        batch = devices.put(example_batch((4, 4, 1), 0, 64))
        work.append(
            optimizer_step.lower(state, batch, devices.scalar(np.int32(0)))
            .compile()
            .cost_analysis()["flops"]
        )
    assert work[1] < 0.7 * work[0]


def test_fewer_devices_than_there_are():
    one = Parallel("jit", jax.devices()[:1])
    assert one.size == 1 and len(one.put(np.zeros((2, 1)))[0].sharding.device_set) == 1
