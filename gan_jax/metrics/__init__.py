"""Measures of image sets: pure functions of features or of pictures, in float64 where the
definition needs it.

Features have a row a picture. What is too few, of unequal width or not finite is a ValueError that
says what was got and what is needed. Nothing here knows a network.
"""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Array, Float, Shaped

ROWS = 1024  # of a distance matrix held at a time


def features(
    measure: str, at_least: int, **sets: Shaped[Array, "..."]
) -> list[Float[Array, "_ F"]]:
    """The sets as float64 [n, F], after checking them; `measure` and the sets' names are for the
    errors.

    Raises:
        ValueError: a set of fewer than `at_least` rows, not of one width with the others, or with
            NaN or infinity.
    """
    checked, width = [], None
    for name, x in sets.items():
        x = np.asarray(x)
        if x.ndim != 2:
            raise ValueError(
                f"{measure}: {name} features must be [n, F], got shape {list(x.shape)}."
            )
        width = width or (name, x.shape[1])
        if x.shape[1] != width[1]:
            raise ValueError(
                f"{measure}: {name} features have {x.shape[1]} numbers a picture, {width[0]} ones"
                f" {width[1]}: they come from different networks. Measure both sets with one."
            )
        if len(x) < at_least:
            raise ValueError(
                f"{measure} needs at least {at_least:,} {name} images, got {len(x):,}."
            )
        if not np.isfinite(x).all():
            raise ValueError(
                f"{measure}: {name} image {int(np.flatnonzero(~np.isfinite(x).all(1))[0])} has a"
                " feature that is not finite. Look at that picture."
            )
        checked.append(x.astype(np.float64))
    return checked


def squared_distances(
    x: Float[Array, "N F"], y: Float[Array, "M F"]
) -> Iterator[tuple[slice, Float[Array, "rows M"]]]:
    """(rows of x, their squared Euclidean distances to all of y), block by block."""
    y2 = np.einsum("nf,nf->n", y, y)
    for start in range(0, len(x), ROWS):
        part = x[start : start + ROWS]
        d = np.einsum("nf,nf->n", part, part)[:, None] + y2 - 2 * part @ y.T
        yield slice(start, start + len(part)), np.maximum(d, 0)
