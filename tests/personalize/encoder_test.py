import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.commands import encoder as command
from gan_jax.inference import loading
from gan_jax.personalize import encoder
from gan_jax.personalize.base import Base
from tests.runs import PALETTE, lively, untrained


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    untrained(root / "one", PALETTE, [16, 16, 4], ["a", "b"], lively)
    other = PALETTE | {"g": PALETTE["g"] | {"width": 6}}
    untrained(root / "two", other, [16, 16, 4], ["a", "b"], lively)
    return Base(loading.load_sampler(root / "one"))


def test_it_learns_the_samples_styles(base):
    """Half of the error of one that says the mean for all, after a few steps."""
    errors = []
    made = encoder.train(base, 200, log=lambda step, error: errors.append(error))
    assert len(errors) == 2 and errors[1] < errors[0]
    rows = np.arange(0, 2000, 50)
    w = base.statistics.ws[rows]
    pictures = base.draw(base.params, base.repeat(jnp.asarray(w)))
    far = np.linalg.norm(made(pictures) - w, axis=1).mean()
    mean = np.linalg.norm(base.statistics.mean - w, axis=1).mean()
    assert far < 0.5 * mean


def test_the_loss_is_the_written_one(base):
    made = encoder.train(base, 1)
    w = jnp.asarray(base.statistics.ws[:3])
    x = base.draw(base.params, base.repeat(w))
    found = made(x)
    error = np.square(found - w).sum(1) / base.statistics.std**2
    redrawn = base.draw(base.params, base.repeat(jnp.asarray(found)))
    wanted = error.mean() + encoder.PIXELS * np.square(redrawn - x).mean()
    loss, distance = made.loss(made.params, w, x)
    assert loss == pytest.approx(wanted, rel=1e-4)
    assert distance == pytest.approx(np.sqrt(error).mean(), rel=1e-4)


def test_a_file_and_the_base_it_is_of(base, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(encoder, "LOOK", 1)
    runs = base.sampler.step.parent.parent.parent
    argv = ["--base", str(runs / "one"), "--out", str(tmp_path / "e.safetensors"), "--steps", "2"]
    command.main(argv)
    assert "step 2/2: |w found - w|" in capsys.readouterr().out
    found = encoder.load(tmp_path / "e.safetensors", base)
    wanted = encoder.train(base, 2)
    jax.tree.map(
        lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-2, atol=1e-3),
        found.params,
        wanted.params,
    )
    other = Base(loading.load_sampler(runs / "two"))
    with pytest.raises(ValueError, match=r"e.safetensors: an encoder of another base than two"):
        encoder.load(tmp_path / "e.safetensors", other)
    data = (tmp_path / "e.safetensors").read_bytes()
    (tmp_path / "bad.safetensors").write_bytes(data[:-9])
    with pytest.raises(ValueError, match=r"bad.safetensors: truncated"):
        encoder.load(tmp_path / "bad.safetensors", base)
    with pytest.raises(ValueError, match=r"none.safetensors: no such file"):
        encoder.load(tmp_path / "none.safetensors", base)
    assert encoder.of(base) is None
    for flags, says in (
        (["--steps", "0"], "--steps=0: it must be at least 1"),
        (["--out", "e.npz"], "--out=e.npz: name it .safetensors"),
    ):
        with pytest.raises(ValueError, match=says):
            command.main([*argv, *flags])
