"""Files set aside, and why; and what there is to note of files that are used."""

import collections
from collections.abc import Callable, Iterable, Iterator

from gan_jax.runtime.text import shown


class ImageRejected(ValueError):
    """This file is no image to train on.
    Its text is the reason, the same words for the same fault."""


class TooLarge(ImageRejected):
    """It has more pixels than are taken."""


class UnknownFormat(ImageRejected):
    """It is of no format that is read."""


class Quarantine:
    """The files set aside, and why: `files` maps each name to its reason."""

    def __init__(self):
        self.files: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self.files)

    def add(self, file: str, reason: str | ImageRejected) -> None:
        self.files[file] = str(reason)

    def lines(self) -> tuple[str, ...]:
        """'set aside 3 as "truncated": a.png, b.png, c.png',
        a line a reason, the most frequent first."""
        return tuple(
            f"set aside {n} as {reason!r}: {some}"
            for reason, n, some in _ranked(self.files.items())
        )


class Remarks:
    """Notes on files that are used though not all of them is obeyed: (file, words) each."""

    def __init__(self):
        self.made: list[tuple[str, str]] = []

    def add(self, file: str, words: str) -> None:
        self.made.append((file, words))

    def lines(self) -> tuple[str, ...]:
        """'2 with several frames, of which the first is used: a.gif, b.gif',
        a line for equal words."""
        return tuple(f"{n} with {words}: {some}" for words, n, some in _ranked(sorted(self.made)))


def _ranked(noted: Iterable[tuple[str, str]]) -> Iterator[tuple[str, int, str]]:
    """(words, how many files, the first three) of (file, words), the most frequent first."""
    by_words = collections.defaultdict(list)
    for file, words in noted:
        by_words[words].append(file)
    for words, files in sorted(by_words.items(), key=lambda item: (-len(item[1]), item[0])):
        more = ", ..." if len(files) > 3 else ""
        yield shown(words), len(files), ", ".join(map(shown, files[:3])) + more


Remark = Callable[[str], None]


def no_remark(words: str) -> None:
    """A Remark that is dropped, for callers whose files have been checked before."""
