"""Folders of pictures against each other, whoever made them."""

import json
import shutil

import numpy as np
import pytest

from gan_jax.metrics import kid
from tests.evaluation.features_test import toy_apply
from tests.evaluation.known_sets import avatars, save


def test_what_sample_draws_is_measured_and_reported_without_its_grid(tool, toy, tmp_path, trained):
    drawn, page = tmp_path / "drawn", tmp_path / "run" / "report.html"
    done = tool("sample", tmp_path / "run", "--out", drawn, "--seeds", "0-1")
    assert (
        done.returncode == 0
        and f"20 pictures in {drawn}, all of them on {drawn}/sheet/grid.png" in done.stdout
    )
    save(tmp_path / "real", avatars(resolution=8).load(np.arange(12)))
    (drawn / "notes.txt").touch()
    for flags in ([], ["--resolution", 8]):
        words = [
            drawn,
            tmp_path / "real",
            "--out",
            drawn / "record.json",
            "--held-out",
            tmp_path / "real",
            *flags,
        ]
        done = tool("evaluate", *words)
        assert done.returncode == 0, done.stderr
        assert json.loads((drawn / "record.json").read_text())["protocol"]["images"] == 20
        assert (
            "passed over 4 files: 2 in sheet (marked .nomedia), 1 .json, 1 .txt" in done.stdout
            or not flags
        )
    done = tool("report", tmp_path / "run", "--out", page)
    assert done.returncode == 0 and "no evaluations.jsonl" in page.read_text(), done.stderr


def test_folder_against_folder(tool, toy, shared_data, tmp_path):
    images = avatars()
    save(tmp_path / "real", images.load(np.arange(40)))
    save(tmp_path / "good", images.load(np.arange(40, 60)))
    save(tmp_path / "bad", images.corrupted("noise", 50).load(np.arange(40, 60)))
    found = {}
    for name in ("good", "bad"):
        out = tmp_path / f"{name}.json"
        done = tool(
            "evaluate",
            tmp_path / name,
            tmp_path / "real",
            "--out",
            out,
            "--held-out",
            tmp_path / "good",
        )
        assert done.returncode == 0, done.stderr
        found[name] = json.loads(out.read_text())
    assert (
        "left out: usefulness needs labels on both sides" in done.stdout
        and "kid_toy" in done.stdout
    )
    assert "kid of 20 pictures against 40 tells little" in done.stdout
    assert found["good"]["values"]["kid_toy"] < found["bad"]["values"]["kid_toy"]
    protocol = found["good"]["protocol"]
    assert (
        protocol["images"] == 20
        and protocol["reference"] == 40
        and protocol["resolution"] == [32, 32]
    )
    assert (tmp_path / "sheet" / "neighbors.png").is_file()
    direct = kid.kid(
        *(
            toy_apply(toy.params, images.load(np.arange(a, b))).features
            for a, b in ((0, 40), (40, 60))
        )
    )
    assert found["good"]["values"]["kid_toy"] == pytest.approx(direct.value, rel=1e-4)


def test_pairs_by_name(tool, tmp_path):
    images = np.random.default_rng(0).integers(20, 230, (3, 24, 24, 3), np.uint8)
    save(tmp_path / "truth", images)
    save(tmp_path / "made", images + np.uint8(10))
    done = tool(
        "evaluate",
        tmp_path / "made",
        tmp_path / "truth",
        "--pairs",
        "--out",
        tmp_path / "r.json",
        "--border",
        2,
    )
    assert done.returncode == 0, done.stderr
    record = json.loads((tmp_path / "r.json").read_text())
    assert record["values"]["mae"] == pytest.approx(10) and record["values"][
        "psnr"
    ] == pytest.approx(28.1308, abs=1e-4)
    assert (
        record["protocol"]["pairs"] == 3
        and record["protocol"]["border"] == 2
        and record["protocol"]["on"] == "all channels"
    )
    done = tool(
        "evaluate", tmp_path / "made", tmp_path / "truth", "--pairs", "--luma", "--metrics", "mae"
    )
    assert done.returncode == 0 and f"mae_y{'':24}8.5882" in done.stdout, done.stdout


