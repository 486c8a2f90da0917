"""gan_jax: train GANs, carry a person's look onto other pictures, draw personalised ones."""

__version__ = "0.1.0"
