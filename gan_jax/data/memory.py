"""How much memory the pictures that are being decoded take, over all threads and processes."""

import contextlib
import functools
import os
import threading
from collections.abc import Iterator

from gan_jax.data.quarantine import ImageRejected

# for all pictures that are being decoded, where $GAN_JAX_DECODE_MIB says nothing else
MEMORY_MIB = 512


class Room:
    """Bytes that several threads share: `share` of them at a time, and no picture takes more than
    `most`.

    A picture that takes more than the share is decoded alone, beyond the share: several processes
    may then take more than `most` together.
    """

    def __init__(self, most: int, share: int):
        self.most, self.share, self.free = most, share, share
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def taken(self, size: int) -> Iterator[None]:
        """Waits until there are so many. Raises ImageRejected where there never are."""
        if size > self.most:
            raise ImageRejected(
                f"more than {self.most >> 20} MiB of memory to decode ($GAN_JAX_DECODE_MIB)"
            )
        size = min(size, self.share)
        with self._changed:
            self._changed.wait_for(lambda: self.free >= size)
            self.free -= size
        try:
            yield
        finally:
            with self._changed:
                self.free += size
                self._changed.notify_all()


def room() -> Room:
    """What this process's threads share.
    Raises ValueError where $GAN_JAX_DECODE_MIB is no number that fits."""
    return _room(_processes)


@functools.cache
def _room(processes: int) -> Room:
    text = os.environ.get("GAN_JAX_DECODE_MIB") or str(MEMORY_MIB)
    if not text.isdecimal() or not 1 <= int(text) <= 2**20:
        raise ValueError(f"GAN_JAX_DECODE_MIB={text}: it must be 1 to {2**20} MiB.")
    return Room(int(text) << 20, (int(text) << 20) // processes)


_processes = 1


def share(processes: int) -> None:
    """Called in each of so many worker processes: a share of the memory is its own."""
    global _processes
    _processes = processes
