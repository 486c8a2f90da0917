"""Source -> batches: shuffled, sharded over processes, read ahead, and the same again from any
position.

The stream of samples is endless: epoch after epoch, each a new permutation, and a batch may span
two. Global batch k holds samples k * batch to (k + 1) * batch - 1 of that stream whatever the
number of processes or workers, and what is random about a sample derives from the run's seed and
the sample's place in the stream. So a position, one integer, is all that resuming needs.
"""

import math
import multiprocessing
import os
import signal
import threading
from typing import Self

import absl.flags
import grain
import numpy as np

from gan_jax.data import memory
from gan_jax.data.source import Batch, Source

ENDLESS = 2**53  # samples in the stream: grain's own endless repeat overflows in batches of one


def check_batch(batch: int, n_samples: int, n_devices: int, n_processes: int = 1) -> None:
    """Raises ValueError where `batch` (over all processes) does not suit the data, the devices or
    the processes."""
    if batch < 1:
        raise ValueError(f"config.batch={batch}: it must be at least 1.")
    if batch > n_samples:
        raise ValueError(
            f"config.batch={batch}: the data has only {n_samples} images. Use"
            f" config.batch<={n_samples} or more images."
        )
    unit = math.lcm(n_devices, n_processes)
    if batch % unit:
        near = [n for n in (batch // unit * unit, (batch // unit + 1) * unit) if 0 < n <= n_samples]
        fix = (
            f"Use {' or '.join(map(str, near))}."
            if near
            else f"Use more than {n_samples} images or fewer devices."
        )
        over = f"{n_devices} devices" + (f" of {n_processes} processes" if n_processes > 1 else "")
        raise ValueError(f"config.batch={batch}: {over} can't share it equally. {fix}")


class Batches:
    """An endless iterator over this process's rows of each global batch.

    Yields {"image": uint8 [b, H, W, C], "id": int64 [b], and "label": int32 [b] where the source
    has classes}, with b = batch / process_count. Close it, or use it in a `with`.

    Args:
        batch: images over all processes.
        seed: of the order and the augmentation, 0 to 2**32 - 1.
        start: the `position` to go on from; costs nothing.
        workers: processes that load batches; 0: `prefetch` threads of this one. Images held in
            memory want 0.
        prefetch: batches loaded ahead, for each worker; 0 with no workers: none.
    Attributes:
        position: global batches handed out so far, counted from the run's beginning.
    """

    def __init__(
        self,
        source: Source,
        batch: int,
        seed: int,
        start: int = 0,
        process_index: int = 0,
        process_count: int = 1,
        workers: int = 0,
        prefetch: int = 2,
    ):
        if batch % process_count:
            raise ValueError(
                f"config.batch={batch}: {process_count} processes can't share it equally."
            )
        if not 0 <= seed < 2**32:
            raise ValueError(f"config.seed={seed}: it must be 0 to {2**32 - 1}.")
        self.position = start
        order = grain.MapDataset.range(len(source)).seed(seed).shuffle()
        order = order.repeat(ENDLESS // len(source))
        shares = order.batch(batch // process_count).map_with_index(_Load(source, seed))
        mine = shares[start * process_count + process_index :: process_count]
        stream = mine.to_iter_dataset(
            grain.ReadOptions(num_threads=prefetch, prefetch_buffer_size=prefetch)
        )
        if workers:
            if not absl.flags.FLAGS.is_parsed():
                absl.flags.FLAGS.mark_as_parsed()  # grain's workers read them
            ahead = grain.MultiprocessingOptions(
                num_workers=workers, per_worker_buffer_size=max(1, prefetch)
            )
            stream = stream.mp_prefetch(ahead, worker_init_fn=_follow_the_run)
        self._batches = iter(stream)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Batch:
        batch = next(self._batches)
        self.position += 1
        return batch

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def close(self) -> None:
        """Ends the threads and processes that read ahead. Safe to repeat."""
        self._batches.close()


def _follow_the_run(worker: int, count: int) -> None:
    """In a worker: it ends when the run does, also one that was killed; and not by Ctrl-C, which a
    terminal sends to all."""

    def wait():
        multiprocessing.parent_process().join()
        os._exit(1)

    memory.share(count)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=wait, daemon=True).start()


class _Load:
    """(the share's number, its ids) -> batch: a class, for it travels to the workers."""

    def __init__(self, source: Source, seed: int):
        self.source, self.seed = source, seed

    def __call__(self, share: int, ids: np.ndarray) -> Batch:
        places = np.arange(len(ids), dtype=np.uint64) + np.uint64(share * len(ids))
        return {"id": ids} | self.source.load(ids, sample_seeds(self.seed, places))


def sample_seeds(seed: int, places: np.ndarray) -> np.ndarray:
    """The seed of each sample: uint64 [n] from the run's seed and the samples' places in the
    stream, uint64 [n]."""
    return _mix(_mix(np.array([seed], np.uint64)) + places)


def uniform(seeds: np.ndarray, n: int) -> np.ndarray:
    """n numbers in [0, 1) for each seed: uint64 [b] -> float64 [b, n]."""
    return (_mix(seeds[:, None] + _mix(np.arange(n, dtype=np.uint64))) >> np.uint64(11)) * 2.0**-53


def _mix(x: np.ndarray) -> np.ndarray:
    """SplitMix64's output function on uint64 of any shape: neighbors come out unrelated."""
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
