"""Odd files through the one decoder: exact pixels, or the reason why not."""

import io
import os
import pathlib
import queue
import struct
import subprocess
import sys
import threading
import tracemalloc
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import EpsImagePlugin, Image, ImageFile, PngImagePlugin

from gan_jax.data import decode, geometry, image_file, memory
from gan_jax.data.decode import ImageRejected
from gan_jax.data.quarantine import Quarantine

# 3x2 pixels
RGB = np.array(
    [[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [10, 20, 30]], [[0, 0, 0], [255, 255, 255]]],
    np.uint8,
)
GRAY16 = np.array([[0, 257, 65535], [128, 129, 25700]], np.uint16)
GRAY16_AS_8 = np.array([[0, 1, 255], [0, 1, 100]], np.uint8)


def encode(picture, format="png", **options):
    if isinstance(picture, np.ndarray):
        picture = Image.fromarray(picture)
    buffer = io.BytesIO()
    picture.save(buffer, format, **options)
    return buffer.getvalue()


def png(header, pixels):
    """A PNG of an IHDR payload and raw scan lines, for what Pillow does not write."""
    chunk = lambda kind, body: (
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    )
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(pixels))
        + chunk(b"IEND", b"")
    )


def palette(transparent=None):
    picture = Image.new("P", (3, 1))
    picture.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    picture.putdata([0, 1, 2])
    return encode(picture, "png", **({} if transparent is None else {"transparency": transparent}))


