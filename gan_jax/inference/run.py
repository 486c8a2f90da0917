"""A run's folder, for Python and notebooks."""

import dataclasses
import json
import pathlib
from collections.abc import Iterable

from gan_jax import checkpoint
from gan_jax.inference import loading, notebook
from gan_jax.inference.sampler import Sampler
from gan_jax.runtime import workdir


@dataclasses.dataclass(frozen=True)
class Run:
    """What training left in a workdir.

    Attributes:
        folder: the workdir; may be given as a str.
    """

    folder: pathlib.Path

    def __post_init__(self):
        object.__setattr__(self, "folder", pathlib.Path(self.folder))

    @property
    def step(self) -> int:
        """The last step that was logged; 0 where there is none."""
        return workdir.last_step(self.folder)

    def load(self, *, trusted: Iterable[str] = ()) -> Sampler:
        """The newest checkpoint as a sampler; trusted: modules of your own that it names and that
        may be imported. Raises ValueError where there is none."""
        return loading.load_sampler(self.folder, trusted=trusted)

    def metrics(self) -> list[dict]:
        """The lines of metrics.jsonl: losses, speed and images seen, by step. Raises OSError where
        there is no such file."""
        lines = (self.folder / "metrics.jsonl").read_text("utf-8").splitlines()
        return [json.loads(line) for line in lines]

    def _repr_html_(self) -> str:
        """For notebooks: the newest grid of samples."""
        lines = []
        steps = checkpoint.steps_in(self.folder / "checkpoints")
        if steps:
            meta = checkpoint.read_meta(steps[0])
            lines = [f"{meta['config']['algorithm']}/{meta['config']['model']}"]
            lines += notebook.class_line(meta["classes"])
        title = f"{self.folder.resolve().name}, step {self.step}"
        return notebook.card(title, lines, notebook.newest_grid(self.folder))
