"""Images: arrays of every kind, and finding files. Hostile files are in tests/attacks."""

import numpy as np
import pytest

from mie_engine import limits
from mie_engine.errors import InputError, RangeError, ShapeError
from mie_engine.runtime.image import as_rgb
from mie_engine.synth.image import find_images


def test_uint8_rgb_is_passed_through(rng):
    image = rng.integers(0, 256, (40, 50, 3), np.uint8)
    assert as_rgb(image) is image
    assert np.array_equal(as_rgb(image[:, ::-1]), image[:, ::-1])
    assert as_rgb(image[:, ::-1]).flags.c_contiguous


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, ">u2", np.float16, np.float32, np.float64])
def test_every_dtype_keeps_the_256_levels(dtype):
    levels = np.tile(np.arange(256, dtype=np.uint8), (32, 1))
    given = {"u": levels.astype(np.uint32) * (257 if np.dtype(dtype).itemsize == 2 else 1), "f": levels / 255}[np.dtype(dtype).kind]
    assert np.array_equal(as_rgb(given.astype(dtype)), np.dstack([levels] * 3))


def test_shapes_and_alpha(rng):
    grey = rng.integers(0, 256, (33, 47), np.uint8)
    assert np.array_equal(as_rgb(grey), np.dstack([grey] * 3))
    assert np.array_equal(as_rgb(grey[:, :, None]), np.dstack([grey] * 3))
    rgb = rng.integers(0, 256, (33, 47, 3), np.uint8)
    assert np.array_equal(as_rgb(np.dstack([rgb, np.full_like(grey, 255)])), rgb)
    assert (as_rgb(np.dstack([rgb, np.zeros_like(grey)])) == 128).all()
    half = as_rgb(np.dstack([rgb, np.full_like(grey, 51)]))
    assert np.abs(half - (rgb * 0.2 + 128 * 0.8)).max() <= 0.5


@pytest.mark.parametrize(
    ("image", "error", "message"),
    [
        (np.zeros((40, 40, 2), np.uint8), ShapeError, r"\[40, 40, 2\]"),
        (np.zeros(40, np.uint8), ShapeError, r"\[40\]"),
        (np.zeros((1, 40, 40, 3), np.uint8), ShapeError, r"\[1, 40, 40, 3\]"),
        (np.zeros((40, 40, 3), np.int64), ShapeError, "int64"),
        (np.zeros((40, 40, 3), bool), ShapeError, "bool"),
        (np.zeros((40, 40, 3), complex), ShapeError, "complex"),
        (np.zeros((40, 40, 3), object), ShapeError, "object"),
        ([[1, 2], [3]], ShapeError, "not an image array"),
        ("photo.jpg", ShapeError, "shape"),
        (None, ShapeError, "shape"),
        (np.full((40, 40), np.nan), InputError, "NaN"),
        (np.full((40, 40), np.inf, np.float32), InputError, "NaN or infinity"),
        (np.full((40, 40), 255.0), RangeError, r"255\.\.255, allowed is 0\.\.1"),
        (np.full((40, 40), -0.1), RangeError, "allowed is"),
        (np.zeros((31, 40), np.uint8), InputError, "at least 32 px"),
        (np.zeros((0, 40, 3), np.uint8), InputError, "at least 32 px"),
        (np.broadcast_to(np.uint8(0), (40_000, 40_000, 3)), InputError, "pixels"),
    ],
)
def test_refuses_with_a_useful_message(image, error, message):
    with pytest.raises(error, match=message):
        as_rgb(image)


@pytest.fixture
def tree(tmp_path):
    for name in ("b.jpg", "a.PNG", "sub/c.webp", "sub/deep/d.jpeg", "note.txt", ".hidden.jpg", ".git/e.jpg", "z/f.jpg", "odd[1].jpg"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "sub" / "up").symlink_to(tmp_path)  # a loop
    return tmp_path


def _names(tree, found):
    return [path.relative_to(tree).as_posix() for path in found]


def test_folders_are_searched_in_a_fixed_order(tree):
    want = ["a.PNG", "b.jpg", "odd[1].jpg", "sub/c.webp", "sub/deep/d.jpeg", "z/f.jpg"]
    assert _names(tree, find_images(tree)) == want
    assert _names(tree, find_images(str(tree))) == want
    assert _names(tree, find_images([tree / "z", tree, tree / "z" / "f.jpg"])) == ["z/f.jpg", *want[:-1]]


def test_files_and_patterns(tree):
    assert _names(tree, find_images([tree / "note.txt"])) == ["note.txt"]  # named, so its content decides
    assert _names(tree, find_images([str(tree / "*.jpg")])) == ["b.jpg", "odd[1].jpg"]
    assert _names(tree, find_images([tree / "odd[1].jpg"])) == ["odd[1].jpg"]
    assert _names(tree, find_images([tree / "sub" / "**" / "*.jp*g"]))[-1] == "sub/deep/d.jpeg"


def test_patterns_work_relative_to_the_working_folder(tree, monkeypatch):
    monkeypatch.chdir(tree)
    assert [path.as_posix() for path in find_images("z/*.jpg")] == ["z/f.jpg"]


def test_nothing_found_names_what_was_searched(tree, monkeypatch):
    (tree / "bare").mkdir()
    for paths, message in (([], "an empty list"), ([tree / "bare"], "bare"), (tree / "*.gif", r"\*\.gif"), (tree / "no", "no such file")):
        with pytest.raises(InputError, match=message):
            find_images(paths)
    with pytest.raises(InputError):
        find_images("zero\0byte")
    monkeypatch.setattr(limits, "MAX_FACES", 2)
    with pytest.raises(InputError, match="more than 2 images"):
        find_images(tree)
