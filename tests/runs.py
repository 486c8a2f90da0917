"""Runs as they are before training: a checkpoint of step 0, made in a second."""

import contextlib
import dataclasses
import json

from gan_jax import algorithms, build, checkpoint, config


def untrained(workdir, settings, shape, classes=()):
    """Makes the folder the workdir of a run at its start. settings: of config.Config."""
    run = config.Config(**settings)
    game = algorithms.make_game(run, shape, len(classes))
    state = build.new_state(run, game, shape, len(classes))
    meta = {"config": dataclasses.asdict(run), "shape": shape, "classes": classes}
    with contextlib.closing(checkpoint.Store(workdir / "checkpoints")) as store:
        assert store.save(0, state, json.loads(json.dumps(meta))) and store.finish()
    return workdir
