"""What Prometheus reads of a service at /metrics."""

import time

import prometheus_client as prometheus
from starlette.types import ASGIApp, Receive, Scope, Send

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
OTHER = "other"  # of all paths that there are not
GONE = 499  # the status counted where the client had gone


class Metrics:
    """Attributes:
    registry: of all these, and of the process's memory and time.
    """

    def __init__(self):
        self.registry = registry = prometheus.CollectorRegistry()
        prometheus.ProcessCollector(registry=registry)
        self.requests = prometheus.Counter(
            "gan_jax_requests", "Requests answered.", ["route", "status"], registry=registry
        )
        self.seconds = prometheus.Histogram(
            "gan_jax_request_seconds",
            "From a request's head to the end of its answer.",
            ["route"],
            buckets=SECONDS,
            registry=registry,
        )
        self.pictures = prometheus.Counter("gan_jax_pictures", "Pictures made.", registry=registry)
        self.batch_size = prometheus.Histogram(
            "gan_jax_batch_size",
            "Rows that went through a function of the network at once.",
            ["function"],
            buckets=(1, 2, 4, 8, 16, 32, 64),
            registry=registry,
        )
        self.queue = prometheus.Gauge(
            "gan_jax_queue_length", "Rows that wait for the network.", registry=registry
        )
        self.inside = prometheus.Gauge(
            "gan_jax_requests_inside", "Requests that are read, wait or work.", registry=registry
        )
        self.programs = prometheus.Gauge(
            "gan_jax_programs", "Compiled programs that are kept.", registry=registry
        )
        self.compiled = prometheus.Gauge(
            "gan_jax_programs_compiled", "Programs compiled so far.", registry=registry
        )

    def page(self) -> bytes:
        """In the text format."""
        return prometheus.generate_latest(self.registry)


class Measured:
    """An ASGI application whose requests are counted and timed.

    routes: the paths that are counted by their name.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, routes: set[str]):
        self.app, self.metrics, self.routes = app, metrics, routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        route = scope["path"] if scope["path"] in self.routes else OTHER
        began, status = time.monotonic(), 500

        async def noted(message):
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, noted)
        finally:
            self.metrics.requests.labels(route, str(status)).inc()
            self.metrics.seconds.labels(route).observe(time.monotonic() - began)
