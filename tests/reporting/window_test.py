"""The metrics between two log lines."""

import pytest

from gan_jax.reporting.window import Window


def test_metrics_stay_as_the_devices_have_them_until_they_are_logged():
    asked = []

    def one(metrics):
        asked.append(metrics)
        return {name: value[0] for name, value in metrics.items()}

    window = Window(one)
    for step in range(8):
        window.add(step, {"d/loss": [float(step), -1.0]})
    window.wait()
    assert not asked
    assert window.means() == {"d/loss": 3.5} and len(asked) == 8
    window.add(8, {"d/loss": [float("nan"), 0.0]})
    with pytest.raises(FloatingPointError, match="d/loss became nan at step 8"):
        window.means()
