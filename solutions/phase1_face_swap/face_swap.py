"""Phase 1, part 4: put the translated face back into the frame so that no seam shows.

The path of a frame: track the face -> smooth its landmarks -> cut an aligned crop -> network ->
match the colours -> mask -> blend -> write the pixels under the mask, and no others.

Detector, alignment, network and embedding are the earlier parts of this phase; they arrive as
arguments of `FaceSwapper`.

Dimension key: H rows, W columns, S side of a square crop, L = 68 landmarks in iBUG order, N points,
B batch; 3 is RGB, a trailing 2 is (x, y), 23 is a 2x3 affine matrix.
Pixel positions: x right, y down, (0, 0) is the centre of the top-left pixel.
Images: float32 in [0, 1] wherever something is computed; uint8 only where a frame comes in or goes
out (`frame_HW3`).
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import cv2
import numpy as np
import torch

JAW = slice(0, 17)
BROWS = slice(17, 27)
CHIN = 8
EYE_CORNERS = (36, 45)  # the outer ones

BLENDS = ("feather", "poisson", "laplacian")
COLOURS = ("none", "reinhard", "histogram", "mkl")

_BINOMIAL_5 = np.array([1, 4, 6, 4, 1], np.float32) / 16
_FOUR_NEIGHBOURS = np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]], np.float32)


# ---------------------------------------------------------------------------------------- mask


def forehead_points(landmarks_px_L2: np.ndarray, rise: float = 0.5) -> np.ndarray:
    """Guess where the hairline is: the 68 points end at the brows.

    Args:
        landmarks_px_L2: (68, 2) positions.
        rise: height of the forehead over the distance from chin to brows. In the canon of thirds
            hairline-brow, brow-nose and nose-chin are equal, which makes it 0.5.

    Returns:
        (10, 2): the brow points, lifted along the face's own up direction; the outer ones by 60 %
        of the rise, since a hairline is a dome.
    """
    # 1. The up direction: from the chin to the middle of the brows, as long as that part of the face.
    brows_N2 = landmarks_px_L2[BROWS]
    up_2 = brows_N2.mean(0) - landmarks_px_L2[CHIN]
    # 2. The dome: 0.6 at the outer ends, 1 in the middle.
    dome_N = 0.6 + 0.4 * np.sin(np.linspace(0, np.pi, len(brows_N2)))
    # 3. Lift each point.
    return brows_N2 + rise * dome_N[:, None] * up_2


def hull_depth(points_px_N2: np.ndarray, height: int, width: int) -> np.ndarray:
    """How deep each pixel lies inside the convex hull of some points.

    Inside a convex polygon the distance to its border is the least of the distances to the lines
    along its edges. Unlike a filled polygon it knows fractions of a pixel, so that a mask made of it
    does not flicker when the points move a little.

    Args:
        points_px_N2: (N, 2) positions, N >= 3; they may lie outside the image.
        height, width: size of the result in pixels.

    Returns:
        (H, W) float32 pixels: positive inside, 0 on the edge, negative outside.

    Raises:
        ValueError: if the points lie on one line.
    """
    # 1. The corners of the hull, in order, and the edge that leaves each of them.
    corners_N2 = cv2.convexHull(np.asarray(points_px_N2, np.float32)).reshape(-1, 2)
    edges_N2 = np.roll(corners_N2, -1, axis=0) - corners_N2
    lengths_N = np.linalg.norm(edges_N2, axis=1)
    corners_N2, edges_N2 = corners_N2[lengths_N > 1e-6], edges_N2[lengths_N > 1e-6]
    if len(corners_N2) < 3:
        raise ValueError("expected at least 3 points that are not on one line")
    # 2. Unit normals that point inwards, whichever way round the corners are listed.
    normals_N2 = np.stack([-edges_N2[:, 1], edges_N2[:, 0]], 1)
    normals_N2 /= np.linalg.norm(normals_N2, axis=1, keepdims=True)
    if ((corners_N2.mean(0) - corners_N2[0]) * normals_N2[0]).sum() < 0:
        normals_N2 = -normals_N2
    # 3. Signed distance of every pixel to every edge line; keep the least.
    x_W = np.arange(width, dtype=np.float32)
    y_H = np.arange(height, dtype=np.float32)
    depth_HW = np.full((height, width), np.inf, np.float32)
    for (x0, y0), (nx, ny) in zip(corners_N2, normals_N2, strict=True):
        np.minimum(depth_HW, (nx * (x_W - x0))[None] + (ny * (y_H - y0))[:, None], out=depth_HW)
    return depth_HW


def feathered_mask(depth_px_HW: np.ndarray, edge_px: float, feather_px: float) -> np.ndarray:
    """Turn depth into opacity: 0 up to the edge, 1 once `feather_px` deeper.

    The ramp lies inside the edge, never outside: nothing beyond it is touched.

    Args:
        depth_px_HW: signed distance to the hull, from `hull_depth`.
        edge_px: depth at which the mask begins; positive draws it in, negative lets it out.
        feather_px: width of the ramp, > 0.

    Returns:
        (H, W) float32 in [0, 1].

    Raises:
        ValueError: if `feather_px` is not positive.
    """
    if feather_px <= 0:
        raise ValueError(f"expected feather_px > 0, got {feather_px}")
    # 1. A straight ramp, cut off at 0 and 1.
    ramp_HW = np.clip((depth_px_HW - edge_px) / feather_px, 0, 1)
    # 2. Smoothstep: no kink at either end for the eye to find.
    return ramp_HW * ramp_HW * (3 - 2 * ramp_HW)


def landmark_mask(
    landmarks_px_L2: np.ndarray,
    height: int,
    width: int,
    edge: float = -0.1,
    feather: float = 0.12,
    forehead: float = 1.0,
) -> np.ndarray:
    """The mask that 68 landmarks give: their hull with a forehead, feathered.

    Args:
        landmarks_px_L2: (68, 2) positions.
        height, width: size of the result in pixels.
        edge: depth at which the mask begins, over the eye distance.
        feather: width of the ramp, over the eye distance.
        forehead: see `forehead_points`.

    Returns:
        (H, W) float32 in [0, 1].
    """
    # 1. The landmarks and the guessed hairline.
    outline_N2 = np.concatenate([landmarks_px_L2, forehead_points(landmarks_px_L2, forehead)])
    # 2. Depth in their hull, feathered in proportion to the face.
    unit_px = eye_distance_px(landmarks_px_L2)
    depth_HW = hull_depth(outline_N2, height, width)
    return feathered_mask(depth_HW, edge * unit_px, feather * unit_px)


def combine_masks(hull_HW: np.ndarray, learned_HW: np.ndarray) -> np.ndarray:
    """Swap only where the landmarks and the network agree that there is face.

    The network's mask knows hair, glasses and the edge of the cheek; the hull keeps it from
    answering somewhere else in the crop.

    Args:
        hull_HW: opacity from the landmarks, in [0, 1].
        learned_HW: the network's probability of face, in [0, 1]; its edge is at 0.5.

    Returns:
        (H, W) in [0, 1]: 0 wherever the hull is 0 or the network says at most 0.5.
    """
    # 1. Draw the learned edge inwards: 0.5 becomes 0, and 1 stays 1.
    inner_HW = np.clip(2 * learned_HW - 1, 0, 1)
    # 2. Both must agree.
    return hull_HW * inner_HW


def crop_window(size_px: int, margin: float = 0.04) -> np.ndarray:
    """Opacity that falls to 0 towards the border of a crop, where the network saw nothing beyond.

    Args:
        size_px: side S of the crop.
        margin: width of the ramp over the side.

    Returns:
        (S, S) float32 in [0, 1]; 0 on the outermost pixels.
    """
    # 1. Distance of each column to the nearer border, over the ramp's width.
    index_S = np.arange(size_px, dtype=np.float32)
    ramp_S = np.minimum(index_S, size_px - 1 - index_S) / max(margin * size_px, 1)
    # 2. The same for the rows; the nearest of the four borders counts.
    ramp_S = np.clip(ramp_S, 0, 1)
    return np.minimum(ramp_S[:, None], ramp_S[None])


# -------------------------------------------------------------------------------------- colour


def masked_gaussian(image_HW3: np.ndarray, weight_HW: np.ndarray) -> np.ndarray:
    """Mean and covariance of the colours under a mask.

    Args:
        image_HW3: any float colours.
        weight_HW: how much each pixel counts, >= 0, not all 0.

    Returns:
        (4, 3) float64: the mean, then the three rows of the covariance.

    Raises:
        ValueError: if the weights sum to 0.
    """
    total = float(weight_HW.sum())
    if total <= 0:
        raise ValueError("the mask is empty, so there are no colours to measure")
    # 1. Weighted mean of each channel.
    pixels_N3 = image_HW3.reshape(-1, 3).astype(np.float64)
    weight_N = weight_HW.reshape(-1).astype(np.float64) / total
    mean_3 = weight_N @ pixels_N3
    # 2. Weighted covariance of the channels.
    centred_N3 = pixels_N3 - mean_3
    covariance_33 = (centred_N3 * weight_N[:, None]).T @ centred_N3
    return np.concatenate([mean_3[None], covariance_33])


def masked_histogram(image_HW3: np.ndarray, weight_HW: np.ndarray, levels: int = 256) -> np.ndarray:
    """Share of the masked pixels at each level of each channel.

    Args:
        image_HW3: colours in [0, 1].
        weight_HW: how much each pixel counts, >= 0, not all 0.
        levels: number of bins K; level k stands for the colour k / (K - 1).

    Returns:
        (3, K) float64; each row sums to 1.

    Raises:
        ValueError: if the weights sum to 0.
    """
    total = float(weight_HW.sum())
    if total <= 0:
        raise ValueError("the mask is empty, so there are no colours to measure")
    # 1. The nearest level of each value.
    index_HW3 = np.rint(np.clip(image_HW3, 0, 1) * (levels - 1)).astype(np.int64)
    # 2. Count each channel, every pixel with its weight.
    weight_N = weight_HW.reshape(-1) / total
    counts = [np.bincount(index_HW3[..., c].ravel(), weight_N, levels) for c in range(3)]
    return np.stack(counts)


def reinhard_transfer(image_HW3: np.ndarray, from_43: np.ndarray, to_43: np.ndarray) -> np.ndarray:
    """Give a LAB image another mean and standard deviation, each channel for itself.

    Args:
        image_HW3: CIE LAB colours (L in [0, 100]).
        from_43: `masked_gaussian` of this image in LAB.
        to_43: `masked_gaussian` of the image whose colours are wanted, in LAB.

    Returns:
        (H, W, 3) LAB; values may leave the range of printable colours.

    Source: Reinhard et al. 2001 (Color Transfer between Images). They use the l-alpha-beta space of
    Ruderman; CIE LAB decorrelates skin colours about as well and every library has it.
    """
    # 1. Standard deviations: roots of the covariances' diagonals.
    from_std_3 = np.sqrt(np.diag(from_43[1:]))
    to_std_3 = np.sqrt(np.diag(to_43[1:]))
    # 2. Centre, scale, move. A channel without contrast has nothing to scale.
    gain_3 = to_std_3 / np.maximum(from_std_3, 1e-6)
    return ((image_HW3 - from_43[0]) * gain_3 + to_43[0]).astype(np.float32)


def histogram_transfer(image_HW3: np.ndarray, from_3K: np.ndarray, to_3K: np.ndarray) -> np.ndarray:
    """Give an image another histogram, each channel for itself.

    Args:
        image_HW3: colours in [0, 1].
        from_3K: `masked_histogram` of this image.
        to_3K: `masked_histogram` of the image whose colours are wanted.

    Returns:
        (H, W, 3) in [0, 1].

    Source: Gonzalez & Woods (Digital Image Processing), histogram specification.
    """
    levels_K = np.linspace(0, 1, from_3K.shape[1])
    out_HW3 = np.empty(image_HW3.shape, np.float32)
    for c in range(3):
        # 1. Rank of each level: the share of pixels below it plus half of those on it.
        from_rank_K = np.cumsum(from_3K[c]) - from_3K[c] / 2
        to_rank_K = np.cumsum(to_3K[c]) - to_3K[c] / 2
        # 2. Send each level to the one with the same rank; only levels that occur can be met.
        occurs_K = to_3K[c] > 0
        sent_K = np.interp(from_rank_K, to_rank_K[occurs_K], levels_K[occurs_K])
        # 3. Look up; values between two levels are interpolated.
        out_HW3[..., c] = np.interp(image_HW3[..., c], levels_K, sent_K)
    return out_HW3


def symmetric_root(matrix_33: np.ndarray, power: float = 0.5) -> np.ndarray:
    """A power of a symmetric positive definite matrix, through its eigenvectors; also symmetric."""
    # 1. Decompose.
    value_3, vector_33 = np.linalg.eigh(matrix_33)
    # 2. Raise the eigenvalues; rounding may have pushed one below 0.
    return (vector_33 * np.maximum(value_3, 1e-12) ** power) @ vector_33.T


def monge_kantorovich_transfer(
    image_HW3: np.ndarray, from_43: np.ndarray, to_43: np.ndarray
) -> np.ndarray:
    """Give an image another mean and covariance by the linear map that moves colours least.

    Args:
        image_HW3: RGB in [0, 1].
        from_43: `masked_gaussian` of this image.
        to_43: `masked_gaussian` of the image whose colours are wanted.

    Returns:
        (H, W, 3) RGB; values may leave [0, 1].

    Source: Pitie & Kokaram 2007 (The Linear Monge-Kantorovitch Linear Colour Mapping for
    Example-Based Colour Transfer).
    """
    # 1. Both covariances, kept away from singular: a flat colour has no directions.
    noise_33 = 1e-6 * np.eye(3)
    from_33, to_33 = from_43[1:] + noise_33, to_43[1:] + noise_33
    # 2. T = F^-1/2 (F^1/2 G F^1/2)^1/2 F^-1/2, the only symmetric positive T with T F T = G.
    root_33, inverse_root_33 = symmetric_root(from_33), symmetric_root(from_33, -0.5)
    map_33 = inverse_root_33 @ symmetric_root(root_33 @ to_33 @ root_33) @ inverse_root_33
    # 3. Centre, map, move.
    return ((image_HW3 - from_43[0]) @ map_33 + to_43[0]).astype(np.float32)


def rgb_to_lab(image_HW3: np.ndarray) -> np.ndarray:
    """sRGB in [0, 1] to CIE LAB (D65; L in [0, 100]), float32."""
    return cv2.cvtColor(np.ascontiguousarray(image_HW3, np.float32), cv2.COLOR_RGB2Lab)


def lab_to_rgb(image_HW3: np.ndarray) -> np.ndarray:
    """CIE LAB to sRGB, float32, cut to [0, 1]."""
    return np.clip(cv2.cvtColor(image_HW3.astype(np.float32), cv2.COLOR_Lab2RGB), 0, 1)


def match_colours(
    face_HW3: np.ndarray,
    frame_HW3: np.ndarray,
    weight_HW: np.ndarray,
    method: str,
    smooth: Callable[[np.ndarray], np.ndarray] = lambda statistics: statistics,
) -> np.ndarray:
    """Give the new face the colours of the face it replaces.

    Args:
        face_HW3: the new face, in [0, 1].
        frame_HW3: the same crop of the frame, in [0, 1].
        weight_HW: where both show face, >= 0. An empty mask changes nothing.
        method: "none", "reinhard", "histogram" or "mkl".
        smooth: steadies the statistics over time; gets those of both images stacked, (2, ...).

    Returns:
        (H, W, 3) float32 in [0, 1].

    Raises:
        ValueError: if there is no such method.
    """
    if method not in COLOURS:
        raise ValueError(f"expected one of {', '.join(COLOURS)}, got '{method}'")
    if method == "none" or weight_HW.sum() <= 0:
        return face_HW3.astype(np.float32)
    # 1. The space to work in, what to measure there, and the transfer that uses it.
    images = [face_HW3, frame_HW3]
    if method == "reinhard":
        images = [rgb_to_lab(image) for image in images]
    measure = masked_histogram if method == "histogram" else masked_gaussian
    transfer = {
        "reinhard": reinhard_transfer,
        "histogram": histogram_transfer,
        "mkl": monge_kantorovich_transfer,
    }[method]
    # 2. Measure both, steady the numbers, transfer.
    from_stats, to_stats = smooth(np.stack([measure(image, weight_HW) for image in images]))
    moved_HW3 = transfer(images[0], from_stats, to_stats)
    # 3. Back to RGB.
    return lab_to_rgb(moved_HW3) if method == "reinhard" else np.clip(moved_HW3, 0, 1)


# --------------------------------------------------------------------------------------- blend


def blend_feather(frame_HW3: np.ndarray, face_HW3: np.ndarray, alpha_HW: np.ndarray) -> np.ndarray:
    """Mix two images by an opacity.

    Args:
        frame_HW3: what is below, in [0, 1].
        face_HW3: what is laid over it, in [0, 1].
        alpha_HW: opacity of the face, in [0, 1].

    Returns:
        (H, W, 3) in [0, 1]; equal to the frame where alpha is 0.
    """
    # 1. Frame plus alpha times the difference: one multiplication a value.
    return frame_HW3 + alpha_HW[..., None] * (face_HW3 - frame_HW3)


def neighbour_sum(image: np.ndarray) -> np.ndarray:
    """Sum of each pixel's left, right, upper and lower neighbour; beyond the image is 0."""
    return cv2.filter2D(image, -1, _FOUR_NEIGHBOURS, borderType=cv2.BORDER_CONSTANT)


