"""Sticker packs: clean edges, sizes within the messengers' limits; and the commands, end to end."""

import dataclasses
import io
import json
import pathlib

import numpy as np
import pytest
from PIL import Image

from gan_jax import pretrained
from gan_jax.commands import direction as direction_command
from gan_jax.commands import forget as forget_command
from gan_jax.commands import personalize as personalize_command
from gan_jax.commands import sample as sample_command
from gan_jax.commands import stickers as stickers_command
from gan_jax.data.images import save_png, to_uint8
from gan_jax.inference import loading
from gan_jax.personalize import directions, making, packs, person, stickers
from gan_jax.personalize.base import Base
from gan_jax.personalize.stickers import MESSENGERS, Sticker
from tests.nets import pixel_net
from tests.runs import PALETTE, STYLED, lively, lively_stylegan2, untrained


def disc(side=64, radius=20, color=(200, 30, 30)):
    """A disc with a soft edge, alpha straight; hidden colors are green."""
    y, x = np.indices((side, side)) - (side - 1) / 2
    alpha = np.clip(radius + 0.5 - np.hypot(x, y), 0, 1)
    made = np.zeros((side, side, 4), np.uint8)
    made[...] = (0, 255, 0, 0)
    made[alpha > 0, :3] = color
    made[..., 3] = np.rint(255 * alpha)
    return made


def test_what_is_faint_apart_or_a_small_hole_goes():
    drawing = disc()
    drawing[0, 0] = (0, 0, 0, 5)  # faint
    drawing[2:4, 2] = (0, 0, 0, 255)  # a speck
    drawing[30, 30, 3] = 0  # a hole
    made = stickers.cleaned(drawing)
    assert made[0, 0, 3] == made[2, 2, 3] == 0 and made[30, 30].tolist() == [200, 30, 30, 255]
    edge = (made[..., 3] > 0) & (made[..., 3] < 255)
    assert (made[edge][:, :3] == (200, 30, 30)).all()
    y, x = np.indices((64, 64)) - 31.5
    around = (np.hypot(x, y) > 22) & (np.hypot(x, y) < 26)
    assert (made[around] == (200, 30, 30, 0)).all()  # colors reach beyond the edge
    assert (made[60, 32] == 0).all()
    ring = disc()
    ring[26:38, 26:38, 3] = 0  # a hole larger than a speck is the drawing's own
    assert stickers.cleaned(ring)[32, 32, 3] == 0
    with pytest.raises(ValueError, match="the drawing is all clear"):
        stickers.cleaned(np.zeros((8, 8, 4), np.uint8))


def test_a_sticker_fills_its_square_but_for_the_margin():
    made = stickers.framed(stickers.cleaned(disc()[:, 8:]))
    rows, columns = (np.flatnonzero((made[..., 3] > 127).any(axis)) for axis in (1, 0))
    for place in (rows, columns):
        assert abs(place[0] - 16) <= 1 and abs(place[-1] - 495) <= 1
    assert (made[20, 256] == (255, 255, 255, 255)).all()  # the outline
    assert made[256, 256].tolist() == [200, 30, 30, 255]
    bare = stickers.framed(stickers.cleaned(disc()), outline=0)
    opaque = bare[..., 3] > 250
    off = np.abs(bare[opaque][:, :3].astype(int) - (200, 30, 30)).max()
    assert off <= 3, off  # no dirty edge


def noisy(seed=0):
    """Nothing that WebP could make small."""
    made = np.random.default_rng(seed).integers(0, 256, (512, 512, 4), np.uint8)
    made[..., 3] = 255
    made[:16] = 0
    return made


def test_the_best_quality_that_the_limit_holds():
    kind = MESSENGERS["whatsapp"]
    data, quality = stickers.encoded([stickers.framed(stickers.cleaned(disc()))], kind)
    assert quality == 95 and len(data) < kind.most_bytes
    found = Image.open(io.BytesIO(data))
    assert (found.format, found.size, found.mode) == ("WEBP", (512, 512), "RGBA")
    assert b"trainedAlgorithmicMedia" in found.info["xmp"]
    hard = noisy() // 4 * 4
    small = dataclasses.replace(kind, most_bytes=200 * 1024)
    data, quality = stickers.encoded([hard], small)
    assert quality < 95 and len(data) <= 200 * 1024
    better = dataclasses.replace(kind, most_bytes=len(data) - 1)
    assert stickers.encoded([hard], better)[1] < quality
    least = dataclasses.replace(kind, most_bytes=1000)
    with pytest.raises(ValueError, match="bytes at the lowest quality, and 1,000 are allowed"):
        stickers.encoded([hard], least)


