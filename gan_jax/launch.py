"""What must be set in the environment before JAX is imported, and what the tools share. Imports nothing of JAX itself.

On CPU, XLA's YNNPACK takes over convolutions that its own kernels run 2-3 times faster; `XLA_FLAGS` gives them back.
What is compiled is kept between runs, in a folder of the user's cache. Programs call `prepare()` first thing; a user's own
setting always wins.
"""

import argparse
import hashlib
import importlib.metadata
import importlib.util
import math
import mmap
import os
import pathlib
import platform
import re
import sys
import unicodedata
from collections.abc import Callable, Iterable

from gan_jax.signals import Signals, Stopped

MOST = 2**32 - 1  # of any whole number on a command line: seeds beyond are cut to 32 bits
MOST_NUMBERS = 1_000_000  # in a list as 0-9
FLAG = "--xla_cpu_experimental_ynn_fusion_type"
VALUE = "-individual_convolution"
_TURNS = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}  # marks that turn the text after them round
DEVICES = {"con", "prn", "aux", "nul", *(f"{port}{i}" for port in ("com", "lpt") for i in range(10))}  # of Windows
LONGEST_ERROR = 6000  # characters of what a tool says in the end; a list of LISTED names has fewer
LONGEST_NAME = 240  # bytes: file systems take 255, of which drafts, locks and parts have some
RUN_MARKS = ("metrics.jsonl", "evaluations.jsonl", ".lock")  # in a folder: it is a run's workdir
RUN_FILES = (*RUN_MARKS, "config.json", "error.log", "samples", "checkpoints", "best", "tensorboard", "evaluation")


def prepare() -> None:
    """Sets the CPU convolution flag in `XLA_FLAGS` where JAX will run on CPU and knows it; JAX keeps what it compiles."""
    flags = os.environ.get("XLA_FLAGS", "")
    if FLAG not in flags and on_cpu() and xla_knows(FLAG.lstrip("-"), VALUE.lstrip("-").upper()):
        os.environ["XLA_FLAGS"] = f"{flags} {FLAG}={VALUE}".strip()
    if not any(os.environ.get(name) for name in ("JAX_COMPILATION_CACHE_DIR", "JAX_ENABLE_COMPILATION_CACHE")):
        folder = compiled()
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError:
            return  # a home that can't be written: each run compiles anew
        os.environ["JAX_COMPILATION_CACHE_DIR"] = str(folder)


def compiled() -> pathlib.Path:
    """Where compiled programs are kept, for each kind of processor apart: one's code can't run on another."""
    root = pathlib.Path(os.environ.get("GAN_JAX_DATA") or "~/.cache/gan_jax").expanduser()
    try:
        about = pathlib.Path("/proc/cpuinfo").read_text("utf-8", "replace")
        kind = next((line for line in about.splitlines() if line.startswith(("flags", "Features"))), "")
    except OSError:  # not Linux
        kind = platform.processor()
    return root / "compiled" / hashlib.sha256(f"{platform.machine()} {kind}".encode()).hexdigest()[:12]


def print_any_text() -> None:
    """Names that the console's encoding lacks, or that are no Unicode, are printed with escapes and end nothing."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")


class Parser(argparse.ArgumentParser):
    """A tool's command line: its description is shown as it is written, and a mistake is one line.

    `type=int` is `whole` here, `type=float` is `finite`, and no text or path may be empty.
    """

    def __init__(self, description: str):
        super().__init__(
            description=description, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
        )
        check_values(self)

    def error(self, message: str):
        raise ValueError(f"{message}; --help says what there is.")

    def parse_args(self, *args, **kwargs) -> argparse.Namespace:
        """The flags; raises ValueError also where --out is a place of a run's own files."""
        for word in sys.argv[1:] if not args else args[0]:
            flag, _, value = word.rpartition("=")
            check_local(flag or "a path", value)
        flags = super().parse_args(*args, **kwargs)
        if vars(flags).get("out") is not None:
            check_out(flags.out)
        return flags


