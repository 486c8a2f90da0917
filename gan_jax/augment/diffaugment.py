"""DiffAugment: a few strong changes, always on. Zhao et al. 2020, arXiv:2006.10738."""

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from gan_jax.augment.color import on_colors
from gan_jax.augment.pick import offsets, pick
from gan_jax.distributed import collectives
from gan_jax.runtime import registry

Images = Float[Array, "B H W C"]


def color(rng: jax.Array, x: Images) -> Images:
    """Brightness + U(-0.5, 0.5), saturation x U(0, 2) about the pixel's mean, contrast x U(0.5,
    1.5) about the image's.

    Of RGBA images the colors change and alpha stays.
    """
    u = collectives.draw(lambda n: jax.random.uniform(rng, (n, 3)), x.shape[0])
    brightness, saturation, contrast = (u[:, i].reshape(-1, 1, 1, 1) for i in range(3))

    def change(x):
        x = x + (brightness - 0.5)
        gray = x.mean(3, keepdims=True)
        x = gray + 2 * saturation * (x - gray)
        mean = x.mean((1, 2, 3), keepdims=True)
        return mean + (contrast + 0.5) * (x - mean)

    return on_colors(change, x)


def translation(rng: jax.Array, x: Images) -> Images:
    """Whole pixels, up to 1/8 of each side; zeros come in."""
    sources = []
    for size, key in zip(x.shape[1:3], jax.random.split(rng), strict=True):
        shift = offsets(key, x.shape[0], int(size / 8 + 0.5))
        sources.append(jnp.arange(size, dtype=jnp.int32).reshape(1, -1) + shift)
    return pick(x, *sources)


def cutout(rng: jax.Array, x: Images) -> Images:
    """Zero in a box of half of each side; its center lies anywhere in the image, so it is clipped
    at the border."""
    inside = []
    for size, key in zip(x.shape[1:3], jax.random.split(rng), strict=True):
        box = int(size / 2 + 0.5)
        end = size + 1 - box % 2
        center = collectives.draw(
            lambda n, key=key, end=end: jax.random.randint(key, (n, 1), 0, end), x.shape[0]
        )
        first = center - box // 2
        place = jnp.arange(size, dtype=jnp.int32).reshape(1, -1)
        inside.append((place >= first) & (place < first + box))
    n, height, width = x.shape[:3]
    down, across = inside[0].reshape(n, height, 1, 1), inside[1].reshape(n, 1, width, 1)
    return jnp.where(down & across, 0, x)


POLICIES = {"color": color, "translation": translation, "cutout": cutout}


@dataclasses.dataclass(frozen=True)
class DiffAugment:
    """The changes of a policy, one after another.

    Attributes:
        policy: names in POLICIES, applied in this order. Published: "color,translation,cutout" for
            few images, "translation,cutout" for BigGAN and "color,cutout" for StyleGAN2 on CIFAR.
    """

    policy: str = "color,translation,cutout"

    def __post_init__(self):
        for name in self.policy.split(","):
            registry.choose(POLICIES, name, "config.augment.policy")

    def init(self) -> dict[str, jax.Array]:
        return {}

    def __call__(self, carry: dict, rng: jax.Array, x: Images) -> Images:
        names = self.policy.split(",")
        for name, key in zip(names, jax.random.split(rng, len(names)), strict=True):
            x = POLICIES[name](key, x)
        return x

    def observe(
        self, carry: dict, logits_real: Float[Array, "B ..."], images: Float[Array, ""]
    ) -> dict:
        return carry
