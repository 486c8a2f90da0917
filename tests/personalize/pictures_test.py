"""A person's picture files: cut out, brought to the base's size, told apart."""

import numpy as np
import pytest

from gan_jax.data.images import save_png
from gan_jax.personalize import pictures


def test_a_plain_ground_becomes_clear():
    picture = np.full((32, 32, 3), 240, np.uint8)
    picture[8:24, 8:24] = [200, 40, 40]
    picture[8:24, 7] = [220, 140, 140]  # half and half
    picture[14:18, 14:18] = 240  # white inside, as an eye has it
    made = pictures.cut_out(picture)
    assert (made[:8, :, 3] == 0).all() and (made[9:23, 9:23, 3] == 255).all()
    framed = np.full((32, 32, 3), 240, np.uint8)
    framed[20:] = [200, 40, 40]  # shoulders as wide as the picture
    assert (pictures.cut_out(framed)[:20, :, 3] == 0).all()
    assert 100 < made[12, 7, 3] < 155 and made[12, 7, :3].tolist() == [200, 40, 40]
    noisy = np.random.default_rng(0).integers(0, 255, (32, 32, 3), np.uint8)
    assert (pictures.cut_out(noisy)[..., 3] == 255).all()


def test_pictures_are_premultiplied_once():
    """Of another size than the base's; what is opaque all over is as one without alpha."""
    large = np.zeros((64, 64, 4), np.uint8)
    large[..., :3] = (0, 255, 0)
    large[:, :33] = (200, 100, 50, 255)
    small = (pictures.fitted(large, (16, 16, 4)) + 1) / 2
    np.testing.assert_allclose(
        small[8, 1:12, :3], small[8, 1:12, 3:] * np.array([[200, 100, 50]]) / 255, atol=0.04
    )
    assert 0.1 < small[8, 8, 3] < 0.9 and (small[8, 12] == 0).all()
    plain = np.full((20, 20, 3), 255, np.uint8)
    plain[5:15, 5:15] = 0
    opaque = np.concatenate([plain, np.full((20, 20, 1), 255, np.uint8)], 2)
    made = [pictures.fitted(x, (20, 20, 4)) for x in (plain, opaque)]
    np.testing.assert_array_equal(*made)
    assert made[1][0, 0, 3] == -1


def test_pictures_of_a_person_are_read(tmp_path):
    rng = np.random.default_rng(0)
    for k in range(6):
        save_png(tmp_path / f"{k}.png", rng.integers(0, 255, (20, 30, 3), np.uint8))
    (tmp_path / "copy.png").write_bytes((tmp_path / "0.png").read_bytes())
    (tmp_path / "broken.png").write_bytes(b"no")
    (tmp_path / "words.txt").write_text("no")
    found = pictures.read([tmp_path], (16, 16, 3))
    assert found.values.shape == (6, 16, 16, 3) and found.values.dtype == np.float32
    assert found.names == [f"{k}.png" for k in range(6)] and len(set(found.hashes)) == 6
    notes = "\n".join(found.notes)
    assert "the same picture as 0.png': copy.png" in notes and "broken.png" in notes
    assert "passed over 1 file: 1 .txt" in notes
    few = pictures.read([tmp_path / f"{k}.png" for k in range(6)], (16, 16, 3), most=2)
    assert few.names == ["0.png", "5.png"]
    assert few.notes == ["6 pictures: 2 of them are taken, evenly"]
    clear = pictures.read([tmp_path / "0.png"], (16, 16, 4))
    assert clear.values.shape == (1, 16, 16, 4)
    assert "1 of 1 pictures have neither transparency nor a plain ground" in clear.notes[-1]
    with pytest.raises(ValueError, match="no picture left. set aside 1"):
        pictures.read([tmp_path / "broken.png"], (16, 16, 3))


def test_which_face_is_taken_is_said(tmp_path, monkeypatch):
    save_png(tmp_path / "two.png", np.zeros((40, 60, 3), np.uint8))
    both = [pictures.faces.Face(20, 20, 20, 0), pictures.faces.Face(45, 20, 10, 0)]
    monkeypatch.setattr(pictures.faces, "find", lambda picture: both)
    found = pictures.read([tmp_path], (16, 16, 3), find_faces=True)
    assert "several faces, of which number 1 by size is taken" in found.notes[-1]
    with pytest.raises(ValueError, match="it has 2 faces, and --face asks for number 3"):
        pictures.read([tmp_path], (16, 16, 3), find_faces=True, face=3)
    monkeypatch.setattr(pictures.faces, "find", lambda picture: [])
    with pytest.raises(ValueError, match="no face found"):
        pictures.read([tmp_path], (16, 16, 3), find_faces=True)


def test_two_persons_are_told_apart():
    rng = np.random.default_rng(0)
    one, other = rng.normal(0, 1, (8, 4)), rng.normal(0, 1, (3, 4)) + 12
    names = [f"{k}.png" for k in range(11)]
    (line,) = pictures.two_groups(np.concatenate([one, other]), names)
    assert "8 and 3 (8.png, 9.png, 10.png)" in line
    assert pictures.two_groups(one, names[:8]) == []
    assert pictures.two_groups(np.concatenate([one, other[:1]]), names[:9]) == []