def ring_around(inside_HW: np.ndarray) -> np.ndarray:
    """The pixels outside a region that touch it (left, right, above or below); bool (H, W)."""
    # 1. Pixels with at least one neighbour inside, less those that are inside themselves.
    return (neighbour_sum(inside_HW.astype(np.float32)) > 0) & ~inside_HW


def conjugate_gradient(
    inside_HW: np.ndarray,
    right_HW3: np.ndarray,
    guess_HW3: np.ndarray,
    tolerance: float,
    iterations: int,
) -> np.ndarray:
    """Solve the discrete Laplace equation (number of neighbours) x - (sum of those inside) = right.

    Args:
        inside_HW: bool, the unknowns.
        right_HW3: right-hand side; 0 outside.
        guess_HW3: where to start; 0 outside.
        tolerance: stop when the root mean square residual over the unknowns is below it.
        iterations: stop after as many steps.

    Returns:
        (H, W, 3) float32; 0 outside.

    Source: Hestenes & Stiefel 1952. The matrix is symmetric and positive, so that each step goes as
    far as it can along a direction that no later step has to mend.
    """
    inside_HW1 = inside_HW[..., None].astype(np.float32)
    count_HW1 = neighbour_sum(np.ones(inside_HW.shape, np.float32))[..., None] * inside_HW1

    def laplacian(x_HW3: np.ndarray) -> np.ndarray:
        return count_HW1 * x_HW3 - neighbour_sum(x_HW3) * inside_HW1

    # 1. Start with the residual as the first direction.
    x_HW3 = guess_HW3.astype(np.float32)
    residual_HW3 = right_HW3 - laplacian(x_HW3)
    direction_HW3 = residual_HW3.copy()
    energy = float(np.vdot(residual_HW3, residual_HW3))
    enough = tolerance**2 * max(int(inside_HW.sum()) * 3, 1)
    for _ in range(iterations):
        if energy <= enough:
            break
        # 2. The step that makes the error least along this direction.
        image_HW3 = laplacian(direction_HW3)
        step = energy / float(np.vdot(direction_HW3, image_HW3))
        x_HW3 += step * direction_HW3
        residual_HW3 -= step * image_HW3
        # 3. The next direction: the new residual, made conjugate to the last direction.
        previous, energy = energy, float(np.vdot(residual_HW3, residual_HW3))
        direction_HW3 *= energy / previous
        direction_HW3 += residual_HW3
    return x_HW3


