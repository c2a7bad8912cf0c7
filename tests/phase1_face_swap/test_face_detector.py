"""Phase 1, part 1: the parts of MTCNN by hand, the whole on a photograph, the tracker on motion."""

import cv2
import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from lab import faces, mtcnn_weights
from lab.course import load
from lab.faces import Face

fd = load("phase1_face_swap/face_detector")


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
def mtcnn():
    return fd.MtcnnDetector.published()


@pytest.fixture(scope="module")
def points(photo: np.ndarray) -> np.ndarray:
    return faces.landmarks_of(photo, faces.detect_hog(photo)[0])


# The networks


@pytest.mark.parametrize(
    ("network", "name", "parameters"),
    [("PNet", "pnet", 6_632), ("RNet", "rnet", 100_178), ("ONet", "onet", 389_040)],
)
def test_network_has_the_published_size_and_takes_its_weights(network, name, parameters) -> None:
    net = getattr(fd, network)()
    assert sum(p.numel() for p in net.parameters()) == parameters
    net = fd.load_published(net, name)
    assert not net.training and not any(p.requires_grad for p in net.parameters())
    slopes = mtcnn_weights.read(name)[2].ravel()
    assert_allclose(net.prelu1.weight.numpy(), slopes, err_msg="PReLU slopes are (1, 1, C) there")


@pytest.mark.parametrize(("height", "width"), [(12, 12), (13, 12), (50, 37), (64, 101)])
def test_pnet_has_a_cell_every_two_pixels(height: int, width: int) -> None:
    prob, offset = fd.PNet()(torch.zeros(2, 3, height, width))
    rows, columns = -(-(height - 2) // 2) - 4, -(-(width - 2) // 2) - 4
    assert prob.shape == (2, rows, columns), "odd sizes need pooling with ceil_mode"
    assert offset.shape == (2, 4, rows, columns)


def test_pnet_cell_sees_the_window_at_twice_its_index() -> None:
    torch.manual_seed(0)
    net = fd.PNet().eval()
    image = torch.rand(1, 3, 30, 40) * 2 - 1
    prob, offset = net(image)
    for row, column in ((0, 0), (3, 5), (8, 13)):
        window = image[:, :, 2 * row : 2 * row + 12, 2 * column : 2 * column + 12]
        alone_prob, alone_offset = net(window)
        assert_allclose(alone_prob[0, 0, 0].item(), prob[0, row, column].item(), rtol=1e-4)
        torch.testing.assert_close(alone_offset[0, :, 0, 0], offset[0, :, row, column])


@pytest.mark.parametrize(("network", "size", "outputs"), [("RNet", 24, 2), ("ONet", 48, 3)])
def test_patch_networks_judge_each_patch_alone_and_pass_gradients(network, size, outputs) -> None:
    torch.manual_seed(0)
    net = getattr(fd, network)().eval()
    patches = (torch.rand(3, 3, size, size) * 2 - 1).requires_grad_()
    result = net(patches)
    assert len(result) == outputs
    assert result[0].shape == (3,) and ((result[0] > 0) & (result[0] < 1)).all()
    assert result[1].shape == (3, 4)
    torch.testing.assert_close(net(patches[1:2])[1], result[1][1:2])
    sum(output.sum() for output in result).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())
    assert (patches.grad.abs().amax(dim=(1, 2, 3)) > 0).all()


def test_keras_convolution_becomes_the_same_convolution() -> None:
    kernel = np.arange(2 * 3 * 4 * 5, dtype=np.float32).reshape(
        2, 3, 4, 5
    )  # rows, columns, in, out
    (converted,) = fd.torch_layout([kernel])
    assert converted.shape == (5, 4, 2, 3)
    assert converted[4, 2, 1, 0] == kernel[1, 0, 2, 4]


