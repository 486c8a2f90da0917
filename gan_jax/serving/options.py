"""What a request may say, and a sentence on what of it can't be."""

import math
from collections.abc import Mapping
from typing import Annotated, Self

import pydantic
from pydantic import Field

from gan_jax.inference.restore import MOST_TIMES
from gan_jax.inference.stylize import MOST_SEED

MOST_PICTURES = 64  # of one request
MOST_SHOWN = 40  # characters of a value that an error repeats

Seed = Annotated[int, Field(ge=0, le=MOST_SEED)]
Number = Annotated[float, Field(allow_inf_nan=False)]


class Options(pydantic.BaseModel):
    """Nothing else may be said than what a subclass has."""

    model_config = pydantic.ConfigDict(extra="forbid")


class Sample(Options):
    """Pictures from noise: `seeds`, or `n` from `seed` on, seed + 1, seed + 2 ..."""

    seed: Seed = 0
    n: Annotated[int, Field(ge=1, le=MOST_PICTURES)] = 1
    seeds: Annotated[list[Seed], Field(min_length=1, max_length=MOST_PICTURES)] | None = None
    label: str | None = None
    truncation: Number | None = None

    @pydantic.model_validator(mode="after")
    def _agree(self) -> Self:
        if self.seeds is not None and self.model_fields_set & {"seed", "n"}:
            raise ValueError("give seeds, or seed and n, not both")
        if self.seed + self.n - 1 > MOST_SEED:
            raise ValueError(f"the last seed, {self.seed + self.n - 1}, is above {MOST_SEED}")
        return self

    @property
    def all_seeds(self) -> list[int]:
        """A seed a picture."""
        return self.seeds or list(range(self.seed, self.seed + self.n))


class Stylize(Options):
    """A style: its class, a variant by `seed`, how much of it; `side`: first make the shorter side
    so many pixels."""

    style: str | None = None
    seed: Seed = 0
    strength: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] = 1.0
    side: Annotated[int, Field(ge=1, le=8192)] | None = None


class Restore(Options):
    """`scale`: of the result to the picture."""

    scale: Annotated[float, Field(gt=0, le=MOST_TIMES, allow_inf_nan=False)] = 4.0


class Inpaint(Options):
    """`grow`: pixels that holes are made larger by; `feather`: pixels over which what is drawn is
    blended into the picture."""

    grow: Annotated[int, Field(ge=0, le=256)] = 0
    feather: Annotated[int, Field(ge=0, le=256)] = 2


def read(kind: type[Options], said: Mapping, strict: bool = False) -> Options:
    """Raises ValueError, one sentence, where something is unknown or out of its range.

    strict: whether a number must be a number, not its digits.
    """
    try:
        return kind.model_validate(said, strict=strict)
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False)[0]
    known = ", ".join(kind.model_fields)
    if first["type"] == "extra_forbidden":
        raise ValueError(f"{shown(first['loc'][0])}: no such option. Known: {known}.")
    words = first["msg"].removeprefix("Value error, ")
    words = words.replace("Input should be", "it must be").replace("List should", "it should")
    if not first["loc"]:
        raise ValueError(f"{words}.")
    place = ".".join(map(str, first["loc"]))
    raise ValueError(f"{place}={shown(first['input'])}: {words}.")


def shown(value: object) -> str:
    """A value as an error repeats it."""
    finite = not isinstance(value, float) or math.isfinite(value)
    text = repr(value) if finite else str(value)
    return text if len(text) <= MOST_SHOWN else f"{text[: MOST_SHOWN - 3]}..."
