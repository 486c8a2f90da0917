import gc
import weakref

import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.serving.programs import Network, Programs, padded, side


def test_sides_are_powers_of_two_and_those_and_a_half():
    found = sorted({side(n) for n in range(1, 33)})
    assert found == [1, 2, 3, 4, 6, 8, 12, 16, 24, 32]
    assert all(n <= side(n) < 1.5 * n for n in range(1, 2000))


def test_pictures_are_padded_by_their_reflection():
    x = np.arange(5 * 9, dtype=np.float32).reshape(1, 5, 9, 1)
    wide = padded(x, 2)
    assert wide.shape == (1, 6, 12, 1)  # 3 and 5 -> 6 times two
    np.testing.assert_array_equal(wide[:, :5, :9], x)
    np.testing.assert_array_equal(wide[:, 5, :9], x[:, 4])
    np.testing.assert_array_equal(wide[:, :5, 9:], x[:, :, :5:-1])
    assert padded(wide, 2) is wide


def test_the_last_programs_are_kept():
    programs = Programs(Network(2.0, {"times": lambda w, x, n: w * x * n}, 1), 2)
    for length, n, compiled in ((1, 3, 1), (2, 3, 2), (1, 3, 2), (1, 4, 3), (1, 3, 3), (2, 3, 4)):
        made = programs(("times", n), (np.ones((1, length), np.float32),))
        np.testing.assert_array_equal(made, np.full((1, length), 2.0 * n))
        assert programs.compiled == compiled and len(programs) <= 2


def test_a_program_that_is_not_kept_is_gone():
    programs = Programs(Network(2.0, {"add": lambda w, x: jnp.add(w, x)}, 1), 1)
    programs(("add",), (np.ones(1, np.float32),))
    (first,) = map(weakref.ref, programs._kept.values())
    programs(("add",), (np.ones(2, np.float32),))
    gc.collect()
    assert first() is None


@pytest.mark.parametrize("n", [1, 5])
def test_trees_of_rows_are_taken(n):
    programs = Programs(Network({"w": 3.0}, {"f": lambda w, x, y: {"a": w["w"] * x}}, 1), 1)
    made = programs(("f",), (np.ones((n, 2), np.float32), None))
    np.testing.assert_array_equal(made["a"], np.full((n, 2), 3.0))