def halve_region(
    values_HW3: np.ndarray, ring_HW: np.ndarray, inside_HW: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The same problem with half as many pixels each way: mean values on the ring, ring, inside."""
    height, width = inside_HW.shape
    half = ((width + 1) // 2, (height + 1) // 2)
    padding = ((0, 2 * half[1] - height), (0, 2 * half[0] - width))
    # 1. Mean over blocks of 2 x 2 of: values on the ring, ring, inside.
    known_HW4 = np.dstack([values_HW3 * ring_HW[..., None], ring_HW.astype(np.float32)])
    stacked = np.dstack([known_HW4, inside_HW.astype(np.float32)])
    stacked = np.pad(stacked, (*padding, (0, 0)))
    small = stacked.reshape(half[1], 2, half[0], 2, 5).mean((1, 3))
    # 2. A block that holds some ring is ring, with the mean of the known values in it.
    small_ring_HW = small[..., 3] > 0
    small_values_HW3 = small[..., :3] / np.maximum(small[..., 3:4], 1e-6)
    return small_values_HW3.astype(np.float32), small_ring_HW, (small[..., 4] > 0) & ~small_ring_HW


def membrane(
    values_HW3: np.ndarray,
    ring_HW: np.ndarray,
    inside_HW: np.ndarray,
    tolerance: float = 5e-5,
    iterations: int = 1000,
) -> np.ndarray:
    """Stretch the smoothest surface over a region whose border values are given.

    A coarse solution, made twice as large, is the starting point of the finer one: without it the
    border's values would creep inwards one pixel a step.

    Args:
        values_HW3: read on the ring only.
        ring_HW: bool, the border: `ring_around(inside_HW)`.
        inside_HW: bool, where to fill.
        tolerance: root mean square residual to reach.
        iterations: most steps a level.

    Returns:
        (H, W, 3) float32: the surface inside, 0 elsewhere. All 0 if there is no ring to hold it.
    """
    if not ring_HW.any() or not inside_HW.any():
        return np.zeros_like(values_HW3, np.float32)
    height, width = inside_HW.shape
    known_HW3 = (values_HW3 * ring_HW[..., None]).astype(np.float32)
    # 1. A first guess: the solution at half the size, or the mean of the border.
    if min(height, width) > 8:
        small_HW3, small_ring_HW, small_inside_HW = halve_region(values_HW3, ring_HW, inside_HW)
        guess_HW3 = membrane(small_HW3, small_ring_HW, small_inside_HW, tolerance, iterations)
        guess_HW3[small_ring_HW] = small_HW3[small_ring_HW]
        guess_HW3 = cv2.resize(guess_HW3, (width, height), interpolation=cv2.INTER_LINEAR)
    else:
        guess_HW3 = np.full_like(known_HW3, 1) * known_HW3.sum((0, 1)) / ring_HW.sum()
    inside_HW1 = inside_HW[..., None].astype(np.float32)
    # 2. Known neighbours move to the right-hand side; refine the guess.
    right_HW3 = neighbour_sum(known_HW3) * inside_HW1
    return conjugate_gradient(inside_HW, right_HW3, guess_HW3 * inside_HW1, tolerance, iterations)


def blend_poisson(frame_HW3: np.ndarray, face_HW3: np.ndarray, inside_HW: np.ndarray) -> np.ndarray:
    """Keep the face's gradients and the frame's border: f with laplacian f = laplacian face.

    Written for the correction r = f - face, whose Laplacian is 0: r is a membrane through the
    differences on the border. It is smooth, which a coarse-to-fine solver likes.

    Args:
        frame_HW3: what is below, in [0, 1].
        face_HW3: what is laid over it, in [0, 1]; also needed one pixel beyond the region.
        inside_HW: bool, where to paste.

    Returns:
        (H, W, 3) float32 in [0, 1]; equal to the frame outside the region.

    Source: Perez et al. 2003 (Poisson Image Editing), importing gradients.
    """
    # 1. How much the frame differs from the face on the ring around the region.
    ring_HW = ring_around(inside_HW)
    correction_HW3 = membrane(frame_HW3 - face_HW3, ring_HW, inside_HW)
    # 2. Face plus correction inside, frame outside.
    return np.where(inside_HW[..., None], np.clip(face_HW3 + correction_HW3, 0, 1), frame_HW3)


def reduce_level(image: np.ndarray) -> np.ndarray:
    """Halve an image: blur with the 5-tap binomial, keep every second row and column.

    Returns:
        (ceil(H / 2), ceil(W / 2), ...), the same range.

    Source: Burt & Adelson 1983, REDUCE.
    """
    # 1. Blur, so that what the smaller image cannot hold is gone; then pick.
    blurred = cv2.sepFilter2D(
        image, -1, _BINOMIAL_5, _BINOMIAL_5, borderType=cv2.BORDER_REFLECT_101
    )
    return blurred[::2, ::2]


def expand_level(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Double an image to (height, width, ...): put zeros between the pixels and blur.

    Source: Burt & Adelson 1983, EXPAND.
    """
    # 1. Spread the pixels out.
    spread = np.zeros((height, width, *image.shape[2:]), np.float32)
    spread[::2, ::2] = image
    # 2. Blur; three of four pixels are 0, so each axis gets twice the weight.
    kernel = 2 * _BINOMIAL_5
    return cv2.sepFilter2D(spread, -1, kernel, kernel, borderType=cv2.BORDER_REFLECT_101)


def laplacian_pyramid(image: np.ndarray, levels: int) -> list[np.ndarray]:
    """Split an image into bands: what each halving loses, finest first, and the small rest.

    Args:
        image: (H, W) or (H, W, C) float32.
        levels: number of bands before the rest, >= 0.

    Returns:
        levels + 1 images; `collapse_pyramid` gives the image back.

    Source: Burt & Adelson 1983 (A Multiresolution Spline with Application to Image Mosaics).
    """
    bands = []
    for _ in range(levels):
        # 1. Halve; the band is what doubling again cannot restore.
        smaller = reduce_level(image)
        bands.append(image - expand_level(smaller, *image.shape[:2]))
        image = smaller
    # 2. The rest.
    return [*bands, image]


def collapse_pyramid(bands: Sequence[np.ndarray]) -> np.ndarray:
    """Put an image together from its Laplacian pyramid: double the rest and add band after band."""
    # 1. From the coarsest to the finest.
    image = bands[-1]
    for band in reversed(bands[:-1]):
        image = band + expand_level(image, *band.shape[:2])
    return image


def blend_laplacian(
    frame_HW3: np.ndarray, face_HW3: np.ndarray, alpha_HW: np.ndarray, levels: int = 4
) -> np.ndarray:
    """Mix coarse bands over a wide seam and fine bands over a narrow one.

    Args:
        frame_HW3: what is below, in [0, 1].
        face_HW3: what is laid over it, in [0, 1].
        alpha_HW: opacity of the face, in [0, 1].
        levels: bands; the widest seam is about 2^(levels + 1) px. Fewer if the mask is small.

    Returns:
        (H, W, 3) float32 in [0, 1]; equal to the frame where alpha is 0.

    Source: Burt & Adelson 1983. Their wide seam reaches as far outwards as inwards; ours is drawn
    inwards and faded with the opacity, so that nothing outside the mask is touched.
    """
    core_HW = (alpha_HW > 0.5).astype(np.uint8)
    levels = max(min(levels, int(np.log2(np.sqrt(core_HW.sum()) + 1)) - 3), 0)
    # 1. Draw the seam inwards by half the width of the widest band.
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2**levels + 1, 2**levels + 1))
    seam = cv2.erode(core_HW, disc, borderValue=1).astype(np.float32)
    # 2. Bands of both images; the opacity is only blurred and halved, level by level.
    frame_bands = laplacian_pyramid(frame_HW3.astype(np.float32), levels)
    face_bands = laplacian_pyramid(face_HW3.astype(np.float32), levels)
    mixed = []
    for below, above in zip(frame_bands, face_bands, strict=True):
        # 3. Mix each band with the opacity of its level.
        mixed.append(blend_feather(below, above, seam))
        seam = reduce_level(seam)
    # 4. Collapse, and fade to the frame.
    return blend_feather(frame_HW3, np.clip(collapse_pyramid(mixed), 0, 1), alpha_HW)


