"""Trains configs for the same time on this machine, one after the other, and compares what they
draw:
gan-jax compare avatars_dcgan 'big=avatars_biggan batch=32' --minutes 10 --out comparisons/games

First the speed of each is measured, for a twentieth of the minutes; where its game changes on the
way (game.*_kimg), of a whole run in small. Then it is trained from the
beginning on as many images as fit into the minutes: all durations of its config (*_kimg) become
longer or shorter alike, so that its schedules end with it. Compiling and evaluating are not
counted. All are measured by the first config's eval.

The same command again goes on: what is done is not done again. In the end --out holds report.html,
table.md and comparison.json.
"""

import argparse
import functools
import json
import math
import pathlib
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from gan_jax.commands import sweep
from gan_jax.commands.report import known
from gan_jax.runtime import cli
from gan_jax.runtime import workdir as workdirs
from gan_jax.runtime.files import replace_text
from gan_jax.runtime.text import file_name, shown

CHECK = (
    *(sys.executable, "-c"),
    "import sys; from gan_jax.commands import compare; from gan_jax.runtime import cli;"
    "cli.tool(lambda: compare.check(sys.argv[1:]))",
)
RECORD = "comparison.json"  # in --out: what was asked, and what came of it
EXPECTED = (ValueError, OSError, FloatingPointError, RuntimeError)  # JAX's own are RuntimeErrors
PROTOCOL = {"metrics": ("kid", "precision_recall"), "features": "vgg16,efflite0"}
SHARE = 0.05  # of the minutes: how long a speed is measured
WINDOWS = 8 * 16  # iterations of a whole run in small, at least
TOLERANCE = 0.1  # by how much the minutes may differ unsaid
FOLDER = re.compile(r"(?P<name>[^=]+)=(?P<path>.+) minutes=(?P<minutes>\S+) images=(?P<images>\S+)")


class Run(NamedTuple):
    name: str  # its folder's in --out, too
    spec: str
    overrides: list[str]  # with the evaluation's that all share
    config: dict  # as JSON knows it


class Folder(NamedTuple):
    """Pictures that another program drew."""

    name: str
    path: pathlib.Path
    minutes: float
    images: int  # that it was trained on


def main(argv: list[str] | None = None) -> int:
    argv = sys.argv[1:] if argv is None else argv
    flags = parse(argv)
    runs, folders = plan(flags)
    # a process of its own: JAX in this one would hold the memory of the accelerators
    if subprocess.run([*CHECK, *argv]).returncode:
        return 1
    flags.out.mkdir(parents=True, exist_ok=True)
    with workdirs.making(flags.out):
        record = opened(flags.out / RECORD, flags.minutes, runs)
        failed = {}  # name -> why
        for i, run in enumerate(runs):
            where = f"run {i + 1} of {len(runs)}: {shown(str(flags.out / run.name))}"
            attempt(run.name, failed, functools.partial(train, run, flags, record, where))
        for run in [run for run in runs if run.name not in failed]:
            attempt(run.name, failed, functools.partial(evaluate, run, flags.out, record))
        for folder in folders:
            do = functools.partial(evaluate_folder, folder, runs[0], flags.out, record)
            attempt(folder.name, failed, do)
        write_report(flags.out, [each.name for each in (*runs, *folders)], record, failed)
    for name in failed:
        print(f"failed: {shown(name)}; the same command tries it again.")
    return 1 if failed else 0


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = cli.Parser(__doc__, "compare")
    text = "a config (a name or a file) with settings of its own, quoted; NAME= before it names it"
    parser.add_argument("runs", nargs="+", metavar="'CONFIG KEY=VALUE'", help=text)
    text = "of training, for each"
    parser.add_argument("--minutes", type=float, required=True, help=text)
    parser.add_argument("--out", required=True, type=pathlib.Path, help="folder of the comparison")
    several = {"action": "append", "default": []}
    text = "a setting of all, as data.resolution=64 or eval.images=2000"
    parser.add_argument("--set", metavar="KEY=VALUE", dest="settings", help=text, **several)
    text = (
        "a folder of pictures that another program drew after so many minutes and images: measured"
        " alike"
    )
    form = "'NAME=PICTURES minutes=N images=N'"
    parser.add_argument("--folder", metavar=form, dest="folders", help=text, **several)
    flags = parser.parse_args(argv)
    if not flags.minutes > 0:
        raise ValueError(f"--minutes={flags.minutes:g}: it must be above 0.")
    return flags


