"""What the command-line tools share: flags with checked values, and errors in one line."""

import argparse
import math
import os
import pathlib
import re
import sys
from collections.abc import Callable

from gan_jax.runtime import xla_flags
from gan_jax.runtime.signals import Signals, Stopped
from gan_jax.runtime.text import shown

MOST = 2**32 - 1  # of any whole number on a command line: seeds beyond are cut to 32 bits
BROKEN_PIPE = 141  # the shells' exit status of a program that SIGPIPE ended
MOST_NUMBERS = 1_000_000  # in a list as 0-9
LONGEST_ERROR = 6000  # characters of what a tool says in the end; a list of LISTED names has fewer
RUN_MARKS = ("metrics.jsonl", "evaluations.jsonl", ".lock")  # in a folder: it is a run's workdir
RUN_FILES = (
    *RUN_MARKS,
    "config.json",
    "error.log",
    "samples",
    "checkpoints",
    "best",
    "tensorboard",
    "evaluation",
    "profile",
    "trackers.json",
    "wandb",
)


def print_any_text() -> None:
    """Names that the console's encoding lacks, or that are no Unicode,
    are printed with escapes and end nothing."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")


class Parser(argparse.ArgumentParser):
    """A command line: its description is shown as it is written, and a mistake is one line.

    `type=int` is `whole_number` here, `type=float` is `finite`, and no text or path may be empty.
    """

    def __init__(self, description: str, command: str | None = None):
        """command: of gan-jax, for the usage line; None: the program's own name."""
        super().__init__(
            prog=f"gan-jax {command}" if command else None,
            description=description,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        check_values(self)

    def error(self, message: str):
        raise ValueError(f"{message}; --help says what there is.")

    def parse_args(self, argv: list[str] | None = None) -> argparse.Namespace:
        """The flags of `argv` (None: the program's own); raises ValueError also where --out is a
        place of a run's own files."""
        for word in sys.argv[1:] if argv is None else argv:
            flag, _, value = word.rpartition("=")
            check_local(flag or "a path", value)
        flags = super().parse_args(argv)
        if vars(flags).get("out") is not None:
            check_out(flags.out)
        return flags


def check_local(flag: str, text: str) -> None:
    """Raises ValueError where a path is a remote address, as gs://bucket/run: it would become a
    folder `gs:` here."""
    if re.match("[A-Za-z][A-Za-z0-9+.-]*://", text):
        raise ValueError(
            f"{flag}={text}: a remote address. Give a path of this machine: mount the bucket, by"
            " gcsfuse or mount-s3."
        )


def check_out(path: pathlib.Path) -> None:
    """Raises ValueError where `path` is one of a run's own files or folders, or in one:
    no tool writes there."""
    whole = path.resolve()
    for workdir in whole.parents:
        own = whole.relative_to(workdir).parts[0]
        if own in RUN_FILES and any((workdir / name).is_file() for name in RUN_MARKS):
            raise ValueError(
                f"--out={path}: {workdir} is a run's workdir, and {own} there is its own. Give"
                " another name."
            )


def check_values(parser: argparse.ArgumentParser) -> None:
    """From now on `type=int` of this parser takes 0 to MOST only, `type=float` no NaN and no
    infinity, and no text or path may be empty: an empty path is the current folder."""
    parser.register("type", int, whole_number)
    parser.register("type", float, finite)
    parser.register("type", None, given)
    parser.register("type", pathlib.Path, lambda text: pathlib.Path(given(text)))


def given(text: str) -> str:
    """A text of a command line, not empty; what it raises is argparse's."""
    if not text:
        raise argparse.ArgumentTypeError(
            "it is empty, as a variable that is not set is. Give a value, or leave it out"
        )
    return text


def whole_number(text: str, least: int = 0) -> int:
    """A whole number of a command line, `least` to MOST; what it raises is argparse's."""
    digits = text.strip().removeprefix("-")
    plain = digits.isascii() and digits.isdecimal() and len(digits.lstrip("0")) <= len(str(MOST))
    number = int(text) if plain else None
    if number is None or not least <= number <= MOST:
        raise argparse.ArgumentTypeError(
            f"{_short(text)} must be a whole number, {least} to {MOST}"
        )
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


def tool(main: Callable[[], int | None]) -> None:
    """Runs a command; an error that its user can mend is one line and exit status 1. `main` may
    return another status."""
    xla_flags.prepare()
    print_any_text()
    signals = Signals()
    try:
        with signals:
            status = main()
            sys.stdout.flush()
            signals.check()
        if status:
            sys.exit(status)
    except BrokenPipeError:  # who reads what is printed has ended, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(BROKEN_PIPE)
    # JAX's own are RuntimeErrors
    except (ValueError, OSError, FloatingPointError, RuntimeError) as error:
        sys.exit(f"error: {shown(in_words(error))}")
    except MemoryError:
        sys.exit("error: the memory is full: it is too small for this file, or others use it.")
    except KeyboardInterrupt:  # Stopped, or what a tool raises after it
        stopped = Stopped(signals.caught[0] if signals.caught else "SIGINT")
        print(f"{stopped}.", file=sys.stderr)
        sys.exit(stopped.status)


def in_words(error: Exception) -> str:
    """An error's text; the system's own without its number, and with what it means. Of over
    LONGEST_ERROR characters, as a name in a file may have, its beginning and end."""
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        if isinstance(error, FileExistsError | NotADirectoryError):
            return f"{error.filename}: a file stands there, or above it, where a folder is needed."
        return f"{error.filename}: {error.strerror}."
    # JAX's have many
    lines = str(error).splitlines() if isinstance(error, RuntimeError) else [str(error)]
    text, half = "".join(lines[:1]) or type(error).__name__, LONGEST_ERROR // 2
    return text if len(text) <= LONGEST_ERROR else f"{text[:half]} ... {text[-half:]}"


def trusts_code(parser: argparse.ArgumentParser) -> None:
    """Adds --trust-code:
    names of modules that may be imported though only a checkpoint names them."""
    parser.add_argument(
        "--trust-code",
        action="append",
        default=[],
        type=_importable,
        metavar="MODULE",
        help=(
            "run this module of your own, which the checkpoint names (my_project.my_game); it is"
            " looked for in the current folder too; may be repeated"
        ),
    )


def _importable(name: str) -> str:
    find_modules_here()
    return name


def find_modules_here() -> None:
    """From now on modules in the current folder are found, as `python -m gan_jax.main` finds
    them."""
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())


