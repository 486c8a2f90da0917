"""Whose a file is, by the names of the networks that there are here, and of others."""

import numpy as np
import pytest

from gan_jax.interop import super_resolution
from gan_jax.interop.marks import whose
from tests.interop.super_resolution_test import of
from tests.paths import FIXTURES


@pytest.mark.parametrize(
    ("file", "says"), [("lama", " It is LaMa's"), ("migan", " It is MI-GAN's")]
)
def test_the_official_networks_that_fill(file, says, tmp_path):
    arrays = np.load(FIXTURES / f"{file}.npz")
    arrays = {k[2:]: arrays[k] for k in arrays.files if k.startswith("g/")}
    assert whose(arrays).startswith(says) and "`gan-jax inpaint`" in whose(arrays)
    np.savez(tmp_path / "net.npz", **arrays)
    with pytest.raises(ValueError, match=rf"net.npz: .*{says}"):
        super_resolution.read(tmp_path / "net.npz")


@pytest.mark.parametrize(
    ("network", "says"), [("rrdb4", "RRDBNet's"), ("compact", "SRVGGNetCompact's")]
)
def test_the_official_networks_that_enlarge(network, says):
    names = list(of(network))
    assert says in whose(names) and "`gan-jax restore`" in whose(names)
    assert whose(f"params_ema.module.{name}" for name in names) == whose(names)


def test_others():
    assert "GFPGAN's" in whose(["stylegan_decoder.style_mlp.1.weight"])
    assert "ResNet's" in whose(["conv1.weight", "layer1.0.conv1.weight"])
    assert whose(["a.weight", "body.x.weight"]) == "" == whose([])
