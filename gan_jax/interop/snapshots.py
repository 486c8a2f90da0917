"""A snapshot of another project -> networks of ours, and settings of a run that continues it."""

import math
import pathlib
from collections.abc import Callable, Mapping
from typing import NamedTuple

from gan_jax.algorithms import r3gan as r3gan_game
from gan_jax.algorithms import stylegan2 as stylegan2_game
from gan_jax.interop import pickles, r3gan, rosinality, stylegan2
from gan_jax.interop.arrays import Found, some
from gan_jax.interop.pickles import Net
from gan_jax.runtime.text import shown


class Snapshot(NamedTuple):
    """What a file holds.

    Attributes:
        source: the project.
        g, d, ema: the trained networks and the averaged G, each {"params": ..., and collections of
            state}, float32 numpy; d is None where the file has none.
        settings: of config.Config, but for the data; where the file is silent, a preset's.
    """

    source: str
    g: dict
    d: dict | None
    ema: dict
    shape: tuple[int, int, int]
    n_classes: int
    settings: dict


# project -> an array that its generators have, and its names of the trained and the averaged one
SIGNS = {
    "stylegan2-ada-pytorch": ("synthesis.b4.const", ("G", "G_ema")),
    "stylegan2-pytorch": ("input.input", ("g", "g_ema")),
    "R3GAN": ("AggregationLayer.Layer.weight", ("G", "G_ema")),
}
LARGEST = 2**20  # a size or a count of a network, at most
COUNTS = {
    "z_dim", "c_dim", "w_dim", "img_resolution", "img_channels", "num_layers", "num_ws",
    "num_fp16_res", "resolution", "in_channels", "out_channels", "in_features", "out_features",
    "channel_base", "channel_max", "group_size", "num_channels",
}  # fmt: skip


def read(path: str | pathlib.Path) -> Snapshot:
    """Of a .pkl of stylegan2-ada-pytorch or R3GAN, or a .pt of rosinality's stylegan2-pytorch.

    Also a generator's state dict alone, with any of their names: .pt, .pth, .safetensors or .npz.
    Where the file has only one of G and its average, it is both.
    Raises:
        ValueError: as `pickles.read`; a setting or an array that no network has (NaN, text, a size
            that its arrays contradict); or networks of another kind, or that don't fit each other.
            One line, naming the file.
    """
    nets = {name: _unwrapped(net) for name, net in pickles.read(path).items()}
    try:
        for name, net in nets.items():
            _check_settings(net, name)
        project, nets = _recognized(nets)
        if project == "stylegan2-pytorch":
            nets = rosinality.official(nets)
        return _r3gan(nets) if project == "R3GAN" else _stylegan2(project, nets)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _unwrapped(net: Net) -> Net:
    """By the names inside the wrappers that trainers put a network in."""
    arrays = net.arrays
    for wrapper in ("module.", "Model."):
        if all(name.startswith(wrapper) for name in arrays):
            arrays = {name.removeprefix(wrapper): array for name, array in arrays.items()}
    return net._replace(arrays=arrays)


def _recognized(nets: Mapping[str, Net]) -> tuple[str, Mapping[str, Net]]:
    """(the project, its networks);
    a generator that the file calls otherwise is taken alone, as the averaged one."""
    for project, (sign, roles) in SIGNS.items():
        generators = [name for name, net in nets.items() if sign in net.arrays]
        if any(name in roles for name in generators):
            return project, nets
        if len(generators) > 1:
            raise ValueError(f"it has several generators: {some(generators)}. Give a file of one.")
        if generators:
            return project, {roles[1]: nets[generators[0]]}
    has = (
        f"arrays {some(list(nets[''].arrays))}"
        if list(nets) == [""]
        else f"networks {some(list(nets))}"
    )
    ours = any(name.startswith("params/") for net in nets.values() for name in net.arrays)
    raise ValueError(
        f"it has the {has}; none of them is a generator of StyleGAN2 or R3GAN."
        + (
            " It is an export of gan_jax: give the tools the run that it was made of."
            if ours
            else ""
        )
    )


def _check_settings(net: Net, who: str) -> None:
    """Raises ValueError, naming it, where something else stands where a number belongs."""
    for name, value in net.settings.items():
        numbers = value if isinstance(value, list | tuple) else [value]
        wanted = "a finite number"
        bad = any(isinstance(x, float) and not math.isfinite(x) for x in numbers)
        if name.rpartition(".")[2] in COUNTS and value is not None:
            wanted = f"a whole number up to {LARGEST:,}"
            bad = type(value) is not int or not 0 <= value <= LARGEST
        if name.endswith("conv_clamp") and value is not None:
            wanted = "None or a number above 0"
            bad = type(value) not in (int, float) or not 0 < value < math.inf
        if bad:
            raise ValueError(
                f"{who}'s {name} is {shown(repr(value))[:80]}; {wanted} belongs there."
            )