def parse_numbers(text: str, flag: str) -> list[int]:
    """'3', '0-9' or '1,5,10-12' -> numbers; a ValueError that names the flag where it is none of
    these.

    Each is at most MOST, and all are at most MOST_NUMBERS.
    """
    numbers, shown = [], _short(text)
    for part in text.split(","):
        first, dash, last = part.partition("-")
        try:
            start, stop = whole_number(first), whole_number(last if dash else first)
        except argparse.ArgumentTypeError as error:
            raise ValueError(
                f"{flag}={shown}: write numbers and ranges, as in 0-9 or 1,5,10-12, each 0 to"
                f" {MOST}."
            ) from error
        if len(numbers) + stop - start >= MOST_NUMBERS:
            raise ValueError(
                f"{flag}={shown}: more than {MOST_NUMBERS:,} numbers; draw them in parts."
            )
        numbers += range(start, stop + 1)
    if not numbers:
        raise ValueError(f"{flag}={shown}: that range is empty; the smaller number comes first.")
    return numbers


def _short(text: str) -> str:
    """What a user wrote, as an error quotes it."""
    return text if len(text) <= 40 else f"{text[:37]}..."


def print_omitted_classes(shown: int, classes: int, name: str | None) -> None:
    """Says so where a tool has drawn only some of the classes, and the user named none."""
    if name is None and shown < classes:
        print(f"the first {shown} of {classes} classes; --class NAME draws another.")
