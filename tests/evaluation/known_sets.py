"""Sets of pictures whose measures are known."""

from gan_jax.data.images import save_png
from gan_jax.data.source import open_source
from gan_jax.evaluation.images import of_source


def avatars(n=None, **settings):
    settings = {"source": "avatars", "identities": 120, "resolution": 32, "labels": None} | settings
    return of_source(open_source(settings))


def save(folder, images, names=None):
    """Writes pictures as PNG, 000.png and on, or under these names."""
    folder.mkdir(parents=True, exist_ok=True)
    for i, image in enumerate(images):
        save_png(folder / (names[i] if names else f"{i:03d}.png"), image)