def _check_sizes(net: Net, found: Found, who: str) -> None:
    """Raises ValueError, naming it, where what a file says of a network's sizes is not what its
    arrays have."""
    sizes = {
        "c_dim": found.n_classes,
        "img_resolution": found.shape[0],
        "img_channels": found.shape[2],
    }
    places = ["", "_init_kwargs."]
    if found.z_dim is not None:  # a generator
        sizes["z_dim"] = found.z_dim
        sizes |= {name: size for name, size in found.settings.items() if name == "w_dim"}
        places += ["mapping.", "synthesis."]
    for place in places:
        for name, size in sizes.items():
            declared = net.settings.get(f"{place}{name}", size)
            if declared != size:
                raise ValueError(
                    f"{who}'s {place}{name} is {declared!r}, but its arrays are of {size}."
                )


def _stylegan2(source: str, nets: Mapping[str, Net]) -> Snapshot:
    """What is no network's is of the preset "cifar" where D has no skips, as only there, and of
    "auto" elsewhere.

    The average is not ramped up: a ramp would replace the average that was read by G's weights
    after one iteration.
    """
    g, ema, d = _converted(nets, stylegan2.generator, stylegan2.discriminator)
    plain = d is not None and d.settings["architecture"] == "orig"
    settings = stylegan2_game.preset("cifar" if plain else "auto", g.shape[0])
    widths = {name: g.settings[name] for name in ("channel_base", "channel_max", "conv_clamp")}
    settings["d"] = d.settings if d else settings["d"] | widths
    settings["batch"] = max(settings["batch"], settings["d"]["mbstd_group"])
    return _snapshot(source, g, d, ema, settings | {"ema_rampup": None})


def _r3gan(nets: Mapping[str, Net]) -> Snapshot:
    """What is no network's is of the preset of these widths, else of FFHQ-64, where its schedules
    end, for good."""
    convert = (lambda net, to=to: to(net.arrays) for to in (r3gan.generator, r3gan.discriminator))
    g, ema, d = _converted(nets, *convert)
    presets = r3gan_game.PRESETS.items()
    name = next((name for name, p in presets if p["widths"] == g.settings["widths"]), "FFHQ-64")
    settings = r3gan_game.preset(name)
    for who in ("opt_g", "opt_d"):
        adam = settings[who]
        settings[who] = dict(name="adam", lr=adam["final_lr"], b1=adam["b1"], b2=adam["final_b2"])
    settings["augment"] = {
        key: value for key, value in settings["augment"].items() if key != "rise_kimg"
    }
    settings["game"] = {"gamma": settings["game"]["gamma_final"]}
    settings["d"] = (
        d.settings if d else {key: x for key, x in g.settings.items() if key != "embedding"}
    )
    return _snapshot("R3GAN", g, d, ema, settings | {"ema_rise_kimg": None})


def _converted(
    nets: Mapping[str, Net], generator: Callable, discriminator: Callable
) -> tuple[Found, Found, Found | None]:
    """The trained G, the averaged one, and D."""
    known = [name for name in ("G", "G_ema") if name in nets]
    found = {name: generator(nets[name]) for name in known}
    found |= {"D": discriminator(nets["D"])} if "D" in nets else {}
    for name, net in found.items():
        _check_sizes(nets[name], net, name)
    return found[known[0]], found[known[-1]], found.get("D")


def _snapshot(source: str, g: Found, d: Found | None, ema: Found, settings: dict) -> Snapshot:
    """Raises ValueError where the networks are not of one game."""
    if (g.settings, g.shape, g.n_classes, g.z_dim) != (
        ema.settings,
        ema.shape,
        ema.n_classes,
        ema.z_dim,
    ):
        raise ValueError("G and G_ema are not alike.")
    if d is not None and (d.shape, d.n_classes) != (g.shape, g.n_classes):
        raise ValueError(
            f"D is for {d.shape} and {d.n_classes} classes, G for {g.shape} and {g.n_classes}."
        )
    settings |= {"g": g.settings, "game": settings["game"] | {"z_dim": g.z_dim}}
    return Snapshot(
        source, g.variables, d and d.variables, ema.variables, g.shape, g.n_classes, settings
    )
