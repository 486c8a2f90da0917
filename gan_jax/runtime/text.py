"""Text that came out of a file, made safe to print and to use as a file's name."""

import hashlib
import os
import unicodedata
from collections.abc import Iterable

# marks that change the direction of the text after them
_BIDI_CONTROLS = frozenset(("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"))
# of Windows
PORTS = {f"{port}{i}" for port in ("com", "lpt") for i in range(10)}
DEVICES = {"con", "prn", "aux", "nul"} | PORTS
LONGEST_NAME = 240  # bytes: file systems take 255, of which drafts, locks and parts have some


def shown(text: str) -> str:
    """Text that may come out of a file, as it may be printed: line ends and what else steers a
    terminal as escapes."""
    return "".join(ascii(c)[1:-1] if _steers(c) else c for c in text)


def _steers(c: str) -> bool:
    control = unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp")
    return control or unicodedata.bidirectional(c) in _BIDI_CONTROLS


def file_name(text: str, ending: str, among: Iterable[str] = ()) -> str:
    """`text` + ending as the name of one file, on any system: no separators, no hidden file, at
    most LONGEST_NAME bytes.

    What had to be changed or cut gets a digest of the whole, so that names that differ still do.

    Args:
        among: texts of other files in the folder: one that differs in case or in how accents are
            composed only, which some systems take for the same, gives this one a digest too.
    """
    plain = "".join("_" if c in '/\\:*?"<>|' or not c.isprintable() else c for c in text)
    plain = f"_{plain[1:]}" if plain.startswith(".") else plain
    plain = f"_{plain}" if plain.partition(".")[0].strip().lower() in DEVICES else plain
    raw, room = os.fsencode(plain), LONGEST_NAME - len(os.fsencode(ending))
    twin = any(_alike(text) == _alike(other) for other in {*among} - {text})
    if plain == text and len(raw) <= room and not twin:
        return text + ending
    digest = f"-{hashlib.sha256(os.fsencode(text)).hexdigest()[:8]}"
    return raw[: room - len(digest)].decode("utf-8", "ignore") + digest + ending


def _alike(text: str) -> str:
    return unicodedata.normalize("NFC", text).casefold()
