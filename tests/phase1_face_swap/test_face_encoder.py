"""Phase 1, part 2: alignment by hand and by property; embeddings, distances, margins."""

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.testing import assert_allclose

from lab import faces
from lab.course import load
from lab.mean_face import MEAN_FACE_L2

fe = load("phase1_face_swap/face_encoder")

# Where each landmark lands when the face is mirrored (iBUG order).
MIRROR = [
    *range(16, -1, -1),
    *range(26, 16, -1),
    *(27, 28, 29, 30, 35, 34, 33, 32, 31),
    *(45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40),
    *(54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55),
    *(64, 63, 62, 61, 60, 67, 66, 65),
]


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    """256 x 256 round a face, from the photograph inside the scikit-image wheel."""
    from skimage import data

    return data.astronaut()[:256, 96:352].copy()


@pytest.fixture(scope="module")
def points(photo: np.ndarray) -> np.ndarray:
    return faces.landmarks_of(photo, faces.detect_hog(photo)[0])


def similarity(scale: float, degrees: float, x: float, y: float) -> np.ndarray:
    cos, sin = scale * np.cos(np.radians(degrees)), scale * np.sin(np.radians(degrees))
    return np.array([[cos, -sin, x], [sin, cos, y]])


# Umeyama


def test_umeyama_of_a_quarter_turn_by_hand() -> None:
    source = np.array([(0, 0), (1, 0), (0, 1)])
    target = np.array([(5, 1), (5, 3), (3, 1)])  # (x, y) -> 2 (-y, x) + (5, 1)
    assert_allclose(fe.umeyama(source, target), [[0, -2, 5], [2, 0, 1]], atol=1e-12)


@pytest.mark.parametrize("degrees", [-170, -30, 0, 30, 90, 180])
@pytest.mark.parametrize("scale", [0.02, 1.0, 7.0])
def test_umeyama_recovers_any_similarity(degrees: float, scale: float) -> None:
    source = np.random.default_rng(1).normal(size=(20, 2)) * 30 + 100
    matrix = similarity(scale, degrees, -40, 900)
    before = source.copy()
    assert_allclose(fe.umeyama(source, fe.transform(source, matrix)), matrix, atol=1e-8)
    assert (source == before).all()


def test_umeyama_never_reflects() -> None:
    source = np.random.default_rng(2).normal(size=(30, 2))
    mirrored = source * (-1, 1)
    matrix = fe.umeyama(source, mirrored)
    scale = np.sqrt(np.linalg.det(matrix[:, :2]))
    assert np.linalg.det(matrix[:, :2]) > 0
    assert_allclose(matrix[:, :2] @ matrix[:, :2].T, scale**2 * np.eye(2), atol=1e-12)


def test_umeyama_is_the_least_squares_optimum() -> None:
    rng = np.random.default_rng(3)
    source, target = rng.normal(size=(2, 12, 2)) * 10
    weights = rng.uniform(0.1, 2, 12)

    def cost(matrix: np.ndarray) -> float:
        return float((weights * ((fe.transform(source, matrix) - target) ** 2).sum(1)).sum())

    best = fe.umeyama(source, target, weights)
    for a, b, x, y in rng.normal(size=(50, 4)) * 1e-3:
        nudged = np.add(best, [[a, -b, x], [b, a, y]])  # still a similarity
        assert cost(nudged) >= cost(best)


def test_umeyama_weights_count_points_several_times() -> None:
    rng = np.random.default_rng(4)
    source, target = rng.normal(size=(2, 5, 2))
    repeats = [1, 3, 2, 1, 4]
    often = fe.umeyama(np.repeat(source, repeats, axis=0), np.repeat(target, repeats, axis=0))
    assert_allclose(fe.umeyama(source, target, np.array(repeats, float)), often)
    outlier = target.copy()
    outlier[2] += 1000
    weights = np.array([1.0, 1, 0, 1, 1])
    assert_allclose(fe.umeyama(source, outlier, weights), fe.umeyama(source, target, weights))


def test_umeyama_of_two_points_is_exact() -> None:
    matrix = fe.umeyama([(0, 0), (4, 0)], [(1, 1), (1, 9)])
    assert_allclose(matrix, [[0, -2, 1], [2, 0, 1]], atol=1e-12)


@pytest.mark.parametrize(
    ("source", "target", "weights", "message"),
    [
        (np.zeros((3, 2)), np.eye(3, 2), None, "no similarity fits"),
        (np.eye(3, 2), np.ones((3, 2)), None, "no similarity fits"),
        (np.eye(3, 2), np.eye(4, 2), None, r"two sets of points \(N, 2\)"),
        (np.eye(3), np.eye(3), None, r"two sets of points \(N, 2\)"),
        (np.eye(3, 2), np.eye(3, 2), np.array([1.0, -1, 1]), "none negative"),
        (np.eye(3, 2), np.eye(3, 2), np.zeros(3), "not all 0"),
        (np.eye(3, 2) * np.nan, np.eye(3, 2), None, "finite"),
    ],
)
def test_umeyama_refuses_what_has_no_answer(source, target, weights, message) -> None:
    with pytest.raises(ValueError, match=message):
        fe.umeyama(source, target, weights)