def plan(flags: argparse.Namespace) -> tuple[list[Run], list[Folder]]:
    """What is compared. Raises ValueError where a setting is wrong, before anything is trained."""
    from gan_jax import config

    runs, protocol = [], None
    for text in flags.runs:
        named, spec, own = parse_run(text)
        overrides = [*flags.settings, *own]
        if protocol is None:
            protocol = protocol_of(config.load(spec, overrides).eval, overrides)
        overrides.append(f"eval={protocol!r}")
        settings = config.as_json(config.load(spec, overrides))
        runs.append(Run(named or default_name(spec, own), spec, overrides, settings))
    folders = [parse_folder(text) for text in flags.folders]
    names = [each.name for each in (*runs, *folders)]
    for name in names:
        if file_name(name, "", names) != name or names.count(name) > 1:
            why = "two have it" if names.count(name) > 1 else "no name of a folder"
            raise ValueError(f"{name!r}: {why}; put another before it, as in 'NAME={name}'.")
    return runs, folders


def parse_run(text: str) -> tuple[str, str, list[str]]:
    """ "big=avatars_biggan batch=32" -> ("big", "avatars_biggan", ["batch=32"])."""
    spec, *overrides = text.split()
    name, equals, rest = spec.partition("=")
    return (name, rest, overrides) if equals and ":" not in name else ("", spec, overrides)


def default_name(spec: str, overrides: Sequence[str]) -> str:
    """("configs/avatars.py:smoke", ["batch=8"]) -> "avatars,smoke,batch=8", as a folder's name."""
    path, _, arg = spec.partition(":")
    parts = [pathlib.PurePath(path).name.removesuffix(".py"), arg, *overrides]
    return file_name(",".join(filter(None, parts)), "")


def parse_folder(text: str) -> Folder:
    found = FOLDER.fullmatch(text)
    if found is None:
        raise ValueError(
            f"--folder {text!r}: write it as 'NAME=PICTURES minutes=10 images=32000': the time and"
            " the images it was trained for."
        )
    try:
        minutes = cli.finite(found["minutes"])
        images = cli.whole_number(found["images"], least=1)
    except argparse.ArgumentTypeError as error:
        raise ValueError(f"--folder {text!r}: {error}.") from error
    if not minutes > 0:
        raise ValueError(f"--folder {text!r}: minutes must be above 0.")
    path = pathlib.Path(found["path"])
    if not path.is_dir():
        raise ValueError(f"--folder {text!r}: {path}: no such folder.")
    return Folder(found["name"], path, minutes, images)


def protocol_of(settings: Mapping, overrides: Sequence[str]) -> dict:
    """The eval that all share: of the first config, with what a comparison needs; by two networks,
    but where the user names others."""
    found = PROTOCOL | dict(settings)
    if not any(text.startswith(("eval.features=", "eval=")) for text in overrides):
        found["features"] = PROTOCOL["features"]
    return found | {"metrics": tuple(dict.fromkeys([*found["metrics"], *PROTOCOL["metrics"]]))}


def check(argv: list[str]) -> None:
    """Raises ValueError where training would, before it opens data, and where runs are of pictures
    of different sizes."""
    from gan_jax import build, config
    from gan_jax.data.source import outline
    from gan_jax.distributed.parallel import Parallel

    flags = parse(argv)
    sizes = {}  # shape of the pictures -> a run
    for run in plan(flags)[0]:
        try:
            settings = config.load(run.spec, run.overrides)
            build.check(settings, Parallel(settings.parallel), new=True)
        except ValueError as error:
            raise ValueError(f"{run.name}: {error}") from error
        sizes.setdefault(outline(settings.data, "config.data").shape, run.name)
    sizes.pop(None, None)
    if len(sizes) > 1:
        (a, of_a), (b, of_b) = list(sizes.items())[:2]
        raise ValueError(
            f"{of_b} is of pictures of {list(b)}, {of_a} of {list(a)}: their numbers would not"
            " compare. Make them alike, as with --set data.resolution=64."
        )


def opened(path: pathlib.Path, minutes: float, runs: Sequence[Run]) -> dict:
    """The record of the comparison, as an earlier call left it, with what is asked now.
    Raises ValueError where that trained otherwise."""
    from gan_jax import config

    record = json.loads(path.read_text("utf-8")) if path.exists() else {"runs": {}}
    if record.setdefault("minutes", minutes) != minutes:
        raise ValueError(
            f"{path.parent}: an earlier comparison is of {record['minutes']:g} minutes. Give"
            " another --out."
        )
    for run in runs:
        kept = record["runs"].setdefault(run.name, {"config": run.config})
        changed = config.differences(kept["config"] | {"eval": run.config["eval"]}, run.config)
        if changed:
            raise ValueError(
                f"{path.parent / run.name}: an earlier comparison trained it with another config:"
                f" {changed[0]}. Give another --out."
            )
        kept["config"] = run.config
    return record


def save(record: Mapping, out: pathlib.Path) -> None:
    replace_text(out / RECORD, json.dumps(record, indent=1) + "\n")