def test_pairs_meet_whatever_their_endings_and_unicode_form(tool, tmp_path):
    images = np.random.default_rng(0).integers(20, 230, (2, 16, 16, 3), np.uint8)
    save(tmp_path / "made", images, ["caf\u00e9/a.png", "caf\u00e9/b.png"])
    # PNGs inside; the names are what counts
    save(tmp_path / "truth", images, ["cafe\u0301/a.tif", "cafe\u0301/b.BMP"])
    done = tool("evaluate", tmp_path / "made", tmp_path / "truth", "--pairs", "--metrics", "mae")
    assert done.returncode == 0 and f"mae{'':26}0 ± 0\n" in done.stdout, done
    save(tmp_path / "made", images[:1], ["caf\u00e9/a.gif"])
    done = tool("evaluate", tmp_path / "made", tmp_path / "truth", "--pairs")
    assert (
        "--pairs: two pictures of generated are named 'caf\u00e9/a'; pairs go by name without"
        " ending." in done.stderr
    )


@pytest.mark.parametrize(
    ("harm", "flags", "message"),
    [
        ("none", ["--metrics", "fid"], "fid needs at least 7 generated images, got 4"),
        ("size", [], "a/9.png has (8, 9) HxW, "),
        ("gray", [], "a/9.png has 1 channels, "),
        (
            "name",
            ["--pairs"],
            ("--pairs: 1 picture lacks a partner of the same name, first '9' of generated"),
        ),
        (
            "none",
            ["--pairs", "--metrics", "psnrr"],
            ("--metrics='psnrr' is not known. Did you mean 'psnr'?"),
        ),
        ("none", ["--pairs"], "ssim needs pictures of at least 11 pixels a side, got 8x8"),
        (
            "none",
            ["--pairs", "--metrics", "lpips", "--features", "vgg16"],
            "--features vgg16: lpips is measured by lpips_vgg or lpips_alex or lpips_hed.",
        ),
        ("empty", [], "no images in it"),
        ("gone", [], "no such folder"),
        ("junk", [], "not one picture there can be read"),
        (
            "torn",
            ["--pairs"],
            ("set aside 1 as 'no known image format': 9.png. Pairs need every picture"),
        ),
    ],
)
def test_folder_mistakes_are_one_line(tool, toy, tmp_path, harm, flags, message):
    for name in ("a", "b"):
        save(tmp_path / name, np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3), np.uint8))
    a = tmp_path / "a"
    harms = {
        "none": lambda: None,
        "size": lambda: save(a, np.zeros((1, 8, 9, 3), np.uint8), ["9.png"]),
        "gray": lambda: save(a, np.zeros((1, 8, 8, 1), np.uint8), ["9.png"]),
        "name": lambda: save(a, np.zeros((1, 8, 8, 3), np.uint8), ["9.png"]),
        "empty": lambda: [file.unlink() for file in a.iterdir()],
        "gone": lambda: shutil.rmtree(a),
        "junk": lambda: [
            file.write_bytes(b"junk")
            for folder in ("a", "b")
            for file in (tmp_path / folder).iterdir()
        ],
        "torn": lambda: [
            (tmp_path / folder / "9.png").write_bytes(b"junk") for folder in ("a", "b")
        ],
    }
    harms[harm]()
    done = tool("evaluate", a, tmp_path / "b", *flags)
    assert done.returncode == 1 and message in done.stderr, done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_mixed_sizes_go_with_a_resolution(tool, toy, tmp_path):
    rng = np.random.default_rng(0)
    save(tmp_path / "a", [rng.integers(0, 256, (8 + i, 12, 3), np.uint8) for i in range(6)])
    save(tmp_path / "b", rng.integers(0, 256, (6, 16, 16, 1), np.uint8))
    done = tool(
        "evaluate",
        tmp_path / "a",
        tmp_path / "b",
        "--resolution",
        8,
        "--channels",
        3,
        "--metrics",
        "kid",
    )
    assert done.returncode == 0 and "kid_toy" in done.stdout, done.stderr
