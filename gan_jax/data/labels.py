"""The class of each file of a folder: by its sub-folder, or by a file as StyleGAN has them."""

import dataclasses
import json
import pathlib

import numpy as np

from gan_jax.data.images import MARK
from gan_jax.runtime import registry

STYLEGANS_LABELS = "dataset.json"
SPLITS = frozenset({"train", "training", "val", "valid", "validation", "dev", "test", "testing"})
MOST_CLASSES = 100_000


@dataclasses.dataclass
class Labels:
    """What classes the files of a folder have.

    Attributes:
        classes: their names.
        targets: int [n], each file's class, or -1; None where no classes were requested.
        lack: why a file has none.
        read: endings of the files that they were read from.
        by_folders: whether sub-folders are the classes.
    """

    classes: tuple[str, ...] = ()
    targets: np.ndarray | None = None
    lack: str = ""
    read: tuple[str, ...] = ()
    by_folders: bool = False

    def without(self) -> dict[int, str]:
        """The numbers of files that have no class, and why."""
        if self.targets is None:
            return {}
        return {int(i): self.lack for i in np.flatnonzero(self.targets < 0)}

    def folders_without_images(self, root: pathlib.Path) -> list[str]:
        """Sub-folders that could be classes."""
        if not self.by_folders:
            return []
        folders = {path.name for path in root.iterdir() if path.is_dir()}
        folders -= {path.parent.name for path in root.glob(f"*/{MARK}")}
        shown = {registry.normal(name) for name in folders if not name.startswith(".")}
        return sorted(shown - set(self.classes))


def labels_of(root: pathlib.Path, names: list[str]) -> Labels:
    """Of the files `names` below `root`: by StyleGAN's dataset.json where that has labels, else the
    first level of sub-folders names the classes. Raises ValueError where there are none."""
    by_file = _stylegans(root / STYLEGANS_LABELS)
    if by_file is None:
        classes, targets = _by_folders(root, names)
        return Labels(classes, targets, "no class folder", by_folders=True)
    targets = np.array([by_file.get(registry.normal(name), -1) for name in names])
    classes = tuple(str(i) for i in range(targets.max() + 1))
    return Labels(classes, targets, f"no label in {STYLEGANS_LABELS}", (".json",))


def _by_folders(root: pathlib.Path, names: list[str]) -> tuple[tuple[str, ...], np.ndarray]:
    """(class names, each image's class or -1).

    Raises:
        ValueError: no classes there, or folders that are splits with the classes in them.
    """
    if not any("/" in name for name in names):
        raise ValueError(
            f"config.data.labels=True: {root} has no sub-folders with images, one for each class."
        )
    splits = splits_of([name for name in names if "/" in name])
    if splits and any(name.count("/") > 1 for name in names):
        raise ValueError(
            f"config.data.labels=True: the folders of {root}, {', '.join(splits)}, are splits; the"
            f" classes are in them. Use one: config.data.path={root / splits[0]}."
        )
    folders = [registry.normal(name.split("/")[0]) if "/" in name else None for name in names]
    known = {folder: i for i, folder in enumerate(sorted({folder for folder in folders if folder}))}
    return tuple(known), np.array([known.get(folder, -1) for folder in folders])


def _stylegans(file: pathlib.Path) -> dict[str, int] | None:
    """Name -> class of the dataset.json that StyleGAN's dataset_tool.py writes; None: there is
    none.

    Raises:
        ValueError: it can't be read, has no labels, or none that are classes.
    """
    try:
        known = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"config.data.labels=True: {file} can't be read: {error}.") from error
    if not isinstance(known, dict) or "labels" not in known:
        return None  # another program's
    if not isinstance(known["labels"], list):
        raise ValueError(
            f"config.data.labels=True: {file} has no labels. Set labels=False, or take it out."
        )
    classes = {}
    for entry in known["labels"]:
        name, label = entry if isinstance(entry, list) and len(entry) == 2 else (entry, None)
        if isinstance(label, list) and [x for x in label if x != 0] == [1]:
            label = label.index(1)
        if not isinstance(label, int) or not 0 <= label < MOST_CLASSES:
            raise ValueError(
                f"config.data.labels=True: {file}: the label of {str(name)[:80]!r} is no class,"
                f" {str(label)[:40]}. It must be a number, 0 to {MOST_CLASSES - 1}, or a vector"
                " with a single 1."
            )
        classes[registry.normal(str(name))] = label
    return classes


def splits_of(names: list[str]) -> list[str]:
    """The first folders of names, where all are called as the parts of a split set are."""
    tops = sorted({name.partition("/")[0] for name in names if "/" in name})
    below = all("/" in name for name in names)
    return tops if below and all(top.lower() in SPLITS for top in tops) else []
