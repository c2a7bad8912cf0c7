"""The visible label."""

import numpy as np
import pytest

from lab.errors import UserError
from lab.provenance import label


@pytest.mark.parametrize("size", [64, 100, 256, 720, 2048])
@pytest.mark.parametrize("ground", ["black", "white", "noise"])
def test_label_has_contrast_on_any_ground_at_any_size(size: int, ground: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (size, size, 3), np.uint8)
    frame = {"black": noise * 0, "white": noise * 0 + 255, "noise": noise}[ground]
    before = frame.copy()
    drawn = label.draw(frame)
    np.testing.assert_array_equal(frame, before, err_msg="the input was changed")
    rows, columns = label._letters(max(1, round(size / 112))).shape
    plate = drawn[size - rows :, :columns].astype(int).mean(2)
    letters = label._letters(max(1, round(size / 112)))
    assert plate[letters == 1].min() > 200 and plate[letters == 0].max() < 80
    assert rows >= 7, "letters of five pixels at least"


@pytest.mark.parametrize("size", [(64, 64), (256, 256), (1920, 1080), (1080, 1920)])
def test_label_stays_in_its_corner(size: tuple[int, int]) -> None:
    width, height = size
    frame = np.full((height, width, 3), 90, np.uint8)
    changed = (label.draw(frame) != frame).any(2)
    rows, columns = np.flatnonzero(changed.any(1)), np.flatnonzero(changed.any(0))
    assert rows.min() >= 0.86 * height and rows.max() == height - 1
    assert columns.min() == 0 and columns.max() < 0.6 * width


def test_label_says_synthetic() -> None:
    """Compare with the word drawn by hand, one cell a pixel."""
    art = [
        "### #.# #..# ### #.# ### ### # ###",
        "#.. #.# ##.# .#. #.# #.. .#. # #..",
        "### .#. #.## .#. ### ### .#. # #..",
        "..# .#. #..# .#. #.# #.. .#. # #..",
        "### .#. #..# .#. #.# ### .#. # ###",
    ]
    drawn = label.draw(np.zeros((100, 100, 3), np.uint8))[-6:-1, 1:35, 0] > 128
    np.testing.assert_array_equal(drawn, [[mark == "#" for mark in row] for row in art])


@pytest.mark.parametrize("name", ["jpeg 70", "0.75x", "0.5x", "1.6x", "crop right"])
def test_label_is_found_after(portrait, attack, name: str) -> None:
    for seed in range(3):
        found = label.detect(attack(name, label.draw(portrait(seed))))
        assert found.present and found.score > label.NEEDED


def test_label_is_not_found_where_there_is_none(portrait, attack) -> None:
    unlabelled = [portrait(seed) for seed in range(6)]
    cut_off = attack("crop top left", label.draw(portrait(0)))[:200]
    for frame in [*unlabelled, cut_off, np.zeros((256, 256, 3), np.uint8)]:
        assert not label.detect(frame).present


def test_draw_refuses_a_frame_without_room() -> None:
    with pytest.raises(UserError, match=r"80 x 63 px is too small.*at least 64 px"):
        label.draw(np.zeros((63, 80, 3), np.uint8))
