"""Pictures made smaller and worse, each with itself as it was: what a network that enlarges learns
from."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from gan_jax.data import degradations, geometry, source
from gan_jax.data.source import Batch, Outline, fingerprint, open_source
from gan_jax.runtime import registry

SALT = 0x5253  # apart from what else a sample's seed decides


@dataclasses.dataclass
class Source(source.Source):
    """The pictures of `of` in a batch's "target", and in "image" the same made `times` as small and
    shown at the old size: each pixel times x times, so that image[::times, ::times] is the small
    picture and both have one shape.

    Args:
        of: settings of a source as config.data has them, {"source": "folder", "path": "photos",
            "resolution": 256, "crop": "random"}, of RGB pictures.
        kind: "bicubic", made small and no more; "second_order", Real-ESRGAN's, with blur, noise and
            JPEG (data/degradations.py).
        times: 1 to 8.
        crop: pixels a side; of each picture a window of such a size at a place drawn by the
            sample's seed and number. None: the whole.
    Raises:
        ValueError: `of` can't be opened, or has other than three channels; sides that `times` does
            not divide.
    """

    of: dict
    kind: str = "bicubic"
    times: int = 4
    crop: int | None = None

    partner = "degraded"

    def __post_init__(self):
        self.source = open_source(self.of, "config.data.of")
        self.shape = shape_of(self.source.shape, self.crop, self.times)
        self.degrade = registry.choose(degradations.KINDS, self.kind, "config.data.kind")
        self.notes, self.colors = self.source.notes, dict(self.source.colors)
        self.split, self.names = self.source.split, self.source.names
        how = self.kind, self.times, self.crop
        self.fingerprint = fingerprint(self.partner, *how, self.source.fingerprint)
        self.reduced = self.times

    def __len__(self) -> int:
        return len(self.source)

    @classmethod
    def outline(cls, settings: Mapping) -> Outline:
        registry.choose(degradations.KINDS, settings["kind"], "config.data.kind")
        if not 1 <= settings["times"] <= 8:
            raise ValueError(f"config.data.times={settings['times']}: it must be 1 to 8.")
        about = source.outline(settings["of"], "config.data.of")
        shape = about.shape and shape_of(about.shape, settings["crop"], settings["times"])
        return Outline(shape, partner=cls.partner, reduced=settings["times"], colors=about.colors)

    def load(self, ids: np.ndarray, seeds: np.ndarray) -> Batch:
        batch = self.source.load(ids, seeds)
        ids, small, truth = batch.get("id", ids), [], []
        for picture, number, seed in zip(batch["image"], ids, seeds, strict=True):
            rng = np.random.default_rng([int(seed), int(number), SALT])
            if self.crop is not None:
                picture = geometry.cut(picture, self.shape[:2], tuple(rng.random(2)))
            truth.append(picture)
            small.append(self.degrade(picture, self.times, rng))
        image = np.stack(small).repeat(self.times, 1).repeat(self.times, 2)
        return {"id": ids, "image": image, "target": np.stack(truth)}


def shape_of(shape: tuple[int, int, int], crop: int | None, times: int) -> tuple[int, int, int]:
    """Of the pictures (H, W, C), what is shown. Raises ValueError where that can't be."""
    height, width, channels = shape
    if channels != 3:
        raise ValueError(
            f"config.data.of: pictures of {channels} channels; set config.data.of.channels=3."
        )
    if crop is not None:
        if not 1 <= crop <= min(height, width):
            raise ValueError(
                f"config.data.crop={crop}: it must be 1 to {min(height, width)}, the side of the"
                " pictures."
            )
        height = width = crop
    if height % times or width % times:
        raise ValueError(
            f"config.data.times={times}: pictures of {height} x {width}; their sides must be"
            f" multiples of {times}."
        )
    return height, width, channels
