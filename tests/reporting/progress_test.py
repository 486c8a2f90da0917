import io
import re
import time

import rich.console

from gan_jax.reporting.progress import Progress


def shown(terminal):
    out = io.StringIO()
    console = rich.console.Console(file=out, force_terminal=terminal, width=200)
    with Progress(100_000, 0, console) as progress:
        progress.log("a note [with brackets] of \x1b[2J")
        progress.show({"d/loss": 0.5}, progress.rate(50_000))
    return out.getvalue()


def test_plain_lines_with_their_times_when_not_a_terminal():
    lines = shown(False).splitlines()
    time = r"20\d\d-\d\d-\d\d \d\d:\d\d:\d\d "
    assert re.fullmatch(time + re.escape("a note [with brackets] of \\x1b[2J"), lines[0])
    assert re.match(time + r"50\.0/100 kimg .* d/loss 0\.500  ETA 0:00:0", lines[1])
    assert "\x1b" not in shown(False)


def test_the_eta_leaves_out_what_is_compiled_and_the_start(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])

    def passes(seconds):
        now[0] += seconds

    out = io.StringIO()
    with Progress(
        1000, 0, rich.console.Console(file=out, force_terminal=False, width=200)
    ) as progress:
        passes(50)  # opening the data
        progress.begin()
        with progress.compiling(10):
            passes(60)
        progress.show({}, progress.rate(10))
        passes(9)
        progress.show({}, progress.rate(100))  # 90 images in 9 s: 900 to go take 90 s
        with progress.compiling(100):
            passes(500)
        with progress.aside():
            passes(10)  # an evaluation takes its time again and again
        passes(1)
        progress.show({}, progress.rate(210))  # 100 images in 20 s: 790 take 158 s
        assert progress.compiled == 500
        progress.rate(220)
        assert progress.compiled == 0
    printed = [line[20:] for line in out.getvalue().splitlines()]
    assert printed[0] == "compiling" == printed[3]
    assert "ETA" not in printed[1]
    assert printed[2].endswith("ETA 0:01:30") and printed[4].endswith("ETA 0:02:38")


def test_compiling_is_shown_on_a_terminal(monkeypatch):
    out = io.StringIO()
    with Progress(
        1000, 0, rich.console.Console(file=out, force_terminal=True, width=200)
    ) as progress:
        with progress.compiling():
            progress._bar.refresh()
        assert "compiling" in out.getvalue()


def test_one_live_line_on_a_terminal():
    text = shown(True)
    assert "\x1b" in text and "50.0/100 kimg" in text and "d/loss 0.500" in text and "50%" in text
