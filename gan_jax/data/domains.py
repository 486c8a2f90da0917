"""Any labeled source as domains:
each picture comes with a class to go to, and pictures of that class."""

import numpy as np

from gan_jax.data import pipeline
from gan_jax.data.source import Batch, Source


class Domains(Source):
    """A labeled source, its samples with references. Pickled for worker processes, as a source is.

    Adds to a batch "target_label" int32 [n], drawn evenly over the classes that have pictures, and
    for each of `references` uint8 [n, H, W, C], a picture drawn evenly from that class; all by the
    samples' seeds.
    """

    def __init__(self, source: Source, references: tuple[str, ...]):
        """Raises ValueError where the source has fewer than two classes with pictures."""
        self.source, self.references = source, references
        self.shape, self.fingerprint = source.shape, source.fingerprint
        self.classes, self.targets = source.classes, source.targets
        members = []
        if source.targets is not None:
            members = [np.flatnonzero(source.targets == i) for i in np.unique(source.targets)]
        if len(members) < 2:
            raise ValueError(
                f"config.data: {'one class' if members else 'no classes'} with pictures; going from"
                " style to style takes two or more. Set config.data.labels, or add a folder for"
                " each style."
            )
        self.members = members

    def __len__(self) -> int:
        return len(self.source)

    def load(self, ids: np.ndarray, seeds: np.ndarray) -> Batch:
        batch = self.source.load(ids, seeds)
        # class, its seed's number, pictures
        draws = pipeline.uniform(seeds + np.uint64(1), 2 + len(self.references))
        chosen = (draws[:, 0] * len(self.members)).astype(int)
        for i, name in enumerate(self.references):
            picked = [
                self.members[c][int(u * len(self.members[c]))]
                for c, u in zip(chosen, draws[:, 2 + i], strict=True)
            ]
            own = (draws[:, 1] * 2.0**53).astype(np.uint64) + np.uint64(i)
            found = self.source.load(np.array(picked, np.int64), own)
            # where a class has no file left that can be read
            strange = found["label"] != self.source.targets[picked]
            if strange.any():
                lost = self.source.classes[self.source.targets[picked][strange][0]]
                raise ValueError(f"config.data: no image of class {lost!r} can be read any more.")
            batch[name] = found["image"]
        batch["target_label"] = np.array(
            [self.source.targets[self.members[c][0]] for c in chosen], np.int32
        )
        return batch
