"""How many requests `gan-jax serve` answers: python tools/load_test.py ten-styles --clients 1,8,64.

For each number of clients a server is started, asked by so many at once over loopback, each as soon
as it has its answer, and ended by SIGTERM while they go on. Printed are requests/s, the median and
99th percentile of their times, the server's memory over time, and what the signal lost: requests
that were sent before it and never answered. Before that the pictures of 64 requests are compared:
asked for one by one, and all at once.
"""

import argparse
import collections
import concurrent.futures
import http.client
import itertools
import json
import pathlib
import re
import signal
import subprocess
import sys
import threading
import time

import numpy as np

from gan_jax.data import decode, geometry
from gan_jax.data.images import png_bytes
from gan_jax.runtime import cli
from gan_jax.runtime.files import replace_text

MOMENTS = 10  # at which memory is looked at
PICTURES = 16  # different ones that are sent
TOGETHER = 64  # requests whose pictures are compared


def main(argv: list[str] | None = None) -> None:
    flags = parse(argv)
    rows = [measured(flags, clients) for clients in cli.parse_numbers(flags.clients, "--clients")]
    if flags.out is not None:
        replace_text(flags.out, json.dumps(rows, indent=1) + "\n")


def measured(flags: argparse.Namespace, clients: int) -> dict:
    """What one server did for so many clients."""
    with Server(flags) as server:
        same = compared(server)
        batches = server.batches()
        run = Run(server, clients)
        memory = [server.metric("process_resident_memory_bytes")]
        for _ in range(MOMENTS):
            time.sleep(flags.seconds / MOMENTS)
            memory.append(server.metric("process_resident_memory_bytes"))
        batches = [after - before for after, before in zip(server.batches(), batches, strict=True)]
        run.stop(server)
    took = np.array(run.seconds)
    row = {
        "clients": clients,
        "requests_per_s": round(len(took) / (run.signaled - run.began), 1),
        "p50_ms": round(1000 * float(np.quantile(took, 0.5)), 1),
        "p99_ms": round(1000 * float(np.quantile(took, 0.99)), 1),
        "rows_per_batch": round(batches[1] / batches[0], 2),
        "alone_or_together": same,
        "memory_mib": [round(x / 2**20) for x in memory],
        "statuses": dict(run.statuses),
        "in_flight_at_signal": run.in_flight,
        "lost": run.lost,
        "refused_after_signal": run.refused,
        "exit_status": server.status,
    }
    print(json.dumps(row), flush=True)
    return row


