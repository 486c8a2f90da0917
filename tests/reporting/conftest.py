"""What the tests of reports share."""

import functools

import pytest

from gan_jax.reporting import charts


@pytest.fixture(scope="package", autouse=True)
def draw_once():
    """A chart of the same curves is drawn once for all tests of this folder."""
    drawn, draw = {}, charts._svg

    @functools.wraps(draw)
    def draw_or_reuse(*args, **kwargs):
        key = repr((args, kwargs))
        if key not in drawn:
            drawn[key] = draw(*args, **kwargs)
        return drawn[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(charts, "_svg", draw_or_reuse)
        yield
