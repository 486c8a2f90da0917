"""A page on this machine for what is done most, without typing commands: gan-jax studio.

Styles, avatars and stickers, restoration, drawing, training and comparing. It opens in the browser,
is reached from this machine alone, and sends nothing anywhere. Needs: pip install 'gan_jax[studio]'
"""

import argparse
import importlib.util
import pathlib

from gan_jax.runtime import cli


def main(argv: list[str] | None = None) -> None:
    flags = parse(argv)
    if importlib.util.find_spec("gradio") is None:
        raise ValueError("the studio needs Gradio: pip install 'gan_jax[studio]'")

    from gan_jax import commands
    from gan_jax.studio import server

    password = None
    if flags.password_file is not None:
        password = server.read_password(flags.password_file)
    server.serve(
        commands.main,
        flags.folder,
        host=flags.host,
        port=flags.port,
        password=password,
        browser=flags.browser,
    )


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = cli.Parser(__doc__, "studio")
    add, path = parser.add_argument, pathlib.Path
    add(
        "--folder",
        type=path,
        default=path(),
        help="where your runs/, persons/ and made/ are, and new ones go (default: this folder)",
    )
    add("--host", default="127.0.0.1", help="address (default %(default)s, this machine alone)")
    add("--port", type=int, default=7860, help="(default %(default)s)")
    add(
        "--password-file",
        type=path,
        metavar="FILE",
        help="the page asks for the password on its first line; needed for other addresses",
    )
    add("--no-browser", dest="browser", action="store_false", help="don't open the page")
    flags = parser.parse_args(argv)
    if not 1 <= flags.port <= 65535:
        raise ValueError(f"--port={flags.port}: it must be 1 to 65535.")
    return flags
