"""Trains or evaluates: python -m gan_jax.main --config avatars --workdir runs/avatars. The same as
`gan-jax train`."""

import sys

from gan_jax.commands.train import main, parse

__all__ = ["main", "parse"]

if __name__ == "__main__":
    sys.exit(main())
