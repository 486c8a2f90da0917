"""Trains a config with several settings and seeds, one run after the other:
gan-jax sweep --config avatars --out sweeps/lr --set opt_g.lr=1e-4,2e-4 --seeds 0-2

Each run has a folder in --out and a process of its own. The same command again goes on: finished
runs are skipped, interrupted ones resume. In the end --out holds report.html, with all runs side by
side, and table.md and table.csv: final and best values of each setting, mean ± standard deviation
over the seeds.
"""

import argparse
import ast
import dataclasses
import itertools
import json
import pathlib
import subprocess
import sys
from collections.abc import Iterator, Sequence

from gan_jax.commands.report import known
from gan_jax.runtime import cli
from gan_jax.runtime import workdir as workdirs
from gan_jax.runtime.files import replace_text
from gan_jax.runtime.text import file_name, shown

TRAIN = (sys.executable, "-m", "gan_jax.main")
CHECK = (
    *(sys.executable, "-c"),
    "import sys; from gan_jax.commands import sweep; from gan_jax.runtime import cli;"
    "cli.tool(lambda: sweep.check(sys.argv[1:]))",
)
NO_VALUES = (
    "\nNo values: the runs have no evaluations (eval_every_kimg). report.html has their losses.\n"
)
CONFIGS = "sweep.json"  # in --out: {run: its config}


@dataclasses.dataclass
class Job:
    """One run of the sweep."""

    setting: str  # what it has apart from other settings, "opt_g.lr=1e-4"
    overrides: list[str]
    workdir: pathlib.Path
    config: dict  # as JSON knows it
    end: pathlib.Path  # the last checkpoint


def main(argv: list[str] | None = None) -> int:
    argv = sys.argv[1:] if argv is None else argv
    flags = parse(argv)
    jobs = list(plan(flags))
    # a process of its own: JAX in this one would hold the memory of the accelerators
    if subprocess.run([*CHECK, *argv]).returncode:
        return 1
    flags.out.mkdir(parents=True, exist_ok=True)
    with workdirs.making(flags.out):
        check_unchanged(flags.out / CONFIGS, jobs)
        failed = [
            job
            for i, job in enumerate(jobs)
            if not train(
                job, flags.config, f"run {i + 1} of {len(jobs)}: {shown(str(job.workdir))}"
            )
        ]
        write_report(flags.out, jobs)
    for job in failed:
        print(f"failed: {shown(str(job.workdir))}; the same command tries it again.")
    return 1 if failed else 0


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = cli.Parser(__doc__, "sweep")
    parser.add_argument("--config", required=True, metavar="NAME[:ARG]", help="as gan-jax train")
    parser.add_argument("--out", required=True, type=pathlib.Path, help="folder of the sweep")
    several = {"action": "append", "default": []}
    text = "a setting's values; of several --set every combination is trained"
    parser.add_argument("--set", metavar="KEY=A,B", dest="grid", help=text, **several)
    text = "settings that go together; of several --together each is trained"
    parser.add_argument("--together", metavar="'KEY=A KEY=B'", help=text, **several)
    parser.add_argument("--seeds", default="0", help="as 0-2 or 0,1,7 (default %(default)s)")
    return parser.parse_args(argv)


def plan(flags: argparse.Namespace) -> Iterator[Job]:
    """The sweep's runs. Raises ValueError where a setting is wrong, before anything is trained."""
    from gan_jax import config

    axes = [[[f"{key}={value}"] for value in values] for key, values in map(axis, flags.grid)]
    if flags.together:
        axes.append([text.split() for text in flags.together])
    for parts in itertools.product(*axes):
        chosen = [text for part in parts for text in part]
        varies = [len(each) > 1 for each in axes]
        varied = [text for part in itertools.compress(parts, varies) for text in part]
        setting = ",".join(varied) or "as the config has it"
        for seed in cli.parse_numbers(flags.seeds, "--seeds"):
            overrides = [*chosen, f"seed={seed}"]
            settings = config.load(flags.config, overrides)
            workdir = flags.out / file_name(",".join([*varied, f"seed={seed}"]), "")
            end = workdir / "checkpoints" / str(settings.total_steps)
            yield Job(setting, overrides, workdir, config.as_json(settings), end)


