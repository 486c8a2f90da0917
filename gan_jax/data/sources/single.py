"""Windows of one picture:
what a game learns from where a single picture is all there is of a style."""

import dataclasses
import functools
import hashlib
import pathlib
from collections.abc import Mapping

import numpy as np

from gan_jax.data import decode, geometry, pipeline, source
from gan_jax.data.quarantine import ImageRejected, Remarks
from gan_jax.data.source import Batch, Outline, check_path, fingerprint
from gan_jax.data.view import View


@dataclasses.dataclass
class Source(source.Source):
    """`count` windows of the picture at `path`, each at a place and of a size drawn by the sample's
    seed and number.

    A window covers between `resolution` and `widest` times that of the picture brought to a shorter
    side of `side`, and is resized to `resolution`.

    Args:
        path: a picture's file.
        resolution: pixels of a window, a side or (H, W).
        side: pixels; None: the picture as it is. It must hold the widest window.
        widest: 1 or more.
        count: windows in an epoch.
        channels, flip, background: as for a folder.
    Raises:
        ValueError: no such file, no picture, or one that is too small; says how small.
    """

    path: str
    resolution: int | tuple[int, int] = 64
    side: int | None = None
    widest: float = 2.0
    count: int = 1000
    channels: int = 3
    flip: bool = False
    background: tuple[int, int, int] = (255, 255, 255)

    def __post_init__(self):
        view = View.of(vars(self) | {"widest": 1.0})
        if self.count < 1:
            raise ValueError(f"config.data.count={self.count}: it must be at least 1.")
        if not 1 <= self.widest <= 64:
            raise ValueError(f"config.data.widest={self.widest}: it must be 1 to 64.")
        remarks = Remarks()
        picture = self._read(remarks)
        self.picture, self.shape = picture, view.shape
        size = zip(picture.shape[:2], view.size, strict=True)
        if any(have < need * self.widest for have, need in size):
            need = " x ".join(f"{n * self.widest:g}" for n in view.size)
            raise ValueError(
                f"config.data.path={self.path!r}: {picture.shape[0]} x {picture.shape[1]} pixels,"
                f" its widest window {need}. Use a larger picture, a larger side, or a lower"
                " resolution or widest."
            )
        names = (field.name for field in dataclasses.fields(self))
        settings = {name: getattr(self, name) for name in names if name != "path"}
        pixels = hashlib.sha256(picture.tobytes()).hexdigest()
        self.fingerprint = fingerprint(settings, picture.shape, pixels)
        self.notes = (
            f"windows of {self.path}, {picture.shape[0]} x {picture.shape[1]} pixels",
            *remarks.lines(),
        )

    def __len__(self) -> int:
        return self.count

    def load(self, ids: np.ndarray, seeds: np.ndarray) -> Batch:
        # width, y, x, flip; with equal seeds too
        draws = pipeline.uniform(seeds + ids.astype(np.uint64), 4)
        image = np.stack([self._window(*row[:3]) for row in draws])
        if self.flip:
            image = np.where((draws[:, 3] < 0.5)[:, None, None, None], image[:, :, ::-1], image)
        return {"image": image}

    @classmethod
    def outline(cls, settings: Mapping) -> Outline:
        check_path(settings["path"])
        return Outline(View.of(settings | {"widest": 1.0}).shape)

    def _read(self, remarks: Remarks) -> np.ndarray:
        """The picture, brought to `side`."""
        file = pathlib.Path(self.path).expanduser()
        if not file.is_file():
            raise ValueError(f"config.data.path={self.path!r}: no such file. Give one picture.")
        remark = functools.partial(remarks.add, file.name)
        how = {"channels": self.channels, "background": self.background, "remark": remark}
        try:
            picture = decode.decode(file, **how)
        except ImageRejected as reason:
            raise ValueError(f"config.data.path={self.path!r}: {reason}.") from reason
        if self.side is None:
            return picture
        scale = self.side / min(picture.shape[:2])
        size = tuple(max(1, round(n * scale)) for n in picture.shape[:2])
        return geometry.fit(picture, size, "stretch")

    def _window(self, width: float, y: float, x: float) -> np.ndarray:
        size = tuple(round(n * self.widest**width) for n in self.shape[:2])
        return geometry.fit(geometry.cut(self.picture, size, (y, x)), self.shape[:2], "stretch")
