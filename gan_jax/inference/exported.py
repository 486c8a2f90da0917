"""What `gan-jax export` wrote, read back:
programs with the weights inside, which need no code of the networks."""

import json
import os
import pathlib
import struct
from collections.abc import Callable

import jax
import numpy as np
from jax import export as jax_export

from gan_jax.inference import notebook, stylize
from gan_jax.inference.sampler import check_class_names, check_labels, is_size
from gan_jax.runtime import registry

DAMAGED = (
    *(OSError, LookupError, ValueError, TypeError, AttributeError, RecursionError),
    struct.error,
)
NOISE = "sampler.stablehlo"  # of a generator that draws from noise
RESTORERS = {"restore": "restore.stablehlo", "inpaint": "inpaint.stablehlo"}
"""Game.command -> the file of one that restores."""


class Exported:
    """A translator as `save_translator` left it in a folder: what Sampler has for translators,
    without its code.

    Attributes: as Sampler's of these names.
    """

    def __init__(self, folder: str | os.PathLike):
        """Raises ValueError where the folder lacks a file, or one is damaged, and where its
        generator draws from noise."""
        folder = pathlib.Path(folder)
        own = [name for name in RESTORERS.values() if (folder / name).is_file()]
        if own:
            raise ValueError(
                f"{folder}: an exported network that restores pictures. Call it as"
                f" gan_jax.inference.exported.load_stablehlo({str(folder / own[0])!r})(x); what x"
                " is stands in about.json."
            )
        if not (folder / "restyle.stablehlo").is_file() and (folder / NOISE).is_file():
            raise ValueError(
                f"{folder}: an exported generator that draws from noise. Only exported translators"
                " are loaded so; draw with this one by"
                f" gan_jax.inference.exported.load_stablehlo({str(folder / NOISE)!r})(z, y)."
            )
        try:
            about = json.loads((folder / "about.json").read_text("utf-8"))
            _check_about(about)
            self.step = folder
            self.shape = tuple(about["images"]["shape"][1:])
            self.classes = tuple(map(registry.normal, about["classes"]))
            self.multiple = self.least = about["multiple"]
            self._z = about["z"]
            self.restyle = load_stablehlo(folder / "restyle.stablehlo")
            self._part = load_stablehlo(folder / "restyle_part.stablehlo")
            self._style = load_stablehlo(folder / "style.stablehlo")
            path = folder / "style_from_picture.stablehlo"
            self.reads_styles = path.is_file()
            self.style_from_picture = load_stablehlo(path) if self.reads_styles else None
        except DAMAGED as error:
            raise ValueError(
                f"{folder}: no translator that `gan-jax export` wrote ({error})."
            ) from error

    def stylize(
        self,
        picture: stylize.Picture,
        *,
        style: str | None = None,
        reference: stylize.Picture | None = None,
        seed: int = 0,
        strength: float = 1.0,
    ) -> np.ndarray:
        """As Sampler's."""
        return stylize.stylize(
            self, picture, style=style, reference=reference, seed=seed, strength=strength
        )

    def part_of(self, whole: jax.Array) -> Callable[[jax.Array, jax.Array], jax.Array]:
        """As Sampler's; `whole` goes through the network with every part."""
        return lambda x, style: self._part(x, style, whole)

    def styles_from_noise(self, seed: int, y: jax.Array | None, n: int) -> jax.Array:
        """As Sampler's; z is standard normal."""
        z = np.repeat(np.asarray(jax.random.normal(jax.random.key(seed), (1, *self._z))), n, 0)
        return self._style(z, *(() if y is None else (y,)))

    def _repr_html_(self) -> str:
        size = "x".join(map(str, self.shape))
        lines = [f"exported translator, {size}", *notebook.class_line(self.classes)]
        return notebook.card(str(self.step), lines, None)


def load_stablehlo(path: str | os.PathLike) -> Callable[..., jax.Array]:
    """What was saved, to be called as the functions that save say; labels are held against
    about.json beside the file.

    Raises:
        ValueError: on calling it, as Sampler's: a label that is no class.
    """
    path = pathlib.Path(path)
    exported = jax_export.deserialize(bytearray(path.read_bytes()))
    classes = len(json.loads((path.parent / "about.json").read_text("utf-8"))["classes"])
    takes_labels = exported.in_avals[-1].dtype == np.int32

    def call(*args):
        if takes_labels and len(args) == len(exported.in_avals):
            check_labels(args[-1], classes, path)
        return exported.call(*args)

    return call


def _check_about(about: dict) -> None:
    """Raises ValueError, naming it, where something else stands in about.json than
    `gan-jax export` writes there."""
    fits = {
        "images' shape": _are_sizes(about["images"]["shape"][1:]),
        "z": about["z"] == [0] or _are_sizes(about["z"]),  # 0: a game with one style
        "multiple": is_size(about["multiple"]),
        "classes": isinstance(about["classes"], list)
        and all(isinstance(name, str) for name in about["classes"]),
    }
    for name, fit in fits.items():
        if not fit:
            raise ValueError(f"the {name} in about.json is not as it writes it")
    check_class_names(about["classes"], "about.json")


def _are_sizes(x: object) -> bool:
    return isinstance(x, list) and 0 < len(x) <= 4 and all(is_size(n) for n in x)
