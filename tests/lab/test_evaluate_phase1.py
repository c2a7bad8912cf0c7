"""The figures of the face swap: what is perfect, and what is not done at all, must read so."""

import numpy as np
import pytest

from lab import faces
from lab.evaluate import phase1
from lab.evaluate.phase1 import Take

SIZE = 48


def clip(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (3, SIZE, SIZE, 3), dtype=np.uint8)


def take(swapped: np.ndarray, target: np.ndarray, truth: np.ndarray) -> Take:
    region = np.zeros((3, SIZE, SIZE), bool)
    region[:, 10:38, 12:36] = True
    return Take(target, truth, swapped, region, region, region.copy(), np.ones(3, bool))


def figures_of(swapped: np.ndarray, target: np.ndarray, truth: np.ndarray) -> dict[str, object]:
    figures = phase1.truth_figures("pair", [take(swapped, target, truth)])
    return {figure.name.removeprefix("pair: "): figure for figure in figures}


def test_perfect_swap_reaches_every_bar():
    target, truth = clip(1), clip(2)
    swapped = target.copy()
    swapped[:, 10:38, 12:36] = truth[:, 10:38, 12:36]
    found = figures_of(swapped, target, truth)
    assert found["L1 in the face over no swap's"].value == 0
    assert found["SSIM in the face"].value == pytest.approx(1), "hair beyond the region counted"
    assert found["SSIM, windows reaching beyond it too"].value < 0.9
    assert all(figure.passed for figure in found.values())


def test_no_swap_at_all_falls_short():
    target, truth = clip(1), clip(2)
    found = figures_of(target, target, truth)
    assert found["L1 in the face over no swap's"].value == pytest.approx(1)
    assert not found["L1 in the face over no swap's"].passed
    assert not found["SSIM in the face"].passed


def test_one_value_changed_outside_the_mask_is_found():
    target, truth = clip(1), clip(2)
    swapped = target.copy()
    swapped[1, 2, 3, 0] ^= 1
    found = figures_of(swapped, target, truth)["values changed outside the mask"]
    assert found.value == 1 and not found.passed


def test_frames_without_a_face_lower_the_share():
    target = clip(1)
    part = take(target, target, clip(2))
    part.found_T[0] = False
    found = next(f for f in phase1.truth_figures("pair", [part]) if "face found" in f.name)
    assert found.value == pytest.approx(100 * 2 / 3) and not found.passed


def test_performances_depend_on_the_draw_and_leave_the_training_ones_alone():
    first, again, other = (phase1.draw_performance(np.random.default_rng(s)) for s in (1, 1, 2))
    assert len(first) == phase1.FRAMES
    np.testing.assert_array_equal(first.expression_TE, again.expression_TE)
    assert first.seed != other.seed
    assert min(first.seed, other.seed) >= phase1.HELD_OUT_PERFORMANCES


@pytest.mark.parametrize(
    ("box", "hit"),
    [
        ((10, 10, 60, 60), True),
        ((10, 10, 25, 25), False),
        ((-90, -90, 160, 160), False),
        ((70, 10, 120, 60), False),
    ],
    ids=["right", "too small", "too large", "beside"],
)
def test_hit_needs_the_right_place_and_size(box, hit):
    landmarks = np.full((68, 2), 35.0)
    landmarks[0, 0], landmarks[16, 0] = 10, 60
    assert phase1.is_on_face(faces.Face(box, 1.0), landmarks) is hit
