"""Two virtual CPU devices, strict JAX, compiled programs kept between runs; and a toy game small
enough for any test."""

import gc
import os
import pathlib
import runpy
import sys
import tempfile
import types

from gan_jax.runtime import xla_flags
from tests.xla_flags import FAST_COMPILE

os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["XLA_FLAGS"] = f"--xla_force_host_platform_device_count=2 {FAST_COMPILE}"
os.environ.setdefault(
    "JAX_COMPILATION_CACHE_DIR", str(pathlib.Path(tempfile.gettempdir()) / "gan_jax_test_cache")
)
# small ones too: most of what a file compiles are these, and many are another file's also
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
xla_flags.prepare()

from tests import shapes

shapes.check()  # before anything of its rooms is imported

import jax

jax.config.update("jax_numpy_rank_promotion", "raise")  # a [B] meeting a [B, 1] is an error
jax.config.update("jax_debug_key_reuse", True)

import flax.linen as nn
import jax.numpy as jnp
import pytest

from gan_jax.algorithms import noise_to_image
from gan_jax.augment import NONE
from gan_jax.distributed import collectives
from tests.paths import ROOT


@pytest.fixture(scope="module", autouse=True)
def forget():
    """What one file's tests compiled and traced is of no use to the next, and Python's collector
    would go through it all."""
    yield
    jax.clear_caches()
    gc.collect()
    gc.freeze()


class ToyGenerator(nn.Module):
    """z -> tanh image; a running mean as its state, global over devices like batch norm's."""

    shape: tuple = (4, 4, 1)

    @nn.compact
    def __call__(self, z, y=None, *, train=False):
        # a bias would have gradient 0, whose rounding Adam makes steps of
        x = nn.Dense(16, use_bias=False)(z)
        running = self.variable("batch_stats", "mean", jnp.zeros, 16)
        if train:
            mean = collectives.mean(x.mean(0))
            running.value = 0.9 * running.value + 0.1 * mean
        else:
            mean = running.value
        x = nn.Dense(4 * 4)(nn.tanh(x - mean[None]))
        return jnp.tanh(x).reshape(-1, *self.shape)


class ToyCritic(nn.Module):
    """Two dense layers; counts its own training passes as state, as spectral norm's u would be
    advanced."""

    @nn.compact
    def __call__(self, x, y=None, *, train=False):
        passes = self.variable("spectral", "passes", jnp.zeros, ())
        if train:
            passes.value = passes.value + 1
        h = nn.Dense(16)(x.reshape(x.shape[0], -1))
        return nn.Dense(1)(nn.tanh(h))[:, 0]


@pytest.fixture
def toy_game():
    """(settings of the game) -> Algorithm on 4x4x1 images, z 3."""

    def make(batch=0, augment=NONE, **settings):
        networks = {"g": ToyGenerator(), "d": ToyCritic()}
        settings = {"z_dim": 3} | settings
        return noise_to_image.Algorithm.build(settings, **networks, batch=batch, augment=augment)

    return make


@pytest.fixture(scope="session")
def shared_data(tmp_path_factory):
    """The avatars of all tests are kept in one folder of this test run, all its workers', not in
    the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.getbasetemp()
        folder = (folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder) / "data"
        patch.setenv("GAN_JAX_DATA", str(folder))
        yield folder


@pytest.fixture
def tool(capsys, monkeypatch):
    """("sample", *args) -> what `python tools/sample.py *args` would give: returncode, stdout,
    stderr."""

    def run(name, *args):
        monkeypatch.setattr(sys, "argv", [f"{name}.py", *map(str, args)])
        capsys.readouterr()
        code = None
        try:
            runpy.run_path(str(ROOT / "tools" / f"{name}.py"), run_name="__main__")
        except SystemExit as end:
            code = end.code
        out, err = capsys.readouterr()
        said = f"{code}\n" if isinstance(code, str) else ""
        return types.SimpleNamespace(
            returncode=1 if said else code or 0, stdout=out, stderr=err + said
        )

    return run
