"""The measures: one file a family. Each file has MEASURES, a tuple of base.Measure; nothing else
lists them.

A measure of your own is a module anywhere with such a MEASURES, named in config.eval.metrics by its
dotted path: metrics=("kid", "my_project.sharpness") takes all that stand in it.
"""

import functools
import re
from collections.abc import Iterable

from gan_jax.evaluation.measures.base import Measure, Value
from gan_jax.runtime import registry


@functools.cache
def known() -> dict[str, Measure]:
    """Name -> measure, of all files here, in their order."""
    modules = registry.modules("evaluation.measures", "MEASURES")
    found = [measure for module in modules for measure in module.MEASURES]
    return {measure.name: measure for measure in sorted(found, key=lambda m: m.order)}


def find(names: Iterable[str], key: str = "config.eval.metrics") -> list[Measure]:
    """The measures of these names, in their order; a dotted path gives all of that module.

    Raises:
        ValueError: no such measure, naming `key` and the known ones.
    """
    found = []
    for name in names:
        if "." in name:
            found += registry.by_name("evaluation.measures", name, key, "MEASURES").MEASURES
        else:
            found.append(registry.choose(known(), name, key))
    return found


def measure_of(name: str) -> str | None:
    """The measure that gives the value of a full name, "kid" of "kid_efflite0"; None: none of
    those known."""
    matches = [
        (len(re.sub("{.*?}", "", declared)), measure.name)
        for measure in known().values()
        for declared in measure.values
        if re.fullmatch(_pattern(declared), name)
    ]
    return max(matches)[1] if matches else None  # most of it spelled out


def meaning(name: str) -> dict:
    """What the measures declare of a value by its full name, as "kid_efflite0": {"better",
    "error", "control_of", "about"}; {} of a name that none of them has.

    For records of before these stood in each: a record's own "about" comes first.
    """
    matches = [
        (len(re.sub("{.*?}", "", declared)), declared, value, found)
        for measure in known().values()
        for declared, value in _with_errors(measure)
        if (found := re.fullmatch(_pattern(declared), name))
    ]
    if not matches:
        return {}
    _, _, value, found = max(matches, key=lambda match: match[0])  # most of it spelled out
    if value is None:  # an error
        return {}
    parts = {"net": "", "each": ""} | found.groupdict()

    def full(declared):
        return declared and declared.format(**parts)

    return {
        "better": value.better,
        "error": full(value.error),
        "control_of": full(value.control_of),
        "about": value.about.format(**parts),
    }


def _with_errors(measure: Measure) -> list[tuple[str, Value | None]]:
    values = list(measure.values.items())
    return values + [(value.error, None) for _, value in values if value.error]


def _pattern(declared: str) -> str:
    return (
        re.escape(declared)
        .replace(r"\{net\}", r"(?P<net>|_\w+)")
        .replace(r"\{each\}", r"(?P<each>\w+)")
    )
