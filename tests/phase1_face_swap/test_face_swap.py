"""Masks, colour transfer, blending, smoothing, choice of faces, and the swapper that joins them."""

from dataclasses import dataclass
from types import ModuleType

import cv2
import numpy as np
import pytest
import torch

from lab.course import load


@pytest.fixture(scope="module")
def fs() -> ModuleType:
    return load("phase1_face_swap/face_swap")


def smooth_image(seed: int, height: int, width: int, sigma: float = 8) -> np.ndarray:
    """A cloudy picture in [0.2, 0.8], float32."""
    noise = np.random.default_rng(seed).random((height, width, 3)).astype(np.float32)
    cloud = cv2.GaussianBlur(noise, (0, 0), sigma)
    return 0.2 + 0.6 * (cloud - cloud.min()) / np.ptp(cloud)


def disc(height: int, width: int, x: float, y: float, radius: float) -> np.ndarray:
    rows, columns = np.mgrid[:height, :width]
    return (columns - x) ** 2 + (rows - y) ** 2 < radius**2


def face_landmarks(x: float = 64, y: float = 64, scale: float = 1.0) -> np.ndarray:
    """68 points of a schematic face, outer eye corners 40 px apart at scale 1."""
    points = np.zeros((68, 2))
    angle = np.linspace(np.pi, 0, 17)
    points[0:17] = np.stack([32 * np.cos(angle), -4 + 42 * np.sin(angle)], 1)
    points[17:27] = np.stack([np.linspace(-24, 24, 10), np.full(10, -18.0)], 1)
    points[27:36] = np.stack([np.linspace(-5, 5, 9), np.full(9, 8.0)], 1)
    points[36:48] = np.stack(
        [np.r_[np.linspace(-20, -8, 6), np.linspace(8, 20, 6)], np.full(12, -10.0)], 1
    )
    points[45], points[47] = points[47].copy(), points[45].copy()
    points[48:68] = np.stack([np.linspace(-12, 12, 20), np.full(20, 22.0)], 1)
    return (points * scale + (x, y)).astype(np.float32)


# ---------------------------------------------------------------------------------------- mask


def test_forehead_rises_along_the_face_and_not_along_the_image(fs):
    upright = face_landmarks(0, 0)
    turned = upright @ np.array([[0.0, 1.0], [-1.0, 0.0]])  # a quarter turn
    np.testing.assert_allclose(
        fs.forehead_points(turned, 0.4),
        fs.forehead_points(upright, 0.4) @ np.array([[0.0, 1.0], [-1.0, 0.0]]),
        atol=1e-4,
    )
    lift = upright[17:27, 1] - fs.forehead_points(upright, 0.4)[:, 1]
    assert lift.min() > 0, "the forehead lies above the brows, where y is smaller"
    assert lift[0] == pytest.approx(0.4 * 0.6 * (38 + 18), rel=1e-3)  # chin at 38, brows at -18
    assert lift[4:6].min() > lift[0], "a hairline is a dome"


@pytest.mark.parametrize("order", [1, -1])
def test_hull_depth_is_the_distance_to_the_nearest_edge(fs, order):
    square = np.array([[2, 3], [12, 3], [12, 9], [2, 9], [7, 5]], float)[::order]
    depth = fs.hull_depth(square, 12, 16)
    assert depth.shape == (12, 16) and depth.dtype == np.float32
    assert depth[6, 7] == pytest.approx(3), (
        "rows come first: row 6, column 7 is 3 px from two edges"
    )
    assert depth[6, 3] == pytest.approx(1) and depth[3, 7] == pytest.approx(0)
    assert depth[1, 7] == pytest.approx(-2) and depth[6, 0] == pytest.approx(-2)


def test_hull_depth_follows_fractions_of_a_pixel(fs):
    points = face_landmarks()
    before, after = fs.hull_depth(points, 128, 128), fs.hull_depth(points + 0.25, 128, 128)
    inside = before > 1
    change = np.abs(after - before)[inside]
    assert change.max() <= 0.25 * np.sqrt(2) + 1e-3 and change.mean() > 0.05


def test_hull_depth_refuses_points_on_a_line(fs):
    with pytest.raises(ValueError, match="line"):
        fs.hull_depth(np.array([[0, 0], [1, 1], [5, 5]], float), 8, 8)


