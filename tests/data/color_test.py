"""What a file says of its colors is obeyed, and what can't be is said; the right values by
formulas written here."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from gan_jax.data import color, decode, image_file
from gan_jax.data.quarantine import ImageRejected
from gan_jax.data.sources import folder

FIXED = lambda *values: struct.pack(f">{len(values)}i", *(round(65536 * value) for value in values))
SRGB_CURVE = (
    b"para"
    + struct.pack(">IHH", 0, 3, 0)
    + FIXED(2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
)
APPLES_P3 = ((0.51512, 0.2412, -0.00105), (0.29198, 0.69225, 0.04189), (0.1571, 0.06657, 0.78407))
"""XYZ of red, green and blue under D50, as in the profile that Apple's cameras write."""
LAB_D50 = np.array([0.9642, 1, 0.8249])


def profile(tags, space=b"RGB ", pcs=b"XYZ "):
    """An ICC profile of these tags."""
    table, body = struct.pack(">I", len(tags)), b""
    for name, value in tags.items():
        table += name + struct.pack(">II", 132 + 12 * len(tags) + len(body), len(value))
        body += value
    size = struct.pack(">I", 132 + 12 * len(tags) + len(body))
    head = size + b"\0\0\0\0\4\x30\0\0mntr" + space + pcs + bytes(12) + b"acsp"
    return head.ljust(68, b"\0") + FIXED(*LAB_D50) + bytes(48) + table + body


def matrix(columns, curve=SRGB_CURVE):
    xyz = lambda values: b"XYZ \0\0\0\0" + FIXED(*values)
    tags = {b"%cXYZ" % name: xyz(column) for name, column in zip(b"rgb", columns, strict=True)}
    return profile({b"wtpt": xyz(LAB_D50)} | tags | {b"%cTRC" % name: curve for name in b"rgb"})


P3 = matrix(APPLES_P3)
GRAY_18 = profile(
    {b"wtpt": b"XYZ \0\0\0\0" + FIXED(*LAB_D50), b"kTRC": b"para" + bytes(8) + FIXED(1.8)}, b"GRAY"
)
# P3 -> sRGB
SHOWN = {
    (200, 60, 60): (217, 42, 52),
    (60, 180, 60): (0, 183, 30),
    (128, 128, 128): (128, 128, 128),
}


def encoded(picture, format="png", **options):
    file = io.BytesIO()
    picture.save(file, format, **options)
    return file.getvalue()


def with_chunks(png, **chunks):
    """A PNG with chunks before its pixels."""
    made = b"".join(
        struct.pack(">I", len(body))
        + kind.encode()
        + body
        + struct.pack(">I", zlib.crc32(kind.encode() + body))
        for kind, body in chunks.items()
    )
    return png[:33] + made + png[33:]


def patch(value, mode="RGB", size=(16, 16)):
    return Image.new(mode, size, value)


def shown(file, channels=3, remark=pytest.fail, **options):
    """The color of a file all of one color."""
    image = decode.decode(file, channels=channels, remark=remark, **options)
    assert (image == image[0, 0]).all()
    return image[0, 0].astype(int)


@pytest.mark.parametrize("value", SHOWN)
@pytest.mark.parametrize("format", ["png", "jpeg", "webp", "tiff", "avif"])
def test_display_p3_comes_as_srgb(format, value):
    options = {
        "jpeg": {"quality": 100, "subsampling": 0},
        "webp": {"lossless": True},
        "avif": {"quality": 100},
    }
    file = encoded(patch(value), format, icc_profile=P3, **options.get(format, {}))
    assert np.abs(shown(file) - SHOWN[value]).max() <= (3 if format in ("jpeg", "avif") else 1)


