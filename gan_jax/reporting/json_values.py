"""Values of JSON files that may hold anything, read as what they should be; and as text."""

import json
import math
from collections.abc import Mapping, Sequence

MISSING = "not set"


def as_number(value: object) -> float:
    """A JSON value as a float, NaN for what is no number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return math.nan
    try:
        return float(value)
    except OverflowError:
        return math.inf


def as_mapping(value: object) -> dict:
    """The value if it is a JSON object, else {}."""
    return value if isinstance(value, dict) else {}


def as_list(value: object) -> list:
    """The value if it is a JSON array, else []."""
    return value if isinstance(value, list) else []


def as_points(value: object) -> list[tuple[float, float]]:
    """[[x, y], ...] sorted by x; what is no pair, or has no finite x, is left out."""
    pairs = [
        (as_number(pair[0]), as_number(pair[1]))
        for pair in as_list(value)
        if isinstance(pair, list) and len(pair) == 2
    ]
    return sorted(((x, y) for x, y in pairs if math.isfinite(x)), key=lambda pair: pair[0])


def as_text(value: object) -> str:
    """A string as it is, anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def as_count(number: float) -> str:
    """12345.0 -> '12,345'."""
    return f"{number:,.0f}"


def plural(n: int, what: str) -> str:
    """(2, "run") -> '2 runs'."""
    return f"{n} {what}{'' if n == 1 else 's'}"


def flattened(tree: Mapping, prefix: str = "") -> dict[str, object]:
    """{"a": {"b": 1}} -> {"a.b": 1}."""
    leaves = {}
    for key, value in tree.items():
        if isinstance(value, dict) and value:
            leaves |= flattened(value, f"{prefix}{key}.")
        else:
            leaves[f"{prefix}{key}"] = value
    return leaves


def differing(trees: Sequence[Mapping]) -> dict[str, list]:
    """Dotted key -> its value in each tree, for what is not the same in all."""
    leaves = [flattened(tree) for tree in trees]
    rows = {}
    for key in sorted({key for leaf in leaves for key in leaf}):
        row = [leaf.get(key, MISSING) for leaf in leaves]
        if len({json.dumps(value, sort_keys=True) for value in row}) > 1:
            rows[key] = row
    return rows
