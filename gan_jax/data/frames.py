"""A decoded frame of a video, as its file wants it shown: matrix, range, HDR, turns and mirrors.

Numbers of color spaces are H.273's. HDR is brought to SDR so: the signal becomes light in cd/m2
(BT.2100: PQ; HLG on a display of PEAK), light goes through the curve of BT.2390 (EETF, section
5.4.1) from PEAK to WHITE by its greatest color, and then into BT.709's primaries (BT.2087) and a
display's gamma of 2.4 (BT.1886). Up to some 90 cd/m2 the curve changes nothing.
"""

import numpy as np

from gan_jax.data.images import as_rgb

# cd/m2: SDR's white in an HDR picture (BT.2408), and the brightest that is told apart
WHITE, PEAK = 203.0, 1000.0
GAMMA = 2.4

_MATRICES = {1: 1, 4: 4, 5: 5, 6: 5, 7: 7, 9: 9}  # -> swscale's
_UNSPECIFIED = (0, 2, 3)  # 0 and 3: reserved; as a matrix 0 is that of RGB, which YUV can't have
_PQ, _HLG = 16, 18
# of transfers: a display's gamma, or nearly
_SDR = (*_UNSPECIFIED, 1, 4, 5, 6, 7, 11, 12, 13, 14, 15)
# of linear light, from the primaries of that number; all others are close to BT.709's and shown so
_BT2020 = ((1.6605, -0.5876, -0.0728), (-0.1246, 1.1329, -0.0083), (-0.0182, -0.1006, 1.1187))
_DISPLAY_P3 = ((1.2249, -0.2247, 0.0), (-0.0420, 1.0419, 0.0), (-0.0197, -0.0786, 1.0979))
_TO_BT709 = {9: _BT2020, 12: _DISPLAY_P3}

_EXACT = 0x4 | 0x2000 | 0x40000  # swscale: bicubic, chroma interpolated in full, accurate rounding


def picture(frame) -> np.ndarray:
    """An av.VideoFrame as uint8 [H, W, 3], sRGB, upright, on white where it is transparent.

    A frame without a matrix of its own is BT.709's where it is wider than 1279 or higher than 576,
    else BT.601's.
    Raises:
        ValueError: a matrix, a transfer or a turn that can't be followed.
    """
    transfer, primaries = frame.color_trc, frame.color_primaries
    if transfer in _UNSPECIFIED and frame.side_data.get("DOVI_METADATA") is not None:
        raise ValueError(
            "its colors are Dolby Vision's own (profile 5); first make it HDR10 or SDR."
        )
    if transfer not in (*_SDR, _PQ, _HLG):
        raise ValueError(f"its colors have the transfer {transfer} of H.273; {_CONVERT}.")
    if transfer in (_PQ, _HLG):
        primaries = 9 if primaries in _UNSPECIFIED else primaries
        signal = _rgb(frame, "rgb48le") / np.float32(65535)
        shown = _display(_tone_mapped(_light(signal, transfer), primaries))
    elif primaries in _TO_BT709:
        signal = _rgb(frame, "rgb48le") / np.float32(65535)
        shown = _display(_primaries(signal**GAMMA, primaries))
    elif any(component.is_alpha for component in frame.format.components):
        shown = as_rgb(_rgb(frame, "rgba"))
    else:
        shown = _rgb(frame, "rgb24")
    return np.ascontiguousarray(_upright(shown, frame.side_data.get("DISPLAYMATRIX")))


_CONVERT = "first make it BT.709, as by ffmpeg -i IN -vf zscale=t=bt709:m=bt709:p=bt709 OUT"


def is_hdr(frame) -> bool:
    """Whether its colors are of a wider range than a display's without HDR."""
    return frame.color_trc in (_PQ, _HLG)


def is_sideways(frame) -> bool:
    """Whether the frame is shown with its stored height as its width."""
    return _turn(frame.side_data.get("DISPLAYMATRIX"))[0]


