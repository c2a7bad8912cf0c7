"""Metrics: hand-computed values, properties, and agreement with scikit-image."""

import math
from itertools import pairwise

import cv2
import numpy as np
import pytest

from lab import metrics


def texture(seed: int, height: int = 48, width: int = 64) -> np.ndarray:
    """A smooth random picture, uint8 (H, W, 3)."""
    noise = np.random.default_rng(seed).normal(0, 1, (height, width, 3))
    smooth = cv2.GaussianBlur(noise, (0, 0), 3)
    return np.clip(128 + 60 * smooth / smooth.std(), 0, 255).astype(np.uint8)


def test_l1_of_hand_made_frames() -> None:
    a, b = np.zeros((2, 2, 3), np.uint8), np.zeros((2, 2, 3), np.uint8)
    b[0, 0] = 255
    assert metrics.l1(a, b) == pytest.approx(0.25)
    mask = np.array([[True, True], [False, False]])
    assert metrics.l1(a, b, mask) == pytest.approx(0.5)
    assert metrics.l1(a, b, mask * 0.3) == pytest.approx(0.5), "a weight's scale must not matter"


def test_psnr_of_a_constant_difference() -> None:
    a = np.full((4, 5, 3), 0.5)
    assert metrics.psnr(a, a + 0.1) == pytest.approx(20.0)
    assert metrics.psnr(a, a) == math.inf


def test_floats_and_bytes_measure_alike() -> None:
    a, b = texture(1), texture(2)
    for measure in (metrics.l1, metrics.psnr, metrics.ssim):
        assert measure(a, b) == pytest.approx(measure(a / 255, b / 255), abs=1e-12)


@pytest.mark.parametrize("noise", [2, 20, 60])
def test_ssim_and_psnr_agree_with_scikit_image(noise: int) -> None:
    from skimage.metrics import peak_signal_noise_ratio, structural_similarity

    a = texture(3)
    jitter = np.random.default_rng(4).normal(0, noise, a.shape)
    b = np.clip(a + jitter, 0, 255).astype(np.uint8)
    expected = structural_similarity(a / 255, b / 255, channel_axis=-1, data_range=1)
    assert metrics.ssim(a, b) == pytest.approx(expected, abs=5e-5)
    assert metrics.psnr(a, b) == pytest.approx(peak_signal_noise_ratio(a, b), abs=5e-5)


def test_masked_ssim_is_the_mean_of_scikit_images_map_inside_the_mask() -> None:
    from skimage.metrics import structural_similarity

    a, b = texture(5), texture(6)
    mask = np.zeros((48, 64), bool)
    mask[10:30, 20:50] = True
    _, full = structural_similarity(a / 255, b / 255, channel_axis=-1, data_range=1, full=True)
    assert metrics.ssim(a, b, mask) == pytest.approx(full.mean(-1)[mask].mean(), abs=5e-5)


def test_ssim_is_one_for_equal_frames_and_symmetric() -> None:
    a, b = texture(7), texture(8)
    assert metrics.ssim(a, a) == pytest.approx(1.0)
    assert metrics.ssim(a, b) == pytest.approx(metrics.ssim(b, a))


@pytest.mark.parametrize("measure", [metrics.l1, metrics.psnr, metrics.ssim])
def test_frame_metrics_reject_what_cannot_be_compared(measure) -> None:
    a = texture(1)
    with pytest.raises(ValueError, match="one size"):
        measure(a, a[:-1])
    with pytest.raises(ValueError, match="mask is empty"):
        measure(a, a, np.zeros((48, 64), bool))
    with pytest.raises(ValueError, match="expected a mask of shape"):
        measure(a, a, np.ones((64, 48), bool))


def test_fid_of_known_gaussians() -> None:
    # Samples with exact mean and covariance: +-1 on each axis, scaled by sqrt((N - 1) / 2 per axis).
    axes = np.concatenate([np.eye(2), -np.eye(2)]) * math.sqrt(3 / 2)
    assert np.allclose(np.cov(axes.T), np.eye(2))
    shifted = 3 * axes + [4.0, 0.0]
    # |shift|^2 + trace(I + 9 I - 2 * 3 I) = 16 + 8
    assert metrics.fid(axes, shifted) == pytest.approx(24.0)
    assert metrics.fid(axes, axes) == pytest.approx(0.0, abs=1e-9)


def test_fid_is_symmetric_and_knows_correlations() -> None:
    rng = np.random.default_rng(0)
    a = rng.normal(size=(400, 5))
    b = a.copy()
    b[:, 1] = b[:, 0]
    assert metrics.fid(a, b) == pytest.approx(metrics.fid(b, a), rel=1e-6)
    assert metrics.fid(a, b) > 0.3


def test_fid_rejects_unequal_feature_counts() -> None:
    with pytest.raises(ValueError, match="same C"):
        metrics.fid(np.zeros((5, 3)), np.zeros((5, 4)))


def test_random_features_order_damage_by_its_strength() -> None:
    frames = [texture(seed) for seed in range(24)]
    clean = metrics.random_features(frames)
    assert clean.shape == (24, 240)
    assert np.array_equal(clean[:3], metrics.random_features(frames[:3])), "one frame, one row"
    mild, strong = (
        metrics.fid(
            clean, metrics.random_features([cv2.GaussianBlur(f, (0, 0), s) for f in frames])
        )
        for s in (1.5, 5.0)
    )
    assert 0 < mild < strong


def moving(frames: int, shift_px: float) -> list[np.ndarray]:
    """A picture that glides to the right."""
    wide = texture(9, 64, 200)
    matrix = np.array([[1, 0, 0], [0, 1, 0]], np.float64)
    result = []
    for t in range(frames):
        matrix[0, 2] = shift_px * t - 60
        result.append(cv2.warpAffine(wide, matrix, (80, 64), flags=cv2.INTER_LINEAR))
    return result


def test_flow_warp_error_forgives_motion_and_sees_flicker() -> None:
    steady = moving(4, 2.0)
    flicker = [
        np.clip(f * (0.9 if t % 2 else 1.0), 0, 255).astype(np.uint8) for t, f in enumerate(steady)
    ]
    without_flow = np.mean([metrics.l1(a, b) for a, b in pairwise(steady)])
    assert metrics.flow_warp_error(steady) < 0.25 * without_flow
    assert metrics.flow_warp_error(flicker, flow_frames=steady) > 3 * metrics.flow_warp_error(
        steady
    )


def test_flow_warp_error_counts_inside_the_mask_only() -> None:
    frames = moving(2, 0.0)
    frames[1] = frames[1].copy()
    frames[1][:, 60:] = 255 - frames[1][:, 60:]
    left = np.zeros((64, 80), bool)
    left[:, :40] = True
    assert metrics.flow_warp_error(frames, [left, left], flow_frames=[frames[0]] * 2) < 1e-3
    assert metrics.flow_warp_error(frames, flow_frames=[frames[0]] * 2) > 0.02


def test_flow_warp_error_needs_two_frames_and_as_many_masks() -> None:
    frames = moving(2, 1.0)
    for bad in ((frames[:1], None), (frames, [np.ones((64, 80))])):
        with pytest.raises(ValueError, match="at least 2 frames"):
            metrics.flow_warp_error(*bad)


def test_identity_distance_is_nan_without_a_face() -> None:
    assert math.isnan(metrics.identity_distance(texture(1), texture(2)))
