"""Networks, a family a file: a module with classes `Generator` and `Discriminator`, one's own named
by a dotted path. What a family may say beside, and what holds where it does not, is here."""

import types
from collections.abc import Callable
from typing import Any, NamedTuple


class Traits(NamedTuple):
    """What a network's class may define for the rest of the program to read, with the defaults.

    Attributes:
        sampling_settings: names of its settings that act on sampling only, not on training.
        scale: of a network from picture to picture: by what it enlarges.
        side_multiple: of a network from picture to picture: what sides it pads pictures to
            multiples of; pictures of such sides share compiled programs.
        fixed_size: of a network from picture to picture: whether it is used at the size that it was
            trained at only, to which pictures are resized.
        mbstd_group: of a critic: images whose statistics it takes together; the batch must split
            into such groups.
        scales_biases: of a critic: its call takes `scale` f32 [B], which multiplies all biases.
        mapping, synthesis: of a generator with styles: its methods noise -> ws and ws -> picture.
        palette: number of colors that a generator draws in; 0: any.
        shares, colors: of a generator with styles and a palette: its methods ws -> what each pixel
            has of each color, as logits, and ws -> the colors.
        remodulation: of a generator: an alpha for each further mapping and set of affines, which
            start as copies of those of the generator that a run goes on from.
    """

    sampling_settings: tuple[str, ...] = ()
    scale: int = 1
    side_multiple: int = 1
    fixed_size: bool = False
    mbstd_group: int = 1
    scales_biases: bool = False
    mapping: Callable | None = None
    synthesis: Callable | None = None
    palette: int = 0
    shares: Callable | None = None
    colors: Callable | None = None
    remodulation: tuple[float, ...] = ()


def traits(net: Any) -> Traits:
    """A network's traits; one's own network may define some of them, or none."""
    defaults = Traits._field_defaults
    return Traits(**{name: getattr(net, name, default) for name, default in defaults.items()})


def further_networks(family: types.ModuleType) -> dict[str, type]:
    """{field of the game: class} of the networks that a family has beside G and D:
    its NETWORKS, if it has any."""
    return getattr(family, "NETWORKS", {})