def upright(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encode(RGB, "png", exif=exif)


def frames(format):
    first, second = (Image.new("RGB", (2, 2), color) for color in ("red", "blue"))
    return encode(first, format, save_all=True, append_images=[second])


solid = lambda *color: np.full((2, 2, len(color)), color, np.uint8)
COLOR = {
    "rgb png": (encode(RGB), RGB),
    "rgb bmp": (encode(RGB, "bmp"), RGB),
    "rgb tiff lzw": (encode(RGB, "tiff", compression="tiff_lzw"), RGB),
    "rgb webp lossless": (encode(RGB, "webp", lossless=True), RGB),
    "rgb ppm": (encode(RGB, "ppm"), RGB),
    "gray": (encode(np.array([[0, 77, 255]], np.uint8)), np.repeat([[[0], [77], [255]]], 3, 2)),
    "1 bit": (
        encode(Image.fromarray(np.array([[0, 255]], np.uint8)).convert("1")),
        [[[0] * 3, [255] * 3]],
    ),
    "16-bit gray": (encode(GRAY16), np.repeat(GRAY16_AS_8[..., None], 3, 2)),
    "16-bit gray tiff, big endian": (
        b"MM\x00\x2a"
        + struct.pack(">IH", 8, 8)
        + b"".join(
            struct.pack(">HHIHH", tag, 3, 1, value, 0)
            for tag, value in [
                (256, 3),
                (257, 2),
                (258, 16),
                (259, 1),
                (262, 1),
                (273, 110),
                (278, 2),
                (279, 12),
            ]
        )
        + bytes(4)
        + GRAY16.astype(">u2").tobytes(),
        np.repeat(GRAY16_AS_8[..., None], 3, 2),
    ),
    "16-bit gray pgm": (
        b"P5 3 2 65535\n" + GRAY16.astype(">u2").tobytes(),
        np.repeat(GRAY16_AS_8[..., None], 3, 2),
    ),
    "32-bit integer tiff": (
        encode(GRAY16.astype(np.int32), "tiff"),
        np.repeat(GRAY16_AS_8[..., None], 3, 2),
    ),
    "float tiff": (
        encode(np.array([[0, 0.5, 1]], np.float32), "tiff"),
        np.repeat([[[0], [128], [255]]], 3, 2),
    ),
    "16-bit rgb": (
        png(
            struct.pack(">IIBBBBB", 1, 1, 16, 2, 0, 0, 0),
            b"\0" + struct.pack(">3H", 65535, 0, 32896),
        ),
        [[[255, 0, 128]]],
    ),
    "palette": (palette(), [[[255, 0, 0], [0, 255, 0], [0, 0, 255]]]),
    "palette, one clear": (palette(1), [[[255, 0, 0], [255, 255, 255], [0, 0, 255]]]),
    "palette, alphas": (
        palette(b"\xff\x80\x00"),
        [[[255, 0, 0], [127, 255, 127], [255, 255, 255]]],
    ),
    "gray and alpha": (
        encode(Image.merge("LA", [Image.new("L", (2, 2), 100), Image.new("L", (2, 2), 51)])),
        solid(224, 224, 224),
    ),
    "rgba": (encode(solid(0, 0, 255, 128)), solid(127, 127, 255)),
    "rgb, one clear": (
        encode(RGB, transparency=(255, 0, 0)),
        np.where((RGB == [255, 0, 0]).all(-1, keepdims=True), 255, RGB),
    ),
    "cmyk tiff": (encode(Image.new("CMYK", (2, 2), (0, 255, 255, 0)), "tiff"), solid(255, 0, 0)),
    "animated gif": (frames("gif"), solid(255, 0, 0)),
    "animated png": (frames("png"), solid(255, 0, 0)),
    "upside down by exif": (upright(3), RGB[::-1, ::-1]),
    "mirrored by exif": (upright(2), RGB[:, ::-1]),
    "turned by exif": (upright(6), np.rot90(RGB, -1)),
}


@pytest.mark.parametrize("name", COLOR)
def test_colors_are_exact(name):
    file, expected = COLOR[name]
    image = decode.decode(file)
    assert image.dtype == np.uint8
    np.testing.assert_array_equal(image, expected)


@pytest.mark.parametrize("format", ["png", "jpeg", "webp", "tiff", "avif"])
def test_the_header_tells_the_upright_size(format):
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        file = encode(Image.new("RGB", (6, 4)), format, exif=exif)
        shape = (4, 6, 3) if orientation < 5 else (6, 4, 3)
        assert decode.decode(file).shape == shape == image_file.header(file)


def test_integers_of_no_agreed_range_are_said():
    said = []
    decode.decode(encode(GRAY16.astype(np.int32), "tiff"), remark=said.append)
    decode.decode(encode(GRAY16, "tiff"), remark=said.append)
    assert len(said) == 1 and said[0].startswith("signed or 32-bit integers, taken as 0 to 65535")


def test_lossy_color_spaces_are_close():
    for mode, color in (("CMYK", (0, 255, 255, 0)), ("YCbCr", (76, 85, 255))):
        image = decode.decode(encode(Image.new(mode, (8, 8), color), "jpeg", quality=95))
        assert np.abs(image.astype(int) - [255, 0, 0]).max() <= 4


def test_channels_and_background():
    clear = encode(solid(200, 100, 0, 0))
    np.testing.assert_array_equal(decode.decode(clear, background=(1, 2, 3)), solid(1, 2, 3))
    np.testing.assert_array_equal(decode.decode(clear, channels=4), solid(200, 100, 0, 0))
    np.testing.assert_array_equal(
        decode.decode(encode(RGB), channels=4)[..., 3], np.full((3, 2), 255)
    )
    luma = decode.decode(encode(RGB), channels=1)
    # 0.299 R + 0.587 G + 0.114 B
    np.testing.assert_array_equal(luma[..., 0], [[76, 150], [29, 18], [0, 255]])
    np.testing.assert_array_equal(
        decode.decode(encode(solid(0, 0, 0, 254)), background=(128, 129, 0)), solid(1, 1, 0)
    )
    half_red = encode(solid(255, 0, 0, 51))
    # luma of (51, 0, 0)
    assert decode.decode(half_red, channels=1, background=(0, 0, 0))[0, 0, 0] == 15
    gray = np.arange(256, dtype=np.uint8)[None]
    np.testing.assert_array_equal(decode.decode(encode(gray), channels=1)[..., 0], gray)


def test_a_transparent_16_bit_gray():
    picture = Image.fromarray(GRAY16)
    image = decode.decode(encode(picture, transparency=65535), channels=4)
    np.testing.assert_array_equal(image[..., 0], GRAY16_AS_8)
    np.testing.assert_array_equal(image[..., 3], [[255, 255, 0], [255, 255, 255]])


JPEG = encode(Image.effect_noise((64, 64), 90).convert("RGB"), "jpeg")
REJECTED = {
    "truncated jpeg": (JPEG[: len(JPEG) // 2], "truncated"),
    "truncated png": (encode(Image.effect_noise((64, 64), 90))[:-900], "truncated"),
    "html": (b"\n<!DOCTYPE html><html><body>404</body>", "HTML, not an image"),
    "svg": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "XML or SVG, not a raster image"),
    "lfs": (b"version https://git-lfs.github.com/spec/v1\noid", "a Git LFS pointer, not an image"),
    "heic": (
        b"\0\0\0\x18ftypheic\0\0\0\0mif1heic",
        "a HEIF picture, which is not read; make it a JPEG or PNG first",
    ),
    "heic by its second brand": (
        b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic",
        "a HEIF picture, which is not read; make it a JPEG or PNG first",
    ),
    "empty": (b"", "empty"),
    "text": (b"hello, I am no image", "no known image format"),
    "bomb": (
        png(struct.pack(">IIBBBBB", 30000, 30000, 8, 2, 0, 0, 0), b""),
        "more than 64 megapixels",
    ),
    "100 megapixels": (
        png(struct.pack(">IIBBBBB", 10000, 10000, 8, 2, 0, 0, 0), b""),
        "more than 64 megapixels",
    ),
    "no pixels behind the header": (
        png(struct.pack(">IIBBBBB", 100, 100, 8, 2, 0, 0, 0), b""),
        "truncated|damaged",
    ),
    "no width": (
        png(struct.pack(">IIBBBBB", 0, 10, 8, 2, 0, 0, 0), b""),
        "no known image format|damaged|no pixels",
    ),
    "wrong checksum": (
        encode(RGB)[:25] + b"\0\0\0\0" + encode(RGB)[29:],
        "damaged|no known image format",
    ),
    "integers beyond 16 bits": (
        encode(np.array([[-1, 70000]], np.int32), "tiff"),
        "integer values outside 16 bits",
    ),
    "floats beyond 1": (
        encode(np.array([[0, 7.0]], np.float32), "tiff"),
        r"float values outside \[0, 1\]",
    ),
    "not a number": (
        encode(np.array([[0, np.nan]], np.float32), "tiff"),
        r"float values outside \[0, 1\]",
    ),
}


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("name", REJECTED)
def test_no_image_no_pixels(name):
    file, reason = REJECTED[name]
    with pytest.raises(ImageRejected, match=f"^({reason})$"):
        decode.decode(file)
    assert not ImageFile.LOAD_TRUNCATED_IMAGES


def test_the_header_of_a_png_costs_no_pixels(monkeypatch):
    """Wherever its EXIF stands, before the pixels, behind them or nowhere."""
    turned = upright(6)
    at = turned.index(b"eXIf") - 4
    chunk = turned[at : at + 12 + struct.unpack_from(">I", turned, at)[0]]
    behind = turned.replace(chunk, b"")[:-12] + chunk + turned[-12:]
    assert image_file.header(encode(RGB)) == (3, 2, 3) and image_file.header(
        turned
    ) == image_file.header(behind) == (2, 3, 3)
    np.testing.assert_array_equal(decode.decode(behind), np.rot90(RGB, -1))
    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load", None)
    assert image_file.header(encode(RGB)) == (3, 2, 3) and image_file.header(turned) == (2, 3, 3)


def test_only_formats_of_the_list_are_opened(tmp_path, monkeypatch):
    """EPS would start Ghostscript, and a cut PCX would give a part of a picture."""
    ran = tmp_path / "ran"
    (tmp_path / "gs").write_text(f"#!/bin/sh\ntouch {ran}\n")
    (tmp_path / "gs").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr(EpsImagePlugin, "gs_binary", None)
    eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n%%EOF\n"
    pcx = encode(Image.effect_noise((64, 64), 90), "pcx")
    for file in (eps, pcx, pcx[: len(pcx) // 2], encode(RGB, "tga")):
        with pytest.raises(ImageRejected, match="^no known image format$"):
            decode.decode(file)
    assert not ran.exists()


def test_every_ending_of_the_formats_is_known():
    endings = {
        ending
        for ending, format in Image.registered_extensions().items()
        if format in (*image_file.FORMATS, "MPO")
    }
    assert set(image_file.SUFFIXES) == endings


PEAK = """
import pathlib, sys
from gan_jax.data import decode, geometry
status = lambda: open("/proc/self/status")
high = lambda: next(int(line.split()[1]) for line in status() if line.startswith("VmHWM"))
decode.decode(pathlib.Path(sys.argv[2]).read_bytes())
before = high()
with decode.decoded(sys.argv[1]) as image:
    made = geometry.fit(image, (64, 64))
print((high() - before) * 1024 / (image.shape[0] * image.shape[1]), made[32, 32].tolist())
"""


@pytest.mark.skipif(
    not pathlib.Path("/proc/self/status").exists(), reason="reads Linux's high-water mark of memory"
)
def test_memory_grows_by_eight_bytes_a_pixel(tmp_path):
    """A small file with many pixels, palette and alphas: it took 58 bytes a pixel, 3.7 GiB for 64
    megapixels."""
    picture = Image.new("P", (2000, 2000), 1)
    picture.putpalette([0, 0, 0, 200, 100, 0])
    (tmp_path / "large.png").write_bytes(encode(picture, transparency=b"\xff\x80"))
    (tmp_path / "small.png").write_bytes(encode(RGB))
    done = subprocess.run(
        [sys.executable, "-c", PEAK, tmp_path / "large.png", tmp_path / "small.png"],
        capture_output=True,
        text=True,
        check=True,
    )
    peak, pixel = done.stdout.split(maxsplit=1)
    assert float(peak) < 9 and pixel == "[227, 177, 127]\n"


@pytest.fixture
def room(monkeypatch):
    """(MiB) -> as if $GAN_JAX_DECODE_MIB were that."""

    def set_to(mebibytes):
        monkeypatch.setenv("GAN_JAX_DECODE_MIB", str(mebibytes))
        memory._room.cache_clear()

    yield set_to
    memory._room.cache_clear()


def test_pictures_that_take_more_memory_are_refused(room):
    """A megabyte is 131,072 pixels at 8 bytes; the decoders of some formats take more."""
    room(1)
    words = r"^more than 1 MiB of memory to decode \(\$GAN_JAX_DECODE_MIB\)$"
    fits, over = Image.new("L", (512, 256)), Image.new("L", (512, 257))
    for format, options in (("png", {}), ("jpeg", {})):
        assert decode.decode(encode(fits, format, **options)).shape == (256, 512, 3)
        with pytest.raises(ImageRejected, match=words):
            decode.decode(encode(over, format, **options))
    for format, options in (("webp", {}), ("jpeg", {"progressive": True})):
        with pytest.raises(ImageRejected, match=words):
            decode.decode(encode(fits, format, **options))
    for text in ("many", "0", "-1"):
        room(text)
        with pytest.raises(
            ValueError, match=rf"^GAN_JAX_DECODE_MIB={text}: it must be 1 to 1048576 MiB.$"
        ):
            decode.decode(encode(RGB))


def test_threads_share_the_memory(room):
    """Two pictures of 0.4 MiB fit in one, a third waits; one of 0.9 waits for all, and then works
    alone."""
    room(1)
    small, large = (encode(Image.new("L", (512, rows))) for rows in (100, 230))
    entered, gates = queue.Queue(), [threading.Event() for _ in range(4)]

    def work(number):
        with decode.decoded(large if number == 3 else small):
            entered.put(number)
            gates[number].wait(10)

    with ThreadPoolExecutor(4) as threads:
        jobs = [threads.submit(work, number) for number in range(2)]
        inside = {entered.get(timeout=10), entered.get(timeout=10)}
        jobs += [threads.submit(work, number) for number in (3, 2)]
        with pytest.raises(queue.Empty):
            entered.get(timeout=0.1)
        for number in range(2):
            gates[number].set()
        late = entered.get(timeout=10)
        with pytest.raises(queue.Empty):
            entered.get(timeout=0.1)
        gates[late].set()
        assert inside == {0, 1} and {late, entered.get(timeout=10)} == {2, 3}
        for gate in gates:
            gate.set()
        for job in jobs:
            job.result(10)


def test_worker_processes_have_a_share_each(room, monkeypatch):
    room(8)
    monkeypatch.setattr(memory, "_processes", 1)
    memory.share(4)
    assert memory.room().share == 2 << 20
    large = Image.new("L", (512, 600))  # more than a share: it works alone
    assert decode.decode(encode(large)).shape == (600, 512, 3)


def test_jpegs_are_reduced_on_load():
    """Only as far as three times what is to be covered, whichever way the picture stands; and the
    result is the same."""
    waves = (
        np.add.outer(*(100 * np.sin(np.arange(n) * 0.04) for n in (800, 1200)))[..., None] * 0.6
        + 128
    )
    exif = Image.Exif()
    exif[0x0112] = 6
    for options in ({}, {"progressive": True}, {"exif": exif}):
        file = encode(np.repeat(waves, 3, 2).astype(np.uint8), "jpeg", quality=95, **options)
        turned, whole = "exif" in options, decode.decode(file)
        for cover, reduced in (
            ((33, 33), (100, 150)),
            ((34, 34), (200, 300)),
            ((33, 55) if not turned else (55, 33), (200, 300)),
            ((150, 150), (800, 1200)),
        ):
            with decode.decoded(file, cover=cover) as image:
                assert image.shape[:2] == (reduced[::-1] if turned else reduced)
                difference = geometry.fit(image, cover).astype(int) - geometry.fit(whole, cover)
                assert np.abs(difference).mean() < 0.5
    with decode.decoded(encode(Image.new("L", (999, 999)), "png"), cover=(9, 9)) as image:
        assert image.shape[:2] == (999, 999)


@pytest.mark.parametrize(
    "how", [{}, {"format": "bmp"}, {"format": "jpeg"}, {"format": "jpeg", "progressive": True}]
)
def test_a_check_reads_the_header_alone(how, tmp_path):
    """A large set is looked through before training: its pixels are not to be read then."""
    file = tmp_path / "x"
    file.write_bytes(encode(Image.effect_noise((900, 900), 90), **how))
    assert file.stat().st_size > 300_000
    tracemalloc.start()
    assert image_file.check(file) == (900, 900)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 100_000


def test_progressive_scans_are_bounded():
    file = encode(Image.effect_noise((64, 64), 90), "jpeg", progressive=True)
    first = file.index(b"\xff\xda")
    last = file.rindex(b"\xff\xda")
    scan = file[last:-2]
    many = file[:-2] + scan * 100 + b"\xff\xd9"
    assert file.count(b"\xff\xda") < 20 and first < last
    with pytest.raises(ImageRejected, match="^more than 100 scans$"):
        decode.decode(many)
    assert decode.decode(file).shape == (64, 64, 3)


def test_a_tile_larger_than_the_picture_counts():
    tags = {256: 2, 257: 2, 258: 8, 259: 5, 262: 1, 322: 60000, 323: 60000, 324: 8, 325: 4}
    entries = b"".join(struct.pack(">HHII", tag, 4, 1, value) for tag, value in tags.items())
    tiff = b"MM\x00\x2a" + struct.pack(">IH", 8, len(tags)) + entries + bytes(4)
    with pytest.raises(ImageRejected, match="more than 64 megapixels"):
        image_file.check(tiff)


def test_a_mode_that_pillow_can_not_convert():
    with pytest.raises(ImageRejected, match=r"^color mode La$"):
        decode._pixels(Image.new("La", (2, 2)), None, 3, (0, 0, 0))


def test_paths(tmp_path):
    (tmp_path / "a.jpg").write_bytes(encode(RGB))  # the name lies, the bytes do not
    np.testing.assert_array_equal(decode.decode(tmp_path / "a.jpg"), RGB)
    assert image_file.check(str(tmp_path / "a.jpg")) == (3, 2)
    with pytest.raises(ImageRejected, match=r"^a directory$"):
        decode.decode(tmp_path)
    with pytest.raises(ImageRejected, match=r"^no such file$"):
        decode.decode(tmp_path / "b.jpg")
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(ImageRejected, match=r"^a special file$"):
        decode.decode(tmp_path / "pipe.png")


def test_the_limit_is_looked_at_before_decoding():
    with pytest.raises(ImageRejected, match="more than 5e-06 megapixels"):
        image_file.check(encode(RGB), max_pixels=5)
    assert decode.decode(encode(RGB), max_pixels=6).shape == (3, 2, 3)


def test_fit():
    image = np.zeros((4, 8, 1), np.uint8)
    image[:, 2:6] = 200
    # the middle, nothing else
    np.testing.assert_array_equal(geometry.fit(image, (4, 4)), np.full((4, 4, 1), 200))
    stretched = geometry.fit(image, (4, 4), "stretch", "box")
    np.testing.assert_array_equal(stretched[0, :, 0], [0, 200, 200, 0])
    assert geometry.fit(image, (2, 3), "random").shape == (2, 4, 1)
    assert geometry.fit(image, (3, 7)).shape == (3, 7, 1)
    assert geometry.fit(image, (4, 8)) is image
    halves = geometry.fit(
        np.repeat(np.array([0, 100], np.uint8), 2)[None, :, None].repeat(2, 0), (1, 2), filter="box"
    )
    np.testing.assert_array_equal(halves[0, :, 0], [0, 100])


def test_a_strip_too_long_to_cover_with(monkeypatch):
    monkeypatch.setattr(image_file, "MAX_PIXELS", 1000)
    strip = np.zeros((1, 50, 3), np.uint8)
    with pytest.raises(ImageRejected, match="too long a strip"):
        geometry.fit(strip, (10, 10), "random")
    assert geometry.fit(strip, (10, 10)).shape == (10, 10, 3)


def test_fit_weighs_colors_by_alpha():
    image = np.zeros((2, 2, 4), np.uint8)
    image[0, 0] = (255, 0, 0, 255)  # beside clear black pixels, which must not darken it
    np.testing.assert_array_equal(geometry.fit(image, (1, 1), filter="box")[0, 0], [255, 0, 0, 64])


def test_cut_and_rotate():
    image = np.arange(30, dtype=np.uint8).reshape(5, 6, 1)
    np.testing.assert_array_equal(geometry.cut(image, (2, 3), (0, 0)), image[:2, :3])
    np.testing.assert_array_equal(geometry.cut(image, (2, 3), (0.999, 0.999)), image[3:, 3:])
    square = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    np.testing.assert_array_equal(geometry.rotate(square, 0), square)
    np.testing.assert_array_equal(geometry.rotate(square, 90), np.rot90(square))
    assert (
        geometry.rotate(np.full((7, 9, 1), 50, np.uint8), 33.0) == 50
    ).all()  # no foreign color turns in


def test_quarantine_counts_by_reason():
    quarantine = Quarantine()
    for name in "abcd":
        quarantine.add(name, "truncated")
    quarantine.add("e", ImageRejected("empty"))
    assert len(quarantine) == 5
    assert quarantine.lines() == (
        "set aside 4 as 'truncated': a, b, c, ...",
        "set aside 1 as 'empty': e",
    )
