"""One D and one G update of PyTorch-StudioGAN's own networks, as a line like bench_step's, to compare with.

Needs a checkout of that repository and torch, in an environment of its own; gan_jax itself needs neither:
python tools/bench_peer.py sngan --studiogan ../PyTorch-StudioGAN --layout channels_last --out peers.jsonl
"""

import argparse
import contextlib
import json
import pathlib
import platform
import resource
import statistics
import sys
import time
import types

WORKLOADS = {  # batch, loss, conditional (cBN and projection), spectral norm, gradient penalty
    "dcgan": (64, "vanilla", False, False, False),
    "sngan": (32, "hinge", True, True, False),
    "wgan_gp": (32, "wasserstein", False, False, True),  # the critic without batch norm, as in the paper
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workload", choices=WORKLOADS)
    parser.add_argument("--studiogan", required=True, type=pathlib.Path, help="its checkout")
    parser.add_argument("--layout", choices=("eager", "channels_last"), default="eager")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--out", type=pathlib.Path, help="append the line to this file too")
    flags = parser.parse_args()
    line = json.dumps(measure(flags))
    print(line)
    if flags.out:
        with flags.out.open("a") as file:
            file.write(line + "\n")


def build(name: str, studiogan: pathlib.Path):
    """(G, D) at 32x32, z 128, widths as in its CIFAR-10 configs, built by its own modules."""
    sys.path.insert(0, str(studiogan / "src"))
    misc = types.ModuleType("utils.misc")  # of it the networks use one name; the rest wants packages we don't need
    misc.dummy_context_mgr = contextlib.nullcontext
    import utils

    utils.misc = sys.modules["utils.misc"] = misc
    sys.modules.setdefault("utils.style_ops", types.ModuleType("utils.style_ops"))
    import torch
    from models import deep_conv, resnet
    from utils import ops

    _, _, conditional, spectral, _ = WORKLOADS[name]
    d = "sn" if spectral else ""
    layers = types.SimpleNamespace(
        g_conv2d=ops.conv2d, g_deconv2d=ops.deconv2d, g_linear=ops.linear, g_embedding=ops.embedding,
        g_bn=ops.ConditionalBatchNorm2d if conditional else ops.batchnorm_2d, d_bn=ops.batchnorm_2d,
        g_act_fn=torch.nn.ReLU(inplace=True), d_act_fn=torch.nn.ReLU(inplace=True),
        d_conv2d=getattr(ops, d + "conv2d"), d_deconv2d=getattr(ops, d + "deconv2d"),
        d_linear=getattr(ops, d + "linear"), d_embedding=ops.sn_embedding if spectral else ops.embedding,
    )  # fmt: skip
    model = types.SimpleNamespace(info_type="N/A", g_info_injection="N/A")
    shared = {"img_size": 32, "apply_attn": False, "num_classes": 10, "mixed_precision": False}
    shared |= {"MODULES": layers, "MODEL": model}
    module = deep_conv if name == "dcgan" else resnet
    g = module.Generator(
        z_dim=128, g_shared_dim="N/A", g_conv_dim=64, attn_g_loc=[], g_init="ortho", g_depth=None,
        g_cond_mtd="cBN" if conditional else "W/O", **shared,
    )  # fmt: skip
    d = module.Discriminator(
        d_conv_dim=64, attn_d_loc=[], d_init="ortho", d_depth=None, d_embed_dim="N/A", normalize_d_embed=False,
        apply_d_sn=name != "dcgan",  # here only whether batch norm is left out
        d_cond_mtd="PD" if conditional else "W/O", aux_cls_type="W/O", **shared,
    )  # fmt: skip
    return g.train(), d.train()


def measure(flags: argparse.Namespace) -> dict:
    import torch
    from torch.nn.functional import relu, softplus

    batch, loss, _, _, penalised = WORKLOADS[flags.workload]
    layout = torch.channels_last if flags.layout == "channels_last" else torch.contiguous_format
    g, d = (net.to(memory_format=layout) for net in build(flags.workload, flags.studiogan))
    opt_g, opt_d = (torch.optim.Adam(net.parameters(), lr=2e-4, betas=(0.5, 0.999)) for net in (g, d))
    x, y = (torch.rand(batch, 3, 32, 32) * 2 - 1).to(memory_format=layout), torch.randint(0, 10, (batch,))
    judge = lambda images: d(images, y)["adv_output"]
    d_loss = {
        "vanilla": lambda real, fake: softplus(-real).mean() + softplus(fake).mean(),
        "hinge": lambda real, fake: relu(1 - real).mean() + relu(1 + fake).mean(),
        "wasserstein": lambda real, fake: fake.mean() - real.mean(),
    }[loss]
    g_loss = (lambda fake: softplus(-fake).mean()) if loss == "vanilla" else (lambda fake: -fake.mean())

    def penalty(fake):
        mix = torch.rand(batch, 1, 1, 1)
        between = (mix * x + (1 - mix) * fake).requires_grad_(True)
        (slope,) = torch.autograd.grad(judge(between).sum(), between, create_graph=True)
        return 10 * ((slope.flatten(1).norm(dim=1) - 1) ** 2).mean()

    def step():
        g.requires_grad_(False), d.requires_grad_(True), opt_d.zero_grad()
        with torch.no_grad():
            fake = g(torch.randn(batch, 128), y)
        (d_loss(judge(x), judge(fake)) + (penalty(fake) if penalised else 0)).backward()
        opt_d.step()
        g.requires_grad_(True), d.requires_grad_(False), opt_g.zero_grad()
        g_loss(judge(g(torch.randn(batch, 128), y))).backward()
        opt_g.step()

    times = []
    for _ in range(flags.rounds + 2):
        began = time.perf_counter()
        step()
        times.append(1e3 * (time.perf_counter() - began))
    ms = statistics.median(times[2:])
    return {
        "config": f"StudioGAN {flags.workload}",
        "set": [flags.layout],
        "batch": batch,
        "devices": 1,
        "device": f"cpu: {torch.get_num_threads()} threads",
        "compile_s": 0.0,
        "step_ms": round(ms, 2),
        "step_ms_range": [round(min(times[2:]), 2), round(max(times[2:]), 2)],
        "img_s": round(1e3 * batch / ms, 2),
        "gflop_s": None,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
    }


if __name__ == "__main__":
    main()
