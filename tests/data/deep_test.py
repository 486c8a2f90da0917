"""Files of 16 bits a channel: every value, and what of the file is obeyed."""

import io
import struct

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageOps

from gan_jax.data import decode, deep, geometry
from gan_jax.data.images import in_channels, png_bytes, quantized, save_png, shallow, to_float
from gan_jax.data.quarantine import ImageRejected
from tests.data.color_test import GRAY_18, P3, with_chunks

X = np.random.default_rng(0).integers(0, 65536, (13, 17, 4), np.uint16)


def png(x, **chunks):
    return with_chunks(imagecodecs.png_encode(np.ascontiguousarray(x)), **chunks)


def tiff(x, **options):
    file = io.BytesIO()
    tifffile.imwrite(file, x, **options)
    return file.getvalue()


def read(file, remark=pytest.fail):
    return decode.decode(file, channels=None, keep_deep=True, remark=remark)


RGB = {"photometric": "rgb"}
FILES = {
    "gray png": (png(X[..., :1]), X[..., :1]),
    "gray and alpha png": (png(X[..., :2]), X[..., [0, 0, 0, 1]]),
    "rgb png": (png(X[..., :3]), X[..., :3]),
    "rgba png": (png(X), X),
    "gray tiff": (tiff(X[..., 0]), X[..., :1]),
    "negative tiff": (tiff(X[..., 0], photometric="miniswhite"), 65535 - X[..., :1]),
    "rgb tiff, big endian": (tiff(X[..., :3], byteorder=">", **RGB), X[..., :3]),
    "rgba tiff": (tiff(X, extrasamples=["unassalpha"], **RGB), X),
    "rgb and no alpha tiff": (tiff(X, extrasamples=["unspecified"], **RGB), X[..., :3]),
    "lzw tiff": (tiff(X[..., :3], compression="lzw", predictor=True, **RGB), X[..., :3]),
    "tiff of tiles": (tiff(X[..., :3], tile=(16, 16), **RGB), X[..., :3]),
    "tiff of planes": (
        tiff(np.moveaxis(X[..., :3], -1, 0), planarconfig="separate", **RGB),
        X[..., :3],
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_every_value_comes_as_it_is(name):
    file, wanted = FILES[name]
    found = read(file)
    assert found.dtype == np.uint16
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("name", [name for name in FILES if name != "tiff of planes"])
def test_as_8_bits_they_are_the_same_picture(name):
    file, wanted = FILES[name]
    found = decode.decode(file, channels=None)
    assert np.abs(found - wanted / 257).max() < 1  # Pillow cuts the lower 8 bits off


def test_planes_that_pillow_misreads_are_no_picture():
    with pytest.raises(ImageRejected, match="in planes: save it interleaved"):
        decode.decode(FILES["tiff of planes"][0])


def test_multiplied_alpha_is_divided_out():
    alpha = np.maximum(X[..., 3:], 1000)
    multiplied = np.rint(X[..., :3] * (alpha / 65535)).astype(np.uint16)
    file = tiff(np.concatenate([multiplied, alpha], -1), extrasamples=["assocalpha"], **RGB)
    found = read(file)
    np.testing.assert_array_equal(found[..., 3:], alpha)
    # what was rounded is at most half a step off, which grows as alpha becomes less
    assert (np.abs(found[..., :3] - X[..., :3].astype(int)) <= 0.5 / (alpha / 65535) + 1).all()


@pytest.mark.parametrize("channels", [1, 3])
def test_a_color_that_is_declared_clear(channels):
    body = struct.pack(f">{channels}H", *X[2, 3, :channels])
    found = read(png(X[..., :channels], tRNS=body))
    assert found.shape == (13, 17, 4) and (found[..., 3] == 0).sum() == 1 and found[2, 3, 3] == 0
    np.testing.assert_array_equal(found[..., 0], X[..., 0])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_files_come_upright(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    eight = Image.fromarray(shallow(X[..., :3]))
    file = io.BytesIO()
    eight.save(file, "png", exif=exif)
    wanted = np.asarray(ImageOps.exif_transpose(Image.open(file)))
    np.testing.assert_array_equal(shallow(deep.upright(X[..., :3], orientation)), wanted)
    turned = read(tiff(X[..., :3], extratags=[(274, "H", 1, orientation)], **RGB))
    np.testing.assert_array_equal(shallow(turned), wanted)
    chunk = exif.tobytes().removeprefix(b"Exif\0\0")
    np.testing.assert_array_equal(shallow(read(png(X[..., :3], eXIf=chunk))), wanted)


def encode(linear):
    """sRGB's curve."""
    linear = np.clip(linear, 0, 1)
    return np.where(linear < 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def test_profiles_are_applied_at_16_bits():
    """Grays of P3 are sRGB's; other colors are those that 8 bits give, and finer."""
    gray = np.arange(65536, dtype=np.uint16).reshape(256, 256, 1)
    file = tiff(np.repeat(gray, 3, -1), iccprofile=P3, **RGB)
    found = read(file)
    assert np.abs(found.astype(int) - gray).max() <= 66  # of 65535, by rounding in the profile
    steps = np.unique(found[..., 1])
    assert len(steps) > 60000
    colors = np.full((4, 4, 3), [200 * 257, 60 * 257, 60 * 257], np.uint16)
    for kind in (png(colors, cICP=bytes([12, 13, 0, 1])), tiff(colors, iccprofile=P3, **RGB)):
        np.testing.assert_allclose(read(kind)[0, 0] / 257, [217, 42, 52], atol=1)


def test_gamma_is_applied_at_16_bits():
    file = png(X[..., :3], gAMA=struct.pack(">I", 100_000))  # linear
    wanted = 65535 * encode(X[..., :3] / 65535)
    assert np.abs(read(file) - wanted).max() <= 40
    file = png(X[..., [0, 1, 2, 3]], gAMA=struct.pack(">I", 100_000))
    np.testing.assert_array_equal(read(file)[..., 3], X[..., 3])


def test_gray_profiles():
    """A gray file stays gray, by a profile of gray, or of colors."""
    file = tiff(X[..., 0], iccprofile=GRAY_18)
    wanted = 65535 * encode((X[..., :1] / 65535) ** 1.8)
    found = read(file)
    assert found.shape == (13, 17, 1) and np.abs(found - wanted).max() <= 66
    found = read(tiff(X[..., 0], iccprofile=P3))
    assert found.shape == (13, 17, 1) and np.abs(found - X[..., :1].astype(int)).max() <= 66


def test_what_is_not_obeyed_is_said():
    said = []
    found = read(tiff(X[..., :3], iccprofile=b"none", **RGB), said.append)
    assert said == ["a color profile that can't be used, taken as sRGB"]
    np.testing.assert_array_equal(found, X[..., :3])
    with pytest.raises(ImageRejected, match="high dynamic range"):
        read(png(X[..., :3], cICP=bytes([9, 16, 0, 1])))
    said = []
    cmyk = tiff(X, photometric="separated")
    assert read(cmyk, said.append).dtype == np.uint8 and said == ["16 bits a channel, read as 8"]


def test_without_the_packages(monkeypatch):
    monkeypatch.setattr(deep, "installed", lambda: False)
    said = []
    found = read(FILES["rgb png"][0], said.append)
    assert found.dtype == np.uint8 and "pip install imagecodecs tifffile" in said[0]
    assert len(said) == 1


@pytest.mark.parametrize("name", ["rgba png", "rgba tiff", "lzw tiff", "tiff of planes"])
def test_a_file_that_is_cut_short_is_no_picture(name):
    file, _ = FILES[name]
    with pytest.raises(ImageRejected, match=r"truncated|damaged"):
        read(file[: -len(file) // 3])


def test_a_tiff_with_parts_that_are_not_there_is_no_picture():
    file = bytearray(tiff(X[..., :3], rowsperstrip=4, **RGB))
    with tifffile.TiffFile(io.BytesIO(file)) as whole:
        (start,) = [tag.valueoffset for tag in whole.pages[0].tags if tag.code == 279]
    file[start + 4 : start + 8] = bytes(4)  # the second strip has no bytes
    with pytest.raises(ImageRejected, match="truncated"):
        read(bytes(file))


def test_files_of_8_bits_are_not_deep():
    file = io.BytesIO()
    Image.fromarray(shallow(X)).save(file, "png")
    assert read(file.getvalue()).dtype == np.uint8
    assert read(tiff(shallow(X[..., :3]), **RGB)).dtype == np.uint8
    assert decode.decode(FILES["rgb png"][0]).dtype == np.uint8  # where they are not asked for


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_what_is_written_is_read_again(channels, tmp_path):
    save_png(tmp_path / "x.png", X[..., :channels])
    np.testing.assert_array_equal(read(tmp_path / "x.png"), X[..., :channels])
    assert Image.open(io.BytesIO(png_bytes(X[..., :channels]))).size == (17, 13)


def test_numbers():
    assert shallow(np.array([0, 128, 129, 65535, 257 * 9], np.uint16)).tolist() == [0, 0, 1, 255, 9]
    every = np.arange(65536, dtype=np.uint16)
    np.testing.assert_array_equal(quantized((to_float(every) + 1) / 2, every.dtype), every)
    assert quantized(np.float32([-1, 0.5, 2]), np.uint8).tolist() == [0, 128, 255]
    np.testing.assert_array_equal(in_channels(np.repeat(X[..., :1], 3, -1), 1), X[..., :1])


def test_they_are_resized_as_8_bits_are():
    middle = shallow(X) // 4 + 96  # a filter's overshoot stays within the range
    big = geometry.fit(middle, (60, 80), "stretch")
    deep_one = big.astype(np.uint16) * 257
    for shape, crop in (((30, 30), "center"), ((100, 140), "stretch")):
        for channels in (1, 3):
            one, two = (geometry.fit(x[..., :channels], shape, crop) for x in (big, deep_one))
            assert (
                two.dtype == np.uint16 and np.abs(one - two / 257).max() < 1.5
            )  # 8 bits round twice
    # colors under clear pixels do not come out
    deep_one[:, 40:, 3] = 0
    deep_one[:, :40, 3] = 65535
    other = deep_one.copy()
    other[:, 40:, :3] = 65535 - other[:, 40:, :3]
    one, two = (geometry.fit(x, (31, 41), "stretch") for x in (deep_one, other))
    np.testing.assert_array_equal(one, two)
