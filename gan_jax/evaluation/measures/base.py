"""What a measure is: a sentence, what it needs, the values it gives,
the function that computes them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from gan_jax.evaluation.images import Sets
from gan_jax.pretrained import Net

if TYPE_CHECKING:  # it checks the names of measures, so it imports them
    from gan_jax.evaluation.protocol import Protocol


@dataclasses.dataclass(frozen=True)
class Value:
    """One number of a record: everything that a reader must know to compare it.

    Attributes:
        better: 1: higher is better; -1: lower; 0: neither, as of a control.
        about: what it says, in one phrase.
        error: name of the value that is its standard error or standard deviation; None: it has
            none.
        control_of: name of the value that this one is the control of: the same measure of real
            pictures, of the untouched input or of a shuffled pairing.
    """

    better: int
    about: str
    error: str | None = None
    control_of: str | None = None


@dataclasses.dataclass(frozen=True)
class Needs:
    """What must be there before a measure can be taken; `lacking` derives the reason from it.

    Attributes:
        features: the sets whose features it reads, names in gather.SETS.
        moments: whether it also reads mean and covariance of the features of "fake" and "real".
        logits: whether the net must classify.
        generated, real: images, at least.
        held_out: "control": held-out real pictures are used where they are given; "required".
        labels: whether all sets must have the same classes, and images of each.
        translator: whether the pictures must be translations of others.
        contents: pictures to translate, at least.
        truth: whether each picture's true translation must be known.
        side: pixels a side, at least.
        colors: whether the pictures' true colors (skin, hair) must be known.
        varied: whether the translator must draw its styles.
    """

    features: tuple[str, ...] = ()
    moments: bool = False
    logits: bool = False
    generated: int = 3
    real: int = 3
    held_out: Literal["control", "required"] | None = None
    labels: bool = False
    translator: bool = False
    contents: int = 0
    truth: bool = False
    side: int = 0
    colors: bool = False
    varied: bool = False

    def lacking(self, name: str, protocol: Protocol, sets: Sets, net: Net) -> str | None:
        """Why the measure `name` can't be taken, as one sentence with the fix; None: it can."""
        if self.moments and not net.dim:
            return f"{name} needs a net of a fixed number of features, and {net.name} has none."
        generated, real = (
            max(least, net.dim + 1) if self.moments else least
            for least in (self.generated, self.real)
        )
        if sets.fake.count < generated:
            return (
                f"{name} needs at least {generated:,} generated images, got"
                f" {sets.fake.count:,}: make more (config.eval.images)."
            )
        reference = min(protocol.reference, sets.real.count)
        if reference < real:
            return (
                f"{name} needs at least {real:,} real images, got {reference:,}: give more"
                " (config.eval.reference)."
            )
        if self.held_out and sets.held_out is not None and sets.held_out.count < 3:
            return f"{name} needs at least 3 held-out images, got {sets.held_out.count}."
        if self.translator and (reason := self._lacking_of_translator(name, sets)):
            return reason
        if self.logits and not net.n_logits:
            return (
                f"{name} needs a net that classifies, and {net.name} does not: use"
                " features='inception' or 'efflite0'."
            )
        if self.labels and (sets.fake.labels is None or sets.real.labels is None):
            return (
                f"{name} needs labels on both sides: a conditional generator, folders with class"
                " sub-folders."
            )
        if self.held_out == "required" and sets.held_out is None:
            return (
                f"{name} needs held-out real pictures to test on (config.eval.held_out, as in"
                " {'split': 'test'})."
            )
        return self._lacking_classes(name, sets) if self.labels else None

    def _lacking_of_translator(self, name: str, sets: Sets) -> str | None:
        if sets.contents is None:
            return f"{name} is of translators, which turn pictures into pictures."
        if self.truth and sets.truth is None:
            return f"{name} needs each picture's true translation: config.data.source='paired'."
        if self.side and min(sets.real.load(np.arange(1)).shape[1:3]) < self.side:
            return f"{name} needs pictures of at least {self.side} pixels a side."
        if self.colors and not (sets.contents.colors and sets.real.colors):
            return (
                f"{name} needs pictures whose skin and hair are known:"
                " config.data.source='avatars'."
            )
        if self.varied and not sets.varied:
            return f"{name} needs a translator that draws its styles; this one has one style."
        if sets.contents.count < self.contents:
            return (
                f"{name} needs at least {self.contents} pictures to translate, got"
                f" {sets.contents.count} (config.eval.held_out)."
            )
        return None

    def _lacking_classes(self, name: str, sets: Sets) -> str | None:
        sides = {"generated": sets.fake, "real": sets.real, "held-out": sets.held_out}
        sides = {kind: side for kind, side in sides.items() if side is not None}
        if any(side.classes != sets.real.classes for side in sides.values()):
            return f"{name} needs the same classes on all sides."
        for kind, side in sides.items():
            absent = set(range(len(side.classes))) - set(side.labels)
            if absent:
                return (
                    f"{name} needs images of every class, and {side.classes[min(absent)]!r} has"
                    f" none {kind}."
                )
        return None


