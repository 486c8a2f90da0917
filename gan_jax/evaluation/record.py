"""Sets of pictures -> the record of an evaluation: its values with what they mean, and the protocol
that they depend on."""

import functools
import pathlib
import platform
import subprocess
from collections.abc import Callable, Mapping, Sequence

import jax
import numpy as np

import gan_jax
from gan_jax.data.images import save_sheet
from gan_jax.evaluation import checks, nets
from gan_jax.evaluation.features import Extractors
from gan_jax.evaluation.gather import AUDIT, KEEP, Gathering, Log, Shared
from gan_jax.evaluation.images import Sets
from gan_jax.evaluation.measures.base import Measure, Picture, Result, Value, full_name
from gan_jax.evaluation.nets import Nets
from gan_jax.evaluation.protocol import Protocol
from gan_jax.pretrained import Net
from gan_jax.runtime.text import shown

PARTS = ("values", "curves", "groups", "tables", "notes")  # of a Result, as they stand in a record


def measure(
    protocol: Protocol, sets: Sets, extractors: Extractors, folder: pathlib.Path | None, log: Log
) -> dict:
    """All of `protocol.metrics`: {"values", "about", "curves", "groups", "tables", "pictures",
    "notes"}; parts that hold nothing are left out, but for the first two.

    "about" has an entry for each value, curve and group: {"better": 1, -1 or 0, "error": the name
    of its standard error among the values, "control_of": the name of the value it is the control
    of, "net": the name of the network that saw the pictures, "in_training": whether training looked
    through it, "about": what it says}; names are None where there is none. Values by networks of
    training come after all others, and a note says it.

    Args:
        folder: for pictures; None: none are drawn.
    On several processes all take part, and process 0 has the record; the others' is of no use.
    Raises:
        ValueError: a measure lacks something; says what.
    """
    chosen = checks.chosen(protocol, sets, extractors.nets)
    shared = Shared(protocol, sets, extractors, log, chosen)
    each = [(measure, shared.by[net]) for measure, net in chosen]
    own = [measure.gather(now) if measure.gather else None for measure, now in each]
    record = {name: {} for name in (*PARTS, "about", "pictures")}
    if jax.process_index() == 0:
        for (measure, now), taken in zip(each, own, strict=True):
            result = measure.compute(now.given(taken))
            _add(record, measure, result, now)
            drawn = record["pictures"]  # by the first of several nets
            more = {name: draw for name, draw in result.pictures.items() if name not in drawn}
            drawn |= _saved(more, folder, log)
    return {name: part for name, part in record.items() if part or name in ("values", "about")}


def _add(record: dict, measure: Measure, result: Result, now: Gathering) -> None:
    """Adds what a measure found, and what it declares of it, to the record."""
    net, sets, protocol = now.extractor.net, now.sets, now.protocol
    found = {
        part: {full_name(name, net): value for name, value in getattr(result, part).items()}
        for part in PARTS
    }
    found["values"] = {name: float(value) for name, value in found["values"].items()}
    declared = measure.declared(protocol, sets, net)
    errors = {value.error for value in declared.values()}
    for name in found["values"]:
        if name not in declared and name not in errors:
            raise ValueError(
                f"the measure {measure.name!r} gave {name!r}, which its `values` do not declare."
            )
    for part, values in found.items():
        record[part] |= values
    for name, value in declared.items():
        if name in found["values"] or name in found["groups"]:
            seen = net if full_name("{net}", net) in name and measure.by_net else None
            record["about"][name] = about(value, found["values"], seen)
            if seen is not None and seen.in_training and not value.control_of:
                said = record["notes"].get(name)
                record["notes"][name] = f"{said}; {nets.NOTE}" if said else nets.NOTE
    for name, value in measure.declared_curves(protocol, sets, net).items():
        if name in found["curves"]:  # a value of the same name says more
            record["about"].setdefault(name, about(value, found["values"], net))


