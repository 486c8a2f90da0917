"""Experiment trackers: Weights & Biases and MLflow, chosen by config.trackers.

Both are set up by their own environment variables (WANDB_MODE=offline, WANDB_PROJECT,
MLFLOW_TRACKING_URI, MLFLOW_EXPERIMENT_NAME, ...). What those leave open: the project is
"gan_jax", and the run has the workdir's name. The tracked run's ID is kept in the workdir, so that
a resumed run goes on in it.
"""

import importlib.util
import json
import os
import pathlib
import re
import time
import uuid
from collections.abc import Mapping, Sequence

import numpy as np

from gan_jax.reporting.json_values import as_mapping, as_text, flattened
from gan_jax.reporting.metric_writer import MetricWriter
from gan_jax.runtime import registry
from gan_jax.runtime.files import replace_text

PROJECT = "gan_jax"
KEPT = "trackers.json"  # in the workdir: {"wandb": the tracked run's ID, ...}
PARAMS = 100  # that MLflow takes at once
LONGEST_PARAM = 500  # characters that every MLflow server takes


class Wandb(MetricWriter):
    """A run of Weights & Biases: https://docs.wandb.ai."""

    def __init__(self, workdir: pathlib.Path, run_id: str | None):
        """run_id: of the tracked run to go on with; None: a new one."""
        import wandb

        self._wandb, self._workdir = wandb, workdir
        self.run_id = run_id or uuid.uuid4().hex[:12]
        given = {
            "project": os.environ.get("WANDB_PROJECT", PROJECT),
            "name": os.environ.get("WANDB_NAME", workdir.name),
            "group": os.environ.get("WANDB_RUN_GROUP", workdir.parent.name),
            "dir": os.environ.get("WANDB_DIR", str(workdir)),
        }
        self._run = wandb.init(id=self.run_id, resume="allow", **given)
        # the x axis: W&B's own step can't go back to the checkpoint that a killed run goes on from
        self._run.define_metric("*", step_metric="step")

    def write_scalars(self, step: int, scalars: Mapping[str, float]) -> None:
        self._run.log({**scalars, "step": step})

    def write_images(self, step: int, images: Mapping[str, np.ndarray]) -> None:
        pictures = {name: self._wandb.Image(_plain(image)) for name, image in images.items()}
        self._run.log({**pictures, "step": step})

    def write_evaluation(self, step: int, record: Mapping) -> None:
        super().write_evaluation(step, record)
        path = self._workdir / "evaluations.jsonl"  # which has the record already
        self._run.save(str(path), base_path=str(self._workdir), policy="now")

    def write_hparams(self, hparams: Mapping) -> None:
        self._run.config.update(dict(hparams), allow_val_change=True)

    def close(self, failed: bool = False) -> None:
        self._run.finish(exit_code=int(failed))


class Mlflow(MetricWriter):
    """A run of MLflow: https://mlflow.org/docs/latest/ml/tracking."""

    def __init__(self, workdir: pathlib.Path, run_id: str | None):
        """run_id: of the tracked run to go on with; None: a new one."""
        import mlflow

        self._entities, self._client = mlflow.entities, mlflow.MlflowClient()
        self._new = run_id is None
        if self._new:
            run = self._client.create_run(
                self._experiment(), run_name=workdir.name, tags={"workdir": str(workdir.resolve())}
            )
            self.run_id = run.info.run_id
        else:
            self.run_id = run_id
            self._client.update_run(run_id, status="RUNNING")

    def _experiment(self) -> str:
        """The ID of the experiment that the environment names, or of the project's."""
        given = os.environ.get("MLFLOW_EXPERIMENT_ID")
        if given:
            return given
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", PROJECT)
        found = self._client.get_experiment_by_name(name)
        return found.experiment_id if found else self._client.create_experiment(name)

    def write_scalars(self, step: int, scalars: Mapping[str, float]) -> None:
        now = round(time.time() * 1000)
        values = [
            self._entities.Metric(_name(name), value, now, step) for name, value in scalars.items()
        ]
        self._client.log_batch(self.run_id, metrics=values)

    def write_images(self, step: int, images: Mapping[str, np.ndarray]) -> None:
        for name, image in images.items():
            picture, name = _plain(image), _name(name)
            self._client.log_image(self.run_id, picture, key=name, step=step, synchronous=True)

    def write_evaluation(self, step: int, record: Mapping) -> None:
        super().write_evaluation(step, record)
        self._client.log_dict(self.run_id, dict(record), f"evaluations/{step:010d}.json")

    def write_hparams(self, hparams: Mapping) -> None:
        self._client.log_dict(self.run_id, dict(hparams), "config.json")
        if not self._new:  # a param can't be changed
            return
        params = [
            self._entities.Param(_name(name), as_text(value)[:LONGEST_PARAM])
            for name, value in flattened(hparams).items()
        ]
        for first in range(0, len(params), PARAMS):
            self._client.log_batch(self.run_id, params=params[first : first + PARAMS])

    def close(self, failed: bool = False) -> None:
        self._client.set_terminated(self.run_id, "FAILED" if failed else "FINISHED")


TRACKERS = {"wandb": Wandb, "mlflow": Mlflow}


def names(trackers: str | Sequence[str]) -> list[str]:
    """The names that config.trackers gives: ("wandb", "mlflow"), or "wandb,mlflow"."""
    several = trackers.split(",") if isinstance(trackers, str) else trackers
    return [name.strip() for name in several if name.strip()]


def check(trackers: str | Sequence[str]) -> None:
    """Raises ValueError where a name is unknown, or its library is not installed."""
    for name in names(trackers):
        registry.choose(TRACKERS, name, "config.trackers")
        spec = importlib.util.find_spec(name)
        if spec is None or spec.origin is None:  # a folder of that name, as wandb leaves one
            raise ValueError(
                f"config.trackers={name!r}: {name} is not installed. Install it by"
                f" `pip install 'gan_jax[{name}]'`, or leave it out."
            )


def open_tracker(name: str, workdir: pathlib.Path) -> MetricWriter:
    """The tracker `name` of the run in `workdir`: the tracked run that it began, or a new one."""
    kept = _kept(workdir)
    writer = TRACKERS[name](workdir, kept.get(name))
    if writer.run_id != kept.get(name):
        replace_text(workdir / KEPT, json.dumps(kept | {name: writer.run_id}) + "\n")
    return writer


def _kept(workdir: pathlib.Path) -> dict[str, str]:
    try:
        return as_mapping(json.loads((workdir / KEPT).read_text("utf-8")))
    except (FileNotFoundError, ValueError):
        return {}


def _plain(image: np.ndarray) -> np.ndarray:
    """uint8 [H, W, C] as every library takes it: [H, W] where C is 1."""
    return image[..., 0] if image.shape[-1] == 1 else image


def _name(name: str) -> str:
    """A name with MLflow's characters only."""
    return re.sub(r"[^\w\-./ ]", "_", name)
