"""The given face detectors and the given embedding: thin wrappers on dlib.

Exercises compare themselves with these; commands may use them where no exercise is asked for.

Dimension key: H rows, W columns, L = 68 landmarks in iBUG order; a trailing 2 is (x, y).

Coordinates: x right, y down, (0, 0) is the CENTRE of the top-left pixel. A box is given by its
outer edges (x0, y0, x1, y1), so an image of W x H pixels fills (-0.5, -0.5, W - 0.5, H - 0.5) and
x1 - x0 is a width in pixels. dlib's rectangles name the first and the last pixel INSIDE instead:
dlib (10, 20)-(19, 39) is (9.5, 19.5, 19.5, 39.5) here.
"""

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from lab.errors import UserError

# Below this distance two frames show the same actor (the usual 0.6 was chosen for photographs and
# calls most actors the same). Balanced-accuracy optimum on held-out actors: `lab evaluate actors`.
SAME_ACTOR_THRESHOLD = 0.41

RIGHT_EYE = slice(36, 42)  # the person's right eye, on the left of the image
LEFT_EYE = slice(42, 48)
INNER_51 = slice(17, 68)  # all but the jaw line

# Faces are brought to a box of this size first: dlib answers in whole pixels, and takes its time.
_WORKING_BOX_PX = (256, 512)


Box = tuple[float, float, float, float]  # outer edges (x0, y0, x1, y1)


@dataclass(frozen=True, eq=False)
class Face:
    """One detection.

    Args:
        box_px: outer edges (x0, y0, x1, y1); may reach beyond the image.
        score: the detector's own confidence; comparable only within one detector.
        landmarks5_px: (5, 2) eye centres, nose tip, mouth corners, the person's right (left in the
            image) before the left; or None if the detector gives none.
    """

    box_px: Box
    score: float
    landmarks5_px: np.ndarray | None = None

    @property
    def size_px(self) -> tuple[float, float]:
        """Width and height of the box."""
        x0, y0, x1, y1 = self.box_px
        return x1 - x0, y1 - y0


def detect_hog(frame_HW3: np.ndarray, upsample: int = 1, threshold: float = 0.0) -> list[Face]:
    """Find faces with dlib's histogram-of-gradients detector (frontal, at least 80 px).

    Args:
        frame_HW3: uint8 RGB.
        upsample: how often the image is doubled first; 1 finds faces from 40 px.
        threshold: lowest score; 0 is dlib's working point, negative finds more and errs more.

    Returns:
        Faces, best score first; an empty list if there is none.

    Source: Dalal & Triggs 2005; dlib's `get_frontal_face_detector`.
    """
    rectangles, scores, _ = _hog().run(checked_frame(frame_HW3), upsample, threshold)
    faces = [Face(box_of_rectangle(r), float(s)) for r, s in zip(rectangles, scores, strict=True)]
    return sorted(faces, key=lambda face: -face.score)


def detect_cnn(frame_HW3: np.ndarray, upsample: int = 0, threshold: float = 0.0) -> list[Face]:
    """Find faces with dlib's max-margin CNN: steadier than HOG, about 10-30 times slower on a CPU.

    Arguments and result as `detect_hog`.

    Source: King 2015 (Max-Margin Object Detection).
    """
    found = _cnn()(checked_frame(frame_HW3), upsample)
    faces = [Face(box_of_rectangle(m.rect), float(m.confidence)) for m in found]
    return sorted((f for f in faces if f.score >= threshold), key=lambda face: -face.score)


