"""The pictures, folders and videos that a command is given: one that can't be used does not stop
the others."""

import contextlib
import pathlib
from collections.abc import Iterable, Iterator

from gan_jax.data import clips, image_file
from gan_jax.data.quarantine import ImageRejected


class Inputs:
    """Paths sorted by what they hold, whatever they are called.

    Attributes:
        pictures: image files, and folders.
        clips: videos.
        failed: of each that is set aside, why, with its path.
    """

    def __init__(self, paths: Iterable[pathlib.Path]):
        """Raises ValueError where all are set aside."""
        self.pictures: list[pathlib.Path] = []
        self.clips: list[clips.Clip] = []
        self.failed: dict[pathlib.Path, str] = {}
        self._count = 0
        for path in dict.fromkeys(paths):
            self._count += 1
            with self.setting_aside(path):
                clip = None if path.is_dir() else clip_in(path)
                if clip is None:
                    self.pictures.append(path)
                else:
                    self.clips.append(clip)
        if len(self.failed) == self._count:
            self.check()

    @contextlib.contextmanager
    def setting_aside(self, path: pathlib.Path) -> Iterator[None]:
        """For a block that works on one of the paths: where it raises ValueError, the path has
        failed, and what follows goes on."""
        try:
            yield
        except ValueError as error:
            named = str(path) in str(error)
            self.failed[path] = str(error) if named else f"{path}: {str(error).rstrip('.')}."

    def check(self) -> None:
        """Raises ValueError, once all is done, where some were set aside: names them all."""
        reasons = list(self.failed.values())
        if len(reasons) == 1 == self._count:
            raise ValueError(reasons[0])
        if reasons:
            raise ValueError(
                f"nothing was made of {len(reasons)} of {self._count} inputs: {' '.join(reasons)}"
            )


def clip_in(path: pathlib.Path) -> clips.Clip | None:
    """The video that a file holds, whatever it is called; None where it is a picture.

    Raises:
        ValueError: it is neither.
    """
    if not path.exists():
        raise ValueError(f"{path}: no such file or folder.")
    try:
        image_file.header(path)
        return None
    except ImageRejected as reason:
        try:
            return clips.open_clip(path)
        except ValueError as error:
            if path.suffix.lower() in image_file.SUFFIXES:
                raise ValueError(f"{path}: {reason}.") from error
            raise
