"""`gan-jax curves` from a checkout."""

from gan_jax.commands import curves
from gan_jax.runtime import cli

if __name__ == "__main__":
    cli.tool(curves.main)
