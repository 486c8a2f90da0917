"""A new run that starts from the weights of another."""

import itertools
import pathlib
import re
from collections.abc import Collection, Iterator, Mapping, Sequence

import jax
import numpy as np

from gan_jax.checkpoint.leaves import named, read
from gan_jax.checkpoint.steps import find
from gan_jax.runtime import registry
from gan_jax.state import PyTree

MOST_NAMES = 20  # of classes, in a message


def other_classes(saved: Sequence[str], own: Sequence[str]) -> str | None:
    """What differs between a checkpoint's classes, by their labels 0, 1, ..., and the data's; None
    where nothing does."""
    saved, own = (list(map(registry.normal, classes)) for classes in (saved, own))
    if saved == own:
        return None
    pairs = enumerate(itertools.zip_longest(saved, own))
    label, one, two = next((i, a, b) for i, (a, b) in pairs if a != b)
    one, two = ("no class" if name is None else repr(name) for name in (one, two))
    return f"{listed(saved)} there, {listed(own)} here (label {label}: {one} there, {two} here)"


def listed(classes: Sequence[str]) -> str:
    """ "3 classes, 'a', 'b', 'c'"; of many the first."""
    names = [*map(repr, classes[:MOST_NAMES]), *["..."] * (len(classes) > MOST_NAMES)]
    return f"{len(classes)} classes, {', '.join(names)}" if classes else "no classes"


def warm_start(
    state: PyTree,
    path: str | pathlib.Path,
    classes: Sequence[str] = (),
    start_class: str | None = None,
    by_class: Collection[str] = (),
) -> tuple[PyTree, list[str]]:
    """Puts a checkpoint's leaves into a new state wherever name and shape agree: pretrained
    initialization.

    Weights, batch statistics and the average are taken; optimizers and the count of steps start
    anew. The report says where the checkpoint's classes are not `classes`: its weights for a label
    are those of another class. With `start_class`, one of the checkpoint's, the leaves `by_class`,
    which have a row for each class, take its row for each of `classes`. Returns the state and the
    report: how many leaves matched, and each that did not, with the reason.
    Raises:
        ValueError: no checkpoint there, or not one leaf matches; no such class there, or no classes
            here.
    """
    parts = ("g/params/", "g/mutable/", "d/params/", "d/mutable/", "ema/")
    step = find(path)
    saved, meta = read(step, parts)
    left_out = meta.get("unused", {})  # of a shared model, whose zeros only fill up
    saved = {name: x for name, x in saved.items() if name not in left_out}
    own = {name: x for name, x in named(state).items() if name.startswith(parts)}
    there = list(meta.get("classes", ()))
    rows = {}
    if start_class is not None:
        rows = _of_class(saved, by_class, there, len(classes), start_class)
        saved |= rows
    copies = {name: saved[of] for name in own if (of := _copied(name, saved)) is not None}
    saved |= copies
    fits = {name for name, x in own.items() if name in saved and saved[name].shape == x.shape}
    if not fits:
        raise ValueError(
            f"config.init_from={str(path)!r}: not one leaf of {step} has the name and shape of"
            " ours."
        )
    report = [f"initialized from {step}: {len(fits)} of {len(own)} leaves match"]
    other = other_classes(meta.get("classes", ()), classes)
    if start_class is not None:
        report.append(f"  all classes start as {start_class!r} there, in {len(rows)} leaves")
    elif other and classes and there:
        report.append(f"  the labels mean other classes: {other}")
    if copies:
        report.append(f"  {len(copies)} leaves of a remodulation start as copies of its base's")
    report += _differences(saved, own)
    leaves = [saved[n].astype(x.dtype) if n in fits else x for n, x in named(state).items()]
    return jax.tree.unflatten(jax.tree.structure(state), leaves), report


def _of_class(
    saved: Mapping[str, np.ndarray],
    by_class: Collection[str],
    there: list[str],
    n: int,
    start_class: str,
) -> dict[str, np.ndarray]:
    """The leaves that have a row for each class, with the row of one for each of n."""
    label = {name: i for i, name in enumerate(there)}
    row = registry.choose(label, start_class, "config.init_class")
    if not n:
        raise ValueError(
            f"config.init_class={start_class!r}: the data has no classes. Set config.data.labels;"
            " pictures in one folder in another are of one class."
        )
    rows = {name: saved[name] for name in by_class if name in saved}
    rows = {name: x for name, x in rows.items() if x.ndim and len(x) == len(there)}
    if not rows:
        raise ValueError(
            f"config.init_class={start_class!r}: the networks there have no rows for classes."
        )
    return {name: np.repeat(x[row : row + 1], n, 0) for name, x in rows.items()}


def _copied(name: str, saved: Mapping[str, np.ndarray]) -> str | None:
    """The leaf that one of a generator's remodulations is a copy of at first; None: it is none, or
    is there itself."""
    of = re.sub(r"/remodulation\d+/", "/", name)
    return None if of == name or name in saved or of not in saved else of


def _differences(saved: Mapping[str, np.ndarray], own: Mapping[str, jax.Array]) -> Iterator[str]:
    """A line for each leaf that is kept as initialized,
    and for each of the checkpoint that is not used."""
    for name, x in own.items():
        if name not in saved:
            yield f"  kept as initialized: {name} is not there"
        elif saved[name].shape != x.shape:
            there, here = list(saved[name].shape), list(x.shape)
            yield f"  kept as initialized: {name} is {there} there, {here} here"
    for name in saved:
        if name not in own:
            yield f"  not used: {name} {list(saved[name].shape)}"
