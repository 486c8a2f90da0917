"""A snapshot file of another project -> networks of ours, and settings of a run that goes on from it."""

import pathlib
from collections.abc import Mapping
from typing import NamedTuple

from gan_jax.algorithms import r3gan as r3gan_game
from gan_jax.algorithms import stylegan2 as stylegan2_game
from gan_jax.foreign import pickles, r3gan, rosinality, stylegan2
from gan_jax.foreign.stylegan2 import Found


class Snapshot(NamedTuple):
    """What a file holds. `g`, `d` and `ema` are {"params": ..., and collections of state}, float32 numpy."""

    source: str  # the project
    g: dict
    d: dict | None  # None: not in the file
    ema: dict  # the averaged G
    shape: tuple[int, int, int]
    n_classes: int
    settings: dict  # of config.Config, but for the data; where the file is silent, a preset's


def read(path: str | pathlib.Path) -> Snapshot:
    """Reads and converts a .pkl of stylegan2-ada-pytorch or R3GAN, or a .pt of rosinality's stylegan2-pytorch.

    Where the file has only one of G and its average, it is both.
    Raises:
        ValueError: as `pickles.read`; or networks of another kind, or that don't fit each other. One line, naming the file.
    """
    nets = pickles.read(path)
    has = lambda name: any(name in net.arrays for net in nets.values())
    try:
        if has("synthesis.b4.const"):
            return _stylegan2("stylegan2-ada-pytorch", nets)
        if has("input.input"):
            return _stylegan2("stylegan2-pytorch", rosinality.official(nets))
        if has("Model.AggregationLayer.Layer.weight"):
            return _r3gan(nets)
        raise ValueError(f"it has {', '.join(nets)}; none of them is a generator of StyleGAN2 or R3GAN.")
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _stylegan2(source: str, nets: Mapping[str, pickles.Net]) -> Snapshot:
    """What is no network's is of the preset "cifar" where D has no skips, as only there, and of "auto" elsewhere.

    There is no ramp of the average: after one round it would be what G is, and the average that was read be lost.
    """
    g, ema = (stylegan2.generator(nets[name]) for name in _generators(nets))
    d = stylegan2.discriminator(nets["D"]) if "D" in nets else None
    plain = d is not None and d.settings["architecture"] == "orig"
    settings = stylegan2_game.preset("cifar" if plain else "auto", g.shape[0])
    widths = {name: g.settings[name] for name in ("channel_base", "channel_max", "conv_clamp")}
    settings["d"] = d.settings if d else settings["d"] | widths
    settings["batch"] = max(settings["batch"], settings["d"]["mbstd_group"])
    return _snapshot(source, g, d, ema, settings | {"ema_rampup": None})


def _r3gan(nets: Mapping[str, pickles.Net]) -> Snapshot:
    """What is no network's is of the preset of these widths, else of FFHQ-64, where its schedules end, for good."""
    g, ema = (r3gan.generator(nets[name].arrays) for name in _generators(nets))
    d = r3gan.discriminator(nets["D"].arrays) if "D" in nets else None
    presets = r3gan_game.PRESETS.items()
    name = next((name for name, p in presets if p["widths"] == g.settings["widths"]), "FFHQ-64")
    settings = r3gan_game.preset(name)
    for who in ("opt_g", "opt_d"):
        adam = settings[who]
        settings[who] = dict(name="adam", lr=adam["final_lr"], b1=adam["b1"], b2=adam["final_b2"])
    settings["augment"] = {key: value for key, value in settings["augment"].items() if key != "rise_kimg"}
    settings["game"] = {"gamma": settings["game"]["gamma_final"]}
    settings["d"] = d.settings if d else {key: x for key, x in g.settings.items() if key != "embedding"}
    return _snapshot("R3GAN", g, d, ema, settings | {"ema_rise_kimg": None})


def _generators(nets) -> tuple[str, str]:
    """Names of the trained G and of the averaged one."""
    known = [name for name in ("G", "G_ema") if name in nets]
    if not known:
        raise ValueError("there is no generator in it.")
    return known[0], known[-1]


def _snapshot(source: str, g: Found, d: Found | None, ema: Found, settings: dict) -> Snapshot:
    """Raises ValueError where the networks are not of one game."""
    if (g.settings, g.shape, g.n_classes, g.z_dim) != (ema.settings, ema.shape, ema.n_classes, ema.z_dim):
        raise ValueError("G and G_ema are not alike.")
    if d is not None and (d.shape, d.n_classes) != (g.shape, g.n_classes):
        raise ValueError(f"D is for {d.shape} and {d.n_classes} classes, G for {g.shape} and {g.n_classes}.")
    settings |= {"g": g.settings, "game": settings["game"] | {"z_dim": g.z_dim}}
    return Snapshot(source, g.variables, d and d.variables, ema.variables, g.shape, g.n_classes, settings)
