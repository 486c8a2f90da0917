"""ADA: changes whose probability p rises while the critic overfits. Karras et al. 2020,
arXiv:2006.06676."""

import dataclasses
import math
import numbers
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.special import ndtri
from jaxtyping import Array, Float

from gan_jax.augment import color, corrupt, warp
from gan_jax.distributed import collectives
from gan_jax.runtime import registry

Images = Float[Array, "B H W C"]

STEPS = 4  # of the critic between two moves of p


class Transform(NamedTuple):
    """How a transform's values are drawn, with a probability of multiplier * p;
    else they are `neutral`."""

    value: Callable  # (u uniform in (0, 1), strength) -> values of u's shape
    strength: float | None = None  # as published
    neutral: float = 0.0
    numbers: int = 1  # values an image
    choices: int = 1  # how many of them are changed or not on their own


def _turn(u, most):
    return jnp.pi * most * (2 * u - 1)


def _factor(u, deviation):
    return jnp.exp2(deviation * ndtri(u))


# in the order of application; strengths are deviations (of log2 for factors), half turns, shares of
# a side
GROUPS = {
    "blit": {
        "xflip": Transform(lambda u, _: jnp.floor(2 * u)),
        "rotate90": Transform(lambda u, _: jnp.floor(4 * u)),
        "xint": Transform(lambda u, most: most * (2 * u - 1), 0.125, numbers=2),
    },
    "geom": {
        "scale": Transform(_factor, 0.2, 1.0),
        "rotate": Transform(_turn, 1.0, numbers=2, choices=2),  # before and after aniso
        "aniso": Transform(_factor, 0.2, 1.0),
        "xfrac": Transform(lambda u, deviation: deviation * ndtri(u), 0.125, numbers=2),
    },
    "color": {
        "brightness": Transform(lambda u, deviation: deviation * ndtri(u), 0.2),
        "contrast": Transform(_factor, 0.5, 1.0),
        "lumaflip": Transform(lambda u, _: jnp.floor(2 * u)),
        "hue": Transform(_turn, 1.0),
        "saturation": Transform(_factor, 1.0, 1.0),
    },
    "filter": {
        "imgfilter": Transform(_factor, 1.0, 1.0, numbers=corrupt.BANDS, choices=corrupt.BANDS)
    },
    "noise": {"noise": Transform(lambda u, deviation: jnp.abs(deviation * ndtri(u)), 0.1)},
    # the box's center; its side is fixed
    "cutout": {"cutout": Transform(lambda u, _: u, 0.5, jnp.inf, numbers=2)},
}
TRANSFORMS = {name: transform for group in GROUPS.values() for name, transform in group.items()}
PIPES = {  # every name of one or more transforms
    **{name: (name,) for name in TRANSFORMS},
    **{
        "bgcfnc"[:n]: tuple(name for group in list(GROUPS.values())[:n] for name in group)
        for n in range(2, 7)
    },
    **{group: tuple(names) for group, names in GROUPS.items()},
}


