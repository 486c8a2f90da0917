"""Where the page is served: the address, the password, the folders, and the end."""

import hmac
import ipaddress
import logging
import os
import pathlib
import socket
import tempfile
import time
from collections.abc import Callable

UPLOAD = "200mb"  # a file, at most
PORT = 7860
LEAST_WORD = 8  # characters of a password


def serve(
    run: Callable[[list[str]], int],
    folder: pathlib.Path,
    *,
    host: str = "127.0.0.1",
    port: int = PORT,
    password: str | None = None,
    browser: bool = True,
) -> None:
    """Serves the studio until Ctrl-C.

    Args:
        run: what runs a command, `gan_jax.commands.main`.
        folder: of the user's runs, persons and packs.
        password: that the page asks for; needed where `host` is not of this machine alone.
        browser: whether the page is opened.
    Raises:
        ValueError: an address that others reach, without a password; a port that is taken.
    """
    check_host(host, password)
    check_port(host, port)
    with tempfile.TemporaryDirectory(prefix="gan_jax_studio_") as scratch:
        place = pathlib.Path(scratch)
        # before gradio is imported
        os.environ["GRADIO_TEMP_DIR"] = str(place / "uploads")
        os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
        os.environ["HF_HUB_OFFLINE"] = "1"
        _serve(run, folder, place, host, port, password, browser)


def _serve(run, folder, place, host, port, password, browser) -> None:
    from PIL import Image
    from starlette.middleware import Middleware
    from starlette.middleware.trustedhost import TrustedHostMiddleware

    from gan_jax.checkpoint import shared
    from gan_jax.studio import page, uploads
    from gan_jax.studio.access import OwnPages
    from gan_jax.studio.jobs import Jobs
    from gan_jax.studio.panel import Studio
    from gan_jax.studio.shelf import Shelf

    # what the page's own components open, such as a painted mask; Pillow refuses twice as many
    Image.MAX_IMAGE_PIXELS = uploads.MOST_PIXELS // 2
    for name in ("httpx", "uvicorn.error"):
        logging.getLogger(name).setLevel(logging.WARNING)
    (place / "results").mkdir()
    # all where there is a password, for other machines know this one by many names
    hosts = ["*"] if password is not None else [host, "localhost", "127.0.0.1", "[::1]"]
    line = Jobs(run)
    studio = Studio(line, Shelf(folder.absolute()), place)
    built = page.build(studio).queue(default_concurrency_limit=None)
    try:
        built.launch(
            server_name=host,
            server_port=port,
            share=False,
            inbrowser=browser,
            quiet=True,
            prevent_thread_lock=True,
            auth=None if password is None else entry(password),
            auth_message="Any name; the password is in the file that the studio was started with.",
            max_file_size=UPLOAD,
            allowed_paths=[str(place / "results"), str(shared.ZOO)],
            show_error=False,
            # a page of elsewhere whose name leads here is not served
            app_kwargs={
                "middleware": [
                    Middleware(TrustedHostMiddleware, allowed_hosts=hosts),
                    Middleware(OwnPages),
                ]
            },
            footer_links=[],
            ssr_mode=False,
            pwa=False,
            theme=page.theme(),
            css_paths=page.CSS,
        )
        print(f"the studio is at http://{shown_host(host)}:{port}; Ctrl-C ends it", flush=True)
        while True:
            time.sleep(1)
    finally:
        built.close(verbose=False)
        line.close()


def entry(password: str) -> Callable[[str, str], bool]:
    """Whether someone may enter: any name, and the password."""

    def allowed(name: str, word: str) -> bool:
        fits = hmac.compare_digest(word.encode(), password.encode())
        if not fits:
            time.sleep(1)  # guesses are slow
        return fits

    return allowed


def check_host(host: str, password: str | None) -> None:
    """Raises ValueError where others reach the address, and there is no password."""
    if password is None and not is_loopback(host):
        raise ValueError(
            f"--host={host}: others reach this address, so a password is needed: write one into a"
            " file and give it by --password-file."
        )


def is_loopback(host: str) -> bool:
    """Whether an address is of this machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def check_port(host: str, port: int) -> None:
    """Raises ValueError where nothing can listen there."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((host, port))
        except OSError as error:
            raise ValueError(
                f"--host={host} --port={port}: {error.strerror}. Is another studio running there?"
                " Give another --port."
            ) from error


def shown_host(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def read_password(file: pathlib.Path) -> str:
    """The first line of a file. Raises ValueError where it is short, or others can read it."""
    lines = file.read_text("utf-8").splitlines()
    word = lines[0].strip() if lines else ""
    if len(word) < LEAST_WORD:
        raise ValueError(f"{file}: its first line must be a password of {LEAST_WORD} or more.")
    if os.name == "posix" and file.stat().st_mode & 0o077:
        raise ValueError(f"{file}: others can read it: chmod 600 {file}")
    return word
