"""A frozen network of a few weights, for games that see pictures by one."""

import jax.numpy as jnp
import numpy as np

from gan_jax.nn import conv
from gan_jax.pretrained import Features, Net, Stages


def tiny_net(name: str = "tiny", seed: int = 0) -> Net:
    """RGB pictures -> 4 features, means of a 1x1 convolution's ReLU; and two feature maps of half
    and a quarter of their size. Its hash names the seed."""
    weights = np.random.default_rng(seed).normal(0, 1 / 128, (3, 4)).astype(np.float32)

    def forward(params, x):
        return Features(jnp.maximum((x - 127) @ params["kernel"], 0).mean((1, 2)), None)

    def maps(params, x, last):
        half = conv.pool(jnp.maximum((x - 127) @ params["kernel"], 0))
        return {"half": half, "quarter": conv.pool(half)}

    params, names = {"kernel": weights}, ("half", "quarter")
    return Net(
        name, f"_{name}", 4, 0, None, "none", f"seed{seed}", params, forward,
        stages_of=Stages(names, names, maps),
    )  # fmt: skip


def pixel_net(name, *_):
    """Pictures -> their pixels, averaged over squares of 2: the squared distance is 4 times the
    mean squared difference of those."""

    def forward(params, x):
        n, h, w, c = x.shape
        x = x.reshape(n, h // 2, 2, w // 2, 2, c).mean((2, 4)) / 127.5
        return Features(2 * x.reshape(n, -1) / np.sqrt(x[0].size), None)

    return Net(name, f"_{name}", 0, 0, None, "none", "0", {}, forward, squared_distance=True)
