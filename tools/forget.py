"""`gan-jax forget` from a checkout."""

import sys

from gan_jax import commands

if __name__ == "__main__":
    sys.exit(commands.main(["forget", *sys.argv[1:]]))