def test_first_dense_layer_reads_columns_before_rows() -> None:
    rng = np.random.default_rng(0)
    channels, side = 4, 3
    kernel = rng.normal(size=(2, 2, 3, channels)).astype(np.float32)
    first = rng.normal(size=(channels * side * side, 6)).astype(np.float32)
    second = rng.normal(size=(6, 2)).astype(np.float32)
    feature_hwc = rng.normal(size=(side, side, channels)).astype(np.float32)
    # Keras permutes (row, column, channel) to (column, row, channel) and flattens.
    expected = feature_hwc.transpose(1, 0, 2).reshape(-1) @ first
    _, first_torch, second_torch = fd.torch_layout([kernel, first, second])
    flat = torch.from_numpy(feature_hwc).permute(2, 0, 1).flatten()
    assert_allclose((first_torch @ flat).numpy(), expected, rtol=1e-4, atol=1e-5)
    assert_allclose(second_torch.numpy(), second.T, err_msg="only the first dense layer permutes")


def test_normalise_maps_bytes_to_plus_minus_one() -> None:
    frames = np.array([0, 255, 128], np.uint8).reshape(1, 1, 1, 3)
    assert_allclose(fd.normalise(frames).ravel(), [-127.5 / 128, 127.5 / 128, 0.5 / 128])


# Boxes


def test_pyramid_runs_from_the_smallest_face_to_the_frame() -> None:
    assert fd.pyramid_scales(48, 100, min_face_px=12, factor=0.5) == [1, 0.5, 0.25]
    assert fd.pyramid_scales(48, 100, min_face_px=24, factor=0.5) == [0.5, 0.25]
    assert fd.pyramid_scales(30, 100, min_face_px=40) == []
    for wrong in ({"min_face_px": 0}, {"min_face_px": 20, "factor": 1.0}):
        with pytest.raises(ValueError, match="expected min_face_px > 0"):
            fd.pyramid_scales(48, 100, **wrong)


def test_cell_becomes_the_box_of_its_window() -> None:
    prob = np.zeros((3, 4), np.float32)
    prob[1, 2] = 0.9
    offset = np.arange(48, dtype=np.float32).reshape(4, 3, 4)
    boxes, scores, offsets = fd.boxes_from_cells(prob, offset, (1.0, 1.0), 0.6)
    # Row 1, column 2: pixels 4 ... 15 across and 2 ... 13 down.
    assert_allclose(boxes, [[3.5, 1.5, 15.5, 13.5]], err_msg="are rows and columns swapped?")
    assert_allclose(scores, [0.9])
    assert_allclose(offsets, [[6, 18, 30, 42]])
    # At half the width and a quarter of the height the outer edge stays at -0.5.
    boxes, _, _ = fd.boxes_from_cells(prob, offset, (0.5, 0.25), 0.6)
    assert_allclose(boxes, [[7.5, 7.5, 31.5, 55.5]])
    assert len(fd.boxes_from_cells(prob, offset, (1.0, 1.0), 0.95)[0]) == 0


def test_overlap_of_known_boxes() -> None:
    box = np.array([0.0, 0, 2, 2])
    others = np.array([[1.0, 1, 3, 3], [0, 0, 2, 2], [0.5, 0.5, 1.5, 1.5], [2, 0, 4, 2]])
    assert_allclose(fd.overlap(box, others), [1 / 7, 1, 1 / 4, 0])
    assert_allclose(fd.overlap(box, others, "min"), [1 / 4, 1, 1, 0])
    with pytest.raises(ValueError, match='"union" or "min"'):
        fd.overlap(box, others, "max")


def test_suppression_keeps_the_best_of_each_heap() -> None:
    boxes = np.array([[0.0, 0, 10, 10], [1, 0, 11, 10], [20, 0, 30, 10], [2, 2, 6, 6]])
    scores = np.array([0.8, 0.9, 0.3, 0.7])
    assert fd.suppress(boxes, scores, 0.5).tolist() == [1, 3, 2]
    assert fd.suppress(boxes, scores, 0.9).tolist() == [1, 0, 3, 2]
    assert fd.suppress(boxes, scores, 0.5, "min").tolist() == [1, 2]
    assert fd.suppress(np.zeros((0, 4)), np.zeros(0), 0.5).shape == (0,)


