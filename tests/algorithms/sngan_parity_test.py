"""SNGAN and SAGAN against PyTorch-StudioGAN, with the same weights and inputs on both sides.

The reference (fixtures/sngan.npz, torch 2.13.0, CPU, float32): PyTorch-StudioGAN 947b35e `resnet`
at 32x32, 4 channels, z 16, in training mode: G's pictures, and D's logits of the data and those
pictures in one pass. "cond" has 5 classes (cBN, projection), "plain" none; both have spectral norm
in D only. "sagan" has it in G too and attention after G's second and D's first block; no classes,
for there StudioGAN normalizes the labels' tables. Weights and inputs are those of
biggan_parity_test.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax import losses
from gan_jax.algorithms import base
from gan_jax.models import sngan
from tests.algorithms import biggan_parity_test as peer
from tests.paths import FIXTURES

REFERENCE = np.load(FIXTURES / "sngan.npz")
G_OWN = {"Dense_0": "linear0", "BatchNorm_0": "bn4", "Conv_0": "conv2d5"}
D_OWN = {"Dense_0": "linear1", "Embed_0": "embedding"}


@pytest.mark.parametrize(
    ("tag", "classes", "settings"),
    [("cond", 5, {}), ("plain", 0, {}), ("sagan", 0, {"attention": 16, "spectral_norm": True})],
)
def test_studiogans_networks(tag, classes, settings):
    y = peer.LABELS if classes else None
    attended = "attention" in settings
    in_g = (0, 1, 3) if attended else (0, 1, 2)  # its list of blocks counts the attention
    in_d = (0, 2, 3, 4) if attended else (0, 1, 2, 3)
    layers_g = peer.layers_of(
        G_OWN,
        "Gen",
        peer.block("Gen", peer.STUDIO_CONV, ".bn"),
        in_g,
        "blocks.2.0",
        peer.STUDIO_PARTS,
    )
    layers_g |= {
        f"GenBlock_{i}/BatchNorm_{j}": f"blocks.{n}.0.bn{j + 1}"
        for i, n in enumerate(in_g)
        for j in (0, 1)
    }
    layers_d = peer.layers_of(
        D_OWN, "Disc", peer.block("Disc", peer.STUDIO_CONV), in_d, "blocks.1.0", peer.STUDIO_PARTS
    )
    leaves = peer.STUDIO_LEAVES | ({} if attended else {"kernel": "weight", "": "weight"})

    g = sngan.Generator((32, 32, 3), classes, width=4, **settings)
    params, mutable = peer.network(g, "g.", layers_g, leaves, peer.NOISE, y)
    images, state_g = jax.jit(lambda z: base.forward(g, params, mutable, z, y))(peer.NOISE)
    peer.close(images[:2], REFERENCE[f"{tag}/images"])

    d = sngan.Discriminator((32, 32, 3), classes, width=4, attention=settings.get("attention", 0))
    x = jnp.concatenate([base.to_float(jnp.asarray(peer.IMAGES)), images])
    y = None if y is None else np.concatenate([y, y])
    params, mutable = peer.network(d, "d.", layers_d, peer.STUDIO_LEAVES, x, y)
    logits, state_d = jax.jit(lambda x: base.forward(d, params, mutable, x, y))(x)
    peer.close(logits, REFERENCE[f"{tag}/logits"])
    peer.close(losses.hinge_d(logits[:4], logits[4:]), REFERENCE[f"{tag}/loss_d"])
    peer.close(losses.wasserstein_g(logits[:4], logits[4:]), REFERENCE[f"{tag}/loss_g"])

    for who, state, layers in (("g", state_g, layers_g), ("d", state_d, layers_d)):
        for part, collection in (("u", "spectral"), ("stats", "batch_stats")):
            tree = dict(state.get(collection, {}))
            tree.pop("Embed_0", None)  # of the other side's singular vectors
            read = lambda name, shape, part=part, who=who: REFERENCE[f"{tag}/{part}/{who}.{name}"]
            jax.tree.map(
                peer.close, tree, peer.ours(tree, layers, peer.STUDIO_LEAVES, read, who == "g")
            )
