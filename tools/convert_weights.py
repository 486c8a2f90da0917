"""Other people's networks -> a run of ours: python tools/convert_weights.py ffhq.pkl --out
runs/ffhq.

Reads snapshots of stylegan2-ada-pytorch and R3GAN (.pkl) and of rosinality's stylegan2-pytorch
(.pt), and a generator's state dict alone (.pt, .pth, .safetensors, .npz) with the names of any of
them. Nothing in a file is run. It writes a checkpoint at step 0, from which tools/sample.py draws,
and WORKDIR/config.py, by which training goes on.
"""

import argparse
import pathlib

from gan_jax.runtime import cli


def main() -> None:
    parser = cli.Parser(__doc__)
    parser.add_argument("file", type=pathlib.Path, help="the snapshot")
    parser.add_argument("--out", required=True, type=pathlib.Path, help="the new run's workdir")
    parser.add_argument(
        "--classes", metavar="A,B", help="names of the labels 0, 1, ... (default: their numbers)"
    )
    flags = parser.parse_args()
    if flags.out.exists() and not flags.out.is_dir():
        raise ValueError(f"--out={flags.out}: that is a file. Give a folder for the new run.")
    if (flags.out / "checkpoints").exists() or (flags.out / "config.py").exists():
        raise ValueError(f"--out={flags.out}: a run is there already. Give another folder.")

    from gan_jax.interop import snapshots

    snapshot = snapshots.read(flags.file)
    classes = names(flags.classes, snapshot.n_classes)
    state = write(flags.out, snapshot, classes)
    report(flags, snapshot, state)


def names(text: str | None, n_classes: int) -> list[str]:
    """Of the labels 0, 1, ..."""
    from gan_jax.runtime import registry

    classes = (
        [str(i) for i in range(n_classes)]
        if text is None
        else [registry.normal(name.strip()) for name in text.split(",")]
    )
    if len(classes) != n_classes or len(set(classes)) != n_classes or not all(classes):
        raise ValueError(
            f"--classes={text}: the file's networks know {n_classes} classes; give each a name of"
            " its own."
        )
    return classes


def write(workdir: pathlib.Path, snapshot, classes: list[str]):
    """A checkpoint at step 0 and config.py in `workdir`. Returns the state as saved."""
    import contextlib
    import dataclasses
    import shutil

    from gan_jax import build, checkpoint
    from gan_jax.algorithms import make_game
    from gan_jax.config import Config
    from gan_jax.runtime import registry
    from gan_jax.runtime.files import replace_text

    height, width, channels = snapshot.shape
    data = {
        "source": "folder",
        "resolution": height if height == width else (height, width),
        "channels": channels,
    }
    settings = snapshot.settings | {
        "data": data | {"labels": bool(classes)},
        "conditional": bool(classes),
    }
    config = registry.build(Config, settings, "config")
    state = build.new_state(
        config, make_game(config, snapshot.shape, len(classes)), snapshot.shape, len(classes)
    )
    new = state.replace(g=player(state.g, "g", snapshot.g), ema=variables("g", snapshot.ema))
    new = new.replace(d=player(state.d, "d", snapshot.d)) if snapshot.d else new
    shapes = {name: (x.shape, x.dtype) for name, x in checkpoint.named(new).items()}
    checkpoint.compare(checkpoint.named(state), shapes, workdir)
    data = {"position": 0, "fingerprint": ""}
    meta = {
        "config": dataclasses.asdict(config),
        "shape": list(snapshot.shape),
        "classes": classes,
        "data": data,
    }
    text = "".join(f"        {key!r}: {value!r},\n" for key, value in settings.items())
    made = workdir / "checkpoints" if workdir.exists() else workdir
    with contextlib.ExitStack() as unfinished:
        unfinished.callback(shutil.rmtree, made, ignore_errors=True)
        with contextlib.closing(checkpoint.Store(workdir / "checkpoints")) as store:
            if not (store.save(0, new, meta) and store.finish()):
                raise OSError(
                    f"--out={workdir}: the checkpoint is not saved: the reason stands above."
                )
        replace_text(workdir / "config.py", CONFIG.format(settings=text))
        unfinished.pop_all()
    return new


CONFIG = '''"""Goes on from the converted networks beside it: --config.data.path=PHOTOS, and --workdir where it stands.

The file they came from does not say how they were trained: what their networks don't tell is a preset's.
"""


def get_config(arg=None):
    return {{
{settings}    }}
'''


def variables(name: str, converted: dict) -> dict:
    """As a game has them, by the network's name."""
    state = {key: tree for key, tree in converted.items() if key != "params"}
    return {"params": {name: converted["params"]}, "mutable": {name: state}}


def player(new, name: str, converted: dict):
    """A new player with converted weights: its optimiser starts anew."""
    return new.replace(**variables(name, converted))


def report(flags: argparse.Namespace, snapshot, state) -> None:
    """What was found, and what to do with it."""
    import jax

    count = lambda side: sum(x.size for x in jax.tree.leaves(side.params))
    height, width, channels = snapshot.shape
    print(
        f"{flags.file}: {snapshot.source}, {height}x{width}x{channels},"
        f" {snapshot.n_classes or 'no'} classes; generator {count(state.g):,}, critic"
        f" {count(state.d):,} parameters" + ("" if snapshot.d else " (not in it: starts anew)")
    )
    for name in ("g", "d", "game"):
        print(f"  config.{name} = {snapshot.settings[name]}")
    print(f"pictures: python tools/sample.py {flags.out} --out pictures")
    print(
        f"training: python -m gan_jax.main --config {flags.out}/config.py --config.data.path=PHOTOS"
        f" --workdir {flags.out}"
    )
    print(
        f"          or under another config: --config.init_from={flags.out}"
        " --config.ema_rampup=None"
    )


if __name__ == "__main__":
    cli.tool(main)
