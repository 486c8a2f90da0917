"""A trained model as a small HTTP service: gan-jax serve ten-styles.

POST /v1/sample, /v1/stylize, /v1/restore or /v1/inpaint, whichever the model does; GET /v1/model
says what it is, /healthz whether it is ready, /metrics what Prometheus reads, /openapi.json all of
this. Requests that wait together go through the network at once. SIGTERM or Ctrl-C: those that are
here are answered first.
"""

import argparse
import pathlib
import re

from gan_jax.runtime import cli


def main(argv: list[str] | None = None) -> None:
    flags = parse(argv)
    try:
        import fastapi  # noqa: F401
        import prometheus_client  # noqa: F401
        import python_multipart  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise ValueError(
            f"serving needs {error.name}, which is not installed: pip install 'gan_jax[serve]'."
        ) from error

    from gan_jax.serving import access, models, server
    from gan_jax.serving.reading import Limits
    from gan_jax.serving.service import Service

    token = access.read_token(flags.token_file, flags.host)
    listener = server.listen(flags.host, flags.port)
    with listener:
        kind = models.load(flags.model, flags.trust_code)
        limits = Limits(
            max_bytes=flags.max_bytes,
            max_pixels=flags.max_pixels,
            queue=flags.queue,
            timeout=flags.timeout,
            max_batch=flags.max_batch,
            wait=flags.wait_ms / 1000,
            programs=flags.programs,
        )
        host, port = listener.getsockname()[:2]
        place = f"[{host}]" if ":" in host else host
        print(f"http://{place}:{port}/v1/{kind.command}: {flags.model}", flush=True)
        server.run(Service(kind, limits), listener, token, flags.allow_origin)


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = cli.Parser(__doc__, "serve")
    add = parser.add_argument
    add(
        "model",
        help="a run's workdir (its newest valid checkpoint), one step's folder, what gan-jax share"
        " wrote, a name of gan-jax models, or photo, drawing or fast, of gan-jax restore",
    )
    add(
        "--host",
        default="127.0.0.1",
        help="address to listen at; another than this machine's own needs --token-file (default"
        " %(default)s)",
    )
    add("--port", type=int, default=8000, help="0: any that is free (default %(default)s)")
    add(
        "--token-file",
        type=pathlib.Path,
        help="file with the token that requests must send, Authorization: Bearer TOKEN",
    )
    add(
        "--allow-origin",
        action="append",
        default=[],
        metavar="ORIGIN",
        help="let web pages of this origin use it, as https://example.org; may be repeated"
        " (default: none)",
    )
    add(
        "--max-batch",
        type=int,
        default=8,
        help="pictures that go through the network at once (default %(default)s)",
    )
    add(
        "--wait-ms",
        type=float,
        default=2.0,
        help="how long a picture waits for others (default %(default)g)",
    )
    add(
        "--queue",
        type=int,
        default=64,
        help="requests at a time; more are refused by 503 (default %(default)s)",
    )
    add(
        "--timeout",
        type=float,
        default=60.0,
        help="seconds in which a request must be read and answered (default %(default)g)",
    )
    add(
        "--max-bytes",
        type=int,
        default=20_000_000,
        help="of a request's body (default %(default)s)",
    )
    add(
        "--max-pixels",
        type=int,
        default=16_000_000,
        help="of a picture that comes in or goes out (default %(default)s)",
    )
    add(
        "--programs",
        type=int,
        default=32,
        help="compiled programs that are kept in memory, one a size of picture and batch (default"
        " %(default)s)",
    )
    cli.trusts_code(parser)
    flags = parser.parse_args(argv)
    least = {"max_batch": 1, "queue": 1, "programs": 1, "max_bytes": 1024, "max_pixels": 1}
    for name, number in least.items():
        if vars(flags)[name] < number:
            flag = name.replace("_", "-")
            raise ValueError(f"--{flag}={vars(flags)[name]}: it must be at least {number}.")
    for name, most in {"max_batch": 1024, "queue": 1024}.items():
        if vars(flags)[name] > most:
            flag = name.replace("_", "-")
            raise ValueError(f"--{flag}={vars(flags)[name]}: it must be at most {most}.")
    if not 0 < flags.timeout <= 3600:
        raise ValueError(f"--timeout={flags.timeout:g}: it must be above 0, at most 3600 seconds.")
    if not 0 <= flags.wait_ms <= 1000:
        raise ValueError(f"--wait-ms={flags.wait_ms:g}: it must be 0 to 1000 milliseconds.")
    if flags.port > 65535:
        raise ValueError(f"--port={flags.port}: it must be 0 to 65535.")
    for origin in flags.allow_origin:
        if origin != "*" and not re.fullmatch(r"https?://[^/\s]+", origin):
            raise ValueError(f"--allow-origin={origin}: give it as https://example.org, or *.")
    return flags
