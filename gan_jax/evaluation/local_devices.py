"""One program on each of this process's devices. Other processes take no part, so nobody waits."""

from collections.abc import Callable

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

AXIS = "local_devices"


class LocalDevices:
    """One program on each of this process's devices, each with `batch` rows."""

    def __init__(self, batch: int):
        mesh = Mesh(np.array(jax.local_devices()), (AXIS,))
        self.rows = batch * mesh.size
        self._mesh, self._replicated = mesh, NamedSharding(mesh, PartitionSpec())

    def compile(self, fn: Callable) -> Callable:
        """fn(replicated, *rows) -> rows, each rows [batch, ...] on a device."""
        rows = PartitionSpec(AXIS)

        def on_all(replicated, *args):
            inner = jax.shard_map(
                fn,
                mesh=self._mesh,
                in_specs=(PartitionSpec(), *[rows] * len(args)),
                out_specs=rows,
                check_vma=False,
            )
            return inner(replicated, *args)

        return jax.jit(on_all)

    def replicate(self, tree):
        """A copy of each array on each device; also of arrays that are replicated over other
        processes' devices."""

        def put(x):
            local = x.addressable_data(0) if isinstance(x, jax.Array) else x
            return jax.device_put(np.asarray(local), self._replicated)

        return jax.tree.map(put, tree)