def about(value: Value, values: Mapping[str, float], net: Net | None = None) -> dict:
    """What a record says of a value, beside the values that it holds; net: which it names."""
    return {
        "better": value.better,
        "error": value.error if value.error in values else None,
        "control_of": value.control_of,
        "net": net.name if net is not None else None,
        "in_training": net is not None and net.in_training,
        "about": value.about,
    }


def _saved(
    pictures: Mapping[str, Callable[[], Picture]], folder: pathlib.Path | None, log: Log
) -> dict:
    """{name: {"file", "caption"}} of the pictures, drawn and written below `folder`."""
    saved = {}
    for name, draw in pictures.items() if folder is not None else ():
        picture = draw()
        try:
            path = save_sheet(folder, f"{name}.png", picture.pixels)
        except OSError as error:
            log(f"the picture of {name} can't be written: {error}. Going on without.")
        else:
            saved[name] = {"file": str(path), "caption": picture.caption}
    return saved


def stamp(protocol: Protocol, own: Nets, images: int, real: int) -> dict:
    """The protocol as it stands beside every number; of several nets with commas between them.
    images, real: how many there are of each side."""
    seen = {"name": ",".join(net.name for net in own.general)}
    seen["sha256"] = ",".join(net.sha256 for net in own.general)
    seen["dim"] = joined([net.dim for net in own.general])
    if own.in_training:
        seen["in_training"] = ",".join(own.in_training)
    if own.own:  # those that single measures name for themselves
        seen["own"] = {name: net.sha256 for name, net in own.own.items()}
    return {
        "images": images,
        "reference": min(protocol.reference, real),
        "audit": min(AUDIT, real),
        "features": seen,
        "resize": joined([f"{n.resize} to {n.side}" if n.side else "none" for n in own.general]),
        "range": "uint8 [0, 255]",
        "flips": False,
        "seed": protocol.seed,
        "kept": KEEP,
        "batch": protocol.batch,
        "robustness_images": protocol.robustness_images,
        "usefulness": dict(protocol.usefulness),
        "commit": commit(),
        "versions": {
            "gan_jax": gan_jax.__version__,
            "jax": jax.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
        "device": jax.devices()[0].device_kind,
    }


def joined(values: Sequence) -> object:
    """One value as it is, several with commas between them."""
    return values[0] if len(values) == 1 else ",".join(map(str, values))


@functools.cache
def commit() -> str | None:
    """The checkout's commit, "-dirty" where files differ from it; None for an installed package."""
    root = pathlib.Path(gan_jax.__file__).parent.parent
    if not (root / ".git").exists():
        return None
    describe = ["describe", "--always", "--dirty", "--exclude=*", "--abbrev=12"]
    call = ["git", "-C", str(root), *describe]
    try:
        found = subprocess.run(call, capture_output=True, text=True, timeout=30, encoding="utf-8")
    except (OSError, subprocess.TimeoutExpired):  # no git here
        return None
    return found.stdout.strip() or None


def lines(record: Mapping) -> Sequence[str]:
    """The record's values for people: "kid_efflite0  0.01234 ± 0.00056"."""
    values, about = record["values"], record.get("about", {})
    errors = {each["error"] for each in about.values()}
    rows = []
    for name, value in values.items():
        if name in errors:
            continue
        error = values.get(about.get(name, {}).get("error"))
        note = record.get("notes", {}).get(name)
        row = f"{name:28} {value:.5g}" + ("" if error is None else f" ± {error:.2g}")
        rows.append(row + (f"  ({note})" if note else ""))
    for name, curves in record.get("curves", {}).items():
        for kind, points in curves.items():
            listed = ", ".join(f"{strength:g}: {value:.4g}" for strength, value in points)
            rows.append(f"{name} under {kind}: {listed}")
    for name, table in record.get("tables", {}).items():
        rows += [f"{name}: " + " | ".join(table["columns"])]
        rows += ["  " + " | ".join(map(str, row)) for row in table["rows"]]
    return list(map(shown, rows))
