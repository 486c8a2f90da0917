"""How an encoded image becomes a training image."""

import dataclasses
import os
from collections.abc import Mapping
from typing import Self

import numpy as np

from gan_jax.data import decode, geometry
from gan_jax.data.quarantine import Remark, no_remark
from gan_jax.runtime import registry


@dataclasses.dataclass(frozen=True)
class View:
    """How an encoded image becomes a training image:
    the settings that the sources of pictures have in common."""

    resolution: int | tuple[int, int]  # a square's side, or (H, W)
    channels: int = 3
    crop: str = "center"
    enlarge: float = 1.0
    widest: float = 1.0
    resize: str = "lanczos"
    flip: bool = False
    rotate_degrees: float = 0.0
    background: tuple[int, int, int] = (255, 255, 255)
    half: str | None = None

    def __post_init__(self):
        if len(self.size) != 2 or not all(isinstance(n, int) and 1 <= n <= 8192 for n in self.size):
            raise ValueError(
                f"config.data.resolution={self.resolution!r}: it must be a side or (H, W), 1 to"
                " 8192 pixels."
            )
        if self.channels not in (1, 3, 4):
            raise ValueError(
                f"config.data.channels={self.channels}: it must be 1 (gray), 3 (RGB) or 4 (RGBA)."
            )
        registry.choose(dict.fromkeys(geometry.CROPS), self.crop, "config.data.crop")
        registry.choose(geometry.FILTERS, self.resize, "config.data.resize")
        if not 1 <= self.enlarge <= 8:
            raise ValueError(f"config.data.enlarge={self.enlarge}: it must be 1 to 8.")
        if self.enlarge > 1 and self.crop != "random":
            raise ValueError(
                f"config.data.enlarge={self.enlarge}: it goes with crop='random' only, here"
                f" {self.crop!r}."
            )
        if not 1 <= self.widest <= 64:
            raise ValueError(f"config.data.widest={self.widest}: it must be 1 to 64.")
        if self.widest > 1 and (self.crop != "random" or self.resize == "nearest"):
            raise ValueError(
                f"config.data.widest={self.widest}: it goes with crop='random' only, and not with"
                f" resize='nearest'; here {self.crop!r} and {self.resize!r}."
            )
        if self.half is not None:
            registry.choose(geometry.HALVES, self.half, "config.data.half")
        if not 0 <= self.rotate_degrees <= 180:
            raise ValueError(
                f"config.data.rotate_degrees={self.rotate_degrees}: it must be 0 to 180, the most"
                " to turn by."
            )
        if len(self.background) != 3 or not all(
            isinstance(n, int) and 0 <= n <= 255 for n in self.background
        ):
            raise ValueError(
                f"config.data.background={self.background!r}: it must be (red, green, blue), each 0"
                " to 255."
            )

    @classmethod
    def of(cls, settings: Mapping) -> Self:
        """The view that a source's settings ask for; others among them are passed over."""
        fields = (field.name for field in dataclasses.fields(cls))
        return cls(**{name: settings[name] for name in fields if name in settings})

    @property
    def size(self) -> tuple[int, int]:
        return (
            (self.resolution,) * 2 if isinstance(self.resolution, int) else tuple(self.resolution)
        )

    @property
    def shape(self) -> tuple[int, int, int]:
        return *self.size, self.channels

    def read(self, file: os.PathLike | bytes, remark: Remark = no_remark) -> np.ndarray:
        """Decoded and resized, uint8 [H, W, C]; for random crops uint8 [>=H, >=W, C], which covers
        between `enlarge` and `widest` times the resolution. Raises ImageRejected."""
        height, width = (round(n * max(self.enlarge, self.widest)) for n in self.size)
        cover = height, width if self.half is None else 2 * width
        cover = None if self.resize == "nearest" else cover
        with decode.decoded(
            file, channels=self.channels, background=self.background, cover=cover, remark=remark
        ) as image:
            shown = image if self.half is None else geometry.half(image, self.half)
            scales = (have / n for have, n in zip(shown.shape[:2], self.size, strict=True))
            scale = max(self.enlarge, min(*scales, self.widest))
            size = tuple(round(n * scale) for n in self.size)
            if any(have < n for have, n in zip(shown.shape[:2], size, strict=True)):
                remark(f"fewer than {size[0]} x {size[1]} pixels, enlarged, which blurs them")
            return geometry.fit(shown, size, self.crop, self.resize)

    def window(self, image: np.ndarray, at: tuple[float, float], width: float) -> np.ndarray:
        """What a sample shows of an image that `read` gave, uint8 [H, W, C]: a window of it, up to
        `widest` times the resolution wide, resized to that.

        at, width: in [0, 1), its place (y, x) and, in the logarithm, its size.
        """
        room = min(have / n for have, n in zip(image.shape[:2], self.size, strict=True))
        scale = max(1.0, min(room, self.widest)) ** width
        size = tuple(
            min(round(n * scale), have) for n, have in zip(self.size, image.shape[:2], strict=True)
        )
        return geometry.fit(geometry.cut(image, size, at), self.size, "stretch", self.resize)
