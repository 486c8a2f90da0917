import io
import json

import numpy as np
import pytest
import rich.console
from PIL import Image

from gan_jax import log


def test_grid_is_row_by_row_and_white_where_short():
    images = np.arange(5, dtype=np.uint8)[:, None, None, None] * np.ones((5, 2, 3, 1), np.uint8)
    picture = log.grid(images, 3)
    assert picture.shape == (4, 9, 1)
    assert picture[0, ::3, 0].tolist() == [0, 1, 2] and picture[2, ::3, 0].tolist() == [3, 4, 255]


def test_to_uint8_is_the_inverse_of_the_scaling_and_clips():
    every = np.arange(256, dtype=np.uint8)
    np.testing.assert_array_equal(log.to_uint8(every.astype(np.float32) / 127.5 - 1), every)
    assert log.to_uint8(np.array([-1.2, 1.2])).tolist() == [0, 255]


def test_png_of_gray_rgb_and_rgba(tmp_path):
    for channels, mode in {1: "L", 3: "RGB", 4: "RGBA"}.items():
        image = np.random.default_rng(0).integers(0, 256, (4, 5, channels), np.uint8)
        log.save_png(tmp_path / "new" / "x.png", image)
        read = Image.open(tmp_path / "new" / "x.png")
        assert read.mode == mode
        np.testing.assert_array_equal(np.asarray(read).reshape(image.shape), image)
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["x.png"]


def test_an_error_keeps_its_own_words(tmp_path, monkeypatch):
    def refuse(*args, **kwargs):
        raise OSError("cannot write mode F as PNG")

    monkeypatch.setattr(Image.Image, "save", refuse)
    with pytest.raises(OSError, match="cannot write mode F as PNG"):
        log.save_png(tmp_path / "x.png", np.zeros((4, 4, 3), np.uint8))


def test_lines_after_the_resumed_step_and_a_cut_line_are_dropped(tmp_path):
    writer = log.Writer(tmp_path)
    for step in (1, 2, 3):
        writer.write_scalars(step, {"d/loss": np.float32(step)})
    writer.close()
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('5\n{"step": 2, "d/l')
    with (tmp_path / "metrics.jsonl").open("ab") as file:
        file.write(b"\xff\n")
    log.Writer(tmp_path, start=2).close()
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert lines == [{"step": 1, "d/loss": 1.0}, {"step": 2, "d/loss": 2.0}]


def test_a_full_disk_is_said_once(tmp_path, caplog):
    writer = log.Writer(tmp_path)
    (tmp_path / "metrics.jsonl").mkdir()  # can't be appended to
    for step in (1, 2):
        writer.write_scalars(step, {"x": 1.0})
    assert caplog.text.count("the log can't be written") == 1
    (tmp_path / "metrics.jsonl").rmdir()
    writer.write_scalars(3, {"x": 1.0})
    assert json.loads((tmp_path / "metrics.jsonl").read_text())["step"] == 3


def shown(terminal):
    out = io.StringIO()
    console = rich.console.Console(file=out, force_terminal=terminal, width=200)
    with log.Progress(100_000, 0, console) as progress:
        progress.say("a note [with brackets]")
        progress.show({"d/loss": 0.5}, progress.rate(50_000))
    return out.getvalue()


def test_plain_lines_when_not_a_terminal():
    lines = shown(False).splitlines()
    assert lines[0] == "a note [with brackets]"
    assert lines[1].startswith("50.0/100 kimg") and "d/loss 0.500" in lines[1] and "ETA 0:00:0" in lines[1]
    assert "\x1b" not in shown(False)


def test_one_live_line_on_a_terminal():
    text = shown(True)
    assert "\x1b" in text and "50.0/100 kimg" in text and "d/loss 0.500" in text and "50%" in text
