"""`gan-jax sample` from a checkout."""

import sys

from gan_jax import commands

if __name__ == "__main__":
    sys.exit(commands.main(["sample", *sys.argv[1:]]))
