"""A colour chart comes back as it was, whoever wrote it and whatever the size."""

import cv2
import numpy as np
import pytest

from lab.media import VideoWriter, hdr, read_frames
from lab.media.colour import ToRGB
from lab.media.samples import write_sample

LEVELS = (0, 85, 170, 255)
CHART = np.array([(r, g, b) for r in LEVELS for g in LEVELS for b in LEVELS], np.uint8)
CHART_883 = CHART.reshape(8, 8, 3)


def chart(width: int, height: int) -> np.ndarray:
    return cv2.resize(CHART_883, (width, height), interpolation=cv2.INTER_NEAREST)


def centres(frame_HW3: np.ndarray) -> np.ndarray:
    """The colour in the middle of each of the 8 x 8 fields."""
    height, width = frame_HW3.shape[:2]
    y, x = ((2 * np.arange(8) + 1) * size // 16 for size in (height, width))
    return frame_HW3[y][:, x]


def error(frame_HW3: np.ndarray) -> int:
    return int(np.abs(centres(frame_HW3).astype(int) - CHART_883).max())


@pytest.mark.parametrize("size", [(256, 256), (1280, 720), (255, 257)])
def test_written_colours_come_back_within_three_levels(size, tmp_path) -> None:
    with VideoWriter(tmp_path / "chart.mp4", 25) as writer:
        for _ in range(10):
            writer.write(chart(*size))
    assert error(read_frames(tmp_path / "chart.mp4")[1]) <= 3


def test_small_video_looks_right_in_a_player_that_ignores_tags(tmp_path) -> None:
    with VideoWriter(tmp_path / "chart.mp4", 25) as writer:
        for _ in range(3):
            writer.write(chart(256, 256))
    ok, frame_bgr = cv2.VideoCapture(str(tmp_path / "chart.mp4")).read()
    assert ok and error(frame_bgr[..., ::-1]) <= 5


@pytest.mark.parametrize("pixels", ["yuv420p", "yuv444p", "yuv420p10le"])
@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize("matrix", ["bt601", "bt709"])
def test_stated_matrix_and_range_are_honoured(matrix, full_range, pixels, tmp_path) -> None:
    path = write_sample(
        tmp_path / "chart.mp4",
        np.stack([chart(256, 256)] * 3),
        matrix=matrix,
        full_range=full_range,
        pixels=pixels,
        options={"crf": "8", "threads": "1"},
    )
    assert error(read_frames(path)[1]) <= 3, "matrix or range mixed up?"


def test_silent_small_video_is_taken_as_bt601(tmp_path) -> None:
    path = write_sample(
        tmp_path / "chart.mp4", np.stack([chart(256, 256)] * 3), options={"crf": "8"}
    )
    assert error(read_frames(path)[1]) <= 3


def pq(nits: float) -> float:
    """Luminance to signal, SMPTE ST 2084."""
    power = (nits / 10_000) ** 0.1593017578125
    return ((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power)) ** 78.84375


def hdr_frame(signal: float, curve: int):
    """A gray BT.2020 frame of 10 bits, limited range."""
    import av

    frame = av.VideoFrame(64, 64, "yuv420p10le")
    for plane, level in zip(frame.planes, (64 + 876 * signal, 512, 512), strict=True):
        plane.update(np.full(plane.buffer_size // 2, round(level), "<u2").tobytes())
    frame.colorspace, frame.color_range, frame.color_primaries, frame.color_trc = 9, 1, 9, curve
    return frame


@pytest.mark.parametrize(("nits", "level"), [(0, 0), (50, 142), (203, 255), (1000, 255)])
def test_pq_diffuse_white_becomes_white(nits, level) -> None:
    gray = ToRGB(64, 64)(hdr_frame(pq(nits), hdr.PQ))[32, 32]
    assert gray == pytest.approx([level] * 3, abs=2)


@pytest.mark.parametrize(("signal", "level"), [(0, 0), (0.5, 143), (0.75, 255), (1, 255)])
def test_hlg_diffuse_white_becomes_white(signal, level) -> None:
    gray = ToRGB(64, 64)(hdr_frame(signal, hdr.HLG))[32, 32]
    assert gray == pytest.approx([level] * 3, abs=2)
