"""A network that reads styles off pictures in one pass, for one base:
gan-jax encoder --base runs/base --out runs/base-encoder.safetensors.

It learns on the base's own samples, whose styles are known: minutes on a CPU. gan-jax personalize
--encoder FILE starts its search where this network says, and needs fewer steps.
"""

import pathlib

from gan_jax.commands.personalize import base_flag, open_base
from gan_jax.runtime import cli


def main(argv: list[str] | None = None) -> None:
    parser = cli.Parser(__doc__, "encoder")
    add = parser.add_argument
    base_flag(parser)
    add("--out", required=True, type=pathlib.Path, help="file to write, .safetensors")
    add("--steps", type=int, default=3000, help="of 16 samples (default %(default)s)")
    add("--seed", type=int, default=0, help="another seed, another course (default 0)")
    cli.trusts_code(parser)
    flags = parser.parse_args(argv)
    if flags.steps < 1:
        raise ValueError(f"--steps={flags.steps}: it must be at least 1.")
    if flags.out.suffix != ".safetensors":
        raise ValueError(f"--out={flags.out}: name it .safetensors.")

    from gan_jax.personalize import encoder

    def log(step, error):
        print(
            f"step {step}/{flags.steps}: |w found - w| {error:.3f} of the spread of W", flush=True
        )

    made = encoder.train(open_base(flags), flags.steps, seed=flags.seed, log=log)
    encoder.save(flags.out, made)
    print(f"{flags.out}: {flags.out.stat().st_size / 1e6:.2f} MB")
