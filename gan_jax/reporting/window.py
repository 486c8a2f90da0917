"""The metrics between two log lines."""

import collections
from collections.abc import Callable

import jax
import numpy as np

# iterations the host may run ahead of the devices: enough to hide dispatch, bounded in memory
AHEAD = 4


class Window:
    """Metrics of the iterations since the last log line;
    they stay on the devices until `means` fetches them."""

    def __init__(self, one: Callable[[dict], dict]):
        """one: metrics as the devices have them -> {"d/loss": f32 []}; Parallel.one."""
        self._one, self._metrics = one, []  # (step, metrics)

    def add(self, step: int, metrics: dict[str, jax.Array]) -> None:
        """step: the count of iterations with this one. Waits where the host is AHEAD iterations
        ahead of the devices."""
        self._metrics.append((step, metrics))
        if len(self._metrics) > AHEAD:
            jax.block_until_ready(self._metrics[-AHEAD][1])

    def wait(self) -> None:
        """Returns when the devices have done all iterations."""
        jax.block_until_ready([metrics for _, metrics in self._metrics[-1:]])

    def means(self) -> dict[str, float]:
        """The mean of each metric over the iterations that had it; the window is empty then.

        Raises:
            FloatingPointError: one was NaN or infinite; names it and the steps.
        """
        steps = [step for step, _ in self._metrics]
        fetched = jax.device_get([self._one(metrics) for _, metrics in self._metrics])
        self._metrics.clear()
        values = collections.defaultdict(list)
        for step, metrics in zip(steps, fetched, strict=True):
            for name, value in metrics.items():
                if not np.isfinite(value):
                    raise FloatingPointError(
                        f"{name} became {value} at step {step} (steps {steps[0]}-{steps[-1]})."
                        " Saved checkpoints are untouched: lower config.opt_d.lr or"
                        " config.opt_g.lr, set clip_norm, and run again."
                    )
                values[name].append(float(value))
        return {name: float(np.mean(x)) for name, x in values.items()}