def landmarks68(
    frame_HW3: np.ndarray, box_px: Sequence[float], roll_deg: float = 0.0
) -> np.ndarray:
    """Place dlib's 68 points inside a face box.

    dlib answers in whole pixels; faces smaller than 256 px are enlarged first, so that the answer
    is finer than a pixel and does not jump from frame to frame.

    Args:
        frame_HW3: uint8 RGB.
        box_px: outer edges (x0, y0, x1, y1) as `detect_hog` draws them: square, from the brows to
            the chin. For a rolled face, the box before it is turned about its centre.
        roll_deg: how far the face is turned clockwise in the image; see `upright_box`. dlib's model
            knows upright faces only, up to about 30 degrees.

    Returns:
        (68, 2) float32 pixel positions; some may lie outside the image.

    Source: Kazemi & Sullivan 2014 (One Millisecond Face Alignment).
    """
    size_px = _working_size(box_px)
    crop_HW3, crop_to_frame = upright_crop(
        checked_frame(frame_HW3), box_px, roll_deg, size_px, margin=0.5
    )
    quarter = size_px / 4 - 0.5  # the box fills the middle half of the crop
    box_in_crop = (quarter, quarter, quarter + size_px / 2, quarter + size_px / 2)
    shape = _landmark_model()(crop_HW3, rectangle_of_box(box_in_crop))
    points = np.array([(point.x, point.y, 1) for point in shape.parts()], np.float64)
    return (points @ crop_to_frame.T).astype(np.float32)


def landmarks_of(frame_HW3: np.ndarray, face: Face) -> np.ndarray:
    """Place the 68 points on a detected face, whichever detector found it; (68, 2) float32.

    Detectors draw their boxes differently and dlib's points depend on the box; so a face that comes
    with five points gets the box that dlib would have drawn.
    """
    if face.landmarks5_px is None:
        return landmarks68(frame_HW3, face.box_px)
    return landmarks68(frame_HW3, *upright_box(face.landmarks5_px))


def embed(frame_HW3: np.ndarray, landmarks_px_L2: np.ndarray, jitter: int = 0) -> np.ndarray:
    """Describe who is seen by 128 numbers; near means alike (see `SAME_ACTOR_THRESHOLD`).

    About 0.1 s a face on a CPU.

    Args:
        frame_HW3: uint8 RGB.
        landmarks_px_L2: (68, 2) points of the face, from `landmarks68` or the ground truth.
        jitter: if above 1, average over that many slightly shifted crops (random, slower).

    Returns:
        (128,) float32; roughly of length 1.4.

    Source: dlib's `face_recognition_model_v1`, a 29-layer ResNet with a metric loss.
    """
    import dlib

    points = checked_landmarks(landmarks_px_L2)
    box_px = (*(points.min(0) - 0.5), *(points.max(0) + 0.5))
    crop_HW3, crop_to_frame = upright_crop(
        checked_frame(frame_HW3), box_px, 0.0, _working_size(box_px), margin=0.5
    )
    in_crop = np.rint((points - crop_to_frame[:, 2]) / crop_to_frame[0, 0]).astype(int)
    parts = dlib.points([dlib.point(int(x), int(y)) for x, y in in_crop])
    whole = dlib.rectangle(0, 0, crop_HW3.shape[1] - 1, crop_HW3.shape[0] - 1)
    shape = dlib.full_object_detection(whole, parts)
    description = _embedding_model().compute_face_descriptor(crop_HW3, shape, jitter)
    return np.asarray(description, np.float32)


def largest_face(faces: Sequence[Face]) -> Face | None:
    """The face with the largest box, or None if there is none."""
    return max(faces, key=lambda face: face.size_px[0] * face.size_px[1], default=None)


def five_points(landmarks_px_L2: np.ndarray) -> np.ndarray:
    """Reduce 68 landmarks to five: two eye centres, nose tip, two mouth corners; (5, 2) float32."""
    points = checked_landmarks(landmarks_px_L2)
    eyes = [points[RIGHT_EYE].mean(0), points[LEFT_EYE].mean(0)]
    return np.array([*eyes, points[30], points[48], points[54]], np.float32)