def test_alpha_palettes_gray_and_backgrounds_keep_their_meaning():
    red, made = (200, 60, 60), (217, 42, 52)
    clear = encoded(patch((*red, 51), "RGBA"), icc_profile=P3)
    np.testing.assert_allclose(shown(clear, 4), (*made, 51), atol=1)
    on_green = np.rint(np.array(made) * 0.2 + np.array((0, 255, 0)) * 0.8)  # the background is sRGB
    remarks = []
    drawn = shown(clear, background=(0, 255, 0), remark=remarks.append)
    np.testing.assert_allclose(drawn, on_green, atol=1)
    assert remarks == ["transparency, drawn on the background (channels=4 keeps it)"]
    luma = shown(encoded(patch(red), icc_profile=P3), 1)
    np.testing.assert_allclose(luma, [np.dot(made, (0.299, 0.587, 0.114))], atol=1)
    palette = patch(0, "P")
    palette.putpalette([*red, 60, 180, 60])
    np.testing.assert_allclose(shown(encoded(palette, icc_profile=P3)), made, atol=1)
    keyed = Image.fromarray(np.array([[red, (60, 180, 60)]], np.uint8))
    image = decode.decode(encoded(keyed, icc_profile=P3, transparency=(60, 180, 60)), channels=4)
    # the key is the file's own color
    np.testing.assert_allclose(image[0], [(*made, 255), (0, 183, 30, 0)], atol=1)


def test_gray_profiles():
    for mode, value in (("L", 100), ("LA", (100, 51))):
        file = encoded(patch(value, mode), icc_profile=GRAY_18)
        light = (100 / 255) ** 1.8
        gray = 255 * (1.055 * light ** (1 / 2.4) - 0.055)  # 113
        np.testing.assert_allclose(
            shown(file, 4), (gray, gray, gray, 51 if mode == "LA" else 255), atol=1
        )
    assert decode.decode(file, channels=None).shape[2] == 4 and image_file.header(file)[2] == 4
    deep = encoded(Image.fromarray(np.full((4, 4), 25700, np.uint16)), icc_profile=GRAY_18)
    np.testing.assert_allclose(shown(deep, 1), [gray], atol=1)
    # gray in any RGB
    np.testing.assert_array_equal(shown(encoded(patch(100, "L"), icc_profile=P3), 1), [100])
    linear = matrix(APPLES_P3, b"para" + bytes(8) + FIXED(1.0))
    np.testing.assert_allclose(shown(encoded(patch(55, "L"), icc_profile=linear), 1), [128], atol=1)


def test_cmyk_profiles():
    """A printer whose inks leave no light: its table (lut8) has two grid points an ink, white only
    without any."""
    curve = bytes(range(256))
    corners = b"".join(
        bytes((255, 128, 128)) if i == 0 else bytes((0, 128, 128)) for i in range(16)
    )
    table = (
        b"mft1"
        + bytes(4)
        + bytes((4, 3, 2, 0))
        + FIXED(1, 0, 0, 0, 1, 0, 0, 0, 1)
        + curve * 4
        + corners
        + curve * 3
    )
    printer = profile(
        {b"A2B0": table, b"wtpt": b"XYZ \0\0\0\0" + FIXED(*LAB_D50)}, b"CMYK", b"Lab "
    )
    printer = printer.replace(b"mntr", b"prtr", 1)
    file = lambda inks: encoded(patch(inks, "CMYK"), "tiff", icc_profile=printer)
    np.testing.assert_allclose(shown(file((0, 0, 0, 0))), (255, 255, 255), atol=1)
    luminance = ((100 * (1 - 128 / 255) + 16) / 116) ** 3  # of the L* between white and none
    gray = 255 * (1.055 * luminance ** (1 / 2.4) - 0.055)
    np.testing.assert_allclose(shown(file((128, 0, 0, 0))), [gray] * 3, atol=2)


def test_lab():
    """CIELAB of TIFFs: L* 54.3, a* 80.8, b* 69.9 under D50 is sRGB's red."""
    file = encoded(patch((138, 209, 198), "LAB"), "tiff")
    np.testing.assert_allclose(shown(file), (255, 0, 0), atol=6)
    assert image_file.header(file) == (16, 16, 3) and decode.decode(file, channels=None).shape == (
        16,
        16,
        3,
    )
    np.testing.assert_allclose(shown(file, 1), [76], atol=4)
    np.testing.assert_allclose(
        shown(encoded(patch((255, 128, 128), "LAB"), "tiff"), 4), [255] * 4, atol=1
    )


def test_srgb_profiles_change_no_pixel():
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    np.testing.assert_array_equal(
        decode.decode(encoded(Image.fromarray(noise), icc_profile=srgb)), noise
    )


