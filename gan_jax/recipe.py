"""Settings that the training pictures decide, once, when a run begins: those in `config.from_data`.

On pictures that a setting does not fit, its rule turns it off.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

from gan_jax.config import Config
from gan_jax.data import statistics
from gan_jax.data.source import Source
from gan_jax.data.statistics import Statistics
from gan_jax.runtime import registry

FLAT = 0.05  # of Look.flat: pictures with less are shaded, or photographs
AUGMENTED = 10_000  # fewer pictures are augmented where a config has an augmentation
SHAPES = ("g.palette",)  # names of rules that decide the shapes of weights
SPARE = 2  # colors of a drawing beyond those that have areas of their own
MOST = 32  # colors: of pictures with more, as pixel art may have, a generator's cost is too high


def decide(config: Config, source: Source) -> tuple[Config, list[str]]:
    """(the config with all that its `from_data` names, which is empty then; lines for the log: what
    the pictures are like, and each setting with its reason).

    Raises:
        ValueError: as `statistics.measure`.
    """
    if not config.from_data:
        return config, []
    found = statistics.measure(source)
    values, lines = {}, [_summary(found)]
    for name in config.from_data:
        own = _at(dataclasses.asdict(config), name)
        values[name], why = RULES[name](own.get(name), found)
        change = f"; --config.{name}={type(values[name])()} turns that off" if values[name] else ""
        lines.append(f"config.{name}={values[name]}: {why}{change}.")
    return _with(config, values), lines


def check(config: Config) -> None:
    """Raises ValueError where `from_data` names a setting that there is no rule for."""
    for name in config.from_data:
        registry.choose(RULES, name, "config.from_data")


def as_decided(config: Config, saved: Mapping, only: Sequence[str] | None = None) -> Config:
    """The config with what its `from_data` names as a checkpoint's settings, `saved`, have it: a
    run that goes on decides nothing anew.

    only: names; the others are left to be decided.
    """
    names = [name for name in config.from_data if only is None or name in only]
    values = {}
    for name in names:
        values |= _at(saved, name)
    left = tuple(name for name in config.from_data if name not in names)
    return dataclasses.replace(_with(config, values), from_data=left)


def _at(settings: Mapping, name: str) -> dict:
    """{name: its value}, or {} where a dotted name is not set."""
    *parents, last = name.split(".")
    for parent in parents:
        settings = settings.get(parent, {})
    return {name: settings[last]} if last in settings else {}


def _with(config: Config, values: Mapping[str, object]) -> Config:
    """The config with the values of dotted names, all decided."""
    settings = dataclasses.asdict(config)
    for name, value in values.items():
        *parents, last = name.split(".")
        place = settings
        for parent in parents:
            place = place[parent]
        place[last] = value
    return Config(**settings | {"from_data": ()})


def _summary(found: Statistics) -> str:
    look = found.pictures
    parts = [
        f"{look.flat:.0%} of the pixels, their grounds aside, lie in areas of one color (three of"
        " four pictures have as many)",
        f"{look.colors} such {'color' if look.colors == 1 else 'colors'} a picture",
    ]
    if not _flat(found):
        parts.append("drawings saved as JPEG have no such areas, as PNG they keep them")
    if look.alpha is not None:
        parts.append(f"{look.alpha:.0%} of the pixels not opaque")
    if found.difference is not None:
        parts.append(
            f"input and target {found.difference:.0f} of 255 apart, targets and their mean"
            f" {found.spread:.0f}"
        )
    return f"the pictures to be drawn: {'; '.join(parts)}"


def _flat(found: Statistics) -> bool:
    return found.pictures.flat >= FLAT


def _why(found: Statistics) -> str:
    return "they are drawn in flat colors" if _flat(found) else "they are not drawn in flat colors"


def flat(own: object, found: Statistics) -> tuple[int, str]:
    return (min(found.pictures.colors + SPARE, MOST) if _flat(found) else 0), _why(found)


def guided(own: object, found: Statistics) -> tuple[object, str]:
    return (own if _flat(found) else 0), _why(found)


def palette(own: object, found: Statistics) -> tuple[int, str]:
    return (min(2 * (found.pictures.colors + SPARE), MOST) if _flat(found) else 0), _why(found)


def augment(own: object, found: Statistics) -> tuple[object, str]:
    if found.count >= AUGMENTED:
        return {}, f"{found.count:,} pictures are many"
    few = f"{found.count:,} pictures are fewer than {AUGMENTED:,}"
    return own, f"{few}, which the critic would learn by heart"


# (the config's own value, None where it has none; what the pictures are like) -> (value, reason)
Rule = Callable[[object, Statistics], tuple[object, str]]
RULES: Mapping[str, Rule] = {
    "augment": augment,
    "g.flat": flat,
    "g.guided": guided,
    "g.palette": palette,
}
