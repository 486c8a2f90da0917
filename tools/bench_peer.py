"""One iteration of a peer's own networks on CPU, in PyTorch, as a line like `gan-jax bench` prints.

Needs that peer's checkout and torch, in an environment of its own; gan_jax itself needs neither:
python tools/bench_peer.py sngan --checkout ../PyTorch-StudioGAN --layout channels_last --out
peers.jsonl

Networks and their initial values are the peer's; of StyleGAN2, R3GAN, CycleGAN and StarGAN v2 the
losses too. The loop around them is ours. Neither data, nor the running average of G's weights, nor
logs are in the time.
"""

import argparse
import contextlib
import importlib
import importlib.util
import json
import pathlib
import platform
import resource
import statistics
import sys
import time
import types
from collections.abc import Callable
from typing import NamedTuple


class Workload(NamedTuple):
    batch: int
    nets: tuple  # (G, D)
    play: Callable[[int], None]  # one iteration, given its number
    cycle: int = 1  # iterations after which all lazy steps have come once


class StudioGAN(NamedTuple):
    """One of its CIFAR-10 configs at 32x32, by the values in which they differ; one D and one G
    step an iteration."""

    module: str
    batch: int
    loss: str  # vanilla, hinge or wasserstein, the last with WGAN-GP's penalty
    z_dim: int = 128
    width: int = 64
    conditional: bool = False  # ten classes: conditional batch norm in G, projection in D
    spectral: str = ""  # the players with spectral norm

    def __call__(self, layout) -> Workload:
        import torch
        from torch.nn.functional import relu, softplus

        g, d = (net.to(memory_format=layout) for net in self.networks())
        opt_g, opt_d = (
            torch.optim.Adam(net.parameters(), lr=2e-4, betas=(0.5, 0.999)) for net in (g, d)
        )
        x = torch.rand(self.batch, 3, 32, 32).to(memory_format=layout) * 2 - 1
        y = torch.randint(0, 10, (self.batch,))
        draw = lambda: g(torch.randn(self.batch, self.z_dim), y)
        critic = lambda pictures: d(pictures, y)["adv_output"]

        def loss_d():
            fake = draw()  # G is frozen: no graph
            logits_real, logits_fake = critic(x), critic(fake)
            if self.loss == "vanilla":
                return softplus(-logits_real).mean() + softplus(logits_fake).mean()
            if self.loss == "hinge":
                return relu(1 - logits_real).mean() + relu(1 + logits_fake).mean()
            mix = torch.rand(self.batch, 1, 1, 1)
            between = (mix * x + (1 - mix) * fake).requires_grad_(True)
            (slope,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
            penalty = 10 * ((slope.flatten(1).norm(dim=1) - 1) ** 2).mean()
            return logits_fake.mean() - logits_real.mean() + penalty

        def loss_g():
            logits_fake = critic(draw())
            return softplus(-logits_fake).mean() if self.loss == "vanilla" else -logits_fake.mean()

        def play(_):
            player_step(d, opt_d, lambda: loss_d().backward())
            player_step(g, opt_g, lambda: loss_g().backward())

        return Workload(self.batch, (g, d), play)

    def networks(self) -> tuple:
        """(G, D), built by its own modules."""
        import torch
        import utils

        # all that the networks use of it
        utils.misc = types.SimpleNamespace(dummy_context_mgr=contextlib.nullcontext)
        sys.modules.update({"utils.misc": utils.misc, "utils.style_ops": types.SimpleNamespace()})
        from utils import ops

        module = importlib.import_module(f"models.{self.module}")
        layers = types.SimpleNamespace(
            g_act_fn=torch.nn.ReLU(inplace=True),
            d_act_fn=torch.nn.ReLU(inplace=True),
            g_bn=ops.ConditionalBatchNorm2d if self.conditional else ops.batchnorm_2d,
            d_bn=ops.batchnorm_2d,
            d_embedding=ops.sn_embedding if "d" in self.spectral else ops.embedding,
        )
        for player in "gd":
            for layer in ("conv2d", "deconv2d", "linear"):
                setattr(
                    layers,
                    f"{player}_{layer}",
                    getattr(ops, f"sn{layer}" if player in self.spectral else layer),
                )
        shared = {
            "img_size": 32,
            "apply_attn": self.module == "big_resnet",
            "num_classes": 10,
            "mixed_precision": False,
            "MODULES": layers,
            "MODEL": types.SimpleNamespace(info_type="N/A", g_info_injection="N/A"),
        }
        g = module.Generator(
            z_dim=self.z_dim,
            g_shared_dim=128,
            g_conv_dim=self.width,
            attn_g_loc=[2],
            g_init="ortho",
            g_depth=None,
            g_cond_mtd="cBN" if self.conditional else "W/O",
            **shared,
        )
        d = module.Discriminator(
            d_conv_dim=self.width,
            attn_d_loc=[1],
            d_init="ortho",
            d_depth=None,
            d_embed_dim="N/A",
            # here only whether batch norm is left out, as WGAN-GP's paper does
            apply_d_sn=self.module != "deep_conv",
            normalize_d_embed=False,
            d_cond_mtd="PD" if self.conditional else "W/O",
            aux_cls_type="W/O",
            **shared,
        )
        return g.train(), d.train()


def stylegan2(layout) -> Workload:
    """Its "stylegan2" config (8 mapping layers, groups of 4, R1 gamma 10) at 64x64, batch 4,
    narrowed, float32, no ADA.

    Greg comes every 4 iterations, Dreg every 16. On CPU its ops take their reference forms by
    themselves. Each block orders its input by a switch, meant for half precision, so channels_last
    turns that too.
    """
    import torch
    from training import loss, networks

    batch, common = 4, {"c_dim": 0, "img_resolution": 64, "img_channels": 3}
    width, eight = {"channel_base": 4096, "num_fp16_res": 0}, {"num_layers": 8}
    g = networks.Generator(
        z_dim=512, w_dim=512, mapping_kwargs=eight, synthesis_kwargs=width, **common
    )
    d = networks.Discriminator(epilogue_kwargs={"mbstd_group_size": 4}, **width, **common)
    for block in (*g.modules(), *d.modules()):
        if hasattr(block, "channels_last") and not hasattr(block, "const"):  # the 4x4 one can't
            block.channels_last = layout is torch.channels_last
    g, d = (net.to(memory_format=layout) for net in (g, d))
    weights = {"style_mixing_prob": 0.9, "r1_gamma": 10, "pl_weight": 2, "pl_batch_shrink": 2}
    theirs = loss.StyleGAN2Loss(torch.device("cpu"), g.mapping, g.synthesis, d, **weights)

    def adam(net, every):
        lazy = every / (every + 1)
        return torch.optim.Adam(
            net.parameters(), lr=0.0025 * lazy, betas=(0.0, 0.99**lazy), eps=1e-8
        )

    opt_g, opt_d = adam(g, 4), adam(d, 16)
    steps = (
        ("Gmain", g, opt_g, 1),
        ("Greg", g, opt_g, 4),
        ("Dmain", d, opt_d, 1),
        ("Dreg", d, opt_d, 16),
    )
    x, c = torch.rand(batch, 3, 64, 64).to(memory_format=layout) * 2 - 1, torch.zeros(batch, 0)

    def play(step):
        for name, net, opt, every in steps:
            if step % every == 0:
                player_step(
                    net,
                    opt,
                    theirs.accumulate_gradients,
                    name,
                    x,
                    c,
                    torch.randn(batch, 512),
                    c,
                    True,
                    every,
                )

    return Workload(batch, (g, d), play, cycle=16)


def r3gan(layout) -> Workload:
    """Its CIFAR-10 preset at a quarter of the width and cardinality, ten classes, batch 8, float32,
    no augmentation.

    Rates are those of its schedules' start. On CPU its ops take their reference forms by
    themselves.
    """
    import torch

    if (
        importlib.util.find_spec("pkg_resources") is None
    ):  # gone from setuptools; asked only to order versions
        sys.modules["pkg_resources"] = types.SimpleNamespace(
            parse_version=torch.torch_version.TorchVersion
        )
    from R3GAN import Networks, Trainer

    batch, classes, stages = (
        8,
        10,
        ([192] * 4, [24] * 4, [2] * 4, 2),
    )  # widths, groups, blocks, expansion
    g = Networks.Generator(64, *stages, ConditionDimension=classes, ConditionEmbeddingDimension=64)
    d = Networks.Discriminator(*stages, ConditionDimension=classes, ConditionEmbeddingDimension=192)
    g, d = (net.to(memory_format=layout) for net in (g, d))
    opt_g, opt_d = (
        torch.optim.Adam(net.parameters(), lr=2e-4, betas=(0.0, 0.9), eps=1e-8) for net in (g, d)
    )
    theirs = Trainer.AdversarialTraining(g, d)
    x = torch.rand(batch, 3, 32, 32).to(memory_format=layout) * 2 - 1
    y = torch.nn.functional.one_hot(torch.randint(0, classes, (batch,)), classes).float()

    def play(_):
        player_step(
            d, opt_d, theirs.AccumulateDiscriminatorGradients, torch.randn(batch, 64), x, y, 0.05
        )
        player_step(g, opt_g, theirs.AccumulateGeneratorGradients, torch.randn(batch, 64), x, y)

    return Workload(batch, (g, d), play)


def cyclegan_model():
    """Its CycleGAN: residual generators of 6 blocks, pool of 50 fakes.

    As first published: convolutions of stride 2 and transposed ones (no_antialias,
    no_antialias_up), no dropout.
    """
    # it imports them and CycleGAN uses none
    sys.modules["models.stylegan_networks"] = types.SimpleNamespace(
        StyleGAN2Discriminator=None, StyleGAN2Generator=None, TileStyleGAN2Discriminator=None
    )
    sys.modules["util"] = package = types.ModuleType("util")
    package.__path__ = [
        str(pathlib.Path(sys.path[0]) / "util")
    ]  # its own __init__ imports what only its data needs
    from models import cycle_gan_model

    options = types.SimpleNamespace(
        gpu_ids=[],
        isTrain=True,
        checkpoints_dir="",
        name="",
        preprocess="none",
        amp=False,
        direction="AtoB",
        input_nc=3,
        output_nc=3,
        ngf=64,
        ndf=64,
        netG="resnet_6blocks",
        netD="basic",
        n_layers_D=3,
        normG="instance",
        normD="instance",
        no_dropout=True,
        init_type="normal",
        init_gain=0.02,
        no_antialias=True,
        no_antialias_up=True,
        lambda_A=10.0,
        lambda_B=10.0,
        lambda_identity=0.5,
        pool_size=50,
        gan_mode="lsgan",
        lr=2e-4,
        beta1=0.5,
    )
    with contextlib.redirect_stdout(sys.stderr):
        return cycle_gan_model.CycleGANModel(options)


def cyclegan(layout) -> Workload:
    """`cyclegan_model` at 128x128, batch 1, by its own `optimize_parameters`."""
    import torch

    model = cyclegan_model()
    nets = [
        getattr(model, f"net{name}").to(memory_format=layout)
        for name in ("G_A", "G_B", "D_A", "D_B")
    ]
    a, b = (torch.rand(1, 3, 128, 128).to(memory_format=layout) * 2 - 1 for _ in "ab")
    model.set_input({"A": a, "B": b, "A_paths": "", "B_paths": ""})

    def play(_):
        torch.nn.ModuleList(nets[:2]).requires_grad_(True)
        model.optimize_parameters()

    return Workload(1, tuple(nets), play)


def stylize(layout) -> Workload:
    """Its generator alone: 8 frames of 176x144 an iteration, no gradient."""
    import torch

    net = cyclegan_model().netG_A.to(memory_format=layout)
    x = (torch.rand(8, 3, 144, 176) * 2 - 1).to(memory_format=layout)

    def play(_):
        with torch.no_grad():
            net(x)

    return Workload(8, (net,), play)


class Enlarger(NamedTuple):
    """A network that enlarges, alone: a picture of 128x128 an iteration, no gradient."""

    file: str
    name: str
    settings: dict

    def __call__(self, layout) -> Workload:
        import torch

        net = getattr(basicsr(self.file), self.name)(**self.settings).to(memory_format=layout)
        x = torch.rand(1, 3, 128, 128).to(memory_format=layout)

        def play(_):
            with torch.no_grad():
                net(x)

        return Workload(1, (net,), play)


def basicsr(file: str):
    """A module of basicsr/archs in the checkout, whose package needs torchvision of 2022: what it
    imports of that is left empty."""

    def module(name, **parts):
        made = sys.modules[name] = types.ModuleType(name)
        vars(made).update(parts, __path__=[])

    names = types.SimpleNamespace(register=lambda **_: lambda kind: kind)
    checkout = next(path for path in map(pathlib.Path, sys.path) if (path / "basicsr").is_dir())
    for name in ("torchvision", "basicsr", "basicsr.utils", "basicsr.ops", "distutils"):
        module(name, get_root_logger=None)
    module("basicsr.utils.registry", ARCH_REGISTRY=names)
    module("basicsr.ops.dcn", ModulatedDeformConvPack=object, modulated_deform_conv=None)
    module("distutils.version", LooseVersion=None)
    module("basicsr.archs")
    sys.modules["basicsr.archs"].__path__ = [str(checkout / "basicsr" / "archs")]
    return importlib.import_module(f"basicsr.archs.{file}")


def starganv2(layout) -> Workload:
    """Its networks at 64x64 and full width (256 channels at full size), ten classes, batch 2, no
    high-pass skips.

    Its own losses and its solver's order: D by noise, D by references, G with mapping and encoder
    by noise, G by references.
    """
    import torch

    class Munch(dict):
        __getattr__ = dict.get

    stand_ins = {
        "munch": {"Munch": Munch},
        "core.wing": {"FAN": None},
        "core.checkpoint": {"CheckpointIO": None},
        "core.utils": {},
        "core.data_loader": {"InputFetcher": None},
        "metrics.eval": {"calculate_metrics": None},
    }
    for name, content in stand_ins.items():  # what its losses and networks do not use
        sys.modules[name] = types.SimpleNamespace(**content)
    core = importlib.import_module("core")
    core.utils = sys.modules["core.utils"]
    from core import model, solver

    batch, classes, side = 2, 10, 64
    nets = Munch(
        generator=model.Generator(side, 64, w_hpf=0),
        mapping_network=model.MappingNetwork(16, 64, classes),
        style_encoder=model.StyleEncoder(side, 64, classes),
        discriminator=model.Discriminator(side, classes),
    )
    for net in nets.values():
        net.to(memory_format=layout)
    args = types.SimpleNamespace(lambda_reg=1, lambda_sty=1, lambda_ds=1, lambda_cyc=1, w_hpf=0)
    rate = lambda name: 1e-6 if name == "mapping_network" else 1e-4
    opts = {
        name: torch.optim.Adam(
            net.parameters(), lr=rate(name), betas=(0.0, 0.99), weight_decay=1e-4
        )
        for name, net in nets.items()
    }
    pictures = lambda: torch.rand(batch, 3, side, side).to(memory_format=layout) * 2 - 1
    x, *references = (pictures() for _ in range(3))
    y, y_new = (torch.randint(0, classes, (batch,)) for _ in range(2))

    def play(_):
        torch.nn.ModuleList(nets.values()).requires_grad_(True)  # as its solver leaves them
        z = [torch.randn(batch, 16) for _ in range(2)]
        steps = (
            (solver.compute_d_loss, ("discriminator",), {"z_trg": z[0]}),
            (solver.compute_d_loss, ("discriminator",), {"x_ref": references[0]}),
            (
                solver.compute_g_loss,
                ("generator", "mapping_network", "style_encoder"),
                {"z_trgs": z},
            ),
            (solver.compute_g_loss, ("generator",), {"x_refs": references}),
        )
        for loss, movers, styles in steps:
            for opt in opts.values():
                opt.zero_grad()
            loss(nets, args, x, y, y_new, **styles)[0].backward()
            for name in movers:
                opts[name].step()

    return Workload(batch, tuple(nets.values()), play)


def player_step(net, opt, gradients: Callable, *args) -> None:
    """One optimizer step of one player by what `gradients(*args)` leaves in .grad; between steps
    all is frozen."""
    net.requires_grad_(True)
    opt.zero_grad()
    gradients(*args)
    opt.step()
    net.requires_grad_(False)


STUDIOGAN = "POSTECH-CVLab/PyTorch-StudioGAN", "src", "src/models/big_resnet.py"
BASICSR = "XPixelGroup/BasicSR", "", "basicsr/archs/rrdbnet_arch.py"
# what builds it, its repository, the folder of that one's modules, a file that only that one has
PEERS = {
    "dcgan": (StudioGAN("deep_conv", 64, "vanilla"), *STUDIOGAN),
    "sngan": (StudioGAN("resnet", 32, "hinge", conditional=True, spectral="d"), *STUDIOGAN),
    "wgan_gp": (StudioGAN("resnet", 32, "wasserstein"), *STUDIOGAN),
    "biggan": (
        StudioGAN("big_resnet", 16, "hinge", 80, 48, conditional=True, spectral="gd"),
        *STUDIOGAN,
    ),
    "stylegan2": (stylegan2, "NVlabs/stylegan2-ada-pytorch", "", "projector.py"),
    "r3gan": (r3gan, "brownvc/R3GAN", "", "R3GAN/Networks.py"),
    "cyclegan": (
        cyclegan,
        "taesungp/contrastive-unpaired-translation",
        "",
        "models/cycle_gan_model.py",
    ),
    "stylize": (
        stylize,
        "taesungp/contrastive-unpaired-translation",
        "",
        "models/cycle_gan_model.py",
    ),
    "srvgg": (
        Enlarger("srvgg_arch", "SRVGGNetCompact", {"num_conv": 16, "act_type": "prelu"}),
        *BASICSR,
    ),
    "rrdb_6": (
        Enlarger("rrdbnet_arch", "RRDBNet", {"num_in_ch": 3, "num_out_ch": 3, "num_block": 6}),
        *BASICSR,
    ),
    "rrdb": (
        Enlarger("rrdbnet_arch", "RRDBNet", {"num_in_ch": 3, "num_out_ch": 3}),
        *BASICSR,
    ),
    "starganv2": (starganv2, "clovaai/stargan-v2", "", "core/solver.py"),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("workload", choices=PEERS)
    parser.add_argument(
        "--checkout",
        required=True,
        type=pathlib.Path,
        help="of the repository that has the workload",
    )
    parser.add_argument(
        "--layout",
        choices=("eager", "channels_last"),
        default="eager",
        help="of the memory (default %(default)s)",
    )
    parser.add_argument(
        "--iterations",
        "--rounds",
        type=int,
        default=8,
        help="timed, after two others (default %(default)s)",
    )
    parser.add_argument("--out", type=pathlib.Path, help="append the line to this file too")
    flags = parser.parse_args()
    line = json.dumps(measure(flags))
    print(line)
    if flags.out:
        with flags.out.open("a", encoding="utf-8") as file:
            file.write(line + "\n")


def measure(flags: argparse.Namespace) -> dict:
    """As gan-jax bench: `step_ms` is the mean over a cycle in which each lazy step comes once;
    median and range are of cycles."""
    build, repository, folder, file = PEERS[flags.workload]
    if not (flags.checkout / file).is_file():
        sys.exit(
            f"error: --checkout={flags.checkout}: no checkout of github.com/{repository}: it has no"
            f" {file}."
        )
    if flags.iterations < 1:
        sys.exit(f"error: --iterations={flags.iterations}: it must be at least 1.")
    sys.path.insert(0, str(flags.checkout / folder))
    import torch

    layout = torch.channels_last if flags.layout == "channels_last" else torch.contiguous_format
    work = build(layout)
    torch.nn.ModuleList(work.nets).requires_grad_(False)
    iterations = -(-flags.iterations // work.cycle) * work.cycle
    times = []
    for step in (0, 1, *range(iterations)):  # iteration 0 has every step in it
        began = time.perf_counter()
        work.play(step)
        times.append(1e3 * (time.perf_counter() - began))
    cycles = [statistics.mean(times[i : i + work.cycle]) for i in range(2, len(times), work.cycle)]
    ms = statistics.median(cycles)
    return {
        "config": f"{repository.split('/')[1]} {flags.workload}",
        "set": [flags.layout],
        "batch": work.batch,
        "devices": 1,
        "device": f"cpu: {torch.get_num_threads()} threads",
        "params": [sum(leaf.numel() for leaf in net.parameters()) for net in work.nets],
        "compile_s": 0.0,
        "iterations": iterations,
        "step_ms": round(ms, 2),
        "step_ms_range": [round(min(cycles), 2), round(max(cycles), 2)],
        "img_s": round(1e3 * work.batch / ms, 2),
        "gflop_s": None,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
    }


if __name__ == "__main__":
    main()
