import builtins

import av
import numpy as np
import pytest
from PIL import Image

from gan_jax import video


def frames(n, shape=(16, 24, 3)):
    """Flat frames, each darker than the one before."""
    return [np.full(shape, 250 - 40 * i, np.uint8) for i in range(n)]


def decoded(path):
    with av.open(str(path)) as film:
        return [frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)]


@pytest.mark.parametrize("shape", [(16, 24, 3), (15, 17, 3), (16, 16, 1), (16, 16, 4)])
def test_mp4_holds_the_frames(tmp_path, shape):
    assert video.write(tmp_path / "a.mp4", frames(4, shape), 12.5) == 4
    found = decoded(tmp_path / "a.mp4")
    even = tuple(n + n % 2 for n in shape[:2])
    assert [x.shape for x in found] == [(*even, 3)] * 4
    for n, frame in enumerate(found):
        value = 250 - 40 * n
        want = value if shape[2] < 4 else value * value / 255 + 255 - value  # alpha: laid on white
        assert abs(frame.mean() - want) < 4


def test_png_holds_all_frames_in_rows(tmp_path):
    video.write(tmp_path / "a.png", frames(3, (2, 2, 1)), 1, cols=2)
    sheet = np.asarray(Image.open(tmp_path / "a.png"))
    assert sheet.shape == (4, 4) and sheet[0, 0] == 250 and sheet[0, 2] == 210 and sheet[2, 0] == 170
    assert sheet[2, 2] == 255  # no frame


@pytest.mark.parametrize("name", ["a.mp4", "a.gif"])
def test_ctrl_c_keeps_what_is_done(tmp_path, name):
    def cut_short():
        yield from frames(3)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        video.write(tmp_path / name, cut_short(), 10)
    count = len(decoded(tmp_path / name)) if name.endswith("mp4") else Image.open(tmp_path / name).n_frames
    assert count == 3 and [p.name for p in tmp_path.iterdir()] == [name]


def test_an_error_leaves_the_old_file(tmp_path):
    def broken():
        yield frames(1)[0]
        raise OSError("disk full")

    video.write(tmp_path / "a.mp4", frames(2), 10)
    with pytest.raises(OSError, match="disk full"):
        video.write(tmp_path / "a.mp4", broken(), 10)
    assert len(decoded(tmp_path / "a.mp4")) == 2 and len(list(tmp_path.iterdir())) == 1


def test_mp4_without_its_package_names_it(tmp_path, monkeypatch):
    real = builtins.__import__
    no_av = lambda name, *a, **k: (_ for _ in ()).throw(ImportError(name)) if name == "av" else real(name, *a, **k)
    monkeypatch.setattr(builtins, "__import__", no_av)
    with pytest.raises(ValueError, match="need the package av: pip install av"):
        video.check(tmp_path / "a.mp4")
    video.check(tmp_path / "a.gif")
    monkeypatch.setattr(builtins, "__import__", real)
    monkeypatch.setattr(av, "__version__", "12.3.0")
    with pytest.raises(ValueError, match="av is 12.3.0: video files need 18 or newer"):
        video.check(tmp_path / "a.mp4")