GAMMA = lambda exponent: {"gAMA": struct.pack(">I", round(1e5 / exponent))}
POINTS = lambda *points: {"cHRM": struct.pack(">8I", *(round(1e5 * value) for value in points))}
P3_POINTS = POINTS(0.3127, 0.3290, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060)
SRGB_POINTS = POINTS(0.3127, 0.3290, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)
CHUNKS = {
    "linear light": (GAMMA(1.0), (55, 55, 55), (128, 128, 128)),
    "gamma 2.2, sRGB's points": (GAMMA(2.2) | SRGB_POINTS, (200, 60, 60), (200, 60, 60)),
    "P3's points": (GAMMA(2.2) | P3_POINTS, (200, 60, 60), (217, 42, 52)),
    "sRGB before gAMA": ({"sRGB": b"\0"} | GAMMA(1.0), (55, 55, 55), (55, 55, 55)),
    "code points of P3": ({"cICP": bytes((12, 13, 0, 1))}, (60, 180, 60), (0, 183, 30)),
    "code points of sRGB before gAMA": (
        {"cICP": bytes((1, 13, 0, 1))} | GAMMA(1.0),
        (55, 55, 55),
        (55, 55, 55),
    ),
}


@pytest.mark.parametrize("name", CHUNKS)
def test_chunks_of_png(name):
    chunks, value, made = CHUNKS[name]
    np.testing.assert_allclose(shown(with_chunks(encoded(patch(value)), **chunks)), made, atol=1)


def test_code_points_of_png_come_before_its_profile():
    file = with_chunks(encoded(patch((200, 60, 60)), icc_profile=P3), cICP=bytes((1, 13, 0, 1)))
    np.testing.assert_array_equal(shown(file), (200, 60, 60))


def nclx(avif, primaries, transfer):
    """The AVIF with other code points."""
    at = avif.index(b"colrnclx") + 8
    return avif[:at] + struct.pack(">HH", primaries, transfer) + avif[at + 4 :]


def test_code_points_of_avif():
    file = encoded(patch((200, 60, 60)), "avif", quality=100)
    np.testing.assert_allclose(shown(file), (200, 60, 60), atol=3)
    np.testing.assert_allclose(shown(nclx(file, 12, 13)), (217, 42, 52), atol=3)
    np.testing.assert_allclose(shown(nclx(file, 1, 1)), (200, 60, 60), atol=3)


@pytest.mark.parametrize("transfer", [16, 18])
def test_high_dynamic_range_is_refused(transfer):
    files = (
        with_chunks(encoded(patch((200, 60, 60))), cICP=bytes((9, transfer, 0, 1))),
        nclx(encoded(patch((200, 60, 60)), "avif"), 9, transfer),
    )
    for file in files:
        for read in (decode.decode, image_file.check):
            with pytest.raises(
                ImageRejected, match=r"^high dynamic range \(PQ or HLG\): make it SDR first$"
            ):
                read(file)


def test_jpeg_2000_and_bmp_hold_profiles_too():
    plain = encoded(patch((200, 60, 60)), "jpeg2000")
    at = plain.index(b"colr") - 4
    (size,) = struct.unpack_from(">I", plain, at)
    box = struct.pack(">I", 11 + len(P3)) + b"colr\2\0\0" + P3
    file = plain[:at] + box + plain[at + size :]
    head = file.index(b"jp2h") - 4
    (outer,) = struct.unpack_from(">I", file, head)
    file = file[:head] + struct.pack(">I", outer + len(box) - size) + file[head + 4 :]
    np.testing.assert_allclose(shown(file), (217, 42, 52), atol=2)
    pixels = bytes((60, 60, 200)) * 900**2  # the profile comes behind them
    info = (
        struct.pack("<IiiHHIIiiII", 124, 900, 900, 1, 24, 0, len(pixels), 0, 0, 0, 0)
        + bytes(16)
        + b"DEBM"
    )
    info = info.ljust(112, b"\0") + struct.pack("<III", 124 + len(pixels), len(P3), 0)
    bmp = b"BM" + struct.pack("<IHHI", 0, 0, 0, 138) + info + pixels + P3
    np.testing.assert_allclose(shown(bmp), (217, 42, 52), atol=1)


