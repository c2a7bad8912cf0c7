"""How much label and watermark cost beside what has to be done anyway: encoding the frame.

    python benchmarks/watermark_speed.py

Prints processor milliseconds a frame and the ratio to H.264 encoding (x264 veryfast, crf 18).
"""

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from lab.media import VideoWriter
from lab.provenance import label, watermark

SIZES = ((256, 256), (640, 360), (1280, 720))
FRAMES = 30


def scene(width: int, height: int) -> list[np.ndarray]:
    """A soft picture with some texture that drifts by a pixel a frame."""
    rng = np.random.default_rng(0)
    coarse = cv2.resize(rng.uniform(40, 210, (6, 8, 3)).astype(np.float32), (width + 64, height))
    fine = cv2.GaussianBlur(rng.normal(0, 30, coarse.shape).astype(np.float32), (0, 0), 1.5)
    wide = np.clip(coarse + fine, 0, 255).astype(np.uint8)
    return [np.ascontiguousarray(wide[:, t : t + width]) for t in range(FRAMES)]


def milliseconds(step: Callable[[np.ndarray], object], frames: list[np.ndarray]) -> float:
    """Mean processor time of a step over the frames, after one call to warm up."""
    step(frames[0])
    started = time.process_time()
    for frame_HW3 in frames:
        step(frame_HW3)
    return 1000 * (time.process_time() - started) / len(frames)


def encoding_ms(frames: list[np.ndarray]) -> float:
    with tempfile.TemporaryDirectory() as folder:
        started = time.process_time()
        with VideoWriter(Path(folder) / "a.mp4", 25) as writer:
            for frame_HW3 in frames:
                writer.write(frame_HW3)
        return 1000 * (time.process_time() - started) / len(frames)


def main() -> int:
    cv2.setNumThreads(1)
    header = f"{'size':>10} {'label':>8} {'mark':>8} {'encode':>8} {'(label + mark) / encode':>24}"
    print(f"{header} {'find':>8} {'search':>8}   ms a frame")
    for width, height in SIZES:
        frames = scene(width, height)
        marked = [watermark.embed(frame, 1, moving=True) for frame in frames]
        draw_ms = milliseconds(label.draw, frames)
        mark_ms = milliseconds(lambda frame: watermark.embed(frame, 1, moving=True), frames)
        encode_ms = encoding_ms(frames)
        find_ms = milliseconds(lambda frame: watermark.detect([frame]), marked)
        search_ms = milliseconds(lambda frame: watermark.detect([frame]), frames)
        ratio = (draw_ms + mark_ms) / encode_ms
        print(
            f"{width:>5}x{height:<4} {draw_ms:8.2f} {mark_ms:8.2f} {encode_ms:8.2f} {ratio:24.2f} "
            f"{find_ms:8.1f} {search_ms:8.1f}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
