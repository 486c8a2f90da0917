"""The table of runs trained for the same time."""

from gan_jax.reporting import equal_time, runs
from tests.reporting.made_runs import evaluation, make_run


def test_a_value_by_a_network_of_the_training_is_marked(tmp_path):
    about = {"better": -1, "about": "", "error": None, "control_of": None}
    made = {
        name: make_run(
            tmp_path / name,
            [evaluation(3000, 0.1, values={"kid_toy": 0.1}, about={"kid_toy": about | more})],
        )
        for name, more in (("ours", {"in_training": True}), ("theirs", {"in_training": False}))
    }
    found = dict(zip(made, runs.read(list(made.values())), strict=True))
    rows = equal_time.rows(found, {}, tuple(made))
    ours, theirs = (line for line in equal_time.table(rows).splitlines() if "0.1" in line)
    assert ours.startswith("| ours |") and "| 0.1 * |" in ours
    assert theirs.startswith("| theirs |") and "| 0.1 |" in theirs
    assert f"* {equal_time.NOTE}" in equal_time.table(rows)
    assert equal_time.NOTE not in equal_time.table(rows[1:])
    results = equal_time.results(rows)
    assert [results[name]["in_training"] for name in made] == [["kid_toy"], []]
