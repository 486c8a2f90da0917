"""Tables of settings, read from the code when the site is built.

A page asks for them by a line of its own:

    {{ settings("gan_jax.config.Config") }}    the arguments of one class or function
    {{ family("models") }}                     those of everything a config can name of one kind
    {{ configs() }}                            the configs, a sentence each
"""

import ast
import html
import importlib
import pathlib
import pkgutil
import re
from collections.abc import Callable, Iterator

from gan_jax import augment, optim
from gan_jax.commands import describe
from gan_jax.runtime import registry

LINE = re.compile(r'^\{\{ (\w+)\((?:"([\w.]*)")?\) \}\}$', re.M)
CONFIGS = pathlib.Path(__file__).parents[2] / "configs"
MEASURED = {  # their figures stand in benchmarks/quality.md
    "avatars", "avatars_biggan", "avatars_stylegan2", "avatars_r3gan", "avatars_starganv2",
    "emoji_pix2pix", "emoji_cyclegan", "emoji_cut",
}  # fmt: skip


def on_page_markdown(markdown: str, **_) -> str:
    return LINE.sub(lambda line: MAKERS[line[1]](*filter(None, [line[2]])), markdown)


def settings(path: str) -> str:
    """The arguments of a class or function, as a table."""
    module, _, name = path.rpartition(".")
    return table(getattr(importlib.import_module(module), name))


def table(factory: Callable, given: frozenset[str] = frozenset()) -> str:
    """`given`: arguments that the program fills in, so that no config has them."""
    sentences, defaults = describe.sentences(factory), registry.defaults(factory)
    names = [name for name in registry.settings_of(factory) if name not in given]
    if not names:
        return "No settings.\n"
    rows = ["| setting | default | meaning |", "|---|---|---|"]
    for name in names:
        default = f"`{defaults[name]!r}`" if name in defaults else "required"
        rows.append(f"| `{name}` | {default} | {cell(sentences[name])} |")
    return "\n".join(rows) + "\n"


def cell(text: str) -> str:
    """Text that is safe in a table's cell."""
    text = " ".join(text.split())
    if re.match(r"[a-z]+[ ,;:]", text):
        text = text[0].upper() + text[1:]
    return html.escape(text, quote=False).replace("|", "&#124;").replace("*", "&#42;")


def family(kind: str) -> str:
    """Everything of one kind that a config can name, each with its table."""
    parts = []
    for title, factory, given in FAMILIES[kind]():
        summary = describe.first_line(factory).partition(". ")[2]
        parts.append(f"### {title}\n\n{cell(summary)}\n\n{table(factory, given)}")
    return "\n".join(parts)


Members = Iterator[tuple[str, Callable, frozenset[str]]]


def sources() -> Members:
    for name, module in modules("data.sources"):
        yield f"`source = {name!r}`".replace("'", '"'), module.Source, frozenset()


def models() -> Members:
    own = frozenset({"shape", "n_classes", "dtype"})
    for name, module in modules("models"):
        if not hasattr(module, "Generator"):
            continue
        for key, network in {
            "g": module.Generator,
            "d": module.Discriminator,
            **{f"networks.{k}": net for k, net in getattr(module, "NETWORKS", {}).items()},
        }.items():
            yield f'`model = "{name}"`, `{key}`', network, own


def augmentations() -> Members:
    for name, factory in augment.AUGMENTS.items():
        yield f'`name = "{name}"`', factory, frozenset({"batch"})


def modules(package: str):
    """(name, module) of every file in a package of gan_jax."""
    path = importlib.import_module(f"gan_jax.{package}").__path__
    for found in pkgutil.iter_modules(path):
        yield found.name, importlib.import_module(f"gan_jax.{package}.{found.name}")


FAMILIES = {"sources": sources, "models": models, "augmentations": augmentations}


def game(name: str) -> str:
    """The settings of one algorithm: `config.game`."""
    algorithm = importlib.import_module(f"gan_jax.algorithms.{name}").Algorithm
    parts = dict(algorithm.parts)
    given = {"g", "d", "mapping", "encoder", "heads", "augment", "batch", *parts}
    return "\n".join(table(factory, frozenset(given)) for factory in (algorithm, *parts.values()))


def optimizer() -> str:
    """The settings of one network's optimizer."""
    return table(optim.make, frozenset({"place", "phases", "batch", "total_kimg"}))


def configs() -> str:
    """The files of configs/, with the first sentence of each."""
    rows = ["| config | what | status |", "|---|---|---|"]
    for file in sorted(CONFIGS.glob("*.py")):
        (function,) = (
            node
            for node in ast.parse(file.read_text("utf-8")).body
            if isinstance(node, ast.FunctionDef) and node.name == "get_config"
        )
        text = " ".join(ast.get_docstring(function).split())
        status = "reproduced" if file.stem in MEASURED else "trains"
        rows.append(f"| `{file.stem}` | {cell(first_sentence(text))} | {status} |")
    return "\n".join(rows) + "\n"


def first_sentence(text: str) -> str:
    """Up to the first full stop that ends a sentence: not that of "et al. 2017"."""
    return re.split(r"(?<=[a-z0-9)])\. (?=[A-Z:])", text)[0].rstrip(".") + "."


MAKERS = {
    "settings": settings,
    "family": family,
    "game": game,
    "optimizer": optimizer,
    "configs": configs,
}
