"""How tests compile on CPU: the same mathematics, less optimized, in a quarter of the time."""

from gan_jax.runtime import xla_flags

FAST_COMPILE = "--xla_backend_optimization_level=0"
# compiler_options of jax.jit where rounding must be what users get: sums are rounded less
AS_USERS = {}
# compiler_options of jax.jit where a program runs for longer than it takes to compile
OPTIMIZED = {"xla_backend_optimization_level": 3}
if xla_flags.xla_knows("xla_cpu_use_fusion_emitters"):
    FAST_COMPILE += " --xla_cpu_use_fusion_emitters=false"
    AS_USERS["xla_cpu_use_fusion_emitters"] = True
