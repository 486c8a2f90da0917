"""The connection of a run's processes to process 0: waiting for it, and seeing its end first."""

import contextlib
import socket
import sys
import threading
import time
from collections.abc import Callable

LOG_SECONDS = 30.0  # from one line on what is waited for to the next


def wait_for(action: Callable[[], None], seconds: float, what: str) -> None:
    """Runs an action that may block in C++, and prints every 30 s what it waits for.

    Raises:
        TimeoutError: it took longer than `seconds`; the action is left behind.
        Whatever the action raises.
    """
    raised, ended, began = [], threading.Event(), time.monotonic()

    def run():
        try:
            action()
        except (OSError, RuntimeError, ValueError) as error:
            raised.append(error)
        ended.set()

    threading.Thread(target=run, daemon=True).start()
    while not ended.wait(min(LOG_SECONDS, max(0.0, began + seconds - time.monotonic()))):
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
                timeout = int(silent_seconds * 1000)
                far.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, timeout)
            for args in ((near, far, far.close), (far, near, lost)):
                threading.Thread(target=pump, args=args, daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    return listener.getsockname()[1]


def reach(host: str, port: int) -> None:
    """Returns when something listens there."""
    while True:
        try:
            socket.create_connection((host, port), timeout=10).close()
        except OSError:
            time.sleep(0.5)
        else:
            return


def parse_address(address: str) -> tuple[str, int]:
    """ "host:port" of --coordinator. Raises ValueError where it is none."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 2**16:
        raise ValueError(
            f"--coordinator={address}: write HOST:PORT, as in host0:1234; a port is 1 to"
            f" {2**16 - 1}."
        )
    return host.strip("[]"), int(port)


def check_free(port: int) -> None:
    """Raises OSError where something listens at that port already; JAX would share it."""
    six = socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if six else socket.AF_INET
    try:
        socket.create_server(("", port), family=family, dualstack_ipv6=six).close()
    except OSError as error:
        raise OSError(
            f"--coordinator: port {port} of this machine can't be used ({error.strerror}). Give"
            " another."
        ) from error