def upright_box(points_px: np.ndarray) -> tuple[Box, float]:
    """The box that dlib's HOG detector would draw round a face, if the face stood upright.

    The box's side and centre follow from the eyes and the mouth (constants measured against
    `detect_hog` on actors; dlib's own boxes scatter by 9 %, the step of its image pyramid).

    Args:
        points_px: (5, 2) as `Face.landmarks5_px`, or (68, 2).

    Returns:
        The box before it is turned about its centre, and the roll by which to turn it: degrees in
        (-180, 180], positive clockwise in the image.
    """
    points = np.asarray(points_px, np.float64)
    points = five_points(points).astype(np.float64) if points.shape == (68, 2) else points
    if points.shape != (5, 2) or not np.isfinite(points).all():
        raise ValueError(f"expected 5 or 68 finite points, got shape {points.shape}")
    eyes, mouth = points[:2].mean(0), points[3:].mean(0)
    across = points[1] - points[0]
    roll = np.arctan2(across[1], across[0])
    down = np.array([-np.sin(roll), np.cos(roll)])
    # A turned head narrows the eyes' distance, a nodding one the face's height: use both.
    extent = max(float(np.hypot(np.linalg.norm(across), (mouth - eyes) @ down)), 1e-3)
    centre, half = eyes + 0.31 * extent * down, 1.65 * extent / 2
    return as_box((centre - half, centre + half)), float(np.degrees(roll))


def upright_crop(
    frame_HW3: np.ndarray,
    box_px: Sequence[float],
    roll_deg: float,
    size_px: int,
    margin: float = 0.0,
) -> tuple[np.ndarray, np.ndarray]:
    """Cut a face out so that it stands upright; what lies outside the frame is black.

    Args:
        frame_HW3: uint8 RGB.
        box_px, roll_deg: as from `upright_box`.
        size_px: side of the result. Less than a third of the box's side would alias.
        margin: added on each side, as a fraction of the box's side.

    Returns:
        The crop (size, size, 3) and the (2, 3) matrix from its pixels to the frame's.

    Raises:
        ValueError: if the box is empty or not finite.
    """
    box = _checked_box(box_px)
    step = (box[1] - box[0]).max() * (1 + 2 * margin) / size_px  # frame pixels per crop pixel
    cos, sin = step * np.cos(np.radians(roll_deg)), step * np.sin(np.radians(roll_deg))
    turn = np.array([[cos, -sin], [sin, cos]])
    crop_to_frame = np.column_stack([turn, box.mean(0) - turn @ np.full(2, (size_px - 1) / 2)])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(frame_HW3, crop_to_frame, (size_px, size_px), flags=flags), crop_to_frame


def eye_distance(landmarks_px_L2: np.ndarray) -> float:
    """Distance between the outer eye corners in pixels, the usual unit of landmark errors."""
    points = checked_landmarks(landmarks_px_L2)
    return float(np.linalg.norm(points[45] - points[36]))


def eye_aspect_ratio(landmarks_px_L2: np.ndarray) -> float:
    """How open the eyes are: lid distance over eye width, mean of both; about 0.3 open, 0.1 shut.

    Source: Soukupova & Cech 2016 (Real-Time Eye Blink Detection using Facial Landmarks).
    """
    points = checked_landmarks(landmarks_px_L2)
    ratios = []
    for eye in (points[RIGHT_EYE], points[LEFT_EYE]):
        opening = np.linalg.norm(eye[1] - eye[5]) + np.linalg.norm(eye[2] - eye[4])
        width = max(float(np.linalg.norm(eye[0] - eye[3])), 1e-6)
        ratios.append(float(opening) / (2 * width))
    return float(np.mean(ratios))


def mouth_opening(landmarks_px_L2: np.ndarray) -> float:
    """Distance between the inner lips (three pairs, mean) over the outer-eye distance."""
    points = checked_landmarks(landmarks_px_L2)
    gaps = np.linalg.norm(points[[61, 62, 63]] - points[[67, 66, 65]], axis=1)
    return float(gaps.mean() / max(eye_distance(points), 1e-6))