def test_suppressed_box_does_not_suppress() -> None:
    # A overlaps B, B overlaps C, A does not overlap C: B goes, so C stays.
    boxes = np.array([[0.0, 0, 10, 10], [4, 0, 14, 10], [8, 0, 18, 10]])
    assert fd.suppress(boxes, np.array([0.9, 0.8, 0.7]), 0.4).tolist() == [0, 2]


def test_calibration_is_in_units_of_the_box() -> None:
    boxes = np.array([[10.0, 20, 30, 60]])  # 20 wide, 40 high
    offsets = np.array([[0.1, 0.1, -0.05, 0.25]])
    assert_allclose(fd.calibrate(boxes, offsets), [[12, 24, 29, 70]])


def test_square_grows_the_shorter_side_on_whole_pixels() -> None:
    squares = fd.square(np.array([[9.5, 0.5, 19.5, 40.5], [1.2, 3.4, 8.8, 8.1]]))
    assert_allclose(squares[0], [-5.5, 0.5, 34.5, 40.5])
    sides = squares[:, 2:] - squares[:, :2]
    assert_allclose(sides[:, 0], sides[:, 1])
    assert_allclose((squares + 0.5) % 1, 0)
    assert fd.square(np.zeros((0, 4))).shape == (0, 4)


def test_patch_of_the_right_size_is_the_pixels_themselves() -> None:
    frame = np.random.default_rng(0).integers(1, 256, (30, 40, 3), dtype=np.uint8)
    boxes = np.array([[4.5, 2.5, 28.5, 26.5], [-10.5, -6.5, 13.5, 17.5], [100, 100, 124, 124]])
    before = frame.copy()
    inside, corner, outside = fd.cut_patches(frame, boxes, 24)
    assert (inside == frame[3:27, 5:29]).all()
    assert (corner[6:, 10:] == frame[:18, :14]).all()
    assert (corner[:6] == 0).all() and (corner[:, :10] == 0).all() and (outside == 0).all()
    assert (frame == before).all()


def test_shrunk_patch_is_an_average() -> None:
    stripes = np.zeros((48, 48, 3), np.uint8)
    stripes[:, ::2] = 200
    (patch,) = fd.cut_patches(stripes, np.array([[-0.5, -0.5, 47.5, 47.5]]), 24)
    assert (patch == 100).all(), "every second pixel alone gives stripes or a flat 0 or 200"


def test_landmarks_are_fractions_of_the_box_x_first() -> None:
    boxes = np.array([[10.0, 20, 30, 60]])
    fractions = np.array([[0, 0.25, 0.5, 0.75, 1, 0, 0.25, 0.5, 0.75, 1]])
    (points,) = fd.landmarks_in_frame(boxes, fractions)
    assert_allclose(points, [(10, 20), (15, 30), (20, 40), (25, 50), (30, 60)])


# The whole


def test_mtcnn_finds_the_photographed_face(mtcnn, photo, points) -> None:
    (face,) = mtcnn.detect(photo)
    assert face.score > 0.998, "below .99: are rows and columns swapped in the first dense layer?"
    distances = np.linalg.norm(face.landmarks5_px - faces.five_points(points), axis=1)
    assert (distances < 3).all(), f"from dlib's five points by {distances.round(1)} px"
    hog_x0, hog_y0, hog_x1, hog_y1 = faces.detect_hog(photo)[0].box_px
    x0, y0, x1, y1 = face.box_px
    # MTCNN's boxes reach higher; sides and chin are the same.
    assert_allclose([x0, x1, y1], [hog_x0, hog_x1, hog_y1], atol=12)
    assert hog_y0 - 35 < y0 < hog_y0


