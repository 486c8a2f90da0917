"""Any TensorFlow Datasets name, read by random access and without TensorFlow."""

import dataclasses
from collections.abc import Mapping

import numpy as np
import tensorflow_datasets as tfds

from gan_jax.data import source
from gan_jax.data.image_sets import Pictures
from gan_jax.data.source import MANY, Batch, Outline, fingerprint
from gan_jax.data.view import View
from gan_jax.runtime import registry


@dataclasses.dataclass
class Source(source.Source):
    """A split of a TFDS data set that is prepared as array_record, its images decoded by our own
    decoder.

    Every record is read once on opening and the images kept where all fit in 1 GiB; of larger sets
    only the headers are looked at then. What can't be used is in `quarantine`, and counted in
    `notes`.

    Args:
        name: "cifar10", "celeb_a", "my_set/config:1.0.0".
        resolution: pixels, a side or (H, W).
        split: "train", "train[:90%]+test".
        channels: 1 (gray), 3 (RGB) or 4 (RGBA).
        labels: whether to give class labels too.
        data_dir: where TFDS keeps its data; None: its default, ~/tensorflow_datasets.
        download: whether to download and prepare what is not there. May be hundreds of gigabytes.
        image_key, label_key: names of the data set's features.
        crop, enlarge, resize, flip, rotate_degrees, background, half: as for a folder.
    Raises:
        ValueError: an unknown name, split or feature; not prepared, or prepared without random
            access; no image to use.
    """

    name: str
    resolution: int | tuple[int, int]
    split: str = "train"
    channels: int = 3
    labels: bool = False
    data_dir: str | None = None
    download: bool = False
    image_key: str = "image"
    label_key: str = "label"
    crop: str = "center"
    enlarge: float = 1.0
    resize: str = "lanczos"
    flip: bool = False
    rotate_degrees: float = 0.0
    background: tuple[int, int, int] = (255, 255, 255)
    half: str | None = None

    def __post_init__(self):
        fields = {field.name for field in dataclasses.fields(View)}
        settings = {name: value for name, value in vars(self).items() if name in fields}
        view = View(**settings)
        builder = _prepared(self.name, self.data_dir, self.download)
        features = builder.info.features
        _feature(features, self.image_key, tfds.features.Image, "image")
        records = _records(builder, self.split, self.image_key)
        self.classes, labels = (), None
        if self.labels:
            self.classes = tuple(
                _feature(features, self.label_key, tfds.features.ClassLabel, "label").names
            )
            labels = np.array([record[self.label_key] for record in records])
        unlabeled = {int(i): "no label" for i in np.flatnonzero(labels < 0)} if self.labels else {}
        names = [f"{self.name}[{i}]" for i in range(len(records))]
        self._pictures = Pictures(_Column(records, self.image_key), names, view, labels, unlabeled)
        self.quarantine, self.shape = self._pictures.quarantine, view.shape
        self.targets = self._pictures.targets
        self.names = [str(i) for i in self._pictures.kept]
        set_aside = (*self.quarantine.lines(), *self._pictures.remarks.lines())
        if not len(self):
            raise ValueError(
                f"config.data.name={self.name!r}: no image of split {self.split!r} can be used:"
                f" {set_aside}."
            )
        of = f" of {len(self.classes)} classes" if self.classes else ""
        where = "in memory" if self._pictures.in_memory else "read as needed"
        self.notes = (
            f"{len(self):,} images{of} from {builder.data_path} ({self.split}), {where}",
            *set_aside,
        )
        sizes = {name: split.num_bytes for name, split in builder.info.splits.items()}
        self.fingerprint = fingerprint(
            settings,
            self.image_key,
            self.classes and self.label_key,
            builder.info.full_name,
            self.split,
            sizes,
            sorted(self.quarantine.files),
        )

    def __len__(self) -> int:
        return len(self._pictures)

    def load(self, ids: np.ndarray, seeds: np.ndarray) -> Batch:
        return self._pictures.load(ids, seeds)

    @classmethod
    def outline(cls, settings: Mapping) -> Outline:
        _builder(settings["name"], settings["data_dir"])
        return Outline(View.of(settings).shape, MANY if settings["labels"] else 0)


class _Column:
    """One feature of each record."""

    def __init__(self, records, key: str):
        self.records, self.key = records, key

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, i: int) -> bytes:
        return self.records[i][self.key]


def _prepared(name: str, data_dir: str | None, download: bool) -> tfds.core.DatasetBuilder:
    """The data set's builder, its files in place as array_record."""
    key = f"config.data.name={name!r}"
    builder = _builder(name, data_dir)
    if not builder.is_prepared():
        if not download:
            raise ValueError(
                f"{key}: not prepared in {builder.data_dir_root}. Set config.data.download=True to"
                " download and prepare it, or config.data.data_dir to where it is."
            )
        builder = tfds.builder(name, data_dir=data_dir, file_format="array_record")
        try:
            builder.download_and_prepare()
        except ImportError as error:
            raise ValueError(
                f"{key}: preparing it needs {error.name}: pip install 'gan_jax[tf]'."
            ) from error
    formats = builder.info.available_file_formats()
    if not formats & set(tfds.core.FileFormat.with_random_access()):
        raise ValueError(
            f"{key}: prepared as {', '.join(f.value for f in formats)}, which has no random access."
            " Convert it with TensorFlow (pip install 'gan_jax[tf]'): tfds convert_format"
            f" --dataset_version_dir={builder.data_dir} --out_file_format=array_record"
        )
    return builder


def _builder(name: str, data_dir: str | None) -> tfds.core.DatasetBuilder:
    try:
        return tfds.builder(name, data_dir=data_dir)
    except tfds.core.DatasetNotFoundError as error:
        known = registry.suggest(name, tfds.list_builders(with_community_datasets=False))
        hint = known.partition("Known: ")[0]  # hundreds: only the nearest is of use
        where = f" in {data_dir}" if data_dir else ""
        raise ValueError(
            f"config.data.name={name!r}: no such TFDS data set{where}. {hint}tfds.list_builders()"
            " has all."
        ) from error
    except ValueError as error:  # a name that does not parse, an unknown configuration or version
        raise ValueError(f"config.data.name={name!r}: {str(error).splitlines()[0]}") from error


def _records(builder: tfds.core.DatasetBuilder, split: str, image_key: str):
    try:
        return builder.as_data_source(split, decoders={image_key: tfds.decode.SkipDecoding()})
    except ValueError as error:
        known = f"Splits: {', '.join(builder.info.splits)}; slices as in 'train[:90%]'."
        raise ValueError(
            f"config.data.split={split!r}: {builder.info.full_name} has no such split. {known}"
        ) from error


def _feature(features, key: str, kind: type, what: str):
    """features[key], which must be of a kind; the error names those that are."""
    if key not in features or not isinstance(features[key], kind):
        fit = (
            ", ".join(name for name, feature in features.items() if isinstance(feature, kind))
            or "none"
        )
        raise ValueError(f"config.data.{what}_key={key!r}: no such {what} feature. Here: {fit}.")
    return features[key]
