"""What can be told of a source from its settings alone, before anything is read, drawn or
downloaded."""

import dataclasses
import inspect
import pathlib
from collections.abc import Mapping
from typing import NamedTuple

from gan_jax.data import pairs, pipeline
from gan_jax.data.sources import View
from gan_jax.runtime import registry

SOME = 2  # classes, where only opening shows how many there are


class Outline(NamedTuple):
    """Of a source that is not opened."""

    shape: tuple[int, int, int] | None  # (H, W, C) of its images; None: only opening shows it
    classes: int  # how many, or SOME; 0: it has none
    partner: str | None  # as a source's


def outline(data: Mapping, key: str) -> Outline:
    """Checks the settings of a source, config.data or those of one side of it, and tells what it
    will be.

    A source's module may have a function `check` of some of the source's arguments, which is
    called.
    key: where the settings stand, "config.data", for errors.

    Raises:
        ValueError: an unknown source, an unknown, missing or wrongly typed setting, a value that is
        not allowed, a file
            or folder that is not there.
    """
    try:
        return _outline(data)
    except ValueError as error:
        raise ValueError(str(error).replace("config.data", key)) from error


def _outline(data: Mapping) -> Outline:
    module, settings = pipeline.source_module(data)
    given = registry.check(module.Source, settings, "config.data")
    own = "." in data["source"]
    if hasattr(module, "check"):
        module.check(**{name: given[name] for name in inspect.signature(module.check).parameters})
    if "path" in given and not own and not pathlib.Path(given["path"]).expanduser().exists():
        raise ValueError(f"config.data.path={given['path']!r}: no such file or folder.")
    partner = getattr(module.Source, "partner", None)
    if own:
        return Outline(None, 0, partner)
    if partner is not None:
        sides = [outline(given[name], f"config.data.{name}") for name in pairs.SIDES]
        pairs.check_shapes(*sides)
        return Outline(sides[0].shape, 0, partner)
    view = View(
        **{
            field.name: given[field.name]
            for field in dataclasses.fields(View)
            if field.name in given
        }
    )
    return Outline(view.shape, _classes(module, given), None)


def _classes(module, given: Mapping) -> int:
    labels = given.get("labels")
    return (
        len(module.names_of(given["styles"])[labels])
        if isinstance(labels, str)
        else SOME
        if labels
        else 0
    )
