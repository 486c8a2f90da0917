"""Files of weights that mean harm end in one line: none takes long, fills the memory, ends the
program or is obeyed."""

import collections
import json
import subprocess
import sys

import pytest

from gan_jax.data.quarantine import Quarantine
from gan_jax.data.scan import passed_over
from gan_jax.interop import pickles
from gan_jax.runtime import cli
from gan_jax.runtime.text import shown
from tests import harmful


@pytest.mark.skipif(sys.platform != "linux", reason="bounds memory and time as Linux does")
def test_each_is_refused_in_one_line_within_its_bounds(tmp_path):
    """The process ends at the first that takes over 5 s or 1 GiB, or raises anything but a
    ValueError."""
    arguments = [sys.executable, "-m", "tests.harmful", str(tmp_path)]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, f"{done.stdout[-500:]} {done.stderr[-2000:]}"
    *lines, function = done.stdout.splitlines()
    assert function == "{}"
    results = {}
    for line in lines:
        name, end = json.JSONDecoder().raw_decode(line)
        results[name] = json.loads(line[end:])
    assert len(results) > 90
    steers = "a\\x1b[2J\\nerror: b\\u202e"
    assert results.pop("a name that steers.pth") == {"read": [steers]}
    assert results.pop("a name that steers.pkl") == {"read": [""]}
    for name, found in results.items():
        text = found["error"].removeprefix(f"{tmp_path / name}: ")
        assert text.isprintable() and len(text) < 300, name
        assert any(
            words in text
            for words in (
                "efused",
                "truncated, damaged",
                "no tensors in it",
                "no networks in it",
                "than any network",
                "only numbers are read",
                "another method",
            )
        ), text


def test_a_name_of_a_file_is_printed_with_its_escapes_shown(tmp_path, capsys):
    path = tmp_path / "a.pkl"
    path.write_bytes(b"\x80\x02}" + harmful.text("x\x1b[31m\ny") + b"Ns.")

    def main():
        raise ValueError(f"{path}: no class 'x\x1b[31m\ny\u202e' and no 'Zoë'.")

    with pytest.raises(SystemExit) as end:
        cli.tool(main)
    assert end.value.code == f"error: {path}: no class 'x\\x1b[31m\\ny\\u202e' and no 'Zoë'."
    assert shown("👩‍🎨 नी 日本\xa0") == "👩‍🎨 नी 日本\xa0"
    quarantine = Quarantine()
    quarantine.add("a\x1b[2J.png", "truncated")
    assert quarantine.lines() == ("set aside 1 as 'truncated': a\\x1b[2J.png",)
    assert passed_over(collections.Counter({".x\n": 1})) == ["passed over 1 file: 1 .x\\n"]
    with pytest.raises(ValueError, match="no networks in it"):
        pickles.read(path)


def test_a_full_memory_is_said(capsys):
    def main():
        raise MemoryError

    with pytest.raises(SystemExit, match="^error: the memory is full"):
        cli.tool(main)
