"""Metrics: how near a picture, a person or a clip is to another one.

Dimension key: H rows, W columns, T frames, N samples, C features; a trailing 2 is (x, y).
Frames are uint8 RGB (H, W, 3); every function also takes float frames in [0, 1]. A mask is bool
or a weight in [0, 1], (H, W); it chooses the pixels that count.
"""

from collections.abc import Sequence
from itertools import pairwise

import cv2
import numpy as np

_SSIM_WINDOW_PX = 7


def l1(a_HW3: np.ndarray, b_HW3: np.ndarray, mask_HW: np.ndarray | None = None) -> float:
    """Mean absolute difference in [0, 1] units; 0 is equal, 1 is black against white.

    Raises:
        ValueError: if the shapes differ or the mask is empty.
    """
    a, b = _pair(a_HW3, b_HW3)
    return _masked_mean(np.abs(a - b).mean(-1), mask_HW)


def psnr(a_HW3: np.ndarray, b_HW3: np.ndarray, mask_HW: np.ndarray | None = None) -> float:
    """Peak signal-to-noise ratio in dB, peak 1; infinite for equal frames.

    Raises:
        ValueError: if the shapes differ or the mask is empty.
    """
    a, b = _pair(a_HW3, b_HW3)
    mean_square = _masked_mean(np.square(a - b).mean(-1), mask_HW)
    return float(-10 * np.log10(mean_square)) if mean_square > 0 else float("inf")


def ssim(a_HW3: np.ndarray, b_HW3: np.ndarray, mask_HW: np.ndarray | None = None) -> float:
    """Structural similarity in [-1, 1]; 1 is equal. Mean over the three channels.

    Window 7 x 7 px, uniform, sample covariance, K1 = 0.01, K2 = 0.03: the same numbers as
    `skimage.metrics.structural_similarity(a, b, channel_axis=-1, data_range=1)`. With a mask, the
    mean is taken over the windows whose centre lies in it; windows that reach beyond the frame are
    left out in either case.

    Raises:
        ValueError: if the shapes differ, the frame is smaller than the window, or the mask is empty.

    Source: Wang et al. 2004 (Image Quality Assessment: From Error Visibility to Structural
    Similarity).
    """
    a, b = _pair(a_HW3, b_HW3)
    if min(a.shape[:2]) < _SSIM_WINDOW_PX:
        raise ValueError(f"expected frames of at least {_SSIM_WINDOW_PX} px, got {a.shape[:2]}")
    window, half = (_SSIM_WINDOW_PX, _SSIM_WINDOW_PX), _SSIM_WINDOW_PX // 2
    mean_a, mean_b, mean_aa, mean_bb, mean_ab = (
        cv2.blur(x, window, borderType=cv2.BORDER_REFLECT_101) for x in (a, b, a * a, b * b, a * b)
    )
    sample = _SSIM_WINDOW_PX**2 / (_SSIM_WINDOW_PX**2 - 1)
    variance_a = sample * (mean_aa - mean_a**2)
    variance_b = sample * (mean_bb - mean_b**2)
    covariance = sample * (mean_ab - mean_a * mean_b)
    c1, c2 = 0.01**2, 0.03**2
    similarity = ((2 * mean_a * mean_b + c1) * (2 * covariance + c2)) / (
        (mean_a**2 + mean_b**2 + c1) * (variance_a + variance_b + c2)
    )
    inside = (slice(half, -half), slice(half, -half))
    return _masked_mean(
        similarity.mean(-1)[inside], None if mask_HW is None else np.asarray(mask_HW)[inside]
    )


