"""A photograph into avatars: which square is taken, how large they are drawn, what is said."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from gan_jax.commands import avatar
from gan_jax.data import faces
from gan_jax.data.images import save_png
from gan_jax.models import starganv2
from gan_jax.personalize import avatars
from tests.runs import untrained

STYLES = ["ink", "oil"]
RUN = {"algorithm": "starganv2", "model": "starganv2", "data": {}, "batch": 4, "total_kimg": 1.0}
RUN |= {
    "g": {"width": 4, "widest": 8, "levels": 1, "patch": 2, "palette": 3},
    "d": {"width": 4, "widest": 8, "patch": 2},
    "networks": {
        "mapping": {"features": 4, "width": 8},
        "encoder": {"features": 4, "width": 4, "widest": 8},
    },
}


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Translators: "flat" draws in a palette, "plain" does not; "one" has one style."""
    root = tmp_path_factory.mktemp("models")
    untrained(root / "flat", RUN, [16, 16, 3], STYLES)
    untrained(root / "plain", RUN | {"g": RUN["g"] | {"palette": 0}}, [16, 16, 3], STYLES)
    one = RUN | {"algorithm": "cyclegan", "model": "cyclegan", "networks": {}}
    untrained(root / "one", one | {"g": {"width": 2, "blocks": 1}, "d": {"width": 2}}, [16, 16, 3])
    return root


@pytest.fixture
def nobody(monkeypatch):
    monkeypatch.setattr(faces, "find", lambda picture: [])
    monkeypatch.setattr(faces, "installed", lambda: True)


