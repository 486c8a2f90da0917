"""`gan-jax report` from a checkout."""

from gan_jax.commands import report
from gan_jax.runtime import cli

if __name__ == "__main__":
    cli.tool(report.main)
