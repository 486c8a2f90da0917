"""The process: its socket, its start, and how it ends."""

import asyncio
import errno
import logging
import os
import socket
import threading

import uvicorn

from gan_jax.serving.app import create_app
from gan_jax.serving.service import Service

DRAIN = 0.5  # seconds in which connections that are being made are still answered, by 503
BACKLOG = 2048  # connections that wait to be taken
AFTER = 5  # seconds for the last answers to reach their clients


def listen(host: str, port: int) -> socket.socket:
    """The socket. Raises ValueError where there is no such address, or others use it."""
    try:
        kinds = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, *_, address = kinds[0]
        # not socket.create_server: it names no protocol, and asyncio then leaves out TCP_NODELAY,
        # without which each answer waits 40 ms for its client's delayed acknowledgment
        listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    except socket.gaierror as error:
        raise ValueError(f"--host={host}: no address of this machine.") from error
    try:
        if os.name == "posix":  # elsewhere it would share the port of another program
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise ValueError(f"--port={port}: another program uses it: give another.") from error
        raise ValueError(
            f"--host={host}, --port={port}: {os.strerror(error.errno).lower()}."
        ) from error
    return listener


class Server(uvicorn.Server):
    """Uvicorn's, which at a signal first lets the service answer what has just been sent."""

    service: Service

    def handle_exit(self, sig, frame):
        if self.service.draining:  # the second signal
            return super().handle_exit(sig, frame)
        self._captured_signals.append(sig)  # raised again at the end, for the exit status
        self.service.draining = True
        threading.Timer(DRAIN, self._stop).start()

    def _stop(self):
        self.should_exit = True


def run(service: Service, listener: socket.socket, token: str | None, origins: list[str]) -> None:
    """Serves until a signal, which is raised again at the end. Requests that are here then are
    answered.

    Raises:
        RuntimeError: the network failed before the first request.
    """
    # what a client sends wrong is the client's to know
    logging.getLogger("python_multipart").setLevel(logging.ERROR)
    config = uvicorn.Config(
        create_app(service, token, origins),
        log_level="error",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        lifespan="off",
        timeout_graceful_shutdown=int(service.limits.timeout) + AFTER,
    )
    server = Server(config)
    server.service = service
    warm = service.in_background(service.warm_up)

    def warmed(done):
        if done.exception() is None:
            print("ready", flush=True)
        else:
            server.should_exit = True

    warm.add_done_callback(warmed)
    try:
        asyncio.run(server.serve(sockets=[listener]))
    finally:
        service.close()
    warm.result()
