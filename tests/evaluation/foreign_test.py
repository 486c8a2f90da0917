"""Pictures of another program, measured as a run's own are."""

import json

import numpy as np
import pytest
from PIL import Image

from gan_jax import config
from gan_jax.commands import compare
from gan_jax.evaluation import foreign
from gan_jax.reporting import comparison, runs
from tests.evaluation.known_sets import avatars, save

MEASURES = "eval.metrics=('kid', 'precision_recall')"


def test_a_folder_is_measured_by_the_protocol_of_a_run(file, toy, tmp_path):
    """The same numbers as of a generator that draws these pictures, and a grid of some."""
    settings = config.load(file, [MEASURES])
    for name, count in (("good", 60), ("other", 80)):
        save(tmp_path / name, avatars(resolution=8).load(np.arange(count)))
    found = {}
    for name in ("good", "other"):
        sheet = tmp_path / f"{name}.png"
        found[name] = foreign.measure(settings, tmp_path / name, sheet, print)
        assert Image.open(sheet).size == (10 * 8, 4 * 8)
    values = found["good"]["values"]
    assert {"kid_toy", "precision_toy", "recall_toy"} <= values.keys()
    assert found["good"]["protocol"]["images"] == 40  # of the folder's 60
    assert values != found["other"]["values"]  # 40 others
    protocols = [each["protocol"] for each in found.values()]
    assert comparison.serious_differences(protocols) == {}


def test_pictures_of_another_size_are_named(file, toy, tmp_path):
    save(tmp_path / "made", avatars(resolution=8).load(np.arange(40)))
    said = []
    foreign.measure(
        config.load(file, [MEASURES]), tmp_path / "made", tmp_path / "x.png", said.append
    )
    assert not [line for line in said if "cropped" in line]
    Image.new("RGB", (9, 8)).save(tmp_path / "made" / "wide.png")
    foreign.measure(
        config.load(file, [MEASURES]), tmp_path / "made", tmp_path / "x.png", said.append
    )
    (line,) = [line for line in said if "cropped" in line]
    assert "1 pictures are not 8x8, wide.png for one" in line


def test_too_few_pictures_are_an_error(file, tmp_path):
    save(tmp_path / "few", avatars(resolution=8).load(np.arange(5)))
    message = "5 pictures, and the runs are measured on 40: give as many, or --set eval.images=5."
    with pytest.raises(ValueError, match=message):
        foreign.measure(config.load(file, [MEASURES]), tmp_path / "few", tmp_path / "x.png", print)


def test_a_comparison_keeps_them_as_it_keeps_a_run(file, toy, tmp_path):
    save(tmp_path / "made", avatars(resolution=8).load(np.arange(40)))
    first = compare.Run("ours", file, [MEASURES], config.as_json(config.load(file, [MEASURES])))
    folder = compare.Folder("theirs", tmp_path / "made", 2.0, 6000)
    record = {"runs": {}}
    compare.evaluate_folder(folder, first, tmp_path, record)
    (run,) = runs.read([tmp_path / "theirs"])
    assert run.clock == (6000, pytest.approx(120), 0) and run.samples[0][0] == 6000
    assert run.last["images"] == 6000 and "kid_toy" in run.of("values")
    (tmp_path / "made").rename(tmp_path / "gone")
    compare.evaluate_folder(folder, first, tmp_path, record)  # is not measured again
    assert json.loads((tmp_path / "comparison.json").read_text()) == record
