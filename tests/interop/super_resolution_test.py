"""Networks that enlarge: with BasicSR's and Real-ESRGAN's own numbers, and Real-ESRGAN's weights
with those of ncnn. How they were made is said in tests/fixtures/README.md."""

import struct

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy

from gan_jax.inference import restore
from gan_jax.interop import super_resolution
from gan_jax.models import rrdb, srresnet, srvgg
from gan_jax.runtime import weights
from tests.paths import FIXTURES

OFFICIAL = np.load(FIXTURES / "super_resolution.npz")
ENGINE = np.load(FIXTURES / "real_esrgan.npz")
COUNTS = {  # official parameters, by models and settings
    (rrdb, ()): 16_697_987,
    (rrdb, (("scale", 2),)): 16_703_171,
    (rrdb, (("blocks", 6),)): 4_467_779,
    (srvgg, ()): 621_424,
    (srvgg, (("layers", 32),)): 1_213_296,
    (srresnet, ()): 1_517_571,
}


def of(tag):
    """The state dict of a network."""
    return {k.removeprefix(f"{tag}/"): OFFICIAL[k] for k in OFFICIAL if k.startswith(f"{tag}/")}


def nhwc(x):
    return x.transpose(0, 2, 3, 1)


def made(found, x):
    net = found.net
    return np.asarray(jax.jit(lambda p, x: net.apply({"params": p}, x))(found.params, x))


def size(net, shape):
    found = jax.eval_shape(lambda k: net.init(k, jnp.zeros(shape)), jax.random.key(0))
    return sum(x.size for x in jax.tree.leaves(found["params"]))


@pytest.mark.parametrize(("model", "settings"), COUNTS)
def test_parameters_are_as_many_as_the_official_ones(model, settings):
    net = model.Generator(**dict(settings))
    assert size(net, (1, 8, 8, 3)) == COUNTS[model, settings]


def test_a_critics_parameters_are_as_many():
    assert size(rrdb.Discriminator(), (1, 8, 8, 3)) == 4_376_897
    assert size(srresnet.Discriminator(), (1, 128, 128, 3)) == 14_499_401


@pytest.mark.parametrize("wrapper", ["", "params.", "params_ema."])
@pytest.mark.parametrize("tag", ["rrdb1", "rrdb2", "rrdb4", "compact", "srresnet"])
def test_pictures_are_the_official_ones(tag, wrapper, tmp_path):
    arrays = {f"{wrapper}{name}": x for name, x in of(tag).items()}
    if wrapper == "params_ema.":  # which goes before the weights as they are
        arrays |= {f"params.{name}": np.zeros_like(x) for name, x in of(tag).items()}
    safetensors.numpy.save_file(arrays, tmp_path / "net.safetensors")
    found = super_resolution.read(tmp_path / "net.safetensors")
    wanted = nhwc(OFFICIAL[f"{tag}:y"])
    np.testing.assert_allclose(made(found, nhwc(OFFICIAL[f"{tag}:x"])), wanted, atol=2e-5)


def test_the_first_esrgans_names(tmp_path):
    places = {"first": "0", "up1": "3", "up2": "6", "hr": "8", "last": "10", "body": "1.sub.1"}

    def old(name):
        part, *rest = name.split(".")
        if part == "body":
            return f"model.1.sub.{rest[0]}.{rest[1].upper()}.{rest[2]}.0.{rest[3]}"
        return f"model.{places[part.removeprefix('conv_')]}.{rest[0]}"

    arrays = {old(name): x for name, x in of("rrdb4").items()}
    safetensors.numpy.save_file(arrays, tmp_path / "net.safetensors")
    found = super_resolution.read(tmp_path / "net.safetensors")
    wanted = nhwc(OFFICIAL["rrdb4:y"])
    np.testing.assert_allclose(made(found, nhwc(OFFICIAL["rrdb4:x"])), wanted, atol=2e-5)


