"""What each kind of model does with a request. The pictures are made by the classes that the
commands use; what is theirs to compute goes through `Caller`, where requests meet."""

import abc
import hashlib
import math
import pathlib
from collections.abc import Callable, Iterable, Mapping, Sequence

import jax
import numpy as np

from gan_jax import checkpoint
from gan_jax.checkpoint import shared
from gan_jax.data.images import composite, in_channels, to_uint8
from gan_jax.data.quarantine import Remark
from gan_jax.inference import inpaint, loading, restore, stylize
from gan_jax.inference.restore import MULTIPLE, Enlarger, Restorer
from gan_jax.inference.sampler import Sampler, algorithm_of
from gan_jax.inference.share import KINDS
from gan_jax.inference.stylize_pictures import resized, resized_shape
from gan_jax.nn.guided_filter import guided_mix
from gan_jax.runtime import registry
from gan_jax.runtime.text import file_name
from gan_jax.serving import options
from gan_jax.serving.programs import Network, padded
from gan_jax.state import PyTree

PICTURE = "picture"  # the name of a request's own picture
TILE = 1024  # as of stylize.Stylizer: no picture or batch of more pixels goes through at once
RESTORED_TILE = 256  # as of restore.Restorer

Call = Callable[..., PyTree]
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
        row = padded(x, self.sampler.multiple), np.zeros((1, 0), np.float32)
        return [(("restyle",), row)]

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


class Translating:
    """What Stylizer and Inpainter need of a translator's Sampler, through a Caller.

    Args:
        strength: of a style, see nn.guided_filter.guided_mix.
    """

    least, reads_styles, style_from_picture = 1, False, None

    def __init__(self, sampler: Sampler, call: Call, strength: float = 1.0):
        self.sampler, self.call, self.strength = sampler, call, strength
        self.shape, self.classes, self.step = sampler.shape, sampler.classes, sampler.step
        self.multiple = sampler.multiple

    def restyle(self, x: np.ndarray, style: np.ndarray) -> np.ndarray:
        return self._mixed(x, ("restyle",), style)

    def part_of(self, whole: np.ndarray) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
        moments = None

        def restyled(x, style):
            nonlocal moments
            if moments is None:
                moments = self.call(("moments",), padded(whole, self.multiple), style)
            return self._mixed(x, ("part",), style, moments)

        return restyled

    def styles_from_noise(self, seed: int, y: np.ndarray | None, n: int) -> np.ndarray:
        z, y = self.noise(seed, y)
        return self.call(("style",), np.repeat(z, n, 0), y)

    def noise(self, seed: int, y: np.ndarray | None) -> tuple[np.ndarray, np.ndarray | None]:
        """(z f32 [1, Z], y)."""
        return np.asarray(self.sampler.game.latent(jax.random.key(seed), 1)), y

    def _mixed(self, x, program, *rows):
        height, width = x.shape[1:3]
        x = padded(x, self.multiple)
        made = self.call(program, x, *rows)
        if self.strength < 1:
            made = self.call(("mix",), x, made, np.full(len(x), self.strength, np.float32))
        return made[:, :height, :width]


def translator(sampler: Sampler, most_pixels: int) -> Network:
    """The functions that Translating calls."""
    game = sampler.game

    def mixed(x, made, strength):
        made = jax.numpy.clip(made, -1, 1)
        return guided_mix(x[None], made[None], strength)[0]

    functions = {
        "restyle": lambda ema, x, style: game.restyle(ema, x, style, None),
        "moments": game.moments,
        "part": game.restyle,
        "style": game.style_from_noise,
        "mix": lambda ema, x, made, strength: jax.vmap(mixed)(x, made, strength),
    }
    return Network(sampler.ema, functions, most_pixels)


class Restoring(Restorer):
    """A Restorer whose network is called through a Caller."""

    def __init__(self, enlarger: Enlarger, file: pathlib.Path, call: Call, scale: float):
        super().__init__(enlarger, file, scale=scale, tile=RESTORED_TILE)
        self.call = call

    def run(self, x, times):
        height, width = (times * n for n in x.shape[1:3])
        return self.call(("enlarge", times), padded(x, MULTIPLE))[:, :height, :width]


BY_COMMAND = {"sample": Samples, "stylize": Styles, "inpaint": Fills}


def load(name: str, trusted: Iterable[str] = ()) -> Kind:
    """The model that `name` is: a run's workdir, one step's folder, a shared model, one of the zoo,
    or a name in restore.MODELS.

    Args:
        trusted: dotted paths of modules that may be imported where a run names them.
    Raises:
        ValueError: no such model.
    """
    path = pathlib.Path(name)
    if name in restore.MODELS and not path.exists():
        enlarger, file = restore.load(name)
        kind = Restores(enlarger, file)
        return described(kind, name, file, "Real-ESRGAN", restore.LICENSE, enlarger.params)
    sampler = loading.load_sampler(path, trusted=trusted)
    if sampler.game.command == "restore":
        params = jax.device_get(sampler.ema["params"]["g"])
        kind = Restores(Enlarger(sampler.game.g, params), sampler.step)
    else:
        kind = BY_COMMAND[sampler.game.command](sampler)
    found = checkpoint.find(path)
    algorithm = algorithm_of(sampler.game)
    kind = described(kind, path.name, found, algorithm, license_of(found), sampler.ema)
    kind.about |= {"size": list(sampler.shape), "checkpoint": sampler.step.name}
    return kind


def described(
    kind: Kind, name: str, place: pathlib.Path, algorithm: str, license: str, weights: PyTree
) -> Kind:
    """With its `about` and `place`."""
    kind.place = str(place)
    leaves = checkpoint.named(weights)
    kind.about = {
        "name": name,
        "does": KINDS[kind.command],
        "route": f"/v1/{kind.command}",
        "algorithm": algorithm,
        "classes": list(kind.classes),
        "weights": sum(x.size for x in leaves.values()),
        "sha256": digest(leaves),
        "license": license,
    }
    return kind


def digest(leaves: Mapping[str, np.ndarray]) -> str:
    """The SHA-256 of weights: of each, in the order of their names, the name, type and shape as
    "name float32 3x3\\n", and its bytes."""
    found = hashlib.sha256()
    for name, x in sorted(leaves.items()):
        x = np.ascontiguousarray(x)
        found.update(f"{name} {x.dtype} {'x'.join(map(str, x.shape))}\n".encode())
        found.update(x.tobytes())
    return found.hexdigest()


def license_of(folder: pathlib.Path) -> str:
    """The sentence of a shared model's page that begins with "License:"."""
    card = folder / shared.CARD
    words = " ".join(card.read_text("utf-8").split()) if card.is_file() else ""
    _, _, rest = words.partition("License: ")
    return rest.partition(". ")[0].rstrip(".") or "none stated: ask who trained it"
