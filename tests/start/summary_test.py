"""Lines of the summary that the toy run of training_test has no reason to print."""

import numpy as np

from gan_jax.data.source import Source
from gan_jax.start import summary
from gan_jax.state import Phase, Player


class Pairs(Source):
    shape, fingerprint, partner = (8, 16, 1), "", "paired"

    def __len__(self):
        return 1200

    def load(self, ids, seeds):
        raise AssertionError("the summary reads no picture")


def test_players_of_several_networks_are_counted_each():
    params = {"g": {"kernel": np.zeros((30, 50))}, "mapping": {"bias": np.zeros(7)}}
    assert summary.parameters(Player(params, {}, None)) == "1,507 parameters (g 1,500, mapping 7)"
    del params["mapping"]
    assert summary.parameters(Player(params, {}, None)) == "1,500 parameters"


def test_data_of_two_sides_are_counted_each():
    assert list(summary._data(Pairs())) == [
        ("data", "1,200 and 1,200 (paired) images, 8 x 16 gray")
    ]


def test_many_classes_take_a_few_lines():
    text = ", ".join(f"class-{n}{summary.HARD_SPACE}{n}" for n in range(1000))
    lines = summary._wrapped("classes", text)
    assert len(lines) == summary.MOST_LINES and lines[-1].endswith(" ...")
    assert lines[0].startswith("classes       class-0 0, class-1 1, ")
    assert all(line.startswith(" " * summary.LABEL_WIDTH) for line in lines[1:])


def test_steps_of_an_iteration_say_how_often():
    phases = Phase("d", None, repeat=5), Phase("g", None), Phase("d", None, every=16)
    assert summary._order(phases, 100) == (
        "optimizer steps of an iteration: 5 x d, g, d every 16 iterations"
    )
    phases = Phase("g", None, until=100), Phase("g", None, since=100)
    for end, more in ((101, ""), (100, ", which this run does not reach")):
        assert summary._order(phases, end) == (
            f"optimizer steps of an iteration: g until iteration 100, g from iteration 100{more}"
        )
