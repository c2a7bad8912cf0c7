"""Clips: a folder of video, sound and ground truth, the form in which all commands take faces.

    clip/
      video.mp4   what is seen and heard; rendered actors carry label, watermark and manifest
      track.npz   per frame: landmarks, visibility, boxes; for actors also parts, pose, expression
      clip.json   what it is: kind, rate, size, seeds, phonemes, consent; written last

A folder without clip.json is unfinished and is written anew. `kind` is "actor" (rendered here) or
"footage" (a user's own video, see `python -m lab prepare`).

Dimension key: T frames, H rows, W columns, L = 68 landmarks, E expressions.
"""

import json
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from lab.actors.materials import FACE_PARTS, part_code
from lab.errors import UserError
from lab.files import atomic_path

VERSION = 1


@dataclass(frozen=True, eq=False)
class Clip:
    """A finished clip; frames, labels and sound are read when asked for.

    Args:
        folder: where it lies.
        kind: "actor" or "footage".
        rate_fps: frames a second (on average, for footage of variable rate).
        size_px: width and height.
        identity_seed, performance_seed: for actors, else None.
        consent: the words recorded with footage, else None.
        phonemes: (symbol, start_s, end_s) for speaking actors, else empty.
        landmarks_px_TL2: float32 (T, 68, 2); NaN where no face was found.
        visible_TL: bool (T, 68).
        box_px_T4: float32 (T, 4): x0, y0, x1, y1 around the landmarks; NaN without a face.
        pose_deg_T3, expression_TE: float32 ground truth for actors, else None.
    """

    folder: Path
    kind: str
    rate_fps: float
    size_px: tuple[int, int]
    identity_seed: int | None
    performance_seed: int | None
    consent: str | None
    phonemes: tuple[tuple[str, float, float], ...]
    landmarks_px_TL2: np.ndarray
    visible_TL: np.ndarray
    box_px_T4: np.ndarray
    pose_deg_T3: np.ndarray | None
    expression_TE: np.ndarray | None

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.landmarks_px_TL2)

    @property
    def video_path(self) -> Path:
        """The clip's video, with sound."""
        return self.folder / "video.mp4"

    @property
    def has_face_T(self) -> np.ndarray:
        """(T,) bool: where there is a face."""
        return np.isfinite(self.landmarks_px_TL2).all((1, 2))

    def frames(self) -> Iterator[np.ndarray]:
        """The frames one by one: uint8 (H, W, 3)."""
        from lab.media import VideoReader

        with VideoReader(self.video_path) as reader:
            for frame in reader:
                yield frame.image_HW3

    def frames_THW3(self) -> np.ndarray:
        """All frames at once; for short clips."""
        return np.stack(list(self.frames()))

    def masks(self) -> Iterator[np.ndarray]:
        """The face masks one by one: bool (H, W). From the labels, or from landmarks in footage."""
        if self.kind == "actor":
            codes = [part_code(name) for name in FACE_PARTS]
            yield from np.isin(self.parts_THW(), codes)
            return
        for landmarks_px_L2 in self.landmarks_px_TL2:
            yield mask_from_landmarks(landmarks_px_L2, *self.size_px)

    def parts_THW(self) -> np.ndarray:
        """uint8 part labels, positions in PARTS; actors only."""
        with _open_arrays(self.folder / "track.npz") as arrays:
            if "parts_THW" not in arrays:
                raise UserError(f"{self.folder} is footage; part labels exist for actors only")
            return arrays["parts_THW"]

    def audio(self, rate_hz: int | None = None) -> Any:
        """The sound as `lab.media.Audio`, or None if there is none."""
        from lab.media import read_audio

        return read_audio(self.video_path, rate_hz)


