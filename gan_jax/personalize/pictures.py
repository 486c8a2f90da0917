"""One person's picture files, as a generator is taught them."""

import dataclasses
import pathlib
from collections.abc import Callable, Sequence

import numpy as np
from scipy import ndimage

from gan_jax.data import decode, faces, geometry
from gan_jax.data.images import as_rgb, in_channels, to_float
from gan_jax.data.quarantine import ImageRejected, Quarantine, Remarks
from gan_jax.data.scan import passed_over, scan
from gan_jax.runtime.files import sha256
from gan_jax.runtime.text import shown

MOST = 200  # pictures that a person is made from
EVEN = 12  # of 255: colors no farther from the ground's belong to it
FEW = 8  # pictures, from which groups among them mean something
PLAIN = 0.7  # share of the border's pixels of one color, from which there is a plain ground


@dataclasses.dataclass
class Pictures:
    """Pictures of one person.

    Attributes:
        values: f32 [n, H, W, C] in [-1, 1], premultiplied where they have alpha.
        names: of the files.
        hashes: SHA-256 of each file.
        notes: lines on what was left out, cut or not obeyed.
    """

    values: np.ndarray
    names: list[str]
    hashes: list[str]
    notes: list[str]

    def __len__(self) -> int:
        return len(self.values)


def read(
    sources: Sequence[pathlib.Path],
    shape: tuple[int, int, int],
    *,
    find_faces: bool = False,
    face: int = 1,
    most: int = MOST,
) -> Pictures:
    """Files and folders of pictures, brought to `shape` (H, W, C).

    The middle square of each, resized; with `find_faces` the square around the face, upright. For a
    generator with alpha, a plain ground that reaches the picture's edge becomes clear.

    Args:
        face: which face of a picture with several, 1 the largest.
        most: pictures; of more, so many are taken, evenly.
    Raises:
        ValueError: no picture left, no such face; the detector is not installed.
    """
    files: dict[pathlib.Path, str] = {}  # -> its name, below its folder
    notes, quarantine, remarks = [], Quarantine(), Remarks()
    for source in sources:
        if source.is_dir():
            found, passed = scan(source, "input")
            files |= {file: file.relative_to(source).as_posix() for file in found}
            notes += passed_over(passed)
        else:
            files[source] = source.name
    if len(files) > most:
        notes.append(f"{len(files)} pictures: {most} of them are taken, evenly")
        rows = np.linspace(0, len(files) - 1, most).round().astype(int)
        files = dict(np.array(list(files.items()), object)[rows])
    taken: dict[pathlib.Path, np.ndarray] = {}
    same: dict[bytes, pathlib.Path] = {}  # pixels -> the first file that has them
    for file, name in files.items():
        try:
            picture = decode.decode(file, channels=None, remark=lambda w, n=name: remarks.add(n, w))
            if find_faces:
                picture = _face(picture, face, lambda w, n=name: remarks.add(n, w), shape)
        except ImageRejected as reason:
            quarantine.add(name, reason)
            continue
        made = fitted(picture, shape)
        twin = same.setdefault(made.tobytes(), file)
        if twin != file:
            quarantine.add(name, f"the same picture as {files[twin]}")
            continue
        taken[file] = made
    notes += [*quarantine.lines(), *remarks.lines()]
    if not taken:
        raise ValueError(
            f"{', '.join(map(str, sources))}: no picture left. " + "; ".join(quarantine.lines())
        )
    if shape[2] == 4:
        opaque = sum(bool((x[..., 3] > 0.99).all()) for x in taken.values())
        if opaque:
            notes.append(
                f"{opaque} of {len(taken)} pictures have neither transparency nor a plain ground:"
                " what is behind the person is learned too"
            )
    return Pictures(
        np.stack(list(taken.values())), [files[f] for f in taken], list(map(sha256, taken)), notes
    )


