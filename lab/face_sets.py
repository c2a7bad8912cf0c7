"""Training sets of aligned faces: from clips, from a video, or from a folder of pictures.

What an exercise provides (finding, aligning and cutting out a face) comes in as functions.

Dimension key: N faces, L = 68 landmarks, P side of a crop with its margin; a trailing 2 is (x, y).
"""

import io
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from lab import faces
from lab.errors import UserError
from lab.progress import Progress
from lab.training import first_process

IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"}
_LARGEST_SIDE_PX = 1280

Find = Callable[[np.ndarray], np.ndarray | None]
Align = Callable[[np.ndarray, int], np.ndarray]
Crop = Callable[[np.ndarray, np.ndarray, int], np.ndarray]


@dataclass(frozen=True, eq=False)
class FaceSet:
    """One person's aligned faces.

    Args:
        crops_N4PP: uint8 RGB and face mask, wider than the model's crops by a margin, so that they
            can be turned and shifted without running out of picture.
        inputs: the files that they come from.
        consent: what was recorded with the footage, if anything.
        identity_seed: of the actor, if all come from one.
        skipped: pictures without a usable face.
    """

    crops_N4PP: Tensor
    inputs: tuple[Path, ...]
    consent: str | None
    identity_seed: int | None
    skipped: int

    def __len__(self) -> int:
        """N, the number of faces."""
        return len(self.crops_N4PP)


@dataclass(frozen=True, eq=False)
class Source:
    """What a path holds, before it is cut up."""

    inputs: tuple[Path, ...]
    pictures: Callable[[int], Iterator[tuple[np.ndarray, np.ndarray | None, np.ndarray | None]]]
    count: int
    consent: str | None = None
    identity_seed: int | None = None


