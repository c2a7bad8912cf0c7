"""Frames of a video, one by one, in constant memory."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal, Self

import av
import numpy as np

from lab.errors import UserError
from lab.media.colour import ToRGB
from lab.media.probe import VideoInfo, scan
from lab.media.source import open_media, packets, reason, video_stream

_DECODER_THREADS = 8  # more would only hold more frames in memory


@dataclass(frozen=True)
class VideoFrame:
    """One frame of a video.

    Args:
        image_HW3: uint8 RGB, upright, square pixels.
        time_s: when it appears, on the file's clock.
    """

    image_HW3: np.ndarray
    time_s: float


class VideoReader:
    """Iterate over a video's frames; each `for` starts from the first.

    Frame i of a video with constant rate has time `info.start_s + i / info.rate_fps`, exactly;
    with variable rate it has the time that the file gives it.

    Args:
        path: any video that FFmpeg reads.
        on_error: what to do where the file is cut off or cannot be decoded, after all frames
            before that place: "raise" a UserError that names it, or "skip" what is broken.

    Raises:
        UserError: at once, if the file cannot be read as a video at all.
    """

    def __init__(self, path: Path | str, on_error: Literal["raise", "skip"] = "raise") -> None:
        self.path = Path(path)
        self._skip = on_error == "skip"
        self._scan = scan(self.path, skip=self._skip)
        self._closed = False

    @property
    def info(self) -> VideoInfo:
        return self._scan.info

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        # An iteration closes its file itself, in the thread it runs in: FFmpeg crashes if a file
        # is closed while another thread reads from it.
        self._closed = True

    def __iter__(self) -> Iterator[VideoFrame]:
        to_rgb = ToRGB(*self._scan.stored_px)
        damage = [self._scan.damage] if self._scan.damage else []
        count, index = 0, -1
        for frame in self._decode(damage):
            if self._closed:
                raise ValueError(f"{self.path} is read on after its `with` block has ended")
            if count == self.info.frames:  # only pictures beyond a hole are left
                break
            index = self._scan.index_of(frame.pts, after=index)
            yield VideoFrame(self._scan.turn(to_rgb(frame)), self._scan.time_s(index))
            count += 1
        if damage and not self._skip:
            raise UserError(
                f"{self.path} breaks off after {count} frames ({damage[0]}); "
                "copy or export it again, or cut it before that frame"
            )

    def _decode(self, damage: list[str]) -> Iterator[av.VideoFrame]:
        """Decoded frames in order of appearance; what goes wrong is added to `damage`."""
        with open_media(self.path) as container:
            stream = video_stream(container, self.path)
            stream.thread_type = "AUTO"
            stream.codec_context.thread_count = min(_DECODER_THREADS, os.cpu_count() or 1)
            for packet in packets(container, stream, [], skip=self._skip):
                try:
                    yield from packet.decode()
                except av.FFmpegError as error:
                    damage.append(reason(error))
                    if not self._skip:
                        break
            try:
                yield from stream.decode(None)
            except av.FFmpegError as error:
                damage.append(reason(error))


def read_frames(path: Path | str, limit: int | None = None) -> np.ndarray:
    """Read a short video, or its first `limit` frames, into memory.

    Returns:
        (T, H, W, 3) uint8 RGB.
    """
    with VideoReader(path) as reader:
        return np.stack([frame.image_HW3 for frame in islice(reader, limit)])
