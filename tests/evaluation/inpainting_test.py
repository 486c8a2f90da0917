"""Holes measured: the same each time, in holes and whole, beside methods without a network."""

import json

import numpy as np
import pytest
from PIL import Image

from gan_jax import pretrained
from gan_jax.evaluation import inpainting
from gan_jax.evaluation.inpainting import Torn
from tests.nets import pixel_net


@pytest.fixture(autouse=True)
def net(monkeypatch):
    monkeypatch.setitem(pretrained.NETS, "lpips_alex", pixel_net)


def torn():
    whole = np.zeros((32, 40, 3), np.uint8)
    whole[..., 0] = 100
    whole[:, 20:] = 200
    missing = np.zeros((32, 40), bool)
    missing[8:16, 4:12] = True
    return Torn(whole, missing)


def test_hole_and_whole_are_apart():
    def wrong(colors, missing):
        return np.where(missing[..., None], 90, 0).astype(np.uint8)

    found = inpainting.measure([torn()], {"wrong": wrong})["wrong"]
    squares = (10**2 + 90**2 + 90**2) / 3
    assert found["psnr_hole"] == pytest.approx(10 * np.log10(255**2 / squares))
    assert found["psnr"] == pytest.approx(10 * np.log10(255**2 / (squares * 64 / (32 * 40))))
    assert found["l1_hole"] == pytest.approx(190 / 3)
    assert found["l1"] == pytest.approx(190 / 3 * 64 / (32 * 40))
    assert found["lpips"] > 0


@pytest.mark.parametrize("name", inpainting.CONTROLS)
def test_controls_fill_a_plain_ground_and_change_nothing_else(name):
    one = torn()
    colors = np.where(one.missing[..., None], 0, one.whole)
    made = inpainting.CONTROLS[name](colors, one.missing)
    np.testing.assert_array_equal(made[~one.missing], one.whole[~one.missing])
    if name == "mean_color":
        assert made[one.missing][0].tolist() == [153, 105, 105]
    else:
        assert np.abs(made.astype(int) - one.whole).max() <= 2


@pytest.fixture
def folder(tmp_path):
    for i in range(3):
        x = np.random.default_rng(i).integers(0, 256, (48, 48, 3), np.uint8)
        Image.fromarray(x).save(tmp_path / f"{i}.png")
    return tmp_path


def test_pictures_are_the_same_every_time_and_of_the_share(folder):
    data = {"source": "folder", "path": str(folder), "labels": False, "resolution": 32}
    one, again = (list(inpainting.pictures(data, "thick", (0.2, 0.4), 5)) for _ in range(2))
    for a, b in zip(one, again, strict=True):
        np.testing.assert_array_equal(a.whole, b.whole)
        np.testing.assert_array_equal(a.missing, b.missing)
        assert 0.2 < a.missing.mean() <= 0.4
    assert not np.array_equal(one[0].missing, one[1].missing)


def test_the_tool_writes_all_shares(tool, tmp_path, folder, monkeypatch):
    monkeypatch.setattr(inpainting, "of", lambda sampler: inpainting.mean_color)
    monkeypatch.setattr("gan_jax.inference.inpaint.load", lambda run: None)
    done = tool("measure_inpainting", "run", "--out", tmp_path / "x.json", "--count", 2,
                "--side", 32, "--data", folder)  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "x.json").read_text())
    assert list(found) == ["0% to 20%", "20% to 40%", "40% to 60%"]
    for share in found.values():
        assert list(share) == ["mean_color", "telea", "biharmonic", "network"]
        assert share["network"] == share["mean_color"]