def check_local(flag: str, text: str) -> None:
    """Raises ValueError where a path is a remote address, as gs://bucket/run: it would become a folder `gs:` here."""
    if re.match("[A-Za-z][A-Za-z0-9+.-]*://", text):
        raise ValueError(
            f"{flag}={text}: a remote address. Give a path of this machine: mount the bucket, by gcsfuse or mount-s3."
        )


def check_out(path: pathlib.Path) -> None:
    """Raises ValueError where `path` is one of a run's own files or folders, or in one: no tool writes there."""
    whole = path.resolve()
    for workdir in whole.parents:
        own = whole.relative_to(workdir).parts[0]
        if own in RUN_FILES and any((workdir / name).is_file() for name in RUN_MARKS):
            raise ValueError(
                f"--out={path}: {workdir} is a run's workdir, and {own} there is its own. Give another name."
            )


def check_values(parser: argparse.ArgumentParser) -> None:
    """From now on `type=int` of this parser takes 0 to MOST only, `type=float` no NaN and no infinity, and no text or path
    may be empty: an empty path is the current folder."""
    parser.register("type", int, whole)
    parser.register("type", float, finite)
    parser.register("type", None, given)
    parser.register("type", pathlib.Path, lambda text: pathlib.Path(given(text)))


def given(text: str) -> str:
    """A text of a command line, not empty; what it raises is argparse's."""
    if not text:
        raise argparse.ArgumentTypeError("it is empty, as a variable that is not set is. Give a value, or leave it out")
    return text


def whole(text: str, least: int = 0) -> int:
    """A whole number of a command line, `least` to MOST; what it raises is argparse's."""
    digits = text.strip().removeprefix("-")
    number = (
        int(text) if digits.isascii() and digits.isdecimal() and len(digits.lstrip("0")) <= len(str(MOST)) else None
    )
    if number is None or not least <= number <= MOST:
        raise argparse.ArgumentTypeError(f"{_short(text)} must be a whole number, {least} to {MOST}")
    return number


