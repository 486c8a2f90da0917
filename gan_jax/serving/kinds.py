"""What each kind of model does with a request. The pictures are made by the classes that the
commands use; what is theirs to compute goes through `Caller`, where requests meet."""

import abc
import math
import pathlib
from collections.abc import Mapping, Sequence

import jax
import numpy as np

from gan_jax.data.images import composite, in_channels, to_uint8
from gan_jax.data.quarantine import Remark
from gan_jax.inference import inpaint, restore, stylize
from gan_jax.inference.restore import Enlarger, Restorer
from gan_jax.inference.sampler import Sampler
from gan_jax.inference.stylize_pictures import resized, resized_shape
from gan_jax.runtime import registry
from gan_jax.runtime.text import file_name
from gan_jax.serving import options
from gan_jax.serving.called import RESTORED_TILE, Call, Restoring, Translating, translator
from gan_jax.serving.programs import Network, padded
from gan_jax.state import PyTree

PICTURE = "picture"  # the name of a request's own picture
TILE = 1024  # as of stylize.Stylizer: no picture or batch of more pixels goes through at once

Pictures = Mapping[str, np.ndarray]
Made = list[tuple[str, np.ndarray]]


class Kind(abc.ABC):
    """A model, ready to be served.

    Attributes:
        command: of gan-jax, that does the same.
        takes: the pictures of a request by name, and whether each must be there.
        options: what else it may say.
        network: its functions.
        classes: names of its classes, or styles.
        about: what it is, JSON.
        place: its folder or file, which errors do not show to clients.
    """

    command: str
    takes: Mapping[str, bool]
    options: type[options.Options]
    network: Network
    classes: tuple[str, ...] = ()
    about: dict
    place: str

    @abc.abstractmethod
    def examples(self) -> list[tuple[tuple, PyTree]]:
        """(call, one row) of the programs that are compiled before the first request."""

    @abc.abstractmethod
    def example(self) -> tuple[options.Options, Pictures]:
        """A request."""

    def result_size(self, wanted: options.Options, size: tuple[int, int]) -> tuple[int, int]:
        """(H, W) of what a picture of (H, W) becomes, before it is decoded."""
        return size

    @abc.abstractmethod
    def make(self, call: Call, wanted: options.Options, pictures: Pictures, remark: Remark) -> Made:
        """(file name, picture uint8 [H, W, C]) of each result.

        Args:
            call: a Caller.
            pictures: uint8 [H, W, C] by the names of `takes`.
            remark: gets what is to be said of it.
        Raises:
            ValueError: something that this model can't do.
        """


class Samples(Kind):
    """Draws pictures from noise."""

    command, takes, options = "sample", {}, options.Sample

    def __init__(self, sampler: Sampler):
        self.sampler, self.classes = sampler, sampler.classes
        pixels = math.prod(sampler.shape[:2])
        self.network = Network(sampler.ema, {"draw": self._draw}, TILE * TILE, pixels)
        self.styled = sampler.game.mixes_styles
        self.truncates = not self.styled and self._uses_truncation()

    def _draw(self, ema, z, y, psi, truncation):
        """psi: f32 [n], of a generator with styles, NaN for none: truncations share a program."""
        game = self.sampler.game
        if not self.styled:
            return game.sample(ema, z, y, truncation)
        styles, average = (game.styles(ema, z, y, each) for each in (None, 0.0))
        psi = psi[:, None, None]
        cut = average + psi * (styles - average)
        return game.render(ema, jax.numpy.where(jax.numpy.isnan(psi), styles, cut))

    def _uses_truncation(self) -> bool:
        """Whether the game's `sample` does something with it, not `latent` alone."""
        _, (z, y, _) = self._rows([0], [0], None)
        programs = [
            jax.make_jaxpr(lambda ema, z, y, t=t: self.sampler.game.sample(ema, z, y, t))(
                self.sampler.ema, z, y
            )
            for t in (None, 0.5)
        ]
        return str(programs[0]) != str(programs[1])

    def _rows(self, seeds: Sequence[int], labels: Sequence[int], truncation: float | None):
        z = self.sampler.latents(seeds, truncation)
        psi = np.full(len(seeds), np.nan if truncation is None else truncation, np.float32)
        y = np.asarray(labels, np.int32) if self.classes else None
        return ("draw", truncation if self.truncates else None), (z, y, psi)

    def examples(self):
        return [self._rows([0], [0], None)]

    def example(self):
        return options.Sample(truncation=0.9), {}

    def make(self, call, wanted, pictures, remark):
        seeds = wanted.all_seeds
        labels = [i % max(1, len(self.classes)) for i in range(len(seeds))]
        if wanted.label is not None:
            labels = [self.sampler.label(wanted.label, "label")] * len(seeds)
        program, rows = self._rows(seeds, labels, wanted.truncation)
        made = to_uint8(call(program, *rows))
        names = [f"{i:02d}_seed{seed}" for i, seed in enumerate(seeds)]
        if self.classes:
            names = [f"{x}_{self.classes[y]}" for x, y in zip(names, labels, strict=True)]
        return [(file_name(x, ".png"), one) for x, one in zip(names, made, strict=True)]


