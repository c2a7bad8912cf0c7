"""`python -m lab prepare`: your own footage as a clip folder, with consent on record."""

import time
from argparse import Namespace
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from lab import faces
from lab.arguments import Parser
from lab.errors import UserError
from lab.files import sha256
from lab.progress import Progress

EXAMPLE = 'python -m lab prepare me.mov data/me --consent "I am the person shown and agree"'
_DETECTION_SIDE_PX = 480  # frames are shrunk to this for the detector


def add_arguments(parser: Parser) -> None:
    parser.add_argument("video", type=Path, help="any video that FFmpeg reads")
    parser.add_argument("out", type=Path, help="folder for the clip")
    parser.add_argument(
        "--consent", help="required: who agreed to what, in words; it is kept in clip.json"
    )
    parser.add_argument(
        "--max-side", type=int, default=1280, help="shrink larger video to this, px"
    )


def run(args: Namespace) -> int:
    """Returns 0; a video in which no face is found is an error."""
    from lab.provenance import require_consent

    if not 64 <= args.max_side <= 8192:
        raise UserError(f"--max-side {args.max_side}; give 64 to 8192")
    consent = require_consent([args.video], args.consent)
    frames, without_face = prepare(args.video, args.out, consent, args.max_side)
    print(f"{frames} frames in {args.out}, {without_face} without a face")
    return 0


def prepare(
    video: Path, out: Path, consent: str | None, max_side_px: int = 1280
) -> tuple[int, int]:
    """Turn a video into a clip folder.

    A copy of real footage is not synthetic media: it gets no label and no watermark, and clip.json
    says so. What is later made from it does carry them. A video that is marked as synthetic stays
    marked: its copy is labelled and signed like everything that is made here.

    Args:
        video: any video that FFmpeg reads.
        out: the clip's folder; made here, and removed again if there is no face.
        consent: the statement of `require_consent`, recorded as given.
        max_side_px: larger frames are shrunk to this.

    Returns:
        Number of frames, and number of frames without a face.

    Raises:
        UserError: if the video cannot be read, or shows no face.
    """
    from lab.actors.clips import claim, sweep, write_description, write_track
    from lab.media import VideoReader

    source_type = synthetic_source(video)
    landmarks_px_TL2: list[np.ndarray] = []
    with VideoReader(video) as reader:
        info = reader.info
        size_px = _fitted(info.width_px, info.height_px, max_side_px)
        frames = _followed(reader, size_px, landmarks_px_TL2)
        started_s, made_here = time.time(), not out.exists()
        claim(out)
        try:
            _write_video(out / "video.mp4", frames, video, info, consent, source_type)
        except BaseException:
            if made_here and not any(out.iterdir()):
                out.rmdir()
            raise
    points_TL2 = np.stack(landmarks_px_TL2)
    visible_TL = np.isfinite(points_TL2).all(-1)
    without_face = int((~visible_TL.all(1)).sum())
    write_track(out, landmarks_px_TL2=points_TL2, visible_TL=visible_TL)
    write_description(
        out,
        kind="footage",
        synthetic=source_type is not None,
        rate_fps=float(info.rate_fps),
        frames=len(points_TL2),
        frames_without_face=without_face,
        size_px=size_px,
        consent=consent,
        source={"name": video.name, "sha256": sha256(video)},
    )
    sweep(out, started_s)
    return len(points_TL2), without_face


def synthetic_source(video: Path) -> Any:
    """The manifest's source type if a video is marked as synthetic, else None.

    Looks for a manifest, which may be broken, and for the watermark in the first 24 frames; a video
    with the watermark alone is taken for a network's work.
    """
    from lab.media import read_frames
    from lab.provenance import manifest, watermark

    signed = manifest.read(video)
    if signed.statement is not None:
        return signed.statement.source_type
    if signed.state != "none" or watermark.detect(read_frames(video, limit=24)).present:
        return "compositeWithTrainedAlgorithmicMedia"
    return None


