"""`gan-jax convert` from a checkout."""

from gan_jax.commands import convert
from gan_jax.runtime import cli

if __name__ == "__main__":
    cli.tool(convert.main)