def fitted(picture: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """uint8 [h, w, 1, 3 or 4] -> f32 [H, W, C] in [-1, 1], premultiplied where C is 4."""
    if shape[2] != 4:
        made = geometry.fit(as_rgb(picture), shape[:2], "center")
        return to_float(in_channels(made, shape[2]))
    if picture.shape[2] != 4 or (picture[..., 3] == 255).all():
        picture = cut_out(picture[..., :3] if picture.shape[2] == 4 else as_rgb(picture))
    made = geometry.fit(picture, shape[:2], "center").astype(np.float32) / 255  # straight
    made[..., :3] *= made[..., 3:]
    return 2 * made - 1


def cut_out(picture: np.ndarray) -> np.ndarray:
    """uint8 [H, W, 3] -> [H, W, 4]: clear where a plain ground reaches the edge, else opaque.

    The ground is plain where PLAIN of the border's pixels, but for the lower edge, where shoulders
    are, have one color. Pixels at its contour are
    mixtures of ground and person: their alpha is how far they are from the ground's color, by how
    far the person's pixel next to them is.
    """
    border = np.concatenate([picture[0], picture[:, 0], picture[:, -1]])
    ground = np.median(border, 0)
    even = np.abs(border - ground).max(1) <= EVEN
    alpha = np.ones(picture.shape[:2], np.float32)
    if even.mean() >= PLAIN:
        like = np.abs(picture - ground).max(2) <= EVEN
        parts, _ = ndimage.label(like)
        edge = np.unique(np.concatenate([parts[0], parts[-1], parts[:, 0], parts[:, -1]]))
        clear = np.isin(parts, edge[edge > 0])
        inner = ndimage.binary_erosion(~clear, iterations=2, border_value=1)
        nearest = ndimage.distance_transform_edt(
            ~inner, return_distances=False, return_indices=True
        )
        own = picture[tuple(nearest)].astype(np.float32) if inner.any() else picture
        far = np.abs(picture - ground).sum(2)
        full = np.maximum(np.abs(own - ground).sum(2), 1)
        contour = ~clear & ~inner
        alpha = np.where(contour, np.clip(far / full, 0, 1), np.where(clear, 0, 1))
        color = np.where(contour[..., None], own, picture)
    else:
        color = picture
    return np.concatenate(
        [np.asarray(color, np.uint8), np.rint(255 * alpha)[..., None].astype(np.uint8)], 2
    )


def _face(
    picture: np.ndarray, which: int, remark: Callable[[str], None], shape: tuple[int, int, int]
) -> np.ndarray:
    """The square around a face, as large as it is or as `shape` at the least."""
    found = faces.find(as_rgb(picture))
    if not found:
        raise ImageRejected("no face found")
    if which > len(found):
        raise ImageRejected(f"it has {len(found)} faces, and --face asks for number {which}")
    if len(found) > 1:
        remark(f"several faces, of which number {which} by size is taken; --face takes another")
    face = found[which - 1]
    return faces.cut_out(picture, face, max(round(face.side), *shape[:2]))


def two_groups(ws: np.ndarray, names: Sequence[str]) -> list[str]:
    """A line where the pictures' styles [n, W] fall into two groups that lie apart, as those of two
    persons do; else none.

    Groups: 2-means; apart: a mean silhouette (Rousseeuw 1987) above 0.5.
    """
    if len(ws) < FEW:
        return []
    far = np.linalg.norm(ws[:, None] - ws[None], axis=2)
    start = np.unravel_index(far.argmax(), far.shape)
    means = ws[list(start)]
    for _ in range(20):
        own = np.linalg.norm(ws[:, None] - means[None], axis=2).argmin(1)
        means = np.stack([ws[own == k].mean(0) for k in (0, 1)])
    sizes = np.bincount(own, minlength=2)
    if sizes.min() < 3:
        return []
    same = own[:, None] == own[None]
    inside = (far * same).sum(1) / np.maximum(same.sum(1) - 1, 1)
    outside = (far * ~same).sum(1) / (~same).sum(1)
    silhouette = float(((outside - inside) / np.maximum(outside, inside)).mean())
    if silhouette <= 0.5:
        return []
    smaller = int(sizes.argmin())
    few = [shown(name) for name, k in zip(names, own, strict=True) if k == smaller]
    listed = ", ".join(few[:5]) + (", ..." if len(few) > 5 else "")
    return [
        f"the pictures fall into two groups that lie apart (silhouette {silhouette:.2f}):"
        f" {sizes.max()} and {sizes.min()} ({listed}). If they show two persons, give each its own"
        " command"
    ]
