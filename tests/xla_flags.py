"""How tests compile on CPU: the same mathematics, less optimised, in a quarter of the time."""

from gan_jax import launch

FAST_COMPILE = "--xla_backend_optimization_level=0"
if launch.xla_knows("xla_cpu_use_fusion_emitters"):
    FAST_COMPILE += " --xla_cpu_use_fusion_emitters=false"