def test_the_u_nets_logits_are_the_official_ones():
    arrays, params, spectral = of("unet"), {}, {}
    down, up = ["down1", "down2", "down3"], ["up2", "up1", "up0"]
    names = ["first", *down, *up, "large0", "large1", "last"]
    for k, name in enumerate(names):
        plain = name in ("first", "last")
        kernel = arrays[f"conv{k}.weight" if plain else f"conv{k}.weight_orig"]
        params[name] = {"kernel": kernel.transpose(2, 3, 1, 0)}
        if plain:
            params[name]["bias"] = arrays[f"conv{k}.bias"]
        else:
            spectral[name] = {"spectral_norm": {"u": arrays[f"conv{k}.weight_u"]}}
    net, x = rrdb.Discriminator(width=2), nhwc(OFFICIAL["unet:x"])
    found, _ = net.apply(
        {"params": params, "spectral": spectral}, x, train=True, mutable=["spectral"]
    )
    np.testing.assert_allclose(found, OFFICIAL["unet:y"][:, 0], atol=1e-5)


def test_the_vgg_like_critics_logits_are_the_official_ones():
    arrays, params = of("vgg"), {}
    for level in range(5):
        for official, ours, norm in (("0", "conv", "norm"), ("1", "down", "down_norm")):
            name = f"conv{level}_{official}"
            params[f"{ours}{level}"] = {"kernel": arrays[f"{name}.weight"].transpose(2, 3, 1, 0)}
            if f"{name}.bias" in arrays:
                params[f"{ours}{level}"]["bias"] = arrays[f"{name}.bias"]
            else:
                of_norm = {k: arrays[f"bn{level}_{official}.{k}"] for k in ("weight", "bias")}
                params[f"{norm}{level}"] = {"scale": of_norm["weight"], "bias": of_norm["bias"]}
    for official, ours in (("linear1", "dense"), ("linear2", "last")):
        kernel, bias = (arrays[f"{official}.{k}"] for k in ("weight", "bias"))
        params[ours] = {"kernel": kernel.T, "bias": bias}
    net = srresnet.Discriminator(width=2)
    x = np.random.default_rng(0).random((3, 128, 128, 3), np.float32)
    start = net.init(jax.random.key(0), x)
    jax.tree.map(lambda a, b: np.testing.assert_equal(a.shape, b.shape), start["params"], params)
    variables = {"params": params, "batch_stats": start["batch_stats"]}
    found, _ = net.apply(variables, x, train=True, mutable=["batch_stats"])
    np.testing.assert_allclose(found, OFFICIAL["vgg:y"][:, 0], atol=1e-4)


@pytest.mark.parametrize("name", ["fast", "drawing", pytest.param("photo", marks=pytest.mark.slow)])
def test_real_esrgans_pictures_are_its_own_engines(name):
    """ncnn's, in float32."""
    found, file = restore.load(name)
    x = ENGINE["picture"][None].astype(np.float32) / 255
    np.testing.assert_allclose(made(found, x)[0], ENGINE[name], atol=2e-5)
    assert file.suffix == ".param" and [x.suffix for x in weights.parts(file)] == [".param", ".bin"]


def ncnn_pair(folder, tag):
    """A network of OFFICIAL as ncnn has it: float16 weights, float32 biases and slopes."""
    lines, data, arrays = [], b"", of(tag)
    for name in [k.removesuffix(".weight") for k in arrays if k.endswith(".weight")]:
        weight = arrays[f"{name}.weight"]
        if weight.ndim == 1:
            lines.append(f"PReLU {name} 1 1 a b 0={len(weight)}")
            data += weight.tobytes()
            continue
        out, side = weight.shape[0], weight.shape[2]
        lines.append(f"Convolution {name} 1 1 a b 0={out} 1={side} 4=1 5=1 6={weight.size}")
        data += struct.pack("<I", 0x01306B47) + weight.astype("<f2").tobytes()
        data += b"\0" * (-len(data) % 4) + arrays[f"{name}.bias"].tobytes()
    text = "\n".join(["7767517", f"{len(lines)} 9", *lines]) + "\n"
    (folder / "net.param").write_text(text)
    (folder / "net.bin").write_bytes(data)
    return folder / "net.param"


