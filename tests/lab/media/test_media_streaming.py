"""Long videos pass through without piling up in memory."""

import subprocess
import sys
from pathlib import Path

import pytest

from lab.evaluate.media import resident_mib

PASS_THROUGH = """
import sys
from pathlib import Path
from lab.evaluate.media import resident_mib
from lab.media import VideoReader, VideoWriter
from lab.media.samples import chirp, numbered_frames
folder = Path(sys.argv[1])
frames = numbered_frames(25, 96, 96)
with VideoWriter(folder / "long.mp4", 25, audio=chirp(30, 8000)) as writer:
    for i in range(750):
        writer.write(frames[i % 25])
held_mib = []
with VideoReader(folder / "long.mp4") as reader:
    with VideoWriter(folder / "copy.mp4", 25, audio=folder / "long.mp4") as writer:
        for frame in reader:
            writer.write(frame.image_HW3, frame.time_s)
            held_mib.append(resident_mib())
print(len(held_mib), max(held_mib[150:]) - max(held_mib[:150]))
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read as on Linux")
def test_memory_stays_level_over_a_long_video(tmp_path: Path) -> None:
    assert resident_mib() > 1
    command = [sys.executable, "-c", PASS_THROUGH, str(tmp_path)]
    answer = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert int(answer[0]) == 750
    assert float(answer[1]) < 6, "600 frames of 27 KiB would be 16 MiB if they were kept"
