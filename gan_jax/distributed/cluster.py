"""Several processes of one run: they meet, agree on what they run, and end in one line where one of
them is gone.

Left to itself JAX waits for a missing process in C++ and, where one dies, aborts the others with a
stack trace. Here the waiting can be interrupted, signs of life stand in JAX's own key-value store,
and the connection to process 0, which keeps that store, leads through this process, so that its end
is seen here first.
"""

import collections
import contextlib
import functools
import hashlib
import importlib.metadata
import importlib.util
import itertools
import json
import math
import multiprocessing
import os
import pathlib
import platform
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping

import jax
from flax import traverse_util
from jax._src import (  # what jax.distributed.initialize calls; the store has no public name
    clusters,
    distributed,
)

import gan_jax

PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "grain", "numpy")
# process k's sign of life is SIGNS + str(k): a number that grows, GONE, or why it ended
SIGNS = "gan_jax/signs/"
GONE = "gone"
SAY_EVERY = 30.0  # seconds
GRACE = 60  # seconds by which JAX's own time limits, which abort, are longer than ours
FOREVER = 7 * 24 * 3600 * 1000  # milliseconds, of waits that the signs of life end

_peers: "Peers | None" = None
_places = itertools.count()


@contextlib.contextmanager
def joined(
    coordinator: str | None,
    num_processes: int | None,
    process_id: int | None,
    heartbeat_seconds: int,
    join_seconds: int,
    say_why: Callable[[BaseException], int],
) -> Iterator[None]:
    """Together with the other processes of the run, if there are any. Enter before anything else of
    JAX.

    What is raised in one process of several ends that process here and now, and then the others:
    the end of Python would wait for them.

    Args:
        coordinator, num_processes, process_id: "host:port" of process 0, how many, which one. All
            None: JAX finds them itself under SLURM, Open MPI, Kubernetes (indexed jobs) and on TPU
            pods.
        heartbeat_seconds: a process silent for so long is gone, which ends the others.
        join_seconds: how long to wait for the others at the start.
        say_why: says on the console what was raised; returns the exit status.
    Raises:
        ValueError: only some of the three are given, or wrong ones.
    """
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
    if not any(given) and not _in_cluster(os.environ):
        yield
        return
    global _peers
    address, count, index, devices = _detected(coordinator, num_processes, process_id, join_seconds)
    host, port = _parsed(address)
    _peers = Peers(index, count, heartbeat_seconds)
    try:
        _join(_peers, host, port, devices, join_seconds)
        yield
        distributed.global_state.client.wait_at_barrier("gan_jax/end", FOREVER)
    except BaseException as error:
        if isinstance(error, jax.errors.JaxRuntimeError) and "RESOURCE_EXHAUSTED" not in str(error):
            # that another is gone shows in JAX's errors before its silence is long enough
            _peers.outwait()
        _peers.depart(error)
        _peers.exit(say_why(error))
        raise  # where a test's `exit` comes back
    _peers.close()
    _peers = None


def _join(peers: "Peers", host: str, port: int, devices: list[int] | None, seconds: float) -> None:
    """Returns when all processes are there."""
    # it swallows SIGTERM, which is the loop's to handle
    jax.config.update("jax_enable_preemption_service", False)
    me, place, began = f"process {peers.index} of {peers.count}", f"{host}:{port}", time.monotonic()
    if peers.index == 0:
        _check_free(port)
        what = f"{me} waits at {place} for the others"
    else:
        wait_for(
            functools.partial(_reach, host, port), seconds, f"{me} waits for process 0 at {place}"
        )
        port = relay(
            host, port, peers.heartbeat_seconds, functools.partial(peers.end, gone(0, peers.count))
        )
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
    wait_for(join, began + seconds - time.monotonic(), what)
    peers.watch(distributed.global_state.client)


def agree(facts: Mapping[str, object]) -> None:
    """Compares facts, plain values or dicts of them, with those of the other processes; all must
    ask at the same place.

    Raises:
        ValueError: in every process, the first difference, in the order of process 0's facts.
    """
    if _peers is not None:
        place = f"gan_jax/facts/{next(_places)}"
        compare(distributed.global_state.client, place, _peers.index, _peers.count, facts)


def compare(store, place: str, index: int, count: int, facts: Mapping[str, object]) -> None:
    """`agree`, with a key-value store as jax's distributed client is; place: a key of this
    comparison's own."""
    store.key_value_set(f"{place}/{index}", json.dumps(facts))
    read = lambda name: store.blocking_key_value_get(f"{place}/{name}", FOREVER)
    if index == 0:
        others = ((k, json.loads(read(k))) for k in range(1, count))
        found = (difference(json.loads(json.dumps(facts)), theirs, k) for k, theirs in others)
        store.key_value_set(f"{place}/verdict", next(filter(None, found), "none"))
    if (verdict := read("verdict")) != "none":
        raise ValueError(verdict)