@dataclasses.dataclass(frozen=True)
class ADA:
    """Geometry, colors, filter, noise and cutout, each image's own, each with a probability of p
    times a multiplier.

    Attributes:
        pipe: a name or names in PIPES; "bgc" as published. R3GAN: ("bgc", "cutout").
        multipliers: (name, factor) pairs, names as in `pipe`, 1 where not named. R3GAN
            (arXiv:2501.05441): (("color", 0.5),).
        strengths: (name, strength) pairs, its own where not named; each name a name in TRANSFORMS.
        target: every four of the critic's steps p moves up if the mean sign of D(real) is above,
            down if below, at a speed of 1 in `kimg` thousand images, never below 0. None: p is
            fixed.
        p: where p starts (with a target), or what it is.
        rise_kimg: without a target, p rises from 0 along half a cosine and stays from so many
            thousand images on.
        batch: images a step of the critic, on all devices; the program gives it.
    Of RGBA images alpha takes part in geometry and cutout only. Gray images have no hue and no
    saturation.
    """

    pipe: str | tuple = "bgc"
    multipliers: tuple = ()
    strengths: tuple = ()
    target: float | None = 0.6
    kimg: float = 500.0
    p: float = 0.0
    rise_kimg: float | None = None
    batch: int = 0

    def __post_init__(self):
        names = self.names
        self._check_pairs(
            "multipliers", [name for name, parts in PIPES.items() if set(parts) & set(names)]
        )
        self._check_pairs(
            "strengths", [name for name in names if TRANSFORMS[name].strength is not None]
        )
        if self.target is not None and self.rise_kimg is not None:
            raise ValueError(
                "config.augment.rise_kimg: a schedule of p needs config.augment.target=None."
            )
        if self.target is not None and self.batch < 1:
            raise ValueError(
                f"config.augment.batch={self.batch}: with a target it must be the images of a step."
            )
        if not 0 <= self.p < math.inf:
            raise ValueError(f"config.augment.p={self.p}: a probability must be at least 0.")
        if self.target is not None and not -1 <= self.target <= 1:
            raise ValueError(
                f"config.augment.target={self.target}: a mean of signs must be within -1 and 1."
            )
        for name in ("kimg", "rise_kimg"):
            if getattr(self, name) is not None and getattr(self, name) <= 0:
                raise ValueError(
                    f"config.augment.{name}={getattr(self, name)}: it must be above 0."
                )

    def _check_pairs(self, key, known):
        pairs = getattr(self, key)
        for pair in pairs:
            if not (isinstance(pair, tuple) and len(pair) == 2):
                raise ValueError(
                    f"config.augment.{key}={pairs!r}: pairs of a name and a number, (('rotate',"
                    " 0.5),)."
                )
            if not (isinstance(pair[1], numbers.Real) and 0 <= pair[1] < math.inf):
                raise ValueError(
                    f"config.augment.{key}: {pair[0]!r} is given {pair[1]!r}; it must be 0 or more."
                )
            registry.choose(dict.fromkeys(known), pair[0], f"config.augment.{key}")

    @property
    def names(self) -> tuple[str, ...]:
        """The pipe's transforms in the order of application."""
        pipe = (self.pipe,) if isinstance(self.pipe, str) else self.pipe
        chosen = {
            name for entry in pipe for name in registry.choose(PIPES, entry, "config.augment.pipe")
        }
        return tuple(name for name in TRANSFORMS if name in chosen)

    def init(self) -> dict[str, jax.Array]:
        zero = jnp.zeros((), jnp.float32)
        if self.target is not None:
            return {"p": zero + self.p, "signs": zero, "rows": zero}
        return {"p": zero if self.rise_kimg else zero + self.p}

    def __call__(self, carry: dict, rng: jax.Array, x: Images) -> Images:
        k_values, k_noise = jax.random.split(rng)
        values, noise = self.parameters(k_values, x.shape[0], carry["p"]), None
        if "noise" in values:

            def draw(n):
                return jax.random.normal(k_noise, (n, *x.shape[1:]))

            noise = collectives.draw(draw, x.shape[0])
        return self.apply(x, values, noise)

    def parameters(
        self, rng: jax.Array, n: int, p: Float[Array, ""]
    ) -> dict[str, Float[Array, "{n} _"]]:
        """{transform: its values} of n images;
        `geometry`, `colors` ... say what they mean."""
        transforms = {name: TRANSFORMS[name] for name in self.names}
        width = sum(transform.choices + transform.numbers for transform in transforms.values())
        u = collectives.draw(lambda n: jax.random.uniform(rng, (n, width), minval=1e-7), n)
        factors = {name: factor for entry, factor in self.multipliers for name in PIPES[entry]}
        strengths, values = dict(self.strengths), {}
        for name, transform in transforms.items():
            chance = factors.get(name, 1.0) * p
            if name == "rotate":  # the chance that either of the two turns is taken is p
                chance = 1 - jnp.sqrt(1 - jnp.clip(chance, 0, 1))
            choice, number, u = jnp.split(
                u, (transform.choices, transform.choices + transform.numbers), 1
            )
            drawn = transform.value(number, strengths.get(name, transform.strength))
            values[name] = jnp.where(choice < chance, drawn, transform.neutral)
        return values

    def apply(
        self, x: Images, values: dict[str, Float[Array, "B _"]], noise: Images | None = None
    ) -> Images:
        """The pipe with these values; noise is read where values have "noise"."""
        groups = {group for group, names in GROUPS.items() if names.keys() & values.keys()}
        if groups & {"blit", "geom"}:
            x = warp.warp(x, warp.geometry(values, x.shape[1:3]))
        if "color" in groups:
            matrix = color.colors(values, gray=x.shape[3] == 1)
            x = color.on_colors(lambda x: color.recolor(x, matrix), x)
        if "filter" in groups:
            gain = corrupt.gains(values["imgfilter"])
            x = color.on_colors(lambda x: corrupt.amplify(x, gain), x)
        if "noise" in groups:
            sigma = values["noise"]
            x = color.on_colors(lambda x: corrupt.add_noise(x, noise[..., : x.shape[3]], sigma), x)
        if "cutout" in groups:
            size = dict(self.strengths).get("cutout", TRANSFORMS["cutout"].strength)
            x = corrupt.cutout(x, values["cutout"], size)
        return x

    def observe(
        self, carry: dict, logits_real: Float[Array, "B ..."], images: Float[Array, ""]
    ) -> dict:
        """Rows are counted, so parts of a step (gradient accumulation) and several devices do what
        one batch does."""
        if self.target is None:
            return {"p": self.scheduled(images)}
        n = logits_real.shape[0] * collectives.size()
        rows = carry["rows"] + n
        signs = carry["signs"] + n * collectives.mean(jnp.mean(jnp.sign(logits_real)))
        due = rows >= STEPS * self.batch
        speed = STEPS * self.batch / (self.kimg * 1000)
        p = jnp.maximum(carry["p"] + speed * jnp.sign(signs / rows - self.target), 0)
        return {
            "p": jnp.where(due, p, carry["p"]),
            "signs": jnp.where(due, 0, signs),
            "rows": jnp.where(due, 0, rows),
        }

    def scheduled(self, images: Float[Array, ""] | float) -> Float[Array, ""]:
        """p without a target, after so many images."""
        if self.rise_kimg is None:
            return jnp.full((), self.p, jnp.float32)
        done = jnp.minimum(images / (self.rise_kimg * 1000), 1)
        return self.p * (1 - jnp.cos(jnp.pi * done)) / 2
