"""Other people's networks -> a run of ours: gan-jax convert ffhq.pkl --out runs/ffhq.

Reads snapshots of stylegan2-ada-pytorch and R3GAN (.pkl) and of rosinality's stylegan2-pytorch
(.pt), and a generator's state dict alone (.pt, .pth, .safetensors, .npz) with the names of any of
them. Nothing in a file is run. It writes a checkpoint at step 0, from which gan-jax sample draws,
and WORKDIR/config.py, by which training goes on.
"""

import contextlib
import dataclasses
import pathlib
import shutil
import sys

from gan_jax.runtime import cli

CONFIG = '''\
"""Goes on from the converted networks beside it: --config.data.path=PHOTOS, and --workdir where it
stands.

The file they came from does not say how they were trained: what their networks don't tell is a
preset's.
"""


def get_config(arg=None):
    return {{
{settings}    }}
'''


def main(argv: list[str] | None = None) -> None:
    parser = cli.Parser(__doc__, "convert")
    parser.add_argument("file", type=pathlib.Path, help="the snapshot")
    parser.add_argument("--out", required=True, type=pathlib.Path, help="the new run's workdir")
    parser.add_argument(
        "--classes", metavar="A,B", help="names of the labels 0, 1, ... (default: their numbers)"
    )
    flags = parser.parse_args(sys.argv[1:] if argv is None else argv)
    if flags.out.exists() and not flags.out.is_dir():
        raise ValueError(f"--out={flags.out}: that is a file. Give a folder for the new run.")
    if (flags.out / "checkpoints").exists() or (flags.out / "config.py").exists():
        raise ValueError(f"--out={flags.out}: a run is there already. Give another folder.")

    from gan_jax.interop import snapshots

    snapshot = snapshots.read(flags.file)
    state = write(flags.out, snapshot, class_names(flags.classes, snapshot.n_classes))
    print(report(flags.file, flags.out, snapshot, state))


def class_names(text: str | None, n_classes: int) -> list[str]:
    """Of the labels 0, 1, ...: "cat,dog" in parts, or their numbers."""
    from gan_jax.runtime import registry

    if text is None:
        return [str(i) for i in range(n_classes)]
    classes = [registry.normal(name.strip()) for name in text.split(",")]
    if len(classes) != n_classes or len(set(classes)) != n_classes or not all(classes):
        raise ValueError(
            f"--classes={text}: the file's networks know {n_classes} classes; give each a name of"
            " its own."
        )
    return classes


def write(workdir: pathlib.Path, snapshot, classes: list[str]):
    """A checkpoint at step 0 and config.py in `workdir`; returns the state as saved.

    Raises:
        OSError: the checkpoint is not saved; nothing is left of it.
    """
    from gan_jax import checkpoint
    from gan_jax.config import Config
    from gan_jax.runtime import registry
    from gan_jax.runtime.files import replace_text

    settings = settings_of(snapshot, labels=bool(classes))
    config = registry.build(Config, settings, "config")
    state = converted_state(config, snapshot, len(classes), workdir)
    meta = {
        "config": dataclasses.asdict(config),
        "shape": list(snapshot.shape),
        "classes": classes,
        "data": {"position": 0, "fingerprint": ""},
    }
    lines = "".join(f"        {key!r}: {value!r},\n" for key, value in settings.items())
    made = workdir / "checkpoints" if workdir.exists() else workdir
    with contextlib.ExitStack() as unfinished:
        unfinished.callback(shutil.rmtree, made, ignore_errors=True)
        with contextlib.closing(checkpoint.Store(workdir / "checkpoints")) as store:
            if not (store.save(0, state.saved(), meta) and store.finish()):
                raise OSError(f"--out={workdir}: the checkpoint is not saved, as logged above.")
        replace_text(workdir / "config.py", CONFIG.format(settings=lines))
        unfinished.pop_all()
    return state


def settings_of(snapshot, labels: bool) -> dict:
    """A config's settings for the snapshot's networks, on a folder of pictures."""
    height, width, channels = snapshot.shape
    resolution = height if height == width else (height, width)
    data = dict(source="folder", resolution=resolution, channels=channels, labels=labels)
    return snapshot.settings | {"data": data, "conditional": labels}


def converted_state(config, snapshot, n_classes: int, workdir: pathlib.Path):
    """A new state with the weights; optimizers start anew, and D where the snapshot has none."""
    from gan_jax import build, checkpoint
    from gan_jax.algorithms import make_game

    game = make_game(config, snapshot.shape, n_classes)
    state = build.new_state(config, game, snapshot.shape, n_classes)
    g = state.g.replace(**variables("g", snapshot.g))
    d = state.d.replace(**variables("d", snapshot.d)) if snapshot.d else state.d
    new = state.replace(g=g, d=d, ema=variables("g", snapshot.ema))
    shapes = {name: (x.shape, x.dtype) for name, x in checkpoint.named(new).items()}
    checkpoint.compare(checkpoint.named(state), shapes, workdir)
    return new


def variables(name: str, converted: dict) -> dict:
    """As a game has them, by the network's name."""
    state = {key: tree for key, tree in converted.items() if key != "params"}
    return {"params": {name: converted["params"]}, "mutable": {name: state}}


def report(file: pathlib.Path, workdir: pathlib.Path, snapshot, state) -> str:
    """What was found, and what to do with it."""
    import jax

    g, d = (sum(x.size for x in jax.tree.leaves(side.params)) for side in (state.g, state.d))
    height, width, channels = snapshot.shape
    absent = "" if snapshot.d else " (not in it: starts anew)"
    return "\n".join(
        [
            f"{file}: {snapshot.source}, {height}x{width}x{channels},"
            f" {snapshot.n_classes or 'no'} classes; generator {g:,}, critic {d:,} parameters"
            f"{absent}",
            *(f"  config.{name} = {snapshot.settings[name]}" for name in ("g", "d", "game")),
            f"pictures: gan-jax sample {workdir} --out pictures",
            f"training: gan-jax train --config {workdir}/config.py --config.data.path=PHOTOS"
            f" --workdir {workdir}",
            f"          or under another config: --config.init_from={workdir}"
            " --config.ema_rampup=None",
        ]
    )