def difference(ours: Mapping, theirs: Mapping, k: int) -> str | None:
    """The first fact of process 0 and process k that is not the same, in one line; None where all
    are."""
    ours, theirs = (traverse_util.flatten_dict(facts, sep=".") for facts in (ours, theirs))
    shown = lambda facts, name: repr(facts[name]) if name in facts else "not given"
    for name in dict.fromkeys([*ours, *theirs]):
        if shown(ours, name) != shown(theirs, name):
            return (
                f"the processes don't run the same: {name} is {shown(ours, name)} on process 0,"
                f" {shown(theirs, name)} on process {k}. Start all of them with one command, one"
                " config, the same data and packages."
            )
    return None


def software() -> dict[str, str]:
    """{package: version}, and a digest of gan_jax's own files: what must be the same in every
    process."""
    digest = hashlib.sha256()
    for path in sorted(pathlib.Path(gan_jax.__file__).parent.rglob("*.py")):
        digest.update(path.read_bytes())
    versions = {name: importlib.metadata.version(name) for name in PACKAGES}
    return {
        "python": platform.python_version(),
        **versions,
        "gan_jax (digest of its code)": digest.hexdigest()[:12],
    }


class Signs:
    """The signs of life of all processes, in a key-value store as jax's distributed client is."""

    def __init__(self, store, index: int, count: int, patience: int):
        """patience: how many looks without a new sign a process may be silent."""
        self.store, self.index, self.count, self.patience = store, index, count, patience
        self.looks, self.last, self.silent = 0, {}, collections.Counter()

    def look(self) -> str | None:
        """Leaves a sign, reads those of the others: the line to end with where one of them is gone.

        Who sees it first says so to the others, that all end with the same line.
        """
        self.looks += 1
        self.put(self.index, str(self.looks))
        found = {key.rpartition("/")[2]: sign for key, sign in self.store.key_value_dir_get(SIGNS)}
        for k in range(self.count):
            sign = found.get(str(k))
            self.silent[k] = 0 if sign != self.last.get(k) else self.silent[k] + 1
            self.last[k] = sign
            if k == self.index:
                continue
            if self.silent[k] > self.patience:
                self.put(k, sign := GONE)
            if sign == GONE:
                return gone(k, self.count)
            if sign is not None and not sign.isdecimal():
                return f"process {k} of {self.count} ended: {sign}"
        return None

    def put(self, k: int, sign: str) -> None:
        self.store.key_value_set(f"{SIGNS}{k}", sign, allow_overwrite=True)


def gone(k: int, count: int) -> str:
    return f"process {k} of {count} is gone; the same command resumes."


class Peers:
    """What one process knows of the others, and how it ends with them."""

    def __init__(self, index: int, count: int, heartbeat_seconds: int):
        self.index, self.count, self.heartbeat_seconds = index, count, heartbeat_seconds
        self.every = min(1.0, heartbeat_seconds / 5)  # seconds from one look to the next
        self.patience = math.ceil(heartbeat_seconds / self.every)
        self.signs = None
        self._unanswered = 0  # looks' time since the store last answered
        self._closed, self._ending = threading.Event(), threading.Lock()

    def watch(self, store) -> None:
        """Begins to leave signs of life and to look for the others'."""
        self.signs = Signs(store, self.index, self.count, self.patience)
        for loop in (self._look, self._count):
            threading.Thread(target=loop, daemon=True).start()

    def end(self, line: str) -> None:
        """Ends this process, from any thread, with a line; unless it is leaving by itself."""
        if self._ending.acquire(blocking=False) and not self._closed.is_set():
            os.write(2, f"error: {line}\n".encode("utf-8", "backslashreplace"))
            self.exit(1)

    def outwait(self) -> None:
        """Waits as long as it takes to see that another process is gone, which ends this one."""
        time.sleep((self.patience + 3) * self.every)

    def depart(self, error: BaseException) -> None:
        """Tells the others that this process ends, and why; it will say so itself."""
        self._ending.acquire()  # for ever where `end` has it: then that line is the one
        self._closed.set()
        if self.signs is not None:
            text = str(error).strip().split("\n")[0] or type(error).__name__
            with contextlib.suppress(jax.errors.JaxRuntimeError):  # process 0 is gone too
                self.signs.put(self.index, text if not text.isdecimal() else f"error {text}")

    def close(self) -> None:
        """The run is over in every process."""
        self._closed.set()

    def exit(self, status: int) -> None:
        """Ends this process at once, in the middle of whatever it does."""
        if self.index == 0:
            time.sleep(3 * self.every)  # process 0 keeps the store: the others are to read it
        for child in multiprocessing.active_children():
            child.kill()
        os._exit(status)

    def _look(self):
        while not self._closed.wait(self.every):
            with contextlib.suppress(jax.errors.JaxRuntimeError):  # no answer: _count counts
                line = self.signs.look()
                self._unanswered = 0
                if line and not self._closed.is_set():
                    self.end(line)

    def _count(self):
        while not self._closed.wait(
            self.every
        ):  # counted, not timed: a process that was held up is not alarmed
            self._unanswered += 1
            if self._unanswered > self.patience:
                self.end(gone(0, self.count))


