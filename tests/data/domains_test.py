import pickle

import numpy as np
import pytest

from gan_jax.data import domains, pipeline


class Colors:
    """Pictures whose pixels say which they are: class c, number n."""

    shape, classes, fingerprint, notes = (2, 2, 1), ("a", "b", "c"), "", ("note",)
    targets = np.array([0] * 3 + [1] * 5 + [2] * 2, np.int32)

    def __len__(self):
        return 10

    def load(self, ids, seeds):
        image = np.broadcast_to(ids.astype(np.uint8)[:, None, None, None], (len(ids), 2, 2, 1))
        return {"image": image, "label": self.targets[ids]}


def loaded(n=3000, names=("target", "target2")):
    ids = np.arange(n) % 10
    return domains.Domains(Colors(), names).load(
        ids, pipeline.sample_seeds(3, np.arange(n, dtype=np.uint64))
    )


def test_references_are_of_the_class_to_go_to():
    batch = loaded()
    for name in ("target", "target2"):
        np.testing.assert_array_equal(
            Colors.targets[batch[name][:, 0, 0, 0]], batch["target_label"]
        )
    assert (batch["target"] != batch["target2"]).any()
    np.testing.assert_array_equal(batch["label"], Colors.targets[np.arange(3000) % 10])


def test_classes_are_drawn_evenly_and_all_their_pictures():
    batch = loaded()
    counts = np.bincount(batch["target_label"])
    assert counts.min() > 900  # of 1000 each; the data has 3, 5 and 2 pictures
    assert set(batch["target"][:, 0, 0, 0]) == set(range(10))


def test_a_sample_is_the_same_again_and_in_a_worker():
    source = domains.Domains(Colors(), ("target",))
    again = pickle.loads(pickle.dumps(source))
    seeds = pipeline.sample_seeds(0, np.arange(4, dtype=np.uint64))
    for a, b in zip(
        source.load(np.arange(4), seeds).values(),
        again.load(np.arange(4), seeds).values(),
        strict=True,
    ):
        np.testing.assert_array_equal(a, b)
    assert again.classes == ("a", "b", "c") and len(again) == 10
    alone = source.load(np.array([2]), seeds[2:3])
    np.testing.assert_array_equal(alone["target"][0], source.load(np.arange(4), seeds)["target"][2])


def test_one_class_is_an_error():
    source = Colors()
    source.targets = np.zeros(10, np.int32)
    with pytest.raises(
        ValueError,
        match="config.data: one class with pictures; going from style to style takes two or more",
    ):
        domains.Domains(source, ("target",))


def test_a_class_that_can_be_read_no_more_is_an_error():
    class Lost(Colors):
        def load(self, ids, seeds):
            return super().load(np.where(self.targets[ids] == 2, 0, ids), seeds)

    with pytest.raises(ValueError, match="no image of class 'c' can be read any more"):
        domains.Domains(Lost(), ("target",)).load(
            np.arange(9), pipeline.sample_seeds(3, np.arange(9, dtype=np.uint64))
        )