def _followed(
    reader: Any, size_px: tuple[int, int], landmarks_px_TL2: list[np.ndarray]
) -> Iterator[Any]:
    """Yield the video's frames in their new size; append each one's landmarks to the list.

    Raises:
        UserError: after the last frame, if none shows a face.
    """
    tracker = FaceTracker()
    progress = Progress(reader.info.frames, "finding faces")
    for frame in reader:
        image_HW3 = frame.image_HW3
        if image_HW3.shape[1::-1] != size_px:
            image_HW3 = cv2.resize(image_HW3, size_px, interpolation=cv2.INTER_AREA)
        landmarks_px_TL2.append(tracker.landmarks(image_HW3))
        progress.step()
        yield replace(frame, image_HW3=image_HW3)
    progress.finish()
    if not any(np.isfinite(points).all() for points in landmarks_px_TL2):
        raise UserError(
            f"no face in {reader.path} ({len(landmarks_px_TL2)} frames); use footage of a face from "
            "the front, at least 60 px wide"
        )


def _write_video(
    path: Path,
    frames: Iterator[Any],
    video: Path,
    info: Any,
    consent: str | None,
    source_type: Any,
) -> None:
    """Write the copy with the video's own sound: plain for footage, signed for synthetic media."""
    from lab.media import VideoWriter
    from lab.provenance import Record, sign_and_write

    if source_type is not None:
        record = Record(
            "copy of a synthetic video",
            "python -m lab prepare",
            source_type,
            inputs=(video,),
            consent=consent,
        )
        sign_and_write(path, frames, record, rate_fps=info.rate_fps, audio=video)
        return
    with VideoWriter(path, info.rate_fps, audio=video) as writer:
        for frame in frames:
            writer.write(frame.image_HW3, frame.time_s)


class FaceTracker:
    """Follows one face through a video: the largest at first, then the one nearest to it."""

    def __init__(self) -> None:
        self._box_px: np.ndarray | None = None

    def landmarks(self, frame_HW3: np.ndarray) -> np.ndarray:
        """The face's 68 points in the next frame: (68, 2) float32, NaN if there is no face."""
        found = list(self._candidates(frame_HW3))
        if not found:
            self._box_px = None
            return np.full((68, 2), np.nan, np.float32)
        if self._box_px is None:
            box_px = max(found, key=lambda box: box[2] - box[0])
        else:
            centre_px = self._box_px.reshape(2, 2).mean(0)
            box_px = min(
                found, key=lambda box: np.linalg.norm(box.reshape(2, 2).mean(0) - centre_px)
            )
        self._box_px = box_px
        # dlib's boxes jump between sizes; a box from the points themselves is steadier.
        rough_px_L2 = faces.landmarks68(frame_HW3, box_px)
        return faces.landmarks68(frame_HW3, *faces.upright_box(rough_px_L2))

    def _candidates(self, frame_HW3: np.ndarray) -> Iterator[np.ndarray]:
        """Boxes of faces: near the last one if it is still there, else anywhere."""
        height, width = frame_HW3.shape[:2]
        if self._box_px is not None:
            x0, y0, x1, y1 = self._box_px
            reach = 0.6 * (x1 - x0)
            left, top = int(max(0, x0 - reach)), int(max(0, y0 - reach))
            part_HW3 = frame_HW3[
                top : int(min(height, y1 + reach)), left : int(min(width, x1 + reach))
            ]
            near = _detect(part_HW3, 220)
            if near:
                yield from (np.add(box, [left, top, left, top]) for box in near)
                return
        yield from _detect(frame_HW3, _DETECTION_SIDE_PX)


def _detect(frame_HW3: np.ndarray, side_px: int) -> list[np.ndarray]:
    """Face boxes (4,), found in a copy shrunk to `side_px` on its longer side."""
    height, width = frame_HW3.shape[:2]
    if min(height, width) < 16:
        return []
    shrink = min(1.0, side_px / max(height, width))
    small_HW3 = frame_HW3
    if shrink < 1:
        small = (max(1, round(width * shrink)), max(1, round(height * shrink)))
        small_HW3 = cv2.resize(frame_HW3, small, interpolation=cv2.INTER_AREA)
    scale = np.tile([width / small_HW3.shape[1], height / small_HW3.shape[0]], 2)
    return [
        (np.array(face.box_px) + 0.5) * scale - 0.5
        for face in faces.detect_hog(np.ascontiguousarray(small_HW3), upsample=1)
    ]


def _fitted(width_px: int, height_px: int, max_side_px: int) -> tuple[int, int]:
    """Width and height within `max_side_px`, in proportion."""
    shrink = min(1.0, max_side_px / max(width_px, height_px))
    return max(2, round(width_px * shrink)), max(2, round(height_px * shrink))
