"""Many devices, of one process or several, two ways: `jit` over a device mesh, or `pmap`.

Both ways the parameters are replicated and the batch is sharded in equal rows; statistics,
noise and gradients are those of the global batch (see collectives.py), so both give the numbers of
one device, up to the order of summation.
"""

from collections.abc import Callable

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from gan_jax.distributed import collectives
from gan_jax.runtime import registry
from gan_jax.state import PyTree


class Parallel:
    """Places arrays on all devices and compiles optimizer steps for them."""

    def __init__(self, kind: str, devices=None):
        """kind: "jit" or "pmap"; devices: all of every process, unless a test wants fewer."""
        registry.choose({"jit": 1, "pmap": 1}, kind, "config.parallel")
        self.pmap = kind == "pmap"
        self.devices = list(devices or jax.devices())
        self.mesh = Mesh(np.array(self.devices), (collectives.NAME,))
        # cut along the first axis; a copy on every device
        self.batch_sharding = NamedSharding(self.mesh, PartitionSpec(collectives.NAME))
        self.replicated = NamedSharding(self.mesh, PartitionSpec())
        self._scalars = {}

    @property
    def size(self) -> int:
        return len(self.devices)

    def compile(self, fn: Callable) -> Callable:
        """Compiles fn(state, *batches) -> state or (state, metrics); the state's memory is reused
        for the new one."""
        if self.pmap:
            return jax.pmap(
                fn, axis_name=collectives.NAME, devices=self._pmap_devices(), donate_argnums=0
            )

        def on_mesh(*args):
            with jax.sharding.use_abstract_mesh(self.mesh.abstract_mesh):  # for collectives.draw
                return fn(*args)

        return jax.jit(on_mesh, donate_argnums=0, out_shardings=self.replicated)

    def replicate(self, tree: PyTree) -> PyTree:
        """Host or device arrays, equal in every process -> one copy a device, as `compile`d
        functions take them."""
        return jax.tree.map(self._stack, tree) if self.pmap else self.broadcast(tree)

    def broadcast(self, tree: PyTree) -> PyTree:
        """Host or device arrays, equal in every process -> one copy a device,
        as `jax.jit` takes them."""
        return jax.tree.map(lambda x: self._copies(x, np.shape(x), self.replicated), tree)

    def put(self, batch: PyTree) -> PyTree:
        """This process's rows of a batch, numpy [B / processes, ...] -> the global batch on all
        devices."""
        if self.pmap:
            local = sum(d.process_index == jax.process_index() for d in self.devices)
            batch = jax.tree.map(lambda x: x.reshape(local, -1, *x.shape[1:]), batch)
        return jax.tree.map(
            lambda x: jax.make_array_from_process_local_data(self.batch_sharding, x), batch
        )

    def scalar(self, value: np.number) -> jax.Array:
        """A small number as an optimizer step takes it;
        kept, for it is needed in every iteration."""
        if value not in self._scalars:
            self._scalars[value] = self.replicate(value)
        return self._scalars[value]

    def one(self, tree: PyTree) -> PyTree:
        """The logical value of replicated arrays: what is saved, sampled and logged."""
        return jax.tree.map(self._unstack, tree) if self.pmap else tree

    def _pmap_devices(self):
        return None if self.devices == jax.devices() else self.devices

    def _stack(self, x):
        return self._copies(
            np.asarray(jax.device_get(x))[None], (self.size, *np.shape(x)), self.batch_sharding
        )

    def _unstack(self, x):
        pieces = [shard.data.reshape(x.shape[1:]) for shard in x.addressable_shards]
        return jax.make_array_from_single_device_arrays(x.shape[1:], self.replicated, pieces)

    def _copies(self, x, shape, sharding):
        x = np.asarray(jax.device_get(x))
        pieces = [
            jax.device_put(x, d) for d in self.devices if d.process_index == jax.process_index()
        ]
        return jax.make_array_from_single_device_arrays(shape, sharding, pieces)


def any_process(flag: bool) -> bool:
    """Whether the flag is true in any process. All must call it at the same place."""
    if jax.process_count() == 1:
        return flag
    return bool(multihost_utils.process_allgather(np.bool_(flag)).any())