class Styles(Kind):
    """Puts pictures into styles."""

    command, takes, options = "stylize", {PICTURE: True}, options.Stylize

    def __init__(self, sampler: Sampler):
        self.sampler, self.classes = sampler, sampler.classes
        self.network = translator(sampler, TILE * TILE)

    def examples(self):
        proxy = Translating(self.sampler, None)
        z, y = proxy.noise(0, np.zeros(1, np.int32) if self.classes else None)
        x = np.zeros((1, *self.sampler.shape), np.float32)
        style = jax.eval_shape(self.sampler.game.style_from_noise, self.sampler.ema, z, y)
        style = np.zeros(style.shape, style.dtype)
        return [(("style",), (z, y)), (("restyle",), (padded(x, proxy.multiple), style))]

    def example(self):
        style = self.classes[0] if self.classes else None
        gray = np.full((*self.sampler.shape[:2], 3), 128, np.uint8)
        return options.Stylize(style=style), {PICTURE: gray}

    def result_size(self, wanted, size):
        return resized_shape(size, wanted.side)

    def make(self, call, wanted, pictures, remark):
        picture = pictures[PICTURE]
        if wanted.style is None and len(self.classes) > 1:
            raise ValueError(f"style: name one. {registry.suggest('', self.classes)}")
        proxy = Translating(self.sampler, call, wanted.strength)
        stylizer = stylize.Stylizer(proxy, strength=float(wanted.strength > 0))
        look = stylizer.looks([] if wanted.style is None else [wanted.style], wanted.seed)[0]
        made = stylizer(resized(picture, wanted.side)[None], look)[0]
        return [("picture.png", made)]


class Restores(Kind):
    """Makes pictures larger."""

    command, takes, options = "restore", {PICTURE: True}, options.Restore

    def __init__(self, enlarger: Enlarger, file: pathlib.Path):
        self.enlarger = enlarger._replace(params=jax.device_put(enlarger.params))
        self.file = file
        self.native = Restorer(self.enlarger, file, scale=1).native
        functions = {"enlarge": self._enlarge}
        self.network = Network(self.enlarger.params, functions, RESTORED_TILE**2)

    def _enlarge(self, params, x, times):
        return restore.enlarge(self.enlarger.net, self.native, times, params, x)

    def examples(self):
        return [(("enlarge", self.native), (np.zeros((1, 64, 64, 3), np.float32),))]

    def example(self):
        picture = np.full((64, 64, 3), 128, np.uint8)
        return options.Restore(scale=self.native), {PICTURE: picture}

    def result_size(self, wanted, size):
        return tuple(max(1, round(n * wanted.scale)) for n in size)

    def make(self, call, wanted, pictures, remark):
        restorer = Restoring(self.enlarger, self.file, call, wanted.scale)
        return [("picture.png", restorer.enlarged(pictures[PICTURE]))]


class Fills(Kind):
    """Fills holes in pictures: those of a mask, or what is not opaque."""

    command, takes, options = "inpaint", {PICTURE: True, "mask": False}, options.Inpaint

    def __init__(self, sampler: Sampler):
        self.sampler = sampler
        sides = inpaint.ENLARGED * max(sampler.shape[:2])
        self.network = translator(sampler, max(TILE, sides) ** 2)

    def examples(self):
        x = np.zeros((1, *self.sampler.shape), np.float32)
        x = x if self.sampler.fixed_size else padded(x, self.sampler.multiple)
        return [(("restyle",), (x, np.zeros((1, 0), np.float32)))]

    def example(self):
        picture = np.full((*self.sampler.shape[:2], 4), 255, np.uint8)
        picture[:2, :2, 3] = 0
        return options.Inpaint(), {PICTURE: picture}

    def make(self, call, wanted, pictures, remark):
        mask = pictures.get("mask")
        if mask is not None:
            mask = composite(mask, (0, 0, 0)) if mask.shape[-1] == 4 else mask
            mask = in_channels(mask, 1)[..., 0]
        holes = inpaint.Holes(mask, grow=wanted.grow)
        proxy = Translating(self.sampler, call)
        inpainter = inpaint.Inpainter(proxy, holes, feather=wanted.feather)
        made = inpainter(pictures[PICTURE][None])[0]
        if inpainter.reduced > 1:
            times = f"{inpainter.reduced:.1f}"
            remark(f"around the largest hole it was made {times} times as small for the network")
        return [("picture.png", made)]


BY_COMMAND = {"sample": Samples, "stylize": Styles, "inpaint": Fills}
