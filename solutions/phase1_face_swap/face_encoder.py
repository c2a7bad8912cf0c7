"""Phase 1, part 2: bring a face into a standard position, and say whose it is.

Alignment: the similarity (turn, scale, shift) that carries a face's landmarks closest to those of
an average face cuts every face out alike; its inverse puts the result back. Recognition: a network
turns the aligned face into a direction in space, so that two pictures of one person point the same
way. It learns that from a margin loss: a person's pictures must not only be nearer to their own
direction than to all others, but nearer by a margin.

Dimension key: B batch, C channels, H rows, W columns, N points, L = 68 landmarks, K people,
D embedding size; a trailing 2 is (x, y).
Coordinates as in lab.faces: (0, 0) is the centre of the top-left pixel. Matrices (2, 3) act on
column points (x, y, 1).
"""

from collections.abc import Sequence

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lab import faces
from lab.mean_face import MEAN_FACE_L2

# What a crop shows: its side and the height of its centre, in eye distances (lab.mean_face).
FACE_TYPES = {
    "half": (2.2, 0.50),  # brows to lower lip
    "full": (3.0, 0.60),  # forehead to chin
    "whole": (3.6, 0.42),  # hairline to chin, and the width of the cheeks
    "head": (5.0, 0.30),  # hair and neck too
}

# How much each landmark counts in alignment: the jaw line is placed badly by every detector, and
# lips and brows move with the expression, which must not move the crop.
ALIGN_WEIGHTS_L = np.concatenate(
    [np.zeros(17), np.full(10, 0.5), np.ones(9), np.ones(12), np.full(20, 0.25)]
)


def umeyama(
    source_N2: np.ndarray, target_N2: np.ndarray, weights_N: np.ndarray | None = None
) -> np.ndarray:
    """The similarity that carries source points closest to target points.

    Minimises the weighted sum of squared distances |s R p + t - q|^2 over scale s > 0, rotation R
    (never a reflection) and shift t.

    Args:
        source_N2, target_N2: corresponding points, at least 2 that differ.
        weights_N: how much each counts, not negative; all alike if not given.

    Returns:
        (2, 3) float64: [s R | t].

    Raises:
        ValueError: if the shapes differ, a number is not finite, a weight is negative, or all
            source points (or all target points) coincide.

    Source: Umeyama 1991 (Least-Squares Estimation of Transformation Parameters Between Two Point
    Patterns); weights are an addition.
    """
    source_N2 = np.asarray(source_N2, np.float64)
    target_N2 = np.asarray(target_N2, np.float64)
    weights_N = np.ones(len(source_N2)) if weights_N is None else np.asarray(weights_N, np.float64)
    _check_points(source_N2, target_N2, weights_N)
    # 1. Centres of gravity, and both sets relative to them.
    weights_N1 = (weights_N / weights_N.sum())[:, None]
    source_mean_2 = (weights_N1 * source_N2).sum(axis=0)
    target_mean_2 = (weights_N1 * target_N2).sum(axis=0)
    source_N2, target_N2 = source_N2 - source_mean_2, target_N2 - target_mean_2
    # 2. Covariance of target with source, and its singular values.
    covariance_22 = (weights_N1 * target_N2).T @ source_N2
    left_22, singular_2, right_22 = np.linalg.svd(covariance_22)
    # 3. If the best orthogonal matrix is a reflection, turn its weaker axis round.
    signs_2 = np.array([1.0, np.sign(np.linalg.det(left_22 @ right_22))])
    rotation_22 = left_22 @ np.diag(signs_2) @ right_22
    # 4. Scale: how much of the target's spread follows the source's.
    source_spread = (weights_N1 * source_N2**2).sum()
    target_spread = (weights_N1 * target_N2**2).sum()
    scale = (singular_2 * signs_2).sum() / max(source_spread, 1e-300)
    if min(source_spread, target_spread) < 1e-18 or scale <= 0:
        raise ValueError("expected points that differ and correspond; no similarity fits these")
    # 5. Shift: centre onto centre.
    shift_2 = target_mean_2 - scale * rotation_22 @ source_mean_2
    return np.column_stack([scale * rotation_22, shift_2])


def transform(points_N2: np.ndarray, matrix_23: np.ndarray) -> np.ndarray:
    """Apply a (2, 3) matrix to points (N, 2)."""
    return np.asarray(points_N2, np.float64) @ matrix_23[:, :2].T + matrix_23[:, 2]


