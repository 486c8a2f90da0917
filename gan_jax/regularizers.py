"""Penalties on a critic or a generator: unweighted functions of networks, images and logits.

A critic maps images to logits of any shape [B, ...] and must not mix images (no batch norm, no
minibatch statistics): the gradient of the summed logits is then each image's own. Images are in
[-1, 1].
"""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from gan_jax.distributed import collectives
from gan_jax.state import PyTree

Images = Float[Array, "B H W C"]
Logits = Float[Array, "B *patches"]
Critic = Callable[[Images], Logits]
# (images, scale of the critic's biases) -> logits
ScaledCritic = Callable[[Images, Float[Array, " B"]], Float[Array, " B"]]


def grad_penalty(critic: Critic, x: Images) -> Float[Array, " B"]:
    """Squared input-gradient norm an image, ||d critic(x) / dx||^2: R1 on reals, R2 on fakes.

    Of a critic with minibatch statistics (StyleGAN2's) it is the gradient of the batch's sum, as in
    the official code. The value depends on the images' range: in [0, 1] it is 4x larger. Callers
    apply gamma / 2 and the mean.
    Reference: Mescheder et al. 2018, arXiv:1801.04406, "simplified gradient penalties".
    """
    grads = jax.grad(lambda images: jnp.sum(critic(images)))(x)
    return jnp.sum(jnp.square(grads), axis=(1, 2, 3))


def interpolate_penalty(
    critic: Critic, x_real: Images, x_fake: Images, mix: Float[Array, "B 1 1 1"]
) -> Float[Array, " B"]:
    """(||d critic(x) / dx|| - 1)^2 at x = mix * real + (1 - mix) * fake: WGAN-GP's pull to slope
    one.

    mix: uniform in [0, 1]. Callers apply lambda (10) and the mean.
    Reference: Gulrajani et al. 2017, arXiv:1704.00028, eq. 3.
    Differs: the norm is sqrt(sum of squares + 1e-12), whose gradient is finite where the critic is
    flat.
    """
    norm = jnp.sqrt(grad_penalty(critic, mix * x_real + (1 - mix) * x_fake) + 1e-12)
    return jnp.square(norm - 1)


def lecam(
    logits_real: Logits,
    logits_fake: Logits,
    mean_real: Float[Array, ""],
    mean_fake: Float[Array, ""],
) -> Float[Array, ""]:
    """Pulls each side's logits to the other side's running mean: relu(real - mean_fake)^2 +
    relu(mean_real - fake)^2, the mean of each term.

    mean_real, mean_fake: `lecam_means`; no gradient runs through them.
    Reference: Tseng et al. 2021, arXiv:2104.03310, eq. 3.
    Differs: one-sided, as the authors' program is; the paper squares the distance on both sides of
    the mean.
    """
    over = jax.nn.relu(logits_real - lax.stop_gradient(mean_fake))
    under = jax.nn.relu(lax.stop_gradient(mean_real) - logits_fake)
    return jnp.mean(jnp.square(over)) + jnp.mean(jnp.square(under))


def lecam_means(
    means: dict[str, Float[Array, ""]],
    logits_real: Logits,
    logits_fake: Logits,
    decay: Float[Array, ""] | float,
) -> dict[str, Float[Array, ""]]:
    """LeCam's running means, "real" and "fake", after an optimizer step with these logits; no
    gradient runs through them."""
    new = collectives.mean({"real": jnp.mean(logits_real), "fake": jnp.mean(logits_fake)})
    return jax.tree.map(lambda a, b: decay * a + (1 - decay) * jax.lax.stop_gradient(b), means, new)


def consistency(logits: Logits, logits_perturbed: Logits) -> Float[Array, ""]:
    """Mean squared change of the critic's logits when its images are perturbed.

    Reference: Zhang et al. 2019, arXiv:1910.12027, of reals; Zhao et al. 2020, arXiv:2002.04724, of
    fakes too. Gradients run through both logits.
    """
    return jnp.mean(jnp.square(logits - logits_perturbed))


def path_length(
    render: Callable[[Float[Array, "B L W"]], Float[Array, "B H V C"]],
    ws: Float[Array, "B L W"],
    noise: Float[Array, "B H V C"],
) -> Float[Array, " B"]:
    """How far a random change of the picture reaches back into w, ||J^T y|| an image: StyleGAN2's
    path length, the root of the mean over layers of the sum over w.

    Args:
        render: styles of L layers -> images, every image of its own.
        noise: standard normal; y is it divided by the root of an image's pixels.
    Callers take the squared distance to its running mean, and weight it (2).
    Reference: Karras et al. 2020, arXiv:1912.04958, eq. 4 and appendix B.
    """
    y = noise / math.sqrt(noise.shape[1] * noise.shape[2])
    grads = jax.grad(lambda ws: jnp.sum(render(ws) * y))(ws)
    return jnp.sqrt(jnp.mean(jnp.sum(jnp.square(grads), axis=2), axis=1))