@pytest.mark.parametrize("model", ["flat", "plain"])
def test_avatars_of_a_size_in_all_styles(models, model, tmp_path, nobody, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    noise = np.random.default_rng(0).integers(0, 256, (30, 20, 3), np.uint8)
    save_png(tmp_path / "photos" / "me.png", noise)
    (tmp_path / "photos" / "bad.png").write_bytes(b"no")
    (tmp_path / "photos" / "words.txt").write_text("no")
    avatar.main(["photos", "--out", "avatars", "--model", str(models / model), "--side", "40"])
    text = capsys.readouterr().out
    assert "me.png: no face found, its middle square is taken" in text
    assert "passed over 1 file: 1 .txt" in text
    assert "bad.png: left out, " in text and "2 avatars in avatars" in text
    for style in STYLES:
        file = tmp_path / "avatars" / f"me_{style}.png"
        assert Image.open(file).size == (40, 40) and b"trainedAlgorithmicMedia" in file.read_bytes()
    sheet = Image.open(tmp_path / "avatars/sheet/avatars.png")
    assert sheet.size[0] == 3 * avatars.SHOWN


def test_a_palette_is_drawn_at_the_size(models):
    """Not enlarged: the network's own result is that large."""
    flat, plain = (avatars.load(models / name, 40) for name in ("flat", "plain"))
    x = np.zeros((1, 16, 16, 3), np.float32)
    for sampler, side in ((flat, 48), (plain, 16)):
        style = sampler.styles_from_noise(0, np.zeros(1, np.int32), 1)
        assert sampler.restyle(x, style).shape == (1, side, side, 3)


def test_the_square_around_the_face_lies_within_the_picture(monkeypatch):
    picture = np.zeros((100, 80, 3), np.uint8)
    picture[:, :40] = 255
    found = [faces.Face(40, 50, 20, 0.0), faces.Face(10, 10, 10, 0.0)]
    monkeypatch.setattr(faces, "find", lambda picture: found)
    monkeypatch.setattr(faces, "installed", lambda: True)
    cut, lines = [], []
    real = faces.cut_out
    monkeypatch.setattr(faces, "cut_out", lambda p, f, n: cut.append(f) or real(p, f, n))
    made = avatars._square(picture, 1, (16, 16), lines.append)
    assert made.shape == (16, 16, 3) and made[8, 2].tolist() == [255] * 3 != made[8, 13].tolist()
    assert cut[0].side == 22 and cut[0].y == pytest.approx(48.8)  # wider and higher: the hair
    avatars._square(picture, 2, (16, 16), lines.append)
    assert (cut[1].x, cut[1].y, cut[1].side) == (10, 9.4, 11)
    found[0] = faces.Face(40, 50, 500, 0.0)
    avatars._square(picture, 1, (16, 16), lines.append)
    assert (cut[2].x, cut[2].side) == (40, 80)
    assert lines[0] == "2 faces, of which number 1 by size is taken; --face takes another"
    with pytest.raises(ValueError, match="--face=3: 2 found"):
        avatars._square(picture, 3, (16, 16), lines.append)


def test_without_a_detector_the_middle_is_taken(models, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(faces, "installed", lambda: False)
    for name in ("a", "b"):
        save_png(tmp_path / f"{name}.png", np.zeros((20, 30, 3), np.uint8))
    given = ["a.png", "b.png", "--out", "avatars", "--model", str(models / "flat"), "--side", "16"]
    avatar.main(given)
    assert capsys.readouterr().out.count(faces.INSTALL) == 1
    with pytest.raises(ValueError, match="--face=2: no faces are found without a detector"):
        avatar.main([*given, "--face", "2"])


def test_no_file_is_lost(models, tmp_path, monkeypatch, nobody):
    monkeypatch.chdir(tmp_path)
    for name in ("a.png", "in/a.png"):
        save_png(tmp_path / name, np.zeros((20, 20, 3), np.uint8))
    given = ["--model", str(models / "flat"), "--side", "16", "--out"]
    with pytest.raises(ValueError, match="two of the pictures would become a_ink.png"):
        avatar.main(["a.png", "in/a.png", *given, "avatars"])
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "a_oil.png").write_text("mine")
    with pytest.raises(ValueError, match="own/a_oil.png: it is there, and no avatar"):
        avatar.main(["a.png", *given, "own"])
    assert [x.name for x in (tmp_path / "own").iterdir()] == ["a_oil.png"]
    for _ in range(2):  # avatars may be drawn anew
        avatar.main(["a.png", *given, "avatars"])
    with pytest.raises(ValueError, match="--out=a.png: it is no folder"):
        avatar.main(["a.png", *given, "a.png"])


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["no.png"], "no.png: no such file"),
        (["a.png", "--side", "8"], "--side=8: it must be 16 to 1024"),
        (["a.png", "--face", "0"], "--face=0: it must be at least 1"),
        (["a.png", "--style", "oli"], "--style='oli' is not known. Did you mean 'oil'"),
        (["a.png", "--model", "ONE"], "it has one style; use gan-jax stylize"),
        (["bad.png"], "bad.png: no picture could be read"),
    ],
)
def test_bad_input(argv, message, models, tmp_path, monkeypatch, nobody):
    monkeypatch.chdir(tmp_path)
    save_png(tmp_path / "a.png", np.zeros((20, 20, 3), np.uint8))
    (tmp_path / "bad.png").write_bytes(b"no")
    argv = [str(models / "one") if word == "ONE" else word for word in argv]
    argv += [] if "--model" in argv else ["--model", str(models / "flat")]
    with pytest.raises(ValueError, match=message):
        avatar.main([*argv, "--out", "avatars"])
    assert not (tmp_path / "avatars").exists()


def test_larger_without_a_palette_is_refused():
    with pytest.raises(ValueError, match="config.g.times=2: it must be 1, or with a palette"):
        g = starganv2.Generator((16, 16, 3), width=4, widest=8, levels=1, times=2)
        jax.eval_shape(g.init, jax.random.key(0), jnp.zeros((1, 16, 16, 3)), jnp.ones((1, 4)))


def test_the_model_that_comes_with_the_package():
    sampler = avatars.load("ten-styles", 128)
    assert len(sampler.classes) == 10 and sampler.game.g.times == 2
