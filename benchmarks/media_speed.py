"""How fast video goes in and out, beside OpenCV, which knows neither sound nor exact colours.

Example: python benchmarks/media_speed.py
"""

import time
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2

from lab.media import VideoReader, VideoWriter, probe
from lab.media.samples import numbered_frames

SIZES = {(256, 256): 200, (640, 480): 80, (1280, 720): 40}  # (width, height) px: frames


def main() -> None:
    print("size        write/s  x OpenCV    read/s  x OpenCV   probe ms")
    for (width, height), count in SIZES.items():
        frames = numbered_frames(count, width, height)
        with TemporaryDirectory() as folder:
            path, other = Path(folder) / "clip.mp4", Path(folder) / "opencv.mp4"
            write_s = timed(lambda frames=frames, path=path: write(path, frames))
            read_s = timed(lambda path=path: sum(1 for _ in VideoReader(path)))
            probe_s = timed(lambda path=path: probe(path))
            cv2_write_s = timed(lambda frames=frames, other=other: write_opencv(other, frames))
            cv2_read_s = timed(lambda path=path: read_opencv(path))
        print(
            f"{width}x{height:<6} {count / write_s:8.0f} {cv2_write_s / write_s:9.2f}"
            f" {count / read_s:9.0f} {cv2_read_s / read_s:9.2f} {1000 * probe_s:10.1f}"
        )


def timed(work) -> float:
    """Seconds of the fastest of three runs."""
    times = []
    for _ in range(3):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return min(times)


def write(path: Path, frames) -> None:
    with VideoWriter(path, 25) as writer:
        for frame in frames:
            writer.write(frame)


def write_opencv(path: Path, frames) -> None:
    """MPEG-4 part 2: the only video that OpenCV's wheel writes into MP4."""
    size = frames.shape[2], frames.shape[1]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 25, size)
    for frame in frames:
        writer.write(frame[..., ::-1])
    writer.release()


def read_opencv(path: Path) -> None:
    capture = cv2.VideoCapture(str(path))
    while capture.read()[0]:
        pass
    capture.release()


if __name__ == "__main__":
    main()