@pytest.mark.parametrize("seed", [10_001, 10_004])
def test_mtcnn_finds_actors_where_they_are(mtcnn, seed: int) -> None:
    from lab.actors import Actor, Background, Identity, Light, Pose, Renderer

    pose = Pose(yaw_deg=15, pitch_deg=-5, roll_deg=8)
    scene = {"light": Light.sample(seed), "background": Background.sample(seed)}
    frame = Renderer(256).render(Actor(Identity.sample(seed)), pose=pose, **scene)
    (face,) = mtcnn.detect(frame.image_HW3)
    truth = faces.five_points(frame.landmarks_px_L2)
    error = np.linalg.norm(face.landmarks5_px - truth, axis=1)
    assert face.score > 0.95
    assert error.mean() < 0.1 * faces.eye_distance(frame.landmarks_px_L2)


def test_mtcnn_follows_the_size_of_the_face(mtcnn, photo) -> None:
    (one,) = mtcnn.detect(photo)
    (two,) = mtcnn.detect(cv2.resize(photo, None, fx=2, fy=2, interpolation=cv2.INTER_LINEAR))
    assert_allclose(two.landmarks5_px, 2 * one.landmarks5_px + 0.5, atol=6)
    assert_allclose(two.box_px, 2 * np.array(one.box_px) + 0.5, atol=14)


def test_mtcnn_mirrored_frame_gives_mirrored_landmarks(mtcnn, photo) -> None:
    (face,) = mtcnn.detect(photo)
    (mirrored,) = mtcnn.detect(np.ascontiguousarray(photo[:, ::-1]))
    expected = face.landmarks5_px[[1, 0, 2, 4, 3]] * (-1, 1) + (255, 0)
    assert_allclose(mirrored.landmarks5_px, expected, atol=4)


def test_mtcnn_smallest_face_bounds_what_is_found(photo) -> None:
    small = cv2.resize(photo, (85, 85), interpolation=cv2.INTER_AREA)  # the face is 30 pixels wide
    assert len(fd.MtcnnDetector.published(min_face_px=20).detect(small)) == 1
    assert fd.MtcnnDetector.published(min_face_px=80).detect(small) == []


def test_mtcnn_reports_nothing_where_there_is_nothing(mtcnn) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (120, 160, 3), dtype=np.uint8)
    for frame in (noise, np.zeros((50, 70, 3), np.uint8), np.zeros((8, 200, 3), np.uint8)):
        assert mtcnn.detect(frame) == []


def test_mtcnn_refuses_frames_that_are_not_rgb_bytes(mtcnn) -> None:
    for wrong in (np.zeros((64, 64), np.uint8), np.zeros((64, 64, 3), np.float32)):
        with pytest.raises(ValueError, match="expected a uint8 RGB frame"):
            mtcnn.detect(wrong)


def test_landmarks_after_mtcnn_are_those_after_hog(mtcnn, photo, points) -> None:
    got = faces.landmarks_of(photo, mtcnn.detect(photo)[0])
    assert np.abs(got - points).mean() < 1.0


class Stub:
    """Answers with a fixed list and counts."""

    def __init__(self, found: list[Face]) -> None:
        self.found, self.calls = found, 0

    def detect(self, frame_HW3: np.ndarray) -> list[Face]:
        self.calls += 1
        return self.found


def test_fallback_asks_the_next_only_when_nothing_was_found() -> None:
    frame = np.zeros((20, 20, 3), np.uint8)
    nobody, first, second = Stub([]), Stub([Face((0, 0, 9, 9), 1.0)]), Stub([])
    assert fd.FallbackDetector((nobody, first, second)).detect(frame) is first.found
    assert (nobody.calls, first.calls, second.calls) == (1, 1, 0)
    assert fd.FallbackDetector((nobody, second)).detect(frame) == []