def test_an_animation_runs_and_keeps_to_its_limits():
    kind = MESSENGERS["whatsapp"]
    frames = [stickers.framed(stickers.cleaned(disc(radius=r))) for r in (18, 20, 22)]
    data, _ = stickers.encoded(frames, kind, 60)
    found = Image.open(io.BytesIO(data))
    assert (found.n_frames, found.info["loop"]) == (3, 0) and len(data) <= kind.animated_bytes
    with pytest.raises(ValueError, match="10 s at most"):
        stickers.encoded(frames, kind, 5000)
    with pytest.raises(ValueError, match="takes no animated"):
        stickers.encoded(frames, MESSENGERS["telegram"], 60)
    least = dataclasses.replace(kind, animated_bytes=1000)
    with pytest.raises(ValueError, match="1,000 are allowed: fewer frames"):
        stickers.encoded(frames, least, 60)


def pack_of(n, **changes):
    return [
        Sticker(f"{k:02d}", ("🙂",), (disc(radius=16 + k % 5),), {"sample": k} | changes)
        for k in range(n)
    ]


@pytest.mark.parametrize("messenger", sorted(MESSENGERS))
def test_a_pack_passes_the_checker(tmp_path, messenger):
    lines = []
    files = stickers.write_pack(
        pack_of(3), tmp_path, messenger, {"seed": 4, "license": "CC0"}, log=lines.append
    )
    assert stickers.check_pack(tmp_path) == [] and [f.name for f in files] == [
        "00.webp", "01.webp", "02.webp",
    ]  # fmt: skip
    about = json.loads((tmp_path / "pack.json").read_text("utf-8"))
    assert about["generated"] is True and about["seed"] == 4
    assert [s["emoji"] for s in about["stickers"]] == [["🙂"]] * 3
    assert (tmp_path / "tray.png").exists() == (messenger == "whatsapp")
    assert "3 stickers in" in lines[0] and (tmp_path / "sheet" / "pack.png").is_file()


def test_the_checker_finds_what_a_messenger_refuses(tmp_path):
    stickers.write_pack(pack_of(3), tmp_path, "whatsapp", {}, log=lambda line: None)
    Image.new("RGB", (500, 512)).save(tmp_path / "00.webp")
    Image.fromarray(noisy()).save(tmp_path / "01.webp", quality=100)
    Image.new("RGBA", (96, 90)).save(tmp_path / "tray.png")
    (tmp_path / "02.webp").write_bytes((tmp_path / "tray.png").read_bytes())
    wrong = "\n".join(stickers.check_pack(tmp_path))
    for part in (
        "00.webp: (500, 512), not 512 x 512",
        "00.webp: nothing of it is clear",
        "01.webp: ",
        "bytes, over 102,400",
        "02.webp: PNG, not WEBP",
        "tray.png: PNG (96, 90)",
    ):
        assert part in wrong


def test_how_many_stickers_a_pack_has(tmp_path):
    with pytest.raises(ValueError, match="2 stickers: a pack of whatsapp has 3 to 30"):
        stickers.write_pack(pack_of(2), tmp_path, "whatsapp", {})
    with pytest.raises(ValueError, match="messenger='whatsap' is not known"):
        stickers.write_pack(pack_of(3), tmp_path, "whatsap", {})


# --- the commands


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    untrained(root / "colors", PALETTE, [16, 16, 4], ["a", "b"], lively)
    untrained(root / "plain", STYLED, [16, 16, 3], (), lively_stylegan2)
    return root


