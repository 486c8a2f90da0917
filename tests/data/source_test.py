import pickle
import types

import numpy as np
import pytest

from gan_jax.data import source
from gan_jax.data.source import Outline, open_source, outline
from gan_jax.runtime import registry


class Plain:
    """The least that a source of a user's own has; derives from nothing."""

    shape, fingerprint = (1, 1, 1), "of a plain one"

    def __init__(self, n: int = 3):
        self.n = n

    def __len__(self):
        return self.n

    def load(self, ids, seeds):
        value = ids.astype(np.uint8)[:, None, None, None]
        return {"image": value, "target": value + 100}


class Pairs(Plain):
    partner = "paired"


class Shapeless(Plain):
    fingerprint = property()


@pytest.fixture
def named(monkeypatch):
    """A class -> its settings as config.data."""

    def settings(kind):
        module = types.SimpleNamespace(Source=kind)
        monkeypatch.setattr(registry, "by_name", lambda *_: module)
        return {"source": "my.module", "n": 4}

    return settings


def test_a_plain_class_gets_the_declared_defaults(named):
    opened = open_source(named(Plain))
    assert len(opened) == 4 and opened.shape == (1, 1, 1) and opened.fingerprint == "of a plain one"
    assert opened.classes == opened.notes == opened.sides == () and not opened.colors
    assert opened.targets is opened.names is opened.split is opened.partner is None
    again = pickle.loads(pickle.dumps(opened))  # as it travels to worker processes
    np.testing.assert_array_equal(again.load(np.array([2]), None)["image"].ravel(), 2)


def test_the_sides_of_a_plain_class_are_the_pictures_of_its_samples(named):
    image, target = open_source(named(Pairs)).sides
    ids, seeds = np.arange(4), np.zeros(4, np.uint64)
    np.testing.assert_array_equal(image.load(ids, seeds)["image"].ravel(), ids)
    np.testing.assert_array_equal(target.load(ids, seeds)["image"].ravel(), ids + 100)
    assert len(target) == 4 and target.shape == (1, 1, 1) and target.partner is None


def test_a_plain_class_without_what_has_no_default_is_named(named):
    with pytest.raises(ValueError, match="config.data.source='my.module': .*fingerprint"):
        open_source(named(Shapeless))


def test_what_the_settings_of_a_plain_class_tell(named):
    assert outline(named(Plain), "config.data") == Outline(None, 0, None)
    assert outline(named(Pairs), "config.data").partner == "paired"
    with pytest.raises(ValueError, match="config.eval.data.m: no such setting"):
        outline(named(Plain) | {"m": 3}, "config.eval.data")


def test_what_the_settings_of_avatars_tell():
    side = {"source": "avatars", "resolution": 16, "labels": "skin"}
    assert outline(side, "config.data") == Outline((16, 16, 3), 6, None, ("skin", "hair"))
    pair = {"source": "paired", "a": side, "b": side}
    assert outline(pair, "config.data") == Outline((16, 16, 3), 0, "paired", ("skin", "hair"))
    with pytest.raises(ValueError, match="config.data.b.labels='skins' is not known"):
        outline(pair | {"b": side | {"labels": "skins"}}, "config.data")


def test_a_source_that_derives_is_given_as_it_is(named):
    class Derived(Plain, source.Source):
        pass

    assert type(open_source(named(Derived))) is Derived
