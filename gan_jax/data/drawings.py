"""One person drawn in ten styles by DiceBear, from pip packages, without a download.

A person is a skin and a hair color, and each style draws every person, so style, skin and hair of
each image are known. Pictures of one person are paired by these, not pixel by pixel: haircut and
expression are the style's own.
"""

import dataclasses
import functools
import json
import pathlib
import types
from collections.abc import Mapping, Sequence

from gan_jax.runtime import registry

SKINS = {
    "porcelain": "f8d9c0",
    "peach": "eab38a",
    "tan": "d08b5b",
    "bronze": "ae6f3f",
    "brown": "7d4a2a",
    "dark": "4a2b1b",
}
HAIRS = {
    "black": "231f20",
    "brown": "5a3825",
    "auburn": "a55728",
    "golden": "d6a04a",
    "platinum": "efe0b9",
    "gray": "9a9a9a",
    "red": "b03a2e",
    "blue": "3b6fb6",
}
_CLEAR = {"backgroundColor": "ffffff00"}
# personas' gloss on the face turns dark skin gray
VEIL = 'fill="white" opacity=".36" style="mix-blend-mode:overlay"'


@dataclasses.dataclass(frozen=True)
class Style:
    """How a DiceBear style is used: the square of its canvas that the head fills, and what would
    hide skin or hair."""

    x: float  # center of that square
    y: float
    side: float  # shares of the canvas
    without: dict = dataclasses.field(default_factory=dict)  # component -> variants left out
    options: dict = dataclasses.field(default_factory=dict)


_HATS = "hat hijab turban winterHat1 winterHat02 winterHat03 winterHat04"
_MASKS = "catEars clownNose faceMask sailormoonCrown sleepMask"
STYLES = {
    "avataaars": Style(0.5, 0.46, 0.72, {"top": _HATS, "mouth": "vomit"}, {"topProbability": 100}),
    "adventurer": Style(0.5, 0.46, 0.8),
    "toon-head": Style(0.5, 0.43, 0.7, {}, {"beardProbability": 20}),
    "personas": Style(
        0.5, 0.45, 0.66, {"hair": "bald balding buzzcut beanie cap", "mouth": "pacifier"}
    ),
    "pixel-art": Style(0.5, 0.49, 0.86, {}, {"hatProbability": 0, "glassesProbability": 10}),
    "big-ears": Style(0.5, 0.54, 0.78),
    "big-smile": Style(
        0.5,
        0.51,
        0.82,
        {"hair": "shavedHead", "accessories": _MASKS},
        {"accessoriesProbability": 20},
    ),
    "miniavs": Style(0.47, 0.52, 0.8, {"hair": "balndess slaughter"}),
    "dylan": Style(0.5, 0.47, 0.88, {}, _CLEAR),
    "voxel-art": Style(
        0.47,
        0.38,
        0.68,
        {"top": "cap beanie animalEars bunnyEars"},
        {"topProbability": 100} | _CLEAR,
    ),
}


def person(identity: int) -> tuple[int, int]:
    """(skin, hair) of a person; 48 in a row have each pair once."""
    return identity % len(SKINS), (identity + identity // 24) % len(HAIRS)


def draw(
    style: str,
    identity: int,
    size: int,
    variant: int | None = None,
    vary: Sequence[str] = (),
    given: Mapping[str, str] = types.MappingProxyType({}),
) -> bytes:
    """A person in a style, as PNG bytes of `size` x `size` RGBA.

    variant: the parts `vary` of the drawing ("mouth", "eyes") are those of another person, and all
        else stays; None: all is the person's own.
    given: options of the drawing that are so and not otherwise, {"clothesVariant": "hoodie",
        "clothesColor": "#65c9ff"}.
    Raises:
        ValueError: the style has no such part.
    """
    import dicebear
    import resvg_py

    recipe, (skin, hair) = STYLES[style], person(identity)
    definition = _validated()[style]
    components = definition.components()
    chosen = {
        f"{k}Variant": [v for v in components[k].variants() if v not in out.split()]
        for k, out in recipe.without.items()
    }
    hair_color = list(HAIRS.values())[hair]
    options = {
        "seed": f"person-{identity}",
        "skinColor": list(SKINS.values())[skin],
        "hairColor": hair_color,
        "facialHairColor": hair_color,
        "scale": round(1 / recipe.side, 4),
        "translateX": round((0.5 - recipe.x) / recipe.side * 100, 2),
        "translateY": round((0.5 - recipe.y) / recipe.side * 100, 2),
    }
    options |= chosen | recipe.options
    if variant is not None:
        for part in vary:
            registry.choose(components, part, f"a part of {style}")
        own = dicebear.Avatar(definition, options).to_json()["options"]
        options |= {"seed": f"person-{identity}-{variant}"}
        options |= {name: value for name, value in own.items() if name.endswith("Color")}
        for part in set(components) - set(vary):
            there = f"{part}Variant" in own
            options |= {f"{part}Probability": 100} if there else {f"{part}Probability": 0}
            options |= {f"{part}Variant": [own[f"{part}Variant"]]} if there else {}
    options |= {k: [x] if k.endswith("Variant") else x for k, x in given.items()}
    svg = dicebear.Avatar(definition, options).to_string()
    svg = svg.replace(VEIL, 'fill="none"')
    return bytes(
        resvg_py.svg_to_bytes(svg_string=svg, width=size, height=size, skip_system_fonts=True)
    )


def clothes(style: str) -> tuple[list[str], list[str]]:
    """(kinds, colors as "#rrggbb") of the clothes of a style that has some."""
    definition = _validated()[style]
    return list(definition.components()["clothes"].variants()), list(
        definition.colors()["clothes"].values()
    )


def definitions() -> dict[str, dict]:
    """Each style's drawing, from the installed package."""
    try:
        import dicebear  # noqa: F401
        import dicebear_styles
        import resvg_py  # noqa: F401
    except ImportError as error:
        raise ValueError(
            f"config.data.source='avatars' needs {error.name}: "
            "pip install dicebear-core==10.7.0 dicebear-styles==10.6.0 resvg-py==0.5.0"
        ) from error
    folder = pathlib.Path(next(iter(dicebear_styles.__path__)))
    return {name: json.loads((folder / f"{name}.json").read_text("utf-8")) for name in STYLES}


@functools.cache
def _validated() -> dict:
    """Each style as a dicebear.Style. Checking ten against their schema takes it four seconds."""
    import dicebear

    return {name: dicebear.Style(raw) for name, raw in definitions().items()}


def licenses(definitions: dict[str, dict]) -> str:
    """The card: each style's creator, source and license, in the package's own words."""
    lines = [
        "# Licenses of the drawings",
        "",
        "Drawn by DiceBear; framed larger and recolored here.",
        "",
    ]
    for name, definition in definitions.items():
        meta = definition["meta"]
        license, creator, source = meta["license"], meta["creator"], meta["source"]
        drawn_by = f"{source['name']} by {creator['name']} ({creator['url']})"
        terms = f"{license['name']} ({license['url']}). {license['text']}"
        lines.append(f"* {name}: {drawn_by}, {terms}")
    return "\n".join(lines) + "\n"
