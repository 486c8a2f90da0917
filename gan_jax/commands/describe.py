"""A config's settings and networks: gan-jax describe configs/avatars.py.

Each setting with its value, its default and a sentence; each network's parameters. No data is
opened.
"""

import dataclasses
import functools
import inspect
import re
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping

import jax
from clu import parameter_overview

from gan_jax import augment, optim
from gan_jax import config as configs
from gan_jax.algorithms import critic_class, further_networks, make_game, modules
from gan_jax.config import Config
from gan_jax.data import pairs
from gan_jax.data.source import MANY, outline, source_class
from gan_jax.evaluation import probes
from gan_jax.evaluation.protocol import Protocol
from gan_jax.runtime import cli, registry

NAME_WIDTH, LINE_WIDTH = 28, 120
NAMES_IN = {"a name or names": "one or more of", "a name": "one of", "names": "some of"}
# where a docstring's words on a setting end
ENDS = r"\n\s*(?:Raises|Returns|Yields|Differs|Reference|The rest|Attributes|Args)\b|\n\s*\n"


def main(argv: list[str] | None = None) -> None:
    parser = cli.Parser(__doc__, "describe")
    parser.add_argument("config", metavar="NAME[:ARG]", help="as gan-jax train")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="a setting, as in batch=32"
    )
    flags = parser.parse_args(sys.argv[1:] if argv is None else argv)
    cli.find_modules_here()
    print(describe(configs.load(flags.config, flags.set)))


def describe(config: Config) -> str:
    """All settings of a run and the parameters of its networks. Raises ValueError where a part is
    named that is not there."""
    return f"{settings(config)}\n\n{networks(config)}"


def settings(config: Config) -> str:
    """All settings of a run, part by part."""
    blocks = []
    for place, factory, values, given in parts(config):
        meanings, default = sentences(factory), registry.defaults(factory)
        lines = [f"{place}: {first_line(factory)}"]
        for name in registry.settings_of(factory):
            if name not in given:
                lines += _entry(name, values, default, meanings.get(name, ""))
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)


def networks(config: Config) -> str:
    """A table of each player's parameters, on images of the shape that the settings tell; or why it
    can't be told before the data is open."""
    try:
        about = outline(config.data, "config.data")
    except ValueError as error:
        return f"networks: not shown, for their sizes depend on the data. {error}"
    if about.shape is None:
        return "networks: not shown, for only opening the data shows the images' shape."
    game = make_game(config, about.shape, about.classes)
    batch = game.example_shapes(about.shape, about.classes)
    g, d, _ = jax.eval_shape(game.init, jax.random.key(0), batch)
    images = f"images {list(about.shape)} in {about.classes} classes"
    if about.classes == MANY:
        images += " (as an example: only opening the data shows how many there are)"
    tables = {f"{name}, for {images}": x["params"] for name, x in (("generator", g), ("critic", d))}
    for name, net in game.frozen.items():
        tables[f"{name}, {net.name}, frozen and not saved in checkpoints"] = net.params
    return "\n\n".join(
        f"{head}:\n{parameter_overview.get_parameter_overview(params, include_stats=False)}"
        for head, params in tables.items()
    )


@functools.cache
def sentences(factory: Callable) -> dict[str, str]:
    """Argument -> what it means: from its docstring ("name: sentence."), from a comment above or
    behind a field, or from the sentence of another argument."""
    settings, found = registry.settings_of(factory), {}
    names = "|".join(map(re.escape, settings))
    package = factory.__module__.split(".")[0]
    for source in reversed(getattr(factory, "__mro__", (factory,))):  # a base class adds to it
        if source.__module__.split(".")[0] != package:
            continue
        text = inspect.cleandoc(source.__doc__ or "")
        heads = list(re.finditer(rf"(?:^|[.:;)]\s|\n)\s*((?:{names})(?:, (?:{names}))*): ", text))
        for head, following in zip(heads, [*heads[1:], None], strict=False):
            body = text[head.end() : following.start(1) if following else len(text)]
            body = " ".join(re.split(ENDS, body)[0].split())
            found |= dict.fromkeys(head[1].split(", "), _listed(source, body))
        if dataclasses.is_dataclass(source):
            code = inspect.getsource(source)
            above = re.findall(rf"^((?: +# .+\n)+) +({names}): ", code, re.M)
            found |= {
                name: _listed(source, " ".join(text.replace("# ", "").split()))
                for text, name in above
            }
            found |= re.findall(rf"^ +({names}): .*  # (.+)$", code, re.M)
    for name in settings:
        others = [other for other, sentence in found.items() if f"`{name}`" in sentence]
        if others:
            found.setdefault(name, f"see {others[0]}.")
    return found


