"""Other people's MI-GAN: the official state dict for use, and what is refused."""

import itertools

import numpy as np
import pytest
import safetensors.numpy
from flax import traverse_util
from PIL import Image

from gan_jax.data import geometry
from gan_jax.data.images import to_uint8
from gan_jax.inference import inpaint
from gan_jax.inference.sampler import Sampler
from gan_jax.interop import migan
from gan_jax.models.migan import Generator
from tests.data import clips_test
from tests.paths import FIXTURES

OFFICIAL = np.load(FIXTURES / "migan.npz")
ARRAYS = {k[2:]: OFFICIAL[k] for k in OFFICIAL.files if k.startswith("g/")}
FIXED = {name for name in ARRAYS if ".filter" in name}


def test_every_array_has_its_place(tmp_path):
    """Those of the resampling filters, which are fixed, aside."""
    safetensors.numpy.save_file(ARRAYS, tmp_path / "migan.safetensors")
    found = migan.read(tmp_path / "migan.safetensors")
    assert found.net == Generator((16, 16, 4), channel_base=64, channel_max=8)
    flat = traverse_util.flatten_dict(found.variables, sep=".")
    assert len(FIXED) == 3 and len(flat) == len(ARRAYS) - len(FIXED)
    assert all(x.dtype == np.float32 for x in flat.values())
    for ours, theirs in {
        "params.from_rgb.kernel": "encoder.b16.fromrgb.weight",
        "params.encoder16_1.depthwise.kernel": "encoder.b16.conv2.conv1.weight",
        "params.decoder8_0.pointwise.kernel": "synthesis.b8.conv1.conv2.weight",
        "params.decoder4_1.depthwise.bias": "synthesis.b4.conv2.conv1.bias",
        "params.decoder16_1.noise.strength": "synthesis.b16.conv2.noise_strength",
        "noise.decoder16_0.noise.const": "synthesis.b16.conv1.noise_const",
        "params.to_rgb4.bias": "synthesis.b4.torgb.bias",
    }.items():
        wanted = ARRAYS[theirs]
        wanted = wanted.transpose(2, 3, 1, 0) if wanted.ndim == 4 else wanted
        np.testing.assert_array_equal(flat[ours], wanted)