@pytest.mark.parametrize(("edge", "feather"), [(0, 4), (3, 2), (-2, 5)])
def test_feathered_mask_stays_inside_and_is_full_deep_inside(fs, edge, feather):
    depth = np.linspace(-5, 12, 171, dtype=np.float32)[None]
    alpha = fs.feathered_mask(depth, edge, feather)
    assert (alpha[depth <= edge] == 0).all() and (alpha[depth >= edge + feather + 1e-3] == 1).all()
    assert (np.diff(alpha) >= 0).all()
    middle = np.abs(depth - edge - feather / 2).argmin()
    assert alpha[0, middle] == pytest.approx(0.5, abs=0.03)


def test_feathered_mask_refuses_a_ramp_without_width(fs):
    with pytest.raises(ValueError, match="feather_px > 0"):
        fs.feathered_mask(np.zeros((2, 2), np.float32), 0, 0)


def test_combined_mask_needs_both(fs):
    hull = np.array([[0, 1, 1, 1, 0.5]], np.float32)
    learned = np.array([[1, 0.5, 1, 0.75, 1]], np.float32)
    np.testing.assert_allclose(fs.combine_masks(hull, learned), [[0, 0, 1, 0.5, 0.5]])


@pytest.mark.parametrize("scale", [1, 2])
def test_landmark_mask_grows_with_the_face(fs, scale):
    points = face_landmarks(64, 70) * scale
    mask = fs.landmark_mask(points, 128 * scale, 128 * scale, edge=0.1, feather=0.2, forehead=0.5)
    column = mask[:, 64 * scale]
    top, bottom = np.nonzero(column)[0][[0, -1]]
    # Chin at 108, brows at 52, so the hairline's middle at 24; drawn in by 0.1 x 40.
    assert top == pytest.approx(28 * scale, abs=2) and bottom == pytest.approx(104 * scale, abs=2)
    assert np.argmax(column == 1) - top == pytest.approx(8 * scale, abs=2), "ramp of 0.2 x 40"


