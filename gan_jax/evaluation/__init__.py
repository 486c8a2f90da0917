"""Pictures against pictures -> numbers, each beside what it means and the protocol that it depends
on.

`run` measures a checkpoint against its data, `folders.compare` any pictures against any other;
training does it while it runs: see best.BestCheckpoint. What can be measured stands in measures/.
"""

import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

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
