"""A config's settings for people: each with its value, its default and what its docstring says of
it."""

import dataclasses
import inspect
import re
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping

from gan_jax import augment, models, optim
from gan_jax.config import Config
from gan_jax.data import pairs
from gan_jax.data.source import source_class
from gan_jax.evaluation import probes
from gan_jax.evaluation.protocol import Protocol
from gan_jax.runtime import registry

NAME_WIDTH, LINE_WIDTH = 28, 120
# of what is said of a setting
ENDS = r"\n\s*(?:Raises|Returns|Yields|Differs|Reference|The rest|Attributes|Args)\b|\n\s*\n"


def settings(config: Config) -> str:
    """All settings of a run, part by part. Raises ValueError where a part is named that is not
    there."""
    parts = []
    for place, factory, values, given in _parts(config):
        said, default = sentences(factory), registry.defaults(factory)
        lines = [f"{place}: {_first_line(factory)}"]
        for name in registry.settings_of(factory):
            if name not in given:
                lines += _entry(name, values, default, said.get(name, ""))
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def sentences(factory: Callable) -> dict[str, str]:
    """Argument -> what is said of it: in its docstring ("name: sentence."), in a comment above or
    behind a field, or of another."""
    settings, said = registry.settings_of(factory), {}
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
            said |= dict.fromkeys(head[1].split(", "), body + _listed(source, body))
        if dataclasses.is_dataclass(source):
            code = inspect.getsource(source)
            above = re.findall(rf"^((?: +# .+\n)+) +({names}): ", code, re.M)
            said |= {name: " ".join(text.replace("# ", "").split()) for text, name in above}
            said |= re.findall(rf"^ +({names}): .*  # (.+)$", code, re.M)
    for name in settings:
        others = [other for other, sentence in said.items() if f"`{name}`" in sentence]
        if others:
            said.setdefault(name, f"see {others[0]}.")
    return said


def _listed(source: Callable, sentence: str) -> str:
    """ " Known: a, b." where a sentence says "a name in TABLE" and the table is found from where it
    stands."""
    table = re.search(r"\bnames? (?:or names )?in ([\w.]+[A-Z])\b", sentence)
    if table is None:
        return ""
    module, _, name = table[1].rpartition(".")
    module = sys.modules.get(f"gan_jax.{module}" if module else source.__module__)
    known = vars(module).get(name, ()) if module else ()
    return f" Known: {', '.join(known)}." if known and len(known) <= registry.LISTED else ""


def _parts(config: Config) -> Iterator[tuple[str, Callable, Mapping, tuple[str, ...]]]:
    """(key, what the settings are the arguments of, the config's values, arguments that the program
    gives)."""
    apart = ("data", "g", "d", "networks", "game", "opt_g", "opt_d", "eval") + ("augment",) * bool(
        config.augment
    )
    yield "config", Config, dataclasses.asdict(config), apart
    yield from _data("config.data", config.data)
    algorithm = registry.by_name(
        "algorithms", config.algorithm, "config.algorithm", "Algorithm"
    ).Algorithm
    model = registry.by_name("models", config.model, "config.model", "Generator", "Discriminator")
    own = ("shape", "n_classes", "dtype")
    yield "config.g", model.Generator, config.g, own
    yield "config.d", model.Discriminator, config.d, own
    networks = {
        name: net
        for name, net in models.further_networks(model).items()
        if name in _fields(algorithm)
    }
    for name, net in networks.items():
        yield f"config.networks.{name}", net, config.networks.get(name, {}), own
    yield "config.game", algorithm, config.game, ("g", "d", *networks, "augment", "batch")
    if config.augment:
        factory = registry.choose(
            augment.AUGMENTS, config.augment.get("name", ""), "config.augment.name"
        )
        yield "config.augment", factory, config.augment, ("batch",)
    for who, values in (("g", config.opt_g), ("d", config.opt_d)):
        of_one = (
            f"config.opt_{who} (`networks`, {{name: settings}}, has what differs for one network)"
        )
        yield of_one, optim.make, values, ("place", "phases", "batch", "total_kimg")
    yield "config.eval", Protocol, config.eval, ("usefulness",)
    yield "config.eval.usefulness", probes.Usefulness, config.eval.get("usefulness", {}), ()


def _data(place: str, data: Mapping) -> Iterator[tuple[str, Callable, Mapping, tuple[str, ...]]]:
    kind, values = source_class(data)
    yield place, kind, values, pairs.SIDES
    for side in pairs.SIDES:
        if isinstance(values.get(side), Mapping):
            yield from _data(f"{place}.{side}", values[side])


def _fields(factory: type) -> set[str]:
    return {field.name for field in dataclasses.fields(factory)}


def _first_line(factory: Callable) -> str:
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