def invert(matrix_23: np.ndarray) -> np.ndarray:
    """The (2, 3) matrix that undoes a (2, 3) matrix.

    Raises:
        ValueError: if it cannot be undone.
    """
    # 1. q = A p + t  <=>  p = A^-1 q - A^-1 t.
    if abs(np.linalg.det(matrix_23[:, :2])) < 1e-12:
        raise ValueError("expected an invertible matrix, got one that flattens the plane")
    inverse_22 = np.linalg.inv(matrix_23[:, :2])
    return np.column_stack([inverse_22, -inverse_22 @ matrix_23[:, 2]])


def template_points(face_type: str, size_px: int) -> np.ndarray:
    """Where the average face's landmarks lie in a crop.

    Args:
        face_type: "half", "full", "whole" or "head".
        size_px: the crop's side.

    Returns:
        (68, 2) float64 pixels.

    Raises:
        ValueError: if there is no such face type.
    """
    if face_type not in FACE_TYPES:
        raise ValueError(f"expected face_type one of {', '.join(FACE_TYPES)}, got '{face_type}'")
    side, centre_y = FACE_TYPES[face_type]
    # 1. The crop's outer edges lie half a side from its centre, at -0.5 and size - 0.5.
    return (MEAN_FACE_L2 - (0.0, centre_y)) / side * size_px + (size_px - 1) / 2


def align(points_px: np.ndarray, face_type: str = "full", size_px: int = 128) -> np.ndarray:
    """The matrix from frame pixels to the pixels of an aligned crop.

    Args:
        points_px: (68, 2) landmarks, or (5, 2) as `lab.faces.Face.landmarks5_px`.
        face_type: "half", "full", "whole" or "head".
        size_px: the crop's side.

    Returns:
        (2, 3) float64.
    """
    template_L2 = template_points(face_type, size_px)
    # 1. All 68 with weights; or the average face's own five.
    if len(points_px) == 5:
        return umeyama(points_px, faces.five_points(template_L2))
    return umeyama(points_px, template_L2, ALIGN_WEIGHTS_L)