def box_of_rectangle(rectangle: Any) -> Box:
    """A dlib rectangle (first and last pixel inside) as outer edges."""
    left, top = rectangle.left(), rectangle.top()
    return left - 0.5, top - 0.5, rectangle.right() + 0.5, rectangle.bottom() + 0.5


def as_box(values: Any) -> Box:
    """Four numbers in any array shape as a box of plain floats."""
    x0, y0, x1, y1 = np.asarray(values, np.float64).ravel().tolist()
    return x0, y0, x1, y1


def rectangle_of_box(box_px: Sequence[float]) -> Any:
    """The dlib rectangle of whole pixels nearest to a box; inverse of `box_of_rectangle`."""
    import dlib

    x0, y0, x1, y1 = (float(edge) for edge in box_px)
    return dlib.rectangle(round(x0 + 0.5), round(y0 + 0.5), round(x1 - 0.5), round(y1 - 0.5))


def _working_size(box_px: Sequence[float]) -> int:
    """Side of a crop of twice the box: a multiple of 4, the box within `_WORKING_BOX_PX`."""
    box = _checked_box(box_px)
    smallest, largest = _WORKING_BOX_PX
    return 4 * round(min(max(float((box[1] - box[0]).max()), smallest), largest) / 2)


def _checked_box(box_px: Sequence[float]) -> np.ndarray:
    box = np.asarray(box_px, np.float64).reshape(2, 2)
    if not (np.isfinite(box).all() and (box[1] > box[0]).all()):
        raise ValueError(f"expected a box (x0, y0, x1, y1) with x1 > x0 and y1 > y0, got {box_px}")
    return box


def checked_frame(frame_HW3: np.ndarray) -> np.ndarray:
    """Return the frame, contiguous, or raise ValueError if it is not uint8 (H, W, 3)."""
    if frame_HW3.ndim != 3 or frame_HW3.shape[2] != 3 or frame_HW3.dtype != np.uint8:
        raise ValueError(
            f"expected a uint8 RGB frame (H, W, 3), got {frame_HW3.dtype} {frame_HW3.shape}; "
            "lab.media converts grayscale, alpha and float images"
        )
    return np.ascontiguousarray(frame_HW3)


def checked_landmarks(landmarks_px_L2: np.ndarray) -> np.ndarray:
    """Return 68 finite points as float64 (68, 2), or raise ValueError."""
    points = np.asarray(landmarks_px_L2, np.float64)
    if points.shape != (68, 2) or not np.isfinite(points).all():
        raise ValueError(f"expected 68 finite points (68, 2), got {points.shape}")
    return points


def _model_path(name: str) -> str:
    """The path of one of dlib's model files.

    `face_recognition_models` is located and not imported: its import needs pkg_resources, which
    newer versions of setuptools no longer have.
    """
    spec = importlib.util.find_spec("face_recognition_models")
    folders = spec.submodule_search_locations if spec else None
    path = Path(folders[0]) / "models" / name if folders else None
    if path is None or not path.is_file():
        raise UserError(
            f"dlib's model file {name} is missing; run: pip install face_recognition_models"
        )
    return str(path)


@lru_cache(maxsize=1)
def _hog() -> Any:
    import dlib

    return dlib.get_frontal_face_detector()


@lru_cache(maxsize=1)
def _cnn() -> Any:
    import dlib

    return dlib.cnn_face_detection_model_v1(_model_path("mmod_human_face_detector.dat"))


@lru_cache(maxsize=1)
def _landmark_model() -> Any:
    import dlib

    return dlib.shape_predictor(_model_path("shape_predictor_68_face_landmarks.dat"))


@lru_cache(maxsize=1)
def _embedding_model() -> Any:
    import dlib

    return dlib.face_recognition_model_v1(_model_path("dlib_face_recognition_resnet_model_v1.dat"))
