"""TFDS data sets, without TensorFlow and without a network: a tiny one prepared in a temporary
folder."""

import io
import pathlib
import pickle

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from gan_jax.data import image_sets, source

COLORS = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (9, 9, 9)]


def encoded(color):
    buffer = io.BytesIO()
    Image.new("RGB", (6, 4), color).save(buffer, "png")
    return buffer.getvalue()


class TinyColors(tfds.core.GeneratorBasedBuilder):
    """Four plain images of two classes, the last without a label; and a broken one."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        features = {
            "image": tfds.features.Image(shape=(None, None, 3)),
            "label": tfds.features.ClassLabel(names=["warm", "cold"]),
            "size": np.int32,
        }
        return tfds.core.DatasetInfo(
            builder=self, features=tfds.features.FeaturesDict(features), disable_shuffling=True
        )

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples()}

    def _generate_examples(self):
        files = [*map(encoded, COLORS), encoded(COLORS[0])[:-30]]
        for i, (file, label) in enumerate(zip(files, [0, 1, 1, -1, 0], strict=True)):
            yield i, {"image": io.BytesIO(file), "label": label, "size": i}


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    path = tmp_path_factory.mktemp("tfds")
    TinyColors(data_dir=path, file_format="array_record").download_and_prepare()
    return str(path)


def open_source(data_dir, **settings):
    return source.open_source(
        {"source": "tfds", "name": "tiny_colors", "resolution": 4, "data_dir": data_dir} | settings
    )


@pytest.mark.parametrize("keep", [0, 1 << 20])
def test_reads_images(data_dir, monkeypatch, keep):
    monkeypatch.setattr(image_sets, "KEEP_BYTES", keep)
    source = open_source(data_dir)
    assert source.shape == (4, 4, 3) and source.classes == ()
    batch = source.load(np.arange(4), np.zeros(4, np.uint64))
    assert batch.keys() == {"id", "image"}
    np.testing.assert_array_equal(
        batch["image"], np.broadcast_to(np.array(COLORS, np.uint8)[:, None, None], (4, 4, 4, 3))
    )
    if keep:
        assert source.quarantine.files == {"tiny_colors[4]": "truncated"} and len(source) == 4
        assert source.notes[0].startswith("4 images from ") and source.notes[1].startswith(
            "set aside 1 as 'truncated'"
        )


def test_labels(data_dir):
    source = open_source(data_dir, labels=True)
    assert source.classes == ("warm", "cold") and len(source) == 3
    np.testing.assert_array_equal(
        source.load(np.arange(3), np.zeros(3, np.uint64))["label"], [0, 1, 1]
    )
    assert source.quarantine.files == {"tiny_colors[3]": "no label", "tiny_colors[4]": "truncated"}


def test_splits_and_fingerprints(data_dir):
    part = open_source(data_dir, split="train[1:3]", channels=1)
    np.testing.assert_array_equal(
        part.load(np.arange(2), np.zeros(2, np.uint64))["image"][:, 0, 0, 0], [150, 29]
    )
    assert part.fingerprint != open_source(data_dir, channels=1).fingerprint
    assert part.fingerprint == open_source(data_dir, split="train[1:3]", channels=1).fingerprint


def test_is_pickled_for_worker_processes(data_dir, monkeypatch):
    monkeypatch.setattr(image_sets, "KEEP_BYTES", 0)
    again = pickle.loads(pickle.dumps(open_source(data_dir)))
    batch = again.load(np.arange(4), np.zeros(4, np.uint64))
    np.testing.assert_array_equal(batch["image"][:, 0, 0], np.array(COLORS)[:4])


def test_downloads_on_request(tmp_path):
    source = open_source(str(tmp_path), download=True)
    assert len(source) == 4 and (tmp_path / "tiny_colors" / "1.0.0" / "dataset_info.json").exists()


def test_tfrecord_only(data_dir, tmp_path):
    made = tmp_path / "tiny_colors" / "1.0.0"
    made.mkdir(parents=True)
    for file in (pathlib.Path(data_dir) / "tiny_colors" / "1.0.0").iterdir():
        text = file.read_bytes()
        if file.name == "dataset_info.json":
            text = text.replace(b'"array_record"', b'"tfrecord"')
        (made / file.name.replace("array_record", "tfrecord")).write_bytes(text)
    with pytest.raises(
        ValueError,
        match=r"config.data.name='tiny_colors': prepared as tfrecord, .* 'gan_jax\[tf\]'",
    ):
        open_source(str(tmp_path))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"name": "cifarr10"},
            r"config.data.name='cifarr10': no such TFDS data set .*Did you mean 'cifar10'\?",
        ),
        ({"name": "cifar10/zzz"}, "config.data.name='cifar10/zzz': .*zzz"),
        ({"name": "../x"}, "config.data.name='../x': "),
        (
            {"name": "mnist"},
            "config.data.name='mnist': not prepared in .* config.data.download=True",
        ),
        (
            {"split": "tset"},
            "config.data.split='tset': tiny_colors/1.0.0 has no such split. Splits: train;",
        ),
        (
            {"image_key": "picture"},
            "config.data.image_key='picture': no such image feature. Here: image.",
        ),
        (
            {"labels": True, "label_key": "size"},
            "config.data.label_key='size': no such label feature. Here: label.",
        ),
        ({"split": "train[4:]"}, r"no image of split 'train\[4:\]' can be used: .*truncated"),
    ],
)
def test_errors_say_what_to_do(data_dir, settings, message):
    with pytest.raises(ValueError, match=message):
        open_source(data_dir, **settings)


def test_preparing_may_need_tensorflow(tmp_path, monkeypatch):
    def needs_it(self, *args, **kwargs):
        raise ModuleNotFoundError("No module named 'tensorflow'", name="tensorflow")

    monkeypatch.setattr(TinyColors, "download_and_prepare", needs_it)
    with pytest.raises(
        ValueError, match=r"preparing it needs tensorflow: pip install 'gan_jax\[tf\]'"
    ):
        open_source(str(tmp_path), download=True)
