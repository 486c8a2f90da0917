"""Where made data is kept between runs."""

import os
import pathlib


def cache_root(data_dir: str | None = None) -> pathlib.Path:
    """Where made data is kept: `data_dir`, else $GAN_JAX_DATA, else ~/.cache/gan_jax."""
    root = data_dir or os.environ.get("GAN_JAX_DATA") or "~/.cache/gan_jax"
    return pathlib.Path(root).expanduser()
