"""gan_jax: train GANs, carry a person's look onto other pictures, draw personalized ones.

    import gan_jax as gj

    s = gj.load("runs/avatars")
    images = s.sample(16, seed=0, label="dylan")  # uint8 [16, H, W, C]

Importing it costs no JAX: what is called imports what it needs.
"""

import logging
import os
import pathlib
import sys
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gan_jax.config import Config
    from gan_jax.inference.exported import Exported
    from gan_jax.inference.run import Run
    from gan_jax.inference.sampler import Sampler

__version__ = "0.1.0"
__all__ = ["Config", "Exported", "Run", "Sampler", "load", "train"]


def load(path: str | os.PathLike, *, trusted: Iterable[str] = ()) -> "Sampler | Exported":
    """A trained generator: `.sample(n)` of one that draws from noise, `.stylize(picture)` of a
    translator.

    Args:
        path: a run's workdir (its newest valid checkpoint), the folder of one checkpoint, or what
            `gan-jax export` wrote of a translator.
        trusted: modules of your own that the checkpoint names and that may be imported.
    Raises:
        ValueError: no valid checkpoint there, or one of another program.
    """
    _prepare()
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


def _prepare() -> None:
    """Sets what JAX reads when it is imported; once it is, that is too late, which is logged where
    it matters."""
    from gan_jax.runtime import xla_flags

    if "jax" not in sys.modules:
        xla_flags.prepare()
    elif xla_flags.missing():
        logging.getLogger("gan_jax").warning(
            "JAX was imported before gan_jax.load or gan_jax.train: convolutions on this CPU run"
            " slower. Call gan_jax first, or set XLA_FLAGS=%s.",
            f"{xla_flags.FLAG}={xla_flags.VALUE}",
        )


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