def random_features(frames: Sequence[np.ndarray], seed: int = 0) -> np.ndarray:
    """Describe frames by an untrained convolutional network: features for `fid` that need no file.

    Four 3 x 3 convolutions with stride 2 and fixed random weights on a 64 px copy of the frame;
    of each of the four maps, every channel's mean and standard deviation. They see colour, contrast
    and texture at four scales, and know nothing of faces. Values are comparable only with values of
    this same function and seed; they are not the Inception FID of the literature.

    Args:
        frames: uint8 (H, W, 3), any sizes.
        seed: chooses the network's weights.

    Returns:
        (N, 240) float64.

    Source: Naeem et al. 2020 (Reliable Fidelity and Diversity Metrics) use untrained features for
    pictures that are far from ImageNet.
    """
    import torch
    import torch.nn.functional as F

    generator = torch.Generator().manual_seed(seed)
    channels = (3, 8, 16, 32, 64)
    weights = [
        torch.randn(o, i, 3, 3, generator=generator) * (2 / (9 * i)) ** 0.5
        for i, o in pairwise(channels)
    ]
    rows = []
    for frame in frames:
        small = cv2.resize(
            _as_float(frame).astype(np.float32), (64, 64), interpolation=cv2.INTER_AREA
        )
        x = torch.from_numpy(small).permute(2, 0, 1)[None] - 0.5
        row = []
        for weight in weights:
            x = F.leaky_relu(F.conv2d(x, weight, stride=2, padding=1), 0.2)
            row += [x.mean((2, 3)), x.std((2, 3))]
        rows.append(torch.cat(row, 1)[0].double().numpy())
    return np.stack(rows)


def fid(features_a_NC: np.ndarray, features_b_NC: np.ndarray) -> float:
    """Frechet distance between two sets of features, each taken as a Gaussian; 0 is equal.

    |mean difference|^2 + trace(A + B - 2 (A B)^(1/2)), in squared units of the features. State with
    the number which features it is of: dlib's face embedding (`lab.faces.embed`, 128 numbers: who
    is seen) or `random_features` (240 numbers: how it looks). Needs clearly more samples than
    features to be trusted, and the same number on both sides to be compared.

    Raises:
        ValueError: if the feature counts differ or a set has fewer than 2 samples.

    Source: Heusel et al. 2017 (TTUR), who take Inception features.
    """
    a, b = np.asarray(features_a_NC, np.float64), np.asarray(features_b_NC, np.float64)
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1] or min(len(a), len(b)) < 2:
        raise ValueError(f"expected (N >= 2, C) twice with the same C, got {a.shape} and {b.shape}")
    covariance_a, covariance_b = np.atleast_2d(np.cov(a.T)), np.atleast_2d(np.cov(b.T))
    # trace((A B)^(1/2)) is the sum of the roots of the eigenvalues of the symmetric A^(1/2) B A^(1/2).
    values, vectors = np.linalg.eigh(covariance_a)
    root_a = (vectors * np.sqrt(values.clip(0))) @ vectors.T
    overlap = np.sqrt(np.linalg.eigvalsh(root_a @ covariance_b @ root_a).clip(0)).sum()
    distance = np.square(a.mean(0) - b.mean(0)).sum()
    return float(max(0.0, distance + np.trace(covariance_a) + np.trace(covariance_b) - 2 * overlap))


def identity_distance(
    frame_a_HW3: np.ndarray,
    frame_b_HW3: np.ndarray,
    landmarks_a_px_L2: np.ndarray | None = None,
    landmarks_b_px_L2: np.ndarray | None = None,
) -> float:
    """Euclidean distance between two faces' dlib embeddings; about 0.3 same actor, 0.5 different.

    `lab.faces.SAME_ACTOR_THRESHOLD` is where actors are told apart best.

    Args:
        frame_a_HW3, frame_b_HW3: uint8 RGB; the largest face counts.
        landmarks_a_px_L2, landmarks_b_px_L2: (68, 2); found by dlib if not given.

    Returns:
        The distance, or nan if a face is to be found and there is none.
    """
    from lab import faces

    def describe(frame: np.ndarray, landmarks: np.ndarray | None) -> np.ndarray | None:
        if landmarks is None:
            face = faces.largest_face(faces.detect_hog(frame))
            if face is None:
                return None
            landmarks = faces.landmarks_of(frame, face)
        return faces.embed(frame, landmarks)

    a = describe(frame_a_HW3, landmarks_a_px_L2)
    b = describe(frame_b_HW3, landmarks_b_px_L2)
    return float("nan") if a is None or b is None else float(np.linalg.norm(a - b))


