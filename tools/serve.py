"""`gan-jax serve` from a checkout."""

import sys

from gan_jax import commands

if __name__ == "__main__":
    sys.exit(commands.main(["serve", *sys.argv[1:]]))