def test_inverse_undoes_and_refuses_the_flat() -> None:
    matrix = similarity(1.7, 33, 12, -5)
    points = np.random.default_rng(0).normal(size=(6, 2)) * 50
    assert_allclose(fe.transform(fe.transform(points, matrix), fe.invert(matrix)), points)
    with pytest.raises(ValueError, match="invertible"):
        fe.invert(np.array([[1.0, 2, 0], [2, 4, 0]]))


# Crops


def test_mean_face_is_upright_mirrored_and_in_eye_distances() -> None:
    right, left = MEAN_FACE_L2[faces.RIGHT_EYE].mean(0), MEAN_FACE_L2[faces.LEFT_EYE].mean(0)
    assert MEAN_FACE_L2.shape == (68, 2)
    assert_allclose([right, left], [(-0.5, 0), (0.5, 0)], atol=2e-3)
    assert_allclose(MEAN_FACE_L2[MIRROR] * (-1, 1), MEAN_FACE_L2, atol=1e-9)


def test_mean_face_is_that_of_the_actors() -> None:
    from lab.actors import Actor, Identity, Renderer

    renderer = Renderer(128, supersample=1)
    shapes = []
    for seed in (20_001, 20_002, 20_003):
        points = renderer.render(Actor(Identity.sample(seed))).landmarks_px_L2
        five = faces.five_points(points)
        home = fe.umeyama(five[:2], [(-0.5, 0), (0.5, 0)])
        shapes.append(fe.transform(points, home))
    gap = np.linalg.norm(np.mean(shapes, axis=0) - MEAN_FACE_L2, axis=1)
    assert gap.mean() < 0.08 and gap[17:].max() < 0.2


def test_template_uses_outer_edges() -> None:
    small, large = fe.template_points("full", 64), fe.template_points("full", 256)
    # The middle between the eyes: side 3.0, centre 0.6 below: (0, -0.2) of the side from the centre.
    assert_allclose(
        small[faces.RIGHT_EYE].mean(0), (31.5 - 64 * 0.5 / 3, 31.5 - 0.2 * 64), atol=0.1
    )
    assert_allclose((large + 0.5) / 256, (small + 0.5) / 64, err_msg="half a pixel off?")


def test_face_types_show_more_and_more(points) -> None:
    height = {}
    for name, (side, _) in fe.FACE_TYPES.items():
        template = fe.template_points(name, 100)
        height[name] = template[8, 1] - template[27, 1]
        assert_allclose(template[27, 0], 49.5, atol=1e-6)
        assert_allclose(100 / side, np.diff(template[[39, 42], 0])[0] / 0.55, rtol=0.1)
    assert height["half"] > height["full"] > height["whole"] > height["head"]
    with pytest.raises(ValueError, match="half, full, whole, head, got 'quarter'"):
        fe.align(points, "quarter")


@pytest.mark.parametrize("face_type", ["half", "full", "whole", "head"])
@pytest.mark.parametrize("size_px", [64, 128])
def test_align_brings_any_pose_of_the_mean_face_home(face_type, size_px) -> None:
    pose = similarity(37, 25, 200, 150)
    seen = fe.transform(MEAN_FACE_L2, pose)
    template = fe.template_points(face_type, size_px)
    for given in (seen, faces.five_points(seen)):
        matrix = fe.align(given, face_type, size_px)
        assert_allclose(fe.transform(seen, matrix), template, atol=1e-3)


def test_alignment_ignores_the_jaw_line(points) -> None:
    other = points.copy()
    other[:17] += 30
    assert_allclose(fe.align(other), fe.align(points))


def test_speech_moves_the_crop_less_than_the_mouth(points) -> None:
    speaking = points.copy()
    speaking[[*range(55, 60), *range(65, 68)], 1] += 20  # the lower lip drops by 20 pixels
    a, b = fe.align(points, "full", 128), fe.align(speaking, "full", 128)
    eyes = points[faces.RIGHT_EYE].mean(0)
    assert np.abs(fe.transform(eyes, a) - fe.transform(eyes, b)).max() < 2


def test_crop_with_the_identity_is_the_frame(photo) -> None:
    identity = similarity(1, 0, 0, 0)
    assert (fe.crop(photo, identity, 256) == photo).all()
    back, coverage = fe.uncrop(photo, identity, 256, 256)
    assert (back == photo).all() and (coverage == 1).all()


