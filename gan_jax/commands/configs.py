"""The configs that come with gan_jax, with a sentence each. `--config NAME` takes any of them."""

import ast
import pathlib
import re
import textwrap

from gan_jax.runtime import cli

WIDTH = 100  # columns


def main(argv: list[str] | None = None) -> None:
    cli.Parser(__doc__, "configs").parse_args(argv)

    from gan_jax.config import named_configs

    files = named_configs()
    width = max(map(len, files), default=0) + 2
    for name, file in files.items():
        lines = textwrap.wrap(sentence(file), WIDTH - width)
        print(name.ljust(width) + ("\n" + " " * width).join(lines))


def sentence(file: pathlib.Path) -> str:
    """The first sentence of what a config file says of its get_config; "" where it says nothing."""
    for node in ast.parse(file.read_text("utf-8")).body:
        if isinstance(node, ast.FunctionDef) and node.name == "get_config":
            text = " ".join((ast.get_docstring(node) or "").split())
            return re.split(r"(?<=[^.]{3}\.)\s+(?=[A-Z])", text)[0]
    return ""
