"""The embedded data set: people, each drawn in ten styles (data/drawings.py), made on first use."""

import contextlib
import dataclasses
import io
import logging
import pathlib
import sys
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import tensorflow_datasets as tfds

from gan_jax.data import drawings, source
from gan_jax.data.cache import cache_root
from gan_jax.data.drawings import HAIRS, SKINS, STYLES
from gan_jax.data.image_sets import Pictures
from gan_jax.data.source import Batch, Outline, fingerprint
from gan_jax.data.view import View
from gan_jax.runtime import registry
from gan_jax.runtime.files import file_hashes, made_once

SPLITS = ("train", "validation", "test")
VERSION = "1.0.0"
DESCRIPTION = (
    "The embedded data set: one person drawn in ten styles. Made on the spot from pip packages, no"
    " download.\n\nA person is a skin and a hair color; each of ten drawing styles draws every"
    " person, so style, skin and hair are known\nof each image. The pairing is by attribute, not"
    " by pixel: haircut and expression are the style's own.\n"
)
log = logging.getLogger(__name__)


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
        fingerprint: of the settings and the cache's files. TFDS orders the features of a record
            anew in every process, so a cache that is made again has another; hosts of one run
            share one.
        colors: "skin", "hair" -> f32 [len(self), 3], the true sRGB colors of 255.
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
        self.names = [str(r["identity"]) for r in records] if len(self.styles) == 1 else titles
        decides = settings | {"data_dir": None}
        self.fingerprint = fingerprint(decides, config.name, file_hashes(folder))
        people = f"{len(config.people(self.split)):,} people in {len(self.styles)} styles"
        self.notes = (
            *repairs,
            f"{len(self):,} avatars: {people} ({self.split}), from {folder}",
            f"licenses of the drawings: {folder / 'LICENSE'}",
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
    """Hexadecimal colors as f32 [n, 3] of 255."""
    return np.array([list(bytes.fromhex(code)) for code in colors.values()], np.float32)


@dataclasses.dataclass
class _Config(tfds.core.BuilderConfig):
    """What decides the stored bytes; its name, and so the cache, changes with any of it."""

    identities: int = 0
    size: int = 0

    @classmethod
    def of(cls, identities: int, size: int) -> "_Config":
        definitions = drawings.definitions()  # says what to install where it is lacking
        import resvg_py

        recipe = {name: dataclasses.asdict(style) for name, style in STYLES.items()}
        made_of = (SKINS, HAIRS, recipe, drawings.VEIL, definitions, resvg_py.__version__)
        name = f"{identities}x{size}-{fingerprint(VERSION, *made_of)[:8]}"
        return cls(name=name, version=VERSION, identities=identities, size=size)

    def people(self, split: str) -> range:
        end = self.identities
        held_out = max(1, end // 12)
        validation, test = end - 2 * held_out, end - held_out
        parts = (range(validation), range(validation, test), range(test, end))
        return dict(zip(SPLITS, parts, strict=True))[split]


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
            description=DESCRIPTION,
            features=tfds.features.FeaturesDict(features),
            homepage="https://www.dicebear.com",
            license=drawings.licenses(drawings.definitions()),
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager) -> dict:
        return {
            split: self._generate_examples(self.builder_config.people(split)) for split in SPLITS
        }

    def _generate_examples(self, people: range) -> Iterator[tuple[int, dict]]:
        for identity in people:
            skin, hair = drawings.person(identity)
            for style, name in enumerate(STYLES):
                png = io.BytesIO(drawings.draw(name, identity, self.builder_config.size))
                labels = {"identity": identity, "style": style, "skin": skin, "hair": hair}
                yield identity * len(STYLES) + style, {"image": png} | labels


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
        # TFDS speaks of a download; its progress bar, on stderr, stays
        with contextlib.redirect_stdout(None):
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
    number = {list(STYLES).index(name): i for i, name in enumerate(styles)}
    kept = (record for record in records if int(record["style"]) in number)
    return [record | {"style": number[int(record["style"])]} for record in kept]