def test_crop_shifts_by_whole_pixels_exactly(photo) -> None:
    crop = fe.crop(photo, similarity(1, 0, -30, -20), 64)
    assert (crop == photo[20:84, 30:94]).all()
    back, coverage = fe.uncrop(crop, similarity(1, 0, -30, -20), 256, 256)
    assert (back[20:84, 30:94] == crop).all()
    assert (coverage[20:84, 30:94] == 1).all() and coverage.sum() == 64 * 64


def test_shrinking_crop_averages(photo) -> None:
    # Pixel p of the crop covers frame pixels 4 p ... 4 p + 3, whose centre is 4 p + 1.5.
    matrix = similarity(1 / 4, 0, -1.5 / 4, -1.5 / 4)
    expected = photo.reshape(64, 4, 64, 4, 3).mean(axis=(1, 3))
    assert np.abs(fe.crop(photo, matrix, 64) - expected).max() <= 1


def test_crop_follows_a_turned_frame(photo, points) -> None:
    crop = fe.crop(photo, fe.align(points), 128)
    turn = similarity(1, 30, 60, -40)
    turned = cv2.warpAffine(photo, turn, (256, 256), flags=cv2.INTER_CUBIC)
    again = fe.crop(turned, fe.align(fe.transform(points, turn)), 128)
    inside = slice(20, 108)
    difference = np.abs(crop[inside, inside].astype(int) - again[inside, inside])
    assert difference.mean() < 3


def test_crop_and_back_is_the_frame_again(photo, points) -> None:
    matrix = fe.align(points, "full", 256)  # a little finer than the frame: nothing is lost
    back, coverage = fe.uncrop(fe.crop(photo, matrix, 256), matrix, 256, 256)
    inside = coverage == 1
    difference = back[inside].astype(float) - photo[inside]
    assert inside.mean() > 0.15
    assert np.abs(difference).mean() < 0.5 and abs(difference.mean()) < 0.05


def test_crop_keeps_the_kind_of_array(photo, points) -> None:
    mask = np.zeros((256, 256), np.float32)
    mask[80:180, 90:160] = 1
    matrix = fe.align(points, "full", 64)
    crop = fe.crop(mask, matrix, 64)
    back, _ = fe.uncrop(crop, matrix, 256, 256)
    assert crop.shape == (64, 64) and crop.dtype == np.float32 and back.dtype == np.float32
    assert back.min() >= 0 and back.max() <= 1, "a mask must not overshoot"
    nowhere, coverage = fe.uncrop(crop, similarity(1, 0, 5000, 0), 256, 256)
    assert nowhere.sum() == 0 and coverage.sum() == 0


# Whose face


def test_distance_and_decisions_by_hand() -> None:
    a, b, c = np.array([0.0, 0]), np.array([0.3, 0.4]), np.array([0.0, 2])
    assert_allclose([fe.distance(a, b), fe.distance(a, a)], [0.5, 0])
    assert fe.is_same_person(a, b, threshold=0.6) and not fe.is_same_person(a, b, threshold=0.5)
    assert fe.best_match(a, [c, b], threshold=0.6) == 1
    assert fe.best_match(a, [c, b], threshold=0.4) is None
    assert fe.best_match(a, [], threshold=0.4) is None


def test_threshold_separates_what_can_be_separated() -> None:
    threshold, accuracy = fe.calibrate_threshold(np.array([0.1, 0.3]), np.array([0.5, 0.6, 0.9]))
    assert_allclose([threshold, accuracy], [0.4, 1.0])


def test_threshold_weighs_both_kinds_alike() -> None:
    # Below 0.35: all 3 same, 1 of 100 different. Accuracy over all pairs would ignore the 3.
    same = np.array([0.1, 0.2, 0.3])
    different = np.concatenate([[0.05], np.linspace(0.4, 0.9, 99)])
    threshold, accuracy = fe.calibrate_threshold(same, different)
    assert_allclose(threshold, 0.35)
    assert_allclose(accuracy, (1 + 0.99) / 2)
    with pytest.raises(ValueError, match="of both kinds"):
        fe.calibrate_threshold(same, np.array([]))


# Our own network


def test_embedding_net_gives_unit_vectors_and_gradients() -> None:
    torch.manual_seed(0)
    net = fe.EmbeddingNet(width=8, size=16)
    crops = torch.rand(5, 3, 64, 64)
    out = net(crops)
    assert out.shape == (5, 16)
    torch.testing.assert_close(out.norm(dim=1), torch.ones(5))
    fe.margin_loss(out, torch.randn(4, 16), torch.tensor([0, 1, 2, 3, 0])).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())
    net.eval()
    torch.testing.assert_close(net(crops[2:3]), net(crops)[2:3])