def padded_size(size_px: int) -> int:
    """P: the side of a stored crop, an eighth wider than the model's."""
    return size_px + 2 * (size_px // 16)


def open_source(path: Path | str) -> Source:
    """See what a path holds: a clip, a folder of clips, a folder of pictures, or a video.

    Raises:
        UserError: if it is none of these.
    """
    from lab.actors.clips import find_clips

    path = Path(path)
    if path.is_dir():
        if (path / "clip.json").is_file() or any(path.glob("*/clip.json")):
            return _from_clips(find_clips(path))
        pictures = sorted(p for p in path.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES)
        if not pictures:
            raise UserError(
                f"{path} holds neither clips nor pictures; "
                "make clips with `python -m lab render` or `python -m lab prepare`"
            )
        return _from_pictures(pictures)
    if not path.is_file():
        raise UserError(f"{path} does not exist; give a folder of clips or pictures, or a video")
    return _from_video(path)


def cut_faces(
    source: Source,
    size_px: int,
    find: Find,
    align: Align,
    crop: Crop,
    limit: int = 3000,
    fit_33: np.ndarray | None = None,
    what: str = "cutting out faces",
    fewest: int = 8,
) -> FaceSet:
    """Find, align and cut out the faces of one person.

    Args:
        source: from `open_source`.
        size_px: side of the model's crops.
        find: frame_HW3 -> (68, 2) landmarks of the largest face, or None.
        align: (landmarks_px_L2, size_px) -> (2, 3) matrix from frame to crop pixels.
        crop: (frame, matrix_23, size_px) -> (size, size, C).
        limit: at most so many pictures, taken evenly.
        fit_33: applied to crop positions in addition; see `actors_fit`.
        what: first words of the progress line.
        fewest: with fewer faces there is nothing to learn from.

    Raises:
        UserError: if fewer faces are found.
    """
    from lab.actors.clips import mask_from_landmarks

    padded = padded_size(size_px)
    shift_33 = np.eye(3)
    shift_33[:2, 2] = (padded - size_px) / 2
    extra_33 = shift_33 if fit_33 is None else shift_33 @ fit_33
    step = max(1, -(-source.count // limit))
    stream = sys.stderr if first_process() else io.StringIO()
    progress = Progress(-(-source.count // step), what, "pictures", stream)
    crops, skipped = [], 0
    for frame_HW3, landmarks_px_L2, mask_HW in source.pictures(step):
        points = find(frame_HW3) if landmarks_px_L2 is None else landmarks_px_L2
        if points is None or not np.isfinite(points).all():
            skipped += 1
        else:
            if mask_HW is None:
                mask_HW = mask_from_landmarks(points, frame_HW3.shape[1], frame_HW3.shape[0])
            matrix_23 = (extra_33 @ np.vstack([align(points, size_px), (0, 0, 1)]))[:2]
            stacked_HW4 = np.dstack([frame_HW3, mask_HW.astype(np.uint8) * 255])
            crops.append(crop(stacked_HW4, matrix_23, padded))
        progress.step()
    progress.finish()
    if len(crops) < fewest:
        raise UserError(
            f"{source.inputs[0].parent}: {len(crops)} faces in {len(crops) + skipped} pictures; "
            f"at least {fewest} are needed"
        )
    crops_N4PP = torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).contiguous()
    return FaceSet(crops_N4PP, source.inputs, source.consent, source.identity_seed, skipped)


def actors_fit(source_seed: int, target_seed: int, size_px: int, align: Align) -> np.ndarray:
    """How the source actor's head lies in a crop that is aligned on the target actor's.

    Alignment scales every face to one size, so a small face comes back from a swap as large as the
    face it replaces. Actors can be compared: both are photographed in the same poses by the same
    camera, and this is the mean similarity between their crops. Footage has no such photograph; it
    goes without.

    Args:
        source_seed, target_seed: identities.
        size_px: side of the crops.
        align: as in `cut_faces`.

    Returns:
        (3, 3): from crop pixels aligned on the source to crop pixels aligned on the target.
    """
    from lab.actors import Actor, Identity, Pose, Renderer

    renderer = Renderer(256)
    actors = [Actor(Identity.sample(seed)) for seed in (source_seed, target_seed)]
    sums_33 = np.zeros((3, 3))
    poses = [Pose(yaw, pitch, 0.0) for yaw in (-15.0, 0.0, 15.0) for pitch in (-6.0, 6.0)]
    for pose in poses:
        matrices = []
        for actor in actors:
            frame = renderer.render(actor, None, pose)
            box_px, roll_deg = faces.upright_box(frame.landmarks_px_L2)
            points = faces.landmarks68(frame.image_HW3, box_px, roll_deg)
            matrices.append(np.vstack([align(points, size_px), (0, 0, 1)]))
        sums_33 += matrices[1] @ np.linalg.inv(matrices[0])
    return sums_33 / len(poses)


def _from_clips(clips: list) -> Source:
    seeds = {clip.identity_seed for clip in clips}
    if len(seeds) > 1:
        raise UserError(
            f"{clips[0].folder.parent} holds clips of {len(seeds)} people; give one person's"
        )

    def pictures(step: int) -> Iterator[tuple]:
        count = 0
        for clip in clips:
            tracks = zip(clip.frames(), clip.landmarks_px_TL2, clip.masks(), strict=True)
            for frame_HW3, points, mask_HW in tracks:
                if count % step == 0:
                    if clip.kind == "actor":
                        # Cut out as a swap will: by dlib's points, not by the true ones.
                        box_px, roll_deg = faces.upright_box(points)
                        points = faces.landmarks68(frame_HW3, box_px, roll_deg)
                    yield frame_HW3, points, mask_HW
                count += 1

    consents = sorted({clip.consent for clip in clips if clip.consent})
    return Source(
        tuple(clip.video_path for clip in clips),
        pictures,
        sum(map(len, clips)),
        "; ".join(consents) or None,
        seeds.pop(),
    )


def _from_pictures(paths: list[Path]) -> Source:
    def pictures(step: int) -> Iterator[tuple]:
        from lab.media import read_image

        for path in paths[::step]:
            yield _shrunk(read_image(path)), None, None

    return Source(tuple(paths), pictures, len(paths))


def _from_video(path: Path) -> Source:
    from lab.media import VideoReader, probe

    def pictures(step: int) -> Iterator[tuple]:
        with VideoReader(path) as reader:
            for i, frame in enumerate(reader):
                if i % step == 0:
                    yield _shrunk(frame.image_HW3), None, None

    return Source((path,), pictures, probe(path).frames)


def _shrunk(frame_HW3: np.ndarray) -> np.ndarray:
    """The frame, made smaller if it is much larger than a face crop needs."""
    height, width = frame_HW3.shape[:2]
    shrink = _LARGEST_SIDE_PX / max(height, width)
    if shrink >= 1:
        return frame_HW3
    size = (max(1, round(width * shrink)), max(1, round(height * shrink)))
    return cv2.resize(frame_HW3, size, interpolation=cv2.INTER_AREA)