def test_from_pictures_to_packs_and_away(tmp_path, runs, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name in ("lpips_vgg", "lpips_alex", "efflite0"):
        monkeypatch.setitem(pretrained.NETS, name, pixel_net)
    monkeypatch.setattr(packs, "FRAMES", 4)  # at 0, half, 1 and half of the way
    base = Base(loading.load_sampler(runs / "colors"))
    ws = np.asarray(base.repeat(base.statistics.ws[:4]))
    for k, picture in enumerate(base.pictures(ws)):
        (tmp_path / "photos").mkdir(exist_ok=True)
        save_png(tmp_path / "photos" / f"{k}.png", picture)
    given = ["--base", str(runs / "colors")]
    quick = ["--steps", "3", "--rounds", "2"]
    monkeypatch.setattr(making, "EVERY", 1)
    seen = []

    def saved(path, image, mark):
        seen.append(image.shape)
        save_png(path, image, mark)

    monkeypatch.setattr(making, "save_png", saved)
    preview = ["--preview", "now.png"]
    personalize_command.main(["photos", "--out", "anna", *given, *quick, *preview])
    assert seen == [(2 * 16, 4 * 16, 4), *[(3 * 16, 4 * 16, 4)] * 2]  # inverted, then two rounds
    pathlib.Path("now.png").unlink()
    text = capsys.readouterr().out
    assert "4 pictures; inverting to w" in text and "LPIPS to the pictures:" in text
    sizes = {name: Image.open(f"anna/sheet/{name}.png").size for name in ("pictures", "samples")}
    assert sizes == {"pictures": (4 * 16, 3 * 16), "samples": (4 * 16, 4 * 16)}
    assert b"trainedAlgorithmicMedia" in (tmp_path / "anna/sheet/samples.png").read_bytes()
    assert len(json.loads((tmp_path / "anna/person.json").read_text())["made_from"]) == 4

    stickers_command.main(["anna", "--out", "pack", *given, "--count", "3", "--edit", "pca0=0.1"])
    assert stickers.check_pack(tmp_path / "pack") == []
    stickers_command.main(["anna", "--out", "loops", *given, "--count", "3", "--loop"])
    assert Image.open("loops/01.webp").n_frames == packs.FRAMES

    for k, picture in enumerate(base.pictures(np.asarray(base.repeat(base.statistics.ws[9:12])))):
        save_png(tmp_path / "others" / f"{k}.png", picture)
    with pytest.raises(ValueError, match="have one mean: are they the same ones"):
        direction_command.main(
            ["photos", "photos", "--name", "x", "--out", "x.json", *given, *quick[:2]]
        )
    direction_command.main(
        ["photos", "others", "--name", "x", "--out", "x.json", *given, *quick[:2]]
    )
    text = capsys.readouterr().out
    assert "of held-out pictures on the right side" in text and "that share says little" in text
    with pytest.raises(ValueError, match="--edit='y' is not known"):
        stickers_command.main(["anna", "--out", "p", *given, "--edit", "y=1"])
    with pytest.raises(ValueError, match="which is not"):
        stickers_command.main(["anna", "--out", "p", "--base", str(runs / "plain")])

    stickers_command.main(["anna", "--out", "pack", *given, "--count", "4"])  # anew
    with pytest.raises(ValueError, match="photos: it holds other files"):
        stickers_command.main(["anna", "--out", "photos", *given])
    forget_command.main(["anna"])
    assert sorted(x.name for x in tmp_path.iterdir()) == ["others", "photos", "x.json"]
    with pytest.raises(ValueError, match="anna: no person there"):
        forget_command.main(["anna"])


def test_frames_of_one_sticker_have_one_box():
    """A tuft that appears does not move the rest."""
    still, tuft = disc(), disc()
    tuft[2:12, 30:34] = (200, 30, 30, 255)
    made = []

    def first(frames, kind, milliseconds, maker):
        made.extend(frames)
        raise ValueError("seen")

    patch = pytest.MonkeyPatch()
    patch.setattr(stickers, "encoded", first)
    with pytest.raises(ValueError, match="00: seen"):
        stickers.write_pack([Sticker("00", ("🙂",), (still, tuft), {})] * 3, None, "whatsapp", {})
    patch.undo()
    low = [np.flatnonzero((x[..., 3] > 127).any(1))[-1] for x in made]
    wide = [np.ptp(np.flatnonzero((x[..., 3] > 127).any(0))) for x in made]
    assert low[0] == low[1] and wide[0] == wide[1]


def test_many_islands_of_one_size_are_a_drawing():
    drawing = np.zeros((64, 64, 4), np.uint8)
    drawing[::4, ::4] = 255
    assert (stickers.cleaned(drawing)[..., 3] == drawing[..., 3]).all()


def test_an_earlier_pack_leaves_nothing(tmp_path):
    quiet = {"log": lambda line: None}
    stickers.write_pack(pack_of(5), tmp_path, "whatsapp", {}, **quiet)
    (tmp_path / "mine.txt").write_text("stays")
    stickers.write_pack(pack_of(3), tmp_path, "telegram", {}, **quiet)
    names = {"00.webp", "01.webp", "02.webp", "mine.txt", "pack.json", "sheet"}
    assert {file.name for file in tmp_path.iterdir()} == names


def test_the_checker_counts_time(tmp_path):
    stickers.write_pack(pack_of(3), tmp_path, "whatsapp", {}, log=lambda line: None)
    frames = [Image.fromarray(stickers.framed(disc(radius=r))) for r in (18, 20, 22)]
    how = {"save_all": True, "append_images": frames[1:], "lossless": True}
    frames[0].save(tmp_path / "00.webp", duration=4000, **how)
    frames[0].save(tmp_path / "01.webp", duration=4, **how)
    wrong = "\n".join(stickers.check_pack(tmp_path))
    assert "00.webp: 12 s, over 10" in wrong and "01.webp: a frame of 4 ms, below 8" in wrong


def test_a_base_without_alpha_makes_no_stickers(runs, tmp_path, monkeypatch):
    for name in ("lpips_vgg", "lpips_alex", "efflite0"):
        monkeypatch.setitem(pretrained.NETS, name, pixel_net)
    base = Base(loading.load_sampler(runs / "plain"))
    ws = np.asarray(base.repeat(base.statistics.ws[:2]))
    person.write(
        tmp_path / "anna", base, base.params, ws, base.pictures(ws), {"made_from": [], "seed": 0}
    )
    with pytest.raises(ValueError, match="its pictures have no alpha, and stickers need one"):
        packs.make(person.read(tmp_path / "anna", base), tmp_path / "pack")
    assert not (tmp_path / "pack").exists()


@pytest.mark.parametrize(
    ("command", "argv", "message"),
    [
        (personalize_command, ["no", "--out", "x"], "no: no such file or folder"),
        (
            personalize_command,
            [".", "--out", "x", "--steps", "0"],
            "--steps=0: it must be at least",
        ),
        (personalize_command, [".", "--out", ".."], "--out=..: it holds other files"),
        (stickers_command, ["no", "--out", "x"], "no: no person there"),
        (stickers_command, ["x", "--out", "x", "--outline", "99"], "--outline=99: it must be 0 to"),
        (stickers_command, ["x", "--out", "y", "--loop", "--messenger", "telegram"], "--loop: Tel"),
        (stickers_command, ["x", "--out", "y", "--emoji", "😀,"], "--emoji=😀,: emoji by comma"),
        (stickers_command, ["x", "--out", "y", "--emoji", "abc"], "--emoji=abc: emoji by comma"),
        (direction_command, ["a", "b", "--name", "x", "--out", "x"], "a: no such folder"),
        (direction_command, [".", ".", "--name", "a=b", "--out", "x"], "--name='a=b': letters"),
    ],
)
def test_bad_flags(command, argv, message, tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(ValueError, match=message):
        command.main([*argv, "--base", "run"])


def test_samples_move_along_directions(tmp_path, runs, capsys):
    base = Base(loading.load_sampler(runs / "colors"))
    place, edits = str(tmp_path / "out"), {"pca0": 0.5, "sefa1": 99.0}
    words = [str(runs / "colors"), "--out", place, "--seeds", "4"]
    label = base.sampler.classes[1]
    words += ["--class", label]
    sample_command.main([*words, "--edit", "pca0=0.5,sefa1=99"])
    z = base.sampler.latents([4])
    ws = np.asarray(base.sampler.styles(z, np.array([1], np.int32)))
    moved, notes = directions.apply(base, ws, edits, directions.known(base))
    made = np.asarray(Image.open(tmp_path / "out" / f"seed0004_{label}.png"))
    np.testing.assert_array_equal(made, to_uint8(base.sampler.render(moved))[0])
    assert (made != to_uint8(base.sampler.render(ws))[0]).any()
    assert notes and notes[0] in capsys.readouterr().out
    with pytest.raises(ValueError, match="--edit and --mix don't go together"):
        sample_command.main([*words, "--edit", "pca0=1", "--mix", "1"])
    with pytest.raises(ValueError, match="--edit='y' is not known"):
        sample_command.main([*words, "--edit", "y=1"])