class Server:
    """A `gan-jax serve` of its own, on a free port, ready in a `with`."""

    def __init__(self, flags: argparse.Namespace):
        code = "import sys; from gan_jax import commands; sys.exit(commands.main(sys.argv[1:]))"
        command = [sys.executable, "-c", code, "serve", flags.model, "--port", "0"]
        command += ["--max-batch", str(flags.max_batch), "--wait-ms", str(flags.wait_ms)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, encoding="utf-8")
        first = self.process.stdout.readline()
        if not first or self.process.stdout.readline() != "ready\n":
            raise ValueError(f"{flags.model}: the server has not started; it says why above.")
        self.port = int(re.search(r":(\d+)/", first)[1])
        self.about = json.loads(self.get("/v1/model"))
        self.status = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def get(self, path: str) -> str:
        to = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        to.request("GET", path)
        return to.getresponse().read().decode()

    def metric(self, name: str) -> float:
        """The sum over its labels."""
        found = re.findall(rf"^{name}(?:\{{.*\}})? (\S+)$", self.get("/metrics"), re.M)
        return sum(map(float, found))

    def batches(self) -> tuple[float, float]:
        """How many there were, and rows in them."""
        return self.metric("gan_jax_batch_size_count"), self.metric("gan_jax_batch_size_sum")

    def end(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.status = self.process.wait(120)


class Run:
    """So many clients, each a thread with a connection of its own.

    Attributes:
        seconds: of each request that was answered by 200 before the signal.
        in_flight: requests that were sent before the signal and not answered then; lost: those of
            them that never were; refused: what was sent after it and not answered by 200.
    """

    def __init__(self, server: Server, clients: int):
        self.requests = requests_of(server.about)
        self.port, self.numbers = server.port, itertools.count()
        self.seconds, self.statuses = [], collections.Counter()
        self.in_flight = self.lost = self.refused = 0
        self.signaled, self.lock = None, threading.Lock()
        self.began = time.monotonic()
        self.threads = [threading.Thread(target=self.ask, daemon=True) for _ in range(clients)]
        for thread in self.threads:
            thread.start()

    def stop(self, server: Server) -> None:
        """Sends the signal while the clients go on."""
        self.signaled = time.monotonic()
        server.end()
        for thread in self.threads:
            thread.join()

    def ask(self) -> None:
        to = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        going = True
        while going:
            path, body, headers = self.requests(next(self.numbers))
            sent = time.monotonic()
            try:
                to.request("POST", path, body, headers)
                answer = to.getresponse()
                answer.read()
                status = answer.status
            except (OSError, http.client.HTTPException):
                status = None
            going = self.note(status, sent, time.monotonic())

    def note(self, status: int | None, sent: float, ended: float) -> bool:
        """Counts a request; whether to go on."""
        with self.lock:
            before = self.signaled is None or sent < self.signaled
            if self.signaled is None or ended < self.signaled:
                self.statuses[str(status)] += 1
                if status == 200:
                    self.seconds.append(ended - sent)
                return status is not None  # without a server there is nobody to ask
            self.in_flight += before
            self.lost += before and status is None
            self.refused += not before and status != 200
            return status == 200


def compared(server: Server) -> dict:
    """How pictures asked for one by one differ from those asked for at once."""
    request = requests_of(server.about)
    asked = [request(number) for number in range(TOGETHER)]
    alone = [pixels(server, *each) for each in asked]
    with concurrent.futures.ThreadPoolExecutor(TOGETHER) as threads:
        together = threads.map(lambda each: pixels(server, *each), asked)
        away = [np.abs(a - b) for a, b in zip(alone, together, strict=True)]
    return {
        "most_of_255": int(max(x.max() for x in away)),
        "share_of_values": float(np.mean([(x > 0).mean() for x in away])),
    }


def pixels(server: Server, path: str, body: bytes | str, headers: dict) -> np.ndarray:
    to = http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)
    to.request("POST", path, body, headers)
    return decode.decode(to.getresponse().read(), channels=None).astype(int)


def requests_of(about: dict):
    """(number) -> (path, body, headers) of a request that the model takes."""
    draw = np.random.default_rng(0)
    height, width = about.get("size", (64, 64))[:2]
    small = draw.integers(0, 256, (PICTURES, 6, 6, 3), np.uint8)
    pictures = [geometry.fit(x, (height, width), "stretch") for x in small]
    if about["route"] == "/v1/inpaint":
        alpha = np.full((height, width, 1), 255, np.uint8)
        alpha[height // 4 : height // 2, width // 4 : width // 2] = 0
        pictures = [np.concatenate([x, alpha], -1) for x in pictures]
    files = [png_bytes(x) for x in pictures]

    def request(number):
        path = about["route"]
        if path == "/v1/sample":
            said = json.dumps({"seed": number % 2**32})
            return path, said, {"Content-Type": "application/json"}
        if path == "/v1/stylize":
            classes = about["classes"]
            style = f"style={classes[number % len(classes)]}&" if classes else ""
            path += f"?{style}seed={number % 2**32}"
        return path, files[number % PICTURES], {"Content-Type": "image/png"}

    return request


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = cli.Parser(__doc__)
    add = parser.add_argument
    add("model", help="as gan-jax serve takes it")
    add("--clients", default="1,8,64", help="numbers of clients, in turn (default %(default)s)")
    add("--seconds", type=float, default=120.0, help="for each (default %(default)g)")
    add("--max-batch", type=int, default=8, help="of the server (default %(default)s)")
    add("--wait-ms", type=float, default=2.0, help="of the server (default %(default)g)")
    add("--out", type=pathlib.Path, help="JSON file for what is printed")
    flags = parser.parse_args(argv)
    if flags.seconds <= 0:
        raise ValueError(f"--seconds={flags.seconds:g}: it must be above 0.")
    return flags


if __name__ == "__main__":
    cli.tool(main)