def channels(levels, base, most):
    return {
        f"encoder.b{level}.conv1.conv1.weight": np.zeros((min(base // level, most), 1, 3, 3))
        for level in levels
    }


@pytest.mark.parametrize("side", [256, 512])
def test_the_official_sizes_are_recognized(side):
    levels = [4 << n for n in range((side // 4).bit_length())]
    found = migan._recognized(channels(levels, 32768, 512))
    assert found == Generator((side, side, 4))


def without(*names):
    return {k: v for k, v in ARRAYS.items() if not any(name in k for name in names)}


DOUBLED = {"encoder.b8.conv1.conv2.weight": 2 * ARRAYS["encoder.b8.conv1.conv2.weight"]}
CUT = {"synthesis.b16.conv2.conv1.bias": np.zeros(7, np.float32)}


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"conv.weight": np.zeros(3)}, "no MI-GAN: it has conv.weight"),
        (without("b8.conv1.noise_const"), "noise.decoder8_0.noise.const is none, and [8, 8]"),
        (ARRAYS | CUT, "params.decoder16_1.depthwise.bias is [7], and [4] in MI-GAN"),
        (ARRAYS | DOUBLED, "encoder.b8.conv1.conv2.weight has filters of length 2 to 2; those of"),
        (
            ARRAYS | {"encoder.b8.conv1.conv2.w0": np.zeros(2)},
            "it has encoder.b8.conv1.conv2.w0, which is none of MI-GAN's",
        ),
        (ARRAYS | {"mapping.fc0.bias": np.zeros(2)}, "it has mapping.fc0.bias, which is none of"),
        (without("b16.fromrgb"), "params.from_rgb.bias is none, and [4] in MI-GAN"),
    ],
)
def test_other_networks_are_named(arrays, says, tmp_path):
    np.savez(tmp_path / "net.npz", **arrays)
    with pytest.raises(ValueError) as error:
        migan.read(tmp_path / "net.npz")
    assert says in str(error.value) and str(tmp_path) in str(error.value)


def test_its_file_is_a_model(tmp_path):
    np.savez(tmp_path / "migan.npz", **ARRAYS)
    sampler = inpaint.load(tmp_path / "migan.npz")
    assert sampler.shape == (16, 16, 4) and sampler.multiple == 32
    x = OFFICIAL["x"].transpose(0, 2, 3, 1) / np.float32(127.5) - 1
    missing = OFFICIAL["known"].transpose(0, 2, 3, 1) == 0
    given = np.concatenate([np.where(missing, -1, x), np.where(missing, -1, 1)], -1)
    made = np.asarray(sampler.restyle(given.astype(np.float32), np.zeros((4, 0), np.float32)))
    drawn = np.clip(OFFICIAL["picture"].transpose(0, 2, 3, 1), -1, 1)
    np.testing.assert_allclose(made[..., :3], np.where(missing, drawn, x), atol=1e-5)


def test_candidates_differ_by_the_layers_noise(tool, tmp_path):
    np.savez(tmp_path / "migan.npz", **ARRAYS)
    x = OFFICIAL["x"].transpose(0, 2, 3, 1)[0].astype(np.uint8)
    Image.fromarray(x).save(tmp_path / "x.png")
    flags = ["--model", tmp_path / "migan.npz", "--box", "4,4,8,8", "--feather", 0, "--out"]
    done = tool("inpaint", tmp_path / "x.png", *flags, tmp_path / "out", "--candidates", 3)
    assert done.returncode == 0 and "3 pictures in" in done.stdout, done
    made = [np.asarray(Image.open(tmp_path / "out" / f"x_{n}.png")) for n in (1, 2, 3)]
    hole = np.zeros((16, 16), bool)
    hole[4:12, 4:12] = True
    for one, other in itertools.combinations(made, 2):
        np.testing.assert_array_equal(one[~hole], x[~hole])
        assert (one[hole] != other[hole]).any()
    assert Image.open(tmp_path / "out" / "sheet" / "sheet.png").width == 4 * 16
    done = tool("inpaint", tmp_path / "x.png", *flags, tmp_path / "one")
    np.testing.assert_array_equal(Image.open(tmp_path / "one" / "x.png"), made[0])
    clip = clips_test.make(tmp_path / "clip.mp4", frames=1)
    done = tool("inpaint", clip, *flags, tmp_path / "out", "--candidates", 2)
    assert done.returncode == 1 and "clip.mp4 is a video" in done.stderr


def test_networks_without_noise_have_one_candidate(tmp_path):
    still = {k: x * 0 if "noise_strength" in k else x for k, x in ARRAYS.items()}
    np.savez(tmp_path / "still.npz", **still)
    lama = np.load(FIXTURES / "lama.npz")
    np.savez(tmp_path / "lama.npz", **{k[2:]: lama[k] for k in lama.files if k.startswith("g/")})
    for name in ("still.npz", "lama.npz"):
        inpainter = inpaint.Inpainter(inpaint.load(tmp_path / name), inpaint.Holes())
        assert inpainter.candidates(1) == [inpaint.NOTHING]
        with pytest.raises(ValueError, match=f"{name} fills a hole in one way only"):
            inpainter.candidates(2)
        with pytest.raises(ValueError, match="--candidates=65: it must be 1 to 64"):
            inpainter.candidates(65)


def test_a_picture_is_seen_at_the_networks_size(tmp_path):
    """As the official program does, of a picture four times as large with a hole in it."""
    np.savez(tmp_path / "migan.npz", **ARRAYS)
    sampler, seen = inpaint.load(tmp_path / "migan.npz"), []
    assert sampler.fixed_size
    x = np.repeat(np.repeat(OFFICIAL["x"].transpose(0, 2, 3, 1)[0].astype(np.uint8), 4, 0), 4, 1)
    run = Sampler.restyle
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Sampler, "restyle", lambda self, x, y: seen.append(x) or run(self, x, y))
        holes = inpaint.Holes(boxes=((16, 16, 32, 32),))
        made = inpaint.Inpainter(sampler, holes, feather=0)(x[None])[0]
    (given,) = seen
    assert given.shape == (1, 16, 16, 4) and (given[0, 4:12, 4:12, 3] == -1).all()
    assert (given[..., 3] == -1).sum() == 64
    drawn = np.asarray(run(sampler, given, np.zeros((1, 0), np.float32)))[0, ..., :3]
    drawn = geometry.fit(to_uint8(drawn), (64, 64), "stretch")
    np.testing.assert_array_equal(made[16:48, 16:48], drawn[16:48, 16:48])


def test_a_file_of_neither_network_names_both(tmp_path):
    np.savez(tmp_path / "net.npz", **{"conv.weight": np.zeros(3)})
    with pytest.raises(ValueError, match=r"net.npz: .* LaMa .* MI-GAN .*it has conv.weight"):
        inpaint.load(tmp_path / "net.npz")
