"""Processes that differ name the first difference, all the same one."""

import json
import threading

import jax
import pytest
from PIL import Image

from gan_jax import main
from gan_jax.distributed import agreement
from tests.distributed.stores import Store
from tests.training_test import FILE


def compared(*facts):
    """What each of so many processes raises."""
    store, raised = Store(), [None] * len(facts)

    def process(k):
        try:
            agreement.compare(store, "facts", k, len(facts), facts[k])
        except ValueError as error:
            raised[k] = str(error)

    threads = [threading.Thread(target=process, args=(k,)) for k in range(len(facts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return raised


def facts(seed=0, widths=(16, 8), jax_version="0.10.2", **more):
    return {
        "--mode": "train",
        "config": {"seed": seed, "g": {"widths": widths}, "d": {}} | more,
        "jax": jax_version,
    }


def test_processes_that_agree_go_on():
    assert compared(facts(), facts(widths=[16, 8]), facts()) == [None] * 3


@pytest.mark.parametrize(
    ("other", "line"),
    [
        (facts(seed=7, jax_version="0.11"), "config.seed is 0 on process 0, 7 on process 2."),
        (facts(widths=(16,)), r"config.g.widths is [16, 8] on process 0, [16] on process 2."),
        (facts(jax_version="0.12.0"), "jax is '0.10.2' on process 0, '0.12.0' on process 2."),
        (facts(keep=3), "config.keep is not given on process 0, 3 on process 2."),
        (facts(seed=False), "config.seed is 0 on process 0, False on process 2."),
    ],
)
def test_the_first_difference_is_named_in_all_processes(other, line):
    raised = compared(facts(), facts(), other)
    assert len(set(raised)) == 1 and raised[0].startswith(
        f"the processes don't run the same: {line} Start all"
    )
    assert "\n" not in raised[0]


def test_software_names_what_numbers_depend_on():
    found = agreement.software()
    assert found["jax"] == jax.__version__ and len(found["gan_jax (digest of its code)"]) == 12
    assert {"python", "jaxlib", "flax", "optax", "grain", "numpy"} <= found.keys()


def test_what_a_run_compares(tmp_path, monkeypatch):
    for name, shade in (("a", 0), ("b", 255)):
        Image.new("RGB", (8, 8), (shade,) * 3).save(tmp_path / f"{name}.png")
    (tmp_path / "tiny.py").write_text(FILE)
    compared = []

    def agree(facts):
        compared.append(facts)
        if len(compared) % 2 == 0:
            raise ValueError("they differ")

    monkeypatch.setattr(agreement, "agree", agree)
    source = {"source": "folder", "path": str(tmp_path), "resolution": 8}
    call = [
        "--config",
        str(tmp_path / "tiny.py"),
        "--workdir",
        str(tmp_path / "run"),
        f"--config.data={source}",
    ]
    assert main.main(call) == 1
    first, second = compared
    assert first["--mode"] == "train" and first["--workdir"] == str(tmp_path / "run")
    assert (
        first["config"]["data"] == source
        and first["config"]["seed"] == 0
        and first["jax"] == jax.__version__
    )
    assert json.dumps(first)
    (tmp_path / "b.png").unlink()
    assert main.main(call) == 1
    assert compared[2] == first and compared[3] != second  # the same command, but other pictures
