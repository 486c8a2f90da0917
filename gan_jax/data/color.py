"""How a picture's file defines its colors, and their conversion to sRGB.

In the order in which they count: a PNG's or AVIF's code points (cICP, nclx), an ICC profile, a
PNG's sRGB, gAMA and cHRM, a TIFF's primaries, and the mark of cameras for Adobe RGB (DCF's "R03" in
EXIF). Where a file defines none its colors are sRGB.
"""

import functools
import io
import math
import struct
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from PIL import ExifTags, Image, ImageCms

GRAY = frozenset({"1", "L", "LA", "I", "F", "I;16", "I;16L", "I;16B", "I;16N"})
"""The modes of one color that Pillow gives a file's pixels."""

HEADER_BYTES = 2**21  # of a file, at most, that are searched for code points, or are a profile

_D65 = (0.3127, 0.3290)
_SRGB = (_D65, (0.64, 0.33), (0.30, 0.60), (0.15, 0.06))
_ADOBE_RGB = (_D65, (0.64, 0.33), (0.21, 0.71), (0.15, 0.06))
_PRIMARIES = {  # of ITU-T H.273: white, red, green, blue
    1: _SRGB,
    2: _SRGB,  # not given
    4: ((0.310, 0.316), (0.67, 0.33), (0.21, 0.71), (0.14, 0.08)),
    5: (_D65, (0.64, 0.33), (0.29, 0.60), (0.15, 0.06)),
    6: (_D65, (0.630, 0.340), (0.310, 0.595), (0.155, 0.070)),
    7: (_D65, (0.630, 0.340), (0.310, 0.595), (0.155, 0.070)),
    9: (_D65, (0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),
    11: ((0.314, 0.351), (0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
    12: (_D65, (0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
}
# transfer of H.273 -> exponent, or None for sRGB's curve: cameras' curves (BT.709, 601, 2020) are
# shown by it, as video is
_GAMMAS = {4: 2.2, 5: 2.8, 8: 1.0} | dict.fromkeys((1, 2, 6, 13, 14, 15))
_HDR = (16, 18)  # PQ, HLG

_BRADFORD = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)
_D50 = np.array([0.9642, 1.0, 0.8249])


class Unusable(ValueError):
    """The colors that the file defines can't be used."""


class HighDynamicRange(ValueError):
    """Colors that no sRGB can show."""


def to_srgb(picture: Image.Image, stream: io.BufferedIOBase) -> ImageCms.ImageCmsTransform | None:
    """What makes sRGB of the pixels once they have its `input_mode`; None: they are sRGB, or differ
    by rounding only.

    By relative colorimetric intent with black point compensation.
    Args:
        picture: opened, its pixels not needed.
        stream: its file; its position stays.
    Raises:
        Unusable: a broken profile, or one of other channels than the picture's.
        HighDynamicRange: PQ or HLG.
    """
    if picture.mode == "LAB":
        return _transform(None, "LAB")
    profile = profile_of(picture, stream)
    if profile is None:
        return None
    return _transform(
        profile, "L" if picture.mode in GRAY else "CMYK" if picture.mode == "CMYK" else "RGB"
    )


def profile_of(picture: Image.Image, stream: io.BufferedIOBase) -> bytes | None:
    """The ICC profile the file has, or one made of its other definitions; None for sRGB. Raises as
    `to_srgb`."""
    points, profile = None, picture.info.get("icc_profile")
    if picture.format in ("PNG", "AVIF", "JPEG2000", "BMP"):
        place = stream.tell()
        stream.seek(0)
        if picture.format == "BMP":
            profile = _of_bmp(stream)
        elif picture.format == "PNG":
            points = _cicp(stream)
        elif picture.format == "AVIF":
            boxes = _boxes(stream.read(HEADER_BYTES), b"meta", b"iprp", b"ipco", b"colr")
            points = next(
                (
                    (*struct.unpack_from(">HHH", body, 4), 1)
                    for body in boxes
                    if body[:4] == b"nclx"
                ),
                None,
            )
        else:
            boxes = _boxes(stream.read(HEADER_BYTES), b"jp2h", b"colr")
            profile = next((bytes(body[3:]) for body in boxes if body[:1] in (b"\2", b"\3")), None)
        stream.seek(place)
    if points is not None and (profile is None or picture.format == "PNG"):
        return _of_code_points(*points)
    if profile is not None:
        return profile
    if "icc_profile" in picture.info:  # Pillow could not put it together
        raise Unusable
    if picture.format == "PNG":
        return None if "srgb" in picture.info else _of_png(picture.info)
    if picture.format == "TIFF" and {318, 319} <= picture.tag_v2.keys():
        return _of_primaries(_points(picture.tag_v2[318], picture.tag_v2[319]))
    if picture.format in ("JPEG", "MPO", "TIFF", "WEBP") and _marked_adobe_rgb(picture.getexif()):
        return matrix_profile(_ADOBE_RGB, 2.19921875)
    return None


def _marked_adobe_rgb(exif: Image.Exif) -> bool:
    try:
        color_space = exif.get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.ColorSpace)
        index = exif.get_ifd(ExifTags.IFD.Interop).get(ExifTags.Interop.InteropIndex, "")
    except (OSError, SyntaxError, ValueError, LookupError, TypeError, struct.error):
        return False  # no reason to refuse the pixels
    return color_space == 2 or str(index).startswith("R03")


def _of_code_points(primaries: int, transfer: int, _matrix: int, full: int) -> bytes | None:
    if transfer in _HDR:
        raise HighDynamicRange
    if primaries not in _PRIMARIES or transfer not in _GAMMAS or not full:
        raise Unusable
    return _of_primaries(_PRIMARIES[primaries], _GAMMAS[transfer])


def _of_png(info: dict) -> bytes | None:
    """gAMA and cHRM. An encoding exponent within 5 % of 1 / 2.2 stands for sRGB's curve, as writers
    mean it."""
    exponent = info.get("gamma", 1 / 2.2)
    if not 0 < exponent < 100:
        raise Unusable
    gamma = None if abs(exponent * 2.2 - 1) <= 0.05 else 1 / exponent
    return _of_primaries(_points(info["chromaticity"]) if "chromaticity" in info else _SRGB, gamma)


def _points(*values) -> list:
    """Tags' numbers as (x, y) of white, red, green and blue."""
    try:
        return (
            np.concatenate([np.asarray(value, np.float64) for value in values])
            .reshape(4, 2)
            .tolist()
        )
    except (ArithmeticError, TypeError, ValueError) as error:
        raise Unusable from error


def _of_primaries(points: Sequence, gamma: float | None = None) -> bytes | None:
    if gamma is None and np.abs(np.subtract(points, _SRGB)).max() < 0.003:
        return None
    return matrix_profile(points, gamma)


def _curve(gamma: float | None) -> bytes:
    """A parametric curve of ICC.1:2022; None: sRGB's."""
    if gamma is not None:
        return struct.pack(">4sIHHI", b"para", 0, 0, 0, round(gamma * 65536))
    numbers = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
    return struct.pack(">4sIHH5i", b"para", 0, 3, 0, *(round(x * 65536) for x in numbers))


def matrix_profile(points: Sequence, gamma: float | None = None) -> bytes:
    """An ICC profile of an RGB display (ICC.1:2022).

    Args:
        points: chromaticities (x, y) of white, red, green and blue.
        gamma: the exponent from encoded to linear light; None: sRGB's curve.
    Raises:
        Unusable: chromaticities that span no colors.
    """
    try:
        white, *primaries = (np.array([x / y, 1, (1 - x - y) / y]) for x, y in points)
        primaries = np.stack(primaries, 1)
        linear = primaries * np.linalg.solve(primaries, white)  # RGB -> XYZ
        cones = (_BRADFORD @ _D50) / (_BRADFORD @ white)
        # as seen under D50
        linear = np.linalg.solve(_BRADFORD, cones[:, None] * (_BRADFORD @ linear))
        curve = _curve(gamma)
        tags = {b"wtpt": _xyz(_D50)} | {
            b"%cXYZ" % c: _xyz(column) for c, column in zip(b"rgb", linear.T, strict=True)
        }
        tags |= {b"%cTRC" % c: curve.ljust(math.ceil(len(curve) / 4) * 4, b"\0") for c in b"rgb"}
    except (ArithmeticError, ValueError, struct.error) as error:
        raise Unusable from error
    table, body, start = struct.pack(">I", len(tags)), b"", 128 + 4 + 12 * len(tags)
    for name, value in tags.items():
        table += struct.pack(">4sII", name, start + len(body), len(value))
        body += value
    header = struct.pack(
        ">I4x4s4s4s4s12x4s28x", start + len(body), b"\4\x30\0\0", b"mntr", b"RGB ", b"XYZ ", b"acsp"
    )
    return header + _xyz(_D50)[8:] + bytes(48) + table + body


def _xyz(values: Iterable[float]) -> bytes:
    """An XYZ tag of an ICC profile, in fixed-point numbers."""
    return struct.pack(">4sI3i", b"XYZ ", 0, *(round(float(x) * 65536) for x in values))


@functools.lru_cache(maxsize=64)
def _transform(profile: bytes | None, mode: str) -> ImageCms.ImageCmsTransform | None:
    """From a profile's colors (None: CIELAB's) in pixels of
    "L", "RGB", "CMYK" or "LAB" to sRGB in "RGB"."""
    srgb = ImageCms.createProfile("sRGB")
    try:
        source = (
            ImageCms.createProfile("LAB")
            if profile is None
            else ImageCms.ImageCmsProfile(io.BytesIO(profile))
        )
        of = "LAB" if profile is None else source.profile.xcolor_space.strip()
        if of == "RGB" and mode == "L":
            mode = "RGB"  # a gray picture among colored ones
        if of != {"L": "GRAY"}.get(mode, mode):
            raise Unusable
        transform = ImageCms.buildTransform(
            source,
            srgb,
            mode,
            "RGB",
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
    except (OSError, ImageCms.PyCMSError) as error:
        raise Unusable from error
    if mode not in ("L", "RGB"):
        return transform
    steps = np.arange(0, 256, 15 if mode == "RGB" else 1, dtype=np.uint8)
    probe = (
        np.stack(np.meshgrid(steps, steps, steps), -1).reshape(len(steps), -1, 3)
        if mode == "RGB"
        else steps[None]
    )
    made = np.asarray(transform.apply(Image.fromarray(probe))).astype(int)
    return None if np.abs(made - probe.reshape(*made.shape[:2], -1)).max() <= 1 else transform


def _of_bmp(stream: io.BufferedIOBase) -> bytes | None:
    """The profile that a BITMAPV5HEADER says is in the file, as a rule behind the pixels."""
    header = stream.read(138)
    if (
        len(header) < 138
        or struct.unpack_from("<I", header, 14) != (124,)
        or header[70:74] != b"DEBM"
    ):
        return None
    start, size = struct.unpack_from("<II", header, 126)
    stream.seek(14 + start)
    return stream.read(min(size, HEADER_BYTES))


def _cicp(stream: io.BufferedIOBase) -> tuple[int, ...] | None:
    """A PNG's code points, which stand before its pixels."""
    place = stream.seek(8)
    while len(head := stream.read(8)) == 8 and not head.endswith(b"IDAT"):
        size, kind = struct.unpack(">I4s", head)
        if kind == b"cICP":
            return struct.unpack("BBBB", stream.read(4))
        place = stream.seek(place + 12 + size)
    return None


def _boxes(file: bytes, *path: bytes) -> Iterator[bytes]:
    """The bodies of all boxes at a path, as in b"jp2h", b"colr": of files of the ISO base media
    kind, and JPEG 2000."""
    place = 0
    while place + 8 <= len(file):
        size, kind = struct.unpack_from(">I4s", file, place)
        end = place + size if size else len(file)
        if kind == path[0]:
            body = file[place + (12 if kind == b"meta" else 8) : end]
            if len(path) == 1:
                yield body
            else:
                yield from _boxes(body, *path[1:])
        if size == 1 or end < place + 8:  # 64-bit sizes are of pixels, which come last
            return
        place = end