def test_large_frames_are_detected_small_and_answered_large(photo, mtcnn) -> None:
    (small,) = mtcnn.detect(photo)
    large = cv2.resize(photo, (1024, 768), interpolation=cv2.INTER_LINEAR)  # 4 and 3 times
    (found,) = fd.detect_shrunk(mtcnn, large, 256)
    factor = np.array([4, 3])
    assert_allclose(found.landmarks5_px, (small.landmarks5_px + 0.5) * factor - 0.5, atol=8)
    assert_allclose(
        np.diff(np.reshape(found.box_px, (2, 2)), axis=0)[0] / small.size_px, factor, rtol=0.1
    )
    stub = Stub([Face((-0.5, -0.5, 1.5, 9.5), 1.0)])
    (box,) = fd.detect_shrunk(stub, np.zeros((30, 60, 3), np.uint8), 20)
    assert_allclose(box.box_px, (-0.5, -0.5, 5.5, 29.5), err_msg="outer edges scale about -0.5")
    assert fd.detect_shrunk(stub, np.zeros((30, 60, 3), np.uint8), 60) == stub.found


def test_dlib_detectors_share_the_interface(photo) -> None:
    for detector in (fd.DlibHogDetector(), fd.DlibCnnDetector()):
        (face,) = detector.detect(photo)
        assert 80 < face.size_px[0] < 110
    assert fd.DlibHogDetector(threshold=5.0).detect(photo) == []


# The tracker


def moved(photo: np.ndarray, x_px: float, y_px: float, roll_deg: float, zoom: float):
    """The photograph shifted, turned clockwise and enlarged about its face; and the matrix."""
    centre = np.array([126.0, 125.0])
    matrix = cv2.getRotationMatrix2D(centre.tolist(), -roll_deg, zoom)
    matrix[:, 2] += (x_px, y_px)
    frame = cv2.warpAffine(photo, matrix, (256, 256), borderMode=cv2.BORDER_REFLECT)
    return frame, matrix


def centre_of(track) -> np.ndarray:
    return track.landmarks_px_L2.mean(axis=0)


def test_tracker_follows_a_moving_turning_growing_face_with_few_detections(photo, points) -> None:
    tracker = fd.FaceTracker(fd.DlibHogDetector(), detect_every=20)
    for t in range(30):
        motion = (
            35 * np.sin(t / 5),
            20 * np.sin(t / 4),
            50 * np.sin(t / 9),
            1 + 0.3 * np.sin(t / 7),
        )
        frame, matrix = moved(photo, *motion)
        (track,) = tracker.update(frame)
        expected = points @ matrix[:, :2].T + matrix[:, 2]
        error = np.linalg.norm(track.landmarks_px_L2 - expected, axis=1).mean()
        assert track.id == 0 and tracker.lost == []
        assert error < 0.06 * faces.eye_distance(expected), f"frame {t}"
    assert tracker.detections == 2


def test_tracker_follows_a_head_right_round(photo, points) -> None:
    tracker = fd.FaceTracker(fd.DlibHogDetector(), detect_every=15)
    for t in range(41):  # 9 degrees a frame
        frame, matrix = moved(photo, 0, 0, 9 * t, 1)
        (track,) = tracker.update(frame)
        expected = points @ matrix[:, :2].T + matrix[:, 2]
        error = np.linalg.norm(track.landmarks_px_L2 - expected, axis=1).mean()
        assert track.id == 0 and error < 0.1 * faces.eye_distance(expected), f"{9 * t} degrees"


def test_tracker_reports_loss_and_knows_the_face_again(photo) -> None:
    grey = np.full_like(photo, int(photo.mean()))
    hidden = hide(photo)
    tracker = fd.FaceTracker(fd.DlibHogDetector(), memory=5)
    assert [track.id for track in tracker.update(photo)] == [0]
    assert tracker.update(hidden) == [] and tracker.lost == [0]
    assert tracker.update(hidden) == [] and tracker.lost == []
    assert [track.id for track in tracker.update(photo)] == [0], "back where it was, in time"
    tracker.update(hidden)
    for _ in range(6):
        tracker.update(hidden)
    assert [track.id for track in tracker.update(photo)] == [1], "too late: a new face"
    assert tracker.update(grey) == [] and tracker.lost == [1]


