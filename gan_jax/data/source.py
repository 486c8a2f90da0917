"""What a source of pictures is, and how `config.data` names one."""

import abc
import hashlib
import json
import pathlib
import types
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from gan_jax.runtime import registry

Batch = dict[str, np.ndarray]


MANY = 2  # classes, where only opening shows how many there are
# kinds of partner of which a sample's "target" is what its "image" should become
TRUE_PARTNERS = "paired", "degraded", "masked"


class Outline(NamedTuple):
    """What a source will be, as far as its settings tell before anything is opened."""

    shape: tuple[int, int, int] | None = None  # (H, W, C) of its images; None: only opening shows
    classes: int = 0  # how many, or MANY; 0: it has none
    partner: str | None = None  # as Source.partner
    colors: tuple[str, ...] = ()  # keys of Source.colors
    reduced: int = 1  # as Source.reduced


class Source(abc.ABC):
    """Where images come from: `gan_jax/data/sources/<name>.py` has a class `Source`, or any module
    by dotted path.

    Its arguments are the keys of `config.data` beside `source`. It is pickled for worker processes.
    A class of your own need not derive from this one: what it lacks has the defaults below.
    """

    shape: tuple[int, int, int]  # (H, W, C) of every image
    # SHA-256 of what decides the images: settings, files. A resumed run compares it
    fingerprint: str
    # names of the labels 0, 1, ...; empty where none were requested
    classes: tuple[str, ...] = ()
    # int32 [len(self)], each sample's label; None where none were requested
    targets: np.ndarray | None = None
    # for the log at the start: how many, from where, what was left out and why
    notes: tuple[str, ...] = ()
    # what each sample is called; None: pairs go by number
    names: Sequence[str] | None = None
    # attribute, as "skin" -> f32 [len(self), 3], true sRGB colors of 0 to 255, where known
    colors: Mapping[str, np.ndarray] = types.MappingProxyType({})
    split: str | None = None  # the part of a data set that these are, as "train"
    # how a sample's "target" belongs to its "image": "paired" (its translation), "unpaired" (any
    # picture of another set), "degraded" (it was made of it), "masked" (it lacks parts of it);
    # None: there is no "target"
    partner: str | None = None
    reduced: int = 1  # pixels of an "image" stand in squares of so many a side: it was smaller

    @abc.abstractmethod
    def __len__(self) -> int: ...

    @abc.abstractmethod
    def load(self, ids: np.ndarray, seeds: np.ndarray) -> Batch:
        """The samples `ids` (int64 [n], each below len(self)), augmented by `seeds` (uint64 [n])
        and nothing else.

        Returns {"image": uint8 [n, H, W, C]}; "label": int32 [n] where there are classes; "target":
        uint8 [n, H, W, C] where `partner` is not None. A sample that can no longer be read is
        reported and another, by a fixed rule, takes its place: then "id": int64 [n] says which were
        loaded.
        """

    @property
    def sides(self) -> tuple["Source", ...]:
        """The two sets of pictures that a translator goes between, in the order image, target; ()
        where `partner` is None. Of pairs, sample i of one side is the partner of sample i of the
        other."""
        return () if self.partner is None else (Side(self, "image"), Side(self, "target"))

    @classmethod
    def outline(cls, settings: Mapping) -> Outline:
        """What the source will be. Opens nothing.

        settings: all arguments, their types checked, defaults filled in. Raises ValueError where a
        value is not allowed or a file is not there.
        """
        return Outline(partner=cls.partner)


class Side(Source):
    """One picture of each sample of a source that has partners.

    Args:
        pairs: that source.
        key: "image" or "target".
        colors: as Source.colors, of these pictures.
    """

    def __init__(self, pairs: Source, key: str, colors: Mapping[str, np.ndarray] | None = None):
        self.pairs, self.key, self.shape = pairs, key, pairs.shape
        self.colors = dict(colors or {})
        self.fingerprint = fingerprint(key, pairs.fingerprint)

    def __len__(self) -> int:
        return len(self.pairs)

    def load(self, ids: np.ndarray, seeds: np.ndarray) -> Batch:
        return {"image": self.pairs.load(ids, seeds)[self.key]}


class _Adopted(Source):
    """A source whose class does not derive from Source: its own members, defaults for the rest.

    Raises AttributeError where it lacks one that has no default.
    """

    def __init__(self, own):
        self._own = own
        for name in ("shape", "fingerprint"):
            setattr(self, name, getattr(own, name))
        more = "classes", "targets", "notes", "names", "colors", "split", "partner", "reduced"
        for name in more:
            if hasattr(own, name):
                setattr(self, name, getattr(own, name))

    def __len__(self) -> int:
        return len(self._own)

    def load(self, ids: np.ndarray, seeds: np.ndarray) -> Batch:
        return self._own.load(ids, seeds)

    @property
    def sides(self) -> tuple[Source, ...]:
        return getattr(self._own, "sides", super().sides)


def open_source(settings: Mapping, key: str = "config.data") -> Source:
    """Opens `config.data`: {"source": a module's name, ...: the arguments of its Source}.

    key: where the settings stand, for errors.

    Raises:
        ValueError: an unknown source or setting, or data that can't be had; one line names it and
            the fix.
    """
    try:
        kind, given = source_class(settings)
        opened = registry.build(kind, given, "config.data")
        return opened if isinstance(opened, Source) else _Adopted(opened)
    except ValueError as error:
        raise ValueError(str(error).replace("config.data", key)) from error
    except AttributeError as error:
        raise ValueError(f"{key}.source={settings['source']!r}: {error}.") from error


def outline(settings: Mapping, key: str) -> Outline:
    """Checks the settings of a source, config.data or those of one side of it, and returns what it
    will be, before anything is read, drawn or downloaded.

    key: where the settings stand, "config.data", for errors.

    Raises:
        ValueError: an unknown source, an unknown, missing or wrongly typed setting, a value that is
            not allowed, a file or folder that is not there.
    """
    try:
        kind, given = source_class(settings)
        given = registry.check(kind, given, "config.data")
        if isinstance(kind, type) and issubclass(kind, Source):
            return kind.outline(given)
        return Outline(partner=getattr(kind, "partner", None))  # as _Adopted has it
    except ValueError as error:
        raise ValueError(str(error).replace("config.data", key)) from error


def source_class(settings: Mapping) -> tuple[type, dict]:
    """(the class that `config.data` names, its arguments). Raises ValueError as open_source."""
    settings = dict(settings)
    name = settings.pop("source", None)
    if not isinstance(name, str):
        raise ValueError(
            "config.data lacks source: a name in gan_jax/data/sources, such as 'avatars' or"
            " 'folder'."
        )
    module = registry.by_name("data.sources", name, "config.data.source", "Source")
    return module.Source, settings


def check_path(path: str) -> None:
    """Raises ValueError where `config.data.path` is not there."""
    if not pathlib.Path(path).expanduser().exists():
        raise ValueError(f"config.data.path={path!r}: no such file or folder.")


def fingerprint(*parts) -> str:
    """SHA-256 of plain values, the same on every machine."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
