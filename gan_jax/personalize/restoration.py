"""A person's picture, small or damaged, drawn anew by that person's generator: what it lost is what
the person looks like. Nitzan et al. 2022 (MyStyle), arXiv:2203.17272."""

import pathlib
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, UInt8

from gan_jax.data import geometry
from gan_jax.data.images import composite, in_channels
from gan_jax.data.quarantine import ImageRejected
from gan_jax.inference.inpaint import Holes, joined
from gan_jax.inference.stylize import Look
from gan_jax.personalize.person import Person
from gan_jax.personalize.pictures import fitted
from gan_jax.personalize.prior import Projection

LEAST = 8  # pixels a side of what is known of a picture
MOST_SIDE = 1024  # pixels of a result
NOTHING = Look("", np.zeros(0, np.float32))


class Origin(NamedTuple):
    """In the place of a stylizer's sampler."""

    step: pathlib.Path
    classes: tuple[str, ...] = ()


class PersonRestorer:
    """A person, ready to redraw pictures of theirs; in the place of a Stylizer.

    Without `holes` a picture is enlarged: it is searched for among the person's, as small as it is.
    With `holes` those are filled: it is searched for by what is left, and the rest stays.

    Args:
        scale: of the result to the picture, without holes.
        feather: pixels over which what is drawn is blended into the picture around holes.
        steps: of a search.
        log: takes (step, LPIPS of what is known), now and then.
    Raises:
        ValueError: a number out of its range.
    Attributes:
        found: None, for no faces are looked for.
        deep, keeps: as a Stylizer's.
    """

    found: int | None = None
    deep = False

    def __init__(
        self,
        person: Person,
        holes: Holes | None = None,
        *,
        scale: float = 4.0,
        feather: int = 2,
        steps: int = 200,
        log: Callable[[int, float], None] | None = None,
    ):
        if not 0 < scale <= 16:
            raise ValueError(f"--scale={scale:g}: it must be above 0, and at most 16.")
        self.person, self.holes, self.scale, self.feather = person, holes, scale, feather
        anchors = person.ws.mean(1)  # a style each, of the person's pictures
        self.project = Projection(person.base, person.params, anchors, steps=steps)
        self.sampler, self.log, self.keeps = Origin(person.folder), log, holes is not None

    def __call__(self, pictures: np.ndarray, look: Look = NOTHING) -> np.ndarray:
        """uint8 [n, H, W, 1, 3 or 4], about square, the head as large in it as in the person's
        pictures -> redrawn, RGB or RGBA as the base has it, or filled.

        Raises ImageRejected: a picture that is not square, or too small; a result of more than
        MOST_SIDE pixels a side; as `Holes.of`.
        """
        return np.stack([self._restored(picture) for picture in pictures])

    def _restored(self, picture: UInt8[np.ndarray, "H W C"]) -> np.ndarray:
        height, width = picture.shape[:2]
        if min(height, width) < LEAST or max(height, width) > 1.1 * min(height, width):
            raise ImageRejected(
                f"{width}x{height}: a person is redrawn in a square picture of {LEAST} pixels or"
                " more; cut it around the head, as the pictures that the person was made from"
            )
        if self.holes is not None:
            return self._filled(picture, self.holes.of(picture))
        size = tuple(max(1, round(n * self.scale)) for n in (height, width))
        if max(size) > MOST_SIDE:
            raise ImageRejected(
                f"{width}x{height} would become {size[1]}x{size[0]}, more than {MOST_SIDE} pixels a"
                " side; give a smaller --scale"
            )
        side = self.person.base.shape[0]
        smaller = (n for n in range(1, side + 1) if side % n == 0)
        times = next(n for n in smaller if side // n <= max(height, LEAST))
        shape = (side // times, side // times, self.person.base.shape[2])
        ws, _ = self.project(fitted(squared(picture), shape), times=times, log=self.log)
        return self._drawn(ws, size)

    def _filled(self, picture: UInt8[np.ndarray, "H W C"], missing: Bool[np.ndarray, "H W"]):
        base, size = self.person.base, picture.shape[:2]
        known = np.where(missing, 0, 255)[..., None].astype(np.uint8)
        known = geometry.fit(known, base.shape[:2], "stretch")
        mask = (known[..., 0] == 255).astype(np.float32)
        ws, _ = self.project(fitted(squared(picture), base.shape), mask=mask, log=self.log)
        drawn = self._drawn(ws, size)
        if base.has_alpha:
            drawn = composite(drawn, ground_of(picture, missing))
        return joined(picture, drawn, missing, self.feather, keeps_alpha=self.holes.given)

    def _drawn(self, ws: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """A style for each layer [L, W] as a picture uint8 [*size, C]; larger than the base's in
        flat colors where it draws in them, else enlarged."""
        base = self.person.base
        times = -(-max(size) // base.shape[0])
        if times > 1 and base.draws_colors:
            made = base.large(ws[None], times, self.person.params)[0]
        else:
            made = base.pictures(ws[None], self.person.params)[0]
        return geometry.fit(made, size, "stretch")


def squared(picture: UInt8[np.ndarray, "H W C"]) -> UInt8[np.ndarray, "n n C"]:
    """A picture that is about square, stretched to be so: as results are stretched back."""
    height, width = picture.shape[:2]
    side = max(height, width)
    return picture if height == width else geometry.fit(picture, (side, side), "stretch")


def ground_of(
    picture: UInt8[np.ndarray, "H W C"], missing: Bool[np.ndarray, "H W"]
) -> tuple[int, int, int]:
    """The median RGB color of what is known at a picture's edge, which shows where the person is
    clear; white where nothing of it is known."""
    edge = np.ones(missing.shape, bool)
    edge[1:-1, 1:-1] = False
    known = in_channels(picture[..., :3], 3)[edge & ~missing]
    return tuple(int(x) for x in np.median(known, 0)) if len(known) else (255, 255, 255)
