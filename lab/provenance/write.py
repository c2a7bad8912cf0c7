"""The only way out for synthetic media: label, watermark, write, sign; whole or not at all."""

from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lab.errors import UserError
from lab.files import atomic_path
from lab.provenance import label, records, watermark
from lab.provenance.manifest import Record, Statement, sign

if TYPE_CHECKING:
    from lab.media import Audio, VideoFrame

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
VIDEO_SUFFIXES = (".mp4", ".m4v", ".mov")


def sign_and_write(
    path: Path | str,
    content: "np.ndarray | Iterable[np.ndarray | VideoFrame]",
    record: Record,
    *,
    rate_fps: Fraction | float | None = None,
    audio: "Audio | Path | None" = None,
) -> Path:
    """Label, watermark, write and sign synthetic media.

    Nothing lies under the final name until it is signed. Frames of a video are taken one by one,
    so memory does not grow with its length.

    Args:
        path: .png, .jpg, .jpeg or .webp for a picture; .mp4, .m4v or .mov for a video.
        content: one uint8 RGB frame_HW3; or frames, or `lab.media.VideoFrame`s, which keep their
            times. At least 64 px on the shorter side.
        record: how it came to be. Input files must still be there: they are hashed.
        rate_fps: frames per second; needed for a video.
        audio: sound for a video: an `Audio`, or a file whose sound track is copied.

    Returns:
        The path.

    Raises:
        UserError: if the suffix does not fit the content, the frame is too small, an input is
            missing, or the file cannot be written.
    """
    path = Path(path)
    is_picture = isinstance(content, np.ndarray) and content.ndim == 3
    allowed = IMAGE_SUFFIXES if is_picture else VIDEO_SUFFIXES
    if path.suffix.lower() not in allowed:
        kind = "pictures" if is_picture else "videos"
        raise UserError(f"cannot write {path}: {kind} are written as {', '.join(allowed)}")
    statement = Statement.of(record)
    with atomic_path(path) as signed:
        unsigned = signed.with_name(f"{signed.stem}.unsigned{signed.suffix}")
        try:
            if is_picture:
                _write_picture(unsigned, content, statement.payload)
            else:
                _write_video(unsigned, content, statement.payload, rate_fps, audio)
            sign(unsigned, signed, path.name, statement, record.inputs)
            records.remember(statement)
        finally:
            unsigned.unlink(missing_ok=True)
    return path


def _write_picture(path: Path, frame_HW3: np.ndarray, payload: int) -> None:
    from lab import media

    earlier = watermark.payload_here(frame_HW3)
    marked_HW3 = watermark.embed(label.draw(frame_HW3), payload, instead_of=earlier)
    media.write_image(path, marked_HW3)


def _write_video(
    path: Path,
    content: Iterable[Any],
    payload: int,
    rate_fps: Fraction | float | None,
    audio: "Audio | Path | None",
) -> None:
    from lab import media

    if rate_fps is None:
        raise ValueError("a video needs rate_fps")
    earlier: int | None = None
    with media.VideoWriter(path, rate_fps, audio=audio) as writer:
        for i, (frame_HW3, time_s) in enumerate(_timed(content)):
            if i == 0:
                earlier = watermark.payload_here(frame_HW3)
            labelled_HW3 = label.draw(frame_HW3)
            writer.write(
                watermark.embed(labelled_HW3, payload, moving=True, instead_of=earlier), time_s
            )


def _timed(content: Iterable[Any]) -> Iterator[tuple[np.ndarray, float | None]]:
    for frame in content:
        if isinstance(frame, np.ndarray):
            yield frame, None
        else:
            yield frame.image_HW3, frame.time_s
