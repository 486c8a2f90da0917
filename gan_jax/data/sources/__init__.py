"""One source of pictures a file; each has a class `Source` (gan_jax/data/source.py)."""