def orthogonal(params: PyTree) -> Float[Array, ""]:
    """Half the squared products between different rows of W, ||(W W^T) * (1 - I)||^2 / 2, summed
    over the kernels.

    params: a network's; of each array [..., I, O] W is [O, everything else], a row for each output.
        Vectors, and what is under a name with "embed", are left out.
    Its gradient is 2 * ((W W^T) * (1 - I)) W.
    Reference: Brock et al. 2018, arXiv:1809.11096, eq. 3; half of it, which has the gradient of its
    authors' code.
    """

    def one(path, w):
        if w.ndim < 2 or any("embed" in str(key).lower() for key in path):
            return 0.0
        gram = jnp.tensordot(w, w, [list(range(w.ndim - 1))] * 2)  # [O, O]
        return jnp.sum(jnp.square(gram * (1 - jnp.eye(w.shape[-1])))) / 2

    return jnp.float32(sum(jax.tree.leaves(jax.tree_util.tree_map_with_path(one, params))))


def logits_and_slopes(critic: ScaledCritic, x: Images) -> tuple[Float[Array, " B"], Images]:
    """Logits and input gradients of a piecewise linear critic, both to be differentiated, for one
    double backward pass.

    Such a critic (convolutions, biases, leaky ReLUs) is homogeneous of degree 1 in its image and
    its biases taken together, so by Euler's theorem D(x) = <dD/dx, x> + dD/dscale, and the same
    holds of the derivatives by its weights. The logit is therefore differentiated as a function of
    the slopes: backward passes for R1, R2 and the adversarial loss are one, in 4 passes' work for
    the 6 of logits and slopes apart. The numbers are the same.
    """
    logits, pull_back = jax.vjp(critic, x, jnp.ones(x.shape[0]))
    slopes, by_scale = pull_back(jnp.ones_like(logits))
    euler = jnp.sum(slopes * x, axis=(1, 2, 3)) + by_scale
    # the critic's own value, Euler's derivative
    return euler + lax.stop_gradient(logits - euler), slopes


def r1_r2(
    critic: ScaledCritic,
    augment: Callable[[Float[Array, "B 2 H W C"]], Float[Array, "B 2 H W C"]],
    pairs: Float[Array, "B 2 H W C"],
) -> tuple[Float[Array, ""], Float[Array, ""], Float[Array, "B 2"], Float[Array, "B 2 H W C"]]:
    """R1 and R2 of a piecewise linear critic, and its logits, by one double backward pass.

    Slopes are those at the picture before it is augmented: ||d critic(augment(x)) / dx||^2.

    Args:
        critic: as that of `logits_and_slopes`; takes both pictures of every row.
        augment: pairs -> what the critic sees of them; differentiable.
        pairs: the real and the fake picture of each row.
    Returns:
        (R1, R2, logits, the augmented pairs). R1 and R2 are means over the batch; callers apply
        gamma / 2.
    Reference: Mescheder et al. 2018, arXiv:1801.04406, eq. 9 and 10.
    """
    augmented, pull_back = jax.vjp(augment, pairs)
    logits, slopes = logits_and_slopes(critic, augmented.reshape(-1, *pairs.shape[2:]))
    (slopes,) = pull_back(slopes.reshape(pairs.shape))
    r1, r2 = jnp.mean(jnp.sum(jnp.square(slopes), axis=(2, 3, 4)), 0)
    return r1, r2, logits.reshape(-1, 2), augmented


def crop_consistency(
    translate: Callable[[Images], Images], x: Images, x_fake: Images, rng: jax.Array
) -> Float[Array, ""]:
    """How much a translation changes where its picture is shifted: mean (crop(translate(x)) -
    translate(crop(x)))^2.

    A video's frames are shifted pictures of each other; a translator that answers a shift with the
    same shift does not flicker. Flow-free, as in VToonify (Yang et al. 2022, arXiv:2209.11224, eq.
    5).

    x_fake: translate(x). One window of 7/8 of each side, its place uniform, is taken from all
        pictures.
    Differs: the weight is the caller's and does not grow over training.
    """
    size = [max(1, side * 7 // 8) for side in x.shape[1:3]]
    keys = jax.random.split(rng)
    at = [
        jax.random.randint(key, (), 0, side - part + 1)
        for key, side, part in zip(keys, x.shape[1:3], size, strict=True)
    ]

    def crop(images):
        return jax.lax.dynamic_slice(images, (0, *at, 0), (x.shape[0], *size, x.shape[3]))

    return jnp.mean(jnp.square(crop(x_fake) - translate(crop(x))))
