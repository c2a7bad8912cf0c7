"""Long videos pass through without piling up in memory."""

import subprocess
import sys
from pathlib import Path

import pytest

PASS_THROUGH = """
import resource, sys
from pathlib import Path
from lab.media import VideoReader, VideoWriter
from lab.media.samples import chirp, numbered_frames
folder, seconds = Path(sys.argv[1]), int(sys.argv[2])
frames = numbered_frames(50, 96, 96)

def peak_mib():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

with VideoWriter(folder / "long.mp4", 25, audio=chirp(seconds, 8000)) as writer:
    for i in range(25 * seconds):
        writer.write(frames[i % 50])
count, early = 0, 0
with VideoReader(folder / "long.mp4") as reader:
    with VideoWriter(folder / "copy.mp4", 25, audio=folder / "long.mp4") as writer:
        for frame in reader:
            writer.write(frame.image_HW3, frame.time_s)
            count += 1
            if count == 5 * 25:
                early = peak_mib()
print(count, peak_mib() - early)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="resource is not there")
def test_memory_stays_level_over_a_long_video(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PASS_THROUGH, str(tmp_path), "30"]
    answer = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert int(answer[0]) == 750
    growth_mib = float(answer[1])
    assert growth_mib < 8, "625 frames of 27 KiB would be 16 MiB if they were kept"