def test_cameras_mark_adobe_rgb_by_exif():
    """(60, 180, 60) of Adobe RGB is beyond sRGB: its red is 0; grays stay."""
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0xA001] = 0xFFFF
    exif.get_ifd(0x8769)[0xA005] = {1: "R03"}
    file = encoded(patch((120, 180, 120)), "jpeg", exif=exif, quality=100, subsampling=0)
    linear = (np.array([120, 180, 120]) / 255) ** 2.19921875
    to_xyz = np.array(
        [[0.57667, 0.18556, 0.18823], [0.29734, 0.62736, 0.07529], [0.02703, 0.07069, 0.99134]]
    )
    to_srgb = np.array(
        [
            [3.2404542, -1.5371385, -0.4985314],
            [-0.969266, 1.8760108, 0.041556],
            [0.0556434, -0.2040259, 1.0572252],
        ]
    )
    light = to_srgb @ to_xyz @ linear
    np.testing.assert_allclose(shown(file), 255 * (1.055 * light ** (1 / 2.4) - 0.055), atol=3)
    exif.get_ifd(0x8769)[0xA005] = {1: "R98"}
    file = encoded(patch((120, 180, 120)), "jpeg", exif=exif, quality=100, subsampling=0)
    np.testing.assert_allclose(shown(file), (120, 180, 120), atol=2)


def test_primaries_of_tiff():
    tags = {318: (0.3127, 0.3290), 319: (0.680, 0.320, 0.265, 0.690, 0.150, 0.060)}
    np.testing.assert_allclose(
        shown(encoded(patch((200, 60, 60)), "tiff", tiffinfo=tags)), (217, 42, 52), atol=1
    )


BROKEN = {
    "no profile": encoded(patch((200, 60, 60)), icc_profile=b"hello" * 99),
    "cut short": encoded(patch((200, 60, 60)), icc_profile=P3[:200]),
    "of other channels": encoded(patch((200, 60, 60)), icc_profile=GRAY_18),
    "damaged in the file": encoded(patch((200, 60, 60)), icc_profile=P3).replace(
        b"ICC Profile\0\0\x78", b"ICC Profile\0\0\x00"
    ),
    "impossible points": with_chunks(
        encoded(patch((200, 60, 60))), **POINTS(0.3, 0.3, 0.1, 0, 0, 0, 0, 0)
    ),
    "unknown code points": with_chunks(encoded(patch((200, 60, 60))), cICP=bytes((77, 77, 0, 1))),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_profile_is_said(name):
    file, words = BROKEN[name], []
    if name == "damaged in the file":  # its checksum made right again
        at = file.index(b"iCCP") - 4
        (size,) = struct.unpack_from(">I", file, at)
        file = (
            file[: at + 8 + size]
            + struct.pack(">I", zlib.crc32(file[at + 4 : at + 8 + size]))
            + file[at + 12 + size :]
        )
    for look in (
        lambda: decode.decode(file, remark=words.append),
        lambda: image_file.check(file, remark=words.append),
    ):
        words.clear()
        look()
        assert words == ["a color profile that can't be used, taken as sRGB"]
    assert (decode.decode(file) == (200, 60, 60)).all()


def test_a_source_says_what_of_its_files_is_not_obeyed(tmp_path, monkeypatch):
    for name in ("no profile", "cut short"):
        (tmp_path / f"{name}.png").write_bytes(BROKEN[name])
    frames = [patch((9 * i, 0, 0)) for i in range(3)]
    for name in "ab":
        frames[0].save(tmp_path / f"{name}.gif", save_all=True, append_images=frames[1:])
    patch((200, 60, 60)).save(tmp_path / "p3.png", icc_profile=P3)
    said = (
        "2 with a color profile that can't be used, taken as sRGB: cut short.png, no profile.png",
        "2 with several frames, of which the first is used: a.gif, b.gif",
    )
    source = folder.Source(str(tmp_path), 16)
    assert sorted(note for note in source.notes if " with " in note) == sorted(said)
    image = source.load(np.array([4]), np.zeros(1, np.uint64))["image"]
    np.testing.assert_allclose(image[0, 0, 0], (217, 42, 52), atol=1)
    # of sets too large to keep only the headers are seen
    monkeypatch.setattr("gan_jax.data.image_sets.KEEP_BYTES", 0)
    assert sorted(
        note for note in folder.Source(str(tmp_path), 16).notes if " with " in note
    ) == sorted(said)


def test_a_profile_of_a_display_is_what_its_points_say():
    points = ((0.3127, 0.3290), (0.680, 0.320), (0.265, 0.690), (0.150, 0.060))
    made = ImageCms.ImageCmsProfile(io.BytesIO(color.matrix_profile(points))).profile
    columns = (made.red_colorant[0], made.green_colorant[0], made.blue_colorant[0])
    np.testing.assert_allclose(columns, APPLES_P3, atol=2e-4)
