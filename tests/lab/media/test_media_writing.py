"""MP4 out: exact times, exact sizes, and nothing half-written under the final name."""

import os
import signal
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from lab.errors import UserError
from lab.media import VideoReader, VideoWriter, frames_to_tensor, read_frames, tensor_to_frames
from lab.media.samples import frame_number, numbered_frames
from lab.media.writer import exact_rate

FRAMES = numbered_frames(30, 64, 48)


def write(path: Path, frames=FRAMES, rate=25, times=None, **settings) -> Path:
    with VideoWriter(path, rate, **settings) as writer:
        for i, frame in enumerate(frames):
            writer.write(frame, None if times is None else times[i])
    return path


@pytest.mark.parametrize("rate", [25, 60, Fraction(30000, 1001), Fraction(1199, 50), 0.5])
def test_constant_rate_is_exact(rate, tmp_path) -> None:
    with VideoReader(write(tmp_path / "clip.mp4", rate=rate)) as reader:
        times = [frame.time_s for frame in reader]
    assert reader.info.rate_fps == Fraction(rate)
    assert not reader.info.variable_rate
    assert times == [float(i / Fraction(rate)) for i in range(len(FRAMES))]
    assert reader.info.duration_s == float(len(FRAMES) / Fraction(rate))


@pytest.mark.parametrize(
    ("given", "meant"),
    [(29.97, Fraction(30000, 1001)), (23.976, Fraction(24000, 1001)), (25.0, 25), (12.5, 12.5)],
)
def test_float_rate_means_the_usual_fraction(given, meant) -> None:
    assert exact_rate(given) == meant


@pytest.mark.parametrize("rate", [0, -25, 1e6, float("nan")])
def test_senseless_rate_is_refused(rate, tmp_path) -> None:
    with pytest.raises(ValueError, match="rate from"):
        VideoWriter(tmp_path / "clip.mp4", rate)


@pytest.mark.parametrize("start_s", [0.0, 0.4870123])
def test_times_given_frame_by_frame_are_kept(start_s, tmp_path) -> None:
    steps = np.random.default_rng(3).uniform(0.004, 0.2, len(FRAMES))
    times = start_s + np.cumsum(steps) - steps[0]
    with VideoReader(write(tmp_path / "clip.mp4", times=times)) as reader:
        frames = list(reader)
    assert reader.info.variable_rate
    assert [frame.time_s for frame in frames] == pytest.approx(times, abs=7e-7)
    assert [frame_number(frame.image_HW3) for frame in frames] == list(range(len(FRAMES)))


def test_frames_may_be_minutes_apart_but_not_hours(tmp_path) -> None:
    times = [0.0, 0.04, 1200.0, 1200.04]
    with VideoReader(write(tmp_path / "slides.mp4", FRAMES[:4], times=times)) as reader:
        assert [frame.time_s for frame in reader] == pytest.approx(times, abs=7e-7)
    with pytest.raises(UserError, match="120 minutes apart"):
        write(tmp_path / "still.mp4", FRAMES[:2], times=[0.0, 7200.0])


def test_times_on_a_grid_read_back_as_a_constant_rate(tmp_path) -> None:
    rate = Fraction(30000, 1001)
    times = [float(i / rate) for i in range(len(FRAMES))]
    with VideoReader(write(tmp_path / "clip.mp4", rate=rate, times=times)) as reader:
        assert [frame.time_s for frame in reader] == times
    assert (reader.info.rate_fps, reader.info.variable_rate) == (rate, False)


@pytest.mark.parametrize("size", [(64, 48), (63, 48), (64, 47), (63, 47), (1, 1), (2, 16)])
@pytest.mark.parametrize("lossless", [False, True])
def test_size_is_kept_to_the_pixel(size, lossless, tmp_path) -> None:
    frames = FRAMES[:3, : size[1], : size[0]]
    read = read_frames(write(tmp_path / "clip.mp4", frames, lossless=lossless))
    assert read.shape == frames.shape
    if lossless:
        assert np.array_equal(read, frames)
    elif min(size) > 8:
        assert np.abs(read[..., 8:, 8:, :].astype(int) - frames[..., 8:, 8:, :]).mean() < 4


def test_views_that_are_not_contiguous_are_written_right(tmp_path) -> None:
    mirrored = FRAMES[:4, :, ::-1]
    assert np.array_equal(
        read_frames(write(tmp_path / "clip.mp4", mirrored, lossless=True)), mirrored
    )


