"""Tables of settings, read from the code when the site is built.

A page asks for them by a line of its own:

    {{ settings("gan_jax.config.Config") }}    the arguments of one class or function
    {{ family("models") }}                     those of everything a config can name of one kind
    {{ configs() }}                            the configs, a sentence each
    {{ commands() }}                           the help of every command
    {{ measures("sets") }}                     the measures, "sets" or "translators"
"""

import contextlib
import html
import importlib
import io
import os
import re
import types
from collections.abc import Callable, Iterator
from unittest import mock

from gan_jax import augment, optim
from gan_jax.commands import COMMANDS, describe
from gan_jax.commands import configs as configs_command
from gan_jax.config import named_configs
from gan_jax.evaluation.measures import known
from gan_jax.evaluation.measures.base import Measure
from gan_jax.models import further_networks
from gan_jax.runtime import registry

LINE = re.compile(r'^\{\{ (\w+)\((?:"([\w.]*)")?\) \}\}$', re.M)


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
    for module in registry.modules("data.sources", "Source"):
        yield f'`source = "{name_of(module)}"`', module.Source, frozenset()


def models() -> Members:
    own = frozenset({"shape", "n_classes", "dtype"})
    generators = registry.modules("models", "Generator")
    critics = registry.modules("models", "Discriminator")
    for module in generators:
        networks = {"g": module.Generator}
        networks |= {"d": module.Discriminator} if module in critics else {}
        networks |= {f"networks.{key}": net for key, net in further_networks(module).items()}
        for key, net in networks.items():
            yield f'`model = "{name_of(module)}"`, `{key}`', net, own
    for module in (m for m in critics if m not in generators):
        yield f'`algorithm = "{name_of(module)}"`, `d`', module.Discriminator, own


def augmentations() -> Members:
    for name, factory in augment.AUGMENTS.items():
        yield f'`name = "{name}"`', factory, frozenset({"batch"})


def name_of(module: types.ModuleType) -> str:
    return module.__name__.rpartition(".")[2]


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
    """The configs that come with the package, with a sentence and the status of each."""
    rows = ["| config | what | status |", "|---|---|---|"]
    for name, file in named_configs().items():
        text = " ".join(file.read_text("utf-8").split())
        status = re.search(
            r"Status: (trained|(?:parity-tested; )?short runs only|not yet run)", text
        )[1]
        rows.append(f"| `{name}` | {cell(configs_command.sentence(file))} | {cell(status)} |")
    return "\n".join(rows) + "\n"


def measures(kind: str) -> str:
    """The measures of "translators", or of any "sets", each with the values that it gives."""
    parts = []
    for measure in known().values():
        if measure.needs.translator == (kind == "translators"):
            parts.append(f"### `{measure.name}`\n\n{cell(measure.about)}.\n\n{values(measure)}")
    return "\n".join(parts)


def values(measure: Measure) -> str:
    """The values and curves of a measure, as a table."""
    rows = ["| value | better | what it says |", "|---|---|---|"]
    for name, value in (measure.values | measure.curves).items():
        text = f"{cell(value.about)}."
        if value.error:
            text += f" Its error: `{shown(value.error)}`."
        if value.control_of:
            text += f" The control of `{shown(value.control_of)}`."
        better = {1: "higher", -1: "lower", 0: ""}[value.better]
        rows.append(f"| `{shown(name)}` | {better} | {text} |")
    return "\n".join(rows) + "\n"


def shown(name: str) -> str:
    """A value's name, with what stands for its varying parts."""
    return name.replace("{net}", "_NET").replace("{each}", "N")


def commands() -> str:
    """The help of every command, as the console shows it."""
    parts = []
    for name in COMMANDS:
        text, module = io.StringIO(), importlib.import_module(f"gan_jax.commands.{name}")
        with (
            contextlib.redirect_stdout(text),
            contextlib.suppress(SystemExit),
            mock.patch.dict(os.environ, COLUMNS="100"),
        ):
            module.main(["--help"])
        parts.append(f"## `gan-jax {name}`\n\n```text\n{text.getvalue().strip()}\n```\n")
    return "\n".join(parts)


MAKERS = {
    "settings": settings,
    "family": family,
    "game": game,
    "optimizer": optimizer,
    "configs": configs,
    "commands": commands,
    "measures": measures,
}
