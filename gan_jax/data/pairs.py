"""Two sources as the two sides of a translation, and by which rule pictures belong together."""

from collections.abc import Mapping, Sequence

import numpy as np

from gan_jax.data import source
from gan_jax.data.source import Outline, Source
from gan_jax.runtime import registry

SIDES = ("a", "b")
NESTED = (*SIDES, "of")  # settings of config.data that are those of another source


def open_sides(a: Mapping, b: Mapping) -> tuple[Source, Source]:
    """The sources a and b, each from settings as config.data has them.

    Raises:
        ValueError: one can't be opened (an error names config.data.a or .b), or their pictures
            differ in shape.
    """
    named = zip(SIDES, (a, b), strict=True)
    sides = [source.open_source(settings, f"config.data.{name}") for name, settings in named]
    check_shapes(*sides)
    return tuple(sides)


def outline(settings: Mapping, partner: str) -> Outline:
    """Of a source with these sides. Raises ValueError as `open_sides`,
    as far as can be told before opening."""
    a, b = (source.outline(settings[name], f"config.data.{name}") for name in SIDES)
    check_shapes(a, b)
    colors = tuple(name for name in a.colors if name in b.colors)
    return Outline(a.shape, partner=partner, colors=colors)


def check_shapes(a: Source | Outline, b: Source | Outline) -> None:
    """Raises ValueError where two sides' pictures differ in shape, as far as that is known."""
    if None not in (a.shape, b.shape) and a.shape != b.shape:
        raise ValueError(
            f"config.data: a's pictures are {list(a.shape)}, b's {list(b.shape)}. Give both the"
            " same resolution and channels."
        )


def notes(a: Source, b: Source) -> tuple[str, ...]:
    """The notes of both, each with its side."""
    return tuple(
        f"{name}: {note}" for name, side in zip(SIDES, (a, b), strict=True) for note in side.notes
    )


def name_of(file: str) -> str:
    """The name by which a picture meets its partner: its path below its folder, without ending, in
    NFC (é is one character)."""
    return registry.normal(file.rpartition(".")[0])


def matched(sides: Mapping[str, Sequence[str]], place: str) -> np.ndarray:
    """int64 [n, 2]: the numbers of the pictures of one name, in the first side's order.

    Args:
        sides: what a side is called in errors -> its pictures' names.
        place: where the two come from, "config.data".
    Raises:
        ValueError: two pictures of one name on a side; a picture without a partner, named.
    """
    places = []
    for side, known in sides.items():
        places.append({name: i for i, name in enumerate(known)})
        if len(places[-1]) < len(known):
            twice = next(name for i, name in enumerate(known) if places[-1][name] != i)
            raise ValueError(
                f"{place}: two pictures of {side} are named {twice!r}; pairs go by name without"
                " ending."
            )
    alone = [
        f"{name!r} of {side}"
        for side, mine, others in zip(sides, places, places[::-1], strict=True)
        for name in mine
        if name not in others
    ]
    if alone:
        raise ValueError(
            f"{place}: {len(alone)} picture{'s lack' if len(alone) > 1 else ' lacks'} a partner of"
            f" the same name, first {', '.join(alone[:3])}. Add the other side's, or take these"
            " out."
        )
    return np.array([[i, places[1][name]] for name, i in places[0].items()], np.int64).reshape(
        -1, 2
    )