def finite(text: str) -> float:
    """A number of a command line; what it raises is argparse's."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise argparse.ArgumentTypeError(f"{_short(text)} must be a number, as 0.7")
    return number


def tool(main: Callable[[], None]) -> None:
    """Runs a command-line tool; an error that its user can mend is one line and exit status 1."""
    prepare()
    print_any_text()
    signals = Signals()
    try:
        with signals:
            main()
            signals.check()
    except (ValueError, OSError, FloatingPointError, RuntimeError) as error:  # JAX's own are RuntimeErrors
        sys.exit(f"error: {shown(in_words(error))}")
    except MemoryError:
        sys.exit("error: the memory is full: it is too small for this file, or others use it.")
    except KeyboardInterrupt:  # Stopped, or what a tool raises after it
        stopped = Stopped(signals.caught[0] if signals.caught else "SIGINT")
        print(f"{stopped}.", file=sys.stderr)
        sys.exit(stopped.status)


def in_words(error: Exception) -> str:
    """An error's text; the system's own without its number, and with what it means. Of over LONGEST_ERROR characters, as
    a name in a file may have, its beginning and end."""
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        if isinstance(error, FileExistsError | NotADirectoryError):
            return f"{error.filename}: a file stands there, or above it, where a folder is needed."
        return f"{error.filename}: {error.strerror}."
    lines = str(error).splitlines() if isinstance(error, RuntimeError) else [str(error)]  # JAX's have many
    text, half = "".join(lines[:1]) or type(error).__name__, LONGEST_ERROR // 2
    return text if len(text) <= LONGEST_ERROR else f"{text[:half]} ... {text[-half:]}"


def shown(text: str) -> str:
    """Text that may come out of a file, as it may be printed: line ends and what else steers a terminal as escapes."""
    steers = lambda c: unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") or unicodedata.bidirectional(c) in _TURNS
    return "".join(ascii(c)[1:-1] if steers(c) else c for c in text)


def file_name(text: str, ending: str, among: Iterable[str] = ()) -> str:
    """`text` + ending as the name of one file, on any system: no separators, no hidden file, at most LONGEST_NAME bytes.

    What had to be changed or cut gets a digest of the whole, so that names that differ still do.

    Args:
        among: texts of other files in the folder: one that differs in case or in how accents are composed only, which
            some systems take for the same, gives this one a digest too.
    """
    plain = "".join("_" if c in '/\\:*?"<>|' or not c.isprintable() else c for c in text)
    plain = f"_{plain[1:]}" if plain.startswith(".") else plain
    plain = f"_{plain}" if plain.partition(".")[0].strip().lower() in DEVICES else plain
    raw, room = os.fsencode(plain), LONGEST_NAME - len(os.fsencode(ending))
    if plain == text and len(raw) <= room and not any(_alike(text) == _alike(other) for other in {*among} - {text}):
        return text + ending
    digest = f"-{hashlib.sha256(os.fsencode(text)).hexdigest()[:8]}"
    return raw[: room - len(digest)].decode("utf-8", "ignore") + digest + ending


def _alike(text: str) -> str:
    return unicodedata.normalize("NFC", text).casefold()


def trusts_code(parser: argparse.ArgumentParser) -> None:
    """Adds --trust-code: names of modules that may be imported though only a checkpoint names them."""
    parser.add_argument(
        "--trust-code",
        action="append",
        default=[],
        type=_importable,
        metavar="MODULE",
        help="run this module of your own, which the checkpoint names (my_project.my_game); it is looked for in the "
        "current folder too; may be repeated",
    )


def _importable(name: str) -> str:
    """The name; from now on modules in the current folder are found, as `python -m gan_jax.main` finds them."""
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    return name


def parse_numbers(text: str, flag: str) -> list[int]:
    """'3', '0-9' or '1,5,10-12' -> numbers; a ValueError that names the flag where it is none of these.

    Each is at most MOST, and all are at most MOST_NUMBERS.
    """
    numbers, shown = [], _short(text)
    for part in text.split(","):
        first, dash, last = part.partition("-")
        try:
            start, stop = whole(first), whole(last if dash else first)
        except argparse.ArgumentTypeError as error:
            raise ValueError(
                f"{flag}={shown}: write numbers and ranges, as in 0-9 or 1,5,10-12, each 0 to {MOST}."
            ) from error
        if len(numbers) + stop - start >= MOST_NUMBERS:
            raise ValueError(f"{flag}={shown}: more than {MOST_NUMBERS:,} numbers; draw them in parts.")
        numbers += range(start, stop + 1)
    if not numbers:
        raise ValueError(f"{flag}={shown}: that range is empty; the smaller number comes first.")
    return numbers


def _short(text: str) -> str:
    """What a user wrote, as an error quotes it."""
    return text if len(text) <= 40 else f"{text[:37]}..."


def say_of_columns(shown: int, classes: int, name: str | None) -> None:
    """Says so where a tool has drawn some of the classes only, without having been asked for one."""
    if name is None and shown < classes:
        print(f"the first {shown} of {classes} classes; --class NAME draws another.")


def on_cpu() -> bool:
    """Whether JAX will choose its CPU backend: asked for, or no accelerator's plugin is installed."""
    asked = os.environ.get("JAX_PLATFORMS", "")
    if asked:
        return asked.split(",")[0] == "cpu"
    plugins = importlib.metadata.entry_points(group="jax_plugins")
    return not list(plugins) and importlib.util.find_spec("libtpu") is None


def xla_knows(flag: str, *values: str) -> bool:
    """Whether the installed XLA has this flag, and knows these words. An unknown flag would abort it: its binary is asked.

    A flag stands there as a C string; the names of flags that are gone may still be parts of others.
    """
    spec = importlib.util.find_spec("jaxlib")
    if spec is None or not spec.submodule_search_locations:
        return False
    for folder in spec.submodule_search_locations:
        for library in pathlib.Path(folder).glob("*jax_common*"):
            with library.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as binary:
                if all(binary.find(word.encode()) >= 0 for word in (f"\0{flag}\0", *values)):
                    return True
    return False