def crop(frame_HW3: np.ndarray, matrix_23: np.ndarray, size_px: int) -> np.ndarray:
    """Cut an aligned face out.

    Args:
        frame_HW3: uint8 RGB, or any array (H, W) or (H, W, C) of uint8 or float32.
        matrix_23: from `align`, with the same size.
        size_px: the crop's side.

    Returns:
        (size, size, ...) of the same type; outside the frame its nearest edge is repeated.
    """
    # 1. How many frame pixels fall on one crop pixel? Sampling one of several would alias.
    shrink = 1 / np.sqrt(abs(np.linalg.det(matrix_23[:, :2])))
    factor = max(1, round(shrink))
    # 2. Cut out `factor` times too large: pixel p of the crop is pixels p f ... p f + f - 1 there.
    finer_23 = factor * matrix_23
    finer_23[:, 2] += (factor - 1) / 2
    big = cv2.warpAffine(
        frame_HW3,
        finer_23,
        (size_px * factor, size_px * factor),
        flags=cv2.INTER_CUBIC if factor == 1 else cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    # 3. Average each block of pixels.
    return cv2.resize(big, (size_px, size_px), interpolation=cv2.INTER_AREA) if factor > 1 else big


def uncrop(
    crop_HW3: np.ndarray, matrix_23: np.ndarray, height_px: int, width_px: int
) -> tuple[np.ndarray, np.ndarray]:
    """Put an aligned face back where it was cut out: the exact inverse of `crop`.

    Args:
        crop_HW3: the crop, (size, size) or (size, size, C), uint8 or float32.
        matrix_23: the matrix it was cut out with.
        height_px, width_px: the frame's size.

    Returns:
        The frame-sized image (black beyond the crop), and the coverage (H, W) float32: 1 where the
        crop says what is there, 0 where it does not, between at its border.
    """
    back = np.zeros((height_px, width_px, *crop_HW3.shape[2:]), crop_HW3.dtype)
    coverage_HW = np.zeros((height_px, width_px), np.float32)
    # 1. The part of the frame that the crop can reach: the box round its four outer corners.
    inverse_23 = invert(matrix_23)
    rows, columns = crop_HW3.shape[:2]
    corners_42 = np.array([(-1, -1), (columns, -1), (-1, rows), (columns, rows)])
    reached_42 = transform(corners_42, inverse_23)
    x0, y0 = np.clip(np.floor(reached_42.min(axis=0)), 0, (width_px, height_px)).astype(int)
    x1, y1 = np.clip(np.ceil(reached_42.max(axis=0)) + 1, 0, (width_px, height_px)).astype(int)
    if x1 <= x0 or y1 <= y0:
        return back, coverage_HW
    # 2. Every pixel there asks the crop at its transformed place.
    to_part_23 = inverse_23 - [[0, 0, x0], [0, 0, y0]]
    size = (int(x1 - x0), int(y1 - y0))
    part = cv2.warpAffine(
        crop_HW3, to_part_23, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    # 3. Cubic interpolation overshoots at edges; a mask must not.
    back[y0:y1, x0:x1] = np.clip(part, crop_HW3.min(), crop_HW3.max())
    # 4. A crop full of ones, surrounded by zeros, tells where the crop was asked.
    ones_HW = np.ones((rows, columns), np.float32)
    coverage_HW[y0:y1, x0:x1] = cv2.warpAffine(ones_HW, to_part_23, size, flags=cv2.INTER_LINEAR)
    return back, coverage_HW


def distance(embedding_a_D: np.ndarray, embedding_b_D: np.ndarray) -> float:
    """How unlike two faces are: the Euclidean distance of their embeddings, 0 for the same."""
    return float(np.linalg.norm(np.asarray(embedding_a_D) - np.asarray(embedding_b_D)))


def calibrate_threshold(same_N: np.ndarray, different_M: np.ndarray) -> tuple[float, float]:
    """Choose the distance below which two faces count as one person.

    Args:
        same_N: distances between pictures of one person.
        different_M: distances between pictures of different people.

    Returns:
        The threshold with the highest balanced accuracy (the mean of the two hit rates; the middle
        of the best interval), and that accuracy.

    Raises:
        ValueError: if either is empty.
    """
    same_N, different_M = np.sort(same_N), np.sort(different_M)
    if len(same_N) == 0 or len(different_M) == 0:
        raise ValueError("expected distances of both kinds, same person and different people")
    # 1. Only the gaps between neighbouring distances can be thresholds.
    values = np.unique(np.concatenate([same_N, different_M]))
    candidates = (values[1:] + values[:-1]) / 2 if len(values) > 1 else values
    # 2. Of the same, those below are right; of the different, those not below.
    right_same = np.searchsorted(same_N, candidates) / len(same_N)
    right_different = 1 - np.searchsorted(different_M, candidates) / len(different_M)
    balanced = (right_same + right_different) / 2
    # 3. The middle of the best.
    best = np.flatnonzero(balanced >= balanced.max() - 1e-12)
    return float(candidates[best[len(best) // 2]]), float(balanced.max())


def is_same_person(
    embedding_a_D: np.ndarray,
    embedding_b_D: np.ndarray,
    threshold: float = faces.SAME_ACTOR_THRESHOLD,
) -> bool:
    """Verification: are these two the same person? The default threshold is dlib's, for actors."""
    return distance(embedding_a_D, embedding_b_D) < threshold


def best_match(
    query_D: np.ndarray,
    gallery_ND: Sequence[np.ndarray],
    threshold: float = faces.SAME_ACTOR_THRESHOLD,
) -> int | None:
    """Identification: which of several faces is this?

    Returns:
        Index of the nearest, or None if none is nearer than the threshold (or none is given).
    """
    # 1. All distances.
    distances = [distance(query_D, other_D) for other_D in gallery_ND]
    # 2. The smallest, if it is small enough.
    nearest = int(np.argmin(distances)) if distances else None
    return nearest if nearest is not None and distances[nearest] < threshold else None


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut; halves the image, changes the channels."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride=2, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(out_channels)
        self.act1 = nn.PReLU(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(out_channels)
        self.shortcut = nn.Conv2d(in_channels, out_channels, 1, bias=False)
        self.act2 = nn.PReLU(out_channels)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C', H/2, W/2)."""
        # 1. The branch: convolve, normalise, activate; convolve, normalise.
        branch = self.norm2(self.conv2(self.act1(self.norm1(self.conv1(x_BCHW)))))
        # 2. The shortcut: average 2x2 pixels, match the channels.
        return self.act2(branch + self.shortcut(F.avg_pool2d(x_BCHW, 2)))


class EmbeddingNet(nn.Module):
    """Our own recogniser: an aligned 64-pixel face to a unit vector.

    Args:
        width: channels of the stem; the three stages have 2, 3 and 4 times as many.
        size: D, the embedding's length.
    """

    def __init__(self, width: int = 24, size: int = 128) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, width, 3, stride=2, padding=1)
        self.stages = nn.Sequential(
            ResidualBlock(width, 2 * width),
            ResidualBlock(2 * width, 3 * width),
            ResidualBlock(3 * width, 4 * width),
        )
        self.dense = nn.Linear(4 * width * 4 * 4, size, bias=False)
        self.norm = nn.BatchNorm1d(size)

    def forward(self, crops_B3HW: Tensor) -> Tensor:
        """Embed aligned faces.

        Args:
            crops_B3HW: (B, 3, 64, 64), RGB in [0, 1], cut out with face type "full".

        Returns:
            (B, D), each of length 1.

        Raises:
            ValueError: if the crops are not 64 x 64 RGB.
        """
        if crops_B3HW.ndim != 4 or crops_B3HW.shape[1:] != (3, 64, 64):
            raise ValueError(f"expected crops (B, 3, 64, 64), got {tuple(crops_B3HW.shape)}")
        # 1. Each picture's own brightness and contrast say nothing about who it is.
        mean = crops_B3HW.mean(dim=(1, 2, 3), keepdim=True)
        spread = crops_B3HW.std(dim=(1, 2, 3), keepdim=True)
        x = self.stages(self.stem((crops_B3HW - mean) / (spread + 1e-3)))
        # 2. Keep the places: where a feature is, tells faces apart.
        x = self.norm(self.dense(x.flatten(1)))
        # 3. Only the direction counts.
        return F.normalize(x, dim=1)


def cosface_logits(
    embedding_BD: Tensor,
    people_KD: Tensor,
    label_B: Tensor,
    margin: float = 0.35,
    scale: float = 30.0,
) -> Tensor:
    """Scores for cross-entropy with an additive cosine margin.

    Args:
        embedding_BD: unit vectors.
        people_KD: one learned direction per person, of any length.
        label_B: who each picture shows, int64 in [0, K).
        margin: subtracted from the cosine with one's own direction, >= 0.
        scale: multiplies the cosines; a softmax over [-1, 1] alone cannot become sure.

    Returns:
        (B, K).

    Source: Wang et al. 2018 (CosFace: Large Margin Cosine Loss for Deep Face Recognition).
    """
    # 1. Cosines with every person's direction.
    cosine_BK = embedding_BD @ F.normalize(people_KD, dim=1).T
    # 2. Make it harder for the right one.
    own_BK = F.one_hot(label_B, len(people_KD)).to(cosine_BK)
    return scale * (cosine_BK - margin * own_BK)


def arcface_logits(
    embedding_BD: Tensor,
    people_KD: Tensor,
    label_B: Tensor,
    margin: float = 0.4,
    scale: float = 30.0,
) -> Tensor:
    """Scores for cross-entropy with an additive angular margin.

    Arguments and result as `cosface_logits`; the margin is an angle in radians, in [0, pi).

    Source: Deng et al. 2019 (ArcFace: Additive Angular Margin Loss for Deep Face Recognition).
    """
    # 1. Cosines, and the angle to one's own direction; acos has no slope at +-1.
    cosine_BK = embedding_BD @ F.normalize(people_KD, dim=1).T
    own_cosine_B1 = cosine_BK.gather(1, label_B[:, None]).clamp(-1 + 1e-6, 1 - 1e-6)
    angle_B1 = own_cosine_B1.acos()
    # 2. Add the margin; past pi the cosine would rise again, so go on downwards in a line.
    limit = np.pi - margin
    harder_B1 = torch.where(
        angle_B1 < limit, (angle_B1 + margin).cos(), own_cosine_B1 - margin * np.sin(margin)
    )
    return scale * cosine_BK.scatter(1, label_B[:, None], harder_B1)


def margin_loss(
    embedding_BD: Tensor,
    people_KD: Tensor,
    label_B: Tensor,
    kind: str = "cosface",
    margin: float = 0.35,
    scale: float = 30.0,
) -> Tensor:
    """Mean cross-entropy of the margin scores; a scalar >= 0.

    Raises:
        ValueError: if `kind` is neither "cosface" nor "arcface".
    """
    logits_of = {"cosface": cosface_logits, "arcface": arcface_logits}
    if kind not in logits_of:
        raise ValueError(f'expected kind "cosface" or "arcface", got "{kind}"')
    return F.cross_entropy(
        logits_of[kind](embedding_BD, people_KD, label_B, margin, scale), label_B
    )


def _check_points(source_N2: np.ndarray, target_N2: np.ndarray, weights_N: np.ndarray) -> None:
    if source_N2.ndim != 2 or source_N2.shape[1:] != (2,) or source_N2.shape != target_N2.shape:
        raise ValueError(
            f"expected two sets of points (N, 2), got {source_N2.shape} and {target_N2.shape}"
        )
    if weights_N.shape != (len(source_N2),) or (weights_N < 0).any() or weights_N.sum() <= 0:
        raise ValueError("expected one weight per point, none negative, not all 0")
    if not all(np.isfinite(values).all() for values in (source_N2, target_N2, weights_N)):
        raise ValueError("expected finite points and weights")
