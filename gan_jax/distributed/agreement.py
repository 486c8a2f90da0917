"""Several processes of one run agree on what they run: settings, data and software."""

import hashlib
import importlib.metadata
import itertools
import json
import pathlib
import platform
from collections.abc import Mapping

from flax import traverse_util
from jax._src import distributed  # the key-value store of jax.distributed has no public name

import gan_jax

PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "grain", "numpy")
FOREVER = 7 * 24 * 3600 * 1000  # milliseconds, of waits that the heartbeats end

_comparisons = itertools.count()


def agree(facts: Mapping[str, object]) -> None:
    """Compares facts, plain values or dicts of them, with those of the other processes; all must
    call it at the same place.

    Raises:
        ValueError: in every process, the first difference, in the order of process 0's facts.
    """
    run = distributed.global_state
    if run.client is not None:
        place = f"gan_jax/facts/{next(_comparisons)}"
        compare(run.client, place, run.process_id, run.num_processes, facts)


def compare(store, place: str, index: int, count: int, facts: Mapping[str, object]) -> None:
    """`agree` by a key-value store with the methods of jax.distributed's client.

    place: a key of this comparison's own.
    index, count: which process this is, of how many.
    """

    def read(name) -> str:
        return store.blocking_key_value_get(f"{place}/{name}", FOREVER)

    store.key_value_set(f"{place}/{index}", json.dumps(facts))
    if index == 0:
        others = ((k, json.loads(read(k))) for k in range(1, count))
        found = (difference(json.loads(json.dumps(facts)), theirs, k) for k, theirs in others)
        store.key_value_set(f"{place}/verdict", next(filter(None, found), "none"))
    if (verdict := read("verdict")) != "none":
        raise ValueError(verdict)


def difference(ours: Mapping, theirs: Mapping, k: int) -> str | None:
    """The first fact of process 0 and process k that differs, in one line;
    None where all are equal."""
    ours, theirs = (traverse_util.flatten_dict(facts, sep=".") for facts in (ours, theirs))
    for name in dict.fromkeys([*ours, *theirs]):
        here, there = (
            repr(facts[name]) if name in facts else "not given" for facts in (ours, theirs)
        )
        if here != there:
            return (
                f"the processes don't run the same: {name} is {here} on process 0, {there} on"
                f" process {k}. Start all of them with one command, one config, the same data and"
                " packages."
            )
    return None


def software() -> dict[str, str]:
    """{package: version}, and a digest of gan_jax's own files:
    what must be the same in every process."""
    digest = hashlib.sha256()
    for path in sorted(pathlib.Path(gan_jax.__file__).parent.rglob("*.py")):
        digest.update(path.read_bytes())
    versions = {name: importlib.metadata.version(name) for name in PACKAGES}
    return {
        "python": platform.python_version(),
        **versions,
        "gan_jax (digest of its code)": digest.hexdigest()[:12],
    }