def inner_region(alpha_HW: np.ndarray, share: float = 0.06) -> np.ndarray:
    """Where a mask is more than half opaque, drawn in by a share of its size; bool (H, W).

    A face's outline borders on hair and background; Poisson blending would carry their colours in.
    """
    # 1. The size is the side of a square of the same area.
    region_HW = (alpha_HW > 0.5).astype(np.uint8)
    width_px = 2 * round(share * float(np.sqrt(region_HW.sum()))) + 1
    # 2. Erode with a disc; what the frame cuts off is not drawn in.
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (width_px, width_px))
    return cv2.erode(region_HW, disc, borderValue=1) > 0


def blend(
    frame_HW3: np.ndarray, face_HW3: np.ndarray, alpha_HW: np.ndarray, method: str
) -> np.ndarray:
    """Lay a face over a frame by one of `BLENDS`.

    Args:
        frame_HW3, face_HW3: float32 in [0, 1].
        alpha_HW: opacity in [0, 1].
        method: "feather", "poisson" (in the mask's `inner_region`) or "laplacian".

    Raises:
        ValueError: if there is no such method.
    """
    if method == "feather":
        return blend_feather(frame_HW3, face_HW3, alpha_HW)
    if method == "poisson":
        return blend_poisson(frame_HW3, face_HW3, inner_region(alpha_HW))
    if method == "laplacian":
        return blend_laplacian(frame_HW3, face_HW3, alpha_HW)
    raise ValueError(f"expected one of {', '.join(BLENDS)}, got '{method}'")