def wait_for(step: Callable[[], None], seconds: float, what: str) -> None:
    """Runs what may block in C++, and says every 30 s what it waits for.

    Raises:
        TimeoutError: it took longer than `seconds`; the step is left behind.
        Whatever the step raises.
    """
    raised, ended, began = [], threading.Event(), time.monotonic()

    def run():
        try:
            step()
        except (OSError, RuntimeError, ValueError) as error:
            raised.append(error)
        ended.set()

    threading.Thread(target=run, daemon=True).start()
    while not ended.wait(min(SAY_EVERY, max(0.0, began + seconds - time.monotonic()))):
        spent = time.monotonic() - began
        if spent >= seconds:
            raise TimeoutError(
                f"{what}: not all have come in {seconds:.0f} s (config.join_seconds). Every process"
                " needs the same --coordinator and --num_processes, a --process_id of its own, and"
                " must reach process 0."
            )
        print(f"{what}: {spent:.0f} s of {seconds:.0f}", file=sys.stderr, flush=True)
    if raised:
        raise raised[0]


def relay(host: str, port: int, silent_seconds: float, lost: Callable[[], None]) -> int:
    """Opens a port of this machine whose connections lead to host:port; calls `lost` where the far
    end is gone.

    The near end stays open then, so that nobody behind it notices before `lost` has done its work.
    """
    listener = socket.create_server(("127.0.0.1", 0))

    def pump(source, sink, at_end):
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                sink.sendall(data)
        at_end()

    def serve():
        while True:
            near, _ = listener.accept()
            try:
                far = socket.create_connection((host, port))
            except OSError:
                lost()
                continue
            if sys.platform == "linux":  # a machine that vanished never closes anything
                far.setsockopt(
                    socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(silent_seconds * 1000)
                )
            for args in ((near, far, far.close), (far, near, lost)):
                threading.Thread(target=pump, args=args, daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    return listener.getsockname()[1]


def _reach(host: str, port: int) -> None:
    """Returns when somebody listens there."""
    while True:
        try:
            socket.create_connection((host, port), timeout=10).close()
        except OSError:
            time.sleep(0.5)
        else:
            return


def _detected(
    coordinator, num_processes, process_id, seconds
) -> tuple[str, int, int, list[int] | None]:
    """(address of process 0, how many, which one, its devices of those of the machine): given, or
    found by JAX."""
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


def _parsed(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 2**16:
        raise ValueError(
            f"--coordinator={address}: write HOST:PORT, as in host0:1234; a port is 1 to"
            f" {2**16 - 1}."
        )
    return host.strip("[]"), int(port)


def _check_free(port: int) -> None:
    """Raises OSError where somebody listens at that port already; JAX would share it."""
    six = socket.has_dualstack_ipv6()
    try:
        socket.create_server(
            ("", port), family=socket.AF_INET6 if six else socket.AF_INET, dualstack_ipv6=six
        ).close()
    except OSError as error:
        raise OSError(
            f"--coordinator: port {port} of this machine can't be used ({error.strerror}). Give"
            " another."
        ) from error


def _in_cluster(env) -> bool:
    """Whether a launcher that JAX understands started several processes (Kubernetes: with the extra
    `k8s`)."""
    counts = [env.get(name, "1") for name in ("SLURM_STEP_NUM_TASKS", "OMPI_COMM_WORLD_SIZE")]
    several = any(count.isdigit() and int(count) > 1 for count in counts)
    kubernetes = (
        "JOB_COMPLETION_INDEX" in env and importlib.util.find_spec("kubernetes") is not None
    )
    return several or kubernetes or "," in env.get("TPU_WORKER_HOSTNAMES", "")
