"""The embedded data set: one person drawn in ten styles. Made on the spot from pip packages, no
download.

A person is a skin and a hair colour; each of ten drawing styles draws every person, so style, skin
and hair are known of each image. The pairing is by attribute, not by pixel: haircut and expression
are the style's own.
"""

import contextlib
import dataclasses
import functools
import io
import json
import logging
import pathlib
import sys
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import tensorflow_datasets as tfds

from gan_jax.data import source
from gan_jax.data.cache import cache_root
from gan_jax.data.image_sets import Pictures
from gan_jax.data.source import Batch, Outline, fingerprint
from gan_jax.data.view import View
from gan_jax.runtime import registry
from gan_jax.runtime.files import file_hashes, made_once

SKINS = {
    "porcelain": "f8d9c0",
    "peach": "eab38a",
    "tan": "d08b5b",
    "bronze": "ae6f3f",
    "brown": "7d4a2a",
    "dark": "4a2b1b",
}
HAIRS = {
    "black": "231f20", "brown": "5a3825", "auburn": "a55728", "golden": "d6a04a",
    "platinum": "efe0b9", "gray": "9a9a9a", "red": "b03a2e", "blue": "3b6fb6",
}  # fmt: skip
SPLITS = ("train", "validation", "test")
VERSION = "1.0.0"
log = logging.getLogger(__name__)
_CLEAR = {"backgroundColor": "ffffff00"}
# personas' gloss on the face turns dark skin gray
_VEIL = 'fill="white" opacity=".36" style="mix-blend-mode:overlay"'


@dataclasses.dataclass(frozen=True)
class Style:
    """How a DiceBear style is used: the square of its canvas that the head fills, and what would
    hide skin or hair."""

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
    "personas": Style(
        0.5, 0.45, 0.66, {"hair": "bald balding buzzcut beanie cap", "mouth": "pacifier"}
    ),
    "pixel-art": Style(0.5, 0.49, 0.86, {}, {"hatProbability": 0, "glassesProbability": 10}),
    "big-ears": Style(0.5, 0.54, 0.78),
    "big-smile": Style(
        0.5,
        0.51,
        0.82,
        {"hair": "shavedHead", "accessories": _MASKS},
        {"accessoriesProbability": 20},
    ),
    "miniavs": Style(0.47, 0.52, 0.8, {"hair": "balndess slaughter"}),
    "dylan": Style(0.5, 0.47, 0.88, {}, _CLEAR),
    "voxel-art": Style(
        0.47,
        0.38,
        0.68,
        {"top": "cap beanie animalEars bunnyEars"},
        {"topProbability": 100} | _CLEAR,
    ),
}


@dataclasses.dataclass
class Source(source.Source):
    """People in ten drawing styles, 64 x 64 pixels or `resolution` where that is more, resized to
    `resolution`.

    Made on first use (under a minute for the default; cached by its settings) and checked against a
    SHA-256 manifest on every opening: a damaged cache is reported and made again. Split by person,
    never by image.

    Args:
        resolution: pixels, the square's side.
        labels: "style", "skin", "hair", or None for no labels.
        styles: which of STYLES, in the order of their labels.
        split: "train", "validation" or "test": 10/12, 1/12 and 1/12 of the people.
        identities: people in all three splits, at least 3.
        channels: 1 (gray), 3 (RGB) or 4 (RGBA, a sticker without background).
        flip: mirrored left-right at random, with probability 0.5.
        background: RGB behind the people, for 1 or 3 channels.
        data_dir: where to keep them; None: $GAN_JAX_DATA, else ~/.cache/gan_jax.
    Attributes:
        colors: "skin", "hair" -> f32 [len(self), 3], the true sRGB colours of 255.
        names: of each sample: of a single style the person's number, else that and the style.
        attributes: "identity", "style", "skin", "hair" -> int32 [len(self)]; names in STYLES,
            SKINS, HAIRS.
    Raises:
        ValueError: an unknown style, label or split; packages that are not there; a folder that
        can't be written.
    """

    resolution: int = 32
    labels: str | None = "style"
    styles: tuple[str, ...] = tuple(STYLES)
    split: str = "train"
    identities: int = 1200
    channels: int = 3
    flip: bool = False
    background: tuple[int, int, int] = (238, 242, 246)
    data_dir: str | None = None

    def __post_init__(self):
        view = View(self.resolution, self.channels, flip=self.flip, background=self.background)
        check(self.labels, self.styles, self.split, self.identities)
        names = names_of(self.styles)
        settings = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        root = cache_root(self.data_dir)
        config = _Config.of(self.identities, max(64, *view.size))
        folder, repairs = _cached(root, config)
        records = _read(folder, self.split, self.styles)
        self.attributes = {
            k: np.array([r[k] for r in records], np.int32) for k in ("identity", *names)
        }
        known = {"skin": SKINS, "hair": HAIRS}
        self.colors = {name: _rgb(table)[self.attributes[name]] for name, table in known.items()}
        labels = self.attributes[self.labels] if self.labels else None
        titles = [f"person {r['identity']}, style {r['style']}" for r in records]
        self._pictures = Pictures([r["image"] for r in records], titles, view, labels)
        assert len(self) == len(records), "a verified cache decodes"
        self.shape, self.classes = view.shape, names[self.labels] if self.labels else ()
        self.targets = self._pictures.targets
        self.names = (
            [str(record["identity"]) for record in records] if len(self.styles) == 1 else titles
        )
        self.fingerprint = fingerprint(
            settings | {"data_dir": None}, config.name, file_hashes(folder)
        )
        people = len(config.people(self.split))
        self.notes = (
            *repairs,
            (
                f"{len(self):,} avatars: {people:,} people in {len(self.styles)} styles"
                f" ({self.split}), from {folder}"
            ),
            f"licences of the drawings: {folder / 'LICENSE'}",
        )

    def __len__(self) -> int:
        return len(self._pictures)

    def load(self, ids: np.ndarray, seeds: np.ndarray) -> Batch:
        return self._pictures.load(ids, seeds)

    @classmethod
    def outline(cls, settings: Mapping) -> Outline:
        check(*(settings[name] for name in ("labels", "styles", "split", "identities")))
        labels = settings["labels"]
        classes = len(names_of(settings["styles"])[labels]) if labels else 0
        return Outline(View.of(settings).shape, classes, colors=("skin", "hair"))


