"""gan_jax: train GANs, carry a person's look onto other pictures, draw personalized ones.

    import gan_jax as gj

    s = gj.load("runs/avatars")
    images = s.sample(16, seed=0, label="dylan")  # uint8 [16, H, W, C]

Importing it costs no JAX: what is called imports what it needs.
"""

import functools
import logging
import os
import pathlib
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gan_jax.config import Config
    from gan_jax.inference.exported import Exported
    from gan_jax.inference.run import Run
    from gan_jax.inference.sampler import Sampler

__version__ = "0.1.0"
__all__ = ["Config", "Exported", "Run", "Sampler", "evaluate", "load", "train"]


def load(path: str | os.PathLike, *, trusted: Iterable[str] = ()) -> "Sampler | Exported":
    """A trained generator: `.sample(n)` of one that draws from noise, `.stylize(picture)` of a
    translator.

    Args:
        path: a run's workdir (its newest valid checkpoint), the folder of one checkpoint, what
            `gan-jax share` or, of a translator, `gan-jax export` wrote, or a name of `gan-jax
            models`.
        trusted: modules of your own that the checkpoint names and that may be imported.
    Raises:
        ValueError: no valid checkpoint there, or one of another program.
    """
    _prepare()
    if not isinstance(path, str | os.PathLike):
        raise ValueError(f"path={path!r}: give the path of a run's workdir, as 'runs/avatars'.")
    from gan_jax.inference import loading

    return loading.load(path, trusted=trusted)


def train(
    config: "str | os.PathLike | Config",
    workdir: str | os.PathLike,
    *,
    overrides: Mapping[str, Any] | None = None,
    restart: bool = False,
) -> "Run":
    """Trains to the end, from the newest checkpoint in `workdir` if there is one, as `gan-jax
    train` does.

    Args:
        config: a name of `gan-jax configs` or a file, as "avatars:smoke" or "my/file.py"; or a
            Config.
        workdir: where checkpoints, samples and logs go.
        overrides: settings by dotted name, as {"batch": 16, "game.penalty": "r1"}.
        restart: begins at step 0; what is in the workdir is moved aside.
    Raises:
        ValueError: settings, data and checkpoint don't fit together. FloatingPointError: a metric
            became NaN or infinite. KeyboardInterrupt: Ctrl-C; what is done is saved.
    """
    _prepare()
    logging.getLogger("gan_jax").setLevel(logging.INFO)
    from gan_jax import config as configs
    from gan_jax import training
    from gan_jax.inference.run import Run

    training.run(configs.resolve(config, overrides or {}), workdir, restart=restart)
    return Run(pathlib.Path(workdir))


def evaluate(
    generated: str | os.PathLike,
    real: str | os.PathLike | None = None,
    *,
    held_out: str | os.PathLike | None = None,
    metrics: str | Sequence[str] | None = None,
    trusted: Iterable[str] = (),
) -> dict[str, Any]:
    """A run's newest checkpoint against its own data, or one folder of pictures against another:
    {"values": {name: number}, "protocol": what they depend on, ...}.

    Args:
        generated: a run's workdir, to whose evaluations.jsonl the record is added; or, with `real`,
            a folder of pictures.
        real: a folder of pictures to measure by.
        held_out: with `real`: pictures the generator never saw, the control.
        metrics: names of measures, as "kid" or ("kid", "memorisation"); None: all for which there
            is enough.
        trusted: of a run, modules of your own that its checkpoint names and that may be imported.
    Raises:
        ValueError: no run or no pictures there, pictures of different sizes, or a measure that
            lacks something.
    """
    _prepare()
    metrics = [metrics] if isinstance(metrics, str) else metrics
    if real is not None:
        from gan_jax.evaluation import folders

        return folders.compare(
            os.fspath(generated),
            os.fspath(real),
            held_out and os.fspath(held_out),
            metrics=metrics,
        )
    if held_out is not None:
        raise ValueError("held_out goes with `real`: a run's is config.eval.held_out.")
    from gan_jax import evaluation
    from gan_jax.inference import loading

    return evaluation.run(loading.run_config(generated, trusted), generated, metrics=metrics)


def _prepare() -> None:
    """Sets what JAX reads when it is imported; once it is,
    that is too late, which is logged where it matters."""
    from gan_jax.runtime import xla_flags

    if "jax" not in sys.modules:
        xla_flags.prepare()
    elif xla_flags.missing():
        _warn_too_late(f"{xla_flags.FLAG}={xla_flags.VALUE}")


@functools.cache  # once a process
def _warn_too_late(flag: str) -> None:
    logging.getLogger("gan_jax").warning(
        "JAX was imported before gan_jax.load or gan_jax.train: convolutions on this CPU run"
        " slower. Call gan_jax first, or set XLA_FLAGS=%s.",
        flag,
    )


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])


def __getattr__(name: str) -> Any:
    """The classes, imported when they are first looked at."""
    if name not in __all__:
        raise AttributeError(f"module 'gan_jax' has no attribute {name!r}")
    _prepare()
    from gan_jax.config import Config
    from gan_jax.inference.exported import Exported
    from gan_jax.inference.run import Run
    from gan_jax.inference.sampler import Sampler

    return {"Config": Config, "Exported": Exported, "Run": Run, "Sampler": Sampler}[name]