# ---------------------------------------------------------------------------------------- time


class OneEuro:
    """A low-pass filter that follows fast motion and holds still things still.

    Args:
        min_cutoff_hz: cutoff at rest, > 0; lower is steadier.
        beta: how much the cutoff rises with speed, in Hz per (unit / s); higher lags less.
        unit: what a speed of 1 / s is measured in, e.g. the eye distance in pixels.
        speed_cutoff_hz: cutoff of the speed estimate itself.

    Source: Casiez et al. 2012 (1 Euro Filter).
    """

    def __init__(
        self,
        min_cutoff_hz: float = 1.0,
        beta: float = 1.0,
        unit: float = 1.0,
        speed_cutoff_hz: float = 1.0,
    ) -> None:
        if min_cutoff_hz <= 0 or beta < 0 or unit <= 0 or speed_cutoff_hz <= 0:
            raise ValueError("expected positive cutoffs and unit, and beta >= 0")
        self.min_cutoff_hz = min_cutoff_hz
        self.beta = beta
        self.unit = unit
        self.speed_cutoff_hz = speed_cutoff_hz
        self.time_s: float | None = None
        self.value = np.zeros(0)
        self.speed = np.zeros(0)

    def __call__(self, value: np.ndarray, time_s: float) -> np.ndarray:
        """Filter the next value; each entry has its own cutoff.

        Args:
            value: any shape, the same in every call.
            time_s: when it was measured. A time that does not advance starts the filter afresh.

        Returns:
            The filtered value; the first one as it is.
        """
        value = np.asarray(value, np.float64)
        # 1. Nothing to compare with: start here.
        if self.time_s is None or time_s <= self.time_s:
            self.time_s, self.value, self.speed = time_s, value, np.zeros_like(value)
            return value
        step_s, self.time_s = time_s - self.time_s, time_s
        # 2. The speed, itself filtered.
        speed = (value - self.value) / (step_s * self.unit)
        self.speed = self.speed + low_pass_weight(self.speed_cutoff_hz, step_s) * (
            speed - self.speed
        )
        # 3. Fast entries get a high cutoff, those at rest the lowest.
        weight = low_pass_weight(self.min_cutoff_hz + self.beta * np.abs(self.speed), step_s)
        self.value = self.value + weight * (value - self.value)
        return self.value