@dataclasses.dataclass(frozen=True)
class Picture:
    """A picture that shows what a measure found: uint8 [H, W, C], and what is to be seen on it."""

    pixels: np.ndarray
    caption: str


@dataclasses.dataclass(frozen=True)
class Result:
    """What a measure found. In names "{net}" stands for the suffix of the net that saw the
    pictures.

    Attributes:
        values: name -> number; each is declared in Measure.values, as a value or as its error.
        curves: name -> corruption -> [[strength, value], ...].
        groups: a value's name -> class -> number.
        tables: name -> {"columns": [...], "rows": [[...], ...]}.
        pictures: name -> function that draws the Picture; called where there is a folder for it.
        notes: a value's name -> what must be said beside it.
    """

    values: Mapping[str, float] = dataclasses.field(default_factory=dict)
    curves: Mapping[str, Mapping] = dataclasses.field(default_factory=dict)
    groups: Mapping[str, Mapping[str, float]] = dataclasses.field(default_factory=dict)
    tables: Mapping[str, Mapping] = dataclasses.field(default_factory=dict)
    pictures: Mapping[str, Callable[[], Picture]] = dataclasses.field(default_factory=dict)
    notes: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Measure:
    """Something that a set of pictures is measured by: a name in config.eval.metrics.

    Attributes:
        name: as in config.eval.metrics.
        about: what it answers, in one sentence.
        needs: what must be there.
        values: the values it may give. In a name "{net}" stands for the suffix of the net
            ("_efflite0"; "" for the Inception), "{each}" for each of `each`.
        compute: gather.Given -> Result. A pure function, called on process 0 alone: what it needs
            of the other processes is gathered before.
        gather: gather.Gathering -> whatever `compute` then finds in Given.own. Called on all
            processes, for sets of pictures of which only this measure needs the features.
        curves: as `values`, of the curves it may give.
        each: (protocol, sets) -> what "{each}" stands for.
        counts: (protocol, sets) -> what else it lacks, as pictures of single classes, as one
            sentence, or None. Asked of opened data only: before that nobody knows how many pictures
            a class has.
        order: of the measures in lists and logs, the smallest first.
        nets: names in pretrained.NETS of the nets that it is taken by; (): those of
            config.eval.features.
    """

    name: str
    about: str
    needs: Needs
    values: Mapping[str, Value]
    compute: Callable[[Any], Result]
    gather: Callable[[Any], Any] | None = None
    curves: Mapping[str, Value] = dataclasses.field(default_factory=dict)
    each: Callable[[Protocol, Sets], Iterable[str]] | None = None
    counts: Callable[[Protocol, Sets], str | None] | None = None
    order: int = 1000
    nets: tuple[str, ...] = ()

    @property
    def by_net(self) -> bool:
        """Whether its values name the net that saw the pictures."""
        return any("{net}" in name for name in (*self.values, *self.curves))

    def lacking(
        self, protocol: Protocol, sets: Sets, net: Net, *, opened: bool = True
    ) -> str | None:
        """Why it can't be taken, as one sentence with the fix; None: it can.

        opened: whether the sets' labels are the data's own, so that a class can be said to lack
            pictures.
        """
        reason = self.needs.lacking(self.name, protocol, sets, net)
        if reason is None and opened and self.counts is not None:
            reason = self.counts(protocol, sets)
        return reason

    def declared(self, protocol: Protocol, sets: Sets, net: Net) -> dict[str, Value]:
        """Full name -> Value, of all values it may give with this net, on these sets."""
        return self._expanded(self.values, protocol, sets, net)

    def declared_curves(self, protocol: Protocol, sets: Sets, net: Net) -> dict[str, Value]:
        """As `declared`, of its curves."""
        return self._expanded(self.curves, protocol, sets, net)

    def _expanded(self, declared, protocol, sets, net) -> dict[str, Value]:
        found = {}
        for name, value in declared.items():
            several = self.each(protocol, sets) if "{each}" in name else ("",)
            for one in several:
                full = full_name(name, net, one)
                found[full] = Value(
                    value.better,
                    value.about.replace("{each}", str(one)),
                    value.error and full_name(value.error, net, one),
                    value.control_of and full_name(value.control_of, net, one),
                )
        return found


def full_name(name: str, net: Net, each: object = "") -> str:
    """ "kid{net}" -> "kid_efflite0"."""
    return name.replace("{net}", net.suffix).replace("{each}", str(each))