def test_embedding_net_has_the_planned_size_and_ignores_exposure() -> None:
    net = fe.EmbeddingNet().eval()
    assert 300_000 < sum(p.numel() for p in net.parameters()) < 600_000
    crops = torch.rand(2, 3, 64, 64)
    assert (net(crops) * net(0.5 * crops + 0.2)).sum(dim=1).min() > 0.99
    for wrong in (torch.rand(2, 3, 32, 32), torch.rand(3, 64, 64), torch.rand(2, 1, 64, 64)):
        with pytest.raises(ValueError, match=r"expected crops \(B, 3, 64, 64\)"):
            net(wrong)


def unit(*degrees: float) -> torch.Tensor:
    angle = torch.deg2rad(torch.tensor(degrees, dtype=torch.float64))
    return torch.stack([angle.cos(), angle.sin()], dim=1)


def test_cosface_subtracts_the_margin_from_the_own_cosine() -> None:
    logits = fe.cosface_logits(unit(0, 60), 5 * unit(0, 90), torch.tensor([0, 1]), 0.2, 10.0)
    cos30 = np.cos(np.pi / 6)
    expected = torch.tensor([[8.0, 0.0], [5.0, 10 * cos30 - 2]], dtype=torch.float64)
    torch.testing.assert_close(logits, expected)


def test_arcface_adds_the_margin_to_the_own_angle() -> None:
    margin = np.radians(30)
    logits = fe.arcface_logits(unit(40, 60), 3 * unit(0, 90), torch.tensor([0, 1]), margin, 10.0)
    cos = lambda degrees: np.cos(np.radians(degrees))  # noqa: E731
    expected = torch.tensor(
        [[10 * cos(70), 10 * cos(50)], [10 * cos(60), 10 * cos(60)]], dtype=torch.float64
    )
    torch.testing.assert_close(logits, expected)


def test_arcface_stays_harder_beyond_the_half_circle() -> None:
    angles = torch.arange(0.5, 180, 1.0).tolist()
    people = unit(0, 90)
    label = torch.zeros(len(angles), dtype=torch.int64)
    own = fe.arcface_logits(unit(*angles), people, label, 0.5, 1.0)[:, 0]
    assert (own.diff() < 0).all(), "past pi - margin the cosine rises again"
    plain = fe.arcface_logits(unit(*angles), people, label, 0.0, 1.0)[:, 0]
    assert (own < plain).all()


@pytest.mark.parametrize("kind", ["cosface", "arcface"])
def test_margin_makes_the_loss_harder_and_no_margin_is_cross_entropy(kind: str) -> None:
    torch.manual_seed(0)
    embedding = F.normalize(torch.randn(6, 8, dtype=torch.float64), dim=1).requires_grad_()
    people = torch.randn(4, 8, dtype=torch.float64, requires_grad=True)
    label = torch.tensor([0, 1, 2, 3, 0, 1])
    plain = F.cross_entropy(16 * embedding @ F.normalize(people, dim=1).T, label)
    torch.testing.assert_close(fe.margin_loss(embedding, people, label, kind, 0.0, 16.0), plain)
    assert fe.margin_loss(embedding, people, label, kind, 0.3, 16.0) > plain
    assert torch.autograd.gradcheck(
        lambda e, p: fe.margin_loss(F.normalize(e, dim=1), p, label, kind, 0.3, 4.0),
        (embedding, people),
    )


def test_margin_loss_has_gradients_at_the_own_direction_and_refuses_unknown_kinds() -> None:
    people = torch.eye(3, dtype=torch.float64, requires_grad=True)
    embedding = people.detach().clone().requires_grad_()
    fe.margin_loss(embedding, people, torch.arange(3), "arcface").backward()
    assert embedding.grad.isfinite().all(), "acos has an infinite slope at 1"
    with pytest.raises(ValueError, match='"cosface" or "arcface"'):
        fe.margin_loss(embedding, people, torch.arange(3), "softmax")


def test_margin_loss_teaches_to_tell_people_apart() -> None:
    torch.manual_seed(0)
    faces_of = torch.rand(4, 3, 64, 64)  # four "people"; pictures are noisy copies
    label = torch.arange(4).repeat(4)
    net = fe.EmbeddingNet(width=8, size=16)
    people = torch.nn.Parameter(torch.randn(4, 16))
    optimizer = torch.optim.Adam([*net.parameters(), people], 3e-3)
    for _ in range(25):
        crops = (faces_of[label] + 0.1 * torch.randn(16, 3, 64, 64)).clamp(0, 1)
        loss = fe.margin_loss(net(crops), people, label)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    net.eval()
    with torch.no_grad():
        cosine = net(faces_of) @ net((faces_of + 0.1 * torch.randn(4, 3, 64, 64)).clamp(0, 1)).T
    assert (cosine.argmax(dim=1) == torch.arange(4)).all()
    assert cosine.diagonal().min() > cosine[~torch.eye(4, dtype=torch.bool)].max() + 0.2