def _rgb(frame, format: str) -> np.ndarray:
    if frame.format.is_rgb or frame.format.has_palette:
        return frame.to_ndarray(format=format)
    matrix = frame.colorspace
    if matrix in _UNSPECIFIED:  # as mpv and others guess
        matrix = 1 if frame.width >= 1280 or frame.height > 576 else 6
    if matrix not in _MATRICES:
        raise ValueError(f"its colors have the matrix {matrix} of H.273; {_CONVERT}.")
    full = frame.color_range == 2 or frame.format.name.startswith("yuvj")
    return frame.to_ndarray(
        format=format,
        src_colorspace=_MATRICES[matrix],
        src_color_range=2 if full else 1,
        interpolation=_EXACT,
    )


def _light(signal: np.ndarray, transfer: int) -> np.ndarray:
    """f32 [H, W, 3] in [0, 1] -> cd/m2."""
    if transfer == _PQ:
        return from_pq(signal)
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)
    luminance = scene @ np.array([0.2627, 0.6780, 0.0593], np.float32)
    return PEAK * scene * luminance[..., None] ** np.float32(0.2)


def from_pq(signal: np.ndarray) -> np.ndarray:
    """SMPTE ST 2084: [0, 1] -> cd/m2, [0, 10000]."""
    power = signal ** (32 / 2523)
    share = np.maximum(power - 3424 / 4096, 0) / (2413 / 128 - 2392 / 128 * power)
    return 10_000 * share ** (16384 / 2610)


def to_pq(light: np.ndarray) -> np.ndarray:
    """cd/m2 -> [0, 1]: the inverse of `from_pq`."""
    power = (light / 10_000) ** (2610 / 16384)
    return ((3424 / 4096 + 2413 / 128 * power) / (1 + 2392 / 128 * power)) ** (2523 / 32)


def _curve() -> tuple[np.ndarray, np.ndarray]:
    """BT.2390's EETF as a table: cd/m2 from 0 to PEAK, and what they become, 0 to WHITE."""
    top = to_pq(PEAK)
    x, most = np.linspace(0, 1, 1025), to_pq(WHITE) / top
    knee = 1.5 * most - 0.5
    t = np.maximum(x - knee, 0) / (1 - knee)
    bent = (
        (2 * t**3 - 3 * t**2 + 1) * knee
        + (t**3 - 2 * t**2 + t) * (1 - knee)
        + (3 * t**2 - 2 * t**3) * most
    )
    return from_pq(x * top), from_pq(np.where(x < knee, x, bent) * top)


_FROM, _TO = _curve()


def _tone_mapped(light: np.ndarray, primaries: int) -> np.ndarray:
    """cd/m2 -> linear light of BT.709, 1 for WHITE."""
    brightest = np.maximum(light.max(-1, keepdims=True), 1e-4)
    scale = np.interp(brightest, _FROM, _TO) / brightest / WHITE
    return _primaries(light * scale.astype(np.float32), primaries)


def _primaries(light: np.ndarray, primaries: int) -> np.ndarray:
    return light @ np.array(_TO_BT709[primaries], np.float32).T if primaries in _TO_BT709 else light


def _display(light: np.ndarray) -> np.ndarray:
    return np.rint(255 * np.clip(light, 0, 1) ** (1 / GAMMA)).astype(np.uint8)


def _turn(matrix) -> tuple[bool, bool, bool]:
    """A display matrix (9 x int32, av_display_rotation_get's) -> (swap the axes, then turn rows
    about, columns about).

    Raises:
        ValueError: one that turns by less than a quarter.
    """
    if matrix is None:
        return False, False, False
    # x' = a x + c y, y' = b x + d y
    a, b, _, c, d = (int(x) for x in np.frombuffer(matrix, np.int32)[:5])
    straight, across = abs(a) + abs(d), abs(b) + abs(c)
    if 100 * min(straight, across) > max(straight, across):
        raise ValueError(
            "it is to be shown turned by an angle that is no quarter; first turn it, as by ffmpeg"
            " -i IN OUT."
        )
    return (True, b < 0, c < 0) if across > straight else (False, d < 0, a < 0)


def _upright(shown: np.ndarray, matrix) -> np.ndarray:
    swapped, rows, columns = _turn(matrix)
    shown = shown.swapaxes(0, 1) if swapped else shown
    return shown[:: -1 if rows else 1, :: -1 if columns else 1]