def low_pass_weight(cutoff_hz: np.ndarray | float, step_s: float) -> np.ndarray | float:
    """Weight of the new value in an exponential filter, in (0, 1).

    Args:
        cutoff_hz: frequency at which the filter halves the power, > 0.
        step_s: time since the last value, > 0.
    """
    # 1. The filter's time constant is 1 / (2 pi f).
    return 1 / (1 + 1 / (2 * np.pi * cutoff_hz * step_s))


class MovingAverage:
    """Exponential moving average of any array, for values at uneven times.

    Args:
        time_constant_s: after that time a step is followed to 63 %; 0 passes values through.
    """

    def __init__(self, time_constant_s: float) -> None:
        if time_constant_s < 0:
            raise ValueError(f"expected a time constant >= 0 s, got {time_constant_s}")
        self.time_constant_s = time_constant_s
        self.time_s: float | None = None
        self.value = np.zeros(0)

    def __call__(self, value: np.ndarray, time_s: float) -> np.ndarray:
        """Take the next value in and return the average; the first one as it is."""
        # 1. The first value, or no smoothing.
        if self.time_s is None or time_s <= self.time_s or self.time_constant_s == 0:
            self.time_s, self.value = time_s, np.asarray(value)
            return self.value
        # 2. The longer ago the last value, the more the new one counts.
        weight = 1 - np.exp(-(time_s - self.time_s) / self.time_constant_s)
        self.time_s, self.value = time_s, self.value + weight * (value - self.value)
        return self.value


# --------------------------------------------------------------------------------------- faces


def choose_faces(
    areas_px_N: Sequence[float],
    rule: str,
    distances_N: Sequence[float] | None = None,
    limit: float = 0.6,
    chosen_before: int | None = None,
) -> list[int]:
    """Say which of the faces in a frame are to be swapped.

    Args:
        areas_px_N: area of each face's box.
        rule: "largest"; "all"; "like": the nearest to the reference picture, if near enough.
        distances_N: embedding distance of each face to the reference; for "like" only.
        limit: largest distance that counts as the same person.
        chosen_before: index of the face that was chosen in the last frame, if it is here again;
            "largest" stays with it until another is a quarter larger, so that two faces of
            about the same size do not take turns.

    Returns:
        Indices of the chosen faces; empty if there is none.

    Raises:
        ValueError: if there is no such rule, or "like" has no distances.
    """
    if rule not in ("largest", "all", "like"):
        raise ValueError(f"expected largest, all or like, got '{rule}'")
    # 1. No choice to make.
    if rule == "all" or not len(areas_px_N):
        return list(range(len(areas_px_N)))
    # 2. The nearest, if it is the same person at all.
    if rule == "like":
        if distances_N is None:
            raise ValueError("the rule 'like' needs the faces' distances to the reference picture")
        nearest = int(np.argmin(distances_N))
        return [nearest] if distances_N[nearest] <= limit else []
    # 3. The largest, with a bonus for the face we already follow.
    weighted = np.array(areas_px_N, float)
    if chosen_before is not None:
        weighted[chosen_before] *= 1.25
    return [int(np.argmax(weighted))]


@dataclass(frozen=True)
class Settings:
    """What a user may choose.

    Args:
        blend: one of `BLENDS`.
        color: one of `COLOURS`.
        face: "largest", "all" or "like".
        like_limit: largest embedding distance to the reference picture, for "like".
        smooth_hz: cutoff of the landmark filter at rest; 0 switches smoothing off. On actors 5 Hz
            takes away 39 % of the jitter of dlib's landmarks and does not lag.
        smooth_beta: how much the cutoff rises with speed, in Hz per (eye distance / s).
        colour_s: time constant of the colour statistics in seconds; 0 switches smoothing off.
        edge: where the mask begins, over the eye distance; negative is outside the hull. The
            jaw landmarks wobble, and the learned mask knows better: give it room.
        feather: width of the mask's ramp, over the eye distance.
        forehead: see `forehead_points`.
    """

    blend: str = "feather"
    color: str = "none"
    face: str = "largest"
    like_limit: float = 0.45
    smooth_hz: float = 5.0
    smooth_beta: float = 5.0
    colour_s: float = 0.5
    edge: float = -0.2
    feather: float = 0.12
    forehead: float = 1.0


@dataclass
class FaceState:
    """What is remembered of one face from frame to frame.

    Args:
        landmarks, colours: the filters.
        seen_s: when it was last there.
        distances: to the reference picture, as measured so far.
        measure_s: when to measure the next one.
    """

    landmarks: OneEuro
    colours: MovingAverage
    seen_s: float
    distances: list[float] = field(default_factory=list)
    measure_s: float = -math.inf


@dataclass
class Placement:
    """One face of one frame on its way through the network.

    Args:
        landmarks_px_L2: smoothed.
        matrix_23: frame pixels to crop pixels.
        crop_SS3: uint8, the aligned face.
        state: its memory.
    """

    landmarks_px_L2: np.ndarray
    matrix_23: np.ndarray
    crop_SS3: np.ndarray
    state: FaceState


