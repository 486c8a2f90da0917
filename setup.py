"""What setup.cfg can't say: configs/ is installed as gan_jax/configs."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["gan_jax*"]), "gan_jax.configs"],
    package_dir={"gan_jax.configs": "configs"},
)
