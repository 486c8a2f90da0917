"""Two sources as the two sides of a translation: what `unpaired` and `paired` share."""

from collections.abc import Mapping

from gan_jax.data import pipeline

SIDES = ("a", "b")


def open_sides(**settings: Mapping) -> tuple[pipeline.Source, pipeline.Source]:
    """The sources a and b, each from settings as config.data has them.

    Raises:
        ValueError: one can't be opened (an error names config.data.a or .b), or their pictures differ in shape.
    """
    sides = []
    for name in SIDES:
        try:
            sides.append(pipeline.open_source(settings[name]))
        except ValueError as error:
            raise ValueError(str(error).replace("config.data", f"config.data.{name}")) from error
    a, b = sides
    if a.shape != b.shape:
        raise ValueError(
            f"config.data: a's pictures are {list(a.shape)}, b's {list(b.shape)}. Give both the same resolution and channels."
        )
    return a, b


def notes(a: pipeline.Source, b: pipeline.Source) -> tuple[str, ...]:
    """What both have to say."""
    return tuple(f"{name}: {note}" for name, side in zip(SIDES, (a, b), strict=True) for note in side.notes)
