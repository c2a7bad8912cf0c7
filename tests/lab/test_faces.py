"""lab.faces: conventions, and that dlib's answers arrive in them."""

import subprocess
import sys

import cv2
import numpy as np
import pytest
from numpy.testing import assert_allclose

from lab import faces, mtcnn_weights
from lab.errors import UserError
from lab.faces import Face


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    """A photograph of a face that comes inside the scikit-image wheel."""
    from skimage import data

    return data.astronaut()[:256, 96:352].copy()


@pytest.fixture(scope="module")
def points(photo: np.ndarray) -> np.ndarray:
    return faces.landmarks_of(photo, faces.detect_hog(photo)[0])


def test_rectangle_of_whole_pixels_becomes_outer_edges() -> None:
    import dlib

    # Ten pixels wide (10 ... 19) and twenty high (20 ... 39).
    box = faces.box_of_rectangle(dlib.rectangle(10, 20, 19, 39))
    assert box == (9.5, 19.5, 19.5, 39.5)
    assert Face(box, 1.0).size_px == (10, 20)
    back = faces.rectangle_of_box(box)
    assert (back.left(), back.top(), back.right(), back.bottom()) == (10, 20, 19, 39)


def test_hog_finds_the_face_and_little_else(photo: np.ndarray) -> None:
    found = faces.detect_hog(photo)
    assert len(found) == 1
    x0, y0, x1, y1 = found[0].box_px
    assert x0 < 126 < x1 and y0 < 125 < y1  # the nose
    assert 80 < x1 - x0 < 110


def test_hog_orders_by_score_and_honours_the_threshold(photo: np.ndarray) -> None:
    many = faces.detect_hog(photo, threshold=-1.0)
    scores = [face.score for face in many]
    assert len(many) > 1 and scores == sorted(scores, reverse=True)
    assert faces.detect_hog(photo, threshold=scores[0] + 0.1) == []


def test_cnn_agrees_with_hog(photo: np.ndarray) -> None:
    (cnn,) = faces.detect_cnn(photo)
    (hog,) = faces.detect_hog(photo)
    assert_allclose(cnn.box_px, hog.box_px, atol=15)


def test_detectors_return_nothing_on_a_blank_frame() -> None:
    blank = np.full((100, 120, 3), 128, np.uint8)
    assert faces.detect_hog(blank) == [] and faces.detect_cnn(blank) == []
    assert faces.largest_face([]) is None


@pytest.mark.parametrize(
    "frame",
    [np.zeros((20, 20), np.uint8), np.zeros((20, 20, 4), np.uint8), np.zeros((20, 20, 3))],
    ids=["grayscale", "alpha", "float"],
)
def test_wrong_frames_are_refused_with_their_shape(frame: np.ndarray) -> None:
    for use in (faces.detect_hog, faces.detect_cnn):
        with pytest.raises(ValueError, match=r"expected a uint8 RGB frame \(H, W, 3\), got"):
            use(frame)


def test_landmarks_agree_with_dlib_itself(photo: np.ndarray) -> None:
    (face,) = faces.detect_hog(photo)
    shape = faces._landmark_model()(photo, faces.rectangle_of_box(face.box_px))
    expected = np.array([(part.x, part.y) for part in shape.parts()])
    got = faces.landmarks68(photo, face.box_px)
    assert got.shape == (68, 2) and got.dtype == np.float32
    assert np.abs(got - expected).mean() < 0.6, "dlib itself answers in whole pixels"


def test_landmarks_move_with_the_image(photo: np.ndarray) -> None:
    (face,) = faces.detect_hog(photo)
    moved = cv2.copyMakeBorder(photo, 7, 0, 13, 0, cv2.BORDER_CONSTANT)
    box = np.add(face.box_px, (13, 7, 13, 7))
    expected = np.add(faces.landmarks68(photo, face.box_px), (13, 7))
    assert_allclose(faces.landmarks68(moved, box), expected, atol=1e-3)


def test_landmarks_scale_about_the_outer_corner(photo: np.ndarray, points: np.ndarray) -> None:
    # Doubling moves the centre of pixel 0 to 0.5: p -> 2 p + 0.5, not 2 p.
    doubled = cv2.resize(photo, None, fx=2, fy=2, interpolation=cv2.INTER_LINEAR)
    box, roll = faces.upright_box(2 * points + 0.5)
    again = faces.landmarks68(doubled, box, roll)
    expected = faces.landmarks68(photo, *faces.upright_box(points))
    assert np.abs(again - (2 * expected + 0.5)).mean() < 1.0


@pytest.mark.parametrize("quarter_turns", [1, 2, 3])
def test_landmarks_follow_a_turned_head(
    photo: np.ndarray, points: np.ndarray, quarter_turns: int
) -> None:
    turned, expected = photo, points
    for _ in range(quarter_turns):  # clockwise in the image: (x, y) -> (H - 1 - y, x)
        turned = np.ascontiguousarray(np.rot90(turned, -1))
        expected = np.stack([255 - expected[:, 1], expected[:, 0]], axis=1)
    box, roll = faces.upright_box(expected)
    upright_roll = faces.upright_box(points)[1]
    assert_allclose((roll - upright_roll) % 360, 90 * quarter_turns, atol=1e-3)
    got = faces.landmarks68(turned, box, roll)
    assert np.linalg.norm(got - expected, axis=1).mean() < 0.05 * faces.eye_distance(expected)


