"""The measures: one file a family. Each file has MEASURES, a tuple of base.Measure; nothing else
lists them.

A measure of your own is a module anywhere with such a MEASURES, named in config.eval.metrics by its
dotted path: metrics=("kid", "my_project.sharpness") takes all that stand in it.
"""

import functools
from collections.abc import Iterable

from gan_jax.evaluation.measures.base import Measure
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