def names_of(styles: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """The classes of each kind of label."""
    return {"style": tuple(styles), "skin": tuple(SKINS), "hair": tuple(HAIRS)}


def check(labels: str | None, styles: Sequence[str], split: str, identities: int) -> None:
    """Raises ValueError where one of these arguments of `Source` is none that it has."""
    if labels is not None:
        registry.choose(names_of(styles), labels, "config.data.labels")
    for style in styles or ("",):
        registry.choose(STYLES, style, "config.data.styles")
    registry.choose(dict.fromkeys(SPLITS), split, "config.data.split")
    if identities < 3:
        raise ValueError(
            f"config.data.identities={identities}: it must be at least 3, one person for each"
            " split."
        )


def _rgb(colors: dict[str, str]) -> np.ndarray:
    """Hexadecimal colours as f32 [n, 3] of 255."""
    return np.array([list(bytes.fromhex(code)) for code in colors.values()], np.float32)


def person(identity: int) -> tuple[int, int]:
    """(skin, hair) of a person; 48 in a row have each pair once."""
    return identity % len(SKINS), (identity + identity // 24) % len(HAIRS)


def draw(style: str, identity: int, size: int) -> bytes:
    """A person in a style, as PNG bytes of `size` x `size` RGBA."""
    import dicebear
    import resvg_py

    recipe, (skin, hair) = STYLES[style], person(identity)
    definition = _validated()[style]
    components = definition.components()
    chosen = {
        f"{k}Variant": [v for v in components[k].variants() if v not in out.split()]
        for k, out in recipe.without.items()
    }
    hair_color = list(HAIRS.values())[hair]
    options = {
        "seed": f"person-{identity}",
        "skinColor": list(SKINS.values())[skin],
        "hairColor": hair_color,
        "facialHairColor": hair_color,
        "scale": round(1 / recipe.side, 4),
        "translateX": round((0.5 - recipe.x) / recipe.side * 100, 2),
        "translateY": round((0.5 - recipe.y) / recipe.side * 100, 2),
    }
    svg = dicebear.Avatar(definition, options | chosen | recipe.options).to_string()
    svg = svg.replace(_VEIL, 'fill="none"')
    return bytes(
        resvg_py.svg_to_bytes(svg_string=svg, width=size, height=size, skip_system_fonts=True)
    )


def _definitions() -> dict[str, dict]:
    """Each style's drawing, from the installed package."""
    try:
        import dicebear  # noqa: F401
        import dicebear_styles
        import resvg_py  # noqa: F401
    except ImportError as error:
        raise ValueError(
            f"config.data.source='avatars' needs {error.name}: "
            "pip install dicebear-core==10.7.0 dicebear-styles==10.6.0 resvg-py==0.5.0"
        ) from error
    folder = pathlib.Path(next(iter(dicebear_styles.__path__)))
    return {name: json.loads((folder / f"{name}.json").read_text("utf-8")) for name in STYLES}


@functools.cache
def _validated() -> dict:
    """Each style as a dicebear.Style. Checking ten against their schema takes it four seconds."""
    import dicebear

    return {name: dicebear.Style(raw) for name, raw in _definitions().items()}


@dataclasses.dataclass
class _Config(tfds.core.BuilderConfig):
    """What decides the stored bytes; its name, and so the cache, changes with any of it."""

    identities: int = 0
    size: int = 0

    @classmethod
    def of(cls, identities: int, size: int) -> "_Config":
        definitions, recipe = (
            _definitions(),
            {name: dataclasses.asdict(style) for name, style in STYLES.items()},
        )
        import resvg_py

        made_of = fingerprint(
            VERSION, SKINS, HAIRS, recipe, _VEIL, definitions, resvg_py.__version__
        )
        return cls(
            name=f"{identities}x{size}-{made_of[:8]}",
            version=VERSION,
            identities=identities,
            size=size,
        )

    def people(self, split: str) -> range:
        end = self.identities
        held_out = max(1, end // 12)
        validation, test = end - 2 * held_out, end - held_out
        return range(
            *{"train": (0, validation), "validation": (validation, test), "test": (test, end)}[
                split
            ]
        )


class Avatars(tfds.core.GeneratorBasedBuilder):
    """One person, ten drawing styles."""

    VERSION = tfds.core.Version(VERSION)

    def _info(self) -> tfds.core.DatasetInfo:
        size = self.builder_config.size
        features = {
            "image": tfds.features.Image(shape=(size, size, 4), encoding_format="png"),
            "identity": np.int32,
            "style": tfds.features.ClassLabel(names=list(STYLES)),
            "skin": tfds.features.ClassLabel(names=list(SKINS)),
            "hair": tfds.features.ClassLabel(names=list(HAIRS)),
        }
        return tfds.core.DatasetInfo(
            builder=self,
            description=__doc__,
            features=tfds.features.FeaturesDict(features),
            homepage="https://www.dicebear.com",
            license=_licences(_definitions()),
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager) -> dict:
        return {
            split: self._generate_examples(self.builder_config.people(split)) for split in SPLITS
        }

    def _generate_examples(self, people: range) -> Iterator[tuple[int, dict]]:
        for identity in people:
            skin, hair = person(identity)
            for style, name in enumerate(STYLES):
                png = io.BytesIO(draw(name, identity, self.builder_config.size))
                labels = {"identity": identity, "style": style, "skin": skin, "hair": hair}
                yield identity * len(STYLES) + style, {"image": png} | labels


def _licences(definitions: dict[str, dict]) -> str:
    """The card: each style's creator, source and licence, in the package's own words."""
    lines = [
        "# Licences of the drawings",
        "",
        "Drawn by DiceBear; framed larger and recoloured here.",
        "",
    ]
    for name, definition in definitions.items():
        meta = definition["meta"]
        licence, creator, source = meta["license"], meta["creator"], meta["source"]
        lines.append(f"* {name}: {source['name']} by {creator['name']} ({creator['url']}), {licence['name']} "
                     f"({licence['url']}). {licence['text']}")  # fmt: skip
    return "\n".join(lines) + "\n"


def _cached(root: pathlib.Path, config: _Config) -> tuple[pathlib.Path, tuple[str, ...]]:
    """(the folder with the prepared data, notes on what was done for it)."""

    def make(aside: pathlib.Path) -> pathlib.Path:
        log.info("drawing %s avatars into %s, once", f"{config.identities * len(STYLES):,}", root)
        if not sys.stderr.isatty():
            tfds.disable_progress_bar()
        logging.getLogger("absl").addFilter(
            lambda record: "custom data configuration" not in record.getMessage()
        )
        builder = Avatars(config=config, data_dir=aside, file_format="array_record")
        with contextlib.redirect_stdout(
            None
        ):  # TFDS speaks of a download; its progress bar, on stderr, stays
            builder.download_and_prepare()
        return pathlib.Path(builder.data_dir)

    folder = root / "avatars" / config.name / VERSION
    try:
        return folder, made_once(folder, make)
    except OSError as error:
        raise ValueError(
            f"config.data.data_dir: the avatars can't be kept in {root}: {error}. "
            "Set config.data.data_dir or $GAN_JAX_DATA to a folder with 100 MB free."
        ) from error


def _read(folder: pathlib.Path, split: str, styles: tuple[str, ...]) -> list[dict]:
    """The records of some styles, the people's styles in a row; "style" counts in `styles`."""
    builder = tfds.builder_from_directory(folder)
    records = builder.as_data_source(split, decoders={"image": tfds.decode.SkipDecoding()})
    place = {list(STYLES).index(name): number for number, name in enumerate(styles)}
    return [
        record | {"style": place[int(record["style"])]}
        for record in records
        if int(record["style"]) in place
    ]
