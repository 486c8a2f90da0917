"""Several processes of one run: they meet, and end in one line where one of them is gone.

Left to itself JAX waits for a missing process in C++ and, where one dies, aborts the others with a
stack trace. Here the waiting can be interrupted; heartbeats stand in JAX's own key-value store
(heartbeat.py); and the connection to process 0, which keeps that store, leads through this process
(connection.py), so that its end is seen here first.
"""

import contextlib
import functools
import importlib.util
import math
import os
import time
from collections.abc import Callable, Iterator

import jax
from jax._src import clusters, distributed  # what jax.distributed.initialize calls

from gan_jax.distributed import connection, heartbeat
from gan_jax.distributed.agreement import FOREVER
from gan_jax.distributed.heartbeat import Peers

GRACE = 60  # seconds by which JAX's own time limits, which abort, are longer than ours


@contextlib.contextmanager
def joined(
    coordinator: str | None,
    num_processes: int | None,
    process_id: int | None,
    heartbeat_seconds: int,
    join_seconds: int,
    explain: Callable[[BaseException], int],
) -> Iterator[None]:
    """Together with the other processes of the run, if there are any. Enter before anything else of
    JAX.

    What is raised in one process of several ends that process at once, and then the others: the end
    of Python would wait for them.

    Args:
        coordinator, num_processes, process_id: "host:port" of process 0, how many, which one. All
            None: JAX finds them itself under SLURM, Open MPI, Kubernetes (indexed jobs) and on TPU
            pods.
        heartbeat_seconds: a process silent for so long is gone, which ends the others.
        join_seconds: how long to wait for the others at the start.
        explain: prints what was raised; returns the exit status.
    Raises:
        ValueError: only some of the three are given, or wrong ones.
    """
    given = _given(coordinator, num_processes, process_id)
    if not given and not _in_cluster(os.environ):
        yield
        return
    address, count, index, devices = _detected(coordinator, num_processes, process_id, join_seconds)
    host, port = connection.parse_address(address)
    peers = Peers(index, count, heartbeat_seconds)
    try:
        _join(peers, host, port, devices, join_seconds)
        yield
        distributed.global_state.client.wait_at_barrier("gan_jax/end", FOREVER)
    except BaseException as error:
        if isinstance(error, jax.errors.JaxRuntimeError) and "RESOURCE_EXHAUSTED" not in str(error):
            # that another is gone shows in JAX's errors before its silence is long enough
            peers.wait_until_noticed()
        peers.depart(error)
        peers.exit(explain(error))
        raise  # where a test's `exit` comes back
    peers.close()


def _given(coordinator: str | None, num_processes: int | None, process_id: int | None) -> bool:
    """Whether all three are given rather than none. Raises ValueError for some, or wrong ones."""
    given = [value is not None for value in (coordinator, num_processes, process_id)]
    if any(given) and not all(given):
        raise ValueError(
            "--coordinator, --num_processes and --process_id go together: give all three or none."
        )
    if all(given) and not 0 <= process_id < num_processes:
        raise ValueError(
            f"--process_id={process_id}: it must be 0 to {num_processes - 1}, below"
            " --num_processes."
        )
    return all(given)


def _join(peers: Peers, host: str, port: int, devices: list[int] | None, seconds: float) -> None:
    """Returns when all processes are there."""
    # it swallows SIGTERM, which is the loop's to handle
    jax.config.update("jax_enable_preemption_service", False)
    me, place, began = f"process {peers.index} of {peers.count}", f"{host}:{port}", time.monotonic()
    if peers.index == 0:
        connection.check_free(port)
        what = f"{me} waits at {place} for the others"
    else:
        reach = functools.partial(connection.reach, host, port)
        connection.wait_for(reach, seconds, f"{me} waits for process 0 at {place}")
        lost = functools.partial(peers.end, heartbeat.gone(0, peers.count))
        port = connection.relay(host, port, peers.heartbeat_seconds, lost)
        host, what = "127.0.0.1", f"{me} has found process 0 at {place} and waits for the others"
    join = functools.partial(
        jax.distributed.initialize,
        f"[{host}]:{port}" if ":" in host else f"{host}:{port}",
        peers.count,
        peers.index,
        local_device_ids=devices,
        initialization_timeout=math.ceil(seconds) + GRACE,
        heartbeat_timeout_seconds=peers.heartbeat_seconds + GRACE,
    )
    connection.wait_for(join, began + seconds - time.monotonic(), what)
    peers.watch(distributed.global_state.client)


def _detected(
    coordinator, num_processes, process_id, seconds
) -> tuple[str, int, int, list[int] | None]:
    """(address of process 0, how many processes, which one this is, its devices of those of the
    machine): given, or found by JAX."""
    coordinator = coordinator or os.environ.get("JAX_COORDINATOR_ADDRESS")
    found = clusters.ClusterEnv.auto_detect_unset_distributed_params(
        coordinator, num_processes, process_id, None, None, seconds
    )
    if None in found[:3]:
        raise ValueError(
            "JAX doesn't find the other processes: give --coordinator, --num_processes and"
            " --process_id."
        )
    return found


def _in_cluster(env) -> bool:
    """Whether a launcher that JAX understands started several processes (Kubernetes: with the extra
    `k8s`)."""
    counts = [env.get(name, "1") for name in ("SLURM_STEP_NUM_TASKS", "OMPI_COMM_WORLD_SIZE")]
    several = any(count.isdigit() and int(count) > 1 for count in counts)
    kubernetes = (
        "JOB_COMPLETION_INDEX" in env and importlib.util.find_spec("kubernetes") is not None
    )
    return several or kubernetes or "," in env.get("TPU_WORKER_HOSTNAMES", "")