def test_landmarks_refuse_an_empty_box(photo: np.ndarray) -> None:
    for box in [(10, 10, 10, 20), (10, 10, 5, 20), (np.nan, 0, 1, 1)]:
        with pytest.raises(ValueError, match="expected a box"):
            faces.landmarks68(photo, box)


def test_upright_box_is_where_hog_looks(photo: np.ndarray, points: np.ndarray) -> None:
    (face,) = faces.detect_hog(photo)
    box, roll = faces.upright_box(points)
    assert_allclose(box, face.box_px, atol=0.1 * face.size_px[0])
    assert abs(roll) < 5


def test_upright_box_of_five_points_turns_with_them() -> None:
    five = np.array([(40, 50), (80, 50), (60, 70), (45, 90), (75, 90)], float)
    box, roll = faces.upright_box(five)
    assert roll == 0
    # Eyes 40 apart, 40 above the mouth: extent 40 sqrt 2; the centre 0.31 of it below the eyes.
    extent = 40 * np.sqrt(2)
    assert_allclose((box[0] + box[2]) / 2, 60)
    assert_allclose((box[1] + box[3]) / 2, 50 + 0.31 * extent)
    assert_allclose(box[2] - box[0], 1.65 * extent)
    turn = np.array([[0, -1], [1, 0]])  # 90 degrees clockwise, y down
    turned_box, turned_roll = faces.upright_box(five @ turn.T)
    assert_allclose(turned_roll, 90)
    centre = np.array(box).reshape(2, 2).mean(0)
    assert_allclose(np.array(turned_box).reshape(2, 2).mean(0), turn @ centre)


def test_upright_crop_of_the_whole_frame_is_the_frame(photo: np.ndarray) -> None:
    crop, matrix = faces.upright_crop(photo, (-0.5, -0.5, 255.5, 255.5), 0.0, 256)
    assert_allclose(matrix, [[1, 0, 0], [0, 1, 0]], atol=1e-12)
    assert (crop == photo).all()
    turned, _ = faces.upright_crop(photo, (-0.5, -0.5, 255.5, 255.5), 90.0, 256)
    assert np.abs(turned.astype(int) - np.rot90(photo)).max() <= 1, "a roll to the right is undone"


def test_embedding_knows_a_person_again(photo: np.ndarray, points: np.ndarray) -> None:
    first = faces.embed(photo, points)
    assert first.shape == (128,) and first.dtype == np.float32
    darker = (photo * 0.7).astype(np.uint8)
    turned, to_frame = faces.upright_crop(photo, (-0.5, -0.5, 255.5, 255.5), 8.0, 256)
    moved = (points - to_frame[:, 2]) @ np.linalg.inv(to_frame[:, :2]).T
    for frame, where in ((darker, points), (turned, moved)):
        assert np.linalg.norm(faces.embed(frame, where) - first) < 0.3


def test_embedding_refuses_wrong_landmarks(photo: np.ndarray, points: np.ndarray) -> None:
    broken = points.copy()
    broken[3, 0] = np.nan
    for wrong in (points[:5], broken):
        with pytest.raises(ValueError, match="expected 68 finite points"):
            faces.embed(photo, wrong)


def test_measures_on_a_drawn_face() -> None:
    drawn = np.zeros((68, 2))
    drawn[36:42] = [(0, 0), (3, -2), (6, -2), (9, 0), (6, 2), (3, 2)]  # 9 wide, 4 open
    drawn[42:48] = np.add(drawn[36:42], (21, 0))
    drawn[60:68] = [(8, 30), (12, 28), (15, 28), (18, 28), (22, 30), (18, 34), (15, 34), (12, 34)]
    drawn[30], drawn[48], drawn[54] = (15, 15), (5, 30), (25, 30)
    assert faces.eye_distance(drawn) == 30
    assert_allclose(faces.eye_aspect_ratio(drawn), 4 / 9)
    assert_allclose(faces.mouth_opening(drawn), 6 / 30)
    assert_allclose(
        faces.five_points(drawn), [(4.5, 0), (25.5, 0), (15, 15), (5, 30), (25, 30)], atol=1e-6
    )


def test_largest_face_goes_by_area_not_by_score() -> None:
    small, large = Face((0, 0, 10, 10), 0.9), Face((0, 0, 8, 20), 0.1)
    assert faces.largest_face([small, large]) is large


def test_missing_models_are_named_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"x\.dat is missing; run: pip install"):
        faces._model_path("x.dat")


def test_models_are_found_without_importing_their_package() -> None:
    code = (
        "import sys; from lab import faces; faces._landmark_model();"
        "sys.exit('face_recognition_models' in sys.modules or 'pkg_resources' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_mtcnn_weights_are_complete() -> None:
    sizes = {
        name: sum(array.size for array in mtcnn_weights.read(name))
        for name in ("pnet", "rnet", "onet")
    }
    assert sizes == {"pnet": 6_632, "rnet": 100_178, "onet": 389_040}


def test_a_changed_weight_file_is_refused_before_it_can_run(
    tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import joblib

    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "sprung"), "w"))

    joblib.dump(Trap(), tmp_path / "pnet.lz4")
    monkeypatch.setattr(mtcnn_weights, "_weight_file", lambda name: tmp_path / "pnet.lz4")
    with pytest.raises(UserError, match="not the known file"):
        mtcnn_weights.read("pnet")
    assert not (tmp_path / "sprung").exists()
