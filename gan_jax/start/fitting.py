"""How long a run must be to take a given time on this machine: its speed, measured on a run that is
thrown away, and all its durations, scaled alike."""

import pathlib
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence

from gan_jax.reporting import runs

WINDOW = 16  # iterations a log window: the laziest phases of games come once in it
ENDLESS = 1e5  # thousand images


def to_measure(batch: int, total_kimg: float = ENDLESS) -> list[str]:
    """Overrides of a run whose speed is measured; by default it ends by a signal only."""
    settings = {
        "total_kimg": total_kimg,
        "sample_every_kimg": ENDLESS,
        "save_every_kimg": ENDLESS,
        "eval_every_kimg": None,
        "log_every_kimg": WINDOW * batch / 1000,
    }
    return [f"{key}={value}" for key, value in settings.items()]


def speed(command: Sequence[str], workdir: pathlib.Path, seconds: float) -> float:
    """Images a second of a training, without compiling; its workdir is gone afterwards.

    Args:
        command: trains into `workdir`, with the overrides of `to_measure`.
        seconds: how long it is measured, at least one log window; or to its end.
    Raises:
        ValueError: the training ended before; says by which error.
    """
    shutil.rmtree(workdir, ignore_errors=True)
    clock = runs.Clock(0.0, 0.0, 0.0)
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as said:
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=said) as process:
            try:
                while process.poll() is None and not (clock.images and clock.seconds >= seconds):
                    time.sleep(0.1)
                    clock = _clock(workdir) or clock
                clock = _clock(workdir) or clock  # where it ended by itself
            finally:
                process.terminate()  # it saves its state first; Popen waits for it
        said.seek(0)
        last = said.read().strip().splitlines()
    shutil.rmtree(workdir, ignore_errors=True)
    if not clock.images:
        error = next((line for line in last if line.startswith("error: ")), "it ended at once.")
        raise ValueError(f"its speed can't be measured: {error.removeprefix('error: ')}")
    return clock.images / clock.seconds


def _clock(workdir: pathlib.Path) -> runs.Clock | None:
    return runs.read([workdir])[0].steady if runs.has_results(workdir) else None


def scaled(settings: Mapping, factor: float) -> list[str]:
    """Overrides by which all durations of a config are `factor` times as long, how far one
    evaluation is from the next too; but not the average's half-life where `ema_rampup` bounds it to
    a share of the images seen. settings: as JSON has them."""
    bounded = settings["ema_rampup"] is not None
    fixed = {"ema_halflife_kimg"} if bounded else set()
    found = {key: kimg for key, kimg in durations(settings) if key not in fixed}
    return [f"{key}={kimg * factor:.9g}" for key, kimg in found.items()]


def durations(settings: Mapping, above: str = "") -> Iterator[tuple[str, float]]:
    """(dotted name, value) of all settings in thousands of images, *_kimg, however deep."""
    for key, value in settings.items():
        if isinstance(value, dict):
            yield from durations(value, f"{above}{key}.")
        elif key.endswith("_kimg") and value is not None:
            yield f"{above}{key}", value