def flow_warp_error(
    frames: Sequence[np.ndarray],
    masks: Sequence[np.ndarray] | None = None,
    flow_frames: Sequence[np.ndarray] | None = None,
) -> float:
    """Flicker: what changes between neighbouring frames beyond their motion.

    Each frame is warped back by Farneback's optical flow onto the frame before it; the mean
    absolute difference is taken where the flow forwards and backwards agree within 1 px (elsewhere
    something was covered or uncovered), and inside the earlier frame's mask.

    Args:
        frames: at least 2, uint8 (H, W, 3) of one size.
        masks: (H, W) each, as many as frames; all pixels if not given.
        flow_frames: frames to measure the motion on, if not `frames`: to compare a result with its
            original, give the original to both calls, so that both are warped alike.

    Returns:
        Mean over frame pairs in [0, 1] units; nan if no pixel can be compared.

    Raises:
        ValueError: if there are fewer than 2 frames or the numbers differ.

    Source: Lai et al. 2018 (Learning Blind Video Temporal Consistency); Farneback 2003.
    """
    motion = frames if flow_frames is None else flow_frames
    if (
        len(frames) < 2
        or len(motion) != len(frames)
        or (masks is not None and len(masks) != len(frames))
    ):
        raise ValueError("expected at least 2 frames, and as many masks and flow frames as frames")
    grays = [
        cv2.cvtColor((_as_float(f) * 255).astype(np.uint8), cv2.COLOR_RGB2GRAY) for f in motion
    ]
    errors = []
    for t in range(len(frames) - 1):
        forward_HW2 = _farneback(grays[t], grays[t + 1])
        backward_HW2 = _farneback(grays[t + 1], grays[t])
        round_trip = forward_HW2 + _read_along(backward_HW2, forward_HW2)
        weight = (np.linalg.norm(round_trip, axis=-1) < 1).astype(np.float64)
        if masks is not None:
            weight *= np.asarray(masks[t], np.float64)
        if weight.sum() > 0:
            later = _read_along(_as_float(frames[t + 1]), forward_HW2)
            errors.append(_masked_mean(np.abs(later - _as_float(frames[t])).mean(-1), weight))
    return float(np.mean(errors)) if errors else float("nan")


def _farneback(from_HW: np.ndarray, to_HW: np.ndarray) -> np.ndarray:
    """Dense flow in px, (H, W, 2): what is at x in the first frame is at x + flow in the second."""
    return cv2.calcOpticalFlowFarneback(from_HW, to_HW, None, 0.5, 4, 15, 3, 5, 1.2, 0)


def _read_along(image_HWC: np.ndarray, flow_HW2: np.ndarray) -> np.ndarray:
    """Read the image at x + flow(x), bilinearly, the edge repeated; (H, W, C)."""
    height, width = flow_HW2.shape[:2]
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    return cv2.remap(
        image_HWC,
        x + flow_HW2[..., 0],
        y + flow_HW2[..., 1],
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )


def _as_float(frame: np.ndarray) -> np.ndarray:
    """float64 in [0, 1], whatever the frame's type."""
    frame = np.asarray(frame)
    return frame / 255.0 if frame.dtype == np.uint8 else frame.astype(np.float64)


def _pair(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if np.shape(a) != np.shape(b) or np.ndim(a) != 3 or np.shape(a)[-1] != 3:
        raise ValueError(
            f"expected two (H, W, 3) frames of one size, got {np.shape(a)}, {np.shape(b)}"
        )
    return _as_float(a), _as_float(b)


def _masked_mean(values_HW: np.ndarray, mask_HW: np.ndarray | None) -> float:
    if mask_HW is None:
        return float(values_HW.mean())
    weight = np.asarray(mask_HW, np.float64)
    if weight.shape != values_HW.shape:
        raise ValueError(f"expected a mask of shape {values_HW.shape}, got {weight.shape}")
    if weight.sum() <= 0:
        raise ValueError("the mask is empty: no pixel to measure")
    return float((values_HW * weight).sum() / weight.sum())