def _listed(source: Callable, sentence: str) -> str:
    """The sentence with "one of a, b" in the place of "a name in TABLE", where the table is found
    from where the sentence stands."""

    def names(said):
        module, _, name = said[2].rpartition(".")
        module = sys.modules.get(f"gan_jax.{module}" if module else source.__module__)
        known = vars(module).get(name, ()) if module else ()
        listed = f"{NAMES_IN[said[1]]} {', '.join(known)}"
        return listed if known and len(known) <= registry.LISTED else said[0]

    return re.sub(rf"\b({'|'.join(NAMES_IN)}) in ([\w.]*[A-Z]{{2,}})\b", names, sentence)


def parts(config: Config) -> Iterator[tuple[str, Callable, Mapping, tuple[str, ...]]]:
    """(key, what the settings are the arguments of, the config's values, arguments that the program
    gives)."""
    apart = ("data", "g", "d", "networks", "game", "opt_g", "opt_d", "eval")
    apart += ("augment",) * bool(config.augment)
    yield "config", Config, dataclasses.asdict(config), apart
    yield from _data("config.data", config.data)
    algorithm, model = modules(config)
    own = ("shape", "n_classes", "dtype")
    yield "config.g", model.Generator, config.g, own
    yield "config.d", critic_class(config, algorithm, model), config.d, own
    further = further_networks(config)
    for name, net in further.items():
        yield f"config.networks.{name}", net, config.networks.get(name, {}), own
    own = dict(algorithm.Algorithm.parts)
    given = ("g", "d", *further, *own, "augment", "batch")
    for factory in (algorithm.Algorithm, *own.values()):
        takes = registry.settings_of(factory)
        values = {name: value for name, value in config.game.items() if name in takes}
        yield "config.game", factory, values, given
    if config.augment:
        name = config.augment.get("name", "")
        factory = registry.choose(augment.AUGMENTS, name, "config.augment.name")
        yield "config.augment", factory, config.augment, ("batch",)
    for who, values in (("g", config.opt_g), ("d", config.opt_d)):
        place = (
            f"config.opt_{who} (`networks`, {{name: settings}}, has what differs for one network)"
        )
        yield place, optim.make, values, ("place", "phases", "batch", "total_kimg")
    yield "config.eval", Protocol, config.eval, ("usefulness",)
    yield "config.eval.usefulness", probes.Usefulness, config.eval.get("usefulness", {}), ()


def _data(place: str, data: Mapping) -> Iterator[tuple[str, Callable, Mapping, tuple[str, ...]]]:
    kind, values = source_class(data)
    yield place, kind, values, pairs.NESTED
    for side in pairs.NESTED:
        if isinstance(values.get(side), Mapping):
            yield from _data(f"{place}.{side}", values[side])


def first_line(factory: Callable) -> str:
    """The factory's full name and the first paragraph of its docstring."""
    doc = inspect.cleandoc(factory.__doc__ or "").split("\n\n")[0]
    return f"{factory.__module__}.{factory.__qualname__}. {' '.join(doc.split())}"


def _entry(name: str, values: Mapping, default: Mapping, sentence: str) -> list[str]:
    value = values.get(name, default.get(name))
    differs = name in default and value != default[name]
    shown = f"  {name} = {value!r}" + (f" (default {default[name]!r})" if differs else "")
    first, *rest = textwrap.wrap(sentence, LINE_WIDTH - NAME_WIDTH) or [""]
    if len(shown) >= NAME_WIDTH:
        shown, rest = shown + "\n", [first, *rest]
        first = ""
    lines = [f"{shown:<{NAME_WIDTH}}{first}".rstrip(), *(" " * NAME_WIDTH + line for line in rest)]
    return [line.rstrip() for line in lines]