def test_tracker_begins_anew_after_a_cut(photo) -> None:
    other = np.ascontiguousarray(255 - photo[::-1])
    other[64:192, 20:148] = photo[64:192, 64:192]
    tracker = fd.FaceTracker(fd.DlibHogDetector())
    tracker.update(photo)
    (track,) = tracker.update(other)
    assert track.id == 1 and tracker.lost == [0] and tracker.detections == 2
    assert abs(centre_of(track)[0] - 82) < 8


def test_tracker_keeps_two_faces_apart(photo) -> None:
    tracker = fd.FaceTracker(fd.DlibHogDetector(), detect_every=6)
    ids = {}
    for t in range(14):
        left, _ = moved(photo, 2 * t, 0, 0, 1)
        right, _ = moved(np.ascontiguousarray(photo[:, ::-1]), -2 * t, 10, 0, 1)
        both = np.concatenate([left, right], axis=1)
        tracks = tracker.update(both)
        assert len(tracks) == 2
        for track in tracks:
            ids.setdefault(track.id, set()).add(bool(centre_of(track)[0] > 256))
    assert len(ids) == 2 and all(len(sides) == 1 for sides in ids.values()), ids
    assert tracker.detections == 3


def hide(photo: np.ndarray) -> np.ndarray:
    """The photograph with a grey square over the face."""
    hidden = photo.copy()
    hidden[60:190, 60:190] = 90
    return hidden


def test_tracker_finds_a_newcomer_at_the_next_detection(photo) -> None:
    tracker = fd.FaceTracker(fd.DlibHogDetector(), detect_every=4)
    assert len(tracker.update(np.concatenate([photo, hide(photo)], axis=1))) == 1
    both = np.concatenate([photo, photo], axis=1)
    assert [len(tracker.update(both)) for _ in range(4)] == [1, 1, 1, 2]


def test_tracker_drops_what_detectors_no_longer_see(photo) -> None:
    tracker = fd.FaceTracker(Stub(fd.DlibHogDetector().detect(photo)), detect_every=2, patience=2)
    tracker.update(photo)
    tracker.detector = Stub([])  # from now on nothing is detected, though all looks as before
    lived = 0
    while tracker.update(photo):
        lived += 1
        assert lived < 20, "a track that no detection supports must end"
    assert lived >= 4 and tracker.lost == [0]


def test_upright_patch_ignores_light_and_roll(photo, points) -> None:
    patch = fd.upright_patch(photo, points)
    assert patch.shape == (32, 32)
    assert_allclose([patch.mean(), np.linalg.norm(patch)], [0, 1], atol=1e-5)
    frame, matrix = moved((photo * 0.6 + 20).astype(np.uint8), 5, -4, 70, 1.2)
    again = fd.upright_patch(frame, points @ matrix[:, :2].T + matrix[:, 2])
    assert (patch * again).sum() > 0.97
    flat = fd.upright_patch(np.full_like(photo, 77), points)
    assert np.isfinite(flat).all() and (flat * patch).sum() == 0


def test_cut_is_a_change_of_scene_not_of_place(photo) -> None:
    before = fd.thumbnail(photo)
    assert before.shape == (16, 16, 3) and before.min() >= 0 and before.max() <= 1
    assert not fd.is_cut(before, fd.thumbnail(moved(photo, 6, 6, 3, 1)[0]))
    assert fd.is_cut(before, fd.thumbnail(255 - photo))


def test_match_pairs_each_once_best_first(photo, points) -> None:
    template = fd.upright_patch(photo, points)
    tracks = [
        fd.Track(i, np.add(points, shift), 1.0, template, np.zeros(2))
        for i, shift in enumerate((0, 20))
    ]
    at_0, at_20 = np.array([track.box_px for track in tracks])
    assert fd.match(tracks, np.array([at_20 + 1, at_20 + 500])) == {1: 0}
    # Box 0 suits both; track 1 is nearer to it, so track 0 takes the other.
    assert fd.match(tracks, np.array([at_20 + 1, at_0 - 15])) == {1: 0, 0: 1}
    assert fd.match(tracks, np.zeros((0, 4))) == {} and fd.match([], np.array([at_0])) == {}
