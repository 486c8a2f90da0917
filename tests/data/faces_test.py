"""Faces cut out and put back, with a detector that knows where they are; and what happens without
one."""

import importlib.util
import math

import numpy as np
import pytest

from gan_jax.data import faces, prepare
from gan_jax.data.images import as_picture
from gan_jax.data.quarantine import ImageRejected
from gan_jax.data.raw_pictures import pictures_in
from tests.data.prepare_test import files


def scene(height=60, width=80, channels=3):
    """Smooth, so that resampling it twice changes little."""
    y, x = np.mgrid[:height, :width]
    planes = [
        128 + 100 * np.sin(x / 9),
        128 + 100 * np.sin(y / 7),
        128 + 60 * np.sin((x + y) / 11),
        200 + 0 * x,
    ]
    return np.stack(planes[:channels], -1).astype(np.uint8)


@pytest.mark.parametrize("angle", [0.0, 0.4, -2.0])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_what_was_cut_out_fits_back(angle, channels):
    whole, face = scene(channels=channels), faces.Face(40.0, 30.0, 24.0, angle)
    cut = faces.cut_out(whole, face, 24)
    assert cut.shape == (24, 24, channels)
    back = faces.put_back(whole, face, cut)
    assert np.abs(back.astype(int) - whole).max() <= 6
    changed = faces.put_back(whole, face, np.zeros_like(cut))
    assert (changed[30, 40, :3] == 0).all() and (changed[..., 3:] == whole[..., 3:]).all()
    far = np.hypot(*np.mgrid[-30:30, -40:40]) > 18  # beyond half a diagonal
    np.testing.assert_array_equal(changed[far], whole[far])


def test_a_cut_out_is_upright():
    """A point to the right of the center along the eyes' line comes out right of the middle."""
    whole = np.zeros((80, 80, 3), np.uint8)
    for angle in (0.0, 0.5, 2.5):
        spot = np.round([40 + 12 * math.cos(angle), 40 + 12 * math.sin(angle)]).astype(int)
        whole[:] = 0
        whole[spot[1] - 1 : spot[1] + 2, spot[0] - 1 : spot[0] + 2] = 255
        cut = faces.cut_out(whole, faces.Face(40.0, 40.0, 40.0, angle), 40)
        y, x = np.unravel_index(cut[..., 0].argmax(), (40, 40))
        assert abs(y - 20) <= 2 and abs(x - 32) <= 2


def test_a_face_at_the_edge_is_filled_by_mirroring():
    cut = faces.cut_out(np.full((20, 30, 3), 90, np.uint8), faces.Face(0.0, 0.0, 25.0, 0.3), 16)
    np.testing.assert_array_equal(cut, 90)


def found(monkeypatch, raw, logits):
    monkeypatch.setattr(faces, "_detector", lambda: lambda square: (raw, logits))


def test_detections_of_one_face_are_joined(monkeypatch):
    """The detector's numbers are offsets from its cells; a picture that is no square is padded to
    one."""
    raw, logits = np.zeros((896, 16), np.float32), np.full(896, -9.0, np.float32)
    # two anchors of the first cell, one unsure
    for cell, score in ((0, 2.0), (1, 2.0), (500, -1.0)):
        logits[cell] = score
        center = np.array([128.0, 128.0]) - 8  # the cell's own center is at 8
        raw[cell, :2], raw[cell, 2:4] = center, 64
        raw[cell, 4:12] = (center + np.array([[-16, 0], [16, 0], [0, 0], [0, 20]])).reshape(-1)
    found(monkeypatch, raw, logits)
    (face,) = faces.find(np.zeros((100, 200, 3), np.uint8))
    scale = 200 / 256
    assert face.x == pytest.approx(100) and face.y == pytest.approx(50 + 2 * scale)
    assert face.side == pytest.approx(2 * 64 * scale) and face.angle == pytest.approx(0)
    logits[:] = -1
    assert faces.find(np.zeros((100, 200, 3), np.uint8)) == []


def test_two_faces_the_larger_first(monkeypatch):
    raw, logits = np.zeros((896, 16), np.float32), np.full(896, -9.0, np.float32)
    for cell, x, eyes in ((0, 40.0, 5.0), (1, 200.0, 15.0)):
        logits[cell] = 3
        raw[cell, :2], raw[cell, 2:4] = (x - 8, 100), 4 * eyes
        raw[cell, 4:12] = np.array([x - 8 - eyes, 100, x - 8 + eyes, 100, x - 8, 100, x - 8, 100])
    found(monkeypatch, raw, logits)
    assert [round(face.x) for face in faces.find(np.zeros((256, 256, 3), np.uint8))] == [200, 40]


def test_without_a_detector_it_says_how(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    faces._detector.cache_clear()
    with pytest.raises(
        ValueError, match="without a detector, which is not installed: pip install ai-edge-litert"
    ):
        faces.find(np.zeros((9, 9, 3), np.uint8))


@pytest.fixture
def one_face(monkeypatch):
    """A face in the middle of every picture that is not black."""
    middle = lambda x: [faces.Face(x.shape[1] / 2, x.shape[0] / 2, 24.0, 0.0)] if x.any() else []
    monkeypatch.setattr(faces, "find", middle)


def test_a_set_of_faces(tmp_path, one_face):
    (tmp_path / "photos").mkdir()
    for name, x in (("a", scene()), ("b", scene()[::-1]), ("dark", 0 * scene())):
        as_picture(np.ascontiguousarray(x)).save(tmp_path / "photos" / f"{name}.png")
    recipe = prepare.Recipe(16, "face", shares=(0.0, 0.0))
    some = list(pictures_in(tmp_path / "photos", print))
    prepare.prepare(some, tmp_path / "set", recipe, "", print)
    assert files(tmp_path / "set") == ["train/a.png", "train/b.png"]
    assert (tmp_path / "set" / "rejects.tsv").read_text() == "dark.png\tno face found\n"
    with pytest.raises(ImageRejected, match="its face is smaller than 32 pixels"):
        prepare.fitted(scene(), prepare.Recipe(32, "face"))
