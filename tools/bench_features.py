"""Speed and memory of feature extraction: python tools/bench_features.py --images 50000 prints one
JSON line.

With --stages of the feature maps that losses and critics look at, without and with the gradient by
the pictures, in images a second of processor time: other programs on the machine change it little.

Pictures are made up as they are asked for, so that what is measured is the net and the streaming,
not a disk.
"""

import argparse
import json
import resource
import sys
import time

from gan_jax.runtime import cli


def main() -> None:
    parser = cli.Parser(__doc__)
    parser.add_argument("--features", default="efflite0", help="the net (default %(default)s)")
    parser.add_argument("--weights", help="its file (efflite0 has its own)")
    parser.add_argument("--images", type=int, default=1000, help="default %(default)s")
    parser.add_argument(
        "--resolution", type=int, default=32, help="of the pictures (default %(default)s)"
    )
    parser.add_argument(
        "--batch",
        type=int,
        default=32,
        help="pictures a device sees at a time (default %(default)s)",
    )
    parser.add_argument(
        "--keep",
        type=int,
        default=0,
        help="features that stay in memory (default: none, as for fid)",
    )
    parser.add_argument(
        "--stages", action="store_true", help="feature maps and their gradient, a batch at a time"
    )
    flags = parser.parse_args()
    if min(flags.images, flags.resolution, flags.batch) < 1 or flags.keep < 0:
        raise ValueError(
            "--images, --resolution and --batch must be at least 1, --keep at least 0."
        )
    print(json.dumps(stages(flags) if flags.stages else measure(flags)))


def stages(flags: argparse.Namespace) -> dict:
    """The median of 15 batches each, after one that compiles."""
    import jax
    import numpy as np

    from gan_jax import pretrained

    net = pretrained.load(flags.features, flags.weights)
    shape = (flags.batch, flags.resolution, flags.resolution, 3)
    x = jax.device_put(np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32))

    def loss(x, params):
        return sum((maps**2).mean() for maps in net.stages(params, x).values())

    def images_a_second(step):
        params, seconds = jax.device_put(net.params), []
        jax.block_until_ready(step(x, params))
        for _ in range(15):
            began = time.process_time()
            jax.block_until_ready(step(x, params))
            seconds.append(time.process_time() - began)
        return round(flags.batch / float(np.median(seconds)), 1)

    return {
        "features": net.name,
        "resolution": flags.resolution,
        "batch": flags.batch,
        "img_cpu_s": images_a_second(jax.jit(loss)),
        "img_cpu_s_with_gradient": images_a_second(jax.jit(jax.value_and_grad(loss))),
    }


def measure(flags: argparse.Namespace) -> dict:
    """Mean and covariance of the features of `flags.images` pictures, after one batch that
    compiles."""
    import jax
    import numpy as np

    from gan_jax import pretrained
    from gan_jax.evaluation import features
    from gan_jax.evaluation.images import Images

    extractor = features.Extractor(pretrained.load(flags.features, flags.weights), flags.batch)
    shape = (flags.resolution, flags.resolution, 3)

    def load(ids):
        return np.random.default_rng(int(ids[0])).integers(0, 256, (len(ids), *shape), np.uint8)

    images = Images(load, flags.images)
    began = time.perf_counter()
    features.extract(images, np.arange(min(flags.batch, flags.images)), extractor, keep=0)
    compile_s, before = time.perf_counter() - began, peak_mib()
    began = time.perf_counter()
    found = features.extract(
        images, np.arange(flags.images), extractor, keep=flags.keep, moments=True
    )
    seconds = time.perf_counter() - began
    device = jax.local_devices()[0]
    return {
        "features": extractor.net.name,
        "dim": extractor.net.dim,
        "images": found.moments.n,
        "resolution": flags.resolution,
        "batch": flags.batch,
        "kept": len(found.kept),
        "devices": jax.local_device_count(),
        "device": f"{device.platform}: {device.device_kind}",
        "first_batch_s": round(compile_s, 2),
        "img_s": round(flags.images / seconds, 1),
        "peak_mib_before": before,
        "peak_mib": peak_mib(),
        "all_features_would_be_mib": round(flags.images * extractor.net.dim * 4 / 2**20),
    }


def peak_mib() -> int:
    """The process's largest memory so far."""
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round((own if sys.platform == "darwin" else own * 1024) / 2**20)


if __name__ == "__main__":
    cli.tool(main)
