"""Self-attention over the positions of a feature map."""

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from gan_jax.nn.layers import Conv


class SelfAttention(nn.Module):
    """x + gamma * attention(x), over all positions; gamma, a parameter, starts at 0.

    Queries and keys have C / 8 channels, values C / 2; keys and values are max-pooled 2x2. All four
    maps are 1x1 convolutions without bias. Zhang et al. 2018, arXiv:1805.08318, section 3, as its
    code has it (the paper's text pools nothing and gives all maps C / 8 channels).
    """

    initializer: str = "orthogonal"
    spectral_norm: bool = True

    @nn.compact
    def __call__(
        self, x: Float[Array, "B H W C"], *, train: bool = False
    ) -> Float[Array, "B H W C"]:
        """The softmax is float32."""
        b, h, w, c = x.shape
        kernel = dict(bias=False, kernel_size=1, padding=0)

        def part(features, value):
            layer = Conv(features, self.initializer, self.spectral_norm, **kernel)
            return layer(value, train=train)

        def flat(value):
            return value.reshape(b, -1, value.shape[-1])

        queries = flat(part(max(c // 8, 1), x))  # [B, H * W, C / 8]
        keys = flat(_max_pool(part(max(c // 8, 1), x)))  # [B, H * W // 4, C / 8]
        values = flat(_max_pool(part(max(c // 2, 1), x)))  # [B, H * W // 4, C / 2]
        scores = jnp.einsum("bnc,bmc->bnm", queries, keys).astype(jnp.float32)
        weights = nn.softmax(scores).astype(x.dtype)
        gathered = jnp.einsum("bnm,bmc->bnc", weights, values).reshape(b, h, w, -1)
        gamma = self.param("gamma", nn.initializers.zeros, ())
        return x + gamma.astype(x.dtype) * part(c, gathered)


def _max_pool(x):
    """[B, H, W, C] -> [B, H // 2, W // 2, C], the greatest of each 2x2."""
    b, h, w, c = x.shape[0], x.shape[1] // 2, x.shape[2] // 2, x.shape[3]
    return x[:, : 2 * h, : 2 * w].reshape(b, h, 2, w, 2, c).max((2, 4))