def check(argv: list[str]) -> None:
    """Raises ValueError where training would, before it opens data, at a setting of a run that is
    still to be trained."""
    from gan_jax import build, config
    from gan_jax.distributed.parallel import Parallel

    flags = parse(argv)
    # one of each setting: seeds make no difference
    jobs = {job.setting: job for job in plan(flags) if not job.end.is_dir()}
    for job in jobs.values():
        settings = config.load(flags.config, job.overrides)
        build.check(settings, Parallel(settings.parallel), new=not job.workdir.is_dir())


def axis(text: str) -> tuple[str, list[str]]:
    """ "g.widths=(8, 4),(4, 2)" -> ("g.widths", ["(8, 4)", "(4, 2)"])."""
    key, equals, values = text.partition("=")
    if not equals or not values:
        raise ValueError(f"--set {text}: give a setting's values, as in opt_g.lr=1e-4,2e-4.")
    try:
        elements = ast.parse(f"[{values}]", mode="eval").body.elts
        return key, [ast.get_source_segment(f"[{values}]", element) for element in elements]
    except SyntaxError:  # no Python, as a path
        return key, values.split(",")


def check_unchanged(path: pathlib.Path, jobs: list[Job]) -> None:
    """Notes the runs' configs in the file. Raises ValueError where an earlier sweep trained one of
    these runs by another config."""
    from gan_jax import config

    earlier = json.loads(path.read_text("utf-8")) if path.exists() else {}
    for job in jobs:
        kept = earlier.get(job.workdir.name, job.config)
        longer = {"total_kimg": job.config["total_kimg"]}  # a sweep may go on for longer
        changed = config.differences(kept | longer, job.config)
        if changed:
            raise ValueError(
                f"{job.workdir}: an earlier sweep trained it with another config: {changed[0]}."
                " Give another --out."
            )
    configs = earlier | {job.workdir.name: job.config for job in jobs}
    replace_text(path, json.dumps(configs, indent=1) + "\n")


def train(job: Job, spec: str, where: str) -> bool:
    """Trains one run in a process of its own; whether it came to its end. where: what is printed
    before each line of it."""
    if job.end.is_dir():
        print(f"{where}: finished before", flush=True)
        return True
    print(where, flush=True)
    with subprocess.Popen(command(spec, job.workdir, job.overrides)) as process:
        try:
            status = process.wait()
        except KeyboardInterrupt:
            process.terminate()  # it saves its state first; Popen waits for it
            raise
    if status:
        print(f"{where}: exit status {status}", flush=True)
    return status == 0


def command(spec: str, workdir: pathlib.Path, overrides: Sequence[str]) -> list[str]:
    """A training's command line."""
    start = [*TRAIN, "--config", spec, "--workdir", str(workdir)]
    return [*start, *(f"--config.{text}" for text in overrides)]


def write_report(out: pathlib.Path, jobs: list[Job]) -> None:
    """The page and the tables of what there is."""
    from gan_jax.reporting import page, runs, summary_table

    begun = [job for job in jobs if runs.has_results(job.workdir)]
    if not begun:
        return
    found = runs.read(job.workdir for job in begun)
    page.write(out / "report.html", page.page(found, known))
    settings = {job.setting: [] for job in begun}
    for job, run in zip(begun, found, strict=True):
        settings[job.setting].append(run)
    table = summary_table.table(settings, known)
    text = summary_table.as_markdown(table) + NO_VALUES * (not table.head)
    replace_text(out / "table.csv", summary_table.as_csv(table))
    replace_text(out / "table.md", text)
    print(f"{text}{shown(str(out))}: report.html, table.md, table.csv")
