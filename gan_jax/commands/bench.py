"""Speed and memory of one iteration of a config, as one JSON line: gan-jax bench dcgan_cifar10.

Several such lines, in files, as one table: gan-jax bench --compare a.jsonl b.jsonl
"""

import argparse
import json
import math
import pathlib
import platform
import re
import statistics
import sys
import time

from gan_jax.runtime import cli
from gan_jax.runtime.files import append_line


def main(argv: list[str] | None = None) -> None:
    flags = parse(argv)
    if flags.compare:
        print(table([row for file in flags.compare for row in read(file)]))
        return
    found = measure(flags)
    print(json.dumps(found))
    if flags.out:
        append_line(flags.out, found)


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = cli.Parser(__doc__, "bench")
    add, path = parser.add_argument, pathlib.Path
    add(
        "config",
        nargs="?",
        metavar="NAME[:ARG]",
        help="one of `gan-jax configs`, as avatars:smoke, or a file, as configs/avatars.py:smoke",
    )
    add("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting, as in batch=32")
    add("--shape", help="HxWxC of the images; no data is opened (default: the config's data)")
    add("--classes", type=int, default=0, help="with --shape: how many (default 0: unconditional)")
    add("--iterations", "--rounds", type=int, default=20, help="timed ones (default 20)")
    add("--warmup", type=int, default=2, help="iterations before them (default 2)")
    add("--out", type=path, help="append the line to this file too")
    add("--compare", nargs="+", type=path, metavar="FILE", help="print a table of such lines")
    cli.trusts_code(parser)
    flags = parser.parse_args(argv)
    if not flags.compare and not flags.config:
        parser.error("give a config, or --compare FILE ...")
    if flags.iterations < 1 or flags.warmup < 0:
        raise ValueError("--iterations must be at least 1, --warmup at least 0.")
    return flags


def read(file: pathlib.Path) -> list[dict]:
    """The lines of a file that this tool wrote."""
    rows = []
    for number, line in enumerate(file.read_text("utf-8").splitlines(), 1):
        try:
            rows.append(json.loads(line))
            table(rows[-1:])
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"{file}, line {number}: not a line that this tool printed."
            ) from error
    return rows


def measure(flags: argparse.Namespace) -> dict:
    """One iteration is every due optimizer step of the game (D's repeats, G's, lazy ones when their
    turn comes) and the average.

    With lazy steps `step_ms` is the mean over a cycle in which each comes once; median and range
    are of cycles.
    """
    from gan_jax import algorithms, build
    from gan_jax import config as configs
    from gan_jax.distributed.parallel import Parallel

    config = configs.load(flags.config, flags.set)
    shape, n_classes = data_shape(config, flags)
    parallel = Parallel(config.parallel)
    game = algorithms.make_game(config, shape, n_classes)
    iteration = build.make_iteration(config, game, parallel)
    late = max(phase.since for phase in game.phases)  # all have begun; those that end are left out
    iteration.steps = [(phase, step) for phase, step in iteration.steps if phase.plays(late)]
    state = parallel.replicate(build.new_state(config, game, shape, n_classes))
    batch = parallel.put(game.example(shape, n_classes, config.batch))
    compile_s = compile_steps(iteration, parallel, state, batch)
    cycles, iterations = times(iteration, state, batch, late, flags.warmup, flags.iterations)
    programs = [program for _, program in iteration.steps]
    flops = parallel.size * sum(
        phase.repeat / phase.every * cost(program).get("flops", 0.0)
        for phase, program in iteration.steps
    )
    ms = statistics.median(cycles)
    return {
        "config": flags.config,
        "set": flags.set,
        "game": f"{config.algorithm}/{config.model}",
        "shape": list(shape),
        "batch": config.batch,
        "parallel": config.parallel,
        "compile_s": round(compile_s, 2),
        "iterations": iterations,
        "step_ms": round(ms, 2),
        "step_ms_range": [round(min(cycles), 2), round(max(cycles), 2)],
        "img_s": round(config.batch / ms * 1e3, 2),
        "gflop": float(f"{flops / 1e9:.4g}"),
        "gflop_s": float(f"{flops / ms / 1e6:.4g}"),
        "peak_mib": round(peak_bytes(parallel.devices[0]) / 2**20),
        "program_mib": round(max(map(program_bytes, programs)) / 2**20),
    } | machine(parallel)


