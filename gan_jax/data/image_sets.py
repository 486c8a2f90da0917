"""Encoded images as samples: decoded, resized, augmented, and the unreadable ones set aside."""

import functools
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from gan_jax.data import geometry, image_file, pipeline
from gan_jax.data.quarantine import ImageRejected, Quarantine, Remarks
from gan_jax.data.source import Batch
from gan_jax.data.view import View

# decoded images up to this size stay in memory; more are read again at every use
KEEP_BYTES = 1 << 30

log = logging.getLogger(__name__)


class Pictures:
    """Encoded images that are decoded, resized and augmented by a View, and the unreadable ones set
    aside.

    All are decoded once on opening and kept where they fit in KEEP_BYTES. Of larger sets only the
    headers are read then, and an image that proves damaged later is reported once and replaced by
    the next readable one, of its class where there is one.

    Args:
        files: paths, or encoded bytes by index.
        names: of the files, for reports.
        labels: int [n], each file's class, or None.
        rejected: index -> reason, of files known to be of no use.
    Attributes:
        kept: int64 [len(self)], the index in `files` of each sample.
        targets: int32 [len(self)], each sample's class, or None.
        quarantine: what was set aside.
        remarks: on files that are used.
    """

    def __init__(
        self,
        files: Sequence[os.PathLike | bytes],
        names: Sequence[str],
        view: View,
        labels: np.ndarray | None = None,
        rejected: Mapping[int, str] | None = None,
    ):
        self.files, self.names, self.view, self.labels = files, names, view, labels
        self.quarantine, self.remarks = Quarantine(), Remarks()
        cover = max(view.enlarge, view.widest) ** 2  # of an image to be cut from
        self.in_memory = len(files) * cover * int(np.prod(view.shape)) <= KEEP_BYTES
        first_looks = dict(rejected or {})
        todo = [i for i in range(len(files)) if i not in first_looks]
        with ThreadPoolExecutor(os.cpu_count()) as threads:
            first_looks |= zip(todo, threads.map(self._first_look, todo), strict=True)
        for i, found in sorted(first_looks.items()):
            if isinstance(found, str | ImageRejected):
                self.quarantine.add(names[i], found)
        self.kept = np.array(
            [i for i in range(len(files)) if names[i] not in self.quarantine.files], np.int64
        )
        self.targets = None if labels is None else labels[self.kept].astype(np.int32)
        self._memory = [first_looks[i] for i in self.kept] if self.in_memory else None
        if self.in_memory and view.crop != "random" and len(self):
            self._memory = np.stack(self._memory)

    def __len__(self) -> int:
        return len(self.kept)

    def load(self, ids: np.ndarray, seeds: np.ndarray) -> Batch:
        """The samples `ids` (int64 [n]), as Source.load: "id", "image", and "label" where
        there are labels."""
        draws = pipeline.uniform(seeds, 5)  # flip, angle, crop's y and x, its width
        if isinstance(self._memory, np.ndarray):
            shown, image = ids, self._memory[ids]
        else:
            found = [self._find(int(i)) for i in ids]
            shown = np.array([i for i, _ in found])
            images = [image for _, image in found]
            if self.view.crop == "random":
                places = zip(images, draws[:, 2:4], draws[:, 4], strict=True)
                images = [self.view.window(image, at, width) for image, at, width in places]
            image = np.stack(images)
        if self.view.flip:
            image = np.where((draws[:, 0] < 0.5)[:, None, None, None], image[:, :, ::-1], image)
        if self.view.rotate_degrees:
            degrees = (2 * draws[:, 1] - 1) * self.view.rotate_degrees
            image = np.stack([geometry.rotate(x, a) for x, a in zip(image, degrees, strict=True)])
        batch = {"id": shown, "image": image}
        return batch if self.targets is None else batch | {"label": self.targets[shown]}

    def _first_look(self, i: int) -> np.ndarray | ImageRejected | None:
        remark = functools.partial(self.remarks.add, self.names[i])
        try:
            if self.in_memory:
                return self.view.read(self.files[i], remark)
            image_file.check(self.files[i], remark=remark)
        except ImageRejected as reason:
            return reason

    def _find(self, i: int) -> tuple[int, np.ndarray]:
        """(sample, image): sample i, or where it can't be read any more the next that can, of its
        class where there is one."""
        if self._memory is not None:
            return i, self._memory[i]
        for candidate in self._instead_of(i):
            name = self.names[self.kept[candidate]]
            if name in self.quarantine.files:
                continue
            try:
                return candidate, self.view.read(self.files[self.kept[candidate]])
            except ImageRejected as reason:
                self.quarantine.add(name, reason)
                log.warning(
                    "%s can't be read any more (%s): others take its place. %d set aside so far.",
                    name,
                    reason,
                    len(self.quarantine),
                )
        raise ValueError(f"config.data: none of the {len(self)} images can be read any more.")

    def _instead_of(self, i: int) -> Iterator[int]:
        """Sample i, then those after it, round to it: first of its class, then all others."""
        yield i
        order = np.roll(np.arange(len(self)), -i)[1:]
        if self.targets is not None:
            order = order[np.argsort(self.targets[order] != self.targets[i], kind="stable")]
        yield from order.tolist()
