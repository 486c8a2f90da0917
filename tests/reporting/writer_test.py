import contextlib
import json
import resource
import signal
import struct

import numpy as np
import pytest
from tensorboardX.proto.event_pb2 import Event, SessionLog

from gan_jax.reporting.writer import Writer
from gan_jax.runtime.files import append_line


def test_lines_after_the_resumed_step_and_a_cut_line_are_dropped(tmp_path):
    writer = Writer(tmp_path)
    for step in (1, 2, 3):
        writer.write_scalars(step, {"d/loss": np.float32(step)})
    writer.close()
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('5\n{"step": 2, "d/l')
    with (tmp_path / "metrics.jsonl").open("ab") as file:
        file.write(b"\xff\n")
    Writer(tmp_path, start=2).close()
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert lines == [{"step": 1, "d/loss": 1.0}, {"step": 2, "d/loss": 2.0}]


def test_a_full_disk_is_said_once(tmp_path, caplog):
    writer = Writer(tmp_path)
    (tmp_path / "metrics.jsonl").mkdir()  # can't be appended to
    for step in (1, 2):
        writer.write_scalars(step, {"x": 1.0})
    assert caplog.text.count("the log can't be written") == 1
    (tmp_path / "metrics.jsonl").rmdir()
    writer.write_scalars(3, {"x": 1.0})
    assert json.loads((tmp_path / "metrics.jsonl").read_text())["step"] == 3


@contextlib.contextmanager
def files_up_to(size):
    """Files can't grow beyond so many bytes, as on a disk that is full."""
    old = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, old)


def events(folder):
    """What TensorBoard reads of a folder's files: records of length, its CRC, data, its CRC; each
    an Event."""
    found = []
    for path in sorted(folder.iterdir()):
        raw = path.read_bytes()
        while raw:
            (size,) = struct.unpack("Q", raw[:8])
            found.append(Event.FromString(raw[12 : 12 + size]))
            raw = raw[16 + size :]
    return found


def test_what_tensorboard_reads(tmp_path):
    writer = Writer(tmp_path, start=4)
    writer.write_scalars(5, {"d/loss": 0.5, "img/s": 7.0})
    writer.write_images(5, {"samples": np.full((6, 3, 4), 9, np.uint8)})
    writer.close()
    version, start, scalars, images = events(tmp_path / "tensorboard")
    assert version.file_version == "brain.Event:2"
    assert (start.step, start.session_log.status) == (4, SessionLog.START)
    assert {value.tag: value.simple_value for value in scalars.summary.value} == {
        "d/loss": 0.5,
        "img/s": 7.0,
    }
    (image,) = (value.image for value in images.summary.value)
    assert (scalars.step, images.step, image.height, image.width, image.colorspace) == (
        5,
        5,
        6,
        3,
        3,
    )


def test_a_disk_that_is_full_under_tensorboard_ends_and_hangs_nothing(tmp_path, caplog):
    writer = Writer(tmp_path)
    with files_up_to(20_000):
        for step in range(1, 60):
            writer.write_images(
                step,
                {"samples": np.random.default_rng(step).integers(0, 256, (64, 64, 3), np.uint8)},
            )
            writer.write_scalars(step, {"x": 1.0})
            writer.flush()
    writer.close()
    assert caplog.text.count("TensorBoard can't be written: [Errno 27] File too large") == 1
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == 59


def test_tensorboard_whose_place_is_taken_by_a_file_is_left_out(tmp_path, caplog):
    (tmp_path / "tensorboard").write_text("mine")
    writer = Writer(tmp_path)
    writer.write_scalars(1, {"x": 1.0})
    writer.close()
    assert "TensorBoard can't be written: [Errno 17] File exists" in caplog.text
    assert (tmp_path / "tensorboard").read_text() == "mine"
    assert json.loads((tmp_path / "metrics.jsonl").read_text()) == {"step": 1, "x": 1.0}


def test_a_line_is_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "metrics.jsonl"
    with files_up_to(100), pytest.raises(OSError, match=r"metrics.jsonl'$"):
        for step in range(20):
            append_line(path, {"step": step, "x": 0.5})
    kept = [json.loads(line)["step"] for line in path.read_text().splitlines()]
    assert kept == list(range(len(kept))) and kept
    append_line(path, {"step": 99})
    assert json.loads(path.read_text().splitlines()[-1]) == {"step": 99}


def test_lines_that_cannot_be_dropped_for_lack_of_space_name_the_file(tmp_path):
    path = tmp_path / "metrics.jsonl"
    text = '{"step": 1}\n{"step": 2}\n'
    path.write_text(text)
    with files_up_to(0), pytest.raises(OSError, match=r"metrics.jsonl'$"):
        Writer(tmp_path, start=1)
    assert path.read_text() == text
    assert [p.name for p in tmp_path.iterdir()] == ["metrics.jsonl"]
    with files_up_to(0):
        Writer(tmp_path, start=2).close()  # nothing to drop