@pytest.mark.parametrize(
    "frame", [np.zeros((48, 64), np.uint8), np.zeros((48, 64, 3)), np.zeros((0, 64, 3), np.uint8)]
)
def test_what_is_no_frame_is_refused(frame, tmp_path) -> None:
    with (
        pytest.raises(ValueError, match="expected a uint8"),
        VideoWriter(tmp_path / "c.mp4", 25) as writer,
    ):
        writer.write(frame)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("second", "time_s", "words"),
    [(FRAMES[0, :40], 0.1, "shape"), (FRAMES[0], 0.0, "rising"), (FRAMES[0], None, "either all")],
)
def test_frame_that_does_not_fit_the_first_is_refused(second, time_s, words, tmp_path) -> None:
    with (
        pytest.raises(ValueError, match=words),
        VideoWriter(tmp_path / "clip.mp4", 25) as writer,
    ):
        writer.write(FRAMES[0], 0.0)
        writer.write(second, time_s)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("trouble", [RuntimeError, KeyboardInterrupt, OSError, UserError])
def test_trouble_inside_the_block_leaves_the_old_file_and_itself(trouble, tmp_path) -> None:
    path = write(tmp_path / "clip.mp4")
    before = path.read_bytes()
    with pytest.raises(trouble, match="mine"), VideoWriter(path, 25) as writer:
        for frame in FRAMES:
            writer.write(frame)
        raise trouble("mine")
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_no_frames_is_an_error_and_no_file(tmp_path) -> None:
    with pytest.raises(UserError, match="no frames"):
        write(tmp_path / "clip.mp4", [])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["clip.avi", "clip", "clip.webm"])
def test_other_suffix_is_refused_at_once(name, tmp_path) -> None:
    with pytest.raises(UserError, match=r"\.mp4"):
        VideoWriter(tmp_path / name, 25)


def test_folder_that_cannot_be_made_is_one_line(tmp_path) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    with pytest.raises(UserError, match="cannot write"):
        write(tmp_path / "file" / "clip.mp4")


def test_index_lies_before_the_pictures(tmp_path) -> None:
    data = write(tmp_path / "clip.mp4").read_bytes()
    assert 0 < data.index(b"moov") < data.index(b"mdat"), "a browser must not need the whole file"


WRITE_FOREVER = """
import itertools, sys
import numpy as np
from lab.media import VideoWriter
with VideoWriter(sys.argv[1], 25) as writer:
    for i in itertools.count():
        writer.write(np.full((64, 64, 3), i % 256, np.uint8))
        if i == 20: print("going", flush=True)
"""


def test_killed_writer_leaves_nothing_under_the_final_name(tmp_path) -> None:
    command = [sys.executable, "-c", WRITE_FOREVER, str(tmp_path / "clip.mp4")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"going\n"
        time.sleep(0.1)
        os.kill(process.pid, signal.SIGKILL)
    assert not (tmp_path / "clip.mp4").exists()


WRITE_ON_A_FULL_DISK = """
import resource, sys
from pathlib import Path
import numpy as np
from lab.errors import UserError
from lab.media import VideoWriter
noise = np.random.default_rng(0).integers(0, 255, (60, 64, 64, 3), dtype=np.uint8)
path = Path(sys.argv[1])

def write():
    with VideoWriter(path, 25) as writer:
        for frame in noise:
            writer.write(frame)

write()
size = path.stat().st_size
path.unlink()
for missing in (0.9, 0.4, 0.02, 1 / size):
    limit = round(size * (1 - missing))
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    try:
        write()
    except UserError as error:
        print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="resource is not there")
def test_full_disk_is_one_line_and_no_file(tmp_path) -> None:
    command = [sys.executable, "-c", WRITE_ON_A_FULL_DISK, str(tmp_path / "clip.mp4")]
    answer = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert answer.count("cannot write") == len(answer.splitlines()) == 4, answer
    assert not list(tmp_path.iterdir())


def test_frames_become_network_input_and_come_back() -> None:
    images = frames_to_tensor(FRAMES[:2])
    assert images.shape == (2, 3, 48, 64)
    assert images[1, 2, 5, 7].item() == pytest.approx(FRAMES[1, 5, 7, 2] / 255)
    assert np.array_equal(tensor_to_frames(images), FRAMES[:2])
    assert frames_to_tensor(FRAMES[0]).shape == (1, 3, 48, 64)


def test_network_output_is_clipped_and_rounded() -> None:
    import torch

    image = torch.tensor([-0.5, 0.4 / 255, 1.7]).reshape(1, 3, 1, 1)
    assert tensor_to_frames(image).ravel().tolist() == [0, 0, 255]


@pytest.mark.parametrize("frames", [np.zeros((2, 8, 8, 3)), np.zeros((2, 8, 8), np.uint8)])
def test_what_is_no_frame_becomes_no_tensor(frames) -> None:
    with pytest.raises(ValueError, match="expected uint8"):
        frames_to_tensor(frames)
