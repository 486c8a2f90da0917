"""A net that takes no time, and a run of twenty steps: trained once, for all that only read it."""

import shutil

import numpy as np
import pytest

from gan_jax import config, pretrained, training
from tests.evaluation.features_test import toy_apply

FILE = """
def get_config(arg=None):
    usefulness = dict(sizes=(20, 10_000), seeds=2, steps=3, batch=8, width=4)
    return dict(
        algorithm="noise_to_image", model="mlp", batch=8, total_kimg=0.16,
        g=dict(widths=(16,)), d=dict(widths=(16,)), game=dict(z_dim=4),
        opt_g=dict(lr=1e-3), opt_d=dict(lr=1e-3),
        data=dict(source="avatars", resolution=8, identities=36, labels="style", flip=True),
        log_every_kimg=0.08, sample_every_kimg=0.16, save_every_kimg=0.08, eval_every_kimg=0.04,
        eval=dict(images=40, reference=50, batch=8, held_out=dict(split="test"),
                  robustness_images=8, usefulness=usefulness),
    )
"""


@pytest.fixture
def toy(monkeypatch):
    """Every net is a small one."""
    w = np.random.default_rng(0).normal(size=(3, 3, 3, 6)).astype(np.float32)
    net = pretrained.Net("toy", "_toy", 6, 2, None, "none", "f" * 64, {"w": w}, toy_apply)
    monkeypatch.setattr(pretrained, "load", lambda name, path, resize: net)
    return net


@pytest.fixture
def file(tmp_path, shared_data, toy):
    """A config file that evaluates with the toy net."""
    (tmp_path / "c.py").write_text(FILE)
    return str(tmp_path / "c.py")


@pytest.fixture(scope="session")
def trained_once(shared_data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    (folder / "c.py").write_text(FILE)
    training.run(config.load(str(folder / "c.py"), ["eval_every_kimg=None"]), folder / "run")
    return folder / "run"


@pytest.fixture
def trained(trained_once, tmp_path):
    """The workdir of a run of `file` that has come to its end without any evaluation."""
    return shutil.copytree(trained_once, tmp_path / "run")
