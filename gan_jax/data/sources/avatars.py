"""The embedded data set: one person drawn in ten styles. Made on the spot from pip packages, no download.

A person is a skin and a hair colour; each of ten drawing styles draws every person, so style, skin and hair are known
of each image. The pairing is by attribute, not by pixel: haircut and expression are the style's own.
"""

import contextlib
import dataclasses
import hashlib
import json
import os
import pathlib
import shutil
import tempfile
import time
from collections.abc import Iterator

import numpy as np
import tensorflow_datasets as tfds

from gan_jax import lookup
from gan_jax.data import pipeline
from gan_jax.data.sources import Pictures, View, fingerprint, log

SKINS = {"porcelain": "f8d9c0", "peach": "eab38a", "tan": "d08b5b", "bronze": "ae6f3f", "brown": "7d4a2a", "dark": "4a2b1b"}
HAIRS = {
    "black": "231f20", "brown": "5a3825", "auburn": "a55728", "golden": "d6a04a",
    "platinum": "efe0b9", "gray": "9a9a9a", "red": "b03a2e", "blue": "3b6fb6",
}  # fmt: skip
SPLITS = ("train", "validation", "test")
VERSION = "1.0.0"
_CLEAR = {"backgroundColor": "ffffff00"}


@dataclasses.dataclass(frozen=True)
class Style:
    """How a DiceBear style is used: the square of its canvas that the head fills, and what would hide skin or hair."""

    x: float  # centre of that square
    y: float
    side: float  # shares of the canvas
    without: dict = dataclasses.field(default_factory=dict)  # component -> variants left out
    options: dict = dataclasses.field(default_factory=dict)


_HATS = "hat hijab turban winterHat1 winterHat02 winterHat03 winterHat04"
_MASKS = "catEars clownNose faceMask sailormoonCrown sleepMask"
STYLES = {
    "avataaars": Style(0.5, 0.46, 0.72, {"top": _HATS, "mouth": "vomit"}, {"topProbability": 100}),
    "adventurer": Style(0.5, 0.46, 0.8),
    "toon-head": Style(0.5, 0.43, 0.7, {}, {"beardProbability": 20}),
    "personas": Style(0.5, 0.45, 0.66, {"hair": "bald balding buzzcut beanie cap", "mouth": "pacifier"}),
    "pixel-art": Style(0.5, 0.49, 0.86, {}, {"hatProbability": 0, "glassesProbability": 10}),
    "big-ears": Style(0.5, 0.54, 0.78),
    "big-smile": Style(0.5, 0.51, 0.82, {"hair": "shavedHead", "accessories": _MASKS}, {"accessoriesProbability": 20}),
    "miniavs": Style(0.47, 0.52, 0.8, {"hair": "balndess slaughter"}),
    "dylan": Style(0.5, 0.47, 0.88, {}, _CLEAR),
    "voxel-art": Style(0.47, 0.38, 0.68, {"top": "cap beanie animalEars bunnyEars"}, {"topProbability": 100} | _CLEAR),
}
