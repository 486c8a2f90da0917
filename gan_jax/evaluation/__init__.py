"""Pictures against pictures -> numbers, each beside what it means and the protocol that it depends
on.

`run` and `of_run` measure a checkpoint against its data, `compare_folders` any pictures against any
other; training does it while it runs: see best.BestCheckpoint. What can be measured: measures/.
"""

import pathlib
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gan_jax.config import Config


def run(
    config: "Config",
    workdir: str | pathlib.Path,
    path: str | None = None,
    metrics: Sequence[str] | None = None,
    overrides: Sequence[str] = (),
) -> dict:
    """The record of a run's checkpoint, by a config: see runs.run."""
    from gan_jax.evaluation import runs

    return runs.run(config, pathlib.Path(workdir), path, metrics, overrides)


def of_run(
    workdir: str | pathlib.Path,
    metrics: Sequence[str] | None = None,
    *,
    trusted: Iterable[str] = (),
    **settings: Any,
) -> dict:
    """The record of a run's newest checkpoint, by the config that it was made with: see
    runs.of_run."""
    from gan_jax.evaluation import runs

    return runs.of_run(pathlib.Path(workdir), metrics, trusted=trusted, **settings)


def compare_folders(
    generated: str | pathlib.Path,
    real: str | pathlib.Path,
    held_out: str | pathlib.Path | None = None,
    **settings: Any,
) -> dict:
    """The record of a folder of pictures against another: see folders.compare."""
    from gan_jax.evaluation import folders

    return folders.compare(generated, real, held_out, **settings)