def compile_steps(iteration, parallel, state, batch) -> float:
    """Compiles the iteration's programs ahead; the seconds it took."""
    import numpy as np

    began = time.perf_counter()
    zero = parallel.scalar(np.int32(0))
    iteration.steps = [
        (phase, step.lower(state, batch, zero).compile()) for phase, step in iteration.steps
    ]
    iteration.end = iteration.end.lower(state).compile()
    return time.perf_counter() - began


def times(iteration, state, batch, late: int, warmup: int, least: int) -> tuple[list[float], int]:
    """(mean milliseconds of an iteration in each cycle, timed iterations), `least` or more, from
    iteration `late` on."""
    import jax

    # iterations after which all lazy steps have come once
    cycle = math.lcm(*(phase.every for phase, _ in iteration.steps))
    count = -(-least // cycle) * cycle
    batches, found = [batch] * iteration.batches, []
    for step in range(-warmup, count):
        began = time.perf_counter()
        state, metrics = iteration(state, batches, late + warmup + step)
        jax.block_until_ready((state, metrics))
        found.append(1e3 * (time.perf_counter() - began))
    found = found[warmup:]
    return [statistics.mean(found[i : i + cycle]) for i in range(0, count, cycle)], count


def machine(parallel) -> dict:
    """What it ran on."""
    import jax
    import jaxlib

    device = parallel.devices[0]
    return {
        "devices": parallel.size,
        "device": f"{device.platform}: {device.device_kind}",
        "machine": f"{platform.machine()}, {cpu_name()}",
        "versions": {
            "python": platform.python_version(),
            "jax": jax.__version__,
            "jaxlib": jaxlib.__version__,
        },
    }


def data_shape(config, flags: argparse.Namespace) -> tuple[tuple[int, ...], int]:
    if flags.shape:
        if not re.fullmatch(r"[1-9]\d*x[1-9]\d*x[134]", flags.shape) or flags.classes < 0:
            raise ValueError(
                f"--shape={flags.shape}: write height x width x channels, as in 32x32x3."
            )
        return tuple(map(int, flags.shape.split("x"))), flags.classes
    from gan_jax.data.source import open_source

    source = open_source(config.data)
    return source.shape, len(source.classes)


def cost(compiled) -> dict:
    """XLA's cost analysis of the optimized program; {} where a backend has none.

    On a GPU convolutions are library calls, which it counts as nothing: take the count of a CPU's
    run there.
    """
    return compiled.cost_analysis() or {}


def program_bytes(compiled) -> int:
    """Memory one optimizer step needs, by XLA's own plan: arguments, results that reuse none of
    them, and temporaries."""
    plan = compiled.memory_analysis()
    sizes = plan.argument_size_in_bytes + plan.output_size_in_bytes - plan.alias_size_in_bytes
    return sizes + plan.temp_size_in_bytes


def peak_bytes(device) -> int:
    """The accelerator's peak, or on CPU the process's (compilation included)."""
    import resource  # not on Windows

    stats = device.memory_stats() or {}
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return stats.get("peak_bytes_in_use", own if sys.platform == "darwin" else own * 1024)


def cpu_name() -> str:
    info = pathlib.Path("/proc/cpuinfo")
    found = re.search(r"model name\s*: (.*)", info.read_text("utf-8")) if info.is_file() else None
    return found.group(1) if found else platform.processor()


COLUMNS = (
    "config", "set", "batch", "step ms", "range", "img/s", "GFLOP/s", "compile s", "peak MiB",
    "device", "ratio",
)  # fmt: skip


def table(rows: list[dict]) -> str:
    """Markdown; the last column is img/s against the first row's."""
    lines = ["| " + " | ".join(COLUMNS) + " |", "|" + " --- |" * len(COLUMNS)]
    for row in rows:
        low, high = row["step_ms_range"]
        cells = [row["config"], " ".join(row["set"]), row["batch"], row["step_ms"]]
        cells += [f"{low}-{high}", row["img_s"], row["gflop_s"], row["compile_s"], row["peak_mib"]]
        cells += [f"{row['devices']} x {row['device']}", f"{row['img_s'] / rows[0]['img_s']:.2f}"]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines)
