"""What can be said of the values of several runs: which are results, which way is better, who is
best, and whether they were measured alike.

All knowledge of a value comes from the evaluation's record: record["about"][name] holds "better"
(1: higher, -1: lower, 0: neither), "about" (a sentence), "error" (the name of its error) and
"control_of" (the name of the value it is a control of), the last two None where there is none.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from gan_jax.reporting.json_values import as_mapping, as_number, as_text, differing
from gan_jax.reporting.runs import Run

# parts of a protocol that may differ: the numbers stay comparable
HARMLESS = ("commit", "versions", "device", "batch", "seconds", "weights", "features.in_training")


class About(NamedTuple):
    """What is known of a value."""

    better: int = 0  # 1: higher is better, -1: lower, 0: neither, or not known
    error: str | None = None
    control_of: str | None = None
    text: str = ""  # a sentence for readers

    @property
    def sign(self) -> int:
        """`better`, but 0 for a control: it is never compared as a result."""
        return 0 if self.control_of else self.better


Known = Callable[[str], Mapping]  # a value's name -> its "better", ... where the record is older


def unknown(name: str) -> Mapping:
    """The Known of a caller who knows nothing."""
    return {}


class Values(dict[str, About]):
    """The values of the runs' evaluations by name, in the order in which they are shown: as they
    first appear, controls behind what they control, those last whose network a run was trained
    through. Errors are left out."""

    def __init__(self, runs: Sequence[Run], known: Known = unknown):
        records = [evaluation for run in runs for evaluation in run.evaluations]
        names = dict.fromkeys(name for e in records for name in as_mapping(e.get("values")))
        self._known, self._stated = known, {}
        for record in records:
            self._stated |= as_mapping(record.get("about"))
        found = {name: self.about(name) for name in names}
        errors = {about.error for about in found.values()}
        shown = [name for name in found if name not in errors]
        base = {name: found[name].control_of or name for name in shown}
        place = {name: shown.index(base[name] if base[name] in shown else name) for name in shown}
        by = [as_mapping(record.get("about")) for record in records]
        late = {n for about in by for n, of in about.items() if as_mapping(of).get("in_training")}
        shown.sort(key=lambda name: (name in late, place[name], base[name] != name))
        super().__init__((name, found[name]) for name in shown)

    def about(self, name: str) -> About:
        """What is known of any value, also of one by group."""
        facts = as_mapping(self._stated.get(name)) or self._known(name)
        better, error, control = map(facts.get, ("better", "error", "control_of"))
        better = as_number(better)
        return About(
            int(better) if better in (-1, 1) else 0,
            error and as_text(error),
            control and as_text(control),
            as_text(facts.get("about") or ""),
        )

    def controls_of(self, name: str) -> list[str]:
        """Those of the values that are controls of one."""
        return [other for other, about in self.items() if about.control_of == name]

    def error(self, evaluation: Mapping, name: str) -> float:
        """The standard error, or deviation, of one of the values in an evaluation;
        0 where there is none."""
        error = as_number(as_mapping(evaluation.get("values")).get(self[name].error))
        return error if 0 <= error < math.inf else 0.0


def best_of(points: Sequence[tuple[float, float]], sign: int) -> tuple[float, float]:
    """(images, value) of the best finite value; NaN where there is none."""
    finite = [(images, value) for images, value in points if math.isfinite(value)]
    return max(finite, key=lambda point: sign * point[1], default=(0.0, math.nan))


def marks(values: Sequence[tuple[float, float]], sign: int) -> list[str]:
    """For each (value, standard error) "best", "tie" (within two standard errors of the difference
    to the best) or "".

    No marks where sign is 0, or where all values are 0: runs without any recall have not won.
    """
    finite = [sign * value for value, _ in values if sign and math.isfinite(value)]
    if len(finite) < 2 or not any(finite):
        return [""] * len(values)
    best = max(finite)
    error_of_best = next(error for value, error in values if sign * value == best)

    def mark(value: float, error: float) -> str:
        if sign * value == best:
            return "best"
        near = best - sign * value <= 2 * math.hypot(error_of_best, error)
        return "tie" if error and near else ""

    return [mark(value, error) for value, error in values]


def incomparable(runs: Sequence[Run]) -> dict[str, list]:
    """Of the protocols of the runs' last evaluations, what differs and changes what the numbers
    mean: {key: a value each run}."""
    return serious_differences([run.of("protocol") for run in runs if run.evaluations])


def serious_differences(protocols: Sequence[Mapping]) -> dict[str, list]:
    """What differs between protocols and is not HARMLESS: {key: a value each protocol}."""
    rows = differing(protocols).items()
    return {key: row for key, row in rows if not harmless(key)}


def harmless(key: str) -> bool:
    """Whether numbers stay comparable where protocols differ in this dotted key."""
    return key in HARMLESS or key.split(".")[0] in HARMLESS