def open_clip(folder: Path | str) -> Clip:
    """Read a clip's description and tracks.

    Raises:
        UserError: if the folder is missing, unfinished or damaged.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(
            f"no clip folder {folder}; make one with `python -m lab render` or `prepare`"
        )
    about = read_description(folder)
    if about is None:
        raise UserError(f"{folder} holds no finished clip; run the command that made it again")
    with _open_arrays(folder / "track.npz") as arrays:
        known = {
            name: arrays.get(name)
            for name in (
                "landmarks_px_TL2",
                "visible_TL",
                "box_px_T4",
                "pose_deg_T3",
                "expression_TE",
            )
        }
    if known["landmarks_px_TL2"] is None or len(known["landmarks_px_TL2"]) != about["frames"]:
        raise UserError(f"{folder / 'track.npz'} does not fit clip.json; make the clip again")
    if not (folder / "video.mp4").is_file():
        raise UserError(f"{folder / 'video.mp4'} is missing; make the clip again")
    return Clip(
        folder=folder,
        kind=about["kind"],
        rate_fps=about["rate_fps"],
        size_px=tuple(about["size_px"]),
        identity_seed=about.get("identity_seed"),
        performance_seed=about.get("performance_seed"),
        consent=about.get("consent"),
        phonemes=tuple((s, a, b) for s, a, b in about.get("phonemes", ())),
        **known,
    )


def find_clips(path: Path | str) -> list[Clip]:
    """The clips in a folder: the folder itself if it is one, else its finished subfolders.

    Raises:
        UserError: if there is none.
    """
    path = Path(path)
    if (path / "clip.json").is_file():
        return [open_clip(path)]
    folders = sorted(p.parent for p in path.glob("*/clip.json")) if path.is_dir() else []
    if not folders:
        raise UserError(f"no clip in {path}; make some with `python -m lab render --out {path}`")
    return [open_clip(folder) for folder in folders]


def claim(folder: Path | str) -> Path:
    """Make a folder for a new clip, or take over that of an unfinished one.

    Raises:
        UserError: if it holds a finished clip or anything else, or cannot be made.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        names = [path.name for path in folder.iterdir()]
    except OSError as error:
        raise UserError(f"cannot use {folder} ({error.strerror}); choose another folder") from error
    if "clip.json" in names:
        raise UserError(f"{folder} holds a clip already; choose another folder or remove it")
    strange = [n for n in names if n not in ("video.mp4", "track.npz") and ".part" not in n]
    if strange:
        raise UserError(f"{folder} is not empty ({strange[0]}); choose another folder")
    return folder


def write_track(folder: Path, **arrays: np.ndarray) -> None:
    """Write track.npz; boxes are added from the landmarks."""
    landmarks_px_TL2 = arrays["landmarks_px_TL2"]
    arrays["box_px_T4"] = np.concatenate(
        [landmarks_px_TL2.min(1), landmarks_px_TL2.max(1)], axis=1
    ).astype(np.float32)
    with atomic_path(folder / "track.npz") as path:
        np.savez_compressed(path, **arrays)


def write_description(folder: Path, **about: Any) -> None:
    """Write clip.json, which marks the clip as finished."""
    with atomic_path(folder / "clip.json") as path:
        lines = [
            f"  {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}"
            for key, value in {"version": VERSION, **about}.items()
        ]
        path.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def read_description(folder: Path) -> dict[str, Any] | None:
    """clip.json, or None if there is none."""
    path = folder / "clip.json"
    if not path.is_file():
        return None
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
        if about["version"] != VERSION or about["kind"] not in ("actor", "footage"):
            raise ValueError("made by another version")
        int(about["frames"]), float(about["rate_fps"]), [int(side) for side in about["size_px"]]
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} cannot be read ({error}); make the clip again") from error
    return about


def sweep(folder: Path, before_s: float) -> None:
    """Remove temporary files that a killed run left behind."""
    for path in folder.glob(".*.part*"):
        if path.stat().st_mtime < before_s:
            path.unlink(missing_ok=True)


def mask_from_landmarks(landmarks_px_L2: np.ndarray, width_px: int, height_px: int) -> np.ndarray:
    """The hull of 68 landmarks, raised over the forehead; all False if the points are NaN.

    Returns:
        (H, W) bool.
    """
    mask_HW = np.zeros((height_px, width_px), np.uint8)
    if np.isfinite(landmarks_px_L2).all():
        brows_px, nose_px = landmarks_px_L2[17:27], landmarks_px_L2[30]
        forehead_px = brows_px + 0.5 * (brows_px - nose_px)
        hull_px = cv2.convexHull(np.concatenate([landmarks_px_L2, forehead_px]).astype(np.float32))
        cv2.fillConvexPoly(mask_HW, np.rint(hull_px).astype(np.int32), 1)
    return mask_HW.astype(bool)


@contextmanager
def _open_arrays(path: Path) -> Iterator[Any]:
    """np.load with one clear line for a file that is missing or damaged."""
    try:
        with path.open("rb") as handle, np.load(handle, allow_pickle=False) as arrays:
            yield arrays
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise UserError(f"{path} cannot be read ({error}); make the clip again") from error
