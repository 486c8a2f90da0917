"""A trace of some iterations by JAX's profiler: what the devices and the host spend time on."""

import pathlib
from collections.abc import Callable

import jax


class Profiler:
    """Records `steps` iterations, once all programs of the game are compiled, into a folder.

    View the trace with `tensorboard --logdir FOLDER` (`pip install xprof tensorboard`), or open its
    perfetto_trace.json.gz at https://ui.perfetto.dev.
    """

    def __init__(self, folder: pathlib.Path, steps: int | None, log: Callable[[str], None]):
        """steps: None: nothing is recorded."""
        self.folder, self.log = folder, log
        self._left = steps or 0
        self._running = False

    def after_iteration(self, compiled: bool, wait: Callable[[], None]) -> None:
        """Call after each iteration. compiled: whether every program has run once; wait: returns
        when the devices are idle."""
        if not (self._left and compiled):
            return
        if not self._running:
            wait()
            jax.profiler.start_trace(self.folder, create_perfetto_trace=True)
            self._running = True
            return
        self._left -= 1
        if not self._left:
            wait()
            self.close()

    def close(self) -> None:
        """Ends the recording, if there is one;
        of a run that ends sooner it has fewer iterations."""
        if self._running:
            self._running, self._left = False, 0
            jax.profiler.stop_trace()
            self.log(f"the profiler's trace is in {self.folder}")