@dataclass
class Swapped:
    """One finished frame.

    Args:
        image_HW3: uint8; a new array.
        time_s: the frame's time.
        mask_HW: bool, where pixels may differ from the input; all False without a face.
        faces: how many faces were swapped.
    """

    image_HW3: np.ndarray
    time_s: float
    mask_HW: np.ndarray
    faces: int = 0


@dataclass
class _Pending:
    """A frame that waits for its batch."""

    image_HW3: np.ndarray
    time_s: float
    placements: list[Placement] = field(default_factory=list)


class FaceSwapper:
    """Swap the faces of a stream of frames.

    Args:
        tracker: `update(frame_HW3)` returns the faces of the next frame, each with `.box_px`,
            `.landmarks_px_L2` and an `.id` that stays with it until it is lost or the shot ends.
        align: (landmarks_px_L2, size_px) -> matrix_23 from frame to crop pixels.
        crop: (frame_HW3, matrix_23, size_px) -> uint8 (S, S, 3).
        uncrop: its inverse, (crop_SSC, matrix_23, height, width) -> (image_HWC, coverage_HW).
        model: `size_px`, and `swap(faces_B3HW) -> (rgb_B3HW, mask_B1HW)`, all in [0, 1].
        settings: what the user chose.
        embed: (frame_HW3, landmarks_px_L2) -> (128,); for `face="like"` only.
        like_128: embedding of the reference picture; for `face="like"` only.

    Raises:
        ValueError: if a choice does not exist, or "like" comes without embedding.
    """

    def __init__(
        self,
        tracker: Any,
        align: Callable[[np.ndarray, int], np.ndarray],
        crop: Callable[[np.ndarray, np.ndarray, int], np.ndarray],
        uncrop: Callable[[np.ndarray, np.ndarray, int, int], tuple[np.ndarray, np.ndarray]],
        model: Any,
        settings: Settings | None = None,
        embed: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None,
        like_128: np.ndarray | None = None,
    ) -> None:
        self.settings = settings = settings or Settings()
        if settings.blend not in BLENDS or settings.color not in COLOURS:
            raise ValueError(
                f"blend is one of {', '.join(BLENDS)}; color is one of {', '.join(COLOURS)}"
            )
        if settings.face == "like" and (embed is None or like_128 is None):
            raise ValueError("face='like' needs an embedding function and a reference embedding")
        self.tracker, self.model = tracker, model
        self.align, self.crop, self.uncrop = align, crop, uncrop
        self.embed, self.like_128 = embed, like_128
        self.states: dict[int, FaceState] = {}
        self.chosen_id: int | None = None
        self.window_SS = crop_window(model.size_px)

    def swap_frames(
        self, frames: Iterable[tuple[np.ndarray, float]], batch: int = 8
    ) -> Iterator[Swapped]:
        """Swap a stream of (frame_HW3 uint8, time_s); as many frames come out as go in.

        `batch` frames share one pass of the network, which is faster than one pass each; no more
        than those are in memory at once.
        """
        frames = iter(frames)
        # 1. Find and align the faces of the next few frames.
        while pending := [self.find(image, time_s) for image, time_s in islice(frames, batch)]:
            # 2. Translate all their faces at once.
            placements = [placement for frame in pending for placement in frame.placements]
            translated = iter(self.translate([p.crop_SS3 for p in placements]))
            # 3. Put each back where it came from.
            for frame in pending:
                image_HW3 = frame.image_HW3.copy()
                mask_HW = np.zeros(image_HW3.shape[:2], bool)
                faces = 0
                for placement in frame.placements:
                    faces += self.paste(
                        image_HW3, mask_HW, placement, *next(translated), frame.time_s
                    )
                yield Swapped(image_HW3, frame.time_s, mask_HW, faces)

    def find(self, frame_HW3: np.ndarray, time_s: float) -> _Pending:
        """Track, choose, smooth and crop the faces of one frame."""
        # 1. Faces, and which of them are wanted.
        tracks = [t for t in self.tracker.update(frame_HW3) if is_usable(t.landmarks_px_L2)]
        tracks = self.choose(frame_HW3, tracks, time_s)
        # 2. Smooth the landmarks, cut the crop.
        pending = _Pending(frame_HW3, time_s)
        for track in tracks:
            state = self.states[track.id]
            landmarks_px_L2 = state.landmarks(track.landmarks_px_L2, time_s)
            matrix_23 = self.align(landmarks_px_L2, self.model.size_px)
            crop_SS3 = self.crop(frame_HW3, matrix_23, self.model.size_px)
            pending.placements.append(Placement(landmarks_px_L2, matrix_23, crop_SS3, state))
        return pending

    def choose(self, frame_HW3: np.ndarray, tracks: list[Any], time_s: float) -> list[Any]:
        """Apply the user's choice to the faces of a frame, and remember each chosen face."""
        # 1. Memory for new faces. At a cut the tracker gives new ids, so nothing is carried over.
        for track in tracks:
            if track.id not in self.states:
                self.states[track.id] = self.new_state(track.landmarks_px_L2, time_s)
            self.states[track.id].seen_s = time_s
        self.states = {k: s for k, s in self.states.items() if abs(time_s - s.seen_s) <= 1}
        # 2. Distances to the reference picture.
        distances = None
        if self.settings.face == "like":
            distances = [self.distance(frame_HW3, track, time_s) for track in tracks]
        # 3. Choose.
        areas = [(t.box_px[2] - t.box_px[0]) * (t.box_px[3] - t.box_px[1]) for t in tracks]
        ids = [track.id for track in tracks]
        before = ids.index(self.chosen_id) if self.chosen_id in ids else None
        rule, limit = self.settings.face, self.settings.like_limit
        chosen = [tracks[i] for i in choose_faces(areas, rule, distances, limit, before)]
        self.chosen_id = chosen[0].id if chosen else self.chosen_id
        return chosen

    def new_state(self, landmarks_px_L2: np.ndarray, time_s: float) -> FaceState:
        """Fresh filters for a face that was not there before."""
        # 1. The landmarks' filter works in eye distances, so that it does not depend on resolution.
        unit_px = eye_distance_px(landmarks_px_L2)
        cutoff_hz = self.settings.smooth_hz or math.inf
        smooth = OneEuro(cutoff_hz, self.settings.smooth_beta, unit_px)
        return FaceState(smooth, MovingAverage(self.settings.colour_s), time_s)

    def distance(self, frame_HW3: np.ndarray, track: Any, time_s: float) -> float:
        """Mean embedding distance of a face to the reference picture."""
        state = self.states[track.id]
        # 1. Measured once a second, since an embedding costs more than the rest of a frame.
        if self.embed is not None and time_s >= state.measure_s:
            code_128 = self.embed(frame_HW3, track.landmarks_px_L2)
            state.distances.append(float(np.linalg.norm(code_128 - self.like_128)))
            state.measure_s = time_s + 1
        # 2. The mean, so that one blink or blur does not decide.
        return float(np.mean(state.distances))

    def translate(self, crops: list[np.ndarray]) -> list[tuple[np.ndarray, np.ndarray]]:
        """Run the network on uint8 crops: for each (face (S, S, 3), mask (S, S)), float32 in [0, 1]."""
        if not crops:
            return []
        # 1. uint8 (S, S, 3) to float (B, 3, S, S).
        faces_B3HW = torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).float() / 255
        with torch.inference_mode():
            rgb_B3HW, mask_B1HW = self.model.swap(faces_B3HW)
        # 2. Back to arrays with channels last.
        rgb_BHW3 = rgb_B3HW.permute(0, 2, 3, 1).contiguous().cpu().numpy()
        return list(zip(rgb_BHW3, mask_B1HW[:, 0].cpu().numpy(), strict=True))

    def paste(
        self,
        image_HW3: np.ndarray,
        mask_HW: np.ndarray,
        placement: Placement,
        face_SS3: np.ndarray,
        learned_SS: np.ndarray,
        time_s: float,
    ) -> bool:
        """Lay one translated face over a uint8 frame, in place, and mark the pixels in `mask_HW`.

        Returns:
            False if the face or its mask lies beside the frame, so that nothing was touched.
        """
        settings, state = self.settings, placement.state
        # 1. The part of the frame that the crop covers; the rest is not even read.
        box = crop_box(placement.matrix_23, self.model.size_px, *mask_HW.shape)
        if box is None:
            return False
        below_HW3 = image_HW3[box].astype(np.float32) / 255
        height, width = below_HW3.shape[:2]
        corner_px = np.array([box[1].start, box[0].start])
        to_crop_23 = shifted(placement.matrix_23, corner_px)
        # 2. The mask of the landmarks, in the frame and in the crop.
        hull_HW = landmark_mask(
            placement.landmarks_px_L2 - corner_px,
            height,
            width,
            settings.edge,
            settings.feather,
            settings.forehead,
        )
        hull_SS = cv2.warpAffine(hull_HW, to_crop_23, self.window_SS.shape)
        # 3. Colours, compared where both masks see face.
        face_SS3 = match_colours(
            face_SS3,
            placement.crop_SS3.astype(np.float32) / 255,
            combine_masks(hull_SS, learned_SS),
            settings.color,
            lambda statistics: state.colours(statistics, time_s),
        )
        # 4. Face and learned mask into the frame, in one go as four channels.
        stacked_SS4 = np.dstack([face_SS3, learned_SS * self.window_SS]).astype(np.float32)
        placed_HW4, _ = self.uncrop(stacked_SS4, to_crop_23, height, width)
        alpha_HW = combine_masks(hull_HW, placed_HW4[..., 3])
        # 5. Blend, and write the pixels under the mask and no others.
        blended_HW3 = blend(below_HW3, placed_HW4[..., :3], alpha_HW, settings.blend)
        touched_HW = alpha_HW > 0
        image_HW3[box][touched_HW] = np.rint(255 * blended_HW3[touched_HW]).astype(np.uint8)
        mask_HW[box] |= touched_HW
        return bool(touched_HW.any())