@pytest.mark.parametrize("tag", ["rrdb2", "compact"])
def test_ncnns_files(tag, tmp_path):
    found = super_resolution.read(ncnn_pair(tmp_path, tag))
    safetensors.numpy.save_file(of(tag), tmp_path / "net.safetensors")
    wanted = super_resolution.read(tmp_path / "net.safetensors")
    assert found.net == wanted.net
    jax.tree.map(
        lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-3, atol=1e-4),
        found.params,
        wanted.params,
    )


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda t, b: (t, b[:-4]), "net.param: truncated, damaged"),
        (lambda t, b: (t, b + b"1234"), "net.bin has .* bytes, its layers"),
        (lambda t, b: (t.replace("7767517", "7767518"), b), "no ncnn network"),
        (lambda t, b: (t.replace("PReLU", "Gelu"), b), "of a kind .Gelu. that is not read"),
        (lambda t, b: (t.replace("0=4", "0=0", 1), b), "a size of 0"),
        (lambda t, b: (t.replace("0=4", "0=7", 1), b), "108 weights for 7 channels"),
        (lambda t, b: (t, b"1234" + b[4:]), "weights of a kind .0x34333231. that is not read"),
        (lambda t, b: (t + "PReLU x 1 1 a b 0=4\n", b), "its number of layers"),
        (lambda t, b: ("", b), "no ncnn network"),
    ],
)
def test_ncnns_files_that_are_damaged(change, says, tmp_path):
    file = ncnn_pair(tmp_path, "compact")
    text, data = change(file.read_text(), (tmp_path / "net.bin").read_bytes())
    file.write_text(text)
    (tmp_path / "net.bin").write_bytes(data)
    with pytest.raises(ValueError, match=says):
        super_resolution.read(file)


def test_without_the_other_of_ncnns_files(tmp_path):
    file = ncnn_pair(tmp_path, "compact")
    (tmp_path / "net.bin").unlink()
    with pytest.raises(ValueError, match=r"net.param: .*net.bin"):
        super_resolution.read(file)


@pytest.mark.parametrize(
    ("tag", "change", "says"),
    [
        ("rrdb4", lambda a: {"x": a["conv_first.weight"]}, "no network that is known: it has x"),
        ("rrdb4", lambda a: {k: x for k, x in a.items() if k != "conv_up1.bias"}, "it lacks"),
        (
            "rrdb4",
            lambda a: a | {"conv_hr.weight": a["conv_hr.weight"][..., :1]},
            "large: a layer of shape",
        ),
        ("rrdb2", lambda a: a | {"conv_first.weight": a["conv_first.weight"][:, :9]}, "no RRDBNet"),
        ("compact", lambda a: a | {"body.6.weight": a["body.6.weight"][:26]}, "the last of 26"),
        (
            "compact",
            lambda a: a | {"body.1.weight": a["body.1.weight"][:1]},
            "slope0 is .1., and .4.",
        ),
        ("compact", lambda a: {"body.1.weight": a["body.1.weight"]}, "its layers are not those of"),
        ("rrdb4", lambda a: a | {"conv_first.weight": np.zeros(3, np.float32)}, "not those of"),
        (
            "rrdb4",
            lambda a: (
                a
                | {k: a[k][:1] for k in ("conv_last.weight", "conv_last.bias")}
                | {"conv_first.weight": a["conv_first.weight"][:, :1]}
            ),
            "first/kernel is .3, 3, 1, 4., and .3, 3, 3, 4. in a network for pictures in RGB",
        ),
    ],
)
def test_other_networks_are_named(tag, change, says, tmp_path):
    safetensors.numpy.save_file(
        {k: np.ascontiguousarray(x) for k, x in change(of(tag)).items()},
        tmp_path / "net.safetensors",
    )
    with pytest.raises(ValueError, match=f"net.safetensors: .*{says}"):
        super_resolution.read(tmp_path / "net.safetensors")
