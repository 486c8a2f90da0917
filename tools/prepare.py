"""`gan-jax prepare` from a checkout."""

from gan_jax.commands import prepare
from gan_jax.runtime import cli

if __name__ == "__main__":
    cli.tool(prepare.main)
