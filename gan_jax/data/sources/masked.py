"""Pictures with holes, each with itself as it was: what a network that fills holes learns from."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from gan_jax.data import masks, source
from gan_jax.data.source import Batch, Outline, fingerprint, open_source
from gan_jax.runtime import registry

SALT = 0x4D53  # apart from what else a sample's seed decides


@dataclasses.dataclass
class Source(source.Source):
    """The pictures of `of`, opaque, in a batch's "target", and in "image" the same with holes:
    transparent black pixels.

    Args:
        of: settings of a source as config.data has them, {"source": "folder", "path": "photos",
            "resolution": 256}, of RGB pictures.
        masks: "lama" for training, and its test masks "thin", "medium" and "thick"; "deepfill";
            "comodgan" (data/masks.py). A sample's is drawn by its seed and number.
        missing: the share of pixels that are missing lies above the first and is at most the
            second; other masks are drawn anew.
    Raises:
        ValueError: `of` can't be opened, or has other than three channels; no such masks.
    """

    of: dict
    masks: str = "lama"
    missing: tuple[float, float] = (0.0, 0.9)

    partner = "masked"

    def __post_init__(self):
        self.source = open_source(self.of, "config.data.of")
        self.shape = shape_of(self.source.shape)
        check(self.masks, self.missing)
        self.notes, self.colors = self.source.notes, dict(self.source.colors)
        self.split, self.names = self.source.split, self.source.names
        how = self.masks, list(self.missing)
        self.fingerprint = fingerprint(self.partner, *how, self.source.fingerprint)

    def __len__(self) -> int:
        return len(self.source)

    @classmethod
    def outline(cls, settings: Mapping) -> Outline:
        check(settings["masks"], settings["missing"])
        about = source.outline(settings["of"], "config.data.of")
        shape = about.shape and shape_of(about.shape)
        return Outline(shape, partner=cls.partner, colors=about.colors)

    def load(self, ids: np.ndarray, seeds: np.ndarray) -> Batch:
        batch = self.source.load(ids, seeds)
        ids = batch.get("id", ids)
        whole = np.full((len(ids), *self.shape), 255, np.uint8)
        whole[..., :3] = batch["image"]
        torn = whole.copy()
        for picture, number, seed in zip(torn, ids, seeds, strict=True):
            rng = np.random.default_rng([int(seed), int(number), SALT])
            picture[masks.draw(self.masks, self.shape[:2], rng, self.missing)] = 0
        return {"id": ids, "image": torn, "target": whole}


def check(kind: str, missing: tuple[float, float]) -> None:
    """Raises ValueError where one of these arguments of `Source` is none that it has."""
    registry.choose(masks.KINDS, kind, "config.data.masks")
    if len(missing) != 2 or not 0 <= missing[0] < missing[1] <= 1:
        raise ValueError(
            f"config.data.missing={missing}: give two shares within 0 and 1, the smaller first."
        )


def shape_of(shape: tuple[int, int, int]) -> tuple[int, int, int]:
    """Of RGB pictures (H, W, 3), what is shown. Raises ValueError for others."""
    height, width, channels = shape
    if channels != 3:
        raise ValueError(
            f"config.data.of: pictures of {channels} channels; set config.data.of.channels=3."
        )
    if min(height, width) < 32:
        raise ValueError(
            f"config.data.of: pictures of {height} x {width}; holes need 32 pixels a side or more."
        )
    return height, width, 4