@pytest.mark.parametrize("size", [16, 64])
def test_crop_window_is_zero_on_the_border_and_one_inside(fs, size):
    window = fs.crop_window(size)
    assert window[0].max() == window[:, -1].max() == 0
    assert window[size // 2, size // 2] == 1 and window.shape == (size, size)


# -------------------------------------------------------------------------------------- colour


def test_masked_gaussian_ignores_what_the_mask_hides(fs):
    image = smooth_image(1, 20, 30)
    weight = disc(20, 30, 12, 9, 7).astype(np.float32)
    expected = np.cov(image[weight > 0].T, bias=True)
    image[weight == 0] = 50
    measured = fs.masked_gaussian(image, weight)
    np.testing.assert_allclose(measured[1:], expected, atol=1e-6)
    with pytest.raises(ValueError, match="empty"):
        fs.masked_gaussian(image, 0 * weight)


@pytest.mark.parametrize("levels", [256, 32])
def test_masked_histogram_counts_shares(fs, levels):
    image = np.zeros((2, 2, 3), np.float32)
    image[0] = 1
    weight = np.array([[1, 0], [1, 2]], np.float32)
    histogram = fs.masked_histogram(image, weight, levels)
    assert histogram.shape == (3, levels)
    np.testing.assert_allclose(histogram[:, -1], 0.25)
    np.testing.assert_allclose(histogram[:, 0], 0.75)


def test_reinhard_reaches_mean_and_deviation_of_each_channel(fs):
    source, target = (
        fs.rgb_to_lab(smooth_image(1, 40, 30)),
        fs.rgb_to_lab(smooth_image(2, 40, 30) ** 2),
    )
    weight = np.ones((40, 30), np.float32)
    wanted = fs.masked_gaussian(target, weight)
    moved = fs.reinhard_transfer(source, fs.masked_gaussian(source, weight), wanted)
    reached = fs.masked_gaussian(moved, weight)
    np.testing.assert_allclose(reached[0], wanted[0], atol=1e-3)
    np.testing.assert_allclose(np.diag(reached[1:]), np.diag(wanted[1:]), rtol=1e-3)


def test_monge_kantorovich_reaches_the_whole_covariance(fs):
    source, target = smooth_image(1, 40, 30), smooth_image(2, 40, 30)
    target[..., 0] = 0.5 * target[..., 0] + 0.5 * target[..., 1]  # correlated channels
    weight = np.ones((40, 30), np.float32)
    wanted = fs.masked_gaussian(target, weight)
    moved = fs.monge_kantorovich_transfer(source, fs.masked_gaussian(source, weight), wanted)
    reached = fs.masked_gaussian(moved, weight)
    np.testing.assert_allclose(reached[0], wanted[0], atol=1e-5)
    np.testing.assert_allclose(reached[1:], wanted[1:], atol=1e-4)


def test_monge_kantorovich_map_is_the_one_that_moves_least(fs):
    """Of all maps with the right covariance, T = W F^-1/2 with a rotation between is a worse one."""
    source, target = smooth_image(1, 40, 30), smooth_image(2, 40, 30)[..., ::-1] * 0.7
    weight = np.ones((40, 30), np.float32)
    of_source, of_target = fs.masked_gaussian(source, weight), fs.masked_gaussian(target, weight)
    best = fs.monge_kantorovich_transfer(source, of_source, of_target)
    whiten, colour = np.linalg.cholesky(of_source[1:]), np.linalg.cholesky(of_target[1:])
    rival = (source - of_source[0]) @ np.linalg.inv(whiten).T @ colour.T + of_target[0]
    assert np.square(best - source).mean() < np.square(rival - source).mean()


def test_monge_kantorovich_survives_a_flat_colour(fs):
    flat = np.full((8, 8, 3), 0.4, np.float32)
    weight = np.ones((8, 8), np.float32)
    wanted = fs.masked_gaussian(smooth_image(3, 8, 8), weight)
    moved = fs.monge_kantorovich_transfer(flat, fs.masked_gaussian(flat, weight), wanted)
    np.testing.assert_allclose(moved, np.broadcast_to(wanted[0], moved.shape), atol=1e-4)


def test_symmetric_root_squares_to_the_matrix(fs):
    factor = np.random.default_rng(0).normal(size=(3, 3))
    matrix = factor @ factor.T + np.eye(3)
    root = fs.symmetric_root(matrix)
    np.testing.assert_allclose(root @ root, matrix)
    np.testing.assert_allclose(fs.symmetric_root(matrix, -1), np.linalg.inv(matrix))


def test_histogram_transfer_agrees_with_scikit_image(fs):
    from skimage.exposure import match_histograms

    source, target = smooth_image(1, 60, 50), smooth_image(2, 60, 50) ** 1.5
    weight = np.ones((60, 50), np.float32)
    moved = fs.histogram_transfer(
        source, fs.masked_histogram(source, weight), fs.masked_histogram(target, weight)
    )
    expected = match_histograms(source, target, channel_axis=-1)
    assert np.abs(moved - expected).max() < 2 / 255, "one level of quantisation on either side"


@pytest.mark.parametrize("method", ["none", "reinhard", "histogram", "mkl"])
def test_matching_an_image_with_itself_changes_nothing(fs, method):
    image, weight = smooth_image(4, 32, 24), disc(32, 24, 12, 16, 9).astype(np.float32)
    matched = fs.match_colours(image, image.copy(), weight, method)
    assert np.abs(matched - image)[weight > 0].max() < 0.5 / 255
    assert matched.dtype == np.float32


@pytest.mark.parametrize("method", ["reinhard", "histogram", "mkl"])
def test_matching_brings_the_masked_mean_to_the_frames(fs, method):
    face, frame = smooth_image(4, 32, 32), np.clip(smooth_image(5, 32, 32) * (1, 0.8, 0.6), 0, 1)
    weight = disc(32, 32, 16, 16, 10).astype(np.float32)
    frame[weight == 0] = (0, 1, 0)  # a green background that must not count
    before = face.copy()
    matched = fs.match_colours(face, frame, weight, method)
    np.testing.assert_allclose(matched[weight > 0].mean(0), frame[weight > 0].mean(0), atol=0.02)
    np.testing.assert_array_equal(face, before, "the input was changed")


def test_matching_names_the_methods_there_are(fs):
    with pytest.raises(ValueError, match="reinhard"):
        fs.match_colours(np.zeros((2, 2, 3)), np.zeros((2, 2, 3)), np.ones((2, 2)), "magic")


# --------------------------------------------------------------------------------------- blend


@pytest.mark.parametrize("method", ["feather", "poisson", "laplacian"])
def test_blend_leaves_the_frame_alone_where_the_mask_is_zero(fs, method):
    frame, face = smooth_image(1, 70, 90), smooth_image(2, 70, 90)
    alpha = fs.feathered_mask(20 - np.hypot(*np.mgrid[-35:35, -40:50]).astype(np.float32), 0, 6)
    copies = frame.copy(), face.copy(), alpha.copy()
    out = fs.blend(frame, face, alpha, method)
    np.testing.assert_array_equal(out[alpha == 0], frame[alpha == 0])
    assert np.abs(out - frame)[alpha == 1].mean() > 0.02, "the face does not show"
    for given, copy in zip((frame, face, alpha), copies, strict=True):
        np.testing.assert_array_equal(given, copy, "an input was changed")


def test_feather_mixes_by_hand_computed_shares(fs):
    frame, face = np.full((1, 3, 3), 0.2), np.full((1, 3, 3), 0.6)
    out = fs.blend_feather(frame, face, np.array([[0, 0.25, 1]]))
    np.testing.assert_allclose(out[0, :, 0], [0.2, 0.3, 0.6])


def exact_poisson(frame: np.ndarray, face: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Perez' equation (7) written out and solved by a sparse LU decomposition."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.linalg import spsolve

    number = np.full(inside.shape, -1)
    number[inside] = np.arange(inside.sum())
    entries, right = [], np.zeros((inside.sum(), 3))
    for y, x in zip(*np.nonzero(inside), strict=True):
        i = number[y, x]
        neighbours = [(y, x - 1), (y, x + 1), (y - 1, x), (y + 1, x)]
        neighbours = [
            p for p in neighbours if 0 <= p[0] < inside.shape[0] and 0 <= p[1] < inside.shape[1]
        ]
        entries.append((i, i, len(neighbours)))
        for p in neighbours:
            right[i] += face[y, x] - face[p]
            if inside[p]:
                entries.append((i, number[p], -1))
            else:
                right[i] += frame[p]
    rows, columns, values = zip(*entries, strict=True)
    matrix = coo_matrix((values, (rows, columns)), dtype=float).tocsc()
    out = frame.copy()
    out[inside] = spsolve(matrix, right)
    return np.clip(out, 0, 1)


@pytest.mark.parametrize(
    ("x", "radius"), [(30, 17), (6, 14)], ids=["within", "at the frame's edge"]
)
def test_poisson_solves_perez_equation(fs, x, radius):
    frame, face = smooth_image(1, 48, 61), smooth_image(2, 48, 61, sigma=3)
    inside = disc(48, 61, x, 22, radius)
    out = fs.blend_poisson(frame, face, inside)
    assert np.abs(out - exact_poisson(frame, face, inside)).max() < 1 / 255


def test_poisson_keeps_a_face_that_differs_by_a_constant_out_of_the_seam(fs):
    frame = smooth_image(1, 64, 64)
    inside = disc(64, 64, 30, 34, 20)
    out = fs.blend_poisson(frame, frame * 1.0 - 0.15, inside)
    np.testing.assert_allclose(out, frame, atol=2e-3)


def test_poisson_agrees_with_opencv_inside_and_keeps_outside_exact(fs):
    frame, face = smooth_image(5, 96, 96, sigma=20), smooth_image(6, 96, 96, sigma=10)
    inside = disc(96, 96, 48, 48, 30)
    as_bytes = [np.rint(image * 255).astype(np.uint8) for image in (face, frame)]
    rows, columns = np.nonzero(inside)
    centre = ((columns.min() + columns.max()) // 2, (rows.min() + rows.max()) // 2)
    mask = inside.astype(np.uint8) * 255
    cloned = cv2.seamlessClone(*as_bytes, mask, centre, cv2.NORMAL_CLONE)
    ours = (
        fs.blend_poisson(*[image / np.float32(255) for image in reversed(as_bytes)], inside) * 255
    )
    core = disc(96, 96, 48, 48, 26)
    difference = np.abs(ours - cloned)[core].mean()
    naive = np.abs(as_bytes[0].astype(float) - cloned)[core].mean()
    assert difference < 0.35 * naive, "further from cv2.seamlessClone than pasting without a solver"
    np.testing.assert_array_equal(np.rint(ours)[~inside], as_bytes[1][~inside])


def test_poisson_without_any_border_returns_the_face(fs):
    frame, face = smooth_image(1, 12, 12), smooth_image(2, 12, 12)
    np.testing.assert_allclose(fs.blend_poisson(frame, face, np.ones((12, 12), bool)), face)


def test_conjugate_gradient_needs_few_steps_from_a_coarse_guess(fs):
    inside = disc(90, 90, 45, 45, 40)
    values, ring = smooth_image(3, 90, 90), fs.ring_around(inside)
    exact = fs.membrane(values, ring, inside, tolerance=1e-6)
    coarse_to_fine = fs.membrane(values, ring, inside, tolerance=0, iterations=12)
    assert np.abs(coarse_to_fine - exact).max() < 0.02
    right = fs.neighbour_sum(values * ring[..., None]) * inside[..., None]
    from_nothing = fs.conjugate_gradient(inside, right, np.zeros_like(values), 0, 12)
    assert np.abs(from_nothing - exact).max() > 0.1


@pytest.mark.parametrize("shape", [(33, 48), (16, 16)])
def test_pyramid_collapses_to_the_image(fs, shape):
    image = smooth_image(7, *shape, sigma=1)
    bands = fs.laplacian_pyramid(image, 3)
    assert [band.shape[0] for band in bands] == [-(-shape[0] // 2**k) for k in range(4)]
    np.testing.assert_allclose(fs.collapse_pyramid(bands), image, atol=1e-6)


def test_reduce_and_expand_agree_with_opencv_away_from_the_border(fs):
    image = smooth_image(7, 40, 32, sigma=1)
    np.testing.assert_allclose(fs.reduce_level(image), cv2.pyrDown(image), atol=1e-6)
    doubled = fs.expand_level(image, 80, 64)
    np.testing.assert_allclose(doubled[4:-4, 4:-4], cv2.pyrUp(image)[4:-4, 4:-4], atol=1e-6)


def test_laplacian_blend_hides_a_step_better_than_the_feather_it_was_given(fs):
    frame = np.full((96, 96, 3), 0.3, np.float32)
    face = np.full((96, 96, 3), 0.6, np.float32)
    alpha = fs.feathered_mask(34 - np.hypot(*np.mgrid[-48:48, -48:48]).astype(np.float32), 0, 3)
    steepest = {
        method: np.abs(np.diff(fs.blend(frame, face, alpha, method)[48, :, 0])).max()
        for method in ("feather", "laplacian")
    }
    assert steepest["laplacian"] < 0.8 * steepest["feather"], steepest


def test_blend_names_the_methods_there_are(fs):
    with pytest.raises(ValueError, match="laplacian"):
        fs.blend(np.zeros((4, 4, 3)), np.zeros((4, 4, 3)), np.zeros((4, 4)), "magic")


# ---------------------------------------------------------------------------------------- time


def test_one_euro_steadies_noise_and_follows_motion(fs):
    noise = np.random.default_rng(0).normal(0, 1, (100, 4))
    times = np.arange(100) / 25
    still = fs.OneEuro(1.0, 0.0)
    filtered = np.array([still(n, t) for n, t in zip(noise, times, strict=True)])
    assert filtered[20:].std() < 0.5 * noise[20:].std()
    ramp = 100 * times[:, None]
    lags = []
    for beta in (0.0, 1.0):
        follow = fs.OneEuro(1.0, beta)
        filtered = np.array([follow(r, t) for r, t in zip(ramp, times, strict=True)])
        lags.append(float(ramp[-1, 0] - filtered[-1, 0]))
    assert lags[1] < 0.1 * lags[0], "beta raises the cutoff with speed, so that the lag falls"


def test_one_euro_first_steps_by_hand(fs):
    smooth = fs.OneEuro(min_cutoff_hz=1.0, beta=0.5, unit=2.0, speed_cutoff_hz=1.0)
    assert smooth(np.array([3.0]), 0.0) == 3.0
    weight = 1 / (1 + 1 / (2 * np.pi * 0.1))  # 1 Hz, a step of 0.1 s
    speed = weight * (4.0 - 3.0) / 0.1 / 2.0
    weight_value = 1 / (1 + 1 / (2 * np.pi * (1 + 0.5 * speed) * 0.1))
    assert smooth(np.array([4.0]), 0.1)[0] == pytest.approx(3 + weight_value)


def test_one_euro_starts_afresh_when_time_goes_back(fs):
    smooth = fs.OneEuro()
    smooth(np.array([0.0]), 5.0)
    assert smooth(np.array([9.0]), 0.0) == 9.0


def test_one_euro_does_not_depend_on_resolution(fs):
    path = np.cumsum(np.random.default_rng(0).normal(size=(20, 2)), 0)
    small, large = fs.OneEuro(1.0, 2.0, unit=50), fs.OneEuro(1.0, 2.0, unit=200)
    for i, point in enumerate(path):
        a, b = small(point, i / 25), large(4 * point, i / 25)
    np.testing.assert_allclose(4 * a, b)


@pytest.mark.parametrize("rate", [25, 100])
def test_moving_average_follows_a_step_at_its_time_constant_at_any_rate(fs, rate):
    average = fs.MovingAverage(0.4)
    average(np.zeros(3), 0.0)
    for i in range(1, int(0.4 * rate) + 1):
        value = average(np.ones(3), i / rate)
    np.testing.assert_allclose(value, 1 - np.exp(-1), rtol=1e-6)


def test_moving_average_of_zero_time_passes_through(fs):
    average = fs.MovingAverage(0)
    average(np.zeros(1), 0.0)
    assert average(np.ones(1), 1.0) == 1


# --------------------------------------------------------------------------------------- faces


def test_choice_of_faces(fs):
    assert fs.choose_faces([], "largest") == fs.choose_faces([], "all") == []
    assert fs.choose_faces([5, 9, 7], "largest") == [1]
    assert fs.choose_faces([5, 9, 7], "all") == [0, 1, 2]
    assert fs.choose_faces([5, 9, 7], "like", [0.3, 0.5, 0.2], limit=0.4) == [2]
    assert fs.choose_faces([5, 9, 7], "like", [0.3, 0.5, 0.2], limit=0.1) == []


def test_largest_face_does_not_change_for_a_small_difference(fs):
    assert fs.choose_faces([10, 11], "largest", chosen_before=0) == [0]
    assert fs.choose_faces([10, 13], "largest", chosen_before=0) == [1]


@pytest.mark.parametrize(
    ("rule", "match"), [("smallest", "largest, all or like"), ("like", "distances")]
)
def test_choice_refuses_what_it_cannot_do(fs, rule, match):
    with pytest.raises(ValueError, match=match):
        fs.choose_faces([1], rule)


@dataclass
class Track:
    id: int
    landmarks_px_L2: np.ndarray | None

    @property
    def box_px(self) -> tuple[float, float, float, float]:
        return (*self.landmarks_px_L2.min(0), *self.landmarks_px_L2.max(0))


class Script:
    """A tracker that returns a prepared list for each frame."""

    def __init__(self, *frames: list[Track]) -> None:
        self.frames = list(frames)

    def update(self, frame_HW3: np.ndarray) -> list[Track]:
        return self.frames.pop(0)


class Painter:
    """A model that paints each face one colour, sees face everywhere, and notes its batches."""

    def __init__(
        self, size_px: int = 64, colour: tuple = (1.0, 0.0, 0.0), mask: float = 1.0
    ) -> None:
        self.size_px, self.colour, self.mask, self.batches = size_px, colour, mask, []

    def swap(self, faces_B3HW: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        assert faces_B3HW.dtype == torch.float32 and 0 <= faces_B3HW.min() <= faces_B3HW.max() <= 1
        self.batches.append(len(faces_B3HW))
        rgb = torch.tensor(self.colour)[None, :, None, None].expand(faces_B3HW.shape)
        return rgb, torch.full_like(faces_B3HW[:, :1], self.mask)


class Mirror(Painter):
    """A model that returns its input."""

    def swap(self, faces_B3HW: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return faces_B3HW, torch.ones_like(faces_B3HW[:, :1])


def align(landmarks_px_L2: np.ndarray, size_px: int) -> np.ndarray:
    """Upright square round the face: enough for tests."""
    low, high = landmarks_px_L2.min(0), landmarks_px_L2.max(0)
    scale = size_px / (1.8 * float((high - low).max()))
    offset = (size_px - 1) / 2 - scale * ((low + high) / 2 - [0, 0.15 * (high - low)[1]])
    return np.array([[scale, 0, offset[0]], [0, scale, offset[1]]])


def crop(frame_HW3: np.ndarray, matrix_23: np.ndarray, size_px: int) -> np.ndarray:
    return cv2.warpAffine(frame_HW3, matrix_23, (size_px, size_px))


def uncrop(crop_SSC: np.ndarray, matrix_23: np.ndarray, height: int, width: int) -> tuple:
    inverse = cv2.WARP_INVERSE_MAP | cv2.INTER_LINEAR
    return cv2.warpAffine(crop_SSC, matrix_23, (width, height), flags=inverse), np.ones(
        (height, width)
    )


def noise_frame(seed: int = 0, height: int = 128, width: int = 128) -> np.ndarray:
    return (255 * smooth_image(seed, height, width, 3)).astype(np.uint8)


def swap(fs, tracks: list[list[Track]], model=None, times=None, batch=8, frame=None, **settings):
    frame = noise_frame() if frame is None else frame
    swapper = fs.FaceSwapper(
        Script(*tracks), align, crop, uncrop, model or Painter(), fs.Settings(**settings)
    )
    times = times or [i / 25 for i in range(len(tracks))]
    return frame, list(swapper.swap_frames(((frame, t) for t in times), batch)), swapper


@pytest.mark.parametrize("blend", ["feather", "poisson", "laplacian"])
@pytest.mark.parametrize("color", ["none", "reinhard", "histogram", "mkl"])
def test_pixels_outside_the_mask_are_bit_exact(fs, blend, color):
    frame, (swapped,), _ = swap(fs, [[Track(0, face_landmarks())]], blend=blend, color=color)
    assert swapped.image_HW3.dtype == np.uint8 and swapped.faces == 1
    np.testing.assert_array_equal(swapped.image_HW3[~swapped.mask_HW], frame[~swapped.mask_HW])
    assert 500 < swapped.mask_HW.sum() < 8000
    assert swapped.image_HW3 is not frame and (swapped.image_HW3 != frame).any()


def test_face_lands_where_the_landmarks_are(fs):
    _, (swapped,), _ = swap(fs, [[Track(0, face_landmarks(40, 70, 0.7))]])
    rows, columns = np.nonzero((swapped.image_HW3 == (255, 0, 0)).all(2))
    assert abs(columns.mean() - 40) < 2, "x is the column"
    assert abs(rows.mean() - 68) < 6


def test_mask_of_the_network_limits_the_swap(fs):
    frame, (swapped,), _ = swap(fs, [[Track(0, face_landmarks())]], model=Painter(mask=0.4))
    assert not swapped.mask_HW.any() and swapped.faces == 0
    np.testing.assert_array_equal(swapped.image_HW3, frame)


def test_returning_the_input_returns_the_frame(fs):
    """Crop and its inverse cancel: an identity network changes a smooth frame by a few levels."""
    frame = (255 * smooth_image(3, 128, 128, 6)).astype(np.uint8)
    _, (swapped,), _ = swap(fs, [[Track(0, face_landmarks())]], model=Mirror(96), frame=frame)
    assert np.abs(swapped.image_HW3.astype(int) - frame).max() <= 3


def test_frames_without_face_pass_through_and_keep_their_order(fs):
    face = [Track(0, face_landmarks())]
    frame, swapped, _ = swap(fs, [[], face, [], [], face], batch=2)
    assert [s.faces for s in swapped] == [0, 1, 0, 0, 1]
    assert [s.time_s for s in swapped] == [i / 25 for i in range(5)]
    for done in (swapped[0], swapped[2], swapped[3]):
        np.testing.assert_array_equal(done.image_HW3, frame)


def test_unusable_landmarks_count_as_no_face(fs):
    broken = face_landmarks()
    broken[3] = np.nan
    tracks = [
        [Track(0, broken)],
        [Track(0, face_landmarks(scale=0.05))],
        [Track(0, face_landmarks(900, 900))],
    ]
    frame, swapped, _ = swap(fs, tracks)
    assert [s.mask_HW.any() for s in swapped] == [False, False, False]
    np.testing.assert_array_equal(swapped[2].image_HW3, frame)


@pytest.mark.parametrize("x", [2, 125])
def test_face_cut_by_the_frames_edge_is_swapped_as_far_as_it_shows(fs, x):
    for blend in ("feather", "poisson", "laplacian"):
        frame, (swapped,), _ = swap(fs, [[Track(0, face_landmarks(x, 60))]], blend=blend)
        assert swapped.mask_HW[:, 0 if x == 2 else -1].any()
        np.testing.assert_array_equal(swapped.image_HW3[~swapped.mask_HW], frame[~swapped.mask_HW])


@pytest.mark.parametrize("batch", [1, 3, 8])
def test_frames_share_passes_of_the_network(fs, batch):
    model = Painter()
    face = [Track(0, face_landmarks())]
    _, swapped, _ = swap(fs, [face] * 7, model=model, batch=batch)
    assert len(swapped) == 7 and sum(model.batches) == 7
    assert model.batches[0] == min(batch, 7)


def test_all_faces_are_swapped_or_only_the_largest(fs):
    frame = noise_frame(1, 120, 260)
    tracks = [Track(0, face_landmarks(60, 60, 0.8)), Track(1, face_landmarks(190, 60, 1.0))]
    _, (both,), _ = swap(fs, [tracks], frame=frame, face="all")
    _, (one,), _ = swap(fs, [tracks], frame=frame, face="largest")
    assert both.faces == 2 and both.mask_HW[:, :120].any() and both.mask_HW[:, 130:].any()
    assert one.faces == 1 and not one.mask_HW[:, :120].any() and one.mask_HW[:, 130:].any()


def test_face_like_a_picture_is_found_and_measured_once_a_second(fs):
    frame = noise_frame(1, 120, 260)
    tracks = [Track(0, face_landmarks(60, 60, 0.8)), Track(1, face_landmarks(190, 60, 1.0))]
    asked = []

    def embed(frame_HW3: np.ndarray, landmarks_px_L2: np.ndarray) -> np.ndarray:
        asked.append(landmarks_px_L2)
        return np.full(128, landmarks_px_L2[:, 0].mean() > 130, np.float32)

    swapper = fs.FaceSwapper(
        Script(tracks, tracks, tracks),
        align,
        crop,
        uncrop,
        Painter(),
        fs.Settings(face="like"),
        embed,
        np.zeros(128),
    )
    done = list(swapper.swap_frames([(frame, 0.0), (frame, 0.04), (frame, 1.0)]))
    assert all(d.mask_HW[:, :120].any() and not d.mask_HW[:, 130:].any() for d in done)
    assert len(asked) == 4, "two faces, two measurements each"


def test_landmarks_are_smoothed_until_the_tracker_gives_a_new_id(fs):
    there, here = face_landmarks(60, 60), face_landmarks(63, 60)
    moves = {}
    for second_id in (0, 1):
        tracks = [[Track(0, there)], [Track(second_id, here)]]
        _, swapped, _ = swap(fs, tracks, smooth_hz=0.5, smooth_beta=0)
        columns = [np.nonzero(s.mask_HW)[1].mean() for s in swapped]
        moves[second_id] = columns[1] - columns[0]
    assert 0 < moves[0] < 1.5, "the same face is followed slowly"
    assert moves[1] == pytest.approx(3, abs=0.2), "after a cut the new place counts at once"


def test_smoothing_can_be_switched_off(fs):
    tracks = [[Track(0, face_landmarks(60, 60))], [Track(0, face_landmarks(70, 60))]]
    _, swapped, _ = swap(fs, tracks, smooth_hz=0)
    columns = [np.nonzero(s.mask_HW)[1].mean() for s in swapped]
    assert columns[1] - columns[0] == pytest.approx(10, abs=0.2)


def test_colour_statistics_are_smoothed_over_time(fs):
    """One flash in a row of equal frames moves the colours of the swap only a little."""
    frame, flash = noise_frame(3), np.clip(noise_frame(3).astype(int) + 60, 0, 255).astype(np.uint8)
    means = {}
    for seconds in (0.0, 1.0):
        script = Script(*[[Track(0, face_landmarks())]] * 3)
        settings = fs.Settings(color="mkl", colour_s=seconds)
        swapper = fs.FaceSwapper(script, align, crop, uncrop, Painter(), settings)
        done = list(swapper.swap_frames([(frame, 0.0), (frame, 0.04), (flash, 0.08)]))
        core = cv2.erode(done[0].mask_HW.astype(np.uint8), np.ones((25, 25))) > 0
        means[seconds] = [float(d.image_HW3[core].mean()) for d in done]
    assert means[0.0][2] - means[0.0][1] > 40
    assert means[1.0][2] - means[1.0][1] < 10


@pytest.mark.parametrize("settings", [{"blend": "magic"}, {"color": "magic"}, {"face": "like"}])
def test_swapper_refuses_choices_it_does_not_have(fs, settings):
    with pytest.raises(ValueError):
        fs.FaceSwapper(Script(), align, crop, uncrop, Painter(), fs.Settings(**settings))


def test_box_of_a_crop_beside_the_frame_is_empty(fs):
    matrix = np.array([[0.5, 0, 16.0], [0, 0.5, 16.0]])  # the crop covers -32 .. 94
    assert fs.crop_box(matrix, 64, 100, 50) == (slice(0, 95), slice(0, 50))
    assert fs.crop_box(matrix - [[0, 0, 500], [0, 0, 0]], 64, 100, 50) is None
