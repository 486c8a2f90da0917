"""The interface of what takes a run's numbers and pictures."""

from collections.abc import Mapping

import numpy as np


class MetricWriter:
    """Method names of clu.metric_writers. A writer defines those that it has a use for."""

    def write_scalars(self, step: int, scalars: Mapping[str, float]) -> None:
        """scalars: "d/loss", "img/s", ... of the iterations up to `step`."""

    def write_images(self, step: int, images: Mapping[str, np.ndarray]) -> None:
        """images: name -> uint8 [H, W, C]."""

    def write_evaluation(self, step: int, record: Mapping) -> None:
        """record: an evaluation's, with its "values" and its "protocol"."""
        values = record["values"].items()
        self.write_scalars(step, {f"eval/{name}": float(value) for name, value in values})

    def write_hparams(self, hparams: Mapping) -> None:
        """hparams: the run's whole config, as JSON knows it."""

    def flush(self) -> None:
        """Brings what was written to where readers find it."""

    def close(self, failed: bool = False) -> None:
        """The last call. failed: an error ended the run."""