def attempt(name: str, failed: dict[str, str], do: Callable[[], None]) -> None:
    """Does it; an error that its user can mend is printed and noted, and the rest goes on."""
    try:
        do()
    except EXPECTED as error:
        failed[name] = cli.in_words(error)
        print(f"{shown(name)}: {shown(failed[name])}", flush=True)


def train(run: Run, flags: argparse.Namespace, record: dict, where: str) -> None:
    """Measures a run's speed, if that has not been done, and trains it to its end."""
    from gan_jax import config
    from gan_jax.start import fitting

    kept, workdir = record["runs"][run.name], flags.out / run.name
    if "images_per_second" not in kept:
        print(f"{where}: measuring its speed", flush=True)
        scratch = flags.out / ".speed"
        overrides = [*run.overrides, *fitting.to_measure(run.config["batch"])]
        command = sweep.command(run.spec, scratch, overrides)
        rate = fitting.speed(command, scratch, SHARE * 60 * flags.minutes)
        if any(fitting.durations(run.config["game"])):
            kimg = max(rate * SHARE * 60 * flags.minutes, WINDOWS * run.config["batch"]) / 1000
            small = fitting.scaled(run.config, kimg / run.config["total_kimg"])
            overrides = [*run.overrides, *small, *fitting.to_measure(run.config["batch"], kimg)]
            rate = fitting.speed(sweep.command(run.spec, scratch, overrides), scratch, math.inf)
        kept["images_per_second"] = rate
        kept["total_kimg"] = kept["images_per_second"] * flags.minutes * 60 / 1000
        save(record, flags.out)
    overrides = fitted(run, kept)
    steps = config.load(run.spec, overrides).total_steps
    job = sweep.Job(run.name, overrides, workdir, run.config, workdir / f"checkpoints/{steps}")
    if not sweep.train(job, run.spec, f"{where}, {kept['total_kimg']:.3g} thousand images"):
        raise ValueError("its training ended early.")


def fitted(run: Run, kept: Mapping) -> list[str]:
    """All overrides of a run: its own, and as long as `kept` says; without evaluations in training,
    but where the user has set them."""
    from gan_jax.start import fitting

    asked = any(text.startswith("eval_every_kimg=") for text in run.overrides)
    settings = run.config if asked else run.config | {"eval_every_kimg": None}
    found = fitting.scaled(settings, kept["total_kimg"] / run.config["total_kimg"])
    return [*run.overrides, *found, *([] if asked else ["eval_every_kimg=None"])]


def evaluate(run: Run, out: pathlib.Path, record: dict) -> None:
    """Measures a run's end, if that has not been done by this protocol."""
    from gan_jax import config, evaluation

    kept, protocol = record["runs"][run.name], run.config["eval"]
    if kept.get("measured") != protocol:
        settings = config.load(run.spec, fitted(run, kept))
        evaluation.run(settings, out / run.name, metrics=protocol["metrics"])
        kept["measured"] = protocol
        save(record, out)


def evaluate_folder(folder: Folder, first: Run, out: pathlib.Path, record: dict) -> None:
    """Measures pictures against the first run's, if that has not been done by this protocol."""
    from gan_jax import config
    from gan_jax.evaluation import foreign

    asked = {"folder": str(folder.path), "minutes": folder.minutes, "images": folder.images}
    asked |= {"measured": first.config["eval"]}
    if record.setdefault("folders", {}).get(folder.name) != asked:
        shutil.rmtree(out / folder.name, ignore_errors=True)
        settings = config.load(first.spec, first.overrides)
        trained = {"images": folder.images, "minutes": folder.minutes}
        foreign.make_run(settings, folder.path, out / folder.name, print, **trained)
        record["folders"][folder.name] = asked
        save(record, out)


def write_report(out: pathlib.Path, names: Sequence[str], record: dict, failed: Mapping) -> None:
    """The page, the table and the record of what there is."""
    from gan_jax.reporting import equal_time, page, runs

    begun = [name for name in names if runs.has_results(out / name)]
    found = dict(zip(begun, runs.read(out / name for name in begun), strict=True))
    rows = equal_time.rows(found, failed, names)
    table = equal_time.table(rows, known)
    replace_text(out / "table.md", table)
    if begun:
        page.write(out / "report.html", page.page(list(found.values()), known, rows))
    save(record | {"results": equal_time.results(rows)}, out)
    print(f"{table}{shown(str(out))}: report.html, table.md, {RECORD}")
    for row in rows:
        if abs(row.minutes / record["minutes"] - 1) > TOLERANCE:  # not where there are none, NaN
            print(f"{shown(row.name)}: {row.minutes:.3g} minutes, not {record['minutes']:g}.")
