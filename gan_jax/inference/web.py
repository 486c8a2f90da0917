"""A sampler -> a folder that is a web page: the network runs in the browser, without a server."""

import gzip
import json
import pathlib
import shutil
import subprocess
import tarfile
import tempfile

from gan_jax import models
from gan_jax.inference import export_onnx
from gan_jax.inference.inpaint import ENLARGED
from gan_jax.inference.sampler import Sampler
from gan_jax.runtime.files import replace_bytes, replace_text

RUNTIME, VERSION = "onnxruntime-web", "1.30.0"
ENGINES = ("ort.webgpu.min.mjs", "ort.wasm.min.mjs")
BINARIES = ("ort-wasm-simd-threaded.asyncify", "ort-wasm-simd-threaded")
"""Of RUNTIME's dist/: with WebGPU, and for browsers without; of the second .mjs and .wasm."""
OWN = pathlib.Path(__file__).parent / "page"
MOST_BYTES = 64 << 20  # of one of its files
TILE = 256  # pixels a side; of a restorer, larger pictures go in tiles
MOST_PIXELS = 1 << 20  # of a picture that goes through whole
MOST_ENLARGED = 1 << 24  # pixels of a restorer's result
FOLDER = "web"


def save(
    sampler: Sampler, folder: pathlib.Path, name: str, runtime: pathlib.Path | None = None
) -> tuple[pathlib.Path, float]:
    """Writes the page to `folder`/web.

    Args:
        name: of the model, for the page.
        runtime: the file that `npm pack` makes of onnxruntime-web; None: npm is run for it.
    Returns (the page's folder, the largest difference of a picture to the sampler's, of 255).
    Raises ValueError as `export_onnx.save_onnx`; neither the runtime's file nor npm is there.
    """
    page = folder / FOLDER
    with tempfile.TemporaryDirectory() as scratch:
        packed = runtime or pack(pathlib.Path(scratch))
        parts = unpacked(packed)
    written = export_onnx.write(sampler)
    model = written.graph.model(written.outputs, written.about | {"name": name}, half=True)
    page.mkdir(parents=True, exist_ok=True)
    replace_bytes(page / export_onnx.FULL, model.SerializeToString())
    difference = export_onnx.difference(sampler, page / export_onnx.FULL)
    about = description(sampler, name) | {"bytes": (page / export_onnx.FULL).stat().st_size}
    replace_text(page / "model.json", json.dumps(about, indent=1) + "\n")
    for file, content in (parts | own_files()).items():
        replace_bytes(page / file, content)
    return page, difference


def description(sampler: Sampler, name: str) -> dict:
    """What the page knows of the model; sides and counts in pixels.

    window, fixed: of what is shown to a network that fills holes, at most; just so large, H and W.
    side: of the pictures that a translator of whole pictures was trained on, to which the page
    reduces others; 0: it takes any.
    """
    game, shape = sampler.game, sampler.shape
    restores = game.command == "restore"
    return {
        "name": name,
        "kind": game.command,
        "classes": list(sampler.classes),
        "scale": models.traits(game.g).scale if restores else 1,
        "side": max(shape[:2]) if game.command == "stylize" and game.labeled else 0,
        "z": export_onnx.latent_size(sampler),
        "tile": TILE,
        "window": ENLARGED * max(shape[:2]),
        "fixed": list(shape[:2]) if sampler.fixed_size else None,
        "most": MOST_ENLARGED if restores else MOST_PIXELS,
    }


def own_files() -> dict[str, bytes]:
    """The page's own files, of the package."""
    return {file.name: file.read_bytes() for file in OWN.iterdir()}


def pack(folder: pathlib.Path) -> pathlib.Path:
    """onnxruntime-web's package, by npm, in `folder`. Raises ValueError where that fails."""
    if shutil.which("npm") is None:
        raise ValueError(
            "--format=web: npm is not here. Elsewhere run `npm pack"
            f" {RUNTIME}@{VERSION}`, and give its file: --runtime {RUNTIME}-{VERSION}.tgz."
        )
    command = ["npm", "pack", f"{RUNTIME}@{VERSION}", "--pack-destination", str(folder)]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", cwd=folder)
    file = folder / f"{RUNTIME}-{VERSION}.tgz"
    if done.returncode or not file.is_file():
        said = [line for line in done.stderr.splitlines() if "error" in line] or ["no file"]
        raise ValueError(
            f"--format=web: `{' '.join(command[:3])}` failed ({said[0]}). Or give its file:"
            f" --runtime {file.name}."
        )
    return file


def unpacked(file: pathlib.Path) -> dict[str, bytes]:
    """What the page needs of onnxruntime-web's package; programs compressed, which servers often
    don't. Raises ValueError where it is another file or version."""
    names = [*ENGINES, *(f"{name}{end}" for name in BINARIES for end in (".mjs", ".wasm"))]
    try:
        with tarfile.open(file) as archive:
            about = json.loads(_read(archive, "package/package.json"))
            if (about["name"], about["version"]) != (RUNTIME, VERSION):
                raise ValueError(f"it is {about['name']} {about['version']}")
            found = {name: _read(archive, f"package/dist/{name}") for name in names}
    except (OSError, EOFError, tarfile.TarError, LookupError, TypeError, ValueError) as error:
        raise ValueError(
            f"--runtime={file}: not what `npm pack {RUNTIME}@{VERSION}` makes ({error})."
        ) from error
    for name in BINARIES:
        found[f"{name}.wasm.gz"] = gzip.compress(found.pop(f"{name}.wasm"), 9, mtime=0)
    return found


def _read(archive: tarfile.TarFile, name: str) -> bytes:
    member = archive.getmember(name)
    content = archive.extractfile(member)
    if content is None or member.size > MOST_BYTES:
        raise ValueError(f"{name} is no file of at most {MOST_BYTES >> 20} MiB")
    return content.read()
