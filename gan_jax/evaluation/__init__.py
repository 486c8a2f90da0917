"""Pictures against pictures -> numbers, each beside the protocol that it depends on."""

import pathlib
from collections.abc import Sequence


def run(
    config,
    workdir: str | pathlib.Path,
    path: str | None = None,
    metrics: Sequence[str] | None = None,
    overrides: Sequence[str] = (),
) -> dict:
    """The record of a run's checkpoint: see runs.run."""
    from gan_jax.evaluation import runs

    return runs.run(config, pathlib.Path(workdir), path, metrics, overrides)