def is_usable(landmarks_px_L2: np.ndarray | None, smallest_px: float = 4) -> bool:
    """False for landmarks that cannot be aligned: missing, not finite, or of a face too small."""
    if landmarks_px_L2 is None or not np.isfinite(landmarks_px_L2).all():
        return False
    return eye_distance_px(landmarks_px_L2) >= smallest_px


def eye_distance_px(landmarks_px_L2: np.ndarray) -> float:
    """Distance between the outer eye corners, the unit for everything that grows with the face.

    A face in profile shows its eyes close together; the height from chin to brows bounds it below.
    """
    left_2, right_2 = landmarks_px_L2[EYE_CORNERS[0]], landmarks_px_L2[EYE_CORNERS[1]]
    height_px = np.linalg.norm(landmarks_px_L2[BROWS].mean(0) - landmarks_px_L2[CHIN])
    return float(max(np.linalg.norm(right_2 - left_2), height_px / 2))


def crop_box(
    matrix_23: np.ndarray, size_px: int, height: int, width: int
) -> tuple[slice, slice] | None:
    """The rows and columns of the frame that a crop covers; None if it lies beside the frame.

    Args:
        matrix_23: frame pixels to crop pixels.
        size_px: side of the crop.
        height, width: size of the frame in pixels.
    """
    # 1. The crop's corners in the frame.
    end = size_px - 1
    corners = np.array([[0, 0], [end, 0], [0, end], [end, end]], float)
    corners_px = (corners - matrix_23[:, 2]) @ np.linalg.inv(matrix_23[:, :2]).T
    # 2. The whole pixels around them, within the frame.
    x0, y0 = np.maximum(np.floor(corners_px.min(0)).astype(int), 0)
    x1, y1 = np.minimum(np.ceil(corners_px.max(0)).astype(int) + 1, (width, height))
    return (slice(y0, y1), slice(x0, x1)) if x1 > x0 and y1 > y0 else None


def shifted(matrix_23: np.ndarray, corner_px: np.ndarray) -> np.ndarray:
    """The same affine map for positions counted from `corner_px` (2,) instead of the frame's corner."""
    out_23 = np.array(matrix_23, np.float64)
    out_23[:, 2] += out_23[:, :2] @ corner_px
    return out_23
