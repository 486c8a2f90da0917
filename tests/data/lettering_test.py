"""Names on pictures: in a font that has their characters, or as numbers with a legend; never as
boxes."""

import numpy as np
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib import font_manager

from gan_jax.data import lettering


@pytest.fixture
def fonts(tmp_path, monkeypatch):
    """(characters) -> as if the machine had a font of these, each a block, and those of
    matplotlib."""

    def with_one_of(characters):
        font = FontBuilder(1000)
        names = [".notdef", *(f"g{ord(c)}" for c in characters)]
        font.setupGlyphOrder(names)
        font.setupCharacterMap({ord(c): f"g{ord(c)}" for c in characters})
        pen = TTGlyphPen(None)
        pen.moveTo((100, 0))
        for point in ((100, 700), (800, 700), (800, 0)):
            pen.lineTo(point)
        pen.closePath()
        font.setupGlyf(dict.fromkeys(names, pen.glyph()))
        font.setupHorizontalMetrics(dict.fromkeys(names, (1000, 100)))
        font.setupHorizontalHeader(ascent=800, descent=-200)
        font.setupNameTable({"familyName": "Blocks", "styleName": "Regular"})
        font.setupOS2()
        font.setupPost()
        font.save(tmp_path / "blocks.ttf")
        entry = font_manager.FontEntry(
            str(tmp_path / "blocks.ttf"), name="Blocks", style="normal", weight=400
        )
        monkeypatch.setattr(
            font_manager.fontManager, "ttflist", [*own, *([entry] if characters else [])]
        )
        lettering._files.cache_clear()

    own = [entry for entry in font_manager.fontManager.ttflist if "mpl-data" in entry.fname]
    yield with_one_of
    lettering._files.cache_clear()


def head(name):
    """What stands above the one column of a sheet."""
    return lettering.sheet([[np.zeros((100, 100, 3), np.uint8)]], [name])[:-100]


def test_greek_and_cyrillic_are_no_boxes(fonts):
    fonts("")
    heads = [
        head(name) for name in ("\u03b1\u03b2\u03b3", "\u03b4\u03b5\u03b6", "\u0434\u0436\u0437")
    ]
    assert all((x != 255).any() for x in heads)
    assert all((heads[i] != heads[j]).any() for i in range(3) for j in range(i))
    assert lettering.labels(["\u03b1", "\u0434", "dylan"]) == (["\u03b1", "\u0434", "dylan"], [])


def test_a_font_of_the_machine_is_found(fonts, tmp_path):
    cat, dog = "\u732b", "\u72ac"
    fonts(cat)
    assert (
        lettering.font_file(cat) == str(tmp_path / "blocks.ttf")
        and lettering.font_file(dog) is None
    )
    assert (head(cat) == (0, 0, 0, 255)).all(-1).sum() > 20  # the block
    assert lettering.families(["a", cat]) == ["DejaVu Sans", "Blocks"]


def test_names_that_no_font_has_are_numbers_with_a_legend(fonts):
    fonts("")
    labels, said = lettering.labels(["", "\u732b", "dylan", "\u72ac"])
    assert labels == ["", "1", "dylan", "3"] and said == [
        "no font here has these names: 1 is \u732b, 3 is \u72ac"
    ]
    assert lettering.labels(["\u732b\x1b[2J"]) == (
        ["0"],
        ["no font here has these names: 0 is \u732b\\x1b[2J"],
    )
    with pytest.raises(ValueError, match="no font here has all characters of '\u732b'"):
        lettering.font("\u732b", 11)


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("width", [8, 32, 100])
def test_names_above_a_grid_leave_its_pictures_as_they_are(width, channels):
    grid = np.random.default_rng(0).integers(0, 256, (20, 3 * width, channels), np.uint8)
    named = lettering.with_names(grid, ["a", "adventurer", "x" * 99])
    assert named.dtype == np.uint8 and named.shape[1:] == grid.shape[1:]
    np.testing.assert_array_equal(named[-20:], grid)
    header = named[:-20]
    dark = (header[..., 0] < 128).reshape(len(header), 3, width).sum((0, 2))
    assert 0 < dark[0] < dark[1] < dark[2]  # ink in each column, more for the longer name
    assert channels < 4 or (header[..., 3] == 255).all()


def test_a_grid_without_names_or_room_for_them_stays_as_it_is():
    grid = np.zeros((4, 12, 3), np.uint8)
    assert lettering.with_names(grid, ()) is grid
    assert lettering.with_names(grid, ("a", "b", "c")) is grid  # columns of 4 pixels


def test_short_names_are_written_along_the_columns():
    wide, narrow = (
        lettering.with_names(np.zeros((4, 2 * width, 3), np.uint8), ("cat", "adventurer"))
        for width in (100, 32)
    )
    assert len(wide) < 25 < len(narrow)
