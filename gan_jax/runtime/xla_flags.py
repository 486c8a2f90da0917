"""What must be set in the environment before JAX is imported. Imports nothing of JAX itself.

On CPU, XLA's YNNPACK takes over convolutions that its own kernels run 2-3 times faster; `XLA_FLAGS`
gives them back. What is compiled is kept between runs, in a folder of the user's cache. Programs
call `prepare()` first; a user's own setting always wins.
"""

import hashlib
import importlib.metadata
import importlib.util
import mmap
import os
import pathlib
import platform

FLAG = "--xla_cpu_experimental_ynn_fusion_type"
VALUE = "-individual_convolution"


def prepare() -> None:
    """Sets the CPU convolution flag in `XLA_FLAGS` where JAX will run on CPU and knows it; JAX
    keeps what it compiles."""
    if missing():
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {FLAG}={VALUE}".strip()
    if not any(
        os.environ.get(name)
        for name in ("JAX_COMPILATION_CACHE_DIR", "JAX_ENABLE_COMPILATION_CACHE")
    ):
        folder = compiled()
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError:
            return  # a home that can't be written: each run compiles anew
        os.environ["JAX_COMPILATION_CACHE_DIR"] = str(folder)


def missing() -> bool:
    """Whether the CPU convolution flag would serve here and is not set."""
    if FLAG in os.environ.get("XLA_FLAGS", ""):
        return False
    return on_cpu() and xla_knows(FLAG.lstrip("-"), VALUE.lstrip("-").upper())


def compiled() -> pathlib.Path:
    """Where compiled programs are kept, for each kind of processor apart:
    one's code can't run on another."""
    root = pathlib.Path(os.environ.get("GAN_JAX_DATA") or "~/.cache/gan_jax").expanduser()
    try:
        about = pathlib.Path("/proc/cpuinfo").read_text("utf-8", "replace")
        kind = next(
            (line for line in about.splitlines() if line.startswith(("flags", "Features"))), ""
        )
    except OSError:  # not Linux
        kind = platform.processor()
    return (
        root / "compiled" / hashlib.sha256(f"{platform.machine()} {kind}".encode()).hexdigest()[:12]
    )


def on_cpu() -> bool:
    """Whether JAX will choose its CPU backend:
    requested, or no accelerator's plugin is installed."""
    requested = os.environ.get("JAX_PLATFORMS", "")
    if requested:
        return requested.split(",")[0] == "cpu"
    plugins = importlib.metadata.entry_points(group="jax_plugins")
    return not list(plugins) and importlib.util.find_spec("libtpu") is None


def xla_knows(flag: str, *values: str) -> bool:
    """Whether the installed XLA has this flag, and knows these words. An unknown flag would abort
    it, so its binary is searched.

    A flag stands there as a C string; the names of flags that are gone may still be parts of
    others.
    """
    spec = importlib.util.find_spec("jaxlib")
    if spec is None or not spec.submodule_search_locations:
        return False
    for folder in spec.submodule_search_locations:
        for library in pathlib.Path(folder).glob("*jax_common*"):
            with (
                library.open("rb") as file,
                mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as binary,
            ):
                if all(binary.find(word.encode()) >= 0 for word in (f"\0{flag}\0", *values)):
                    return True
    return False
